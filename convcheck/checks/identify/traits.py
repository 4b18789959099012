"""What an output shows of how it was stored, before any search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.samples import a_part, ends, telling
from convcheck.convention import INTEGERS, PRECISIONS, representable
from convcheck.convention.storage import spacing
from convcheck.rounding import blocks
from convcheck.score import literal_bits

Array = NDArray[Any]


@dataclass(frozen=True)
class Traits:
    """The traits of an output.

    ``format`` is the coarsest of float64, float32 that holds all of it, or ``integer``;
    ``narrow`` the coarser ones that do, too. ``whole`` says that all numbers are integers,
    ``limits`` are the ends where something was cut off, ``quantum`` divides every number where it
    is known.
    """

    format: str
    narrow: tuple[str, ...]
    whole: bool
    limits: tuple[float, float]
    least: float
    most: float
    spread: float
    integer: str | None
    size: int
    finite: bool

    @property
    def unit(self) -> float:
        """The unit roundoff of the format."""
        return PRECISIONS.get(self.format, 2.0**-53)

    def steps(self, values: Array) -> Array:
        """How far numbers of the output's kind are apart, near each of the values."""
        if self.whole:
            return np.ones(values.shape)
        sizes = np.abs(np.where(np.isfinite(values), values, 0))
        return spacing(sizes.astype(np.float64), self.format)

    def literal(self, values: Array) -> Array:
        """The bits of every element as it is."""
        return literal_bits(values, self.steps(values))


def traits(output: Array) -> Traits:
    """The traits of an output (N,O,*S)."""
    kind = output.dtype.kind
    some = a_part(output)
    parts = list(blocks(output)) if output.size > some.size else [some]
    finite = all(bool(np.isfinite(part).all()) for part in parts)
    real = [part for part in parts if part.dtype.kind != "c"]
    kept = [part[np.isfinite(part)] for part in real]
    kept = [part for part in kept if part.size]
    whole = bool(kept) and all(np.array_equal(np.rint(part), part) for part in kept)
    formats = _formats(some, parts)
    least = min((float(part.min()) for part in kept), default=-np.inf)
    most = max((float(part.max()) for part in kept), default=np.inf)
    limits = ends(output)
    if kind in "biu":
        lows = np.iinfo(output.dtype) if kind in "iu" else None
        if lows is not None and lows.bits <= 32:
            # An end of the dtype is one, however few elements have it.
            limits = (
                max(limits[0], float(lows.min)),
                min(limits[1], float(lows.max)),
            )
    told = some[telling(some, limits)] if kind != "c" else np.abs(some[np.isfinite(some)])
    return Traits(
        format="integer" if kind in "biu" else formats[0],
        narrow=() if kind in "biu" else formats[1],
        whole=whole,
        limits=limits,
        least=least,
        most=most,
        spread=float(np.std(told.astype(np.float64))) if told.size else 0.0,
        integer=_integer(output, least, most) if whole else None,
        size=output.size,
        finite=finite,
    )


def _formats(some: Array, parts: list[Array]) -> tuple[str, tuple[str, ...]]:
    if some.dtype.kind in "biu":
        return "float64", ()

    def holds(name: str) -> bool:
        return all(
            representable(each, name)
            for part in (some, *parts)
            for each in ((part.real, part.imag) if part.dtype.kind == "c" else (part,))
        )

    if some.dtype.itemsize > (16 if some.dtype.kind == "c" else 8):
        return "float64", ()
    own = "float32" if holds("float32") else "float64"
    narrow = tuple(name for name in ("bfloat16", "float16") if own == "float32" and holds(name))
    return own, narrow


def _integer(output: Array, least: float, most: float) -> str | None:
    """The integer dtype that an output has, or the narrowest that holds what it has."""
    if output.dtype.kind in "iu":
        return output.dtype.name if output.dtype.name in INTEGERS else "int64"
    for name in INTEGERS:
        if np.iinfo(name).min <= least and most <= np.iinfo(name).max:
            return name
    return None
