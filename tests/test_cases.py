"""Drawn data: rebuilt from its seed alone, and able to tell whatever its shape can."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from convcheck import cases
from convcheck.checks.compare import compare
from convcheck.convention import named
from convcheck.convention.channels import spatial
from convcheck.engine import convolve
from convcheck.errors import InputError


def test_a_case_is_rebuilt_from_its_seed_alone() -> None:
    first = cases.draw((3, 5, 5), (2, 3, 2, 2), seed=7)
    for other in (6, 8, 2**70):
        cases.draw((3, 5, 5), (2, 3, 2, 2), seed=other)
    again = cases.draw((3, 5, 5), (2, 3, 2, 2), seed=7)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    different = cases.draw((3, 5, 5), (2, 3, 2, 2), seed=8)
    assert not np.array_equal(first[0], different[0])


def test_seed_1_draws_what_it_always_drew() -> None:
    """The seeds that users have noted down go on meaning the same arrays."""
    image, filters = cases.draw((2, 2, 3), (1, 2, 1, 2), seed=1)
    assert image.tolist() == [[[4, 5, 7], [9, 0, 1]], [[8, 9, 2], [3, 8, 4]]]
    assert filters.tolist() == [[[[2, 8]], [[2, 4]]]]


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_digits_in_every_dtype(dtype: str) -> None:
    image, filters = cases.draw((3, 6, 7), (2, 3, 2, 3), seed=1, dtype=dtype)
    assert image.dtype == filters.dtype == np.dtype(dtype)
    assert (image.shape, filters.shape) == ((3, 6, 7), (2, 3, 2, 3))
    for part in (image.real, image.imag if image.dtype.kind == "c" else image.real):
        seen = set(np.unique(part).astype(float))
        assert seen <= set(range(10))
        assert len(seen) > (1 if dtype == "bool" else 5)
    assert compare(image, filters).verdict == "match"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", "complex128"])
def test_normal_numbers(dtype: str) -> None:
    image, _ = cases.draw((3, 30, 30), (1, 3, 2, 2), seed=1, dtype=dtype, values="normal")
    assert image.dtype == np.dtype(dtype)
    assert abs(image.mean()) < 0.1
    assert abs(image.real.std() - 1) < 0.1
    assert len(np.unique(image)) > 1000


SHAPES = [
    ((c, h, w), (k, c, fh, fw))
    for c, fh, fw in itertools.product((1, 2, 3), (1, 2, 3), (1, 2))
    for k, h, w in ((1, fh, fw), (2, fh + 2, fw + 1))
]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float32"])
def test_whatever_the_shape_can_tell_the_data_does(dtype: str) -> None:
    for shape, bank in SHAPES:
        if dtype == "bool" and shape[1:] == bank[2:]:
            continue  # one element, a sum of a few 0s and 1s: not always enough values
        # What is one operation on these shapes is no ambiguity of the data.
        result = compare(*cases.draw(shape, bank, seed=3, dtype=dtype))
        assert result.indistinguishable == (), (shape, bank)


def test_all_eight_flips_where_the_numbers_allow_it() -> None:
    for seed in range(30):
        image, filters = cases.draw((2, 3, 3), (1, 2, 2, 2), seed=seed)
        result = compare(image, filters, all_flips=True)
        assert not result.indistinguishable
        assert result.matching == ("flipped",)


@pytest.mark.parametrize(
    ("shape", "bank"),
    [((3, 9), (2, 3, 3)), ((2, 5, 4, 6), (1, 2, 2, 2, 3)), ((2, 7), (1, 2, 1))],
)
def test_data_of_other_ranks_tell_every_flip_too(
    shape: tuple[int, ...], bank: tuple[int, ...]
) -> None:
    image, filters = cases.draw(shape, bank, seed=1)
    rank = len(shape) - 1
    letters = ("I", *spatial(rank))
    told = [axis for axis, length in zip(letters, bank[1:], strict=True) if length > 1]
    plain = named("correlation", rank)
    results = {
        convolve(image, filters, plain.replace(flip=flip)).tobytes()
        for n in range(len(told) + 1)
        for flip in itertools.combinations(told, n)
    }
    assert len(results) == 2 ** len(told)


def test_a_layer() -> None:
    image, filters = cases.draw((64, 56, 56), (64, 64, 3, 3), seed=1, values="normal")
    assert image.nbytes + filters.nbytes == 4 * (64 * 56 * 56 + 64 * 64 * 9)


@pytest.mark.parametrize(
    ("shape", "bank", "keys", "words"),
    [
        ((3, 5, 5), (1, 3, 2, 2), {"dtype": "flot32"}, ["flot32", "did you mean 'float32'?"]),
        ((3, 5, 5), (1, 3, 2, 2), {"dtype": "object"}, ["object", "float64"]),
        ((3, 5, 5), (1, 3, 2, 2), {"values": "normals"}, ["normals", "ints"]),
        (
            (3, 5, 5),
            (1, 3, 2, 2),
            {"dtype": "uint8", "values": "normal"},
            ["uint8", "--values ints"],
        ),
        ((3, 5, 5), (1, 2, 2, 2), {}, ["channels", "filters of 2, an image of 3", "1x3x2x2"]),
        ((3, 5, 5), (1, 3, 6, 2), {}, ["larger", "6x2", "5x5"]),
        ((3, 5, 5), (1, 3, 2, 6), {}, ["larger", "2x6", "5x5"]),
        ((99999999,) * 3, (1, 99999999, 2, 2), {}, ["memory", "EiB", "99999999x99999999x99999999"]),
        ((1, 2**20, 2**20), (1, 1, 1, 1), {}, ["memory", "TiB"]),
    ],
)
def test_what_cannot_be_drawn(shape: tuple, bank: tuple, keys: dict, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        cases.draw(shape, bank, seed=1, **keys)
    for word in words:
        assert word in str(caught.value)


def test_systems_that_do_not_say_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cases.os, "sysconf")
    assert cases.draw((3, 5, 5), (1, 3, 2, 2), seed=1)[0].shape == (3, 5, 5)
    with pytest.raises(InputError, match="memory"):
        cases.draw((99999999,) * 3, (1, 99999999, 2, 2), seed=1)
