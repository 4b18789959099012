"""One hypothesis with all of its numbers, and what it is worth on the sampled elements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.check import Claim, Judged, Numbers, interval, judge
from convcheck.checks.identify.elements import Elements
from convcheck.noise import ALGORITHM, DIRECT, Noise, fewest_bits
from convcheck.score import MARGIN, Score, choose_bits, key_bits, number_bits, numbers_bits
from convcheck.traits import telling

if TYPE_CHECKING:
    from convcheck.checks.identify.elements import Sums
    from convcheck.checks.sums import Problem
    from convcheck.convention import Activation, Convention
    from convcheck.traits import Traits

Array = NDArray[Any]


@dataclass(frozen=True)
class Form:
    """One hypothesis with all of its numbers, and what it is worth on the sampled elements."""

    convention: Convention
    claim: Claim
    noise: Noise
    score: Score
    wrong: Array

    @property
    def total(self) -> float:
        """What it takes in bits."""
        return self.score.total

    @property
    def share(self) -> float:
        """How many of the sampled elements it gives."""
        return 1.0 - float(self.wrong.mean())


@dataclass(frozen=True)
class Ground:
    """The sampled elements of one hypothesis under a claim: sums, output, channels as computed.

    Sums of absolute products up to ``lossless`` lose nothing.
    """

    convention: Convention
    claim: Claim
    traits: Traits
    sums: Sums
    values: Array
    channels: Array
    terms: int
    lossless: float
    count: int

    @classmethod
    def of(
        cls,
        elements: Elements,
        c: Convention,
        claim: Claim,
        traits: Traits,
        lossless: float,
        sums: Sums | None = None,
    ) -> Ground:
        """That of some elements; ``sums`` are the convention's, of operands as they are."""
        if sums is None or claim.precision is not None:
            sums = elements.sums(c, claim.precision)
        values = elements.values()
        values = values.astype(np.result_type(values, np.float64))
        return cls(
            c,
            claim,
            traits,
            sums,
            values,
            elements.channels(c),
            elements.reading.terms,
            lossless,
            elements.reading.output.shape[1],
        )

    @cached_property
    def literal(self) -> Array:
        """What each element takes as it is."""
        return self.traits.bits(self.values)

    @cached_property
    def members(self) -> list[Array]:
        """The elements of each output channel."""
        return [np.flatnonzero(self.channels == o) for o in range(self.count)]

    def noise(self, growth: float) -> Noise:
        """The noise of the claim's sums."""
        sizes = self.sums.magnitude
        some = sizes > 0
        flat = float(np.median(self.sums.squares[some] / sizes[some])) if some.any() else 1.0
        level = float(np.mean(np.abs(self.sums.values) + self.sums.squares)) if len(sizes) else 0.0
        return Noise(self.claim.unit, growth, self.terms, self.lossless, flat, level)

    @cached_property
    def own(self) -> Array:
        """The typical error of the sums, of a growth of 1."""
        return self.noise(1.0).of_sums(self.sums.values, self.sums.squares, self.sums.magnitude)

    def scaled(self, form: Form) -> Array:
        """The typical error of a form's scaled sums, no larger than that of a direct sum."""
        noise = replace(form.noise, growth=min(form.noise.growth, DIRECT))
        own = noise.of_sums(self.sums.values, self.sums.squares, self.sums.magnitude)
        found: Array = np.abs(self.beside(form.convention.scale)) * own
        return found

    def beside(self, numbers: Any) -> Array:
        """A number, or one a channel, beside the elements."""
        values = np.asarray(0.0 if numbers is None else numbers, float)
        return values[self.channels] if values.ndim else values

    def made(self, scale: Any, bias: Any) -> Array:
        """``scale * sum + bias`` of every element."""
        found: Array = self.beside(scale) * self.sums.values + self.beside(bias)
        return found

    def judged(self, c: Convention, noise: Noise) -> Judged:
        """The elements beside what a convention with its numbers predicts."""
        return judge(
            self.sums.values,
            self.sums.squares,
            self.sums.magnitude,
            self.values,
            c,
            Numbers(self.beside(c.scale), self.beside(c.bias)),
            self.claim,
            noise,
            self.traits,
        )

    def form(self, activation: Activation | None, scale: Any, bias: Any) -> Form:
        """What numbers are worth: which elements they give, how closely, and what they take."""
        claim, storage = self.claim, self.claim.storage
        if isinstance(scale, tuple) and len(set(scale)) == 1:
            scale = scale[0]
        c = self.convention.replace(
            scale=scale,
            bias=bias,
            activation=activation,
            arithmetic=claim.arithmetic,
            storage=storage if storage and storage.dtype != claim.arithmetic else None,
        )
        tried = []
        for growth in self._growths(c):
            noise = self.noise(growth)
            found = self.judged(c, noise)
            wrong = found.wrong
            took = float(np.where(wrong, self.literal, found.bits).sum())
            tried.append((took + choose_bits(int(wrong.sum()), len(wrong)), noise, found))
        _, noise, found = min(tried, key=lambda one: one[0])
        bits, wrong = found.bits, found.wrong
        share = self.traits.size / max(len(bits), 1)
        exceptions = float(self.literal[wrong].sum()) + choose_bits(int(wrong.sum()), len(bits))
        score = Score(
            keys=key_bits(c) + self._storage_bits,
            numbers=self._numbers_bits(c, noise),
            exceptions=share * exceptions,
            residual=share * float(bits[~wrong].sum()),
            literal=share * float(self.literal.sum()),
        )
        return Form(c, claim, noise, score, wrong)

    @property
    def _storage_bits(self) -> float:
        """What it takes to say that integers are stored, where the dtype does not say it."""
        stored = self.claim.storage is not None and self.claim.storage.is_integer
        return 6.0 if stored and self.traits.format != "integer" else 0.0

    def _numbers_bits(self, c: Convention, noise: Noise) -> float:
        """What the numbers take, each to within what the elements tell of its kind."""
        step = noise.growth * float(np.median(self.own)) + float(
            np.median(self.traits.steps(np.abs(self.values)))
        )
        spread = max(float(np.std(self.sums.values)), 1e-300)
        bits = 0.0
        for numbers, size in ((c.scale, spread), (c.bias, 1.0)):
            if numbers is None or numbers == 1.0:
                continue
            values = np.atleast_1d(np.asarray(numbers, float))
            each = max(len(self.values) / len(values), 1.0)
            bits += numbers_bits(values, np.full(len(values), step / np.sqrt(each) / size))
        if c.activation is not None:
            bits += sum(map(number_bits, c.activation.values))
        return bits

    def _growths(self, c: Convention) -> list[float]:
        """What of a running sum's error the residuals show, about; as much as the claim allows."""
        most = ALGORITHM if self.claim.storage is None else DIRECT
        lossy = (self.own > 0) & telling(self.values, self.traits.limits)
        if not lossy.any() or self.claim.storage is not None:
            return [DIRECT]
        made, error = self.made(c.scale, c.bias), np.abs(self.beside(c.scale)) * self.own
        if c.activation is not None:
            made, error = self.noise(1.0).activated(c.activation, made, error)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = float(np.nanmedian((np.abs(self.values - made) / error)[lossy])) / 0.6745
        around = 2.0 ** np.clip(np.rint(np.log2(max(share, 2.0**-9))), -8, np.log2(most))
        return sorted({0.125, 0.5, *(min(float(around) * f, most) for f in (0.5, 1.0, 2.0))})


def noisy(problem: Problem, form: Form, traits: Traits) -> bool:
    """Whether errors on all elements explain the exceptions in fewer bits than their own.

    Then it is no defect of some: the whole output is not quite what the form says.
    """
    elements = Elements.of(problem, form.convention, 4096)
    ground = Ground.of(elements, form.convention, form.claim, traits, form.noise.lossless)
    found = ground.judged(form.convention, form.noise)
    some, wrong = np.isfinite(ground.values), found.wrong
    low, high, meant = interval(ground.values, found.predicted, form.claim.storage, traits)
    took = float(np.where(wrong, ground.literal, found.bits)[some].sum())
    count = int(wrong[some].sum())
    took += choose_bits(count, int(some.sum()))
    return count > 0 and fewest_bits(low[some], high[some], meant[some]) + MARGIN < took


def fits(elements: Elements, form: Form, traits: Traits) -> bool:
    """Whether a form's convention gives all of some elements, with the numbers that it has."""
    ground = Ground.of(elements, form.convention, form.claim, traits, form.noise.lossless)
    return not ground.judged(form.convention, form.noise).wrong.any()
