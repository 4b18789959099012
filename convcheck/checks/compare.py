"""Which decomposition of a convolution equals scipy's N-D convolution, with proof."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.blindness import Blindness, why_equal
from convcheck.checks.inputs import image_and_bank
from convcheck.checks.one_tile import Part, distinct, judge_tile
from convcheck.checks.tiles import parts, plan
from convcheck.convention import FLIP_AXES, NAMED
from convcheck.errors import ExitCode, InputError
from convcheck.pool import run
from convcheck.reference import NAME, choose_method
from convcheck.rounding import choose_arithmetic

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.checks.tiles import Progress
    from convcheck.comparison import Comparison
    from convcheck.pool import Workers

Array = NDArray[Any]

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
    interrupted: bool = False
    """Ctrl-C ended it: the result is of the elements that were judged until then."""

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
        if self.interrupted:
            return ExitCode.INTERRUPTED
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
    memory: int | None = None,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> CompareResult:
    """Judge each decomposition of the valid convolution against ``scipy.signal.convolve``.

    Args:
        image: (C,H,W), or (H,W) for one channel.
        filters: (K,C,Fh,Fw), (C,Fh,Fw) for one filter, (Fh,Fw) for one filter of one channel.
        method: scipy's ``auto``, ``direct`` or ``fft``.
        expect: the decomposition that is claimed to match; any, where it is None.
        all_flips: judge all eight flips of the filter's axes, not only the three named ones.
        strict: a match that the data cannot tell from another does not count.
        memory: bytes that all processes may take beside the inputs, 256 MiB by default.
        workers: who computes the tiles of a large comparison; this process, where it is None.
        progress: told the plan, then of every tile that is done.

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
    axes = {name: tuple(map(FLIP_AXES.index, flip)) for name, flip in rows.items()}
    arithmetic = choose_arithmetic(x, w)
    chosen = choose_method(x, w, arithmetic, method)
    prepared = plan(
        x.shape,
        w.shape,
        len(distinct(axes, w.shape)),
        complex_data=arithmetic.is_complex,
        direct=chosen == "direct",
        memory=memory,
        jobs=workers.jobs if workers else 1,
        remote=workers is not None and workers.remote,
    )
    if progress is not None:
        progress.begin(prepared)
    executor = None
    if workers and len(prepared.tiles) > 1:
        executor = workers.executor(prepared.jobs, prepared.seconds)
    same = (arithmetic, chosen, axes, _limits(x, w))
    work = ((*part, *same) for part in parts(x, w, prepared.tiles))
    total: Part | None = None
    interrupted = False
    try:
        for part in run(judge_tile, work, executor=executor, jobs=prepared.jobs):
            total = part if total is None else total + part
            if progress is not None:
                progress.advance()
    except KeyboardInterrupt:
        if total is None:
            raise
        interrupted = True
    if total is None:
        raise AssertionError("a comparison has at least one tile")
    decompositions = tuple(
        Decomposition(name, _formula(name, flip), flip, comparison)
        for (name, flip), comparison in zip(rows.items(), total.rows, strict=True)
    )
    return CompareResult(
        image_shape=image.shape,
        filters_shape=filters.shape,
        method=chosen,
        shape=(len(w), *(n - f + 1 for n, f in zip(x.shape[1:], w.shape[2:], strict=True))),
        dtype=str(arithmetic.dtype),
        exact=total.exact,
        decompositions=decompositions,
        # Of a part there is nothing to conclude, and whoever has interrupted does not wait for it.
        indistinguishable=()
        if interrupted
        else tuple(_indistinguishable(x, w, decompositions, total.apart, total.exact)),
        expect=expect,
        strict=strict,
        warnings=_dtype_warning(x, w, total.wrapped, total.rows[0].total),
        interrupted=interrupted,
    )


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
