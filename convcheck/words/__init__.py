"""A convention in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.calls.geometry import Geometry, measure
from convcheck.convention import KEYS, Convention
from convcheck.convention.channels import SHARED, bank_kind, is_reread
from convcheck.convention.preprocessing import preprocessing
from convcheck.errors import InputError
from convcheck.words.padding import padding, padding_name, padding_words
from convcheck.words.plain import along, listed, number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convcheck.convention import Numbers, Storage

__all__ = [
    "arithmetic_words",
    "axes_words",
    "describe",
    "differences",
    "headline",
    "mended",
    "padding_words",
    "stored_words",
]

_ROUNDINGS = {
    "half_even": "halves to even",
    "half_away": "halves away from zero",
    "half_up": "halves up",
    "toward_zero": "rounded toward zero",
    "down": "rounded down",
}
_OVERFLOWS = {"saturate": "saturated", "wrap": "wrapped"}
_MULTIPLIERS = {
    "real": "",
    "float32": ", multiplied in float32",
    "fixed": ", multiplied in fixed point and rounded once",
    "fixed_twice": ", multiplied in fixed point and rounded twice",
}
_FEW = 4
"""Numbers that are told one by one: as many as a picture has channels."""


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
    one (PyTorch's arguments, VALID, SAME_UPPER, SAME_LOWER, SAME where these two agree, FULL), and
    depthwise is told from groups.
    """
    c = convention
    g = _measured(c, image_shape, filter_shape)
    clauses = [
        f"{output} is the {_kind(c)} of {image}",
        f"{_read(image, c.image_layout, c.image_memory)}{_channels(c)}",
        *_preprocessed(c),
        f"with {filters}",
        f"{_read(filters, c.filter_layout, c.filter_memory)}{_swapped(c)}",
        *_shifted(c.filter_offset, 1.0, "output channel", "its filters "),
        *(["conjugated"] if c.conjugate else []),
        *_groups(c, g),
        *_steps(c),
        padding(c) + padding_name(g),
        *_after(c),
        *_written(c),
        *_gradient(c, image, filters),
    ]
    return ", ".join(clauses)


def headline(convention: Convention, padding: str, dtype: str) -> str:
    """What a convention is whatever the sizes and the parameters: its kind and its layouts."""
    c = convention
    steps = [f"the {_kind(c)}".rstrip(",")]
    steps.append(f"{c.image_layout}{_memory(c.image_layout, c.image_memory)}{_channels(c)}")
    steps.append(f"{c.filter_layout}{_memory(c.filter_layout, c.filter_memory)}{_swapped(c)}")
    steps.append(padding)
    return ", ".join([*steps, *_after(c), *_written(c), dtype])


def differences(a: Convention, b: Convention) -> list[str]:
    """What differs between two conventions: a clause for each key, what ``a`` says first."""
    clauses = []
    for key in KEYS:
        before, say = _SAID[key]
        one, other = say(a), say(b)
        if one != other:
            clauses.append(f"{before}{one} instead of {other}")
        elif getattr(a, key) != getattr(b, key) and a.rank == b.rank and "memory" not in key:
            clauses.append(f"another {key.replace('_', ' ')}")
    return clauses


def mended(
    convention: Convention, image_shape: Sequence[int], filter_shape: Sequence[int]
) -> list[str]:
    """A sentence for each array that was reshaped: what would have been right in its place."""
    c = convention
    lines = []
    for name, shape, layout, memory in (
        ("IMG", image_shape, c.image_layout, c.image_memory),
        ("W", filter_shape, c.filter_layout, c.filter_memory),
    ):
        if memory is not None and is_reread(layout, memory):
            order = ", ".join(str(layout.index(axis)) for axis in memory)
            sizes = ", ".join(str(shape[layout.index(axis)]) for axis in memory)
            lines.append(
                f"To mend it: {name}.transpose({order}) in place of {name}.reshape({sizes})."
            )
    return lines


def _read(name: str, layout: str, memory: str | None) -> str:
    """How an array's axes are named."""
    if memory is None or not is_reread(layout, memory):
        return f"read as {layout}"
    wrong = "reshaped where it should have been transposed"
    return f"stored as {layout}, {name}'s memory read as {memory} ({wrong})"


def _memory(layout: str, memory: str | None) -> str:
    return f" with its memory read as {memory}" if is_reread(layout, memory) else ""


def _remembered(layout: str, memory: str | None) -> str:
    return f"as {memory}" if is_reread(layout, memory) else "as stored"


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
    """What is computed, with a comma where it has to end with one."""
    rank = "" if c.rank == 2 else f"{c.rank}-D "
    gaps, kernel = along(c, c.input_dilation), tuple(c.spatial)
    spread = max(c.input_dilation) > 1
    if spread and c.flip == kernel:
        return f"{rank}transposed convolution, stride {gaps} (zeros between the image's samples),"
    zeros = f", with zeros between the image's samples (input dilation {gaps})," if spread else ""
    if c.flip == kernel:
        reversed_axes = "" if c.rank == 1 else f" {axes_words(c, kernel)}"
        return f"{rank}per-channel convolution (kernel{reversed_axes} reversed){zeros}"
    if not c.flip:
        return f"{rank}cross-correlation{zeros}"
    said = f"{rank}cross-correlation, with the filters' {axes_words(c, c.flip)} reversed"
    if c.flip == ("I", *kernel):
        of = f"({axes_words(c, c.flip)} of the filters reversed)"
        said = f"N-D convolution, as scipy.signal.convolve {of}"
    return said + (zeros or ",")


def axes_words(c: Convention, letters: Sequence[str]) -> str:
    """What the axes of a bank are called: channels, rows and columns."""
    last = "columns" if c.rank > 1 else "taps"
    names = {"I": "channels", "D": "planes", "H": "rows", "W": last}
    return listed([names[letter] for letter in letters])


def _channels(c: Convention) -> str:
    order = c.channel_order
    if order is None or order == tuple(range(len(order))):
        return ""
    if order == tuple(reversed(range(len(order)))):
        bgr = " (BGR for RGB)" if len(order) == 3 else ""
        return f" with its channels in reverse order{bgr}"
    return f" with its channels in the order {_order(order)}"


def _order(order: Sequence[int] | None) -> str:
    return "as stored" if order is None else ", ".join(map(str, order))


def _preprocessed(c: Convention) -> list[str]:
    """What is done to the image before the sums, by its name where it has one."""
    name = preprocessing(c)
    if name is not None:
        return [f"preprocessed by {name}"]
    return _shifted(c.image_offset, c.image_scale, "channel", "its channels ")


def _gradient(c: Convention, image: str, filters: str) -> list[str]:
    """Which gradient of a convolution this is, where its layouts say so."""
    stored, bank = (
        [axis for axis in layout if axis not in c.spatial]
        for layout in (c.image_layout, c.filter_layout)
    )
    spread = max(c.input_dilation) > 1
    if stored == ["C", "N"] and bank == ["I", "O"] and not (c.flip or spread):
        stride = f"stride {along(c, c.dilation)}" if max(c.dilation) > 1 else "stride 1"
        dilation = f" and dilation {along(c, c.stride)}" if max(c.stride) > 1 else ""
        said = f"the filters of a convolution with {stride}{dilation}"
        said += f": {image} is its image, {filters} the gradient of its output"
    elif bank == ["I", "O"] and c.flip == tuple(c.spatial) and not spread and c.groups == 1:
        said = f"the image of a cross-correlation with {filters} as OI{c.spatial}"
    else:
        return []
    return [f"which is the gradient with respect to {said}"]


def _shifted(offset: Numbers, scale: Numbers, channel: str, each: str) -> list[str]:
    """What is done to an operand before the sums."""
    clauses = []
    for verb, value, neutral in (("minus", offset, 0), ("times", scale, 1)):
        if value != neutral:
            few = isinstance(value, tuple) and len(value) <= _FEW
            clauses.append(f"{each if few else ''}{verb} {_numbers(value, channel)}")
    return clauses


def _numbers(value: Numbers, channel: str) -> str:
    if not isinstance(value, tuple):
        return number(value)
    if len(value) <= _FEW:
        return listed([number(v) for v in value])
    return f"a number for each {channel}"


def _swapped(c: Convention) -> str:
    stored = [axis for axis in c.filter_memory or c.filter_layout if axis in c.spatial]
    return " with the kernel's rows and columns swapped" if stored == ["W", "H"] else ""


def _groups(c: Convention, g: Geometry | None) -> list[str]:
    if c.groups == 1:
        return []
    if bank_kind(c.filter_layout, 1, c.groups, c.groups) == SHARED:
        return [f"one kernel shared by all {c.groups} channels"]
    if g is None or not g.depthwise:
        return [f"in {c.groups} groups"]
    more = f" with multiplier {g.per_group}" if g.per_group > 1 else ""
    return [f"depthwise{more} (in {c.groups} groups)"]


def _steps(c: Convention) -> list[str]:
    clauses = []
    if max(c.stride) > 1:
        # A transposed convolution's own stride is another.
        name = "stride" if max(c.input_dilation) == 1 else "then stride"
        clauses.append(f"{name} {along(c, c.stride)}")
    if max(c.dilation) > 1:
        clauses.append(f"dilation {along(c, c.dilation)}")
    return clauses


def _after(c: Convention) -> list[str]:
    clauses = []
    if isinstance(c.scale, tuple) and isinstance(c.bias, tuple):
        clauses.append(
            "with a scale and a bias for each output channel, as batch normalization has "
            "when it is not folded"
        )
    else:
        if isinstance(c.scale, tuple):
            clauses.append("times a scale for each output channel")
        elif c.scale != 1:
            clauses.append(f"times {number(c.scale)}")
        if c.bias is not None:
            clauses.append(f"plus {_bias(c)}")
    if c.activation is not None:
        clauses.append(f"then {c.activation.words}")
    if c.arithmetic != "exact":
        clauses.append(arithmetic_words(c))
    if c.storage is not None:
        clauses.append(f"stored {stored_words(c.storage)}")
    return clauses


def _written(c: Convention) -> list[str]:
    """The output's channels and layout, where they do not go without saying."""
    order = c.output_order
    plain = order is None or order == tuple(range(len(order)))
    clauses = [] if plain else [f"output channels in the order {_order(order)}"]
    read = c.image_memory or c.image_layout
    return clauses + ([] if c.output_layout == read else [f"written as {c.output_layout}"])


def _bias(c: Convention) -> str:
    if isinstance(c.bias, tuple):
        return "a bias for each output channel"
    return "no bias" if c.bias is None else f"a bias of {number(c.bias)}"


def arithmetic_words(c: Convention) -> str:
    """In what precision sums are made."""
    if c.arithmetic == "exact":
        return "exact arithmetic"
    return f"in {'TF32' if c.arithmetic == 'tf32' else c.arithmetic}"


def stored_words(s: Storage | None) -> str:
    """How a result is stored."""
    if s is None:
        return "as computed"
    zero = f" with zero point {s.zero_point}" if s.zero_point else ""
    how = _MULTIPLIERS[s.multiplier] if s.is_integer else ""
    how += f", {_ROUNDINGS[s.rounding]}, {_OVERFLOWS[s.overflow]}" if s.is_integer else ""
    return f"as {s.dtype}{zero}{how}"


def _amounts_only(c: Convention) -> str:
    return padding(Convention(filter_layout="OI" + c.spatial, padding=c.padding))


def _scale(c: Convention) -> str:
    return "for each output channel" if isinstance(c.scale, tuple) else number(c.scale)


_SAID: dict[str, tuple[str, Callable[[Convention], Any]]] = {
    "image_layout": ("the image read as ", lambda c: c.image_layout),
    "filter_layout": ("the filters read as ", lambda c: c.filter_layout),
    "output_layout": ("the output written as ", lambda c: c.output_layout),
    "image_memory": (
        "the image's memory read ",
        lambda c: _remembered(c.image_layout, c.image_memory),
    ),
    "filter_memory": (
        "the filters' memory read ",
        lambda c: _remembered(c.filter_layout, c.filter_memory),
    ),
    "channel_order": ("channels in the order ", lambda c: _order(c.channel_order)),
    "output_order": ("output channels in the order ", lambda c: _order(c.output_order)),
    "flip": (
        "reversed axes of the filters: ",
        lambda c: axes_words(c, c.flip) if c.flip else "none",
    ),
    "conjugate": ("the filters ", lambda c: "conjugated" if c.conjugate else "as stored"),
    "image_offset": ("the image minus ", lambda c: _numbers(c.image_offset, "channel")),
    "image_scale": ("the image times ", lambda c: _numbers(c.image_scale, "channel")),
    "filter_offset": ("the filters minus ", lambda c: _numbers(c.filter_offset, "output channel")),
    "input_dilation": ("input dilation ", lambda c: along(c, c.input_dilation)),
    "padding": ("", _amounts_only),
    "padding_mode": ("padding mode ", lambda c: listed(list(dict.fromkeys(c.padding_modes)))),
    "padding_value": ("padding with the value ", lambda c: number(c.padding_value)),
    "dilation": ("dilation ", lambda c: along(c, c.dilation)),
    "stride": ("stride ", lambda c: along(c, c.stride)),
    "groups": ("groups: ", lambda c: c.groups),
    "scale": ("scale ", _scale),
    "bias": ("", _bias),
    "activation": ("activation: ", lambda c: c.activation.words if c.activation else "none"),
    "arithmetic": ("", arithmetic_words),
    "storage": ("stored ", lambda c: stored_words(c.storage)),
}
"""How two values of a key are said side by side: what stands before them, and each of them."""
