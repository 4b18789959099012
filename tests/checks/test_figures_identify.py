"""identify's --explain and --picture: the worked cell, the strip of windows, the map."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from few import one_in, rows_in
from numpy.typing import NDArray
from rich.cells import cell_len

from convcheck import cli
from convcheck.checks.agreement import agreement, agreement_map, windows
from convcheck.checks.cell import work_out
from convcheck.checks.identify import identify
from convcheck.convention import Convention
from convcheck.engine import convolve, round_to
from convcheck.errors import InputError
from convcheck.render.report import Style

ROOT = Path(__file__).resolve().parents[2]
SAME = [str(ROOT / f"fixtures/identify/{name}.npy") for name in ("image", "filters", "out")]
SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/identify.json").read_text())
Array = NDArray[Any]


LAYERS = {
    "plain": (Convention(), (3, 9, 8), (2, 3, 3, 2)),
    "same, stride": (
        Convention(
            image_layout="NHWC",
            filter_layout="HWIO",
            output_layout="NHWC",
            stride=2,
            padding=((0, 1), (0, 1)),
        ),
        (2, 10, 12, 3),
        (3, 3, 3, 4),
    ),
    "transposed": (
        Convention(
            filter_layout="IOHW", flip="per-channel", input_dilation=2, padding=((2, 1), (1, 1))
        ),
        (3, 7, 8),
        (3, 2, 3, 2),
    ),
    "channels in another order": (
        Convention(groups=3, output_order=(0, 2, 4, 1, 3, 5), padding=1),
        (3, 9, 8),
        (6, 1, 3, 3),
    ),
    "after the sums": (
        Convention(scale=0.5, bias=(3, -4), activation="relu", padding=1),
        (3, 9, 8),
        (2, 3, 3, 3),
    ),
    "a line": (
        Convention(image_layout="CW", filter_layout="OIW", output_layout="CW", padding=1),
        (3, 40),
        (4, 3, 3),
    ),
    "a volume": (
        Convention(
            image_layout="CDHW", filter_layout="OIDHW", output_layout="CDHW", stride=(1, 2, 1)
        ),
        (2, 6, 9, 8),
        (3, 2, 2, 3, 3),
    ),
}


def made(name: str) -> tuple[Convention, Array, Array, Array]:
    convention, image_shape, filter_shape = LAYERS[name]
    rng = np.random.default_rng(3)
    image = rng.integers(-9, 10, image_shape).astype(np.float32)
    filters = rng.integers(-9, 10, filter_shape).astype(np.float32)
    return convention, image, filters, convolve(image, filters, convention)


@pytest.mark.parametrize("name", one_in(7, LAYERS))
def test_one_wrong_element_is_worked_out_and_mapped(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convention, image, filters, output = made(name)
    output = output.copy()
    place = tuple(n // 2 for n in output.shape)
    right = output[place]
    output[place] += 1000
    code, document = asked(capsys, *saved(tmp_path, image, filters, output))
    assert (code, document["verdict"]) == (1, "near-match")
    cell, picture = document["cell"], document["picture"]
    assert tuple(cell["index"]) == place
    assert (cell["value"], cell["given"], cell["agrees"]) == (right, right + 1000, False)
    assert (picture["largest"], picture["share"]) == (1000, False)
    assert np.count_nonzero(picture["cells"]) == 1
    letters = dict(zip(convention.output_layout, place, strict=True))
    assert picture["slice"] == letters.get("D")
    row, column = letters.get("H", 0), letters["W"]
    assert picture["cells"][row][column] == 1000
    # The map of that filter alone shows it, no other does.
    for k in (letters["C"], letters["C"] - 1):
        _, document = asked(capsys, *saved(tmp_path, image, filters, output), "--filter", str(k))
        assert bool(document["picture"]["largest"]) == (k == letters["C"])


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_what_is_not_finite_is_shown_as_that(
    value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, image, filters, output = made("plain")
    output = output.copy()
    output[1, 2, 3] = value
    paths = saved(tmp_path, image, filters, output)
    _, document = asked(capsys, *paths)
    assert document["cell"]["index"] == [1, 2, 3]
    assert (document["cell"]["given"], document["cell"]["agrees"]) == (None, False)
    assert document["picture"]["largest"] is None
    assert document["picture"]["cells"][2][3] is None
    out = shown(capsys, *paths, "--picture", "--explain")
    assert "0 ·░▒▓█ not finite\n" in out
    assert f"OUT has {value} there: it " in out


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_cell_is_no_wider_than_the_terminal(name: str, width: int) -> None:
    from convcheck.render import cell as render_cell

    convention, image, filters, output = made(name)
    at = (0,) * (convention.rank + 2)
    cell = work_out(
        image, filters, output, convention, at, role="a test", threshold=0.0, agrees=True
    )
    for line in render_cell.render(cell, Style(width=width)):
        assert cell_len(line.plain) <= width, line.plain


def test_large_and_small_are_shown_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where memory is short the output is judged area by area."""
    rng = np.random.default_rng(5)
    image = rng.integers(-9, 10, (2, 300, 310)).astype(np.float32)
    filters = rng.integers(-9, 10, (3, 2, 3, 3)).astype(np.float32)
    output = convolve(image, filters, Convention(padding=1)).copy()
    output[2, 200:220, 7] += 50
    paths = saved(tmp_path, image, filters, output)
    answers = [asked(capsys, *paths, *more) for more in ([], ["--memory", "96M"])]
    for _, document in answers:
        document.pop("elapsed_s")
    assert answers[0] == answers[1]
    assert answers[0][1]["cell"]["index"][0::2] == [2, 7]


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON, with the figures, held to the schema."""
    code = cli.run(["identify", *arguments, "--json", "--explain", "--picture"])
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    return code, document


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = cli.run(["identify", *arguments])
    assert code in (0, 1)
    return capsys.readouterr().out


WORKED = """\
  One cell of OUT worked out by the identified convention: OUT[0, 2, 3, 0]
  It is filter k = 0, row y = 2, column x = 3, of image 0 of the batch.
  Its window lies on rows 4, 5 and pad and columns 6, 7 and pad of IMG.
  Numbers in (round) brackets are padding: they are not in IMG.

  The window, and the filter as it is stored:
    x[0] = IMG[0, :, :, 0]   -5  -6 (0)    w[0] = W[:, :, 0, 0]   8 -2 4
                             -6  -3 (0)                          -6  7 5
                            (0) (0) (0)                           5 -3 7
    x[1] = IMG[0, :, :, 1]   -2  -3 (0)    w[1] = W[:, :, 1, 0]  -4 -9 9
                              5  -1 (0)                          -9  0 1
                            (0) (0) (0)                          -4  4 4
    x[2] = IMG[0, :, :, 2]    5   1 (0)    w[2] = W[:, :, 2, 0]   4 -7  2
                             -2   6 (0)                           7 -6  6
                            (0) (0) (0)                          -9 -1 -6

  Window times filter, nothing reversed:
"""
STRIP = """\
Along the rows: 6 of IMG, 1 of padding after; 3 windows of 3, one every 2.
  ██████▒  █ IMG  ▒ padding
  ▲ ▲ ▲    where each window starts
  ■■■      the first window
      ■■■  the last window
Along the columns: 8 of IMG, 1 of padding after; 4 windows of 3, one every 2.
  ████████▒  █ IMG  ▒ padding
  ▲ ▲ ▲ ▲    where each window starts
  ■■■        the first window
        ■■■  the last window
"""


def test_a_padded_corner_is_exactly_this(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, *SAME, "--at", "0,2,3")
    assert WORKED in out
    assert STRIP in out


def test_what_follows_the_sum_is_shown_step_by_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convention, image, filters, output = made("after the sums")
    paths = saved(tmp_path, image, filters, output)
    negative = np.argwhere(output == 0)[0]
    out = shown(capsys, *paths, "--at", ",".join(map(str, negative)))
    total = convolve(image, filters, convention.replace(scale=1.0, bias=None, activation=None))
    before = total[tuple(negative)] / 2
    bias = (3, -4)[negative[0]]
    assert f"    times the scale 0.5 = {before:g}\n" in out
    assert f"    plus the bias {bias} = {before + bias:g}\n" in out
    assert "    activation (ReLU) = 0\n" in out
    assert out.index("times the scale") < out.index("plus the bias") < out.index("activation (")
    assert "  OUT has 0 there: the same number.\n" in out


@pytest.mark.parametrize("name", ["tf32", "bfloat16"])  # float16 has the bits of tf32
def test_few_bits_are_judged_as_identify_judges_them(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(3)
    image, filters = (rng.normal(size=s).astype(np.float32) for s in [(3, 12, 11), (4, 3, 3, 2)])
    # As hardware does it: the operands in few bits, the sums in single precision.
    few = [round_to(array, name).astype(np.float32) for array in (image, filters)]
    output = convolve(*few, Convention()).astype(np.float32)
    document = json.loads(
        shown(capsys, *saved(tmp_path, image, filters, output), "--explain", "--json")
    )
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    cell = document["cell"]
    assert cell["rounded"]
    assert cell["agrees"]
    assert abs(cell["given"] - cell["value"]) <= cell["threshold"] < abs(cell["total"])
    text = shown(capsys, *saved(tmp_path, image, filters, output), "--explain")
    assert f"Both are rounded to {name} before they meet." in text


def saved(tmp_path: Path, *arrays: Array) -> list[str]:
    paths = [str(tmp_path / f"{name}.npy") for name in ("image", "filters", "out")]
    for path, array in zip(paths, arrays, strict=True):
        np.save(path, array)
    return paths


def test_without_a_difference_the_default_cell_has_padding_to_show(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "OUT[0, 2, 3, 0]\n" in shown(capsys, *SAME, "--explain")


@pytest.mark.parametrize(
    ("at", "expected"),
    rows_in(
        3,
        [
            ("4,0,0", "k from 0 to 3, y from 0 to 2, x from 0 to 3"),
            ("0,3,0", "k from 0 to 3, y from 0 to 2, x from 0 to 3"),
            ("1,0,0,0", "n from 0 to 0, k from 0 to 3, y from 0 to 2, x from 0 to 3"),
        ],
    ),
)
def test_a_cell_beside_the_output_is_refused(
    at: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["identify", *SAME, "--at", at]) == 2
    error = capsys.readouterr().err
    assert "the output has no such cell" in error
    assert expected in error


def test_no_such_filter() -> None:
    _, image, filters, output = made("plain")
    seen = agreement(image, filters, output, identify(image, filters, output))
    assert seen is not None
    with pytest.raises(InputError, match="no such filter"):
        agreement_map(seen, only=2)


@pytest.mark.slow
def test_the_nearest_miss_is_shown_as_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, image, filters, output = made("plain")
    other = np.random.default_rng(1).normal(size=output.shape)
    out = shown(capsys, *saved(tmp_path, image, filters, other), "--explain", "--picture")
    assert out.startswith("unexplained: ")
    assert "One cell of OUT worked out by the nearest miss: OUT[" in out
    assert "|OUT - the nearest miss| over the output, " in out


def test_the_first_of_several_is_shown_as_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, image, filters, _ = made("plain")
    image[2] = image[0]
    out = shown(
        capsys,
        *saved(tmp_path, image, filters, convolve(image, filters, Convention())),
        "--explain",
    )
    assert out.startswith("ambiguous: ")
    assert "One cell of OUT worked out by the first convention: OUT[" in out


# --- the map: every kind of damage is seen for what it is ---------------------------------------


def damaged(kind: str, value: float = 40) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """A case whose output is wrong in one place, and the place, (H, W)."""
    rng = np.random.default_rng(8)
    image = rng.integers(-9, 10, (3, 22, 31)).astype(np.float32)
    filters = rng.integers(-9, 10, (4, 3, 3, 2)).astype(np.float32)
    output = convolve(image, filters, Convention(flip=("H", "W")))
    place = np.zeros(output.shape[1:], bool)
    if kind == "ring":
        place[[0, -1]] = place[:, [0, -1]] = True
    elif kind == "row":
        place[7] = True
    elif kind == "tile":
        place[8:12, 16:24] = True
    elif kind == "corner":
        place[-2:, -3:] = True
    else:
        place.ravel()[rng.choice(place.size, 30, replace=False)] = True
    output[1, place] += value
    return image, filters, output, place


KINDS = ("ring", "row", "tile", "corner", "speckle")


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_seen_where_it_is(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, filters, output, place = damaged(kind)
    paths = saved(tmp_path, image, filters, output)
    out = shown(capsys, *paths, "--picture", "--color", "never")
    assert out.startswith("near-match: ")
    assert "|OUT - the near match| over the output, 20 rows by 30 columns, the worst of" in out
    # Without colour one character stands for two rows.
    rows = [
        "".join("█" if a or b else "·" for a, b in zip(*pair, strict=True))
        for pair in zip(place[::2], place[1::2], strict=True)
    ]
    assert "".join(f"  {row}\n" for row in rows) + "  0 ·░▒▓█ 40\n" in out


@pytest.mark.parametrize("kind", one_in(2, KINDS))
def test_damage_is_seen_in_half_blocks(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, filters, output, place = damaged(kind)
    paths = saved(tmp_path, image, filters, output)
    out = shown(capsys, *paths, "--picture", "--color", "always")
    cells = [
        "".join(
            f"\x1b[38;5;{230 if a else 236};48;5;{230 if b else 236}m▀"
            for a, b in zip(*pair, strict=True)
        )
        for pair in zip(place[::2], place[1::2], strict=True)
    ]
    drawn = [line for line in out.split("\n") if "▀" in line]
    assert [unstyled(line) for line in drawn] == ["  " + unstyled(cell) for cell in cells]
    assert [colours(line) for line in drawn] == [colours(cell) for cell in cells]


def unstyled(line: str) -> str:
    return "".join(part.partition("m")[2] for part in f"\x1b[m{line}".split("\x1b[")[1:])


def colours(line: str) -> list[str]:
    """The style of each half block of a line."""
    seen = []
    for part in line.split("\x1b[")[1:]:
        style, _, letters = part.partition("m")
        seen += [style] * letters.count("▀")
    return seen


def test_one_filter_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = saved(tmp_path, *damaged("tile")[:3])
    whole = "Nothing differs: every number is the same, to the last digit.\n"
    assert whole in shown(capsys, *paths, "--filter", "0")
    hit = shown(capsys, *paths, "--filter", "1")
    assert whole not in hit
    assert "columns, filter 1:\n" in hit
    assert "  0 ·░▒▓█ 40\n" in hit


def test_the_map_counts_what_the_answer_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, filters, output, place = damaged("speckle")
    paths = saved(tmp_path, image, filters, output)
    document = json.loads(shown(capsys, *paths, "--picture", "--explain", "--json"))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    (candidate,) = document["candidates"]
    cells = np.array(document["picture"]["cells"])
    assert np.array_equal(cells > 0, place)
    assert candidate["mismatched"] == place.sum()
    assert document["picture"]["largest"] == candidate["max_abs_diff"]
    # The cell that is worked out is the worst one.
    assert document["cell"]["index"] == candidate["worst_index"]
    assert document["cell"]["given"] - document["cell"]["value"] == 40
    assert document["cell"]["agrees"] is False


def test_the_verdict_on_a_wrong_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = saved(tmp_path, *damaged("corner")[:3])
    out = shown(capsys, *paths, "--explain")
    assert "One cell of OUT worked out by the near match: OUT[1, " in out
    assert "it differs, 40 apart, where rounding explains up to 0.\n" in out


def test_rounding_is_shown_as_a_share_of_what_it_may_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(8)
    image, filters = rng.normal(size=(3, 12, 14)), rng.normal(size=(4, 3, 3, 2))
    output = convolve(image, filters, Convention()).astype(np.float32)
    paths = saved(tmp_path, image.astype(np.float32), filters.astype(np.float32), output)
    out = shown(capsys, *paths, "--picture")
    assert "Nothing differs by more than rounding can explain.\n" in out
    assert "\nThe differences, in % of what it can:\n" in out
    (scale,) = [line for line in out.split("\n") if line.startswith("  0 ·░▒▓█ ")]
    assert scale.endswith(" %")
    assert 0 < float(scale.split()[2]) <= 100


@pytest.mark.parametrize("form", one_in(2, ["markdown", "html", "svg", "junit", "json"]))
def test_every_format_has_the_figures(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(capsys, *SAME, "--explain", "--picture", "--format", form).replace("&#160;", " ")
    if form == "json":
        document = json.loads(out)
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        assert document["cell"]["by"] == "the identified convention"
        assert document["windows"]["H"] == {
            "size": 6,
            "input_dilation": 1,
            "before": 0,
            "after": 1,
            "taps": 3,
            "dilation": 1,
            "stride": 2,
            "windows": 3,
        }
    else:
        assert "Window times filter, nothing reversed:" in out or form == "junit"
        assert "Along the rows: 6 of IMG" in out or form == "junit"


# --- the strip ----------------------------------------------------------------------------------


def test_a_plain_answer_has_no_strip() -> None:
    convention, image, filters, _ = made("plain")
    assert windows(convention, image, filters) is None
    for name in ("same, stride", "transposed", "a line"):
        convention, image, filters, output = made(name)
        axes = windows(convention, image, filters)
        assert axes is not None
        layout = convention.output_layout
        assert [axis.out for axis in axes] == [
            output.shape[layout.index(letter)] for letter in convention.spatial
        ]
