"""Files, file systems and surroundings that mean no good, through real processes."""

from __future__ import annotations

import io
import os
import shlex
import stat
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import FIXTURES, PLAIN_REPORT, QUESTION, environment, listing, run, shell

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX files and limits"),
]
SECONDS = 2.0
ROOM = 64 << 20
W = QUESTION[1]
SYMMETRIC = [str(FIXTURES / "symmetric" / name) for name in ("image.npy", "filters.npy")]


def headed(shape: str, dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


def zipped(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def array_bytes(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def lying_zip() -> bytes:
    """A member of a few bytes whose header, and whose directory, promise terabytes."""
    raw = bytearray(zipped(("x.npy", headed("(1000000, 1000000)"))))
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        raw[raw.find(signature) + offset : raw.find(signature) + offset + 4] = b"\xfe\xff\xff\xff"
    return bytes(raw)


BOMB = zipped(("x.npy", headed("(30000, 1000)") + bytes(240 << 20)))  # 240 kB unpack to 240 MB

FAR = b'{"x": {"dtype": "F64", "shape": [999999999], "data_offsets": [0, 7999999992]}}'

LIMITED = f"""
import os, resource, sys
import numpy, scipy.signal, rich.console
from convcheck import cli
import convcheck.checks.compare, convcheck.checks.inspect, convcheck.render.table
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
for path in sys.argv[2:]:
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (now + {ROOM}, now + {ROOM}))
        os.dup2(os.open(path + ".out", os.O_CREAT | os.O_WRONLY), 1)
        os.dup2(os.open(path + ".err", os.O_CREAT | os.O_WRONLY), 2)
        cli.main(["compare", path, sys.argv[1]])
    _, status, usage = os.wait4(child, 0)
    print(os.waitstatus_to_exitcode(status), usage.ru_utime, flush=True)
"""

HEADERS = [
    (headed("(1000000, 1000000)"), "promises more data than there is"),
    (headed("(9223372036854775807, 2)"), "cannot be right"),
    (headed("(0, 1000000000000)"), "is empty"),
    (lying_zip(), "promises more data than there is"),
    (zipped(("x.npy", headed("(1000000, 1000)"))), "promises more data than there is"),
    (b"\x93NUMPY\2\0\xff\xff\xff\xff", "cannot be right"),
    (struct.pack("<Q", (100 << 20) - 1) + b"{", "a header that says it is 104,857,599 bytes"),
    (
        struct.pack("<Q", len(FAR)) + FAR,
        "shape [999999999] in bytes [0, 7999999992] of 0",
    ),
    (BOMB, "does not fit in memory"),
]


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, str, float]]:
    """How each file ended in a process of its own, with the seconds it took.

    All are forked from one: what is imported first takes a second.
    """
    folder = tmp_path_factory.mktemp("headers")
    paths = [folder / f"x{number}" for number in range(len(HEADERS))]
    for path, (content, _) in zip(paths, HEADERS, strict=True):
        path.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, W, *paths],
        env=environment(OPENBLAS_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    ended = []
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        out, err = (path.with_suffix(suffix).read_text() for suffix in (".out", ".err"))
        ended.append((int(line.split()[0]), out, err, float(line.split()[1])))
    return ended


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("number", range(len(HEADERS)), ids=[says for _, says in HEADERS])
def test_a_header_takes_no_memory(number: int, limited: list[tuple[int, str, str, float]]) -> None:
    code, out, err, seconds = limited[number]
    assert (code, out) == (2, ""), err
    assert HEADERS[number][1] in err
    assert "Traceback" not in err
    assert seconds < SECONDS


TRICKS = ["../../x", "/etc/passwd", "..\\x", "C:x", "a/../../b", "x\0y", "-o", "%s%n", "λ\u202e"]


def test_names_of_members_lead_nowhere(tmp_path: Path) -> None:
    image = array_bytes(np.load(QUESTION[0]))
    (tmp_path / "x.npz").write_bytes(zipped(*[(f"{name}.npy", image) for name in TRICKS]))
    before = listing(tmp_path.parent)
    for name in ("../../x", "/etc/passwd", "-o", "%s%n"):
        ended = run("compare", f"x.npz::{name}", W, "-q", cwd=tmp_path)
        assert (ended.code, ended.err) == (0, ""), ended.err
    ended = run("inspect", "x.npz", cwd=tmp_path)
    assert ended.code in {0, 2}
    assert "Traceback" not in ended.err
    assert "\u202e" not in ended.out
    assert listing(tmp_path.parent) == before


@pytest.mark.parametrize("command", ["compare {} " + W, "inspect {}", "audit {} " + W])
def test_files_that_are_none(command: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "to-fifo").symlink_to("fifo")
    (tmp_path / "to-nothing").symlink_to("nothing")
    for name in ("fifo", "loop", "to-fifo", "to-nothing", "/dev/zero", "/dev/null", "/proc", ""):
        started = time.monotonic()
        ended = run(*[part.format(name) for part in command.split()], cwd=tmp_path)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("convcheck: error: ")
        assert "Traceback" not in ended.err
        assert time.monotonic() - started < 10 * SECONDS


def test_a_stream_without_an_end() -> None:
    ended = shell(f"$convcheck compare - {W} < /dev/zero")
    assert (ended.code, ended.out) == (2, "")
    assert "convcheck: error: IMG: - (standard input)" in ended.err


@pytest.mark.parametrize(
    ("kilobytes", "command"),
    [
        (1, ("random", "--shape", "3x9x9", "--seed", "1", "--save", "case")),
        (1, ("compare", *QUESTION, "-o", "report.html")),
        (0, ("audit", *SYMMETRIC, "--fix", "case")),
    ],
)
def test_a_full_disk_is_said_and_leaves_nothing_half(
    kilobytes: int, command: tuple[str, ...], tmp_path: Path
) -> None:
    ended = shell(f"ulimit -f {kilobytes}; $convcheck {shlex.join(command)}", cwd=tmp_path)
    assert ended.code == 2, ended
    assert "cannot write" in ended.err
    assert "File too large" in ended.err
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    place = Path("/proc/sys/kernel")  # where not even root makes a file
    for command in (["-o", str(place / "x.json")], ["-o", str(tmp_path / "no" / "x.json")]):
        ended = run("compare", *QUESTION, *command)
        assert ended.code == 2
        assert "cannot write" in ended.err
    ended = run("random", "--shape", "3x5x5", "--save", str(place / "case"))
    assert ended.code == 2
    assert "could not be made" in ended.err


def test_umask_077_is_kept(tmp_path: Path) -> None:
    script = "umask 077; $convcheck random --shape 3x5x5 --save case"
    ended = shell(script, cwd=tmp_path)
    assert ended.code == 0
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "case").iterdir()}
    assert modes == {0o600}
    shell(f"umask 077; $convcheck compare {shlex.join(QUESTION)} -o x.json", cwd=tmp_path)
    assert stat.S_IMODE((tmp_path / "x.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "changes",
    [
        {"TERM": "dumb"},
        {"TERM": ""},
        {"COLUMNS": "10"},
        {"COLUMNS": "0", "LINES": "-1"},
        {"COLUMNS": "x"},
        {"HOME": "/nowhere"},
        {"HOME": ""},
        {"TMPDIR": "/nowhere"},
    ],
    ids=str,
)
def test_surroundings_change_nothing(changes: dict[str, str]) -> None:
    assert run("compare", *QUESTION, **changes) == (0, PLAIN_REPORT, "")


def test_an_environment_that_is_empty() -> None:
    script = (
        f"env -i PYTHONPATH={environment()['PYTHONPATH']} $convcheck compare {' '.join(QUESTION)}"
    )
    ended = shell(script)
    assert (ended.code, ended.err) == (0, "")
    assert "flipped" in ended.out


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_locales_of_ascii(locale: str) -> None:
    ended = run("compare", *QUESTION, LC_ALL=locale)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.isascii()
    ended = run("compare", "n\u00f6", W, LC_ALL=locale)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_nothing_is_unpickled_or_evaluated(tmp_path: Path) -> None:
    """What is given is read; whatever in it could run would leave a mark."""
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(mark),))

    np.save(tmp_path / "pickled.npy", np.array([Evil()], object), allow_pickle=True)
    np.savez(tmp_path / "pickled.npz", x=np.array([Evil()], object))
    code = f"__import__('os').mkdir({str(mark)!r})"
    (tmp_path / "header.npy").write_bytes(
        headed("(1,)").replace(b"'shape': (1,)", f"'shape': {code}".encode())[: 10 + 128]
    )
    commands = [
        ["compare", "pickled.npy", W],
        ["compare", "pickled.npz", W],
        ["inspect", "pickled.npz"],
        ["compare", "header.npy", W],
        ["compare", *QUESTION, "--at", code],
        ["compare", *QUESTION, "--memory", code],
        ["audit", *QUESTION, "--as", code],
        ["audit", *QUESTION, "--as", f'{{"stride": {code}}}'],
        ["identify", *QUESTION, W, "--expect", code],
        ["random", "--shape", code],
        ["random", "--shape", "3x5x5", "--dtype", code],
        ["verify", "numpy:add", "--call", f"f(x, w, {code})"],
        ["verify", "numpy:add", "--replay", code],
        ["verify", code],
    ]
    from convcheck import cli

    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        codes = [cli.run(command) for command in commands]
    finally:
        os.chdir(before)
    assert set(codes) == {2}
    assert not mark.exists()


def test_the_source_neither_unpickles_nor_evaluates() -> None:
    import ast

    package = Path(__file__).resolve().parent.parent / "convcheck"
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                risky = {"eval", "exec", "compile", "__import__", "pickle"}
                if name.split(".")[0] in risky and not _is_empty(node):
                    found.add((path.name, name))
                if any(
                    k.arg in {"shell", "allow_pickle"} and _is_true(k.value) for k in node.keywords
                ):
                    found.add((path.name, name))
    assert found == ALLOWED


ALLOWED: set[tuple[str, str]] = set()


def _is_empty(call: Any) -> bool:
    """Of the empty string there is nothing to execute: see convcheck.cli on why there is a call."""
    return [getattr(a, "value", None) for a in call.args] == [""]


def _is_true(node: Any) -> bool:
    return getattr(node, "value", None) is not False


def test_verify_says_what_it_is_about_to_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import sys; print('imported', file=sys.stderr)\nf = None\n")
    ended = run("verify", "mine:f", "-v", cwd=tmp_path)
    assert ended.code == 2
    assert ended.err.startswith("convcheck: about to run mine:f")
    assert "imported" not in run("verify", "mine:f", "--cases", "x", cwd=tmp_path).err
