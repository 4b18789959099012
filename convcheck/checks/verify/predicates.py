"""What a case may be like, in words: the conditions that failures are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from convcheck.campaign import DTYPES, Case

Holds = Callable[[Case], bool]
Predicate = tuple[str, Holds]

_ONCE = ("stride", "padding", "dilation", "groups")
_NUMBERS = {"channels": "number of channels", "filters": "number of filters"}
_AXES: Mapping[int, Mapping[str, tuple[str, str]]] = {
    1: {"width": ("width", "samples")},
    2: {"height": ("height", "rows"), "width": ("width", "columns")},
    3: {"depth": ("depth", "planes"), "height": ("height", "rows"), "width": ("width", "columns")},
}
"""By the number of spatial axes what each is called, and what it counts."""
_WIDER = {"depth": "deeper", "height": "higher", "width": "wider"}
_COUNTED = {"depth": "plane", "height": "row", "width": "column"}


@cache
def simple(rank: int) -> tuple[Predicate, ...]:
    """What any case over so many axes is asked for."""
    axes = _AXES[rank]
    return (
        *_steps(),
        *_counts(),
        *_kernel(rank),
        *_image(rank),
        *(_no_multiple(key, word, m) for key, (word, _) in axes.items() for m in (4, 8, 16)),
        *(_no_multiple(key, word, m) for key, word in _NUMBERS.items() for m in (2, 4)),
        *(
            (f"the {word} is a multiple of {m}", _remains(key, m, 0))
            for key, (word, _) in axes.items()
            for m in (4, 8)
        ),
        *(
            (f"the {word} is {r} more than a multiple of 4", _remains(key, 4, r))
            for key, (word, _) in axes.items()
            for r in (1, 2, 3)
        ),
        *_exactly(),
        *_numbers(),
    )


def _steps() -> Iterator[Predicate]:
    yield "stride > 1", lambda c: c.stride > 1
    yield "stride > 2", lambda c: c.stride > 2
    yield "padding > 0", lambda c: c.padding > 0
    yield "padding is odd", lambda c: c.padding % 2 == 1
    yield "padding > 1", lambda c: c.padding > 1
    yield "padding is 0", lambda c: c.padding == 0
    side = "a side of the kernel"
    yield f"the padding is larger than {side}", lambda c: c.padding > min(c.taps)
    yield f"the padding is as large as {side}", lambda c: c.padding >= min(c.taps)
    yield "dilation > 1", lambda c: c.dilation > 1
    yield "dilation > 2", lambda c: c.dilation > 2
    yield f"the stride is larger than {side}", lambda c: c.stride > min(c.taps)


def _exactly() -> Iterator[Predicate]:
    for key in _ONCE:
        for n in (1, 2, 3):
            yield f"{key} is {n}", _is(key, n)
    for key in _ONCE:
        for n in (2, 3):
            yield f"{key} is not {n}", _is(key, n, other=True)


def _counts() -> Iterator[Predicate]:
    yield "the image has more than one channel", lambda c: c.channels > 1
    yield "groups > 1", lambda c: c.groups > 1
    yield "groups > 2", lambda c: c.groups > 2
    yield "the batch has more than one image", lambda c: c.batch > 1
    yield "the image has one channel", lambda c: c.channels == 1
    yield "a group has more than one channel", lambda c: c.channels > c.groups
    yield "there is one filter", lambda c: c.filters == 1
    yield "there are several filters", lambda c: c.filters > 1
    yield "a group has more than one filter", lambda c: c.filters > c.groups


def _kernel(rank: int) -> Iterator[Predicate]:
    axes = _AXES[rank]
    for key, (word, _) in axes.items():
        yield f"the kernel's {word} is even", _remains(f"kernel_{key}", 2, 0)
    if rank > 1:
        yield "a side of the kernel is even", lambda c: any(n % 2 == 0 for n in c.taps)
        shape = "square" if rank == 2 else "a cube"
        yield f"the kernel is not {shape}", lambda c: len(set(c.taps)) > 1
        yield f"the kernel is {shape}", lambda c: len(set(c.taps)) == 1
    one, three = (f"is {'x'.join([side] * rank)}" for side in "13")
    larger = f"is larger than {one.removeprefix('is ')}"
    if rank == 1:
        one, three, larger = "has one tap", "has three taps", "has more than one tap"
    yield f"the kernel {one}", lambda c: set(c.taps) == {1}
    yield f"the kernel {three}", lambda c: set(c.taps) == {3}
    yield f"the kernel {larger}", lambda c: set(c.taps) != {1}
    if rank > 1:
        for key in axes:
            name = f"kernel_{key}"
            yield f"the kernel is {_WIDER[key]} than 1", _is(name, 1, other=True)
            yield f"the kernel has one {_COUNTED[key]}", _is(name, 1)


def _image(rank: int) -> Iterator[Predicate]:
    if rank > 1:
        shape = "square" if rank == 2 else "a cube"
        yield f"the image is {shape}", lambda c: len(set(c.sizes)) == 1
        yield f"the image is not {shape}", lambda c: len(set(c.sizes)) > 1
        yield "the image is wider than high", lambda c: c.width > c.height
        yield "the image is higher than wide", lambda c: c.width < c.height
    for key, (word, _) in _AXES[rank].items():
        yield f"the {word} is odd", _remains(key, 2, 1)
        yield f"the {word} is even", _remains(key, 2, 0)


def _numbers() -> Iterator[Predicate]:
    yield "the memory order is Fortran's", lambda c: c.order == "F"
    yield "the arrays are strided views", lambda c: c.order == "strided"
    yield "the arrays are not contiguous", lambda c: c.order in ("F", "strided")
    yield "the arrays are read-only", lambda c: c.order == "readonly"
    for dtype in DTYPES:
        yield f"the dtype is {dtype}", _is("dtype", dtype)
    yield "the dtype is not float32", lambda c: c.dtype != "float32"
    yield "the dtype is an integer", lambda c: "int" in c.dtype
    yield (
        "the numbers are integers larger than 10",
        lambda c: "int" in c.dtype and c.values not in ("ints", "zeros"),
    )
    yield "the image and the filters have two dtypes", lambda c: c.mixed
    yield "the image holds NaN and infinities", lambda c: c.holds_nan
    yield (
        "the dtype is an integer of 8 or 16 bits",
        lambda c: c.dtype in ("uint8", "int8", "int16"),
    )
    yield "the dtype has 8 bits", lambda c: c.dtype.endswith("int8")
    yield "the dtype is a float", lambda c: "float" in c.dtype
    yield "the numbers are not whole", lambda c: c.values != "ints" and "int" not in c.dtype
    for v in ("wide", "cancelling", "denormal"):
        yield f"the numbers are {v}", _is("values", v)


def _is(key: str, value: Any, *, other: bool = False) -> Holds:
    return lambda c: (getattr(c, key) == value) is not other


def _remains(key: str, number: int, rest: int) -> Holds:
    return lambda c: bool(getattr(c, key) % number == rest)


def _no_multiple(key: str, word: str, number: int) -> Predicate:
    return f"the {word} is no multiple of {number}", lambda c: getattr(c, key) % number > 0


@cache
def sizes(rank: int) -> Mapping[str, str]:
    """The sizes of which a limit may be the condition, with what each counts."""
    kernel = {1: {"width": "taps of the kernel"}}.get(rank)
    kernel = kernel or {key: f"{many} of the kernel" for key, (_, many) in _AXES[rank].items()}
    return {
        "filters": "filters",
        "channels": "channels",
        **{key: f"{many} of the image" for key, (_, many) in _AXES[rank].items()},
        **{f"kernel_{key}": words for key, words in kernel.items()},
    }


@cache
def limits(rank: int) -> tuple[Predicate, ...]:
    """Where implementations change their ways.

    What lies on one side of such a limit says so by itself.
    """
    return tuple(
        more(key, word, n)
        for key, word in sizes(rank).items()
        if not key.startswith("kernel")
        for n in (8, 16, 32, 64, 128)
    )


def thresholds(failed: Sequence[Case], passed: Sequence[Case]) -> list[Predicate]:
    """Sizes above or below which every failure lies."""
    found: list[Predicate] = []
    for key, word in sizes(failed[0].rank).items():
        lengths = [getattr(c, key) for c in failed]
        beside = [getattr(c, key) for c in passed]
        below = [n for n in beside if n < min(lengths)]
        above = [n for n in beside if n > max(lengths)]
        if below:
            found.append(more(key, word, _roundest(max(below), min(lengths) - 1)))
        if above:
            found.append(fewer(key, word, _roundest(min(above), max(lengths) + 1)))
    return found


def _roundest(known: int, other: int) -> int:
    """Of limits that say the same of all cases, one that code may well have: a power of two."""
    low, high = sorted((known, other))
    whole = 1 << (high.bit_length() - 1)
    return whole if low <= whole and 4 * (high - low) <= low else known


def more(key: str, word: str, limit: int) -> Predicate:
    """Whether a size is above a limit."""
    return f"there are more than {limit} {word}", lambda c: getattr(c, key) > limit


def fewer(key: str, word: str, limit: int) -> Predicate:
    """Whether a size is below a limit."""
    return f"there are fewer than {limit} {word}", lambda c: getattr(c, key) < limit
