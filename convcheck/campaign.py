"""Cases that put an implementation to the test; each is rebuilt from its seed and number alone."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.call_text import GRADIENTS
from convcheck.errors import InputError
from convcheck.particular import PARTICULAR
from convcheck.target import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

Array = NDArray[Any]

DTYPES = ("float32", "float64", "int32", "uint8", "int8", "float16", "int16")
ORDERS = ("C", "F", "strided", "readonly")
VALUES = ("ints", "normal", "wide", "cancelling", "denormal", "zeros", "nan")
SPATIAL = "DHW"
GROWTH = 120
"""After about so many cases sizes reach their largest."""
LARGEST = 1 << 32
"""Multiplications of the largest case that an id may ask for; no case that is drawn has more."""
WIDEST = 1 << 24
"""Likewise the numbers in an array of it."""
LONG = 64
"""A longer side stays as it is over three axes too, where the other one is short."""
EVERY = 10
"""The last of so many cases is a particular one, in turn."""
INSTEAD = 4
"""Cases that are tried in place of one that is refused."""
TURNS = 4
"""In one of so many the target is called with other numbers of the same shapes in between."""
SAME = "same"
"""Filters of the image's dtype."""


@dataclass(frozen=True)
class Case:
    """One call of the implementation under test: shapes, parameters, and what the data are like.

    ``channels`` are the image's, ``inputs`` those of one group; ``filters`` are all groups'.
    """

    seed: int
    number: int
    batch: int = 1
    channels: int = 1
    height: int = 5
    width: int = 5
    filters: int = 1
    kernel_height: int = 3
    kernel_width: int = 3
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    dtype: str = "float32"
    order: str = "C"
    values: str = "ints"
    rank: int = 2
    """How many spatial axes there are: the width alone, or the depth too."""
    depth: int = 1
    kernel_depth: int = 1
    filters_dtype: str = SAME
    """Only where it is another one."""
    gradient: str = ""
    """Which gradient is asked for; nothing where the output is."""

    @property
    def id(self) -> str:
        """What ``--replay`` takes: SEED:NUMBER, and what differs from the case drawn from them."""
        drawn = case(self.seed, self.number)
        changes = [
            f"{f.name}={getattr(self, f.name)}"
            for f in fields(self)
            if getattr(self, f.name) != getattr(drawn, f.name)
        ]
        return ":".join(
            [str(self.seed), str(self.number), *([",".join(changes)] if changes else [])]
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """The image's spatial sizes."""
        return (self.depth, self.height, self.width)[3 - self.rank :]

    @property
    def taps(self) -> tuple[int, ...]:
        """The kernel's."""
        return (self.kernel_depth, self.kernel_height, self.kernel_width)[3 - self.rank :]

    @property
    def size(self) -> int:
        """Multiplications of the plain convolution, a measure of how large a case is."""
        return self.batch * self.channels * self.filters * prod((*self.sizes, *self.taps))

    @property
    def cost(self) -> int:
        """Multiplications of this case, its padding and steps with it."""
        outputs = [
            max(1, (n + 2 * self.padding - self.dilation * (f - 1) - 1) // self.stride + 1)
            for n, f in zip(self.sizes, self.taps, strict=True)
        ]
        each = self.channels // self.groups * prod(self.taps)
        return self.batch * self.filters * each * prod(outputs)

    @property
    def holds_nan(self) -> bool:
        """Whether NaN and infinities are in the image."""
        return self.values == "nan" and self.dtype.startswith("float")

    @property
    def mixed(self) -> bool:
        """Whether the filters are of another dtype than the image."""
        return self.filters_dtype not in (SAME, self.dtype)

    @property
    def in_turns(self) -> bool:
        """Whether the target is called with other numbers of these shapes before, and between."""
        return self.number % TURNS == TURNS - 1

    @property
    def other(self) -> Case:
        """A case like this one with other numbers."""
        return replace(self, seed=self.seed + 1)

    @property
    def widest(self) -> int:
        """Numbers in the largest array that comes up, that of a transposed convolution."""
        sides = [
            (n - 1) * self.stride + self.dilation * (f - 1) + 1 + 2 * self.padding
            for n, f in zip(self.sizes, self.taps, strict=True)
        ]
        return self.batch * max(self.channels, self.filters) * prod(sides)

    @property
    def fits(self) -> bool:
        """Whether groups divide the channels and the filter fits in the padded image."""
        spans = zip(self.sizes, self.taps, strict=True)
        return (
            self.channels % self.groups == 0
            and self.filters % self.groups == 0
            and all(n + 2 * self.padding >= self.dilation * (f - 1) + 1 for n, f in spans)
            and self.padding <= self.most_padding
            and min(self.sizes) > self.padding
        )

    @property
    def most_padding(self) -> int:
        """Somewhat more than the kernel."""
        return min(self.taps) * self.dilation + 3

    def arrays(
        self, image_layout: str = "NCHW", filter_layout: str = "OIHW"
    ) -> tuple[Array, Array]:
        """The image and the filters in these layouts, in the case's memory order.

        A layout without N, C or I takes the first of them. In IOHW a bank of several groups is a
        transposed convolution's: I counts all channels, O one group's outputs. HWIM and IHW
        count likewise; O goes by the name of M, or is 1.
        """
        rng = np.random.default_rng([self.seed, self.number])
        axes = SPATIAL[3 - self.rank :]
        image = _draw(rng, (self.batch, self.channels, *self.sizes), self)
        outputs, inputs = self.filters, self.channels // self.groups
        if filter_layout in ("HWIM", "IHW") or filter_layout.startswith("IO"):
            outputs, inputs = self.filters // self.groups, self.channels
        kind = replace(self, dtype=self.filters_dtype) if self.mixed else self
        bank = _draw(rng, (outputs, inputs, *self.taps), kind)
        if self.holds_nan:
            image, bank = _with_nan(image, rng), np.where(bank == 0, 1, bank).astype(bank.dtype)
        return (
            _ordered(_laid_out(image, "NC" + axes, image_layout), self.order),
            _ordered(_laid_out(bank, "OI" + axes, filter_layout.replace("M", "O")), self.order),
        )

    def upstream(self, shape: tuple[int, ...]) -> Array:
        """The gradient of an output of this shape, which a gradient is asked for."""
        rng = np.random.default_rng([self.seed, self.number, 2])
        kind = replace(self, values="normal") if self.values == "denormal" else self
        return _ordered(_draw(rng, shape, kind), self.order)

    def projected(self, image_layout: str, filter_layout: str, parameters: Collection[str]) -> Case:
        """The nearest case that a target of these layouts and parameters can be called with."""
        changes: dict[str, Any] = {p: 0 if p == "padding" else 1 for p in PARAMETERS}
        changes = {p: v for p, v in changes.items() if p not in parameters}
        if "N" not in image_layout:
            changes["batch"] = 1
        if "C" not in image_layout:
            changes["channels"] = 1
        if "O" not in filter_layout:
            changes |= {"filters": 1, "groups": 1}
        if "I" not in filter_layout and "C" in image_layout:
            changes["channels"] = 1
        rank = sum(axis in SPATIAL for axis in image_layout)
        if rank != self.rank:
            changes = {**_over(rank, self), **changes}
        if changes.get("groups") == 1 or changes.get("channels") == 1:
            changes["groups"] = 1
        return made_to_fit(replace(self, **changes))


@dataclass(frozen=True)
class Wanted:
    """A case that is to be run as it is or not at all, and why no target can be called with it."""

    case: Case
    unfit: str | None = None


def case(seed: int, number: int) -> Case:
    """The case of a number: the larger the number, the larger it may be."""
    if number % EVERY == EVERY - 1:
        return Case(seed, number, **PARTICULAR[number // EVERY % len(PARTICULAR)])
    rng = np.random.default_rng([seed, number, 1])
    reach = min(1.0, (number + 1) / GROWTH)

    def size(low: int, high: int) -> int:
        return int(rng.integers(low, low + max(1, round(reach * (high - low))) + 1))

    groups = int(rng.choice([1, 1, 1, 2, 3])) if number > 3 else 1
    many = rng.random() < 0.15 * reach
    drawn = Case(
        seed=seed,
        number=number,
        batch=int(rng.choice([1, 1, 2, 3])),
        channels=groups * (size(1, 5) if rng.random() < 0.9 else size(1, 33)),
        height=size(3, 18),
        width=size(3, 24) if rng.random() < 0.8 else size(3, 40),
        filters=groups * (size(14, 40) if many else size(1, 6)),
        kernel_height=size(1, 5),
        kernel_width=size(1, 5),
        stride=int(rng.choice([1, 1, 2, 3])) if number > 1 else 1,
        padding=int(rng.choice([0, 0, 1, 2])) if number > 1 else 0,
        dilation=int(rng.choice([1, 1, 1, 2, 3])) if number > 1 else 1,
        groups=groups,
        dtype=str(rng.choice(DTYPES[:6], p=[0.45, 0.25, 0.1, 0.08, 0.06, 0.06])),
        order=str(rng.choice(ORDERS, p=[0.55, 0.2, 0.15, 0.1])),
        values=str(rng.choice(VALUES[:6], p=[0.4, 0.35, 0.1, 0.1, 0.03, 0.02])),
    )
    return made_to_fit(drawn)


def cases(seed: int = 0, count: int = 300, *, shard: tuple[int, int] = (1, 1)) -> Iterator[Case]:
    """The campaign's cases; the shards 1/n to n/n are together the whole of it."""
    part, of = shard
    for number in range(count):
        if number % of == part - 1:
            yield case(seed, number)


def each(cases: Iterable[Case], gradients: Sequence[str]) -> Iterator[Case]:
    """Every case for each of these gradients in turn; one that asks for any, as it is."""
    for drawn in cases:
        yield from [replace(drawn, gradient=g) for g in gradients if not drawn.gradient] or [drawn]


def further(seed: int, count: int) -> Callable[[int], Iterator[Case]]:
    """What says the cases that may take the place of one that a campaign of so many asked in vain.

    They are beyond those of the campaign, and follow from the number of that case alone, so that a
    shard has them of its own cases.
    """
    return lambda number: (case(seed, turn * count + number) for turn in range(1, 1 + INSTEAD))


def parse_id(text: str) -> Case:
    """The case of an :attr:`Case.id`.

    Raises:
        InputError: no id.
    """
    unfit = InputError(
        f"{text!r} is no case",
        expected="SEED:NUMBER as a report prints it, or SEED:NUMBER:key=value,...",
    )
    seed, _, rest = text.partition(":")
    number, more, changes = rest.partition(":")
    if not (seed.isdecimal() and number.isdecimal() and len(seed) < 20 and len(number) < 20):
        raise unfit
    found = case(int(seed), int(number))
    if more:
        found = replace(found, **_changes(changes, unfit))
    if not 1 <= found.rank <= len(SPATIAL):
        raise unfit
    if found.size > LARGEST or found.widest > WIDEST or not found.fits:
        raise unfit
    return found


def _changes(text: str, unfit: InputError) -> Mapping[str, Any]:
    kinds = {f.name: f.type for f in fields(Case) if f.name not in ("seed", "number")}
    choices = {
        "dtype": DTYPES,
        "order": ORDERS,
        "values": VALUES,
        "filters_dtype": (SAME, *DTYPES),
        "gradient": GRADIENTS,
    }
    changes: dict[str, Any] = {}
    for item in text.split(","):
        key, _, value = item.partition("=")
        if key in choices and value in choices[key]:
            changes[key] = value
        elif key in kinds and key not in choices and value.isdecimal() and len(value) < 6:
            changes[key] = int(value)
            if changes[key] < 1 and key != "padding":
                raise unfit
        else:
            raise unfit
    return changes


def _over(rank: int, drawn: Case) -> dict[str, int]:
    """What makes a case of two axes one of so many."""
    changes = {"rank": rank, "depth": 1, "kernel_depth": 1}
    if rank == 1:
        changes |= {"height": 1, "kernel_height": 1}
    if rank == 3:
        if max(drawn.sizes) <= LONG or min(drawn.sizes) > 9:
            changes["height"], changes["width"] = min(drawn.height, 9), min(drawn.width, 12)
        changes["depth"] = 3 + (drawn.height + drawn.width) % 4
        changes["kernel_depth"] = 1 + (drawn.kernel_height + drawn.kernel_width) % 3
        each = drawn.filters // drawn.groups  # a volume has many numbers, so few filters do
        changes["filters"] = drawn.groups * min(each, 6)
    return changes


def made_to_fit(drawn: Case) -> Case:
    """The nearest case in which the filter fits in the image."""
    while not drawn.fits:
        if drawn.padding > max(0, min(drawn.most_padding, min(drawn.sizes) - 1)):
            drawn = replace(drawn, padding=drawn.padding - 1)
        elif drawn.dilation > 1:
            drawn = replace(drawn, dilation=drawn.dilation - 1)
        else:
            axes = ("width", "height", "depth")[: drawn.rank]
            drawn = replace(drawn, **{axis: getattr(drawn, axis) + 1 for axis in axes})
    return drawn


def _draw(rng: np.random.Generator, shape: tuple[int, ...], kind: Case) -> Array:
    dtype = np.dtype(kind.dtype)
    if kind.values == "zeros":
        return np.zeros(shape, dtype)
    if dtype.kind in "iu":
        low, high = (0, 10) if dtype.kind == "u" else (-9, 10)
        if kind.values not in ("ints", "nan"):
            most = 32767 if dtype.itemsize == 2 else 1000
            low, high = max(np.iinfo(dtype).min, -most), min(np.iinfo(dtype).max, most) + 1
        if kind.values == "wide":  # large and of one sign, so that sums overflow what is too narrow
            low = high * 7 // 8
        return rng.integers(low, high, shape).astype(dtype)
    if kind.values in ("ints", "nan"):
        return rng.integers(-9, 10, shape).astype(dtype)
    numbers = rng.standard_normal(shape)
    if kind.values == "cancelling":
        # Large numbers of both signs, so that sums are far smaller than their terms. In float16
        # the sum of a thousand of their products must not overflow.
        large = 1000 if dtype.itemsize > 2 else 2
        numbers = np.sign(numbers) * (large + rng.random(shape))
    elif kind.values == "wide":
        half = dtype.itemsize == 2  # its sums must not overflow
        numbers = numbers * (
            2.0 ** rng.integers(-4, 5, shape) if half else 10.0 ** rng.integers(-8, 9, shape)
        )
    elif kind.values == "denormal" and dtype.itemsize > 2 and shape[2:] == kind.sizes:
        # The image alone: some libraries leave out weights as small as these.
        numbers = numbers * float(np.finfo(dtype).smallest_normal) * 8
    return numbers.astype(dtype)


def _with_nan(image: Array, rng: np.random.Generator) -> Array:
    """NaN and both infinities at places of the first image of the batch, the others without."""
    odd = (np.nan, np.inf, -np.inf)
    for value, place in zip(odd, rng.permutation(image[0].size), strict=False):
        image[0].reshape(-1)[place] = value
    return image


def _laid_out(array: Array, axes: str, layout: str) -> Array:
    for axis in axes:
        if axis not in layout:
            array = array.take([0], axis=axes.index(axis))
    kept = [axis for axis in axes if axis in layout]
    array = array.reshape([n for axis, n in zip(axes, array.shape, strict=True) if axis in layout])
    return np.ascontiguousarray(array.transpose([kept.index(axis) for axis in layout]))


def _ordered(array: Array, order: str) -> Array:
    if order == "F":
        return np.asfortranarray(array)
    if order == "strided":
        wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if order == "readonly":
        array.flags.writeable = False
    return array
