"""Which convention makes an output from an image and filters: the cheapest explanation, weighed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import is_large
from convcheck.checks.identify.ambiguity import alike, degenerate, remedy, why
from convcheck.checks.identify.explore import (
    BUDGET,
    WORTH,
    Explored,
    explore,
    not_voted_for,
    said_in_less,
    solved_again,
)
from convcheck.checks.identify.forms import noisy
from convcheck.checks.identify.integers import left_open, multiplied
from convcheck.checks.identify.layouts import readings
from convcheck.checks.identify.nearest import Miss, miss_of
from convcheck.checks.identify.places import where
from convcheck.checks.identify.refusals import no_output, no_reading, no_size
from convcheck.checks.identify.whole import Held, hold
from convcheck.checks.inputs import check_numbers, shape_text
from convcheck.checks.sums import Problem
from convcheck.convention.channels import read_output, to_axes
from convcheck.errors import ExitCode, InputError
from convcheck.score import MARGIN, Score
from convcheck.traits import telling

if TYPE_CHECKING:
    from convcheck.checks.audit import AuditResult
    from convcheck.checks.identify.batch_norm import Normalized
    from convcheck.checks.identify.forms import Form
    from convcheck.checks.identify.norm import BatchNorm
    from convcheck.checks.tiles import Progress
    from convcheck.comparison import Comparison
    from convcheck.convention import Convention
    from convcheck.pool import Workers

Array = NDArray[Any]


@dataclass(frozen=True)
class Candidate:
    """A convention and how the output fares under it; indices are the output's own.

    ``wrong`` marks the elements that it does not give, in OUT's layout; None of an output that is
    too large to be held. ``where`` says in words where they lie, ``score`` what the explanation
    takes in bits, ``algorithm`` whose bound the residuals keep. ``form`` is what it was judged by.
    """

    convention: Convention
    comparison: Comparison
    score: Score
    wrong: Array | None = field(repr=False, default=None)
    where: str | None = None
    algorithm: str | None = None
    form: Form | None = field(repr=False, default=None)


@dataclass(frozen=True)
class IdentifyResult:
    """The answer: ``identified``, ``ambiguous``, ``near-match`` or ``unexplained``.

    ``candidates`` explain the output, the cheapest first, one for each class of conventions that
    are the same operation; a near match has its one candidate there too. ``nearest`` is the best
    that was found where nothing explains the output. ``hypotheses`` were considered in ``elapsed``
    seconds. ``reasons`` say why the data cannot tell candidates apart, and ``remedy`` what data
    would; of one that is identified, what makes no difference. ``expect_met`` says whether the
    answer is as ``expect`` claims, None where nothing is claimed.
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
    batch_norm: Normalized | None = None
    """What became of the batch normalization that was given; None where none was."""

    @property
    def as_claimed(self) -> bool:
        """Whether nothing that was claimed of the answer is otherwise."""
        normalized = self.batch_norm is None or self.batch_norm.holds is not False
        return self.expect_met is not False and normalized

    @property
    def exit_code(self) -> ExitCode:
        """0 where the output is explained, and as it was expected to be."""
        # What no image could tell with these filters, others would: that is no only answer.
        alone = self.verdict == "identified" and not self.reasons
        explained = alone or (self.verdict in ("identified", "ambiguous") and not self.strict)
        judged = self.batch_norm is None or self.batch_norm.holds is not None
        return ExitCode.OK if explained and judged and self.as_claimed else ExitCode.FAILED


@np.errstate(all="ignore")  # numbers near the ends of float64 may overflow, and then fit nothing
def identify(
    image: Array,
    filters: Array,
    output: Array,
    *,
    expect: Mapping[str, Any] | None = None,
    batch_norm: BatchNorm | None = None,
    strict: bool = False,
    budget: float | None = BUDGET,
    progress: Progress | None = None,
    workers: Workers | None = None,
    memory: int | None = None,
) -> IdentifyResult:
    """Name the convention under which ``image`` and ``filters`` give ``output``.

    Args:
        image: 1 to 5 axes, in any layout of the vocabulary.
        filters: 1 to 5 axes, likewise.
        output: 1 to 5 axes, likewise; NaN and infinities are exceptions like others.
        expect: keys of a convention that the answer must have.
        batch_norm: the scale and bias of the answer must be those of this one.
        strict: several conventions that explain the output do not count as an answer.
        budget: seconds after which the search ends; None for as long as it takes.
        progress: told how far the search is, and of every part of a large output that was judged.
        workers: who judges the parts of a large output; this process, where it is None.
        memory: bytes that they all may take beside the arrays, 256 MiB by default.

    Raises:
        InputError: arrays that hold no finite numbers, or shapes that no convention connects; a
            batch normalization that is none of the output's channels.
    """
    begun = time.perf_counter()
    image, filters, output = np.asarray(image), np.asarray(filters), np.asarray(output)
    _check(image, filters, output)
    norm = None if batch_norm is None else batch_norm.checked(output.shape)
    if output.dtype.kind != "c" and "c" in (image.dtype.kind, filters.dtype.kind):
        output = output.astype(np.complex128)
    no_output(image, filters, output)
    found = readings(image, filters, output)
    if not found:
        raise no_reading(image, filters, output)
    problem = Problem.of(image, filters, output, progress, workers, memory)
    explored = explore(problem, found, budget)
    if not explored.parts:
        raise no_size(image, filters, output)
    mute = degenerate(problem)
    held, answer = _answered(problem, explored, mute)
    miss = None
    if answer.verdict == "unexplained":
        miss = miss_of(problem, explored, found)
        if miss is not None and not_voted_for(problem, explored, miss.convention):
            held, answer = _answered(problem, explored, mute)
    warnings: tuple[str, ...] = ()
    if answer.verdict == "unexplained":
        warnings = (*mute, *_too_few(explored))
    elif answer.verdict == "identified" and held is not None:
        warnings = (*left_open(problem, held, explored.traits), *_roughly(problem, held, explored))
    if explored.left_out and answer.verdict != "identified":
        warnings += (f"the search ended early: {explored.left_out}",)
    candidates = answer.candidates
    expect_met = None
    if expect is not None:
        from convcheck.checks.identify.expectation import meets

        expect_met = any(meets(problem, c, expect, len(candidates) == 1) for c in candidates)
    normal = None if norm is None else _normalized(problem, answer, explored, norm)
    return IdentifyResult(
        verdict=answer.verdict,
        candidates=candidates,
        nearest=miss if answer.verdict == "unexplained" else None,
        hypotheses=explored.considered,
        elapsed=time.perf_counter() - begun,
        reasons=answer.reasons,
        remedy=answer.remedy,
        expect=expect,
        expect_met=expect_met,
        strict=strict,
        warnings=warnings,
        audit=answer.audit,
        batch_norm=normal,
    )


@dataclass(frozen=True)
class _Answer:
    """A verdict with what it rests on."""

    verdict: str = "unexplained"
    candidates: tuple[Candidate, ...] = ()
    reasons: tuple[str, ...] = ()
    remedy: str | None = None
    audit: AuditResult | None = None


def _answered(problem: Problem, explored: Explored, mute: list[str]) -> tuple[Held | None, _Answer]:
    """The best form by the whole output, and what it is worth as an answer."""
    held = _best(problem, explored)
    if held is None or not _is_worth(held, explored):
        return held, _Answer()
    if not held.wrong_count:
        return held, _explained(problem, held, explored, mute)
    if mute or noisy(problem, held.form, explored.traits):
        return held, _Answer()
    return held, _Answer("near-match", (_candidate(held),))


def _explained(problem: Problem, held: Held, explored: Explored, mute: list[str]) -> _Answer:
    """The answer where a form gives all of the output: alone, or with others that do."""
    others, equal, crowded = alike(problem, held, explored)
    candidates = tuple(_candidate(h) for h in (held, *others))
    conventions = [c.convention for c in candidates]
    if not others and not crowded and not mute:
        return _Answer("identified", candidates, why(problem, [held.convention, *equal], False))
    from convcheck.checks.audit import audit

    blindness = audit(problem.image, problem.filters, conventions[0].to_dict(), propose=False)
    reasons = why(problem, conventions, crowded)
    return _Answer("ambiguous", candidates, reasons, remedy(), blindness)


def _normalized(
    problem: Problem, answer: _Answer, explored: Explored, norm: BatchNorm
) -> Normalized:
    """What became of a batch normalization; not judged where no form gives all of the output."""
    from convcheck.checks.identify.batch_norm import normalized

    whole = answer.verdict in ("identified", "ambiguous")
    forms = [c.form for c in answer.candidates if c.form is not None] if whole else []
    return normalized(problem, forms, explored.traits, norm)


TELLING = 60
"""Elements with which a convention of the usual kinds is hardly missed."""


def _too_few(explored: Explored) -> Iterator[str]:
    """Of an output with so little in it that what made it may have been missed."""
    told = explored.traits.telling
    if told < TELLING:
        yield (
            f"OUT has only {told} elements that were not cut off: with so few, the convention that "
            f"made it can be missed; an output with {TELLING} or more tells"
        )


ROUGHLY = 8
"""Elements of an output channel with which its own numbers are known well."""


def _roughly(problem: Problem, held: Held, explored: Explored) -> Iterator[str]:
    """Which channels have numbers of their own, and hardly an element that was not cut off."""
    c = held.convention
    if not isinstance(c.scale, tuple) or is_large(problem) or explored.traits.is_complex:
        return
    y = to_axes(problem.output, c.output_layout, "NC" + c.spatial)
    told = telling(y, explored.traits.limits).sum(axis=(0, *range(2, y.ndim)))
    few = np.flatnonzero((told < ROUGHLY) & (told < y.size // y.shape[1])).tolist()
    if few:
        from convcheck.words.plain import listed

        which = f"channel{'s' * (len(few) > 1)} {listed(list(map(str, few)))}"
        yield (
            f"of output {which} fewer than {ROUGHLY} elements were not cut off: what scale and "
            "bias such a channel has is known roughly, or not at all"
        )


FULL = 3
"""So many forms are held to the whole output."""


def _best(problem: Problem, explored: Explored) -> Held | None:
    """Of the best forms by the samples the one that is the cheapest by the whole output."""
    best: Held | None = None
    for form in explored.forms[:FULL]:
        held = multiplied(problem, hold(problem, form, explored.traits), explored.traits)
        if best is None or held.score.total < best.score.total:
            best = held
        if not held.wrong_count:
            break
    if best is None:
        return None
    if best.convention.padding_value and best.convention.bias is not None:
        best = next(_as_offset(problem, best, explored), best)
    if best.wrong_count and best.wrong is not None:
        wrong = read_output(best.wrong, best.convention)
        others = (
            *solved_again(problem, explored, best.form, wrong),
            *said_in_less(problem, explored, best.form),
        )
        for other in others:
            again = multiplied(problem, hold(problem, other, explored.traits), explored.traits)
            best = again if again.score.total < best.score.total else best
    return best


def _as_offset(problem: Problem, best: Held, explored: Explored) -> Iterator[Held]:
    """The same operation as one with an offset of the image, which takes fewer keys to say.

    Which of the two has the plainer biases is luck.
    """
    value = best.convention.padding_value
    for form in explored.forms:
        c = form.convention
        bordered = c.replace(image_offset=0.0, padding_value=value, scale=1.0, bias=None)
        if c.image_offset == value and bordered == best.convention.replace(scale=1.0, bias=None):
            held = hold(problem, form, explored.traits)
            if held.wrong_count <= best.wrong_count:
                yield held


def _is_worth(held: Held, explored: Explored) -> bool:
    """Whether an explanation is shorter than the output, by more than luck among so many."""
    luck = math.log2(max(explored.considered, 2)) + MARGIN
    return held.score.gain > max(luck, WORTH * held.score.literal)


def _candidate(held: Held) -> Candidate:
    c, place = held.convention, where(held) if held.wrong_count else None
    return Candidate(c, held.comparison, held.score, held.wrong, place, held.algorithm, held.form)


def _check(image: Array, filters: Array, output: Array) -> None:
    check_numbers("IMG", image)
    check_numbers("W", filters)
    for operand, array in (("IMG", image), ("W", filters), ("OUT", output)):
        if not 1 <= array.ndim <= 5:
            raise InputError(
                f"{operand} has the wrong number of axes",
                got=f"shape {shape_text(array.shape)}, {array.ndim} axes",
                expected="1 to 5 axes: batch, channels and 1 to 3 spatial axes in some order",
            )
    if output.size == 0 or output.dtype.kind not in "biufc":
        check_numbers("OUT", output)
    if output.dtype.kind in "fc" and not np.isfinite(output).any():
        raise InputError(
            "OUT holds no finite value",
            got=f"{output.size} of {output.size} elements are NaN or infinite",
            expected="some finite elements to judge",
        )
