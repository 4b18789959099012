"""How a convolution may have been computed, and what each way can be off by.

One table for all that judge an output: the first of :func:`algorithms` that an output's errors keep
within is what can be said of how it was made, as "float32, within the bound of Winograd F(4,3), not
of a direct sum".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convcheck.few_bits import (
    FLOAT32,
    Format,
    accumulator_bound,
    operands_bound,
    probable_bound,
)
from convcheck.rounding import Array, fft_bound, largest_magnitude, norm
from convcheck.winograd import POINTS, winograd_bound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Floats = NDArray[np.float64]

TAPS = (3, 5)
"""The lengths of kernels that libraries have Winograd algorithms for."""
FAILURE = 1e-9
"""The probability that a right output is beyond a bound that is not proven, in any element."""


@dataclass(frozen=True)
class Problem:
    """One correlation of arrays that are arranged and padded, and the arithmetic it was made in.

    x is (N,C,*S), w (O,C/groups,*F), ``magnitude`` (N,O,*out) the same correlation of absolute
    values. ``roundings`` are those beyond its sums: of operands before, of a scale or bias after.
    ``operands`` is the format that both were rounded to, where that is narrower than the sums'.
    With ``window`` the outputs there alone are meant, and ``magnitude`` is of them; x has what lies
    around them, by a tile of Winograd's, and all that an FFT took.
    """

    x: Array
    w: Array
    magnitude: Floats
    stride: Sequence[int]
    dilation: Sequence[int]
    groups: int = 1
    arithmetic: Format = FLOAT32
    roundings: int = 0
    operands: Format | None = None
    window: Sequence[slice] | None = None

    @property
    def terms(self) -> int:
        """The products of one output."""
        return math.prod(self.w.shape[1:])

    @property
    def is_complex(self) -> bool:
        """Whether sums have a real and an imaginary part."""
        return "c" in (self.x.dtype.kind, self.w.dtype.kind)


@dataclass(frozen=True)
class Algorithm:
    """A way to compute, in words that go on from "within the bound of".

    ``bound`` gives what each element can be off by, (N,O,*out). ``failure`` is the probability that
    some element of a right output is beyond it all the same: 0 where it is proven.
    """

    name: str
    bound: Callable[[Problem], Floats]
    failure: float = 0.0


def algorithms(problem: Problem) -> list[Algorithm]:
    """Those that may have computed this, from what mostly allows the least to what allows the most.

    A probable bound stands only where accumulators have few bits: there the proven one allows
    nearly everything. Operands of few bits are summed directly: they are what tensor cores take.
    """
    few = problem.operands
    if few is not None:
        name = f"a direct sum of operands in {few.name}"
        return [Algorithm(name, lambda p: _few_bits(p, few))]
    ways = [Algorithm("a direct sum in any order", _direct)]
    if problem.arithmetic.unit > FLOAT32.unit:
        ways.insert(0, Algorithm("a direct sum, most probably", _probable, FAILURE))
    if set(problem.stride) | set(problem.dilation) == {1} and not problem.is_complex:
        ways += [_winograd(*way) for way in winograds(problem.w.shape[2:])]
    return [*ways, Algorithm("an FFT", _fft)]


def narrowest(error: Floats, problem: Problem) -> Algorithm | None:
    """The first algorithm that explains what every element is off by; None if none does."""
    for algorithm in algorithms(problem):
        if bool((np.abs(error) <= algorithm.bound(problem)).all()):  # NaN is within nothing
            return algorithm
    return None


def winograds(
    kernel: Sequence[int],
) -> Iterator[tuple[str, tuple[int, ...], tuple[float, ...]]]:
    """The Winograd algorithms for a kernel: each one's name, its tile for each axis, its points.

    Along one axis, with a direct sum along the others, and along all that have so many taps.
    """
    letters = "DHW"[-len(kernel) :]
    for length in sorted(POINTS):
        tiles = [length - r + 1 if r in TAPS and length > r else 1 for r in kernel]
        along = [axis for axis, m in enumerate(tiles) if m > 1]
        for points in POINTS[length]:
            which = "" if points is POINTS[length][0] else f" with points {_written(points)}"
            for axis in along if len(kernel) > 1 else []:
                one = tuple(m if at == axis else 1 for at, m in enumerate(tiles))
                name = f"F({tiles[axis]},{kernel[axis]}) along {letters[axis]}"
                yield f"Winograd {name}{which}", one, points
            if len(along) > 1 or len(kernel) == len(along) == 1:
                names = dict.fromkeys(f"F({tiles[axis]},{kernel[axis]})" for axis in along)
                yield f"Winograd {' by '.join(names)}{which}", tuple(tiles), points


def _written(points: Sequence[float]) -> str:
    """All points but infinity, which lie on both sides of 0."""
    return ", ".join(f"±{p:.3g}" if p else "0" for p in points if p >= 0)


def _direct(problem: Problem) -> Floats:
    return accumulator_bound(
        problem.magnitude,
        problem.terms,
        problem.arithmetic,
        roundings=problem.roundings,
        is_complex=problem.is_complex,
    )


def _few_bits(problem: Problem, operands: Format) -> Floats:
    return operands_bound(
        problem.magnitude,
        problem.terms + problem.roundings,
        operands,
        sums=problem.arithmetic,
        largest=largest_magnitude(problem.x) + largest_magnitude(problem.w),
    )


def _probable(problem: Problem) -> Floats:
    return probable_bound(
        problem.magnitude,
        problem.terms,
        problem.arithmetic,
        failure=FAILURE,
        roundings=problem.roundings,
    )


def _winograd(name: str, tiles: tuple[int, ...], points: tuple[float, ...]) -> Algorithm:
    def bound(problem: Problem) -> Floats:
        return winograd_bound(
            problem.x,
            problem.w,
            tiles,
            points=points,
            groups=problem.groups,
            roundings=problem.roundings,
            unit=problem.arithmetic.unit,
            underflow=problem.arithmetic.tiny,
            window=problem.window,
        )

    return Algorithm(name, bound)


def _fft(problem: Problem) -> Floats:
    """Of FFTs channel by channel, which are added before the way back, and in no few bits.

    By Cauchy and Schwarz the channels' norms multiply to no more than those of all together. Where
    an image is cut into tiles, both their norms and their lengths are smaller.
    """
    inputs = problem.w.shape[1]
    kernel = [(f - 1) * d + 1 for f, d in zip(problem.w.shape[2:], problem.dilation, strict=True)]
    sizes = [n + f for n, f in zip(problem.x.shape[2:], kernel, strict=True)]
    points = inputs * math.prod(2 ** math.ceil(math.log2(n)) for n in sizes)
    arithmetic = problem.arithmetic
    parts = [np.split(image, problem.groups) for image in problem.x]
    images = np.array([[norm(part) for part in image] for image in parts])
    filters = np.array([norm(w) for w in problem.w]).reshape(problem.groups, -1)
    each = [
        [
            fft_bound(
                image,
                size,
                points,
                roundings=problem.roundings + inputs,
                unit=min(arithmetic.unit, FLOAT32.unit),
                underflow=FLOAT32.tiny,
            )
            for image, sizes in zip(row, filters, strict=True)
            for size in sizes
        ]
        for row in images
    ]
    bounds = np.array(each).reshape(len(problem.x), len(problem.w))
    shape = problem.magnitude.shape
    flat = (slice(None), slice(None), *(None,) * (len(shape) - 2))
    return np.broadcast_to(bounds[flat], shape)
