"""When a search goes on and when it has enough, by passes whose findings are written down here."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_identify_stages import near

from convcheck.checks.identify import exploration, identify, judges
from convcheck.checks.identify.classes import complexity
from convcheck.checks.identify.exploration import Exploration, explore, is_near
from convcheck.checks.identify.fit import judged
from convcheck.checks.identify.readings import readings
from convcheck.checks.identify.search import CROWD, Found
from convcheck.checks.identify.stages import MANY, Pass, Survey
from convcheck.checks.sums import Problem
from convcheck.convention import Convention
from convcheck.engine import convolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convcheck.checks.identify.readings import Reading

COMMON, RARE = Pass((judges.plain,)), Pass((judges.affine,))
DRAWN = np.random.default_rng(65).integers(-9, 10, 9999).astype(float)
X, W = DRAWN[:420].reshape(1, 21, 20), DRAWN[420:432].reshape(2, 1, 2, 3)
TRUE = Convention(flip=("H",))
OUTPUT = convolve(X, W, TRUE)
ALIKE = 9.0
Findings = dict[Convention, float] | list[tuple[Convention, float]]


class Script:
    """Passes that find what they are told to, and what was asked of them."""

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        *passes: tuple[Pass, Sequence[Findings]],
        closest: Convention | None = None,
        alone: tuple[Convention, float] | None = None,
    ) -> None:
        self.asked: list[tuple[Pass, float, int]] = []
        self.confirmed: list[Convention] = []
        self.findings, self.closest, self.alone = dict(passes), closest, alone
        listed = [*self.findings]
        patch.setattr(exploration, "passes", lambda problem: (listed[:1], listed[1:]))
        for name in ("survey", "confirm", "nearest"):
            patch.setattr(exploration, name, getattr(self, name))

    def survey(
        self,
        one: Pass,
        found: Sequence[Reading],
        limit: float,
        crowd: int,
        tell: Callable[[int], None],
    ) -> Survey:
        self.asked.append((one, limit, crowd))
        tell(9)
        tell(999)
        each = self.findings[one]
        listed = (f.items() if isinstance(f, dict) else f for f in each)
        return Survey(tuple(tuple(Found(found[0], *item) for item in f) for f in listed), 999)

    def confirm(self, problem: Problem, convention: Convention, output: np.ndarray) -> Any:
        self.confirmed.append(convention)
        return judged(problem, convention, output)

    def nearest(self, found: Sequence[Reading], *, first_image: bool = False) -> Found | None:
        if first_image:
            return self.alone and Found(found[0], *self.alone)
        return self.closest and Found(found[0], self.closest, 0.9)


def searched(
    output: np.ndarray,
    x: np.ndarray = X,
    w: np.ndarray = W,
    *,
    mute: bool = False,
    progress: Any = None,
) -> Exploration:
    plain = Convention()
    found = [
        reading
        for reading in readings(x, w, output)
        if reading.base == plain.replace(groups=reading.base.groups)
    ]
    assert len(found) == 1
    return explore(Problem.of(x, w, output, progress), found, mute=mute)


def damaged(output: np.ndarray, count: int) -> np.ndarray:
    """The same with so many elements wrong, each by a number of its own."""
    output = output.copy()
    output.ravel()[: 3 * count : 3] += 1000 + DRAWN[:count]
    return output


# --- pass after pass ----------------------------------------------------------------------------


def test_each_pass_may_look_at_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(monkeypatch, (COMMON, [{}]), (RARE, [{}]), closest=TRUE.replace(flip=()))
    seen = searched(OUTPUT)
    every = exploration.ENOUGH
    assert script.asked == [(COMMON, every, CROWD), (RARE, every - 999, CROWD)]
    assert (seen.hypotheses, seen.early, seen.crowded) == (1998, False, False)
    assert seen.closest is not None
    script.asked.clear()
    seen = searched(OUTPUT, mute=True)
    assert [crowd for _, _, crowd in script.asked] == [4 * MANY, 4 * MANY]
    assert (seen.closest, seen.fits, seen.crowded) == (None, [], False)


def test_what_says_nothing_is_not_searched_for_what_is_rare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The plainest conventions are named, and no window is sought that meets nothing at all."""
    script = Script(monkeypatch, (COMMON, [{}]), (RARE, [{}]))
    seen = searched(0 * OUTPUT, mute=True)
    assert [one for one, _, _ in script.asked] == [COMMON]
    assert seen.crowded
    assert {fit.misses for fit in seen.fits} == {0}
    assert {fit.convention.scale for fit in seen.fits} == {0.0}
    assert searched(0 * OUTPUT).fits == []
    assert [one for one, _, _ in script.asked] == [COMMON, COMMON, RARE]


def test_progress_is_told_of_all_passes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    Script(monkeypatch, (COMMON, [{}]), (RARE, [{}]))
    told: list[tuple[int, int]] = []
    searched(OUTPUT, progress=SimpleNamespace(searched=lambda *counts: told.append(counts)))
    assert told == [(n, exploration.ENOUGH) for n in (9, 999, 999 + 9, 999 + 999)]


def test_who_interrupts_a_search_is_told_how_far_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    Script(monkeypatch, (COMMON, [{}]), (RARE, [{}]))

    def impatient(considered: int, most: int) -> None:
        if considered > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"^partial: 1,008 conventions .*none .* gives OUT"):
        searched(OUTPUT, progress=SimpleNamespace(searched=impatient))


@pytest.mark.parametrize(("enough", "early"), [(999, True), (1000, False)])
def test_no_pass_is_begun_after_enough(
    enough: int, early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(monkeypatch, (COMMON, [{}]), (RARE, [{}]))
    monkeypatch.setattr(exploration, "ENOUGH", enough)
    assert searched(OUTPUT).early is early
    assert len(script.asked) == (1 if early else 2)


@pytest.mark.parametrize(
    ("rows", "wrong", "passes"),
    [
        (20, 0, 1),
        (20, 72, 1),  # of 720
        (20, 200, 1),  # near enough, though what correlates best was looked for
        (20, 240, 1),
        (3, 0, 1),
        (3, 1, 2),  # of so few elements a wrong convention may give the others
    ],
)
def test_what_is_near_ends_a_search_unless_there_are_few_elements(
    rows: int, wrong: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = damaged(OUTPUT[:, :rows], wrong)
    script = Script(monkeypatch, (COMMON, [{TRUE: ALIKE}]), (RARE, [{}]))
    seen = searched(output, X[:, : rows + 1])
    assert len(script.asked) == passes
    assert [fit.misses for fit in seen.fits] == [wrong]
    assert is_near(seen.fits[0], 999)


def test_what_correlates_best_may_be_right(monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in (3, 20):
        script = Script(monkeypatch, (COMMON, [{}]), (RARE, [{}]), closest=TRUE)
        seen = searched(OUTPUT[:, :rows], X[:, : rows + 1])
        assert (script.asked[1:], script.confirmed) == ([], [TRUE])
        assert [fit.misses for fit in seen.fits] == [0]


def test_what_correlates_best_is_asked_for_however_large_the_space(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A space that is not searched to its end has a nearest miss too, and that may be right."""
    monkeypatch.setattr(exploration, "ENOUGH", 500)
    script = Script(monkeypatch, (COMMON, [{}]), (RARE, [{}]), closest=TRUE)
    monkeypatch.setattr(exploration, "passes", lambda problem: ([COMMON, RARE], []))
    seen = searched(OUTPUT)
    assert (len(script.asked), script.confirmed, seen.early) == (1, [TRUE], True)
    assert [fit.misses for fit in seen.fits] == [0]
    seen = searched(OUTPUT[:, ::-1])
    assert seen.early
    assert seen.closest is not None
    assert seen.closest.convention == TRUE


@pytest.mark.parametrize("closest", [None, Convention(flip=("W",))])
@pytest.mark.parametrize(("votes", "first"), [(0.9995, True), (0.999, True), (0.9985, False)])
def test_what_gives_the_first_image_comes_before_what_correlates_best(
    votes: float, first: bool, closest: Convention | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(monkeypatch, (COMMON, [{}]), (RARE, [{}]), closest=closest, alone=(TRUE, votes))
    seen = searched(damaged(OUTPUT, 200))
    asked = [c for c, on in ((TRUE, first), (closest, closest is not None)) if on]
    assert sorted(map(str, script.confirmed)) == sorted(map(str, asked))
    assert (seen.closest and seen.closest.convention) == next(iter(asked), None)


# --- what of a pass is confirmed ----------------------------------------------------------------


def test_what_the_first_judge_found_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are asked only where nothing of it fits."""
    other = Convention()
    script = Script(monkeypatch, (COMMON, [{TRUE: ALIKE}, {other: ALIKE}]))
    searched(OUTPUT)
    assert script.confirmed == [TRUE]
    script = Script(monkeypatch, (COMMON, [{other: ALIKE}, {TRUE: ALIKE}]))
    seen = searched(OUTPUT)
    assert script.confirmed == [other, TRUE]
    assert [fit.misses > 0 for fit in seen.fits] == [True, False]


def test_what_is_outside_must_be_near(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Convention()
    for one, count in ((RARE, 2), (Pass((judges.plain,), outside=True), 1)):
        Script(monkeypatch, (COMMON, [{}]), (one, [{other: ALIKE, TRUE: ALIKE}]))
        assert len(searched(OUTPUT).fits) == count


def test_what_is_found_undilated_is_sought_dilated_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel of which only the middle row is not zero gives the same at every dilation."""
    x, w = DRAWN[:420].reshape(1, 21, 20), np.zeros((2, 1, 3, 3))
    w[:, :, 1] = DRAWN[:6].reshape(2, 1, 3)
    one, far = Convention(), Convention(dilation=(2, 1), padding=((1, 1), (0, 0)))
    usual = replace(RARE, undilated=True)
    passes = (COMMON, [{}]), (usual, [{one: 9}]), (RARE, [{one: 9, far: 9}])
    script = Script(monkeypatch, *passes)
    seen = searched(convolve(x, w, one), x, w)
    assert [asked for asked, _, _ in script.asked] == [COMMON, usual, RARE]
    assert {fit.convention for fit in seen.fits if not fit.misses} == {one, far}
    assert seen.hypotheses == 3 * 999


def test_what_is_found_undilated_must_be_near(monkeypatch: pytest.MonkeyPatch) -> None:
    other, usual = Convention(), replace(RARE, undilated=True)
    Script(monkeypatch, (COMMON, [{}]), (usual, [{other: ALIKE, TRUE: ALIKE}]), (RARE, [{}]))
    assert [fit.convention.flip for fit in searched(OUTPUT).fits] == [TRUE.flip]


def test_nothing_is_confirmed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Convention()
    script = Script(
        monkeypatch, (COMMON, [{other: ALIKE}] * 2), (RARE, [{other: ALIKE}]), closest=other
    )
    seen = searched(OUTPUT)
    assert script.confirmed == [other]
    assert len(seen.fits) == 4


STEPS = sorted(
    (Convention(padding=((p, -p), (q, -q))) for p, q in product(range(-3, 4), repeat=2)),
    key=complexity,
)


@pytest.mark.parametrize(
    ("count", "more", "crowded"), [(48, 0, False), (49, 0, True), (49, -1, False), (49, 1, False)]
)
def test_a_crowd_is_more_that_fit_as_well(
    count: int, more: int, crowded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What gives more of the samples is looked at first, then what is plain."""
    found = dict.fromkeys(reversed(STEPS[:count]), ALIKE)
    found[STEPS[count - 1]] += more
    monkeypatch.setattr(exploration, "signature", lambda convention, reading: (convention,))
    script = Script(monkeypatch, (COMMON, [found]))
    seen = searched(convolve(X[:, :, :9], W), X[:, :, :9])
    assert seen.crowded is crowded
    assert len(seen.fits) == MANY
    last = [STEPS[48]] if more > 0 else []
    assert script.confirmed == [*last, *STEPS[: MANY - len(last)]]


@pytest.mark.parametrize(("more", "looked_at"), [(47, True), (48, False)])
def test_of_very_many_those_that_give_the_most_are_looked_at(
    more: int, looked_at: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However alike they are."""
    found = [(STEPS[0], ALIKE)] * (15 * MANY + more) + [(STEPS[1], ALIKE - 1), (TRUE, ALIKE - 1)]
    script = Script(monkeypatch, (COMMON, [found]))
    searched(OUTPUT)
    assert script.confirmed == [STEPS[0], *([STEPS[1], TRUE] if looked_at else [])]


def test_a_convention_has_its_most_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    flipped, both = (Convention(flip=flip) for flip in (("W",), ("H", "W")))
    found = [(flipped, 5.0), (flipped, 9.0), (flipped, 4.0), (both, 6.0), (Convention(), 8.0)]
    script = Script(monkeypatch, (COMMON, [found]))
    searched(OUTPUT)
    assert script.confirmed == [flipped, Convention(), both]


def test_of_what_is_alike_the_plainest_is_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An axis that kernels have but once is reversed or not."""
    found = [(Convention(flip=("W",)), ALIKE), (Convention(), ALIKE)]
    script = Script(monkeypatch, (COMMON, [found]))
    searched(convolve(X, W[..., :1]), w=W[..., :1])
    assert script.confirmed == [Convention()]


# --- other orders of the channels ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "groups", "wrong", "orders"),
    [(4, 2, (0, 1, 3, 2), 24), (4, 1, (0, 1, 3, 2), 24), (5, 5, (0, 1, 2, 4, 3), 0)],
)
def test_some_outputs_may_be_right_already(
    channels: int,
    groups: int,
    wrong: tuple[int, ...],
    orders: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then every order of a few channels is tried; the one that gives all of it is found."""
    inputs = channels // groups
    x = DRAWN[: channels * 420].reshape(channels, 21, 20)
    w = DRAWN[5000 : 5000 + 4 * channels * inputs].reshape(channels, inputs, 2, 2).copy()
    if groups == 1:
        w[:2, 3] = w[:2, 2]  # these filters do not tell the two channels apart
    grouped = Convention(groups=groups)
    c = grouped.replace(channel_order=wrong)
    output = convolve(x, w, c)
    script = Script(monkeypatch, (COMMON, [{grouped: ALIKE}]), (RARE, [{}]))
    seen = searched(output, x, w)
    assert len(script.asked) == 1
    assert len(script.confirmed) == 1 + orders
    assert [fit.convention for fit in seen.fits] == [grouped, c][: 2 if orders else 1]
    assert [bool(fit.misses) for fit in seen.fits] == [True, False][: 2 if orders else 1]


def test_there_is_no_other_order_of_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = DRAWN[:1680].reshape(4, 21, 20), DRAWN[5000:5032].reshape(4, 2, 2, 2)
    grouped = Convention(groups=2)
    script = Script(monkeypatch, (COMMON, [{}]), (RARE, [{}]), closest=grouped)
    searched(convolve(x, w, grouped), x, w)
    assert script.confirmed == [grouped]


# --- near ---------------------------------------------------------------------------------------


def test_half_of_all_elements_must_be_right() -> None:
    """Not only half of those that tell."""
    assert is_near(near(50, 100, 9.0, 100, 200), 1000)
    assert not is_near(near(50, 100, 9.0, 101, 200), 1000)


def test_as_many_bits_as_luck_has_are_enough() -> None:
    assert is_near(near(10, 10, 1.0, 0, 10), 1)
    # An element that a number was solved from says nothing.
    assert not is_near(near(10, 10, 1.0, 0, 10, scale=0.5), 1)
    assert is_near(near(11, 11, 1.0, 0, 11, scale=0.5), 1)


@pytest.mark.parametrize("outputs", [4, 20])  # a quarter is wrong in the plain order, or less
def test_filters_that_do_not_read_every_channel(outputs: int) -> None:
    rng = np.random.default_rng(outputs)
    image = rng.integers(-9, 10, (3, 12, 13))
    filters = rng.integers(-9, 10, (outputs, 3, 2, 3))
    filters[:-1, :2] = 0
    truth = Convention(channel_order=(1, 0, 2))
    found = identify(image, filters, convolve(image, filters, truth))
    assert [c.convention for c in found.candidates] == [truth]
    assert found.verdict == "identified"
