"""The layers of two models that belong together, by their weights, then by order and name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.model.beside import compared
from convcheck.checks.model.result import Cause, Row
from convcheck.convention import Convention

if TYPE_CHECKING:
    from convcheck.trace.layer import Layer, Trace

Array = NDArray[Any]

ALIKE = 0.02
"""How far signatures of weights that were quantised may be apart."""


class Signature(NamedTuple):
    """What no transposition, flip, order of channels or factor a channel changes of weights."""

    size: int
    spread: Array
    """The sorted kurtoses of the filters, a number each."""


def signature(layer: Layer) -> Signature:
    """The signature of a layer's weights."""
    c = Convention.from_dict(layer.keys)
    w = np.asarray(layer.array("weight")).astype(np.float64) - np.asarray(c.filter_offset).max()
    # A kurtosis of all of them, which quantising hardly moves; of each filter where the axis is
    # known. Both are the same however the weights are laid out.
    if "O" in c.filter_layout and w.ndim == len(c.filter_layout):
        rows = np.moveaxis(w, c.filter_layout.index("O"), 0).reshape(
            w.shape[c.filter_layout.index("O")], -1
        )
    else:
        rows = w.reshape(1, -1)
    power = np.maximum((rows**2).sum(axis=1), 2.0**-1000)
    return Signature(w.size, np.sort((rows**4).sum(axis=1) / power**2 * rows.shape[1]))


def apart(a: Signature, b: Signature) -> float:
    """How far two signatures are apart: infinite for weights of other sizes."""
    if a.size != b.size or a.spread.shape != b.spread.shape:
        return float("inf")
    return float(np.median(np.abs(a.spread - b.spread) / np.maximum(np.abs(a.spread), 1e-9)))


def pairs(a: Trace, b: Trace) -> Iterator[tuple[Layer | None, Layer | None, str]]:
    """The layers side by side in B's order, with what they were paired by; A's rest comes last."""
    left = list(a.layers)
    own = {layer.name: signature(layer) for layer in left}
    found: dict[str, tuple[Layer, str]] = {}
    theirs = {layer.name: signature(layer) for layer in b.layers}
    for layer in b.layers:
        near = [(apart(own[x.name], theirs[layer.name]), i) for i, x in enumerate(left)]
        # Among equal weights the first that is left: the order in which they ran.
        best = min(near, default=(float("inf"), 0), key=lambda n: (n[0] // ALIKE, n[1]))
        if best[0] <= ALIKE:
            found[layer.name] = (left.pop(best[1]), "weights")
    for by in ("name", "order"):
        for layer in b.layers:
            if layer.name in found:
                continue
            count = theirs[layer.name].size
            same = [
                x
                for x in left
                if (x.name == layer.name if by == "name" else own[x.name].size == count)
            ]
            if same:
                found[layer.name] = (same[0], by)
                left.remove(same[0])
    for layer in b.layers:
        partner, by = found.get(layer.name, (None, ""))
        yield partner, layer, by
    for layer in left:
        yield layer, None, ""


def beside(a: Trace, b: Trace, progress: Callable[[], None] | None = None) -> Iterator[Row]:
    """The row of each layer of B, on B's own input, by what A's layer says."""
    for mine, other, by in pairs(a, b):
        begun = perf_counter()
        if mine is not None and other is not None:
            yield compared(mine, other, by)
        else:
            lone = other or mine
            if lone is None:
                continue
            which, without = ("B", "A") if other is not None else ("A", "B")
            words = f"is in {which}, and no layer of {without} has such weights"
            cause = (Cause("missing", words),)
            seconds = perf_counter() - begun
            yield Row(lone.name, lone.kind, "unpaired", None, "", None, seconds, causes=cause)
        if progress is not None and other is not None:
            progress()
