"""Layouts, orders, groups and flips: arrays there and back, beside einsum's letters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.convention import Convention
from convcheck.convention.channels import (
    DENSE,
    SHARED,
    TRANSPOSED,
    bank_kind,
    is_reread,
    read_filters,
    read_image,
    read_output,
    reread,
    spatial,
    stored_image,
    write_output,
)
from convcheck.errors import InputError

SETTINGS = settings(derandomize=True, deadline=None, max_examples=40)
SIZES = {"N": 2, "C": 3, "O": 4, "I": 3, "D": 5, "H": 6, "W": 7}


def array(layout: str, **sizes: int) -> Any:
    shape = [(SIZES | sizes)[axis] for axis in layout]
    return np.arange(np.prod(shape)).reshape(shape)


def test_the_letters_of_so_many_axes() -> None:
    assert [spatial(rank) for rank in (1, 2, 3)] == ["W", "HW", "DHW"]


@pytest.mark.parametrize(
    ("layout", "order", "shape"),
    [
        ("HWC", "CHW", (1, 3, 6, 7)),
        ("NWC", "NCW", (2, 3, 7)),
        ("HW", "HW", (1, 1, 6, 7)),
        ("NHW", "NHW", (2, 1, 6, 7)),
        ("WDHC", "CDHW", (1, 3, 5, 6, 7)),
    ],
)
def test_an_image_is_read_by_its_letters(layout: str, order: str, shape: tuple[int, ...]) -> None:
    image = array(layout)
    expected = np.einsum(f"{layout}->{order}", image).reshape(shape)
    c = Convention(image_layout=layout)
    np.testing.assert_array_equal(stored_image(image, c), expected)
    assert np.shares_memory(stored_image(image, c), image)
    np.testing.assert_array_equal(read_image(image, c), expected)
    if shape[1] == 3:
        turned = c.replace(channel_order=(2, 0, 1))
        np.testing.assert_array_equal(read_image(image, turned), expected[:, [2, 0, 1]])
        np.testing.assert_array_equal(stored_image(image, turned), expected)


def test_memory_that_is_read_as_another_layouts() -> None:
    image = array("CHW")
    c = Convention(image_layout="CHW", image_memory="HWC")
    read = image.reshape(6, 7, 3).transpose(2, 0, 1)
    np.testing.assert_array_equal(read_image(image, c), read[None])
    filters = array("OIHW")
    c = Convention(filter_layout="OIHW", filter_memory="HWIO")
    read = filters.reshape(6, 7, 3, 4).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(read_filters(filters, c, 3), read)
    assert reread(image, "CHW", "CHW")[1] == reread(image, "CHW", None)[1] == "CHW"
    assert reread(image, "CHW", "HWC")[1] == "HWC"
    assert [is_reread("CHW", m) for m in ("HWC", "CHW", None)] == [True, False, False]


@pytest.mark.parametrize(
    ("layout", "flip", "expected"),
    [
        ("OIHW", "", "w"),
        ("OIHW", "H", "w[:, :, ::-1]"),
        ("OIHW", "W", "w[..., ::-1]"),
        ("OIHW", "I", "w[:, ::-1]"),
        ("OIHW", "IHW", "w[:, ::-1, ::-1, ::-1]"),
        ("HWIO", "", "w.transpose(3, 2, 0, 1)"),
        ("HWIO", "HW", "w.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1]"),
        ("IHW", "", "w[None]"),
        ("OIW", "W", "w[..., ::-1]"),
    ],
)
def test_filters_are_read_and_reversed(layout: str, flip: str, expected: str) -> None:
    w = array(layout)
    c = Convention(filter_layout=layout, flip=tuple(flip))
    np.testing.assert_array_equal(read_filters(w, c, 3), eval(expected, {"w": w}))


@pytest.mark.parametrize(
    ("layout", "inputs", "channels", "groups", "kind"),
    [
        ("OIHW", 3, 3, 1, DENSE),
        ("OIHW", 2, 4, 2, DENSE),
        ("OIHW", 4, 4, 2, TRANSPOSED),
        ("IOHW", 6, 6, 3, TRANSPOSED),
        ("OIHW", 5, 5, 2, DENSE),
        ("HW", 1, 4, 4, SHARED),
        ("HW", 1, 2, 2, SHARED),
        ("HW", 1, 1, 1, DENSE),
        ("IHW", 4, 4, 2, TRANSPOSED),
        ("OHW", 1, 4, 4, DENSE),
        ("HWM", 1, 4, 4, DENSE),
    ],
)
def test_how_a_bank_is_dealt_out(
    layout: str, inputs: int, channels: int, groups: int, kind: str
) -> None:
    assert bank_kind(layout, inputs, channels, groups) == kind


def test_banks_for_groups() -> None:
    c = Convention(filter_layout="OIHW", groups=2)
    dense = array("OIHW", I=2)
    np.testing.assert_array_equal(read_filters(dense, c, 4), dense)
    # O over one group's outputs and I over all channels: the second group's channels come second.
    bank = array("OIHW", O=3, I=4)
    expected = np.concatenate([bank[:, :2], bank[:, 2:]])
    np.testing.assert_array_equal(read_filters(bank, c, 4), expected)
    shared = array("HW")
    read = read_filters(shared, Convention(filter_layout="HW", groups=3), 3)
    np.testing.assert_array_equal(read, np.stack([shared[None]] * 3))
    depthwise = np.arange(7 * 3 * 2).reshape(7, 3, 2)  # W, I, M
    read = read_filters(depthwise.reshape(7, 1, 6), Convention(filter_layout="WIM", groups=3), 3)
    np.testing.assert_array_equal(read, depthwise.reshape(7, 6).T[:, None])


@pytest.mark.parametrize(
    ("layout", "shape", "groups", "channels", "got", "expected"),
    [
        ("OIHW", (4, 3, 2, 2), 1, 5, "4 filters of 3 channels; groups: 1", "as many channels in a"),
        (
            "OIHW",
            (3, 2, 2, 2),
            2,
            4,
            "3 filters of 2 channels; groups: 2",
            "that the groups divide",
        ),
        ("IMHW", (3, 2, 2, 2), 1, 3, "read as IMHW, 2 filters of 3", "a group for each channel"),
    ],
)
def test_a_bank_that_does_not_fit(
    layout: str, shape: tuple[int, ...], groups: int, channels: int, got: str, expected: str
) -> None:
    c = Convention(filter_layout=layout, groups=groups)
    with pytest.raises(InputError, match="do not fit the image's channels") as caught:
        read_filters(np.ones(shape), c, channels)
    assert got in str(caught.value.got)
    assert f"an image of {channels} channels" in str(caught.value.got)
    assert expected in str(caught.value.expected)


@SETTINGS
@given(st.permutations("NCHW"), st.permutations(range(3)), st.booleans())
def test_an_output_is_written_and_read_back(
    axes: list[str], order: list[int], ordered: bool
) -> None:
    y = array("NCHW")
    c = Convention(output_layout="".join(axes), output_order=tuple(order) if ordered else None)
    stored = write_output(y, c)
    assert stored.shape == tuple(SIZES[axis] for axis in axes)
    as_computed = y[:, order] if ordered else y
    np.testing.assert_array_equal(stored, np.einsum(f"NCHW->{''.join(axes)}", as_computed))
    np.testing.assert_array_equal(read_output(stored, c), y)


def test_an_output_without_some_axes() -> None:
    y = array("NCHW", N=1, C=1)
    np.testing.assert_array_equal(write_output(y, Convention(output_layout="WH")), y[0, 0].T)
    np.testing.assert_array_equal(read_output(y[0, 0].T, Convention(output_layout="WH")), y)
    with pytest.raises(InputError, match="does not fit the layout HW") as caught:
        write_output(array("NCHW", N=1), Convention(output_layout="HW"))
    assert caught.value.got == "3 along C"
    assert caught.value.expected == "a layout that has the axis, such as NCHW"


def test_what_does_not_fit_is_refused() -> None:
    c = Convention(channel_order=(1, 0), output_order=(1, 0))
    for read, what in ((read_image, "channel_order"), (read_output, "output_order")):
        with pytest.raises(InputError, match=f"{what} does not fit") as caught:
            read(array("CHW"), c)
        assert caught.value.got == f"2 channels in {what}, 3 in the arrays"
    with pytest.raises(InputError, match="output_order does not fit"):
        write_output(array("NCHW"), c)
    for shape in ((3, 6), (3, 6, 7, 1), (3, 0, 7)):
        for operand, read in (("image", stored_image), ("output", read_output)):
            with pytest.raises(InputError, match=f"the {operand} does not fit the layout CHW") as e:
                read(np.ones(shape), Convention())
            assert e.value.expected == "3 axes, none of them empty"
    with pytest.raises(InputError, match="the filter bank does not fit the layout OIHW"):
        read_filters(np.ones((3, 3)), Convention(), 3)
