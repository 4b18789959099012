"""What docs/ says is true: its commands, its keys, its formats."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convcheck import cli
from convcheck.checks.identify.norm_lines import MORE, ROWS
from convcheck.cli.base import EXTENSIONS, FORMATS
from convcheck.convention import ACTIVATIONS, KEYS, Convention, Storage
from convcheck.convention.storage import OVERFLOWS, ROUNDINGS
from convcheck.engine import convolve

ROOT = Path(__file__).resolve().parent.parent
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}


def test_the_pages_are_there() -> None:
    assert {"ci.md", "conventions.md", "diff.md", "proof.md", "search.md", "trust.md"} <= set(DOCS)


def test_every_key_has_its_row() -> None:
    table = DOCS["conventions.md"].split("## What is reversed")[0]
    rows = [line for line in table.split("\n") if line.startswith("| `")]
    named = {key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(KEYS)
    assert str(Convention().image_layout) in table


def test_every_value_of_activation_and_storage_has_its_row() -> None:
    numbers = DOCS["conventions.md"].split("## Channels and numbers")[1]
    first = [line.split("|")[1] for line in numbers.split("\n") if line.startswith("| `")]
    named = {name for cell in first for name in re.findall(r"\w+", cell)}
    assert {*ACTIVATIONS, *ROUNDINGS, *OVERFLOWS} <= named


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_the_roundings_of_the_page_are_real(rounding: str) -> None:
    page = DOCS["conventions.md"].replace("\N{MINUS SIGN}", "-")
    title, row = (
        [cell.strip() for cell in line.split("|")[1:3]]
        for line in page.split("\n")
        if line.startswith(("| `rounding`", f"| `{rounding}`"))
    )
    numbers, rounded = (np.array(cells[1].split(", "), dtype=float) for cells in (title, row))
    assert np.array_equal(Storage("int8", rounding=rounding).apply(numbers), rounded)


def test_every_format_has_its_row() -> None:
    for name in FORMATS:
        assert f"| `{name}` |" in DOCS["ci.md"]
    for ending, name in EXTENSIONS.items():
        if ending != ".htm":
            assert f"| `{name}` | `{ending}` |" in DOCS["ci.md"]


@pytest.mark.parametrize("name", sorted(DOCS))
def test_fences_are_closed(name: str) -> None:
    assert DOCS[name].count("```") % 2 == 0


def test_the_impulse_is_real(capsys: pytest.CaptureFixture[str]) -> None:
    block = DOCS["conventions.md"].split("```console\n")[1].split("```")[0].rstrip("\n").split("\n")
    _, *arguments = shlex.split(block[0].removeprefix("$ "))
    assert cli.run(arguments) == 0
    real = capsys.readouterr().out.split("\n")
    shown = [line for line in block[1:] if line != "..."]
    assert all(line in real or f"  {line}" in real for line in shown)


def pictures() -> SimpleNamespace:
    """docs/pictures.py, which makes what the page shows."""
    return SimpleNamespace(**run_path(str(ROOT / "docs" / "pictures.py")))


def test_the_pictures_are_what_the_tool_draws() -> None:
    made, page = pictures(), DOCS["conventions.md"]
    assert set(re.findall(r"<!-- picture: ([\w-]+) -->", page)) == set(made.blocks())
    assert made.page(page) == page
    assert made.page(page.replace("■■■", "■■")) == page


def test_the_svg_files_are_what_the_tool_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    made = pictures()
    made.svgs(tmp_path)
    kept = ROOT / "docs" / "pictures"
    assert {path.name for path in kept.iterdir()} == set(made.SVGS)
    for path in kept.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
        assert f"](pictures/{path.name})" in DOCS["conventions.md"]


@pytest.mark.slow
def test_the_commands_of_the_ci_page_run(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text(
        "from scipy.signal import correlate\n"
        "import numpy as np\n"
        "def conv(x, w):\n"
        "    return np.stack([[correlate(i, f, 'valid')[0] for f in w] for i in x])\n"
    )
    rng = np.random.default_rng(1)
    image, filters = rng.integers(-9, 10, (3, 8, 9)), rng.integers(-9, 10, (4, 3, 3, 2))
    np.save(tmp_path / "image.npy", image)
    np.savez(tmp_path / "weights.npz", conv1=filters)
    np.save(tmp_path / "expected.npy", convolve(image, filters))
    lines = re.findall(r"^ +(?:run:|-) (convcheck .*)$", DOCS["ci.md"], re.MULTILINE)
    assert len(lines) == 4
    for line in dict.fromkeys(lines):
        done = subprocess.run(
            ["bash", "-c", line.replace("convcheck ", '"$PYTHON" -m convcheck ', 1)],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHON": sys.executable,
                "PYTHONPATH": str(ROOT),
                "GITHUB_STEP_SUMMARY": "summary.md",
            },
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith("### ✅ ")
    assert (tmp_path / "convcheck.xml").read_text(encoding="utf-8").startswith("<?xml")


def test_options_in_the_examples_exist() -> None:
    for page in DOCS.values():
        for line in re.findall(
            r"convcheck (?:compare|random|identify|audit|verify|diff|model) .*", page
        ):
            command = line.split()[1]
            known = {o for p in cli.cli.commands[command].params for o in p.opts}
            used = set(re.findall(r"(?<= )--[a-z-]+", line.split("`")[0]))
            assert used <= known, line


def test_what_is_said_to_hold_a_promise_is_there() -> None:
    named = set(re.findall(r"`?((?:tests|benchmarks)/\w+(?:\.\w+)?)\b", DOCS["trust.md"]))
    assert len(named) > 8
    assert all((ROOT / path).exists() for path in named), named


def test_the_answer_that_is_worked_out_is_real() -> None:
    page = DOCS["search.md"]
    names: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], names)
    found, score = names["found"], names["score"]
    assert (found.verdict, found.candidates[0].comparison.mismatched) == ("near-match", 1)
    table = page.split("and `score` is\n")[1].split("Why it is not said otherwise")[0]
    bits = dict(re.findall(r"^\| \W*(\w+)\W* \| \W*([\d.]+)", table, re.MULTILINE))
    parts = ("keys", "numbers", "exceptions", "residual", "literal")
    assert bits.pop("cost") == f"{score.total:.1f}"
    assert bits == {name: f"{getattr(score, name):.1f}" for name in parts}


def test_every_verdict_of_a_batch_normalization_has_its_row() -> None:
    page = DOCS["conventions.md"].split("### Batch normalization")[1].split("###")[0]
    first = [line.split("|")[1] for line in page.split("\n") if line.startswith("| `")]
    assert {name for cell in first for name in re.findall(r"`([\w-]+)`", cell)} == {*ROWS, *MORE}
