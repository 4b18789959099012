"""audit is true to the output: what is called blind leaves it as it is, and the reasons hold."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from command import in_process
from few import one_in

from convcheck.checks import areas
from convcheck.checks.audit import AuditResult, audit
from convcheck.engine import convolve
from convcheck.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from convcheck.convention import Convention

DRAWN_FROM = 17
RNG = np.random.default_rng(DRAWN_FROM)

SUMS = "on these numbers the results come out the same"
ROUNDED = "on these numbers the results differ by no more than rounding can explain"
RELU = "the sums differ, but ReLU leaves the same of both"
ONE = "IMG is constant: every window sees the same numbers"
DIAGONAL = "every kernel of W is symmetric about its diagonal"
ZERO = "W is zero wherever it reaches beyond the edge"
ELEMENT = "the output has one element along this axis, so no second window shows the stride"
CONSTANT = "W is constant: every kernel is the same number throughout"
ALIKE = "IMG or W is alike across the channels that trade places"
EDGE = "beyond the edge both continue the image with the same numbers"
SYMMETRIC = "every filter is symmetric: reversing its columns gives the same filter"
STORED = "the sums differ, but being stored as {}, which {}, leaves the same of both"
SCALED = "the sums differ, but scale and bias leave the same of both"


def stored(dtype: str, overflow: str = "saturate") -> dict[str, Any]:
    rounding = "half_even" if overflow == "saturate" else "toward_zero"
    return {"storage": {"dtype": dtype, "overflow": overflow, "rounding": rounding}}


def ints(low: int, high: int, *shape: int) -> np.ndarray:
    return RNG.integers(low, high + 1, shape)


def numbers(*shape: int) -> np.ndarray:
    return np.arange(1.0, 1 + np.prod(shape)).reshape(shape)


LATER = ("scale", "bias", "activation", "storage", "output_order")


def changes(image: np.ndarray, filters: np.ndarray, c: Convention, other: Convention) -> bool:
    """Whether an implementation of ``other`` gives another output than one of ``c``."""
    base = convolve(image, filters, c)
    try:
        found = convolve(image, filters, other)
    except InputError:
        return True
    return not np.array_equal(found, base)


def reasons(result: AuditResult) -> dict[str, str | None]:
    return {d.name: d.reason for d in result.blind_spots}


# --- what is done after the sums ----------------------------------------------------------------

NEGATIVE = (-numbers(3, 5, 6), numbers(2, 3, 2, 3))
POSITIVE = (numbers(3, 5, 6) * 9, numbers(2, 3, 2, 3))
SMALL = (numbers(3, 5, 6) / 64, numbers(2, 3, 2, 3) / 4096)


@pytest.mark.parametrize(
    ("data", "keys", "reason"),
    [
        (NEGATIVE, {"activation": "relu"}, RELU),
        (NEGATIVE, {"activation": "relu", "bias": [5.0, -7.0]}, RELU),
        (POSITIVE, {"activation": "relu", "scale": -1}, RELU),
        ([a / 3 for a in NEGATIVE], {"activation": "relu"}, RELU),
        ([a / 3 for a in NEGATIVE], {"activation": "relu", "arithmetic": "float32"}, RELU),
        (NEGATIVE, {"scale": 0}, "a scale of 0 makes the same of all sums"),
        (NEGATIVE, {"scale": 0, "bias": [1, 2]}, "a scale of 0 makes the same of all sums"),
        (NEGATIVE, {"bias": [1e30, -1e30]}, SCALED),
        ([a / 3 for a in NEGATIVE], {"bias": [1e20, -1e20], "scale": 0.1}, SCALED),
        (
            POSITIVE,
            stored("uint8"),
            STORED.format("uint8", "saturates"),
        ),
        (
            [a / 3 for a in POSITIVE],
            stored("int8"),
            STORED.format("int8", "saturates"),
        ),
        (
            SMALL,
            stored("int8", "wrap"),
            STORED.format("int8", "wraps"),
        ),
        (
            [a / 3 for a in SMALL],
            {**stored("int8", "wrap"), "bias": [0.25, 1.25]},
            STORED.format("int8", "wraps"),
        ),
        (
            [POSITIVE[0], POSITIVE[1] * 999],
            {"arithmetic": "float16"},
            "the sums differ, but float16 has the same number for both",
        ),
    ],
)
def test_what_is_lost_after_the_sums_is_not_seen(
    data: Any, keys: dict[str, Any], reason: str
) -> None:
    image, filters = data
    result = audit(image, filters, keys, propose=False)
    assert result.verdict == "blind-spots"
    # Only another size of the output is left to be seen, and other steps after the sums.
    c = result.convention
    shape = convolve(image, filters, c).shape
    same = [d for d in result.deviations if _shape(image, filters, d.convention) == shape]
    sums = [d for d in same if all(getattr(d.convention, k) == getattr(c, k) for k in LATER)]
    assert len(sums) > 8
    assert {d.reason for d in sums} == {reason}
    assert {d.reason for d in result.deviations if d not in same} == {None}
    for deviation in result.deviations:
        assert deviation.seen == changes(image, filters, c, deviation.convention), deviation


def _shape(image: np.ndarray, filters: np.ndarray, c: Convention) -> tuple[int, ...] | None:
    try:
        return convolve(image, filters, c).shape
    except InputError:
        return None


def test_integers_among_other_numbers_are_seen() -> None:
    """Sums that rounding may bring below an integer are apart where they are more than 1 apart."""
    image, filters = ints(-9, 9, 3, 7, 9) * 1.0, ints(-9, 9, 4, 3, 2, 3) * 1.0
    image[0, 0, 0] = 1e-13
    for dtype, overflow in product(("int8", "uint32"), ("wrap", "saturate")):
        result = audit(image, filters, stored(dtype, overflow), propose=False)
        # What is whole but for a digit far behind the point is the same whatever the rounding.
        assert {d.name.split()[0] for d in result.blind_spots} <= {"rounding", "overflow"}


def test_a_border_that_is_no_multiple_of_the_data_rounds() -> None:
    image = ints(-9, 9, 3, 4, 5)
    filters = ints(-9, 9, 2, 3, 2, 3)[:, [0, 1, 0]] / 8
    for after in ({}, stored("int8", "wrap"), stored("int8")):
        found = reasons(audit(image, filters, {"padding": 1, "padding_value": 0.1, **after}))
        assert {k: v for k, v in found.items() if "rounding" not in k and "overflow" not in k} == {
            "flip I": SYMMETRIC.replace("columns", "channels"),
            "channels reversed": ALIKE,
        }


def test_a_difference_of_sums_that_rounding_explains_is_none_however_it_is_stored() -> None:
    image = np.array([1e8, 1.0, -1e8]).reshape(3, 1, 1)
    filters = np.array([1.0, 1e-9, 1 + 2**-52]).reshape(1, 3, 1, 1)
    for after in ({}, stored("int8", "wrap"), stored("int8")):
        result = audit(image, filters, after, propose=False)
        assert reasons(result)["flip I"] == ROUNDED


@pytest.mark.parametrize("keys", [{"activation": "relu"}, stored("uint8")], ids=str)
def test_the_proposal_sees_it_in_the_output(keys: dict[str, Any]) -> None:
    result = audit(*NEGATIVE, keys)
    assert result.seen < result.total / 2
    assert result.proposal is not None
    assert result.proposal.seen == result.proposal.total
    case = result.proposal.image, result.proposal.filters
    again = audit(*case, keys)
    assert again.verdict == "sees-all"
    assert all(changes(*case, again.convention, d.convention) for d in again.deviations)


def test_nothing_is_proposed_where_nothing_helps() -> None:
    assert audit(*NEGATIVE, {"scale": 0}).proposal is None


def test_one_element_that_shows_is_enough() -> None:
    image = NEGATIVE[0].copy()
    image[:, :2, :3] *= -1
    # Of numbers so large ReLU and its smooth likenesses make the same.
    blind = reasons(audit(image, NEGATIVE[1], {"activation": "relu"}, propose=False))
    assert {name.split()[0] for name in blind} == {"activation"}


def test_rounding_is_not_seen_through_the_steps() -> None:
    """Sums in another order differ in their last digits, and so would truncated multiples of 1."""
    image, filters = np.full((3, 4, 5), 0.1), np.full((2, 3, 2, 2), 10 / 12)
    integers = stored("int8", "wrap"), stored("uint32", "wrap"), stored("uint8")
    for after in ({}, {"arithmetic": "float32"}, *integers):
        for scale in (1.0, 0.1, 10.0):
            keys = {**after, "scale": scale, "bias": [0.5, 3]}
            result = audit(image, filters, keys, propose=False)
            assert "channels reversed" in reasons(result), keys
            assert "flip I+H" in reasons(result), keys


def test_a_bias_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="the bias does not fit the filters"):
        audit(*NEGATIVE, {"bias": [1.0]})


def test_complex_numbers_are_not_stored_as_integers() -> None:
    with pytest.raises(InputError, match="complex numbers cannot be stored as integers"):
        audit(NEGATIVE[0] * 1j, NEGATIVE[1], stored("uint8"))


@pytest.mark.parametrize(
    "keys",
    one_in(
        3,
        [
            {"activation": "relu", "bias": [100, -3000]},
            {**stored("uint8"), "bias": [3000, 4000]},
            {**stored("int8", "wrap"), "padding": 1},
            {"scale": 0, "bias": [1, 2]},
            {"scale": [0.5, 2], "output_order": [1, 0], "image_offset": [1, 2, 3]},
            {"filter_offset": [3, -1], "padding": [[1, 0], [0, 2]], "padding_mode": "edge"},
        ],
    ),
    ids=str,
)
def test_areas_say_the_same(keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.tile(NEGATIVE[0], (1, 1, 40, 60)), NEGATIVE[1]
    whole = audit(*data, keys, propose=False)
    monkeypatch.setattr(areas, "WHOLE_BYTES", 0)
    monkeypatch.setattr(areas, "TILE_BYTES", areas.FIXED_BYTES + (1 << 20))
    parts = areas.grid(whole.convention, 3, (2, 3, 2, 3), (1, 2, 199, 358)).tiles
    assert len(parts) > 4
    assert repr(audit(*data, keys, propose=False)) == repr(whole)


def test_the_exit_code_is_true_to_the_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, array in zip(("x", "w"), NEGATIVE, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    given = [str(tmp_path / "x.npy"), str(tmp_path / "w.npy"), "--as", '{"activation":"relu"}']
    ended = in_process(capsys, "audit", *given, "--fix", str(tmp_path / "case"))
    assert ended.code == 1
    assert ended.out.startswith("blind-spots: ")
    case = [str(tmp_path / "case" / f"{name}.npy") for name in ("image", "filters")]
    assert in_process(capsys, "audit", *case, *given[2:]).code == 0
    assert len(np.unique(np.load(tmp_path / "case" / "out.npy"))) > 2
    ended = in_process(capsys, "audit", *given[:2], "--as", '{"scale":0}')
    assert "No small change of the data or of its shape was found" in ended.out


# --- reasons ------------------------------------------------------------------------------------

FLAT = np.full((1, 5, 5), 7.0)
CENTRE = np.zeros((1, 1, 3, 3))
CENTRE[0, 0, 1, 1] = 3
BATCH = np.concatenate([np.zeros((1, 2, 5, 5)), numbers(1, 2, 5, 5) ** 2])
MIRRORED = numbers(1, 2, 3, 3) + numbers(1, 2, 3, 3)[..., ::-1]
BIG = np.array([1e16, 1.0, -1e16]).reshape(3, 1, 1)
LEVELS = np.broadcast_to([[[1.0]], [[2.0]]], (2, 5, 5))


@pytest.mark.parametrize(
    ("image", "filters", "keys", "name", "reason"),
    [
        (FLAT, numbers(1, 1, 3, 3), {}, "kernel rows and columns swapped", ONE),
        (FLAT, CENTRE, {}, "kernel rows and columns swapped", DIAGONAL),
        (FLAT, numbers(1, 1, 2, 2), {"stride": 2}, "dilation of rows", ONE),
        (FLAT, numbers(1, 1, 2, 2), {"stride": 2}, "stride of rows", ONE),
        (FLAT, numbers(1, 1, 2, 2), {"stride": 2}, "phase of rows", ONE),
        (FLAT, numbers(1, 1, 2, 2), {"padding": 1, "padding_mode": "wrap"}, "border edge", EDGE),
        (numbers(1, 3, 3), np.ones((1, 1, 3, 3)), {}, "stride of rows", ELEMENT),
        (numbers(1, 5, 5), CENTRE, {"padding": 1}, "border edge", ZERO),
        (numbers(1, 5, 5), numbers(1, 1, 1, 1), {"padding": [[0, 1], [0, 1]], "stride": 2},
         "border edge", "no window reaches beyond the edge"),
        (numbers(1, 5, 5) - 1, np.ones((1, 1, 1, 1)), {"padding": 1, "stride": 7},
         "border edge", SUMS),
        (BATCH, MIRRORED, {}, "flip W", SYMMETRIC),
        (BATCH[:1] * 1.0, MIRRORED, {}, "flip W", "IMG is all zeros"),
        (BIG * np.ones((3, 4, 5)), np.ones((1, 3, 1, 1)) * [[[[1.0]], [[3.0]], [[1 + 2**-52]]]], {},
         "channels reversed", ROUNDED),
        (numbers(3, 4, 5), numbers(1, 3, 2, 2)[:, [0, 1, 0]], {}, "channels reversed", ALIKE),
        (numbers(3, 4, 5)[[0, 1, 0]], numbers(1, 3, 2, 2), {}, "channels reversed", ALIKE),
        (numbers(2, 1, 2), np.full((1, 2, 1, 1), 3.0), {}, "channels reversed", CONSTANT),
        (np.array([[[1.0, 2.0]], [[3.0, 4.0]]]), np.array([[[[1.0, 2.0]], [[4.0, 3.0]]]]), {},
         "flip W", SUMS),
        (LEVELS, numbers(1, 2, 2, 2), {"stride": 2}, "phase of rows",
         "each channel of IMG is constant: all of its windows see the same numbers"),
        (LEVELS, numbers(1, 2, 2, 2), {}, "flip H+W",
         "each channel of the image is constant: a kernel meets the same number all over"),
        (numbers(3, 4, 5), np.full((1, 3, 2, 2), 2.0), {}, "flip H", CONSTANT),
        (np.add.outer(np.arange(3.0), np.arange(3.0))[:, None].repeat(2, 1), numbers(1, 3, 1, 1),
         {"image_layout": "HWC"}, "image as CWH", "IMG is the same, read as either"),
        (numbers(1, 5), numbers(1, 1, 2) * 0 + 3, {}, "flip W", CONSTANT),
        (numbers(2, 9), np.repeat(MIRRORED[:, :, 0], 2, 0), {}, "flip W",
         SYMMETRIC.replace("columns", "taps")),
        (numbers(2, 3, 3, 3), MIRRORED[:, :, None], {}, "flip W", SYMMETRIC),
        (numbers(2, 3, 3, 3), np.moveaxis(MIRRORED[:, :, None], 4, 2), {}, "flip D",
         SYMMETRIC.replace("columns", "slices")),
        (numbers(3, 4, 5), np.repeat(numbers(1, 3, 2, 2), 2, 0), {}, "outputs reversed",
         "every filter of W is the same"),
        (numbers(3, 4, 5), numbers(2, 3, 2, 2), {"bias": 0}, "no bias", "the bias is 0"),
        (*POSITIVE, {"activation": "relu"}, "no activation",
         "ReLU leaves all of these numbers as they are"),
        (*POSITIVE, {"activation": "silu"}, "activation relu",
         "on these numbers both activations give the same"),
        (*POSITIVE, stored("int32"), "rounding down",
         "both ways of rounding give the same integers here"),
        (*POSITIVE, stored("int32"), "overflow wrap", "no number is beyond what int32 holds"),
        (*POSITIVE, {"storage": {"dtype": "uint8", "zero_point": 3}}, "zero point off by one",
         "every number is at an end of what uint8 holds"),
        (numbers(1, 5, 5), numbers(1, 1, 2, 2) - 2.5, {"image_offset": 3}, "no image offset",
         "every kernel adds up to 0, which no offset moves"),
        (numbers(1, 5, 5) + 0j, numbers(1, 1, 2, 2) + 0j, {}, "conjugate", "W is real"),
    ],
)  # fmt: skip
def test_the_reason_is_the_one_that_holds(
    image: np.ndarray, filters: np.ndarray, keys: dict[str, Any], name: str, reason: str
) -> None:
    result = audit(image, filters, keys, propose=False)
    assert reasons(result).get(name) == reason
