"""random: seeds, replays, trials, and what it saves; in process, where nothing needs a process."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck import cli
from convcheck.cli.random import random
from convcheck.reference import Oracle

SETTINGS = settings(derandomize=True, deadline=None, max_examples=100)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``run("random", ...)`` in an empty directory: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(arguments)
        return code, *capsys.readouterr()

    return call


def report(run: Any, *arguments: str) -> dict[str, Any]:
    _, out, _ = run("random", "--json", *arguments)
    return json.loads(out)


def test_by_default_digits_and_one_2x2_filter(run: Any) -> None:
    code, out, err = run("random", "--shape", "3x5x5", "--json", "--save", "case")
    inputs = json.loads(out)["inputs"]
    assert (code, err) == (0, "")
    assert inputs["image"] == {"path": "case/image.npy", "shape": [3, 5, 5], "dtype": "float32"}
    assert inputs["filters"]["shape"] == [1, 3, 2, 2]
    assert set(np.load("case/image.npy").ravel()) <= set(range(10))
    assert sorted(p.name for p in Path("case").iterdir()) == ["filters.npy", "image.npy"]


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (["--filters", "3x2x3"], [1, 3, 2, 3]),
        (["--filters", "4x3x1x2"], [4, 3, 1, 2]),
        (["--kernel", "3x4"], [1, 3, 3, 4]),
        (["--count", "5"], [5, 3, 2, 2]),
        (["--kernel", "1X4", "--count", "2"], [2, 3, 1, 4]),
    ],
)
def test_the_bank_as_asked(run: Any, options: list[str], shape: list[int]) -> None:
    assert report(run, "--shape", "3x5x6", *options)["inputs"]["filters"]["shape"] == shape


def test_a_new_seed_each_time_and_always_said(run: Any) -> None:
    seeds = {report(run, "--shape", "2x3x3")["seed"] for _ in range(4)}
    assert len(seeds) == 4
    code, out, _ = run("random", "--shape", "2x3x3", "--seed", "17")
    assert code == 0
    assert "Seed 17. To run this again:\n  convcheck random --shape 2x3x3 " in out


@pytest.mark.parametrize(
    "options",
    [
        ["--shape", "3x5x5"],
        ["--shape", "3x5x6", "--kernel", "2x3", "--count", "2", "--values", "normal"],
        ["--shape", "1x5x6", "--dtype", "uint8", "--strict"],
        ["--shape", "3x9x9", "--dtype", "complex64", "--method", "fft", "--all-flips"],
        ["--shape", "3x5x5", "--expect", "per-channel", "--seed", "123456789012345678901234567890"],
        ["--shape", "3x4x4", "--trials", "5", "--values", "normal"],
    ],
)
def test_the_replay_command_makes_the_same_report(run: Any, options: list[str]) -> None:
    first = run("random", "--json", *options)
    program, *command = shlex.split(json.loads(first[1])["replay"])
    assert program == "convcheck"
    again = run(*command, "--json")
    assert again == first
    assert json.loads(again[1])["replay"] == json.loads(first[1])["replay"]
    table = run(*command)[1]
    assert shlex.join([program, *command]) in table


def test_trials_are_independent_cases_each_rebuilt_from_its_own_number(run: Any) -> None:
    found = report(run, "--shape", "3x4x4", "--trials", "12", "--seed", "5")
    assert found["trials"] == {
        "count": 12,
        "match": 12,
        "ambiguous": 0,
        "mismatch": 0,
        "first_failure": None,
        "saved": None,
    }
    assert (
        found["decompositions"] == report(run, "--shape", "3x4x4", "--seed", "5")["decompositions"]
    )
    assert not list(Path().iterdir())
    table = run("random", "--shape", "3x4x4", "--trials", "12", "--seed", "5")[1]
    assert "12 cases: 12 match, 0 ambiguous, 0 mismatch." in table


def test_the_first_failing_case_is_saved_and_can_be_replayed_alone(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One case of ten goes wrong, by an oracle that errs on one image."""
    from convcheck.cases import draw

    victim = draw((3, 4, 4), (1, 3, 2, 2), seed=1006)[0].astype(float)
    true = Oracle.each

    def err(oracle: Oracle, bank: np.ndarray) -> tuple[np.ndarray, list[float] | None]:
        values, bounds = true(oracle, bank)
        if np.array_equal(oracle.image, victim):
            values[0, 1, 1] += 1
        return values, bounds

    monkeypatch.setattr(Oracle, "each", err)
    command = ["random", "--shape", "3x4x4", "--seed", "1000", "--trials", "10"]
    code, out, _ = run(*command, "--json")
    found = json.loads(out)
    assert (code, found["exit_code"], found["verdict"]) == (1, 1, "mismatch")
    assert found["trials"]["match"] == 9
    assert found["trials"]["mismatch"] == 1
    assert found["trials"]["saved"] == "convcheck-case-1006"
    assert np.array_equal(np.load("convcheck-case-1006/image.npy"), victim)
    assert found["inputs"]["image"]["path"] == "convcheck-case-1006/image.npy"
    alone = shlex.split(found["trials"]["first_failure"])[1:]
    assert alone[-2:] == ["--seed", "1006"]
    again = json.loads(run(*alone, "--json")[1])
    assert again["decompositions"] == found["decompositions"]
    saved = run("compare", "convcheck-case-1006/image.npy", "convcheck-case-1006/filters.npy")
    assert saved[0] == 1
    code, out, _ = run(*command, "--save", "elsewhere")
    assert code == 1
    assert "saved in elsewhere" in out
    assert shlex.join(["convcheck", *alone]) in out
    assert Path("elsewhere/image.npy").exists()


def test_one_channel_leaves_one_operation_and_it_says_so(run: Any) -> None:
    code, out, _ = run("random", "--shape", "1x5x5", "--seed", "1", "--strict")
    assert code == 0
    said = " ".join(out.split())
    assert "match: per-channel and flipped, the same operation on one channel, match" in said
    assert "cannot tell" not in said
    found = report(run, "--shape", "1x5x5", "--seed", "1", "--strict", "--expect", "convolution")
    assert (found["verdict"], found["exit_code"]) == ("match", 0)
    assert (found["expect"], found["indistinguishable"]) == ("per-channel", [])
    assert found["same_operation"] == [
        {"names": ["per-channel", "flipped"], "because": "on one channel"}
    ]


@pytest.mark.parametrize(
    ("options", "image", "bank"),
    [
        (["3x40", "--kernel", "5"], [3, 40], [1, 3, 5]),
        (["3x40", "--rank", "1", "--count", "4"], [3, 40], [4, 3, 2]),
        (["3x40", "--filters", "2x3x7"], [3, 40], [2, 3, 7]),
        (["3x40", "--filters", "3x7"], [3, 40], [1, 3, 7]),
        (["2x6x9x8", "--kernel", "2x3x3"], [2, 6, 9, 8], [1, 2, 2, 3, 3]),
        (["2x6x9x8", "--filters", "3x2x1x2x3"], [2, 6, 9, 8], [3, 2, 1, 2, 3]),
        (["2x6x9x8", "--rank", "3"], [2, 6, 9, 8], [1, 2, 2, 2, 2]),
    ],
)
def test_the_kernel_says_how_many_spatial_axes_there_are(
    run: Any, options: list[str], image: list[int], bank: list[int]
) -> None:
    code, out, err = run("random", "--json", "--seed", "3", "--shape", *options)
    found = json.loads(out)
    assert (code, err, found["matching"]) == (0, "", ["flipped"])
    assert found["rank"] == len(image) - 1
    assert found["inputs"]["image"]["shape"] == image
    assert found["inputs"]["filters"]["shape"] == bank
    again = run(*shlex.split(found["replay"])[1:], "--json")
    assert again == (code, out, err)


@pytest.mark.parametrize(
    "options",
    [
        ["3x5"],
        ["3x5x5", "--kernel", "3"],
        ["3x5x5", "--kernel", "3x3x3"],
        ["3x5x5x5"],
        ["3x40", "--kernel", "5", "--rank", "2"],
        ["3x40", "--filters", "2x3x7x7"],
        ["3x40", "--rank", "4"],
    ],
)
def test_shapes_of_other_ranks_are_refused(run: Any, options: list[str]) -> None:
    code, out, err = run("random", "--shape", *options)
    assert (code, out) == (2, "")
    assert "to do" in err or "usage" in err


def test_no_case_that_was_asked_for_is_left_out(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from convcheck import cases

    seeds = []
    true = cases.draw

    def listen(*shapes: Any, seed: int, **options: Any) -> Any:
        seeds.append(seed)
        return true(*shapes, seed=seed, **options)

    monkeypatch.setattr(cases, "draw", listen)
    run("random", "--shape", "2x3x3", "--seed", "40", "--trials", "7", "--expect", "per-channel")
    assert seeds == list(range(40, 47))


@SETTINGS
@given(st.text(alphabet="0123456789xX-+._ e\u0663\u00b2", max_size=12) | st.text(max_size=12))
def test_any_text_is_a_shape_or_a_clear_error(text: str) -> None:
    parameter = next(p for p in random.params if p.name == "shape")
    try:
        sizes = parameter.callback(click.Context(random), parameter, text)
    except click.BadParameter as error:
        message = error.message
    else:
        message = "expected CxHxW, such as 3x5x5"
        assert 2 <= len(sizes) <= 4
        assert all(type(size) is int and size > 0 for size in sizes)
        assert "x".join(map(str, sizes)) == "x".join(
            part.lstrip("0") for part in text.lower().split("x")
        )
    assert "expected CxHxW, such as 3x5x5" in message
