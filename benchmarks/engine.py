"""The engine against PyTorch's conv2d in float64, layer by layer: medians and their ratios.

Both sides run on the same threads, in turn. A ratio below 1 means that the engine is faster.
Large kernels are shown, and do not count: there a transform wins over any sum, PyTorch's and this.
The last columns are how many times faster the engine is than a loop over the filters by
scipy.signal.convolve and scipy.ndimage.correlate, where one call each makes a plain layer.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage, signal

from convcheck.convention import Convention
from convcheck.engine import convolve

if TYPE_CHECKING:
    from collections.abc import Callable

LAYERS = {
    "1x1, 64 to 256": ((64, 56, 56), (256, 64, 1, 1), {}),
    "1x1, 512 to 128": ((512, 28, 28), (128, 512, 1, 1), {}),
    "3x3, 64 to 64": ((64, 56, 56), (64, 64, 3, 3), {}),
    "3x3, 256 to 256": ((256, 14, 14), (256, 256, 3, 3), {}),
    "3x3, 3 to 64, large": ((3, 224, 224), (64, 3, 3, 3), {}),
    "5x5, 32 to 64": ((32, 28, 28), (64, 32, 5, 5), {}),
    "7x7, stride 2": ((3, 224, 224), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
    "3x3, stride 2": ((128, 28, 28), (128, 128, 3, 3), {"stride": 2, "padding": 1}),
    "3x3, dilation 2": ((64, 56, 56), (64, 64, 3, 3), {"dilation": 2, "padding": 2}),
    "depthwise 3x3": ((128, 56, 56), (128, 1, 3, 3), {"groups": 128, "padding": 1}),
    "depthwise 3x3, 64": ((64, 112, 112), (64, 1, 3, 3), {"groups": 64, "padding": 1}),
    "depthwise 3x3, 512": ((512, 14, 14), (512, 1, 3, 3), {"groups": 512, "padding": 1}),
    "depthwise, 2 filters each": ((128, 56, 56), (256, 1, 3, 3), {"groups": 128, "padding": 1}),
    "depthwise 5x5": ((256, 28, 28), (256, 1, 5, 5), {"groups": 256, "padding": 2}),
    "groups 4": ((64, 56, 56), (128, 16, 3, 3), {"groups": 4, "padding": 1}),
    "one channel, large": ((1, 1024, 1024), (1, 1, 3, 3), {}),
    "few filters, large": ((3, 1024, 1024), (4, 3, 5, 5), {}),
}
LARGE = {
    "31x31, few filters": ((3, 512, 512), (4, 3, 31, 31), {}),
    "65x65, few filters": ((3, 512, 512), (4, 3, 65, 65), {}),
}
ROUNDS = 9


def timed(function: Callable[[], object]) -> float:
    """Seconds of one call."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def by_signal(x: Any, w: Any) -> Any:
    """One filter by scipy.signal."""
    return signal.convolve(x, w[::-1, ::-1, ::-1], "valid")


def by_ndimage(x: Any, w: Any) -> Any:
    """One filter by scipy.ndimage, channel by channel, borders and all."""
    return sum(ndimage.correlate(a, b, mode="constant") for a, b in zip(x, w, strict=True))


def main() -> int:
    """Print the table; exit status 1 where a goal is missed."""
    import torch
    from torch.nn import functional

    rng = np.random.default_rng(0)
    ratios = []
    print(f"threads: {torch.get_num_threads()} (PyTorch)")
    columns = f"{'layer':24} {'engine ms':>10} {'PyTorch ms':>11} {'ratio':>6}"
    print(f"{columns} {'signal':>10}{'ndimage':>10}")
    for name, (image_shape, filter_shape, settings) in (LAYERS | LARGE).items():
        x, w = rng.standard_normal(image_shape), rng.standard_normal(filter_shape)
        convention = Convention(**settings)
        tx, tw = torch.from_numpy(x)[None], torch.from_numpy(w)
        sides = (
            lambda x=x, w=w, c=convention: convolve(x, w, c),
            lambda tx=tx, tw=tw, s=settings: functional.conv2d(tx, tw, **s),
        )
        np.testing.assert_allclose(sides[0](), sides[1]()[0].numpy(), rtol=0, atol=1e-9)
        rounds = ROUNDS if name in LAYERS else 1
        times = [[timed(side) for side in sides] for _ in range(rounds)]
        ours, theirs = (statistics.median(t[i] for t in times) * 1e3 for i in (0, 1))
        ratio = statistics.median(t[0] / t[1] for t in times)
        if name in LAYERS:
            ratios.append(ratio)
        factors = "".join(
            f"{timed(lambda: [peer(x, f) for f in w]) * 1e3 / ours:9.1f}x"  # noqa: B023
            for peer in (() if settings else (by_signal, by_ndimage))
        )
        print(f"{name:24} {ours:10.2f} {theirs:11.2f} {ratio:6.2f} {factors}", flush=True)
    mean = math.exp(statistics.mean(map(math.log, ratios)))
    print(f"geometric mean {mean:.2f} (goal 1.0), worst {max(ratios):.2f} (goal 2.0)")
    return int(mean > 1.0 or max(ratios) > 2.0)


if __name__ == "__main__":
    sys.exit(main())
