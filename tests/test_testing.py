"""convcheck.testing: in pytest, in unittest, and by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import unittest
from pathlib import Path

import numpy as np
import pytest
import zoo

from convcheck import Convention, convolve
from convcheck.errors import InputError
from convcheck.testing import TestCase, assert_convolution, case, cases

RNG = np.random.default_rng(0)
X = RNG.integers(-9, 10, (3, 6, 7)).astype(np.float32)
W = RNG.integers(-9, 10, (2, 3, 3, 2)).astype(np.float32)
FLIPPED = convolve(X, W, Convention(flip=("I", "H", "W")))


@pytest.mark.parametrize(
    "convention",
    [
        "flipped",
        '{"flip": ["I", "H", "W"]}',
        {"flip": ["I", "H", "W"]},
        Convention(flip=("I", "H", "W")),
    ],
)
def test_a_right_output_passes_however_it_is_claimed(convention: object) -> None:
    assert_convolution(X, W, FLIPPED, convention)
    assert_convolution(X.tolist(), W, FLIPPED.astype(np.float32), convention)


def test_a_wrong_output_says_what_it_is_and_where() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_convolution(X, W, FLIPPED)
    said = str(caught.value)
    assert "48 of 48 elements differ" in said
    assert "the most at (" in said
    assert "claimed: OUT is the cross-correlation" in said
    assert "what it is: OUT is the N-D convolution" in said


def test_a_few_elements_may_be_many_things() -> None:
    for height, said in ((3, "may be"), (9, "is")):
        x = X[:, :height]
        output = convolve(x, W, Convention(flip=("H", "W")))
        assert (output.size < 24) is (said == "may be")
        with pytest.raises(AssertionError, match=f"what it {said}: OUT is the per-channel"):
            assert_convolution(x, W, output)


def test_one_wrong_element_is_said() -> None:
    spoiled = convolve(X, W).astype(np.float32)
    spoiled[1, 2, 3] += 1
    with pytest.raises(AssertionError, match=r"1 of 48 elements differ, the most at \(1, 2, 3\)"):
        assert_convolution(X, W, spoiled)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (np.zeros((2, 4, 5)), "wrong shape: gave 2x4x5, expected 2x4x6"),
        (np.full((2, 4, 6), np.nan), "not finite"),
    ],
)
def test_other_wrongs(output: np.ndarray, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        assert_convolution(X, W, output)


def test_what_cannot_be_judged_is_no_assertion() -> None:
    with pytest.raises(InputError):
        assert_convolution(X, W, np.array(["a"]))
    with pytest.raises(InputError, match="no convention is named"):
        assert_convolution(X, W, FLIPPED, "corelation")
    with pytest.raises(InputError):
        assert_convolution(X, W[:, :2], FLIPPED)


@pytest.mark.parametrize("drawn", cases(25), ids=TestCase.id)
def test_a_layer_of_ones_own(drawn: TestCase) -> None:
    image, filters = drawn.arrays()
    output = zoo.conv(image, filters, **drawn.parameters)
    drawn.check(output)
    assert output.shape == drawn.expected().shape


@pytest.mark.parametrize(
    ("layout", "function", "parameters"),
    [
        ("NHWC", zoo.channels_last, ["stride"]),
        ("NCHW/IOHW", zoo.transposed, ["stride", "padding"]),
        ("CHW/IHW", lambda x, w: zoo.conv(x[None], w[None])[0], []),
        ("HW", lambda x, w: zoo.conv(x[None, None], w[None, None])[0, 0], []),
    ],
)
def test_in_other_layouts(layout: str, function: object, parameters: list[str]) -> None:
    for drawn in cases(12, layout=layout, parameters=parameters, dtypes=["float64"]):
        assert drawn.dtype == "float64"
        drawn.check(function(*drawn.arrays(), **drawn.parameters))


def test_a_case_is_had_again_by_its_id() -> None:
    for drawn in cases(20, seed=4):
        again = case(drawn.id())
        assert again == drawn
        assert all(
            np.array_equal(a, b) for a, b in zip(again.arrays(), drawn.arrays(), strict=True)
        )


def test_a_reversed_kernel_is_named_in_every_case() -> None:
    said = []
    for drawn in cases(100):
        image, filters = drawn.arrays()
        try:
            drawn.check(zoo.conv(image, filters[:, :, ::-1, ::-1], **drawn.parameters))
        except AssertionError as error:
            said.append(str(error))
    assert len(said) >= 50
    assert all("(it reverses the kernel's rows and columns)" in message for message in said)


AXES = {1: "W", 2: "HW", 3: "DHW"}
SHAPES = {
    1: ((2, 31), (3, 2, 4)),
    2: ((2, 11, 13), (3, 2, 3, 2)),
    3: ((2, 6, 7, 8), (3, 2, 2, 2, 3)),
}


def layer(rank: int, **keys: object) -> Convention:
    return Convention(f"C{AXES[rank]}", f"OI{AXES[rank]}", f"C{AXES[rank]}", **keys)


@pytest.mark.parametrize("rank", AXES)
@pytest.mark.parametrize(
    ("claimed", "mistake", "says"),
    [
        ({}, {"flip": "flipped"}, "it reverses channels"),
        ({}, {"channel_order": (1, 0)}, "it reverses channels"),
        ({"stride": 2}, {"stride": 1}, "it leaves the stride out"),
        ({"stride": 2, "padding": 2}, {"padding": (1, 3)}, "begins a sample too late"),
        ({"dilation": 2}, {"dilation": 1}, "it leaves the dilation out"),
        ({"padding": (0, 1)}, {"padding": (1, 0)}, "before the image"),
        ({"padding": 1}, {"padding": 1, "padding_mode": "edge"}, "edge"),
        ({"bias": 3}, {"bias": None}, "it leaves the bias out"),
    ],
)
def test_a_usual_mistake_is_named(rank: int, claimed: dict, mistake: dict, says: str) -> None:
    rng = np.random.default_rng(rank)
    image, filters = (rng.integers(-9, 10, shape).astype(np.float32) for shape in SHAPES[rank])

    def meant(keys: dict) -> Convention:
        pads = keys.get("padding")
        return layer(rank, **keys | ({"padding": [pads] * rank} if isinstance(pads, tuple) else {}))

    output = convolve(image, filters, meant(claimed | mistake)).astype(np.float32)
    with pytest.raises(AssertionError) as caught:
        assert_convolution(image, filters, output, meant(claimed))
    assert says in str(caught.value).splitlines()[-1]
    assert_convolution(image, filters, output, meant(claimed | mistake))


def test_sums_in_too_few_bits_are_named() -> None:
    rng = np.random.default_rng(0)
    image, filters = rng.integers(0, 256, (2, 7, 8)), rng.integers(-128, 128, (2, 2, 3, 3))
    wrapped = convolve(image, filters).astype(np.int16).astype(np.int32)
    with pytest.raises(AssertionError, match="its sums wrap at int16"):
        assert_convolution(image, filters, wrapped)


@pytest.mark.parametrize(
    ("image", "filters"), [((9,), (3,)), ((6, 7), (2, 3)), ((3, 6, 7), (3, 2, 3))]
)
def test_layouts_are_the_usual_ones(image: tuple[int, ...], filters: tuple[int, ...]) -> None:
    """Of one filter the output may come without the axis that counts them."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 9, image), rng.integers(0, 9, filters)
    letters = AXES[min(len(image), 2)]
    channels = len(image) > 2
    output = convolve(x, w, Convention("C" * channels + letters, "I" * channels + letters))
    assert_convolution(x, w, output)
    assert_convolution(x, w, output[0])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="no layout"):
        list(cases(1, layout="CNHW"))
    with pytest.raises(InputError, match="no parameter"):
        list(cases(1, parameters=["strides"]))


class TestUnderUnittest(unittest.TestCase):
    def test_cases(self) -> None:
        for drawn in cases(5):
            with self.subTest(drawn.id()):
                drawn.check(zoo.conv(*drawn.arrays(), **drawn.parameters))

    def test_failure(self) -> None:
        with self.assertRaisesRegex(AssertionError, "N-D convolution"):  # noqa: PT027
            assert_convolution(X, W, FLIPPED)


def test_it_needs_no_plugin(pytester_free: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "unittest", "-q", "mine"],
        cwd=pytester_free,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "what it is: OUT is the per-channel convolution" in ended.stderr
    assert "FAILED (failures=1)" in ended.stderr
    frames = [line for line in ended.stderr.splitlines() if line.startswith("  File ")]
    assert [Path(line.split('"')[1]).name for line in frames] == ["mine.py"], "the test's own line"


def test_pytest_shows_the_test_s_own_line(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import numpy as np\n"
        "from convcheck.testing import assert_convolution\n"
        "def test_it():\n"
        "    assert_convolution(np.ones((1, 4, 4)), np.ones((1, 1, 2, 2)), np.ones((1, 3, 3)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ">       assert_convolution(" in ended.stdout
    assert "9 of 9 elements differ, the most at (0, 0, 0): 1 instead of 4" in ended.stdout
    assert "testing.py" not in ended.stdout


def test_a_case_may_claim_a_padding_rule() -> None:
    for drawn in cases(10, parameters=["stride"]):
        image, filters = drawn.arrays()
        pads = [
            max((-(-n // drawn.parameters["stride"]) - 1) * drawn.parameters["stride"] + f - n, 0)
            for n, f in zip(image.shape[2:], filters.shape[2:], strict=True)
        ]
        padded = np.pad(image, ((0, 0), (0, 0), *((p // 2, p - p // 2) for p in pads)))
        output = zoo.conv(padded, filters, **drawn.parameters)
        drawn.check(output, "same-upper")
        drawn.check(output, {"padding": "SAME_UPPER", "flip": []})
        if any(p % 2 for p in pads):
            with pytest.raises(AssertionError, match="wrong values"):
                drawn.check(output, "same-lower")


@pytest.fixture
def pytester_free(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(
        "import unittest\n"
        "import numpy as np\n"
        "from convcheck import Convention, convolve\n"
        "from convcheck.testing import assert_convolution\n"
        "class Mine(unittest.TestCase):\n"
        "    def test_it(self):\n"
        "        rng = np.random.default_rng(0)\n"
        "        x = rng.integers(-9, 10, (3, 6, 7))\n"
        "        w = rng.integers(-9, 10, (2, 3, 3, 2))\n"
        "        y = convolve(x, w, Convention(flip=('H', 'W')))\n"
        "        assert_convolution(x, w, y)\n"
    )
    return tmp_path


def run_pytest(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "convcheck.pytest_plugin", *more],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )


MINE = """
import numpy as np
import pytest
from convcheck import Convention, convolve
from convcheck.testing import TestCase, assert_convolution, cases

@pytest.mark.parametrize("case", cases(100), ids=TestCase.id)
def test_conv(case):
    image, filters = case.arrays()
    case.check(convolve(image, filters FLIP, case.convention()))
"""


def test_a_hundred_cases_are_quick_and_each_failure_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(MINE.replace("FLIP", "[..., ::-1, ::-1]"))
    begun = time.perf_counter()
    ended = run_pytest(tmp_path)
    assert ended.returncode == 1
    assert time.perf_counter() - begun < 60  # 20 on a machine that does nothing else
    failed = [line for line in ended.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) >= 50
    named = [line for line in ended.stdout.splitlines() if line.startswith("E ")]
    assert sum("claimed: kernel reversed: wrong" in line for line in named) == len(failed)
    assert any(re.search(r"-stride2.*-float32", line) for line in failed)
    (tmp_path / "test_mine.py").write_text(MINE.replace("FLIP", ""))
    ended = run_pytest(tmp_path)
    assert ended.returncode == 0, ended.stdout


def test_the_long_search_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import numpy as np\n"
        "from convcheck import Convention, convolve\n"
        "from convcheck.testing import assert_convolution\n"
        "def test_it():\n"
        "    rng = np.random.default_rng(0)\n"
        "    x, w = rng.normal(size=(2, 9, 9)), rng.normal(size=(3, 2, 3, 3))\n"
        "    y = convolve(x, w, Convention(flip=('H', 'W'), padding=1, bias=3, scale=2))\n"
        "    assert_convolution(x, w, y, Convention(padding=1))\n"
    )
    ended = run_pytest(tmp_path)
    assert ended.returncode == 1
    assert "it is none of the usual mistakes: pytest --convcheck-diagnose" in ended.stdout
    ended = run_pytest(tmp_path, "--convcheck-diagnose")
    assert ended.returncode == 1
    assert "what it is: OUT is the per-channel convolution" in ended.stdout


def test_the_plugin_imports_nothing_of_convcheck() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys, convcheck.pytest_plugin; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.split()
    assert sorted(m for m in said if m.startswith("convcheck")) == [
        "convcheck",
        "convcheck._version",
        "convcheck.pytest_plugin",
    ]
    assert "numpy" not in said
