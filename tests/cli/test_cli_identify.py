"""``convcheck identify`` as its users meet it: verdicts, exit codes, code to paste, JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from command import FIXTURES, Ended, called, environment, in_process, run, shown
from few import rows_in, slow

from convcheck.calls import CANNOT, LIBRARIES
from convcheck.convention import KEYS, Convention
from convcheck.engine import convolve
from convcheck.render.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/identify.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FLAT = Convention(image_layout="HW", filter_layout="HW", output_layout="HW")


def whole(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).integers(-9, 10, shape).astype(np.float32)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape)


def made(image: np.ndarray, filters: np.ndarray, convention: Convention) -> dict[str, np.ndarray]:
    return {"img": image, "w": filters, "out": convolve(image, filters, convention)}


def spoiled() -> dict[str, np.ndarray]:
    arrays = made(whole(6, 7), whole(2, 3), FLAT)
    arrays["out"] = arrays["out"].copy()
    arrays["out"][1, 2] += 7
    return arrays


def full_of_holes() -> dict[str, np.ndarray]:
    arrays = made(whole(6, 7), whole(2, 3), FLAT)
    arrays["out"] = arrays["out"].copy()
    arrays["out"][0, 0], arrays["out"][2, 1] = np.nan, np.inf
    return arrays


def rounded() -> dict[str, np.ndarray]:
    arrays = made(normal(6, 7), normal(2, 3), FLAT.replace(flip=["H", "W"]))
    return {name: array.astype(np.float32) for name, array in arrays.items()}


CASES: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    "plain": lambda: made(whole(6, 7), whole(2, 3), FLAT),
    "integers": lambda: {
        name: array.astype(int) for name, array in made(whole(6, 7), whole(2, 3), FLAT).items()
    },
    "complex": lambda: made(
        whole(6, 7) + 1j * whole(6, 7, seed=1), whole(2, 3) - 1j * whole(2, 3, seed=1), FLAT
    ),
    "rounded": rounded,
    "symmetric": lambda: made(whole(6, 7), np.float32([[1, 2, 1], [3, 5, 3]]), FLAT),
    "alike": lambda: made(whole(3, 6, 7)[[0, 1, 0]], whole(2, 3, 2, 3), Convention()),
    "spoiled": spoiled,
    "full-of-holes": full_of_holes,
    "noise": lambda: {"img": whole(5, 6), "w": whole(2, 3), "out": normal(4, 4)},
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """The three files of a case, written once."""
    root = tmp_path_factory.mktemp("cases")

    def write(name: str) -> list[str]:
        folder = root / name
        if not folder.exists():
            folder.mkdir()
            for stem, array in CASES[name]().items():
                np.save(folder / stem, array)
        return [str(folder / f"{stem}.npy") for stem in ("img", "w", "out")]

    return write


@pytest.fixture(scope="module")
def answer(case: Any) -> Callable[..., tuple[Ended, dict[str, Any]]]:
    """What the command says about a case, in JSON, asked once."""
    known: dict[tuple[str, ...], Ended] = {}

    def ask(name: str, *options: str) -> tuple[Ended, dict[str, Any]]:
        key = (name, *options)
        if key not in known:
            known[key] = called("identify", *case(name), "--json", *options)
        return known[key], json.loads(known[key].out, parse_constant=pytest.fail)

    return ask


# --- verdicts and exit codes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "verdict", "code"),
    [
        ("plain", [], "identified", 0),
        ("plain", ["--expect", "correlation"], "identified", 0),
        ("plain", ["--expect", "convolution"], "not-as-expected", 1),
        ("plain", ["--expect", '{"stride": 2}', "--strict"], "not-as-expected", 1),
        ("spoiled", ["--expect", '{"stride": [2, 2, 2]}'], "not-as-expected", 1),
        slow("noise", ["--expect", "correlation"], "not-as-expected", 1),
        ("plain", ["--effort", "thorough"], "identified", 0),
        ("integers", [], "identified", 0),
        ("complex", [], "identified", 0),
        ("rounded", ["--expect", "per-channel"], "identified", 0),
        ("symmetric", ["--strict"], "identified", 1),
        ("symmetric", ["--expect", '{"flip": ["W"]}'], "identified", 0),
        ("alike", [], "ambiguous", 0),
        ("alike", ["--strict"], "ambiguous", 1),
        ("spoiled", [], "near-match", 1),
        ("full-of-holes", [], "near-match", 1),
        ("noise", [], "unexplained", 1),
    ],
)
def test_the_exit_code_is_the_verdict(
    name: str, options: list[str], verdict: str, code: int, answer: Any, case: Any
) -> None:
    ended, found = answer(name, *options)
    assert ended.code == found["exit_code"] == code
    assert found["verdict"] == verdict
    # Sixteen elements of noise are so few that what made them might be missed.
    assert ended.err.startswith("convcheck: warning: OUT has only 16 ") == (name == "noise")
    VALIDATOR.validate(found)
    given = [np.load(path) for path in case(name)]
    for operand, path, array in zip(found["inputs"].values(), case(name), given, strict=True):
        assert operand == {"path": path, "shape": list(array.shape), "dtype": str(array.dtype)}
    assert found["strict"] is ("--strict" in options)
    assert (found["expect"] is None) == (found["expect_met"] is None) == ("--expect" not in options)
    assert len(found["warnings"]) == (name == "noise")
    assert found["found"] == ("identified" if name == "plain" else found["found"])
    assert (found["found"] == verdict) == (verdict != "not-as-expected")


@pytest.mark.parametrize("name", ["plain", "integers", "complex", "rounded", "symmetric"])
def test_every_answer_makes_the_output_again(name: str, answer: Any, case: Any) -> None:
    _, found = answer(name)
    image, filters, output = (np.load(path) for path in case(name))
    assert found["candidates"]
    for candidate in found["candidates"]:
        assert list(candidate["convention"]) == list(KEYS)
        convention = Convention.from_dict(candidate["convention"])
        again = convolve(image, filters, convention)
        np.testing.assert_allclose(again, output, rtol=1e-5, atol=1e-5 * (name == "rounded"))
        names = {"image": image, "filters": filters}
        exec(candidate["calls"]["scipy"], names)
        assert names["out"].shape == output.shape
        np.testing.assert_allclose(names["out"], output, rtol=1e-5, atol=1e-5 * (name == "rounded"))
        assert list(candidate["calls"]) == list(LIBRARIES)
        assert candidate["total"] == output.size
        assert candidate["mismatched"] == 0
        assert candidate["where"] is None
    kinds = {"integers": "int64", "complex": "complex128"}
    assert f'"{kinds.get(name, "float64")}"' in found["candidates"][0]["calls"]["scipy"]
    assert (found["candidates"][0]["calls"]["onnx"] == CANNOT) == (name == "complex")


def test_a_near_match_says_where(answer: Any) -> None:
    _, found = answer("spoiled")
    (candidate,) = found["candidates"]
    assert Convention.from_dict(candidate["convention"]) == FLAT
    assert (candidate["mismatched"], candidate["worst_index"]) == (1, [1, 2])
    assert candidate["actual"] - candidate["expected"] == candidate["max_abs_diff"] == 7
    assert "row 1, column 2" in candidate["where"]


def test_what_is_not_finite_is_an_exception_like_others(answer: Any) -> None:
    _, found = answer("full-of-holes")
    (candidate,) = found["candidates"]
    assert Convention.from_dict(candidate["convention"]) == FLAT
    assert (candidate["total"], candidate["mismatched"]) == (25, 2)


def test_the_score_adds_up(answer: Any) -> None:
    for name in ("plain", "spoiled", "alike"):
        _, found = answer(name)
        costs = []
        for score in (candidate["score"] for candidate in found["candidates"]):
            parts = ("keys", "numbers", "exceptions", "residual")
            assert score["total"] == pytest.approx(sum(score[part] for part in parts), abs=0.01)
            assert score["gain"] == pytest.approx(score["literal"] - score["total"], abs=0.01)
            assert score["gain"] > 0
            assert (score["exceptions"] > 0) == (name == "spoiled")
            costs.append(score["total"])
        assert costs == sorted(costs)


def test_the_printed_report_can_be_copied(case: Any, answer: Any) -> None:
    """The line of JSON and the code of the text, not those of --json."""
    ended = called("identify", *case("rounded"))
    assert (ended.code, ended.err) == (0, "")
    _, found = answer("rounded", "--expect", "per-channel")
    lines = ended.out.splitlines()
    assert " ".join(lines).startswith(f"identified: {found['candidates'][0]['in_words']}.")
    (said,) = [line for line in lines if line.startswith("  {")]
    convention = Convention.from_dict(json.loads(said))
    assert convention.to_dict() == found["candidates"][0]["convention"]
    assert ended.out.index("NumPy and SciPy:\n") < ended.out.index("PyTorch:\n")
    block = re.search(r"NumPy and SciPy:\n((?:  .*\n)+)", ended.out)
    assert block is not None
    image, filters, output = (np.load(path) for path in case("rounded"))
    names = {"image": image, "filters": filters}
    exec(re.sub("^  ", "", block[1], flags=re.MULTILINE), names)
    np.testing.assert_allclose(names["out"], output, rtol=1e-6, atol=1e-6)
    again = called("identify", *case("rounded"), "--expect", said.strip(), "-q")
    assert again.code == 0


@pytest.mark.parametrize("options", [["-v"], ["--json"]])
def test_no_signal_processing_is_imported(options: list[str], case: Any) -> None:
    script = (
        "import sys; sys.modules['scipy.signal'] = None; from convcheck.cli import main\n"
        f"main({['identify', *case('plain'), *options]!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ("hypotheses considered" in done.stderr) == ("-v" in options)


# --- bad input ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    arrays = {
        "img": whole(3, 6, 7),
        "w": whole(2, 3, 2, 3),
        "out": whole(2, 5, 5),
        "six": whole(1, 1, 1, 1, 6, 7),
        "hollow": whole(3, 0, 7),
        "unfit": whole(11, 13, 17),
        "nan": np.full((2, 5, 5), np.nan),
        "holes": np.where(whole(3, 6, 7) > 8, np.inf, 1.0),
        "lone": whole(5, 2, 2, 2),
    }
    for name, array in arrays.items():
        np.save(folder / name, array)
    return folder


FILES = ["img.npy", "w.npy", "out.npy"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["img.npy", "w.npy"], ["Missing argument 'OUT'"]),
        (["img.npy", "w.npy", "otu.npy"], ["OUT: otu.npy does not exist", "did you mean out.npy"]),
        (["-", "w.npy", "-"], ["IMG and OUT are both '-'"]),
        (["-", "-", "-"], ["IMG and W and OUT are all '-'"]),
        (["six.npy", "w.npy", "out.npy"], ["IMG has the wrong number of axes", "6 axes"]),
        (["img.npy", "six.npy", "out.npy"], ["W has the wrong number of axes", "6 axes"]),
        (["img.npy", "w.npy", "six.npy"], ["OUT has the wrong number of axes"]),
        (["hollow.npy", "w.npy", "out.npy"], ["IMG is empty", "3x0x7"]),
        (["img.npy", "w.npy", "hollow.npy"], ["OUT is empty"]),
        (["holes.npy", "w.npy", "out.npy"], ["IMG holds values that are not finite"]),
        (["img.npy", "w.npy", "nan.npy"], ["OUT holds no finite value"]),
        (["img.npy", "w.npy", "unfit.npy"], ["no convention connects these shapes", "11x13x17"]),
        (["img.npy", "lone.npy", "out.npy"], ["no convention connects these shapes"]),
        ([*FILES, "--expect", "corelation"], ["'corelation'", "did you mean 'correlation'?"]),
        ([*FILES, "--expect", '{"strde": 2}'], ["no key 'strde'", "did you mean 'stride'?"]),
        ([*FILES, "--expect", '{"stride": 0}'], ["stride is unfit", "at least 1"]),
        ([*FILES, "--expect", '{"stride":'], ["not JSON"]),
        ([*FILES, "--expect", "[]"], ["no convention is named '[]'"]),
        ([*FILES, "--expect", ""], ["no convention is named ''"]),
        ([*FILES, "--format", "jsn"], ["'jsn'", "did you mean 'json'?"]),
        ([*FILES, "-o", "no/such/file"], ["cannot write no/such/file"]),
    ],
    ids=lambda v: " ".join(v)[:50],
)
def test_bad_input_gets_a_clear_error_and_nothing_else(
    arguments: list[str],
    words: list[str],
    bad: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(bad)
    ended = in_process(capsys, "identify", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("convcheck: error: ")
    for word in words:
        assert word in ended.err
    assert re.search(r"^  (found|expected|usage): ", ended.err, re.MULTILINE)


def test_bad_input_in_a_process(bad: Path) -> None:
    ended = run("identify", "img.npy", "w.npy", "unfit.npy", cwd=bad)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("name", ["out", slow("img"), slow("w")])
def test_an_array_of_one_number_is_never_identified(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = made(whole(4, 5), whole(2, 3), FLAT)
    arrays[name] = np.zeros_like(arrays[name])
    if name != "out":
        arrays["out"] = np.zeros_like(arrays["out"])
    for stem, array in arrays.items():
        np.save(tmp_path / stem, array)
    ended = in_process(capsys, "identify", *(str(tmp_path / f) for f in FILES), "--json")
    found = json.loads(ended.out)
    VALIDATOR.validate(found)
    assert found["verdict"] in ("ambiguous", "unexplained")
    assert any("all zeros" in reason for reason in [*found["reasons"], *found["warnings"]])


def test_one_array_from_stdin(case: Any) -> None:
    image, filters, output = case("plain")
    ended = run("identify", image, filters, "-", "-q", stdin=Path(output).read_bytes())
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("identified: OUT is the cross-correlation of IMG, read as HW")
    assert ended.out.count("\n") == 1


def test_the_examples_of_the_help_run(tmp_path: Path) -> None:
    for name, array in made(whole(11, 13), whole(2, 3), FLAT.replace(stride=2)).items():
        np.save(tmp_path / name, array)
    for name, number in {"mean": 0.0, "var": 0.999, "g": 1.0, "b": 0.0}.items():
        np.save(tmp_path / name, np.array([number]))
    (tmp_path / "make.py").write_text(
        "import sys, pathlib; sys.stdout.buffer.write(pathlib.Path('out.npy').read_bytes())\n"
    )
    text = called("identify", "--help").out.partition("Usage:")[0]
    examples = [line.strip() for line in text.splitlines()[1:] if "convcheck " in line]
    assert len(examples) == 6
    for example in examples:
        ended = shown(example, tmp_path)
        assert (ended.code, ended.err) == (0, ""), example


def test_the_fixture_is_the_layer_that_made_it() -> None:
    image, filters, output = (
        np.load(FIXTURES / "identify" / f"{name}.npy") for name in ("image", "filters", "out")
    )
    layer = Convention(
        image_layout="NHWC",
        filter_layout="HWIO",
        output_layout="NHWC",
        stride=2,
        padding=[[0, 1], [0, 1]],
    )
    assert np.array_equal(convolve(image, filters, layer), output)


# --- a batch normalization that is given -------------------------------------------------------


FILTERS, CHANNELS = normal(4, 3, 3, 2), 4
NORM = {
    "running_mean": np.linspace(-1, 1, CHANNELS),
    "running_var": np.linspace(0.5, 2, CHANNELS),
    "weight": np.linspace(0.6, 1.4, CHANNELS),
    "bias": np.linspace(1, -0.5, CHANNELS),
}
FOUR = "running_mean.npy,running_var.npy,weight.npy,bias.npy"


@pytest.fixture(scope="module")
def normalized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image, filters, outputs of them, and the batch normalization of epsilon 1e-5."""
    folder = tmp_path_factory.mktemp("normalized")
    image = normal(3, 12, 13)
    np.save(folder / "img.npy", image)
    np.save(folder / "w.npy", FILTERS)
    for name, array in NORM.items():
        np.save(folder / name, array)
    for name, eps, own in (("out", 1e-5, 0.0), ("keras", 1e-3, 0.0), ("biased", 1e-5, 0.25)):
        scale = NORM["weight"] / np.sqrt(NORM["running_var"] + eps)
        bias = NORM["bias"] + (own - NORM["running_mean"]) * scale
        layer = Convention(scale=tuple(scale), bias=tuple(bias), activation="relu")
        np.save(folder / name, convolve(image, FILTERS, layer).astype(np.float32))
    np.save(folder / "noise.npy", normal(4, 10, 12))
    prefixes = {"one": ["bn."], "two": ["a/bn1/", "a/bn2/"], "none": []}
    for name, each in prefixes.items():
        held = {f"{prefix}{key}": array for prefix in each for key, array in NORM.items()}
        np.savez(
            folder / f"{name}.npz", **{"conv.weight": FILTERS, "bn.weight": NORM["weight"]} | held
        )
    return folder


def with_bn(folder: Path, given: str, out: str = "out", *options: str) -> Ended:
    files = [str(folder / f"{name}.npy") for name in ("img", "w", out)]
    there = ",".join(str(folder / p) if ".np" in p else p for p in given.split(","))
    return called("identify", *files, "--bn", there, *options)


@pytest.mark.parametrize(
    ("given", "out", "verdict", "code"),
    rows_in(
        11,
        [
            (FOUR, "out", "as-given", 0),
            (f"{FOUR},1e-5", "out", "as-given", 0),
            (f"{FOUR},1e-3", "out", "other-epsilon", 1),
            (f"{FOUR},0.001", "keras", "as-given", 0),
            (FOUR, "keras", "other-epsilon", 1),
            (FOUR, "biased", "bias", 1),
            ("one.npz", "out", "as-given", 0),
            ("one.npz::bn", "out", "as-given", 0),
            ("one.npz::bn.,1e-3", "keras", "as-given", 0),
            ("two.npz::a/bn2", "out", "as-given", 0),
            ("running_mean.npy,running_var.npy,one.npz::bn.weight,bias.npy", "out", "as-given", 0),
            (
                "running_mean.npy,running_var.npy,bias.npy,weight.npy",
                "out",
                "gamma-beta-swapped",
                1,
            ),
        ],
    ),
)
def test_a_batch_normalization(
    given: str, out: str, verdict: str, code: int, normalized: Path, tmp_path: Path
) -> None:
    ended = with_bn(normalized, given, out, "--json")
    found = json.loads(ended.out, parse_constant=pytest.fail)
    VALIDATOR.validate(found)
    assert (ended.code, ended.err) == (code, "")
    assert found["batch_norm"]["verdict"] == verdict
    assert found["batch_norm"]["holds"] is (code == 0)
    assert (found["verdict"], found["found"]) == (
        "not-as-expected" if code else "identified",
        "identified",
    )
    # What is said of it is in every format.
    words = found["batch_norm"]["in_words"]
    for name in ("report.txt", "report.md", "report.xml"):
        with_bn(normalized, given, out, "-o", str(tmp_path / name))
        text = (tmp_path / name).read_text("utf-8")
        assert said(words[0]) in said(re.sub(r"&\w+;", " ", text))
        assert ('failures="1"' in text) == (code == 1 and name == "report.xml")


def said(text: str) -> str:
    """The words alone, in ASCII."""
    return re.sub(r"\W+", " ", plain(text))


def test_the_words_of_a_batch_normalization(normalized: Path) -> None:
    table = " ".join(with_bn(normalized, FOUR, "keras").out.split())
    assert "not as given, but with an eps of 0.001, not 1e-05: Keras' default." in plain(table)
    assert "4 output channels are off, most of all channel " in table
    table = " ".join(with_bn(normalized, FOUR, "biased").out.split())
    assert "the convolution has a bias of its own before it, which is missing in what" in table
    assert "[0.25, 0.25, 0.25, 0.25]" in table


@pytest.mark.slow
def test_a_batch_normalization_of_what_is_not_explained(normalized: Path) -> None:
    ended = with_bn(normalized, FOUR, "noise", "--json")
    found = json.loads(ended.out)
    VALIDATOR.validate(found)
    assert (ended.code, found["verdict"]) == (1, "unexplained")
    assert found["batch_norm"]["verdict"] == "not-judged"
    assert found["batch_norm"]["holds"] is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("bias.npy", "holds no batch normalization"),
        ("none.npz", "holds no batch normalization"),
        ("two.npz", "holds 2 batch normalizations: which one?"),
        ("two.npz::bn3", "holds no batch normalization"),
        ("nothing.npz", "does not exist"),
        ("bias.npy,bias.npy", "EPS"),
        ("bias.npy,bias.npy,bias.npy", "is not MEAN,VAR,GAMMA,BETA[,EPS]"),
        (f"{FOUR},often", "EPS 'often' is not a number"),
        (f"{FOUR},-1", "EPS of the batch normalization is unfit"),
        (f"{FOUR},nan", "EPS of the batch normalization is unfit"),
        (
            "w.npy,running_var.npy,weight.npy,bias.npy",
            "MEAN of the batch normalization has the wro",
        ),
        ("running_var.npy,running_mean.npy,weight.npy,bias.npy", "holds negative numbers"),
        ("running_mean.npy,gone.npy,weight.npy,bias.npy", "VAR of --bn: "),
    ],
)
def test_a_batch_normalization_that_is_none(given: str, words: str, normalized: Path) -> None:
    ended = with_bn(normalized, given)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert "expected: " in ended.err or "usage: " in ended.err
