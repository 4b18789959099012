"""How an output agrees with the convention that identify named, element by element."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.check import judge_part
from convcheck.checks.areas import Area, areas, is_large
from convcheck.checks.cell import worst_cell
from convcheck.checks.picture import DifferenceMap, check_filter, gather
from convcheck.checks.sums import Linear, Problem
from convcheck.checks.tiles import Tile
from convcheck.convention.channels import read_filters, read_output, stored_image
from convcheck.engine import axes_of
from convcheck.traits import traits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.check import Claim
    from convcheck.checks.identify import IdentifyResult
    from convcheck.convention import Axis, Convention
    from convcheck.noise import Noise
    from convcheck.traits import Traits

Array = NDArray[Any]

ROLES = {
    "identified": "the identified convention",
    "ambiguous": "the first convention",
    "near-match": "the near match",
    "unexplained": "the nearest miss",
}
"""What the convention that a figure is about is called, by the verdict."""


@dataclass(frozen=True)
class Part:
    """|OUT - what the convention gives| for some elements (N,O,*S) that begin at ``first``.

    It is infinite where OUT is not finite. ``threshold`` is what rounding explains, ``wrong`` where
    the difference is none of rounding's. Channels are in the order in which they are computed.
    """

    difference: NDArray[np.float64]
    threshold: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    first: tuple[int, ...]


@dataclass(frozen=True)
class Agreement:
    """An output (N,O,*S) beside the best convention that was found, judged as identify judged it.

    Of an output that is too large to be held, every area is judged anew where it is asked for.
    """

    problem: Problem
    convention: Convention
    role: str
    claim: Claim
    noise: Noise
    traits: Traits

    @cached_property
    def given(self) -> Array:
        """The output as N, O and the spatial axes."""
        return read_output(self.problem.output, self.convention)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the output, (N,O,*S)."""
        return self.given.shape

    def parts(self) -> Iterator[Part]:
        """All of the output."""
        if not is_large(self.problem):
            yield self._whole
            return
        for area in areas(self.problem, self.convention, self.shape, self.claim.precision):
            yield self._part(area, area.cut(self.given), area.tile.first)

    def worst(self) -> tuple[int, ...] | None:
        """The element (n, k, *place), k as OUT has it, that is most wrong; None where none is."""
        found = worst_cell(self.parts())
        order = self.convention.output_order
        if found is None or order is None:
            return found
        return (found[0], order.index(found[1]), *found[2:])

    def alone(self, at: tuple[int, ...]) -> Part:
        """One element (n, k, *place), k as OUT has it."""
        at = (at[0], self.computed(at[1]), *at[2:])
        tile = Tile(at, (1,) * len(at))
        area = Area(self.problem, self.convention, tile, self.claim.precision)
        return self._part(area, area.cut(self.given), at)

    def computed(self, k: int) -> int:
        """Which computed channel it is that OUT has as channel ``k``."""
        order = self.convention.output_order
        return k if order is None else order[k]

    @cached_property
    def _whole(self) -> Part:
        linear = Linear(self.problem, self.convention, self.claim.precision)
        return self._part(linear, self.given, (0,) * self.given.ndim)

    def _part(self, linear: Linear, given: Array, first: tuple[int, ...]) -> Part:
        c, claim = self.convention, self.claim
        with np.errstate(all="ignore"):
            found = judge_part(linear, given, c, claim, self.noise, self.traits)
            stored = found.predicted
            if claim.storage is not None:
                stored = claim.storage.apply(stored)
            apart = np.abs(given.astype(np.result_type(given, np.float64)) - stored)
        difference = np.where(np.isfinite(given), apart, np.inf).astype(np.float64)
        threshold = np.broadcast_to(found.threshold, difference.shape)
        return Part(difference, threshold, found.wrong, first)


def agreement(
    image: Array,
    filters: Array,
    output: Array,
    result: IdentifyResult,
    memory: int | None = None,
) -> Agreement | None:
    """The output beside the best convention that was found; None where there is none.

    ``memory`` is what may be taken beside the arrays, 256 MiB where it is None.
    """
    image, filters, output = np.asarray(image), np.asarray(filters), np.asarray(output)
    best = result.candidates[0] if result.candidates else result.nearest
    if best is None or best.form is None:
        return None
    if output.dtype.kind != "c" and "c" in (image.dtype.kind, filters.dtype.kind):
        output = output.astype(np.complex128)
    problem = Problem.of(image, filters, output, memory=memory)
    c = best.convention
    role, seen = ROLES[result.verdict], traits(read_output(output, c))
    return Agreement(problem, c, role, best.form.claim, best.form.noise, seen)


def agreement_map(seen: Agreement, *, only: int | None = None) -> DifferenceMap:
    """Where the output differs; where nothing does, how much of what rounding explains is used.

    Of three spatial axes the slice is shown in which the largest difference lies.

    Raises:
        InputError: no such filter.
    """
    only = check_filter(only, seen.shape[1])
    channel = None if only is None else seen.computed(only)
    depth, *size = (1, 1, *seen.shape[2:])[-3:]
    most = np.zeros((2, depth))  # in each slice: of what is wrong, and of what rounding explains
    for part in seen.parts():
        for i in (0, 1):
            first, shown = _shown(part, channel, share=i == 1)
            here = slice(first[0], first[0] + len(shown))
            most[i, here] = np.maximum(most[i, here], shown.max(axis=(1, 2)))
    share = not most[0].any()
    z = int(np.argmax(most[int(share)]))
    bands = (
        band
        for part in seen.parts()
        for band in _bands(*_shown(part, channel, share=share), z, size[1])
    )
    found = gather(bands, tuple(size), name="OUT", only=only, reference=seen.role, share=share)
    return found if len(seen.shape) < 5 else replace(found, slice=(z, depth))


def _shown(part: Part, channel: int | None, *, share: bool) -> tuple[tuple[int, ...], Array]:
    """What is shown of a part: the worst of its channels as (D,H,W), and where that begins."""
    some = slice(None)
    if channel is not None:
        at = channel - part.first[1]
        some = slice(at, at + 1) if at >= 0 else slice(0)
    difference, threshold, wrong = (
        a[:, some] for a in (part.difference, part.threshold, part.wrong)
    )
    if share:
        with np.errstate(over="ignore"):  # a difference of which rounding explains nothing
            shown = np.minimum(difference / np.maximum(threshold, 2.0**-1074), 1.0)
    else:
        shown = np.where(wrong, difference, 0.0)
    worst = shown.max(axis=(0, 1), initial=0.0)
    worst = worst.reshape((1, 1, *worst.shape)[-3:])
    return (0, 0, *part.first[2:])[-3:], worst


def _bands(first: tuple[int, ...], shown: Array, z: int, width: int) -> Iterator[tuple[int, Array]]:
    """Whole rows of slice ``z``, and from which on, where a part has some of it."""
    if first[0] <= z < first[0] + len(shown):
        rows = shown[z - first[0]]
        band = np.zeros((len(rows), width))
        band[:, first[2] : first[2] + rows.shape[1]] = rows
        yield first[1], band


def windows(convention: Convention, image: Array, filters: Array) -> tuple[Axis, ...] | None:
    """How the windows lie along each spatial axis; None where they are the plain ones."""
    c = convention
    x = stored_image(image, c)
    bank = read_filters(filters, c, x.shape[1])
    axes = axes_of(c, x.shape[2:], bank.shape[2:])
    ones = (1,) * c.rank
    plain = (c.stride, c.dilation, c.input_dilation) == (ones, ones, ones)
    return None if plain and not any(any(pair) for pair in c.padding) else axes
