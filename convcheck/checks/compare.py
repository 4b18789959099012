"""Which decomposition of a convolution equals scipy's N-D convolution, with proof."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.blindness import Blindness, why_equal
from convcheck.checks.inputs import image_and_bank
from convcheck.comparison import Comparison, merge
from convcheck.comparison import compare as judge
from convcheck.convention import FLIP_AXES, NAMED
from convcheck.engine import correlate
from convcheck.errors import ExitCode, InputError
from convcheck.reference import NAME, Oracle
from convcheck.rounding import Arithmetic, choose_arithmetic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Array = NDArray[Any]

SLICE = 1 << 22
"""Output elements, over all rows of the table, that are held at a time."""

_FORMULAS = {
    "per-channel": "Σ_c conv2d(x[c], w[k,c])",
    "flipped": "Σ_c conv2d(x[c], w[k,C-1-c])",
    "correlation": "Σ_c correlate2d(x[c], w[k,c])",
}


@dataclass(frozen=True)
class Decomposition:
    """One row of the table: a way to compute the result channel by channel, and how it fared."""

    name: str
    formula: str
    flip: tuple[str, ...]
    comparison: Comparison

    @property
    def matches(self) -> bool:
        """Whether no element differs by more than rounding can explain."""
        return self.comparison.matches


@dataclass(frozen=True)
class CompareResult:
    """Which decompositions equal the oracle, and which the data cannot tell apart.

    ``shape`` is that of the output, (K, H-Fh+1, W-Fw+1); ``dtype`` is what both sides worked in;
    ``exact`` says that neither has any rounding error, so that thresholds are zero.
    """

    image_shape: tuple[int, ...]
    filters_shape: tuple[int, ...]
    method: str
    shape: tuple[int, ...]
    dtype: str
    exact: bool
    decompositions: tuple[Decomposition, ...]
    indistinguishable: tuple[Blindness, ...]
    expect: str | None
    strict: bool
    warnings: tuple[str, ...]

    @property
    def matching(self) -> tuple[str, ...]:
        """The names of the rows that equal the oracle."""
        return tuple(d.name for d in self.decompositions if d.matches)

    @property
    def verdict(self) -> str:
        """``match``, ``ambiguous`` or ``mismatch``."""
        if not self.matching or (self.expect is not None and self.expect not in self.matching):
            return "mismatch"
        return "ambiguous" if len(self.matching) > 1 else "match"

    @property
    def exit_code(self) -> ExitCode:
        """Whether the claim holds."""
        if self.verdict == "mismatch" or (self.verdict == "ambiguous" and self.strict):
            return ExitCode.FAILED
        return ExitCode.OK


def compare(
    image: Array,
    filters: Array,
    *,
    method: str = "auto",
    expect: str | None = None,
    all_flips: bool = False,
    strict: bool = False,
) -> CompareResult:
    """Judge each decomposition of the valid convolution against ``scipy.signal.convolve``.

    Args:
        image: (C,H,W), or (H,W) for one channel.
        filters: (K,C,Fh,Fw), (C,Fh,Fw) for one filter, (Fh,Fw) for one filter of one channel.
        method: scipy's ``auto``, ``direct`` or ``fft``.
        expect: the decomposition that is claimed to match; any, where it is None.
        all_flips: judge all eight flips of the filter's axes, not only the three named ones.
        strict: a match that the data cannot tell from another does not count.

    Raises:
        InputError: arrays or options that do not fit.
        OracleError: scipy failed.
    """
    rows = _rows(all_flips)
    if expect is not None and expect not in rows:
        raise InputError(
            f"no decomposition is named {expect!r}", expected=f"one of {', '.join(rows)}"
        )
    image, filters = np.asarray(image), np.asarray(filters)
    x, w = image_and_bank(image, filters)
    arithmetic = choose_arithmetic(x, w)
    parts = list(_judge_parts(x, w, arithmetic, method, rows))
    merged = [merge(p.rows[i] for p in parts) for i in range(len(rows))]
    decompositions = tuple(
        Decomposition(name, _formula(name, flip), flip, comparison)
        for (name, flip), comparison in zip(rows.items(), merged, strict=True)
    )
    exact = all(p.exact for p in parts)
    apart = frozenset().union(*(p.apart for p in parts))
    wrapped = sum(p.wrapped for p in parts)
    return CompareResult(
        image_shape=image.shape,
        filters_shape=filters.shape,
        method=parts[0].method,
        shape=(w.shape[0], x.shape[1] - w.shape[2] + 1, x.shape[2] - w.shape[3] + 1),
        dtype=str(arithmetic.dtype),
        exact=exact,
        decompositions=decompositions,
        indistinguishable=tuple(_indistinguishable(x, w, decompositions, apart, exact)),
        expect=expect,
        strict=strict,
        warnings=_dtype_warning(x, w, wrapped, merged[0].total),
    )


@dataclass(frozen=True)
class _Part:
    """What a slice of filters contributes; parts merge in any order."""

    rows: tuple[Comparison, ...]
    apart: frozenset[tuple[str, str]]
    wrapped: int
    exact: bool
    method: str


def _judge_parts(
    x: Array, w: Array, arithmetic: Arithmetic, method: str, rows: dict[str, tuple[str, ...]]
) -> Iterator[_Part]:
    out = (x.shape[1] - w.shape[2] + 1) * (x.shape[2] - w.shape[3] + 1)
    step = max(1, SLICE // (out * len(rows)))
    limits = _limits(x, w)
    worked = np.ascontiguousarray(arithmetic.cast(x))
    oracle = Oracle(worked, arithmetic.cast(w[0]), arithmetic, method)
    for first in range(0, len(w), step):
        part = arithmetic.cast(w[first : first + step])
        yield _judge_part(worked, part, first, oracle, rows, limits)


def _judge_part(
    x: Array,
    w: Array,
    first: int,
    oracle: Oracle,
    rows: dict[str, tuple[str, ...]],
    limits: tuple[int, int] | None,
) -> _Part:
    arithmetic = oracle.arithmetic
    references = [oracle(kernel) for kernel in w]
    expected = np.stack([r.values for r in references])
    values, sizes = _decompose(x, w, list(rows.values()))
    terms = int(np.prod(w.shape[1:]))
    bounds = [arithmetic.bound(size, terms) for size in sizes]
    oracle_size = sizes[list(rows).index("flipped")]
    oracle_bound = arithmetic.bound(oracle_size, terms)
    for k, r in enumerate(references):
        if r.bound is not None:
            oracle_bound[k] = r.bound
    origin = (first, 0, 0)
    apart = {
        (a, b)
        for (i, a), (j, b) in combinations(enumerate(rows), 2)
        if np.any(np.abs(values[i] - values[j]) > bounds[i] + bounds[j])
    }
    return _Part(
        rows=tuple(
            judge(v, expected, bound + oracle_bound, np.maximum(size, oracle_size), origin)
            for v, bound, size in zip(values, bounds, sizes, strict=True)
        ),
        apart=frozenset(apart),
        wrapped=_count_outside(expected, limits),
        exact=arithmetic.exact and not oracle_bound.any(),
        method=oracle.method,
    )


def _decompose(x: Array, w: Array, flips: Sequence[tuple[str, ...]]) -> tuple[Array, Array]:
    """Every row's values and S, (rows, K, Ho, Wo) each: all rows share the engine's windows."""
    bank = np.concatenate([np.flip(w, tuple(1 + "IHW".index(a) for a in flip)) for flip in flips])
    once = (1, 1)
    values = correlate(x[None], bank, once, once)[0]
    if x.dtype.kind != "c" and x.min() >= 0 and w.min() >= 0:
        sizes = values.astype(np.float64)
    else:
        sizes = correlate(_magnitudes(x)[None], _magnitudes(bank), once, once)[0]
    shape = (len(flips), len(w), *values.shape[1:])
    return values.reshape(shape), sizes.reshape(shape)


def _magnitudes(array: Array) -> Array:
    return np.abs(array).astype(np.float64, copy=False)


def _rows(all_flips: bool) -> dict[str, tuple[str, ...]]:
    """Name → flip, the named decompositions first."""
    rows = {name: convention.flip for name, convention in NAMED.items()}
    if all_flips:
        for size in range(len(FLIP_AXES) + 1):
            for flip in combinations(FLIP_AXES, size):
                if flip not in rows.values():
                    rows["flip-" + "".join(flip).lower()] = flip
    return rows


def _formula(name: str, flip: tuple[str, ...]) -> str:
    if name in _FORMULAS:
        return _FORMULAS[name]
    channel = "C-1-c" if "I" in flip else "c"
    spatial = {(): "", ("H",): ",::-1", ("W",): ",:,::-1", ("H", "W"): ",::-1,::-1"}[
        tuple(axis for axis in flip if axis != "I")
    ]
    return f"Σ_c correlate2d(x[c], w[k,{channel}{spatial}])"


def _indistinguishable(
    x: Array,
    w: Array,
    rows: Sequence[Decomposition],
    apart: frozenset[tuple[str, str]],
    exact: bool,
) -> Iterator[Blindness]:
    """Groups of rows that no element of the output tells apart, those that match first."""

    def same(a: Decomposition, b: Decomposition) -> bool:
        return (a.matches and b.matches) or apart.isdisjoint(((a.name, b.name), (b.name, a.name)))

    groups: list[list[Decomposition]] = []
    for row in sorted(rows, key=lambda row: not row.matches):
        home = next((g for g in groups if all(same(other, row) for other in g)), None)
        if home is None:
            groups.append([row])
        else:
            home.append(row)
    for group in groups:
        if len(group) > 1:
            names = tuple(row.name for row in group)
            if apart.isdisjoint(combinations(names, 2)):
                why = why_equal(x, w, [row.flip for row in group], exact)
            else:
                why = (
                    "scipy's FFT may be wrong by more than they differ",
                    "take --method direct, or numbers of about the same size",
                )
            yield Blindness(names, *why)


def _limits(x: Array, w: Array) -> tuple[int, int] | None:
    """What the dtype that scipy would compute in can hold; None where it cannot wrap."""
    dtype = np.result_type(x.dtype, w.dtype)
    if dtype.kind not in "iu":
        return None
    return (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _count_outside(values: Array, limits: tuple[int, int] | None) -> int:
    if limits is None:
        return 0
    return int(np.count_nonzero((values < limits[0]) | (values > limits[1])))


def _dtype_warning(x: Array, w: Array, wrapped: int, total: int) -> tuple[str, ...]:
    """What scipy would have made of the arrays in the dtype that they are stored in."""
    dtype = np.result_type(x.dtype, w.dtype)
    if dtype in (np.bool_, np.float16):
        trouble = f"does not take {dtype} arrays as they are, except by FFT"
    elif wrapped:
        trouble = (
            f"on the arrays as they are computes in {dtype} and would wrap modulo "
            f"2^{8 * dtype.itemsize} on {wrapped} of {total} elements"
        )
    else:
        return ()
    return (
        (
            f"{NAME} {trouble}; this report computed in wider numbers. Convert first: "
            "x.astype(float), w.astype(float)"
        ),
    )
