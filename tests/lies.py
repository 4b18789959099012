"""An attack on the judge: comparisons by the thousand, in which it must not lie once.

Each is drawn from its seed and number alone: dtypes, shapes, dynamic ranges and scipy's methods. In
each, the decomposition that equals the oracle in exact arithmetic must match, and must no longer
match once a single element of it is altered by four thresholds (by one unit, where sums are
exact). The tiles make hardly any threshold; here all are made, and the report must be what they
say. On every fourth case, if it is small, the exact results are the witness: what is called a
mismatch differs in exact arithmetic, what is called a match does so by no more than two thresholds,
and both sides are within the threshold of what is true.

    python tests/lies.py [COMPARISONS] [SEED]
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from convcheck import compare
from convcheck.checks.compare import NAMED
from convcheck.checks.inputs import image_and_bank
from convcheck.checks.one_tile import Block, Case, distinct
from convcheck.comparison import Comparison
from convcheck.comparison import compare as judge
from convcheck.errors import InputError, OracleError
from convcheck.reference import choose_method
from convcheck.rounding import choose_arithmetic

DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "g", "F", "D", "G"]
INTEGERS = ("digits", "full", "extremes", "sparse")
FLOATS = (
    *("normal", "digits", "wide", "tiny", "huge", "denormal"),
    *("cancelling", "zeros", "mixed", "powers"),
)
METHODS = ("direct", "fft", "auto")
WITNESSED = 400  # products that are worth a witness in Fractions, which is slow
WITNESS_EVERY = 4


@dataclass
class Tally:
    """What came of the comparisons; ``ratios`` are the largest |difference| / threshold of each."""

    comparisons: int = 0
    altered: int = 0
    witnessed: int = 0
    refused: int = 0
    exact: int = 0
    lies: list[str] = field(default_factory=list)
    ratios: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, values: str) -> Any:
    """Numbers of a kind, as far as the dtype can hold them."""
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        if values == "extremes":
            return rng.choice(np.array([low, high, high - 1, 0], dtype), shape)
        if values == "full":
            return rng.integers(low, high, shape, dtype, endpoint=True)
        digits = rng.integers(max(low, -9), 10, shape).astype(dtype)
        return digits * (rng.random(shape) < 0.2).astype(dtype) if values == "sparse" else digits
    if dtype.kind == "c":
        part = np.dtype({8: "f4", 16: "f8"}.get(dtype.itemsize, "g"))
        return draw(rng, shape, part, values) + dtype.type(1j) * draw(rng, shape, part, values)
    with np.errstate(all="ignore"):
        return _floats(rng, shape, dtype, values).astype(dtype)


def _floats(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, values: str) -> Any:
    limits = np.finfo(dtype)
    top = min(300.0, float(np.log10(limits.max)) - 1)  # decimal exponents; longdouble reaches 4932
    n = rng.standard_normal(shape)
    if dtype.char in "gG":
        n = n * (1 + np.longdouble(2) ** -60)  # digits that float64 lacks
    if values == "digits":
        return rng.integers(-9, 10, shape)
    if values == "wide":
        return n * np.longdouble(10) ** rng.uniform(-top, top, shape)
    if values == "tiny":
        return n * np.longdouble(10) ** -(top - rng.uniform(0, 3, shape))
    if values == "huge":
        return n * np.longdouble(10) ** (top - rng.uniform(0, 3, shape))
    if values == "denormal":
        small = max(float(limits.smallest_normal), float(np.finfo("f8").smallest_normal))
        return n * small * 2.0 ** -rng.integers(0, 12, shape)
    if values == "cancelling":  # neighbours of opposite sign, all but equal
        signs = np.where(np.indices(shape).sum(axis=0) % 2, -1, 1)
        return signs * (1000 + rng.random(shape) * 10.0 ** -float(rng.integers(0, 14)))
    if values == "zeros":
        return np.where(rng.random(shape) < 0.7, np.where(n > 0, 0.0, -0.0), n)
    if values == "mixed":  # a channel that towers over the others
        axis = [1] * len(shape)
        axis[-3] = shape[-3]
        return n * (10.0 ** rng.choice([-4, 0, 4, 12], shape[-3])).reshape(axis)
    if values == "powers":
        return np.sign(n) * 2.0 ** rng.integers(-14, 15, shape)
    return n


def drawn(seed: int, number: int) -> tuple[Any, Any, str, str]:
    """The comparison of that number: image, filters, method, and what it is in words."""
    rng = np.random.default_rng([seed, number])
    reach = 40 if rng.random() < 0.02 else 7
    channels, count = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    fh, fw = (int(n) for n in rng.integers(1, 5, 2))
    height, width = (int(n) for n in rng.integers((fh, fw), (fh + reach, fw + reach)))
    shapes = (channels, height, width), (count, channels, fh, fw)
    arrays, kinds = [], []
    for shape in shapes:
        dtype = np.dtype(DTYPES[int(rng.integers(len(DTYPES)))])
        if arrays and rng.random() < 0.7:
            dtype = arrays[0].dtype  # mostly both have the same
        values = str(rng.choice(INTEGERS if dtype.kind in "iu" else FLOATS))
        arrays.append(draw(rng, shape, dtype, values))
        kinds.append(f"{dtype.name} {values} {'x'.join(map(str, shape))}")
    method = METHODS[int(rng.choice(3, p=[0.45, 0.45, 0.1]))]
    return *arrays, method, f"{seed}:{number}: {', '.join(kinds)}, {method}"


def exact_rows(x: Any, w: Any) -> list[Any]:
    """Every decomposition in exact arithmetic: (real, imaginary) Fractions, (K,H,W,2)."""

    def parts(array: Any) -> tuple[Any, Any]:
        exactly = np.vectorize(lambda v: Fraction(*v.as_integer_ratio()), otypes=[object])
        if array.dtype.kind in "biu":
            exactly = np.vectorize(lambda v: Fraction(int(v)), otypes=[object])
        return exactly(array.real), exactly(array.imag)

    def correlated(a: Any, b: Any) -> Any:
        k, _, fh, fw = b.shape
        out = np.empty((k, a.shape[1] - fh + 1, a.shape[2] - fw + 1), object)
        for i, y, z in np.ndindex(*out.shape):
            out[i, y, z] = (a[:, y : y + fh, z : z + fw] * b[i]).sum()
        return out

    xr, xi = parts(x)
    rows = []
    for convention in NAMED.values():
        axes = tuple(1 + "IHW".index(axis) for axis in convention.flip)
        wr, wi = parts(np.flip(w, axes))
        real, imaginary = correlated(xr, wr), 0 * correlated(xr, wr)
        if "c" in (x.dtype.kind, w.dtype.kind):
            real = real - correlated(xi, wi)
            imaginary = correlated(xr, wi) + correlated(xi, wr)
        rows.append(np.stack([real, imaginary], -1))
    return rows


def _exactly(values: Any) -> Any:
    """What floats are, in Fractions: (..., 2)."""
    exactly = np.vectorize(
        lambda v: Fraction(int(v)) if values.dtype.kind == "i" else Fraction(float(v)),
        otypes=[object],
    )
    return np.stack([exactly(values.real), exactly(values.imag)], -1)


def _beyond(a: Any, b: Any, limits: Any) -> bool:
    """Whether any elements are further apart than the limits, in exact arithmetic."""
    squares = ((a - b) ** 2).sum(axis=-1)
    return any(
        d > Fraction(float(limit)) ** 2
        for d, limit in zip(squares.ravel(), limits.ravel(), strict=True)
    )


@dataclass
class Row:
    """One row of a comparison, every threshold of it, and the judgement when one is altered."""

    values: Any
    expected: Any
    threshold: Any
    judged: Comparison
    again: Comparison


def rows(image: Any, filters: Any, method: str, rng: np.random.Generator) -> list[Row]:
    """Every distinct row judged by all its thresholds, and by the tile with an element altered."""
    x, w = image_and_bank(image, filters)
    arithmetic = choose_arithmetic(x, w)
    flips = distinct({n: tuple(map("IHW".index, c.flip)) for n, c in NAMED.items()}, w.shape)
    case = Case.of(x, w, arithmetic, choose_method(x, w, arithmetic, method), flips)
    whole = tuple(slice(0, n) for n in case.expected.shape)
    values = np.empty((len(flips), *case.expected.shape), case.expected.dtype)
    for block in case.blocks():
        values[(slice(None), *block.where)] = block.values
    every = Block(case, whole, values)
    altered = values.copy()
    made = []
    for row, (sums, other) in enumerate(zip(values, altered, strict=True)):
        threshold = every.threshold(row)
        scale = np.maximum(every.magnitude(row), every.magnitude(case.home))
        place = tuple(int(rng.integers(n)) for n in sums.shape)
        step = 4 * threshold[place]
        if step == 0:
            # One unit: of the integers, or in the last place but two.
            step = 1 if sums.dtype.kind == "i" else 4 * np.spacing(abs(sums[place]))
        unit = 1j if sums.dtype.kind == "c" and rng.random() < 0.5 else 1
        with np.errstate(over="ignore"):
            other[place] += step * (unit if rng.random() < 0.5 else -unit)
        made.append((sums, case.expected, threshold, judge(sums, case.expected, threshold, scale)))
    again, _ = case.judge([Block(case, whole, altered)], (0,) * len(whole))
    return [Row(*one, other) for one, other in zip(made, again, strict=True)]


def attack(comparisons: int, seed: int = 0, first: int = 0) -> Tally:
    """Draw and judge so many comparisons, and count what comes of them."""
    tally = Tally()
    for number in range(first, first + comparisons):
        image, filters, method, words = drawn(seed, number)
        tally.comparisons += 1
        try:
            result = compare(image, filters, method=method)
        except (InputError, OracleError):
            tally.refused += 1  # sums that overflow: it is said, and nothing is judged
            continue
        seen = rows(image, filters, method, np.random.default_rng([seed, number, 1]))
        for lie in _lies(tally, image, filters, result, seen, number):
            tally.lies.append(f"{words}: {lie}")
    return tally


def _rounded(seen: Comparison) -> Comparison:
    """A judgement, its threshold to as many digits as do not depend on how S was added up.

    Without the agreement in bits, which a tile has of the worst element alone.
    """
    return replace(seen, threshold=float(f"{seen.threshold:.9g}"), agreement_bits=0.0)


def _lies(
    tally: Tally, image: Any, filters: Any, result: Any, seen: list[Row], number: int
) -> list[str]:
    lies = []
    equal = list(NAMED).index("flipped")
    if not result.decompositions[equal].matches:
        lies.append("a false mismatch")
    which = _which(filters)
    for decomposition, row in zip(result.decompositions, which, strict=True):
        if _rounded(decomposition.comparison) != _rounded(seen[row].judged):
            lies.append(f"{decomposition.name} is not what every threshold says")
    for row, one in enumerate(seen):
        if not one.judged.matches:
            continue
        tally.altered += 1
        if one.again.matches:
            name = list(NAMED)[which.index(row)]
            lies.append(f"{name} still matches, altered by 4 thresholds")
        if row != which[equal]:
            continue
        if not one.threshold.any():
            tally.exact += 1
            continue
        with np.errstate(all="ignore"):
            ratio = np.nanmax(np.abs(one.values - one.expected) / one.threshold)
        tally.ratios[result.method, result.dtype].append(float(ratio))
    if number % WITNESS_EVERY or seen[0].values.size * filters[0].size > WITNESSED:
        return lies
    tally.witnessed += 1
    with np.errstate(all="ignore"):
        truth = exact_rows(image, filters)
    for name, true, row in zip(NAMED, truth, which, strict=True):
        values, expected, threshold = (
            getattr(seen[row], part) for part in ("values", "expected", "threshold")
        )
        judged = result.decompositions[list(NAMED).index(name)].comparison
        apart = _beyond(true, truth[equal], np.zeros(threshold.shape))
        if not judged.matches and not apart:
            lies.append(f"{name} is called a mismatch, and is exactly equal")
        if judged.matches and _beyond(true, truth[equal], 2 * threshold):
            lies.append(f"{name} is called a match, and is further away than two thresholds")
        if _beyond(_exactly(values), true, threshold):
            lies.append(f"{name} is further from the truth than its threshold")
        if _beyond(_exactly(expected), truth[equal], threshold):
            lies.append(f"the oracle is further from the truth than the threshold of {name}")
    return lies


def _which(filters: Any) -> list[int]:
    """For each row, which of those that were judged it is: what reverses an axis of one is none."""
    sizes = dict(zip("IHW", filters.shape[-3:], strict=True))
    flips = [tuple(a for a in c.flip if sizes[a] > 1) for c in NAMED.values()]
    return [list(dict.fromkeys(flips)).index(flip) for flip in flips]


def main(comparisons: int = 100_000, seed: int = 0) -> int:
    """Attack, and print what came of it."""
    started = time.perf_counter()
    tally = attack(comparisons, seed)
    seconds = time.perf_counter() - started
    print(f"{tally.comparisons} comparisons, seed {seed}, {seconds:.0f} s")
    print(f"  {tally.refused} refused, as their sums overflow; {tally.exact} exact, threshold 0")
    print(f"  {tally.altered} altered by 4 thresholds; {tally.witnessed} witnessed in Fractions")
    print(f"  {len(tally.lies)} lies")
    print(f"|difference| / threshold  {'median':>9} {'99 %':>9} {'max':>9} {'count':>7}")
    for method, dtype in product(("direct", "fft"), ("float64", "complex128", "int64")):
        ratios = tally.ratios.get((method, dtype))
        if ratios:
            median, most, worst = np.quantile(ratios, [0.5, 0.99, 1])
            row = f"{method} {dtype}"
            print(f"  {row:23} {median:9.2g} {most:9.2g} {worst:9.2g} {len(ratios):7}")
    for lie in tally.lies[:20]:
        print("LIE", lie)
    return 1 if tally.lies else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
