"""Where the elements lie that a convention does not give, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.convention.deviations import axis_name

if TYPE_CHECKING:
    from convcheck.checks.identify.whole import Held

Array = NDArray[Any]

LISTED = 8
"""So many channels or images are named one by one."""
_SINGLE = {"rows": "row", "columns": "column", "depth": "depth", "samples": "sample"}


def where(held: Held) -> str:
    """Where the exceptions lie; and what stands there, where that is the same throughout."""
    place, value = _place(held), held.tally.value
    if held.wrong_count > 1 and value is not None:
        return f"{place}, where OUT is {value:g} throughout"
    return place


def _place(held: Held) -> str:
    c, count = held.convention, held.wrong_count
    names = [axis_name(letter, c.rank) for letter in c.spatial]
    batches, channels, *sizes = (len(marks) for marks in held.tally.met)
    n, o, *spatial = map(np.flatnonzero, held.tally.met)
    if c.output_order is not None:
        o = np.sort(np.argsort(c.output_order)[o])
    if count == 1:
        at = ", ".join(f"{_SINGLE[a]} {m[0]}" for a, m in zip(names, spatial, strict=True))
        return f"one element, in output channel {o[0]}, at {at}"
    part = ""
    if len(o) < channels:
        part = f" of output channel {o[0]}" if len(o) == 1 else f" of {_counted(o, channels)}"
    if len(n) < batches:
        few = f"image{'s' * (len(n) > 1)} {', '.join(map(str, n))}"
        part += f" of {few if len(n) <= LISTED else f'{len(n)} of {batches} images'} of the batch"
    every = len(n) * len(o)
    box = [int(m[-1] - m[0]) + 1 for m in spatial]
    full = count >= 0.6 * math.prod(box) * every
    if part and full and box == sizes:
        return f"all{part}" + _filled(count, every * math.prod(sizes))
    for a, (name, m) in enumerate(zip(names, spatial, strict=True)):
        if len(m) == 1 and sizes[a] > 1:
            others = math.prod(s for b, s in enumerate(sizes) if b != a)
            return f"{_SINGLE[name]} {m[0]}{part}" + _filled(count, every * others)
    if held.border and not held.tally.inside:
        border = "the border, where windows reach over the image's edge"
        return border + part + _filled(count, held.border * every)
    if full and box != sizes:
        spans = [
            f"{name} {m[0]} to {m[-1]}"
            for name, m, b, s in zip(names, spatial, box, sizes, strict=True)
            if b < s
        ]
        tile = "a tile, " if len(spans) > 1 else ""
        return f"{tile}{' and '.join(spans)}{part}" + _filled(count, math.prod(box) * every)
    if part:
        return f"{count} elements{part}"
    return f"{count} of {held.comparison.total} elements, in no single place"


def _counted(which: Array, of: int) -> str:
    """Output channels in words: every so manieth where that is what they are, else the numbers."""
    steps = np.diff(which)
    step = int(steps[0])
    if step > 1 and (steps == step).all() and which[0] < step and which[-1] + step >= of:
        nth = {2: "second", 3: "third"}.get(step, f"{step}th")
        return f"every {nth} output channel, from {which[0]}"
    if len(which) <= LISTED:
        return "output channels " + ", ".join(map(str, which))
    return f"{len(which)} of {of} output channels"


def _filled(count: int, of: int) -> str:
    return "" if count == of else f" ({count} of its {of} elements)"
