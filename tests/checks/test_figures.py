"""--explain, --impulse and --picture: their numbers, and what is seen of them."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.cells import cell_len

from convcheck import cli
from convcheck.checks.compare import compare, rows_of
from convcheck.checks.explain import explain, follow_impulse, impulse_like, worst_cell
from convcheck.checks.picture import DifferenceMap, difference_map, gather
from convcheck.convention import NAMED, named
from convcheck.engine import convolve
from convcheck.errors import InputError
from convcheck.render import explain as render_explain
from convcheck.render import picture as render_picture
from convcheck.render.report import Style
from convcheck.render.terminal import to_string

ROOT = Path(__file__).resolve().parents[2]
QUESTION = [str(ROOT / f"fixtures/question/{name}.npy") for name in ("image", "filters")]
FLIPS = {name: convention.flip for name, convention in NAMED.items()}
SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/compare.json").read_text())
Map = NDArray[np.float64]


def question() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return np.load(QUESTION[0]), np.load(QUESTION[1])


# --- --explain ----------------------------------------------------------------------------------


def test_the_worked_cell_is_the_cell_of_the_whole_result() -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(4, 7, 8)), rng.normal(size=(2, 4, 3, 2))
    for at in [(0, 0, 0), (1, 4, 6), (1, 2, 3)]:
        found = explain(x, w, FLIPS, at)
        for working in found.workings:
            whole = convolve(x, w, NAMED[working.name])
            assert working.total == pytest.approx(whole[at], rel=1e-12)
            products = np.array(found.window) * np.array(working.applied)
            assert np.array_equal(products, working.products)
            for c, partner in enumerate(working.partners):
                assert partner == (3 - c if working.name == "flipped" else c)
                assert sorted(np.ravel(working.applied[c])) == sorted(np.ravel(w[at[0], partner]))
        agreeing = [working.name for working in found.workings if found.matches(working)]
        assert agreeing == ["flipped"]


def test_the_default_cell_is_the_worst_one() -> None:
    assert worst_cell(compare(*question())) == (0, 3, 3)


# Images and filters of 1, 2 and 3 spatial axes.
RANKS = {1: ((3, 17), (2, 3, 5)), 2: ((3, 7, 8), (2, 3, 3, 2)), 3: ((3, 5, 6, 7), (2, 3, 2, 3, 2))}


def of_rank(rank: int) -> tuple[Map, Map, dict[str, tuple[str, ...]]]:
    rng = np.random.default_rng(rank)
    image, filters = RANKS[rank]
    return rng.normal(size=image), rng.normal(size=filters), rows_of(rank)


@pytest.mark.parametrize("rank", RANKS)
def test_a_cell_of_any_rank_is_that_of_the_whole_result(rank: int) -> None:
    x, w, flips = of_rank(rank)
    at = (1, *(1 for _ in range(rank)))
    found = explain(x, w, flips, at, rank)
    blocks = np.array(found.stored)
    # Row by row in 1-D, slice by slice in 3-D.
    assert np.array_equal(np.ravel(blocks), np.ravel(w[1]))
    assert blocks.ndim == 3
    assert len(blocks) == 3 * found.slices
    for working in found.workings:
        assert working.total == pytest.approx(convolve(x, w, named(working.name, rank))[at])
        assert np.array_equal(np.array(found.window) * np.array(working.applied), working.products)
        for i, partner in enumerate(working.partners):
            assert sorted(np.ravel(working.applied[i])) == sorted(np.ravel(found.stored[partner]))
    assert [w.name for w in found.workings if found.matches(w)] == ["flipped"]
    said = to_string(render_explain.render(found, Style()), Style())
    assert f"({', '.join('k' + 'zyx'[-rank:])}) = (1" in said
    assert ("slice by slice" in said) == (rank == 3)


@pytest.mark.parametrize("rank", RANKS)
def test_an_impulse_of_any_rank_gives_the_filter_back(rank: int) -> None:
    x, w, flips = of_rank(rank)
    found = follow_impulse(impulse_like(x), w, flips, rank=rank)
    assert np.array_equal(np.ravel(found.reference), np.ravel(w[0, 2]))
    assert np.array_equal(np.ravel(found.outputs["per-channel"]), np.ravel(w[0, 0]))
    reversed_kernel = np.flip(w[0, 0], tuple(range(rank)))
    assert np.array_equal(np.ravel(found.outputs["correlation"]), np.ravel(reversed_kernel))
    said = to_string(render_explain.render_impulse(found, Style()), Style())
    assert "w[0], as stored" in said
    assert "w[0], reversed" in said


@pytest.mark.parametrize("at", [(0, 4, 0), (1, 0, 0), (0, 0, 4), (0, 0), (0, 0, 0, 0)])
def test_a_cell_beside_the_output_is_refused(at: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="no such cell") as caught:
        explain(*question(), FLIPS, at)
    assert caught.value.expected == "k from 0 to 0, y from 0 to 3, x from 0 to 3"


def test_the_worked_cell_is_exactly_this(tmp_path: Path) -> None:
    out = tmp_path / "report.txt"
    assert cli.run(["compare", *QUESTION, "--at", "0,1,0", "-o", str(out)]) == 0
    text = out.read_text()
    assert text[text.index("  One output cell") :] == (
        "  One output cell worked out: (k, y, x) = (0, 1, 0)\n"
        "  The window is x[:, 1:3, 0:2]; the filter is w, as it is stored:\n" + EXPLAINED
    )


EXPLAINED = """\

    x[0]   0 8      w[0]   4 7
           5 5             5 1
    x[1]   3 4      w[1]   4 8
           2 5             0 7
    x[2]   9 7      w[2]   1 5
           1 3             6 6

  per-channel: rows, columns reversed
    x[0] w[0]  0 8 × 1 5 =  0 40
               5 5   7 4   35 20   sum 95
    x[1] w[1]  3 4 × 7 0 = 21  0
               2 5   8 4   16 20   sum 57
    x[2] w[2]  9 7 × 6 6 = 54 42
               1 3   5 1    5  3   sum 104
    total 95 + 57 + 104 = 256   (scipy: 198)

  flipped: channels, rows, columns reversed
    x[0] w[2]  0 8 × 6 6 =  0 48
               5 5   5 1   25  5   sum 78
    x[1] w[1]  3 4 × 7 0 = 21  0
               2 5   8 4   16 20   sum 57
    x[2] w[0]  9 7 × 1 5 = 9 35
               1 3   7 4   7 12   sum 63
    total 78 + 57 + 63 = 198   (as scipy)

  correlation: nothing reversed
    x[0] w[0]  0 8 × 4 7 =  0 56
               5 5   5 1   25  5   sum 86
    x[1] w[1]  3 4 × 4 8 = 12 32
               2 5   0 7    0 35   sum 79
    x[2] w[2]  9 7 × 1 5 = 9 35
               1 3   6 6   6 18   sum 68
    total 86 + 79 + 68 = 233   (scipy: 198)

  Why scipy pairs channel c with C-1-c: an N-D convolution adds the products
  x[i] w[j] whose indices add up to the same number, i + j = n, on every axis.
  Filter and image have C channels each, so one n alone uses all of them, and
  'valid' keeps only that: n = C-1 = 2. So image channel c meets channel C-1-c:
    0 + 2 = 1 + 1 = 2 + 0 = 2
"""


@pytest.mark.parametrize("shape", ["3x5x5", "5x40x90", "1x9x9", "64x9x9"])
@pytest.mark.parametrize("values", ["ints", "normal"])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_80_columns_are_enough(shape: str, values: str, dtype: str, tmp_path: Path) -> None:
    out = tmp_path / "report.txt"
    case = ["random", "--shape", shape, "--kernel", "5x5", "--dtype", dtype, "--seed", "2"]
    cli.run([*case, "--values", values, "--explain", "-o", str(out)])
    text = out.read_text()
    lines = text[text.index("  One output cell") : text.index("Seed 2.")].split("\n")
    totals = [line for line in lines if line.startswith("    total")]
    assert len(totals) == 3
    limit = 80 if dtype == "float32" else 130
    assert max(cell_len(line) for line in lines if line not in totals) <= limit
    assert "…" in "".join(lines), "what is left out is marked"


def test_one_channel_has_nothing_to_pair(tmp_path: Path) -> None:
    x, w = question()
    found = explain(x[0], w[0], FLIPS, (0, 0, 0))
    said = to_string(render_explain.render(found, Style()), Style())
    assert "With one channel there is nothing to pair" in said


# --- --impulse ----------------------------------------------------------------------------------


def test_an_impulse_gives_the_filter_back() -> None:
    x, w = question()
    found = follow_impulse(impulse_like(x), w, FLIPS)
    assert found.at == (0, 2, 2)
    assert np.array_equal(found.reference, w[2:])
    assert np.array_equal(found.outputs["flipped"], w[2:])
    assert np.array_equal(found.outputs["per-channel"], w[:1])
    assert np.array_equal(found.outputs["correlation"], w[:1, ::-1, ::-1])


def test_impulse_is_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["random", "--shape", "3x5x5", "--impulse", "--seed", "3"])
    out = capsys.readouterr().out
    assert "    correlation          6 7   w[0], reversed\n" in out
    assert out.endswith("  convcheck random --shape 3x5x5 --filters 1x3x2x2 --impulse --seed 3\n")


def test_an_image_too_small_for_the_whole_filter() -> None:
    x, w = np.ones((1, 3, 3)), np.arange(9.0).reshape(1, 3, 3)
    found = follow_impulse(impulse_like(x), w, FLIPS)
    assert found.reference == (((4.0,),),)


# --- --picture ----------------------------------------------------------------------------------


def drawn(difference: Map, style: Style | None = None) -> list[str]:
    style = style or Style()
    shown = gather([(0, difference)], difference.shape, name="x")
    return [line.plain[2:] for line in render_picture.render(shown, style)[2:-1]]


def zeros(height: int = 40, width: int = 60) -> Map:
    return np.zeros((height, width))


def test_a_border_ring() -> None:
    difference = zeros() + 1.0
    difference[2:-2, 2:-2] = 0
    lines = drawn(difference)
    assert lines[0] == lines[-1] == "█" * 60
    assert all(line == "██" + "·" * 56 + "██" for line in lines[1:-1])


def test_one_row() -> None:
    difference = zeros()
    difference[13] = 5
    lines = drawn(difference)
    assert [i for i, line in enumerate(lines) if "█" in line] == [6]
    assert lines[6] == "█" * 60


def test_a_tile() -> None:
    difference = zeros()
    difference[10:20, 30:45] = 2
    lines = drawn(difference)
    assert {i for i, line in enumerate(lines) if "█" in line} == set(range(5, 10))
    assert all(line == "·" * 30 + "█" * 15 + "·" * 15 for line in lines[5:10])


def test_one_corner() -> None:
    difference = zeros()
    difference[-1, -1] = 1e-9
    lines = drawn(difference)
    assert lines[-1] == "·" * 59 + "█"
    assert "█" not in "".join(lines[:-1])


def test_speckle_survives_a_map_that_is_much_smaller() -> None:
    difference = zeros(1000, 1000)
    difference[::97, ::101] = 1
    difference[500, 777] = 1000
    lines = drawn(difference)
    assert len(lines) == 24
    assert max(map(len, lines)) <= 76
    assert "".join(lines).count("█") == 1
    assert "".join(lines).count("░") >= 90


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("unicode", [True, False])
def test_a_map_is_no_wider_than_the_terminal(width: int, color: bool, unicode: bool) -> None:
    difference = np.arange(300.0 * 500).reshape(300, 500)
    style = Style(width=width, color=color, unicode=unicode)
    shown = gather([(0, difference)], difference.shape, name="x")
    for line in render_picture.render(shown, style)[2:-1]:
        assert cell_len(line.plain) <= width
        assert unicode or line.plain.isascii()


def test_half_blocks_hold_two_rows() -> None:
    shown = DifferenceMap("x", 0, (2, 20), ((1.0, *[0.0] * 19), (0.0, *[1.0] * 19)))
    line = render_picture.render(shown, Style(color=True))[2]
    assert line.plain == "  " + "▀" * 20
    styles = [str(span.style) for span in line.spans]
    assert styles[:2] == ["color(230) on color(236)", "color(236) on color(230)"]


def test_bands_in_any_order_give_the_same_map() -> None:
    difference = np.random.default_rng(1).random((131, 97))
    whole = gather([(0, difference)], (131, 97), name="x")
    parts = [(first, difference[first : first + 7]) for first in range(0, 131, 7)]
    assert gather(reversed(parts), (131, 97), name="x") == whole
    assert whole.largest == difference.max()


@pytest.mark.parametrize("method", ["direct", "fft"])
def test_the_map_agrees_with_the_comparison(method: str) -> None:
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(3, 30, 20)), rng.normal(size=(4, 3, 3, 2))
    result = compare(x, w, method=method)
    for row in result.decompositions:
        shown = difference_map(x, w, row.flip, name=row.name, method=method)
        seen = row.comparison
        assert shown.largest == pytest.approx(0 if row.matches else seen.max_abs_diff, rel=1e-9)
        if not row.matches:
            _, y, left = seen.worst_index
            assert shown.cells[y][left] == shown.largest
    one = difference_map(x, w, (), name="correlation", method=method, only=1)
    assert one.filter == 1


def test_a_signal_is_one_row() -> None:
    x, w, flips = of_rank(1)
    result = compare(x, w, rank=1)
    shown = difference_map(x, w, flips["correlation"], name="correlation", method="direct", rank=1)
    assert shown.shape == (1, 13)
    _, place = next(
        row.comparison.worst_index for row in result.decompositions if row.name == "correlation"
    )
    assert shown.cells[0][place] == shown.largest
    title = "".join(line.plain for line in render_picture.render(shown, Style())[:2])
    assert "13 in a row" in title


def test_a_volume_shows_its_worst_slice_and_says_so() -> None:
    x, w, flips = of_rank(3)
    result = compare(x, w)
    shown = difference_map(x, w, flips["correlation"], name="correlation", method=result.method)
    _, z, y, left = next(
        row.comparison.worst_index for row in result.decompositions if row.name == "correlation"
    )
    assert (shown.slice, shown.shape) == ((z, 4), (4, 6))
    assert shown.cells[y][left] == shown.largest
    title = "".join(line.plain for line in render_picture.render(shown, Style())[:2])
    assert f"slice {z} of 4, which has the largest" in title
    nothing = difference_map(x, w, flips["flipped"], name="flipped", method=result.method)
    assert (nothing.slice, nothing.largest) == ((0, 4), 0)


def test_no_such_filter() -> None:
    with pytest.raises(InputError, match="no such filter"):
        difference_map(*question(), (), name="correlation", method="direct", only=1)


def test_a_match_has_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["compare", *QUESTION, "--picture", "--expect", "flipped"])
    assert "Nothing differs by more than rounding can explain." in capsys.readouterr().out


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "complex64", "int8"])
@pytest.mark.parametrize(
    "shapes", [["3x6x7"], ["3x16", "--kernel", "4"], ["2x5x6x7", "--kernel", "2x3x2"]], ids=str
)
def test_the_json_holds_to_its_schema(
    dtype: str, shapes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    case = ["random", "--shape", *shapes, "--impulse", "--count", "2", "--dtype", dtype]
    cli.run([*case, "--seed", "1", "--explain", "--picture", "--json"])
    document = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert {"explanation", "impulse", "picture"} <= set(document)


@pytest.mark.parametrize(
    "wrong",
    [
        *(["--at", cell] for cell in ("1", "1,2,3,4,5", "a,b,c", "-1,0,0")),
        ["--filter", "-1"],
    ],
)
def test_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["compare", *QUESTION, *wrong]) == 2
    assert "convcheck: error: Invalid value" in capsys.readouterr().err
