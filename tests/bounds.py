"""An attack on the bounds: right results by the thousand, of which none may be beyond its bound.

Each problem is drawn from its seed and number alone: shapes, numbers of many kinds, and ways to
compute it. Winograd's algorithm with a library's points, rows scaled in one of many ways, tiles
that begin anywhere, fused or plain, flushed or not, in float32 or float16, summed in any order.
Sums in any order. FFTs in single precision. Operands of few bits, rounded or cut off. Accumulators
of few bits. The witness is the sum in double precision, and its own bound is allowed besides.

    python tests/bounds.py [RESULTS] [SEED]
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import fft
from winograd_software import Arithmetic, rescaled, winograd

from convcheck.algorithms import Problem, algorithms
from convcheck.engine import correlate
from convcheck.few_bits import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    TF32,
    Format,
    accumulator_bound,
    operands_bound,
    probable_bound,
)
from convcheck.rounding import gamma
from convcheck.winograd import POINTS, Matrices, matrices, winograd_bound

RUNS = 8  # results of each problem
VALUES = (
    *("normal", "uniform", "wide", "cancelling", "alternating", "ones", "thirds", "bytes"),
    *("spikes", "sparse", "tiny", "powers", "smooth"),
)


@dataclass
class Tally:
    """What came of the results; ``ratios`` are the largest |error| / bound of each, by kind."""

    results: int = 0
    elements: int = 0
    skipped: int = 0
    beyond: list[str] = field(default_factory=list)
    ratios: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def draw(rng: np.random.Generator, shape: tuple[int, ...], values: str, top: float) -> Any:
    """Numbers of a kind in float32, none above 10^top."""
    n = rng.standard_normal(shape)
    index = np.indices(shape).sum(axis=0)
    if values == "uniform":
        n = rng.random(shape)
    elif values == "wide":
        n = n * 10.0 ** rng.uniform(-2 * top, top - 1, shape)
    elif values == "cancelling":
        n = np.where(index % 2, -1, 1) * (1 + rng.random(shape) * 10.0 ** -rng.uniform(0, 8))
    elif values == "alternating":
        n = np.where(index % int(rng.integers(2, 4)), -1.0, 1.0) * rng.uniform(0.5, 2)
    elif values == "ones":
        n = np.ones(shape)
    elif values == "thirds":
        n = np.full(shape, rng.uniform(0.1, 1))
    elif values == "bytes":
        n = rng.integers(0, 256, shape) / 255
    elif values == "spikes":
        n = n * np.where(rng.random(shape) < 0.1, 10.0 ** (top - 1), 10.0**-top)
    elif values == "sparse":
        n = n * (rng.random(shape) < 0.2)
    elif values == "tiny":
        n = n * 10.0 ** -(19 * top / 8 - rng.uniform(0, 3, shape))
    elif values == "powers":
        n = np.sign(n) * 2.0 ** rng.integers(-6, 4, shape)
    elif values == "smooth":
        n = np.sin(index * rng.uniform(0.1, 3) + rng.uniform(0, 6)) + rng.uniform(-2, 2)
    return n.astype(np.float32)


def drawn(
    rng: np.random.Generator, kernel: tuple[int, ...], margin: int, top: float
) -> tuple[Any, Any, int, str]:
    """x (N,C,*S), w (O,C/groups,*F), groups, and the kinds of numbers in words."""
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    inputs = int(rng.choice([1, 1, 2, 3, 8, 32]))
    outputs = groups * int(rng.integers(1, 3))
    sizes = [f + int(rng.integers(0, margin)) for f in kernel]
    kinds = [str(rng.choice(VALUES)) for _ in range(2)]
    x = draw(rng, (int(rng.integers(1, 3)), groups * inputs, *sizes), kinds[0], top)
    w = draw(rng, (outputs, inputs, *kernel), kinds[1], top)
    return x, w, groups, f"{kinds[0]} by {kinds[1]}, {x.shape} by {w.shape}"


def exact(x: Any, w: Any, groups: int) -> tuple[Any, Any, Any]:
    """The sums and S in double precision, and what the sums can be off by there."""
    once = (1,) * (x.ndim - 2)
    x, w = x.astype(np.float64), w.astype(np.float64)
    sums = correlate(x, w, once, once, groups)
    sizes = correlate(np.abs(x), np.abs(w), once, once, groups)
    return sums, sizes, gamma(w[0].size + 2) * sizes


def scalings(rng: np.random.Generator, axis: Matrices) -> Matrices:
    """The matrices of an axis as some library may have them, or as none has."""
    ones = np.ones(len(axis.image))
    # What G was divided by: its first column is 1 / N, but for the point at infinity.
    divisors = np.append(1 / axis.filter[:-1, 0], 1.0)
    how = rng.integers(5)
    if how == 1:
        return rescaled(axis, np.maximum(np.abs(divisors), 1), ones)  # A is divided
    if how == 2 and np.abs(divisors).max() <= 16:
        return rescaled(axis, divisors, 1 / divisors)  # B is
    if how == 3:
        return rescaled(axis, rng.choice([1, 2, 16, 32], len(ones)), ones)
    if how == 4:
        factors = rng.choice([1, -1, 3, 6, 9 / 2, 45 / 32, 7.5, 15], len(ones))
        return rescaled(axis, factors, 1 / factors if rng.random() < 0.5 else ones)
    return axis


def attack_winograd(rng: np.random.Generator, tally: Tally, name: str) -> None:
    half = rng.random() < 0.15
    length = int(rng.choice(sorted(POINTS)))
    rank = int(rng.choice([1, 2, 2, 2, 3]))
    kernel = tuple(int(rng.choice([r for r in (3, 5) if r < length])) for _ in range(rank))
    if rank == 3:
        kernel = (3, *(int(k) for k in rng.choice([1, 3], 2)))
    tiles = tuple(1 if rng.random() < 0.15 or r == 1 else length - r + 1 for r in kernel)
    points = POINTS[length][int(rng.integers(len(POINTS[length])))]
    x, w, groups, words = drawn(rng, kernel, 13 if rank < 3 else 6, 1.0 if half else 8.0)
    dtype, unit, tiny = np.float32, FLOAT32.unit, FLOAT32.tiny
    if half:
        x, w = x.astype(np.float16).astype(np.float32), w.astype(np.float16).astype(np.float32)
        dtype, unit, tiny = np.float16, FLOAT16.unit, FLOAT16.tiny
    sums, _, slack = exact(x, w, groups)
    bound = winograd_bound(x, w, tiles, points=points, groups=groups, unit=unit, underflow=tiny)
    axes = [matrices(m, r, points if m > 1 else ()) for m, r in zip(tiles, kernel, strict=True)]
    kind = f"Winograd, T = {length}, {dtype.__name__}"
    for _ in range(RUNS):
        flushed = not half and bool(rng.random() < 0.3)
        made = winograd(
            x,
            w,
            [scalings(rng, axis) if axis.tile > 1 else axis for axis in axes],
            arithmetic=Arithmetic(dtype, bool(rng.random() < 0.3), flushed),
            begins=[int(rng.integers(m)) for m in tiles],
            groups=groups,
            order=rng if rng.random() < 0.5 else None,
        )
        judge(tally, kind, f"{name}: {words}, m {tiles}, {points}", made, sums, bound + slack)


def judge(tally: Tally, kind: str, words: str, made: Any, sums: Any, bound: Any) -> None:
    """Count one result, and whether any of its elements is beyond the bound."""
    if not np.isfinite(made).all():
        tally.skipped += 1  # it overflowed: no bound speaks of that
        return
    tally.results += 1
    tally.elements += made.size
    off = np.abs(made - sums)
    ratio = float(np.max(np.divide(off, bound, out=np.where(off > 0, np.inf, 0), where=bound > 0)))
    tally.ratios[kind].append(ratio)
    if not ratio <= 1:
        tally.beyond.append(f"{kind}, {words}: {ratio:.3g} times the bound")


def products(x: Any, w: Any, groups: int) -> Any:
    """Every product of every output, exactly: (N,O,*out,terms), in float64."""
    window = np.lib.stride_tricks.sliding_window_view
    rank = x.ndim - 2
    seen = window(x.astype(np.float64), w.shape[2:], axis=tuple(range(2, x.ndim)))
    seen = seen.reshape(len(x), groups, 1, -1, *seen.shape[2:])
    bank = w.astype(np.float64).reshape(1, groups, -1, w.shape[1], *(1,) * rank, *w.shape[2:])
    both = seen * bank  # (N,G,O,C,*out,*F)
    both = np.moveaxis(both, 3, 3 + rank)
    return both.reshape(len(x), len(w), *both.shape[3 : 3 + rank], -1)


def rounded(values: Any, bits: int, cut: bool = False) -> Any:
    """Numbers with so many significant bits, to nearest even or cut off, in float64."""
    mantissa, exponent = np.frexp(values)
    scaled = np.ldexp(mantissa, bits)
    return np.ldexp(np.trunc(scaled) if cut else np.rint(scaled), exponent - bits)


BITS = {"float32": 24, "tf32": 11, "float16": 11, "bfloat16": 8}


def held(values: Any, form: Format, cut: bool = False) -> Any:
    """Numbers as the format holds them; what is below its normal range is flushed, or coarser."""
    kept = rounded(values, BITS[form.name], cut)
    if form is FLOAT16:
        coarse = values * 2.0**24
        coarse = (np.trunc(coarse) if cut else np.rint(coarse)) * 2.0**-24
        return np.where(np.abs(values) < 2.0**-14, coarse, kept)
    return np.where(np.abs(values) < form.tiny, 0.0, kept)


def accumulated(
    terms: Any, form: Format, rng: np.random.Generator, *, cut: bool = False, order: str = "one"
) -> Any:
    """Products summed along the last axis in a format: one by one, in pairs, or in blocks."""
    terms = terms[..., rng.permutation(terms.shape[-1])]
    if rng.random() < 0.5:
        terms = held(terms, form, cut)
    if order == "pairs":
        while terms.shape[-1] > 1:
            odd = terms[..., terms.shape[-1] // 2 * 2 :]
            paired = held(terms[..., 0:-1:2] + terms[..., 1::2], form, cut)
            terms = np.concatenate([paired, odd], axis=-1)
        return held(terms[..., 0], form, cut)
    total = np.zeros(terms.shape[:-1])
    block = terms.shape[-1] if order == "one" else int(rng.integers(1, 9))
    for first in range(0, terms.shape[-1], block):
        part = np.zeros(terms.shape[:-1])
        for term in np.moveaxis(terms[..., first : first + block], -1, 0):
            part = held(part + term, form, cut)
        total = held(total + part, form, cut)
    return total


ORDERS = ("one", "pairs", "blocks")


def attack_sums(rng: np.random.Generator, tally: Tally, name: str) -> None:
    """Sums whose operands, accumulators or both have few bits."""
    kernel = tuple(int(k) for k in rng.integers(1, 4, int(rng.integers(1, 3))))
    form = (FLOAT32, TF32, BFLOAT16, FLOAT16)[int(rng.integers(4))]
    x, w, groups, words = drawn(rng, kernel, 4, 1.0 if form is FLOAT16 else 8.0)
    sums, sizes, slack = exact(x, w, groups)
    terms = w[0].size
    exactly = products(x, w, groups)
    for run in range(RUNS):
        order, cut = str(rng.choice(ORDERS)), bool(rng.random() < 0.3)
        if form is FLOAT32 or run % 2:
            # Cut off, a rounding is as much as two unit roundoffs.
            unit = Format(form.name, form.unit * (1 + cut), form.tiny)
            made = accumulated(exactly, form, rng, cut=cut, order=order)
            kind = f"sums in {form.name}"
            bound = accumulator_bound(sizes, terms, unit)
            if not cut and form is not FLOAT32:
                probable = probable_bound(sizes, terms, form, failure=1e-9)
                judge(tally, f"{kind}, probable", words, made, sums, probable + slack)
        else:
            few = [held(a.astype(np.float64), form, cut) for a in (x, w)]
            made = accumulated(products(*few, groups), FLOAT32, rng, order=order)
            kind = f"operands in {form.name}"
            largest = float(np.abs(x).max() + np.abs(w).max())
            bound = operands_bound(sizes, terms, form, largest=largest)
        judge(tally, kind, f"{name}: {words}, {order}", made, sums, bound + slack)


def attack_fft(rng: np.random.Generator, tally: Tally, name: str) -> None:
    kernel = tuple(int(k) for k in rng.integers(1, 6, int(rng.integers(1, 4))))
    x, w, groups, words = drawn(rng, kernel, 12 if len(kernel) < 3 else 5, 8.0)
    sums, sizes, slack = exact(x, w, groups)
    once = (1,) * len(kernel)
    (by_fft,) = (
        a for a in algorithms(Problem(x, w, sizes, once, once, groups)) if a.name == "an FFT"
    )
    bound = by_fft.bound(Problem(x, w, sizes, once, once, groups))
    axes = tuple(range(-len(kernel), 0))
    for _ in range(RUNS):
        least = [n + int(rng.integers(0, 5)) for n in x.shape[2:]]
        lengths = [fft.next_fast_len(n, real=True) for n in least]
        image = fft.rfftn(x, lengths, axes).reshape(
            len(x), groups, 1, w.shape[1], *lengths[:-1], -1
        )
        bank = fft.rfftn(w, lengths, axes).conj()
        bank = bank.reshape(1, groups, -1, *bank.shape[1:])
        summed = (image * bank).sum(axis=3)
        made = fft.irfftn(summed, lengths, axes).reshape(len(x), len(w), *lengths)
        made = made[(..., *(slice(n) for n in sums.shape[2:]))]
        judge(tally, "FFT in float32", f"{name}: {words}", made, sums, bound + slack)


def attack(results: int, seed: int = 0) -> Tally:
    """Draw problems, compute each in several ways, and count what comes of it."""
    tally = Tally()
    number = 0
    ways = (attack_winograd, attack_winograd, attack_winograd, attack_sums, attack_fft)
    with np.errstate(all="ignore"):
        while tally.results < results:
            rng = np.random.default_rng([seed, number])
            ways[number % len(ways)](rng, tally, f"{seed}:{number}")
            number += 1
    return tally


def main(results: int = 100_000, seed: int = 0) -> int:
    """Attack, and print what came of it."""
    started = time.perf_counter()
    tally = attack(results, seed)
    seconds = time.perf_counter() - started
    print(f"{tally.results} right results, {tally.elements} elements, seed {seed}, {seconds:.0f} s")
    print(f"  {tally.skipped} more overflowed, of which no bound speaks")
    print(f"  {len(tally.beyond)} beyond their bound")
    print(f"|error| / bound {'median':>24} {'99 %':>9} {'max':>9} {'results':>8}")
    for kind, ratios in sorted(tally.ratios.items()):
        median, most, worst = np.quantile(ratios, [0.5, 0.99, 1])
        print(f"  {kind:28} {median:9.2g} {most:9.2g} {worst:9.2g} {len(ratios):8}")
    for words in tally.beyond[:20]:
        print("BEYOND", words)
    return 1 if tally.beyond else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
