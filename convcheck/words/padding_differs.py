"""What is padded otherwise, in words, and how frameworks pad as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convcheck.words.padding import padding, padding_words
from convcheck.words.plain import listed, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.calls.geometry import Geometry
    from convcheck.convention import Convention, Pair

_SIDES = ("before", "after")
_TORCH_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def padding_differs(
    e: Convention,
    f: Convention,
    one: Geometry | None,
    other: Geometry | None,
    names: tuple[str, str],
) -> Iterator[tuple[str, str, str]]:
    """Key, words and fix of each thing; with the windows of both, of what any window meets."""
    ref, mine = names
    if e.padding != f.padding and not _reaches_alike(e, f, one, other):
        yield ("padding", _padding_words(e, f, one, other, names), _padding_fix(_evened(e, one)))
    padded = any(max(pair) > 0 for pair in e.padding) and any(max(pair) > 0 for pair in f.padding)
    if padded and (e.padding_modes, e.padding_value) != (f.padding_modes, f.padding_value):
        a, b = (padding_words(c) for c in (e, f))
        if a != b:
            yield (
                "padding_mode" if e.padding_modes != f.padding_modes else "padding_value",
                f"{mine} has {b} where {ref} has {a}",
                _mode_fix(e),
            )


def _evened(c: Convention, g: Geometry | None) -> Convention:
    """The same windows by the same amount on both sides, where no window reaches what is more."""
    if g is None:
        return c
    padding = [
        (a, a) if a >= 0 and axis.is_padded(a, a) else (a, b)
        for axis, (a, b) in zip(g.axes, c.padding, strict=True)
    ]
    return c.replace(padding=padding)


def _reaches_alike(
    e: Convention, f: Convention, one: Geometry | None, other: Geometry | None
) -> bool:
    """Whether both have the same windows: what is padded after the last one is met by none."""
    if one is None or other is None or e.stride != f.stride:
        return False
    return all(
        a.before == b.before and a.out == b.out for a, b in zip(one.axes, other.axes, strict=True)
    )


def _padding_words(
    e: Convention,
    f: Convention,
    one: Geometry | None,
    other: Geometry | None,
    names: tuple[str, str],
) -> str:
    ref, mine = names
    if min(pad for c in (e, f) for pair in c.padding for pad in pair) < 0:
        return f"{mine} has {_clause(f)} where {ref} has {_clause(e)}"
    swapped = [b == a[::-1] and a != b for a, b in zip(e.padding, f.padding, strict=True)]
    pairs = {(a, b) for a, b in zip(e.padding, f.padding, strict=True)}
    if all(swapped) and len(pairs) == 1:
        ((a, b),) = pairs
        if 0 in a:
            wrong, right = _SIDES[b.index(max(b))], _SIDES[a.index(max(a))]
            return f"{mine} pads {max(b)} {wrong} where {ref} pads {max(a)} {right}"
    e, f = _evened(e, one), _evened(f, other)
    return f"{mine} pads {_amount(f)} where {ref} pads {_amount(e)}"


def _clause(c: Convention) -> str:
    """The padding as a noun."""
    clause = padding(c)
    return clause if clause.startswith("no ") else f"its image {clause}"


def _amount(c: Convention) -> str:
    """How much is padded: one amount, or before and after, or along each axis."""

    def one(pair: Pair) -> str:
        return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} before and {pair[1]} after"

    if len(set(c.padding)) == 1:
        pair = c.padding[0]
        return "nothing" if pair == (0, 0) else one(pair)
    names = {"D": "in depth", "H": "along the rows", "W": "along the columns"}
    return listed([f"{one(p)} {names[a]}" for a, p in zip(c.spatial, c.padding, strict=True)])


def _padding_fix(c: Convention) -> str:
    """The padding in PyTorch's words and in Keras's."""
    pairs = c.padding
    rank = c.rank
    if any(min(pair) < 0 for pair in pairs):
        return f"pad or crop by {pairs} before the layer"
    if all(pair == (0, 0) for pair in pairs):
        return "padding=0 (PyTorch); padding='valid' (Keras)"
    same = all(a == b for a, b in pairs)
    if same:
        amounts = [a for a, _ in pairs]
        one = str(amounts[0]) if len(set(amounts)) == 1 else str(tuple(amounts))
        torch, keras = f"padding={one}", one
    else:
        flat = ", ".join(str(pad) for pair in reversed(pairs) for pad in pair)
        torch = f"F.pad(x, ({flat})), then padding=0"
        keras = str(pairs) if rank > 1 else str(pairs[0])
    return f"{torch} (PyTorch); ZeroPadding{rank}D({keras}), then padding='valid' (Keras)"


def _mode_fix(c: Convention) -> str:
    modes = set(c.padding_modes)
    if modes == {"constant"}:
        if c.padding_value:
            return f"F.pad(x, ..., value={number(c.padding_value)}), then padding=0"
        return "padding_mode='zeros' (PyTorch)"
    (mode, *more) = modes
    if more or mode not in _TORCH_MODES:
        return (
            f"np.pad(x, ..., mode={' and '.join(sorted(repr(m) for m in modes))}), then no padding"
        )
    return f"padding_mode='{_TORCH_MODES[mode]}' (PyTorch)"
