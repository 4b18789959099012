"""The usual single mistakes: what a convention becomes where one thing about it is wrong."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from convcheck.convention import INTEGERS, PADDING_MODES, Convention, Storage
from convcheck.convention.storage import OVERFLOWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_AXES = {"I": "channels", "D": "slices", "H": "rows", "W": "columns"}


def mistakes(c: Convention, channels: int, dtype: str) -> dict[str, Convention]:
    """What is done by mistake in place of ``c``, each by its words ("it leaves the stride out").

    ``channels`` are the image's, ``dtype`` is the output's. The likely ones come first; those that
    would be ``c`` itself are left out.
    """
    found: dict[str, Convention] = {}
    every = _flips(c), _layouts(c, channels), _steps(c), _sides(c), _phases(c), _after(c, dtype)
    for some in every:
        found.update((words, other) for words, other in some if other != c)
    return found


def _flips(c: Convention) -> Iterator[tuple[str, Convention]]:
    axes = tuple("I" + c.spatial)
    usual = [axes[1:], axes, ()]
    every = [flip for n in range(1, len(axes)) for flip in combinations(axes, n)]
    for flip in dict.fromkeys([*usual, *every]):
        yield _reversal(flip), c.replace(flip=flip)


def _reversal(flip: Sequence[str]) -> str:
    if not flip:
        return "it reverses no axis of the filters"
    names = [_AXES[axis] for axis in flip]
    said = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    if "I" not in flip:
        return f"it reverses the kernel's {said}"
    return (
        f"it reverses {said} of the filters"
        if len(flip) > 1
        else f"it reverses the filters' {said}"
    )


def _layouts(c: Convention, channels: int) -> Iterator[tuple[str, Convention]]:
    for a, b in combinations(c.spatial, 2):
        other = c.filter_layout.translate(str.maketrans(a + b, b + a))
        said = f"it swaps the kernel's {_AXES[a]} and {_AXES[b]}"
        yield said, c.replace(filter_layout=other)
    if {"O", "I"} <= set(c.filter_layout):
        other = c.filter_layout.translate(str.maketrans("OI", "IO"))
        yield "it swaps the filters' outputs and inputs", c.replace(filter_layout=other)
    if channels > 1:
        order = tuple(c.channel_order or range(channels))[::-1]
        yield "it takes the channels in reverse order", c.replace(channel_order=order)


def _steps(c: Convention) -> Iterator[tuple[str, Convention]]:
    for key, plain in (("stride", 1), ("dilation", 1), ("input_dilation", 1), ("padding", 0)):
        yield f"it leaves the {key.replace('_', ' ')} out", c.replace(**{key: plain})
    for mode in PADDING_MODES:
        if any(map(any, c.padding)):
            said = "with a constant" if mode == "constant" else f"by {mode}"
            yield f"it pads {said}", c.replace(padding_mode=mode)


def _sides(c: Convention) -> Iterator[tuple[str, Convention]]:
    turned = [(after, before) for before, after in c.padding]
    yield "it pads before what it should pad after", c.replace(padding=turned)
    all_after = [(0, before + after) for before, after in c.padding]
    yield "it puts all of the padding after", c.replace(padding=all_after)
    all_before = [(before + after, 0) for before, after in c.padding]
    yield "it puts all of the padding before", c.replace(padding=all_before)


def _phases(c: Convention) -> Iterator[tuple[str, Convention]]:
    for later in range(1, max(c.stride)):
        moved = [
            (before - min(later, s - 1), after + min(later, s - 1))
            for (before, after), s in zip(c.padding, c.stride, strict=True)
        ]
        one = f"{later} sample{'s' if later > 1 else ''} later than it should"
        yield f"its first window begins {one}", c.replace(padding=moved)


def _after(c: Convention, dtype: str) -> Iterator[tuple[str, Convention]]:
    for key, plain in (("bias", None), ("scale", 1), ("activation", None)):
        yield f"it leaves the {key} out", c.replace(**{key: plain})
    yield "it applies ReLU", c.replace(activation="relu")
    for name in INTEGERS if "int" in dtype else ():
        for how in OVERFLOWS:
            yield f"its sums {how} at {name}", c.replace(storage=Storage(name, overflow=how))
