"""Which decomposition of a convolution equals scipy's N-D convolution, with proof."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.blindness import AXIS_WORDS, Blindness, why_equal
from convcheck.checks.inputs import image_and_bank, other_reading
from convcheck.checks.one_tile import Part, distinct, judge_tile
from convcheck.checks.tiles import parts, plan
from convcheck.convention import NAMED, SYNONYMS, named
from convcheck.convention.channels import spatial
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
    "per-channel": "Σ_c conv{rank}d(x[c], w[k,c])",
    "flipped": "Σ_c conv{rank}d(x[c], w[k,C-1-c])",
    "correlation": "Σ_c correlate{rank}d(x[c], w[k,c])",
}


@dataclass(frozen=True)
class Decomposition:
    """One row of the table: a way to compute the result channel by channel, and how it fared.

    Of the axes in ``flip`` those in ``operation`` are longer than one: reversing the others does
    nothing, and rows with the same ``operation`` are the same operation on these shapes.
    """

    name: str
    formula: str
    flip: tuple[str, ...]
    operation: tuple[str, ...]
    comparison: Comparison

    @property
    def matches(self) -> bool:
        """Whether no element differs by more than rounding can explain."""
        return self.comparison.matches


@dataclass(frozen=True)
class SameOperation:
    """Rows that no data of these shapes could tell apart, and the shapes' reason for it."""

    names: tuple[str, ...]
    because: str
    """It completes "the same operation": "on one channel"."""


@dataclass(frozen=True)
class CompareResult:
    """Which decompositions equal the oracle, and which the data cannot tell apart.

    ``rank`` is the number of spatial axes that the arrays were read with. ``shape`` is that of the
    output, (K,*S-F+1); ``dtype`` is what both sides worked in;
    ``exact`` says that neither has any rounding error, so that thresholds are zero.
    """

    image_shape: tuple[int, ...]
    filters_shape: tuple[int, ...]
    rank: int
    method: str
    shape: tuple[int, ...]
    dtype: str
    exact: bool
    decompositions: tuple[Decomposition, ...]
    same_operation: tuple[SameOperation, ...]
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
        operations = {d.operation for d in self.decompositions if d.matches}
        return "ambiguous" if len(operations) > 1 else "match"

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
    rank: int | None = None,
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
        image: (C,*S), or (*S) for one channel; S has 1, 2 or 3 axes.
        filters: (K,C,*F), (C,*F) for one filter, (*F) for one filter of one channel.
        rank: how many axes S and F have; None where the shapes are to tell, 2 where they can be
            read so.
        method: scipy's ``auto``, ``direct`` or ``fft``.
        expect: the decomposition that is claimed to match; any, where it is None.
        all_flips: judge every flip of the filter's axes, eight in 2-D, not the named ones alone.
        strict: a match that the data cannot tell from another does not count.
        memory: bytes that all processes may take beside the inputs, 256 MiB by default.
        workers: who computes the tiles of a large comparison; this process, where it is None.
        progress: told the plan, then of every tile that is done.

    Raises:
        InputError: arrays or options that do not fit.
        OracleError: scipy failed.
    """
    image, filters = np.asarray(image), np.asarray(filters)
    x, w = image_and_bank(image, filters, rank)
    letters = "I" + spatial(x.ndim - 1)
    rows = rows_of(x.ndim - 1, all_flips=all_flips)
    if expect is not None:
        expect = SYNONYMS.get(expect, expect)
        if expect not in rows:
            raise InputError(
                f"no decomposition is named {expect!r}", expected=f"one of {', '.join(rows)}"
            )
    axes = {name: tuple(map(letters.index, flip)) for name, flip in rows.items()}
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
    long = [axis for axis, length in zip(letters, w.shape[1:], strict=True) if length > 1]
    decompositions = tuple(
        Decomposition(
            name, _formula(name, flip, letters), flip, tuple(a for a in flip if a in long), judged
        )
        for (name, flip), judged in zip(rows.items(), total.rows, strict=True)
    )
    other = other_reading(image.shape, filters.shape) if rank is None and x.ndim == 3 else None
    return CompareResult(
        image_shape=image.shape,
        filters_shape=filters.shape,
        rank=x.ndim - 1,
        method=chosen,
        shape=(len(w), *(n - f + 1 for n, f in zip(x.shape[1:], w.shape[2:], strict=True))),
        dtype=str(arithmetic.dtype),
        exact=total.exact,
        decompositions=decompositions,
        same_operation=tuple(_same_operation(decompositions, x.ndim - 1)),
        # Of a part there is nothing to conclude, and whoever has interrupted does not wait for it.
        indistinguishable=()
        if interrupted
        else tuple(_indistinguishable(x, w, decompositions, total.apart, total.exact)),
        expect=expect,
        strict=strict,
        warnings=(
            *([] if other is None else [other]),
            *_dtype_warning(x, w, total.wrapped, total.rows[0].total),
        ),
        interrupted=interrupted,
    )


def rows_of(rank: int, *, all_flips: bool = False) -> dict[str, tuple[str, ...]]:
    """The rows over so many spatial axes, name → flip: the named decompositions, then all."""
    rows = {name: named(name, rank).flip for name in NAMED}
    axes = "I" + spatial(rank)
    if all_flips:
        for size in range(len(axes) + 1):
            for flip in combinations(axes, size):
                if flip not in rows.values():
                    rows["flip-" + "".join(flip).lower()] = flip
    return rows


def _formula(name: str, flip: tuple[str, ...], letters: str) -> str:
    rank = len(letters) - 1
    if name in _FORMULAS:
        return _FORMULAS[name].format(rank=rank)
    channel = "C-1-c" if "I" in flip else "c"
    last = max(letters.index(axis) for axis in flip)
    sliced = (",::-1" if axis in flip else ",:" for axis in letters[1 : last + 1])
    return f"Σ_c correlate{rank}d(x[c], w[k,{channel}{''.join(sliced)}])"


def _same_operation(rows: Sequence[Decomposition], rank: int) -> Iterator[SameOperation]:
    """Groups of rows that reverse the same axes, but for some of length one."""
    groups: dict[tuple[str, ...], list[Decomposition]] = {}
    for row in rows:
        groups.setdefault(row.operation, []).append(row)
    for group in groups.values():
        if len(group) > 1:
            either = frozenset[str]().union(*(row.flip for row in group))
            differ = [a for a in either if not all(a in row.flip for row in group)]
            yield SameOperation(tuple(row.name for row in group), _because(differ, rank))


def _because(short: Sequence[str], rank: int) -> str:
    """What axes of length one make of an operation."""
    kernel = [f"one {AXIS_WORDS[rank][axis]}" for axis in spatial(rank) if axis in short]
    said = ["on one channel"] if "I" in short else []
    return " ".join([*said, *([f"with kernels of {' and '.join(kernel)}"] if kernel else [])])


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
        if len({row.operation for row in group}) > 1:
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
