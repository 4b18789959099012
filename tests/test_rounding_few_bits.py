"""What few bits lose: worst cases that hold, and root mean squares that are what is seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from bounds import accumulated, held
from few import one_in

from convcheck.few_bits import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    TF32,
    Format,
    accumulator_bound,
    cut_off,
    operands_bound,
    operands_rms,
    probable_bound,
)

FORMATS = (TF32, BFLOAT16, FLOAT16)
SUMS = 4000


def rms(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def operands(seed: int, terms: int) -> tuple[Any, Any]:
    """Operands of many sums (SUMS, terms): a layer's, of which only images have one sign."""
    rng = np.random.default_rng(seed)
    return np.abs(rng.standard_normal((SUMS, terms))), rng.standard_normal((SUMS, terms))


def root_squares(products: Any) -> Any:
    return np.sqrt((products * products).sum(axis=-1))


@pytest.mark.parametrize("form", FORMATS)
def test_numpy_and_the_tests_agree_on_halves(form: Format) -> None:
    """The formats of the tests are the hardware's, where NumPy has it."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(9999) * 10.0 ** rng.uniform(-6, 3, 9999)
    if form is FLOAT16:
        np.testing.assert_array_equal(held(values, form), values.astype(np.float16))
    off = np.abs(held(values, form) - values)
    assert (off <= form.unit * np.abs(values) + form.tiny).all()
    assert (off > 0.9 * form.unit * np.abs(values)).any()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("rounded", one_in(2, [1, 2]))
def test_operands_of_few_bits_are_off_by_what_is_said(
    form: Format, cut: bool, rounded: int
) -> None:
    for terms in (1, 27, 576):
        x, w = operands(terms, terms)
        exactly = (x * w).sum(axis=-1)
        few = held(x, form, cut) * (held(w, form, cut) if rounded == 2 else w)
        off = few.sum(axis=-1) - exactly  # sums in double precision have no part in it
        sizes = np.abs(x * w).sum(axis=-1)
        largest = float(x.max() + np.abs(w).max())
        bound = operands_bound(sizes, terms, form, rounded=rounded, largest=largest)
        assert (np.abs(off) <= bound).all()
        assert (bound > 2 * rounded * form.unit * sizes).all()
        assert (bound < 3 * rounded * form.unit * sizes + terms * form.tiny * 20).all()
        usual = rms(operands_rms(root_squares(x * w), form, rounded=rounded))
        drift = cut_off(exactly, form, rounded=rounded) if cut else 0.0
        assert rms(off - drift) == pytest.approx(usual, rel=0.1)
        if cut:
            share = (off * exactly).sum() / (drift * exactly).sum()
            assert share == pytest.approx(1, abs=0.1)


def test_equal_taps_are_off_by_more_than_is_usual_and_by_no_more_than_the_worst() -> None:
    """What the root mean square does not cover: it says so."""
    rng = np.random.default_rng(1)
    x, w = rng.random(100), np.full(100, 1 / 3)
    off = abs(float((x * held(w, BFLOAT16) - x * w).sum()))
    assert off > 2 * operands_rms(root_squares(x * w), BFLOAT16, rounded=1)
    assert off <= operands_bound((x * w).sum(), 100, BFLOAT16, rounded=1)


@pytest.mark.parametrize("form", FORMATS)
def test_operands_too_small_for_the_format_are_within_it(form: Format) -> None:
    x, w = np.full((1, 50), 0.4 * form.tiny), np.full((1, 50), 3.0)
    sums = (x * w).sum(axis=-1)
    assert (held(x, form) == 0).all()
    assert (sums <= operands_bound(sums, 50, form, rounded=1, largest=3.0)).all()


@pytest.mark.parametrize("form", FORMATS)
def test_accumulators_of_few_bits_are_off_by_no_more_than_is_said(form: Format) -> None:
    rng = np.random.default_rng(2)
    for terms in (2, 9, 100):
        x, w = operands(terms, terms)
        products = x * w
        exactly, sizes = products.sum(axis=-1), np.abs(products).sum(axis=-1)
        pairs = accumulated(products, form, rng, order="pairs")
        for made in accumulated_one_by_one(products, form), pairs:
            off = np.abs(made - exactly)
            assert (off <= accumulator_bound(sizes, terms, form)).all()
            assert (off <= probable_bound(sizes, terms, form, failure=1e-9)).all()


def accumulated_one_by_one(products: Any, form: Format) -> Any:
    total = products[..., 0]
    for term in np.moveaxis(products[..., 1:], -1, 0):
        total = held(total + term, form)
    return total


def test_the_worst_case_of_many_terms_says_nothing_and_the_probable_one_does() -> None:
    sizes = np.ones(3)
    assert np.isinf(accumulator_bound(sizes, 256, BFLOAT16)).all()
    assert np.isinf(operands_bound(sizes, 256, FLOAT32, sums=BFLOAT16)).all()
    assert np.isinf(accumulator_bound(0 * sizes, 2048, FLOAT16)).all()
    probable = probable_bound(sizes, 256, BFLOAT16, failure=1e-9)
    assert (probable < 1).all()
    # As the root of the terms, and slowly as what may fail.
    some = probable_bound(sizes, 10_000, FLOAT32, failure=1e-9)
    assert probable_bound(sizes, 40_000, FLOAT32, failure=1e-9) == pytest.approx(2 * some, rel=0.1)
    assert (probable_bound(sizes, 10_000, FLOAT32, failure=1e-18) < 1.5 * some).all()
    assert (some < accumulator_bound(sizes, 10_000, FLOAT32) / 10).all()


def test_the_probable_bound_is_that_of_the_theorem() -> None:
    """From the bound to its l, and from that to the probability; and it holds in fact."""
    x, w = operands(4, 200)
    products = x * w
    off = accumulated_one_by_one(products, BFLOAT16) - products.sum(axis=-1)
    sizes = np.abs(products).sum(axis=-1)
    bound = probable_bound(sizes, 200, BFLOAT16, failure=0.5)
    assert (np.abs(off) <= bound).all()
    u, n = BFLOAT16.unit, 200
    spread = (math.log1p(bound[0] / sizes[0]) - n * u * u / (1 - u)) / (math.sqrt(n) * u)
    failure = SUMS * 2 * n * math.exp(-spread * spread * (1 - u) ** 2 / 2)
    assert failure == pytest.approx(0.5, rel=1e-6)
