"""compare: the judge, judged: by broken engines, and by oracles that err."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lies
import numpy as np
import pytest
import scipy.signal
from compare_data import NAMES, load, numbers, row

from convcheck import engine
from convcheck.checks import one_tile as module
from convcheck.checks.compare import compare
from convcheck.convention import FLIPPED, Convention
from convcheck.errors import ExitCode, OracleError
from convcheck.reference import Oracle
from convcheck.render import words
from convcheck.rounding import choose_arithmetic, fft_bound, norm, sum_bound

if TYPE_CHECKING:
    from collections.abc import Callable


def broken_engine(kind: str) -> Callable[..., np.ndarray]:
    true = module.correlate

    def wrong(x: np.ndarray, w: np.ndarray, *rest: Any) -> np.ndarray:
        if kind == "wrong flip":
            return true(x, w[..., ::-1], *rest)
        if kind == "swapped kernel":
            return true(x, np.ascontiguousarray(w[..., ::-1, :]), *rest)
        if kind == "dropped channel":
            x = x.copy()
            x[:, -1] = 0
            return true(x, w, *rest)
        if kind == "off by one":
            return true(np.roll(x, 1, axis=-1), w, *rest)
        y = true(x, w, *rest)
        if kind == "filters in another order":
            return np.roll(y, 1, axis=1)
        if kind == "last row forgotten":
            y[:, :, -1] = 0
        if kind == "one element off":
            y[0, :, 1, 2] += 2.0**-20
        if kind == "NaN":
            y[0, :, 1, 2] = np.nan
        if kind == "float32":
            y = y.astype(np.float32).astype(y.dtype)
        return y

    return wrong


@pytest.mark.parametrize(
    "kind",
    [
        *("wrong flip", "swapped kernel", "dropped channel", "off by one", "last row forgotten"),
        *("filters in another order", "one element off", "NaN", "float32"),
    ],
)
@pytest.mark.parametrize("method", ["direct", "fft"])
def test_a_broken_engine_is_never_called_right(
    kind: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = numbers(1, (3, 7, 8), "float64", "measured")
    filters = numbers(2, (4, 3, 2, 3), "float64", "measured")
    assert compare(image, filters, method=method).verdict == "match"
    monkeypatch.setattr(module, "correlate", broken_engine(kind))
    result = compare(image, filters, method=method)
    assert result.verdict == "mismatch"
    assert result.exit_code == 1
    assert "flipped" not in result.matching
    assert "defect" in words.verdict_line(result)


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("kind", ["digits", "measured", "wide"])
@pytest.mark.parametrize("dtype", ["float64", "complex128", "int64"])
def test_four_thresholds_in_one_element_are_always_called_wrong(
    method: str, kind: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        image = numbers(seed, (3, 5, 6), dtype, kind)
        filters = numbers(seed + 1, (2, 3, 2, 2), dtype, kind)
        if dtype == "int64":
            filters = filters % 9
        whole = compare(image, filters, method=method)
        assert "flipped" in whole.matching
        place = tuple(int(rng.integers(n)) for n in whole.shape)
        flipped = lies.rows(image, filters, method, rng)[NAMES.index("flipped")]
        threshold = float(flipped.threshold[place])
        step = 4 * threshold or choose_arithmetic(image, filters).quantum
        with monkeypatch.context() as patch:
            patch.setattr(Oracle, "each", _erring_oracle(place, step))
            result = compare(image, filters, method=method)
        assert row(result, "flipped").mismatched == 1
        assert row(result, "flipped").worst_index == place
        assert result.verdict != "match"


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_thresholds_are_the_sum_of_the_two_bounds_and_no_more(dtype: str) -> None:
    image = numbers(1, (3, 5, 6), dtype, "measured")
    filters = numbers(2, (2, 3, 2, 2), dtype, "measured")
    is_complex = dtype == "complex128"
    for method in ("direct", "fft"):
        result = compare(image, filters, method=method)
        for decomposition in result.decompositions:
            seen, k = decomposition.comparison, decomposition.comparison.worst_index[0]
            own, scipys = (
                sum_bound(
                    engine.magnitude(image, filters, Convention(flip=flip)),
                    12,
                    is_complex=is_complex,
                )[seen.worst_index]
                for flip in (decomposition.flip, FLIPPED.flip)
            )
            if method == "fft":
                length = 5 * 6 * 7  # 3+3-1, 5+2-1 and 6+2-1, which are fast lengths already
                scipys = fft_bound(norm(image), norm(filters[k]), length)
            assert seen.threshold == pytest.approx(own + scipys, rel=1e-6)


def test_an_fft_is_exact_only_where_its_bound_leaves_one_multiple() -> None:
    image = numbers(1, (3, 5, 6), "int64", "digits")
    filters = numbers(2, (2, 3, 2, 2), "int64", "digits")
    assert compare(image, filters, method="fft").exact
    rough = compare(image * 2**19 + 1, filters * 2**19 + 1, method="fft")
    assert not rough.exact
    assert rough.matching == ("flipped",)
    assert 0.5 < row(rough, "flipped").threshold < 50
    assert compare(image * 2**19 + 1, filters * 2**19 + 1, method="direct").exact


def test_integers_that_an_fft_rounds_widen_its_bound() -> None:
    image = numbers(1, (3, 5, 6), "int64", "digits") + 2**53 + 1
    kernel = numbers(2, (3, 2, 2), "int64", "digits")
    arithmetic = choose_arithmetic(image, kernel[None])
    given = Oracle(image, arithmetic, "fft")(kernel)
    assert arithmetic.dtype == np.int64
    # Of the lengths that scipy takes for real numbers, none is 7; and the whole number that is
    # nearest to a result may be a half away from it.
    points = 5 * 6 * 8
    bound = fft_bound(norm(image.astype(float)), norm(kernel), points, roundings=2)
    assert given.bound == bound + 0.5
    assert given.values.dtype == np.int64


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_method_that_fits_every_filter_is_taken(order: slice) -> None:
    """scipy's auto takes no FFT for integers as large as the second filter makes."""
    image = numbers(1, (3, 60, 60), "int64", "digits")
    filters = numbers(2, (2, 3, 12, 12), "int64", "digits")
    filters[1] *= 2**45
    result = compare(image, filters[order])
    assert (result.method, result.exact, result.matching) == ("direct", True, ("flipped",))


def _erring_oracle(place: tuple[int, ...], step: float) -> Callable[..., Any]:
    """The oracle, with ``step`` added to one element of one filter's result."""
    true = Oracle.each

    def erring(oracle: Oracle, bank: np.ndarray) -> Any:
        values, bounds = true(oracle, bank)
        values[place] += values.dtype.type(step)
        return values, bounds

    return erring


@pytest.mark.parametrize("method", ["direct", "fft"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_oracle_is_called_as_it_is_for_every_filter(
    method: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is put between: no transform is ours, and what it gives is what is judged."""
    image = numbers(1, (3, 7, 9), dtype, "measured")
    filters = numbers(2, (4, 3, 2, 3), dtype, "measured")
    true, calls = scipy.signal.convolve, []

    def listen(*args: Any, **options: Any) -> Any:
        calls.append((args[0].shape, args[1].shape, options))
        return true(*args, **options)

    monkeypatch.setattr(scipy.signal, "convolve", listen)
    result = compare(image, filters, method=method)
    assert calls == [((3, 7, 9), (3, 2, 3), {"mode": "valid", "method": method})] * 4
    for one in result.decompositions:
        k, *place = one.comparison.worst_index
        bare = true(image, filters[k], mode="valid", method=method)[0]
        assert one.comparison.expected == bare[tuple(place)]


@pytest.mark.parametrize("wrong", ["raises", "NaN", "inf"])
def test_a_failing_oracle_is_no_mismatch(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: np.ndarray, *_: Any, **__: Any) -> Any:
        if wrong == "raises":
            raise ValueError("out of order")
        return np.full((1, 6, 7), float(wrong))

    monkeypatch.setattr(scipy.signal, "convolve", fail)
    with pytest.raises(OracleError) as caught:
        compare(*load("bank"))
    assert caught.value.exit_code == ExitCode.NOT_JUDGED
    assert caught.value.hint
