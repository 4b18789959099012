"""The search's own parts: which samples may follow from which sums, and which sums are tried."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convcheck.checks.identify import block, judges, search
from convcheck.checks.identify.axes import axis_options
from convcheck.checks.identify.block import Judge
from convcheck.checks.identify.lines import enough, linear, needed, of_pairs, plane
from convcheck.checks.identify.readings import Reading, readings
from convcheck.checks.identify.samples import Sample
from convcheck.checks.identify.search import Channels, Search, channel_options
from convcheck.convention import PADDING_MODES, Convention
from convcheck.engine import convolve, round_to
from convcheck.rounding import gamma

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COUNT, OTHERS = 60, 3000
RNG = np.random.default_rng(51)


@pytest.fixture(autouse=True)
def drawn_anew() -> None:
    """Whatever ran before, a test draws the same numbers."""
    RNG.bit_generator.state = np.random.default_rng(52).bit_generator.state


def ints(*shape: int, high: int = 9) -> np.ndarray:
    return RNG.integers(-high, high + 1, shape).astype(float)


# --- judges -------------------------------------------------------------------------------------


def votes_of(judge: Judge, values: np.ndarray, border: np.ndarray | None = None) -> np.ndarray:
    """The votes of each hypothesis (a column) after every look at it."""
    edge = np.zeros_like(values) if border is None else border
    alive = judge.quick({s: values[s] if s >= 0 else edge[~s] for s in judge.first})
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
    targets = follows(SUMS)
    reading = a_reading(targets.reshape(1, 3, 4, 5))
    judge = make(sampled(targets), reading)
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
    elsewhere = make(sampled(other(SUMS)), a_reading(other(SUMS).reshape(1, 3, 4, 5)))
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
        for name in {name for name, *_ in WAYS.values()} | {"bordered", "correlated"}:
            judge = getattr(judges, name)(sampled(targets), reading)
            assert judge.exact is exact, (name, high, scale)
        assert judges.bordered_parallel(sampled(targets), reading).exact is exact
    huge = a_reading((1e31 * SUMS).reshape(1, 3, 4, 5))
    assert judges.plain(sampled(1e31 * SUMS), huge).exact


@pytest.mark.parametrize("name", ["modular", "modular_scaled"])
def test_integers_that_wrapped_are_told_by_five_samples(name: str) -> None:
    """From the first three others follow, or from the second; but for one."""
    targets = round_to(SUMS + 77, "wrap:uint8").astype(float)
    judge = getattr(judges, name)(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5)))
    assert judge.first == (0, 1, 2, 3, 4)
    for wrong in product(range(5), repeat=2):
        values = SUMS[:, None].copy()
        values[list(wrong)] += 50 + 15.5 * np.array(wrong)[:, None]
        right = set(range(5)) - set(wrong)
        expected = (0 in right and len(right & {1, 2, 3}) > 1) or (
            1 in right and len(right & {2, 3, 4}) > 1
        )
        assert bool(judge.quick({s: values[s] for s in range(5)})[0]) is expected, wrong
    four = getattr(judges, name)(sampled(targets[:4]), a_reading(targets.reshape(1, 3, 4, 5)))
    assert four.first == ()
    far = targets + 2.0**40
    assert getattr(judges, name)(sampled(far), a_reading(far.reshape(1, 3, 4, 5))).first == ()


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


def test_complex_correlation() -> None:
    targets = SUMS * (1 + 2j) + EDGE
    judge = judges.correlated(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5)))
    values = SUMS[:, None] * np.array([1j, 1.0])
    assert votes_of(judge, values).max() == pytest.approx(abs(np.corrcoef(targets, SUMS)[0, 1]))


# --- lines and planes ---------------------------------------------------------------------------


@pytest.mark.parametrize("centred", [False, True])
def test_a_line_through_either_half(centred: bool) -> None:
    """Of the first twelve every second, or every other second, must all be right."""
    targets = 3 * SUMS + (40 if centred else 0)
    judge = linear(targets, 0.5, 0.0, centred=centred, exact=True)
    values = np.tile(SUMS[:, None], (1, 4))
    values[4, 1] += 900
    values[5, 2] += 900
    values[[4, 5], 3] += 900
    votes = votes_of(judge, values)
    assert votes[0] == 60
    assert (votes > 0).tolist() == [True, True, True, False]
    assert not votes_of(judge, 0 * values + 3).any()
    assert not judge.votes(0 * values + 3).any()
    plain = linear(targets, 0.5, 0.0, centred=not centred, exact=True)
    assert bool(votes_of(plain, values[:, :1])[0] > 0) is (not centred)


def test_a_line_needs_values_that_differ() -> None:
    assert linear(np.ones(60), 0.1, 0.0, centred=True, exact=True).first == ()
    assert linear(np.repeat([1.0, 2, 3], 20), 0.1, 0.0, centred=True, exact=True).first == ()
    assert linear(np.arange(3.0), 0.1, 0.0, centred=False, exact=True).first == ()
    assert linear(np.arange(4.0), 0.1, 0.0, centred=False, exact=True).first == (3, 2)
    assert linear(np.arange(4.0), 0.1, 0.0, centred=True, exact=True).first == (0, 3, 2)
    both = linear(np.arange(60.0), 0.1, 0.0, centred=True, exact=True)
    assert (both.first, both.few) == ((0, 10, 6, 1, 11, 7), 12)
    seven = linear(np.arange(7.0), 0.1, 0.0, centred=False, exact=True)
    assert (seven.first, seven.few) == ((6, 5), 7)
    eight = linear(np.arange(8.0), 0.1, 0.0, centred=False, exact=True)
    assert (eight.first, eight.few) == ((6, 4, 7, 5), 8)


@pytest.mark.parametrize("centred", [False, True])
def test_how_far_from_a_line_a_sample_may_be(centred: bool) -> None:
    targets = 2 * SUMS + (7 if centred else 0)
    off = np.where(np.arange(COUNT) % 4 < 2, 1.0, -1.0)
    judge = linear(targets, 1.0, 0.0, centred=centred, exact=True)
    values = SUMS[:, None] + np.outer(off, [0.3, 2.5])
    assert (votes_of(judge, values) > 0).tolist() == [True, False]
    # What is lost of the sums is allowed by the line's slope.
    judge = linear(targets, 0.0, 1.0, centred=centred, exact=True)
    assert (votes_of(judge, values) > 0).tolist() == [True, False]


@pytest.mark.parametrize("centred", [False, True])
def test_a_line_of_sums_in_single_precision(centred: bool) -> None:
    sums = RNG.standard_normal((COUNT, 40))
    for column in range(40):
        targets = 3 * sums[:, column] + (40 if centred else 0)
        judge = linear(targets, 0.0, 2.0**-22, centred=centred, exact=False)
        seen = sums[:, column : column + 1].astype(np.float32)
        assert votes_of(judge, seen)[0] == COUNT, column


@pytest.mark.parametrize("centred", [False, True])
def test_a_plane_of_sums_and_border(centred: bool) -> None:
    targets = 3 * SUMS - 2 * EDGE + (40 if centred else 0)
    judge = plane(targets, 0.1, centred=centred, exact=True)
    assert judge.bordered
    values, edges = np.tile(SUMS[:, None], (1, 6)), np.tile(EDGE[:, None], (1, 6))
    edges[:, 1] = 0
    edges[:, 2] = RNG.permutation(EDGE)
    values[:, 3] = RNG.permutation(SUMS)
    values[[0, 2, 4], 4] += 500
    values[25:, 5] += 500
    votes = votes_of(judge, values, edges)
    assert (votes > 0).tolist() == [True, False, False, False, True, False]
    assert votes[0] == 60
    # Without a border there is none to solve for.
    line = plane(3 * SUMS + (40 if centred else 0), 0.1, centred=centred, exact=True)
    assert line.votes(np.concatenate([values[:, :1], 0 * values[:, :1]])).tolist() == [0]
    assert line.votes(0 * np.concatenate([values, edges])).tolist() == [0] * 6
    without = plane(targets + 55, 0.1, centred=False, exact=True)
    assert votes_of(without, values, edges)[0] == 0


@pytest.mark.parametrize("centred", [False, True])
def test_a_plane_of_sums_in_single_precision(centred: bool) -> None:
    sums, edge = RNG.standard_normal((2, COUNT, 40))
    targets = 3 * sums - 2 * edge + (40 if centred else 0)
    for column in range(40):
        judge = plane(targets[:, column], 1e-12, centred=centred, exact=False)
        some = np.s_[:, column : column + 1]
        seen = sums[some].astype(np.float32), edge[some].astype(np.float32)
        assert votes_of(judge, *seen)[0] == COUNT, column


@pytest.mark.parametrize(("centred", "unknown"), [(True, 3), (False, 2)])
def test_a_plane_needs_two_samples_more_than_it_has_unknowns(centred: bool, unknown: int) -> None:
    least = unknown + 2
    for count, halves in ((least - 1, 0), (least, 1), (2 * least - 1, 1), (2 * least, 2)):
        judge = plane(np.arange(float(count)), 0.1, centred=centred, exact=True)
        assert len(judge.first) == 2 * (unknown + 1) * halves


def test_a_plane_needs_samples_that_differ() -> None:
    assert plane(np.repeat([1.0, 2, 3], 20), 0.1, centred=True, exact=True).first == ()
    three = plane(np.arange(60.0), 0.1, centred=False, exact=True)
    assert three.first == (0, ~0, 2, ~2, 4, ~4, 1, ~1, 3, ~3, 5, ~5)
    assert plane(np.arange(60.0), 0.1, centred=True, exact=True).first[6:9] == (6, ~6, 1)


def test_pairs_are_judged_by_their_differences() -> None:
    rises = SUMS[1::2] - SUMS[::2]
    lines = of_pairs(linear(4 * rises, 0.1, 0.0, centred=False, exact=True), len(rises))
    values = np.stack([SUMS + A_CHANNEL, SUMS + EDGE], axis=1)
    assert votes_of(lines, values).tolist() == [30, 0]
    apart = EDGE[1::2] - EDGE[::2]
    planes = of_pairs(plane(4 * rises + 3 * apart, 0.1, centred=False, exact=True), len(rises))
    edges = np.stack([EDGE + A_CHANNEL, EDGE[::-1]], axis=1)
    assert votes_of(planes, values, edges).tolist() == [30, 0]


def test_an_unknown_border_is_judged_by_sums_and_border() -> None:
    for make, constant in (
        (judges.bordered, 40.0),
        (judges.bordered_scaled, 0.0),
        (judges.bordered_parallel, A_CHANNEL),
    ):
        targets = 0.5 * SUMS + 3 * EDGE + constant
        judge = make(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5)))
        values = np.tile(SUMS[:, None], (1, 300))
        edges = np.stack([EDGE, *(RNG.permutation(EDGE) for _ in range(299))], axis=1)
        votes = votes_of(judge, values, edges)
        assert votes[0] == (30 if make is judges.bordered_parallel else 60)
        assert not votes[1:].any()


# --- whose sums are looked at -------------------------------------------------------------------


class Listening:
    """A judge that accepts some of what it is shown, and remembers all of it."""

    def __init__(self, count: int, first: tuple[int, ...], share: float) -> None:
        self.shown: list[np.ndarray] = []
        self.drawn = np.random.default_rng(7)
        self.share, self.quickly, self.at = share, 0, 0
        self.last: Mapping[int, np.ndarray] = {}
        self.judge = Judge(first, count, self.quick, self.votes, exact=True)

    def quick(self, values: Mapping[int, np.ndarray]) -> np.ndarray:
        alive = self.drawn.random(next(iter(values.values())).shape) < self.share
        self.last = {s: v.ravel()[np.flatnonzero(alive)] for s, v in values.items()}
        self.quickly, self.at = self.quickly + alive.size, 0
        return alive

    def votes(self, values: np.ndarray) -> np.ndarray:
        count = len(values) // (2 if self.judge.bordered else 1)
        part = slice(self.at, self.at + values.shape[1])
        self.at = part.stop
        for s, seen in self.last.items():
            assert np.allclose(seen[part], values[s if s >= 0 else count + ~s])
        self.shown += list(values.T)
        return np.arange(len(self.shown) - values.shape[1], len(self.shown)) + 1.0


def looked_at(
    reading: Reading,
    places: list[tuple[int, int, int, int]],
    share: float = 1.0,
    first: tuple[int, ...] = (0, 1),
    **keys: Any,
) -> list[tuple[Convention, np.ndarray]]:
    """Every hypothesis that is looked at with the values that the samples have under it."""
    listening = Listening(len(places), first, share)
    one = Search(reading, [Sample(place, 0.0) for place in places], crowd=10**9, **keys)
    (found,) = one.run([listening.judge])
    assert one.considered == listening.quickly
    assert [f.votes for f in found] == [*range(1, len(found) + 1)]
    assert all(f.reading is reading for f in found)
    return [(f.convention, listening.shown[int(f.votes) - 1]) for f in found]


SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, str]] = {
    "plain": ((1, 2, 6, 5), (3, 2, 3, 2), 1, "OIHW"),
    "one channel": ((1, 1, 6, 5), (2, 1, 2, 3), 1, "OIHW"),
    "groups": ((1, 4, 6, 5), (4, 2, 3, 2), 2, "OIHW"),
    "a batch": ((2, 3, 6, 5), (2, 3, 1, 2), 1, "OIHW"),
    "many channels": ((1, 18, 4, 5), (2, 18, 2, 2), 1, "OIHW"),
    "shared": ((1, 2, 6, 5), (3, 2), 2, "HW"),
    "one tap": ((1, 3, 4, 5), (2, 3, 1, 1), 1, "OIHW"),
    "wide": ((1, 2, 3, 20), (2, 2, 2, 19), 1, "OIHW"),
    "few": ((1, 2, 3, 2), (3, 2, 2, 1), 1, "OIHW"),
}
KEYS: dict[str, dict[str, Any]] = {
    "plainly": {},
    "modes": {"modes": PADDING_MODES},
    "wide": {"wide": True},
    "rolled": {"circular": True, "modes": ("wrap",)},
    "bordered": {"bordered": True},
    "outside": {"outside": True},
    "shuffled": {"shuffled": True},
}


def problem(name: str, kind: str = "float64") -> tuple[Reading, np.ndarray, np.ndarray]:
    image, filters, groups, layout = SHAPES[name]
    x, w = ints(*image), ints(*filters)
    if kind == "complex128":
        x = x + 1j * ints(*image)
    c = Convention(
        image_layout="NCHW", output_layout="NOHW", filter_layout=layout, groups=groups, padding=1
    )
    output = convolve(x, w, c)[..., : image[2], : image[3]]
    base = c.replace(padding=0)
    (reading,) = (r for r in readings(x, w, output) if r.base == base)
    return reading, x, w


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *product(("plain", "one channel", "groups", "shared", "one tap"), KEYS),
        *product(("a batch", "many channels"), ("plainly", "modes")),
        ("wide", "plainly"),
    ],
)
def test_the_values_are_those_of_the_convention(
    name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever parts they are looked at."""
    kind = "complex128" if name == "one channel" else "float64"
    reading, x, w = problem(name, kind)
    n, o, h, v = reading.output.shape
    places = [(0, 0, h // 2, v // 2), (n - 1, o - 1, 0, v - 1), (n // 2, o // 2, h - 1, 0)]
    monkeypatch.setattr(search, "REGION", 40)
    monkeypatch.setattr(block, "CHUNK", 1000)
    room = 20 if how in ("bordered", "modes") else 1 << 10
    monkeypatch.setattr(block, "ROOM", room)
    first = (0, 1, ~0, ~1) if how == "bordered" else (0, 2)
    found = looked_at(reading, places, 1.0, first, limit=1500, **KEYS[how])
    if name == "one channel" and how == "shuffled":
        assert not found
        return
    assert found or how == "shuffled" or (name, how) == ("one tap", "bordered")
    some = [found[i] for i in RNG.choice(len(found), min(60, len(found)), replace=False)]
    for convention, values in some:
        made = convolve(x, w, convention)
        assert made.shape == reading.output.shape
        expected = [made[place] for place in places]
        assert np.allclose(values[:3], expected)
        if how == "bordered":
            ones = convolve(0 * x, w, convention.replace(padding_value=1.0))
            assert np.allclose(values[3:], [ones[place] for place in places])


def test_every_hypothesis_is_looked_at_once() -> None:
    reading, _, _ = problem("few")
    places = [(0, 0, 1, 1), (0, 2, 0, 0), (0, 1, 2, 0)]
    kinds: dict[str, set[Convention]] = {}
    for how in ("plainly", "modes", "shuffled", "bordered"):
        found = [c for c, _ in looked_at(reading, places, **KEYS[how])]
        kinds[how] = set(found)
        assert len(kinds[how]) == len(found), how
    plain = kinds["plainly"]
    ways = [
        [
            sum(a.count for a in axis_options(n, f, o, wide=False)) * (1 + (f > 1))
            for n, f, o in zip((3, 2), kernel, reading.output.shape[2:], strict=True)
        ]
        for kernel in ((2, 1), (1, 2))
    ]
    assert len(plain) == 2 * sum(rows * columns for rows, columns in ways)
    single, _, _ = problem("one tap")
    found = [c for c, _ in looked_at(single, [(0, 0, 1, 1)], first=(0,))]
    assert len(set(found)) == len(found)
    assert not any(c.kernel_transposed for c in found)
    for key, values in (
        ("stride", product(range(1, 9), repeat=2)),
        ("flip", [(), ("H",), ("W",)]),
        ("channel_order", [None, (1, 0)]),
        ("kernel_transposed", [False, True]),
    ):
        assert {getattr(c, key) for c in plain} <= set(values)
    for key, count in (("flip", 3), ("channel_order", 2), ("kernel_transposed", 2)):
        assert len({getattr(c, key) for c in plain}) == count
    # Two channels have no other order; of a border that nothing meets all modes are one.
    assert not kinds["shuffled"]
    over = {c for c in plain if max(map(max, c.padding)) > 0}
    assert kinds["bordered"] == {c for c in over if max(c.input_dilation) == 1}
    for mode in PADDING_MODES:
        of_mode = {
            c.replace(padding_mode="constant") for c in kinds["modes"] if c.padding_mode == mode
        }
        expected = plain if mode == "constant" else kinds["bordered"]
        assert of_mode == expected, mode


def test_a_search_ends_where_it_is_told_to() -> None:
    reading, _, _ = problem("plain")
    sample = [Sample((0, 0, 3, 2), 0.0)]

    def all_fit(values: Any) -> np.ndarray:
        shown = next(iter(values.values())) if isinstance(values, dict) else values[0]
        return np.ones(shown.shape)

    yes = Judge((0,), 1, lambda values: all_fit(values) > 0, all_fit)
    no = Judge((0,), 1, lambda values: all_fit(values) < 0, all_fit)
    crowded = Search(reading, sample, crowd=7)
    assert [len(f) for f in crowded.run([yes, yes])] == [7, 7]
    one = Search(reading, sample, crowd=7)
    found = one.run([yes, no])
    assert [len(f) for f in found] == [7, 0]
    every = one.considered
    assert crowded.considered < every
    limited = Search(reading, sample, limit=0)
    limited.run([no])
    assert 0 < limited.considered < every
    assert Search(reading, sample, limit=-1).run([yes]) == [[]]
    silent = Judge((), 1, lambda values: all_fit(values) > 0, all_fit)
    found = Search(reading, sample, crowd=7).run([silent, yes])
    assert [len(f) for f in found] == [0, 7]


@pytest.mark.parametrize(
    ("channels", "filters", "groups", "plain", "shuffled"),
    [
        (1, 1, 1, [(None, ())], []),
        (2, 2, 1, [(None, ()), ((1, 0), ())], []),
        (3, 3, 1, [(None, ()), ((2, 1, 0), ())], [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1)]),
        (4, 4, 1, [(None, ()), ((3, 2, 1, 0), ())], 22),
        (5, 5, 1, [(None, ()), (None, ("I",))], []),
        (
            4,
            2,
            2,
            [(None, ()), (None, ("I",)), ((3, 2, 1, 0), ()), ((3, 2, 1, 0), ("I",))],
            44,
        ),
        (6, 1, 6, [(None, ()), ((5, 4, 3, 2, 1, 0), ())], []),
    ],
)
def test_the_orders_of_the_channels(
    channels: int, filters: int, groups: int, plain: list[Any], shuffled: Any
) -> None:
    base = Convention(image_layout="NCHW", output_layout="NOHW", groups=groups)
    reading = Reading(
        base, ints(1, channels, 4, 4), ints(groups, filters, 2, 2), ints(1, groups, 3, 3)
    )
    assert channel_options(reading, shuffled=False) == [Channels(*each) for each in plain]
    found = channel_options(reading, shuffled=True)
    if isinstance(shuffled, int):
        assert len(set(found)) == len(found) == shuffled
        assert not set(found) & set(channel_options(reading, shuffled=False))
    else:
        assert found == [Channels(order, ()) for order in shuffled]
