"""How a layer on integers applies its scale, by the published arithmetic of libraries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import quantised_arithmetic as published
from few import one_in

import convcheck
from convcheck.convention import Convention

NCHW = Convention(image_layout="NCHW", output_layout="NCHW")


class Layer(NamedTuple):
    """A drawn layer, nothing padded, and what its numbers are."""

    image: np.ndarray
    filters: np.ndarray
    output: np.ndarray
    scales: np.ndarray
    bias: np.ndarray
    zero: int


def layer(
    seed: int, arithmetic: str, side: int = 48, *, shared: bool = False, relu: bool = False
) -> Layer:
    rng = np.random.default_rng(seed)
    image = rng.integers(-128, 128, (1, 4, side, side + 1)).astype(np.int8)
    filters = np.clip(np.rint(rng.standard_normal((5, 4, 3, 3)) * 40), -127, 127).astype(np.int8)
    bias, zero = rng.integers(-3000, 3000, 5), int(rng.integers(-20, 20))
    scales = np.float32(rng.uniform(0.0008, 0.003, 1 if shared else 5)).astype(float)
    scales = np.broadcast_to(scales, 5)
    held = convcheck.convolve(image, filters, NCHW).astype(np.int64) + bias[:, None, None]
    how = getattr(published, arithmetic)
    made = np.stack([how(held[:, o], scales[o]) for o in range(5)], axis=1) + zero
    output = np.clip(made, zero if relu else -128, 127).astype(np.int8)
    return Layer(image, filters, output, scales, bias, zero)


def gives(found: Convention, drawn: Layer) -> bool:
    return np.array_equal(convcheck.convolve(drawn.image, drawn.filters, found), drawn.output)


@pytest.mark.parametrize(
    "arithmetic", one_in(3, ["tflite_twice", "cmsis_nn_requantize", "qnnpack_q31"])
)
@pytest.mark.parametrize("shared", one_in(2, [False, True]))
@pytest.mark.parametrize("seed", one_in(2, [0, 1]))
def test_rounded_twice(arithmetic: str, shared: bool, seed: int) -> None:
    """The multipliers, and biases to about a unit: others may give the same output to the bit."""
    drawn = layer(seed, arithmetic, shared=shared)
    result = convcheck.identify(drawn.image, drawn.filters, drawn.output)
    assert result.verdict == "identified"
    assert not result.warnings
    found = result.candidates[0].convention
    assert found.storage.multiplier == "fixed_twice"
    assert np.allclose(found.scale, drawn.scales, rtol=2e-4)
    made = np.add(found.bias, found.storage.zero_point)
    assert np.allclose(made, drawn.bias * drawn.scales + drawn.zero, atol=0.01)
    assert gives(found, drawn)


@pytest.mark.parametrize("arithmetic", one_in(2, ["tflite_once", "fbgemm_float32"]))
@pytest.mark.parametrize("seed", one_in(2, [0, 1]))
def test_rounded_once(arithmetic: str, seed: int) -> None:
    """What no element tells from the plain product is said so."""
    drawn = layer(seed, arithmetic)
    result = convcheck.identify(drawn.image, drawn.filters, drawn.output)
    assert result.verdict == "identified"
    found = result.candidates[0].convention
    assert found.storage.multiplier == "real"
    assert gives(found, drawn)


def test_too_few_elements_to_tell() -> None:
    drawn = layer(3, "tflite_twice", side=14)
    result = convcheck.identify(drawn.image, drawn.filters, drawn.output)
    assert result.verdict == "identified"
    assert gives(result.candidates[0].convention, drawn)
    assert any("one rounding or in fixed point with two" in w for w in result.warnings)


def test_powers_of_two_and_their_ties() -> None:
    """Scales that are shifts: some sums are ties, and all of them fall as they do in OUT."""
    rng = np.random.default_rng(2)
    image = rng.integers(-20, 21, (3, 30, 31)).astype(np.int8)
    filters = rng.integers(-9, 10, (4, 3, 3, 3)).astype(np.int8)
    held = convcheck.convolve(image, filters, Convention()).astype(np.int64)
    for how in ("tflite_once", "tflite_twice"):
        output = np.clip(getattr(published, how)(held, 2.0**-5), -128, 127).astype(np.int8)
        result = convcheck.identify(image, filters, output)
        assert result.verdict == "identified", how
        found = result.candidates[0].convention
        assert np.array_equal(convcheck.convolve(image, filters, found), output)


@pytest.mark.parametrize("arithmetic", one_in(2, ["tflite_twice", "fbgemm_float32"]))
def test_defects_are_exceptions(arithmetic: str) -> None:
    """One unit in some elements is no rounding, whatever multiplies."""
    drawn = layer(1, arithmetic)
    rng = np.random.default_rng(9)
    damaged = rng.choice(drawn.output.size, 4, replace=False)
    drawn.output.ravel()[damaged] ^= 1
    result = convcheck.identify(drawn.image, drawn.filters, drawn.output)
    assert result.verdict == "near-match"
    assert set(np.flatnonzero(result.candidates[0].wrong)) >= set(damaged)
    assert result.candidates[0].comparison.mismatched <= 6


@pytest.mark.slow
def test_halves_that_were_rounded_the_wrong_way() -> None:
    """Some elements of a scale of a half, each off by one, are no rule of ties."""
    rng = np.random.default_rng(4)
    image = rng.integers(-9, 10, (3, 20, 21)).astype(np.int8)
    filters = rng.integers(-2, 3, (4, 3, 3, 3)).astype(np.int8)
    held = convcheck.convolve(image, filters, Convention()).astype(np.int64)
    output = np.rint(held / 2).astype(np.int8)
    ties = np.flatnonzero(held.ravel() % 4 == 1)[:7]
    output.ravel()[ties] += 1
    result = convcheck.identify(image, filters, output)
    assert result.verdict == "near-match"
    assert np.array_equal(np.flatnonzero(result.candidates[0].wrong), ties)


@pytest.mark.slow
def test_a_multiplier_that_is_a_little_off_in_one_channel() -> None:
    """Another multiplier for some rows of a channel: elements near a tie are exceptions."""
    drawn = layer(5, "tflite_twice")
    held = convcheck.convolve(drawn.image, drawn.filters, NCHW).astype(np.int64)
    held += drawn.bias[:, None, None]
    other = published.tflite_twice(held[:, 2], drawn.scales[2] * (1 + 2.0**-10)) + drawn.zero
    half = drawn.output.shape[2] // 2
    before = drawn.output[:, 2, half:].copy()
    drawn.output[:, 2, half:] = np.clip(other[:, half:], -128, 127)
    assert np.any(before != drawn.output[:, 2, half:])
    result = convcheck.identify(drawn.image, drawn.filters, drawn.output)
    assert result.verdict == "near-match"
