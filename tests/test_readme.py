"""What the README says is true: its commands, their output, its Python."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI_SCRIPT = ROOT / ".ci" / "run"

# What would change the output of a command away from what a reader sees at first.
STEERING = {"COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"}


class Block(NamedTuple):
    heading: str
    language: str
    lines: list[str]


class Command(NamedTuple):
    line: str
    output: list[str]


def blocks() -> list[Block]:
    """Every fenced block with the heading that it stands under."""
    found: list[Block] = []
    heading, inside = "", False
    for line in README.splitlines():
        if line.startswith("```"):
            inside = not inside
            if inside:
                found.append(Block(heading, line[3:].strip(), []))
        elif inside:
            found[-1].lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    assert not inside, "a fenced block is not closed"
    return found


def commands() -> list[Command]:
    """Every ``$ command`` of a console block with the output shown under it."""
    found: list[Command] = []
    for block in blocks():
        if block.language != "console":
            continue
        assert block.lines[0].startswith("$ "), f"a console block opens with {block.lines[0]!r}"
        for line in block.lines:
            if line.startswith("$ "):
                found.append(Command(line[2:], []))
            else:
                found[-1].output.append(line)
    return found


def run(line: str) -> subprocess.CompletedProcess[str]:
    """Run ``convcheck ...`` as a reader would, both streams into one pipe."""
    program, *arguments = shlex.split(line)
    assert program == "convcheck", f"not a convcheck command: {line}"
    assert not {"|", ">", "<", "&&", ";"} & set(arguments), f"needs a shell: {line}"
    environment = {name: value for name, value in os.environ.items() if name not in STEERING}
    environment["PYTHONUTF8"] = "1"
    return subprocess.run(
        [sys.executable, "-m", "convcheck", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
    )


def agrees(shown: list[str], real: list[str]) -> bool:
    """Equal line by line, where a shown line ``...`` stands for any number of lines."""
    if "..." not in shown:
        return shown == real
    pattern = "".join("(?:.*\n)*" if line == "..." else re.escape(line) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(line + "\n" for line in real)) is not None


def the_command_under(heading: str) -> str:
    found = [block for block in blocks() if block.heading == heading]
    assert len(found) == 1, f"one block stands under {heading!r}, not {len(found)}"
    assert len(found[0].lines) == 1, f"the command under {heading!r} is one line"
    return found[0].lines[0]


@pytest.mark.parametrize(
    ("shown", "real", "expected"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a"], ["a", "b"], False),
        (["a", "..."], ["a"], True),
        (["a", "...", "d"], ["a", "b", "c", "d"], True),
        (["a", "...", "d"], ["a", "b", "c"], False),
        (["...", "c"], ["a", "b", "cc"], False),
        (["a.c"], ["abc"], False),
        ([], ["a"], False),
    ],
)
def test_this_test_sees_a_difference(shown: list[str], real: list[str], expected: bool) -> None:
    assert agrees(shown, real) is expected


def test_the_readme_shows_real_output() -> None:
    assert commands()
    assert all(command.output for command in commands())
    assert "@@" not in README


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.line)
def test_the_output_shown_is_the_output(command: Command) -> None:
    real = run(command.line).stdout.splitlines()
    assert agrees(command.output, real), "\n".join(["the output now:", *real])


@pytest.mark.parametrize("heading", ["Try it", "Run the tests"])
def test_one_line_does_all_the_set_up(heading: str) -> None:
    steps = the_command_under(heading).split(" && ")
    assert len(steps) == 3
    assert steps[0] == "python3 -m venv .venv"
    assert steps[1].startswith(".venv/bin/pip install -q ")
    assert steps[2].startswith(".venv/bin/")


def test_the_first_command_runs_the_example_shown_above_it() -> None:
    line = the_command_under("Try it").split(" && ")[-1].removeprefix(".venv/bin/")
    assert line == commands()[0].line
    assert run(line).returncode == 0


def test_the_second_command_runs_these_tests() -> None:
    _, install, tests = the_command_under("Run the tests").split(" && ")
    assert shlex.split(install)[-2:] == ["-e", ".[test]"]
    wanted = ".venv/bin/python -m pytest -q -n auto --dist loadfile"  # a file of tests on each core
    assert tests == wanted


@pytest.mark.parametrize("heading", ["Try it", "Run the tests"])
def test_ci_runs_what_the_readme_says_by_reading_it(heading: str) -> None:
    shown = subprocess.run(
        [CI_SCRIPT, "--show-command", heading], capture_output=True, encoding="utf-8", check=True
    )
    line = the_command_under(heading)
    assert shown.stdout == line + "\n"
    script = CI_SCRIPT.read_text(encoding="utf-8")
    assert f'run_readme_command "{heading}"' in script
    assert line not in script


def test_the_python_shown_runs() -> None:
    shown = ["\n".join(block.lines) for block in blocks() if block.language == "pycon"]
    assert shown
    environment = {"__name__": "__main__"}
    for number, text in enumerate(shown):
        test = doctest.DocTestParser().get_doctest(
            text + "\n", environment, f"README block {number}", "README.md", 0
        )
        here = Path.cwd()
        os.chdir(ROOT)
        try:
            outcome = doctest.DocTestRunner().run(test, clear_globs=False)
        finally:
            os.chdir(here)
        assert outcome.attempted > 0
        assert outcome.failed == 0


def test_every_link_leads_to_a_file() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
