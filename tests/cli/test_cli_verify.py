"""``convcheck verify`` as its users meet it: exit codes, replays, saved cases, programs, Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from importlib import resources
from io import StringIO
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from few import slow

from convcheck.cli import run as command

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/verify.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
TESTS = Path(__file__).resolve().parents[1]
STUCK = """
import time
import numpy as np

def hangs(x, w):
    while w.shape[1] > 3:
        time.sleep(60)
    v = np.lib.stride_tricks.sliding_window_view(x, w.shape)
    return np.einsum("hwab,ab->hw", v.astype(float), w.astype(float))
"""
MODULE = """
from pathlib import Path
import time
import numpy as np
from zoo import conv
from zoo_wrong import ZOO

right = conv
groups = next(w.function for w in ZOO if w.name == "groups ignored")

calls = 0

def slow(x, w, stride=1):
    global calls
    calls += 1
    if calls == 60:
        Path("sixty").touch()
    time.sleep(0.01)
    return groups(x, w, 1 if stride == 1 else 2)

def even(x, w):
    return conv(x, w[:, :, ::-1, ::-1] if w.shape[2] % 2 == 0 else w)

def upper(x, w):
    pads = [((n - 1) // 2, n // 2) for n in w.shape[2:]]
    return conv(np.pad(x, ((0, 0), (0, 0), *pads)), w)

def ends(x, w):
    if w.shape[2] == 2:
        raise ValueError("A sentence.")
    return conv(x, w)

def sleepy(x, w):
    time.sleep(3)

def shadow(x, w, padding=0):
    raise NotImplementedError("never")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("zoo.py", "zoo_wrong.py"):
        (tmp_path / name).write_text((TESTS / name).read_text())
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "stuck.py").write_text(STUCK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: str) -> Ended:
    """The command in this process: the target has one of its own."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = command(["verify", *arguments])
    return Ended(code, out.getvalue(), err.getvalue())


def report(*arguments: str) -> tuple[int, dict]:
    ended = run(*arguments, "--json")
    document = json.loads(ended.stdout)
    VALIDATOR.validate(document)
    assert document["exit_code"] == ended.returncode
    return ended.returncode, document


@pytest.mark.usefixtures("here")
class TestVerify:
    def test_a_right_one_is_named_and_passes(self) -> None:
        ended = run("mine:right", "--cases", "30")
        lines = ended.stdout.splitlines()
        assert ended.returncode == 0
        assert lines[0] == (
            "mine:right is the cross-correlation, NCHW, OIHW, zero padding, float64."
        )
        assert lines[1] == "pass: all 30 cases that ran pass."
        assert "Seed 0, 30 cases asked for." in lines
        assert not ended.stderr
        again = run("mine:right", "--cases", "30")
        assert again.stdout == ended.stdout, "nothing of the clock is in it"

    def test_a_failure_is_replayed_by_its_line(self, here: Path) -> None:
        code, document = report("mine:even", "--cases", "40", "--timeout", "33")
        assert (code, document["verdict"]) == (1, "fail")
        assert "the kernel's height is even" in document["when"]
        assert document["does"] == "it reverses the kernel's rows and columns"
        smallest = document["smallest"]
        saved = here / document["saved"]
        number = smallest["case"]["number"]
        assert re.fullmatch(rf"convcheck-case-0-{number}-[0-9a-f]{{8}}", saved.name)
        arrays = {p.stem: np.load(p) for p in saved.iterdir()}
        assert set(arrays) == {"image", "filters", "actual", "expected"}
        assert list(arrays["image"].shape) == smallest["image_shape"]
        assert not np.array_equal(arrays["actual"], arrays["expected"])
        words = shlex.split(smallest["replay"])
        assert words[:5] == ["convcheck", "verify", "mine:even", "--timeout", "33"]
        assert words[-2:] == ["--replay", smallest["id"]]
        code, again = report(*words[2:], "--save", "again")
        assert (code, again["failed"], again["ran"], again["saved"]) == (1, 1, 1, "again")
        (one,) = again["findings"]
        assert one["case"] == smallest["case"]
        assert one["detail"] == smallest["detail"]
        for file in saved.iterdir():
            assert np.array_equal(np.load(file), np.load(here / "again" / file.name))

    @pytest.mark.slow
    def test_every_case_of_every_target_has_a_folder_of_its_own(self, here: Path) -> None:
        targets = ["mine:even", "mine:groups"] * 2
        places = [report(name, "--cases", "20")[1]["saved"] for name in targets]
        assert places[:2] == places[2:], "always the same one"
        ids = ["0:9:kernel_height=2,batch=4", "0:9:kernel_height=2,batch=5"]
        places += [report("mine:even", "--replay", one)[1]["saved"] for one in ids]
        assert len(set(places)) == 4
        assert {p.name for p in here.glob("convcheck-case-*")} == set(places)

    def test_the_table_has_the_replay_lines_whole(self) -> None:
        ended = run("mine:even", "--cases", "40", "--call", "f(x, w)", "--layout", "NCHW")
        lines = [line for line in ended.stdout.splitlines() if "--replay" in line]
        assert 2 <= len(lines) <= 11
        for line in lines:
            assert line.startswith("  convcheck verify mine:even --call 'f(x, w)' --layout NCHW ")
        assert "(all " in ended.stdout or " such cases fail)" in ended.stdout

    @pytest.mark.slow
    def test_expect_is_a_claim(self) -> None:
        assert run("mine:right", "--cases", "10", "--expect", "correlation").returncode == 0
        code, document = report("mine:right", "--cases", "10", "--expect", "per-channel")
        assert code == 1
        assert document["in_words"].startswith("mine:right is the cross-correlation")
        assert document["does"] == "it reverses no axis of the filters"
        assert document["expect"]["flip"] == ["H", "W"]

    @pytest.mark.slow
    def test_expect_claims_a_padding_rule(self) -> None:
        ended = run("mine:upper", "--cases", "20", "--expect", "correlation,same-upper")
        assert ended.returncode == 0, ended.stdout
        code, document = report("mine:upper", "--cases", "20", "--expect", "same-lower")
        assert (code, document["expect"]) == (1, {"padding": "SAME_LOWER"})
        assert document["does"] == "it pads as SAME_UPPER"
        assert "--expect same-lower" in document["smallest"]["replay"]
        claimed = '{"padding": "VALID", "flip": []}'
        ended = run("mine:upper", "--cases", "20", "--expect", claimed)
        assert ended.returncode == 1
        assert '{"padding":"VALID","flip":[]}' in ended.stdout
        assert "It has the padding SAME_UPPER instead of VALID." in ended.stdout
        assert run("mine:right", "--cases", "20", "--expect", claimed).returncode == 0

    @pytest.mark.slow
    def test_fail_fast_shards_and_seed(self) -> None:
        code, first = report("mine:even", "--cases", "20", "--fail-fast", "--seed", "5")
        assert (code, first["failed"], first["seed"]) == (1, 1, 5)
        whole = report("mine:even", "--cases", "12")[1]
        parts = [report("mine:even", "--cases", "12", "--shard", f"{i}/3")[1] for i in (1, 2, 3)]
        for key in ("ran", "passed", "failed"):
            assert sum(p[key] for p in parts) == whole[key]
        assert parts[1]["shard"] == {"part": 2, "of": 3}
        ids = {f["id"] for p in parts for f in p["findings"]}
        assert ids == {f["id"] for f in whole["findings"]}

    @pytest.mark.slow
    def test_a_hang_is_a_finding(self) -> None:
        code, document = report("stuck:hangs", "--layout", "HW", "--timeout", "0.5")
        assert code == 1
        assert {f["kind"] for f in document["findings"]} == {"hang"}
        assert document["failed"] == 3
        assert "ended early: 3 cases hung" in document["notes"]

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ([], "Name one target"),
            (["mine:right", "--command", "p {image} {filters} {output}"], "Name one target"),
            (["mine:nothing"], "has no 'nothing'"),
            (["nowhere:f"], "cannot be imported"),
            (["mine"], "is no target"),
            (["mine:shadow"], "could not be called"),
            (["mine:right", "--replay", "x"], "is no case"),
            (["mine:right", "--replay", "0:1:groups=0"], "is no case"),
            (["mine:right", "--shard", "3/2"], "is no shard"),
            (["mine:right", "--pass", "strides"], "is none of"),
            (["mine:right", "--call", "f(x, w, exit())"], "cannot be read"),
            (["mine:right", "--expect", "corelation"], "did you mean"),
            (["mine:right", "--expect", "same-uper"], "did you mean 'same-upper'"),
            (["mine:right", "--expect", "valid,full"], "claims two things at once"),
            (["mine:right", "--expect", '{"padding": "SAME"}'], "SAME_UPPER, SAME_LOWER"),
            (["mine:sleepy", "--timeout", "0.2"], "a longer --timeout"),
            (["mine:right", "--cases", "0"], "Invalid value"),
            (["mine:right", "--layout", "CNHW"], "Invalid value"),
            (["mine:right", "--timeout", "nan"], "Invalid value"),
            (["--command", "p {image}"], "does not name its files"),
            (["--command", "no-such-program {image} {filters} {output}"], "could not be called"),
            (["--command", "p", "--call", "f(x, w)"], "are for a TARGET"),
        ],
    )
    def test_what_cannot_be_judged_is_exit_2(self, arguments: list[str], says: str) -> None:
        ended = run(*arguments)
        assert ended.returncode == 2, ended.stderr
        assert says in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not ended.stdout

    @pytest.mark.parametrize("more", [slow([]), ["--json"]])
    def test_ctrl_c_prints_what_was_found(self, here: Path, more: list[str]) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "convcheck", "verify", "mine:slow", "--cases", "5000", *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(600):
            if (here / "sixty").exists():
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        if more:
            document = json.loads(out)
            VALIDATOR.validate(document)
            assert document["interrupted"]
            assert document["exit_code"] == 130
            assert 0 < document["ran"] < 5000
        else:
            assert "interrupted, partial: " in out
            assert "mine:slow is the cross-correlation" in out

    @pytest.mark.parametrize(
        ("columns", "shard"),
        [(80, []), slow(40, ["--shard", "1/2"])],
    )
    def test_a_terminal_sees_a_bar_with_the_count_of_failures(
        self, columns: int, shard: list[str]
    ) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "convcheck", "verify", "mine:slow", "--cases", "120", *shard],
            stdout=subprocess.PIPE,
            stderr=slave,
            env={**os.environ, "PYTHONUTF8": "1", "TERM": "xterm"},
        )
        os.close(slave)
        seen = b""
        with suppress(OSError):  # how Linux says that nobody holds the other end any more
            while chunk := os.read(master, 65536):
                seen += chunk
        os.close(master)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 1
        failed = int(re.findall(r"fail: (\d+) of the", out.decode())[0])
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
        total = 60 if shard else 120
        said = [(int(n), int(f)) for n, f in re.findall(rf"(\d+)/{total} (\d+) failed", plain)]
        assert said[-1] == (total, failed)
        assert said == sorted(said), "both counts go up"
        assert len(set(said)) > 3
        assert seen.rstrip().endswith((b"\x1b[2K", b"\x1b[?25h")), "and is gone in the end"
        assert "\x1b" not in out.decode()

    def test_start_up_imports_no_more_than_it_needs(self) -> None:
        script = (
            "import sys\n"
            "from convcheck.cli import main\n"
            "try: main(['verify', 'mine:right', '--cases', '1'])\n"
            "except SystemExit: pass\n"
            "slow = {'scipy', 'rich.progress', 'asyncio', 'convcheck.checks.identify',"
            " 'convcheck.render.audit_table'} & set(sys.modules)\n"
            "sys.exit(f'imported: {slow}' if slow else 0)\n"
        )
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        script = (
            "import sys, convcheck.cli.verify, convcheck.worker\n"
            "slow = {'numpy', 'rich'} & set(sys.modules)\n"
            "import convcheck.serving\n"
            "slow |= {'scipy', 'rich', 'convcheck.checks'} & set(sys.modules)\n"
            "sys.exit(f'imported: {slow}' if slow else 0)\n"
        )
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr

    def test_a_sentence_of_the_targets_own_has_one_full_stop(self) -> None:
        ended = run("mine:ends", "--cases", "5")
        assert ended.returncode == 1
        assert "There: crash: ValueError: A sentence.\n" in ended.stdout

    def test_quiet_and_verbose(self, here: Path) -> None:
        ended = run("mine:right", "--cases", "5", "-q", "-o", "report.txt")
        assert (ended.stdout, ended.stderr) == ("", "")
        assert (here / "report.txt").read_text() == "pass: all 5 cases that ran pass.\n"
        ended = run("mine:right", "--cases", "5", "-v")
        assert "about to run mine:right" in ended.stderr
        assert "time: " in ended.stderr


C_PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A 2-D cross-correlation of float32 .npy files; BUG leaves the last column out. */
static float *load(const char *path, int *h, int *w) {
  FILE *f = fopen(path, "rb");
  unsigned char head[10];
  if (!f || fread(head, 1, 10, f) != 10) exit(3);
  int size = head[8] | head[9] << 8;
  char *text = malloc(size + 1);
  if (fread(text, 1, size, f) != (size_t)size) exit(4);
  text[size] = 0;
  if (!strstr(text, "<f4") || !strstr(text, "False")) {
    fprintf(stderr, "this dtype is not supported\n");
    exit(5);
  }
  char *shape = strchr(text, '(');
  if (sscanf(shape, "(%d, %d)", h, w) != 2) exit(6);
  float *data = malloc(sizeof(float) * *h * *w);
  if (fread(data, sizeof(float), *h * *w, f) != (size_t)(*h * *w)) exit(7);
  fclose(f);
  return data;
}

int main(int argc, char **argv) {
  int h, w, fh, fw, stride = atoi(argv[4]);
  float *x = load(argv[1], &h, &w), *k = load(argv[2], &fh, &fw);
  int oh = (h - fh) / stride + 1, ow = (w - fw) / stride + 1;
  FILE *f = fopen(argv[3], "wb");
  char text[118];
  memset(text, ' ', sizeof text);
  int n = sprintf(text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", oh, ow);
  text[n] = ' ';
  text[117] = '\n';
  fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, f);
  fwrite(text, 1, sizeof text, f);
  for (int i = 0; i < oh; i++)
    for (int j = 0; j < ow; j++) {
      float sum = 0;
      for (int a = 0; a < fh; a++)
        for (int b = 0; b < fw; b++) {
#ifdef BUG
          if (stride > 1 && b == fw - 1 && fw > 1) continue;
#endif
          sum += x[(i * stride + a) * w + j * stride + b] * k[a * fw + b];
        }
      fwrite(&sum, sizeof sum, 1, f);
    }
  fclose(f);
  return argc > 5;
}
"""
CC = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@pytest.mark.slow
@pytest.mark.skipif(CC is None, reason="no C compiler")
def test_a_c_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conv.c").write_text(C_PROGRAM)
    for name, more in (("right", []), ("wrong", ["-DBUG"])):
        subprocess.run([str(CC), "-O1", *more, "-o", name, "conv.c"], check=True, timeout=60)
    line = "./{} {{image}} {{filters}} {{output}} {{stride}}"
    code, document = report("--command", line.format("right"), "--cases", "25", "--layout", "HW")
    assert (code, document["verdict"]) == (0, "pass"), document["findings"]
    assert document["parameters"]["passed"] == ["stride"]
    assert document["parameters"]["dtypes"] == ["float32"]
    code, document = report("--command", line.format("wrong"), "--cases", "40", "--layout", "HW")
    assert (code, document["verdict"]) == (1, "fail")
    assert "stride > 1" in document["when"]
    words = shlex.split(document["smallest"]["replay"])
    assert words[2:4] == ["--command", line.format("wrong")]
    assert run(*words[2:]).returncode == 1
