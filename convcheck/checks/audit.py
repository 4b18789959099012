"""Which mistakes a test case's data cannot see, and the smallest change with which it would."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import areas, is_large, shape_of
from convcheck.checks.inputs import check_numbers, shape_text
from convcheck.checks.outcome import Step, alike_after
from convcheck.checks.sums import Linear, Problem
from convcheck.checks.unseen import why_after, why_unseen
from convcheck.convention import Convention, deviations, round_to, usual_convention
from convcheck.convention.deviations import axis_name
from convcheck.engine import finish
from convcheck.errors import ExitCode, InputError
from convcheck.rounding import largest_magnitude

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convcheck.checks.identify.norm import BatchNorm
    from convcheck.convention import Numbers
    from convcheck.convention.deviations import Deviation as Mistake

Array = NDArray[Any]

LARGEST = 1 << 28
"""Elements of an output that is looked at however small the image is."""


@dataclass(frozen=True)
class Deviation:
    """One mistake that an implementation could make, and whether the data would show it.

    ``reason`` says why the data does not show it, and is None where it does.
    """

    name: str
    what: str
    convention: Convention
    seen: bool
    reason: str | None


@dataclass(frozen=True)
class Proposal:
    """A case that sees more: what to change, and the arrays with the change made."""

    changes: tuple[str, ...]
    seen: int
    total: int
    image: Array = field(repr=False)
    filters: Array = field(repr=False)


@dataclass(frozen=True)
class AuditResult:
    """What one image and one bank can tell about an implementation of ``convention``."""

    convention: Convention
    deviations: tuple[Deviation, ...]
    proposal: Proposal | None
    min_score: float | None

    @property
    def seen(self) -> int:
        """How many of the deviations change the output."""
        return sum(d.seen for d in self.deviations)

    @property
    def total(self) -> int:
        """How many deviations fit the shapes."""
        return len(self.deviations)

    @property
    def blind_spots(self) -> tuple[Deviation, ...]:
        """The mistakes that the data cannot see."""
        return tuple(d for d in self.deviations if not d.seen)

    @property
    def score(self) -> float:
        """The share of the deviations that the data sees."""
        return self.seen / self.total if self.total else 0.0

    @property
    def verdict(self) -> str:
        """``sees-all`` or ``blind-spots``."""
        return "blind-spots" if self.blind_spots else "sees-all"

    @property
    def exit_code(self) -> ExitCode:
        """0 where everything is seen, or as much as ``min_score`` asks for."""
        enough = not self.blind_spots if self.min_score is None else self.score >= self.min_score
        return ExitCode.OK if enough else ExitCode.FAILED


def audit(
    image: Array,
    filters: Array,
    keys: Mapping[str, Any] | None = None,
    *,
    rank: int | None = None,
    batch_norm: BatchNorm | None = None,
    min_score: float | None = None,
    propose: bool = True,
) -> AuditResult:
    """Say which single deviations from a convention leave the output as it was.

    Args:
        image: (*S), (C,*S), or a batch (N,C,*S), unless ``keys`` say otherwise; S is 1 to 3 axes.
        filters: (*S), (I,*S) or (O,I,*S), unless ``keys`` say otherwise.
        keys: keys of the convention that the data is to test; a cross-correlation by default.
        rank: the number of spatial axes, where the shapes could be read twice.
        batch_norm: what follows the convolution; its usual mistakes are tried as well.
        min_score: the share of the mistakes that must be seen; all of them where it is None.
        propose: look for the smallest change with which all mistakes would be seen.

    Raises:
        InputError: arrays that the convention does not fit.
    """
    image, filters = np.asarray(image), np.asarray(filters)
    check_numbers("IMG", image)
    check_numbers("W", filters)
    convention = usual_convention(image.shape, filters.shape, keys, rank)
    more: tuple[Mistake, ...] = ()
    if batch_norm is not None:
        from convcheck.checks.normalized import normalized

        outputs = shape_of(Problem.of(image, filters, np.zeros(1)), convention)[1]
        convention, more = normalized(convention, batch_norm.checked((outputs,)))
    judged = _audit(image, filters, convention, more)
    result = AuditResult(convention, judged, None, min_score)
    if propose and result.blind_spots:
        proposal = _propose(image, filters, result, more)
        result = AuditResult(convention, judged, proposal, min_score)
    return result


def _audit(
    image: Array, filters: Array, convention: Convention, more: Sequence[Mistake]
) -> tuple[Deviation, ...]:
    problem = Problem.of(image, filters, np.zeros(1))
    shape = shape_of(problem, convention)
    if math.prod(shape) > max(LARGEST, 64 * image.size * shape[1]):
        raise InputError(
            "the convention makes an output out of all proportion",
            got=f"{shape_text(shape)} (N, C, {', '.join(convention.spatial)}) out of an image of "
            f"{shape_text(image.shape)}",
            expected=f"no more than {LARGEST} elements, or 64 for each of the image's and filter",
            hint="look at its padding and input_dilation",
        )
    storage = convention.storage
    if problem.arithmetic.is_complex and storage is not None and storage.is_integer:
        raise InputError(
            "complex numbers cannot be stored as integers",
            got=f"a storage of {storage.dtype}",
            expected="a storage of null, or of a float dtype",
        )
    # Which raises where the numbers for each channel are not as many.
    finish(np.zeros((1, shape[1], *(1,) * convention.rank)), convention)
    precision = None if convention.arithmetic == "exact" else convention.arithmetic
    base = Linear(problem, convention, precision)
    _check_range(base)
    return tuple(
        _judge(base, convention, shape, *deviation)
        for deviation in chain(deviations(convention, image, filters), more)
    )


def _check_range(base: Linear) -> None:
    """Raise where the operands overflow the precision that they are rounded to."""
    c, precision = base.convention, base.precision
    if precision is None:
        return
    offset, scale = (np.max(np.abs(v)) for v in (c.image_offset, c.image_scale))
    largest = np.array([(largest_magnitude(base.problem.image) + offset) * scale])
    with np.errstate(over="ignore"):
        for operand, numbers in (("IMG", round_to(largest, precision)), ("W", base.bank)):
            if not np.isfinite(numbers).all():
                raise InputError(
                    f"{operand} has numbers beyond {precision}",
                    expected=f"numbers that the arithmetic {precision} can hold",
                    hint="divide the data by a power of two, or name another arithmetic",
                )


def _judge(
    base: Linear, c: Convention, shape: tuple[int, ...], name: str, what: str, other: Convention
) -> Deviation:
    try:
        if shape_of(base.problem, other) != shape:
            return Deviation(name, what, other, True, None)
        base.again(other, base.precision)
    except InputError:
        # An implementation that makes this mistake cannot even run on these shapes.
        return Deviation(name, what, other, True, None)
    large = is_large(base.problem, shape)
    parts = areas(base.problem, c, shape, base.precision) if large else [base]
    latest, same = Step.SUMS, True
    for part in parts:
        step, equal = alike_after(part, c, other)
        if step is Step.NEVER:
            return Deviation(name, what, other, True, None)
        latest, same = max(latest, step), same and equal
    reason = (
        why_after(c, other, latest, same) if latest else why_unseen(base, c, other, shape, same)
    )
    return Deviation(name, what, other, False, reason)


def _propose(
    image: Array, filters: Array, result: AuditResult, more: Sequence[Mistake]
) -> Proposal | None:
    """Other numbers if they are enough; else the fewest longer axes of the image that are."""
    best: Proposal | None = None
    convention = result.convention
    axes = [axis for axis in convention.spatial if axis in convention.image_layout]
    for chosen in chain.from_iterable(combinations(axes, n) for n in range(len(axes) + 1)):
        proposal = _drawn(image, filters, convention, chosen, more)
        if proposal is None:
            continue
        if proposal.seen == proposal.total:
            return proposal
        least = len(result.blind_spots) if best is None else best.total - best.seen
        if proposal.total - proposal.seen < least:
            best = proposal
    return best


def _drawn(
    image: Array,
    filters: Array,
    c: Convention,
    longer: Sequence[str],
    more: Sequence[Mistake],
) -> Proposal | None:
    """Random integers in the shapes of the case, an image one longer along some axes."""
    shape = list(image.shape)
    moved = np.any(c.image_offset) or np.any(c.filter_offset)
    among = ", around the offsets," if moved else ""
    rounded = c.storage is not None and c.storage.is_integer and image.dtype.kind in "fc"
    kind = "multiples of 1/2" if rounded else "integers"  # which show how they are rounded
    changes = [f"random {kind} from -9 to 9{among} in place of the numbers"]
    for letter in longer:
        place = c.image_layout.index(letter)
        shape[place] += 1
        name = axis_name(letter, c.rank)
        changes.append(f"{shape[place]} {name} of the image instead of {image.shape[place]}")
    rng = np.random.default_rng(0)
    drawn = (
        _numbers(rng, shape, image.dtype, c.image_offset, 2 if rounded else 1),
        _numbers(rng, filters.shape, filters.dtype, c.filter_offset),
    )
    try:
        judged = _audit(*drawn, c, more)
    except InputError:
        return None
    return Proposal(tuple(changes), sum(d.seen for d in judged), len(judged), *drawn)


def _numbers(
    rng: np.random.Generator,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    offset: Numbers,
    parts: int = 1,
) -> Array:
    """Integers, or whole ``parts`` of 1, near an offset, in a dtype of the same kind."""

    def drawn() -> Array:
        return rng.integers(-9 * parts, 9 * parts + 1, shape) / parts + round(
            float(np.mean(offset))
        )

    numbers = drawn()
    if dtype.kind == "c":
        return (numbers + 1j * drawn()).astype(dtype)
    if dtype.kind == "b" or (dtype.kind == "u" and numbers.min() < 0):
        dtype = np.dtype(f"i{dtype.itemsize}")
    return numbers.astype(dtype)
