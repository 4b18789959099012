"""Shell completion, by sourcing what the documentation says to source."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


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
        (
            ["convcheck", ""],
            [
                "audit",
                "compare",
                "diff",
                "identify",
                "inspect",
                "merge",
                "model",
                "random",
                "verify",
            ],
        ),
        (["convcheck", "compare", "--form"], ["--format"]),
        (["convcheck", "compare", "--format", "ju"], ["junit"]),
        (["convcheck", "compare", "--method", ""], ["auto", "direct", "fft"]),
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


CASES = [
    ("convcheck com", ["compare"]),
    ("convcheck compare --form", ["--format"]),
    ("convcheck compare --format ju", ["junit"]),
    ("convcheck identify --pic", ["--picture"]),
]


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
@pytest.mark.parametrize(("line", "offered"), CASES)
def test_fish_completes(line: str, offered: list[str], tmp_path: Path) -> None:
    script = f"_CONVCHECK_COMPLETE=fish_source convcheck | source\ncomplete -C '{line}'\n"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env={**environment(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    # Beside each word fish shows what it is.
    assert [shown.split("\t")[0] for shown in done.stdout.splitlines()] == offered


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
@pytest.mark.parametrize(("line", "offered"), CASES)
def test_zsh_completes(line: str, offered: list[str], tmp_path: Path) -> None:
    # zsh completes on a terminal alone: it is given one, and the key is pressed.
    script = f"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; autoload -Uz compinit && compinit -u -D'
zpty -w shell 'source <(_CONVCHECK_COMPLETE=zsh_source convcheck); print re""ady'
zpty -r -m shell seen '*ready*'
zpty -w -n shell $'{line}\\t'
zpty -r -m shell seen '*{line.rpartition(" ")[0]} {offered[0]}*' && print -r -- $seen
zpty -d shell
"""
    done = subprocess.run(
        ["zsh", "-f", "-c", script],
        env={**environment(tmp_path), "HOME": str(tmp_path), "TERM": "xterm"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\x07]", "", done.stdout)
    assert f"{line.rpartition(' ')[0]} {offered[0]}" in words, (done.stdout, done.stderr)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_line_is_the_one_that_is_sourced(shell: str) -> None:
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    block = page.split("## Completion in the shell")[1].split("```sh\n")[1].split("```")[0]
    form = "{} | source" if shell == "fish" else "source <({})"
    assert form.format(f"_CONVCHECK_COMPLETE={shell}_source convcheck") in block


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
