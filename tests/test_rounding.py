"""The bounds hold: against exact rational results, wherever float64 is awkward."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import next_fast_len
from scipy.signal import convolve

from convcheck import rounding
from convcheck.engine import correlate
from convcheck.errors import InputError
from convcheck.rounding import (
    Arithmetic,
    choose_arithmetic,
    fft_bound,
    gamma,
    norm,
    quantum,
    sum_bound,
)

SETTINGS = settings(derandomize=True, deadline=None, max_examples=60)
TINY = 2.0**-1074


def exact_correlation(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(C,H,W) by (K,C,Fh,Fw), as pairs of Fractions: the real and the imaginary part."""
    k, _, fh, fw = w.shape
    out = np.empty((k, x.shape[1] - fh + 1, x.shape[2] - fw + 1), object)
    for place in np.ndindex(out.shape):
        window = x[:, place[1] : place[1] + fh, place[2] : place[2] + fw]
        real = imaginary = Fraction(0)
        for a, b in zip(window.ravel().tolist(), w[place[0]].ravel().tolist(), strict=True):
            ar, ai, br, bi = (Fraction(v) for v in (a.real, a.imag, b.real, b.imag))
            real += ar * br - ai * bi
            imaginary += ar * bi + ai * br
        out[place] = (real, imaginary)
    return out


def squared_error(computed: Any, exact: tuple[Fraction, Fraction]) -> Fraction:
    real, imaginary = Fraction(computed.real.item()), Fraction(computed.imag.item())
    return (real - exact[0]) ** 2 + (imaginary - exact[1]) ** 2


def within(computed: np.ndarray, exact: np.ndarray, bound: np.ndarray) -> bool:
    return all(
        squared_error(computed[place], exact[place]) <= Fraction(float(bound[place])) ** 2
        for place in np.ndindex(exact.shape)
    )


def sums_and_bound(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    once = (1, 1)
    values = correlate(x[None], w, once, once)[0]
    sizes = correlate(np.abs(x)[None], np.abs(w), once, once)[0]
    terms = math.prod(w.shape[1:])
    return values, sum_bound(sizes, terms, is_complex=np.iscomplexobj(values))


def wide_numbers(rng: np.random.Generator, shape: Any, low: float, high: float) -> np.ndarray:
    with np.errstate(under="ignore"):
        return rng.standard_normal(shape) * 10.0 ** rng.uniform(low, high, shape)


RANGES = {
    "plain": (0, 0, 0, 0),
    "wide": (-150, 150, -150, 150),
    "denormal images": (-323, -300, -5, 5),
    "denormal products": (-170, -140, -170, -150),
    "denormal by huge": (-323, -308, 290, 300),
    "huge by denormal": (290, 300, -323, -308),
}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("complex_numbers", [False, True])
def test_no_sum_is_further_from_the_exact_one_than_its_bound(
    name: str, complex_numbers: bool
) -> None:
    rng = np.random.default_rng(7)
    *image_range, low, high = RANGES[name]
    for shapes in ((1, 3, 4), (1, 1, 1, 1)), ((3, 4, 5), (2, 3, 2, 3)), ((2, 3, 3), (2, 2, 3, 2)):
        for _ in range(6):
            x = wide_numbers(rng, shapes[0], *image_range)
            w = wide_numbers(rng, shapes[1], low, high)
            if complex_numbers:
                x = x + 1j * wide_numbers(rng, shapes[0], *image_range)
                w = w + 1j * wide_numbers(rng, shapes[1], low, high)
            values, bound = sums_and_bound(x, w)
            assert within(values, exact_correlation(x, w), bound)


def test_no_sum_that_cancels_is_further_off_than_its_bound() -> None:
    rng = np.random.default_rng(8)
    for scale in (1.0, 1e-300, 1e200):
        x = rng.standard_normal((4, 4, 5)) * scale
        x[2:] = -x[:2] * (1 + rng.integers(-2, 3, (2, 4, 5)) * 2.0**-52)
        w = rng.standard_normal((2, 4, 2, 2))
        w[:, 2:] = w[:, :2]
        values, bound = sums_and_bound(x, w)
        assert np.abs(values).max() < 1e-12 * scale
        assert within(values, exact_correlation(x, w), bound)


def test_the_bound_is_not_idle() -> None:
    """Within a factor of what really happens: n*u*S, not many times that."""
    x, w = np.full((1, 1, 1), 1 / 3), np.full((1, 1, 1, 1), 1 / 3)
    _, bound = sums_and_bound(x, w)
    assert bound.item() == pytest.approx(2.0**-53 / 9, rel=1e-12)
    rng = np.random.default_rng(0)
    x, w = rng.random((3, 9, 9)), rng.random((2, 3, 3, 3))
    values, bound = sums_and_bound(x, w)
    assert (bound < 28 * 2.0**-53 * values).all()
    assert (bound > 26 * 2.0**-53 * values).all()


def test_gamma() -> None:
    units = [np.finfo(dtype).eps / 2 for dtype in (np.float64, np.float32)]
    assert units == [rounding.UNIT, rounding.SINGLE]
    assert gamma(1) == 2.0**-53 / (1 - 2.0**-53)
    assert gamma(100, 2.0**-11) == pytest.approx(100 / (2048 - 100))
    assert gamma(2**53) == math.inf
    assert gamma(2048, 2.0**-11) == math.inf


def test_every_rounding_of_an_operand_widens_the_bound() -> None:
    plain = sum_bound(np.array(1.0), 10)
    assert sum_bound(np.array(1.0), 10, input_roundings=2) == pytest.approx(plain * 1.2)
    assert sum_bound(np.array(1.0), 10, unit=2.0**-24) == pytest.approx(plain * 2**29, rel=1e-5)
    assert sum_bound(np.array(1.0), 10, is_complex=True) == pytest.approx(plain * 2 * 2**0.5)
    assert sum_bound(np.array(0.0), 10) > 0


@pytest.mark.parametrize("complex_numbers", [False, True])
def test_no_fft_is_further_off_than_its_bound(complex_numbers: bool) -> None:
    rng = np.random.default_rng(9)
    for number, shapes in enumerate([((1, 5, 6), (1, 1, 2, 2)), ((3, 8, 11), (1, 3, 3, 2))] * 8):
        spread = (0, 3, 30, 140)[number % 4]
        x = wide_numbers(rng, shapes[0], -spread, spread)
        w = wide_numbers(rng, shapes[1], -spread, spread)
        if complex_numbers:
            x, w = x * np.exp(1j * (x % 7)), w * (1 - 2j)
        computed = convolve(x, w[0], "valid", method="fft")
        length = math.prod(
            next_fast_len(a + b - 1) for a, b in zip(x.shape, w.shape[1:], strict=True)
        )
        bound = np.full(computed.shape, fft_bound(norm(x), norm(w), length))
        exact = exact_correlation(x, w[:, ::-1, ::-1, ::-1])
        assert within(computed, exact, bound)
        assert bound.max() < 1e5 * 2.0**-53 * norm(x) * norm(w)


def test_the_fft_bound_is_no_less_than_the_theorem_allows() -> None:
    """Theorem 24.2 for three transforms; what is measured stays far below it."""
    for stages in (1, 5, 20):
        assert fft_bound(2.0, 3.0, 2**stages) >= 6 * 3 * 6.7 * stages * 2.0**-53
    plain = fft_bound(1.0, 1.0, 64)
    assert fft_bound(1.0, 1.0, 64, roundings=2) == pytest.approx(plain + 2 * 2.0**-53, rel=1e-12)


def test_fft_bound_of_numbers_that_underflow() -> None:
    assert fft_bound(TINY, TINY, 100) > 0
    assert fft_bound(0.0, 0.0, 1) >= 0


@SETTINGS
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_the_norm_is_no_less_than_the_true_one(numbers: list[float]) -> None:
    value = norm(np.array(numbers))
    true = sum(Fraction(n) ** 2 for n in numbers)
    if math.isfinite(value):
        assert Fraction(value) ** 2 >= true * (1 - Fraction(1, 10**13))
        assert Fraction(value) ** 2 <= true * (1 + Fraction(1, 10**10)) + Fraction(TINY) ** 2
    else:
        assert true > Fraction(1.7e308) ** 2


def test_norms_of_integers_that_have_no_absolute_value() -> None:
    assert norm(np.array([-128], np.int8)) == pytest.approx(128)
    assert rounding.largest_magnitude(np.array([-128, 127], np.int8)) == 128
    assert rounding.largest_magnitude(np.array([-(2**63)], np.int64)) == 2.0**63
    assert rounding.largest_magnitude(np.array([2**64 - 1], np.uint64)) == 2.0**64
    assert rounding.largest_magnitude(np.array([True])) == 1
    assert rounding.largest_magnitude(np.array([3 + 4j])) == 5


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1.0, 2.0, 3.0], 1.0),
        ([0.5, 0.25], 0.25),
        ([0.75, 8.0, 0.0], 0.25),
        ([2.0**40, 1.0], 1.0),
        ([0.1], 2.0**-55),
        ([2.0**60, 1.0], 0.0),
        ([TINY], 0.0),
        ([1e300, 1e-300], 0.0),
        ([0.0, 0.0], 1.0),
    ],
)
def test_quantum(numbers: list[float], expected: float) -> None:
    assert quantum(np.array(numbers)) == expected
    for dtype in (np.complex128, np.longdouble):
        assert quantum(np.array(numbers).astype(dtype)) == expected
    assert quantum(np.array(numbers + [0.0] * 1000)[::-1]) == expected


def test_quantum_looks_at_every_element_and_part() -> None:
    late = np.ones(5000)
    late[4321] = 0.125
    assert quantum(late) == 0.125
    assert quantum(1 + 0.5j * late) == 0.0625
    assert quantum(np.array([300], np.int16)) == 1.0
    assert quantum(np.array([2.0] * 70 + [3.0])) == 1.0


@SETTINGS
@given(
    st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=20),
    st.integers(-490, 990),
    st.integers(1, 70),
)
def test_every_number_is_a_multiple_of_the_quantum(
    numbers: list[int], power: int, zeros: int
) -> None:
    array = np.ldexp(np.array([0] * zeros + numbers, float), power)
    step = quantum(array)
    assert step > 0
    assert math.frexp(step)[0] == 0.5
    assert all((Fraction(v) / Fraction(step)).denominator == 1 for v in array.tolist())


def bank(values: Any, dtype: Any) -> np.ndarray:
    return np.array(values, dtype).reshape(1, 1, 1, -1)


def image(values: Any, dtype: Any) -> np.ndarray:
    return np.array(values, dtype).reshape(1, 1, -1)


@pytest.mark.parametrize(
    ("x", "w", "dtype", "exact"),
    [
        (image([1, 2], "float32"), bank([3], "float32"), "float64", True),
        (image([0.5, 2], "float64"), bank([0.25], "float16"), "float64", True),
        (image([0.1], "float64"), bank([0.1], "float64"), "float64", False),
        (image([1e-300], "float64"), bank([1.0], "float64"), "float64", False),
        (image([2.0**30, 1], "float64"), bank([2.0**30, 1], "float64"), "float64", False),
        (image([-128], "int8"), bank([-128], "int8"), "float64", True),
        (image([True, False], "bool"), bank([True], "bool"), "float64", True),
        (image([2**53 + 1], "int64"), bank([1], "int8"), "int64", True),
        (image([-(2**53) - 1], "int64"), bank([-1], "int64"), "int64", True),
        (image([2**53 + 1], "uint64"), bank([1], "uint64"), "int64", True),
        (image([2**31], "int64"), bank([2**31 - 1], "int64"), "int64", True),
        (image([2**31], "int64"), bank([2**31], "int64"), "float64", False),
        (image([2**30], "int64"), bank([2**31], "int64"), "int64", True),
        (image([-(2**63)], "int64"), bank([1], "int64"), "float64", False),
        (image([-(2**63)], "int64"), bank([0], "int64"), "float64", True),
        (image([2**64 - 1], "uint64"), bank([1], "uint64"), "float64", False),
        (image([1j], "complex64"), bank([2], "uint8"), "complex128", True),
        (image([0.1j], "complex128"), bank([2], "uint8"), "complex128", False),
        (image([3], "longdouble"), bank([2], "float32"), "float64", True),
        (image([3], "clongdouble"), bank([2], "float32"), "complex128", True),
        (image([2**60 + 1], "int64"), bank([0.5], "float64"), "float64", False),
    ],
)
def test_choose_arithmetic(x: np.ndarray, w: np.ndarray, dtype: str, exact: bool) -> None:
    chosen = choose_arithmetic(x, w)
    assert (str(chosen.dtype), chosen.exact) == (dtype, exact)
    assert chosen.cast(x).dtype == chosen.dtype
    sizes = np.array([1.0])
    assert (chosen.bound(sizes, 5) == 0).all() == exact
    assert (chosen.quantum > 0) == exact


@pytest.mark.parametrize(
    ("x", "w", "roundings"),
    [
        (image([0.1], "float64"), bank([0.1], "float32"), 0),
        (image([2**62 + 1], "int64"), bank([0.1], "float64"), 1),
        (image([2**62], "int64"), bank([3.7], "float64"), 1),
        (image([2**53 - 1], "int64"), bank([0.1], "float64"), 0),
        (image([2**53 + 1], "int64"), bank([0.1], "float64"), 1),  # 2**53 as a float
        (image([2**64 - 1], "uint64"), bank([2**63 + 1], "uint64"), 2),
        (image([np.longdouble(1) / 3], "longdouble"), bank([0.1], "float64"), 1),
        (image([0.1], "longdouble"), bank([0.1], "float64"), 0),
        (image([np.longdouble(1) / 3], "longdouble"), bank([0.1j], "complex128"), 1),
    ],
)
def test_operands_that_were_rounded_are_counted(
    x: np.ndarray, w: np.ndarray, roundings: int
) -> None:
    # Never too few: 2**62 is a float, but one look at its size is all that it gets.
    assert choose_arithmetic(x, w).input_roundings == roundings


def test_long_doubles_that_float64_is_too_coarse_for() -> None:
    """What is lost is the smallest float64 at most, but times the other operand."""
    for x, w in (([np.longdouble(3) * np.longdouble(2) ** -1076], [1e300]), ([1e300], [0.1])):
        sample = np.array(x, "longdouble").reshape(1, 1, 1)
        kernel = np.array(w, "longdouble").reshape(1, 1, 1, 1)
        if w == [0.1]:
            kernel *= np.longdouble(2) ** -1070
        chosen = choose_arithmetic(sample, kernel)
        values = correlate(chosen.cast(sample)[None], chosen.cast(kernel), (1, 1), (1, 1))[0]
        true = Fraction(*sample.item().as_integer_ratio()) * Fraction(
            *kernel.item().as_integer_ratio()
        )
        error = abs(Fraction(float(values[0, 0, 0])) - true)
        assert error > TINY * 10
        assert error <= Fraction(float(chosen.bound(np.abs(values), 1)[0, 0, 0]))


def test_sums_called_exact_are() -> None:
    rng = np.random.default_rng(4)
    for dtype, high in (("float32", 2**20), ("int64", 2**45), ("uint8", 255), ("complex64", 99)):
        x = rng.integers(0, high, (2, 4, 5)).astype(dtype)
        w = rng.integers(0, 99, (2, 2, 2, 2)).astype(dtype)
        chosen = choose_arithmetic(x, w)
        assert chosen.exact
        values = correlate(chosen.cast(x)[None], chosen.cast(w), (1, 1), (1, 1))[0]
        exact = exact_correlation(x, w)
        for place in np.ndindex(exact.shape):
            assert squared_error(values[place], exact[place]) == 0


@pytest.mark.parametrize(
    ("x", "w"),
    [
        (image([1e200], "float64"), bank([1e200], "float64")),
        (image([1.7e308], "float64"), bank([1.0], "float64")),  # two of them differ by more
        (image([1e308], "float64"), bank([1.0, 1.0], "float64")),
        (image([1], "float64"), bank([1e308, 1e308], "float64")),
        (image([1e200 + 1e200j], "complex128"), bank([1e200], "complex128")),
        (image([np.finfo("longdouble").max], "longdouble"), bank([1], "float64")),
    ],
)
def test_sums_that_overflow_are_refused(x: np.ndarray, w: np.ndarray) -> None:
    with pytest.raises(InputError, match="overflow") as caught:
        choose_arithmetic(x, w)
    assert caught.value.hint


def test_the_largest_sums_that_do_not() -> None:
    assert not choose_arithmetic(image([8.9e307], "float64"), bank([1.0], "float64")).exact


# --- the constants, to the last unit: each is a term of docs/proof.md -----------------------------


def test_the_formats_to_the_letter() -> None:
    single = np.finfo(np.float32)
    assert single.eps / 2 == rounding.SINGLE
    assert float(single.smallest_normal) == rounding.NORMAL
    assert np.finfo(np.float64).eps / 2 == rounding.UNIT


def test_the_bound_of_a_sum_to_the_letter() -> None:
    unit, u = 1 / 1024, 2.0**-53
    one = np.ones(1)
    # gamma_2 = 2/1022; and S was rounded too: twice gamma_4.
    assert sum_bound(one, 2, unit=unit) == 2 / 1022 * (1 + 8 * u)
    assert sum_bound(one, 2, unit=unit, input_roundings=1) == 3 / 1021 * (1 + 8 * u)
    # Two products a part for one, and sqrt(2).
    both = 4 / 1020 * math.sqrt(2) * (1 + 12 * u)
    assert sum_bound(one, 2, unit=unit, is_complex=True) == both
    assert sum_bound(0 * one, 4) == 5 * 5e-324
    assert sum_bound(0 * one, 4, is_complex=True) == 9 * 5e-324
    assert sum_bound(0 * one, 4, underflow=0.5) == 2.5


def test_the_bound_of_an_fft_to_the_letter() -> None:
    u = 2.0**-53
    assert fft_bound(1.0, 1.0, 8) == 152 * u / (1 - 152 * u)  # 3 transforms of 3 stages of 16; 8
    assert fft_bound(2.0, 4.0, 8, roundings=1) == 8 * (153 * u / (1 - 153 * u))
    assert fft_bound(1.0, 1.0, 1) == fft_bound(1.0, 1.0, 2) == 56 * u / (1 - 56 * u)
    assert fft_bound(0.0, 0.0, 2) == 16 * 5e-324
    assert fft_bound(3.0, 0.0, 2) == fft_bound(0.0, 3.0, 2) == 64 * 5e-324
    assert fft_bound(0.0, 0.0, 4) == 64 * 5e-324


def test_the_norm_to_the_letter() -> None:
    assert norm(np.array([3.0, 4.0])) == 5 * (1 + 6 * 2.0**-53)
    assert norm(np.array([2.0, 1.0, 2.0])) == 3 * (1 + 8 * 2.0**-53)  # 7, to the next float


def test_what_float64_cannot_hold_has_no_quantum() -> None:
    if np.finfo(np.longdouble).nmant > 52:
        assert quantum(np.array([np.longdouble(1) / 3])) == 0.0


def test_a_quantum_is_that_of_all_blocks() -> None:
    for place in (100, -1):
        long = np.ones((1 << 19) + 1)
        long[place] = 0.25
        assert quantum(long) == 0.25


def test_where_a_quantum_is_given_up() -> None:
    assert quantum(np.array([2.0**-500])) == 2.0**-500
    assert quantum(np.array([2.0**-501])) == 0.0
    assert quantum(np.array([1.0, 2.0**53 - 1])) == 1.0
    assert quantum(np.array([2.0**1000] * 70 + [1.0])) == 0.0
    assert quantum(np.array([2.0**900] * 70 + [2.0**-400])) == 0.0


def test_a_quantum_may_be_as_large_as_any_number() -> None:
    assert quantum(np.array([2.0**1000])) == 2.0**1000
    assert quantum(np.array([2.0**1023] * 70 + [2.0**980])) == 2.0**980
    assert quantum(np.array([1.0, 2.0**53])) == 0.0


def test_blocks_are_no_larger_than_asked_for() -> None:
    for shape in ((100_000,), (7, 5000), (3, 50, 700), (2, 3, 4, 5, 600), (3, 900), (3, 1000)):
        array = np.arange(math.prod(shape)).reshape(shape)
        parts = list(rounding.blocks(array, 1000))
        assert max(part.size for part in parts) <= 1000
        assert np.array_equal(np.concatenate([part.ravel() for part in parts]), array.ravel())
    assert [part.shape for part in rounding.blocks(np.array(3.0), 1)] == [()]
    assert len(list(rounding.blocks(np.zeros(1 << 19)))) == 1
    assert len(list(rounding.blocks(np.zeros((1 << 19) + 1)))) == 2


def test_an_overflow_says_of_what() -> None:
    heavy = bank([1e308, 1e308, 1e308], "float64")
    with pytest.raises(InputError) as caught:
        choose_arithmetic(image([0, 0, 0], "float64"), heavy)
    assert caught.value.got == "filters whose sum overflows"
    with pytest.raises(InputError) as caught:
        choose_arithmetic(image([4, 0, 0], "float64"), heavy)
    assert caught.value.got == (
        "an image that reaches 4 and filters that add to more than 2.25e+307"
    )
    if np.finfo(np.longdouble).maxexp > 1024:
        with pytest.raises(InputError) as caught:
            choose_arithmetic(image([np.longdouble("1e4000")], "longdouble"), bank([1], "float64"))
        assert caught.value.got == "an image with numbers beyond float64"


def test_the_arithmetic_to_the_letter() -> None:
    float64 = np.dtype(np.float64)
    # A sum below 2^52 of the unit is exact in float64; integers beyond it are in int64.
    for x, chosen in (
        (image([2.0**51 + 1], "float64"), Arithmetic(float64, True, 1.0, 0)),
        (image([2.0**52, 1], "float64"), Arithmetic(float64, False, 0.0, 0)),
        (image([2**52 + 1], "int64"), Arithmetic(np.dtype(np.int64), True, 1.0, 0)),
    ):
        assert choose_arithmetic(x, bank([1], x.dtype)) == chosen
    if np.finfo(np.longdouble).nmant > 52:
        third = image([np.longdouble(1) / 3], "longdouble")
        lost = choose_arithmetic(third, bank([2.0**40], "float64")).underflow
        assert lost == 5e-324 * (2**40 + 1)
    assert rounding.largest_magnitude(np.zeros(0)) == 0.0


def test_an_arithmetic_bounds_as_its_sums_are() -> None:
    sizes = np.array([1.0, 3.0])
    third, half = image([1 / 3], "float64"), bank([1 / 2], "float64")
    real, both = choose_arithmetic(third, half), choose_arithmetic(1j * third, half)
    assert (real.is_complex, both.is_complex) == (False, True)
    assert real.bound(sizes, 5).tolist() == sum_bound(sizes, 5).tolist()
    assert both.bound(sizes, 5).tolist() == sum_bound(sizes, 5, is_complex=True).tolist()


def test_an_arithmetic_copies_nothing_and_is_not_changed() -> None:
    x = image([0.1], "float64")
    chosen = choose_arithmetic(x, bank([0.1], "float64"))
    assert chosen.cast(x) is x
    with pytest.raises(FrozenInstanceError):
        chosen.exact = True  # type: ignore[misc]


def test_a_norm_takes_no_copy_of_a_large_array() -> None:
    import tracemalloc

    array = np.full((4, 2048, 2048), 3, np.uint8)
    tracemalloc.start()
    try:
        found = rounding.norm(array)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < array.size
    assert found == pytest.approx(3 * 2.0**12)
