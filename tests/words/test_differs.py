"""What differs between two conventions: each key, its words, and the line that mends it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.words.differs import differences

BASE = {"image_layout": "NCHW", "output_layout": "NCHW"}
X = np.random.default_rng(0).integers(-9, 10, (1, 3, 9, 8)).astype(np.float64)
W = np.random.default_rng(1).integers(-9, 10, (4, 3, 3, 3)).astype(np.float64)

TABLE: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (
        {"padding": [[1, 0], [1, 0]]},
        {"padding": [[0, 1], [0, 1]]},
        "MINE pads 1 after where REF pads 1 before",
        "then padding=0 (PyTorch); ZeroPadding2D(((1, 0), (1, 0))), then padding='valid' (Keras)",
    ),
    (
        {"padding": 1},
        {},
        "MINE pads nothing where REF pads 1",
        "padding=1 (PyTorch); ZeroPadding2D(1), then padding='valid' (Keras)",
    ),
    (
        {},
        {"filter_layout": "IOHW"},
        "MINE's filters are read as IOHW where REF's are read as OIHW",
        "w.transpose(1, 0, 2, 3)",
    ),
    (
        {},
        {"flip": ["H", "W"]},
        "MINE reverses the filters' rows and columns",
        "w[:, :, ::-1, ::-1]",
    ),
    (
        {"flip": "flipped"},
        {"flip": ["H", "W"]},
        "does not reverse the filters' channels",
        "w[:, ::-1]",
    ),
    ({}, {"channel_order": [2, 1, 0]}, "(BGR for RGB)", "x[:, ::-1]"),
    ({}, {"channel_order": [1, 2, 0]}, "in the order 1, 2, 0, not 0, 1, 2", "x[:, [2, 0, 1]]"),
    ({}, {"output_order": [1, 3, 0, 2]}, "in the order 1, 3, 0, 2", "y[:, [2, 0, 3, 1]]"),
    ({}, {"output_layout": "NHWC"}, "written as NHWC", "y.transpose(0, 3, 1, 2)"),
    ({"bias": 2}, {}, "MINE has no bias where REF adds 2", "bias=2"),
    ({}, {"bias": 2}, "MINE has a bias of 2, and REF has none", "bias=False"),
    ({"stride": 2}, {}, "MINE has stride 1 where REF has 2", "stride=2"),
    ({}, {"dilation": 2}, "MINE has dilation 2 where REF has 1", "dilation=1"),
    (
        {"activation": {"leaky_relu": 0.1}},
        {"activation": {"leaky_relu": 0.25}},
        "MINE's leaky_relu has slope 1/4 where REF has 1/10",
        "F.leaky_relu(y, 0.1)",
    ),
    ({"activation": "relu"}, {}, "MINE has no activation where REF has ReLU", "F.relu(y)"),
    ({}, {"activation": "relu"}, "MINE ends with ReLU, which REF does not", "no activation"),
    ({"scale": 2}, {}, "MINE does not scale the sums by 2, as REF does", "scale=2"),
    ({"image_offset": 128}, {}, "MINE takes the image minus 0 where REF takes 128", "x - 128"),
    ({}, {"arithmetic": "tf32"}, "MINE computes in TF32", "allow_tf32 = False"),
    (
        {"padding": 1},
        {"padding": 1, "padding_mode": "reflect"},
        "by reflection without repeating the edge (reflect) where REF has zero padding",
        "padding_mode='zeros' (PyTorch)",
    ),
    (
        {},
        {"filter_memory": "IOHW"},
        "MINE's filters were reshaped to IOHW where they should have been transposed",
        "w.transpose(1, 0, 2, 3)",
    ),
]


@pytest.mark.parametrize(("expected", "found", "words", "fix"), TABLE)
def test_one_thing(expected: dict[str, Any], found: dict[str, Any], words: str, fix: str) -> None:
    (one,) = differences(Convention(**BASE | expected), Convention(**BASE | found))
    assert words in one.words
    assert fix in one.fix


@pytest.mark.parametrize("row", TABLE)
def test_nothing_differs_from_itself(row: tuple[Any, ...]) -> None:
    for keys in row[:2]:
        c = Convention(**BASE | keys)
        assert differences(c, c, X.shape, (4, 3, 3, 3)) == ()


FIXED = [
    {"flip": ["H", "W"]},
    {"flip": ["I", "W"]},
    {"channel_order": [2, 1, 0]},
    {"channel_order": [1, 2, 0]},
    {"output_order": [1, 3, 0, 2]},
    {"output_layout": "NHWC"},
    {"filter_layout": "OIWH"},
    {"image_layout": "NCWH", "output_layout": "NCWH"},
]


@pytest.mark.parametrize("found", FIXED, ids=str)
def test_the_line_mends_it(found: dict[str, Any]) -> None:
    expected, wrong = Convention(**BASE), Convention(**BASE | found)
    names = {"x": X, "w": W}
    fixes = [one.fix for one in differences(expected, wrong)]
    for fix in fixes:
        if fix[0] in names:
            names[fix[0]] = eval(fix, dict(names))
    names["y"] = convolve(names["x"], names["w"], wrong)
    for fix in fixes:
        if fix[0] == "y":
            names["y"] = eval(fix, dict(names))
    assert np.array_equal(names["y"], convolve(X, W, expected))


def test_what_no_window_reaches_is_no_difference() -> None:
    one = Convention(**BASE, stride=2, padding=[[1, 0], [1, 1]])
    other = Convention(**BASE, stride=2, padding=1)
    assert differences(one, other, (1, 3, 8, 8), (4, 3, 3, 3))[:1] == ()
    assert len(differences(one, other)) == 1


def test_several_things_are_several() -> None:
    found = differences(Convention(**BASE, padding=1, bias=1), Convention(**BASE, stride=2))
    assert [one.key for one in found] == ["stride", "padding", "bias"]


def test_the_two_are_called_as_they_are() -> None:
    (one,) = differences(Convention(), Convention(stride=2), names=("A", "B"))
    assert one.words == "B has stride 2 where A has 1"


def test_another_rank_is_the_only_thing() -> None:
    found = differences(Convention(), Convention(filter_layout="OIW", stride=3))
    assert [one.key for one in found] == ["rank"]
