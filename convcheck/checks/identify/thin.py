"""The sums of a convention at a few of the rows and columns, for estimates on large data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.areas import areas, is_large, shape_of
from convcheck.checks.patch import met, patch
from convcheck.checks.sums import Linear
from convcheck.engine import to_axes
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention

Array = NDArray[Any]

ENDS, INNER = 3, 10
"""Rows at either end of the output, where the border is seen, and rows between them."""
WIDE, MOST = 1 << 19, 8
"""About how many elements a part may grow to, and of how many images of a batch."""
ROOM = 1 << 23
"""Elements of the windows that are held at once."""


class Thin(Linear):
    """What :class:`Linear` is, with ``values`` and all else cut down to some rows and columns."""

    def __init__(
        self,
        problem: Problem,
        convention: Convention,
        shape: tuple[int, ...],
        precision: str | None = None,
        *,
        places: tuple[Array, ...] | None = None,
        batch: Sequence[int] | None = None,
    ) -> None:
        self.shape = shape
        self.shown = self.places = some_places(shape) if places is None else places
        self.batch = sorted({0, shape[0] // 2, shape[0] - 1} if batch is None else batch)
        super().__init__(problem, convention, precision)

    def again(self, convention: Convention, precision: str | None = None) -> Thin:
        """The same places under another convention."""
        return Thin(
            *(self.problem, convention, self.shape, precision),
            places=self.places,
            batch=self.batch,
        )

    def wider(self, furthest: Array | None) -> Thin:
        """With the rows and columns of other elements: (O,2,4), as a tally has them."""
        some = np.zeros((0, 4)) if furthest is None else furthest.reshape(-1, 4)
        some = some[some[:, 0] > 0]
        side = math.isqrt(WIDE // (len(self.batch) * self.shape[1]))
        most = max(INNER, side // 4)
        some = some[np.argsort(-some[:, 0], kind="stable")[:most], 1:].astype(np.intp)
        base = some_places(self.shape, inner=min(max(INNER, side // 4), 3 * INNER))
        places = []
        for old, few, more in zip(self.places, base, some[:, 1:].T, strict=True):
            both = np.union1d(few, more)
            every = np.union1d(both, old)
            places.append(every if len(every) <= side else both)
        batch = sorted({*self.batch, *some[:2, 0].tolist()})
        return Thin(
            self.problem, self.convention, self.shape, places=tuple(places), batch=batch[:MOST]
        )

    def cut(self, output: Array) -> Array:
        """The elements of a whole output (N,O,H,W) that are at these places."""
        rows, columns = self.places
        return np.stack([output[n][:, rows[:, None], columns] for n in self.batch])

    @property
    def worth_while(self) -> bool:
        """Whether this is much less than the whole."""
        seen = len(self.batch) * math.prod(p.size for p in self.places)
        return seen * self.terms <= ROOM and 8 * seen * self.shape[1] < math.prod(self.shape)

    def _outputs(self) -> tuple[int, ...]:
        return self.shape[2:]

    def _sums(self, how: Callable[[Array], Array], w: Array, c: Convention) -> Array:
        c = c.replace(flip=())  # the bank is flipped already
        x = to_axes(self.problem.image, c.image_layout, "NCHW")
        # What is met at all, and where among it each tap is.
        (rows, ys), (columns, xs) = (
            _distinct(met(c, axis, x.shape[2 + axis], w.shape[2 + axis], self.shape[2 + axis])[at])
            for axis, at in enumerate(self.places)
        )
        inputs, outputs = w.shape[1], w.shape[0] // c.groups
        order = np.arange(x.shape[1]) if c.channel_order is None else np.array(c.channel_order)
        image = np.concatenate([patch(x[n : n + 1], rows, columns, c, how) for n in self.batch])
        image = image[:, order]
        step = max(1, ROOM // (len(image) * math.prod(w.shape[1:]) * len(xs)))
        parts = []
        for g in range(c.groups):
            some = image[:, g * inputs : (g + 1) * inputs]
            bank = w[g * outputs : (g + 1) * outputs]
            bands = []
            for first in range(0, len(ys), step):
                windows = some[:, :, ys[first : first + step, :, None, None], xs]
                bands.append(np.tensordot(bank, windows, axes=([1, 2, 3], [1, 3, 5])))
            parts.append(np.concatenate(bands, axis=2))
        return np.concatenate(parts).swapaxes(0, 1)


def some_places(
    shape: tuple[int, ...], ends: int = ENDS, inner: int = INNER
) -> tuple[Array, Array]:
    """Rows and columns of an output (N,O,H,W): those at its ends, and some between them."""
    height, width = shape[2:]
    return _places(height, ends, inner), _places(width, ends, inner)


def same_sums(
    problem: Problem, one: Convention, others: Iterable[Convention]
) -> Iterator[Convention]:
    """Those of the others that give the same sums of these arrays, to the last bit."""
    shape = shape_of(problem, one)
    # A few elements, most of them of the output's rim, mostly tell two apart already.
    few = Thin(problem, one, shape, places=some_places(shape, ends=1, inner=1))
    for other in others:
        try:
            fits = shape_of(problem, other) == shape
        except InputError:  # these shapes do not allow it
            continue
        if fits and _same(few, few.again(other)) and _all_same(problem, one, other, shape):
            yield other


def _same(few: Thin, other: Thin) -> bool:
    return bool((np.abs(other.values - few.values) <= 1e-6 * few.magnitude).all())


def _all_same(problem: Problem, one: Convention, other: Convention, shape: tuple[int, ...]) -> bool:
    if not is_large(problem):
        return np.array_equal(Linear(problem, other).values, Linear(problem, one).values)
    return all(
        np.array_equal(area.values, area.again(other).values) for area in areas(problem, one, shape)
    )


def _distinct(indices: Array) -> tuple[Array, Array]:
    values, where = np.unique(indices, return_inverse=True)
    return values, where.reshape(indices.shape)


def _places(size: int, ends: int, inner: int) -> Array:
    """Both ends of an axis, and places between them at no even distance."""
    if size <= 2 * ends + inner:
        return np.arange(size)
    between = np.random.default_rng(size).choice(size - 2 * ends, inner, replace=False) + ends
    return np.unique([*range(ends), *between, *range(size - ends, size)])
