"""Padding in words, and by the names that frameworks have for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.words.plain import listed, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.calls.geometry import Geometry
    from convcheck.convention import Convention, Pair

_MODES = {
    "reflect": "by reflection without repeating the edge (reflect)",
    "symmetric": "by reflection that repeats the edge (symmetric)",
    "edge": "by repeating the edge (edge)",
    "wrap": "by going round to the other side (wrap, circular)",
}
_SIDES = {
    "1-D": ("before", "after"),
    "D": ("in front", "behind"),
    "H": ("above", "below"),
    "W": ("left", "right"),
}
_EDGES = {
    "1-D": ("at the start", "at the end"),
    "D": ("at the front", "at the back"),
    "H": ("at the top", "at the bottom"),
    "W": ("on the left", "on the right"),
}


def padding_words(convention: Convention) -> str:
    """What the places beyond the image's edge are filled with."""
    c = convention
    if not isinstance(c.padding_mode, tuple):
        if c.padding_mode == "constant":
            return f"{number(c.padding_value) if c.padding_value else 'zero'} padding"
        return f"padding {_MODES[c.padding_mode]}"
    sides = [
        f"{' and '.join(_SIDES[axis])} {_how(c, mode)}"
        for axis, mode in zip(c.spatial, c.padding_mode, strict=True)
    ]
    return f"padding {listed(sides)}"


def padding(c: Convention) -> str:
    """What is added and what is cropped."""
    padded = [(max(a, 0), max(b, 0)) for a, b in c.padding]
    cropped = [(max(-a, 0), max(-b, 0)) for a, b in c.padding]
    clauses = []
    used = [m for m, pads in zip(c.padding_modes, padded, strict=True) if any(pads)]
    if len(set(used)) > 1:
        alone = [
            [pads if i == axis else (0, 0) for i in range(c.rank)]
            for axis, pads in enumerate(padded)
            if any(pads)
        ]
        said = [
            f"{_amounts(c, pads, _SIDES)} {_how(c, mode)}"
            for mode, pads in zip(used, alone, strict=True)
        ]
        clauses.append(f"padded {listed(said)}")
    elif used:
        plain = used[0] == "constant" and not c.padding_value
        how = "" if plain else f" {_how(c, used[0])}"
        clauses.append(f"padded {_amounts(c, padded, _SIDES)}{how}")
    if any(map(any, cropped)):
        clauses.append(f"cropped by {_amounts(c, cropped, _EDGES)}")
    return " and ".join(clauses) or "no padding"


def _how(c: Convention, mode: str) -> str:
    """What an axis is padded with."""
    value = f"the value {number(c.padding_value)}" if c.padding_value else "zeros"
    return _MODES.get(mode, f"with {value}")


def _amounts(c: Convention, pads: Sequence[Pair], names: dict[str, tuple[str, str]]) -> str:
    """What is added at every end of every axis, in the shortest way that is true."""
    ends = [names[axis] for axis in (c.spatial if c.rank > 1 else ("1-D",))]
    if len({n for pair in pads for n in pair}) == 1:
        return f"{pads[0][0]} on {'both sides' if c.rank == 1 else 'every side'}"
    if c.rank > 1 and len(set(pads)) == 1:
        return f"{pads[0][0]} before and {pads[0][1]} after"
    if all(before == after for before, after in pads):
        both = [f"{a} and {b.removeprefix('at the ').removeprefix('on the ')}" for a, b in ends]
        return ", ".join(f"{n} {where}" for (n, _), where in zip(pads, both, strict=True) if n)
    sides = zip((n for pair in pads for n in pair), (e for end in ends for e in end), strict=True)
    return listed([f"{n} {where}" for n, where in sides if n])


def padding_name(g: Geometry | None) -> str:
    """The padding's usual names, where it has any on these shapes: a framework's own first."""
    if g is None:
        return ""
    if g.spreads:
        return _transposed_name(g)
    if g.is_padded(*((0, 0) for _ in g.axes)):
        return " (VALID)"
    names = []
    before = [axis.before for axis in g.axes]
    uneven = any(a != b for a, b in g.padding) and min(before) >= 0 and not g.fills
    if uneven and g.is_padded(*((n, n) for n in before)):
        names.append(
            f"PyTorch: padding={_argument(before)}, stride={_argument(g.convention.stride)}"
        )
    upper = all(axis.is_same() for axis in g.axes)
    lower = all(axis.is_same(lower=True) for axis in g.axes)
    if upper or lower:
        names.append("SAME" if upper and lower else "SAME_UPPER" if upper else "SAME_LOWER")
    elif g.is_padded(*((axis.extent - 1, axis.extent - 1) for axis in g.axes)):
        names.append("FULL")
    return f" ({'; '.join(names)})" if names else ""


def _transposed_name(g: Geometry) -> str:
    """The padding as it is given to PyTorch's transposed convolution, where it could be."""
    padding, more = zip(*(axis.undone for axis in g.axes), strict=True)
    gaps = [axis.input_dilation for axis in g.axes]
    possible = all(0 <= extra < gap for extra, gap in zip(more, gaps, strict=True))
    kernel = tuple(g.spatial)
    if g.fills or g.convention.flip != kernel or min(padding) < 0 or not possible:
        return ""
    output = f", output_padding={_argument(more)}" if any(more) else ""
    return f" (PyTorch: padding={_argument(padding)}{output})"


def _argument(values: Sequence[int]) -> str:
    return str(values[0] if len(set(values)) == 1 else tuple(values))
