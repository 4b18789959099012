"""Where the time of ``compare`` goes, and how near each part is to what the machine can do.

A layer and a picture, on one thread, by the CPU's time: the oracle (scipy's own calls), window
copies, matrix products, statistics (differences, thresholds, agreement), and the rest. The limits
are measured here first: the product of two large matrices, and the copy of an array that the cache
does not hold, counted as bytes written.

    python benchmarks/breakdown.py [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import scipy.signal

from convcheck import compare
from convcheck.cases import draw
from convcheck.checks import one_tile

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = {
    "a layer, 64x56x56 by 64x64x3x3": ((64, 56, 56), (64, 64, 3, 3), "normal"),
    "a picture, 3x800x800 by 8x3x5x5": ((3, 800, 800), (8, 3, 5, 5), "normal"),
    "the same, digits": ((3, 800, 800), (8, 3, 5, 5), "ints"),
}


class Clock:
    """CPU seconds by part, each without those of the parts that were called from it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.work: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def timed(
        self, part: str, function: Callable[..., Any], work: Callable[..., float] | None = None
    ) -> Callable[..., Any]:
        """``function``, whose time and ``work(*arguments)`` count for ``part``."""

        def call(*args: Any, **options: Any) -> Any:
            self._inner.append(0.0)
            begun = time.process_time()
            result = function(*args, **options)
            spent = time.process_time() - begun
            self.seconds[part] += spent - self._inner.pop()
            self._inner[-1] += spent
            if work is not None:
                self.work[part] += work(*args)
            return result

        return call


def product_seconds(a: Any, b: Any) -> float:
    """What a product takes at the peak: its operations, over those a second."""
    return float(2 * a.size * b.shape[-1] / PEAK[a.dtype])


def window_seconds(x: Any, w: Any, *_: Any) -> float:
    """What the windows take at the copy's bandwidth, as each is written once."""
    outputs = np.prod([n - f + 1 for n, f in zip(x.shape[2:], w.shape[2:], strict=True)])
    return float(w[0].size * outputs * x.itemsize / BANDWIDTH)


def best(call: Callable[[], object], rounds: int = 9) -> float:
    """The least CPU seconds of a call: what the machine can do when nobody disturbs it."""
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        call()
        times.append(time.process_time() - begun)
    return min(times)


def peak(dtype: Any) -> float:
    """Floating-point operations a second in the product of two large matrices."""
    a = np.random.default_rng(0).standard_normal((1200, 1200)).astype(dtype)
    return float(2 * len(a) ** 3 / best(lambda: a @ a))


def bandwidth() -> float:
    """Bytes a second that a copy writes, of an array that is larger than the cache."""
    source = np.ones(1 << 24)
    target = np.empty_like(source)
    return float(source.nbytes / best(lambda: np.copyto(target, source)))


def measure(image: Any, filters: Any) -> tuple[float, Clock]:
    """The seconds of one comparison, and of its parts."""
    clock = Clock()
    correlate = clock.timed("window copies", one_tile.correlate, window_seconds)
    patched = [
        (scipy.signal, "convolve", clock.timed("oracle", scipy.signal.convolve)),
        (one_tile, "correlate", correlate),
        (np, "matmul", clock.timed("products", np.matmul, product_seconds)),
        (one_tile._Row, "add", clock.timed("statistics", one_tile._Row.add)),
        (one_tile.Block, "differ", clock.timed("statistics", one_tile.Block.differ)),
    ]
    with ExitStack() as stack:
        for home, name, wrapper in patched:
            stack.enter_context(patch.object(home, name, wrapper))
        begun = time.process_time()
        compare(image, filters)
        whole = time.process_time() - begun
    return whole, clock


def main() -> None:
    """Print the tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(
        f"peak {PEAK[np.dtype(np.float64)] / 1e9:.1f} Gflop/s in float64, "
        f"{PEAK[np.dtype(np.float32)] / 1e9:.1f} in float32; "
        f"copies write {BANDWIDTH / 1e9:.1f} GB/s"
    )
    for name, (image_shape, filter_shape, values) in CASES.items():
        image, filters = draw(image_shape, filter_shape, seed=1, values=values)
        compare(image, filters)
        runs = [measure(image, filters) for _ in range(rounds)]
        whole = statistics.median(seconds for seconds, _ in runs)
        print(f"\n{name}: {whole:.3f} s\n{'':16} {'ms':>7} {'share':>6} {'of the limit':>13}")
        rest = whole
        for part in ("oracle", "window copies", "products", "statistics"):
            seconds = statistics.median(clock.seconds[part] for _, clock in runs)
            least = runs[0][1].work[part]
            rest -= seconds
            ratio = f"{least / seconds:13.2f}" if least else f"{'-':>13}"
            print(f"{part:16} {seconds * 1e3:7.1f} {seconds / whole:6.1%} {ratio}")
        print(f"{'the rest':16} {rest * 1e3:7.1f} {rest / whole:6.1%} {'-':>13}")


PEAK = {np.dtype(dtype): peak(dtype) for dtype in (np.float64, np.float32)}
BANDWIDTH = bandwidth()

if __name__ == "__main__":
    main()
