"""What ``compare`` costs on a CNN layer beside the scipy calls that it has to make.

The image is 64x56x56, the bank 64x64x3x3, float32 as a layer stores them: normal numbers, or digits
whose sums are exact. Every figure is the median over the runs, in one process, warmed up, of the
CPU's time on one thread of BLAS, as the command line takes. The bare calls too find the memory kept
that ``compare`` has asked to keep, and are nearly twice as fast for it.

    python benchmarks/layer.py [RUNS]
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import scipy.signal

from convcheck import compare
from convcheck.cases import draw

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL = 0.10
SHAPES = (64, 56, 56), (64, 64, 3, 3)


def seconds(call: Callable[[], object]) -> float:
    """How long ``call`` takes."""
    started = time.process_time()
    call()
    return time.process_time() - started


def measure(values: str, runs: int) -> tuple[float, float, float]:
    """64 bare calls of scipy, ``compare`` in all, and of that what is not scipy."""
    image, filters = draw(*SHAPES, seed=1, values=values)
    x, w = image.astype(float), filters.astype(float)
    bare = scipy.signal.convolve
    inside: list[float] = []

    def timed(*args: Any, **options: Any) -> Any:
        started = time.process_time()
        result = bare(*args, **options)
        inside.append(time.process_time() - started)
        return result

    rows = []
    for _ in range(runs + 1):
        calls = seconds(lambda: [bare(x, kernel, "valid") for kernel in w])
        inside.clear()
        scipy.signal.convolve = timed
        try:
            whole = seconds(lambda: compare(image, filters))
        finally:
            scipy.signal.convolve = bare
        assert len(inside) % len(w) == 0  # once for every filter and tile
        rows.append((calls, whole, whole - sum(inside)))
    return tuple(statistics.median(column) for column in zip(*rows[1:], strict=True))  # type: ignore[return-value]


def main() -> None:
    """Print the table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{'data':8} {'64 x scipy':>11} {'compare':>9} {'not scipy':>10} {'share':>7}  goal")
    for values in ("normal", "ints"):
        calls, whole, rest = measure(values, runs)
        share = rest / calls
        print(
            f"{values:8} {calls:9.3f} s {whole:7.3f} s {rest:8.3f} s {share:7.1%}  "
            f"<= {GOAL:.0%} {'met' if share <= GOAL else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
