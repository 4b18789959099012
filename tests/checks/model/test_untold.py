"""What a layer's input could not have shown is said, and is so; of the rest nothing is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ports import drawn, written

from convcheck.checks.model import check_model
from convcheck.checks.model.untold import unseen
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.errors import ExitCode

Array = np.ndarray[Any, Any]
KEYS = {"image_layout": "NCHW", "filter_layout": "OIHW", "output_layout": "NCHW"}


def _arrays(kind: str) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 6, 7)), rng.standard_normal((4, 3, 3, 3))
    if kind == "zeros":
        x = np.zeros_like(x)
    if kind == "ones":
        x = np.ones_like(x)
    if kind == "constant channels":
        x = np.broadcast_to(x[..., :1, :1], x.shape)
    if kind == "gray":
        x = np.repeat(x[:, :1], 3, axis=1)
    if kind == "symmetric":
        w = w + w[:, :, ::-1, ::-1]
    return x, w


def _said(kind: str, **more: Any) -> dict[str, bool]:
    found = unseen(*_arrays(kind), Convention.from_dict(KEYS | more))
    return {one.key: one.any_input for one in found}


@pytest.mark.parametrize(
    ("kind", "padding", "said"),
    [
        ("drawn", 0, {}),
        ("drawn", 1, {}),
        ("zeros", 0, {"input": False}),
        ("zeros", 1, {"input": False}),
        ("ones", 0, {"flip": False, "channel_order": False}),
        ("ones", 1, {"channel_order": False}),
        ("constant channels", 0, {"flip": False}),
        ("constant channels", 1, {}),
        ("gray", 1, {"channel_order": False}),
        ("symmetric", 1, {"flip": True}),
    ],
)
def test_what_is_said_is_what_the_numbers_cannot_show(
    kind: str, padding: int, said: dict[str, bool]
) -> None:
    assert _said(kind, padding=padding) == said
    x, w = _arrays(kind)
    right = Convention.from_dict(KEYS | {"padding": padding})
    out = convolve(x, w, right)
    changes = {
        "flip": {"flip": ("H", "W")},
        "channel_order": {"channel_order": (2, 0, 1)},
    }
    for key, change in changes.items():
        same = np.allclose(out, convolve(x, w, right.replace(**change)), rtol=1e-12)
        assert same == (key in said or "input" in said), key


def test_a_border_of_other_numbers_shows_through_zeros() -> None:
    assert _said("zeros", padding=1, padding_value=2.0) == {"channel_order": False}
    assert _said("zeros", image_offset=3.0) == {"flip": False, "channel_order": False}


def test_strict_fails_where_another_input_could_tell(tmp_path: Path) -> None:
    name, keys, arrays, epsilon = drawn(np.random.default_rng(0))[2]
    blind = {**arrays, "input": np.zeros_like(arrays["input"])}
    a = written(tmp_path / "a.npz", [(name, keys, blind, epsilon)], {})
    assert check_model(a).exit_code == ExitCode.OK
    assert check_model(a, strict=True).exit_code == ExitCode.FAILED
    assert check_model(a, a, strict=True).exit_code == ExitCode.FAILED
    even = arrays["weight"] + arrays["weight"][:, :, ::-1, ::-1]
    b = written(tmp_path / "b.npz", [(name, keys, {**arrays, "weight": even}, epsilon)], {})
    result = check_model(b, strict=True)
    assert [one.key for one in result.rows[0].unseen] == ["flip"]
    assert result.exit_code == ExitCode.OK
