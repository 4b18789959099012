"""Arrays that were reshaped where they should have been transposed, and those that were not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from few import one_in
from identified import LONG, found, made, normal, photo

from convcheck import convolve, identify

BIAS = [0.3, -0.2, 0.5, -0.9]


@pytest.mark.parametrize("batch", one_in(2, [False, True]), ids=["one", "batch"])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"padding": [[1, 1], [1, 1]], "bias": BIAS, "activation": "relu"},
        {"stride": [2, 2], "flip": ["H", "W"]},
    ],
    ids=["plain", "a layer", "stride"],
)
@pytest.mark.parametrize("layouts", one_in(2, ["OIHW HWIO", "HWIO OIHW", "OIHW OHWI"]))
def test_filters(layouts: str, keys: dict[str, Any], batch: bool) -> None:
    stored, taken = layouts.split()
    sizes = {"O": 4, "I": 5, "H": 3, "W": 3}
    filters = normal(*(sizes[axis] for axis in stored), seed=1)
    image = normal(2, 5, 12, 13) if batch else normal(5, 12, 13)
    layout = "NCHW" if batch else "CHW"
    around = {"image_layout": layout, "output_layout": layout, **keys}
    reshaped = filters.reshape([sizes[axis] for axis in taken])
    right = filters.transpose([stored.index(axis) for axis in taken])
    assert reshaped.shape == right.shape

    c = found(image, filters, made(image, reshaped, filter_layout=taken, **around))
    assert (c.filter_layout, c.filter_memory, c.image_memory) == (stored, taken, None)
    assert [list(pads) for pads in c.padding] == keys.get("padding", [[0, 0], [0, 0]])
    # The same by a proper transposition is none.
    c = found(image, filters, made(image, right, filter_layout=taken, **around))
    assert (c.filter_layout, c.filter_memory, c.image_memory) == (stored, None, None)


@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_a_picture(dtype: str) -> None:
    picture = photo(12, 14, 3).astype(dtype)
    filters = normal(4, 3, 3, 3, seed=1)
    output = made(picture.reshape(3, 12, 14), filters)
    c = found(picture, filters, output)
    assert (c.image_layout, c.image_memory, c.filter_memory) == ("HWC", "CHW", None)
    assert c.output_layout == "CHW"
    c = found(picture, filters, made(picture.transpose(2, 0, 1), filters))
    assert (c.image_layout, c.image_memory, c.filter_memory) == ("HWC", None, None)


def test_a_batch() -> None:
    batch, filters = normal(2, 10, 12, 4), normal(4, 4, 3, 3, seed=1)
    keys = {"image_layout": "NCHW", "output_layout": "NCHW", "padding": [[1, 1], [1, 1]]}
    c = found(batch, filters, made(batch.reshape(2, 4, 10, 12), filters, **keys))
    assert (c.image_layout, c.image_memory, c.output_layout) == ("NHWC", "NCHW", "NCHW")
    c = found(batch, filters, made(batch.transpose(0, 3, 1, 2), filters, **keys))
    assert (c.image_layout, c.image_memory) == ("NHWC", None)


@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 2, 3, 1), (0, 1, 3, 2), (3, 2, 1, 0)], ids=str)
def test_another_order_of_the_axes_is_no_reshape(order: tuple[int, ...]) -> None:
    """Whatever order the axes are stored in, a transposition brings them back."""
    filters = normal(4, 3, 3, 3, seed=1)
    image = normal(3, 12, 13)
    stored = np.ascontiguousarray(filters.transpose(order))
    c = found(image, stored, made(image, filters))
    assert c.filter_memory is None
    assert c.filter_layout == "".join("OIHW"[axis] for axis in order)


@pytest.mark.parametrize(
    ("image", "filters"),
    [
        ((9, 10), (3, 4)),
        ((1, 9, 10), (1, 1, 3, 4)),
        ((3, 9, 10), (3, 3, 3, 3)),
        ((2, 30), (4, 2, 1)),
    ],
    ids=str,
)
def test_a_plain_layer_of_any_size_has_no_memory(
    image: tuple[int, ...], filters: tuple[int, ...]
) -> None:
    x, w = normal(*image), normal(*filters, seed=1)
    layouts = {
        "image_layout": "CHW"[-len(image) :] if len(image) != 2 or len(filters) == 2 else "CW",
        "filter_layout": "OIW" if len(filters) == 3 else "OIHW"[-len(filters) :],
    }
    layouts["output_layout"] = layouts["image_layout"]
    c = found(x, w, made(x, w, **layouts))
    assert c.image_memory is None
    assert c.filter_memory is None


def test_one_dimension() -> None:
    signal, filters = normal(5, 40), normal(4, 5, 3, seed=1)
    keys = {"image_layout": "CW", "output_layout": "CW"}
    output = made(signal, filters.reshape(3, 5, 4), filter_layout="WIO", **keys)
    c = found(signal, filters, output)
    assert (c.filter_layout, c.filter_memory) == ("OIW", "WIO")


def test_depthwise_filters_and_those_of_a_transposed_convolution() -> None:
    image = normal(4, 12, 13)
    stored = normal(3, 3, 4, 2, seed=1)
    output = made(image, stored.reshape(8, 1, 3, 3), groups=4)
    c = found(image, stored, output)
    assert c.groups == 4
    assert c.filter_memory is not None
    assert np.allclose(convolve(image, stored, c), output)

    stored = normal(4, 5, 3, 3, seed=2)
    spread = {"input_dilation": [2, 2], "padding": [[2, 2], [2, 2]], "flip": ["H", "W"]}
    output = made(image, stored.reshape(3, 3, 5, 4), filter_layout="HWOI", **spread)
    c = found(image, stored, output)
    assert (c.filter_layout, c.filter_memory, c.input_dilation) == ("IOHW", "HWOI", (2, 2))


@pytest.mark.parametrize(
    ("expect", "met"),
    [
        ({"filter_memory": "HWIO"}, True),
        ({"filter_memory": None}, False),
        ({"filter_layout": "HWIO", "filter_memory": None}, False),
    ],
    ids=str,
)
def test_what_is_expected(expect: dict[str, Any], met: bool) -> None:
    image, filters = normal(3, 12, 13), normal(4, 3, 3, 3, seed=1)
    output = made(image, filters.reshape(3, 3, 3, 4), filter_layout="HWIO")
    assert identify(image, filters, output, expect=expect, budget=LONG).expect_met is met
