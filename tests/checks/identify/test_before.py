"""Means, deviations and zero points of the image and of the filters, from the arrays alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from identified import LONG, found, made, normal, photo, whole

from convcheck import identify

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
OVER = tuple(1 / d for d in DEVIATION)
PADDED = {"padding": [[1, 1], [1, 1]]}
SCALES = [0.5, 1.25, 0.75, 2.0, 1.5]


def arrays() -> tuple[Any, Any]:
    return photo(3, 18, 20), normal(5, 3, 3, 3).astype(np.float32)


STEPS = {
    "ImageNet": {"image_offset": MEAN, "image_scale": OVER},
    "means": {"image_offset": (10.5, 20.25, 100.0)},
    "one for all": {"image_offset": 127.5},
    "deviations": {"image_scale": (0.9, 1.1, 1.2)},
}


@pytest.mark.parametrize("after", [{}, {"activation": "relu"}, {"scale": SCALES}], ids=str)
@pytest.mark.parametrize("name", STEPS)
def test_numbers_are_exact(name: str, after: dict[str, Any]) -> None:
    if name == "deviations" and "scale" in after:
        pytest.skip("the sums alone are too far from such results to be found")
    x, w = arrays()
    y = made(x, w, **STEPS[name], **PADDED, **after)
    c = found(x, w, y)
    assert c.padding == ((1, 1), (1, 1))
    assert c.activation == (None if "activation" not in after else c.activation)
    wanted = STEPS[name].get("image_offset", 0.0)
    np.testing.assert_allclose(c.image_offset, wanted, rtol=1e-9, atol=1e-9)
    # A factor for all may be said with the image's scales or after the sums.
    scale = np.outer(np.broadcast_to(c.scale, 5), np.broadcast_to(c.image_scale, 3))
    own = np.broadcast_to(STEPS[name].get("image_scale", 1.0), 3)
    np.testing.assert_allclose(scale, np.outer(after.get("scale", np.ones(5)), own), rtol=1e-6)


@pytest.mark.parametrize("zero", [1, 2, 3, 114, 255])
def test_the_zero_point_of_integers_is_one_number(zero: int) -> None:
    x, w = photo(3, 18, 20), whole(4, 3, 3, 3, most=90, dtype=np.int8)
    y = made(x, w, image_offset=zero, **PADDED).astype(np.int32)
    c = found(x, w, y)
    assert (c.image_offset, c.filter_offset, c.bias) == (float(zero), 0.0, None)


@pytest.mark.parametrize("points", [(114, 131), (3, 128)])
def test_zero_points_of_both(points: tuple[int, int]) -> None:
    x, w = photo(3, 18, 20), photo(4, 3, 3, 3, seed=1)
    keys = dict(zip(("image_offset", "filter_offset"), points, strict=True))
    c = found(x, w, made(x, w, **keys, **PADDED).astype(np.int32))
    assert (c.image_offset, c.filter_offset) == points


@pytest.mark.slow
def test_defects_move_no_number() -> None:
    x, w = arrays()
    y = made(x, w, image_offset=MEAN, image_scale=OVER, **PADDED)
    rng = np.random.default_rng(3)
    some = rng.choice(y.size, int(0.03 * y.size), replace=False)
    y.flat[some] += rng.choice([-1, 1], len(some)) * rng.uniform(5, 50, len(some))
    result = identify(x, w, y, budget=LONG)
    assert result.verdict == "near-match"
    c = result.candidates[0].convention
    np.testing.assert_allclose(c.image_offset, MEAN, rtol=1e-9)
    ratio = np.asarray(c.image_scale) / OVER
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
    assert result.candidates[0].comparison.mismatched == len(some)


@pytest.mark.slow
def test_few_elements_say_no_means() -> None:
    x, w = photo(3, 4, 4), normal(1, 3, 3, 3)
    y = made(x, w, image_offset=MEAN, image_scale=OVER)
    result = identify(x, w, y)
    assert result.verdict != "identified"


def test_without_padding_means_are_biases() -> None:
    x, w = arrays()
    y = made(x, w, image_offset=127.5)
    c = found(x, w, y)
    taps = w.astype(float).sum(axis=(1, 2, 3))
    bias = np.broadcast_to(0.0 if c.bias is None else c.bias, 5)
    np.testing.assert_allclose(bias - np.asarray(c.image_offset) * taps, -127.5 * taps, rtol=1e-6)


@pytest.mark.parametrize("activation", ["hard_swish", "silu"])
@pytest.mark.parametrize("order", [1, -1])
def test_what_networks_of_pictures_are_given_under_what_bends(order: int, activation: str) -> None:
    x, w = photo(3, 18, 20), normal(5, 3, 3, 3).astype(np.float32)
    keys = {"image_offset": MEAN[::order], "image_scale": OVER[::order], "bias": (0, -4, 1, -2, 3)}
    c = found(x, w, made(x, w, activation=activation, **keys, **PADDED).astype(np.float32))
    assert (c.activation.name, c.padding) == (activation, ((1, 1), (1, 1)))
    np.testing.assert_allclose(c.image_offset, MEAN[::order], rtol=1e-9)
    ratio = np.asarray(c.image_scale) / OVER[::order]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


def test_a_border_of_zeros_under_what_bends() -> None:
    """Bytes make a border of zeros and one of small numbers alike."""
    x, w = photo(3, 7, 8, 9), normal(6, 3, 3, 3, 3).astype(np.float32)
    keys = {"image_scale": 1 / 255, "activation": "silu", "padding": [[1, 1]] * 3}
    layouts = {"image_layout": "CDHW", "filter_layout": "OIDHW", "output_layout": "CDHW"}
    c = found(x, w, made(x, w, **keys, **layouts).astype(np.float32))
    assert (c.padding_value, c.activation.name, c.bias) == (0.0, "silu", None)
