"""verify on depthwise convolutions: every channel is a group, without a parameter that says so."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zoo
from few import rows_in

from convcheck import cli
from convcheck.campaign import cases, parse_id
from convcheck.checks.verify import LAYOUTS, Model, VerifyResult, claim, judge, put_to_test
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.errors import ExitCode
from convcheck.render.verify_words import name, understood
from convcheck.serving import Inline
from convcheck.target import PARAMETERS, adapted, parameters_of
from convcheck.testing import cases as drawn_cases

if TYPE_CHECKING:
    from collections.abc import Callable

DEPTHWISE = [layout for layout in LAYOUTS if "depthwise" in layout]
COUNT = 80


def put(function: Any, count: int = COUNT, expect: str | None = None, **more: Any) -> VerifyResult:
    """As convcheck.verify, without the search for what it does: that may take seconds."""
    runner = Inline(adapted(function, "f"), parameters_of(function))
    drawn = more.pop("drawn", None) or cases(0, count)
    return put_to_test(
        runner, drawn, target="f", patience=0.0, expect=expect and claim(expect), **more
    )


def nchw(x, w, stride=1, padding=0, dilation=1):
    return zoo.conv(x, w, stride, padding, dilation, groups=x.shape[1])


def nchw_ihw(x, w):
    return nchw(x, w[:, None])


def chw(x, w, stride=1):
    return nchw(x[None], w, stride)[0]


def chw_ihw(x, w, padding=0):
    return chw(np.pad(x, ((0, 0), *[(padding, padding)] * 2)), w[:, None])


def nhwc_hwio(x, w, stride=1, dilation=1):
    out = nchw(x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), stride, 0, dilation)
    return out.transpose(0, 2, 3, 1)


def nhwc(x, w, stride=1, dilation=1):
    """TensorFlow's: the filters of one channel are next to each other in the output."""
    return nhwc_hwio(x, w.reshape(*w.shape[:2], 1, -1), stride, dilation)


def hwc(x, w):
    return nhwc(x[None], w)[0]


def alone(x, w, stride=1, padding=0):
    """One filter for a channel: of more it takes the first, as many as there are channels."""
    return nchw(x, w[: x.shape[1]], stride, padding)


def picky(x, w, stride=1):
    if len(w) != x.shape[1]:
        raise ValueError("a filter for each channel")
    return nchw(x, w, stride)


def same(x, w, stride=1):
    pads = []
    for n, f in zip(x.shape[2:], w.shape[2:], strict=True):
        total = max((-(-n // stride) - 1) * stride + f - n, 0)
        pads.append((total // 2, total - total // 2))
    return nchw(np.pad(x, ((0, 0), (0, 0), *pads)), w, stride)


RIGHT: list[tuple[Callable[..., Any], str, str]] = [
    (nchw, "NCHW/depthwise", "NCHW, OIHW, zero padding"),
    (nchw_ihw, "NCHW/IHW/depthwise", "NCHW, IHW, no padding"),
    (chw, "CHW/depthwise", "CHW, OIHW, no padding"),
    (chw_ihw, "CHW/IHW/depthwise", "CHW, IHW, zero padding"),
    (nhwc, "NHWC/depthwise", "NHWC, HWIM, no padding"),
    (nhwc_hwio, "NHWC/HWIO/depthwise", "NHWC, HWIO, no padding"),
    (hwc, "HWC/depthwise", "HWC, HWIM, no padding"),
    (alone, "NCHW/depthwise", "NCHW, OIHW, zero padding"),
    (picky, "NCHW/depthwise", "NCHW, OIHW, no padding"),
    (same, "NCHW/depthwise", "NCHW, OIHW, zero padding, SAME_UPPER"),
]


@pytest.mark.parametrize(
    ("function", "layout", "says"), rows_in(5, RIGHT), ids=[f.__name__ for f, *_ in RIGHT]
)
def test_a_right_one_is_recognised(function: Any, layout: str, says: str) -> None:
    result = put(function)
    assert result.verdict == "pass", (result.findings, result.notes)
    assert result.exit_code == ExitCode.OK
    assert (result.passed, result.skipped) == (COUNT, {})
    assert result.model is not None
    assert result.model.layout == layout
    assert name(result).startswith(f"f is the depthwise cross-correlation, {says}, ")
    image, filters = LAYOUTS[layout]
    said = f"Called with an image {image} and depthwise filters {filters}; "
    assert understood(result)[0].startswith(said)


@pytest.mark.parametrize("layout", DEPTHWISE)
def test_every_channel_is_a_group(layout: str) -> None:
    for parameters in ((), PARAMETERS):
        for multiplies in (True, False):
            model = Model(layout, Convention(), parameters=parameters, multiplies=multiplies)
            several = set()
            for drawn in cases(0, 60):
                case = model.project(drawn)
                assert case.fits
                assert case.groups == case.channels
                assert model.project(case) == parse_id(case.id) == case
                several.add(case.filters // case.channels)
            assert (len(several) > 2) == (multiplies and "IHW/" not in layout)
            assert 1 in several


@pytest.mark.parametrize("layout", DEPTHWISE)
def test_it_is_judged_as_closely_in_every_layout(layout: str) -> None:
    """Each output is a sum over one channel's kernel, however the filters are stored."""
    image, filters = LAYOUTS[layout]
    base = Convention(image, filters, image)
    model = Model(layout, base, multiplies=False)
    plain = Model("NCHW/depthwise", Convention("NCHW", "OIHW", "NCHW"), multiplies=False)
    for drawn in cases(0, 12):
        thresholds = []
        for one in (model, plain):
            case = one.project(model.project(drawn))
            x, w = (np.ones_like(a) for a in case.arrays(*one.layouts))
            output = np.asarray(convolve(x, w, one.convention(case))).astype(np.float64)
            seen = judge(
                x.astype(np.float32), w.astype(np.float32), output + 1, one.convention(case)
            )
            assert seen.comparison is not None
            thresholds.append(seen.comparison.threshold)
        assert thresholds[0] == pytest.approx(thresholds[1])


@pytest.mark.parametrize(
    ("function", "given"),
    [(alone, "of two it gives 2x3x7x9"), (picky, "a filter for each channel")],
)
def test_one_that_takes_one_filter_for_a_channel(function: Any, given: str) -> None:
    result = put(function, 20)
    assert result.model is not None
    assert not result.model.multiplies
    assert result.notes[0].startswith("no case has several filters for a channel: ")
    assert given in result.notes[0]
    assert put(nchw, 20).notes == ()


def flipped(x, w, stride=1):
    return nchw(x, w[:, :, ::-1, ::-1], stride)


def swapped(x, w):
    order = np.arange(x.shape[1])
    if len(order) > 3:
        order[:2] = order[:2][::-1]
    return nchw(x[:, order], w)


def interleaved(x, w):
    """The first filter of every channel, then the second of every channel."""
    n, c, *_ = x.shape
    out = nchw(x, w)
    return out.reshape(n, c, -1, *out.shape[2:]).swapaxes(1, 2).reshape(out.shape)


def one_sided(x, w, stride=1, padding=0):
    return nchw(np.pad(x, ((0, 0), (0, 0), *[(2 * padding, 0)] * 2)), w, stride)


def shifted(x, w, stride=1, padding=0):
    return nchw(np.roll(x, -1, 3) if stride == 2 else x, w, stride, padding)


def second_half(x, w):
    out = hwc(x, w)
    out[out.shape[0] // 2 :, :, 1:] = 0
    return out


@pytest.mark.parametrize(
    ("function", "expect", "when"),
    rows_in(
        6,
        [
            (flipped, "correlation", "the kernel is larger than 1x1"),
            (swapped, None, "there are more than 3 channels"),
            (interleaved, None, "more than one channel and a group has more than one filter"),
            (one_sided, None, "padding > 0"),
            (shifted, None, "stride is 2"),
            (second_half, None, "there are several filters"),
        ],
    ),
)
def test_a_wrong_one_is_found(function: Any, expect: str | None, when: str) -> None:
    result = put(function, expect=expect)
    assert (result.verdict, result.exit_code) == ("fail", ExitCode.FAILED)
    assert result.model is not None
    assert result.model.depthwise
    assert when in (result.when or "")
    assert result.smallest is not None
    case = result.smallest.finding.case
    assert case.groups == case.channels <= (4 if function is swapped else 2)
    assert case.size <= 64
    again = put(function, expect=expect, drawn=[parse_id(case.id)], smaller=False)
    assert again.findings[0] == result.smallest.finding


def general(x, w, stride=1):
    """Both: a depthwise bank tells the groups."""
    return zoo.conv(x, w, stride, groups=x.shape[1] // w.shape[1])


def test_what_takes_general_filters_too_is_general() -> None:
    result = put(general)
    assert result.verdict == "pass"
    assert result.model is not None
    assert result.model.layout == "NCHW"
    depthwise = put(general, layout="NCHW/depthwise")
    assert depthwise.verdict == "pass"
    assert depthwise.model is not None
    assert depthwise.model.depthwise


def test_a_depthwise_one_may_answer_otherwise_too() -> None:
    """Along rows, of an image HW: that is searched in vain."""

    def each(x: Any, w: Any) -> Any:
        if x.ndim == 2:
            return np.stack([np.convolve(a, b) for a, b in zip(x, w, strict=False)])
        return chw_ihw(x, w) if x.ndim == w.ndim == 3 else None

    result = put(each, 20, budget=0.5)
    assert (result.verdict, result.ran) == ("pass", 20)
    assert result.model is not None
    assert result.model.layout == "CHW/IHW/depthwise"


def test_a_case_of_ones_own_tests() -> None:
    for function, layout, _ in RIGHT[:7]:
        parameters = [*parameters_of(function)]
        for drawn in drawn_cases(10, layout=layout, parameters=parameters):
            drawn.check(function(*drawn.arrays(), **drawn.parameters))


def test_the_layouts_have_the_same_names_everywhere() -> None:
    option = next(p for p in cli.cli.commands["verify"].params if p.name == "layout")
    assert option.type.choices == tuple(LAYOUTS)
    assert option.help is not None
    assert ", ".join(LAYOUTS) in option.help
    schema = resources.files("convcheck").joinpath("schemas/verify.json").read_text()
    names = ", ".join(f'"{layout}"' for layout in LAYOUTS)
    assert names in " ".join(schema.split())
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    assert all(f"`{layout}`" in readme for layout in LAYOUTS)


@pytest.mark.slow
def test_the_command_and_its_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zoo.py").write_text((Path(__file__).parents[2] / "zoo.py").read_text())
    (tmp_path / "mine.py").write_text(
        "from zoo import conv\n"
        "def wrong(x, w, stride=1):\n"
        "    return conv(x[..., 1:] if stride == 2 else x, w, stride, groups=x.shape[1])\n"
    )
    monkeypatch.chdir(tmp_path)
    found = run("mine:wrong", "--cases", "40", "--layout", "NCHW/depthwise")
    assert found["parameters"]["layout"] == "NCHW/depthwise"
    again = run(*shlex.split(found["smallest"]["replay"])[2:])
    assert again["ran"] == again["failed"] == 1
    assert again["findings"][0]["case"] == found["smallest"]["case"]


def run(*arguments: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-m", "convcheck", "verify", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert ended.returncode == 1, ended.stderr
    return json.loads(ended.stdout)
