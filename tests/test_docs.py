"""What docs/ says is true: its commands, its keys, its formats."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from convcheck import cli
from convcheck.cli.base import EXTENSIONS, FORMATS
from convcheck.convention import KEYS, Convention

ROOT = Path(__file__).resolve().parent.parent
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}


def test_the_pages_are_there() -> None:
    assert {"ci.md", "conventions.md", "proof.md", "trust.md"} <= set(DOCS)


def test_every_key_has_its_row() -> None:
    table = DOCS["conventions.md"].split("## What is reversed")[0]
    rows = [line for line in table.split("\n") if line.startswith("| `")]
    named = {key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(KEYS)
    assert str(Convention().image_layout) in table


def test_every_format_has_its_row() -> None:
    for name in FORMATS:
        assert f"| `{name}` |" in DOCS["ci.md"]
    for ending, name in EXTENSIONS.items():
        if ending != ".htm":
            assert f"| `{name}` | `{ending}` |" in DOCS["ci.md"]


@pytest.mark.parametrize("name", ["ci.md", "conventions.md", "proof.md", "trust.md"])
def test_fences_are_closed(name: str) -> None:
    assert DOCS[name].count("```") % 2 == 0


def test_the_impulse_is_real(capsys: pytest.CaptureFixture[str]) -> None:
    block = DOCS["conventions.md"].split("```console\n")[1].split("```")[0].rstrip("\n").split("\n")
    _, *arguments = shlex.split(block[0].removeprefix("$ "))
    assert cli.run(arguments) == 0
    real = capsys.readouterr().out.split("\n")
    shown = [line for line in block[1:] if line != "..."]
    assert all(line in real or f"  {line}" in real for line in shown)


def test_options_in_the_examples_exist() -> None:
    for page in DOCS.values():
        for line in re.findall(r"convcheck (?:compare|random|identify|audit|verify) .*", page):
            command = line.split()[1]
            known = {o for p in cli.cli.commands[command].params for o in p.opts}
            used = set(re.findall(r"(?<= )--[a-z-]+", line.split("`")[0]))
            assert used <= known, line


def test_what_is_said_to_hold_a_promise_is_there() -> None:
    named = set(re.findall(r"`?((?:tests|benchmarks)/\w+(?:\.py)?)\b", DOCS["trust.md"]))
    assert len(named) > 8
    assert all((ROOT / path).exists() for path in named), named
