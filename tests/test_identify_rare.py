"""What is rare but real: resampling, coarse arithmetic with a bias, fractions that were cut off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convcheck.checks import patch
from convcheck.checks.identify import exploration, identify
from convcheck.checks.identify.judging import LEAST
from convcheck.convention import PADDING_MODES, Convention
from convcheck.engine import convolve, pad, round_to, spread

NCHW = {"image_layout": "NCHW", "filter_layout": "OIHW", "output_layout": "NOHW"}
BIAS = (0.3611, -1.2548, 0.0374)


def normal(*shape: int, seed: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def named(x: np.ndarray, w: np.ndarray, y: np.ndarray) -> Convention:
    """The one convention that gives the output."""
    result = identify(x, w, y)
    assert result.verdict == "identified", result.verdict
    (candidate,) = result.candidates
    return candidate.convention


# --- where windows lie --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        # Cropped by more than a kernel of one tap adds, as PyTorch's padding of 2 does.
        {"input_dilation": 3, "padding": [[-2, -2], [0, 1]]},
        {"input_dilation": [2, 4], "padding": [[1, 2], [-2, -1]], "dilation": [2, 1]},
        # Up and down at once.
        {"input_dilation": [3, 2], "stride": [2, 3], "padding": 1},
        {"input_dilation": [4, 1], "stride": [3, 2], "bias": BIAS, "activation": "relu"},
        # A border beyond the zeros between the samples.
        {"input_dilation": 2, "padding": 3, "padding_mode": "reflect"},
        {"input_dilation": [1, 3], "padding": [[0, 0], [4, 4]], "padding_mode": "wrap"},
        {"input_dilation": 2, "padding": 2, "padding_value": 1.5},
        # Six rows that no sample of the image is in.
        {"padding": [[0, 0], [7, 7]]},
        {"padding": [[2, 2], [7, 7]], "padding_mode": "edge"},
    ],
)
def test_windows_where_few_have_them(keys: dict[str, Any]) -> None:
    x, w = normal(2, 2, 9, 8), normal(3, 2, 5, 4)
    c = Convention(**NCHW, **keys)
    y = convolve(x, w, c).astype(np.float32)
    found = named(x, w, y)
    other, bank = normal(*x.shape, seed=6), normal(*w.shape, seed=7)
    again = convolve(other, bank, found.replace(arithmetic="exact"))
    assert np.allclose(again, convolve(other, bank, c), atol=1e-5)


@pytest.mark.parametrize("mode", PADDING_MODES)
@pytest.mark.parametrize("gap", [1, 2, 3])
def test_a_border_is_read_beyond_zeros_between_the_samples(mode: str, gap: int) -> None:
    c = Convention(**NCHW, input_dilation=gap, padding=4, padding_mode=mode)
    x = normal(1, 1, 5, 6)
    whole = pad(spread(x, c.input_dilation), c)
    rows, columns = (
        patch.source(c, axis, size, np.arange(-4, (size - 1) * gap + 5))
        for axis, size in enumerate(x.shape[2:])
    )
    made = patch.patch(x, rows, columns, c, lambda part: part)
    assert np.array_equal(made, whole)


# --- coarse arithmetic --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        {"bias": BIAS},
        {"bias": BIAS, "padding": 1, "activation": "relu"},
        {"scale": 0.5, "stride": 2},
        {"scale": 0.125, "bias": BIAS, "padding": 1, "padding_mode": "reflect"},
    ],
)
def test_products_in_tf32_and_all_else_in_single_precision(keys: dict[str, Any]) -> None:
    x, w = normal(2, 2, 12, 9), normal(3, 2, 3, 2)
    c = Convention(**NCHW, **keys)
    operands = [round_to(a.astype(np.float64), "tf32") for a in (x, w)]
    y = convolve(*operands, c).astype(np.float32)
    assert not np.array_equal(y, convolve(x, w, c).astype(np.float32))
    found = named(x, w, y)
    assert found == c.replace(arithmetic="tf32", padding=found.padding)
    # A bias that is another is seen.
    y[:, 1] += np.float32(1e-4)
    if "bias" in keys and "activation" not in keys:
        bias = named(x, w, y).bias
        assert bias is not None
        assert abs(bias[1] - (BIAS[1] + 1e-4)) < 1e-6


def test_how_far_numbers_next_to_zero_are_apart() -> None:
    for name in ("float64", "float32", "float16"):
        assert LEAST[name] == np.finfo(name).smallest_subnormal
    # Both have the exponents of single precision, and TF32's numbers are stored in it.
    assert LEAST["tf32"] == LEAST["float32"]
    assert LEAST["bfloat16"] == LEAST["float32"] * 2**16


def test_results_next_to_zero_in_half_precision() -> None:
    x, w = normal(1, 2, 12, 11), normal(4, 1, 1, 1) * np.float32(2e-4)
    c = Convention(**NCHW, groups=2)
    y = convolve(x.astype(np.float16), w.astype(np.float16), c).astype(np.float16)
    assert (np.abs(y) < np.finfo(np.float16).smallest_normal).mean() > 0.1
    assert named(x, w, y) == c.replace(arithmetic="float16")
    y[0, 1, 3, 4] += np.float16(1e-5)
    assert identify(x, w, y).verdict == "near-match"


def test_results_next_to_zero_in_single_precision() -> None:
    x, w = normal(1, 2, 9, 8) * np.float32(1e-22), normal(3, 2, 2, 3) * np.float32(1e-21)
    c = Convention(**NCHW)
    y = convolve(x, w, c).astype(np.float32)
    assert (np.abs(y) < np.finfo(np.float32).smallest_normal).all()
    assert named(x, w, y).flip == ()


# --- fractions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["int8", "int16", "int32"])
@pytest.mark.parametrize("scale", [0.5, 0.1, 1 / 9])
def test_a_fraction_that_was_cut_off_is_no_other_scale(kind: str, scale: float) -> None:
    """Rounded to the nearest, another scale and odd biases would do as well on this data."""
    rng = np.random.default_rng(8)
    x, w = rng.integers(0, 20, (1, 2, 9, 8)), rng.integers(-4, 5, (4, 2, 3, 2))
    c = Convention(**NCHW, scale=scale, bias=(40.0, -29.0, -9.0, 27.0), arithmetic=f"wrap:{kind}")
    y = convolve(x, w, c)
    found = named(x, w, y)
    assert found == c


@pytest.mark.parametrize("seed", [3, 10, 11])
def test_a_fraction_that_was_cut_off_has_plain_numbers(seed: int) -> None:
    """Rounded, a third needs a bias of -26.5 or of -26.8333, or it is no third."""
    rng = np.random.default_rng(seed)
    x, w = rng.integers(0, 20, (1, 2, 9, 8)), rng.integers(-4, 5, (1, 2, 3, 2))
    c = Convention(**NCHW, scale=1 / 3, bias=(-27.0,), arithmetic="wrap:int32")
    assert named(x, w, convolve(x, w, c)) == c
    c = c.replace(arithmetic="saturate:int32")
    assert named(x, w, convolve(x, w, c)) == c


@pytest.mark.parametrize(
    ("seed", "kind", "keys"),
    [
        (1, "uint8", {"scale": 0.5, "bias": (0.0, 17.0, -38.0, -0.5), "activation": "relu"}),
        (2, "uint16", {"scale": 1 / 18}),
    ],
    ids=str,
)
def test_a_line_through_what_was_cut_off_is_no_near_match(
    seed: int, kind: str, keys: dict[str, Any]
) -> None:
    """The line leaves a few elements out: with a plain scale none is."""
    rng = np.random.default_rng(seed)
    x, w = rng.integers(0, 20, (1, 2, 9, 8)), rng.integers(-4, 5, (4, 2, 3, 2))
    w = w[: len(keys.get("bias", w))]
    c = Convention(**NCHW, **keys, arithmetic=f"wrap:{kind}")
    y = convolve(x, w, c)
    result = identify(x, w, y)
    assert result.verdict in ("identified", "ambiguous")
    assert np.array_equal(convolve(x, w, result.candidates[0].convention), y)


@pytest.mark.parametrize("kind", ["int16", "uint16", "int32"])
def test_whole_biases_of_sums_with_fractions(kind: str) -> None:
    rng = np.random.default_rng(9)
    x, w = rng.integers(0, 256, (1, 2, 9, 8)).astype(np.uint8), normal(4, 2, 2, 3)
    c = Convention(**NCHW, bias=(26.0, -17.0, 0.0, -14.0), arithmetic=f"wrap:{kind}")
    y = convolve(x, w, c)
    found = named(x, w, y)
    assert found == c


def test_a_channel_at_a_limit_throughout_tells_no_bias() -> None:
    rng = np.random.default_rng(9)
    x, w = rng.integers(0, 99, (1, 2, 9, 8)), rng.integers(-4, 5, (3, 2, 2, 3))
    for activation, kind, bias, said in (
        (None, "uint8", 9000.0, "output channel 1 of OUT is 255 throughout, an end of uint8"),
        (None, "int8", -9000.0, "output channel 1 of OUT is -128 throughout, an end of int8"),
        ("relu", "int8", -9000.0, "output channel 1 of OUT is zero throughout"),
        (None, "int8", 1.0, None),
    ):
        keys = {"bias": (3.0, bias, -5.0), "scale": 0.1, "arithmetic": f"saturate:{kind}"}
        y = convolve(x, w, Convention(**NCHW, activation=activation, **keys))
        result = identify(x, w, y)
        assert result.verdict == "identified"
        assert [text.partition(":")[0] for text in result.warnings] == ([said] if said else [])


def test_a_bias_has_the_digits_that_a_black_corner_shows() -> None:
    x, w = np.random.default_rng(3).integers(0, 256, (1, 3, 12, 11)), normal(3, 3, 3, 2)
    x[..., :4, :4] = 0
    c = Convention(**NCHW, scale=0.1, bias=(0.147328, -1.303686, 1.400272))
    y = convolve(x, w, c).astype(np.float32)
    bias = named(x, w, y).bias
    assert bias is not None
    assert c.bias is not None
    assert np.allclose(bias, c.bias, rtol=3e-6, atol=0)


def test_kernels_as_they_are_come_before_all_that_is_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few elements so much is possible that the search ends before it has seen it all."""
    rng = np.random.default_rng(5)
    x, w = rng.integers(-9, 10, (3, 11, 12)), rng.integers(-9, 10, (4, 3, 3, 2))
    truth = Convention(
        channel_order=(1, 0, 2),
        stride=(4, 5),
        padding=((2, 2), (1, 0)),
        padding_mode="symmetric",
        bias=(1, 2, 3, 4),
    )
    monkeypatch.setattr(exploration, "ENOUGH", 42_000_000)  # what is common takes 41 of them
    assert named(x, w, convolve(x, w, truth)) == truth
