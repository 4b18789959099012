"""Files that change while they are mapped: an error that says so, never SIGBUS."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from command import CONVCHECK, environment
from few import slow

from convcheck import cli
from convcheck.errors import InputError
from convcheck.mapping import check_unchanged, reference
from convcheck.tensors import load

needs_sigbus = pytest.mark.skipif(sys.platform == "win32", reason="no file shrinks there")


def sparse(path: Path, shape: tuple[int, ...], dtype: str = "uint8") -> Path:
    """An array of zeros that takes no room on the disk."""
    np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).flush()
    return path


def wait_for(stream: IO[str], word: str) -> str:
    said = ""
    while word not in said:
        line = stream.readline()
        assert line, said
        said += line
    return said


@needs_sigbus
@pytest.mark.parametrize("jobs", [1, slow(2)])
def test_a_file_that_shrinks_meanwhile_is_an_error(jobs: int, tmp_path: Path) -> None:
    image = sparse(tmp_path / "image.npy", (4, 6000, 6000))
    filters = tmp_path / "w.npy"
    np.save(filters, np.arange(1, 17, dtype=np.int8).reshape(1, 4, 2, 2))
    command = [*CONVCHECK, "compare", image, filters, "-v", "--jobs", str(jobs)]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        wait_for(process.stderr, "plan: ")
        os.truncate(image, 4096)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, ""), err
    assert f"{image} changed while it was read" in err
    assert "found:    144,000,128 bytes, then 4,096" in err
    assert "Traceback" not in err


FAULT = """
import os, sys
from convcheck import cli
from convcheck.cli import base
import convcheck.{module} as home
kept = home.{name}
def cut_off_first(*args, **kwargs):
    os.truncate(sys.argv[1], 4096)
    return kept(*args, **kwargs)
home.{name} = cut_off_first
cli.main(sys.argv[2:])
"""


@needs_sigbus
@pytest.mark.parametrize(
    ("command", "module", "name"),
    [
        slow("compare {image} {w}", "checks.compare", "image_and_bank"),
        ("compare {w} {image}", "checks.compare", "image_and_bank"),
        ("identify {image} {w} {image}", "checks.identify", "identify"),
        ("audit {image} {w}", "checks.audit", "audit"),
        ("inspect {image}", "checks.inspect", "look"),
    ],
)
def test_no_command_dies_of_a_file_that_is_gone(
    command: str, module: str, name: str, tmp_path: Path
) -> None:
    image = sparse(tmp_path / "image.npy", (4, 300, 300), "float64")
    w = tmp_path / "w.npy"
    np.save(w, np.arange(1.0, 17).reshape(1, 4, 2, 2))
    done = subprocess.run(
        [
            *(sys.executable, "-c", FAULT.format(module=module, name=name), image),
            *command.format(image=image, w=w).split(),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert f"{image} changed while it was read" in done.stderr
    assert "Traceback" not in done.stderr


@needs_sigbus
def test_a_fault_of_somebody_else_still_ends_the_process(tmp_path: Path) -> None:
    script = """
import mmap, os, sys
from convcheck.mapping import outlive_faults
outlive_faults()
with open(sys.argv[1], "r+b") as file:
    foreign = mmap.mmap(file.fileno(), 0)
    os.truncate(sys.argv[1], 0)
    print(foreign[8192])
"""
    path = tmp_path / "x"
    path.write_bytes(bytes(1 << 14))
    done = subprocess.run([sys.executable, "-c", script, path], env=environment(), timeout=60)
    assert done.returncode < 0


def test_who_has_a_handler_keeps_it(tmp_path: Path) -> None:
    script = """
import faulthandler, mmap, os, sys
from convcheck.mapping import outlive_faults
from convcheck.tensors import load
faulthandler.enable()
outlive_faults()
array = load("IMG", sys.argv[1]).array
os.truncate(sys.argv[1], 0)
print(array.sum())
"""
    path = sparse(tmp_path / "x.npy", (1 << 14,))
    done = subprocess.run(
        [sys.executable, "-c", script, path],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode < 0
    assert "Fatal Python error: Bus error" in done.stderr


def test_what_was_written_to_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.ones((3, 4)))
    tensor = load("IMG", str(path))
    check_unchanged()
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(b"\1")
    os.utime(path, ns=(0, time.time_ns() + 10**9))  # clocks of file systems may be coarse
    with pytest.raises(InputError, match=r"x\.npy changed while it was read"):
        check_unchanged()
    del tensor
    check_unchanged()  # nobody has it any more


def test_a_file_whose_name_is_given_to_another_stays_itself(tmp_path: Path) -> None:
    path, other = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(path, np.ones((3, 4)))
    np.save(other, np.zeros((5, 6)))
    tensor = load("IMG", str(path))
    other.replace(path)
    check_unchanged()
    assert tensor.array.sum() == 12


def test_a_bug_over_a_changed_file_is_the_files_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.ones((3, 4)))
    from convcheck.checks import compare as home

    def fail(*args: object, **kwargs: object) -> None:
        os.utime(path, ns=(0, 0))
        raise AssertionError("two looks at it that do not agree")

    monkeypatch.setattr(home, "compare", fail)
    assert cli.run(["compare", str(path), str(path)]) == 2
    assert "changed while it was read" in capsys.readouterr().err


def test_a_run_does_not_mind_what_another_one_has_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.ones((3, 4)))
    tensor = load("IMG", str(path))
    os.utime(path, ns=(0, 0))
    assert cli.run(["random", "--shape", "3x5x5"]) == 0
    assert tensor.array.all()
    assert capsys.readouterr().err == ""


def test_another_process_finds_a_mapped_array_and_views_of_it(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.arange(60.0).reshape(3, 4, 5))
    array = load("IMG", str(path)).array
    for view in (array, array[::-1, 1:], array.transpose(2, 0, 1)[:, None], array[1, 2]):
        found = reference(view)
        assert found is not None
        again = pickle.loads(pickle.dumps(found)).open()
        assert np.array_equal(again, view)
        assert not again.flags.writeable
    assert reference(array.copy()) is None
    assert reference(np.zeros(3)) is None
    found = reference(array[2:])
    assert found is not None
    found.open()
    os.utime(path, ns=(0, 0))
    with pytest.raises(InputError, match="changed while it was read"):
        found.check()
    later = reference(load("IMG", str(path)).array)
    assert later is not None
    assert np.array_equal(later.open(), np.load(path))  # what was opened before is of no account
    later.check()
    path.unlink()
    with pytest.raises(InputError, match="cannot be read by the worker on") as caught:
        found.open()
    assert caught.value.got == "No such file or directory"
