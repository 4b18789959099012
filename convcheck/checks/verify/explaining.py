"""What an implementation does where it does not do what it should."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.campaign import Case
from convcheck.checks.verify.judgement import judge, wrong
from convcheck.checks.verify.model import PADDINGS, RULES, Model
from convcheck.convention import Convention
from convcheck.engine import convolve, to_axes
from convcheck.errors import ConvcheckError
from convcheck.words import differences

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
)
"""Places, each with what tells that some mistake lies outside of it."""


def instead(
    model: Model, evidence: Sequence[Evidence], *, patience: float = PATIENCE
) -> str | None:
    """What the target does in these failing cases, in words; None where nothing fits.

    The cases are those of the campaign: one made as small as it fails fits too many conventions.
    """
    plain = [(case, output) for case, output in evidence if case.values != "zeros"]
    if not plain:
        return None
    for said, other in _variants(model):
        if all(_gives(other, case, output) for case, output in plain):
            return said
    place = _place(model, plain)
    if place is not None:
        return f"all that is wrong lies in {place}"
    searched = [pair for pair in plain if TELLING <= pair[0].size <= LARGEST]
    searched = [pair for pair in searched if _wide(model, *pair)]
    searched.sort(key=lambda pair: (pair[0].groups, pair[0].dtype != "float32", pair[0].size))
    return _looked_into(model, searched[:CASES], patience)


def _place(model: Model, evidence: Sequence[Evidence]) -> str | None:
    """Where every mistake lies, if that is one place, and elements outside of it are right."""
    masks = []
    for case, output in evidence:
        image, filters = case.arrays(*model.layouts)
        try:
            convention = model.convention(case)
            mask = wrong(image, filters, output, convention)
        except ConvcheckError:
            return None
        if mask is None:
            return None
        masks.append(to_axes(mask, convention.output_layout, "NOHW"))
    for words, outside in BORDERS:
        # In a small output a place may be all there is: half of them must have something else.
        larger = sum(bool(outside(np.ones_like(mask))) for mask in masks)
        if 2 * larger > len(masks) and not any(outside(mask) for mask in masks):
            return words
    return None


def _variants(model: Model) -> list[tuple[str, Model]]:
    """Other implementations that are one keyword away."""
    base = model.base
    free = replace(model, expect={k: v for k, v in model.expect.items() if k != "padding"})
    expected_rule = model.rule if model.claimed is None else PADDINGS[model.claimed]
    found = [
        (f"it pads as {rule}", replace(free, rule=rule))
        for rule in RULES
        if rule not in (expected_rule, "explicit") and not model.transposed
    ]
    if expected_rule != "explicit":
        found.append(("it does not pad by itself", replace(free, rule="explicit")))
    words = {
        (): "it reverses no axis of the filters",
        ("H", "W"): "it reverses the kernel's rows and columns",
        ("I", "H", "W"): "it reverses channels, rows and columns of the filters",
        ("I",): "it reverses the filters' channels",
    }
    expected = tuple(model.expect.get("flip", base.flip))
    for flip, said in words.items():
        if flip != expected:
            found.append((said, replace(model, expect={**model.expect, "flip": flip})))
    for key, value in (("stride", 1), ("dilation", 1), ("padding", 0), ("input_dilation", 1)):
        if key in model.parameters:
            other = replace(model, expect={**model.expect, key: value})
            found.append((f"it leaves the {key} out", other))
    swapped = not model.expect.get("kernel_transposed", base.kernel_transposed)
    other = replace(model, expect={**model.expect, "kernel_transposed": swapped})
    found.append(("it swaps the kernel's rows and columns", other))
    return found


def _gives(model: Model, case: Case, output: Array) -> bool:
    image, filters = case.arrays(*model.layouts)
    try:
        return judge(image, filters, output, model.convention(case)).passed
    except ConvcheckError:
        return False


def _wide(model: Model, case: Case, output: Array) -> bool:
    """Whether an output is large enough for two conventions not to agree in it by chance."""
    layout = model.convention(case).output_layout
    sides = to_axes(output, layout, "NOHW").shape[2:] if output.ndim == len(layout) else (0,)
    return output.size >= 24 and min(sides) > 1


def _looked_into(model: Model, searched: Sequence[Evidence], patience: float) -> str | None:
    """What a few outputs are, if that can be found out soon and is one thing.

    An output of one case may be many things by chance, of several they have only the truth in
    common.
    """
    until = time.monotonic() + patience
    found: list[str] = []
    for case, output in searched:
        left = until - time.monotonic()
        said = _one(model, case, output, left) if left > 0 else None
        if said is None or (found and said != found[0]):
            return None
        found.append(said)
    if len(found) == 1:
        return f"in the one case that was looked into, {found[0]}"
    return found[0] if found else None


def _one(model: Model, case: Case, output: Array, patience: float) -> str | None:
    """What one output is, if that can be found out soon."""
    image, filters = case.arrays(*model.layouts)
    try:
        expected = model.convention(case)
        right = convolve(image, filters, expected)
    except ConvcheckError:
        return None
    from convcheck.checks.identify.classes import canonical, telling_probe
    from convcheck.checks.sums import Problem

    told = _identified_soon(image, filters, output, patience)
    if told is None:
        return None
    found = Convention.from_dict(told["convention"])
    if told["verdict"] == "identified":
        # In few samples one thing may be said in many ways.
        probe = telling_probe(Problem.of(image, filters, output))
        plain = {"scale": 1.0, "bias": None, "activation": None, "arithmetic": "exact"}
        one, other = (
            convolve(probe.image, probe.filters, c.replace(**plain)) for c in (found, expected)
        )
        if np.array_equal(one, other):
            found = expected.replace(**{key: getattr(found, key) for key in plain})
        kernel = (case.kernel_height, case.kernel_width)
        return _unlike(found, canonical(expected, kernel))
    same = convolve(image, filters, found)
    return f"it is right but for {told['where']}" if np.array_equal(right, same) else None


def _identified_soon(
    image: Array, filters: Array, output: Array, patience: float
) -> dict[str, Any] | None:
    """The answer of identify, in a process that can be ended when it takes too long."""
    given = BytesIO()
    np.savez(given, image=image, filters=filters, output=output)
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from convcheck.checks.verify.instead import serve; serve()"],
            input=given.getvalue(),
            capture_output=True,
            timeout=patience,
            check=True,
            start_new_session=True,
        )
        told: dict[str, Any] | None = json.loads(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError):
        return None
    return told


def serve() -> None:
    """Identify the arrays on stdin; the answer is JSON, null where there is none."""
    from convcheck.checks.identify import identify

    with np.load(BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as given:
        arrays = given["image"], given["filters"], given["output"]
    told = None
    with suppress(ConvcheckError):
        result = identify(*arrays, ignore_nonfinite=True)
        first = next(iter(result.candidates), None)
        if first is not None and result.verdict in ("identified", "near-match"):
            convention = first.convention.to_dict()
            told = {"verdict": result.verdict, "convention": convention, "where": first.where}
    sys.stdout.write(json.dumps(told))


def _unlike(found: Convention, expected: Convention) -> str:
    clauses = differences(found, expected.replace(arithmetic=found.arithmetic))
    if not clauses:
        return f"it computes in {found.arithmetic}"
    return f"it has {'; '.join(clauses)}"
