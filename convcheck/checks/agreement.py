"""How an output agrees with the convention that identify named, element by element."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.calls.geometry import Axis, measure
from convcheck.checks.areas import Area, areas, is_large
from convcheck.checks.identify.judging import Fit
from convcheck.checks.identify.judging import under as held_to
from convcheck.checks.identify.nearest import SINGLE
from convcheck.checks.picture import DifferenceMap, check_filter, gather
from convcheck.checks.sums import Linear, Problem
from convcheck.checks.tiles import Tile
from convcheck.engine import (
    finish,
    to_axes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.identify import IdentifyResult
    from convcheck.convention import Convention

Array = NDArray[Any]

ROLES = {
    "identified": "the identified convention",
    "ambiguous": "the first convention",
    "near-match": "the near match",
    "unexplained": "the nearest miss",
}
"""What the convention that a figure is about is called, by the verdict."""


@dataclass(frozen=True)
class Agreement:
    """|OUT - what ``convention`` gives| for every element, as N, O, H, W.

    ``predicted`` is what it gives, before any rounding of the result.
    ``threshold`` is what rounding explains, ``wrong`` where the difference is none of rounding's.
    ``first`` is where this begins, where it is a part of an output.
    """

    convention: Convention
    role: str
    predicted: Array
    difference: NDArray[np.float64]
    threshold: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    first: tuple[int, ...] = (0, 0, 0, 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the output, N, O, H, W."""
        return self.difference.shape

    def parts(self) -> Iterator[Agreement]:
        """What it consists of: itself."""
        yield self

    def alone(self, at: tuple[int, ...]) -> Agreement:
        """One element."""
        one = tuple(slice(i, i + 1) for i in at)
        return replace(
            self,
            predicted=self.predicted[one],
            difference=self.difference[one],
            threshold=self.threshold[one],
            wrong=self.wrong[one],
            first=at,
        )


@dataclass(frozen=True)
class InAreas:
    """The agreement of an output too large to be held: made anew, area by area, where asked for."""

    problem: Problem
    convention: Convention
    role: str
    given: Array
    nearest: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the output, N, O, H, W."""
        return self.given.shape

    def parts(self) -> Iterator[Agreement]:
        """Every area."""
        for area in areas(self.problem, self.convention, self.shape):
            yield self._of(area)

    def alone(self, at: tuple[int, ...]) -> Agreement:
        """One element."""
        return self._of(Area(self.problem, self.convention, Tile(at, (1, 1, 1, 1))))

    def _of(self, area: Area) -> Agreement:
        bias = self.convention.bias
        some = self.convention.replace(bias=None if bias is None else bias[area.part[1]])
        seen = _agreement(area, some, self.role, area.cut(self.given), nearest=self.nearest)
        return replace(seen, convention=self.convention, first=area.tile.first)


def agreement(
    image: Array, filters: Array, output: Array, result: IdentifyResult
) -> Agreement | InAreas | None:
    """Hold the output to the best convention that was found; None where there is none."""
    image, filters, output = np.asarray(image), np.asarray(filters), np.asarray(output)
    role = ROLES[result.verdict]
    if output.dtype.kind != "c" and "c" in (image.dtype.kind, filters.dtype.kind):
        output = output.astype(np.complex128)
    problem = Problem.of(image, filters, output)
    best = result.candidates[0] if result.candidates else result.nearest
    if best is None:
        return None
    convention, nearest = best.convention, not result.candidates
    given = to_axes(output, convention.output_layout, "NOHW")
    if is_large(problem):
        return InAreas(problem, convention, role, given, nearest)
    return _agreement(Linear(problem, convention), convention, role, given, nearest=nearest)


def _agreement(
    linear: Linear, convention: Convention, role: str, given: Array, *, nearest: bool
) -> Agreement:
    """That of the part ``given`` (N,O,H,W) of an output with the sums of the same part."""
    given = given.astype(np.result_type(given, np.float64))
    usable = np.isfinite(given)
    with np.errstate(all="ignore"):
        fit = _held(linear, convention, given, usable, nearest=nearest)
        difference = np.where(usable, np.abs(given - fit.predicted), 0.0).astype(np.float64)
    threshold = np.broadcast_to(fit.threshold, difference.shape)
    return Agreement(convention, role, fit.predicted, difference, threshold, fit.mismatched)


def _held(
    linear: Linear, convention: Convention, given: Array, usable: Array, *, nearest: bool
) -> Fit:
    """The output under the very convention that was found, nothing of it solved for again."""
    if nearest:
        threshold = SINGLE * linear.magnitude
        wrong = usable & (np.abs(given - linear.values) > threshold)
        return Fit(convention, linear, linear.values, threshold, wrong)
    wanted = finish(linear.values, convention.replace(arithmetic="exact"))
    fit = held_to(linear, convention, wanted, given, usable)
    return fit or Fit(convention, linear, wanted, np.zeros(given.shape), usable & (wanted != given))


def agreement_map(seen: Agreement | InAreas, *, only: int | None = None) -> DifferenceMap:
    """Where the output differs; where nothing does, how much of what rounding explains is used.

    Raises:
        InputError: no such filter.
    """
    only = check_filter(only, seen.shape[1])
    share = not any(_of_channel(part.wrong, part, only).any() for part in seen.parts())
    bands = (_band(part, only, share, seen.shape[3]) for part in seen.parts())
    size = (seen.shape[2], seen.shape[3])
    return gather(bands, size, name="OUT", only=only, reference=seen.role, share=share)


def _of_channel(array: Array, part: Agreement, only: int | None) -> Array:
    """What a part has of the channel that is shown."""
    if only is None:
        return array
    at = only - part.first[1]
    return array[:, at : at + 1] if at >= 0 else array[:, :0]


def _band(part: Agreement, only: int | None, share: bool, width: int) -> tuple[int, Array]:
    """Whole rows, from which on, of what is shown of a part: the worst of its channels."""
    difference, threshold, wrong = (
        _of_channel(a, part, only) for a in (part.difference, part.threshold, part.wrong)
    )
    if share:
        shown = np.minimum(difference / np.maximum(threshold, 2.0**-1074), 1.0)
    else:
        shown = np.where(wrong, difference, 0.0)
    band = np.zeros((part.shape[2], width))
    left = part.first[3]
    band[:, left : left + part.shape[3]] = shown.max(axis=(0, 1), initial=0.0)
    return part.first[2], band


def windows(convention: Convention, image: Array, filters: Array) -> tuple[Axis, Axis] | None:
    """How the windows lie along rows and columns; None where they are the plain ones."""
    c = convention
    plain = (c.stride, c.dilation, c.input_dilation) == ((1, 1), (1, 1), (1, 1))
    if plain and c.padding == ((0, 0), (0, 0)):
        return None
    return measure(c, image.shape, filters.shape).axes
