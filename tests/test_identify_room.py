"""How many samples judges look at first, and by how much each may be off, by definition."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from test_identify_judges import COUNT, EDGE, SUMS, a_reading, alone, sampled, votes_of

from convcheck.checks.identify import judges
from convcheck.checks.identify.lines import linear, of_pairs, plane
from convcheck.engine import round_to
from convcheck.rounding import gamma

if TYPE_CHECKING:
    from convcheck.checks.identify.block import Judge
    from convcheck.checks.identify.readings import Reading

SIDES = np.where(np.arange(COUNT) // 2 % 2, 1.0, -1.0)
NEARLY = [(0.97, True), (1.03, False)]


def reading_of(targets: np.ndarray, kind: str = "float64") -> Reading:
    return a_reading(targets.reshape(1, 3, 4, 5), kind)


def quickly(judge: Judge, values: np.ndarray) -> bool:
    """Whether one hypothesis is worth another look."""
    return bool(judge.alive({s: values[s : s + 1] for s in judge.first})[0])


# --- how many samples ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first", "few"),
    [("plain", 6, 6), ("coarse", 6, 6), ("modular", 5, 12), ("modular_scaled", 5, 12)],
)
def test_how_many_samples_are_looked_at_first(name: str, first: int, few: int) -> None:
    targets = round_to(SUMS + 77, "wrap:uint8").astype(float)
    targets[:50] += np.arange(50) / 64  # no two are alike
    make = getattr(judges, name)
    judge = make(alone(targets), reading_of(targets))
    assert (judge.first, judge.few) == (tuple(range(first)), few)
    five = make(alone(targets[:5]), reading_of(targets))
    assert (five.few, five.first) == (5, tuple(range(5)))


@pytest.mark.parametrize(("different", "first", "few"), [(29, 12, 24), (30, 6, 6)])
def test_more_are_looked_at_where_values_are_few(different: int, first: int, few: int) -> None:
    targets = np.arange(60.0) % different
    judge = judges.plain(sampled(targets), reading_of(targets))
    assert (judge.first, judge.few) == (tuple(range(first)), few)
    for count in (10, 14):
        judge = judges.plain(sampled(targets[:count] % 3), reading_of(targets))
        assert (judge.first, judge.few) == (tuple(range(min(12, count))), count)


@pytest.mark.parametrize("name", ["plain", "coarse"])
def test_how_many_of_the_first_must_fit(name: str) -> None:
    """All but two of the first six; with twice the room."""
    right = 4
    judge = getattr(judges, name)(sampled(SUMS), reading_of(SUMS))
    for count in (right - 1, right):
        values = SUMS.copy()
        values[: len(judge.first) - count] += 300
        assert quickly(judge, values) is (count == right)


def test_twice_the_room_is_left_at_first() -> None:
    room = 2.0**-7 * np.abs(SUMS) + 2.0**-5 * np.std(SUMS)
    judge = judges.coarse(sampled(SUMS), reading_of(SUMS))
    for share, fits in ((1.97, True), (2.03, False)):
        assert quickly(judge, SUMS + share * room) is fits


def test_pairs_are_those_of_the_judge() -> None:
    lines = of_pairs(linear(np.arange(8.0), 0.1, 0.0, centred=False, exact=True), 8)
    assert lines.first == (12, 13, 8, 9, 14, 15, 10, 11)
    planes = of_pairs(plane(np.arange(10.0), 0.1, centred=False, exact=True), 10)
    assert planes.first[:8] == (0, 1, ~0, ~1, 8, 9, ~8, ~9)
    assert (lines.few, planes.few) == (16, 20)


# --- integers that wrapped ----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "room"), [("modular", 1), ("modular_scaled", 2)])
def test_bytes_may_be_a_little_apart(name: str, room: int) -> None:
    targets = round_to(SUMS + 77, "wrap:uint8").astype(float)
    judge = getattr(judges, name)(alone(targets), reading_of(targets))
    for off in range(-5, 6):
        values = SUMS[:5].copy()
        values[[0, 1]] += off  # all are compared to one of these
        assert quickly(judge, values) is (abs(off) <= room), off


@pytest.mark.parametrize(
    ("low", "high", "fits"),
    [(-128, 127, True), (0, 255, True), (-129, 0, False), (0, 256, False), (-128, 255, True)],
)
def test_an_outputs_range_says_what_it_wrapped_at(low: int, high: int, fits: bool) -> None:
    targets = round_to(SUMS + 77, "wrap:uint8").astype(float)
    output = np.zeros(60)
    output[:2] = low, high
    judge = judges.modular(alone(targets), reading_of(output))
    assert (votes_of(judge, SUMS[:, None]).tolist() == [COUNT]) is fits


def large(targets: np.ndarray, size: float) -> Reading:
    """Of an image whose numbers are as large, under filters of ones."""
    reading = reading_of(targets)
    image, filters = np.full((1, 2, 12, 12), size), np.ones((3, 2, 3, 3))
    return replace(reading, image=image, filters=filters)


@pytest.mark.parametrize(
    ("name", "scale", "start", "factor", "kind"),
    [
        ("modular", 1, 1.2e9, 1, "uint8"),
        ("modular", 1, 2.4e9, 1, "uint8"),
        ("modular", 1, 0, 1e8, "int32"),
        ("modular_scaled", 1, 2.4e9, 1, "uint8"),
        ("modular_rare", 8, 4e8, 1, "uint8"),
        ("modular_rare", -2, 1.2e9, 1, "uint8"),
    ],
)
def test_large_sums_wrap_as_well(
    name: str, scale: float, start: float, factor: float, kind: str
) -> None:
    sums = start + factor * SUMS
    targets = round_to(scale * sums, f"wrap:{kind}").astype(float)
    reading = large(targets, np.ceil(np.abs(sums).max() / 18))
    judge = getattr(judges, name)(alone(targets), reading)
    assert votes_of(judge, sums[:, None])[0] == COUNT
    assert votes_of(judge, sums[:, None] * 1.5)[0] == 0


@pytest.mark.parametrize(("name", "room"), [("modular", 1), ("modular_scaled", 2)])
def test_truncated_numbers_are_less_than_one_apart_and_scaled_ones_two(
    name: str, room: float
) -> None:
    """And by what a sum loses."""
    targets = round_to(SUMS + 77, "wrap:uint8").astype(float)
    judge = getattr(judges, name)(alone(targets), reading_of(targets))
    for share, fits in (*NEARLY, (1.0, True)):
        values = SUMS.copy()
        values[2:] += room + share * 2.0**-18
        assert (judge.votes(values[:, None]).tolist() == [COUNT]) is fits


@pytest.mark.parametrize(("count", "least"), [(11, 8), (12, 5), (16, 5), (40, 10), (60, 15)])
def test_how_many_that_wrapped_must_fit(count: int, least: int) -> None:
    """Two thirds of few, a quarter of many: an unknown border may leave no more."""
    targets = round_to(SUMS + 77, "wrap:uint8").astype(float)
    judge = judges.modular(alone(targets), reading_of(targets))
    for right in (least - 1, least):
        values = SUMS[:count].copy()
        values[right:] += 100
        assert judge.votes(values[:, None]).tolist() == [right if right == least else 0]


# --- correlation --------------------------------------------------------------------------------


def test_twenty_of_what_nearly_correlates_best_are_looked_at_again() -> None:
    rng = np.random.default_rng(68)
    judge = judges.correlated(sampled(SUMS), reading_of(SUMS))
    near = SUMS[:, None] + 20 * rng.standard_normal((COUNT, 300))
    far = rng.permuted(np.tile(SUMS, (300, 1)), axis=1).T

    def kept(values: np.ndarray) -> int:
        return int(np.count_nonzero(judge.alive({s: values[s] for s in judge.first})))

    assert kept(near[:, :15]) == 15
    assert kept(near) == 20
    assert kept(far) == 0
    assert kept(np.concatenate([far, near[:, :3]], axis=1)) == 3


# --- single precision ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "value", "exact"),
    [
        (1e-30, 1.0, True),
        (1.01e-30, 1.0, False),
        (2.0**22, 1.0, True),
        (2.0**22 - 1, 1.0, False),
        (2.0**22 + 0.5, 1.0, False),
        (1e30, 1.0, True),
        (1.0, 1e30, True),
        (1.0, -1e30, True),
        (1.0, -0.99e30, False),
    ],
)
def test_the_ends_of_what_single_precision_will_do(size: float, value: float, exact: bool) -> None:
    reading = large(SUMS, size)
    filters = np.zeros((3, 2, 3, 3))
    filters[0, 0, 0, 0] = 1
    targets = SUMS / 1000
    targets[5] = value
    assert judges.plain(sampled(targets), replace(reading, filters=filters)).exact is exact


# --- lines and planes ---------------------------------------------------------------------------

# Either half of these twelve has the same sums, and what is added to a line leaves it where it is.
HALVES = np.array([10.0, 10, 10, 10, -10, -10, -10, -10, 6, 6, 6, 6])
APART = np.array([1.0, 1, -1, -1] * 3)


def most(name: str, reading: Reading, targets: np.ndarray, slope: float) -> float:
    """By how much targets may be apart from a line, where all are about as large."""
    fine = gamma(reading.terms + 16, 2.0**-24) * reading.reach * slope
    whole = 1.05 if reading.output.dtype.kind in "biu" else 0.0
    room = whole + 2.0**-20 * np.abs(targets).max() + fine
    if name.startswith("coarse"):
        room = 2.0**-7 * np.abs(targets).mean() + 2.0**-5 * reading.output.std()
    return float(room * (2 if "parallel" in name else 1))


@pytest.mark.parametrize(("share", "fits"), NEARLY)
@pytest.mark.parametrize("name", ["scaled", "affine", "coarse_affine"])
@pytest.mark.parametrize(("kind", "slope"), [("f8", 1e-3), ("f8", 30.0), ("i8", 30.0)])
def test_how_far_a_sample_may_be_from_a_line(
    name: str, kind: str, slope: float, share: float, fits: bool
) -> None:
    level = 0.0 if name == "scaled" else 5e4
    targets = level + slope * HALVES
    reading = reading_of((SUMS * slope / 1000).astype(kind))
    targets += share * most(name, reading, targets, slope) * APART
    judge = getattr(judges, name)(sampled(targets), reading)
    assert votes_of(judge, HALVES[:, None])[0] == (6 if fits else 0)


@pytest.mark.parametrize(("share", "fits"), NEARLY)
@pytest.mark.parametrize("name", ["parallel", "coarse_parallel"])
@pytest.mark.parametrize(("kind", "slope"), [("f8", 1e-3), ("f8", 30.0), ("i8", 30.0)])
def test_how_far_a_pair_may_be_from_a_line(
    name: str, kind: str, slope: float, share: float, fits: bool
) -> None:
    """Of the numbers of a pair either may be the larger."""
    reading = reading_of((SUMS * slope / 1000).astype(kind))
    values, targets = np.zeros((2, 24))
    values[1::2] = HALVES
    targets[1::2] = slope * (20 + HALVES / 2)
    targets[::2] = slope * (20 - HALVES / 2)
    targets[1::2] += share * most(name, reading, targets, slope) * APART
    judge = getattr(judges, name)(sampled(targets), reading)
    assert votes_of(judge, values[:, None])[0] == (6 if fits else 0)


def test_a_scale_alone_leaves_no_bias() -> None:
    targets = 3 * SUMS + 40
    for name, fits in (("scaled", False), ("affine", True)):
        judge = getattr(judges, name)(sampled(targets), reading_of(targets))
        assert bool(votes_of(judge, SUMS[:, None])[0]) is fits


@pytest.mark.parametrize("name", ["parallel", "coarse_parallel"])
def test_samples_after_the_pairs_are_not_in_them(name: str) -> None:
    targets = 3 * SUMS
    samples = sampled(targets)[:42]
    samples += [replace(s, index=(0, o, 0, 0), value=99.0) for o, s in enumerate(samples[:3])]
    judge = getattr(judges, name)(samples, reading_of(targets))
    assert votes_of(judge, SUMS[:45, None])[0] == 21


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(("allowed", "relative"), [(3.0, 0.0), (1.0, 0.5), (0.0, 0.5)])
@pytest.mark.parametrize(("share", "fits"), NEARLY)
def test_the_other_half_has_a_sample_near_a_line(
    centred: bool, allowed: float, relative: float, share: float, fits: bool
) -> None:
    """Near by what the line's own two samples leave open of it at that place."""
    values = np.zeros(12)
    values[::2], values[1::2] = [100, 50, 40, 30, 20, 0], [80, 60, 35, 25, 15, 5]
    targets = 3 * values + (7 if centred else 0)
    judge = linear(targets, allowed, relative, centred=centred, exact=True)
    values[[3, 11, 5]] = 1e4, 1e4, -1e4  # nothing but that one sample can be near
    room = share * (allowed + 2 * relative * 3)
    # Of a run of 100: |off| is at most 2 rooms times (2 + 2 |v| / 100).
    values[1] += room * (4 + 3.2) / (3 - room * 0.04)
    assert quickly(judge, values) is fits


def test_the_room_beside_a_line_has_an_end_that_belongs_to_it() -> None:
    targets = np.array([100.0, 92, 50, 60, 40, 35, 30, 25, 20, 15, 10, 5])
    judge = linear(targets, 1.0, 0.0, centred=False, exact=True)
    values = targets.copy()
    values[[1, 3]] = 100, 1e4
    assert quickly(judge, values)
    values[1] += 0.01
    assert not quickly(judge, values)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize(("slack", "relative"), [(1.0, 0.0), (0.0, 0.01), (1.0, 0.01)])
@pytest.mark.parametrize(("share", "fits"), NEARLY)
def test_the_samples_of_a_line_are_on_it(
    centred: bool, slack: float, relative: float, share: float, fits: bool
) -> None:
    """The ends of a line say where its middle is; zero and the one where the other is."""
    values = np.zeros(12)
    values[::2], values[1::2] = [100, 50, 40, 30, 20, 0], [80, 60, 35, 25, 15, 5]
    targets = 3 * values + (7 if centred else 0)
    judge = linear(targets, slack, relative, centred=centred, exact=True)
    values[[3, 11, 5]] = 1e4, 1e4, -1e4
    moved, ways = (4, 2) if centred else (2, 1)
    runs, rises = np.array([100, values[moved]]), np.array([300, 3 * values[moved]])
    # What moves the sample adds to the runs too.
    room = ways * (slack * runs.sum() + 2 * relative * rises.sum())
    values[moved] += share * room / (300 - share * ways * slack)
    assert quickly(judge, values) is fits


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("relative", [0.0, 0.25])
@pytest.mark.parametrize(("share", "fits"), NEARLY)
def test_what_is_further_out_may_be_further_from_a_line(
    centred: bool, relative: float, share: float, fits: bool
) -> None:
    """Twice as far as the furthest of the half: 1 + 2 (1 + 2) times as far."""
    values = np.concatenate([HALVES - HALVES.mean(), np.zeros(48)])
    values[12:] = 2 * np.abs(values[:12]).max()
    values[12::2] *= -1
    values = (values + 50 * centred) / 100
    targets = 200 * values + (7 if centred else 0)
    targets[:12:4] += np.arange(3) * 1e-9  # no two are alike
    targets[1:12:4] += np.arange(3) * 1e-9
    targets[12:] += share * 7 * (1 + 2 * relative) * SIDES[12:]
    judge = linear(targets, 1.0, relative / 100, centred=centred, exact=True)
    assert votes_of(judge, values[:, None])[0] == (60 if fits else 0)


@pytest.mark.parametrize(("relative", "votes"), [(5.0, 60), (5.01, 59)])
def test_a_line_that_explains_anything_ranks_behind(relative: float, votes: int) -> None:
    """One whose slope makes of what is lost a quarter of the targets' own spread."""
    values = np.tile(np.repeat([10.0, -10, 6, -6, 3, -3], 2), 5)
    judge = linear(2 * values, 1.0, relative, centred=False, exact=True)
    assert judge.votes(values[:, None])[0] == votes


def whole(matrix: np.ndarray) -> float:
    """The products of a determinant without their signs."""
    rows = range(3)
    return float(sum(np.prod([abs(matrix[r, c[r]]) for r in rows]) for c in permutations(rows)))


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("slack", [0.0, 0.5])
@pytest.mark.parametrize(("share", "fits"), NEARLY)
def test_the_samples_of_a_plane_are_on_it(
    centred: bool, slack: float, share: float, fits: bool
) -> None:
    values, edges = SUMS[:12].copy(), EDGE[:12].copy()
    targets = 3 * values - 2 * edges + (40 if centred else 0)
    first = plane(targets, slack, centred=centred, exact=True).first
    some = [s for s in first if s >= 0 and s % 2 == 0]
    assert len(some) == 3 + centred
    seen = np.stack([targets, values, edges])[:, some]
    matrix = seen[:, 1:] - seen[:, :1] if centred else seen
    minors = [np.linalg.det(np.delete(matrix[1:], i, axis=1)) for i in range(3)]
    room = slack * np.abs(minors).sum() + 2.0**-18 * whole(matrix)
    targets[some[-1]] += share * room / abs(minors[-1])
    judge = plane(targets, slack, centred=centred, exact=True)
    others = [s for s in first if s % 2 and s >= 0]
    values[others[1:]] += 1e5 * np.arange(1, len(others)) ** 2
    both = {s: values[s : s + 1] if s >= 0 else edges[~s : ~s + 1] for s in judge.first}
    assert bool(judge.alive(both)[0]) is fits
    # The other half has one on it, or it is luck.
    both[others[0]] = values[others[0]] + np.array([1e5])
    assert not judge.alive(both)[0]
    nothing = {s: np.zeros(1) for s in judge.first}
    assert not judge.alive(nothing)[0]


@pytest.mark.parametrize(("share", "fits"), NEARLY)
@pytest.mark.parametrize("kind", ["f8", "i8"])
@pytest.mark.parametrize("name", ["bordered", "bordered_scaled", "bordered_parallel"])
def test_how_far_a_sample_may_be_from_a_plane(
    name: str, kind: str, share: float, fits: bool
) -> None:
    """Four times what an output is rounded by, for either sample of a pair, and what is lost."""
    paired = name == "bordered_parallel"
    constant = 40 if name == "bordered" else 0
    targets = 3 * SUMS - 2 * EDGE + constant
    parts = np.stack([3 * SUMS, 2 * EDGE, 0 * SUMS + constant])
    if paired:
        parts[:, 1::2] -= parts[:, ::2]
    lost = 2.0**-18 * np.abs(parts).sum(axis=0)
    rounded = 2.0**-20 * np.abs(targets).max() + (1.05 if kind == "i8" else 0)
    room = 4 * ((4 if paired else 2) * rounded + lost)
    far = np.arange(COUNT) >= (24 if paired else 12)
    far &= np.arange(COUNT) % 2 == 1 if paired else far
    judge = getattr(judges, name)(
        sampled(targets + share * room * SIDES * far), reading_of(SUMS.astype(kind))
    )
    votes = votes_of(judge, SUMS[:, None], EDGE[:, None])[0]
    assert votes == ((30 if paired else 60) if fits else 0)
