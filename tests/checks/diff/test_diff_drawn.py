"""Relations that are drawn are found, or the data cannot tell; one element that is off is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import convcheck

Array = NDArray[Any]


@st.composite
def related(draw: st.DrawFn) -> tuple[Array, Array]:
    """REF of any dtype and rank, and MINE that is made of it: by axes, one thing, and a factor."""
    rank = draw(st.integers(1, 4))
    shape = tuple(draw(st.lists(st.integers(2, 7), min_size=rank, max_size=rank)))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    dtype = draw(st.sampled_from(["float32", "float64", "float16", "int32", "uint8"]))
    ref: Array = rng.standard_normal(shape) if "f" in dtype else rng.integers(0, 256, shape)
    ref = ref.astype(dtype)
    mine = ref.transpose(draw(st.permutations(range(rank))))
    axis = draw(st.integers(0, rank - 1))
    what = draw(st.sampled_from(["nothing", "flip", "roll", "order", "cut"]))
    if what == "flip":
        mine = np.flip(mine, axis)
    elif what == "roll":
        mine = np.roll(mine, 1, axis)
    elif what == "order":
        mine = np.take(mine, rng.permutation(mine.shape[axis]), axis)
    elif what == "cut" and mine.shape[axis] > 3:
        mine = np.take(mine, range(1, mine.shape[axis]), axis)
    if "float" in dtype and draw(st.booleans()):
        mine = mine * mine.dtype.type(draw(st.sampled_from([2, -1, 0.5])))
    return ref, np.ascontiguousarray(mine)


def holds(found: Any, ref: Array, mine: Array) -> bool:
    """Whether what is claimed is so, where the claim leaves nothing out."""
    for relation in found.relations:
        left, right = relation.code.split(" == ")
        names = {"ref": ref, "mine": mine, "np": np, "convcheck": convcheck}
        a, b = eval(left, dict(names)), eval(right, dict(names))
        if relation.wrong is None and not relation.ulps:
            if not np.array_equal(a, b):
                return False
        elif np.mean(np.isclose(a, b, rtol=1e-2)) < relation.given / relation.elements - 1e-9:
            return False
    return True


@settings(max_examples=12, deadline=None)
@given(related())
def test_what_is_drawn_is_found(pair: tuple[Array, Array]) -> None:
    ref, mine = pair
    found = convcheck.diff(ref, mine)
    assert holds(found, ref, mine), str(found)
    # With few elements, or many ways to have come about, nothing may be worth saying.
    bits = min(ref.size, mine.size) * (8 if ref.dtype.kind == "f" else 5)
    if bits >= 400:
        assert found.verdict != "unexplained"
        assert found.verdict != "near-match", str(found)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_one_element_that_is_off_is_said(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 20)))
    shape = data.draw(st.sampled_from([(40,), (6, 8), (3, 5, 6), (1, 4, 5, 6)]))
    ref = rng.standard_normal(shape).astype(data.draw(st.sampled_from(["float32", "float64"])))
    mine = ref.copy()
    at = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    more = np.nextafter(mine[at], mine.dtype.type(np.inf))
    mine[at] = more if data.draw(st.booleans()) else mine[at] + 1
    found = convcheck.diff(ref, mine)
    assert found.spread is not None
    assert found.spread.equal == ref.size - 1
    assert found.spread.worst == at
    if abs(float(mine[at]) - float(ref[at])) > 1e-4:
        assert (found.verdict, found.relations[0].given) == ("near-match", ref.size - 1)
        assert found.relations[0].wrong is not None
        assert found.relations[0].wrong.index == ", ".join(map(str, at))
    else:
        assert (found.verdict, found.relations[0].rounded) == ("rounding", 1)
        assert "1 of " in str(found).split("\n")[0]


def test_a_tiny_offset_is_no_explanation_of_one_element() -> None:
    ref = np.random.default_rng(109).standard_normal((6, 8))
    mine = ref.copy()
    mine[0, 2] = np.nextafter(mine[0, 2], np.inf)
    found = convcheck.diff(ref, mine)
    assert (found.verdict, found.relations[0].rounded) == ("rounding", 1)


@pytest.mark.parametrize(("scale", "offset"), [(1.5, 2), (0.1, -3), (0.0025, 0.25)])
def test_plain_numbers_are_said_plainly(scale: float, offset: float) -> None:
    ref = np.random.default_rng(1).standard_normal((3, 20, 20)).astype(np.float32)
    line = convcheck.diff(ref, ref * np.float32(scale) + np.float32(offset)).relations[0]
    made = line.code.split(" == ")[1]
    assert eval(made, {"ref": 0.0}) == offset
    assert eval(made, {"ref": 1.0}) == scale + offset


def test_one_extreme_element_is_no_limit() -> None:
    mine = np.random.default_rng(0).standard_normal(40)
    ref = mine.copy()
    mine[np.argmax(mine)] += 1
    found = convcheck.diff(ref, mine)
    assert (found.verdict, found.relations[0].given) == ("near-match", 39)


C = np.random.default_rng(0).standard_normal((3, 7, 8)).astype(np.float32)


@pytest.mark.parametrize(
    ("ref", "mine", "verdict"),
    [
        (C, C.astype(np.float64), "equal"),
        (np.arange(90).reshape(9, 10), np.arange(90.0).reshape(9, 10), "equal"),
        (C > 0, (C > 0).astype(np.int8), "equal"),
        (C + 1j * C, C + 1j * C, "equal"),
        (C + 1j * C[::-1], C - 1j * C[::-1], "explained"),
        (np.where(C > 1, np.nan, C), np.where(C > 1, np.nan, C), "equal"),
        (np.where(C > 1, np.nan, C), np.where(C > 1, np.nan, C).transpose(1, 2, 0), "explained"),
        (np.where(C > 1, np.inf, C), np.where(C > 1, -np.inf, C), "unexplained"),
        (C.astype(">f4"), C, "equal"),
        (C.astype(np.longdouble), C, "equal"),
        (np.array([2**60, 2**60 + 1] * 8), np.array([2**60 + 1] * 16), "unexplained"),
        (C.astype(float) * 1e300, C.astype(float) * 2e300, "explained"),
        (C.astype(np.float64) * 1e-310, C.astype(np.float64) * 1e-310, "equal"),
        (C[0], C[:1], "explained"),
        (C, C.ravel(), "explained"),
        (C, np.float32(3), "unexplained"),
    ],
)
def test_arrays_of_every_kind(ref: Any, mine: Any, verdict: str) -> None:
    found = convcheck.diff(ref, mine)
    assert found.verdict in (
        verdict,
        "near-match" if verdict == "unexplained" else verdict,
        "ambiguous" if verdict == "unexplained" else verdict,
    ), str(found)
    assert found.to_dict()["verdict"] == found.verdict


def test_lists_and_tensors_are_arrays() -> None:
    assert convcheck.diff([[1, 2], [3, 4]], ((1, 2), (3, 4))).verdict == "equal"


@pytest.mark.parametrize(
    ("ref", "mine", "said"),
    [
        (["a"], [1.0], "REF does not hold numbers"),
        ([1.0], np.zeros((0,)), "MINE has no elements"),
        (np.zeros((1,) * 7), [1.0], "REF has too many axes"),
    ],
)
def test_what_is_refused(ref: Any, mine: Any, said: str) -> None:
    with pytest.raises(convcheck.ConvcheckError, match=said):
        convcheck.diff(ref, mine)
    with pytest.raises(convcheck.ConvcheckError, match="belong together"):
        convcheck.diff([1.0], [1.0], [[1.0]])
