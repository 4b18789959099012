"""Each relation of two arrays is found, said, and true: its code is run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from few import slow
from numpy.typing import NDArray

import convcheck
from convcheck.convention import round_to

Array = NDArray[Any]
RNG = np.random.default_rng(7)
A = RNG.standard_normal((1, 6, 9, 10)).astype(np.float32)
ORDER = [3, 1, 5, 0, 2, 4]
SHIFTED = np.zeros_like(A)
SHIFTED[:, :, 1:, :-2] = A[:, :, :-1, 2:]
CHANNEL = np.array([0.5, 2.0, 1.25, 3.0, 0.75, 1.5], np.float32).reshape(-1, 1, 1)

RELATIONS: dict[str, tuple[Array, Array, str]] = {
    "axes": (A, A.transpose(0, 2, 3, 1), "mine == ref.transpose(0, 2, 3, 1)"),
    "reshaped": (A, A.reshape(1, 9, 10, 6), "mine == ref.reshape(1, 9, 10, 6)"),
    "reversed": (A, A[:, :, ::-1], "mine == ref[..., ::-1, :]"),
    "order": (A, A[:, ORDER], f"mine == ref[:, {ORDER}]"),
    "shifted": (A, SHIFTED, "mine[..., 1:9, :8] == ref[..., :8, 2:10]"),
    "rolled": (A, np.roll(A, 3, axis=3), "mine == np.roll(ref, 3, axis=3)"),
    "rolled twice": (
        A,
        np.roll(A, (1, -2), (2, 3)),
        "mine == np.roll(np.roll(ref, 1, axis=2), -2, axis=3)",
    ),
    "order and factor": (A[0, 2:], A[0, [4, 2, 5, 3]] * np.float32(2), ""),
    "cut": (A, A[:, :, 1:-1, 2:-1], "mine == ref[..., 1:8, 2:9]"),
    "padded": (A[:, :, 1:-1, 2:-1], A, "mine[..., 1:8, 2:9] == ref[..., :7, :7]"),
    "strided": (A, A[:, :, ::2, 1::2], "mine == ref[..., :9:2, 1:10:2]"),
    "factor": (A, A * np.float32(2.5), "mine == ref * 2.5"),
    "offset": (A, A - np.float32(3), "mine == ref - 3.0"),
    "line": (A, A * np.float32(1.1) + np.float32(3), "mine == ref * 1.1 + 3.0"),
    "relu": (A, np.maximum(A, 0), "mine == np.maximum(ref, 0)"),
    "no relu": (np.maximum(A, 0), A, "ref == np.maximum(mine, 0)"),
    "both": (A, A.transpose(0, 2, 3, 1)[:, ::-1] * np.float32(2), ""),
}


@pytest.mark.parametrize("name", RELATIONS)
def test_a_relation_is_found_and_true(name: str) -> None:
    ref, mine, code = RELATIONS[name]
    found = convcheck.diff(ref, mine)
    assert found.verdict == "explained", str(found)
    assert (found.exit_code, len(found.relations)) == (1, 1)
    (relation,) = found.relations
    assert code in ("", relation.code)
    names = {"ref": ref, "mine": mine, "np": np}
    left, right = relation.code.split(" == ")
    assert np.array_equal(eval(left, dict(names)), eval(right, dict(names)))
    if relation.fix is not None:
        mended = eval(relation.fix, dict(names))
        assert mended.shape == ref.shape
        assert np.allclose(mended, ref, rtol=1e-5, atol=1e-6)


def test_equal_and_rounding_are_what_holds() -> None:
    assert convcheck.diff(A, A).verdict == "equal"
    found = convcheck.diff(A, A.astype(np.float16))
    assert (found.verdict, found.exit_code) == ("rounding", 0)
    assert found.relations[0].code == "mine == ref.astype(np.float16)"


NOISY = (A * (1 + np.random.default_rng(1).uniform(-4e-7, 4e-7, A.shape))).astype(np.float32)
"""The same in another order of sums: some units in the last place off."""


@pytest.mark.parametrize(
    ("mine", "verdict", "steps"),
    [
        (NOISY, "rounding", ()),
        (NOISY.transpose(0, 2, 3, 1), "explained", ("its axes in the order (0, 2, 3, 1)",)),
        (NOISY + CHANNEL, "explained", ("plus an offset, one for each index of axis 1",)),
        (NOISY * CHANNEL, "explained", ("times a factor, one for each index of axis 1",)),
        (np.maximum(NOISY, 0), "explained", ("ReLU",)),
        (NOISY[:, :, 1:], "explained", ("cut to its indices from 1 on along axis 2",)),
    ],
)
def test_rounding_takes_nothing_away_and_adds_nothing(
    mine: Array, verdict: str, steps: tuple[str, ...]
) -> None:
    found = convcheck.diff(A, mine)
    assert (found.verdict, len(found.relations)) == (verdict, 1), str(found)
    assert found.relations[0].steps == steps
    assert 0 < found.relations[0].ulps < 20


PARTS: dict[str, tuple[Any, str, str]] = {
    "a channel": ((0, 3), "slice", ":, 3, :, :"),
    "a row": ((0, slice(None), 4), "slice", ":, :, 4, :"),
    "a column of a channel": ((0, 2, slice(None), 5), "slice", ":, 2, :, 5"),
    "a tile": ((0, slice(None), slice(2, 5), slice(3, 7)), "block", ":, :, 2:5, 3:7"),
    "a corner": ((0, slice(None), slice(0, 3), slice(7, 10)), "corner", ":, :, :3, 7:"),
    "every second channel": ((0, slice(1, None, 2)), "slices", ":, 1::2, :, :"),
    "one element": ((0, 2, 3, 4), "element", "0, 2, 3, 4"),
}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("axes", [(0, 2, 3, 1), slow((0, 1, 2, 3))])
def test_a_part_that_is_wrong_is_named(name: str, axes: tuple[int, ...]) -> None:
    at, kind, index = PARTS[name]
    mine = A.copy()
    mine[at] += np.float32(1.5) + np.abs(mine[at])
    found = convcheck.diff(A, mine.transpose(axes))
    assert found.verdict == "near-match", str(found)
    wrong = found.relations[0].wrong
    assert wrong is not None
    parts = index.split(", ")
    assert (wrong.kind, wrong.index) == (kind, ", ".join(parts[a] for a in axes))
    assert wrong.count == np.count_nonzero(mine != A)


@pytest.mark.parametrize("bits", ["bfloat16", "tf32"])
def test_fewer_bits_are_rounding(bits: str) -> None:
    ref = A * np.float32(2.0**20)  # which float16 has not
    found = convcheck.diff(ref, round_to(ref, bits))
    assert (found.verdict, found.exit_code) == ("rounding", 0)
    assert bits.lower() in found.relations[0].code
    cut = (A.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    assert "cut off to bfloat16" in str(convcheck.diff(A, cut))


def test_integers_with_a_scale_and_a_zero_point() -> None:
    mine = np.clip(np.rint(A / 0.05) + 3, -128, 127).astype(np.int8)
    found = convcheck.diff(A, mine)
    assert (found.verdict, found.relations[0].steps) == ("explained", ("times 20", "plus 3"))
