"""``compare`` in all against scipy: the calls that it must make, and the published script.

Three sides, in turn and on one thread each, by the CPU's time, which other work on the machine
disturbs less:

- ``compare`` with its three rows, bounds and verdicts;
- the bare calls of ``scipy.signal.convolve``, on the same tiles, in the same process: they too find
  the memory kept that ``compare`` has asked to keep;
- the published script, extended to K filters: the N-D convolution, the sum over channels of 2-D
  convolutions, and the same with the channels of the filter reversed, all by scipy, in a process of
  its own, as it would be run.

    python benchmarks/compare.py [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
from scipy.signal import convolve

from convcheck import compare
from convcheck.cases import draw
from convcheck.checks.tiles import plan

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL_BARE, GOAL_SCRIPT = 1.10, 3.0
CASES = {
    "a layer, 64x56x56 by 64x64x3x3": ((64, 56, 56), (64, 64, 3, 3), "normal"),
    "the same, digits": ((64, 56, 56), (64, 64, 3, 3), "ints"),
    "a deep layer, 256x14x14 by 64x256x3x3": ((256, 14, 14), (64, 256, 3, 3), "normal"),
    "a picture, 3x800x800 by 8x3x5x5": ((3, 800, 800), (8, 3, 5, 5), "normal"),
    "the same, digits ": ((3, 800, 800), (8, 3, 5, 5), "ints"),
}


def bare(x: Any, w: Any, method: str) -> None:
    """What ``compare`` has to ask of scipy."""
    kernel = w.shape[2:]
    for tile in plan(x.shape, w.shape, 3).tiles:
        rows, columns = (
            slice(a, a + n + f - 1)
            for a, n, f in zip(tile.first[1:], tile.sizes[1:], kernel, strict=True)
        )
        part = np.ascontiguousarray(x[:, rows, columns])
        for k in range(tile.first[0], tile.first[0] + tile.sizes[0]):
            convolve(part, w[k], "valid", method=method)


def script(x: Any, w: Any) -> None:
    """The published question's computation, for every filter."""
    for kernel in w:
        whole = convolve(x, kernel, "valid")[0]
        per_channel = sum(convolve(a, b, "valid") for a, b in zip(x, kernel, strict=True))
        flipped = sum(convolve(a, b, "valid") for a, b in zip(x, kernel[::-1], strict=True))
        np.allclose(whole, per_channel)
        np.allclose(whole, flipped)


def script_seconds(name: str) -> float:
    """How long the script takes on a case."""
    image, filters = draw(*CASES[name][:2], seed=1, values=CASES[name][2])
    x, w = image.astype(float), filters.astype(float)
    return seconds(lambda: script(x, w))


def seconds(call: Callable[[], object]) -> float:
    """How long ``call`` takes of the CPU."""
    started = time.process_time()
    call()
    return time.process_time() - started


def main() -> int:
    """Print the table; exit status 1 where a goal is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    missed = False
    other = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    print(f"{'case':38} {'compare':>9} {'bare':>9} {'script':>9} {'to bare':>8} {'speed-up':>9}")
    for name, (image_shape, filter_shape, values) in CASES.items():
        image, filters = draw(image_shape, filter_shape, seed=1, values=values)
        x, w = image.astype(float), filters.astype(float)
        method = compare(image, filters).method
        sides = (
            lambda image=image, filters=filters: compare(image, filters),
            lambda x=x, w=w, method=method: bare(x, w, method),
        )
        times = [
            [*map(seconds, sides), other.submit(script_seconds, name).result()]
            for _ in range(rounds)
        ]
        medians = [statistics.median(column) for column in zip(*times, strict=True)]
        to_bare = statistics.median(t[0] / t[1] for t in times)
        speed_up = statistics.median(t[2] / t[0] for t in times)
        missed |= to_bare > GOAL_BARE or speed_up < GOAL_SCRIPT
        print(
            f"{name:38} {medians[0]:7.3f} s {medians[1]:7.3f} s {medians[2]:7.3f} s "
            f"{to_bare:8.2f} {speed_up:8.1f}x",
            flush=True,
        )
    print(f"goals: to bare <= {GOAL_BARE:.2f}, speed-up >= {GOAL_SCRIPT:.0f}x")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
