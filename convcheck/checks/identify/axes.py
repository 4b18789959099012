"""The ways that a spatial axis can go: its dilations, its stride, and where its windows begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention import Axis
from convcheck.convention.axis import continued

Array = NDArray[Any]

LONG, IMAGE, VERY_LONG = 7, 16, 32
"""Taps above which a kernel is hardly ever dilated, above which it is a signal or an image itself,
and above which nothing is spread out to be met by it."""
DILATIONS = (1, 2, 3, 4)
MAX_MIXED = 4
"""The largest stride of an image that was spread out, and how far its samples are apart then."""
MAX_CROP = 3
"""By how much more than its kernel adds a transposed convolution is cropped on a side."""
MAX_OUTSIDE = 6
"""How far from the image a window may be: a kernel of 1x1 is padded too, by mistake or by habit."""
FAR, OPTIONS, MANY_OPTIONS = 32, 2048, 2048
"""Dilations above the first are tried with the usual padding alone, and where an axis has so many
options; so many of those are."""


@dataclass(frozen=True)
class Way:
    """One way for a spatial axis: its dilations, its stride, and a range of first windows."""

    input_dilation: int
    dilation: int
    stride: int
    first: int
    count: int


@dataclass(frozen=True)
class Table:
    """Options of one axis side by side, the kernel as it is and reversed.

    ``places`` are the samples' along the axis; ``touches`` marks the options whose windows reach
    over the edge at any of them, ``kind`` numbers what sets a window apart beside its place: the
    dilations, and whether it is reversed.
    """

    size: int
    kernel: int
    mode: str
    places: Array
    gap: Array
    dilation: Array
    stride: Array
    start: Array
    reversed: Array
    touches: Array
    kind: Array

    def part(self, kept: Array) -> Table:
        """The options at ``kept`` alone."""
        names = ("gap", "dilation", "stride", "start", "reversed", "touches", "kind")
        return replace(self, **{name: getattr(self, name)[kept] for name in names})

    def without_gaps(self) -> Table:
        """The options without zeros between samples."""
        return self.part(np.flatnonzero(self.gap == 1))

    def axis(self, option: int, outputs: int) -> Axis:
        """One option as an axis of a convention, with the padding after it that it needs."""
        gap, dilation, stride, start = (
            int(a[option]) for a in (self.gap, self.dilation, self.stride, self.start)
        )
        turned = bool(self.reversed[option])
        axis = Axis(self.size, self.kernel, stride, dilation, gap, -start, 0, self.mode, turned)
        return axis.fitted(outputs)

    def source(self, sample: int | Array) -> Array:
        """(options, taps): what each tap meets at a sample's place, ``size`` for a zero.

        Of more samples, (samples, options, taps).
        """
        taps = np.arange(self.kernel)
        taps = np.where(self.reversed[:, None], taps[::-1], taps)
        window = self.start + self.stride * self.places[sample][..., None]
        position = window[..., None] + self.dilation[:, None] * taps
        if self.mode != "constant":
            return continued(position, self.size, self.mode)
        if not np.any(self.gap > 1):  # a division by each is much slower
            return np.where((position >= 0) & (position < self.size), position, self.size)
        gap = self.gap[:, None]
        met = (position >= 0) & (position <= (self.size - 1) * gap) & (position % gap == 0)
        return np.where(met, position // gap, self.size)

    def distinct(self, sample: int) -> tuple[Array, Array]:
        """Options of which no two have the same window at the sample's place, and each one's.

        Many a stride has a first window by which it comes to the same place.
        """
        window = self.start + self.stride * self.places[sample]
        window -= window.min()
        kinds = int(self.kind.max()) + 1
        shown, which = met_by(window * kinds + self.kind, kinds * (int(window.max()) + 1))
        options = np.empty(len(shown), np.int64)
        options[which] = np.arange(len(which))
        return options, which

    def __len__(self) -> int:
        return len(self.gap)


def met_by(source: Array, size: int) -> tuple[Array, Array]:
    """The numbers up to ``size`` that there are, in order, and the source as places among them."""
    met = np.zeros(size + 1, bool)
    met[source] = True
    return np.flatnonzero(met), (np.cumsum(met) - 1)[source]


@lru_cache(1024)
def ways(
    size: int,
    kernel: int,
    outputs: int,
    *,
    dilations: tuple[int, ...] = DILATIONS,
    wide: bool = False,
    circular: bool = False,
    outside: bool = False,
    mixed: bool = False,
    dilated: bool = False,
) -> tuple[Way, ...]:
    """The ways of one axis: an image of ``size`` by a kernel of ``kernel`` gives ``outputs``.

    Ordinarily every window touches the image and crops no more than about its own extent; ``wide``
    allows any crop, ``outside`` a few windows that lie in the padding altogether. ``circular`` is
    for a whole period of a wrapped image, rolled by any amount. ``mixed`` has strides where there
    are zeros between samples too, as resampling does. Long kernels are not dilated unless
    ``dilated`` says so. Strides and input dilations are all that the sizes allow.
    """
    beyond = MAX_OUTSIDE if outside else 0
    if kernel == 1:
        dilations = (1,)
    elif kernel > LONG and not wide and not dilated:
        dilations = tuple(d for d in dilations if d == 1)
    if circular:
        return tuple(Way(1, d, 1, 1 - size, size) for d in dilations if outputs == size)
    apart = wide or size == 1 or kernel > VERY_LONG
    most = MAX_MIXED if mixed else outputs // max(size - 1, 1) + 2
    gaps = range(1, 2 if apart else max(most, 2) + 1)
    found: list[Way] = []
    if kernel > IMAGE and not wide:
        found += _long_ways(size, kernel, outputs, 1)
        gaps = gaps[1:]
    for gap, dilation in product(gaps, dilations):
        extent = dilation * (kernel - 1) + 1
        length = (size - 1) * gap + 1
        if dilation > 1 and gap > LONG:
            continue
        crop = length if wide else (extent + 1 if gap == 1 else MAX_CROP)
        for stride in _strides(gap, length, extent, outputs, crop, mixed=mixed):
            reach = (outputs - 1) * stride
            # A single window says nothing of the stride, which may have left much out behind it.
            left_out = stride if outputs > 1 else LONG + 1
            low = max(1 - extent - beyond, length - reach - extent - left_out - crop + 1)
            high = min(crop, length + gap - 2 - reach + beyond)
            if low <= high:
                found.append(Way(gap, dilation, stride, low, high - low + 1))
    return tuple(found)


def _long_ways(size: int, kernel: int, outputs: int, first: int) -> Iterator[Way]:
    """Those of a kernel that is a signal or an image itself: windows where such have them.

    Of the dilations and small strides two, from the ``first``, beside no dilation. Frames of a
    signal lie anywhere apart, without padding or with half a frame of it. What else has such
    filters, as a gradient has, goes in small steps, from little padding or from what "same" and
    "full" have.
    """
    for dilation in dict.fromkeys((1, first, first + 1)):
        extent = dilation * (kernel - 1) + 1
        room = size + 2 * (extent - 1) - extent
        for stride in range(1, max(room, 0) // (outputs - 1) + 1) if outputs > 1 else (1,):
            least = (outputs - 1) * stride + extent - size
            half, full = extent // 2, extent - 1
            starts: set[int] = set()
            if stride < first + 2 and max(stride, dilation) >= first:
                most, total = min(least + stride - 1, 2 * full), max(least, 0)
                starts = {*range(LITTLE + 1), total // 2, total - total // 2, total, full}
                starts = {before for before in starts if before <= most}
            elif first == 1:
                starts = {before for before in (0, half) if least <= 2 * before < least + stride}
            for before in sorted(starts):
                yield Way(1, dilation, stride, -before, 1)


LITTLE = 8
"""Padding that all layers may have."""


def _strides(
    gap: int, length: int, extent: int, outputs: int, crop: int, *, mixed: bool
) -> Sequence[int]:
    if outputs == 1 or (gap > 1 and not mixed):
        return (1,)
    if mixed:
        return range(1, MAX_MIXED + 1)
    return range(1, (length + 2 * extent + crop) // (outputs - 1) + 2)


@lru_cache(1024)
def usual_ways(size: int, kernel: int, outputs: int) -> tuple[Way, ...]:
    """The ways that most layers go: small steps or a kernel's, by no more padding than it reaches.

    That is nowhere, on both sides about alike, or before the image alone, as causal layers have it.
    Transposed convolutions have such padding left out of their full result.
    """
    found: dict[Way, None] = {}
    for dilation in (1, 2) if kernel > 1 else (1,):
        extent = dilation * (kernel - 1) + 1
        for stride in sorted({1, 2, 3, 4, max(kernel // 2, 1), kernel}) if outputs > 1 else (1,):
            least = (outputs - 1) * stride + extent - size
            some = {max(least, 0), 2 * (extent // 2), *range(max(least, 0), least + min(stride, 4))}
            for total in sorted(t for t in some if least <= t < least + stride):
                starts = {total // 2, total - total // 2, total} if total < 2 * extent - 1 else ()
                for before in sorted(starts):
                    if before < extent:
                        found[Way(1, dilation, stride, -before, 1)] = None
    for gap in range(2, 5) if size > 1 and kernel <= IMAGE else ():
        left_out = (size - 1) * gap + kernel - outputs
        if -gap < left_out <= 2 * kernel:
            for before in sorted({0, *(max(left_out + n, 0) // 2 for n in range(gap))}):
                found[Way(gap, 1, 1, before + 1 - kernel, 1)] = None
    return tuple(found)


@lru_cache(256)
def far_ways(
    size: int, kernel: int, outputs: int, *, deep: bool, long: bool = False, usual: bool = False
) -> tuple[Way, ...]:
    """The ways of the dilations above the common ones that the sizes allow.

    Of the first of them all, while they are not too many; of larger ones those that are padded as
    layers are: nowhere, on one side, or on both alike. So are all of an image that is ``deep``.
    ``long``: a kernel of the bank's other axes is, and common dilations were not tried with it.
    ``usual``: with such padding alone, whatever the dilation.
    """
    if kernel == 1:
        return ways(size, 1, outputs)
    if kernel > IMAGE:
        return tuple(_long_ways(size, kernel, outputs, 3))
    common = 1 if long or kernel > LONG else DILATIONS[1] if deep else DILATIONS[-1]
    found: list[Way] = []
    options = 0
    last = (2 * size + outputs) // (kernel - 1)
    for dilation in range(common + 1, last + 1):
        if usual or deep or options > OPTIONS or dilation > FAR:
            found += _padded_as_usual(size, kernel, outputs, dilation, last)
            break
        some = ways(size, kernel, outputs, dilations=(dilation,), dilated=True)
        found += some
        options += sum(w.count for w in some)
    return tuple(found)


def _padded_as_usual(size: int, kernel: int, outputs: int, first: int, last: int) -> Iterator[Way]:
    for dilation in range(first, min(last, first + MANY_OPTIONS - 1) + 1):
        for stride in (1, 2) if outputs > 1 else (1,):
            least = (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size
            for total in range(max(least, 0), least + stride):
                for before in sorted({0, total // 2, total - total // 2, total}):
                    yield Way(1, dilation, stride, -before, 1)


def table(options: Sequence[Way], places: Sequence[int], size: int, kernel: int) -> Table:
    """The options of an axis of ``size`` in zeros, looked at from the output's ``places``."""
    counts = np.array([a.count for a in options], np.int64)
    gap, dilation, stride = (
        np.repeat(np.array([getattr(a, name) for a in options], np.int64), counts)
        for name in ("input_dilation", "dilation", "stride")
    )
    kinds: dict[tuple[int, int], int] = {}
    numbers = [kinds.setdefault((a.input_dilation, a.dilation), len(kinds)) for a in options]
    kind = np.repeat(np.array(numbers, np.int64), counts)
    start = np.concatenate([np.arange(a.first, a.first + a.count) for a in options] or [gap])
    backwards = np.zeros(len(gap), bool)
    if kernel > 1:
        gap, dilation, stride, start, kind = (
            np.concatenate([a, a]) for a in (gap, dilation, stride, start, kind)
        )
        backwards = np.concatenate([backwards, ~backwards])
        kind += len(kinds) * backwards
    at = np.array(places, np.int64)
    windows = start + stride * np.array([[at.min()], [at.max()]])
    last = windows[1] + dilation * (kernel - 1)
    touches = (windows[0] < 0) | (last > (size - 1) * gap)
    return Table(
        size, kernel, "constant", at, gap, dilation, stride, start, backwards, touches, kind
    )
