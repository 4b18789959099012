"""One tile judged over any number of spatial axes, as ``compare`` judges two of them."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
from few import one_in, slow

from convcheck.checks.one_tile import judge_tile
from convcheck.checks.tiles import parts, plan
from convcheck.rounding import choose_arithmetic


@pytest.mark.parametrize("values", one_in(2, ["normal", "digits"]))
@pytest.mark.parametrize(
    ("image", "kernel", "method"),
    [
        ((4000,), (9,), "direct"),
        ((4000,), (301,), "fft"),
        ((9, 8), (3, 2), "direct"),
        ((20, 21, 22), (3, 2, 4), "direct"),
        ((30, 31, 32), (11, 12, 13), "fft"),
        ((30, 100, 100), (3, 2, 4), "fft"),
        slow((60, 200, 200), (3, 2, 4), "fft"),
    ],
)
def test_scipy_reverses_every_axis_whatever_their_number(
    image: tuple[int, ...], kernel: tuple[int, ...], method: str, values: str
) -> None:
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((3, *image)), rng.standard_normal((2, 3, *kernel))
    if values == "digits":
        x, w = np.rint(9 * x), np.rint(9 * w)
    spatial = tuple(range(1, 1 + len(kernel)))
    rows = {"per-channel": spatial, "flipped": (0, *spatial), "correlation": ()}
    arithmetic = choose_arithmetic(x, w)
    tiles = plan(x.shape, w.shape, len(rows), direct=method == "direct").tiles
    judged = reduce(
        add,
        (judge_tile(*one, arithmetic, method, rows, None) for one in parts(x, w, tiles)),
    )
    assert [row.matches for row in judged.rows] == [False, True, False]
    assert len(judged.apart) == 3
    outputs = [n - f + 1 for n, f in zip(image, kernel, strict=True)]
    assert all(row.total == 2 * np.prod(outputs) for row in judged.rows)
    assert judged.exact == (values == "digits")
    # The worst element is where it says, and of the numbers that it says.
    worst = judged.rows[2]
    k, *place = worst.worst_index
    window = x[(slice(None), *(slice(i, i + f) for i, f in zip(place, kernel, strict=True)))]
    assert worst.actual == pytest.approx((window * w[k]).sum())
    assert worst.expected == pytest.approx((window * np.flip(w[k])).sum())
    assert worst.max_abs_diff == abs(worst.actual - worst.expected)
