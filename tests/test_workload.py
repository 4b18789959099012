"""Lists of problems: what benchdnn's lines mean, what is refused, what becomes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.campaign import case, parse_id
from convcheck.cli import run as command
from convcheck.errors import InputError, MissingExtraError
from convcheck.workload import Axis, Problem, load, parsed

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/verify.json").read_text())


def axis(size: int, taps: int, stride: int = 1, dilation: int = 1, *padding: int) -> Axis:
    return Axis(size, taps, stride, dilation, (padding or (0, 0))[:2])  # type: ignore[arg-type]


LINES: list[tuple[str, Problem]] = [
    (
        "mb1ic64ih56oc64oh56kh3ph1nresnet_50:conv1",
        Problem("resnet_50:conv1", 1, 1, 64, 64, 1, (axis(56, 3, 1, 1, 1, 1),) * 2),
    ),
    # What is left out: two images, stride 1; the padding from the output, or none.
    ("ic3ih9oc4oh9kh3", Problem("", 1, 2, 3, 4, 1, (axis(9, 3, 1, 1, 1, 1),) * 2)),
    ("ic3ih9oc4kh3", Problem("", 1, 2, 3, 4, 1, (axis(9, 3),) * 2)),
    (
        'g2_mb3_ic8ih9iw11_oc4kh3kw2_sh2sw1ph1_n"a"',
        Problem("a", 1, 3, 8, 4, 2, (axis(9, 3, 2, 1, 1, 1), axis(11, 2))),
    ),
    # Dilation counts from 0.
    ("ic1iw20oc1kw3dw2", Problem("", 1, 2, 1, 1, 1, (axis(20, 3, 1, 3),))),
    ("ic1id5oc1kd3pd1sd2", Problem("", 1, 2, 1, 1, 1, (axis(5, 3, 2, 1, 1, 1),) * 3)),
    (
        "ic1id5ih6iw7oc1kd1kh2kw3nv",
        Problem("v", 1, 2, 1, 1, 1, (axis(5, 1), axis(6, 2), axis(7, 3))),
    ),
    # The padding after the image follows from the output: of 20 by 2 it is one more.
    ("ic3ih20oc4oh10kh3sh2nx", Problem("x", 1, 2, 3, 4, 1, (axis(20, 3, 2, 1, 0, 1),) * 2)),
    ("ic3ih224oc4oh112kh7sh2ph3", Problem("", 1, 2, 3, 4, 1, (axis(224, 7, 2, 1, 3, 2),) * 2)),
    # A name may hold what keys are made of.
    ("ic1ih3oc1kh1nnin:ic3", Problem("nin:ic3", 1, 2, 1, 1, 1, (axis(3, 1),) * 2)),
]


@pytest.mark.parametrize(("line", "problem"), LINES, ids=lambda value: str(value)[:40])
def test_what_a_line_means(line: str, problem: Problem) -> None:
    assert list(parsed(line, "net.txt")) == [problem]


def test_comments_and_options_are_passed_over() -> None:
    text = (
        "# ResNet\n\n--mb=1 --dir=FWD_B\n--cfg=f32 ic1ih3oc1kh1na ic1ih4oc1kh1nb # c\n"
        "  #ic9\nic1ih5oc1kh1nc\r\n"
    )
    assert [(p.name, p.line) for p in parsed(text, "x")] == [("a", 4), ("b", 4), ("c", 6)]


BAD = [
    ("hello", "no key that is known", "'hello' in hello"),
    ("mb1ic64xh3", "no key that is known", "'xh3' in mb1ic64xh3"),
    ("mb1icoc4", "ic has no number", "'oc4' after 'ic' in mb1icoc4"),
    ("ic1ih3oc1kh-1", "kh has no number", "'-1' after 'kh'"),
    ("ih3oc1kh1", "ic is missing or 0", "ih3oc1kh1"),
    ("ic1ih3oc0kh1", "oc is missing or 0", "ic1ih3oc0kh1"),
    ("g0ic1ih3oc1kh1", "g is missing or 0", "g0"),
    ("g2ic3ih3oc2kh1", "ic is no multiple of g", "ic3 and g2"),
    ("g2ic2ih3oc3kh1", "oc is no multiple of g", "oc3 and g2"),
    ("ic1oc1", "not the axes of a convolution", "none in ic1oc1"),
    ("ic1id3iw3oc1kd1kw1", "not the axes of a convolution", "dw in"),
    ("ic1ih3oc1", "ih or kh is missing or 0", "ic1ih3oc1"),
    ("ic1ih3oc1kh1sw2", "iw or kw is missing or 0", "sw2"),
    ("ic1ih3oc1kh1sh0", "sh is 0", "sh0"),
    ("ic1ih3oc1kh5ph0", "the kernel is longer than the padded image", "spans 5, an image of 3"),
    ("ic1ih3oc1kh99999999999", "no key that is known", "99"),
]


@pytest.mark.parametrize(("line", "what", "got"), BAD)
def test_what_is_no_problem_is_named_with_its_line(line: str, what: str, got: str) -> None:
    with pytest.raises(InputError) as caught:
        list(parsed(f"# one\nic1ih3oc1kh1\n{line}\n", "net.txt"))
    assert caught.value.what.startswith("--workload: net.txt, line 3: ")
    assert what in caught.value.what
    assert got in str(caught.value.got)
    assert caught.value.expected


@given(
    size=st.integers(1, 40),
    taps=st.integers(1, 7),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    padding=st.integers(0, 5),
)
@settings(deadline=None)
def test_a_padding_that_is_said_is_that_of_the_case(
    size: int, taps: int, stride: int, dilation: int, padding: int
) -> None:
    span = dilation * (taps - 1) + 1
    if size + 2 * padding < span:
        return
    output = (size + 2 * padding - span) // stride + 1
    shape = f"mb1ic1ih{size}oc1kh{taps}sh{stride}dh{dilation - 1}ph{padding}"
    for line in (shape, f"{shape}oh{output}"):
        (problem,) = parsed(line, "x")
        assert problem.unfit() is None
        assert problem.sizes()["padding"] == padding


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ic1ih9iw9oc1kh3kw3sh2", "another stride along each axis"),
        ("ic1ih9iw9oc1kh3kw3dw1", "another dilation along each axis"),
        ("ic1ih9iw9oc1kh3kw3pw1", "another padding along each axis"),
        ("ic1ih20oc1oh10kh3sh2", "another padding before the image than after it"),
        ("ic1ih9iw7oc1kh3kw2sh2sw2ph1pw1", None),
    ],
)
def test_what_no_target_can_be_given(line: str, why: str | None) -> None:
    (problem,) = parsed(line, "x")
    found = problem.unfit()
    assert found is None if why is None else why in str(found)


def test_a_problem_is_a_case_with_drawn_data(tmp_path: Path) -> None:
    path = tmp_path / "net.txt"
    path.write_text(
        "mb1ic2ih5oc3kh3ph1na\nmb256ic64ih56oc64oh56kh3nb\nmb1ic512ih150oc512kh9ph4nc\n"
    )
    whole = load(str(path))
    first, second, third = whole.cases(7, 3)
    assert first.unfit is second.unfit is None
    assert first.case.dtype == case(7, 0).dtype
    assert (first.case.sizes, first.case.taps, first.case.padding) == ((5, 5), (3, 3), 1)
    assert parse_id(first.case.id) == first.case
    assert whole.problem(first.case) == whole.problems[0]
    assert whole.problem(case(7, 0)) is None
    assert second.case.batch == 32
    assert "the first is b (line 2), with 32 of 256" in whole.warnings[0]
    assert third.unfit == "too large to be judged, with one image too"
    parts = [list(whole.cases(7, 3, shard=(part, 2))) for part in (1, 2)]
    assert [parts[0][0], parts[1][0], parts[0][1]] == [first, second, third]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.txt", b"# none\n--mb=1\n", "has no problem"),
        ("binary.txt", b"\xff\xfe", "is no text"),
        ("none/x.txt", None, "could not be read"),
    ],
)
def test_what_is_no_list_is_refused(
    name: str, data: bytes | None, says: str, tmp_path: Path
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=says):
        load(str(tmp_path / name))


def test_without_onnx_a_model_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x09")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match="which the package onnx reads") as caught:
        load(str(tmp_path / "net.onnx"))
    assert caught.value.hint == "pip install 'convcheck[onnx]'"


MODULE = """
from zoo import conv

def right(x, w, stride=1, padding=0, dilation=1, groups=1):
    return conv(x, w, stride, padding, dilation, groups)

def wide(x, w, stride=1, padding=0, dilation=1, groups=1):
    y = conv(x, w, stride, padding, dilation, groups)
    return y[..., ::-1] if w.shape[3] == 7 else y
"""
NET = """# two layers
mb1ic4ih8oc4oh8kh3ph1nnet:first
mb1ic3ih12oc2kh7sh2ph3nnet:second
ic2iw9oc2kw3nsignal
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "zoo.py").write_text((ROOT / "tests" / "zoo.py").read_text())
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "net.txt").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def document(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = command(["verify", *words, "--layout", "NCHW", "--workload", "net.txt", "--json"])
    found = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(SCHEMA).validate(found)
    return code, found


def test_a_failing_layer_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(capsys, "mine:wide")
    assert (code, found["ran"], found["failed"], found["cases"]) == (1, 2, 1, 3)
    assert found["skipped"] == {"over one spatial axis: the target is called with 2": 1}
    assert found["findings"][0]["problem"] == {"name": "net:second", "line": 3}
    assert found["workload"] == "net.txt"
    replay = found["findings"][0]["replay"].split()
    assert "--workload" not in replay
    assert command([*replay[1:], "-q"]) == 1
    assert "fail: " in capsys.readouterr().out
    code, found = document(capsys, "mine:wide", "--cases", "1")
    assert (code, found["ran"], found["cases"]) == (0, 1, 1)


def test_its_shards_are_merged(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = []
    for part in ("1/2", "2/2"):
        _, found = document(capsys, "mine:right", "--shard", part)
        parts.append(f"{part[0]}.json")
        Path(parts[-1]).write_text(json.dumps(found))
    assert command(["merge", *parts, "--json"]) == 0
    merged = json.loads(capsys.readouterr().out)
    assert merged | {"elapsed_s": 0} == document(capsys, "mine:right")[1] | {"elapsed_s": 0}
    Path("net.txt").write_text(NET + "# more\n")
    assert command(["merge", *parts]) == 2
    assert "net.txt is another file than the reports are of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "text", "more", "code", "says"),
    [
        ("right", NET, [], 0, "net.txt asked for"),
        ("wide", NET, [], 1, "1. wrong values: net:second (line 3): image "),
        (
            "right",
            "ic1ih3oc1kh1\nwhat\n",
            [],
            2,
            "--workload: net.txt, line 2: no key that is known",
        ),
        ("right", NET, ["--replay", "0:1"], 2, "leave --workload out"),
    ],
)
def test_a_process_ends_with_its_exit_code(
    here: Path, target: str, text: str, more: list[str], code: int, says: str
) -> None:
    (here / "net.txt").write_text(text)
    words = ["verify", f"mine:{target}", "--layout", "NCHW", "--workload", "net.txt", *more]
    done = subprocess.run(
        [sys.executable, "-m", "convcheck", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
