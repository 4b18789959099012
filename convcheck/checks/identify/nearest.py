"""What comes nearest to an output when nothing explains it; never an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.check import Claim
from convcheck.checks.identify.ambiguity import AFTER
from convcheck.checks.identify.axes import ways
from convcheck.checks.identify.elements import Elements
from convcheck.checks.identify.forms import Form
from convcheck.checks.identify.places import where
from convcheck.checks.identify.whole import hold
from convcheck.checks.sums import Linear
from convcheck.convention import Axis
from convcheck.noise import DIRECT, Noise
from convcheck.score import Score, key_bits

if TYPE_CHECKING:
    from convcheck.checks.identify.explore import Explored
    from convcheck.checks.identify.layouts import Reading
    from convcheck.checks.sums import Problem
    from convcheck.comparison import Comparison
    from convcheck.convention import Convention
    from convcheck.traits import Traits

Array = NDArray[Any]


@dataclass(frozen=True)
class Miss:
    """The convention that comes nearest to an output that none explains.

    ``correlation`` is Pearson's, between the output and the sums, within each output channel.
    ``form`` is what it was judged by.
    """

    convention: Convention
    correlation: float
    scale: float
    comparison: Comparison
    where: str
    form: Form = field(repr=False)


def miss_of(problem: Problem, explored: Explored, found: Sequence[Reading]) -> Miss | None:
    """What follows the output best, channel by channel, and how it fares.

    Of the forms that were solved for, of what was voted for, and of the plain conventions, which
    are always asked: of a layer that is normalized otherwise it is the layer.
    """
    plain = [reading for reading in found if not reading.is_reread]
    conventions = [f.convention for f in explored.forms] + [f.convention for f in explored.voted]
    conventions += [c for reading in plain[:PLAIN] for c in _plain_conventions(reading)]
    bare = {c.replace(**_BARE) for c in conventions}
    ranked = [(*_correlation(problem, c), c) for c in sorted(bare, key=key_bits)]
    if not ranked:
        return None
    followed, factor, c = max(ranked, key=lambda one: one[0])
    form = next((f for f in explored.forms if f.convention.replace(**_BARE) == c), None)
    held = hold(problem, form or _plain(problem, c, explored.traits), explored.traits)
    return Miss(
        convention=held.convention,
        correlation=followed,
        scale=factor,
        comparison=held.comparison,
        where=where(held) if held.wrong_count else "nowhere",
        form=held.form,
    )


PLAIN = 3
"""So many readings, the plainest, have their plain conventions asked."""
SAMPLED = 4096
"""Elements by which conventions are ranked."""
_BARE: dict[str, Any] = dict.fromkeys(AFTER) | {"scale": 1.0, "arithmetic": "exact"}


def _plain_conventions(reading: Reading) -> Iterator[Convention]:
    """No dilation, the least stride, windows in the middle: as they are, and reversed."""
    axes = []
    for size, taps, outputs in zip(
        reading.image.shape[2:], reading.taps, reading.output.shape[2:], strict=True
    ):
        plain = [w for w in ways(size, taps, outputs, dilations=(1,)) if w.input_dilation == 1]
        if not plain:
            return
        first = plain[0]
        start = min(0, first.first + first.count // 2)
        axes.append(Axis(size, taps, first.stride, before=-start).fitted(outputs))
    for flip in ("correlation", "per-channel"):
        yield reading.base.replace(
            flip=flip,
            stride=[a.stride for a in axes],
            padding=[(a.before, a.after) for a in axes],
        )


def _plain(problem: Problem, c: Convention, traits: Traits) -> Form:
    """A convention of which no numbers were solved for: its sums as they are."""
    claim = Claim(None, traits.unit, None, "exact")
    noise = Noise(claim.unit, DIRECT, Linear(problem, c).terms)
    return Form(c, claim, noise, Score(key_bits(c), 0.0, 0.0, 0.0, 0.0), np.ones(1, bool))


def _correlation(problem: Problem, c: Convention) -> tuple[float, float]:
    """How closely the output follows the sums within its channels, and by which factor."""
    elements = Elements.of(problem, c, SAMPLED)
    y, p = elements.values(), elements.sums(c).values
    y = y.astype(np.result_type(y, np.float64))
    good, channels = np.isfinite(y), elements.channels(c)
    for o in np.unique(channels):
        some = (channels == o) & good
        if some.any():
            y[some] -= y[some].mean()
            p[some] -= p[some].mean()
    p, y = p[good], y[good]
    power = float(np.vdot(p, p).real), float(np.vdot(y, y).real)
    shared = np.vdot(p, y)
    if min(power) <= 0:
        return 0.0, 0.0
    return float(abs(shared) / np.sqrt(power[0] * power[1])), float(shared.real / power[0])
