"""What was done to the numbers: each entry makes one array's elements from the other's.

An entry is proposed from a part of the elements and then held to all of them. Nothing is claimed
here: :mod:`convcheck.checks.diff.judging` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.diff.lines import Line, lines, plain_between, said
from convcheck.checks.diff.pair import DIGITS, Pair, format_of
from convcheck.convention import ACTIVATIONS, Activation, Storage, round_to
from convcheck.score import number_bits
from convcheck.words.plain import number

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[Any]

SOME = 1 << 15
"""Elements by which numbers are proposed."""
HALF = 0.5
"""Of the elements: so many must fit at first sight."""
ENDS = 0.02
"""Of the elements: so many have the value at which something was cut off."""
LEVELS = 1 << 16
"""Levels of a grid at most."""
_CASTS = {"float32": 3.0, "float16": 3.0, "bfloat16": 3.0, "tf32": 4.0}
SAME = "same"


@dataclass(frozen=True)
class Value:
    """What makes ``y`` of ``x``: a line, then an activation, then a cast; each may be absent.

    ``cast`` is a format, ``toward_zero`` whether digits were cut off; ``step`` the step of a grid
    that numbers were rounded to; ``wrapped`` that integers wrapped; ``conjugate`` of complex ones.
    """

    kind: str
    line: Line | None = None
    activation: Activation | None = None
    cast: str | None = None
    toward_zero: bool = False
    step: float | None = None
    wrapped: str | None = None
    conjugate: bool = False

    def apply(self, x: Array) -> Array:
        """What it makes of numbers in double precision."""
        if self.conjugate:
            return np.conj(x)
        y = x if self.line is None else self.line.apply(x)
        if self.activation is not None:
            with np.errstate(all="ignore"):
                y = self.activation.apply(y)
        if self.step is not None:
            y = self.step * np.rint(y / self.step)
        if self.cast is not None:
            y = cast(y, self.cast, self.toward_zero)
        if self.wrapped is not None:
            y = Storage(self.wrapped, overflow="wrap").apply(y).astype(np.float64)
        return y

    def native(self, x: Array) -> Array | None:
        """What it makes in the dtype of the numbers, each step rounded; None where it has none."""
        if self.kind not in ("line", "activation") or x.dtype.kind != "f":
            return None
        y = x if self.line is None else self.line.native(x)
        with np.errstate(all="ignore"):
            return y if self.activation is None else self.activation.apply(y)

    @property
    def keys(self) -> float:
        """The bits that say what kind it is."""
        bits = 4.0 if self.activation is not None else 0.0
        bits += 0.0 if self.cast is None else _CASTS[self.cast] + 2.0 * self.toward_zero
        bits += 6.0 if self.step is not None else 0.0
        return bits + (4.0 if self.wrapped is not None else 0.0) + 3.0 * self.conjugate

    @property
    def numbers(self) -> float:
        """The bits of its numbers."""
        bits = 0.0 if self.line is None else self.line.bits
        bits += 0.0 if self.step is None else number_bits(said(self.step))
        return bits + sum(
            number_bits(said(v)) for v in (self.activation or Activation("relu")).values
        )

    @property
    def evaluated(self) -> float:
        """Units of roundoff that computing it may take, beside the last."""
        own = 0.0 if self.activation is None else self.activation.evaluated
        return own + (1.0 if self.line is not None and not self.line.plain else 0.0)

    @property
    def words(self) -> tuple[str, ...]:
        """What was done, a clause each."""
        clauses = [*_line_words(self.line)]
        if self.activation is not None:
            clauses.append(self.activation.words)
        if self.step is not None:
            clauses.append(f"rounded to multiples of {number(said(self.step))}")
        if self.cast is not None:
            how = "cut off" if self.toward_zero else "rounded"
            clauses.append(f"{how} to {'TF32' if self.cast == 'tf32' else self.cast}")
        if self.wrapped is not None:
            clauses.append(f"wrapped to {self.wrapped}")
        return (*clauses, *(["conjugated"] if self.conjugate else []))


def cast(y: Array, form: str, toward_zero: bool) -> Array:
    """Numbers in a format, to nearest or cut off; in double precision again."""
    near = round_to(y, form).astype(y.dtype)
    if not toward_zero:
        return near
    step = np.ldexp(1.0, np.frexp(np.where(np.isfinite(y), y, 1.0))[1] - _digits(form))
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(y), np.trunc(y / step) * step, y)


def _digits(form: str) -> int:
    return DIGITS.get(form, 11)


def _line_words(line: Line | None) -> Iterator[str]:
    if line is None:
        return
    each = "" if line.axis is None else f", one for each index of axis {line.axis}"
    if (line.scale != 1).any():
        yield f"times {number(said(line.scale[0]))}" if not each else f"times a factor{each}"
    if (line.offset != 0).any():
        one = said(line.offset[0])
        clause = f"minus {number(-one)}" if one < 0 else f"plus {number(one)}"
        yield clause if not each else f"plus an offset{each}"


def proposals(pair: Pair) -> Iterator[Value]:
    """What may make ``y`` of ``x``, the plainest first."""
    yield Value(SAME)
    if pair.is_complex:
        yield Value("conjugated", conjugate=True)
        return
    y, kind = pair.mine, pair.mine.dtype.kind
    whole = kind in "iu"
    if not whole:
        yield from _casts(pair)
    if whole and pair.ref.dtype.kind in "iu" and y.dtype.itemsize < 8:
        yield Value("wrapped", wrapped=y.dtype.name)
    part = some(pair)
    half = 0.5 * (1 + 2.0**-20) * part.steps
    for line in _lines(part.x, part.y, half, whole):
        yield Value("line", line)
    yield from _activations(part, half)
    for axis, length in enumerate(pair.x.shape):
        if 1 < length <= pair.x.size // 3:
            by = along(pair, axis)
            for line in lines(by.x, by.y, 0.5 * (1 + 2.0**-20) * by.steps, axis, whole=whole):
                if line.scale.all() and not line.plain:  # what is 0 throughout is no factor's
                    yield Value("line", line)
            yield from _cut_off(by, axis)
    yield from _grid(part)


def _lines(x: Array, y: Array, half: Array, whole: bool) -> Iterator[Line]:
    finite = np.isfinite(x) & np.isfinite(y)
    if finite.sum() >= 2:
        shown = np.where(finite, x, np.nan), np.where(finite, y, np.nan)
        yield from (line for line in lines(*shown, half, None, whole=whole) if not line.plain)


def _casts(pair: Pair) -> Iterator[Value]:
    own = format_of(pair.ref)
    for name in _CASTS:
        if own != "integer" and _digits(name) < DIGITS[own]:
            yield Value("cast", cast=name)
            if pair.ref.dtype == np.float32 and name in ("tf32", "bfloat16"):
                yield Value("cast", cast=name, toward_zero=True)


def _activations(part: Pair, half: Array) -> Iterator[Value]:
    """Every activation of the vocabulary: of the numbers as they are, and of a line of them."""
    x, y = part.x, part.y
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.any():
        return
    x, y, half = x[finite], y[finite], half[finite]
    for name, kind in ACTIVATIONS.items():
        if kind.parameters:
            if kind.rough is None:
                continue
            with np.errstate(all="ignore"):
                low, high = kind.rough(y - half, y + half)
            for line in (None, *_through(x, low, high)):
                z = x if line is None else line.apply(x)
                with np.errstate(all="ignore"):
                    values = tuple(_plain(v, half, z) for v in kind.read(y, z))
                if all(map(np.isfinite, values)) and not _vain(name, values, z):
                    yield Value("activation", line, Activation(name, values))
            continue
        activation = Activation(name)
        yield Value("activation", activation=activation)
        for line in _through(x, *activation.preimage(y - half, y + half)):
            yield Value("activation", line, activation)


def _cut_off(by: Pair, axis: int) -> Iterator[Value]:
    """A line of its own for each index of an axis, then what cuts off below."""
    half = 0.5 * (1 + 2.0**-20) * by.steps
    for name, kind in ACTIVATIONS.items():
        if kind.parameters:
            continue
        activation = Activation(name)
        least, again = activation.apply(np.array([-50.0, -100.0]))
        if least != again or np.mean(by.y == least) < ENDS:
            continue
        low, high = activation.preimage(by.y - half, by.y + half)
        with np.errstate(all="ignore"):
            middle, room = 0.5 * (low + high), 0.5 * (high - low)
        known = np.isfinite(room) & (room >= 0)
        shown = np.where(known, by.x, np.nan), np.where(known, middle, np.nan)
        for line in lines(*shown, np.where(known, room, np.nan), axis):
            if line.scale.all() and not line.plain:
                yield Value("activation", line, activation)


def _through(x: Array, low: Array, high: Array) -> Iterator[Line]:
    """The lines that lead between the two ends, where these are near each other."""
    with np.errstate(all="ignore"):
        middle, room = 0.5 * (low + high), 0.5 * (high - low)
        known = np.isfinite(room) & (room >= 0) & (room < 0.05 * (1 + np.abs(middle)))
    if known.sum() >= max(8, 0.1 * known.size):
        yield from _lines(x[known], middle[known], room[known], False)


def _plain(value: float, half: Array, x: Array) -> float:
    """The plainest parameter near one that was read off."""
    room = 8 * float(np.median(half)) / max(float(np.abs(x).max(initial=0.0)), 2.0**-1000)
    room = max(room, 2.0**-50 * abs(value))
    return plain_between(value - room, value + room) if np.isfinite(room) else value


def _vain(name: str, values: tuple[float, ...], x: Array) -> bool:
    """Whether an activation with these parameters does nothing to the numbers."""
    made = Activation(name, values).apply(x)
    return bool(np.array_equal(made, x) or (made == made[:1]).all())


def _grid(part: Pair) -> Iterator[Value]:
    """Numbers that were rounded to evenly spaced levels, and stored as what they stand for."""
    y = part.y[np.isfinite(part.y)]
    levels = np.unique(y)
    if not 4 <= len(levels) <= min(LEVELS, y.size // 4):
        return
    gaps = np.diff(levels)
    step = float(np.median(gaps[gaps <= 1.5 * gaps.min()]))
    if step > 0 and step != 1:
        counts = np.rint(levels / step)
        big = int(np.argmax(np.abs(counts)))
        step = float(levels[big] / counts[big]) if counts[big] else step
        room = 0.5 * float(part.steps.max()) / max(abs(counts[big]), 1.0)
        yield Value("grid", step=plain_between(step - room, step + room))
        yield Value("grid", step=step)
    elif step == 1 and part.mine.dtype.kind == "f":
        yield Value("grid", step=1.0)


def some(pair: Pair) -> Pair:
    """Elements that stand for all: all of a small pair, else so many at fixed random places."""
    if pair.ref.size <= SOME:
        return Pair(pair.ref.reshape(-1), pair.mine.reshape(-1))
    at = np.random.default_rng(0).integers(0, pair.ref.size, SOME)
    return Pair(pair.ref.reshape(-1)[at], pair.mine.reshape(-1)[at])


def along(pair: Pair, axis: int) -> Pair:
    """Elements that stand for all of every index of an axis; the others are in one axis."""
    shape = pair.ref.shape
    rest = pair.ref.size // shape[axis]
    most = max(8, (4 * SOME) // shape[axis])
    picked = np.arange(rest)
    if rest > most:
        picked = np.sort(np.random.default_rng(axis).choice(rest, most, replace=False))
    other = 0 if axis else 1
    size = [1] * len(shape)
    size[axis], size[other] = shape[axis], len(picked)

    def block(array: Array) -> Array:
        flat = np.moveaxis(array, axis, -1).reshape(-1, shape[axis])[picked]
        return (flat if axis else flat.T).reshape(size)

    return Pair(block(pair.ref), block(pair.mine))
