"""One element of an output worked out, number by number, under the convention that was found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.explain import Block, as_blocks
from convcheck.checks.inputs import place_names
from convcheck.comparison import number
from convcheck.convention import VOCABULARY
from convcheck.convention.axis import BORDER, GAP
from convcheck.convention.channels import is_reread, read_filters, read_image, reread
from convcheck.engine import (
    axes_of,
    finish,
    output_shape,
    prepare_filters,
    prepare_image,
    with_border,
)
from convcheck.errors import InputError
from convcheck.rounding import choose_arithmetic

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from convcheck.comparison import Number
    from convcheck.convention import Axis, Convention

Array = NDArray[Any]

PAD, BETWEEN = "pad", "gap"
"""What lies under a tap where it is no sample of the image."""
STEPS = ("scale", "bias", "activation", "arithmetic", "storage")
"""What is done to a sum, in this order."""


@dataclass(frozen=True)
class Cell:
    """One element of OUT worked out under a convention.

    ``at`` is its (n, k, *place), k as OUT has it, and ``index`` its place in OUT as stored.
    ``places`` say for each spatial axis what of IMG lies under each tap: a number, or ``pad``, or
    ``gap`` for a zero that was put between two samples. Then for each channel of the filter, in 3-D
    for each slice of each channel: ``image_parts`` and ``filter_parts`` are the subscripts of what
    meets, ``channels`` and ``partners`` their channels as stored, and the numbers: ``window`` and
    ``applied`` are what is multiplied, ``stored`` is W as it is. ``rounded`` says that the
    arithmetic rounded some of IMG or W before. ``steps`` are what is done to the sum, in order: the
    convention's key, its value for this channel, the result.
    """

    convention: Convention
    role: str
    at: tuple[int, ...]
    index: tuple[int, ...]
    places: tuple[tuple[int | str, ...], ...]
    image_parts: tuple[str, ...]
    filter_parts: tuple[str, ...]
    channels: tuple[int, ...]
    partners: tuple[int, ...]
    window: tuple[Block, ...]
    stored: tuple[Block, ...]
    applied: tuple[Block, ...]
    products: tuple[Block, ...]
    sums: tuple[Number, ...]
    total: Number
    rounded: bool
    steps: tuple[tuple[str, Any, Number], ...]
    given: Number
    threshold: float
    agrees: bool

    @property
    def value(self) -> Number:
        """What the convention gives."""
        return self.steps[-1][2] if self.steps else self.total


class Held(Protocol):
    """A part of an output that was held to a convention, as N, K and the spatial axes."""

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """The elements that the convention does not give."""

    @property
    def difference(self) -> NDArray[np.float64]:
        """How far each is from what it gives."""

    @property
    def first(self) -> tuple[int, ...]:
        """Where the part begins in the output."""


def worst_cell(parts: Iterable[Held]) -> tuple[int, ...] | None:
    """The element (n, k, *place) that is most wrong, else differs most; None where none does."""
    is_wrong, difference, place = max(map(_worst, parts))
    return tuple(-i for i in place) if is_wrong or difference else None


def _worst(part: Held) -> tuple[bool, float, tuple[int, ...]]:
    """Whether it is wrong, by how much it differs, and where: negative, so that the first wins."""
    wrong = bool(part.wrong.any())
    of = np.where(part.wrong, part.difference, -1.0) if wrong else part.difference
    at = np.unravel_index(int(np.argmax(of)), of.shape)
    place = tuple(-int(i) - a for i, a in zip(at, part.first, strict=True))
    return wrong, float(of[at]), place


def telling_cell(image: Array, filters: Array, convention: Convention) -> tuple[int, ...]:
    """The element (n, k, *place) to show where none is wrong: one whose window meets the padding.

    The first of all where there is none.
    """
    axes = _axes(image, filters, convention)
    return (0, 0, *(_first_at_the_border(axis) for axis in axes))


def _axes(image: Array, filters: Array, c: Convention) -> tuple[Axis, ...]:
    x = read_image(image, c)
    return axes_of(c, x.shape[2:], read_filters(filters, c, x.shape[1]).shape[2:])


def _first_at_the_border(axis: Axis) -> int:
    starts = axis.starts(0, axis.out)
    outside = (starts < 0) | (starts > axis.spread - axis.extent)
    return int(np.argmax(outside))


def work_out(
    image: Array,
    filters: Array,
    output: Array,
    convention: Convention,
    at: Sequence[int],
    *,
    role: str,
    threshold: float,
    agrees: bool,
) -> Cell:
    """The element ``at`` (k, *place) or (n, k, *place) of OUT, number by number.

    Args:
        image: IMG as stored.
        filters: W as stored.
        output: OUT as stored.
        convention: by which it is worked out.
        at: the element; k is the channel as OUT has it.
        role: what the convention is to the reader, such as "the nearest miss".
        threshold: what rounding explains there.
        agrees: whether OUT is judged to be right there.

    Raises:
        InputError: the output has no such element.
    """
    image, filters, output = np.asarray(image), np.asarray(filters), np.asarray(output)
    c = convention
    n, k, *place = check_cell(at, image.shape, filters.shape, c)
    x = read_image(image, c)
    bank = read_filters(filters, c, x.shape[1])
    axes = axes_of(c, x.shape[2:], bank.shape[2:])
    computed = k if c.output_order is None else c.output_order[k]
    # The inputs of this output channel, of all in the order in which they are read.
    first = computed // (len(bank) // c.groups) * bank.shape[1]
    spots = [
        axis.starts(i, i + 1) + axis.dilation * np.arange(axis.taps)
        for axis, i in zip(axes, place, strict=True)
    ]
    met = [
        replace(axis, reversed=False).source(spot) for axis, spot in zip(axes, spots, strict=True)
    ]
    places = tuple(
        tuple(map(_label, [axis.spread] * axis.taps, spot.tolist(), found.tolist()))
        for axis, spot, found in zip(axes, spots, met, strict=True)
    )
    under: Any = (..., *np.ix_(*(np.maximum(found, 0) for found in met)))
    samples = x[n : n + 1][under]

    def multiplied(c: Convention) -> tuple[Array, Array]:
        read = prepare_image(samples, c)[0, first : first + bank.shape[1]]
        return read, prepare_filters(bank, c)[computed]

    read, weights = multiplied(c)
    rounded = not all(
        map(np.array_equal, (read, weights), multiplied(c.replace(arithmetic="exact")))
    )
    arithmetic = choose_arithmetic(with_border(read, c), weights[None])
    window, applied = (
        _with_padding(arithmetic.cast(read), met, c.padding_value),
        arithmetic.cast(weights),
    )
    products: Array = np.multiply(window, applied)
    blocks = as_blocks(products)
    sums = products.reshape(len(blocks), -1).sum(axis=1)
    home = read_filters(np.arange(filters.size).reshape(filters.shape), c, x.shape[1])[computed]
    stored = [_stored(filters, c, int(block[0])) for block in home.reshape(len(blocks), -1)]
    order = c.channel_order or range(x.shape[1])
    channels = [order[i] for i in range(first, first + bank.shape[1])]
    slices = [{"D": label} for label in places[0]] if c.rank == 3 else [{}]
    fixed = [{"N": n, "C": i, **one} for i, one in product(channels, slices)]
    letters = dict(zip("NC" + c.spatial, (n, k, *place), strict=True))
    index = tuple(letters[letter] for letter in c.output_layout)
    return Cell(
        convention=c,
        role=role,
        at=(n, k, *place),
        index=index,
        places=places,
        image_parts=tuple(
            _subscripts(image.shape, c.image_layout, c.image_memory, one) for one in fixed
        ),
        filter_parts=tuple(part for part, _, _ in stored),
        channels=tuple(i for i, _ in product(channels, slices)),
        partners=tuple(partner for _, partner, _ in stored),
        window=as_blocks(window),
        stored=tuple(block for _, _, block in stored),
        applied=as_blocks(applied),
        products=blocks,
        sums=tuple(s.item() for s in sums),
        total=sums.sum().item(),
        rounded=rounded,
        steps=_steps(sums.sum(), c, len(bank), computed),
        given=number(output[index]),
        threshold=threshold,
        agrees=agrees,
    )


def check_cell(
    at: Sequence[int], image: Sequence[int], filters: Sequence[int], c: Convention
) -> tuple[int, ...]:
    """The element (k, *place) or (n, k, *place) as (n, k, *place), for arrays of these shapes.

    Raises:
        InputError: the output has no such element.
    """
    sizes = dict(zip(c.output_layout, output_shape(image, filters, c), strict=True))
    shape = [sizes.get(letter, 1) for letter in "NC" + c.spatial]
    names = "n" + place_names(c.rank)
    whole = (0,) * (len(shape) - len(at)) + tuple(at)
    if len(at) not in (len(shape) - 1, len(shape)) or not all(
        0 <= i < size for i, size in zip(whole, shape, strict=True)
    ):
        of = list(zip(names, shape, strict=True))[shape[0] == 1 and len(at) < len(shape) :]
        raise InputError(
            "the output has no such cell",
            got=f"({', '.join(map(str, at))})",
            expected=", ".join(f"{name} from 0 to {size - 1}" for name, size in of),
            hint=f"--at {','.join(str(n // 2) for n in shape[1:])} is in the middle",
        )
    return whole


def _label(spread: int, spot: int, sample: int) -> int | str:
    """What of the image lies under a tap."""
    if not 0 <= spot < spread:
        return PAD
    return BETWEEN if sample == GAP else sample


def _with_padding(read: Array, met: Sequence[Array], value: float) -> Array:
    """The window (I,*F): ``read``, with zeros in the gaps and ``value`` beyond the border."""
    window = read.copy()
    window[:, reduce(np.logical_or.outer, [found == GAP for found in met])] = 0
    window[:, reduce(np.logical_or.outer, [found == BORDER for found in met])] = value
    return window


def _stored(filters: Array, c: Convention, flat: int) -> tuple[str, int, Block]:
    """The stored rows and columns that hold an element: subscripts, channel, numbers."""
    shape = filters.shape
    filters, layout = reread(filters, c.filter_layout, c.filter_memory)
    place = dict(zip(layout, map(int, np.unravel_index(flat, filters.shape)), strict=True))
    fixed = {letter: i for letter, i in place.items() if letter not in c.spatial[-2:]}
    kernel = filters[tuple(fixed.get(letter, slice(None)) for letter in layout)]
    kernel = kernel.astype(np.int64) if kernel.dtype.kind == "b" else kernel
    (block,) = as_blocks(kernel[None])
    return _subscripts(shape, c.filter_layout, c.filter_memory, fixed), place.get("I", 0), block


def _subscripts(
    shape: Sequence[int], layout: str, memory: str | None, fixed: Mapping[str, int | str]
) -> str:
    """[0, :, :, 2], of what the array is reshaped to; nothing where the whole array is meant."""
    reshaped = ""
    if memory is not None and is_reread(layout, memory):
        sizes = dict(zip(layout, shape, strict=True))
        reshaped = f".reshape({', '.join(str(sizes[letter]) for letter in memory)})"
        layout = memory
    inside = ", ".join(str(fixed.get(letter, ":")) for letter in layout)
    return reshaped + (f"[{inside}]" if any(letter in fixed for letter in layout) else "")


def _steps(
    total: Any, convention: Convention, outputs: int, k: int
) -> tuple[tuple[str, Any, Number], ...]:
    """What the convention does to a sum of computed channel ``k``, in its order."""
    steps: list[tuple[str, Any, Number]] = []
    done = convention.replace(**{key: VOCABULARY[key].default for key in STEPS})
    sums = np.full((1, outputs, *(1 for _ in convention.spatial)), total)
    for key in STEPS:
        given = getattr(convention, key)
        if given == VOCABULARY[key].default:
            continue
        done = done.replace(**{key: given})
        one = given[k] if key in ("scale", "bias") and isinstance(given, tuple) else given
        steps.append((key, one, finish(sums, done)[0, k].item()))
    return tuple(steps)
