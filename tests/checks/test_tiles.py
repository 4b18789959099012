"""Tiles: whatever they are, the report is the same, and so is the memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import reduce
from itertools import pairwise, product
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from few import one_in, slow
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.checks import compare as home
from convcheck.checks import tiles
from convcheck.checks.compare import compare
from convcheck.checks.one_tile import Part
from convcheck.checks.tiles import MIB, Tile, plan
from convcheck.comparison import compare as judge
from convcheck.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
CONVCHECK = (sys.executable, "-m", "convcheck")


def cut(shape: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[Tile, ...]:
    """The output in tiles of these sizes; what is left over at the ends is smaller."""
    axes = [
        [(first, min(size, n - first)) for first in range(0, n, size)]
        for n, size in zip(shape, sizes, strict=True)
    ]
    return tuple(
        Tile(tuple(first for first, _ in tile), tuple(size for _, size in tile))  # type: ignore[arg-type]
        for tile in product(*axes)
    )


def numbers(seed: int, shape: tuple[int, ...], kind: str) -> Any:
    rng = np.random.default_rng(seed)
    digits = rng.integers(-9, 10, shape)
    if kind == "complex":
        return digits + 1j * rng.integers(-9, 10, shape)
    if kind == "large":
        return digits * 2**44 + 1
    return np.abs(digits).astype(np.uint8) if kind == "bytes" else digits * 0.125


def to_twelve_digits(result: Any) -> str:
    return re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.12g}", repr(result))


@pytest.mark.parametrize("kind", one_in(3, ["bytes", "eighths", "complex", "large"]))
@pytest.mark.parametrize(
    "sizes",
    [(1, 1, 19), slow((5, 1, 1)), (2, 3, 7), (3, 2, 2), (5, 13, 5), (4, 5, 19)],
    ids=["one row", "one element", "odd", "smaller than the halo", "columns", "rows"],
)
def test_tiled_is_untiled_to_the_last_bit(
    kind: str, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, filters = numbers(1, (3, 17, 22), kind), numbers(2, (5, 3, 5, 4), "eighths")
    if kind == "large":
        filters = (filters * 8).astype(np.int64)
    whole = compare(image, filters, all_flips=True, method="direct")
    monkeypatch.setattr(
        home, "plan", lambda *a, **k: replace(plan(*a, **k), tiles=cut(whole.shape, sizes))
    )
    tiled = compare(image, filters, all_flips=True, method="direct")
    if kind in ("bytes", "eighths"):
        assert repr(tiled) == repr(whole)
    else:
        # The magnitudes of complex and of 64-bit numbers are rounded, here and there otherwise.
        assert to_twelve_digits(tiled) == to_twelve_digits(whole)
    by_fft = compare(image, filters, all_flips=True, method="fft")
    assert [d.matches for d in by_fft.decompositions] == [d.matches for d in whole.decompositions]


def test_the_order_of_the_tiles_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    image, filters = rng.standard_normal((3, 30, 31)), rng.standard_normal((4, 3, 3, 3))
    seen = set()
    for order in (1, -1):
        monkeypatch.setattr(
            home,
            "plan",
            lambda *a, order=order, **k: replace(
                plan(*a, **k), tiles=cut((4, 28, 29), (3, 9, 10))[::order]
            ),
        )
        seen.add(repr(compare(image, filters, method="fft")))
    assert len(seen) == 1


# --- the plan -----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(*(st.integers(1, 40),) * 4),
    kernel=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    tile=st.sampled_from([0, 10 * MIB, 11 * MIB]),
    jobs=st.integers(1, 9),
    memory=st.integers(96, 900),
)
def test_a_plan_covers_every_element_once_and_keeps_to_its_memory(
    size: tuple[int, int, int, int],
    kernel: tuple[int, int],
    tile: int,
    jobs: int,
    memory: int,
) -> None:
    count, channels, height, width = size
    seen = np.zeros((count, height, width), int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE_BYTES", tile)
        made = plan(
            (channels, height + kernel[0] - 1, width + kernel[1] - 1),
            (count, channels, *kernel),
            8,
            memory=memory << 20,
            jobs=jobs,
        )
    for part in made.tiles:
        seen[tuple(slice(a, a + n) for a, n in zip(part.first, part.sizes, strict=True))] += 1
    assert (seen == 1).all()
    assert 1 <= made.jobs <= min(jobs, len(made.tiles))
    taken = tiles.PROCESS_BYTES + made.jobs * (tiles.PROCESS_BYTES + made.bytes_each)
    assert made.jobs == 1 or taken <= memory << 20


def test_the_grid_is_the_same_whatever_the_memory_and_the_workers() -> None:
    shapes = (3, 2000, 3000), (20, 3, 5, 5)
    grids = {
        plan(*shapes, 3, memory=memory, jobs=jobs).tiles
        for memory in (None, 128 << 20, 4 << 30)
        for jobs in (1, 2, 64)
    }
    assert len(grids) == 1
    assert plan(*shapes, 3, memory=4 << 30, jobs=9).jobs == 9
    assert plan(*shapes, 3, memory=128 << 20, jobs=9).jobs == 1
    assert plan(*shapes, 3, memory=128 << 20, jobs=9, remote=True).jobs == 9


@pytest.mark.parametrize(
    ("image", "bank", "sharing", "halo"),
    [
        ((3, 600, 700), (8, 3, 5, 5), 8, 1.1),
        ((3, 600, 700), (64, 3, 5, 5), 8, 1.1),
        ((64, 300, 300), (64, 64, 3, 3), 8, 1.2),
        ((64, 56, 56), (64, 64, 3, 3), 32, 1.1),
        ((512, 28, 28), (512, 512, 3, 3), 16, 1.4),
        ((1, 800, 800), (4, 1, 31, 31), 2, 1.4),
    ],
)
def test_filters_share_tiles_that_are_not_mostly_halo(
    image: Any, bank: Any, sharing: int, halo: float
) -> None:
    cut = plan(image, bank, 3).tiles
    assert min(tile.sizes[0] for tile in cut) >= sharing
    read = sum(n * (h + bank[2] - 1) * (w + bank[3] - 1) for n, h, w in (t.sizes for t in cut))
    assert read <= halo * sum(n * h * w for n, h, w in (t.sizes for t in cut))


def test_a_few_parts_more_where_their_transforms_take_less() -> None:
    assert tiles.split(796, 160) == [(0, 159), (159, 159), (318, 159), (477, 159), (636, 160)]
    # 160 and 8 zeros go through a transform of 180; 133 and 8 through one of 144.
    assert [size for _, size in tiles.split(796, 160, 8)] == [132, 133, 133, 132, 133, 133]
    assert tiles.split(796, 800, 8) == [(0, 796)]
    for length, most, margin in ((97, 10, 3), (5, 1, 4), (1000, 333, 60)):
        parts = tiles.split(length, most, margin)
        assert all(size <= most for _, size in parts)
        assert [first for first, _ in parts[1:]] == [first + size for first, size in parts[:-1]]
        assert parts[0][0] == 0
        assert sum(parts[-1]) == length


def test_too_little_memory_is_said_with_what_would_do() -> None:
    with pytest.raises(InputError, match="one tile does not fit") as caught:
        plan((3, 2000, 3000), (20, 3, 5, 5), 3, memory=1 << 20)
    assert caught.value.hint is not None
    least = int(caught.value.hint.removeprefix("--memory ").removesuffix("MiB"))
    assert plan((3, 2000, 3000), (20, 3, 5, 5), 3, memory=least << 20).jobs == 1


# --- merging ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(data=st.data())
def test_parts_merge_in_any_grouping_to_what_numpy_says(data: st.DataObject) -> None:
    values = st.lists(st.integers(-3, 3), min_size=2, max_size=12)
    difference = np.array(data.draw(values), float)
    threshold = data.draw(st.sampled_from([0.0, 1.0]))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(difference) - 1))))
    parts = []
    for a, b in pairwise([0, *cuts, len(difference)]):
        piece = difference[a:b]
        row = judge(piece, np.zeros_like(piece), threshold, np.full_like(piece, 8.0), (a,))
        apart = frozenset({("x", "y")} if piece.any() else ())
        parts.append(Part((row,), apart, int((piece < 0).sum()), exact=not piece.any()))
    left = reduce(add, parts)
    right = reduce(lambda total, part: part + total, reversed(parts))
    shuffled = reduce(add, data.draw(st.permutations(parts)))
    assert left == right == shuffled
    (row,) = left.rows
    size = np.abs(difference)
    beyond = size > threshold
    assert (row.total, row.mismatched) == (len(size), beyond.sum())
    ranked = np.where(beyond, size, -1) if beyond.any() else size
    assert (row.max_abs_diff, row.worst_index) == (size.max(), (int(np.argmax(ranked)),))
    assert left.wrapped == (difference < 0).sum()
    assert left.exact == (not difference.any())


# --- the command line ---------------------------------------------------------------------------


def environment(**changes: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path} | changes


@pytest.mark.slow
def test_the_report_is_the_same_to_the_byte_however_it_was_computed() -> None:
    case = ["--shape", "3x300x310", "--filters", "9x3x5x5", "--values", "normal", "--seed", "1"]
    reports = set()
    for jobs, threads, hashing in [(1, 1, 0), (1, 4, 1), (2, 2, 2), (3, 1, 3)]:
        done = subprocess.run(
            [*CONVCHECK, "random", *case, "--json", "--jobs", str(jobs), "--memory", "1GiB", "-v"],
            env=environment(
                PYTHONHASHSEED=str(hashing),
                OPENBLAS_NUM_THREADS=str(threads),
                OMP_NUM_THREADS=str(threads),
            ),
            capture_output=True,
            timeout=120,
        )
        said = done.stderr.decode()
        assert done.returncode == 0, said
        workers = "1 worker" if jobs == 1 else f"{jobs} workers"
        assert f"{workers}, at most 1024 MiB" in said
        assert "plan: 1 tile" not in said
        reports.add(done.stdout)
    assert len(reports) == 1
    assert json.loads(reports.pop())["reference"]["method"] == "fft"


MEASURED = """
import sys, threading, time
import numpy as np
from convcheck import compare
from convcheck.checks.tiles import PROCESS_BYTES, TILE_BYTES
image = np.load(sys.argv[1], mmap_mode="r")
filters = np.load(sys.argv[2])
compare(image[:, :200, :200], filters)

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))

peak, before = 0, anonymous()
def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.002)

threading.Thread(target=watch, daemon=True).start()
assert before < PROCESS_BYTES + TILE_BYTES, before
print(compare(image, filters).verdict, peak < PROCESS_BYTES + TILE_BYTES, peak >> 20)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_memory_does_not_grow_with_the_picture(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (8, 2000, 2000), np.uint8).astype(dtype)
    if dtype == "float32":
        image *= np.float32(0.1)
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "filters.npy", rng.integers(-9, 10, (1, 8, 2, 2)).astype(np.int8))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path / "image.npy", tmp_path / "filters.npy"],
        env=environment(OPENBLAS_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split()[:2] == ["match", "True"], done.stdout + done.stderr


LIMITED = """
import resource, sys
import numpy as np
from convcheck import compare
image = np.load(sys.argv[1], mmap_mode="r")
filters = np.load(sys.argv[2])
compare(image[:, :64, :64], filters)  # what is imported takes address space too
with open("/proc/self/status") as status:
    taken = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmSize"))
allowed = int(sys.argv[3]) << 20
resource.setrlimit(resource.RLIMIT_AS, (taken + allowed, taken + allowed))
print(compare(image, filters).verdict)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(("mebibytes", "enough"), [(96, True), (8, False)])
def test_address_space_that_is_limited(mebibytes: int, enough: bool, tmp_path: Path) -> None:
    """The picture takes 128 MiB on disk: there is no room for it beside what a tile takes."""
    image = np.lib.format.open_memmap(
        tmp_path / "image.npy", mode="w+", dtype=np.float64, shape=(2, 2900, 2900)
    )
    image[:, ::7, ::5] = 3
    image[0, 1000:1100] = 2
    image.flush()
    np.save(tmp_path / "filters.npy", np.arange(8.0).reshape(1, 2, 2, 2))
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LIMITED,
            tmp_path / "image.npy",
            tmp_path / "filters.npy",
            str(mebibytes),
        ],
        env=environment(OPENBLAS_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.stdout == "match\n") == enough, done.stderr[-2000:]
