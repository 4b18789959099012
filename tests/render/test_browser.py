"""The HTML report in a real browser, where one is found: it is drawn, by day and by night."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from convcheck import cli

ROOT = Path(__file__).resolve().parents[2]
QUESTION = [str(ROOT / f"fixtures/question/{name}.npy") for name in ("image", "filters")]
IDENTIFY = [str(ROOT / f"fixtures/identify/{name}.npy") for name in ("image", "filters", "out")]
COMMANDS = {
    "compare": ["compare", *QUESTION, "--explain", "--picture"],
    "identify": ["identify", *IDENTIFY, "--explain", "--picture"],
    "audit": ["audit", *QUESTION],
    "inspect": ["inspect", QUESTION[0]],
}
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for found in map(shutil.which, NAMES) if found), None)
SCHEMES = {"dark": (0, (13, 17, 23)), "light": (1, (255, 255, 255))}
"""Chromium's number for each, and the page's background."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium"),
]


def browse(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What the browser prints of a page; what it logs is in stderr."""
    return subprocess.run(
        [
            str(BROWSER),
            "--headless",
            "--no-sandbox",  # in a container there is no user to be kept apart
            "--disable-gpu",
            "--hide-scrollbars",
            "--window-size=900,700",
            "--enable-logging=stderr",
            f"--user-data-dir={page.parent / 'profile'}",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def complaints(logged: str) -> list[str]:
    """What a page has to say on its console: every error, every file that is not there."""
    return [line for line in logged.split("\n") if ":CONSOLE" in line]


def test_a_complaint_would_be_heard(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<!DOCTYPE html><script>console.error('heard'); nothing.at.all</script>")
    heard = complaints(browse(page, "--dump-dom").stderr)
    assert len(heard) == 2
    assert "heard" in heard[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_is_what_was_written(command: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    cli.run([*COMMANDS[command], "-o", str(page)])
    seen = browse(page, "--dump-dom")
    assert complaints(seen.stderr) == []
    written = page.read_text(encoding="utf-8")
    # A parser that had to mend something would give other markup back.
    assert seen.stdout.split("<pre>")[1].split("</pre>")[0].replace("&#x27;", "'") == (
        written.split("<pre>")[1].split("</pre>")[0].replace("&#x27;", "'").replace("&quot;", '"')
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_is_readable(scheme: str, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    page, shot = tmp_path / "report.html", tmp_path / "shot.png"
    cli.run([*COMMANDS["compare"], "-o", str(page)])
    number, background = SCHEMES[scheme]
    seen = browse(page, f"--screenshot={shot}", f"--blink-settings=preferredColorScheme={number}")
    assert complaints(seen.stderr) == []
    drawn = image.open(shot).convert("RGB")
    assert drawn.getpixel((3, 3)) == background
    pixels = drawn.getcolors(1 << 24)
    ink = [
        (count, colour)
        for count, colour in pixels
        if contrast(colour, background) >= 4.5  # WCAG's AA, for text of this size
    ]
    assert sum(count for count, _ in ink) > 5000
    greenish = [c for _, c in ink if c[1] > c[0] + 30 and c[1] > c[2] + 30]
    reddish = [c for _, c in ink if c[0] > c[1] + 30 and c[0] > c[2] + 30]
    assert greenish, "MATCHES is green, and can be read"
    assert reddish, "DIFFERS is red, and can be read"


def contrast(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """The contrast of two colours as WCAG 2 defines it."""

    def luminance(colour: tuple[int, ...]) -> float:
        linear = [
            c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4
            for c in colour
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)
