"""compare: the published tables, the identities that must hold, and what it says of them."""

from __future__ import annotations

from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
import scipy.signal
from compare_data import DIGITS, FILTER, NAMES, load, numbers, row
from hypothesis import given, settings
from hypothesis import strategies as st

import convcheck
from convcheck.cases import DTYPES
from convcheck.checks.compare import CompareResult, compare
from convcheck.convention import CORRELATION, FLIPPED, PER_CHANNEL
from convcheck.engine import convolve
from convcheck.errors import ExitCode, InputError
from convcheck.render import words

SETTINGS = settings(derandomize=True, deadline=None, max_examples=200)


def groups(result: CompareResult) -> set[frozenset[str]]:
    return {frozenset(blind.names) for blind in result.indistinguishable}


def one_answer(result: CompareResult) -> list[set[str]]:
    """The rows that are the same operation, each group with the oracle's own."""
    return [set(same.names) for same in result.same_operation if "flipped" in same.names]


# --- the published example ----------------------------------------------------------------------

QUESTION_CONVOLVE = [
    [247, 229, 291, 263],
    [198, 297, 342, 233],
    [208, 268, 268, 185],
    [276, 272, 280, 372],
]
QUESTION_PER_CHANNEL = [
    [268, 229, 297, 305],
    [256, 292, 322, 190],
    [173, 240, 283, 243],
    [291, 271, 302, 346],
]
ANSWER_CONVOLVE = [
    [169, 223, 277, 199],
    [226, 213, 206, 247],
    [192, 252, 332, 369],
    [167, 266, 321, 323],
]


def test_the_engine_gives_the_published_tables() -> None:
    image, filters = load("question")
    assert convolve(image, filters[None], PER_CHANNEL).tolist() == [QUESTION_PER_CHANNEL]
    assert convolve(image, filters[None], FLIPPED).tolist() == [QUESTION_CONVOLVE]
    image, filters = load("answer")
    assert convolve(image, filters[None], FLIPPED).tolist() == [ANSWER_CONVOLVE]


@pytest.mark.parametrize("method", ["auto", "direct", "fft"])
def test_the_published_question_is_answered(method: str) -> None:
    result = compare(*load("question"), method=method)
    assert (result.verdict, result.matching, result.exit_code) == ("match", ("flipped",), 0)
    assert result.exact
    assert result.shape == (1, 4, 4)
    seen = row(result, "per-channel")
    pairs = zip(chain(*QUESTION_PER_CHANNEL), chain(*QUESTION_CONVOLVE), strict=True)
    differences = [abs(a - b) for a, b in pairs]
    assert seen.mismatched == sum(d > 0 for d in differences) == 15
    assert (seen.max_abs_diff, seen.worst_index) == (58, (0, 1, 0))
    assert (seen.actual, seen.expected, seen.threshold) == (256, 198, 0)
    assert row(result, "flipped").max_abs_diff == 0


EVERY_FIXTURE = {
    "question": ("match", {"flipped"}, set()),
    "answer": ("match", {"flipped"}, set()),
    "bank": ("match", {"flipped"}, set()),
    "symmetric": ("ambiguous", {"flipped", "per-channel"}, {frozenset(("flipped", "per-channel"))}),
    "wraps": ("match", {"flipped"}, set()),
    "complex": ("match", {"flipped"}, set()),
}


@pytest.mark.parametrize("name", EVERY_FIXTURE)
def test_every_fixture(name: str) -> None:
    result = compare(*load(name))
    assert (result.verdict, set(result.matching), groups(result)) == EVERY_FIXTURE[name]
    assert bool(result.warnings) == (name == "wraps")
    everything = compare(*load(name), all_flips=True)
    assert len(everything.decompositions) == 8
    assert len({d.flip for d in everything.decompositions}) == 8
    assert everything.decompositions[:3] == result.decompositions


def test_narrow_integers_are_summed_exactly_with_a_warning() -> None:
    image, filters = load("wraps")
    result = compare(image, filters)
    wrapped = scipy.signal.convolve(image, filters, "valid")
    true = scipy.signal.convolve(image.astype(int), filters.astype(int), "valid")
    count = int((wrapped != true).sum())
    assert f"would wrap modulo 2^8 on {count} of {true.size} elements" in result.warnings[0]
    assert row(result, "flipped").expected in true
    assert not compare(image.astype(np.uint16), filters).warnings
    for refused in (np.bool_, np.float16):
        small = image.astype(refused), filters.astype(refused)
        with pytest.raises(ValueError, match="nsupported"):
            scipy.signal.convolve(*small, "valid")
        assert "does not take" in compare(*small).warnings[0]
    assert not compare(image.astype(bool), filters.astype(float)).warnings


# --- identities ---------------------------------------------------------------------------------


@st.composite
def shapes(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    size = st.integers(1, 4)
    k, c, fh, fw = draw(size), draw(size), draw(size), draw(size)
    extra = st.integers(0, 6)
    return (c, fh + draw(extra), fw + draw(extra)), (k, c, fh, fw)


@SETTINGS
@given(
    shapes(),
    st.sampled_from(DTYPES),
    st.sampled_from(DTYPES),
    st.sampled_from(["digits", "measured", "wide"]),
    st.sampled_from(["auto", "direct", "fft"]),
    st.integers(0, 2**32),
)
def test_flipped_is_scipys_whatever_the_shape_dtype_and_method(
    shape: Any, image_dtype: str, filter_dtype: str, kind: str, method: str, seed: int
) -> None:
    image = numbers(seed, shape[0], image_dtype, kind)
    filters = numbers(seed + 7, shape[1], filter_dtype, kind)
    result = compare(image, filters, method=method)
    assert "flipped" in result.matching
    assert result.exit_code == 0
    assert result.shape == (
        len(filters),
        *(n - f + 1 for n, f in zip(shape[0][1:], shape[1][2:], strict=True)),
    )


@SETTINGS
@given(shapes(), st.booleans(), st.sampled_from(["auto", "direct", "fft"]), st.integers(0, 2**32))
def test_per_channel_is_scipys_exactly_when_the_filters_read_the_same_backwards(
    shape: Any, symmetric: bool, method: str, seed: int
) -> None:
    image = numbers(seed, shape[0], "float64", "measured")
    filters = numbers(seed + 7, shape[1], "float64", "measured")
    if symmetric:
        filters = filters + filters[:, ::-1]
    result = compare(image, filters, method=method)
    same = np.array_equal(filters, filters[:, ::-1])
    assert same == (symmetric or shape[1][1] == 1)
    assert ("per-channel" in result.matching) == same
    # On one channel the two are one operation, and there is nothing that data could tell apart.
    together = any({"per-channel", "flipped"} <= group for group in groups(result))
    assert together == (same and shape[1][1] > 1)
    alike = any({"per-channel", "flipped"} <= names for names in one_answer(result))
    assert alike == (shape[1][1] == 1)


@pytest.mark.parametrize("method", ["auto", "direct", "fft"])
@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e150])
def test_sums_that_cancel_are_no_mismatch(method: str, scale: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        image = rng.standard_normal((4, 6, 7)) * scale
        image[2:] = -image[1::-1] * (1 + 2.0**-50)
        filters = rng.standard_normal((2, 4, 2, 3))
        filters[:, 2:] = filters[:, 1::-1]
        result = compare(image, filters, method=method)
        assert "flipped" in result.matching
        sums = convolve(image, filters, FLIPPED)
        assert np.abs(sums).max() < 1e-10 * scale


def test_numbers_at_the_ends_of_float64_are_no_mismatch() -> None:
    rng = np.random.default_rng(4)
    tiny = rng.integers(1, 99, (3, 5, 6)) * 2.0**-1074
    filters = rng.standard_normal((2, 3, 2, 2))
    for image, bank in ((tiny, filters), (tiny, filters * 1e300), (tiny * 1e20, filters * 1e-20)):
        for method in ("direct", "fft"):
            assert "flipped" in compare(image, bank, method=method).matching
    huge = rng.standard_normal((3, 5, 6)) * 1e305
    assert compare(huge, filters, method="direct").matching == ("flipped",)
    zeros = compare(huge * 0, filters)
    assert (zeros.verdict, groups(zeros)) == ("ambiguous", {frozenset(NAMES)})


# --- what the data cannot tell ------------------------------------------------------------------

ALL, CHANNELS, SPACE = NAMES, ("per-channel", "flipped"), ("per-channel", "correlation")
BLIND = {
    "symmetric channels": (
        DIGITS,
        FILTER + FILTER[:, ::-1],
        CHANNELS,
        "symmetric",
        "channels are rev",
    ),
    "symmetric kernels": (
        DIGITS,
        FILTER + FILTER[..., ::-1, ::-1],
        SPACE,
        "symmetric: reversing its rows and columns",
        "rows and columns are reversed",
    ),
    "all ones": (DIGITS, FILTER * 0 + 1, ALL, "symmetric", "channels, rows and columns"),
    "constant image": (DIGITS * 0 + 2, FILTER, ALL, "image is constant", "different numbers"),
    "constant image, symmetric channels": (
        DIGITS * 0 + 2,
        FILTER + FILTER[:, ::-1],
        ALL,
        "image is constant",
        "different numbers",
    ),
    "black image": (DIGITS * 0, FILTER, ALL, "image is all zeros", "different numbers"),
    "no filter": (DIGITS, FILTER * 0, ALL, "filters are all zeros", "different numbers"),
    "flat channels": (DIGITS * 0 + [[[1]], [[2]], [[4]]], FILTER, SPACE, "constant", "different"),
    "an accident": (
        np.array([[[1.0, 2.0]], [[3.0, 4.0]]]),
        np.array([[[[1.0, 2.0]], [[4.0, 3.0]]]]),
        SPACE,
        "on these numbers",
        "another image",
    ),
}


@pytest.mark.parametrize("name", BLIND)
def test_it_says_what_the_data_cannot_tell_and_why(name: str) -> None:
    image, filters, alike, reason, remedy = BLIND[name]
    result = compare(image, filters)
    assert groups(result) == {frozenset(alike)}
    (blind,) = result.indistinguishable
    assert reason in blind.reason
    assert remedy in blind.remedy
    assert result.verdict == ("ambiguous" if "flipped" in alike else "match")
    assert compare(image, filters, strict=True).exit_code == ("flipped" in alike)
    text = " ".join(words.explanation(result))
    assert f"cannot tell {words.enumerate_words(blind.names)} apart" in text


@pytest.mark.parametrize(
    ("image", "filters", "names", "because"),
    [
        (DIGITS[:1], FILTER[:, :1], ("per-channel", "flipped"), "on one channel"),
        (
            *(DIGITS, FILTER[..., :1, :1], ("per-channel", "correlation")),
            "with kernels of one row and one column",
        ),
        (
            *(DIGITS[:1], FILTER[:, :1, :1, :1], NAMES),
            "on one channel with kernels of one row and one column",
        ),
    ],
)
def test_rows_that_are_the_same_operation_are_one_answer(
    image: np.ndarray, filters: np.ndarray, names: tuple[str, ...], because: str
) -> None:
    result = compare(image, filters, strict=True)
    assert (result.verdict, result.exit_code, groups(result)) == ("match", 0, set())
    assert [(same.names, same.because) for same in result.same_operation] == [(names, because)]
    said = words.verdict_line(result)
    assert (f"the same operation {because}" in said) == ("flipped" in names)
    for name in set(names) & set(result.matching):
        assert compare(image, filters, strict=True, expect=name).exit_code == 0
    everything = compare(image, filters, strict=True, all_flips=True)
    assert (everything.verdict, groups(everything)) == ("match", set())


def test_the_same_operation_does_not_hide_what_data_could_tell() -> None:
    """Of one channel, and symmetric: two rows are one operation, the third only looks alike."""
    result = compare(DIGITS[:1], FILTER[:, :1] + FILTER[:, :1, ::-1, ::-1])
    assert (result.verdict, groups(result)) == ("ambiguous", {frozenset(NAMES)})
    assert "symmetric: reversing its rows and columns" in result.indistinguishable[0].reason
    assert one_answer(result) == [{"per-channel", "flipped"}]


def test_symmetry_is_seen_only_where_every_pair_has_it() -> None:
    """Turned by 180 degrees and reversed over the channels at once, the filter is the same."""
    filters = FILTER + FILTER[:, ::-1, ::-1, ::-1]
    result = compare(DIGITS, filters)
    assert groups(result) == {frozenset(("flipped", "correlation"))}
    assert "symmetric" in result.indistinguishable[0].reason
    assert (
        compare(np.ones((2, 3, 3)) * [[[1]], [[2]]], filters[:, :2] * 0 + 1).verdict == "ambiguous"
    )


def test_an_fft_too_rough_to_tell_is_named_as_the_reason() -> None:
    image, filters = np.ones((3, 9, 9)), np.random.default_rng(0).standard_normal((1, 3, 3, 3))
    image[0, 0, 0] = 1e25
    filters[:, 0], filters[:, 2] = 1e-30, 2e-30
    rough = compare(image, filters, method="fft")
    assert rough.verdict == "ambiguous"
    assert set(rough.matching) <= set(rough.indistinguishable[0].names)
    assert "FFT" in rough.indistinguishable[0].reason
    assert "--method direct" in rough.indistinguishable[0].remedy


def test_rounding_too_rough_to_tell_is_named_as_the_reason() -> None:
    filters = np.ones((1, 3, 2, 3))
    filters[0, 0, 0, 0] += 2.0**-51
    result = compare(DIGITS / 3, filters / 7, method="direct")
    assert (result.verdict, result.exact) == ("ambiguous", False)
    assert groups(result) == {frozenset(NAMES)}
    assert "no more than rounding can explain" in result.indistinguishable[0].reason


# --- claims and exit codes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fixture", "options", "verdict", "code"),
    [
        ("question", {}, "match", 0),
        ("question", {"expect": "flipped"}, "match", 0),
        ("question", {"expect": "per-channel"}, "mismatch", 1),
        ("question", {"expect": "correlation"}, "mismatch", 1),
        ("question", {"strict": True}, "match", 0),
        ("symmetric", {}, "ambiguous", 0),
        ("symmetric", {"expect": "per-channel"}, "ambiguous", 0),
        ("symmetric", {"expect": "correlation"}, "mismatch", 1),
        ("symmetric", {"strict": True}, "ambiguous", 1),
        ("symmetric", {"strict": True, "expect": "flipped"}, "ambiguous", 1),
        ("bank", {"all_flips": True, "strict": True}, "match", 0),
    ],
)
def test_claims(fixture: str, options: dict[str, Any], verdict: str, code: int) -> None:
    result = compare(*load(fixture), **options)
    assert (result.verdict, result.exit_code) == (verdict, ExitCode(code))
    if verdict == "mismatch":
        assert f"{options['expect']} was expected and does not match" in words.verdict_line(result)


def test_an_unknown_claim_or_method_is_refused() -> None:
    with pytest.raises(InputError, match="fliped"):
        compare(*load("question"), expect="fliped")
    with pytest.raises(InputError, match="exact"):
        compare(*load("question"), method="exact")


def test_the_api_is_the_command() -> None:
    assert convcheck.compare is compare
    assert convcheck.compare(DIGITS[0], FILTER[0, 0]).image_shape == (5, 6)
    assert convcheck.compare(DIGITS.tolist(), FILTER.tolist()).matching == ("flipped",)
    with pytest.raises(AttributeError, match="no_such"):
        convcheck.no_such  # noqa: B018
    assert set(convcheck.__all__) <= set(dir(convcheck))


# --- what the report says to call ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(
    ("channels", "image_rank", "filter_rank"),
    [*[(1, a, b) for a in (2, 3) for b in (2, 3, 4)], (3, 3, 3), (3, 3, 4)],
)
def test_the_calls_in_the_report_do_what_it_says(
    dtype: str, channels: int, image_rank: int, filter_rank: int
) -> None:
    x = numbers(1, (channels, 5, 6), dtype, "digits")
    w = numbers(2, (2, channels, 2, 3), dtype, "digits")
    image = x[0] if image_rank == 2 else x
    filters = {2: w[0, 0], 3: w[0], 4: w}[filter_rank]
    result = compare(image, filters)
    lines = words.explanation(result)
    calls = dict(line.split(maxsplit=1) for line in lines if line.startswith("  "))
    calls["flipped"] = words.oracle_call(result)
    assert set(calls) == ({"flipped", "correlation"} | ({"per-channel"} if channels > 1 else set()))
    for name, call in calls.items():
        convention = {"per-channel": PER_CHANNEL, "flipped": FLIPPED, "correlation": CORRELATION}[
            name
        ]
        for k in range(2 if filter_rank == 4 else 1):
            got = eval(call, {"scipy": scipy, "x": image, "w": filters, "k": k})
            expected = convolve(x, w[k : k + 1], convention)[0]
            assert np.array_equal(got.reshape(expected.shape), expected), call


def test_every_pair_of_rows_is_judged_once() -> None:
    """Eight different flips of a filter without symmetry give eight different results."""
    result = compare(DIGITS, FILTER, all_flips=True)
    assert not result.indistinguishable
    for a, b in combinations(result.decompositions, 2):
        assert (a.name == b.name) is False
        assert a.flip != b.flip
    assert len(words.explanation(result)) == 4
