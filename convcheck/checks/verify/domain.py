"""What a target takes: the limits that its refusals show, and the nearest case within them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convcheck.campaign import DTYPES, Case, made_to_fit
from convcheck.target import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from convcheck.checks.verify.model import Model, Runner

IMAGE = ("depth", "height", "width")
KERNEL = ("kernel_depth", "kernel_height", "kernel_width")


@dataclass(frozen=True)
class Limit:
    """One limit of a domain, in words, and what makes a case of it.

    ``equal`` are keys that have one value; sides of ``square`` are as long as each other; those of
    ``multiple`` are multiples of a number, or odd where the number is 1.
    """

    words: str
    equal: tuple[tuple[str, Any], ...] = ()
    square: tuple[str, ...] = ()
    multiple: tuple[tuple[str, ...], int] = ((), 0)

    def fit(self, case: Case) -> Case:
        """The nearest case within the limit."""
        changes: dict[str, Any] = dict(self.equal)
        if self.square:
            side = max(getattr(case, key) for key in self.square)
            changes |= dict.fromkeys(self.square, side)
        sides, number = self.multiple
        for side in sides:
            length = getattr(case, side)
            changes[side] = length + (1 - length % 2 if number == 1 else -length % number)
        if case.groups > 1 and {"channels", "filters"} & changes.keys():
            changes["groups"] = 1
        return replace(case, **changes)


def within(case: Case, limits: tuple[Limit, ...]) -> Case:
    """The nearest case within all of the limits, or near it where they leave none."""
    for _ in range(4):
        fitted = case
        for limit in limits:
            fitted = limit.fit(fitted)
        fitted = made_to_fit(fitted)
        if fitted == case:
            break
        case = fitted
    return case


ALONE = {"batch": 1, "channels": 1, "filters": 1}
STARTS: tuple[Mapping[str, Any], ...] = (
    {"batch": 1},
    {"height": 16, "width": 16},
    {"batch": 1, "height": 16, "width": 16},
    *({"dtype": dtype} for dtype in DTYPES),
    {"kernel_height": 5, "kernel_width": 5},
    ALONE,
    *(ALONE | {"height": n, "width": n} for n in (16, 32, 28, 8, 64)),
    *(ALONE | {"height": 16, "width": 16, "dtype": dtype} for dtype in DTYPES),
    *(
        ALONE | {"height": 16, "width": 16, "kernel_height": n, "kernel_width": n}
        for n in (5, 2, 7, 1)
    ),
)
"""What is tried of a target that refuses the plain call, the least of it first."""


def scouted(runner: Runner, model: Model, base: Case) -> tuple[Limit, ...]:
    """The limits of a target that takes ``base``: it refuses what differs from it by one alone."""
    found: list[Limit] = []

    def refuses(**changes: Any) -> bool:
        case = replace(model, domain=()).project(replace(base, **changes))
        if case == base:
            return False
        return runner.run(model.request(case, repeat=False)).kind == "rejected"

    for limits in (_sides(base, IMAGE, "images"), _sides(base, KERNEL, "kernels")):
        found += [limit for limit, changes in limits if all(refuses(**one) for one in changes)]
        found = _widest(found)
    for limit, changes in _single(base, model):
        if refuses(**changes):
            found.append(limit)
    return tuple(found)


def _sides(
    base: Case, keys: tuple[str, ...], what: str
) -> Iterator[tuple[Limit, list[dict[str, Any]]]]:
    """Limits of sides, the narrowest first, each with calls that are all refused under it."""
    axes = keys[3 - base.rank :]
    sides = [getattr(base, axis) for axis in axes]

    def longer(by: int) -> dict[str, Any]:
        return {axis: side + by for axis, side in zip(axes, sides, strict=True)}

    said = "x".join(map(str, sides)) if len(axes) > 1 else f"{sides[0]}-tap"
    if what == "images" and len(axes) == 1:
        said = f"{sides[0]}-sample"
    steps = (1, 2) if what == "kernels" else (1, 2, 4, 8, 16)
    yield (
        Limit(f"{said} {what}", equal=tuple(zip(axes, sides, strict=True))),
        [longer(by) for by in steps],
    )
    if len(axes) > 1:
        uneven = {axes[-1]: sides[-1] + (2 if what == "kernels" else 8)}
        yield Limit(f"square {what}", square=axes), [uneven]
    for number in (8, 4, 2) if what == "images" else (2,):
        if all(side % number == 0 for side in sides):
            even = "even" if number == 2 else f"multiples of {number}"
            words = f"{what} with sides that are {even}"
            yield Limit(words, multiple=(axes, number)), [longer(number // 2)]
    if all(side % 2 for side in sides):
        yield Limit(f"{what} with sides that are odd", multiple=(axes, 1)), [longer(1)]


def _widest(found: list[Limit]) -> list[Limit]:
    """Without the limits that follow from sides that have one length, or from larger multiples."""
    fixed = {key for limit in found for key, _ in limit.equal}
    kept: list[Limit] = []
    for limit in found:
        sides = limit.multiple[0]
        follows = not limit.equal and bool(fixed.intersection((*limit.square, *sides)))
        if not follows and not (sides and any(sides == known.multiple[0] for known in kept)):
            kept.append(limit)
    return kept


def _single(base: Case, model: Model) -> Iterator[tuple[Limit, dict[str, Any]]]:
    """Limits of everything else, each with what is refused under it."""
    image, filters = model.layouts
    if "N" in image:
        yield Limit("one image at a time", equal=(("batch", 1),)), {"batch": 2}
    if "C" in image:
        one = "one channel" if base.channels == 1 else f"{base.channels} channels"
        other = 3 if base.channels == 1 else base.channels - 1
        yield (
            Limit(one, equal=(("channels", base.channels),)),
            {"channels": other} | ({"filters": other} if model.depthwise else {}),
        )
    if "O" in filters and not model.depthwise:
        one = "one filter" if base.filters == 1 else f"{base.filters} filters"
        yield Limit(one, equal=(("filters", base.filters),)), {"filters": base.filters + 2}
    for parameter in PARAMETERS:
        if parameter in model.parameters:
            plain = 0 if parameter == "padding" else 1
            more = {"channels": 4, "filters": 4} if parameter == "groups" else {}
            yield (
                Limit(f"{parameter} {plain}", equal=((parameter, plain),)),
                {parameter: plain + 1, **more},
            )
    yield Limit("contiguous arrays", equal=(("order", "C"),)), {"order": "strided"}
