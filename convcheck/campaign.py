"""Cases that put an implementation to the test; each is rebuilt from its seed and number alone."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.errors import InputError
from convcheck.target import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Array = NDArray[Any]

DTYPES = ("float32", "float64", "int32", "uint8", "int8", "float16", "int16")
ORDERS = ("C", "F", "strided", "readonly")
VALUES = ("ints", "normal", "wide", "cancelling", "denormal", "zeros", "nan")
GROWTH = 120
"""After about so many cases sizes reach their largest."""
LARGEST = 1 << 30
"""Multiplications of the largest case that an id may ask for; no case that is drawn has more."""
WIDEST = 1 << 22
"""Likewise the numbers in an array of it."""
EVERY = 10
"""The last of so many cases is one of :data:`PARTICULAR`, in turn."""
TURNS = 4
"""In one of so many the target is called with other numbers of the same shapes in between."""
SAME = "same"
"""Filters of the image's dtype."""


def _particular(
    image: tuple[int, int, int, int],
    filters: tuple[int, int, int],
    stride: int = 1,
    padding: int = 0,
    **more: int | str,
) -> Mapping[str, Any]:
    keys = ("batch", "channels", "height", "width", "filters", "kernel_height", "kernel_width")
    sizes = dict(zip(keys, (*image, *filters), strict=True))
    return {**sizes, "stride": stride, "padding": padding, **more}


PARTICULAR: tuple[Mapping[str, Any], ...] = (
    _particular((1, 2, 6, 70), (2, 3, 3)),
    _particular((2, 1, 8, 11), (2, 3, 3), values="nan"),
    _particular((1, 2, 7, 9), (2, 2, 2), padding=4),
    _particular((1, 2, 8, 9), (2, 3, 3), dtype="uint8", filters_dtype="int8"),
    _particular((2, 2, 13, 17), (2, 2, 3), stride=4),
    _particular((1, 2, 7, 131), (2, 3, 2)),
    _particular((2, 2, 11, 13), (3, 3, 2), stride=2, padding=1, values="nan"),
    _particular((1, 64, 7, 7), (8, 1, 1)),
    _particular((1, 2, 9, 10), (2, 2, 3), dtype="uint8", filters_dtype="float32"),
    _particular((1, 16, 14, 14), (16, 3, 3), padding=1, groups=16),
    _particular((1, 1, 5, 100), (3, 1, 3)),
    _particular((1, 2, 71, 6), (2, 3, 3), dtype="float64"),
    _particular((1, 2, 12, 12), (2, 2, 2), dilation=2, values="nan", dtype="float64"),
    _particular((1, 3, 8, 9), (2, 3, 3), dtype="int16", values="wide"),
    _particular((1, 64, 8, 8), (2, 3, 3), dtype="uint8", values="wide"),
    _particular((1, 2, 8, 129), (2, 3, 3), stride=2, values="normal"),
    _particular((1, 2, 11, 12), (2, 3, 3), stride=2, padding=6),
    _particular((1, 2, 9, 10), (2, 3, 2), filters_dtype="float64", values="normal"),
    _particular((1, 2, 20, 70), (2, 3, 3), padding=1, values="nan"),
    _particular((1, 2, 132, 7), (2, 2, 3), values="normal"),
    _particular((1, 2, 9, 224), (2, 5, 5), padding=2),
    _particular((1, 256, 7, 7), (16, 1, 1), values="normal"),
    _particular((1, 3, 24, 66), (4, 7, 7), stride=2, padding=3),
    _particular((8, 3, 14, 14), (8, 3, 3), padding=1),
    _particular((1, 3, 35, 59), (4, 11, 11), stride=4, padding=2, values="normal"),
    _particular((1, 256, 6, 6), (2, 4, 4), dtype="int32", values="wide"),
    _particular((1, 1, 130, 257), (2, 3, 3)),
    _particular((1, 256, 7, 7), (16, 3, 3), padding=1, values="normal"),
    _particular((1, 3, 24, 224), (8, 7, 7), stride=2, padding=3),
    _particular((1, 3, 224, 224), (2, 3, 3), padding=1),
)
"""What few draws come to: the sizes of real networks, and what arithmetic trips over.

Images wider and higher than 64 and 128; NaN and infinities; padding and strides larger than the
kernel; an image and filters of two dtypes; sums that no float32, or no int32, holds. The large ones
come last.
"""


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
    filters_dtype: str = SAME
    """Only where it is another one."""

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
        return self.height, self.width

    @property
    def taps(self) -> tuple[int, ...]:
        """The kernel's."""
        return self.kernel_height, self.kernel_width

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
        image = _draw(rng, (self.batch, self.channels, *self.sizes), self)
        outputs, inputs = self.filters, self.channels // self.groups
        if filter_layout in ("IOHW", "HWIM", "IHW"):
            outputs, inputs = self.filters // self.groups, self.channels
        kind = replace(self, dtype=self.filters_dtype) if self.mixed else self
        bank = _draw(rng, (outputs, inputs, *self.taps), kind)
        if self.holds_nan:
            image, bank = _with_nan(image, rng), np.where(bank == 0, 1, bank).astype(bank.dtype)
        return (
            _ordered(_laid_out(image, "NCHW", image_layout), self.order),
            _ordered(_laid_out(bank, "OIHW", filter_layout.replace("M", "O")), self.order),
        )

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
        if changes.get("groups") == 1 or changes.get("channels") == 1:
            changes["groups"] = 1
        return _made_to_fit(replace(self, **changes))


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
    return _made_to_fit(drawn)


def cases(seed: int = 0, count: int = 300, *, shard: tuple[int, int] = (1, 1)) -> Iterator[Case]:
    """The campaign's cases; the shards 1/n to n/n are together the whole of it."""
    part, of = shard
    for number in range(count):
        if number % of == part - 1:
            yield case(seed, number)


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


def _made_to_fit(drawn: Case) -> Case:
    """The nearest case in which the filter fits in the image."""
    while not drawn.fits:
        if drawn.padding > max(0, min(drawn.most_padding, min(drawn.sizes) - 1)):
            drawn = replace(drawn, padding=drawn.padding - 1)
        elif drawn.dilation > 1:
            drawn = replace(drawn, dilation=drawn.dilation - 1)
        else:
            drawn = replace(drawn, height=drawn.height + 1, width=drawn.width + 1)
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
