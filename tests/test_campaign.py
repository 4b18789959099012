"""Cases: rebuilt from their number, named by an id, shared out over shards."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from few import slow

from convcheck.campaign import DTYPES, ORDERS, VALUES, Case, case, cases, parse_id
from convcheck.checks.verify import Model, judge
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.errors import InputError
from convcheck.target import PARAMETERS

LAYOUTS = [
    ("NCHW", "OIHW"),
    ("NCHW", "IOHW"),
    ("CHW", "OIHW"),
    ("CHW", "IHW"),
    ("NHWC", "HWIO"),
    ("HW", "HW"),
]


def test_a_case_is_rebuilt_from_its_seed_and_number() -> None:
    for drawn in cases(7, 60):
        again = case(7, drawn.number)
        assert again == drawn
        for one, other in zip(drawn.arrays(), again.arrays(), strict=True):
            assert one.dtype == other.dtype
            assert drawn.mixed or one.dtype == np.dtype(drawn.dtype)
            assert one.tobytes() == other.tobytes()


def test_another_seed_is_another_campaign() -> None:
    assert [*cases(0, 20)] != [*cases(1, 20)]


def test_every_case_fits_and_every_kind_comes_up() -> None:
    drawn = [*cases(0, 600)]
    assert all(c.fits for c in drawn)
    assert {c.dtype for c in drawn} == set(DTYPES)
    assert {c.order for c in drawn} == set(ORDERS)
    assert {c.values for c in drawn} == set(VALUES)
    for name, least in (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1)):
        assert {getattr(c, name) for c in drawn} >= {least, least + 1}
    assert any(c.filters > 16 for c in drawn)
    assert any(c.height != c.width for c in drawn)


def test_cases_grow() -> None:
    sizes = [c.size for c in cases(0, 240)]
    assert np.median(sizes[:20]) * 10 < np.median(sizes[200:])
    assert max(sizes) < 1 << 24


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_shards_are_together_the_whole(count: int) -> None:
    parts = [list(cases(3, 50, shard=(part, count))) for part in range(1, count + 1)]
    union = sorted((c for part in parts for c in part), key=lambda c: c.number)
    assert union == list(cases(3, 50))


@pytest.mark.parametrize("layouts", LAYOUTS)
def test_an_id_says_the_case_whatever_it_was_fitted_to(layouts: tuple[str, str]) -> None:
    for drawn in cases(0, 80):
        for parameters in ((), ("stride",), ("stride", "padding", "dilation", "groups")):
            fitted = drawn.projected(*layouts, parameters)
            assert fitted.fits
            assert parse_id(fitted.id) == fitted
            assert fitted.projected(*layouts, parameters) == fitted
            image, filters = fitted.arrays(*layouts)
            assert image.ndim == len(layouts[0])
            assert filters.ndim == len(layouts[1])


def test_the_id_of_a_drawn_case_is_its_seed_and_number() -> None:
    assert case(12, 34).id == "12:34"
    assert parse_id("12:34") == case(12, 34)


def test_memory_orders() -> None:
    plain = {"seed": 0, "number": 0, "channels": 2, "filters": 2}
    image, _ = Case(**plain, order="F").arrays()
    assert image.flags.f_contiguous
    assert not image.flags.c_contiguous
    image, _ = Case(**plain, order="strided").arrays()
    assert not image.flags.f_contiguous
    assert not image.flags.c_contiguous
    image, _ = Case(**plain, order="readonly").arrays()
    assert not image.flags.writeable
    values = [Case(**plain, order=order).arrays()[0] for order in ORDERS]
    assert all(np.array_equal(v, values[0]) for v in values)


def test_half_precision_never_overflows_by_itself() -> None:
    largest = 34 * 36  # products in one sum, as large as a case may be
    for values in VALUES:
        drawn = Case(seed=0, number=0, dtype="float16", values=values, height=18, width=18)
        image, filters = (np.abs(a.astype(float)).max() for a in drawn.arrays())
        if values == "cancelling":
            assert image * filters * largest < np.finfo(np.float16).max


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0",
        ":",
        "0:",
        "0:1:",
        "-1:2",
        "1:-2",
        "1.5:2",
        "0:1:stride",
        "0:1:stride=",
        "0:1:stride=0",
        "0:1:groups=0",
        "0:1:height=0",
        "0:1:kernel_width=99",
        "0:1:height=99999,width=99999,channels=999,filters=999",
        "0:1:stride=-1",
        "0:1:seed=3",
        "0:1:number=3",
        "0:1:dtype=object",
        "0:1:order=K",
        "0:1:values=evil",
        "0:1:__class__=1",
        "0:1:groups=7",
        "0:1:stride=1;import os",
        "../../etc/passwd",
        "0:1:batch=1,,",
        "\u0660:\u0661x",
        "9" * 30 + ":1",
        "0:" + "9" * 30,
        "0:1:" + "stride=1," * 50 + "x=1",
        "0:1\n",
        "0:1 ",
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no case"):
        parse_id(text)


def test_a_large_number_is_a_case_too() -> None:
    assert parse_id("0:9999999999").fits


HUGE = Case(
    seed=0, number=500, batch=3, channels=99, height=18, width=40, filters=120, kernel_height=5,
    kernel_width=5, dilation=3, groups=3, dtype="float64", values="normal",
)  # fmt: skip
"""As large as every draw that is the largest there can be."""


@pytest.mark.parametrize(("stride", "padding"), [(1, 2), (3, 0)])
def test_the_largest_case_can_be_asked_for_by_its_id(stride: int, padding: int) -> None:
    largest = replace(HUGE, stride=stride, padding=padding)
    assert parse_id(largest.id) == largest
    with pytest.raises(InputError, match="is no case"):
        parse_id(replace(largest, height=400, width=400).id)
    with pytest.raises(InputError, match="is no case"):
        parse_id(Case(seed=0, number=0, height=4000, width=4000, filters=2).id)


@pytest.mark.parametrize(
    ("layout", "rule", "transposed", "stride"),
    [
        ("NCHW", "explicit", False, 1),
        slow("NCHW", "full", False, 1),
        slow("NCHW/IOHW", "", True, 3),
    ],
)
def test_to_judge_the_largest_case_takes_little_memory(
    layout: str, rule: str, transposed: bool, stride: int
) -> None:
    base = Convention("NCHW", "IOHW" if transposed else "OIHW", "NCHW")
    model = Model(layout, base, rule, transposed, PARAMETERS, ("float32", "float64"))
    largest = model.project(replace(HUGE, stride=stride))
    image, filters = largest.arrays(*model.layouts)
    convention = model.convention(largest)
    output = np.asarray(convolve(image, filters, convention)).astype(np.float32)
    tracemalloc.start()
    try:
        assert judge(image, filters, output, convention).passed
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "float16"])
def test_wide_numbers_are_large_for_their_dtype(dtype: str) -> None:
    image, _ = Case(0, 1, channels=4, height=20, width=20, dtype=dtype, values="wide").arrays()
    if dtype == "float16":
        sizes = np.abs(image[image != 0].astype(float))
        assert sizes.max() > 16
        assert sizes.max() < 128  # the sum of a thousand products of two does not overflow
    else:
        assert image.min() > 100  # of one sign: sums in 8 or 16 bits overflow
