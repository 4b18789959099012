"""One element of an output worked out: its numbers are the output's, its names can be pasted."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len

from convcheck.checks.cell import Cell, telling_cell, work_out
from convcheck.convention import Convention
from convcheck.convention.channels import to_axes
from convcheck.engine import convolve, pad, spread
from convcheck.errors import InputError
from convcheck.render import cell as render_cell
from convcheck.render.figures_json import _cell
from convcheck.render.report import Style
from convcheck.render.terminal import to_string

NHWC = {"image_layout": "NHWC", "filter_layout": "HWIO", "output_layout": "NHWC"}
SIGNAL = {"image_layout": "CW", "filter_layout": "OIW", "output_layout": "CW"}
VOLUME = {"image_layout": "CDHW", "filter_layout": "OIDHW", "output_layout": "CDHW"}
CONVENTIONS: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "plain": ({}, (3, 7, 8), (2, 3, 3, 2)),
    "NHWC": (NHWC | {"stride": 2, "padding": [[0, 1], [0, 1]]}, (2, 6, 8, 3), (3, 3, 3, 4)),
    "flips": ({"flip": "flipped"}, (3, 7, 8), (2, 3, 3, 2)),
    "BGR": ({"channel_order": [2, 0, 1], "flip": ["W"]}, (3, 7, 8), (2, 3, 3, 2)),
    "groups": ({"groups": 2, "padding": 1}, (4, 7, 8), (6, 2, 3, 2)),
    "outputs in another order": (
        {"groups": 2, "output_order": [3, 0, 2, 1], "scale": [1, 2, 3, 4], "bias": [5, 6, 7, 8]},
        (4, 7, 8),
        (4, 2, 3, 2),
    ),
    "depthwise": (
        {"image_layout": "HWC", "filter_layout": "HWIM", "output_layout": "HWC", "groups": 3},
        (7, 8, 3),
        (3, 2, 3, 2),
    ),
    "one kernel": ({"filter_layout": "HW", "groups": 3}, (3, 7, 8), (3, 2)),
    "transposed": (
        {"filter_layout": "IOHW", "flip": "per-channel", "input_dilation": [2, 3], "padding": 1},
        (3, 5, 6),
        (3, 2, 3, 2),
    ),
    "reflected": (
        {"padding": [[2, 2], [1, 1]], "padding_mode": "reflect", "dilation": [2, 1]},
        (3, 7, 8),
        (2, 3, 3, 2),
    ),
    "cropped": ({"padding": [[-1, 1], [2, -2]]}, (3, 9, 9), (2, 3, 3, 2)),
    "swapped kernel": ({"filter_layout": "OIWH"}, (3, 7, 8), (2, 3, 3, 2)),
    "after the sums": (
        {"scale": 0.5, "bias": [3, -4], "activation": "relu", "padding": 1, "padding_value": 7},
        (3, 7, 8),
        (2, 3, 3, 3),
    ),
    "before the sums": (
        {"image_offset": [1, 2, 3], "image_scale": 0.5, "filter_offset": 2, "padding": 1},
        (3, 7, 8),
        (2, 3, 3, 3),
    ),
    "stored": ({"storage": {"dtype": "int8", "zero_point": 3}}, (3, 7, 8), (2, 3, 3, 3)),
    "reshaped": (
        {"image_layout": "HWC", "image_memory": "CHW", "filter_memory": "HWIO", "flip": ["W"]},
        (7, 8, 3),
        (2, 3, 3, 4),
    ),
    "a signal": (SIGNAL | {"stride": 2, "padding": 2, "flip": ["W"]}, (3, 11), (2, 3, 4)),
    "a volume": (
        VOLUME | {"padding": 1, "input_dilation": 2, "flip": ["I", "D", "W"]},
        (2, 3, 4, 3),
        (2, 2, 2, 3, 2),
    ),
}


def made(name: str) -> tuple[Convention, np.ndarray, np.ndarray, np.ndarray]:
    keys, image_shape, filter_shape = CONVENTIONS[name]
    convention = Convention.from_dict(keys)
    rng = np.random.default_rng(3)
    image = rng.integers(-9, 10, image_shape).astype(np.float32)
    filters = rng.integers(-9, 10, filter_shape).astype(np.float32)
    return convention, image, filters, convolve(image, filters, convention)


def worked(name: str, at: tuple[int, ...]) -> Cell:
    convention, image, filters, output = made(name)
    return work_out(image, filters, output, convention, at, role="x", threshold=0, agrees=True)


def places(name: str) -> list[tuple[int, ...]]:
    """Every third element, (n, k, *place)."""
    convention, _, _, output = made(name)
    shape = to_axes(output, convention.output_layout, "NC" + convention.spatial).shape
    return list(np.ndindex(shape))[::3]


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_worked_cell_is_the_cell_of_the_output(name: str) -> None:
    convention, _, filters, output = made(name)
    for at in places(name):
        cell = worked(name, at)
        assert cell.at == at
        assert cell.value == cell.given == output[cell.index]
        assert np.array_equal(np.multiply(cell.window, cell.applied), cell.products)
        assert sum(cell.sums) == cell.total
        assert not cell.rounded
        for i, part in enumerate(cell.filter_parts):
            # What the names say is what is shown: they can be pasted.
            stored = np.atleast_2d(eval(f"filters{part}", {"filters": filters}))
            assert np.array_equal(stored, cell.stored[i])
            offset = convention.filter_offset
            assert sorted(np.ravel(cell.applied[i])) == sorted(np.ravel(stored) - offset)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_what_lies_under_a_tap_is_what_the_places_say(name: str) -> None:
    convention, image, _, _ = made(name)
    c = convention
    prepared = "image_offset" in CONVENTIONS[name][0]
    sizes = [image.shape[c.image_layout.index(axis)] for axis in c.spatial]
    # 1 where a sample of the image is, 0 in gaps and padding.
    plain = c.replace(padding_mode="constant", padding_value=0.0)
    inside = pad(spread(np.ones((1, 1, *sizes)), c.input_dilation), plain)[0, 0]
    for at in places(name):
        cell = worked(name, at)
        assert [len(taps) for taps in cell.places[-2:]] == list(np.shape(cell.window[0]))[-c.rank :]
        for taps in product(*map(range, map(len, cell.places))):
            met = [where[tap] for where, tap in zip(cell.places, taps, strict=True)]
            steps = zip(at[2:], c.stride, taps, c.dilation, strict=True)
            spot = tuple(i * stride + tap * reach for i, stride, tap, reach in steps)
            is_sample = all(isinstance(place, int) for place in met)
            assert bool(inside[spot]) == is_sample
            block = taps[0] if c.rank == 3 else 0
            row = taps[-2] if c.rank > 1 else 0
            shown = cell.window[block][row][taps[-1]]
            if is_sample and not prepared:
                whole = eval(f"image{cell.image_parts[block]}", {"image": image})
                assert shown == np.atleast_2d(whole)[met[-2] if c.rank > 1 else 0, met[-1]]
            elif "gap" in met and "pad" not in met:
                assert shown == 0
            elif "pad" in met and c.padding_mode == "constant":
                assert shown == c.padding_value


def test_what_follows_the_sum_is_shown_step_by_step() -> None:
    cell = worked("after the sums", (0, 1, 0, 0))
    assert [name for name, _, _ in cell.steps] == ["scale", "bias", "activation"]
    assert cell.steps[0][2] == 0.5 * cell.total
    assert cell.steps[1][1:] == (-4, 0.5 * cell.total - 4)
    assert cell.steps[2][2] == max(0.5 * cell.total - 4, 0)
    said = to_string(render_cell.render(cell, Style()), Style())
    assert "plus the bias -4 = " in said
    assert "activation (ReLU) = " in said
    document = json.loads(json.dumps(_cell(cell)))
    assert [step["with"] for step in document["steps"]] == [0.5, -4, "relu"]


def test_what_is_done_before_the_sum_is_said() -> None:
    said = to_string(render_cell.render(worked("before the sums", (0, 1, 2, 2)), Style()), Style())
    assert "The window's numbers are IMG minus a number for each channel, then times 0.5." in said
    assert "The filter is W minus 2." in said


def test_operands_that_the_arithmetic_rounds_are_said_to_be() -> None:
    rng = np.random.default_rng(1)
    image, filters = rng.normal(size=(3, 5, 5)), rng.normal(size=(2, 3, 2, 2))
    convention = Convention(arithmetic="bfloat16")
    output = convolve(image, filters, convention)
    cell = work_out(
        image, filters, output, convention, (1, 2, 2), role="x", threshold=0.01, agrees=True
    )
    assert cell.rounded
    assert cell.value == output[1, 2, 2]
    said = to_string(render_cell.render(cell, Style()), Style())
    assert "Both are rounded to bfloat16 before they meet." in said


@pytest.mark.parametrize("at", [(2, 0, 0), (0, 5, 0), (0, 0, 7), (1, 0, 0, 0), (0, 0)])
def test_a_cell_beside_the_output_is_refused(at: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="no such cell") as caught:
        worked("plain", at)
    assert "y from 0 to 4" in str(caught.value.expected)


def test_without_a_difference_the_cell_to_show_has_padding() -> None:
    for name in ("NHWC", "a signal", "a volume", "transposed"):
        convention, image, filters, _ = made(name)
        cell = worked(name, telling_cell(image, filters, convention))
        assert any("pad" in where for where in cell.places), name
    convention, image, filters, _ = made("plain")
    assert telling_cell(image, filters, convention) == (0, 0, 0, 0)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_cell_is_no_wider_than_the_terminal(name: str, width: int) -> None:
    for at in places(name)[:: max(1, len(places(name)) // 4)]:
        style = Style(width=width)
        for line in to_string(render_cell.render(worked(name, at), style), style).split("\n"):
            assert cell_len(line) <= width, line
