"""A convention in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.calls.geometry import Geometry, measure
from convcheck.convention import KEYS, Convention
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.convention import Pair

_AXES = {"I": "channels", "H": "rows", "W": "columns"}
_NATURAL = {
    "CHW": "OHW",
    "CWH": "OHW",
    "HWC": "HWO",
    "HW": "HW",
    "NCHW": "NOHW",
    "NHWC": "NHWO",
}
"""The output layout that goes without saying beside each image layout."""
_MODES = {
    "reflect": "by reflection without repeating the edge (reflect)",
    "symmetric": "by reflection that repeats the edge (symmetric)",
    "edge": "by repeating the edge (edge)",
    "wrap": "by going round to the other side (wrap, circular)",
}
_SIDES = ("above", "below", "left", "right")
_EDGES = ("at the top", "at the bottom", "on the left", "on the right")


def describe(
    convention: Convention,
    *,
    image: str = "IMG",
    filters: str = "W",
    output: str = "OUT",
    image_shape: Sequence[int] | None = None,
    filter_shape: Sequence[int] | None = None,
) -> str:
    """The convention in one sentence.

    With the shapes of both arrays as stored, the padding's usual name is said too, where it has
    one (VALID, SAME_UPPER, SAME_LOWER, SAME where these two agree, FULL; what a framework calls the
    padding of a transposed convolution), and depthwise is told from groups.
    """
    c = convention
    g = _measured(c, image_shape, filter_shape)
    clauses = [
        f"{output} is the {_kind(c)} of {image}",
        f"read as {c.image_layout}{_channels(c)}",
        f"with {filters}",
        f"read as {c.filter_layout}{_swapped(c)}",
        *_groups(c, g),
        *_steps(c),
        _padding(c) + _name(g),
        *_after(c),
    ]
    if c.output_layout != _NATURAL[c.image_layout]:
        clauses.append(f"written as {c.output_layout}")
    return ", ".join(clauses)


def headline(convention: Convention, padding: str, dtype: str) -> str:
    """What a convention is whatever the sizes and the parameters: its kind and its layouts."""
    c = convention
    steps = [f"the {_kind(c)}".rstrip(","), f"{c.image_layout}{_channels(c)}"]
    steps += [f"{c.filter_layout}{_swapped(c)}", padding]
    steps += [clause for clause in _after(c) if clause]
    if c.output_layout != _NATURAL[c.image_layout]:
        steps.append(f"written as {c.output_layout}")
    return ", ".join([*steps, dtype])


def padding_words(convention: Convention) -> str:
    """What the places beyond the image's edge are filled with."""
    c = convention
    if c.padding_mode == "constant":
        value = "zero" if c.padding_value == 0 else _number(c.padding_value)
        return f"{value} padding"
    return f"padding {_MODES[c.padding_mode]}"


def differences(a: Convention, b: Convention) -> list[str]:
    """What differs between two conventions: a clause for each key, what ``a`` says first."""
    return [_difference(key, a, b) for key in KEYS if getattr(a, key) != getattr(b, key)]


def _measured(
    convention: Convention, image_shape: Sequence[int] | None, filter_shape: Sequence[int] | None
) -> Geometry | None:
    if image_shape is None or filter_shape is None:
        return None
    try:
        return measure(convention, image_shape, filter_shape)
    except InputError:
        return None


def _kind(c: Convention) -> str:
    spread = max(c.input_dilation) > 1
    if spread and c.flip == ("H", "W"):
        gaps = _pair(c.input_dilation)
        return f"transposed convolution, stride {gaps} (zeros between the image's samples),"
    zeros = f", with zeros between the image's samples (input dilation {_pair(c.input_dilation)}),"
    return _flip(c.flip) + (zeros if spread else "" if c.flip in _ENDS_SMOOTHLY else ",")


_ENDS_SMOOTHLY = ((), ("H", "W"))
"""Kinds after which "of" needs no comma."""


def _flip(flip: tuple[str, ...]) -> str:
    if not flip:
        return "cross-correlation"
    if flip == ("H", "W"):
        return "per-channel convolution (kernel rows and columns reversed)"
    if flip == ("I", "H", "W"):
        return (
            "N-D convolution, as scipy.signal.convolve "
            "(channels, rows and columns of the filters reversed)"
        )
    return f"cross-correlation, with the filters' {_listed([_AXES[a] for a in flip])} reversed"


def _channels(c: Convention) -> str:
    order = c.channel_order
    if order is None or order == tuple(range(len(order))):
        return ""
    if order == tuple(reversed(range(len(order)))):
        bgr = " (BGR for RGB)" if len(order) == 3 else ""
        return f" with its channels in reverse order{bgr}"
    return f" with its channels in the order {_order(order)}"


def _order(order: Sequence[int]) -> str:
    return ", ".join(map(str, order))


def _swapped(c: Convention) -> str:
    return " with the kernel's rows and columns swapped" if c.kernel_transposed else ""


def _groups(c: Convention, g: Geometry | None) -> list[str]:
    if c.groups == 1:
        return []
    if c.filter_layout == "HW":
        return [f"one kernel shared by all {c.groups} channels"]
    if g is None or not g.depthwise:
        return [f"in {c.groups} groups"]
    more = f" with multiplier {g.per_group}" if g.per_group > 1 else ""
    return [f"depthwise{more} (in {c.groups} groups)"]


def _steps(c: Convention) -> list[str]:
    clauses = []
    if c.stride != (1, 1):
        # A transposed convolution's own stride is another.
        name = "stride" if max(c.input_dilation) == 1 else "then stride"
        clauses.append(f"{name} {_pair(c.stride)}")
    if c.dilation != (1, 1):
        clauses.append(f"dilation {_pair(c.dilation)}")
    return clauses


def _pair(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} down and {pair[1]} across"


def _padding(c: Convention) -> str:
    padded = [max(p, 0) for pads in c.padding for p in pads]
    cropped = [max(-p, 0) for pads in c.padding for p in pads]
    if not any(padded + cropped):
        return "no padding"
    clauses = []
    if any(padded):
        how = _MODES.get(c.padding_mode, "")
        if not how and c.padding_value:
            how = f"with the value {_number(c.padding_value)}"
        clauses.append(f"padded {_amounts(padded, _SIDES)}{how and ' ' + how}")
    if any(cropped):
        clauses.append(f"cropped by {_amounts(cropped, _EDGES)}")
    return " and ".join(clauses)


def _amounts(sides: Sequence[int], names: Sequence[str]) -> str:
    """Four amounts in the shortest way that is true."""
    top, bottom, left, right = sides
    if top == bottom == left == right:
        return f"{top} on every side"
    if (top, bottom) == (left, right):
        return f"{top} before and {bottom} after"
    if top == bottom and left == right:
        rows = f"{names[0]} and {names[1].removeprefix('at the ')}"
        columns = f"{names[2]} and {names[3].removeprefix('on the ')}"
        return ", ".join(f"{n} {where}" for n, where in ((top, rows), (left, columns)) if n)
    said = [f"{n} {where}" for n, where in zip(sides, names, strict=True) if n]
    return _listed(said)


def _name(g: Geometry | None) -> str:
    """The padding's usual name, where it has one on these shapes."""
    if g is None:
        return ""
    if g.spreads:
        return _transposed_name(g)
    if g.is_padded((0, 0), (0, 0)):
        return " (VALID)"
    upper = all(axis.is_same() for axis in g.axes)
    lower = all(axis.is_same(lower=True) for axis in g.axes)
    if upper or lower:
        return " (SAME)" if upper and lower else " (SAME_UPPER)" if upper else " (SAME_LOWER)"
    if g.is_padded(*((axis.extent - 1, axis.extent - 1) for axis in g.axes)):
        return " (FULL)"
    return ""


def _transposed_name(g: Geometry) -> str:
    """The padding as a transposed convolution's caller gives it, where one could."""
    padding, more = zip(*(axis.undone for axis in g.axes), strict=True)
    possible = all(0 <= op < a.gap for op, a in zip(more, g.axes, strict=True))
    if g.fills or g.convention.flip != ("H", "W") or min(padding) < 0 or not possible:
        return ""
    output = f", output padding {_pair(more)}" if any(more) else ""
    return f" (the caller's padding {_pair(padding)}{output})"


def _after(c: Convention) -> list[str]:
    clauses = []
    if c.scale != 1:
        clauses.append(f"times {_number(c.scale)}")
    if c.bias is not None:
        clauses.append("plus a bias for each output channel")
    if c.activation == "relu":
        clauses.append("then ReLU")
    if c.arithmetic != "exact":
        clauses.append(_arithmetic(c.arithmetic))
    return clauses


def _arithmetic(arithmetic: str) -> str:
    how, _, name = arithmetic.partition(":")
    if how == "wrap":
        bits = int(name.removeprefix("u").removeprefix("int"))
        return f"truncated to {name} modulo {2**bits if bits < 32 else '2^32'}"
    if how == "saturate":
        return f"rounded and saturated to {name}"
    return f"in {'TF32' if arithmetic == 'tf32' else arithmetic}"


def _number(value: float) -> str:
    whole = round(1 / value) if abs(value) > 1e-9 else 0
    if abs(whole) > 1 and 1 / whole == value:
        return f"1/{whole}" if whole > 0 else f"-1/{-whole}"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _difference(key: str, a: Convention, b: Convention) -> str:
    one, other = getattr(a, key), getattr(b, key)
    if key in _PLAIN:
        before, say = _PLAIN[key]
        return f"{before}{say(one)} instead of {say(other)}"
    if key == "padding":
        return f"{_padding(_amounts_only(a))} instead of {_padding(_amounts_only(b))}"
    if key == "bias":
        if one is None:
            return "no bias instead of one for each output channel"
        return "another bias" if other is not None else "a bias instead of none"
    if key == "kernel_transposed":
        return f"the kernel's rows and columns {_swap_name(one)} instead of {_swap_name(other)}"
    return f"{_arithmetic_name(one)} instead of {_arithmetic_name(other)}"


def _amounts_only(c: Convention) -> Convention:
    return Convention(padding=c.padding)


def _flip_name(flip: tuple[str, ...]) -> str:
    return _listed([_AXES[axis] for axis in flip]) if flip else "none"


def _order_name(order: Sequence[int] | None) -> str:
    return "as stored" if order is None else _order(order)


def _swap_name(swapped: bool) -> str:
    return "swapped" if swapped else "as stored"


def _arithmetic_name(arithmetic: str) -> str:
    return "exact arithmetic" if arithmetic == "exact" else _arithmetic(arithmetic)


_PLAIN: dict[str, tuple[str, Any]] = {
    "image_layout": ("the image read as ", str),
    "filter_layout": ("the filters read as ", str),
    "output_layout": ("the output written as ", str),
    "flip": ("reversed axes of the filters: ", _flip_name),
    "stride": ("stride ", _pair),
    "dilation": ("dilation ", _pair),
    "input_dilation": ("input dilation ", _pair),
    "padding_mode": ("padding mode ", str),
    "padding_value": ("padding with the value ", _number),
    "groups": ("groups: ", str),
    "channel_order": ("channels in the order ", _order_name),
    "scale": ("scale ", _number),
    "activation": ("activation: ", lambda name: "ReLU" if name == "relu" else "none"),
}
"""Keys whose two values are said side by side: what stands before them, and how each is said."""
