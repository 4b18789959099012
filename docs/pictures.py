"""Make the pictures of docs/conventions.md: ``python docs/pictures.py``.

A fenced block that stands under ``<!-- picture: NAME -->`` is written by the tool's own renderers,
and the SVG files by the tool itself. ``tests/test_docs.py`` holds the page to what this makes.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from convcheck import cli  # noqa: E402 - run as a script, it must find the tree that it is in
from convcheck.checks.picture import gather  # noqa: E402
from convcheck.convention import Convention  # noqa: E402
from convcheck.engine import axes_of, convolve  # noqa: E402
from convcheck.render import picture, strip  # noqa: E402
from convcheck.render.report import Style  # noqa: E402
from convcheck.render.terminal import to_string  # noqa: E402

PAGE = ROOT / "docs" / "conventions.md"
PICTURES = ROOT / "docs" / "pictures"
QUESTION = ["fixtures/question/image.npy", "fixtures/question/filters.npy"]
IDENTIFY = [f"fixtures/identify/{name}.npy" for name in ("image", "filters", "out")]
SVGS = {
    "explain.svg": ["compare", *QUESTION, "--explain"],
    "identify.svg": ["identify", *IDENTIFY, "--at", "0,2,3"],
    "impulse.svg": ["random", "--shape", "3x5x5", "--impulse", "--seed", "3"],
}
# Along one axis of 8, with a kernel of 3.
STRIPS = {
    "valid": Convention(),
    "full": Convention(padding=2),
    "same-upper": Convention(stride=2, padding=[[0, 1], [0, 1]]),
    "torch-padding": Convention(stride=2, padding=1),
    "dilation": Convention(dilation=2),
    "transposed": Convention(input_dilation=2, padding=1, flip=("H", "W")),
}
# What one convention looks like where another is expected: on 20 by 40, with a 3x3 kernel.
MISTAKES = {
    "edge-for-zeros": (Convention(padding=1, padding_mode="edge"), Convention(padding=1)),
    "shifted": (
        Convention(stride=2, padding=1),
        Convention(stride=2, padding=[[0, 1], [0, 1]]),
    ),
}


def blocks() -> dict[str, str]:
    """Every picture in characters, by its name."""
    made = {}
    for name, convention in STRIPS.items():
        rows, columns = axes_of(convention, (8, 8), (3, 3))
        lines = strip.render((rows, columns), Style())
        made[name] = to_string(lines[1 : 1 + len(lines) // 2], Style())
    rng = np.random.default_rng(0)
    image, filters = rng.integers(-9, 10, (3, 20, 40)), rng.integers(-9, 10, (4, 3, 3, 3))
    for name, (actual, expected) in MISTAKES.items():
        difference = np.abs(convolve(image, filters, actual) - convolve(image, filters, expected))
        worst = difference.max(axis=0).astype(np.float64)
        shown = gather([(0, worst)], worst.shape, name="one", reference="the other")
        made[name] = to_string(picture.render(shown, Style())[1:], Style())
    return made


def page(text: str) -> str:
    """The page with its pictures as they are now."""
    made = blocks()
    return re.sub(
        r"(<!-- picture: ([\w-]+) -->\n```text\n).*?(?=```)",
        lambda found: found[1] + made[found[2]],
        text,
        flags=re.DOTALL,
    )


def svgs(folder: Path) -> None:
    """Write the SVG files to a folder; the paths in them are those of the repository's folder."""
    os.chdir(ROOT)
    for name, arguments in SVGS.items():
        cli.run([*arguments, "-o", str(folder / name)])


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    svgs(PICTURES)
