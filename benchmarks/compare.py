"""``compare`` in all against scipy: the calls that it must make, and the published script.

Three sides, in turn and on one thread each, by the CPU's time, which other work on the machine
disturbs less. Each is warmed up in a process of its own, as it would be run:

- ``compare`` with its three rows, bounds and verdicts, and what of it is not scipy;
- the bare calls: ``scipy.signal.convolve(x, w[k], "valid")`` for each of the K filters;
- the published script, extended to K filters: the N-D convolution, the sum over channels of 2-D
  convolutions, and the same with the channels of the filter reversed, all by scipy.

An FFT of C channels in N-D makes 3 (2C - 1) transforms of a plane, and C of them in 2-D make 3C. So
the script makes (2C - 1 + 2C) / (2C - 1) times the transforms of the bare calls, 2.2 of 3 channels.
``compare`` makes that of the image once for all filters, of a filter about half, as most of its
rows are zeros, and back that of the one channel that is valid: of three channels a third is left.
Of one channel half is, and where kernels are large the transforms of two rows and of an S are more
than what was saved. So the goals are for all cases together, and each case shows what it takes.

Then the same by the clock, as a user has it: the command, with its workers and their start, and the
script as a process, on the files of a larger picture.

    python benchmarks/compare.py [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np
import scipy.signal
from scipy.signal import convolve

from convcheck import compare
from convcheck.cases import draw
from convcheck.pool import cores

GOAL_BARE, GOAL_SCRIPT = 1.10, 3.0
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


PICTURE = ((3, 2400, 2400), (8, 3, 5, 5))


def bare(x: Any, w: Any) -> None:
    """What anybody asks of scipy who wants its result."""
    for kernel in w:
        convolve(x, kernel, "valid")


def script(x: Any, w: Any) -> None:
    """The published question's computation, for every filter."""
    for kernel in w:
        whole = convolve(x, kernel, "valid")[0]
        per_channel = sum(convolve(a, b, "valid") for a, b in zip(x, kernel, strict=True))
        flipped = sum(convolve(a, b, "valid") for a, b in zip(x, kernel[::-1], strict=True))
        np.allclose(whole, per_channel)
        np.allclose(whole, flipped)


def seconds(side: str, name: str) -> tuple[float, float]:
    """The CPU's time that a side takes on a case, and how much of it is spent in scipy."""
    image_shape, bank_shape, values = CASES[name]
    image, filters = draw(image_shape, bank_shape, seed=1, values=values)
    x, w = image.astype(float), filters.astype(float)
    inside = 0.0

    def timed(*args: Any, **options: Any) -> Any:
        nonlocal inside
        started = time.process_time()
        result = convolve(*args, **options)
        inside += time.process_time() - started
        return result

    scipy.signal.convolve = timed  # compare imports it where it calls it
    call = {
        "compare": lambda: compare(image, filters),
        "bare": lambda: bare(x, w),
        "script": lambda: script(x, w),
    }[side]
    started = time.process_time()
    call()
    return time.process_time() - started, inside


def clock(rounds: int) -> float:
    """How many times as fast as the script's process the command is; a line is printed."""
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder) / name) for name in ("img.npy", "w.npy")]
        for name, array in zip(names, draw(*PICTURE, seed=1, values="normal"), strict=True):
            np.save(name, array)
        command = [sys.executable, "-m", "convcheck", "compare", *names]
        program = [sys.executable, __file__, "--script", *names]
        runs = []
        for _ in range(rounds):
            times = []
            for side in (command, program):
                started = time.perf_counter()
                subprocess.run(side, check=True, stdout=subprocess.DEVNULL)
                times.append(time.perf_counter() - started)
            runs.append(times)
    taken = [statistics.median(run[side] for run in runs) for side in (0, 1)]
    speed_up = statistics.median(run[1] / run[0] for run in runs)
    shapes = " by ".join("x".join(map(str, shape)) for shape in PICTURE)
    print(
        f"by the clock, {shapes}, {cores()} cores: the command {taken[0]:.1f} s, "
        f"the script {taken[1]:.1f} s, speed-up {speed_up:.1f}x"
    )
    return speed_up


def main() -> int:
    """Print the table; exit status 1 where a goal is missed."""
    if sys.argv[1:2] == ["--script"]:
        script(*(np.load(name).astype(float) for name in sys.argv[2:]))
        return 0
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    sides = ("compare", "bare", "script")
    spawn = get_context("spawn")
    pools = {side: ProcessPoolExecutor(1, mp_context=spawn) for side in sides}
    whole = [dict.fromkeys(sides, 0.0) for _ in range(rounds)]
    each = []
    print(
        f"{'case':38} {'compare':>9} {'bare':>9} {'script':>9} "
        f"{'to bare':>8} {'beside scipy':>13} {'speed-up':>9}"
    )
    for name in CASES:
        runs = [
            {side: pools[side].submit(seconds, side, name).result() for side in sides}
            for _ in range(rounds + 1)
        ][1:]
        for total, run in zip(whole, runs, strict=True):
            for side in sides:
                total[side] += run[side][0]
        beside = statistics.median(
            (run["compare"][0] - run["compare"][1]) / run["bare"][0] for run in runs
        )
        taken = [{side: run[side][0] for side in sides} for run in runs]
        each.append(ratios(taken))
        line(name, taken, f"{beside:13.1%}")
    for pool in pools.values():
        pool.shutdown()
    line("all of them", whole, f"{'':13}")
    means = [statistics.geometric_mean(column) for column in zip(*each, strict=True)]
    print(f"geometric means: to bare {means[0]:.2f}, speed-up {means[1]:.1f}x")
    missed = any(beyond(*one) for one in (ratios(whole), means)) | (clock(rounds) < GOAL_SCRIPT)
    print(
        f"goals, for all and for the means: to bare <= {GOAL_BARE:.2f}, "
        f"speed-up >= {GOAL_SCRIPT:.0f}x; by the clock too"
    )
    return int(missed)


def ratios(runs: list[dict[str, float]]) -> tuple[float, float]:
    """The medians of ``compare`` to the bare calls, and of the script to ``compare``."""
    return (
        statistics.median(run["compare"] / run["bare"] for run in runs),
        statistics.median(run["script"] / run["compare"] for run in runs),
    )


def beyond(to_bare: float, speed_up: float) -> bool:
    """Whether a goal is missed."""
    return to_bare > GOAL_BARE or speed_up < GOAL_SCRIPT


def line(name: str, runs: list[dict[str, float]], beside: str) -> None:
    """Print a row of the table: the medians of the times and of the ratios."""
    times = [statistics.median(run[side] for run in runs) for side in ("compare", "bare", "script")]
    to_bare, speed_up = ratios(runs)
    print(
        f"{name:38} {times[0]:7.3f} s {times[1]:7.3f} s {times[2]:7.3f} s "
        f"{to_bare:8.2f} {beside} {speed_up:8.1f}x{' beyond' * beyond(to_bare, speed_up)}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
