"""What ``compare`` takes beside the oracle, which is called as it is.

On one thread, by the CPU's time, which other work on the machine disturbs less: one call of
``compare`` in all, and what of it was spent inside ``scipy.signal.convolve``. All else is the rest:
the rows, their bounds, the verdicts. The ratio is of one run, so that both had the same machine;
the figures are medians. Beside them the same calls without convcheck: for each of the K filters
``scipy.signal.convolve(x, w[k], "valid")`` on the whole image.

    python benchmarks/compare.py [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import Any

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import scipy.signal
from scipy.signal import convolve

from convcheck import compare
from convcheck.cases import draw

GOAL = 0.25
CASES = {
    "a layer, 64x56x56 by 64x64x3x3": ((64, 56, 56), (64, 64, 3, 3), "normal"),
    "that layer, digits": ((64, 56, 56), (64, 64, 3, 3), "ints"),
    "a deep layer, 256x14x14 by 64x256x3x3": ((256, 14, 14), (64, 256, 3, 3), "normal"),
    "a wide layer, 512x28x28 by 16x512x3x3": ((512, 28, 28), (16, 512, 3, 3), "normal"),
    "a first layer, 3x224x224 by 64x3x7x7": ((3, 224, 224), (64, 3, 7, 7), "normal"),
    "a picture, 3x800x800 by 8x3x5x5": ((3, 800, 800), (8, 3, 5, 5), "normal"),
    "that picture, digits": ((3, 800, 800), (8, 3, 5, 5), "ints"),
    "large kernels, 3x500x500 by 4x3x31x31": ((3, 500, 500), (4, 3, 31, 31), "normal"),
    "one channel, 1x800x800 by 8x1x5x5": ((1, 800, 800), (8, 1, 5, 5), "normal"),
    "one channel, 1x800x800 by 4x1x31x31": ((1, 800, 800), (4, 1, 31, 31), "ints"),
}


def measured(image: Any, filters: Any) -> tuple[float, float, float, float]:
    """CPU seconds of ``compare``, of the oracle in it, what the rest is to that; the bare calls."""
    inside = 0.0

    def timed(*args: Any, **options: Any) -> Any:
        nonlocal inside
        started = time.process_time()
        result = convolve(*args, **options)
        inside += time.process_time() - started
        return result

    scipy.signal.convolve = timed  # compare imports it where it calls it
    started = time.process_time()
    compare(image, filters)
    whole = time.process_time() - started
    x, w = image.astype(float), filters.astype(float)
    started = time.process_time()
    for kernel in w:
        convolve(x, kernel, "valid")
    return whole, inside, (whole - inside) / inside, time.process_time() - started


def main() -> int:
    """Print the table; exit status 1 where the goal is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{'case':38} {'compare':>9} {'oracle':>9} {'rest':>9} {'to oracle':>10} {'bare':>9}")
    missed = 0
    for name, (image_shape, bank_shape, values) in CASES.items():
        arrays = draw(image_shape, bank_shape, seed=1, values=values)
        measured(*arrays)
        runs = [measured(*arrays) for _ in range(rounds)]
        whole, inside, ratio, bare = (statistics.median(one) for one in zip(*runs, strict=True))
        missed += ratio > GOAL
        print(
            f"{name:38} {whole:7.3f} s {inside:7.3f} s {whole - inside:7.3f} s "
            f"{ratio:10.1%} {bare:7.3f} s{' beyond' * (ratio > GOAL)}",
            flush=True,
        )
    print(f"goal: all that is not the oracle takes at most {GOAL:.0%} of the oracle's time")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
