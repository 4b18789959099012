"""identify on arrays too large to be held: area by area it says what it says of the whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convcheck.checks import areas
from convcheck.checks.agreement import Agreement, InAreas, agreement, agreement_map
from convcheck.checks.areas import Area, shape_of
from convcheck.checks.audit import audit
from convcheck.checks.cell import work_out
from convcheck.checks.identify import IdentifyResult, identify, search, stages
from convcheck.checks.identify.exploration import ENOUGH
from convcheck.checks.identify.thin import Thin
from convcheck.checks.sums import Linear, Problem
from convcheck.checks.tiles import Plan, Tile
from convcheck.cli import run
from convcheck.cli.work import Bar
from convcheck.convention import Convention
from convcheck.engine import convolve, finish
from convcheck.errors import InputError

ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(7)
WAYS: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...], str]] = {
    "plain": ({"padding": 1}, (3, 41, 38), (4, 3, 3, 2), "float64"),
    "strided": (
        {"stride": [2, 1], "padding": [[0, 1], [1, 0]], "flip": ["H", "W"]},
        (3, 61, 39),
        (4, 3, 3, 2),
        "float32",
    ),
    "dilated groups": ({"dilation": [2, 1], "groups": 2}, (4, 40, 37), (6, 2, 3, 2), "float32"),
    "transposed": (
        {"input_dilation": 2, "padding": [[2, 3], [1, 2]], "flip": ["H", "W"]},
        (3, 21, 20),
        (4, 3, 3, 3),
        "float32",
    ),
    "reflect": ({"padding": 2, "padding_mode": "reflect"}, (3, 41, 38), (4, 3, 3, 3), "float32"),
    "wrap, BGR": (
        {"padding": 1, "padding_mode": "wrap", "channel_order": [2, 1, 0]},
        (3, 41, 38),
        (4, 3, 3, 2),
        "float64",
    ),
    "border, batch, NHWC": (
        {
            "image_layout": "NHWC",
            "output_layout": "NHWO",
            "filter_layout": "HWIO",
            "padding": 1,
            "padding_value": 3.0,
        },
        (4, 39, 42, 3),
        (3, 2, 3, 4),
        "float32",
    ),
    "bias, relu": (
        {"bias": [40, -70, 0, 9], "activation": "relu", "padding": 1},
        (3, 41, 38),
        (4, 3, 3, 2),
        "float32",
    ),
    "float16": ({"arithmetic": "float16", "padding": 1}, (3, 41, 38), (4, 3, 3, 2), "float16"),
    "saturated": (
        {"scale": 0.125, "bias": [30, 0, 99, 5], "arithmetic": "saturate:uint8"},
        (3, 43, 40),
        (4, 3, 3, 2),
        "uint8",
    ),
    "wrapped": ({"arithmetic": "wrap:int8"}, (3, 43, 40), (4, 3, 3, 2), "int8"),
}
SIZES = [(1, 4, 1, 99), (2, 1, 7, 5)]


def case(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    keys, image_shape, bank_shape, dtype = WAYS[name]
    image = RNG.integers(-9, 10, image_shape).astype(np.float32)
    bank = RNG.integers(-9, 10, bank_shape).astype(np.float32)
    return image, bank, convolve(image, bank, Convention(**keys)).astype(dtype)


def cut(shape: tuple[int, ...], sizes: tuple[int, ...], groups: int) -> tuple[Tile, ...]:
    """An output (N,O,H,W) in areas of these sizes, each within a group."""
    each = shape[1] // groups
    axes = [
        [(first, min(size, n - first)) for first in range(0, n, size)]
        for n, size in zip(shape, sizes, strict=True)
    ]
    axes[1] = [
        (g * each + first, min(sizes[1], each - first))
        for g in range(groups)
        for first in range(0, each, sizes[1])
    ]
    return tuple(
        Tile(tuple(a for a, _ in part), tuple(n for _, n in part)) for part in product(*axes)
    )


def in_areas(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...] | None, order: int = 1
) -> None:
    """From now on whatever is judged is judged in areas."""
    monkeypatch.setattr(areas, "WHOLE_BYTES", 0)
    if sizes is not None:
        grid = areas.grid

        def ours(c: Convention, channels: int, bank: Any, shape: Any, **keys: Any) -> Plan:
            tiles = cut(tuple(shape), sizes, c.groups)[::order]
            return replace(grid(c, channels, bank, shape, **keys), tiles=tiles)

        monkeypatch.setattr(areas, "grid", ours)


def said(result: IdentifyResult) -> str:
    """All that a result says, but for how long it took, to twelve digits."""
    text = repr(replace(result, elapsed=0.0))
    return re.sub(r"\d+\.\d+(e-?\d+)?", lambda found: f"{float(found[0]):.12g}", text)


@pytest.mark.parametrize("name", WAYS)
def test_what_is_said_in_areas_is_what_is_said_of_the_whole(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = case(name)
    whole = identify(*arrays)
    assert whole.verdict == "identified", whole
    for sizes in (None, *SIZES):
        with monkeypatch.context() as patch:
            in_areas(patch, sizes)
            assert said(identify(*arrays)) == said(whole)


@pytest.mark.parametrize(
    ("name", "where", "words"),
    [
        ("strided", (1, 2, 3), "one element, in output channel 1, at row 2, column 3"),
        ("float16", (slice(None), 8), "row 8"),
        ("plain", (2, slice(11, 14), slice(20, 29)), "a tile, rows 11 to 13 and columns 20 to 28"),
        ("float16", (2, slice(11, 14), slice(20, 29)), "a tile, rows 11 to 13 and columns 20 to"),
        ("strided", (3,), "all of output channel 3"),
        ("plain", (slice(None), slice(None), slice(0, 1)), "column 0"),
    ],
    ids=["element", "row", "tile", "tile of few bits", "channel", "column"],
)
def test_damage_is_placed_in_the_same_words(
    name: str, where: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, bank, output = case(name)
    output[where] += RNG.integers(40, 99, output[where].shape).astype(output.dtype)
    whole = identify(image, bank, output)
    for order, sizes in ((1, None), (1, SIZES[0]), (-1, SIZES[1])):
        with monkeypatch.context() as patch:
            in_areas(patch, sizes, order)
            result = identify(image, bank, output)
        assert result.verdict == "near-match"
        assert (result.candidates[0].where or "").startswith(words)
        if where != (3,):  # what a bias explains of a whole channel by chance, a part may not see
            assert said(result) == said(whole)


def test_a_nearest_miss_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image, bank, output = case("plain")
    output = output + RNG.standard_normal(output.shape) * output.std() / 4
    whole = identify(image, bank, output)
    assert whole.verdict == "unexplained"
    in_areas(monkeypatch, (1, 3, 5, 99))
    result = identify(image, bank, output)
    assert whole.nearest is not None
    assert result.nearest is not None
    for key in ("convention", "mismatched", "total", "where"):
        assert getattr(result.nearest, key) == getattr(whole.nearest, key)
    for key in ("correlation", "scale", "max_abs_diff"):
        assert getattr(result.nearest, key) == pytest.approx(getattr(whole.nearest, key))


def test_data_that_several_conventions_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _, _ = case("plain")
    bank = np.repeat(RNG.integers(-9, 10, (4, 3, 3, 1)), 2, axis=3).astype(np.float32)
    output = convolve(image, bank, Convention(padding=1))
    whole = identify(image, bank, output, expect={"flip": ("W",)})
    assert whole.verdict == "ambiguous"
    assert whole.expect_met
    in_areas(monkeypatch, (1, 4, 5, 9))
    assert said(identify(image, bank, output, expect={"flip": ("W",)})) == said(whole)


def test_numbers_of_which_a_part_of_the_output_says_too_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Quantized with numbers of no few digits, and a channel that ReLU left little of."""
    image = RNG.integers(0, 256, (3, 150, 160)).astype(np.uint8)
    bank = RNG.standard_normal((4, 3, 3, 2))
    sums = convolve(image, bank, Convention())
    in_areas(monkeypatch, None)
    scale, bias = 0.0871234567, np.array([101.23456, 87.654321, 140.01357, 120.97531])
    c = Convention(scale=scale, bias=bias.tolist(), arithmetic="saturate:uint8")
    found = identify(image, bank, finish(sums[None], c)[0])
    assert found.verdict == "identified"
    assert found.candidates[0].comparison.mismatched == 0
    alive = np.sort(sums[1], axis=None)[-6]
    c = Convention(bias=[3, -float(np.rint(alive)), 0, 1], activation="relu")
    found = identify(image, bank, finish(sums[None], c)[0].astype(np.float32))
    assert found.verdict == "identified"
    assert found.candidates[0].convention.activation == "relu"


def test_elements_that_are_not_finite_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    image, bank, output = case("strided")
    output[1, 3, 5], output[2, 20, 9:] = np.nan, np.inf
    whole = identify(image, bank, output, ignore_nonfinite=True)
    assert "the first at (1, 3, 5)" in whole.warnings[0]
    in_areas(monkeypatch, SIZES[1])
    assert said(identify(image, bank, output, ignore_nonfinite=True)) == said(whole)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("damaged", [False, True])
def test_what_is_shown_in_areas_is_what_is_shown_of_the_whole(
    name: str, damaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, bank, output = case(name)
    if damaged:
        output[..., 2, 8, 1] = 100
    result = identify(image, bank, output)
    whole = agreement(image, bank, output, result)
    in_areas(monkeypatch, SIZES[1], -1)
    parts = agreement(image, bank, output, result)
    assert isinstance(whole, Agreement)
    assert isinstance(parts, InAreas)
    for only in (None, 2):
        assert agreement_map(parts, only=only) == agreement_map(whole, only=only)
    for at in (None, (1, 0, 5)):
        cells = [work_out(image, bank, output, seen, at) for seen in (parts, whole)]
        if name == "saturated":  # where all of a part is as it is rounded, its threshold is zero
            cells = [replace(cell, threshold=0.0) for cell in cells]
        assert repr(cells[0]) == repr(cells[1])


@pytest.mark.parametrize("name", WAYS)
def test_an_area_is_a_part_of_the_whole(name: str) -> None:
    image, bank, output = case(name)
    c = Convention(**WAYS[name][0])
    problem = Problem.of(image, bank, output)
    whole = Linear(problem, c)
    shape = whole.values.shape
    assert shape_of(problem, c) == shape
    thin = Thin(problem, c, shape)
    some = [Tile((0, 0, 0, 0), (1, 1, 1, shape[3])), *cut(shape, (2, 2, 19, 30), c.groups)]
    for tile in some:
        area = Area(problem, c, tile)
        for key in ("values", "magnitude", "edge"):
            assert np.array_equal(getattr(area, key), area.cut(getattr(whole, key)))
        assert np.array_equal(area.interior, whole.interior[area.part[2:]])
    assert np.array_equal(thin.values, thin.cut(whole.values))
    assert np.array_equal(thin.magnitude, thin.cut(whole.magnitude))
    assert thin.border == np.count_nonzero(~whole.interior)


@pytest.mark.parametrize("groups", [1, 4, 64])
def test_a_grid_covers_every_element_once(groups: int) -> None:
    shape = (2, 64, 300, 517)
    c = Convention(groups=groups, stride=[1, 2], dilation=[2, 1])
    plan = areas.grid(c, 64, (64, 64 // groups, 5, 3), shape)
    seen = np.zeros(shape, np.uint8)
    for tile in plan.tiles:
        seen[tuple(slice(a, a + n) for a, n in zip(tile.first, tile.sizes, strict=True))] += 1
    assert (seen == 1).all()
    assert plan.bytes_each <= areas.TILE_BYTES


def test_an_audit_in_areas_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image, bank, _ = case("reflect")
    bank = (bank + bank[..., ::-1]) / 3
    keys = WAYS["reflect"][0]
    whole = audit(image, bank, keys, propose=False)
    assert whole.verdict == "blind-spots"
    in_areas(monkeypatch, (1, 3, 5, 99))
    assert repr(audit(image, bank, keys, propose=False)) == repr(whole)


def test_a_search_in_small_parts_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image, bank = (case("plain")[i] for i in (0, 1))
    image = image[:, :7, :6]
    output = convolve(image, bank, Convention(padding=[[0, 2], [1, 0]], padding_mode="wrap"))
    output = np.roll(output, (4, 3), axis=(1, 2))
    whole = identify(image, bank, output)
    assert whole.candidates
    monkeypatch.setattr(search, "REGION", 300)
    monkeypatch.setattr(stages, "ROLLS", 0)
    parts = identify(image, bank, output)
    assert parts.verdict == whole.verdict
    # A roll by a period less is the same.
    for one, other in zip(parts.candidates, whole.candidates, strict=True):
        drawn = np.random.default_rng(1).integers(-9, 10, image.shape)
        assert np.array_equal(*(convolve(drawn, bank, c.convention) for c in (one, other)))


def test_ctrl_c_says_what_was_judged_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = case("plain")
    for name, array in zip("xwy", arrays, strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    in_areas(monkeypatch, (1, 4, 10, 99))
    done = []

    def advance(bar: Bar) -> None:
        done.append(bar)
        if len(done) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "advance", advance)
    assert run(["identify", *(str(tmp_path / f"{name}.npy") for name in "xwy")]) == 130
    out, err = capsys.readouterr()
    judged = 2 * 4 * 10 * arrays[2].shape[-1]
    assert out == ""
    assert (
        f"interrupted; partial: of {arrays[2].size:,} elements {judged:,} were judged, all are so: "
        "OUT is the cross-correlation of IMG" in err
    )


LIMITED = """
import resource, sys
import numpy as np
from convcheck import identify
from convcheck.cli import main
files = sys.argv[1:4]
few = [np.load(file)[..., :40, :40] for file in files]
identify(*few)  # what is imported takes address space too
mapped = 4 * 8 * 1500 * 1500 + 3 * 1500 * 1500
with open("/proc/self/status") as status:
    taken = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmSize"))
allowed = taken + mapped + (int(sys.argv[4]) << 20)
resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
main(["identify", *files, "-v", "--jobs", "1"])
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("damaged", [False, True])
def test_memory_does_not_grow_with_the_output(damaged: bool, tmp_path: Path) -> None:
    """The sums alone would take 137 MiB, as a whole an output takes a dozen times that."""
    image = RNG.integers(0, 256, (3, 1500, 1500), np.uint8)
    bank = RNG.standard_normal((8, 3, 3, 3)).astype(np.float32)
    output = convolve(image, bank, Convention(padding=1)).astype(np.float32)
    if damaged:
        output[5, 300:400, 1000:1200] = 7
    for name, array in (("img", image), ("w", bank), ("out", output)):
        np.save(tmp_path / name, array)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "img.npy", "w.npy", "out.npy", "128"],
        env=os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == int(damaged), done.stderr[-2000:]
    assert re.search(r"plan: \d+ tiles of up to 28 MiB, 1 worker, at most 256 MiB", done.stderr)
    assert done.stdout.startswith("near-match" if damaged else "identified")
    if damaged:
        assert "a tile, rows 300 to 399 and columns 1000 to 1199 of" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("stored", ["npy", "npz"])
def test_the_report_is_the_same_whatever_the_jobs(stored: str, tmp_path: Path) -> None:
    """Files are opened by the workers themselves; what is in an archive stays in one process."""
    image = RNG.integers(0, 256, (600, 500, 3), np.uint8)
    bank = RNG.standard_normal((8, 3, 3, 3)).astype(np.float32)
    output = convolve(image, bank, Convention("HWC", padding=1)).astype(np.float32)
    output[5, 30:40, 100:120] = 7
    names = []
    for name, array in (("img", image), ("w", bank), ("out", output)):
        names.append(f"{name}.{stored}")
        if stored == "npy":
            np.save(tmp_path / name, array)
        else:
            np.savez(tmp_path / name, array)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    reports = []
    for jobs in "12":
        done = subprocess.run(
            [sys.executable, "-m", "convcheck", "identify", *names, "--json", "-v", "--jobs", jobs],
            env=os.environ | {"PYTHONPATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 1, done.stderr[-2000:]
        workers = "2 workers" if (stored, jobs) == ("npy", "2") else "1 worker,"
        assert workers in done.stderr
        reports.append(re.sub(r'"elapsed_s": [^,]*,|"replay": [^\n]*', "", done.stdout))
    assert reports[0] == reports[1]
    assert '"near-match"' in reports[0]


def test_memory_that_is_allowed() -> None:
    image = RNG.integers(0, 256, (3, 300, 300), np.uint8)
    bank = RNG.integers(-9, 9, (8, 3, 3, 3))
    output = convolve(image, bank)
    with pytest.raises(InputError, match="one tile does not fit") as caught:
        identify(image, bank, output, memory=70 << 20)
    least = int(re.findall(r"--memory (\d+)MiB", str(caught.value.hint))[0])
    plans: list[Plan] = []
    searches: list[tuple[int, int]] = []

    class Told:
        def begin(self, plan: Plan) -> None:
            plans.append(plan)

        def advance(self) -> None:
            pass

        def searched(self, hypotheses: int, most: int) -> None:
            searches.append((hypotheses, most))

    small, usual = (
        identify(image, bank, output, memory=memory, progress=Told())
        for memory in (least << 20, None)
    )
    assert {plan.memory for plan in plans} == {least << 20}  # judged as a whole by default
    assert searches[-1] == (usual.hypotheses, ENOUGH)
    assert replace(small, elapsed=0) == replace(usual, elapsed=0)
