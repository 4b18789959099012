"""verify over one and three spatial axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from few import one_in, slow
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage, signal
from verified import put

from convcheck.campaign import case, parse_id
from convcheck.checks.verify import LAYOUTS, Model
from convcheck.convention import Convention
from convcheck.render.verify_words import name


def layer(x, w, stride=1, padding=0):
    """A cross-correlation over any number of axes."""
    rank = x.ndim - 2
    if w.ndim != x.ndim or w.shape[1] != x.shape[1]:
        raise ValueError("other axes")
    x = np.pad(x.astype(float), [(0, 0)] * 2 + [(padding, padding)] * rank)
    windows = sliding_window_view(x, w.shape[2:], axis=tuple(range(2, x.ndim)))
    windows = windows[(..., *[slice(None, None, stride)] * rank, *[slice(None)] * rank)]
    letters = "abd"[:rank], "rst"[:rank]
    return np.einsum(
        f"nc{letters[0]}{letters[1]},oc{letters[1]}->no{letters[0]}", windows, w.astype(float)
    )


def only(rank: int) -> Any:
    def function(x, w, stride=1, padding=0):
        if x.ndim != rank + 2:
            raise ValueError(f"wanted {rank + 2} axes")
        return layer(x, w, stride, padding)

    return function


def volume(x, w):
    if x.ndim != 3:
        raise ValueError("a volume")
    return signal.correlate(x.astype(float), w.astype(float), "same", method="direct")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (np.convolve, "1-D per-channel convolution (kernel reversed), W, W, zero padding, FULL"),
        (np.correlate, "1-D cross-correlation, W, W, no padding"),
        (ndimage.convolve1d, "symmetric"),
        (only(1), "1-D cross-correlation, NCW, OIW, zero padding"),
        (only(3), "3-D cross-correlation, NCDHW, OIDHW, zero padding"),
        slow(volume, "3-D cross-correlation, DHW, DHW"),
    ],
)
def test_a_right_one_over_another_number_of_axes(function: Any, says: str) -> None:
    result = put(function, 60)
    assert result.verdict == "pass", (name(result), result.findings[:2])
    assert says in name(result)
    assert result.ran >= 57


@pytest.mark.parametrize("rank", one_in(2, [1, 3]))
def test_a_wrong_one_over_another_number_of_axes(rank: int) -> None:
    def function(x, w, stride=1, padding=0):
        if x.ndim != rank + 2:
            raise ValueError("other axes")
        y = layer(x, w, stride, padding)
        y[..., -1] *= 1 if stride == 1 else 2
        return y

    result = put(function, 60)
    assert result.verdict == "fail"
    assert "stride > 1" in (result.when or "")
    assert result.smallest is not None
    found = result.smallest.finding.case
    assert parse_id(found.id) == found
    assert found.rank == rank


def test_a_claim_is_made_of_as_many_axes_as_there_are() -> None:
    assert put(np.convolve, 40, "per-channel,full").verdict == "pass"
    assert put(np.convolve, 40, '{"stride": [1]}').verdict == "pass"
    result = put(np.convolve, 40, "correlation", smaller=False)
    assert result.verdict == "fail"
    assert put(only(3), 20, "correlation").verdict == "pass"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_draws_what_its_letters_say(layout: str) -> None:
    image, filters = LAYOUTS[layout]
    model = Model(layout, Convention(image, filters, image), dtypes=("float32",))
    for number in (0, 7, 150, 290):
        drawn = model.project(case(3, number))
        x, w = drawn.arrays(image, filters)
        assert (x.ndim, w.ndim) == (len(image), len(filters))
        assert len(drawn.sizes) == len(drawn.taps) == model.base.rank
        assert parse_id(drawn.id) == drawn
        assert model.project(drawn) == drawn
