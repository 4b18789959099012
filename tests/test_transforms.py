"""Transforms that calls share: the same numbers as scipy makes for each, and nothing is left."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import scipy.fft
from scipy.signal import convolve

from convcheck.reference import Oracle
from convcheck.rounding import choose_arithmetic
from convcheck.transforms import (
    along_each_axis,
    amid_nan,
    back_along_each_axis,
    shared_transforms,
)


def drawn(seed: int, shape: Any, complex_data: bool = False) -> Any:
    rng = np.random.default_rng(seed)
    array = rng.standard_normal(shape)
    return array + 1j * rng.standard_normal(shape) if complex_data else array


@pytest.mark.parametrize("complex_data", [False, True])
@pytest.mark.parametrize(
    ("image", "bank"),
    [
        ((3, 5, 5), (1, 3, 2, 2)),
        ((1, 40, 31), (3, 1, 7, 4)),
        ((4, 9, 30), (2, 4, 1, 5)),
        ((2, 6, 6), (2, 2, 6, 6)),
        ((5, 17, 1), (2, 5, 3, 1)),
    ],
)
def test_the_oracle_is_what_scipy_gives(image: Any, bank: Any, complex_data: bool) -> None:
    x, w = drawn(1, image, complex_data), drawn(2, bank, complex_data)
    values, bounds = Oracle(x, choose_arithmetic(x, w), "fft").each(w)
    assert bounds is not None
    for value, kernel, bound in zip(values, w, bounds, strict=True):
        (bare,) = convolve(x, kernel, "valid", method="fft")
        # Sum by sum the same, where a machine's vectors round as its single numbers do.
        assert np.abs(value - bare).max() <= min(bound, 1e-14 * np.abs(bare).max())


def test_the_image_is_transformed_once_and_nothing_else_is_kept() -> None:
    x, other = drawn(3, (3, 8, 9)), drawn(4, (3, 8, 9))
    calls = {"rfftn": scipy.fft.rfftn, "fftn": scipy.fft.fftn}
    lengths, axes = [5, 9, 10], [0, 1, 2]
    expected = {name: call(x, lengths, axes=axes) for name, call in calls.items()}
    with shared_transforms(x):
        for name, call in calls.items():
            made = call(x, lengths, axes=axes)
            assert call(x, lengths, axes=axes) is made
            assert not made.flags.writeable
            assert np.array_equal(made, expected[name])
            assert call(x, [6, 9, 10], axes=axes).shape[:2] == (6, 9)
            assert call(x, lengths[1:], axes=axes[1:]).shape[:2] == (3, 9)
            assert call(other, lengths, axes=axes) is not call(other, lengths, axes=axes)
            assert np.allclose(call(x.copy(), lengths, axes=None), expected[name])
            assert call(x) is not call(x)  # asked otherwise, it is scipy's to do
        assert scipy.fft.rfft2(other, lengths[1:], axes=axes[1:]).shape == (3, 9, 6)
        assert np.allclose(scipy.fft.irfftn(expected["rfftn"], lengths)[:3, :8, :9], x)
    made = scipy.fft.rfftn(x, lengths, axes=axes)
    assert scipy.fft.rfftn(x, lengths, axes=axes) is not made


def test_what_is_not_of_the_image_is_left_whole() -> None:
    x, w = drawn(12, (3, 8, 9)), drawn(13, (3, 2, 4))
    full = convolve(x, w, "full", method="fft")
    with shared_transforms(x):
        assert np.allclose(convolve(x.copy(), w, "full", method="fft"), full)
        assert np.allclose(convolve(w, x.copy(), "full", method="fft"), full)


def test_the_image_is_free_at_once() -> None:
    """A circle would keep it, and what it was made into, until the collector comes by."""
    x = drawn(5, (2, 8, 8))
    gone = weakref.ref(x)
    gc.disable()
    try:
        with suppress(InterruptedError), shared_transforms(x):
            convolve(x, drawn(6, (2, 3, 3)), "valid", method="fft")
            raise InterruptedError
        del x
        assert gone() is None
    finally:
        gc.enable()


def test_each_axis_is_padded_in_its_turn() -> None:
    x = drawn(7, (3, 4, 5))
    for axes, lengths in (([0, 1, 2], [5, 9, 8]), ([1, 2], [6, 7]), ([2], [5])):
        made = along_each_axis(x, lengths, axes)
        assert np.allclose(made, scipy.fft.rfftn(x, lengths, axes=axes), rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="zip"):
        along_each_axis(x, [5], [1, 2])


def test_the_way_back_makes_what_is_wanted() -> None:
    lengths, axes = [5, 6, 8], [0, 1, 2]
    spectrum = scipy.fft.rfftn(drawn(8, lengths))
    whole = scipy.fft.irfftn(spectrum, lengths)
    for wanted in ((2, 3), (1, 5), (3, 8)), ((0, 5), (0, 6), (0, 8)), ((4, 5), (5, 6), (7, 8)):
        parts = tuple(slice(*ends) for ends in wanted)
        made = back_along_each_axis(spectrum, lengths, axes, parts)
        assert np.allclose(made, whole[parts], rtol=0, atol=1e-14)
    made = back_along_each_axis(spectrum[:, 2:3], lengths[::2], axes[::2], parts[::2])
    assert made.shape == (1, 1, 1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_it_is_divided_when_scipy_divides() -> None:
    """Before that, large numbers overflow, and after it no longer."""
    everything = [slice(None)] * 3
    for size in np.ldexp(1.0, range(1010, 1024)):
        for axis in range(3):
            spectrum = np.zeros((4, 8, 9), complex)
            spectrum[tuple(slice(None) if a == axis else 0 for a in range(3))] = size
            made = back_along_each_axis(spectrum, [4, 8, 16], [0, 1, 2], everything)
            whole = scipy.fft.irfftn(spectrum, [4, 8, 16])
            assert np.array_equal(np.isfinite(made), np.isfinite(whole))


def test_of_complex_data_the_image_alone_is_shared() -> None:
    """In what order scipy takes the axes of complex arrays depends on its version."""
    x, w = drawn(14, (3, 8, 9), complex_data=True), drawn(15, (3, 2, 4), complex_data=True)
    bare = convolve(x, w, "full", method="fft")
    with shared_transforms(x):
        for _ in range(2):
            assert np.array_equal(convolve(x, w, "full", method="fft"), bare)
        made = scipy.fft.fftn(x, [5, 9, 12], axes=[0, 1, 2])
        assert scipy.fft.fftn(x, [5, 9, 12], axes=[0, 1, 2]) is made


def test_only_what_is_wanted_is_a_number() -> None:
    x = drawn(11, (2, 1, 3))
    made = amid_nan(x, [5, 6, 7], [0, 1, 2], [slice(1, 3), slice(4, 5), slice(0, 3)])
    assert made.shape == (5, 6, 7)
    assert np.array_equal(made[1:3, :, :3], np.broadcast_to(x, (2, 6, 3)))
    assert np.isnan(made).sum() == made.size - 36
    with pytest.raises(ValueError, match="zip"):
        amid_nan(x, [5, 6], [0, 1, 2], [slice(1, 3)] * 3)
    with pytest.raises(ValueError, match="zip"):
        back_along_each_axis(x, [2, 1, 3], [0, 1, 2], [slice(1)] * 2)


def test_of_the_full_result_only_what_is_valid_is_made() -> None:
    x, w = drawn(9, (3, 8, 9)), drawn(10, (3, 2, 4))
    lengths, axes = [5, 9, 12], [0, 1, 2]
    full = convolve(x, w, "full", method="fft")
    with shared_transforms(x):
        product = scipy.fft.rfftn(x, lengths, axes=axes) * scipy.fft.rfftn(w, lengths, axes=axes)
        made = scipy.fft.irfftn(product, lengths, axes=axes)
    assert made.shape == (5, 9, 12)
    valid = made[:, 1:8, 3:9]
    assert np.allclose(valid, full[2, 1:8, 3:9], rtol=0, atol=1e-13)
    assert np.isnan(made).sum() == made.size - valid.size
    assert made.strides[0] == 0  # one channel of the five is there
