"""Which sums are a line of the samples, or a plane of sums and border."""

from __future__ import annotations

import numpy as np
import pytest
from test_identify_judges import A_CHANNEL, COUNT, EDGE, SUMS, a_reading, sampled, votes_of

from convcheck.checks.identify import judges
from convcheck.checks.identify.lines import linear, of_pairs, plane

RNG = np.random.default_rng(51)
DRAWN_FROM = 52


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
@pytest.mark.parametrize("slope", [1, -1, -2])
def test_a_line_of_whole_numbers_needs_no_room(centred: bool, slope: int) -> None:
    judge = linear(slope * SUMS + 7 * centred, 0.0, 0.0, centred=centred, exact=True)
    assert votes_of(judge, SUMS[:, None])[0] == COUNT


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("count", [6, 12, 60])
def test_a_line_of_small_numbers(centred: bool, count: int) -> None:
    targets = SUMS[:count] + 7 * centred
    judge = linear(targets, 0.1, 0.0, centred=centred, exact=True)
    votes = votes_of(judge, 1e-6 * SUMS[:count, None])[0]
    assert votes == (6 if count == 12 else count)
    assert not judge.alive({s: np.zeros(1) for s in judge.first})[0]


@pytest.mark.parametrize("end", [1.0, -1.0, 2.0])
@pytest.mark.parametrize("centred", [False, True])
def test_a_line_may_end_at_one(end: float, centred: bool) -> None:
    """At four fifths of it, half of the room is (2 + 2 * 0.8) times what is allowed."""
    values = np.array([100, 80, 50, 60, 40, 35, 30, 25, 20, 15, 0, 5]) / 100 * end
    judge = linear(3 * values, 0.01, 0.0, centred=centred, exact=True)
    lowest = int(np.argmin(values))
    run = values[::2].max() - values[::2].min()
    others = [s for s in judge.first if s % 2]
    for share, fits in ((0.9, True), (1.1, False)):
        moved = values.copy()
        moved[others] = 1e4 * np.arange(1, 1 + len(others)) * (-1) ** np.arange(len(others))
        origin = values[lowest] if centred else 0.0
        reach = 2 + 2 * abs(values[1] - origin) / run
        moved[1] = values[1] + share * 0.02 * reach / 3
        assert bool(judge.alive({s: moved[s : s + 1] for s in judge.first})[0]) is fits


@pytest.mark.parametrize("centred", [False, True])
def test_a_plane_of_numbers_of_any_size(centred: bool) -> None:
    for size in (1e-12, 1e-3, 1e12):
        targets = 3 * SUMS - 2 * EDGE + (40 if centred else 0)
        judge = plane(targets, 0.1, centred=centred, exact=True)
        assert votes_of(judge, SUMS[:, None], size * EDGE[:, None])[0] == COUNT
        assert votes_of(judge, size * SUMS[:, None], EDGE[:, None])[0] == COUNT


@pytest.mark.parametrize(("right", "votes"), [(40, 40), (39, 0)])
def test_two_thirds_of_the_samples_must_be_on_a_plane(right: int, votes: int) -> None:
    judge = plane(3 * SUMS - 2 * EDGE, 0.1, centred=False, exact=True)
    values = SUMS.copy()
    values[right:] += 500
    assert votes_of(judge, values[:, None], EDGE[:, None])[0] == votes


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
    counts = (least - 1, least, 2 * least - 2, 2 * least - 1, 2 * least)
    for count, halves in zip(counts, (0, 1, 1, 1, 2), strict=True):
        judge = plane(np.arange(float(count)), 0.1, centred=centred, exact=True)
        assert len(judge.first) == 2 * (unknown + 1) * halves


def test_a_plane_needs_samples_that_differ() -> None:
    assert plane(np.repeat([1.0, 2, 3], 20), 0.1, centred=True, exact=True).first == ()
    for different in (3, 4):
        few = plane(np.arange(60.0) // 2 % different, 0.1, centred=True, exact=True)
        assert bool(few.first) is (different == 4)
    three = plane(np.arange(60.0), 0.1, centred=False, exact=True)
    assert three.first == (0, ~0, 4, ~4, 10, ~10, 1, ~1, 5, ~5, 11, ~11)
    assert plane(np.arange(60.0), 0.1, centred=True, exact=True).first[6:9] == (10, ~10, 1)


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
    # A bias is no part of a scale and a border.
    targets = 0.5 * SUMS + 3 * EDGE + 40
    biased = judges.bordered_scaled(sampled(targets), a_reading(targets.reshape(1, 3, 4, 5)))
    assert not votes_of(biased, values, edges).any()


@pytest.mark.parametrize("centred", [False, True])
def test_one_element_may_be_all_that_meets_the_border(centred: bool) -> None:
    """The others, of the other half too, are then on a line."""
    edges = np.zeros(12)
    first = plane(SUMS[:12], 0.1, centred=centred, exact=True).first
    half = [s for s in first if s >= 0 and s % 2 == 0]
    for meets in half:
        edges[:] = 0.0
        edges[meets] = 5.0
        targets = 3 * SUMS[:12] - 0.2 * edges + (40 if centred else 0)
        judge = plane(targets, 0.1, centred=centred, exact=True)
        values = {s: SUMS[s : s + 1] if s >= 0 else edges[~s : ~s + 1] for s in judge.first}
        assert judge.alive(values)[0], meets
