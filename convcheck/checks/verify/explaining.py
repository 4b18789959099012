"""What an implementation does where it does not do what it should."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.campaign import Case
from convcheck.checks.verify.judgement import judge
from convcheck.checks.verify.mistakes import mistakes
from convcheck.checks.verify.model import PADDINGS, RULES, Model
from convcheck.convention import KEYS, VOCABULARY
from convcheck.convention.channels import to_axes
from convcheck.engine import convolve
from convcheck.errors import ConvcheckError
from convcheck.gradients import mistaken, operands
from convcheck.words import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from convcheck.convention import Convention

Array = NDArray[Any]
Evidence = tuple[Case, Array]

PATIENCE = 6.0
"""Seconds that the search may take."""
KEPT = 24
"""Failing cases that are kept for this question."""
CASES = 2
"""Cases that are looked into where they are not one keyword away."""
TELLING = 1500
LARGEST = 20_000
"""Multiplications of a case that is searched through: a smaller one fits too many conventions,
and a larger one takes too long where nothing fits."""
SHAPES = 6
"""Outputs whose shapes, and most of whose elements, tell a rule of padding."""
AFTER = ("scale", "bias", "activation", "arithmetic", "storage")
"""What is done to the sums."""
BORDERS: tuple[tuple[str, Callable[[Array], Any]], ...] = (
    ("the last row", lambda m: m[:, :, :-1].any()),
    ("the last column", lambda m: m[..., :-1].any()),
    ("the first row", lambda m: m[:, :, 1:].any()),
    ("the first column", lambda m: m[..., 1:].any()),
    ("the last row and the last column", lambda m: m[:, :, :-1, :-1].any()),
    ("the first row and the first column", lambda m: m[:, :, 1:, 1:].any()),
    ("the outermost rows and columns", lambda m: m[:, :, 1:-1, 1:-1].any()),
    ("the batch's first image", lambda m: m[1:].any()),
    ("the images of the batch after the first", lambda m: m[:1].any()),
    ("the last output channel", lambda m: m[:, :-1].any()),
    *(
        (
            f"the columns after the last whole {n}",
            lambda m, n=n: m[..., : m.shape[3] // n * n].any(),
        )
        for n in (4, 8, 16)
    ),
    *(
        (f"the rows after the last whole {n}", lambda m, n=n: m[:, :, : m.shape[2] // n * n].any())
        for n in (4, 8, 16)
    ),
    *((f"the output channels from {n} on", lambda m, n=n: m[:, :n].any()) for n in (32, 16, 8, 4)),
    *((f"the columns from {n} on", lambda m, n=n: m[..., :n].any()) for n in (128, 64, 32, 16)),
    *((f"the rows from {n} on", lambda m, n=n: m[:, :, :n].any()) for n in (128, 64, 32, 16)),
)
"""Places, each with what tells that some mistake lies outside of it."""
SAMPLES = tuple(
    (words.replace("column", "sample"), outside) for words, outside in BORDERS if "row" not in words
)
"""The same over one axis, which is handed to them as a row."""


def explained(
    model: Model, evidence: Sequence[Evidence], *, patience: float = PATIENCE
) -> str | None:
    """What the target does in these failing cases, in words; None where nothing fits.

    The cases are those of the campaign: one made as small as it fails fits too many conventions.
    The usual mistakes are tried first, then all that there is is searched for ``patience`` seconds.
    """
    plain = [(case, output) for case, output in evidence if case.values not in ("zeros", "nan")]
    if not plain:
        return None
    said = _first(_rules(model), plain) or _mistaken(model, plain) or _simple(model, plain)
    if said is not None:
        return said
    if model.gradients:
        return None  # the words for places, and for what is searched, are those of an output
    place = _place(model, plain)
    if place is not None:
        return f"all that is wrong lies in {place}"
    if len(plain) >= SHAPES:
        # No other rule gives all of these shapes by chance, whatever else is wrong.
        for words, other in _rules(model):
            place = _place(other, plain)
            if place is not None:
                return f"{words}, and all else that is wrong lies in {place}"
    searched = [pair for pair in plain if TELLING <= pair[0].size <= LARGEST]
    searched = [pair for pair in searched if _wide(model, *pair)]
    searched.sort(key=lambda pair: _told_by(pair[0]))
    return _searched(model, searched[:CASES], plain, patience)


def _told_by(case: Case) -> tuple[bool, int, bool, int]:
    """The less, the plainer a case says what is done: of a single tap nothing can be told."""
    return min(case.taps) == 1, case.groups, case.dtype != "float32", case.size


def _place(model: Model, evidence: Sequence[Evidence]) -> str | None:
    """Where every mistake lies, if that is one place, and elements outside of it are right."""
    masks: list[Array] = []
    rank = model.base.rank
    if rank > 2:
        return None
    for case, output in evidence:
        image, filters = model.arrays(case)
        try:
            convention = model.convention(case)
            mask = judge(image, filters, output, convention).wrong
        except ConvcheckError:
            return None
        if mask is None:
            return None
        mask = to_axes(mask, convention.output_layout, "NC" + convention.spatial)
        masks.append(mask if rank == 2 else mask[:, :, None])
    for words, outside in BORDERS if rank == 2 else SAMPLES:
        # In a small output a place may be all there is: half of them must have something else.
        larger = sum(bool(outside(np.ones_like(mask))) for mask in masks)
        if 2 * larger > len(masks) and not any(outside(mask) for mask in masks):
            return words
    return None


def _first(variants: Iterable[tuple[str, Model]], evidence: Sequence[Evidence]) -> str | None:
    """The words of the first model that gives every one of these outputs."""
    for words, other in variants:
        if all(_gives(other, case, output) for case, output in evidence):
            return words
    return None


def _rules(model: Model) -> Iterator[tuple[str, Model]]:
    """The same implementation with another rule of padding."""
    free = replace(model, expect={k: v for k, v in model.expect.items() if k != "padding"})
    expected = model.rule if model.claimed is None else PADDINGS[model.claimed]
    for rule in RULES:
        if rule not in (expected, "explicit") and not model.transposed:
            yield f"it pads as {rule}", replace(free, rule=rule)
    if expected != "explicit":
        yield "it does not pad by itself", replace(free, rule="explicit")


def _mistaken(model: Model, evidence: Sequence[Evidence]) -> str | None:
    """The one mistake that gives every one of these outputs."""
    left: dict[str, str] | None = None
    for case, output in evidence:
        try:
            known = [*_known(model, case, output)]
        except ConvcheckError:
            return None
        left = {
            name: what
            for name, what, arrays, convention in known
            if (left is None or name in left) and _is(*arrays, output, convention)
        }
        if not left:
            return None
    return next(iter(left.values())) if left else None


def _known(
    model: Model, case: Case, output: Array
) -> Iterator[tuple[str, str, tuple[Array, Array], Convention]]:
    """The usual mistakes by name and in words, with what they do and to which arrays."""
    if not case.gradient:
        arrays = model.arrays(case)
        for one in mistakes(model.convention(case), *arrays, output):
            yield one.name, one.what, arrays, one.convention
        return
    forward = model.forward(case)
    x, w, upstream = model.request(case).arrays(case)
    for words, other, convention, images in mistaken(
        case.gradient, forward, case.sizes, case.taps, case.batch
    ):
        some = _batch(x, forward.image_layout, images)
        given = _batch(upstream, forward.output_layout, images)
        yield words, words, operands(case.gradient, other, some, w, given), convention


def _batch(array: Array, layout: str, images: slice) -> Array:
    """Some of the images of a batch."""
    return array[tuple(images if axis == "N" else slice(None) for axis in layout)]


def _simple(model: Model, evidence: Sequence[Evidence]) -> str | None:
    """A number that is added, or a factor, in every one of these outputs."""
    added, factors = [], []
    for case, output in evidence:
        try:
            right = np.asarray(convolve(*model.arrays(case), model.convention(case)))
        except ConvcheckError:
            return None
        if right.shape != output.shape:
            return None
        with np.errstate(all="ignore"):
            added.append(float(np.median(output - right)))
            if np.any(right):
                factors.append(float(np.median(output[right != 0] / right[right != 0])))
    if factors and model.base.bias is None and model.base.scale == 1:
        bias, factor = (float(f"{np.median(numbers):.5g}") for numbers in (added, factors))
        for words, change in (
            (f"it adds {bias:g}", {"bias": bias}),
            (f"it multiplies by {factor:g}", {"scale": factor}),
        ):
            value = next(iter(change.values()))
            changed = replace(model, expect={**model.expect, **change})
            if np.isfinite(value) and value and all(_gives(changed, *p) for p in evidence):
                return words
    return None


def _gives(model: Model, case: Case, output: Array) -> bool:
    try:
        return _is(*model.arrays(case), output, model.convention(case))
    except ConvcheckError:
        return False


def _is(image: Array, filters: Array, output: Array, convention: Convention) -> bool:
    try:
        return judge(image, filters, output, convention).passed
    except ConvcheckError:
        return False


def _wide(model: Model, case: Case, output: Array) -> bool:
    """Whether an output is large enough for two conventions not to agree in it by chance."""
    c = model.convention(case)
    if output.size < 24 or output.ndim != len(c.output_layout):
        return False
    sides: list[int] = [output.shape[c.output_layout.index(axis)] for axis in c.spatial]
    return min(sides) > 1


def _searched(
    model: Model, searched: Sequence[Evidence], evidence: Sequence[Evidence], patience: float
) -> str | None:
    """What an output is, if that can be found out soon and is what the others are too.

    An output of one case may be many things by chance, of several they have only the truth in
    common.
    """
    until = time.monotonic() + patience
    told = None
    for case, output in searched:
        left = until - time.monotonic()
        told = _one(model, case, output, left) if left > 0 else None
        if told is not None:
            words, changes = told
            changed = replace(model, expect={**model.expect, **changes})
            if len(evidence) > 1 and all(_gives(changed, *pair) for pair in evidence):
                return words
    if told is not None and len(searched) == 1:
        return f"in the one case that was looked into, {told[0]}"
    return None


def _one(
    model: Model, case: Case, output: Array, budget: float
) -> tuple[str, dict[str, Any]] | None:
    """What one output is, if that can be found out soon: in words, and the keys that say so."""
    from convcheck.checks.identify import identify  # slow to import, and seldom needed

    image, filters = model.arrays(case)
    try:
        expected = model.convention(case)
        result = identify(image, filters, output, budget=budget)
        if result.verdict not in ("identified", "near-match"):
            return None
        first = result.candidates[0]
        found, count = first.convention, first.comparison
        if _same_sums(image, filters, found, expected):
            found = expected.replace(**{key: getattr(found, key) for key in AFTER})
    except ConvcheckError:
        return None
    # In which floats it computes is no mistake.
    integers = found.storage is not None and found.storage.is_integer
    stored = expected.storage if integers else found.storage
    same = expected.replace(arithmetic=found.arithmetic, storage=stored)
    changes = {
        key: getattr(found, key) for key in KEYS if getattr(found, key) != getattr(same, key)
    }
    if result.verdict == "near-match":
        words = f"it is right but for {count.mismatched} of {count.total} elements"
        return None if changes else (words, {})
    clauses = differences(found, same)
    if not clauses:
        return f"it computes in {found.arithmetic}", {"arithmetic": found.arithmetic}
    return f"it has {'; '.join(clauses)}", changes


def _same_sums(image: Array, filters: Array, one: Convention, other: Convention) -> bool:
    """Whether they are one thing said in two ways: they add up the same of other numbers too."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-(2**15), 2**15, a.shape) for a in (image, filters))
    plain = {key: VOCABULARY[key].default for key in AFTER}
    first, second = (convolve(x, w, c.replace(**plain)) for c in (one, other))
    return np.array_equal(first, second)
