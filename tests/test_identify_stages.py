"""What is searched, in which order, and when what was found is enough."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convcheck.checks.identify import exploration, judges, stages
from convcheck.checks.identify.exploration import explore, is_near
from convcheck.checks.identify.fit import judged
from convcheck.checks.identify.readings import Reading, readings
from convcheck.checks.identify.samples import pairs
from convcheck.checks.identify.stages import Pass, passes, survey, telling
from convcheck.checks.sums import Problem
from convcheck.convention import PADDING_MODES, Convention
from convcheck.engine import convolve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convcheck.checks.identify.samples import Sample
    from convcheck.checks.identify.tally import Confirmed

RNG = np.random.default_rng(61)
DRAWN_FROM = 62


def ints(*shape: int) -> np.ndarray:
    return RNG.integers(-9, 10, shape).astype(float)


# --- the passes ---------------------------------------------------------------------------------


def said(one: Pass) -> str:
    """A pass in words: its judges, then what it is but for the plainest."""
    names = [make.__name__ for make in one.judges]
    flags = [f.name for f in fields(one) if getattr(one, f.name) is True]
    few = {PADDING_MODES: [], PADDING_MODES[1:]: ["beyond"]}
    return " ".join([*names, "|", *flags, *few.get(one.modes, one.modes)])


BORDERED = "bordered | one_channel bordered everywhere constant"
PAIRED = "bordered_scaled bordered_parallel | paired bordered everywhere constant"
ROLLED = "plain | circular wrap"
COARSELY = "coarse_affine"


def over_zeros_first(those: Iterable[str]) -> list[str]:
    """Each with zeros beyond the edge before any with another border, if it has one."""
    known = [one.removesuffix(" constant") for one in those]
    rest = [f"{one} beyond" for one in known if "bordered" not in one]
    return [*(f"{one} constant" for one in known), *rest]


def elaborated(usual: list[str], special: list[str]) -> list[str]:
    """Everywhere, with the channels in any order, and outside; wrapped sums by any scale first."""

    def also(one: str, flag: str) -> str:
        judges_, _, flags = one.partition(" |")
        order = [f.name for f in fields(Pass)]
        known = [f for f in (*flags.split(), flag) if f in order]
        rest = [f for f in flags.split() if f not in order]
        return " ".join([judges_, "|", *sorted(set(known), key=order.index), *rest])

    return [
        *special,
        *(["modular_rare | one_channel"] if len(special) > 1 else []),
        *(also(also(one, "everywhere"), "again") for one in usual),
        *over_zeros_first(also(one, "shuffled") for one in (*usual, *special)),
        *(also(one, "outside") for one in usual),
        *([BEYOND, also(BEYOND, "shuffled")] if len(special) > 1 else []),
    ]


LAST = "affine | wide one_channel"
BEYOND = "modular_bordered | one_channel bordered everywhere constant"
DRAWN = np.random.default_rng(1).standard_normal((1, 4, 9, 9))
WRAPPED_SCALED = "modular_scaled | one_channel"
SEARCHED: dict[str, tuple[np.ndarray, list[str], list[str], bool]] = {
    "doubles": (DRAWN, ["plain |", "affine | one_channel"], [BORDERED], False),
    "singles": (
        DRAWN.astype(np.float32),
        ["plain |", "affine coarse_affine | one_channel"],
        [BORDERED],
        False,
    ),
    "halves": (
        DRAWN.astype(np.float16),
        ["coarse |", "affine coarse_affine | one_channel"],
        [BORDERED],
        False,
    ),
    "singles in doubles, some missing": (
        np.where(DRAWN > 2, np.nan, DRAWN.astype(np.float32).astype(float)),
        ["plain |", "affine coarse_affine | one_channel"],
        [BORDERED],
        False,
    ),
    "bytes": (
        np.arange(324).reshape(1, 4, 9, 9).astype(np.uint8),
        ["plain |", "affine modular | one_channel"],
        [BORDERED, WRAPPED_SCALED],
        False,
    ),
    "whole numbers": (
        np.arange(324.0).reshape(1, 4, 9, 9) % 256,
        ["plain |", "affine modular coarse_affine | one_channel"],
        [BORDERED, WRAPPED_SCALED],
        False,
    ),
    "whole numbers that did not wrap": (
        np.arange(324.0).reshape(1, 4, 9, 9),
        ["plain |", "affine coarse_affine | one_channel"],
        [BORDERED],
        False,
    ),
    "few": (
        DRAWN[..., :2, :2],
        ["plain |", "scaled |", "parallel | paired"],
        [PAIRED],
        True,
    ),
    "few singles": (
        DRAWN[..., :2, :2].astype(np.float32),
        ["plain |", "scaled coarse |", "parallel coarse_parallel | paired"],
        [PAIRED],
        True,
    ),
    "few bytes": (
        np.array([[[[0, 200], [99, 255]]]], np.uint8),
        ["plain |", "between | limits", "scaled |", "parallel | paired", "modular | paired"],
        [PAIRED, "modular_scaled | paired"],
        True,
    ),
}


def with_output(output: np.ndarray) -> Problem:
    return Problem.of(RNG.standard_normal((3, 9, 9)), RNG.standard_normal((4, 3, 3, 3)), output)


@pytest.mark.parametrize("name", SEARCHED)
def test_what_is_searched_from_the_common_to_the_rare(name: str) -> None:
    output, usual, special, few = SEARCHED[name]
    common, rare = passes(with_output(output))
    assert [said(one) for one in common] == [*usual, ROLLED]
    if not few:
        judges_ = usual[1].partition(" |")[0]
        mixed = f"{judges_} | one_channel mixed constant"
        assert [said(one) for one in rare] == [*elaborated(usual, special), LAST, mixed]
        return
    # The judges of few elements look at them together, and at kernels as they are before others.
    assert [said(one) for one in rare if not one.undilated][: len(special)] == special
    assert {"plain scaled | wide", LAST} <= {said(one) for one in rare}
    for flag in ("shuffled", "outside"):
        names = {make.__name__ for one in rare if getattr(one, flag) for make in one.judges}
        assert {"plain", "parallel"} <= names or {"plain", "between"} <= names
        assert ("coarse_parallel" in names) is (name == "few singles")
        assert ("modular" in names) is (name == "few bytes")


def test_complex_outputs_have_no_lines() -> None:
    common, rare = passes(with_output(DRAWN + 1j))
    assert [said(one) for one in common] == ["plain |", ROLLED]
    flags = ("outside", "shuffled", "wide", "mixed constant")
    assert [said(one) for one in rare] == [f"plain | {flag}" for flag in flags]


def test_a_large_picture_is_rolled_last() -> None:
    for side, soon in ((1024, True), (1025, False)):
        output = np.broadcast_to(np.float32(0.5), (1, 3, 1024, side))
        for one in (output, output[0]):
            common, rare = passes(with_output(one))
            assert (said(common[-1]) == ROLLED) is soon
            assert (said(rare[-3]) == ROLLED) is not soon


@pytest.mark.parametrize(
    ("shape", "few"),
    [((1, 4, 6, 6), False), ((1, 4, 6, 5), True), ((1, 1, 6, 24), True), ((24, 2, 1, 12), False)],
)
def test_what_is_few_a_channel(shape: tuple[int, ...], few: bool) -> None:
    """Fewer than 24 elements, whichever axis is the channels'."""
    common, _ = passes(with_output(RNG.standard_normal(shape)))
    assert ("scaled |" in [said(one) for one in common]) is few


def test_which_values_tell() -> None:
    values = np.array([-5.0, 0, 3, np.nan, np.inf])
    usual = [True, True, True, False, False]
    assert telling(np.tile(values, 9).reshape(1, 1, 5, 9))(values).tolist() == usual
    rectified = np.tile([0.0, 2, 3, np.nan], 9).reshape(1, 1, 6, 6)
    assert telling(rectified)(values).tolist() == [False, False, True, False, False]
    assert telling(0 * np.ones((1, 1, 6, 6)))(values).tolist() == usual
    whole = np.array([-128, 5, 127], np.int8)
    assert telling(np.tile(whole, 12).reshape(1, 1, 6, 6))(whole).tolist() == [False, True, False]
    ends = np.tile(whole[[0, 2]], 18).reshape(1, 1, 6, 6)
    assert telling(ends)(whole).tolist() == [True, True, True]


# --- one pass -----------------------------------------------------------------------------------


def a_case(**keys: Any) -> tuple[Convention, list[Reading], np.ndarray]:
    x, w = ints(3, 7, 6), ints(4, 3, 2, 2)
    c = Convention(**keys)
    output = convolve(x, w, c)
    return c, list(readings(x, w, output)), output


def test_a_pass_finds_what_each_of_its_judges_accepts() -> None:
    c, found, _ = a_case(flip=["H"], padding=1)
    both = survey(Pass((judges.plain, judges.affine), one_channel=True), found, math.inf)
    for each in both.found:
        assert c in {f.convention for f in each}
    plain = survey(Pass((judges.plain,)), found, math.inf)
    assert plain.considered > 5_000
    assert c in {f.convention for f in plain.found[0]}
    assert len(plain.found[0]) < 20
    other, found, _ = a_case(channel_order=[1, 2, 0])
    assert not survey(Pass((judges.plain,)), found, math.inf).found[0]
    (shuffled,) = survey(Pass((judges.plain,), shuffled=True), found, math.inf).found
    assert other in {f.convention for f in shuffled}


def test_a_pass_ends_at_its_limit() -> None:
    _, found, _ = a_case()
    every = survey(Pass((judges.plain,)), found, math.inf).considered
    few = survey(Pass((judges.plain,)), found, 100).considered
    assert 100 < few < every
    assert survey(Pass((judges.plain,)), [], math.inf) == stages.Survey(((),), 0)
    small = survey(Pass((judges.correlated,)), found, math.inf, 5)
    assert all(len(each) <= 5 * len(found) for each in small.found)


@pytest.mark.parametrize("kernels", [((3, 3), (1, 2)), ((5, 1), (2, 2)), ((1, 5), (2, 2))], ids=str)
def test_the_smallest_kernels_are_first(kernels: tuple[tuple[int, int], ...]) -> None:
    """A limit that is met by them leaves the others out."""
    x, output = ints(3, 9, 8), ints(3, 9, 8)
    large, small = (
        Reading(Convention(), x[None], ints(3, 3, *kernel), output[None]) for kernel in kernels
    )
    seen: list[tuple[int, ...]] = []

    def listening(samples: Any, reading: Reading) -> Any:
        seen.append(reading.filters.shape[2:])
        return judges.plain(samples, reading)

    survey(Pass((listening,)), [large, small], math.inf)
    assert seen == [*reversed(kernels)]


def test_kernels_are_small_whatever_their_channels() -> None:
    seen: list[tuple[int, ...]] = []

    def listening(samples: Any, reading: Reading) -> Any:
        seen.append(reading.filters.shape)
        return judges.modular(samples[:4], reading)  # too few for it

    output = ints(1, 3, 9, 8)
    nothing = Reading(Convention(), ints(1, 6, 9, 8), ints(3, 6, 1, 1), output * np.nan)
    nothing = replace(nothing, base=Convention(output_layout="HWO"))
    deep, flat = (Reading(Convention(), ints(1, k[1], 9, 8), ints(*k), output) for k in KERNELS)
    survey(Pass((listening,)), [flat, nothing, deep], math.inf)
    assert seen == list(KERNELS)


KERNELS = ((3, 6, 1, 2), (3, 1, 3, 3))


def test_the_samples_of_a_pass() -> None:
    """Of one channel, in pairs, from everywhere; those at a limit where there are too few."""
    drawn: list[list[Sample]] = []

    def listening(samples: list[Sample], reading: Reading) -> Any:
        drawn.append(samples)
        return judges.plain(samples, reading)

    def of(output: np.ndarray, **keys: Any) -> list[Sample]:
        drawn.clear()
        reading = Reading(Convention(), ints(1, 3, 30, 30), ints(4, 3, 3, 3), output)
        survey(Pass((listening,), **keys), [reading], 0)
        return drawn[0] if drawn else []

    output = RNG.standard_normal((1, 4, 28, 28))
    assert len(of(output)) == 60
    assert len({s.index[1] for s in of(output)}) == 4
    assert len({s.index[1] for s in of(output, one_channel=True)}) == 1
    paired = of(output, paired=True)
    paired = paired[: 2 * pairs(paired)]
    assert len(paired) > 50
    assert all(a.index[1] == b.index[1] for a, b in zip(paired[::2], paired[1::2], strict=True))
    assert max(abs(s.index[2] - 14) for s in of(output)) < 8
    assert max(abs(s.index[2] - 14) for s in of(output, everywhere=True)) > 10
    ends = np.where(output[:, :1, :8, :8] > 0, 255, 0).astype(np.uint8)
    for inside in (5, 6):
        few = ends.copy()
        few[0, 0, 4, 1 : 1 + inside] = 100 + np.arange(inside)
        assert (30 < len(of(few)) <= 60) is (inside == 5)
        assert {100, 104} <= {s.value for s in of(few)}
    assert len(of(few.astype(float))) > 30
    assert of(np.full((1, 4, 28, 28), np.nan)) == []


def test_readings_of_one_output_layout_share_their_samples() -> None:
    _, found, output = a_case()
    drawn: list[list[Sample]] = []

    def listening(samples: list[Sample], reading: Reading) -> Any:
        drawn.append(samples)
        return judges.plain(samples, reading)

    survey(Pass((listening,)), [found[0], found[0]], math.inf)
    assert drawn[0] is drawn[1]
    assert {s.value for s in drawn[0]} <= set(output.ravel().tolist())


# --- enough -------------------------------------------------------------------------------------


def near(
    given: int, telling_: int, bits: float, misses: int, usable: int, **keys: Any
) -> Confirmed:
    x, w = ints(3, 9, 8), ints(4, 3, 3, 2)
    fit = judged(Problem.of(x, w, convolve(x, w)), Convention(), convolve(x, w)[None])
    tally = replace(
        fit.tally,
        given=given,
        telling=telling_,
        misses=misses,
        wrong=tuple(np.ones(n, bool) for n in (1, 4, 7, 7)) if misses else (),
        comparison=replace(fit.tally.comparison, total=usable),
    )
    return replace(fit, tally=tally, bits=bits, convention=Convention(**keys))


def test_what_is_near_and_not_by_luck() -> None:
    assert is_near(near(50, 100, 9.0, 50, 100), 1000)
    assert not is_near(near(49, 100, 9.0, 51, 100), 1000)
    assert not is_near(near(49, 99, 9.0, 50, 99), 1000)
    assert not is_near(near(49, 100, 9.0, 50, 100), 1000)
    # Four elements at least, beside those that its own numbers were solved from.
    assert is_near(near(4, 4, 99.0, 0, 4), 1)
    assert not is_near(near(3, 3, 99.0, 0, 3), 1)
    assert not is_near(near(4, 4, 99.0, 0, 4, scale=0.5), 1)
    assert is_near(near(5, 5, 99.0, 0, 5, scale=0.5), 1)
    assert not is_near(near(6, 6, 99.0, 0, 6, bias=(1, 2, 3)), 1)
    assert is_near(near(7, 7, 99.0, 0, 7, bias=(1, 2, 3)), 1)
    assert not is_near(near(7, 7, 99.0, 0, 7, scale=2, bias=(1, 2, 3)), 1)
    # Or half of the channels, whatever share of the numbers they have.
    few = near(20, 100, 99.0, 80, 100)
    for channels, found in ((2, True), (3, False)):
        marks = (*few.tally.wrong[:1], np.arange(4) < channels, *few.tally.wrong[2:])
        assert is_near(replace(few, tally=replace(few.tally, wrong=marks)), 1) is found


@pytest.mark.parametrize("hypotheses", [0, 1, 1 << 20])
@pytest.mark.parametrize(("given", "of"), [(10, 10), (10, 16), (30, 40)])
def test_luck_is_counted_in_bits(hypotheses: int, given: int, of: int) -> None:
    """As many as the hypotheses, and the ways to choose the elements, and ten."""
    luck = math.log2(max(hypotheses, 1)) + math.log2(math.comb(of, given)) + 10
    for bits, found in ((1.001 * luck / given, True), (0.999 * luck / given, False)):
        assert is_near(near(given, of, bits, of - given, of), hypotheses) is found


@pytest.mark.parametrize(("damaged", "closest"), [(0, False), (57, False), (58, True)])
def test_a_search_ends_at_what_gives_nine_tenths(damaged: int, closest: bool) -> None:
    x, w, c = ints(1, 25, 24), ints(1, 1, 2, 1), Convention(padding=((0, 0), (0, 0)))
    output = convolve(x, w, c)
    assert output.size == 576
    output.flat[: 9 * damaged : 9] += 1000
    seen = explore(Problem.of(x, w, output), list(readings(x, w, output)), mute=False)
    assert (seen.closest is not None) is closest
    assert seen.early is seen.crowded is False
    best = min(seen.fits, key=lambda fit: fit.misses)
    assert (best.convention.padding, best.misses) == (c.padding, damaged)
    assert seen.hypotheses > 1000


def test_a_search_that_is_long_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    _, found, output = a_case()
    x, w = found[0].image[0], found[0].filters
    drawn = 50 * RNG.standard_normal(output.shape)
    monkeypatch.setattr(exploration, "ENOUGH", 20_000)
    seen = explore(Problem.of(x, w, drawn), list(readings(x, w, drawn)), mute=False)
    assert seen.early
    assert 20_000 <= seen.hypotheses < 100_000
    assert not any(is_near(fit, seen.hypotheses) for fit in seen.fits)
    seen = explore(Problem.of(x, w, output), found, mute=False)
    assert not seen.early


def test_more_that_fit_than_are_looked_at_are_a_crowd() -> None:
    x, w = ints(3, 9, 8), np.ones((4, 3, 3, 2))
    x[:] = x[:1, :1, :1]
    output = convolve(x, w)
    found = list(readings(x, w, output))
    seen = explore(Problem.of(x, w, output), found, mute=True)
    assert seen.crowded
    assert sum(not fit.misses for fit in seen.fits) == 48
    assert seen.closest is None
