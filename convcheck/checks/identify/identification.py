"""Which conventions give an output from an image and filters; never an arbitrary winner."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.audit import AuditResult, audit
from convcheck.checks.identify.ambiguity import degenerate, only_copies, why_ambiguous
from convcheck.checks.identify.axes import (
    MAX_DILATION,
    MAX_OUTSIDE,
    MAX_STRIDE,
    VERY_LONG,
)
from convcheck.checks.identify.classes import (
    classes,
    complexity,
    telling_probe,
)
from convcheck.checks.identify.expectation import agrees, meets
from convcheck.checks.identify.exploration import explore, is_luck, is_near, untold
from convcheck.checks.identify.fit import beyond_the_edge, same_on_this_data
from convcheck.checks.identify.nearest import Miss, miss_of, where
from convcheck.checks.identify.readings import readings
from convcheck.checks.identify.solving import afterwards
from convcheck.checks.identify.stages import MANY, SAMPLES, telling
from convcheck.checks.identify.windows import plainer
from convcheck.checks.inputs import check_numbers, not_finite, shape_text
from convcheck.checks.sums import Problem
from convcheck.convention import PRECISIONS, Convention
from convcheck.engine import to_axes
from convcheck.errors import ExitCode, InputError
from convcheck.rounding import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from convcheck.checks.identify.search import Found
    from convcheck.checks.identify.tally import Confirmed
    from convcheck.checks.tiles import Progress
    from convcheck.comparison import Comparison
    from convcheck.pool import Workers

Array = NDArray[Any]

FEW = 4
"""So many fits are looked at in other orders of the channels."""


@dataclass(frozen=True)
class Candidate:
    """A convention and how the output fares under it; indices are the output's own.

    ``where`` says in words where the elements lie that it does not give.
    """

    convention: Convention
    comparison: Comparison
    where: str | None = None


@dataclass(frozen=True)
class IdentifyResult:
    """The answer: ``identified``, ``ambiguous``, ``near-match`` or ``unexplained``.

    ``candidates`` explain the output, the simplest first, one for each class of conventions that
    are the same operation; a near match has its one candidate there too. ``nearest`` is the best
    that could be found where nothing explains the output.
    """

    verdict: str
    candidates: tuple[Candidate, ...]
    nearest: Miss | None
    hypotheses: int
    elapsed: float
    reasons: tuple[str, ...]
    remedy: str | None
    expect: Mapping[str, Any] | None
    expect_met: bool | None
    strict: bool
    warnings: tuple[str, ...]
    audit: AuditResult | None = None
    """What else the data cannot tell, where it is too blind for one answer."""

    @property
    def exit_code(self) -> ExitCode:
        """0 where the output is explained, and as it was expected to be."""
        explained = self.verdict == "identified" or (
            self.verdict == "ambiguous" and not self.strict
        )
        return ExitCode.OK if explained and self.expect_met is not False else ExitCode.FAILED


def identify(
    image: Array,
    filters: Array,
    output: Array,
    *,
    expect: Mapping[str, Any] | None = None,
    strict: bool = False,
    ignore_nonfinite: bool = False,
    progress: Progress | None = None,
    workers: Workers | None = None,
    memory: int | None = None,
) -> IdentifyResult:
    """Name the convention under which ``image`` and ``filters`` give ``output``.

    Args:
        image: 2 to 4 axes, in any layout of the vocabulary.
        filters: 2 to 4 axes, likewise.
        output: 2 to 4 axes, likewise.
        expect: keys of a convention that the answer must have.
        strict: several conventions that explain the output do not count as an answer.
        ignore_nonfinite: judge the finite elements of an output that has others.
        progress: told how far the search is, and of every part of a large output that was judged.
        workers: who judges the parts of a large output; this process, where it is None.
        memory: bytes that they all may take beside the arrays, 256 MiB by default.

    Raises:
        InputError: arrays that hold no finite numbers, or shapes that no convention connects.
    """
    # Numbers near the ends of float64 may overflow on a wrong track; they then fit nothing.
    with np.errstate(all="ignore"):
        return _identify(
            image, filters, output, expect, strict, ignore_nonfinite, progress, workers, memory
        )


def _identify(
    image: Array,
    filters: Array,
    output: Array,
    expect: Mapping[str, Any] | None,
    strict: bool,
    ignore_nonfinite: bool,
    progress: Progress | None,
    workers: Workers | None,
    memory: int | None,
) -> IdentifyResult:
    begun = time.perf_counter()
    image, filters, output = np.asarray(image), np.asarray(filters), np.asarray(output)
    warnings = _check(image, filters, output, ignore_nonfinite)
    if output.dtype.kind != "c" and "c" in (image.dtype.kind, filters.dtype.kind):
        output = output.astype(np.complex128)
    found = list(readings(image, filters, output))
    if not found:
        raise _no_reading(image, filters, output)
    problem = Problem.of(image, filters, output, progress, workers, memory)
    said = degenerate(problem)
    # A constant filter still tells one place from another, zeros tell nothing.
    mute = any(not reason.startswith("W is constant") for reason in said)
    explored = explore(problem, found, mute=mute)
    fits, hypotheses, crowded = explored.fits, explored.hypotheses, explored.crowded
    if not hypotheses:
        raise _no_size(image, filters, output)
    if explored.early:
        warnings += ("the search ended early: not all rare conventions were tried",)
    right = [fit for fit in fits if not fit.misses]
    explaining = _simplest([*right, *untold(problem, right[:FEW])])
    if explaining:
        fitted = {fit.convention: fit for fit in explaining}
        for fit in list(fitted.values()) if len(fitted) < MANY else ():
            for other in same_on_this_data(problem, fit.convention):
                fitted.setdefault(other, replace(fit, convention=other))
            for another in beyond_the_edge(problem, fit):
                fitted.setdefault(another.convention, another)
        groups = classes(problem, fitted)
        crowded |= len(groups) > MANY
        crowded |= any(is_luck(fitted[group[0]], output, hypotheses) for group in groups)
        crowded |= any(only_copies(problem, group[0]) for group in groups)
        candidates = tuple(
            _candidate(_plainer(problem, fitted[group[0]])) for group in groups[:MANY]
        )
        alone = len(groups) == 1 and not crowded and not mute
        verdict, miss = ("identified" if alone else "ambiguous"), None
    else:
        near = [] if mute else [fit for fit in fits if is_near(fit, hypotheses)]
        verdict, candidates, miss = _unexplained(problem, explored.closest, near)
        warnings += (*said, *(_too_few(found[0].output) if verdict == "unexplained" else ()))
    warnings += tuple(_silent(problem, candidates))
    reasons: tuple[str, ...] = ()
    remedy = blindness = None
    if verdict == "ambiguous":
        reasons, remedy = why_ambiguous(problem, [c.convention for c in candidates], crowded)
        blindness = audit(image, filters, candidates[0].convention.to_dict(), propose=False)
    return IdentifyResult(
        verdict=verdict,
        candidates=candidates,
        nearest=miss,
        hypotheses=hypotheses,
        elapsed=time.perf_counter() - begun,
        reasons=reasons,
        remedy=remedy,
        expect=expect,
        expect_met=None if expect is None else _meets(problem, candidates, expect),
        strict=strict,
        warnings=warnings,
        audit=blindness,
    )


def _simplest(explaining: list[Confirmed]) -> list[Confirmed]:
    """Those that need the least: the finest arithmetic, then the least done after the sums."""
    if not explaining:
        return []

    def need(fit: Confirmed) -> tuple[float, int]:
        return (PRECISIONS.get(fit.convention.arithmetic, 0.0), afterwards(fit.convention))

    least = min(map(need, explaining))
    return [fit for fit in explaining if need(fit) == least]


def _plainer(problem: Problem, fit: Confirmed) -> Confirmed:
    """The same in plainer words: few samples may be met by zeros between them, or by a stride."""
    if max(fit.convention.input_dilation) == 1:
        return fit
    return replace(fit, convention=plainer(problem, fit.convention))


def _candidate(fit: Confirmed) -> Candidate:
    return Candidate(fit.convention, fit.tally.comparison, where(fit) if fit.misses else None)


def _unexplained(
    problem: Problem, closest: Found | None, near: Sequence[Confirmed]
) -> tuple[str, tuple[Candidate, ...], Miss | None]:
    if near:
        best = min(near, key=lambda fit: (fit.misses, complexity(fit.convention)))
        return "near-match", (_candidate(best),), None
    return "unexplained", (), None if closest is None else miss_of(problem, closest)


def _too_few(output: Array) -> Iterator[str]:
    """Of an output (N,O,H,W) with so little in it that what made it may have been missed."""
    marks = telling(output)
    told = sum(int(np.count_nonzero(marks(part))) for part in blocks(output))
    if told < SAMPLES:
        cut = " that were not cut off at zero or at a limit" if told < output.size else ""
        yield (
            f"OUT has only {told} elements{cut}: with so few, the convention that made it can be "
            f"missed; an output with {SAMPLES} or more tells"
        )


def _silent(problem: Problem, candidates: Sequence[Candidate]) -> Iterator[str]:
    """Of output channels without a number that was not cut off: ReLU's work, or nobody's."""
    convention = candidates[0].convention if candidates else None
    if convention is None:
        return
    output = to_axes(problem.output, convention.output_layout, "NOHW")
    how, _, kind = convention.arithmetic.partition(":")
    limits = (np.iinfo(kind).min, np.iinfo(kind).max) if how == "saturate" else ()
    bias = convention.bias if convention.activation == "relu" else None
    for o in range(output.shape[1]):
        first = output[0, o, 0, 0]
        if first in limits and (output[:, o] == first).all():
            yield (
                f"output channel {o} of OUT is {int(first)} throughout, an end of {kind}: many "
                "biases make it so, and so does a channel that was filled with it"
            )
        elif bias is not None and not (output[:, o] > 0).any():
            yield (
                f"output channel {o} of OUT is zero throughout: any bias of at most {bias[o]:g} "
                "makes it so under ReLU, and so does a channel that was never written"
            )


def _meets(problem: Problem, result: Sequence[Candidate], expect: Mapping[str, Any]) -> bool:
    # Of an only answer the operation must be the expected one; of several, the expected one must
    # give this output.
    data = telling_probe(problem) if len(result) == 1 else problem
    return any(
        agrees(problem, c.convention, c.comparison.max_abs_diff, expect)
        and meets(data, c.convention, expect)
        for c in result
    )


def _check(image: Array, filters: Array, output: Array, ignore_nonfinite: bool) -> tuple[str, ...]:
    check_numbers("IMG", image)
    check_numbers("W", filters)
    for operand, array in (("IMG", image), ("W", filters), ("OUT", output)):
        if array.ndim not in (2, 3, 4):
            raise InputError(
                f"{operand} has the wrong number of axes",
                got=f"shape {shape_text(array.shape)}, {array.ndim} axes",
                expected="2 to 4 axes: batch, channels, rows, columns in some order",
            )
    bad = None
    if ignore_nonfinite and output.dtype.kind in "fc" and output.size:
        bad = not_finite(output)
    if bad is None:
        check_numbers("OUT", output, hint="judge the rest with --ignore-nonfinite")
        return ()
    count, first = bad
    if count == output.size:
        raise InputError(
            "OUT holds no finite value",
            got=f"{count} of {count} elements are NaN or infinite",
            expected="some finite elements to judge",
        )
    warning = (
        f"{count} of {output.size} elements of OUT are NaN or infinite, the first at "
        f"{first}; the others are judged"
    )
    return (warning,)


def _no_reading(image: Array, filters: Array, output: Array) -> InputError:
    """Which constraint no layout, grouping or batch satisfies."""
    return InputError(
        "no convention connects these shapes",
        got=f"IMG {shape_text(image.shape)}, W {shape_text(filters.shape)}, "
        f"OUT {shape_text(output.shape)}",
        expected="the image's channels equal to those of a filter (or of its groups together), and "
        "as many output channels as there are filters, in some order of the axes",
        hint=_mismatched_axis(image, filters, output),
    )


def _no_size(image: Array, filters: Array, output: Array) -> InputError:
    """Channels and filters fit, but the output's rows or columns do not."""
    return InputError(
        "no stride, dilation or padding of the vocabulary gives OUT its size",
        got=f"IMG {shape_text(image.shape)}, W {shape_text(filters.shape)}, "
        f"OUT {shape_text(output.shape)}",
        expected="rows and columns for each of which a window still meets the image, or misses "
        f"it by no more than {MAX_OUTSIDE}, at a stride or an input dilation of at most "
        f"{MAX_STRIDE}, or as long as a kernel of up to {VERY_LONG}, and a dilation of at most "
        f"{MAX_DILATION}",
        hint="the sizes of channels and filters do fit: check whether OUT was cropped, resized or "
        "stitched together, or is the output of several layers",
    )


def _mismatched_axis(image: Array, filters: Array, output: Array) -> str:
    if _is_one_dimensional(image, filters, output):
        return (
            "for a 1-D convolution give each array one row, as by array[..., None, :] in NumPy: "
            f"IMG {_one_row(image)}, W {_one_row(filters)}, OUT {_one_row(output)}"
        )
    if not set(filters.shape) & set(image.shape) and filters.ndim > 2 and 1 not in filters.shape:
        return "no axis of W is as long as an axis of IMG, so none can be the channels of both"
    if filters.ndim == 4 and not set(filters.shape) & set(output.shape):
        return "no axis of W is as long as an axis of OUT, so none can count the filters"
    if filters.ndim == 3 and output.ndim > 2 and 1 not in output.shape:
        return "W is one filter and gives one output channel: save a bank as (K, C, Fh, Fw)"
    return "check which file is which, and whether OUT was cut or transposed"


def _is_one_dimensional(image: Array, filters: Array, output: Array) -> bool:
    """Whether these can be (N,C,L) or (C,L), filters (O,I,k), and (N,O,L') or (O,L')."""
    if filters.ndim != 3 or not {image.ndim, output.ndim} <= {2, 3}:
        return False
    (*batch, channels, _), (*results, count, _) = image.shape, output.shape
    filling = channels % filters.shape[1] == 0
    return math.prod(batch) == math.prod(results) and filling and count == filters.shape[0]


def _one_row(array: Array) -> str:
    return shape_text((*array.shape[:-1], 1, array.shape[-1]))
