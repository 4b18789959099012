"""The few conventions that most implementations follow, tried on one output."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.verify.constants import constants
from convcheck.checks.verify.judgement import judge
from convcheck.checks.verify.learning import first_best
from convcheck.checks.verify.model import RULES, Model
from convcheck.checks.verify.scaling import plainest
from convcheck.convention import NAMED, PADDING_MODES
from convcheck.engine import convolve, output_shape
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from convcheck.campaign import Case

Array = NDArray[Any]
MOST = 0.6
"""The share of an output that a convention must give to be a guess at all."""
CLOSE = 0.05
"""Part of an output's largest number by which elements may be off that are worth judging."""
_REVERSALS = sorted(NAMED, key=lambda slug: len(NAMED[slug].flip))
"""The decompositions, that of a layer first."""


def usual(plain: Model, channels: int, seen: Sequence[tuple[Case, Array]] = ()) -> list[Model]:
    """What most implementations are that are called as this one; images have so many channels.

    ``seen``: what it gave, for the constants that it may have.
    """
    base, given = plain.base, plain.layouts[1]
    orders: list[Mapping[str, Any]] = [
        {"filter_layout": given.translate(str.maketrans(a + b, b + a))}
        for a, b in combinations(base.spatial, 2)
    ]
    orders.append({"channel_order": tuple(reversed(range(channels)))})
    transposes = (True, False) if given.startswith("IO") else (False,)
    found = [
        replace(plain, base=base.replace(flip=flip, padding_mode=mode), rule=rule, transposed=t)
        for flip, rule in product(_REVERSALS, RULES)
        for mode in (PADDING_MODES if rule.startswith("SAME") else ("constant",))
        for t in transposes
        if rule == "explicit" or not t
    ]
    for (rule, keys), flip in product([*constants(plain, seen)], _REVERSALS):
        for mode in PADDING_MODES if any(map(any, keys["padding"])) else ("constant",):
            own = base.replace(flip=flip, padding_mode=mode, **keys)
            found.append(replace(plain, base=own, rule=rule))
    for order, flip in product(orders, _REVERSALS):
        found.append(replace(plain, base=base.replace(flip=flip, **order)))
    return found


def guess(models: Sequence[Model], case: Case, output: Array) -> tuple[Model | None, float]:
    """The model that gives most of an output, and how much; None where none gives most of it."""
    data = (case, *case.arrays(*models[0].layouts), output)
    model, best = first_best(models, partial(_share, *data), 1.0)
    if best < 1:
        finished = (f for model in models for f in _finished(model, *data))
        # Half of what ReLU gives is 0 whatever comes before: only a whole output counts.
        whole = next((f for f in finished if _share(*data, f) == 1), None)
        model, best = (model, best) if whole is None else (whole, 1.0)
    return (model, best) if best >= MOST else (None, best)


def _finished(
    model: Model, case: Case, image: Array, filters: Array, output: Array
) -> Iterator[Model]:
    """The same with ReLU, a factor, or one number added, as they would have to be."""
    plain = _made(case, image, filters, output, model)
    if plain is None:
        return
    changes: dict[str, tuple[float | str, Array]] = {"activation": ("relu", np.maximum(plain, 0))}
    square = float(np.vdot(plain, plain))
    scale = float(np.vdot(plain, output)) / square if square else 0.0
    bias = float(np.mean(output - plain))
    if math.isfinite(scale) and scale != 0:
        changes["scale"] = plainest(scale, 1e-6 * abs(scale)), scale * plain
    if math.isfinite(bias):
        changes["bias"] = float(f"{bias:.5g}"), bias + plain
    for key, (value, values) in changes.items():
        if np.all(_near(values, output)):
            yield replace(model, base=model.base.replace(**{key: value}))


def _share(case: Case, image: Array, filters: Array, output: Array, model: Model) -> float:
    """How much of an output a model gives; 0 where that is plainly too little."""
    values = _made(case, image, filters, output, model)
    if values is None or np.mean(_near(values, output)) < MOST:
        return 0.0
    return judge(image, filters, output, model.convention(case)).share


def _made(
    case: Case, image: Array, filters: Array, output: Array, model: Model
) -> NDArray[np.float64] | None:
    """What a model gives, where it is of the output's shape."""
    convention = model.convention(case)
    try:
        if output_shape(image.shape, filters.shape, convention) == output.shape:
            return convolve(image, filters, convention).astype(np.float64)
    except InputError:
        pass
    return None


def _near(values: Array, output: Array) -> NDArray[np.bool_]:
    """Which elements no rounding error of any dtype would tell apart."""
    found: NDArray[np.bool_] = np.abs(output - values) <= CLOSE * np.abs(output).max()
    return found
