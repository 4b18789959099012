"""Which conventions give an output from an image and filters; never an arbitrary winner."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.audit import AuditResult, audit
from convcheck.checks.identify.ambiguity import degenerate, why_ambiguous
from convcheck.checks.identify.axes import (
    MAX_DILATION,
    MAX_INPUT_DILATION,
    MAX_OUTSIDE,
    MAX_STRIDE,
)
from convcheck.checks.identify.classes import (
    canonical,
    classes,
    complexity,
    signature,
    telling_probe,
)
from convcheck.checks.identify.expectation import meets
from convcheck.checks.identify.fit import confirm, same_on_this_data
from convcheck.checks.identify.flat import flat_fits
from convcheck.checks.identify.nearest import Miss, miss_of, nearest, where
from convcheck.checks.identify.readings import Reading, readings
from convcheck.checks.identify.search import CROWD
from convcheck.checks.identify.solving import afterwards
from convcheck.checks.identify.stages import MANY, passes, survey
from convcheck.checks.inputs import check_numbers, not_finite, shape_text
from convcheck.checks.sums import Problem
from convcheck.convention import PRECISIONS, Convention
from convcheck.errors import ExitCode, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convcheck.checks.identify.search import Found
    from convcheck.checks.identify.tally import Confirmed
    from convcheck.checks.tiles import Progress
    from convcheck.comparison import Comparison

Array = NDArray[Any]

ENOUGH = 150_000_000
"""Hypotheses after which no further pass over the space is begun."""
NEAR = 0.5
"""A convention that gives at least this share of the output is a near match."""

MARGIN = 10
"""Bits by which a near match must be more than luck."""


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
) -> IdentifyResult:
    """Name the convention under which ``image`` and ``filters`` give ``output``.

    Args:
        image: 2 to 4 axes, in any layout of the vocabulary.
        filters: 2 to 4 axes, likewise.
        output: 2 to 4 axes, likewise.
        expect: keys of a convention that the answer must have.
        strict: several conventions that explain the output do not count as an answer.
        ignore_nonfinite: judge the finite elements of an output that has others.
        progress: told of every part of a large output that was judged.

    Raises:
        InputError: arrays that hold no finite numbers, or shapes that no convention connects.
    """
    # Numbers near the ends of float64 may overflow on a wrong track; they then fit nothing.
    with np.errstate(all="ignore"):
        return _identify(image, filters, output, expect, strict, ignore_nonfinite, progress)


def _identify(
    image: Array,
    filters: Array,
    output: Array,
    expect: Mapping[str, Any] | None,
    strict: bool,
    ignore_nonfinite: bool,
    progress: Progress | None,
) -> IdentifyResult:
    begun = time.perf_counter()
    image, filters, output = np.asarray(image), np.asarray(filters), np.asarray(output)
    warnings = _check(image, filters, output, ignore_nonfinite)
    if output.dtype.kind != "c" and "c" in (image.dtype.kind, filters.dtype.kind):
        output = output.astype(np.complex128)
    found = list(readings(image, filters, output))
    if not found:
        raise _no_reading(image, filters, output)
    problem = Problem.of(image, filters, output, progress)
    fits: list[Confirmed] = []
    hypotheses, crowded = 0, False
    said = degenerate(problem)
    # A constant filter still tells one place from another, zeros tell nothing.
    mute = any(not reason.startswith("W is constant") for reason in said)
    common, rare = passes(output)
    closest = None
    known: dict[Convention, Confirmed | None] = {}
    for one in (*common, None, *rare):
        if hypotheses >= ENOUGH:
            break
        if one is None:
            # What correlates best may be right but for more defects than the samples bear.
            closest = None if mute else nearest(found)
            fits.extend(_confirmed(problem, [closest] if closest else [], known)[0])
            if any(_is_near(fit, hypotheses) for fit in fits):
                break
            continue
        seen = survey(one, found, ENOUGH - hypotheses, 4 * MANY if mute else CROWD)
        hypotheses += seen.considered
        for survivors in seen.found:
            some, crowd = _confirmed(problem, survivors, known)
            if one.outside:
                # So rare that a few elements are no evidence.
                some = [fit for fit in some if _is_near(fit, hypotheses)]
            fits.extend(some)
            if not all(fit.misses for fit in some):
                crowded = crowd
                break
        if any(fit.misses < 0.1 * output.size for fit in fits):
            break
    if not hypotheses:
        raise _no_size(image, filters, output)
    if hypotheses >= ENOUGH:
        warnings += ("the search ended early: not all rare conventions were tried",)
    if mute and all(fit.misses for fit in fits):
        fits.extend(flat_fits(problem, found))
        crowded = True
    explaining = _simplest([fit for fit in fits if not fit.misses])
    if explaining:
        fitted = {fit.convention: fit for fit in explaining}
        for fit in list(fitted.values()) if len(fitted) < MANY else ():
            for other in same_on_this_data(problem, fit.convention):
                fitted.setdefault(other, replace(fit, convention=other))
        groups = classes(problem, fitted)
        crowded |= len(groups) > MANY
        candidates = tuple(_candidate(fitted[group[0]]) for group in groups[:MANY])
        alone = len(groups) == 1 and not crowded
        verdict, miss = ("identified" if alone else "ambiguous"), None
    else:
        near = [] if mute else [fit for fit in fits if _is_near(fit, hypotheses)]
        verdict, candidates, miss = _unexplained(problem, closest, near)
        warnings += tuple(said)
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


def _confirmed(
    problem: Problem, found: Sequence[Found], known: dict[Convention, Confirmed | None]
) -> tuple[list[Confirmed], bool]:
    """The plainest of what a search found, confirmed over the output; whether there is more.

    ``known`` is what was confirmed before, and grows.
    """
    survivors: dict[Convention, Reading] = {}
    votes: dict[Convention, float] = {}
    for hypothesis in found:
        kernel = hypothesis.reading.filters.shape[2:]
        convention = canonical(hypothesis.convention, kernel)
        survivors.setdefault(convention, hypothesis.reading)
        votes[convention] = max(hypothesis.votes, votes.get(convention, 0.0))
    fits = []
    ordered = sorted(survivors, key=lambda c: (-votes[c], complexity(c)))
    if len(ordered) > 1:
        alike: dict[tuple[Any, ...], Convention] = {}
        for convention in ordered:
            alike.setdefault(signature(convention, survivors[convention]), convention)
        ordered = list(alike.values())
    for convention in ordered[:MANY]:
        if convention not in known:
            known[convention] = confirm(problem, convention, survivors[convention].output)
        fit = known[convention]
        if fit is not None:
            fits.append(fit)
    # What gives fewer of the samples than another is no rival of it.
    crowded = len(ordered) > MANY and votes[ordered[MANY]] == votes[ordered[0]]
    return fits, crowded


def _simplest(explaining: list[Confirmed]) -> list[Confirmed]:
    """Those that need the least: the finest arithmetic, then the least done after the sums."""
    if not explaining:
        return []

    def need(fit: Confirmed) -> tuple[float, int]:
        return (PRECISIONS.get(fit.convention.arithmetic, 0.0), afterwards(fit.convention))

    least = min(map(need, explaining))
    return [fit for fit in explaining if need(fit) == least]


def _candidate(fit: Confirmed) -> Candidate:
    return Candidate(fit.convention, fit.tally.comparison, where(fit) if fit.misses else None)


def _unexplained(
    problem: Problem, closest: Found | None, near: Sequence[Confirmed]
) -> tuple[str, tuple[Candidate, ...], Miss | None]:
    if near:
        best = min(near, key=lambda fit: (fit.misses, complexity(fit.convention)))
        return "near-match", (_candidate(best),), None
    return "unexplained", (), None if closest is None else miss_of(problem, closest)


def _is_near(fit: Confirmed, hypotheses: int) -> bool:
    """Whether a convention gives most of the output, of its telling elements too, and not by luck.

    Of so many hypotheses some give a few elements of any output.
    """
    considered, given = fit.tally.telling, fit.tally.given
    solved = (fit.convention.scale != 1) + len(fit.convention.bias or ())
    by_luck = math.log2(max(hypotheses, 1)) + _log2_choices(considered, given)
    return bool(
        given - solved >= 4
        and (given - solved) * fit.bits >= by_luck + MARGIN
        and given >= NEAR * considered
        and fit.misses <= (1 - NEAR) * fit.usable
    )


def _log2_choices(count: int, chosen: int) -> float:
    """In how many ways so many elements can be the right ones, as bits."""
    ways = math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)
    return ways / math.log(2)


def _meets(problem: Problem, result: Sequence[Candidate], expect: Mapping[str, Any]) -> bool:
    # Of an only answer the operation must be the expected one; of several, the expected one must
    # give this output.
    data = telling_probe(problem) if len(result) == 1 else problem
    return any(meets(data, c.convention, expect) for c in result)


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
        f"it by no more than {MAX_OUTSIDE}, at a stride of at most {MAX_STRIDE}, a dilation of at "
        f"most {MAX_DILATION} and an input dilation of at most {MAX_INPUT_DILATION}",
        hint="the sizes of channels and filters do fit: check whether OUT was cropped, resized or "
        "stitched together, or is the output of several layers",
    )


def _mismatched_axis(image: Array, filters: Array, output: Array) -> str:
    if not set(filters.shape) & set(image.shape) and filters.ndim > 2 and 1 not in filters.shape:
        return "no axis of W is as long as an axis of IMG, so none can be the channels of both"
    if filters.ndim == 4 and not set(filters.shape) & set(output.shape):
        return "no axis of W is as long as an axis of OUT, so none can count the filters"
    if filters.ndim == 3 and output.ndim > 2 and 1 not in output.shape:
        return "W is one filter and gives one output channel: save a bank as (K, C, Fh, Fw)"
    return "check which file is which, and whether OUT was cut or transposed"
