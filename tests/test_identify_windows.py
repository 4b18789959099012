"""Windows said otherwise: every way that is listed meets the same samples, and none is missing."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from convcheck.checks.identify.windows import KEYS, Way, plainer, same_windows, with_windows
from convcheck.checks.sums import Problem
from convcheck.convention import Convention
from convcheck.engine import convolve

RNG = np.random.default_rng(2)


def problem(c: Convention, image: tuple[int, int], kernel: tuple[int, int]) -> Problem:
    x, w = (RNG.integers(-99, 100, (1, *shape)) for shape in (image, kernel))
    return Problem.of(x, w[None], convolve(x, w[None], c))


@pytest.mark.parametrize(
    ("keys", "image", "kernel"),
    [
        ({"stride": (2, 1), "padding": 1}, (3, 6), (1, 3)),
        ({"stride": (1, 2), "padding": 1}, (7, 2), (2, 1)),
        ({"stride": 3, "padding": 1}, (4, 5), (3, 2)),
        ({"input_dilation": (2, 1), "padding": 1}, (3, 4), (2, 3)),
        ({"input_dilation": (1, 3), "stride": (1, 3), "dilation": (1, 3)}, (4, 5), (2, 2)),
        ({"stride": (2, 3), "kernel_transposed": True}, (9, 8), (2, 3)),
        ({"stride": 2, "padding": 1, "flip": ["W"]}, (5, 4), (2, 3)),
        ({"stride": 2, "padding": 2, "padding_mode": "reflect"}, (5, 4), (3, 2)),
        ({"stride": 7, "padding": 1}, (9, 12), (2, 3)),
        ({"padding": 1, "padding_value": 7, "stride": 2}, (3, 3), (1, 1)),
        ({"padding": 1, "padding_value": 7, "input_dilation": 2}, (2, 2), (1, 2)),
    ],
    ids=str,
)
def test_what_is_listed_is_the_same_and_nothing_else_is(
    keys: dict[str, Any], image: tuple[int, int], kernel: tuple[int, int]
) -> None:
    c = Convention(**keys)
    data = problem(c, image, kernel)
    for axis in (0, 1):
        listed = same_windows(data, c, axis)
        assert len(listed) == len(set(listed))
        assert all(np.array_equal(convolved(data, way.on(c, axis)), data.output) for way in listed)
        mine = Way(*(getattr(c, key)[axis] for key in KEYS))
        places = product(range(1, 9), (1, 2, 3), range(1, 5), range(-3, 4))
        for stride, dilation, gap, start in places:
            if gap > 1 and (image[axis] == 1 or stride > 4):
                continue
            way = Way(stride, dilation, gap, (start, 0))
            after = reached(data, way.on(c, axis), axis)
            if after > 9:
                continue  # so far from the image no window is looked for
            way = way._replace(padding=(start, after))
            taps = kernel[1 - axis if c.kernel_transposed else axis]
            if taps == 1 and dilation > 1:
                continue  # no dilation of one tap is another
            if np.array_equal(convolved(data, way.on(c, axis)), data.output):
                assert any(w[:3] == way[:3] and w.padding[0] == start for w in listed), way
        assert any(w[:3] == mine[:3] and w.padding[0] == mine.padding[0] for w in listed)


def convolved(data: Problem, c: Convention) -> Any:
    return convolve(data.image, data.filters, c)


def reached(data: Problem, c: Convention, axis: int) -> int:
    """What has to be padded behind for an output as long as it is."""
    size, kernel = data.image.shape[1 + axis], data.filters.shape[2:]
    taps = kernel[1 - axis if c.kernel_transposed else axis]
    end = (data.output.shape[1 + axis] - 1) * c.stride[axis] + c.dilation[axis] * (taps - 1) + 1
    return end - c.padding[axis][0] - ((size - 1) * c.input_dilation[axis] + 1)


def test_each_axis_is_said_in_the_plainest_words() -> None:
    for keys, plain in (
        ({"input_dilation": (2, 1), "padding": ((1, -2), (0, 0))}, {"padding": ((1, -1), (0, 0))}),
        ({"input_dilation": (1, 2), "padding": ((0, 0), (1, -2))}, {"padding": ((0, 0), (1, -1))}),
    ):
        c = Convention(**keys)
        assert plainer(problem(c, (2, 2), (1, 1)), c) == Convention(**plain)
    c = Convention(stride=3, input_dilation=3, dilation=3)
    assert plainer(problem(c, (7, 6), (2, 3)), c) == Convention()
    c = Convention(input_dilation=2, padding=1)
    assert plainer(problem(c, (7, 6), (2, 3)), c) == c


@pytest.mark.parametrize(
    ("wanted", "padding"),
    [
        ({}, ((1, 0), (1, 0))),
        ({"stride": (2, 2)}, ((1, 0), (1, 0))),
        ({"padding": ((1, 1), (1, 0))}, ((1, 1), (1, 0))),
        ({"padding": ((1, 2), (1, 0))}, None),
        ({"padding": ((1, 0), (0, 1))}, None),
        ({"stride": (2, 1)}, None),
        ({"dilation": (2, 2)}, None),
        ({"dilation": (1, 1), "input_dilation": (1, 1)}, ((1, 0), (1, 0))),
        ({"dilation": (2, 2), "input_dilation": (2, 2), "stride": (4, 4)}, ((2, 0), (2, 0))),
        ({"stride": (4, 4)}, None),
    ],
    ids=str,
)
def test_the_windows_that_are_wanted(wanted: dict[str, Any], padding: Any) -> None:
    c = Convention(stride=2, padding=((1, 0), (1, 0)))
    data = problem(c, (6, 8), (3, 3))
    found = with_windows(data, c, wanted)
    assert (found and found.padding) == padding
    if found is not None:
        assert {key: getattr(found, key) for key in wanted} == wanted
        assert np.array_equal(convolved(data, found), data.output)


def test_what_is_not_named_may_be_plain() -> None:
    c = Convention(stride=3, input_dilation=3, dilation=3)
    assert with_windows(problem(c, (7, 6), (2, 3)), c, {"stride": (1, 1)}) == Convention()


def test_a_single_window_is_followed_under_no_stride() -> None:
    c = Convention(padding=((1, -1), (0, 0)))
    data = problem(c, (3, 5), (3, 2))
    assert data.output.shape == (1, 1, 4)
    strides = [way.stride for way in same_windows(data, c, 0) if way[1:3] == (1, 1)]
    assert strides == [1, 2, 3, 4, 5, 6, 7, 8]
    assert {way.stride for way in same_windows(data, c, 1) if way[1:3] == (1, 1)} == {1}
