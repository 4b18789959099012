"""The fixtures are what their README says, and the published tables hold to the digit."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import convolve

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
WRITTEN_BY_HAND = {"README.md", "regenerate.py"}


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    folder = FIXTURES / name
    return (
        np.load(folder / "image.npy", allow_pickle=False),
        np.load(folder / "filters.npy", allow_pickle=False),
    )


def published(name: str) -> dict[str, list[list[int]]]:
    return json.loads((FIXTURES / name / "published.json").read_text(encoding="ascii"))


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def channel_sum(image: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """One 2-D convolution a channel, summed."""
    return sum(convolve(x, w, "valid") for x, w in zip(image, filters, strict=True))


def correlate(image: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """The definition, a loop: nothing reversed, nothing conjugated."""
    _, fh, fw = filters.shape
    height, width = image.shape[1] - fh + 1, image.shape[2] - fw + 1
    out = np.zeros((height, width), dtype=np.complex128)
    for y, x in np.ndindex(height, width):
        out[y, x] = (image[:, y : y + fh, x : x + fw].astype(np.complex128) * filters).sum()
    return out


def all_flips(image: np.ndarray, filters: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
    """The output for each of the eight sets of filter axes (I, H, W) that may be reversed."""
    sets = (axes for n in range(4) for axes in itertools.combinations(range(3), n))
    return {axes: correlate(image, np.flip(filters, axes)) for axes in sets}


def test_the_script_writes_the_same_bytes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FIXTURES / "regenerate.py", tmp_path], check=True)
    committed = contents(FIXTURES)
    for name in WRITTEN_BY_HAND:
        del committed[name]
    assert contents(tmp_path) == committed


def test_the_readme_names_every_fixture() -> None:
    text = (FIXTURES / "README.md").read_text(encoding="utf-8")
    for folder in FIXTURES.iterdir():
        if folder.is_dir() and folder.name != "__pycache__":
            assert f"`{folder.name}/`" in text


@pytest.mark.parametrize("name", ["question", "answer"])
def test_the_published_inputs_are_digits(name: str) -> None:
    image, filters = load(name)
    assert image.dtype == filters.dtype == np.float32
    assert image.shape == (3, 5, 5)
    assert filters.shape == (3, 2, 2)
    assert {*image.ravel(), *filters.ravel()} <= set(range(10))


@pytest.mark.parametrize("name", ["question", "answer"])
def test_scipy_gives_the_published_table(name: str) -> None:
    image, filters = load(name)
    expected = [published(name)["published_convolve"]]
    for method in ("auto", "direct"):
        assert convolve(image, filters, "valid", method=method).tolist() == expected


def test_the_per_channel_sum_gives_the_published_table() -> None:
    image, filters = load("question")
    table = published("question")
    assert channel_sum(image, filters).tolist() == table["published_per_channel"]
    assert table["published_per_channel"] != table["published_convolve"]


@pytest.mark.parametrize("name", ["question", "answer"])
def test_reversed_channels_give_what_scipy_gives(name: str) -> None:
    image, filters = load(name)
    assert channel_sum(image, filters[::-1]).tolist() == published(name)["published_convolve"]


def test_the_published_tables_literally() -> None:
    """Not read from a file: nobody changes fixture and table together by accident."""
    image, filters = load("question")
    assert channel_sum(image, filters).tolist() == [
        [268, 229, 297, 305],
        [256, 292, 322, 190],
        [173, 240, 283, 243],
        [291, 271, 302, 346],
    ]
    assert convolve(image, filters, "valid").tolist() == [
        [
            [247, 229, 291, 263],
            [198, 297, 342, 233],
            [208, 268, 268, 185],
            [276, 272, 280, 372],
        ]
    ]
    image, filters = load("answer")
    assert convolve(image, filters, "valid").tolist() == [
        [
            [169, 223, 277, 199],
            [226, 213, 206, 247],
            [192, 252, 332, 369],
            [167, 266, 321, 323],
        ]
    ]


def test_the_bank_tells_every_flip_apart() -> None:
    image, filters = load("bank")
    assert image.dtype == filters.dtype == np.float32
    assert image.shape == (3, 7, 9)
    assert filters.shape == (4, 3, 2, 3)
    for one in filters:
        assert len({out.tobytes() for out in all_flips(image, one).values()}) == 8


def test_the_symmetric_filter_hides_only_the_channel_flip() -> None:
    image, filters = load("symmetric")
    assert np.array_equal(filters, filters[::-1])
    outputs = all_flips(image, filters)
    assert len({out.tobytes() for out in outputs.values()}) == 4
    for axes, output in outputs.items():
        if 0 not in axes:
            assert np.array_equal(output, outputs[0, *axes])
    assert np.array_equal(channel_sum(image, filters), channel_sum(image, filters[::-1]))
    assert np.array_equal(channel_sum(image, filters), convolve(image, filters, "valid")[0])


def test_uint8_wraps_on_some_elements_and_not_on_others() -> None:
    image, filters = load("wraps")
    assert image.dtype == filters.dtype == np.uint8
    as_they_are = convolve(image, filters, "valid")
    promoted = convolve(image.astype(np.int64), filters.astype(np.int64), "valid")
    assert as_they_are.dtype == np.uint8
    assert np.array_equal(as_they_are, promoted % 256)
    assert (int((as_they_are != promoted).sum()), promoted.size) == (9, 30)


def test_complex_filters_are_not_conjugated_by_scipy() -> None:
    image, filters = load("complex")
    assert image.dtype == filters.dtype == np.complex64
    assert (image.imag != 0).any()
    assert (filters.imag != 0).any()
    result = convolve(image, filters, "valid", method="direct")[0]
    outputs = all_flips(image, filters)
    assert np.array_equal(result, outputs[0, 1, 2])
    assert len({out.tobytes() for out in outputs.values()}) == 8
    conjugated = all_flips(image, filters.conj())
    assert not any(np.array_equal(result, out) for out in conjugated.values())
