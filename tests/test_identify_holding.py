"""What is judged area by area: it fares as the whole does, and can be interrupted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_identify_judging import COARSE, DRAWN, UNIT, fft_like, sums_are
from test_identify_large import in_areas

from convcheck.checks.identify.fit import judged
from convcheck.engine import round_to

PARTLY = np.concatenate([COARSE[:300], DRAWN[300:]])


def changed(values: np.ndarray, at: Any, to: Any) -> np.ndarray:
    output = values.copy()
    output[at] = to
    return output


def nearly(share: int) -> tuple[np.ndarray, np.ndarray]:
    """The first ones in single precision, the others in double; half of all are zeros."""
    sums = np.concatenate([np.zeros(200), DRAWN[:200]])
    return sums, changed(sums, np.s_[200 : 200 + share], sums[200 : 200 + share].astype(np.float32))


def as_an_fft(doubtful: int, beyond: int) -> tuple[np.ndarray, np.ndarray]:
    fit = fft_like(doubtful, beyond)
    return fit.predicted.ravel(), fit.linear.problem.output.ravel()


WHOLE: dict[str, tuple[tuple[np.ndarray, np.ndarray], str, int]] = {
    "few bits": ((DRAWN, COARSE), "bfloat16", 0),
    "an accumulator of few bits": (
        (DRAWN, round_to(COARSE + 5 * UNIT * np.abs(COARSE), "bfloat16").astype(float)),
        "bfloat16",
        0,
    ),
    "a defect among few bits": ((DRAWN, changed(COARSE, 7, 30.0)), "bfloat16", 1),
    "most are met in double precision, all but one in few bits": (
        (PARTLY, changed(COARSE, 7, 30.0)),
        "float64",
        101,
    ),
    "most are met in double precision, all in few bits": ((PARTLY, COARSE), "bfloat16", 0),
    "hardly half in single precision": (nearly(98), "float64", 98),
    "half in single precision": (nearly(100), "float32", 0),
    "more than half in single precision": (nearly(102), "float32", 0),
    "an FFT": (as_an_fft(12, 3), "float64", 0),
    "no FFT": (as_an_fft(5, 3), "float32", 0),
    "integers of what is none": ((np.linspace(0.1, 0.7, 60), 20 + np.arange(60) % 9), "exact", 60),
    "as much off as there is to tell": (
        (
            100 + DRAWN / 10,
            round_to(100 + DRAWN / 10 + 0.8, "bfloat16").astype(float),
        ),
        "float64",
        400,
    ),
    "large integers": (
        (np.arange(60) * 1e7 + 0.1, (np.arange(60) * 1e7).astype(np.float32).astype(np.int64)),
        "float32",
        1,
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_areas_together_fare_as_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (sums, output), arithmetic, misses = WHOLE[name]
    shape = (1, 1, len(sums) // 10, 10)
    linear = sums_are(sums.reshape(shape), output.reshape(shape))
    problem, c = linear.problem, linear.convention
    whole = judged(problem, c, problem.output)
    assert (whole.convention.arithmetic, whole.misses) == (arithmetic, misses)
    in_areas(monkeypatch, (1, 1, 4, 7))
    areas = judged(replace(problem, memo={}), c, problem.output)
    assert areas.convention == whole.convention
    assert areas.tally.comparison == whole.tally.comparison
    assert (areas.misses, areas.tally.seen) == (misses, whole.tally.seen)


@pytest.mark.parametrize("count", [198, 202])
def test_areas_count_what_tells_from_each_channels_bias(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is nothing to sum an element is its channel's bias, which says nothing."""
    sums = np.concatenate([np.zeros((2, 200)), DRAWN.reshape(2, 200)], axis=1)
    output = sums + np.array([[5.0], [-3.0]])
    some = np.s_[:, 200 : 200 + count // 2]
    output[some] = output[some].astype(np.float32)
    linear = sums_are(sums.reshape(1, 2, 20, 20), output)
    problem, c = linear.problem, linear.convention.replace(bias=(5.0, -3.0))
    in_areas(monkeypatch, (1, 1, 7, 11))
    fit = judged(problem, c, problem.output)
    assert fit.convention.arithmetic == ("float64" if count < 200 else "float32")
    assert fit.misses == (count if count < 200 else 0)


class Interrupting:
    """Progress that ends with Ctrl-C once so many areas are judged."""

    def __init__(self, areas: int) -> None:
        self.left = areas

    def begin(self, _: Any) -> None:
        if not self.left:
            raise KeyboardInterrupt

    def advance(self) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("areas", "damaged", "said"),
    [
        (1, 0, "partial: of 4,000 elements 1,000 were judged, all are so: "),
        (3, 0, "partial: of 4,000 elements 3,000 were judged, all are so: "),
        (3, 1200, "partial: of 4,000 elements 3,000 were judged, 1,200 are not so: "),
        (0, 0, ""),
    ],
)
def test_who_interrupts_is_told_what_was_judged_by_then(
    areas: int, damaged: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing, where that was nothing."""
    sums = np.arange(4000) % 97 - 40.0
    output = sums + 1000 * (np.arange(4000) < damaged)
    linear = sums_are(sums.reshape(1, 1, 40, 100), output)
    given = replace(linear.problem, progress=Interrupting(areas))
    in_areas(monkeypatch, (1, 1, 10, 100))
    with pytest.raises(KeyboardInterrupt) as interrupted:
        judged(given, linear.convention, given.output)
    message = "".join(map(str, interrupted.value.args))
    assert message.startswith(said)
    assert bool(message) is bool(areas)
