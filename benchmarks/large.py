"""``compare`` and ``identify`` on large pictures: peak memory beside the mapped files, and time.

Pictures of 3 x rows x N random bytes by 8 filters of 3x5x5, each in a process of its own; for
``identify`` 4 filters of 3x3x3, and the output in float32. Memory is what no file stands behind
(RssAnon), of the process and its workers together; pages of the mapped files can be dropped at any
time and do not count.

    python benchmarks/large.py [N] [JOBS]
"""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from convcheck import convolve

GOAL_MIB = 256
GOAL_EXPONENT = (0.95, 1.05)
FILTERS = (8, 3, 5, 5)


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
    slope = exponent(sizes, times)
    print(f"time grows with the rows to the power {slope:.2f} (goal {GOAL_EXPONENT})")
    print(f"peak {max(peaks):.0f} MiB (goal {GOAL_MIB})")
    return int(max(peaks) > GOAL_MIB or not GOAL_EXPONENT[0] <= slope <= GOAL_EXPONENT[1])


if __name__ == "__main__":
    sys.exit(main())
