"""The single deviations of a convention: one table of the mistakes that implementations make.

Each differs from the convention in one thing: an axis, an order, a step. Only such are listed as
the arrays could show at all, by their shapes: a single channel has no order, and a kernel of one
tap is its own reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcheck.convention.axis import PADDING_MODES
from convcheck.convention.channels import (
    SPATIAL,
    check_order,
    is_reread,
    read_filters,
    reread,
    stored_image,
)
from convcheck.convention.multiplier import MULTIPLIERS
from convcheck.convention.steps import ACTIVATIONS, Activation
from convcheck.convention.storage import OVERFLOWS, ROUNDINGS
from convcheck.errors import InputError
from convcheck.score import usual_layouts

if TYPE_CHECKING:
    from convcheck.convention.record import Convention

Array = NDArray[Any]

_WAYS = {
    "real": "in real numbers",
    "float32": "in float32",
    "fixed": "in fixed point, rounded once",
    "fixed_twice": "in fixed point, rounded twice",
}
_AXES = {1: {"W": "samples"}, 2: {"H": "rows", "W": "columns"}}
_AXES[3] = {"D": "depth"} | _AXES[2]


class Deviation(NamedTuple):
    """A mistake: its name, what it does in words, and the convention that an implementation has."""

    name: str
    what: str
    convention: Convention


class _Arrays(NamedTuple):
    """What the shapes of an image and a bank leave to be mistaken."""

    image: Array
    filters: Array
    channels: int
    bank: tuple[int, ...]
    """(O,I,*F): outputs, the inputs of one group, taps."""

    @property
    def outputs(self) -> int:
        """The number of output channels."""
        return self.bank[0]


def deviations(c: Convention, image: Array, filters: Array) -> Iterator[Deviation]:
    """Every single deviation of ``c`` on arrays of these shapes and dtypes, by rising step.

    Raises:
        InputError: arrays that the convention does not fit.
    """
    channels = stored_image(image, c).shape[1]
    bank = read_filters(filters, c, channels).shape
    arrays = _Arrays(image, filters, channels, bank)
    for found in _TABLE:
        for name, what, changes in found(c, arrays):
            yield Deviation(name, what, c.replace(**changes))


def axis_name(letter: str, rank: int) -> str:
    """What runs along a spatial axis: rows, columns, depth; samples where there is one axis."""
    return _AXES[rank][letter]


Found = Iterator[tuple[str, str, dict[str, Any]]]


def _flips(c: Convention, arrays: _Arrays) -> Found:
    axes = [a for a, n in zip("I" + c.spatial, arrays.bank[1:], strict=True) if n > 1]
    kept = set(c.flip) - set(axes)
    for size in range(len(axes) + 1):
        for some in combinations(axes, size):
            flip = tuple(a for a in "I" + c.spatial if a in some or a in kept)
            if flip != c.flip:
                said = "+".join(flip) if flip else "nothing"
                yield f"flip {said}", f"the filters reversed along {said}", {"flip": flip}


def _swapped_kernels(c: Convention, arrays: _Arrays) -> Found:
    taps = dict(zip(c.spatial, arrays.bank[2:], strict=True))
    for a, b in combinations(c.spatial, 2):
        if taps[a] > 1 or taps[b] > 1:
            one, other = axis_name(a, c.rank), axis_name(b, c.rank)
            yield (
                f"kernel {one} and {other} swapped",
                f"the kernel's {one} and {other} in each other's place",
                kernel_swapped(c, a, b),
            )


def kernel_swapped(c: Convention, a: str, b: str) -> dict[str, str]:
    """The keys with which two axes of the kernel are read in each other's place."""
    keys = {"filter_layout": _swapped(c.filter_layout, a, b)}
    if c.filter_memory is not None:
        keys["filter_memory"] = _swapped(c.filter_memory, a, b)
    return keys


def _conjugates(c: Convention, arrays: _Arrays) -> Found:
    if arrays.filters.dtype.kind == "c":
        said = "not conjugated" if c.conjugate else "conjugated"
        yield "conjugate", f"the filters {said}", {"conjugate": not c.conjugate}


def _orders(c: Convention, arrays: _Arrays) -> Found:
    """Channels in other orders: as they are read, and as they are written."""
    channels, groups = arrays.channels, c.groups
    order = c.channel_order or tuple(range(channels))
    if channels > 1:
        yield (
            "channels reversed",
            "the image's channels read in reverse order",
            {"channel_order": order[::-1]},
        )
    if channels > 2:
        yield (
            "channels rotated",
            "the image's channels shifted by one",
            {"channel_order": (*order[1:], order[0])},
        )
    if 1 < groups < channels:
        yield (
            "group order",
            "the channels dealt out to the groups in turn",
            {"channel_order": _dealt(order, groups)},
        )
    written = c.output_order or tuple(range(arrays.outputs))
    if arrays.outputs > 1:
        yield (
            "outputs reversed",
            "the output's channels written in reverse order",
            {"output_order": written[::-1]},
        )
    if 1 < groups < arrays.outputs:
        yield (
            "outputs interleaved",
            "the output's channels written by turns, one of each group",
            {"output_order": _dealt(written, groups)},
        )


def _layouts(c: Convention, arrays: _Arrays) -> Found:
    """Other readings of the stored axes that the sizes allow, and of the memory as another's."""
    for key, operand in (("image_layout", "image"), ("filter_layout", "filters")):
        current = getattr(c, key)
        memory = key.replace("layout", "memory")
        readings = _moved(current)
        if is_reread(current, getattr(c, memory)):
            readings.insert(0, current)
        if key == "image_layout":  # of the kernel's axes that is a deviation of its own
            for a, b in combinations(c.spatial, 2):
                swapped = _swapped(current, a, b)
                readings += [swapped, *_moved(swapped)]
        changes: list[tuple[str, str, dict[str, Any]]] = [
            (f"{operand} as {one}", f"the {operand} read as {one}", {key: one, memory: None})
            for one in readings
        ]
        of = "the filters'" if operand == "filters" else "the image's"
        changes += [
            (
                f"{operand} reshaped to {layout}",
                f"{of} memory read as {layout}: reshaped, not transposed",
                {memory: layout},
            )
            for layout in usual_layouts(operand, c.spatial)
            if sorted(layout) == sorted(current)
        ]
        told = {_reading(c, key, arrays)}
        for name, what, change in changes:
            other = c.replace(**change)
            # What differs in axes of length 1 alone is the same reading.
            if _fits(other, arrays) and _reading(other, key, arrays) not in told:
                told.add(_reading(other, key, arrays))
                yield name, what, change


def _axes(c: Convention, arrays: _Arrays) -> Found:
    for axis, (letter, taps) in enumerate(zip(c.spatial, arrays.bank[2:], strict=True)):
        name = axis_name(letter, c.rank)
        before, after = c.padding[axis]
        if before != after:
            yield (
                f"padding sides of {name}",
                f"padding of {after} before and {before} after the {name}, not the reverse",
                {"padding": _put(c.padding, axis, (after, before))},
            )
        if c.stride[axis] > 1 or before > 0:
            yield (
                f"phase of {name}",
                f"every window one further on along the {name}",
                {"padding": _put(c.padding, axis, (before - 1, after + 1))},
            )
        for key in ("stride", "dilation"):
            value = getattr(c, key)[axis]
            if key == "stride" or taps > 1:
                yield (
                    f"{key} of {name}",
                    f"a {key} of {value + 1} instead of {value} along the {name}",
                    {key: _put(getattr(c, key), axis, value + 1)},
                )


def _borders(c: Convention, _: _Arrays) -> Found:
    padded = [mode for mode, pads in zip(c.padding_modes, c.padding, strict=True) if max(pads) > 0]
    if not padded:
        return
    now = " and ".join(dict.fromkeys(padded))
    if max(c.input_dilation) == 1:
        for mode in PADDING_MODES:
            if {mode} != set(padded):
                yield (
                    f"border {mode}",
                    f"the border continued by {mode} instead of {now}",
                    {"padding_mode": mode, "padding_value": 0.0},
                )
    if "constant" in padded:
        value = c.padding_value
        if value != 0:
            yield (
                "border of zeros",
                f"a border of 0 instead of {value:g}",
                {"padding_value": 0.0},
            )
        if not isinstance(c.image_offset, tuple) and not isinstance(c.image_scale, tuple):
            early = (0.0 - c.image_offset) * c.image_scale
            if early not in (0.0, value):
                yield (
                    "padded before the offset",
                    "zeros put around the image before its offset is taken off",
                    {"padding_value": early},
                )


def _offsets(c: Convention, _: _Arrays) -> Found:
    """What is done to the operands before the sums, left out; zero points off by one."""
    for key in ("image_offset", "filter_offset", "image_scale"):
        value, nothing = np.asarray(getattr(c, key)), 1.0 if key == "image_scale" else 0.0
        if np.any(value != nothing):
            name = key.replace("_", " ")
            yield f"no {name}", f"the {name} left out", {key: nothing}
            if key != "image_scale" and np.array_equal(value, np.rint(value)):
                off = (value + 1).tolist()
                yield f"{name} off by one", f"the {name} one too large", {key: off}


def _after(c: Convention, _: _Arrays) -> Found:
    """What is done to the sums, left out or mistaken for something else."""
    if np.any(np.asarray(c.scale) != 1):
        yield "no scale", "the sums not scaled", {"scale": 1.0}
    if c.bias is not None:
        yield "no bias", "the bias left out", {"bias": None}
    if c.activation is None:
        return
    words, kind = c.activation.words, ACTIVATIONS[c.activation.name]
    yield "no activation", f"{words} left out", {"activation": None}
    plain = [n for n, k in ACTIVATIONS.items() if not k.parameters]
    for name in plain if c.activation.name in plain else ():
        if name != c.activation.name and _limits(name) == _limits(c.activation.name):
            other = ACTIVATIONS[name]
            yield (
                f"activation {name}",
                f"{other.words} instead of {words}",
                {"activation": Activation(name)},
            )
    for i, (name, value) in enumerate(zip(kind.parameters, c.activation.values, strict=True)):
        another = 2 * value if value else 1.0
        changed = Activation(c.activation.name, _put(c.activation.values, i, another))
        yield (
            f"activation's {name}",
            f"a {name} of {another:g} instead of {value:g}",
            {"activation": changed},
        )


def _storage(c: Convention, arrays: _Arrays) -> Found:
    s = c.storage
    if s is None or not s.is_integer:
        return
    if s.zero_point:
        yield (
            "zero point off by one",
            "the output's zero point one too large",
            {"storage": replace(s, zero_point=s.zero_point + 1)},
        )
    whole = all(array.dtype.kind in "biu" for array in (arrays.image, arrays.filters))
    numbers = (c.image_offset, c.image_scale, c.filter_offset, c.padding_value, c.scale, c.bias)
    whole &= all(np.array_equal(n, np.rint(n)) for n in numbers if n is not None)
    for rounding in ROUNDINGS:
        if rounding != s.rounding and not whole:  # integers are not rounded
            yield (
                f"rounding {rounding}",
                f"numbers rounded {rounding} instead of {s.rounding}",
                {"storage": replace(s, rounding=rounding)},
            )
    for way in MULTIPLIERS if s.multiplier != "real" else ():
        if way != s.multiplier:
            yield (
                f"multiplier {way}",
                f"the sums multiplied {_WAYS[way]} instead of {_WAYS[s.multiplier]}",
                {"storage": replace(s, multiplier=way)},
            )
    for overflow in OVERFLOWS:
        if overflow != s.overflow:
            yield (
                f"overflow {overflow}",
                f"what is beyond {s.dtype}: {overflow} instead of {s.overflow}",
                {"storage": replace(s, overflow=overflow)},
            )


_TABLE: tuple[Callable[[Convention, _Arrays], Found], ...] = (
    _flips,
    _swapped_kernels,
    _conjugates,
    _orders,
    _layouts,
    _axes,
    _borders,
    _offsets,
    _after,
    _storage,
)


def _limits(activation: str) -> list[float]:
    """What it makes of numbers far from 0: those that are taken for each other agree there."""
    limits: list[float] = Activation(activation).apply(np.array([-100.0, 100.0])).round(9).tolist()
    return limits


def _swapped(layout: str, a: str, b: str) -> str:
    return layout.translate(str.maketrans(a + b, b + a))


def _moved(layout: str) -> list[str]:
    """The layouts with other axes than the spatial ones elsewhere."""
    among = "".join(a for a in layout if a in SPATIAL)
    orders = ("".join(order) for order in permutations(layout))
    return [o for o in orders if "".join(a for a in o if a in SPATIAL) == among and o != layout]


def _reading(c: Convention, key: str, arrays: _Arrays) -> object:
    """The same for layouts that read an image, or filters, of this shape alike."""
    if key == "image_layout" or c.groups == 1:
        image = key == "image_layout"
        shape = (arrays.image if image else arrays.filters).shape
        memory = c.image_memory if image else c.filter_memory
        array, layout = reread(np.broadcast_to(np.uint8(0), shape), getattr(c, key), memory)
        sizes = zip(layout.replace("M", "O"), array.shape, strict=True)
        return tuple((axis, n) for axis, n in sizes if n > 1)
    places = np.arange(arrays.filters.size).reshape(arrays.filters.shape)
    read = read_filters(places, c, arrays.channels)
    return read.shape, hash(read.tobytes())


def _fits(other: Convention, arrays: _Arrays) -> bool:
    """Whether the arrays can be read so, with the same number of outputs."""
    try:
        channels = stored_image(arrays.image, other).shape[1]
        check_order("channel_order", other.channel_order, channels)
        return len(read_filters(arrays.filters, other, channels)) == arrays.outputs
    except InputError:
        return False


def _dealt(order: Sequence[int], groups: int) -> tuple[int, ...]:
    """One of each group by turns."""
    return tuple(np.reshape(order, (groups, -1)).T.ravel().tolist())


def _put(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])
