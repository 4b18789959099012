"""How the shapes of an image and its filters are read: with 1, 2 or 3 spatial axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convcheck.checks.inputs import image_and_bank, other_reading
from convcheck.errors import InputError

Shape = tuple[int, ...]


def read(image: Shape, filters: Shape, rank: int | None = None) -> tuple[Shape, Shape]:
    x, w = image_and_bank(np.ones(image), np.ones(filters), rank)
    return x.shape, w.shape


@pytest.mark.parametrize(
    ("image", "filters", "x", "w"),
    [
        # 1-D: IMG (C, W) or (W), W (K, C, F), (C, F) or (F).
        ((40,), (5,), (1, 40), (1, 1, 5)),
        ((40,), (1, 5), (1, 40), (1, 1, 5)),
        ((40,), (4, 1, 5), (1, 40), (4, 1, 5)),
        ((3, 40), (4, 3, 5), (3, 40), (4, 3, 5)),
        ((1, 40), (2, 5), (1, 1, 40), None),
        # 2-D, and what can be read as 2-D.
        ((3, 5, 6), (3, 2, 2), (3, 5, 6), (1, 3, 2, 2)),
        ((3, 5, 6), (4, 3, 2, 2), (3, 5, 6), (4, 3, 2, 2)),
        ((5, 6), (2, 2), (1, 5, 6), (1, 1, 2, 2)),
        ((5, 6), (4, 1, 2, 2), (1, 5, 6), (4, 1, 2, 2)),
        ((3, 40), (3, 5), (1, 3, 40), (1, 1, 3, 5)),
        ((3, 40), (1, 3, 5), (1, 3, 40), (1, 1, 3, 5)),
        # 3-D.
        ((6, 9, 8), (2, 3, 3), (1, 6, 9, 8), (1, 1, 2, 3, 3)),
        ((6, 9, 8), (1, 1, 2, 3, 3), (1, 6, 9, 8), (1, 1, 2, 3, 3)),
        ((2, 6, 9, 8), (2, 2, 3, 3), (2, 6, 9, 8), (1, 2, 2, 3, 3)),
        ((2, 6, 9, 8), (4, 2, 2, 3, 3), (2, 6, 9, 8), (4, 2, 2, 3, 3)),
    ],
)
def test_the_shapes_say_the_rank(image: Shape, filters: Shape, x: Shape, w: Shape | None) -> None:
    if w is None:
        with pytest.raises(InputError):
            read(image, filters)
    else:
        assert read(image, filters) == (x, w)


@pytest.mark.parametrize(
    ("image", "filters", "rank", "x", "w"),
    [
        ((3, 40), (3, 5), 1, (3, 40), (1, 3, 5)),
        ((3, 40), (1, 3, 5), 1, (3, 40), (1, 3, 5)),
        ((3, 5, 6), (3, 2, 2), 3, (1, 3, 5, 6), (1, 1, 3, 2, 2)),
        ((1, 3, 5, 6), (1, 3, 2, 3), 3, (1, 3, 5, 6), (1, 1, 3, 2, 3)),
    ],
)
def test_a_rank_that_is_asked_for_is_taken(
    image: Shape, filters: Shape, rank: int, x: Shape, w: Shape
) -> None:
    assert read(image, filters, rank) == (x, w)


@pytest.mark.parametrize(
    ("image", "filters", "hint"),
    [
        # A batch of one image, and of several, with filters that fit the images.
        ((1, 3, 5, 6), (1, 3, 2, 3), "drop the batch axis: save img[0]"),
        ((3, 3, 9, 9), (3, 3, 3, 3), "one image of the batch at a time"),
        # Channels last, of the image or of the filters.
        ((5, 6, 3), (1, 3, 2, 3), "IMG looks like (H, W, C): save img.transpose(2, 0, 1)"),
        ((3, 5, 6), (2, 3, 3), "W looks like (Fh, Fw, C): save w.transpose(2, 0, 1)"),
    ],
)
def test_what_looks_like_2d_is_not_taken_for_3d_in_silence(
    image: Shape, filters: Shape, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(image, filters)
    assert hint in str(caught.value.hint)
    assert "--rank 3" in str(caught.value.hint)
    assert read(image, filters, 3)[0][1:] == image[-3:]


@pytest.mark.parametrize(
    ("image", "filters", "rank", "said"),
    [
        ((3, 40), (4, 5, 3), 1, "OWI: save w.transpose(0, 2, 1)"),
        ((40, 3), (4, 3, 5), 1, "(W, C): save img.transpose(1, 0)"),
        ((2, 6, 9, 8), (2, 3, 3, 2, 4), 3, "DHWIO: save w.transpose(4, 3, 0, 1, 2)"),
        ((2, 6, 9, 8), (4, 2, 7, 3, 3), 3, "a filter of 7x3x3 and an image of 6x9x8"),
        ((2, 6, 9, 8), (3, 3, 3), 3, "a filter of three axes"),
        ((6,), (1, 3, 2, 3), None, "numbers of axes that do not go together"),
    ],
)
def test_arrays_that_do_not_fit(image: Shape, filters: Shape, rank: int | None, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(image, filters, rank)
    assert said in str(caught.value)


@pytest.mark.parametrize("rank", [0, 4, -1, "2"])
def test_there_are_no_other_ranks(rank: int) -> None:
    with pytest.raises(InputError, match="spatial axes"):
        read((3, 5, 6), (3, 2, 2), rank)


def test_another_reading_is_said() -> None:
    assert "--rank 1 reads them as 1-D, 3 channels of 40" in str(other_reading((3, 40), (3, 5)))
    assert other_reading((5, 6), (2, 2)) is None
    assert other_reading((3, 5, 6), (3, 2, 2)) is None


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.lists(st.integers(1, 6), min_size=1, max_size=6),
)
def test_whatever_is_read_keeps_every_number_and_fits(image: list[int], filters: list[int]) -> None:
    try:
        x, w = read(tuple(image), tuple(filters))
    except InputError as refused:
        error = refused
    else:
        error = None
    if error is not None:
        assert all((error.got, error.expected, error.hint))
        return
    assert len(w) == len(x) + 1 in (3, 4, 5)
    assert x[-len(image) :] == tuple(image)
    assert w[-len(filters) :] == tuple(filters)
    assert set(x[: -len(image)]) | set(w[: -len(filters)]) <= {1}
    assert w[1] == x[0]
    assert all(taps <= size for taps, size in zip(w[2:], x[1:], strict=True))
