"""How the axes of three arrays can be read: every way that fits, the plainest first."""

from __future__ import annotations

import numpy as np
import pytest
from identified import whole

from convcheck.checks.identify.layouts import readings
from convcheck.convention.channels import read_filters, read_output, stored_image


def found(*shapes: tuple[int, ...]) -> list[tuple[str, str, str, int]]:
    return [
        (r.base.image_layout, r.base.filter_layout, r.base.output_layout, r.base.groups)
        for r in readings(*(whole(*shape) for shape in shapes))
    ]


@pytest.mark.parametrize(
    ("shapes", "plainest"),
    [
        (((3, 9, 10), (4, 3, 2, 5), (4, 8, 6)), ("CHW", "OIHW", "CHW", 1)),
        (((2, 3, 9, 10), (4, 3, 2, 5), (2, 4, 8, 6)), ("NCHW", "OIHW", "NCHW", 1)),
        (((2, 9, 10, 3), (2, 5, 3, 4), (2, 8, 6, 4)), ("NHWC", "HWIO", "NHWC", 1)),
        (((9, 10, 3), (2, 5, 3, 4), (8, 6, 4)), ("HWC", "HWIO", "HWC", 1)),
        (((9, 10), (2, 5), (8, 6)), ("HW", "HW", "HW", 1)),
        (((6, 9, 10), (4, 3, 2, 5), (4, 8, 6)), ("CHW", "OIHW", "CHW", 2)),
        (((9, 10, 6), (2, 5, 6, 2), (8, 6, 12)), ("HWC", "HWIM", "HWC", 6)),
        (((6, 9, 10), (2, 5), (6, 8, 6)), ("CHW", "HW", "CHW", 6)),
        (((3, 50), (4, 3, 5), (4, 46)), ("CW", "OIW", "CW", 1)),
        (((2, 3, 9, 8, 7), (4, 3, 2, 2, 5), (2, 4, 8, 7, 3)), ("NCDHW", "OIDHW", "NCDHW", 1)),
        (((50,), (5,), (46,)), ("W", "W", "W", 1)),
    ],
    ids=str,
)
def test_the_plainest_reading(
    shapes: tuple[tuple[int, ...], ...], plainest: tuple[str, str, str, int]
) -> None:
    assert found(*shapes)[0] == plainest


def test_every_order_of_the_filters_axes_that_fits_is_there() -> None:
    layouts = {layout for _, layout, _, _ in found((3, 9, 10), (3, 4, 2, 5), (4, 8, 6))}
    assert {"IOHW", "IOWH"} <= layouts


def test_readings_come_by_rising_cost_and_say_what_they_read() -> None:
    arrays = whole(4, 9, 10), whole(4, 4, 3, 3), whole(4, 7, 8)
    every = readings(*arrays)
    assert [r.bits for r in every] == sorted(r.bits for r in every)
    for r in every:
        np.testing.assert_array_equal(r.image, stored_image(arrays[0], r.base))
        np.testing.assert_array_equal(r.output, read_output(arrays[2], r.base))
        np.testing.assert_array_equal(r.bank, read_filters(arrays[1], r.base, r.image.shape[1]))
        assert r.terms == r.bank.shape[1] * np.prod(r.taps)
        assert r.bank.shape[0] == r.output.shape[1]
        assert r.image.shape[0] == r.output.shape[0]
    assert len({r.base for r in every}) == len(every)


@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 11, 13), (4, 5, 2, 2), (4, 8, 7)),
        ((9, 10), (2, 5), (6,)),
    ],
    ids=str,
)
def test_arrays_that_fit_in_no_way(shapes: tuple[tuple[int, ...], ...]) -> None:
    assert found(*shapes) == []


@pytest.mark.parametrize(
    ("shapes", "memories"),
    [
        (((3, 9, 10), (4, 3, 2, 5), (4, 8, 6)), "HWIO IOHW OHWI HWOI IHWO HWC"),
        # Of as many filters as channels, or of kernels of one tap, some are plain layouts.
        (((3, 9, 10), (3, 3, 2, 5), (3, 8, 6)), "HWIO OHWI HWOI IHWO HWC"),
        (((3, 9, 10), (3, 3, 3, 3), (3, 7, 8)), "HWC"),
        (((3, 9, 10), (4, 3, 1, 1), (4, 9, 10)), "HWIO HWC"),
        (((9, 10), (2, 5), (8, 6)), ""),
        (((1, 9, 10), (4, 1, 2, 5), (4, 8, 6)), "HWIO"),
    ],
    ids=str,
)
def test_memories_that_read_other_elements(
    shapes: tuple[tuple[int, ...], ...], memories: str
) -> None:
    every = [
        r for r in readings(*(whole(*shape) for shape in shapes)) if "HW" in r.base.image_layout
    ]
    first = [r for r in every if r.is_reread and r.base.image_layout == every[0].base.image_layout]
    said = [r.base.filter_memory or r.base.image_memory for r in first]
    assert set(said) == set(memories.split())
    plain = [r for r in every if not r.is_reread]
    for r in every:
        if r.is_reread:
            assert r.bits > plain[0].bits + 5
            assert not any(
                np.array_equal(r.image, p.image) and np.array_equal(r.bank, p.bank)
                for p in plain
                if p.base.groups == r.base.groups and p.bank.shape == r.bank.shape
            )
