"""Which sums a search looks at, and when it ends."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convcheck.checks.identify import block, search
from convcheck.checks.identify.axes import axis_options
from convcheck.checks.identify.block import Block, Judge
from convcheck.checks.identify.readings import Reading, readings
from convcheck.checks.identify.samples import Sample
from convcheck.checks.identify.search import Channels, Search, channel_options
from convcheck.convention import PADDING_MODES, Convention
from convcheck.engine import convolve

if TYPE_CHECKING:
    from collections.abc import Mapping

RNG = np.random.default_rng(51)
DRAWN_FROM = 52


def ints(*shape: int, high: int = 9) -> np.ndarray:
    return RNG.integers(-high, high + 1, shape).astype(float)


class Listening:
    """A judge that accepts some of what it is shown, and remembers all of it."""

    def __init__(self, count: int, first: tuple[int, ...], share: float) -> None:
        self.shown: list[np.ndarray] = []
        self.drawn = np.random.default_rng(7)
        self.share, self.quickly, self.at = share, 0, 0
        self.last: dict[int, list[float]] = {s: [] for s in first}
        self.judge = Judge(first, count, self.quick, self.votes, exact=True)

    def quick(self, values: Mapping[int, np.ndarray]) -> np.ndarray:
        alive = self.drawn.random(next(iter(values.values())).shape) < self.share
        for s, v in values.items():
            self.last[s].extend(v.ravel()[np.flatnonzero(alive)])
        self.quickly += alive.size
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


def test_a_square_kernel_is_looked_at_both_ways_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its taps are few enough: windows are the same then, and looked for once."""
    image, bank = ints(1, 2, 3, 4), ints(3, 2, 2, 2)
    rolled = Convention(padding=1, padding_mode="wrap", image_layout="NCHW", output_layout="NOHW")
    output = convolve(image, bank, rolled)[:, :, 1:, 1:]
    reading = next(r for r in readings(image, bank, output) if r.base.filter_layout == "OIHW")
    places = [(0, 0, 1, 1), (0, 1, 0, 2)]
    options: list[int] = []
    made = Block.__init__

    def init(one: Block, *given: Any) -> None:
        options.append(given[2].shape[1])
        made(one, *given)

    monkeypatch.setattr(Block, "__init__", init)
    found = []
    taps = 2 * 2 * 2 * 2 * 2  # of two samples, in two orders of two channels
    for most, together in ((taps, 4), (taps - 1, 2)):
        monkeypatch.setattr(search, "BANK", most)
        found.append({c: tuple(v) for c, v in looked_at(reading, places, **KEYS["rolled"])})
        assert {*options} == {together}
        options.clear()
    assert found[0] == found[1]
    assert {c.kernel_transposed for c in found[0]} == {False, True}


@pytest.mark.parametrize(
    ("name", "some"), [("plain", True), ("one tap", False), ("few", True), ("wide", True)]
)
def test_undilated_kernels_alone(name: str, some: bool) -> None:
    """None where no kernel can be dilated: then these are all that there are."""
    reading, _, _ = problem(name)
    places = [(0, 0, 0, 0), (0, 0, 1, 1)]
    undilated = [c for c, _ in looked_at(reading, places, undilated=True)]
    every = [c for c, _ in looked_at(reading, places)]
    assert undilated == [c for c in every if c.dilation == (1, 1)] * some
    assert bool(undilated) is some


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


def found_of(image: tuple[int, ...], filters: tuple[int, ...], c: Convention, **keys: Any) -> Any:
    """What is looked at of an output that a convention gave, the modes told apart."""
    x, w = ints(*image), ints(*filters)
    c = c.replace(image_layout="NCHW", output_layout="NOHW")
    output = convolve(x, w, c)
    (reading,) = (r for r in readings(x, w, output) if r.base.filter_layout == "OIHW")
    last = (0, 0, output.shape[2] - 1, output.shape[3] - 1)
    found = [c for c, _ in looked_at(reading, [(0, 0, 0, 0), last], **keys)]
    assert len(set(found)) == len(found)
    return found


def test_windows_inside_the_image_are_no_question_of_its_border() -> None:
    """Neither of what constant is beyond it, nor of how it is continued."""
    sizes = ((1, 1, 5, 6), (1, 1, 2, 3))
    plain = found_of(*sizes, Convention())
    over = [c for c in plain if max(map(max, c.padding)) > 0]
    assert 0 < len(over) < len(plain)
    once = {c for c in over if max(c.input_dilation) == 1}
    bordered = found_of(*sizes, Convention(), bordered=True)
    assert set(bordered) == once
    every = found_of(*sizes, Convention(), modes=("constant", "edge"))
    assert {c for c in every if c.padding_mode == "constant"} == set(plain)
    assert {c.replace(padding_mode="constant") for c in every if c.padding_mode == "edge"} == once
    # Nor where no constant is tried.
    alone = found_of(*sizes, Convention(), modes=("edge",))
    assert {c.replace(padding_mode="constant") for c in alone} == once


@pytest.mark.parametrize("gap", [(1, 3), (3, 1), (3, 3)])
def test_no_border_is_repeated_where_zeros_must_lie_between_the_samples(
    gap: tuple[int, int],
) -> None:
    """The output is too large for an image that is not spread out."""
    made = Convention(input_dilation=gap)
    found = found_of((1, 1, 4, 5), (1, 1, 1, 1), made, modes=PADDING_MODES)
    assert made in [c.replace(image_layout="CHW", output_layout="OHW") for c in found]
    assert {c.padding_mode for c in found} == {"constant"}
    edge = found_of((1, 1, 4, 5), (1, 1, 1, 1), made, modes=("edge", "wrap"))
    assert edge == []


def test_a_kernel_that_fits_transposed_alone() -> None:
    """One row gives five by a kernel of five rows, by no other."""
    made = Convention(kernel_transposed=True, padding=((4, 4), (0, 0)))
    found = found_of((1, 1, 1, 6), (1, 1, 1, 5), made)
    assert made in [c.replace(image_layout="CHW", output_layout="OHW") for c in found]
    assert all(c.kernel_transposed for c in found)


def test_a_crowd_is_4096() -> None:
    """So many survivors are found, and no more are looked for."""
    reading, _, _ = problem("plain")

    def all_fit(values: Any) -> np.ndarray:
        return np.ones(values[0].shape)

    yes = Judge((0,), 1, lambda values: all_fit(values) > 0, all_fit)
    one = Search(reading, [Sample((0, 0, 3, 2), 0.0)], modes=PADDING_MODES)
    assert [len(f) for f in one.run([yes])] == [4096]


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
