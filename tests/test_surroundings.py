"""Streams, variables and files of an odd kind: an answer or exit code 2, whole, and in time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipapp
from pathlib import Path

import numpy as np
import pytest
from command import CONVCHECK, QUESTION, ROOT, SYMMETRIC, environment, run, shell

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX streams")


@pytest.mark.slow
def test_a_stdout_that_does_not_wait_gets_it_all() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    heard = bytearray()
    many = ("random", "--shape", "3x5x5", "--seed", "1", "--trials", "1500", "--format", "junit")
    with subprocess.Popen([*CONVCHECK, *many], env=environment(), stdout=writer) as process:
        os.close(writer)
        time.sleep(4)  # until the pipe is full
        while chunk := os.read(reader, 1 << 16):
            heard += chunk
    os.close(reader)
    assert process.returncode == 0
    assert len(heard) > 1 << 18
    assert heard.endswith(b"</testsuites>\n")


def test_a_stdin_that_does_not_wait_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    content = Path(QUESTION[0]).read_bytes()

    def write() -> None:
        for part in (content[:50], content[50:200], content[200:]):
            time.sleep(0.3)
            os.write(writer, part)
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    command = [*CONVCHECK, "compare", "-", QUESTION[1], "-q"]
    done = subprocess.run(command, env=environment(), stdin=reader, capture_output=True, timeout=60)
    thread.join()
    os.close(reader)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"match: flipped matches")


@pytest.mark.slow
def test_a_fifo_that_nobody_reads_is_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    begun = time.monotonic()
    ended = run("compare", *QUESTION, "-o", "fifo", cwd=tmp_path)
    assert ended.code == 2
    assert "cannot write fifo\n  found:    a FIFO that nobody reads" in ended.err
    assert time.monotonic() - begun < 20
    late = "(sleep 1; cat fifo) & $convcheck compare {} {} -q -o fifo; wait"
    ended = shell(late.format(*QUESTION), cwd=tmp_path)
    assert ended.out.startswith("match: flipped matches")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("$convcheck compare {question} -o /dev/fd/9 9>&-", "cannot write /dev/fd/9"),
        ("$convcheck compare {question} -o loop", "cannot write loop"),
        ("$convcheck audit {symmetric} --fix loop", "Too many levels of symbolic links"),
        ("$convcheck audit {symmetric} --fix loop/case", "--fix: "),
        ("$convcheck random --shape 3x5x5 --save loop/case", "--save: "),
        ("$convcheck compare {question} -o loop/x.json", "cannot write loop/x.json"),
    ],
)
def test_what_leads_nowhere_is_said(line: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    given = {"question": " ".join(QUESTION), "symmetric": " ".join(SYMMETRIC)}
    ended = shell(line.format(**given), cwd=tmp_path)
    assert ended.code == 2, ended
    assert says in ended.err
    assert "Traceback" not in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"SOURCE_DATE_EPOCH": "x"},
        {"SOURCE_DATE_EPOCH": ""},
        *({"PYTHONIOENCODING": name} for name in ("idna", "punycode", "undefined", "utf-16", "no")),
    ],
    ids=str,
)
def test_no_variable_is_an_internal_error(changes: dict[str, str]) -> None:
    done = subprocess.run(
        [*CONVCHECK, "compare", *QUESTION],
        env=environment(**changes),
        capture_output=True,
        timeout=60,
    )
    if changes.get("PYTHONIOENCODING") == "no":  # Python itself does not start
        assert done.returncode == 1
        return
    assert done.returncode == 0, done
    encoding = {"utf-16": "utf-16"}.get(changes.get("PYTHONIOENCODING", ""), "utf-8")
    assert "flipped" in done.stdout.decode(encoding)


@pytest.mark.slow
def test_a_file_that_is_a_mount_point_is_written(tmp_path: Path) -> None:
    """As a container has a single file of its host."""
    (tmp_path / "host.json").write_text("long " * 9999)
    (tmp_path / "report.json").touch()
    mount = "mount --bind host.json report.json && $convcheck compare {} {} -o report.json"
    ended = shell(f"unshare -rm bash -c '{mount.format(*QUESTION)}'", cwd=tmp_path)
    if "unshare" in ended.err or "mount:" in ended.err:
        pytest.skip("nothing can be mounted here")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads((tmp_path / "host.json").read_text())["verdict"] == "match"
    assert {path.name for path in tmp_path.iterdir()} == {"host.json", "report.json"}


@pytest.mark.slow
def test_verify_runs_out_of_an_archive(tmp_path: Path) -> None:
    """Its target's process finds convcheck where this one has."""
    kept = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "convcheck", tmp_path / "app" / "convcheck", ignore=kept)
    zipapp.create_archive(tmp_path / "app", tmp_path / "app.pyz", main="convcheck.__main__:main")
    (tmp_path / "mine.py").write_text("from scipy.ndimage import correlate as f\n")
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for name in ("numpy", "scipy", "click", "rich", "pygments", "markdown_it", "mdurl"):
        site = Path(np.__file__).parents[1]
        for found in (site / name, site / f"{name}.libs"):
            if found.exists():
                (libraries / found.name).symlink_to(found)
    base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    if not base.exists():
        pytest.skip("needs an interpreter without convcheck")
    done = subprocess.run(
        [base, "-s", "app.pyz", "verify", "mine:f", "--cases", "8", "-q"],
        cwd=tmp_path,
        env=environment(PYTHONPATH="") | {"PYTHONPATH": str(libraries)},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"pass: all 8 cases")
