"""Which samples may follow from which sums: the judges of a search."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convcheck.checks.identify import judges
from convcheck.checks.identify.lines import enough, needed
from convcheck.checks.identify.readings import Reading
from convcheck.checks.identify.samples import Sample
from convcheck.convention import PRECISIONS, Convention
from convcheck.engine import round_to
from convcheck.rounding import gamma

if TYPE_CHECKING:
    from collections.abc import Callable

    from convcheck.checks.identify.block import Judge

COUNT, OTHERS = 60, 3000
RNG = np.random.default_rng(51)
DRAWN_FROM = 52


def ints(*shape: int, high: int = 9) -> np.ndarray:
    return RNG.integers(-high, high + 1, shape).astype(float)


def votes_of(judge: Judge, values: np.ndarray, border: np.ndarray | None = None) -> np.ndarray:
    """The votes of each hypothesis (a column) after every look at it."""
    edge = np.zeros_like(values) if border is None else border
    alive = judge.alive({s: values[s] if s >= 0 else edge[~s] for s in judge.first})
    at = np.flatnonzero(alive)
    for count in (judge.few, len(values)) if at.size else ():
        seen = values[:count, at]
        if judge.bordered:
            seen = np.concatenate([seen, edge[:count, at]])
        votes = judge.votes(seen)
        assert votes.shape == at.shape
        at, votes = at[votes > 0], votes[votes > 0]
        if not at.size:
            break
    every = np.zeros(values.shape[1])
    every[at] = votes if at.size else 0
    return every


def a_reading(
    output: np.ndarray, kind: str = "float64", *, high: int = 9, scale: float = 1.0
) -> Reading:
    """Of 3x3 kernels over two channels."""
    x, w = scale * ints(1, 2, 12, 12, high=high), ints(3, 2, 3, 3)
    return Reading(Convention(), x.astype(kind), w.astype(kind), output)


def sampled(targets: np.ndarray) -> list[Sample]:
    """Samples of these values, two by two of one channel."""
    return [Sample((0, i // 2 % 3, i // 7, i % 7), v) for i, v in enumerate(targets.tolist())]


def alone(targets: np.ndarray) -> list[Sample]:
    """Samples of these values, all of one channel."""
    return [Sample((0, 1, i // 7, i % 7), v) for i, v in enumerate(targets.tolist())]


SUMS = np.random.default_rng(53).permutation(np.arange(-400.0, 400, 5))[:COUNT]
EDGE = np.random.default_rng(54).permutation(np.arange(-40.0, 40))[:COUNT]
A_CHANNEL = np.array([7.0, -90, 33])[np.arange(COUNT) // 2 % 3]
WAYS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], Any]]] = {
    "plain": ("plain", lambda v: v, lambda v: v + 1),
    "plain, not scaled": ("plain", lambda v: v, lambda v: 1.01 * v),
    "coarse": ("coarse", lambda v: v * (1 + 2.0**-8), lambda v: v + 30),
    "scaled": ("scaled", lambda v: -0.3 * v, lambda v: np.sign(EDGE) - 0.3 * v),
    "affine": ("affine", lambda v: 2.5 * v - 40, lambda v: 2.5 * v + np.sign(EDGE)),
    "coarse affine": (
        "coarse_affine",
        lambda v: (2.5 * v - 40) * (1 + 2.0**-9 * np.sign(EDGE)),
        lambda v: v + 0.002 * v**2,
    ),
    "parallel": ("parallel", lambda v: -0.3 * v + A_CHANNEL, lambda v: EDGE / 80 - 0.3 * v),
    "coarse parallel": (
        "coarse_parallel",
        lambda v: (3 * v + A_CHANNEL) * (1 + 2.0**-9 * np.sign(EDGE)),
        lambda v: v + 3 * EDGE,
    ),
    "modular": (
        "modular",
        lambda v: round_to(v + 77.5, "wrap:uint8").astype(float),
        lambda v: round_to(2 * v, "wrap:uint8").astype(float),
    ),
    "modular, with a sign": (
        "modular",
        lambda v: round_to(v - 99, "wrap:int8").astype(float),
        lambda v: round_to(v * 0.25, "wrap:int8").astype(float),
    ),
    "modular, 16 bits": (
        "modular",
        lambda v: round_to(1000 * v + 5, "wrap:int16").astype(float),
        lambda v: round_to(v * 100, "wrap:int16").astype(float),
    ),
    "modular, scaled": (
        "modular_scaled",
        lambda v: round_to(v * 0.25 + 77.5, "wrap:uint8").astype(float),
        lambda v: round_to(v * 0.3, "wrap:uint8").astype(float),
    ),
    "modular, a mean": (
        "modular_scaled",
        lambda v: round_to(20 * v / 9 + 3, "wrap:uint8").astype(float),
        lambda v: round_to(v * 7, "wrap:uint8").astype(float),
    ),
}
FACTOR = {"modular, 16 bits": 1000, "modular, a mean": 20}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_judge_accepts(way: str) -> None:
    """What it is for, though a quarter is wrong; nothing that is drawn, and not what is near it."""
    name, follows, other = WAYS[way]
    make = getattr(judges, name)
    drawn = alone if "modular" in way else sampled
    targets = follows(SUMS)
    reading = a_reading(targets.reshape(1, 3, 4, 5))
    judge = make(drawn(targets), reading)
    values = RNG.permuted(np.tile(SUMS, (OTHERS, 1)), axis=1).T * FACTOR.get(way, 1)
    values[:, 0] = SUMS * FACTOR.get(way, 1)
    votes = votes_of(judge, values)
    assert votes[0] == (COUNT // 2 if "parallel" in way else COUNT)
    assert np.count_nonzero(votes[1:]) <= (3 if "coarse" in way else 0)
    wrong = values[:, :1].copy()
    wrong[3::4] = values[3::4, 1:2]
    if "parallel" not in way:
        assert votes_of(judge, wrong)[0] >= 2 * COUNT / 3
    far = values[:, :1].copy()
    far[1::2] = values[1::2, 1:2]
    assert votes_of(judge, far)[0] == 0
    elsewhere = make(drawn(other(SUMS)), a_reading(other(SUMS).reshape(1, 3, 4, 5)))
    assert votes_of(elsewhere, values[:, :1])[0] == 0


@pytest.mark.parametrize(("wrong", "votes"), [(0, 60), (19, 41), (20, 40), (21, 0)])
def test_two_thirds_of_the_samples_must_fit(wrong: int, votes: int) -> None:
    judge = judges.plain(sampled(SUMS), a_reading(SUMS.reshape(1, 3, 4, 5)))
    values = SUMS[:, None].copy()
    values[COUNT - wrong :] += 50
    assert votes_of(judge, values)[0] == votes
    first = SUMS[:, None].copy()
    first[[0, 4]] += 50
    assert votes_of(judge, first)[0] == 58
    first[2] += 50
    assert votes_of(judge, first)[0] == 0


def test_how_many_votes_are_needed() -> None:
    assert [needed(n) for n in (1, 2, 3, 4, 6, 7, 60)] == [1, 2, 2, 3, 4, 5, 40]
    fits = np.arange(6)[:, None] < np.arange(7)
    assert enough(fits).tolist() == [0, 0, 0, 0, 4, 5, 6]


def test_what_single_precision_loses_is_allowed() -> None:
    for terms, count in ((18, 2), (18 * 512, 1024)):
        targets = SUMS + 0.25
        x, w = 0.5 + ints(1, count, 12, 12), ints(3, count, 3, 3)
        reading = Reading(Convention(), x, w, targets.reshape(1, 3, 4, 5))
        assert reading.terms == terms
        room = min(gamma(terms + 16, 2.0**-24), 8 * np.sqrt(terms + 16) * 2.0**-24) * reading.reach
        judge = judges.plain(sampled(targets), reading)
        near, far = targets + 0.99 * room, targets - 1.01 * room
        assert votes_of(judge, np.stack([near, far], axis=1)).tolist() == [60, 0]


@pytest.mark.parametrize("kind", ["int64", "float64"])
def test_integers_are_met_or_rounded_to(kind: str) -> None:
    """Of integers they are met; other sums are rounded."""
    targets = SUMS.astype(np.int64)
    judge = judges.plain(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5), kind))
    off = np.array([0, 0.49, -0.5, 0.51])
    votes = votes_of(judge, SUMS[:, None] + off)
    assert (votes > 0).tolist() == [True, kind == "float64", kind == "float64", False]


def test_what_saturated_is_met_at_the_end() -> None:
    targets = np.clip(SUMS, 0, 255).astype(np.uint8)
    judge = judges.plain(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5), "int64"))
    assert votes_of(judge, np.stack([SUMS, SUMS + 1, -SUMS], axis=1)).tolist() == [60, 0, 0]
    as_floats = targets.astype(float)
    judge = judges.plain(sampled(as_floats), a_reading(as_floats.reshape(1, 3, 4, 5)))
    assert votes_of(judge, SUMS[:, None])[0] == 0


@pytest.mark.parametrize(("wrong", "fits"), [(6, True), (7, False)])
def test_of_few_values_nine_tenths_must_fit(wrong: int, fits: bool) -> None:
    targets = np.tile([0.0, 1.0], 30)
    values = targets[:, None].copy()
    values[-wrong:] += 1
    judge = judges.plain(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5)))
    assert votes_of(judge, values)[0] == (60 - wrong if fits else 0)
    # One of two would be met by chance, two thirds of them now and then.
    drawn = RNG.integers(0, 2, (60, OTHERS)).astype(float)
    assert not votes_of(judge, drawn).any()


def test_whether_single_precision_will_do() -> None:
    """Not where integers must be met, nor beyond its range."""
    for high, scale, exact in (
        (9, 1.0, False),
        (1 << 20, 1.0, True),
        (1 << 20, 0.37, False),
        (9, 1e30, True),
        (9, 1e-35 / 3, True),
        (9, 1e-28 / 3, False),
    ):
        targets = scale * SUMS
        reading = a_reading(targets.reshape(1, 3, 4, 5), high=high, scale=scale)
        others = {"bordered", "bordered_scaled", "correlated", "between"}
        for name in {name for name, *_ in WAYS.values()} | others:
            judge = getattr(judges, name)(sampled(targets), reading)
            assert judge.exact is exact, (name, high, scale)
        assert judges.bordered_parallel(sampled(targets), reading).exact is exact
    huge = a_reading((1e31 * SUMS).reshape(1, 3, 4, 5))
    assert judges.plain(sampled(1e31 * SUMS), huge).exact


@pytest.mark.parametrize("name", ["modular", "modular_scaled"])
def test_integers_that_wrapped_are_told_by_five_samples(name: str) -> None:
    """From the first three others follow, or from the second; but for one."""
    targets = round_to(SUMS + 77, "wrap:uint8").astype(float)
    judge = getattr(judges, name)(alone(targets), a_reading(targets.reshape(1, 3, 4, 5)))
    assert judge.first == (0, 1, 2, 3, 4)
    for wrong in product(range(5), repeat=2):
        values = SUMS[:, None].copy()
        values[list(wrong)] += 50 + 15.5 * np.array(wrong)[:, None]
        right = set(range(5)) - set(wrong)
        expected = (0 in right and len(right & {1, 2, 3}) > 1) or (
            1 in right and len(right & {2, 3, 4}) > 1
        )
        assert bool(judge.alive({s: values[s] for s in range(5)})[0]) is expected, wrong
    four = getattr(judges, name)(alone(targets[:4]), a_reading(targets.reshape(1, 3, 4, 5)))
    assert four.first == ()
    far = targets + 2.0**40
    assert getattr(judges, name)(alone(far), a_reading(far.reshape(1, 3, 4, 5))).first == ()


@pytest.mark.parametrize("name", ["modular", "modular_scaled", "modular_rare"])
def test_integers_that_wrapped_are_told_by_several_channels(name: str) -> None:
    """Each with a bias of its own: a channel of few elements is like many a convention's."""
    scale = {"modular": 1, "modular_scaled": 1 / 9, "modular_rare": 1 / 3}[name]
    targets = round_to(scale * SUMS + A_CHANNEL, "wrap:uint8").astype(float)
    reading = a_reading(targets.reshape(1, 3, 4, 5))
    judge = getattr(judges, name)(sampled(targets), reading)
    values = RNG.permuted(np.tile(SUMS, (OTHERS, 1)), axis=1).T
    values[:, 0] = SUMS
    votes = votes_of(judge, values)
    assert votes[0] == COUNT - 2  # two biases more than of one channel
    assert np.count_nonzero(votes[1:]) == 0
    # What is compared at first are the pairs that are furthest apart; one of them may be wrong.
    rises = (np.diff(targets)[::2] + 128) % 256 - 128
    furthest = sorted(np.argsort(-np.abs(rises), kind="stable")[:4].tolist())
    assert judge.first == tuple(s for p in furthest for s in (2 * p, 2 * p + 1))
    for wrong in (1, 2):
        off = SUMS.copy()
        off[[2 * p for p in furthest[:wrong]]] += 50 / scale
        assert bool(judge.alive({s: off[s : s + 1] for s in judge.first})[0]) is (wrong == 1)
    assert getattr(judges, name)(sampled(targets[:7]), reading).first == ()
    assert len(getattr(judges, name)(sampled(targets[:8]), reading).first) == 8


@pytest.mark.parametrize(("right", "fits"), [(31, True), (30, False)])
def test_half_of_several_channels_that_wrapped_must_fit(right: int, fits: bool) -> None:
    """Beside the elements that the others are compared to."""
    targets = round_to(SUMS + A_CHANNEL, "wrap:uint8").astype(float)
    judge = judges.modular(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5)))
    values = SUMS[:, None].copy()
    values[right:] += 50 + 3 * np.arange(COUNT - right)[:, None]
    assert judge.votes(values).tolist() == [right - 2 if fits else 0]


def test_operands_of_few_bits_are_near_by_the_outputs_spread() -> None:
    room = 2.0**-7 * np.abs(SUMS) + 2.0**-5 * np.std(SUMS)
    judge = judges.coarse(sampled(SUMS), a_reading(SUMS.reshape(1, 3, 4, 5)))
    sides = np.where(np.arange(COUNT) % 3, 1, -1)
    values = SUMS[:, None] + np.stack([0.99 * room * sides, 1.01 * room * sides], axis=1)
    assert votes_of(judge, values).tolist() == [60, 0]


def test_what_correlates_best_so_far() -> None:
    """Only what beats all before it, whatever few wild elements say."""
    targets = 3 * SUMS + 100 * np.sin(np.arange(COUNT))
    targets[50] = 1e9
    judge = judges.correlated(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5)))
    values = RNG.permuted(np.tile(SUMS, (500, 1)), axis=1).T
    assert np.flatnonzero(votes_of(judge, values)).size <= 1
    values[:, 77] = -SUMS
    votes = votes_of(judge, values)
    assert np.flatnonzero(votes).tolist() == [77]
    middle = np.median(targets)
    room = 8 * np.median(np.abs(targets - middle))
    clipped = np.clip(targets, middle - room, middle + room)
    assert votes[77] == pytest.approx(abs(np.corrcoef(clipped, SUMS)[0, 1]))
    assert not votes_of(judge, values).any()
    better = values.copy()
    better[:, 3] = clipped
    assert np.flatnonzero(votes_of(judge, better)).tolist() == [3]
    assert not votes_of(judge, 0 * values + 4).any()


def test_sixteen_samples_measure_a_correlation() -> None:
    for count, first in ((60, 16), (5, 5)):
        judge = judges.correlated(sampled(SUMS[:count]), a_reading(SUMS.reshape(1, 3, 4, 5)))
        assert judge.first == tuple(range(first))


def test_any_correlation_is_the_best_at_first() -> None:
    """However small the numbers are."""
    for size in (1.0, 1e-6):
        values = size * RNG.permuted(np.tile(SUMS, (300, 1)), axis=1).T
        judge = judges.correlated(sampled(size * SUMS), a_reading(SUMS.reshape(1, 3, 4, 5)))
        kept = judge.alive({s: values[s] for s in judge.first})
        assert 1 <= np.count_nonzero(kept) <= 20
        assert judge.votes(size * SUMS[:, None])[0] == pytest.approx(1)


def test_one_sample_is_judged_by_itself() -> None:
    judge = judges.plain(sampled(SUMS[:1]), a_reading(SUMS.reshape(1, 3, 4, 5)))
    values = SUMS[0] + np.array([0, 1])
    assert judge.first == (0,)
    assert judge.alive({0: values}).tolist() == [True, False]
    assert judge.votes(values[None]).tolist() == [1, 0]


@pytest.mark.parametrize("name", ["parallel", "coarse_parallel", "bordered_parallel"])
def test_what_all_pairs_are_apart_is_no_bias(name: str) -> None:
    for apart, fits in ((0, True), (400, False)):
        targets = 3 * SUMS - 2 * EDGE * (name == "bordered_parallel") + A_CHANNEL
        targets[1::2] += apart
        judge = getattr(judges, name)(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5)))
        assert bool(votes_of(judge, SUMS[:, None], EDGE[:, None])[0]) is fits


@pytest.mark.parametrize("kind", ["uint8", "int16", "float64"])
def test_what_was_clipped_lies_beyond_the_ends(kind: str) -> None:
    """Of integers: the ends of floats are none."""
    targets = np.clip(np.rint(0.5 * SUMS + 100 + A_CHANNEL), 0, 255)
    judge = judges.between(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5).astype(kind)))
    clipped = 2 * (targets - A_CHANNEL)
    values = np.stack([SUMS, RNG.permutation(SUMS), clipped], axis=1)
    assert (votes_of(judge, values) > 0).tolist() == [kind == "uint8", False, True]


def test_complex_correlation() -> None:
    targets = SUMS * (1 + 2j) + EDGE
    judge = judges.correlated(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5)))
    values = SUMS[:, None] * np.array([1j, 1.0])
    assert votes_of(judge, values).max() == pytest.approx(abs(np.corrcoef(targets, SUMS)[0, 1]))


def test_the_few_bits_that_were_kept_of_each_value() -> None:
    drawn = np.random.default_rng(5).standard_normal(60)
    unit = judges._stored_unit
    for name in ("bfloat16", "float16"):
        kept = round_to(drawn, name)
        assert unit(kept.astype(np.float64)) == unit(kept.astype(np.float32)) == PRECISIONS[name]
        assert unit(kept.astype(np.complex64)) == 0
        kept = kept.astype(np.float64)
        kept[7] *= 1 + 2.0**-20
        assert unit(kept) == 0
    # Numbers that need no more bits lost none.
    for bits, name in ((8, "bfloat16"), (11, "float16")):
        assert unit(np.arange(2.0**bits + 1)) == 0
        assert unit(np.array([0, 1, 2.0**bits + 2, 2.0 ** (bits + 3)])) == PRECISIONS[name]
        assert unit(np.array([0, 1, 2.0**bits + 2])) == PRECISIONS[name]
        assert unit(np.arange(2.0**bits + 1) / 64) == 0


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_the_rounding_of_few_bits_is_allowed(name: str) -> None:
    """A line is told by values of which each is off by as much as it was rounded."""
    targets = round_to(0.37 * SUMS + 0.3 * SUMS[::-1], name).astype(np.float64)
    exact = round_to(0.37 * SUMS, name).astype(np.float64)
    for follows, fits in ((exact, True), (targets, False)):
        judge = judges.scaled(sampled(follows), a_reading(follows.reshape(1, 3, 4, 5)))
        assert bool(votes_of(judge, SUMS[:, None].copy())[0] > 0) is fits
