"""What ``identify`` costs: on a CNN layer, against trying conventions one by one, and as it grows.

    python benchmarks/identify.py [RUNS]
    python benchmarks/identify.py unexplained

The layer is 64x56x56 by 64x64x3x3 in float32, stride 2, asymmetric padding, kernels flipped. Brute
force is one run of the engine for each hypothesis that was tried, taken from 100 of them, where no
hypothesis is true and so all are tried that the budget allows. Start-up is a whole process of
``convcheck identify`` against one that imports torch and makes the output; it is left out where
torch is not installed.
``unexplained`` is the other end: 30 kinds of output, of :mod:`unexplained`, that are no convolution
by the filters that are given. Nothing may be said of them, and that has to be said soon.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import unexplained as kinds

from convcheck.checks.identify import identify
from convcheck.convention import Convention
from convcheck.engine import convolve

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL, RATIO_GOAL = 0.060, 1e-3
LAYER = Convention(flip=("H", "W"), stride=(2, 2), padding=((0, 1), (0, 1)))
SIZES = (28, 56, 112, 224)
TORCH = """
import numpy as np, torch
x, w = (torch.from_numpy(np.load(f"{name}.npy"))[None] if name == "x" else
        torch.from_numpy(np.load(f"{name}.npy")) for name in "xw")
y = torch.nn.functional.conv2d(torch.nn.functional.pad(x, (0, 1, 0, 1)), w.flip(2, 3), stride=2)
np.save("made.npy", y[0].numpy())
"""


def layer(size: int, channels: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, bank and output of a layer."""
    rng = np.random.default_rng(size)
    x = rng.standard_normal((channels, size, size), dtype=np.float32)
    w = rng.standard_normal((64, channels, 3, 3), dtype=np.float32)
    return x, w, convolve(x, w, LAYER).astype(np.float32)


def median(call: Callable[[], object], runs: int) -> float:
    """The median time of a call, warmed up."""
    call()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def in_process(runs: int) -> None:
    """The layer, and the engine alone beside it."""
    x, w, y = layer(56)
    result = identify(x, w, y)
    assert result.verdict == "identified"
    ours, engine = (
        median(lambda: identify(x, w, y), runs),
        median(lambda: convolve(x, w, LAYER), runs),
    )
    verdict = "met" if ours <= GOAL else "MISSED"
    print(f"identify, 64x56x56 by 64x64x3x3     {ours * 1e3:8.1f} ms  goal 60 ms: {verdict}")
    print(f"one run of the engine               {engine * 1e3:8.1f} ms")


def against_brute_force(runs: int) -> None:
    """The search of a layer, for an output that nothing explains, against a run for each."""
    x, w, y = layer(56)
    noise = np.random.default_rng(1).standard_normal(y.shape, dtype=np.float32)
    result = identify(x, w, noise)
    assert result.verdict == "unexplained"
    ours = median(lambda: identify(x, w, noise), max(3, runs // 4))
    flips = [(), ("H",), ("W",), ("H", "W")]
    hundred = [
        LAYER.replace(flip=flips[i % 4], padding=((i % 3, 2 - i % 3), (i % 2 + 1, 1 - i % 2)))
        for i in range(100)
    ]
    each = median(lambda: [convolve(x, w, c) for c in hundred], 3) / 100
    brute = each * result.hypotheses
    ratio = ours / brute
    print(f"\nhypotheses that were tried          {result.hypotheses:8d}")
    print(f"identify                            {ours:8.2f} s")
    print(f"brute force, from 100 of them       {brute:8.0f} s")
    verdict = "met" if ratio <= RATIO_GOAL else "MISSED"
    print(f"ratio                               {ratio:8.1e}  goal 1e-3: {verdict}")


def growth(runs: int) -> None:
    """How both grow with the image."""
    rows = []
    print(f"\n{'image':16} {'identify':>12} {'engine':>12}")
    for size in SIZES:
        x, w, y = layer(size, 16)
        times = (
            median(lambda x=x, w=w, y=y: identify(x, w, y), max(3, runs // 2)),  # type: ignore[misc]
            median(lambda x=x, w=w: convolve(x, w, LAYER), max(3, runs // 2)),  # type: ignore[misc]
        )
        rows.append((size * size, *times))
        print(f"16x{size}x{size:<10} {times[0] * 1e3:9.1f} ms {times[1] * 1e3:9.1f} ms")
    logs = np.log(np.array(rows))
    ours, engine = (float(np.polyfit(logs[:, 0], logs[:, i], 1)[0]) for i in (1, 2))
    print(f"exponent         {ours:12.2f} {engine:12.2f}")


def as_processes(runs: int) -> None:
    """From nothing to the answer, against from nothing to the output."""
    if importlib.util.find_spec("torch") is None:
        print("\ntorch is not installed: no comparison of whole processes")
        return
    x, w, y = layer(56)
    script = Path(sys.executable).with_name("convcheck")
    ours = [str(script)] if script.exists() else [sys.executable, "-m", "convcheck"]
    with tempfile.TemporaryDirectory() as folder:
        for name, array in (("x", x), ("w", w), ("y", y)):
            np.save(f"{folder}/{name}.npy", array)
        commands = ([*ours, "identify", "x.npy", "w.npy", "y.npy"], [sys.executable, "-c", TORCH])

        # Both as they are installed: compiled before.
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}

        def run(command: list[str]) -> None:
            subprocess.run(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, check=True)

        times = [median(lambda c=c: run(c), max(3, runs // 2)) for c in commands]  # type: ignore[misc]
    print(f"\nconvcheck identify, the process     {times[0] * 1e3:8.0f} ms")
    print(f"torch makes the output, the process {times[1] * 1e3:8.0f} ms")
    print(f"ratio                               {times[0] / times[1]:8.2f}")


def unexplained() -> None:
    """How long it takes to say that nothing explains an output, kind by kind."""
    names, every = kinds.names(), []
    print(f"{'what OUT is':38} {'elements':>8} {'verdict':12} {'median':>8} {'worst':>8}")
    for name in names:
        times, verdicts, sizes = [], set(), []
        for seed in range(len(kinds.LAYERS)):
            x, w, y = kinds.draw(name, seed)
            started = time.perf_counter()
            verdicts.add(identify(x, w, y).verdict)
            times.append(time.perf_counter() - started)
            sizes.append(y.size)
        every += times
        said = ", ".join(sorted(verdicts))
        print(
            f"{name:38} {max(sizes):8d} {said:12} {statistics.median(times):6.1f} s "
            f"{max(times):6.1f} s",
            flush=True,
        )
    print(f"{len(names)} kinds: median {statistics.median(every):.1f} s, worst {max(every):.1f} s")


def main() -> None:
    """Print the tables."""
    if sys.argv[1:] == ["unexplained"]:
        unexplained()
        return
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    in_process(runs)
    against_brute_force(runs)
    growth(runs)
    as_processes(runs)


if __name__ == "__main__":
    main()
