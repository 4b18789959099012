"""Shell completion, by sourcing what the documentation says to source."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def environment(folder: Path) -> dict[str, str]:
    """A PATH on which ``convcheck`` is this tree's."""
    program = folder / "convcheck"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convcheck "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(folder), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["convcheck", "com"], ["compare"]),
        (["convcheck", ""], ["audit", "compare", "identify", "inspect", "random", "verify"]),
        (["convcheck", "compare", "--form"], ["--format"]),
        (["convcheck", "compare", "--format", "ju"], ["junit"]),
        (["convcheck", "compare", "--expect", ""], ["per-channel", "flipped", "correlation"]),
    ],
)
def test_bash_completes(words: list[str], offered: list[str], tmp_path: Path) -> None:
    quoted = " ".join(f"'{word}'" for word in words)
    script = (
        "source <(_CONVCHECK_COMPLETE=bash_source convcheck)\n"
        f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}\n"
        "complete -p convcheck >&2\n"
        "_convcheck_completion convcheck\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "_convcheck_completion convcheck" in done.stderr
    assert done.stdout.split() == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_have_a_script(shell: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [tmp_path / "convcheck"],
        env={**environment(tmp_path), "_CONVCHECK_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    assert "_CONVCHECK_COMPLETE" in done.stdout
