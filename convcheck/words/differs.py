"""What one convention does otherwise than another one, in words and as the line that mends it.

One function, of two conventions and no arrays: what ``diff`` says of two outputs, it says of any
two layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from convcheck.calls.geometry import Geometry, measure
from convcheck.convention.channels import is_reread
from convcheck.errors import InputError
from convcheck.words import arithmetic_words, axes_words, stored_words
from convcheck.words.padding_differs import padding_differs
from convcheck.words.plain import along, listed, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.convention import Convention

_WHOLE = 16
"""Numbers of a list that a line of words may have."""


class Difference(NamedTuple):
    """One thing: the key of the convention, what it is in words, and the line that mends it."""

    key: str
    words: str
    fix: str


def differences(
    expected: Convention,
    found: Convention,
    image_shape: Sequence[int] | None = None,
    filter_shape: Sequence[int] | None = None,
    *,
    names: tuple[str, str] = ("REF", "MINE"),
) -> tuple[Difference, ...]:
    """What ``found`` does otherwise than ``expected``, a difference for each thing.

    Both are of the same stored arrays; with the shapes of these, what makes no difference for them
    is left out: axes of length 1 elsewhere, a padding that no window reaches. ``names`` are what
    the words call the two. In a fix ``x`` is the image as it is stored, ``w`` the filters, ``y``
    what a layer gives; nothing of it is run.
    """
    if expected.rank != found.rank:
        words = f"{names[1]} has {found.rank} spatial axes where {names[0]} has {expected.rank}"
        return (Difference("rank", words, f"take the layer of {expected.rank} spatial axes"),)
    sizes = _Sizes.of(expected, found, image_shape, filter_shape)
    pairs = (
        one
        for say in (
            _layouts,
            _memories,
            _orders,
            _flips,
            _before,
            _steps,
            _padded,
            _numbers,
            _after,
        )
        for one in say(expected, found, sizes, names)
    )
    return tuple(pairs)


class _Sizes(NamedTuple):
    """The shapes of the stored arrays, and the windows of both; None where they are not known."""

    image: Sequence[int] | None
    filters: Sequence[int] | None
    expected: Geometry | None
    found: Geometry | None

    @classmethod
    def of(
        cls,
        expected: Convention,
        found: Convention,
        image: Sequence[int] | None,
        filters: Sequence[int] | None,
    ) -> _Sizes:
        if image is None or filters is None:
            return cls(None, None, None, None)
        try:
            return cls(
                image, filters, measure(expected, image, filters), measure(found, image, filters)
            )
        except InputError:
            return cls(image, filters, None, None)


_Names = tuple[str, str]


def _layouts(e: Convention, f: Convention, sizes: _Sizes, names: _Names) -> Iterator[Difference]:
    ref, mine = names
    shapes = {"image": sizes.image, "filter": sizes.filters, "output": None}
    for operand, what, code in (
        ("image", "image is", "x"),
        ("filter", "filters are", "w"),
        ("output", "output is", "y"),
    ):
        a, b = (getattr(c, f"{operand}_layout") for c in (e, f))
        if a == b or _alike(a, b, shapes[operand]):
            continue
        read = "written" if operand == "output" else "read"
        words = f"{mine}'s {what} {read} as {b} where {ref}'s {what.split()[1]} {read} as {a}"
        if {*a} != {*b}:
            yield Difference(f"{operand}_layout", words, f"store it as {a}")
            continue
        # An output is mended after it was made, an operand before.
        order = [b.index(axis) for axis in a] if operand == "output" else [*map(a.index, b)]
        yield Difference(
            f"{operand}_layout", words, f"{code}.transpose({', '.join(map(str, order))})"
        )


def _alike(a: str, b: str, shape: Sequence[int] | None) -> bool:
    """Whether two layouts read an array of this shape alike, but for axes of length 1."""
    if shape is None or len(a) != len(shape) or len(b) != len(shape):
        return False
    one, other = (
        [axis for axis, n in zip(layout, shape, strict=True) if n > 1] for layout in (a, b)
    )
    return one == other


def _memories(e: Convention, f: Convention, sizes: _Sizes, names: _Names) -> Iterator[Difference]:
    ref, mine = names
    for operand, what, code, shape in (
        ("image", "image", "x", sizes.image),
        ("filter", "filters", "w", sizes.filters),
    ):
        a, b = ((getattr(c, f"{operand}_layout"), getattr(c, f"{operand}_memory")) for c in (e, f))
        wrong, right = is_reread(*b), is_reread(*a)
        if (not wrong and not right) or (wrong and right and a == b):
            continue
        if not wrong:
            words = f"{ref}'s {what} were reshaped to {a[1]}, and {mine}'s are not"
            yield Difference(f"{operand}_memory", words, f"read {code}'s memory as {a[1]}")
            continue
        words = f"{mine}'s {what} were reshaped to {b[1]} where they should have been transposed"
        order = ", ".join(str(b[0].index(axis)) for axis in b[1])
        fix = f"{code}.transpose({order})"
        if shape is not None:
            new = ", ".join(str(shape[b[0].index(axis)]) for axis in b[1])
            fix += f" in place of {code}.reshape({new})"
        yield Difference(f"{operand}_memory", words, fix)


def _orders(e: Convention, f: Convention, _: _Sizes, names: _Names) -> Iterator[Difference]:
    ref, mine = names
    for key, what, code, layout in (
        ("channel_order", "the image's channels", "x", f.image_layout),
        ("output_order", "its output's channels", "y", e.output_layout),
    ):
        one, other = getattr(e, key), getattr(f, key)
        plain = tuple(range(len(one or other or ())))
        a, b = one or plain, other or plain
        if a == b or len(a) != len(b) or "C" not in layout:
            continue
        backwards = b == a[::-1]
        how = "in reverse order" if backwards else f"in the order {_few(b)}"
        of = f"as {ref} has them" if backwards else f"{_few(a)}"
        verb = "reads" if key == "channel_order" else "writes"
        words = f"{mine} {verb} {what} {how}, not {of}"
        if backwards and len(a) == 3 and key == "channel_order":
            words += " (BGR for RGB)"
        if key == "channel_order":
            # Channel b[c] of what is given has to be channel a[c] of what there is.
            back = [a[b.index(c)] for c in range(len(a))]
        else:
            back = [b.index(channel) for channel in a]
        index = ", ".join([*[":"] * layout.index("C"), "::-1" if backwards else str(back)])
        yield Difference(key, words, f"{code}[{index}]")


def _few(order: Sequence[int]) -> str:
    shown = ", ".join(map(str, order[:_WHOLE]))
    return shown if len(order) <= _WHOLE else f"{shown}, ... ({len(order)} channels)"


def _flips(e: Convention, f: Convention, sizes: _Sizes, names: _Names) -> Iterator[Difference]:
    ref, mine = names
    long = _long(e, sizes)
    axes = [a for a in "I" + e.spatial if (a in e.flip) != (a in f.flip) and a in long]
    if axes:
        more, less = ([a for a in axes if a in c.flip] for c in (f, e))
        clauses = [f"reverses the filters' {axes_words(e, more)}"] if more else []
        clauses += [f"does not reverse the filters' {axes_words(e, less)}"] if less else []
        words = f"{mine} {' and '.join(clauses)}"
        words += f", which {ref} does not" if more and not less else ""
        words += f", as {ref} does" if less and not more else ""
        layout = f.filter_layout
        if all(axis in layout for axis in axes):
            parts = ["::-1" if axis in axes else ":" for axis in layout]
            while parts[-1] == ":":
                parts.pop()
            yield Difference("flip", words, f"w[{', '.join(parts)}]")
        else:
            yield Difference("flip", words, f"x with its {axes_words(e, axes)} reversed")
    if e.conjugate != f.conjugate:
        does, does_not = (mine, ref) if f.conjugate else (ref, mine)
        words = f"{does} conjugates the filters and {does_not} does not"
        yield Difference("conjugate", words, "w.conj()")


def _long(c: Convention, sizes: _Sizes) -> set[str]:
    """The filter axes longer than 1, which it matters to reverse."""
    if sizes.expected is None:
        return {"I", *c.spatial}
    g = sizes.expected
    taps = zip("I" + c.spatial, (g.inputs, *g.kernel), strict=True)
    return {axis for axis, n in taps if n > 1}


def _before(e: Convention, f: Convention, _: _Sizes, names: _Names) -> Iterator[Difference]:
    ref, mine = names
    for key, what, code in (
        ("image_offset", "the image minus", "x - {}"),
        ("image_scale", "the image times", "x * {}"),
        ("filter_offset", "the filters minus", "w - {}"),
    ):
        a, b = getattr(e, key), getattr(f, key)
        if a != b:
            words = f"{mine} takes {what} {_value(b)} where {ref} takes {_value(a)}"
            neutral = 1 if key == "image_scale" else 0
            fix = f"no {key.replace('_', ' ')}" if a == neutral else code.format(_code(a))
            yield Difference(key, words, fix)


def _steps(e: Convention, f: Convention, sizes: _Sizes, names: _Names) -> Iterator[Difference]:
    ref, mine = names
    for key, what in (
        ("stride", "stride"),
        ("dilation", "dilation"),
        ("input_dilation", "input dilation"),
    ):
        a, b = getattr(e, key), getattr(f, key)
        if a == b or (key == "dilation" and _same_windows(sizes, key)):
            continue
        words = f"{mine} has {what} {along(f, b)} where {ref} has {along(e, a)}"
        value = str(a[0]) if len(set(a)) == 1 else str(a)
        torch = "stride" if key == "input_dilation" else key
        layer = " of the transposed convolution" if key == "input_dilation" else ""
        yield Difference(key, words, f"{torch}={value}{layer}")
    if e.groups != f.groups:
        words = f"{mine} has {_groups(f.groups)} where {ref} has {_groups(e.groups)}"
        yield Difference("groups", words, f"groups={e.groups}")


def _same_windows(sizes: _Sizes, key: str) -> bool:
    """Whether the kernel has one tap along every axis where the values differ."""
    if sizes.expected is None or sizes.found is None:
        return False
    one, other = (getattr(g.convention, key) for g in (sizes.expected, sizes.found))
    return all(a == b or n == 1 for a, b, n in zip(one, other, sizes.expected.kernel, strict=True))


def _groups(count: int) -> str:
    return "no groups" if count == 1 else f"{count} groups"


def _padded(e: Convention, f: Convention, sizes: _Sizes, names: _Names) -> Iterator[Difference]:
    for one in padding_differs(e, f, sizes.expected, sizes.found, names):
        yield Difference(*one)


def _numbers(e: Convention, f: Convention, _: _Sizes, names: _Names) -> Iterator[Difference]:
    ref, mine = names
    if e.scale != f.scale:
        if f.scale == 1:
            words = f"{mine} does not scale the sums by {_value(e.scale)}, as {ref} does"
        elif e.scale == 1:
            words = f"{mine} scales the sums by {_value(f.scale)}, which {ref} does not"
        else:
            words = f"{mine} scales the sums by {_value(f.scale)} where {ref} has {_value(e.scale)}"
        fix = "no scale" if e.scale == 1 else f"scale={_code(e.scale)}"
        yield Difference("scale", words, fix)
    if e.bias != f.bias:
        if f.bias is None:
            words = f"{mine} has no bias where {ref} adds {_value(e.bias or 0.0)}"
        elif e.bias is None:
            words = f"{mine} has a bias of {_value(f.bias)}, and {ref} has none"
        else:
            words = f"{mine} has a bias of {_value(f.bias)} where {ref} has {_value(e.bias)}"
        fix = "bias=False" if e.bias is None else f"bias={_code(e.bias)}"
        yield Difference("bias", words, fix)


def _value(value: float | tuple[float, ...]) -> str:
    if not isinstance(value, tuple):
        return number(value)
    if len(value) <= 4:
        return f"[{', '.join(map(number, value))}]"
    return "a number for each channel"


def _code(value: float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(repr(v) for v in value)}]"
    return repr(int(value)) if value == int(value) else repr(value)


def _after(e: Convention, f: Convention, _: _Sizes, names: _Names) -> Iterator[Difference]:
    ref, mine = names
    a, b = e.activation, f.activation
    if a != b:
        if a is not None and b is not None and a.name == b.name:
            from convcheck.convention import ACTIVATIONS

            apart = zip(ACTIVATIONS[a.name].parameters, a.values, b.values, strict=True)
            said_ = [
                f"{name} {number(other)} where {ref} has {number(one)}"
                for name, one, other in apart
                if one != other
            ]
            words = f"{mine}'s {a.name} has {listed(said_)}"
        elif b is None and a is not None:
            words = f"{mine} has no activation where {ref} has {a.words}"
        elif a is None and b is not None:
            words = f"{mine} ends with {b.words}, which {ref} does not"
        elif a is not None and b is not None:
            words = f"{mine} ends with {b.words} where {ref} ends with {a.words}"
        fix = "no activation" if a is None else a.code("torch", "y")
        yield Difference("activation", words, fix)
    if e.arithmetic != f.arithmetic:
        one, other = (_computed(c) for c in (e, f))
        words = f"{mine} computes {other} where {ref} computes {one}"
        yield Difference("arithmetic", words, _arithmetic_fix(e, f))
    if e.storage != f.storage:
        one, other = (stored_words(c.storage) for c in (e, f))
        words = f"{mine} is stored {other} where {ref} is stored {one}"
        yield Difference("storage", words, f"store it {one}")


def _arithmetic_fix(e: Convention, f: Convention) -> str:
    if f.arithmetic == "tf32":
        return "torch.backends.cudnn.allow_tf32 = False (PyTorch)"
    wanted = "float64" if e.arithmetic == "exact" else e.arithmetic
    return f"compute in {wanted}: x.astype({wanted}), w.astype({wanted})"


def _computed(c: Convention) -> str:
    words = arithmetic_words(c)
    return words if words.startswith("in ") else f"in {words}"
