"""audit against the engine: what is called seen changes the output, and each reason is true."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from few import one_in
from test_audit_output import CONSTANT, EDGE, ELEMENT, ONE, SUMS, changes, stored

from convcheck.checks.audit import audit
from convcheck.convention.channels import read_filters, stored_image
from convcheck.engine import convolve, pad, prepare_filters

if TYPE_CHECKING:
    from convcheck.convention import Convention

DRAWN_FROM = 17
RNG = np.random.default_rng(DRAWN_FROM)


def ints(low: int, high: int, *shape: int) -> np.ndarray:
    return RNG.integers(low, high + 1, shape)


# Whether a reason is true, asked of the data in another way than audit does.
def _true(image: np.ndarray, filters: np.ndarray, c: Convention, other: Convention) -> Any:
    x, y = stored_image(image, c), stored_image(image, other)
    w, v = (
        prepare_filters(read_filters(filters, k, z.shape[1]), k) for k, z in ((c, x), (other, y))
    )
    plain = {"scale": 1.0, "bias": None, "activation": None, "storage": None}
    shape = convolve(image, filters, c).shape
    axis = next((a for a in range(c.rank) if c.stride[a] != other.stride[a]), 0)
    marked = c.replace(padding_mode="constant", padding_value=1.0, **_read(c), **plain)
    touched = np.any(convolve(x * 0, np.abs(w), marked))
    reached = np.any(convolve(x * 0, np.ones_like(w), marked))
    differ = changes(image, filters, c.replace(**plain), other.replace(**plain))
    flat = np.ptp(x.reshape(*x.shape[:2], -1), 2).max() == 0
    inside = c.padding_mode != "constant" or not reached
    storage = c.storage
    unstored = changes(image, filters, c.replace(storage=None), other.replace(storage=None))
    kernel = set(c.filter_layout) - set("OI")
    swaps = [w.swapaxes(2 + i, 2 + j) for i in range(len(kernel)) for j in range(i)]
    return {
        "IMG is all zeros": not image.any(),
        "W is all zeros": not filters.any(),
        CONSTANT: np.ptp(filters) == 0,
        "every kernel of W is symmetric": any(np.array_equal(w, swap) for swap in swaps),
        "every filter is symmetric": np.array_equal(w, v),
        "every filter of W is the same": all(np.array_equal(w[0], k) for k in w),
        "IMG or W is alike": not differ,
        ELEMENT: shape[axis - c.rank] == 1,
        "no window reaches": not reached,
        "W is zero wherever": not touched and reached,
        EDGE: c.padding_mode != other.padding_mode
        and np.array_equal(pad(x, c), pad(x, other.replace(padding_value=0.0))),
        "IMG is the same, read": np.array_equal(x, y),
        "W is the same, read": np.array_equal(w, v),
        ONE: np.ptp(image) == 0,
        "the image is constant, so": np.ptp(image) == 0 and inside,
        "each channel of": flat and inside,
        "every kernel adds up to 0": not w.sum(tuple(range(2, w.ndim))).any() and inside,
        SUMS: not differ,
        "but ReLU leaves the same": c.activation is not None and not unstored,
        "ReLU leaves all of these": other.activation is None and not unstored,
        "both activations give": other.activation != c.activation and not unstored,
        "the bias is 0": not np.any(c.bias),
        "a scale of 0": c.scale == 0,
        "both ways of rounding": storage != other.storage,
        "no number is beyond": storage is not None and not changes(
            image, filters, c, c.replace(storage=replace(storage, overflow="saturate"))
        ),
        "every number is at an end": storage is not None and storage.overflow == "saturate"
        and set(np.unique(convolve(image, filters, c))) <= set(storage.limits),
        "being stored as int8, which saturates": storage is not None and unstored,
        "being stored as int8, which wraps": storage is not None and unstored,
        "being stored as uint8, which saturates": storage is not None and unstored,
    }  # fmt: skip


def _read(c: Convention) -> dict[str, Any]:
    """What makes a convention of arrays (N,C,*S) and (O,I,*F) that have been read by it."""
    return {
        "image_layout": "NC" + c.spatial, "filter_layout": "OI" + c.spatial,
        "output_layout": "NC" + c.spatial, "flip": (), "channel_order": None,
        "output_order": None, "image_offset": 0.0, "image_scale": 1.0, "filter_offset": 0.0,
    }  # fmt: skip


AFTER: list[dict[str, Any]] = [
    {},
    {"activation": "relu"},
    stored("uint8"),
    stored("int8", "wrap"),
    {"scale": 0},
    {"scale": 0.05, **stored("int8")},
    {"scale": -0.5, "activation": "relu"},
    {"scale": 0.3, "activation": "relu", **stored("int8", "wrap")},
    {"bias": True, "activation": "relu"},
    {"bias": True, **stored("int8")},
    {"image_offset": 2, "filter_offset": -1, **stored("uint8")},
]


@pytest.mark.parametrize("after", one_in(5, AFTER), ids=str)
def test_seen_is_what_changes_the_output_and_every_reason_is_true(after: dict[str, Any]) -> None:
    told: dict[bool, int] = {True: 0, False: 0}
    for i in range(12):
        rank = 1 + i % 3
        channels, outputs = RNG.integers(1, (4, 3)).tolist()
        size, kernel = RNG.integers(2, 6, rank).tolist(), RNG.integers(1, 3, rank).tolist()
        low, high = RNG.choice([(-3, 3), (0, 1), (-5, -1), (1, 8), (2, 2)])
        image = ints(low, high, channels, *size)
        if RNG.random() < 0.2:
            image = np.broadcast_to(image.reshape(channels, -1)[:, :1].reshape(-1, *(1,) * rank),
                                    image.shape)  # fmt: skip
        low, high = RNG.choice([(-2, 2), (0, 1), (1, 1), (1, 4)])
        filters = ints(low, high, outputs, channels, *kernel)
        keys = {
            **after,
            "stride": int(RNG.integers(1, 3)),
            "padding": RNG.integers(0, 2, (rank, 2)).tolist(),
            "padding_mode": str(RNG.choice(["constant", "edge", "wrap"])),
        }
        if "bias" in keys:
            keys["bias"] = ints(-150, 150, outputs).tolist()
        result = audit(image, filters, keys, rank=rank, propose=False)
        c = result.convention
        for deviation in result.deviations:
            other = deviation.convention
            assert deviation.seen == changes(image, filters, c, other), deviation
            told[deviation.seen] += 1
            if deviation.reason is not None:
                known = _true(image, filters, c, other)
                held = [is_so for words, is_so in known.items() if words in deviation.reason]
                assert held == [True], (deviation, c)
    assert min(told.values()) > 10
