"""The ways of one axis: all that the sizes allow, each of which is the axis that it says."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from convcheck.checks.identify.axes import DILATIONS, Way, far_ways, met_by, table, ways
from convcheck.convention import Axis

SIZES = [(9, 3, 7), (9, 3, 4), (10, 1, 5), (12, 4, 24), (8, 5, 8), (1, 3, 1), (20, 2, 1)]


def options(found: tuple[Way, ...]) -> set[tuple[int, int, int, int]]:
    return {
        (w.input_dilation, w.dilation, w.stride, w.first + i) for w in found for i in range(w.count)
    }


@pytest.mark.parametrize(("size", "kernel", "outputs"), SIZES)
def test_every_plain_axis_is_among_the_ways(size: int, kernel: int, outputs: int) -> None:
    found = options(ways(size, kernel, outputs))
    for stride, dilation in product(range(1, 8), DILATIONS if kernel > 1 else (1,)):
        extent = dilation * (kernel - 1) + 1
        for before, after in product(range(extent), repeat=2):
            axis = Axis(size, kernel, stride, dilation, 1, before, after)
            if axis.out == outputs and outputs > 1:
                assert (1, dilation, stride, -before) in found


def test_transposed_axes_are_among_the_ways() -> None:
    found = options(ways(6, 3, 12))
    for padding, output_padding in product(range(3), range(2)):
        axis = Axis(6, 3, 1, 1, 2, 2 - padding, 2 - padding + output_padding)
        if axis.out == 12:
            assert (2, 1, 1, padding - 2) in found
    assert (2, 1, 1, -2) in options(ways(6, 3, 13))


@pytest.mark.parametrize(("size", "kernel", "outputs"), SIZES)
def test_every_option_is_an_axis_of_so_many_outputs(size: int, kernel: int, outputs: int) -> None:
    places = [0, outputs // 2, outputs - 1]
    found = table(ways(size, kernel, outputs), places, size, kernel)
    assert len(found) > 0
    for option in range(len(found)):
        axis = found.axis(option, outputs)
        assert axis.out == outputs
        windows = axis.windows()
        for sample, place in enumerate(places):
            expected = np.where(windows[place] < 0, size, windows[place])
            assert found.source(sample)[option].tolist() == expected.tolist()
        touches = bool((axis.windows()[places] == -2).any())
        assert found.touches[option] == touches


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric", "wrap"])
def test_what_stands_beyond_the_edge(mode: str) -> None:
    found = replace(table(ways(7, 3, 7), [0, 6], 7, 3).without_gaps(), mode=mode)
    for option in range(len(found)):
        windows = found.axis(option, 7).windows()
        assert found.source(0)[option].tolist() == windows[0].tolist()
        assert found.source(1)[option].tolist() == windows[6].tolist()


def test_a_kernel_of_one_tap_is_not_reversed_nor_dilated() -> None:
    found = table(ways(9, 1, 9), [4], 9, 1)
    assert not found.reversed.any()
    assert set(found.dilation.tolist()) == {1}
    both = table(ways(9, 2, 8), [4], 9, 2)
    assert both.reversed.sum() == len(both) / 2


def test_options_with_the_same_window_are_one() -> None:
    found = table([Way(1, 1, stride, 0, 11) for stride in (1, 2, 3)], [9, 2, 11], 60, 2)
    for sample in range(3):
        kept, which = found.distinct(sample)
        source = found.source(sample)
        np.testing.assert_array_equal(source[kept][which], source)
        assert len({tuple(row) for row in source[kept].tolist()}) == len(kept)
    # From the ninth place on: 9 to 19, 18 to 28, 27 to 37, each as it is and reversed.
    assert len(found.distinct(0)[0]) == 2 * 29


def test_rarer_ways_are_asked_for_by_name() -> None:
    plain = options(ways(9, 3, 9))
    assert options(ways(9, 3, 9, outside=True)) > plain
    assert (1, 1, 1, -6) in options(ways(9, 3, 9, outside=True))
    assert (1, 1, 1, -6) not in plain
    assert (3, 1, 2, 0) in options(ways(9, 3, 12, mixed=True))
    assert options(ways(9, 3, 9, circular=True)) == {
        (1, d, 1, first) for d in DILATIONS for first in range(-8, 1)
    }
    assert not ways(9, 3, 8, circular=True)
    assert (1, 1, 1, 15) in options(ways(30, 3, 4, wide=True))
    assert (1, 1, 1, 15) not in options(ways(30, 3, 4))


def test_dilations_have_no_small_limit() -> None:
    assert {5, 6} <= {w.dilation for w in far_ways(40, 3, 28, deep=False)}
    assert (1, 512, 1, -512) in options(far_ways(2000, 2, 2000, deep=False))  # causal
    assert (1, 256, 1, -256) in options(far_ways(1500, 3, 1500, deep=False))
    assert (1, 300, 1, 0) in options(far_ways(1500, 3, 900, deep=False))
    assert (1, 3, 1, -3) in options(far_ways(14, 3, 14, deep=True))
    assert far_ways(40, 1, 40, deep=False) == ways(40, 1, 40)


@pytest.mark.parametrize(
    ("size", "kernel", "outputs", "dilation", "stride", "before"),
    [
        (16384, 512, 63, 1, 256, 0),  # frames of a signal
        (16384, 512, 65, 1, 256, 256),  # with half a frame of padding
        (224, 32, 7, 1, 32, 0),  # patches
        (112, 112, 3, 1, 1, 1),  # the gradient of 3x3 filters
        (113, 56, 3, 2, 1, 0),  # of a stride of 2
        (64, 31, 64, 1, 1, 15),
        (64, 31, 94, 1, 1, 30),
    ],
)
def test_windows_of_kernels_that_are_signals_themselves(
    size: int, kernel: int, outputs: int, dilation: int, stride: int, before: int
) -> None:
    found = options(ways(size, kernel, outputs))
    assert (1, dilation, stride, -before) in found
    assert len(found) < 2000


def test_places_that_are_met() -> None:
    met, at = met_by(np.array([[5, 2], [9, 5]]), 9)
    assert met.tolist() == [2, 5, 9]
    assert at.tolist() == [[1, 0], [2, 1]]
