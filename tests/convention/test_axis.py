"""One spatial axis: its windows beside numpy.pad and plain loops, and the names of its padding."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.convention.axis import BORDER, GAP, PADDING_MODES, Axis, continued

SETTINGS = settings(derandomize=True, deadline=None, max_examples=100)


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    size, taps = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    stride, dilation, spread = (draw(st.integers(1, 3)) for _ in range(3))
    before, after = draw(st.integers(-2, 5)), draw(st.integers(-2, 5))
    mode = draw(st.sampled_from(PADDING_MODES))
    return Axis(size, taps, stride, dilation, spread, before, after, mode, draw(st.booleans()))


def loops(axis: Axis) -> list[list[int]]:
    """What every window's taps meet: the samples' numbers, spread, padded by numpy and cropped."""
    samples = np.full((axis.size - 1) * axis.input_dilation + 1, GAP)
    samples[:: axis.input_dilation] = np.arange(axis.size)
    more = [max(axis.before, 0), max(axis.after, 0)]
    beyond: dict[str, Any] = {"constant_values": BORDER} if axis.mode == "constant" else {}
    padded = np.pad(samples, more, mode=axis.mode, **beyond)  # type: ignore[call-overload]
    kept = padded[max(-axis.before, 0) : len(padded) - max(-axis.after, 0)].tolist()
    found, at = [], 0
    while at + axis.dilation * (axis.taps - 1) < len(kept):
        window = [kept[at + axis.dilation * tap] for tap in range(axis.taps)]
        found.append(window[::-1] if axis.reversed else window)
        at += axis.stride
    return found


@SETTINGS
@given(axes())
def test_windows_are_those_of_plain_loops(axis: Axis) -> None:
    expected = loops(axis)
    assert axis.out == len(expected)
    assert axis.windows().tolist() == expected
    assert axis.windows(2)[: axis.out].tolist() == expected[:2]
    assert axis.starts(0, axis.out).tolist() == [
        n * axis.stride - axis.before for n in range(axis.out)
    ]
    assert axis.starts(3, 5).tolist() == [n * axis.stride - axis.before for n in (3, 4)]


@pytest.mark.parametrize("mode", [mode for mode in PADDING_MODES if mode != "constant"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_borders_go_on_as_numpys(mode: str, size: int) -> None:
    expected = np.pad(np.arange(size), 13, mode=mode)  # type: ignore[call-overload]
    assert continued(np.arange(-13, size + 13), size, mode).tolist() == expected.tolist()


def test_an_axis_to_the_letter() -> None:
    plain = Axis(5, 3)
    assert (plain.spread, plain.extent, plain.out) == (5, 3, 3)
    assert plain == Axis(5, 3, 1, 1, 1, 0, 0, "constant", False)
    axis = Axis(5, 3, stride=2, dilation=3, input_dilation=2, before=1, after=2)
    assert (axis.spread, axis.extent, axis.out) == (9, 7, 3)
    assert axis.undone == (5, 1)
    assert Axis(2, 3).out == 0
    assert Axis(3, 3).out == 1
    with pytest.raises(FrozenInstanceError):
        plain.size = 3  # type: ignore[misc]


@SETTINGS
@given(axes(), st.integers(-2, 6), st.integers(-2, 6))
def test_what_no_window_touches_is_no_padding(axis: Axis, before: int, after: int) -> None:
    other = Axis(
        axis.size, axis.taps, axis.stride, axis.dilation, axis.input_dilation, before, after
    )
    assert axis.outputs(before, after) == other.out
    same = axis.before == before and axis.out == other.out
    assert axis.is_padded(before, after) == same


@pytest.mark.parametrize(
    ("size", "taps", "stride", "dilation", "halves"),
    [
        (5, 3, 1, 1, (1, 1)),
        (5, 2, 1, 1, (0, 1)),
        (6, 3, 2, 1, (0, 1)),
        (5, 3, 2, 1, (1, 1)),
        (5, 3, 1, 2, (2, 2)),
        (5, 1, 2, 1, (0, 0)),
        (6, 1, 4, 1, (0, 0)),
        (7, 4, 3, 1, (1, 2)),
    ],
)
def test_what_same_pads(
    size: int, taps: int, stride: int, dilation: int, halves: tuple[int, int]
) -> None:
    """TensorFlow's rule: as many outputs as strides in the samples, the odd one after."""
    few, many = halves
    axis = Axis(size, taps, stride, dilation)
    assert axis.same() == halves
    outputs = -(-size // stride)
    assert axis.outputs(few, many) == axis.outputs(many, few) == outputs or few + many == 0
    for lower, (before, after) in ((False, halves), (True, (many, few))):
        one = Axis(size, taps, stride, dilation, before=before, after=after)
        assert one.is_same(lower=lower) == (one.out == outputs)
        assert one.is_same(lower=not lower) == (few == many and one.out == outputs)
        further = Axis(size, taps, stride, dilation, before=before, after=after + stride)
        assert not further.is_same(lower=lower)


@SETTINGS
@given(axes(), st.integers(1, 9))
def test_a_fitted_axis_has_so_many_outputs(axis: Axis, outputs: int) -> None:
    fitted = axis.fitted(outputs)
    assert fitted.out == outputs
    assert fitted.before == axis.before
    # No more is padded than is met, and nothing cropped that the stride leaves out by itself.
    if fitted.after > 0:
        assert axis.outputs(axis.before, fitted.after - 1) < outputs
    if fitted.after < 0:
        assert axis.outputs(axis.before, fitted.after + 1) > outputs


def test_a_sample_of_a_spread_axis() -> None:
    places = np.arange(-2, 7)
    plain, spread = Axis(5, 1), Axis(3, 1, input_dilation=2)
    assert plain.source(places).tolist() == [BORDER, BORDER, 0, 1, 2, 3, 4, BORDER, BORDER]
    assert spread.source(places).tolist() == [BORDER, BORDER, 0, GAP, 1, GAP, 2, BORDER, BORDER]
    around = Axis(3, 1, input_dilation=2, mode="reflect")
    assert around.source(places).tolist() == [1, GAP, 0, GAP, 1, GAP, 2, GAP, 1]
    assert (GAP, BORDER) == (-1, -2)
