"""An attack on ``identify``: defective outputs by the thousand, of which it must explain none away.

Each case is a function of its seed and number: an output of :mod:`outputs`, and one of the defects
of :mod:`defect_kinds`, or none. What a step of the vocabulary does as well is no defect, but
another truth: a bias of one channel, two channels swapped, GELU.

A false claim is an output that is explained though elements are off by more than 8 times the
typical error of its arithmetic and storage (by one unit or more, where they are integers), or any
answer, a near match too, that names another operation than the truth; where a part is altered, a
near match is asked only for what the rest shows. A miss is an output without defect that is not
identified. Where nothing is off by so much, nothing is counted but a false name.

    python tests/defects.py [CASES] [SEED] [--kind WORDS] [--workers W]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple

import defect_kinds as d
import numpy as np
from differential import answer
from drawn_layers import Unfit
from drawn_parts import pick
from outputs import KINDS, Made, draw, ends, missing, shows
from plain_convolution import Array, Truth, before_storage
from same_operation import alike, coarser, departures, right, silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from defect_kinds import Kind

FAR = 8
"""Typical errors that a defect has to be larger than to count."""
LOST = 0.9
"""The part of a channel above which what is left of it is chance: a tenth of it tells no bias."""
LOCAL = 0.5
"""The part of an output up to which a defect leaves enough of it to tell what made it."""


# ---- what the vocabulary has a step for


def nothing(rng: np.random.Generator, made: Made) -> Truth:
    """No defect."""
    return {}


def _channels(made: Made) -> int:
    count = d.arranged(made.output, made.truth).shape[1]
    if count < 2 or made.truth.get("activation") or made.truth.get("storage"):
        raise Unfit
    return count


def bias_of_a_channel(rng: np.random.Generator, made: Made) -> Truth:
    """Another bias in one channel."""
    count = _channels(made)
    bias = np.array(made.truth.get("bias") or [0.0] * count)
    step = d.spread_of(made) * pick(rng, 0.2, -0.5, 1)
    bias[rng.integers(count)] += np.rint(step) if _whole(made) else step
    return {"bias": bias.tolist()}


def scale_of_a_channel(rng: np.random.Generator, made: Made) -> Truth:
    """Another factor in one channel."""
    count = _channels(made)
    scale = np.full(count, made.truth.get("scale", 1.0))
    scale[rng.integers(count)] *= pick(rng, 2, -1, 3) if _whole(made) else pick(rng, 1.1, 0.5, -1)
    return {"scale": scale.tolist()}


def swapped_channels(rng: np.random.Generator, made: Made) -> Truth:
    """Two output channels in each other's place."""
    count = d.arranged(made.output, made.truth).shape[1]
    if count < 2 or made.truth.get("output_order"):
        raise Unfit
    order = list(range(count))
    one, other = rng.choice(count, 2, replace=False)
    order[one], order[other] = order[other], order[one]
    return {"output_order": order}


def activated(rng: np.random.Generator, made: Made, curve: str) -> Truth:
    """An activation after the sums."""
    _channels(made)
    if made.output.dtype.kind != "f" or _whole(made) or d.spread_of(made) > 3:
        raise Unfit  # so large are numbers of which it makes 1, or a ReLU
    return {"activation": curve}


def clipped(rng: np.random.Generator, made: Made) -> Truth:
    """Cut off at both ends."""
    _channels(made)
    if made.output.dtype.kind == "c":
        raise Unfit
    digits = 0 if _whole(made) else 3
    low, high = (round(float(v), digits) for v in np.quantile(made.exact, [0.15, 0.85]))
    if not low < high:
        raise Unfit
    return {"activation": {"clip": [low, high]}}


def few_bits(rng: np.random.Generator, made: Made) -> Truth:
    """All of it in bfloat16."""
    if made.truth.get("arithmetic") != "float32" or made.output.dtype != np.float32:
        raise Unfit
    return {"arithmetic": "bfloat16"}


def _whole(made: Made) -> bool:
    return made.truth.get("arithmetic", "exact") == "exact"


DEFECTS: dict[str, Kind] = {
    "none": nothing,
    "none, once more": nothing,
    "an element by one": d.elements(d.off_by_one),
    "an element by 1 %": d.elements(d.off_by(0.01)),
    "an element by half": d.elements(d.off_by(0.5)),
    "an element far off": d.elements(d.off_by(10)),
    "an element zero": d.elements(lambda rng, made, values: 0 * values),
    "an element's sign": d.elements(lambda rng, made, values: -values),
    "an element NaN": d.elements(d.nonfinite(np.nan)),
    "an element infinite": d.elements(d.nonfinite(np.inf)),
    "some elements": d.elements(d.off_by(0.3), 5),
    "elements changed places": d.elements(lambda rng, made, values: values[::-1], 2),
    "elements dropped": d.everywhere(d.dropout),
    "a row off": d.area(d.shifted, "row"),
    "a row repeated": d.area(d.repeated, "row"),
    "a column repeated": d.area(d.repeated, "column"),
    "a column zero": d.area(d.zeros, "column"),
    "a tile zero": d.area(d.zeros, "tile"),
    "a tile stale": d.area(d.stale, "tile"),
    "a tile in few bits": d.area(d.in_few_bits, "tile"),
    "a tile scaled": d.area(d.scaled, "tile"),
    "a tile by another flip": d.by_other(d.another_flip, "tile"),
    "a side padded otherwise": d.by_other(d.another_border, "side"),
    "a border zero": d.area(d.zeros, "border"),
    "a corner off": d.area(d.shifted, "corner"),
    "a channel cut at zero": d.by_other(d.cut_at_zero, "channel"),
    "a channel by another flip": d.by_other(d.another_flip, "channel"),
    "a channel twice": d.area(d.of_another_channel, "channel"),
    "a channel in few bits": d.area(d.in_few_bits, "channel"),
    "all by gamma": d.everywhere(d.gamma),
    "all with a residual": d.everywhere(d.residual),
    "all with noise": d.everywhere(d.noise),
    "all with a ramp": d.everywhere(d.ramp),
    "all on a grid": d.everywhere(d.grid),
    "all of another image": d.another_image,
    "all without a tap": d.a_tap_lost,
    "vocabulary: bias of a channel": bias_of_a_channel,
    "vocabulary: scale of a channel": scale_of_a_channel,
    "vocabulary: channels swapped": swapped_channels,
    "vocabulary: clipped": clipped,
    "vocabulary: GELU": partial(activated, curve="gelu"),
    "vocabulary: tanh": partial(activated, curve="tanh"),
    "vocabulary: in bfloat16": few_bits,
}


@dataclass(frozen=True)
class Case:
    """An output as it is given, its truth, and which elements are not what the truth says."""

    number: int
    defect: str
    made: Made
    original: Array

    @property
    def altered(self) -> Array:
        """Elements that are not what they were."""
        mask: Array = self.made.output != self.original  # NaN is not either
        return mask

    @property
    def clean(self) -> Array:
        """Elements that are as they were, and not cut off: those by which an answer is known."""
        original = replace(self.made, output=self.original)
        told = ~self.altered & original.telling() & ~self.lost
        for end in ends(self.made.truth):
            told &= original.before != end
        return told

    @property
    def far(self) -> Array:
        """Elements that are off by more than 8 typical errors, integers by one at least."""
        with np.errstate(invalid="ignore"):
            off = np.abs(self.made.output.astype(complex) - self.original)
        typical = replace(self.made, output=self.original).typical_error
        near = off <= FAR * typical
        mask: Array = self.altered & ~near
        return mask

    @property
    def lost(self) -> Array:
        """Elements of output channels of which nearly all were altered."""
        altered = d.arranged(self.altered, self.made.truth)
        others = tuple(a for a in range(altered.ndim) if a != 1)
        mask = np.zeros(self.altered.shape, bool)
        d.arranged(mask, self.made.truth)[:] = altered.mean(axis=others, keepdims=True) > LOST
        return mask

    def words(self) -> str:
        """What it is, to draw it again."""
        made = self.made
        return f"{self.number}: {self.defect}, {made.kind} {made.seed}"


def drawn(seed: int, number: int, words: str = "") -> Case:
    """The case of that number, its defect one of those with these words in their name."""
    rng = np.random.default_rng([seed, number])
    names = [name for name in DEFECTS if words in name]
    name = names[number % len(names)]
    kinds = [kind for kind in KINDS if missing(kind) is None]
    while True:
        made = draw(str(rng.choice(kinds)), int(rng.integers(1000, 1_000_000)))
        try:
            with np.errstate(over="ignore"):
                changed = DEFECTS[name](rng, made)
                if isinstance(changed, dict):
                    made = _of_truth(made, made.truth | changed) if changed else made
                    return Case(number, name, made, made.output)
        except Unfit:
            continue
        case = Case(number, name, replace(made, output=changed), made.output)
        if case.altered.any() and (case.altered.mean() > LOCAL or shows(made, ~case.altered)):
            return case


def _of_truth(made: Made, truth: Truth) -> Made:
    """The same arrays' output under another truth."""
    output = d.remade(made, truth)
    exact = before_storage(made.image, made.filters, truth)
    if not np.isfinite(output).all() or np.array_equal(output, made.output):
        raise Unfit
    if "storage" in truth:
        exact = output.astype(float)
    return replace(made, output=output, truth=truth, exact=exact)


class Verdict(NamedTuple):
    """What came of a case, one of ``COLUMNS``, and whether a near match's exceptions are right."""

    result: str
    said: str
    exceptions: bool | None
    seconds: float


def judged(case: Case) -> Verdict:
    """Ask, and hold the answer against the truth."""
    begun = time.perf_counter()
    made = case.made
    verdict, answers = answer(made)
    seconds = time.perf_counter() - begun
    clean = case.clean if case.altered.mean() <= LOCAL else None
    keys = [c.convention.to_dict() for c in answers]
    claims = verdict in ("identified", "ambiguous")
    true = right(made, verdict, keys) or (
        verdict == "near-match"
        and alike(made, keys[0], made.truth, told=clean)
        and not coarser(made, keys[0])
    )
    defective = bool(case.far.any())
    said = verdict if true or not keys else f"{verdict}: {departures(keys[0])}"
    if verdict.startswith("error"):
        return Verdict("error", said, None, seconds)
    if (answers and not true) or (claims and defective):
        return Verdict("false", said, None, seconds)
    if not defective:
        if case.altered.any():
            return Verdict("small", said, None, seconds)
        return Verdict("right" if claims else "missed", said, None, seconds)
    if verdict != "near-match":
        return Verdict("unexplained", said, None, seconds)
    return Verdict("right", said, _exceptions(case, answers[0]), seconds)


def _exceptions(case: Case, candidate: Any) -> bool | None:
    """Whether a near match blames every element that is far off and none that is as it was.

    Where hardly anything clean is left of a channel, what it would hold is for nobody to tell: what
    is as it was by chance may be blamed with the others, and what another bias gives be spared.
    """
    wrong = getattr(candidate, "wrong", None)
    if wrong is None:
        return None
    told = ~silent(case.made, case.clean)
    return not (case.far & ~wrong & told).any() and not (wrong & ~case.altered & told).any()


def _one(number: int, seed: int, words: str) -> tuple[str, str, Verdict]:
    case = drawn(seed, number, words)
    return case.defect, case.words(), judged(case)


def attack(
    cases: int, seed: int = 0, words: str = "", workers: int = 1
) -> Iterator[tuple[str, str, Verdict]]:
    """The defect, the words and what came of it, of so many cases."""
    ask = partial(_one, seed=seed, words=words)
    if workers == 1:
        yield from map(ask, range(cases))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(ask, range(cases), chunksize=4)


def main(arguments: list[str]) -> int:
    """Attack, and print what came of it, defect by defect."""
    parser = argparse.ArgumentParser(description="Defective outputs against identify.")
    parser.add_argument("cases", nargs="?", type=int, default=1000)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--kind", default="", help="only defects that have these words")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    begun = time.perf_counter()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    longest = 0.0
    for defect, words, verdict in attack(given.cases, given.seed, given.kind, given.workers):
        counts[defect][verdict.result] += 1
        if verdict.exceptions is not None:
            counts[defect]["masks"] += 1
            counts[defect]["exact"] += verdict.exceptions
        longest = max(longest, verdict.seconds)
        if verdict.result in ("false", "missed", "error") or verdict.exceptions is False:
            how = "exceptions" if verdict.exceptions is False else verdict.result
            print(f"{how.upper()} {words}: {verdict.said}", flush=True)
    _table(counts)
    total = sum(counts.values(), Counter[str]())
    print(f"{given.cases} cases, seed {given.seed}, {time.perf_counter() - begun:.0f} s, ", end="")
    print(f"longest {longest:.1f} s: {total['false']} false claims")
    return int(total["false"] + total["error"] > 0)


COLUMNS = ("right", "false", "missed", "unexplained", "small", "error")


def _table(counts: dict[str, Counter[str]]) -> None:
    print(f"{'':32}" + "".join(f"{c:>12}" for c in COLUMNS) + f"{'exceptions':>12}")
    rows = {name: counts[name] for name in DEFECTS if name in counts}
    for name, row in (rows | {"all": sum(rows.values(), Counter[str]())}).items():
        exact = f"{row['exact']}/{row['masks']}" if row["masks"] else ""
        print(f"{name:32}" + "".join(f"{row[c] or '':>12}" for c in COLUMNS) + f"{exact:>12}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
