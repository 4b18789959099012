"""The worker: it outlives whatever a target does, and says what that was."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from few import one_in

from convcheck.campaign import Case
from convcheck.errors import InputError
from convcheck.serving import Inline
from convcheck.target import CallableTarget, CommandTarget
from convcheck.worker import Outcome, Request, Worker

MODULE = """
import ctypes, os, sys, time
import numpy as np

def right(x, w):
    v = np.lib.stride_tricks.sliding_window_view(x, w.shape)
    return np.einsum("hwab,ab->hw", v, w)
def segfault(x, w): ctypes.string_at(0)
def leaves(x, w): os._exit(7)
def exits(x, w): sys.exit(0)
def interrupts(x, w): raise KeyboardInterrupt
def mute(x, w):
    class Silent(Exception):
        def __str__(self): raise RuntimeError("no words")
    raise Silent
def twice(x, w):
    os.fork()
    return right(x, w)
def kills(x, w): os.kill(os.getpid(), 9)
def spins(x, w):
    while True: pass
def sleeps(x, w):
    ctypes.CDLL(None).sleep(60)
def prints(x, w):
    print("{" * 5000)
    os.write(1, b"raw\\n")
    print("error", file=sys.stderr)
    return right(x, w)
def reads(x, w): return right(x, w) + len(sys.stdin.read())
def mutates(x, w):
    x[...] = 0
    return right(x, w)
def objects(x, w): return np.array([object()])
def text(x, w): return "a"
def none(x, w): return None
def ragged(x, w): return [[1], [1, 2]]
def dates(x, w): return np.zeros(3, "datetime64[s]")
def record(x, w): return np.zeros(3, "i4,f8")
def empty(x, w): return np.zeros((0, 3))
def scalar(x, w): return 3
def half(x, w): return right(x, w).astype(np.float16)
def big(x, w): return right(x, w).astype(">f8")
def large(x, w): return np.zeros((1500, 1500))
def refuses(x, w): raise NotImplementedError("not yet")
def onnx(x, w): raise RuntimeError("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : no such Conv(11)")
def misses(x, w, more): return 0
def broken(x, w): return None + 1
def raises(x, w): raise ValueError("bad\\nsecond line")
def silent(x, w): raise KeyError
class Sad(BaseException): pass
def base(x, w): raise Sad("no Exception")
count = 0
def drifts(x, w):
    global count
    count += 1
    return right(x, w) + count
"""
CASE = Case(seed=0, number=0, height=4, width=5)
REQUEST = Request(CASE, "HW", "HW", ())


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "targets_of_worker.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    return "targets_of_worker"


def worker(name: str, timeout: float = 20.0) -> Worker:
    return Worker(CallableTarget(f"targets_of_worker:{name}"), timeout)


@pytest.mark.usefixtures("module")
class TestWorker:
    def test_a_right_answer_comes_back_whole(self) -> None:
        runner = worker("right")
        try:
            first, second = runner.run(REQUEST), runner.run(REQUEST)
        finally:
            runner.close()
        image, filters = CASE.arrays("HW", "HW")
        v = np.lib.stride_tricks.sliding_window_view(image, filters.shape)
        assert np.array_equal(first.output, np.einsum("hwab,ab->hw", v, filters))
        assert np.array_equal(first.output, second.output)
        assert (first.kind, first.changed_input, first.again) == ("ok", False, None)

    @pytest.mark.parametrize(
        ("name", "says"),
        [("exits", "SystemExit: 0"), ("interrupts", "KeyboardInterrupt"), ("mute", "Silent")],
    )
    def test_whatever_is_raised_does_not_end_the_process(
        self, name: str, says: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        runner = worker(name)
        try:
            outcome = runner.run(REQUEST)
        finally:
            runner.close()
        assert (outcome.kind, outcome.detail, outcome.died) == ("crash", says, False)
        assert "Traceback" not in capfd.readouterr().err

    def test_it_may_begin_before_its_first_call(self) -> None:
        runner = worker("right")
        try:
            runner.begin()
            assert runner.run(REQUEST).kind == "ok"
            assert runner.parameters() == ()
        finally:
            runner.close()

    def test_one_that_only_began_is_ended(self) -> None:
        runner = worker("right")
        runner.begin()
        begun = time.monotonic()
        runner.close()
        runner.close()
        assert time.monotonic() - begun < 5

    def test_of_two_that_come_back_from_a_fork_one_answers(self) -> None:
        runner = worker("twice")
        try:
            for _ in range(3):
                outcome = runner.run(REQUEST)
                assert outcome.kind == "ok"
                assert outcome.output is not None
        finally:
            runner.close()

    @pytest.mark.parametrize(
        ("name", "says"),
        [("segfault", "SIGSEGV"), ("leaves", "exit code 7"), ("kills", "SIGKILL")],
    )
    def test_a_death_is_a_crash_and_the_next_call_works(self, name: str, says: str) -> None:
        runner = worker(name)
        try:
            outcome = runner.run(REQUEST)
            assert outcome.kind == "crash"
            assert says in outcome.detail
            assert outcome.died
            assert runner.run(REQUEST).kind == "crash"
        finally:
            runner.close()

    @pytest.mark.parametrize("name", ["spins", "sleeps"])
    def test_a_hang_is_ended(self, name: str) -> None:
        runner = worker(name, 0.5)
        try:
            assert runner.parameters() == ()
            begun = time.monotonic()
            outcome = runner.run(REQUEST)
            assert time.monotonic() - begun < 5
        finally:
            runner.close()
        assert outcome.kind == "hang"
        assert "0.5 s" in outcome.detail

    @pytest.mark.parametrize("part", one_in(2, range(2)))
    def test_all_else_that_can_come_back(self, part: int) -> None:
        expected = {
            "prints": ("ok", ""),
            "reads": ("ok", ""),
            "mutates": ("ok", ""),
            "objects": ("crash", "object"),
            "text": ("crash", "instead of numbers"),
            "none": ("crash", "object"),
            "ragged": ("crash", "ValueError"),
            "dates": ("crash", "datetime64"),
            "record": ("crash", "instead of numbers"),
            "empty": ("ok", ""),
            "scalar": ("ok", ""),
            "half": ("ok", ""),
            "big": ("ok", ""),
            "large": ("ok", ""),
            "refuses": ("rejected", "not yet"),
            "onnx": ("rejected", "NOT_IMPLEMENTED"),
            "misses": ("rejected", "missing 1 required"),
            "broken": ("crash", "TypeError: unsupported operand"),
            "raises": ("crash", "ValueError: bad"),
            "silent": ("crash", "KeyError"),
            "base": ("crash", "Sad: no Exception"),
            "drifts": ("ok", ""),
        }
        for name, (kind, says) in [*expected.items()][part::2]:
            runner = worker(name)
            try:
                outcome = runner.run(REQUEST)
            finally:
                runner.close()
            assert outcome.kind == kind, (name, outcome)
            assert says in outcome.detail, (name, outcome)
            assert "second line" not in outcome.detail
            assert outcome.changed_input == (name == "mutates")
            assert (outcome.again is not None) == (name == "drifts")
            assert (outcome.output is not None) == (kind == "ok")

    def test_a_module_that_ends_the_process_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "ends.py").write_text("import os\nos._exit(9)\n")
        runner = Worker(CallableTarget("ends:f"), 5.0)
        with pytest.raises(InputError, match="exit code 9"):
            runner.run(REQUEST)

    def test_a_target_that_is_not_there_is_said(self) -> None:
        with pytest.raises(InputError, match="did you mean 'spins'"):
            worker("spin").parameters()

    def test_no_module_is_suggested_as_a_target(self) -> None:
        with pytest.raises(InputError) as caught:
            worker("tim").parameters()
        assert caught.value.hint is None
        with pytest.raises(InputError, match=r"has no 'tme\.time'") as caught:
            worker("tme.time").parameters()
        assert caught.value.hint == "did you mean 'time'?"

    def test_a_command_that_hangs_is_ended_with_its_children(self) -> None:
        code = "import time; time.sleep(60)"
        line = f"{sys.executable} -c '{code}' {{image}} {{filters}} {{output}}"
        runner = Worker(CommandTarget(line, 0.5), 0.5)
        begun = time.monotonic()
        try:
            assert runner.run(REQUEST).kind == "hang"
        finally:
            runner.close()
        assert time.monotonic() - begun < 10


NAN, ZERO = np.float32("nan"), np.float32(0)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (np.full(3, NAN), np.full(3, -NAN), True),
        (np.full(3, ZERO), np.full(3, -ZERO), False),
        (np.full(3, ZERO), np.full(3, NAN), False),
        (np.full(3, 1j * NAN), np.full(3, -1j * NAN), True),
        (np.full(3, 1 + 0j), np.full(3, complex(1, -0.0)), False),
        (np.ones(3, "i4"), np.ones(3, "i8"), False),
        (np.ones(3), np.ones((3, 1)), False),
        (np.ones(3, "i4"), np.full(3, 2, "i4"), False),
    ],
)
def test_two_outputs_are_compared_by_their_values(
    first: np.ndarray, second: np.ndarray, same: bool
) -> None:
    given = iter([first, second])
    outcome = Inline(lambda image, filters, parameters: next(given), ()).run(REQUEST)
    assert (outcome.again is None) == same


def test_bytes_that_belong_to_no_number_are_not_compared() -> None:
    fill = iter([0, 255])

    def doubles(image, filters, parameters):
        longs = np.empty(3, np.longdouble)
        longs.view(np.uint8)[:] = next(fill)
        longs[:] = [1, 2, np.nan]
        return longs

    # A copy of an array has the bytes between its numbers too.
    assert Inline(doubles, ()).run(REQUEST).again is None


def test_inline_says_the_same() -> None:
    def mutates(image, filters, parameters):
        image += 1
        return image

    outcome = Inline(mutates, ()).run(REQUEST)
    assert outcome.changed_input
    assert outcome.again is None, "the second call had fresh arrays"


def test_writing_to_a_read_only_array_is_a_finding_of_its_own() -> None:
    def mutates(image, filters, parameters):
        image[0] = 1
        return image

    case = Case(seed=0, number=0, order="readonly")
    outcome = Inline(mutates, ()).run(Request(case, "HW", "HW", ()))
    assert outcome.kind == "changes its input"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one\ntwo", "one"),
        ("in user code:\n\n    File x, line 3\n    TypeError: the cause\n", "TypeError: the cause"),
        (
            "When calling it.\n\n\x1b[1mThe cause\x1b[0m\nmore\n\nArguments:",
            "When calling it. The cause",
        ),
    ],
)
def test_a_message_is_told_in_one_line(text: str, said: str) -> None:
    def raises(image, filters, parameters):
        raise RuntimeError(text)

    assert Inline(raises, ()).run(REQUEST).detail == f"RuntimeError: {said}"


@pytest.mark.parametrize(
    "text",
    [
        "Value for attr 'T' of int8 is not in the list of allowed values: half, float",
        "Value passed has DataType uint8 not in list of allowed values: float16",
        "Current CPU implementations do not yet support dilation rates larger than 1",
        "Incompatible type conversion requested to type int32 for a variable of type float32",
        "Unimplemented: no grouped convolutions",
    ],
)
def test_what_a_library_does_not_take_is_no_crash(text: str) -> None:
    def raises(image, filters, parameters):
        raise ValueError(text)

    assert Inline(raises, ()).run(REQUEST).kind == "rejected"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"y": 1}, "gave object (dict) instead of numbers"),
        (None, "gave object (NoneType) instead of numbers"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "elements are missing"),
    ],
)
def test_what_is_no_array_of_numbers_is_named(value: object, says: str) -> None:
    outcome = Inline(lambda image, filters, parameters: value, ()).run(REQUEST)
    assert outcome.kind == "crash"
    assert says in outcome.detail


def test_an_output_beyond_every_case_is_not_sent() -> None:
    huge = np.zeros((4100, 4100), np.uint8)
    outcome = Inline(lambda image, filters, parameters: huge, ()).run(REQUEST)
    assert outcome == Outcome("wrong shape", "gave 4100x4100: far too much")


@pytest.mark.parametrize(("most", "died"), [(30, False), (5000, True)])
def test_a_target_that_closes_what_it_has_not_opened_leaves_no_traceback(
    most: int,
    died: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "closes.py").write_text(
        f"import os\ndef f(x, w):\n    os.closerange(3, {most})\n    return x\n"
    )
    monkeypatch.chdir(tmp_path)
    runner = Worker(CallableTarget("closes:f"), 10.0)
    try:
        assert runner.run(REQUEST).died == died
    finally:
        runner.close()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("pass", "crash", "RuntimeError: {output} does not exist"),
        ("import os; os.kill(os.getpid(), 9)", "crash", "RuntimeError: ended with SIGKILL"),
        ("import sys; sys.exit('one\\ntwo')", "crash", "RuntimeError: ended with 1: two"),
        ("import sys; sys.exit('only float64 is supported')", "rejected", "only float64"),
        ("raise NotImplementedError(3)", "rejected", "ended with 1: NotImplementedError: 3"),
        ("import sys; sys.exit(1)", "crash", "RuntimeError: ended with 1"),
        ("None < 3", "crash", "not supported between instances"),
        ("int(None)", "crash", "int() argument must be"),
        (
            "import os, sys; print('not supported', file=sys.stderr, flush=True); os.abort()",
            "crash",
            "ended with SIGABRT: not supported",
        ),
        ("import time; time.sleep(60)", "hang", "no answer within 2 s"),
    ],
)
def test_what_a_command_can_end_with(code: str, kind: str, says: str) -> None:
    template = f'{sys.executable} -c "{code}" {{image}} {{filters}} {{output}}'
    outcome = Inline(CommandTarget(template, 2.0).open(), ()).run(REQUEST)
    assert outcome.kind == kind
    assert says in outcome.detail


def test_a_command_whose_child_stays_has_answered() -> None:
    code = (
        "import shutil, subprocess, sys; shutil.copy(sys.argv[1], sys.argv[3]); "
        "subprocess.Popen(['sleep', '20'])"
    )
    template = f'{sys.executable} -c "{code}" {{image}} {{filters}} {{output}}'
    runner = Worker(CommandTarget(template, 8.0), 8.0)
    try:
        assert runner.run(REQUEST).kind == "ok"
    finally:
        runner.close()  # the child too


@pytest.mark.parametrize("code", ["raise KeyboardInterrupt", "import sys; sys.exit(3)"])
def test_a_module_that_gives_up_is_said_without_a_traceback(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gives_up.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    runner = Worker(CallableTarget("gives_up:f"), 10.0)
    with pytest.raises(InputError, match="fails when it is imported"):
        runner.parameters()
    assert "Traceback" not in capfd.readouterr().err


JUNK = """
import io, json, os
import numpy as np

def right(x, w):
    v = np.lib.stride_tricks.sliding_window_view(x, w.shape)
    return np.einsum("hwab,ab->hw", v, w)

def write(what):
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.write(int(name), what)
            except OSError:
                pass

def forged(x, w):
    file = io.BytesIO()
    np.save(file, right(x, w))
    told = {"kind": "ok", "arrays": ["output"], "files": [], "detail": "", "where": ""}
    body = json.dumps(told).encode() + b"\\n%d\\n" % file.tell() + file.getvalue()
    write(b"0" * 32 + b" %016d\\n" % len(body) + body + b"0" * 32)
    return right(x, w) + 1

def junk(x, w):
    write(WHAT)
    return right(x, w)
"""
KINDS_OF_JUNK = [
    b"junk\n",
    b"[]\n",
    b'{"kind": "ok"}\n',
    b'{"kind": "ok", "arrays": ["output"]}\n12\n123456789012',
    b"\xff" * 60000,
    b'{"arrays": 5}\n',
    b"",
]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", ["junk", "forged"])
@pytest.mark.parametrize("junk", one_in(3, KINDS_OF_JUNK))
def test_what_a_target_writes_into_the_pipe_is_no_answer(
    junk: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "writes.py").write_text(JUNK.replace("WHAT", repr(junk)))
    monkeypatch.chdir(tmp_path)
    runner = Worker(CallableTarget(f"writes:{name}"), 10.0)
    try:
        outcome = runner.run(REQUEST)
    finally:
        runner.close()
    if junk or name == "forged":
        assert (outcome.kind, outcome.output) == ("crash", None)
        assert (
            outcome.detail == "it wrote into the pipe through which its process answers convcheck"
        )
    else:
        assert outcome.kind == "ok"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_what_a_module_writes_into_the_pipe_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "speaks.py").write_text(f"{JUNK}\nwrite(b'{{}}\\n' * 99)\n")
    monkeypatch.chdir(tmp_path)
    runner = Worker(CallableTarget("speaks:right"), 10.0)
    with pytest.raises(InputError, match="it did not start") as caught:
        runner.parameters()
    assert "while it was imported" in str(caught.value)


@pytest.mark.parametrize(
    "harm",
    [
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 20, most(resource.RLIMIT_AS)))",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (0, most(resource.RLIMIT_NOFILE)))",
        "sys.stdout.close(); sys.stderr.close()",
        "sys.stdout = sys.stderr = None",
        "os.closerange(0, 40)",
    ],
)
def test_what_a_target_does_to_its_process_is_no_crash(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "harms.py").write_text(
        "import os, resource, sys\nimport numpy as np\n"
        "def most(kind): return resource.getrlimit(kind)[1]\n"
        f"def f(x, w):\n    y = np.zeros((1500, 1500))\n    {harm}\n    return y\n"
    )
    monkeypatch.chdir(tmp_path)
    runner = Worker(CallableTarget("harms:f"), 10.0)
    try:
        for _ in range(2):
            assert runner.run(REQUEST).kind == "ok"
    finally:
        runner.close()
