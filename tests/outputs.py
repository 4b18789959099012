"""Outputs of convolutions, each with what made it: an image, filters, an output and the truth.

Each is a function of its kind and seed alone. Those that no library makes are computed by plain
loops (:mod:`plain_convolution`); nothing of convcheck takes part. They have 40 to 3000 elements.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import library_outputs
import numpy as np
import stored_outputs
from drawn_layers import NUMBERS, SHAPES, Unfit, base, numbers
from plain_convolution import UNITS, Array, Truth, before_storage

if TYPE_CHECKING:
    from drawn_layers import Maker

LEAST, MOST = 40, 3000
"""Elements of an output."""
TOLD, EACH_TOLD = 40, 8
"""Elements at least that no activation and no limit of a dtype has cut off; in each channel."""
CUT = 4
"""Elements at least at each end where an activation cuts off: otherwise none shows that it does."""


@dataclass(frozen=True)
class Made:
    """An output and how it was made; ``exact`` are its numbers before rounding and storage."""

    kind: str
    seed: int
    image: Array
    filters: Array
    output: Array
    truth: Truth
    exact: Array

    @property
    def before(self) -> Array:
        """The numbers before any storage, without a zero point."""
        return before_storage(self.image, self.filters, self.truth)

    @property
    def unit(self) -> float:
        """Unit roundoff of the precision that the output is in, 0 for integers."""
        kept = {"f2": 2.0**-11, "f4": 2.0**-24, "c8": 2.0**-24}.get(self.output.dtype.str[1:], 0)
        if self.output.dtype.kind in "fc":
            kept = max(kept, 2.0**-53)
        return max(kept, UNITS[self.truth.get("arithmetic", "exact")])

    @property
    def typical_error(self) -> Array:
        """What rounding does to an element: the rms of all, or half a unit in its last place."""
        error = np.abs(self.output - self.exact).astype(float)
        if self.truth.get("arithmetic") == "float64":  # the yardstick is no better than it
            return np.zeros(error.shape) + 4 * self.unit * np.abs(self.exact).max()
        told = self.telling()
        rms = np.sqrt(np.mean(error[told] ** 2)) if told.any() else 0.0
        return np.maximum(rms, self.unit * np.abs(self.exact))

    def telling(self) -> Array:
        """Which elements nothing has cut off, at zero or at an end of their dtype."""
        return telling(self.output, self.truth)


def telling(output: Array, truth: Truth) -> Array:
    """Which elements of an output nothing has cut off."""
    told = np.ones(output.shape, bool)
    activation = truth.get("activation")
    if activation in ("relu", "relu6"):
        told &= output != 0
    storage = truth.get("storage")
    if storage and storage["overflow"] == "saturate":
        limits = np.iinfo(storage["dtype"])
        told &= (output != limits.min) & (output != limits.max)
        if activation == "relu":
            told &= output != storage["zero_point"]
    return told


def least_told(told: Array, truth: Truth) -> int:
    """How many elements tell in the output channel in which the fewest do."""
    layout = truth.get("output_layout", "CHW")
    if "C" not in layout:
        return int(told.sum())
    others = tuple(a for a in range(told.ndim) if a != layout.index("C"))
    return int(told.sum(axis=others).min())


def ends(truth: Truth) -> tuple[float, ...]:
    """The numbers at which an activation cuts off."""
    activation = truth.get("activation")
    if isinstance(activation, dict):
        return tuple(activation.get("clip", ()))
    return {"relu": (0,), "relu6": (0, 6)}.get(activation, ())


def draw(kind: str, seed: int) -> Made:
    """The output of this kind and seed; that of a library is not there where the library is not."""
    rng = np.random.default_rng([zlib.crc32(kind.encode()), seed])
    while True:
        try:
            image, filters, output, truth = KINDS[kind](rng)
            exact = before_storage(image, filters, truth)
            if "storage" in truth:
                exact = exact + truth["storage"]["zero_point"]
                limits = np.iinfo(truth["storage"]["dtype"])
                if truth["storage"]["overflow"] == "saturate":
                    exact = np.clip(exact, limits.min, limits.max)
                else:
                    exact = output
        except (Unfit, ValueError, RuntimeError):  # shapes that do not fit; torch has its own error
            continue
        made = Made(kind, seed, image, filters, output, truth, exact)
        told = least_told(made.telling(), truth) >= EACH_TOLD and shows(made, np.True_)
        varied = len(np.unique(output)) > min(10, output.size // 4)
        if LEAST <= output.size <= MOST and told and varied and np.isfinite(output).all():
            return made


def shows(made: Made, seen: Array) -> bool:
    """Whether the elements that are seen are enough to tell how all were made."""
    cut = (made.before == end for end in ends(made.truth))
    return np.count_nonzero(made.telling() & seen) >= TOLD and all(
        np.count_nonzero(there & seen) >= CUT for there in cut
    )


def missing(kind: str) -> str | None:
    """A library that a kind needs and that is not installed."""
    needed = library_outputs.LIBRARIES.get(kind.partition(" ")[0], ())
    return next((library for library in needed if find_spec(library) is None), None)


def _of_layer(number: str, shape: str) -> Maker:
    def make(rng: np.random.Generator) -> tuple[Array, Array, Array, Truth]:
        layer = base(rng)
        SHAPES[shape](rng, layer)
        return numbers(rng, layer, number)

    return make


KINDS: dict[str, Maker] = {
    **{f"{number} {shape}": _of_layer(number, shape) for number in NUMBERS for shape in SHAPES},
    **stored_outputs.KINDS,
    **library_outputs.KINDS,
}
"""What makes an output of each kind from a random generator."""
