"""The numbers of one hypothesis: scale, bias, activation, arithmetic and storage, by their score.

A claim says how results were stored and in what they were summed; with an activation, every element
of the output is an interval for ``scale * sum + bias``. What most of the intervals allow is solved
for (:mod:`numbers`), and the forms are compared by what they take in bits. Nothing here knows a
framework or a case.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.activations import activations, flattens, with_values
from convcheck.checks.identify.forms import Form, Ground
from convcheck.checks.identify.intervals import plain_numbers, weighted_median
from convcheck.checks.identify.numbers import LEAST, again, biases, circular, numbers
from convcheck.convention import ACTIVATIONS, Activation, Storage
from convcheck.score import MARGIN, choose_bits, number_bits, plainest
from convcheck.traits import telling

if TYPE_CHECKING:
    from convcheck.check import Claim
    from convcheck.checks.identify.elements import Elements, Sums
    from convcheck.convention import Convention
    from convcheck.traits import Traits

Array = NDArray[Any]

INLIER = 4.0
"""Typical errors on either side of a result that an element's interval has while it is fitted."""
HALF, MOSTLY = 0.5, 0.9
"""Shares of the elements that are given: with so many, numbers are not looked for again."""
WRAPPED = 8.0
"""Bits of the longest scale that is tried of integers that wrapped."""


def solve(
    elements: Elements,
    c: Convention,
    sums: Sums,
    traits: Traits,
    every: list[Claim],
    *,
    quantum: float,
    ends: float = math.inf,
) -> Form | None:
    """The form of a hypothesis that takes the fewest bits; None where there is no claim.

    ``sums`` are the convention's at the elements, multiples of ``quantum`` where it is not 0. What
    has not been tried when the clock is at ``ends`` is left.
    """
    best: Form | None = None
    if np.any(np.asarray(c.image_scale) != 1) or np.any(np.mod(c.image_offset, 1)):
        quantum = 0.0  # what was done to the image left no multiples of anything
    for claim in every:
        # Operands that were rounded are no longer multiples of what divides the data.
        lossless = quantum / claim.unit if claim.precision is None else 0.0
        ground = Ground.of(elements, c, claim, traits, lossless, sums)
        # Sums that are half of every channel as they are have no other scale or bias.
        settled = best is not None and best.score.numbers == 0
        if best is not None and settled:
            settled = all(best.wrong[m].mean() <= HALF for m in ground.members if len(m))
        if best is not None and _is_fine(best) and not (is_sharp(claim) or is_sharp(best.claim)):
            # Its numbers are about right, however few bits the operands have.
            found = ground.form(*_numbers_of(best))
        else:
            found = _supported(_of_claim(ground, ends, settled=settled), ground)
        if best is None or found.total < best.total:
            best = found
        if (best.score.numbers == 0 and _is_fine(best)) or time.thread_time() > ends:
            break
    return best


def _of_claim(ground: Ground, ends: float, *, settled: bool) -> Form:
    """The cheapest form under one claim; where ``settled``, with no other numbers."""
    best = ground.form(None, 1.0, None)
    for name in activations(ground.traits, ground.claim):
        if _is_fine(best) or time.thread_time() > ends:
            break
        known: tuple[Any, Any] | None = None
        if name is not None and best.share >= MOSTLY and _is_tight(best) and not flattens(name):
            known = best.convention.scale, best.convention.bias
        elif settled:
            known = 1.0, None
        own: Form | None = None
        for form in _forms(ground, name, known):
            own = form if own is None or form.total < own.total else own
            if time.thread_time() > ends:
                break
        forms = [] if own is None else [own, *_with_the_values_of(ground, own)]
        forms += [each for form in forms for each in _on_either_side(ground, form)]
        if own is not None and own.wrong.any() and best.convention.activation is None:
            forms.append(_mixed(ground, own, best))
        best = min([best, *forms], key=lambda form: form.total)
    coarse = best.convention.bias is not None and ground.claim.storage is None
    while coarse and (finer := _sharper(ground, best)).total < best.total:
        best = finer
    return min([best, *_plainer(ground, best)], key=lambda form: form.total)


def _mixed(ground: Ground, form: Form, before: Form) -> Form:
    """The form with another one's numbers for the channels of which these explain more.

    An activation that makes the same of many sums may hide the numbers of a channel from a fit.
    """
    activation, scale, bias = _numbers_of(form)
    other = ground.form(activation, *_numbers_of(before)[1:])
    lost, less = (
        np.bincount(ground.channels, ground.literal * f.wrong, minlength=ground.count)
        for f in (form, other)
    )
    pairs = (
        (scale, other.convention.scale),
        (0.0 if bias is None else bias, other.convention.bias or 0.0),
    )
    scale, bias = (np.where(less < lost, new, own) for own, new in pairs)
    return ground.form(activation, tuple(scale.tolist()), tuple(bias.tolist()))


def _with_the_values_of(ground: Ground, form: Form) -> Iterator[Form]:
    """Forms by numbers that are solved for now that an activation's values are known.

    Channels whose results all lie where these matter said nothing before.
    """
    activation = form.convention.activation
    if activation is None or not form.wrong.any():
        return
    if ACTIVATIONS[activation.name].rough is None or ACTIVATIONS[activation.name].limits:
        return
    low, high = intervals(ground, None, ground.scaled(form), activation)
    for scale, bias in numbers(ground.sums.values, low, high, ground.members):
        yield ground.form(activation, scale, bias)


def _on_either_side(ground: Ground, form: Form) -> Iterator[Form]:
    """Forms whose channels may lie on either side of the lowest point of their activation.

    Of a channel that lies below it throughout, the side that increases says nothing.
    """
    activation, scale, _ = _numbers_of(form)
    dip = None if activation is None else ACTIVATIONS[activation.name].dip
    if dip is None or not form.wrong.any():
        return
    ends = intervals(ground, None, ground.scaled(form))
    low, high = map(np.concatenate, zip(dip.rising(*ends), dip.falling(*ends), strict=True))
    p = np.concatenate([ground.sums.values] * 2)
    members = [np.concatenate([m, m + len(ground.values)]) for m in ground.members]
    yield ground.form(
        activation, scale, biases(p, low, high, members, np.full(ground.count, scale))
    )


def _plainer(ground: Ground, form: Form) -> Iterator[Form]:
    """The form with plain values of its activation, or one without values that does the same.

    Values are read off beside numbers that are not known to their last digit, and make up for it.
    """
    activation, scale, bias = _numbers_of(form)
    if activation is None or not activation.values:
        return
    plain = tuple(plainest(x - 1e-5 * abs(x), x + 1e-5 * abs(x)) for x in activation.values)
    found = Activation(activation.name, plain)
    made = ground.made(scale, bias)
    same = [
        Activation(name)
        for name, kind in ACTIVATIONS.items()
        if not kind.parameters and np.array_equal(kind.apply(made), found.apply(made))
    ]
    for other in (found, *same):
        if other == activation:
            continue
        yield ground.form(other, scale, bias)
        if bias is None:
            continue
        low, high = _around(ground, np.abs(ground.beside(scale)) * ground.own, other, made)
        near = again(ground.sums.values, low, high, ground.members, scale, biased=True)
        if near is not None:
            yield ground.form(other, *near)
            yield _sharper(ground, ground.form(other, *near))


def _around(ground: Ground, own: Array, activation: Activation, made: Array) -> tuple[Array, Array]:
    """Between which numbers near those that are ``made`` the activation's arguments were.

    Of one that falls and rises these are of the side that they are on. Nothing is known where it is
    flat or has a bend.
    """
    low, high = intervals(ground, None, own)
    step = 1e-6 * (np.abs(made) + float(np.median(np.abs(made))))
    at = activation.apply(made)
    up, down = activation.apply(made + step) - at, at - activation.apply(made - step)
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = [made + (end - at) * step / (0.5 * (up + down)) for end in (low, high)]
    smooth = (np.abs(up - down) < 0.01 * np.abs(up)) & (np.abs(up) > 1e-3 * step)
    low, high = np.minimum(*ends), np.maximum(*ends)
    return np.where(smooth, low, -np.inf), np.where(smooth, high, np.inf)


def _numbers_of(form: Form) -> tuple[Any, Any, Any]:
    """What a form does after the sums."""
    c = form.convention
    return c.activation, c.scale, c.bias


def _sharper(ground: Ground, form: Form) -> Form:
    """The form with biases to more digits: to those that errors leave which are as its own."""
    c = form.convention
    low, high = intervals(ground, None, ground.scaled(form), c.activation)
    scales = np.broadcast_to(np.asarray(c.scale, float), ground.count)
    found = biases(ground.sums.values, low, high, ground.members, scales)
    return ground.form(c.activation, c.scale, found)


def _is_fine(form: Form) -> bool:
    """Whether all is given, and hardly anything is left to be said of any element."""
    return not form.wrong.any() and _is_tight(form)


def _is_tight(form: Form) -> bool:
    """Whether hardly anything is left to be said of the elements that are given."""
    return form.score.residual <= 0.5 * max(form.score.literal, 1.0)


def _supported(form: Form, ground: Ground) -> Form:
    """The form without numbers of channels that luck would have found as well.

    A bias that is chosen fits some elements of any channel. Where it does not fit most, those that
    it fits must hold more than it takes to say which they are, and it. Else such a channel has what
    the others have, or nothing. So has one whose scale is 0, which explains nothing.
    """
    c = form.convention
    scales, biases = (np.asarray(v, float) for v in (c.scale, 0.0 if c.bias is None else c.bias))
    nothing = np.broadcast_to(scales == 0, ground.count)
    if not (scales.ndim or biases.ndim) or not (form.wrong.any() or nothing.any()):
        return form
    told = telling(ground.values, ground.traits.limits)
    right = ~form.wrong & told
    given, wrong = (
        np.bincount(ground.channels[marks], minlength=ground.count) for marks in (right, form.wrong)
    )
    # What the others' number gives as well is no evidence of a number of its own.
    shared = ground.form(c.activation, float(np.median(scales)), None)
    more = ground.literal * right - ground.literal * (~shared.wrong & told)
    held = np.bincount(ground.channels, more, minlength=ground.count)
    luck = np.full(ground.count, MARGIN)
    for o, (k, n) in enumerate(zip(given.tolist(), wrong.tolist(), strict=True)):
        own = [v.flat[o] for v in (scales, biases) if v.ndim]
        luck[o] += choose_bits(k, k + n) + sum(map(number_bits, own))
    idle = nothing | ((held <= luck) & (wrong > given))
    if not idle.any() or idle.all():
        return form
    scale: Any = c.scale
    if scales.ndim:
        scale = tuple(np.where(idle, np.median(scales[~idle]), scales).tolist())
    bias: Any = c.bias
    if biases.ndim:
        kept = np.where(idle, 0.0, biases)
        bias = tuple(kept.tolist()) if kept.any() else None
    return ground.form(c.activation, scale, bias)


def _forms(ground: Ground, name: str | None, known: tuple[Any, Any] | None) -> Iterator[Form]:
    """Forms with an activation; with the ``known`` scale and bias alone where there are some."""
    storage = ground.claim.storage
    if "c" in (ground.values.dtype.kind, ground.sums.values.dtype.kind):
        yield from _complex_forms(ground)
    elif storage is not None and storage.overflow == "wrap":
        if name is None:
            yield from _wrapped_forms(ground, storage)
    elif name is not None or known is None:
        yield from _real_forms(ground, name, known)


def intervals(
    ground: Ground, name: str | None, own: Array, known: Activation | None = None
) -> tuple[Array, Array]:
    """Between which numbers ``scale * sum + bias`` was, of sums with these errors.

    Under an activation by its ``name``, whatever its values, or under a ``known`` one.
    """
    # What lies beyond an end where all was cut off is no other end.
    y, storage = np.clip(ground.values, *ground.traits.limits), ground.claim.storage
    slack = INLIER * (own + 0.5 * ground.traits.unit * np.abs(y))
    low, high = (y, y) if storage is None else storage.interval(y)
    low, high = low - slack, high + slack
    if known is not None:
        return known.preimage(low, high)
    if name is not None:
        preimage = ACTIVATIONS[name].rough or ACTIVATIONS[name].preimage
        with np.errstate(all="ignore"):
            low, high = preimage(low, high)
    return low, high


def is_sharp(claim: Claim) -> bool:
    """Whether results were rounded to integers: what is beyond an interval's ends is not given."""
    return claim.storage is not None and claim.storage.is_integer


def _real_forms(ground: Ground, name: str | None, known: tuple[Any, Any] | None) -> Iterator[Form]:
    y = ground.values
    y = np.where(y == np.clip(y, *ground.traits.limits), y, np.nan)
    own, found = ground.own, known
    for _ in range(2):
        low, high = intervals(ground, name, own)
        sharp = is_sharp(ground.claim)
        pairs: Iterable[tuple[Any, Any]] = (
            numbers(ground.sums.values, low, high, ground.members, sharp=sharp)
            if known is None
            else dict.fromkeys((known, (1.0, None)))
        )
        for scale, bias in pairs:
            made = ground.made(scale, bias)
            if known is None and np.mean((low <= made) & (made <= high)) < LEAST:
                continue
            if scale != 1:
                found = scale, bias
            read = np.where(_said(ground, low, high), y, np.nan)
            for activation in [None] if name is None else with_values(name, read, made):
                yield ground.form(activation, scale, bias)
        if sharp or known is not None or found is None:
            return
        # Errors of the sums are scaled as they are: then numbers are known to more digits.
        sizes = np.abs(np.broadcast_to(found[0], ground.count))
        if not 0 < np.median(sizes) < SMALL:
            return
        own = np.where(sizes > 0, sizes, np.median(sizes))[ground.channels] * ground.own


SMALL = 0.25
"""A scale below which errors of sums are far less than those of a scale of 1."""


def _said(ground: Ground, low: Array, high: Array) -> Array:
    """Of which elements the channel has some whose intervals say its numbers; all, if none has."""
    told = np.isfinite(low) & np.isfinite(high)
    some = np.bincount(ground.channels[told], minlength=ground.count) > 2
    found: Array = some[ground.channels] | ~some.any()
    return found


def _wrapped_forms(ground: Ground, storage: Storage) -> Iterator[Form]:
    """Integers that wrapped: plain scales by their length, each with the biases that it leaves."""
    low, high = storage.interval(ground.values)
    size = 2.0 ** np.iinfo(storage.dtype).bits
    for a in plain_numbers(WRAPPED):
        made = a * ground.sums.values
        if np.max(np.abs(made), initial=0.0) < size / 4:
            continue  # nothing to wrap
        gap = np.mod(low - made, size)
        biases = np.array([circular(gap[m], (high - low)[m], size) for m in ground.members])
        for bias in (np.zeros(ground.count), biases):
            room = np.mod(made + bias[ground.channels] - low, size)
            if np.mean(room <= high - low) >= LEAST:
                yield ground.form(None, a, tuple(bias.tolist()) if bias.any() else None)


def _complex_forms(ground: Ground) -> Iterator[Form]:
    """Complex numbers by one real factor, to more and more digits."""
    p, y = ground.sums.values, ground.values.astype(np.complex128)
    weights = np.abs(p) ** 2
    if not weights.any():
        return
    ratios = (y * np.conj(p)).real / np.maximum(weights, 1e-300)
    a = weighted_median(ratios, weights)
    for width in (1e-3, 1e-6, 1e-12):
        yield ground.form(None, plainest(*sorted((a * (1 - width), a * (1 + width)))), None)
