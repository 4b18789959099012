"""What goes wrong with outputs: each kind makes a defective output of a clean one.

A kind takes a random generator and a clean output. It returns the output altered; or, where a step
of the vocabulary does what was done, the keys by which the truth changes. It raises :class:`Unfit`
where it can't be done to that output, or would be something else there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from drawn_layers import Unfit
from drawn_parts import pick
from plain_convolution import Array, before_storage, rounded, spatial, stored, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from outputs import Made
    from plain_convolution import Truth

    Rng = np.random.Generator
    Kind = Callable[[Rng, Made], Array | Truth]
AXES = "NCDHW"


def remade(made: Made, truth: Truth) -> Array:
    """The output that the same arrays give under another truth, in the same dtype."""
    arithmetic = truth.get("arithmetic", "exact")
    storage = truth.get("storage")
    if storage is not None:
        return stored(before_storage(made.image, made.filters, truth), storage)
    if arithmetic in ("exact", "float64"):
        values = before_storage(made.image, made.filters, truth)
    else:
        operands = (rounded(a.astype(np.float32), arithmetic) for a in (made.image, made.filters))
        x, w = (a.astype(np.float32) for a in operands)
        values = before_storage(x, w, truth, np.float32)
        values = values if arithmetic == "tf32" else rounded(values, arithmetic)
    out = values.astype(made.output.dtype)
    if made.output.dtype.kind in "iu" and (out != values).any():
        raise Unfit  # integers do not hold it
    return out


def arranged(output: Array, truth: Truth) -> Array:
    """A view with the axes N, C and all that are spatial; what is written there is written."""
    layout = truth.get("output_layout", "CHW")
    names = [a for a in AXES if a in layout]
    view = output.transpose([layout.index(a) for a in names])
    for at, axis in enumerate("NC"):
        if axis not in layout:
            view = np.expand_dims(view, at)
    return view


def spread_of(made: Made) -> float:
    """How far the output's elements lie apart."""
    return float(np.std(made.output.astype(np.complex128)))


def kept(made: Made, values: Array) -> Array:
    """Numbers as the output's dtype holds them; integers rounded and cut off."""
    dtype = made.output.dtype
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
    few = made.truth.get("arithmetic", "exact")
    if few == "bfloat16":
        return rounded(values.astype(np.float32), few)
    return values.astype(dtype)


def _place(rng: Rng, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(rng.integers(n)) for n in shape)


def _wide(made: Made, output: Array | None = None) -> Array:
    values = made.output if output is None else output
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def elements(change: Callable[[Rng, Made, Array], Array], count: int = 1) -> Kind:
    """One element or some: ``change`` has the numbers there, as floats."""

    def make(rng: Rng, made: Made) -> Array:
        out = _wide(made)
        chosen = rng.choice(out.size, min(count, out.size // 4), replace=False)
        out.flat[chosen] = change(rng, made, out.flat[chosen])
        return kept(made, out)

    return make


def off_by_one(rng: Rng, made: Made, values: Array) -> Array:
    if (made.exact != np.rint(made.exact)).any() and made.output.dtype.kind not in "iu":
        raise Unfit
    return values + rng.choice([-1, 1], values.shape)


def off_by(part: float) -> Callable[[Rng, Made, Array], Array]:
    def change(rng: Rng, made: Made, values: Array) -> Array:
        return values + part * spread_of(made) * rng.choice([-1, 1], values.shape)

    return change


def nonfinite(value: float) -> Callable[[Rng, Made, Array], Array]:
    def change(rng: Rng, made: Made, values: Array) -> Array:
        if made.output.dtype.kind in "iu":
            raise Unfit
        return np.full(values.shape, value)

    return change


def area(change: Callable[[Rng, Made, Array, tuple[Any, ...]], Array], where: str) -> Kind:
    """A part of the whole: a row, a column, a tile, the border, a corner, a channel.

    ``change`` has the whole as N, C, spatial in floats, and the part's index; it returns the part.
    """

    def make(rng: Rng, made: Made) -> Array:
        out = _wide(made)
        view = arranged(out, made.truth)
        for index in _indices(rng, view.shape, where):
            view[index] = change(rng, made, view, index)
        out = kept(made, out)
        if np.count_nonzero(out != made.output) > 0.4 * out.size:
            raise Unfit  # too much of it: the rest could be the defect
        return out

    return make


def _indices(rng: Rng, shape: tuple[int, ...], where: str) -> list[tuple[Any, ...]]:
    space = shape[2:]
    every = slice(None)
    if where in ("row", "column"):
        axis = 2 if where == "row" else len(shape) - 1
        if shape[axis] < 4 or (where == "row" and len(space) < 2):
            raise Unfit
        index: list[Any] = [every] * len(shape)
        index[axis] = slice(int(rng.integers(1, shape[axis])), None)
        index[axis] = slice(index[axis].start, index[axis].start + 1)
        return [tuple(index)]
    if where == "channel":
        if shape[1] < 3:
            raise Unfit
        channel = int(rng.integers(shape[1]))
        return [(every, slice(channel, channel + 1))]
    if where == "border":
        if min(space) < 5:
            raise Unfit
        ends = [slice(0, 1), slice(-1, None)]
        return [
            (every, every, *(end if a == axis else every for a in range(len(space))))
            for axis in range(len(space))
            for end in ends
        ]
    if where == "side":
        return [pick(rng, *_indices(rng, shape, "border"))]
    if where == "corner":
        side = [slice(0, max(1, n // 4)) for n in space]
        return [(every, every, *side)]
    channel = int(rng.integers(shape[1]))
    sides = [max(1, int(rng.integers(n // 4, n // 2 + 1))) for n in space]
    starts = [int(rng.integers(0, n - side + 1)) for n, side in zip(space, sides, strict=True)]
    tile = [slice(s, s + side) for s, side in zip(starts, sides, strict=True)]
    channels = every if rng.random() < 0.5 else slice(channel, channel + 1)
    return [(slice(0, 1), channels, *tile)]


def zeros(rng: Rng, made: Made, view: Array, index: tuple[Any, ...]) -> Array:
    return 0 * view[index]


def shifted(rng: Rng, made: Made, view: Array, index: tuple[Any, ...]) -> Array:
    return view[index] + pick(rng, 0.1, 0.5, -0.3) * spread_of(made)


def scaled(rng: Rng, made: Made, view: Array, index: tuple[Any, ...]) -> Array:
    return view[index] * pick(rng, 0.5, 0.9, 1.1, 2)


def repeated(rng: Rng, made: Made, view: Array, index: tuple[Any, ...]) -> Array:
    """What stands one before it along the axis that the index picks."""
    return view[tuple(slice(s.start - 1, s.stop - 1) if s.start is not None else s for s in index)]


def stale(rng: Rng, made: Made, view: Array, index: tuple[Any, ...]) -> Array:
    """What stands elsewhere in the same channels."""
    part = view[index]
    moved = [int(rng.integers(0, n - s + 1)) for n, s in zip(view.shape, part.shape, strict=True)]
    moved[1] = index[1].start or 0
    there = view[tuple(slice(m, m + s) for m, s in zip(moved, part.shape, strict=True))]
    return there.copy()


def in_few_bits(rng: Rng, made: Made, view: Array, index: tuple[Any, ...]) -> Array:
    if made.output.dtype.kind != "f" or made.unit > 2.0**-24:
        raise Unfit
    few = pick(rng, "bfloat16", "float16")
    with np.errstate(over="raise"):
        try:
            whole = rounded(view.astype(np.float32), few).astype(np.float64)
        except FloatingPointError:
            raise Unfit from None
    part = whole[index].copy()
    whole[index] = view[index]
    if np.array_equal(whole, view):
        raise Unfit  # all of it has few bits then
    return part


def of_another_channel(rng: Rng, made: Made, view: Array, index: tuple[Any, ...]) -> Array:
    if made.truth.get("output_order"):
        raise Unfit  # which of two equal channels is the copy is for nobody to tell
    other = (index[1].start + 1) % view.shape[1]
    return view[:, other : other + 1].copy()


def by_other(keys: Callable[[Rng, Made], Truth], where: str) -> Kind:
    """A part as another convention has it, but so little of it that the truth is nearer."""

    def make(rng: Rng, made: Made) -> Array:
        changed = keys(rng, made)
        try:
            other = remade(made, made.truth | changed)
        except ValueError:
            raise Unfit from None
        if other.shape != made.output.shape:
            raise Unfit

        def change(rng: Rng, made: Made, view: Array, index: tuple[Any, ...]) -> Array:
            return arranged(other, made.truth)[index].astype(view.dtype)

        out = area(change, where)(rng, made)
        if np.count_nonzero(out != other) < 2 * np.count_nonzero(out != made.output):
            raise Unfit
        near = max(1e-5, 4 * made.unit) * spread_of(made)
        for one in _axes_of(made, changed):
            if np.abs(_wide(made, out) - _wide(made, remade(made, made.truth | one))).max() <= near:
                raise Unfit  # all of an axis is so, as only one side of it is padded
        return out

    return make


def _axes_of(made: Made, changed: Truth) -> Iterator[Truth]:
    """Of another border, the same along one axis alone."""
    if "padding_mode" not in changed:
        return
    modes = whole(made.truth)["padding_mode"]
    for axis in range(len(modes)):
        along = [changed["padding_mode"] if a == axis else m for a, m in enumerate(modes)]
        yield changed | {"padding_mode": along}


def cut_at_zero(rng: Rng, made: Made) -> Truth:
    if made.truth.get("activation") or made.output.dtype.kind == "c":
        raise Unfit
    return {"activation": "relu"}


def another_flip(rng: Rng, made: Made) -> Truth:
    return {"flip": [a for a in "HW" if a not in made.truth.get("flip", [])]}


def another_border(rng: Rng, made: Made) -> Truth:
    t = whole(made.truth)
    if not any(side > 0 for pads in t["padding"] for side in pads):
        raise Unfit
    mode = pick(rng, *(m for m in ("constant", "edge", "wrap") if m not in t["padding_mode"]))
    return {"padding_mode": mode, "padding_value": 0}


def everywhere(change: Callable[[Rng, Made, Array], Array]) -> Kind:
    """The whole output; what no step of the vocabulary does."""

    def make(rng: Rng, made: Made) -> Array:
        return kept(made, change(rng, made, _wide(made)))

    return make


def gamma(rng: Rng, made: Made, out: Array) -> Array:
    if out.dtype.kind == "c":
        raise Unfit
    largest = np.abs(out).max()
    return np.sign(out) * largest * (np.abs(out) / largest) ** pick(rng, 0.8, 1.25)


def residual(rng: Rng, made: Made, out: Array) -> Array:
    view = arranged(out, made.truth)
    if made.truth.get("storage") or view.shape[1] < 2:
        raise Unfit
    view += 0.1 * np.roll(view, 1, axis=1)
    return out


def noise(rng: Rng, made: Made, out: Array) -> Array:
    return out + 0.1 * spread_of(made) * rng.standard_normal(out.shape)


def ramp(rng: Rng, made: Made, out: Array) -> Array:
    view = arranged(out, made.truth)
    view += spread_of(made) * np.linspace(0, pick(rng, 0.2, 1), view.shape[-1])
    return out


def grid(rng: Rng, made: Made, out: Array) -> Array:
    if made.output.dtype.kind != "f":
        raise Unfit
    step = float(spread_of(made) * rng.uniform(0.1, 0.3))
    return step * np.rint(out / step)


def dropout(rng: Rng, made: Made, out: Array) -> Array:
    out[rng.random(out.shape) < 0.1] = 0
    return out


def another_image(rng: Rng, made: Made) -> Array:
    image = rng.permutation(made.image.ravel()).reshape(made.image.shape)
    return remade(_with_image(made, image), made.truth)


def _with_image(made: Made, image: Array) -> Made:
    from dataclasses import replace

    return replace(made, image=image)


def a_tap_lost(rng: Rng, made: Made) -> Array:
    """One weight of all filters is zero."""
    from dataclasses import replace

    filters = made.filters.copy()
    layout = made.truth.get("filter_layout", "OIHW")
    axis = layout.index(spatial(layout)[-1])
    if filters.shape[axis] < 3 or made.truth.get("filter_offset"):
        raise Unfit
    filters[(slice(None),) * axis + (1,)] = 0
    return remade(replace(made, filters=filters), made.truth)
