"""What a defect touches says nothing of the rest: ends, slopes, numbers, orders stay as found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from few import one_in
from identified import found, made, normal, photo, whole
from plain_convolution import rounded

from convcheck import Convention, identify
from convcheck.checks.identify.intervals import agreed

Array = np.ndarray


def near(image: Array, filters: Array, output: Array, wrong: Array) -> Convention:
    """The convention of a near match that marks exactly the elements that are wrong."""
    result = identify(image, filters, output)
    assert result.verdict == "near-match", (result.verdict, result.candidates, result.nearest)
    (candidate,) = result.candidates
    assert candidate.wrong is not None
    np.testing.assert_array_equal(candidate.wrong, wrong)
    return candidate.convention


@pytest.mark.parametrize(("activation", "off"), [("relu6", -0.5), ("relu", -0.5), ("tanh", 3.0)])
def test_elements_beyond_an_activation_do_not_exclude_it(activation: str, off: float) -> None:
    """Not a leaky ReLU of slope 0, which has no upper end."""
    image, filters = normal(3, 10, 11), normal(4, 3, 3, 3, seed=1)
    output = made(image, filters, activation=activation)
    spoiled = output.copy()
    spoiled.flat[[3, 50, 140]] = off
    convention = near(image, filters, spoiled, spoiled != output)
    assert convention.activation == (activation, ())


def test_a_row_beyond_where_all_was_cut_off() -> None:
    image, filters = normal(3, 12, 11), normal(4, 3, 3, 3, seed=1)
    output = made(image, filters, activation="relu6")
    spoiled = output.copy()
    spoiled[:, 4] -= 0.5
    assert near(image, filters, spoiled, spoiled != output).activation == ("relu6", ())


def test_an_element_below_a_clip_is_not_its_end() -> None:
    image, filters = normal(3, 10, 11), normal(4, 3, 3, 3, seed=1)
    output = made(image, filters, activation={"clip": [-2.5, 3]})
    spoiled = output.copy()
    spoiled[1, 2, 3] = -7
    convention = near(image, filters, spoiled, spoiled != output)
    assert convention.activation == ("clip", (-2.5, 3.0))


@pytest.mark.slow
def test_a_bias_that_fits_a_channel_by_luck_is_made_up() -> None:
    """Of many numbers one always fits a few of its elements."""
    image, filters = whole(2, 14, 12), whole(3, 2, 3, 4, seed=1)
    output, other = made(image, filters, padding=1), made(image, filters, padding=1, flip=["H"])
    spoiled = output.copy()
    spoiled[0] = other[0]
    assert near(image, filters, spoiled, spoiled != output).bias is None


def layer_of_bytes(factors: Array, biases: Array, **keys: Any) -> tuple[Array, Array, Array]:
    """A layer stored in eight bits."""
    image = photo(1, 7, 12)
    filters = whole(len(factors), 1, 2, 3, seed=2, most=127, dtype=np.int8)
    storage = {"dtype": "int8", "zero_point": -122, "rounding": "half_even"}
    numbers: dict[str, Any] = {"scale": factors.tolist(), "bias": biases.tolist()}
    stored = storage | {"overflow": "saturate"}
    return image, filters, made(image, filters, **numbers, **keys, storage=stored)


def test_a_tile_of_a_layer_of_bytes_that_is_most_of_what_a_channel_shows() -> None:
    factors, biases = np.array([0.0019, 0.0036, 0.0028]), np.array([11.5, 22.25, 6.75])
    image, filters, output = layer_of_bytes(factors, biases, activation="relu")
    spoiled = output.copy()
    spoiled[0, :3, :3] = 0
    convention = near(image, filters, spoiled, spoiled != output)
    assert convention.activation == ("relu", ())
    assert np.asarray(convention.scale)[:2] == pytest.approx(factors[:2], rel=0.05)


def test_a_slope_is_that_of_most_elements_though_most_pairs_are_spoiled() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(-50, 50, 40)
    y = 0.37 * p + 4
    y[:15] = rng.uniform(-20, 20, 15)
    assert agreed(p, y - 0.1, y + 0.1, rng) == pytest.approx(0.37, abs=0.02)
    assert agreed(p, 0.37 * p - 0.1, 0.37 * p + 0.1, rng) == pytest.approx(0.37, abs=1e-9)
    y[15:] = 0
    y[:12] = 0.37 * p[:12] + 4
    assert agreed(p, y - 1e-6, y + 1e-6, rng) == pytest.approx(0.37, abs=1e-6)
    same = np.ones(9)
    assert agreed(same, same, same, rng) == 0


@pytest.mark.parametrize("activation", one_in(3, ["tanh", "gelu", "softplus"]))
def test_what_lies_beyond_the_edge_of_a_layer_that_bends(activation: str) -> None:
    image, filters = normal(3, 12, 10), normal(4, 3, 3, 3, seed=1) / 2
    keys = {"padding": 1, "padding_mode": "edge", "stride": 2, "activation": activation}
    convention = found(image, filters, made(image, filters, **keys))
    assert "edge" in np.atleast_1d(convention.padding_mode)
    keys = {"padding": 1, "padding_value": 1.5, "activation": activation}
    assert found(image, filters, made(image, filters, **keys)).padding_value == 1.5


@pytest.mark.parametrize(("activation", "size"), [("gelu", 1), ("tanh", 0.3), ("hard_swish", 1)])
def test_channels_in_each_others_place_though_they_bend(activation: str, size: float) -> None:
    image, filters = normal(2, 12, 10), size * normal(5, 2, 3, 4, seed=1)
    order = (2, 1, 0, 3, 4)
    output = made(image, filters, activation=activation, output_order=order)
    assert found(image, filters, output).output_order == order


def test_a_zero_of_few_bits_is_as_coarse_as_what_it_is_a_difference_of() -> None:
    """GELU in single precision is 0 where in double precision it is 1e-17."""
    image, filters = normal(2, 16, 15).astype(np.float32), normal(4, 2, 3, 3, seed=1)
    filters = filters.astype(np.float32)
    output = made(image, filters, activation="gelu")
    output = np.where(np.abs(output) < 1e-9, 0, output).astype(np.float32)
    assert (output == 0).sum() > 3
    convention = found(image, filters, rounded(output, "bfloat16"))
    assert convention.activation == ("gelu", ())
    assert convention.storage is not None


@pytest.mark.slow
def test_all_that_is_a_little_off_is_no_defect_of_some() -> None:
    """A curve is nearly a line, and bytes hide much of the rest: but not those that are off."""
    image, filters = photo(1, 8, 9), whole(4, 1, 4, 1, seed=1, most=127, dtype=np.int8)
    sums = made(image, filters)
    clean = np.clip(np.rint(sums / 256 + 137), 0, 255)
    bent = np.rint(clean.max() * (clean / clean.max()) ** 1.25).astype(np.uint8)
    assert identify(image, filters, clean.astype(np.uint8)).verdict == "identified"
    assert identify(image, filters, bent).verdict == "unexplained"


@pytest.mark.slow
def test_biases_beside_a_channel_that_is_another_have_the_digits_that_errors_leave() -> None:
    """A bias to fewer makes errors that are too even for rounding, and no algorithm's."""
    image, filters = normal(2, 21, 19).astype(np.float32), normal(4, 2, 3, 3, seed=1)
    filters = filters.astype(np.float32)
    biases = [-1.1111326217651367, 3.84541916847229, -0.5130951404571533, -1.2685984373092651]
    output = made(image, filters, bias=biases, stride=2).astype(np.float32)
    spoiled = output.copy()
    spoiled[2] = spoiled[3]
    convention = near(image, filters, spoiled, spoiled != output)
    assert convention.padding_value == 0
    told = np.asarray(convention.bias)[[0, 1, 3]]
    np.testing.assert_allclose(told, np.array(biases)[[0, 1, 3]], rtol=1e-6)


@pytest.mark.slow
def test_a_border_of_zeros_though_its_samples_look_like_another() -> None:
    """What is found where the image goes on beyond its edge is tried with zeros there as well."""
    image, filters = normal(1, 7, 14).astype(np.float32), normal(4, 1, 2, 4, seed=1)
    filters = filters.astype(np.float32)
    keys = {"padding": [[1, 0], [2, 1]], "bias": [-0.93, -0.9, -0.33, 0.22], "activation": "relu"}
    output = made(image, filters, **keys).astype(np.float32)
    spoiled = output.copy()
    spoiled[:, 4] = output[:, 3]
    assert near(image, filters, spoiled, spoiled != output).padding_mode == "constant"


def test_a_channel_has_a_bias_though_the_others_are_their_sums() -> None:
    """Half of the output as its sums are says nothing of a channel that is not."""
    image, filters = normal(3, 11, 10).astype(np.float16), normal(3, 3, 5, 2, seed=1) / 4
    filters = filters.astype(np.float16)
    keys = {"bias": [0, 0, 0.84082], "flip": ["H"], "padding": [[3, 3], [0, 0]]}
    output = made(image.astype(np.float32), filters.astype(np.float32), **keys)
    convention = found(image, filters, output.astype(np.float16))
    np.testing.assert_allclose(np.asarray(convention.bias), [0, 0, 0.84082], atol=1e-3)
