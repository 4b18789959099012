"""What a whole run of convcheck costs beside the imports that it cannot do without.

Two commands are run in turn, so that both meet the same machine; the ratio is the median over the
pairs. Run it where convcheck is installed as users have it, not editable:

    python -m venv bench-env && bench-env/bin/pip install -q .
    bench-env/bin/python benchmarks/startup.py [PAIRS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORTS = "import numpy, scipy.signal, click, rich.console, rich.table"
"""What a run that computes may cost, by the goal of the project."""
CHILD = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import numpy'])\n"
    "import numpy, click, rich.console, rich.table\n"
    "child.wait()"
)
"""What verify cannot do without, a harder measure: no SciPy, but a process for its target."""
TARGET = """
import numpy as np

def conv(x, w):
    views = np.lib.stride_tricks.sliding_window_view(x.astype(float), w.shape[2:], axis=(2, 3))
    return np.einsum("nchwab,ocab->nohw", views, w.astype(float))
"""
ROWS = [
    (["random", "--shape", "3x5x5"], "NumPy, SciPy, click, rich", IMPORTS, 1.10),
    (["verify", "target:conv", "--cases", "1"], "NumPy, SciPy, click, rich", IMPORTS, 1.10),
    (["verify", "target:conv", "--cases", "1"], "NumPy in two, click, rich", CHILD, 1.50),
    (["--help"], "click", "import click", 1.50),
    (["--version"], "click", "import click", 1.50),
]


def seconds(command: list[str], folder: str) -> float:
    """How long a process takes, from nothing to its end."""
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    script = Path(sys.executable).with_name("convcheck")
    convcheck = [str(script)] if script.exists() else [sys.executable, "-m", "convcheck"]
    print(f"{'command':39} {'takes':>7}  {'beside importing':26} {'takes':>7} {'ratio':>6}  goal")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "target.py").write_text(TARGET)
        for arguments, beside, imports, goal in ROWS:
            commands = [[*convcheck, *arguments], [sys.executable, "-c", imports]]
            for command in commands:
                seconds(command, folder)
            times = [[seconds(command, folder) for command in commands] for _ in range(pairs)]
            ratio = statistics.median(ours / theirs for ours, theirs in times)
            ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
            met = "met" if ratio <= goal else "MISSED"
            print(
                f"convcheck {' '.join(arguments):29} {ours * 1e3:4.0f} ms  {beside:26} "
                f"{theirs * 1e3:4.0f} ms {ratio:6.2f}  <= {goal:.2f} {met}"
            )


if __name__ == "__main__":
    main()
