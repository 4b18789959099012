"""--help of every command reads like a manual page: examples first, exit codes last."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from convcheck import cli
from convcheck.errors import ExitCode

COMMANDS = ("", *sorted(cli.cli.commands))
SECTIONS = ["Examples:", "Usage:", "Options:", "Commands:", "Exit codes:"]


def shown(command: str, capsys: pytest.CaptureFixture[str], columns: int = 80) -> str:
    assert cli.run([*command.split(), "--help"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_order_of_a_manual_page(
    command: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = shown(command, capsys).split("\n")
    found = [
        section
        for line in lines
        for section in SECTIONS
        if line == section or (section == "Usage:" and line.startswith(section))
    ]
    assert found == [section for section in SECTIONS if section != "Commands:" or not command]
    before = "\n".join(lines).partition("Usage:")[0].split("\n")[1:-2]
    assert [line[:4] for line in before[::2]] == ["  # "] * (len(before) // 2)
    assert all(re.match(r"  (convcheck|python make\.py \| convcheck) ", x) for x in before[1::2])
    # An example is there to be copied and a choice to be typed: neither is wrapped.
    assert all(len(x) < columns for x in lines if x not in before and not x.startswith("  --"))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_exit_codes_are_the_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    codes = shown(command, capsys).partition("Exit codes:\n")[2]
    found = re.findall(r"^  (\d+) ", codes, re.MULTILINE)
    # inspect claims nothing that might not hold.
    assert found == [str(int(c)) for c in ExitCode if command != "inspect" or c != 1]
    assert codes.endswith("  130  interrupted\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = cli.cli if not command else cli.cli.commands[command]
    text = shown(command, capsys)
    for param in known.params:
        if isinstance(param, click.Option):
            assert param.help, param.name
            assert re.search(rf"^  (-\w, )?{re.escape(param.opts[-1])}\b", text, re.MULTILINE)
        else:
            assert str(param.metavar).strip("[]") in text
    assert "INTEGER" not in text
    assert "TEXT" not in text


def test_the_list_of_commands_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    listed = shown("", capsys).partition("Commands:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in listed.split("\n")] == sorted(cli.cli.commands)
    assert "..." not in listed


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_can_be_typed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    examples = shown(command, capsys).partition("Usage:")[0].split("\n")[2:-2:2]
    assert len(examples) >= 3
    for example in examples:
        _, name, *arguments = shlex.split(example.rpartition("| ")[2])
        assert name == (command or name)
        # Parsed, not run: the files of an example need not be there.
        cli.cli.commands[name].make_context(name, arguments)
