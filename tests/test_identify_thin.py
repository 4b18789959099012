"""Some rows and columns of an output: which they are, and how much is held at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convcheck.checks.identify import thin as module
from convcheck.checks.identify.thin import Thin, same_sums, some_places
from convcheck.checks.sums import Problem
from convcheck.convention import Convention
from convcheck.engine import convolve

RNG = np.random.default_rng(29)
NCHW = Convention(image_layout="NCHW", output_layout="NOHW")


def ints(*shape: int) -> np.ndarray:
    return RNG.integers(-9, 10, shape).astype(float)


def thin(shape: tuple[int, ...], taps: int = 1, **keys: Any) -> Thin:
    """A part of an output of any shape, which is never made."""
    arrays = np.ones((1, 1, 1, taps)), np.ones((shape[1], 1, 1, taps)), np.ones((1, 1, 1, 1))
    return Thin(Problem.of(*arrays), NCHW, shape, **keys)


def test_three_at_either_end_and_ten_between_are_looked_at() -> None:
    for places in some_places((1, 1, 100, 99)):
        size = int(places[-1]) + 1
        assert len(places) == 16
        assert places[:3].tolist() == [0, 1, 2]
        assert places[-3:].tolist() == [size - 3, size - 2, size - 1]
        assert (places[3], places[-4]) > (3, 3)
    assert [len(places) for places in some_places((1, 1, 15, 14))] == [15, 14]
    assert [len(places) for places in some_places((1, 1, 3, 4), 1, 1)] == [3, 3]


def test_a_part_is_worth_while_that_is_an_eighth_and_can_be_held() -> None:
    def worth(shape: tuple[int, ...], rows: int, columns: int, taps: int = 1) -> bool:
        places = np.arange(rows), np.arange(columns)
        return thin(shape, taps, places=places, batch=[0, 1]).worth_while

    # 2 images x 2 rows x 3 columns x 4 channels are 48.
    assert worth((5, 4, 7, 11), 2, 3)
    assert not worth((4, 4, 8, 3), 2, 3)
    assert not worth((8, 4, 12, 1), 2, 3)
    assert worth((7, 4, 14, 1), 2, 3) is (7 * 4 * 14 > 8 * 48)
    huge = (64, 1, 9000, 9000)
    assert worth(huge, 1024, 1024, 4)
    assert not worth(huge, 1024, 1025, 4)


@pytest.mark.parametrize(
    ("channels", "side", "inner", "most"),
    [(1, 724, 30, 181), (100, 72, 18, 18), (1700, 17, 10, 10)],
)
def test_a_part_grows_by_what_is_furthest_off(
    channels: int, side: int, inner: int, most: int
) -> None:
    """What it grows by and where it stops follows from how many channels it has."""
    shape = (9, channels, 4000, 5000)
    base = [set(places.tolist()) for places in some_places(shape, inner=inner)]
    few = thin(shape, batch=[0])
    wider = few.wider(None)
    assert wider.batch == [0]
    for old, new, some in zip(few.places, wider.places, base, strict=True):
        both = some | set(old.tolist())
        assert set(new.tolist()) == (both if len(both) <= side else some)
    # Off by 0.5 and less and less, the last two by nothing.
    furthest = np.zeros((101, 2, 4))
    flat = furthest.reshape(-1, 4)
    flat[:200, 0] = (200 - np.arange(200)) / 400
    flat[:, 1] = 1 + np.arange(202) % 4
    flat[:, 2] = 1000 + 2 * np.arange(202)
    flat[:, 3] = 2000 + 3 * np.arange(202)
    order = RNG.permutation(202)
    wider = few.wider(flat[order].reshape(furthest.shape))
    assert wider.batch == [0, 1, 2]
    for axis, (old, new) in enumerate(zip(few.places, wider.places, strict=True)):
        both = base[axis] | set(flat[:most, 2 + axis].astype(int).tolist())
        every = both | set(old.tolist())
        assert set(new.tolist()) == (every if len(every) <= side else both)
    # What is not off does not count, where less is off than there is room for.
    flat[3:, 0] = 0
    wider = few.wider(flat[order].reshape(furthest.shape))
    for axis, (old, new) in enumerate(zip(few.places, wider.places, strict=True)):
        both = base[axis] | set(flat[:3, 2 + axis].astype(int).tolist())
        every = both | set(old.tolist())
        assert set(new.tolist()) == (every if len(every) <= side else both)


def test_a_part_keeps_what_it_had_while_there_is_room() -> None:
    """17 rows and columns of 1700 channels: the 16 that it begins with, and one more."""
    shape = (9, 1700, 4000, 5000)
    base = some_places(shape)
    spare = [np.setdiff1d(np.arange(99), places) for places in base]
    one = thin(shape, places=(spare[0][:1], spare[1][:2]), batch=[0]).wider(None)
    assert set(one.places[0].tolist()) == {*base[0].tolist(), int(spare[0][0])}
    assert np.array_equal(one.places[1], base[1])
    # Of three images there is room for less than half as much.
    few = thin((9, 600, 4000, 5000), places=(spare[0][:1], spare[1][:2]), batch=[0, 4, 8])
    assert [len(places) for places in few.wider(None).places] == [17, 16]


def test_a_part_has_eight_images_at_most() -> None:
    furthest = np.array([[[3.0, 11, 5, 5], [2.0, 10, 5, 5]], [[1.0, 9, 5, 5], [0, 0, 0, 0]]])
    shape = (20, 2, 400, 500)
    assert thin(shape, batch=[1, 2, 3]).wider(furthest).batch == [1, 2, 3, 10, 11]
    assert thin(shape, batch=[*range(1, 8)]).wider(furthest).batch == [*range(1, 8), 10]
    assert thin(shape).batch == [0, 10, 19]


@pytest.mark.parametrize("room", [1, 700, 1000, 1 << 23])
def test_no_more_windows_are_held_than_there_is_room_for(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, w = ints(3, 4, 20, 21), ints(6, 2, 3, 2)
    c = NCHW.replace(padding=1, groups=2, stride=(2, 1))
    y = convolve(x, w, c)
    held: list[tuple[int, ...]] = []
    tensordot = np.tensordot

    def watched(bank: np.ndarray, windows: np.ndarray, **keys: Any) -> np.ndarray:
        held.append(windows.shape)
        return tensordot(bank, windows, **keys)

    monkeypatch.setattr(module, "ROOM", room)
    monkeypatch.setattr(np, "tensordot", watched)
    places = np.arange(y.shape[2]), np.arange(0, y.shape[3], 2)
    part = Thin(Problem.of(x, w, y), c, y.shape, places=places, batch=[0, 2])
    assert np.array_equal(part.values, y[::2, :, :, ::2])
    sizes = [int(np.prod(shape)) for shape in held]
    row = sizes[0] // held[0][2]
    assert max(sizes) <= max(room, row)
    assert held[0][2] == y.shape[2] or max(sizes) + row > room


def test_filters_of_zeros_give_the_same_sums_whatever_is_done() -> None:
    x, w = ints(2, 9, 9), np.zeros((3, 2, 2, 2))
    problem = Problem.of(x, w, convolve(x, w))
    others = [Convention(flip=["H"]), Convention(channel_order=[1, 0]), Convention(padding=1)]
    assert list(same_sums(problem, Convention(), others)) == others[:2]
