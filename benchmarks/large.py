"""``compare`` and ``identify`` on large pictures: peak memory beside the mapped files, and time.

Pictures of 3 x rows x N random bytes by 8 filters of 3x5x5, each in a process of its own; for
``identify`` 4 filters of 3x3x3, and the output in float32. Memory is what no file stands behind
(RssAnon), of the process and its workers together; pages of the mapped files can be dropped at any
time and do not count.

How the time grows with the rows, and with the filters, is measured in this process as well, by the
CPU's time: there no start-up bends it, and other work on the machine hardly.

    python benchmarks/large.py [N] [JOBS]
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np

from convcheck import compare, convolve

GOAL_MIB = 256
GOAL_EXPONENT = (0.95, 1.05)
FILTERS = (8, 3, 5, 5)
FEWEST, ACROSS = 500, 700
"""Rows and columns of the smallest picture that the growth is measured with."""


def anonymous(process: int) -> int:
    """Bytes without a file behind them, of a process and all its children."""
    total = 0
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                total += int(line.split()[1]) << 10
        for task in Path(f"/proc/{process}/task").iterdir():
            children = (task / "children").read_text().split()
            total += sum(anonymous(int(child)) for child in children)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has just ended
    return total


def measure(command: str, *arguments: str | Path) -> tuple[float, float]:
    """Seconds and peak MiB of one run."""
    called = [sys.executable, "-m", "convcheck", command, *map(str, arguments), "--quiet"]
    started = time.perf_counter()
    process = subprocess.Popen(called, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, anonymous(process.pid))
        time.sleep(0.02)
    if process.returncode != 0:
        raise SystemExit(f"convcheck ended with {process.returncode}")
    return time.perf_counter() - started, peak / 2**20


def picture(folder: Path, rows: int, columns: int) -> Path:
    """An .npy of random bytes, written band by band."""
    path = folder / f"{rows}.npy"
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(3, rows, columns))
    rng = np.random.default_rng(rows)
    for channel in array:
        for first in range(0, rows, 512):
            band = channel[first : first + 512]
            band[...] = rng.integers(0, 256, band.shape, np.uint8)
    array.flush()
    return path


def result(folder: Path, image: Path, filters: Path) -> Path:
    """What the filters make of a picture, written band by band."""
    x, w = np.load(image, mmap_mode="r"), np.load(filters)
    path = folder / "output.npy"
    shape = (len(w), *(n - f + 1 for n, f in zip(x.shape[1:], w.shape[2:], strict=True)))
    made = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for first in range(0, shape[1], 256):
        made[:, first : first + 256] = convolve(x[:, first : first + 255 + w.shape[2]], w)
    made.flush()
    return path


def exponent(sizes: list[int], times: list[float]) -> float:
    """The slope of log time over log size."""
    return statistics.linear_regression(
        [math.log(n) for n in sizes], [math.log(t) for t in times]
    ).slope


def growth(image: Path, filters: Path) -> tuple[float, float]:
    """The exponents with which the CPU's time grows with the rows and with the filters."""
    x, w = np.load(image, mmap_mode="r")[:, :, :ACROSS], np.load(filters)
    rows = [n for n in (FEWEST << i for i in range(4)) if n <= x.shape[1]]
    banks = [np.concatenate([w] * (1 << i)) for i in range(4)]

    def seconds(part: Any, bank: Any) -> float:
        started = time.process_time()
        compare(part, bank)
        return time.process_time() - started

    def least(cases: list[tuple[Any, Any]]) -> list[float]:
        """The least of seven rounds over all sizes: that which was disturbed the least."""
        rounds = [[seconds(*case) for case in cases] for _ in range(7)]
        return [min(times) for times in zip(*rounds, strict=True)]

    return (
        exponent(rows, least([(x[:, :n], w) for n in rows])),
        exponent([len(b) for b in banks], least([(x[:, : 2 * FEWEST], b) for b in banks])),
    )


def main() -> int:
    """Print the table; exit status 1 where a goal is missed."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 6000
    options = ["--jobs", sys.argv[2]] if len(sys.argv) > 2 else []
    rng = np.random.default_rng(0)
    sizes = [side // 8, side // 4, side // 2, side]
    times, peaks = [], []
    print(f"{'picture':>16} {'MB':>7} {'seconds':>8} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        filters = folder / "filters.npy"
        np.save(filters, rng.integers(-9, 10, FILTERS).astype(np.int8))
        for rows in sizes:
            image = picture(folder, rows, side)
            seconds, peak = measure("compare", image, filters, *options)
            times.append(seconds)
            peaks.append(peak)
            size = image.stat().st_size / 1e6
            print(f"{f'3x{rows}x{side}':>16} {size:7.0f} {seconds:8.1f} {peak:9.0f}", flush=True)
            if rows != side:
                image.unlink()
        few = folder / "few.npy"
        np.save(few, rng.standard_normal((4, 3, 3, 3)))
        output = result(folder, image, few)
        seconds, peak = measure("identify", image, few, output)
        peaks.append(peak)
        print(f"identify: 4x{side - 2}x{side - 2} in {seconds:.1f} s, {peak:.0f} MiB")
        by_rows, by_filters = growth(image, filters)
    slope = exponent(sizes, times)
    low, high = GOAL_EXPONENT
    print(f"whole processes: time grows with the rows to the power {slope:.2f}")
    print(f"CPU time, in process: with the rows {by_rows:.3f}, with the filters {by_filters:.3f}")
    print(f"goals: {low} to {high}; peak {max(peaks):.0f} MiB, at most {GOAL_MIB}")
    grows = low <= by_rows <= high and low <= by_filters <= high
    return int(max(peaks) > GOAL_MIB or not grows)


if __name__ == "__main__":
    sys.exit(main())
