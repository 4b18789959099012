"""The passes for outputs of few elements and of few bits, and which samples a pass looks at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_identify_stages import PAIRED, ROLLED, said

from convcheck.checks.identify import judges
from convcheck.checks.identify.readings import Reading
from convcheck.checks.identify.stages import Pass, passes, survey, telling
from convcheck.checks.sums import Problem
from convcheck.convention import Convention

if TYPE_CHECKING:
    from convcheck.checks.identify.samples import Sample

RNG = np.random.default_rng(63)
DRAWN_FROM = 64
DRAWN = np.random.default_rng(2).standard_normal((1, 4, 9, 9))


def of_bits(output: np.ndarray, image: Any = DRAWN[0], filters: Any = DRAWN) -> Problem:
    return Problem.of(image, filters, output)


# --- outputs of few elements --------------------------------------------------------------------

SPECIAL = "bordered_scaled bordered_parallel | paired shuffled bordered everywhere constant"
LAST = "affine | wide one_channel"
BEYOND = "modular_bordered | one_channel bordered everywhere constant"
BEYOND_SHUFFLED = "modular_bordered | one_channel shuffled bordered everywhere constant"
WIDE = "plain scaled | wide"
MIXED = "plain scaled parallel | paired mixed constant"
FEW: dict[str, tuple[np.ndarray, list[str]]] = {
    "doubles": (
        DRAWN[..., :2, :2],
        [
            PAIRED,
            "plain | everywhere again",
            "scaled | everywhere again",
            "parallel | paired everywhere again",
            "plain scaled parallel | paired shuffled constant",
            SPECIAL,
            "plain scaled parallel | paired shuffled beyond",
            "plain scaled parallel | paired outside",
            WIDE,
            LAST,
            MIXED,
        ],
    ),
    "singles": (
        DRAWN[..., :2, :2].astype(np.float32),
        [
            PAIRED,
            "plain | everywhere again",
            "scaled coarse | everywhere again",
            "parallel coarse_parallel | paired everywhere again",
            "plain scaled parallel | paired shuffled constant",
            SPECIAL,
            "plain scaled parallel | paired shuffled beyond",
            "plain scaled parallel | paired outside",
            WIDE,
            "coarse coarse_parallel | paired outside",
            "coarse coarse_parallel | paired shuffled constant",
            "coarse coarse_parallel | paired shuffled beyond",
            LAST,
            MIXED,
        ],
    ),
    "bytes": (
        np.array([[[[0, 200], [99, 255]]]], np.uint8),
        [
            PAIRED,
            "modular_scaled | paired",
            "plain | everywhere again",
            "between | everywhere again limits",
            "scaled | everywhere again",
            "parallel | paired everywhere again",
            "modular | paired everywhere again",
            "plain between | paired shuffled limits constant",
            "modular | paired shuffled constant",
            SPECIAL,
            "modular_scaled | paired shuffled constant",
            "plain between | paired shuffled limits beyond",
            "modular | paired shuffled beyond",
            "modular_scaled | paired shuffled beyond",
            "plain scaled parallel | paired outside",
            "modular | paired outside",
            WIDE,
            "modular_rare | paired",
            BEYOND,
            BEYOND_SHUFFLED,
            LAST,
            MIXED,
        ],
    ),
}


@pytest.mark.parametrize("name", FEW)
def test_what_is_searched_for_few_elements(name: str) -> None:
    output, expected = FEW[name]
    common, rare = passes(of_bits(output))
    assert said(common[-1]) == ROLLED
    usual = [one for one in rare if one.undilated]
    assert rare[: len(usual)] == usual
    assert [said(one) for one in rare[len(usual) :]] == expected
    # Before all that is rare the same with kernels as they are, but for what is beyond or again.
    others = ("again", "outside", "wide", "mixed")
    plain = [said(replace(one, undilated=False)) for one in usual]
    assert plain == [one for one in expected if not {*one.split()} & {*others}]


@pytest.mark.parametrize(
    ("shape", "kind", "rectified", "alone"),
    [
        ((15, 2, 1, 1), "f8", False, True),
        ((16, 2, 1, 1), "f8", False, False),  # as many pairs as tell
        ((16, 2, 1, 1), "f8", True, True),
        ((16, 2, 1, 1), "i4", True, True),
        ((16, 2, 1, 1), "u4", True, False),  # no zero of these need be ReLU's
    ],
)
def test_a_scale_alone_is_sought_where_pairs_are_few(
    shape: tuple[int, ...], kind: str, rectified: bool, alone: bool
) -> None:
    output = 50 + np.round(9 * np.resize(DRAWN, shape))
    if rectified:
        output.flat[::3] = 0
    if kind == "f8":
        output = output + (output != 0) / 3
    _, rare = passes(of_bits(output.astype(kind)))
    names = [said(one) for one in rare if one.outside]
    assert names[0] == ("plain scaled" if alone else "plain") + " parallel | paired outside"


def test_zeros_among_missing_numbers_are_rectified() -> None:
    output = 1 + np.abs(np.resize(DRAWN, (16, 2, 1, 1)))
    output.flat[::3] = 0
    output.flat[1] = np.nan
    output.flat[5] = -np.inf
    _, rare = passes(of_bits(output))
    assert "plain scaled parallel | paired outside" in [said(one) for one in rare]


@pytest.mark.parametrize(("inner", "sparse"), [(59, True), (60, False)])
def test_limits_tell_where_little_else_does(inner: int, sparse: bool) -> None:
    """Fewer elements within a dtype's limits than a pass looks at."""
    output = np.full((1, 4, 9, 9), 127, np.int8)
    output.flat[::3] = -128
    output.flat[1 : 1 + inner] = np.arange(inner) - 20
    common, rare = passes(of_bits(output))
    assert ("between | limits" in [said(one) for one in common]) is sparse
    assert any("between" in said(one) for one in rare) is sparse
    common, _ = passes(of_bits(output.astype(float)))
    assert not any("between" in said(one) for one in common)


# --- outputs of few bits ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "few_bits"),
    [
        ([1, 256], False),  # what 9 bits hold, bfloat16's products need
        ([1, 258], True),
        ([1, 257], False),  # not stored in bfloat16
        ([1, 257, 2048], False),
        ([1, 257, 2050], True),
        ([1, 257, 2049], False),  # nor in float16
        ([1, 257, 1 << 20], False),
        ([0.5, 129], True),
        ([1, 258, np.nan], True),
        ([1, 257, np.nan], True),  # nobody knows how many steps these are apart
    ],
)
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_sums_of_operands_of_few_bits_show_their_own(
    values: list[float], few_bits: bool, kind: str
) -> None:
    output = np.resize(np.array(values), (1, 4, 9, 9)).astype(kind)
    image, filters = np.resize([1, -256], (3, 9, 9)), np.resize([0.25, 64], (4, 3, 3, 3))
    common, _ = passes(of_bits(output, image, filters))
    assert ("coarse_affine" in said(common[1])) is few_bits


def test_operands_of_many_bits_may_have_been_rounded() -> None:
    """One element of more bits is enough, wherever it is; not where the output has more still."""
    output = np.resize([1.0, 257], (1, 4, 9, 9))
    plain, more = np.ones((3, 9, 9)), np.ones((3, 9, 9))
    for number, few_bits in ((256, False), (257, True)):
        more[2, 8, 8] = number
        filters = np.ones((4, 3, 3, 3))
        filters.flat[-1] = number
        for image, bank in ((more, np.ones((4, 3, 3, 3))), (plain, filters)):
            common, _ = passes(of_bits(output, image, bank))
            assert ("coarse_affine" in said(common[1])) is few_bits
    common, _ = passes(of_bits(output + 2.0**-30))
    assert "coarse_affine" not in said(common[1])


# --- the samples of a pass ----------------------------------------------------------------------


def drawn(output: np.ndarray, **keys: Any) -> list[Sample]:
    """The samples that one pass looks at; none where it looks at nothing."""
    found: list[list[Sample]] = []

    def listening(samples: list[Sample], reading: Reading) -> Any:
        found.append(samples)
        return judges.plain(samples, reading)

    filters = np.resize(DRAWN, (output.shape[1], 3, 3, 3))
    reading = Reading(Convention(), DRAWN[:, :3], filters, output)
    survey(Pass((listening,), **keys), [reading], -1)
    return found[0] if found else []


def test_positive_numbers_tell_of_what_was_rectified() -> None:
    rectified = np.maximum(DRAWN, 0)
    marks = telling(rectified)
    assert marks(np.array([-1, 0, 2.0**-40, np.inf])).tolist() == [False, False, True, False]
    assert all(s.value > 0 for s in drawn(rectified))


@pytest.mark.parametrize(("size", "seen"), [(119, False), (120, True)])
def test_elements_that_were_seen_are_not_seen_again(size: int, seen: bool) -> None:
    """Where a pass looked at half of all there are; but of another channel there are others."""
    output = np.arange(1.0, 1 + size).reshape(1, 1, 1, size)
    again = drawn(output, everywhere=True, again=True)
    assert len(again) == (60 if seen else 0)
    assert len(drawn(output, everywhere=True)) == 60
    assert len(drawn(output, everywhere=True, again=True, one_channel=True)) == 60
    # However many there are, few of them may tell.
    output[0, 0, 0, 59:] = 0.0
    assert not drawn(output, everywhere=True, again=True)


def test_a_layout_that_was_seen_does_not_hide_another() -> None:
    shown: list[str] = []

    def listening(samples: list[Sample], reading: Reading) -> Any:
        shown.append(reading.base.output_layout)
        return judges.plain(samples, reading)

    x, w, output = DRAWN[:, :3], np.resize(DRAWN, (4, 3, 3, 3)), DRAWN[..., :4]
    few, many = (
        Reading(Convention(output_layout=layout), x, w, y)
        for layout, y in (("OHW", output[:, :, :3]), ("HWO", output))
    )
    survey(Pass((listening,), everywhere=True, again=True), [few, few, many], -1)
    assert shown == ["HWO"]


@pytest.mark.parametrize("bordered", [False, True])
def test_elements_without_another_come_after_the_pairs(bordered: bool) -> None:
    """But there is no border to solve for in one of them."""
    output = np.arange(1.0, 16).reshape(1, 3, 1, 5)
    samples = drawn(output, paired=True, bordered=bordered)
    assert len({s.index for s in samples}) == len(samples) == (12 if bordered else 15)
    assert [s.index[1] for s in samples[:12:2]] == [s.index[1] for s in samples[1:12:2]]


@pytest.mark.parametrize(("inner", "ends"), [(5, 12), (6, 0)])
def test_the_ends_of_a_dtype_are_looked_at_where_little_else_is(inner: int, ends: int) -> None:
    output = np.full((1, 1, 1, inner + 12), 255, np.uint8)
    output[0, 0, 0, :inner] = 7 + np.arange(inner)
    for keys, count in (
        ({}, ends),
        ({"limits": True}, 12),
        ({"paired": True}, 0),
        ({"paired": True, "limits": True}, 12),
    ):
        samples = drawn(output, everywhere=True, **keys)
        assert sum(s.value < 255 for s in samples) == inner
        assert sum(s.value == 255 for s in samples) == count
    assert len(drawn(np.maximum(output, 7).astype(float))) > inner
