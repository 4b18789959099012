"""What verify costs beside the implementation that it tests, and whether its memory stays flat.

Cases are put to a NumPy target in this process; the target's own time is taken out. Then a whole
campaign goes on to 100 000 cases, and the memory is looked at on the way.

    python benchmarks/verify.py [CASES] [CASES FOR MEMORY]
"""

from __future__ import annotations

import gc
import resource
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from convcheck.campaign import Case, case, cases
from convcheck.checks.verify import put_to_test
from convcheck.serving import Inline

if TYPE_CHECKING:
    from collections.abc import Iterator

GOAL = 300
"""Small cases a second on one core."""
MEMORY_GOAL = 1.05
"""How much more memory may have been needed after the last look than after the one before."""
KILO = 2**20 if sys.platform == "darwin" else 2**10
"""What getrusage counts memory in."""
SMALL = 60
"""Numbers below this are drawn for the look at memory, over and over under new seeds."""


class Target:
    """A cross-correlation of NumPy's that keeps account of its own time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    def __call__(self, x: Any, w: Any, parameters: Any) -> Any:
        """One call."""
        begun = time.perf_counter()
        x = np.pad(x, ((0, 0), (0, 0), *((parameters.get("padding", 0),) * 2,) * 2))
        step = parameters.get("stride", 1)
        views = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
        views = views[:, :, ::step, ::step].astype(np.float64)
        out = np.einsum("nchwab,ocab->nohw", views, w.astype(np.float64), optimize=False)
        self.seconds += time.perf_counter() - begun
        self.calls += 1
        return out


def rate(count: int) -> tuple[float, float]:
    """Cases a second without the target's time, and with it."""
    target = Target()
    begun = time.perf_counter()
    result = put_to_test(Inline(target, ("stride", "padding")), cases(0, count))
    spent = time.perf_counter() - begun
    if result.verdict != "pass":
        raise AssertionError(result.findings)
    return count / (spent - target.seconds), count / spent


def memory(looks: list[int]) -> list[tuple[int, float]]:
    """The process's peak in MB after so many cases."""
    seen: list[tuple[int, float]] = []

    def drawn() -> Iterator[Case]:
        for number in range(looks[-1] + 1):
            if number in looks:
                gc.collect()
                seen.append((number, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILO))
                print(f"after {number:6} cases: {seen[-1][1]:.1f} MB at the peak", flush=True)
            yield case(number // SMALL, number % SMALL)

    put_to_test(Inline(Target(), ("stride", "padding")), drawn())
    return seen


def main() -> None:
    """Print the figures and whether they meet their goals."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 600
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    rate(20)  # imports
    runs = [rate(count) for _ in range(5)]
    ours, whole = (statistics.median(column) for column in zip(*runs, strict=True))
    met = "met" if ours >= GOAL else "MISSED"
    print(f"{count} cases: {ours:.0f} a second without the target's own time ({whole:.0f} with it)")
    print(f"goal: >= {GOAL} {met}")
    looks = [n for n in (1_000, 10_000, 100_000) if n <= most]
    seen = memory(looks)
    if len(seen) > 2:
        grown = seen[2][1] / seen[1][1]
        flat = "met" if grown <= MEMORY_GOAL else "MISSED"
        print(f"growth from 10 000 to 100 000 cases: {grown:.2f}, goal <= {MEMORY_GOAL} {flat}")


if __name__ == "__main__":
    main()
