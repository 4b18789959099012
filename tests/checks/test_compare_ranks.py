"""compare: 1, 2 and 3 spatial axes, axes that are left out, and arrays that cannot be judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy
from compare_data import DIGITS, FILTER, numbers
from few import slow
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.checks.compare import compare, rows_of
from convcheck.convention import NAMED, named
from convcheck.engine import convolve
from convcheck.errors import InputError
from convcheck.render import words

# --- 1, 2 and 3 spatial axes --------------------------------------------------------------------


@st.composite
def shapes(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """An image (C,*S) and a bank (K,C,*F) that fits it."""
    rank = draw(st.integers(1, 3))
    channels, count = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    taps = [draw(st.integers(1, 3)) for _ in range(rank)]
    return (
        (channels, *(f + draw(st.integers(0, 5)) for f in taps)),
        (count, channels, *taps),
    )


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    shapes(),
    st.sampled_from(["float32", "float64", "int16", "uint8", "complex64"]),
    st.sampled_from(["digits", "measured"]),
    st.sampled_from(["auto", "direct", "fft"]),
    st.integers(0, 2**32),
)
def test_every_row_is_the_named_convention_and_flipped_is_scipys(
    shape: Any, dtype: str, kind: str, method: str, seed: int
) -> None:
    rank = len(shape[0]) - 1
    image, filters = numbers(seed, shape[0], dtype, kind), numbers(seed + 7, shape[1], dtype, kind)
    result = compare(image, filters, rank=rank, method=method, all_flips=True)
    assert result.rank == rank
    assert "flipped" in result.matching
    assert result.exit_code == 0
    assert len(result.decompositions) == 2 ** (rank + 1)
    for row in result.decompositions:
        seen = row.comparison
        convention = named("correlation", rank).replace(flip=row.flip)
        made = convolve(image, filters, convention)
        assert result.shape == made.shape
        assert seen.actual == pytest.approx(made[seen.worst_index], rel=1e-4, abs=1e-9)
        if row.name in NAMED:
            assert row.flip == named(row.name, rank).flip
    # Rows are one operation exactly where they differ in axes of length one alone.
    long = {axis for axis, n in zip("I" + "DHW"[-rank:], shape[1][1:], strict=True) if n > 1}
    operations = {frozenset(row.flip) & long for row in result.decompositions}
    assert len(operations) == len({row.operation for row in result.decompositions})
    together = {name: i for i, same in enumerate(result.same_operation) for name in same.names}
    for a in result.decompositions:
        for b in result.decompositions:
            same = frozenset(a.flip) & long == frozenset(b.flip) & long
            found = a.name == b.name or together.get(a.name, -1) == together.get(b.name, -2)
            assert found == same


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_calls_in_the_report_do_what_it_says(rank: int, channels: int, dtype: str) -> None:
    sizes, taps = (6, 7, 8)[-rank:], (2, 3, 2)[-rank:]
    x = numbers(1, (channels, *sizes), dtype, "digits")
    w = numbers(2, (2, channels, *taps), dtype, "digits")
    images = [x] if channels > 1 else [x, x[0]]
    for image in images:
        for filters in [w, w[0]] if channels > 1 else [w, w[0], w[0, 0]]:
            result = compare(image, filters, rank=rank)
            lines = words.explanation(result)
            calls = dict(line.split(maxsplit=1) for line in lines if line.startswith("  "))
            calls["flipped"] = words.oracle_call(result)
            assert set(calls) == {"flipped", "correlation"} | (
                {"per-channel"} if channels > 1 else set()
            )
            for name, call in calls.items():
                for k in range(2 if filters is w else 1):
                    got = eval(call, {"scipy": scipy, "x": image, "w": filters, "k": k})
                    expected = convolve(x, w[k : k + 1], named(name, rank))[0]
                    assert np.array_equal(got.reshape(expected.shape), expected), call


def test_a_reading_that_may_surprise_is_said() -> None:
    signal, taps = numbers(1, (3, 40), "float64", "digits"), numbers(2, (3, 5), "float64", "digits")
    flat = compare(signal, taps)
    assert (flat.rank, flat.shape) == (2, (1, 1, 36))
    assert "--rank 1 reads them as 1-D, 3 channels of 40" in flat.warnings[0]
    line = compare(signal, taps, rank=1)
    assert (line.rank, line.shape, line.warnings) == (1, (1, 36), ())
    assert words.reading(line) == ["Read as 1-D: IMG (C, W), W (C, Fw)."]
    assert words.reading(flat) == []
    volume = compare(numbers(1, (4, 5, 6), "float64", "digits"), np.ones((2, 2, 3)))
    assert words.reading(volume) == ["Read as 3-D: IMG (D, H, W), W (Fd, Fh, Fw)."]


@pytest.mark.parametrize(
    ("rank", "names"),
    [
        (1, ["flip-i"]),
        (2, ["flip-i", "flip-h", "flip-w", "flip-ih", "flip-iw"]),
        (3, [f"flip-{axes}" for axes in ("i", "d", "h", "w", "id", "ih", "iw", "dh", "dw", "hw")]),
    ],
)
def test_the_rows_of_all_flips(rank: int, names: list[str]) -> None:
    rows = rows_of(rank, all_flips=True)
    assert list(rows)[:3] == ["per-channel", "flipped", "correlation"]
    assert list(rows)[3:][: len(names)] == names
    assert len(set(rows.values())) == len(rows) == 2 ** (rank + 1)


@pytest.mark.parametrize(
    ("image", "filters"), [((2, 400_000), (3, 2, 9)), slow((2, 40, 90, 80), (2, 2, 3, 5, 4))]
)
def test_tiles_of_any_rank_leave_the_result_as_it_is(image: Any, filters: Any) -> None:
    x, w = numbers(1, image, "float64", "digits"), numbers(2, filters, "float64", "digits")
    told: list[Any] = []

    class Told:
        def searched(self, hypotheses: int, most: int) -> None: ...

        def begin(self, plan: Any) -> None:
            told.append(plan)

        def advance(self) -> None: ...

    result = compare(x, w, progress=Told())
    assert len(told[0].tiles) > 1
    assert result.matching == ("flipped",)
    for row in result.decompositions:
        made = convolve(x, w, named(row.name, result.rank))
        expected = convolve(x, w, named("flipped", result.rank))
        assert row.comparison.mismatched == np.count_nonzero(made != expected)
        assert row.comparison.max_abs_diff == np.abs(made - expected).max()
        assert row.comparison.total == made.size


# --- what may be given --------------------------------------------------------------------------


def test_ranks_that_leave_axes_out() -> None:
    whole = compare(DIGITS[:1], FILTER[:, :1])
    for image in (DIGITS[0], DIGITS[:1]):
        for filters in (FILTER[0, 0], FILTER[0, :1], FILTER[:, :1]):
            result = compare(image, filters)
            assert result.decompositions == whole.decompositions
            assert result.filters_shape == filters.shape


@pytest.mark.parametrize("layout", ["fortran", "strided", "reversed", "read-only", "big-endian"])
def test_how_arrays_lie_in_memory_changes_nothing(layout: str) -> None:
    same = {
        "fortran": np.asfortranarray,
        "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
        "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
        "read-only": lambda a: np.broadcast_to(a, a.shape),
        "big-endian": lambda a: a.astype(">f8"),
    }[layout]
    assert compare(same(DIGITS), same(FILTER)) == compare(DIGITS, FILTER)


@pytest.mark.parametrize(
    ("image", "filters", "found"),
    [
        (DIGITS, np.ones((2, 2, 2, 3)), ["OHWI", "has 3, W 2x2x2x3 has 2"]),
        (DIGITS[..., :4], np.ones((2, 2, 2, 2)), ["IMG 3x5x4 has 3, W 2x2x2x2 has 2", "save both"]),
        (DIGITS.transpose(1, 2, 0), FILTER, ["looks like (H, W, C)", "img.transpose(2, 0, 1)"]),
        (DIGITS, FILTER[..., :2].transpose(2, 3, 1, 0), ["HWIO", "w.transpose(3, 2, 0, 1)"]),
        (DIGITS, FILTER[..., :2].transpose(0, 2, 3, 1), ["OHWI", "w.transpose(0, 3, 1, 2)"]),
        (
            DIGITS,
            np.ones((2, 3, 2, 2))[:, :, :1].swapaxes(0, 1),
            ["IOHW", "w.transpose(1, 0, 2, 3)"],
        ),
        (DIGITS, FILTER[0].transpose(1, 2, 0), ["looks like (Fh, Fw, C)", "w.transpose(2, 0, 1)"]),
        (DIGITS, FILTER[0, 0], ["one channel only", "(C, Fh, Fw)"]),
        (DIGITS[:1], FILTER[0], ["(K, 1, Fh, Fw)", "w[:, None]"]),
        (DIGITS, np.ones((6, 1, 3, 3)), ["depthwise"]),
        (DIGITS, np.ones((1, 1, 3, 8)), ["HWIO"]),
        (
            DIGITS,
            np.ones((1, 3, 6, 3)),
            ["larger than IMG", "6x3", "5x6", "smaller filter (", "refuses this pair"],
        ),
        (
            DIGITS,
            np.ones((1, 3, 6, 7)),
            ["larger than IMG", "other way round", "silently swap the operands"],
        ),
        (DIGITS, np.ones((1, 3, 6, 2)), ["larger than IMG", "refuses this pair"]),
        (DIGITS[None], FILTER, ["1x3x5x6", "--rank 3", "drop the batch axis: save img[0]"]),
        (FILTER, DIGITS, ["larger than IMG", "give the two the other way"]),
        (np.stack([DIGITS] * 2), FILTER, ["2x3x5x6", "one image of the batch"]),
        (DIGITS[0, 0], FILTER, ["shape 6, 1 axis"]),
        (DIGITS[None, None], FILTER, ["numbers of axes that do not go together", "5 axes"]),
        (DIGITS, np.float64(1), ["numbers of axes that do not go together", "scalar"]),
        (DIGITS[:, :0], FILTER, ["IMG is empty", "3x0x6"]),
        (DIGITS, FILTER[:0], ["W is empty", "0x3x2x3"]),
        (DIGITS.astype(str), FILTER, ["IMG does not hold numbers", "<U32"]),
        (DIGITS, FILTER.astype(object), ["W does not hold numbers", "object"]),
        (DIGITS, FILTER.astype("datetime64[s]"), ["W does not hold numbers", "datetime64"]),
        (np.where(DIGITS[1, 2, 3] == DIGITS, np.nan, DIGITS), FILTER, ["IMG holds", "NaN", "nan"]),
        (DIGITS, FILTER * [1, 1, np.inf], ["W holds", "6 of 18", "index (0, 0, 0, 2): inf"]),
        (DIGITS * 1e307, FILTER, ["overflow"]),
    ],
)
def test_arrays_that_cannot_be_judged(image: Any, filters: Any, found: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        compare(image, filters)
    for text in found:
        assert text in str(caught.value)
    assert caught.value.got
    assert caught.value.expected
