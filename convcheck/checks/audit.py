"""Which mistakes a test case's data cannot see, and the smallest change with which it would."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import areas, is_large, shape_of
from convcheck.checks.inputs import check_numbers, rank_text, shape_text
from convcheck.checks.outcome import Step, alike_after
from convcheck.checks.sums import Linear, Problem
from convcheck.checks.unseen import why_after, why_unseen
from convcheck.convention import (
    FILTER_LAYOUTS,
    FLIP_AXES,
    IMAGE_LAYOUTS,
    PADDING_MODES,
    PRECISIONS,
    Convention,
)
from convcheck.engine import arrange_filters, check_order, finish, stored_image
from convcheck.errors import ExitCode, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Array = NDArray[Any]

LARGEST = 1 << 28
"""Elements of an output that is looked at however small the image is."""
_LAYOUTS = {
    "image_layout": {2: "HW", 3: "CHW", 4: "NCHW"},
    "filter_layout": {2: "HW", 3: "IHW", 4: "OIHW"},
    "output_layout": {2: "OHW", 3: "OHW", 4: "NOHW"},
}


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
    min_score: float | None = None,
    propose: bool = True,
) -> AuditResult:
    """Say which single deviations from a convention leave the output as it was.

    Args:
        image: 2 to 4 axes; CHW, or NCHW for a batch, unless ``keys`` say otherwise.
        filters: 2 to 4 axes; OIHW, IHW or HW unless ``keys`` say otherwise.
        keys: keys of the convention that the data is to test; a cross-correlation by default.
        min_score: the share of the mistakes that must be seen; all of them where it is None.
        propose: look for the smallest change with which all mistakes would be seen.

    Raises:
        InputError: arrays that the convention does not fit.
    """
    image, filters = np.asarray(image), np.asarray(filters)
    check_numbers("IMG", image)
    check_numbers("W", filters)
    convention = full_convention(image, filters, keys or {})
    deviations = _audit(image, filters, convention)
    result = AuditResult(convention, deviations, None, min_score)
    if propose and result.blind_spots:
        proposal = _propose(image, filters, convention, result)
        result = AuditResult(convention, deviations, proposal, min_score)
    return result


def full_convention(image: Array, filters: Array, keys: Mapping[str, Any]) -> Convention:
    """The convention with the usual layouts for these arrays where ``keys`` name none."""
    for operand, array in (("IMG", image), ("W", filters)):
        if array.ndim not in (2, 3, 4):
            raise InputError(
                f"{operand} has the wrong number of axes",
                got=rank_text(array),
                expected="2 to 4 axes",
            )
    layouts = {
        "image_layout": _LAYOUTS["image_layout"][image.ndim],
        "filter_layout": _LAYOUTS["filter_layout"][filters.ndim],
        "output_layout": _LAYOUTS["output_layout"][image.ndim],
    }
    return Convention(**{**layouts, **keys})


def _audit(image: Array, filters: Array, convention: Convention) -> tuple[Deviation, ...]:
    problem = Problem.of(image, filters, np.zeros(1))
    shape = shape_of(problem, convention)
    if math.prod(shape) > max(LARGEST, 64 * image.size * shape[1]):
        raise InputError(
            "the convention makes an output out of all proportion",
            got=f"{shape_text(shape)} (N, O, H, W) out of an image of {shape_text(image.shape)}",
            expected=f"no more than {LARGEST} elements, or 64 for each of the image's and filter",
            hint="look at its padding and input_dilation",
        )
    if problem.arithmetic.is_complex and convention.arithmetic not in PRECISIONS:
        raise InputError(
            "complex numbers cannot be stored as integers",
            got=f"arithmetic {convention.arithmetic}",
            expected=f"one of {', '.join(PRECISIONS)}",
        )
    finish(np.zeros((1, shape[1], 1, 1)), convention)  # which raises where the bias does not fit
    base = Linear(problem, convention)
    return tuple(
        _judge(problem, base, convention, name, what, other)
        for name, what, other in _deviations(base, convention)
    )


def _judge(
    problem: Problem, base: Linear, c: Convention, name: str, what: str, other: Convention
) -> Deviation:
    shape = shape_of(problem, c)
    try:
        if shape_of(problem, other) != shape:
            return Deviation(name, what, other, True, None)
        base.again(other)
    except InputError:
        # An implementation that makes this mistake cannot even run on these shapes.
        return Deviation(name, what, other, True, None)
    large = is_large(problem, shape)
    parts = areas(problem, c, shape) if large else [base]
    latest, same = Step.SUMS, True
    for part in parts:
        step, equal = alike_after(part, part.again(other), c)
        if step is Step.NEVER:
            return Deviation(name, what, other, True, None)
        latest, same = max(latest, step), same and equal
    reason = why_after(c, latest, same) if latest else why_unseen(problem, c, other, shape)
    return Deviation(name, what, other, False, reason)


def _deviations(base: Linear, c: Convention) -> Iterator[tuple[str, str, Convention]]:
    """Every single mistake of the vocabulary: name, words and the convention that makes it."""
    for size in range(len(FLIP_AXES) + 1):
        for flip in combinations(FLIP_AXES, size):
            if flip != c.flip:
                said = "+".join(flip) if flip else "nothing"
                yield f"flip {said}", f"the filters reversed along {said}", c.replace(flip=flip)
    yield (
        "kernel transposed",
        "the kernel's rows and columns swapped",
        c.replace(kernel_transposed=not c.kernel_transposed),
    )
    channels = stored_image(base.problem.image, c).shape[1]
    order = c.channel_order or tuple(range(channels))
    yield (
        "channels reversed",
        "the image's channels read in reverse order",
        c.replace(channel_order=order[::-1]),
    )
    if channels > 2:
        rolled = (*order[1:], order[0])
        yield (
            "channels rotated",
            "the image's channels shifted by one",
            c.replace(channel_order=rolled),
        )
    if 1 < c.groups < channels:
        shuffled = tuple(np.reshape(order, (c.groups, -1)).T.ravel().tolist())
        yield (
            "group order",
            "the channels dealt out to the groups in turn",
            c.replace(channel_order=shuffled),
        )
    yield from _layout_deviations(base, c)
    for axis, name in enumerate(("rows", "columns")):
        yield from _axis_deviations(c, axis, name)
    if any(p > 0 for pads in c.padding for p in pads) and max(c.input_dilation) == 1:
        for mode in PADDING_MODES:
            if mode != c.padding_mode:
                yield (
                    f"border {mode}",
                    f"the border continued by {mode} instead of {c.padding_mode}",
                    c.replace(padding_mode=mode, padding_value=0.0),
                )


def _layout_deviations(base: Linear, c: Convention) -> Iterator[tuple[str, str, Convention]]:
    """Other readings of the stored axes that the sizes allow."""
    for key, layouts in (("image_layout", IMAGE_LAYOUTS), ("filter_layout", FILTER_LAYOUTS)):
        current = getattr(c, key)
        for layout in layouts:
            if len(layout) != len(current) or layout in (current, "HWIM"):
                continue
            if layout.index("H") > layout.index("W") and key == "filter_layout":
                continue  # that is the kernel transposed, too
            other = c.replace(**{key: layout})
            if _fits(base, other):
                operand = "image" if key == "image_layout" else "filters"
                yield f"{operand} as {layout}", f"the {operand} read as {layout}", other


def _fits(base: Linear, other: Convention) -> bool:
    try:
        x = stored_image(base.problem.image, other)
        check_order(other, x.shape[1])
        w = arrange_filters(base.problem.filters, other, x.shape[1])
    except InputError:
        return False
    return bool(w.shape[0] == base.bank.shape[0])


def _axis_deviations(c: Convention, axis: int, name: str) -> Iterator[tuple[str, str, Convention]]:
    before, after = c.padding[axis]

    def padded(pads: tuple[int, int]) -> Convention:
        both = list(c.padding)
        both[axis] = pads
        return c.replace(padding=tuple(both))

    if before != after:
        yield (
            f"padding sides of {name}",
            f"padding of {after} before and {before} after the {name}, not {before} and {after}",
            padded((after, before)),
        )
    if c.stride[axis] > 1 or before > 0:
        yield (
            f"phase of {name}",
            f"every window one of the {name} further on",
            padded((before - 1, after + 1)),
        )
    for key, said in (("stride", "stride"), ("dilation", "dilation")):
        values = list(getattr(c, key))
        values[axis] += 1
        yield (
            f"{said} of {name}",
            f"a {said} of {values[axis]} instead of {values[axis] - 1} along the {name}",
            c.replace(**{key: tuple(values)}),
        )


def _propose(
    image: Array, filters: Array, convention: Convention, result: AuditResult
) -> Proposal | None:
    """Other numbers if they are enough; else the fewest longer axes that are."""
    best: Proposal | None = None
    steps: list[tuple[str, str, str, int]] = [
        ("filters", "I", "channels", 3),
        ("filters", "H", "rows of the kernel", 2),
        ("filters", "W", "columns of the kernel", 3),
        ("image", "H", "rows of the image", 0),
        ("image", "W", "columns of the image", 0),
    ]
    for count in range(len(steps) + 1):
        for chosen in combinations(steps, count):
            proposal = _drawn(image, filters, convention, chosen)
            if proposal is None:
                continue
            if proposal.seen == proposal.total:
                return proposal
            least = len(result.blind_spots) if best is None else best.total - best.seen
            if proposal.total - proposal.seen < least:
                best = proposal
    return best


def _drawn(
    image: Array, filters: Array, c: Convention, chosen: Sequence[tuple[str, str, str, int]]
) -> Proposal | None:
    """Random integers in the shapes of the case, with the chosen axes made longer."""
    shapes = {"image": list(image.shape), "filters": list(filters.shape)}
    layouts = {"image": c.image_layout, "filters": c.filter_layout}
    changes = ["random integers from -9 to 9 in place of the numbers"]
    for operand, axis, words, size in chosen:
        if axis not in layouts[operand]:
            return None
        place = layouts[operand].index(axis)
        old = shapes[operand][place]
        if axis == "I" and (c.groups > 1 or "C" not in layouts["image"]):
            return None
        new = max(old + 1, size) if old < size or operand == "image" else old
        if new == old:
            return None
        shapes[operand][place] = new
        if axis == "I":
            shapes["image"][layouts["image"].index("C")] = new
        elif operand == "filters":
            # The image grows with the kernel, so that the output keeps its size.
            shapes["image"][layouts["image"].index(axis)] += (new - old) * c.dilation[
                "HW".index(axis)
            ]
        changes.append(f"{new} {words} instead of {old}")
    rng = np.random.default_rng(0)
    drawn = [
        rng.integers(-9, 10, shapes[operand]).astype(_signed(array.dtype))
        for operand, array in (("image", image), ("filters", filters))
    ]
    order = c.channel_order
    if order is not None and chosen:
        return None
    try:
        deviations = _audit(drawn[0], drawn[1], c)
    except InputError:
        return None
    return Proposal(
        tuple(changes), sum(d.seen for d in deviations), len(deviations), drawn[0], drawn[1]
    )


def _signed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A dtype of the same kind that holds -9 to 9."""
    return np.dtype(f"i{dtype.itemsize}") if dtype.kind in "bu" else dtype
