"""The bound of Winograd's algorithm holds, and is not idle."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from few import one_in
from winograd_software import Arithmetic, rescaled, winograd

from convcheck.engine import correlate
from convcheck.errors import InputError
from convcheck.rounding import SINGLE, gamma, sum_bound
from convcheck.winograd import POINTS, matrices, winograd_bound

F32, F16 = Arithmetic(np.float32), Arithmetic(np.float16)
FORMS = [
    (m, r, points)
    for length, choices in POINTS.items()
    for points in choices
    for r in (3, 5)
    if (m := length - r + 1) > 1
]
LAVIN = [(m, r, points) for m, r, points in FORMS if points is POINTS[m + r - 1][0]]


def exact(x: Any, w: Any, groups: int = 1) -> tuple[Any, Any]:
    """The sums in double precision, and S."""
    once = (1,) * (x.ndim - 2)
    x, w = x.astype(np.float64), w.astype(np.float64)
    return correlate(x, w, once, once, groups), correlate(abs(x), abs(w), once, once, groups)


def normal(rng: np.random.Generator, *shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("m", "r", "points"), FORMS)
def test_the_matrices_are_those_of_a_correlation(m: int, r: int, points: Any) -> None:
    """A^T of the products of G and B^T is 1 where sample = output + tap, and 0 elsewhere."""
    one = matrices(m, r, points)
    together = np.einsum("it,tk,tj->ikj", one.output, one.filter, one.image)
    i, k, j = np.indices(together.shape)
    np.testing.assert_allclose(together, j == i + k, atol=1e-14)


def test_the_matrices_are_those_of_the_literature() -> None:
    """F(2,3) and F(4,3) of Lavin and Gray, and the factors of G in NNPACK and oneDNN."""
    two = matrices(2, 3, (0, 1, -1))
    np.testing.assert_allclose(np.abs(two.filter[1]), 1 / 2)
    np.testing.assert_array_equal(two.output, [[1, 1, 1, 0], [0, 1, -1, 1]])
    four = matrices(4, 3, (0, 1, -1, 2, -2))
    np.testing.assert_allclose(np.abs(four.filter[3]), [1 / 24, 1 / 12, 1 / 6])
    np.testing.assert_allclose(np.abs(four.image[0]), [4, 0, 5, 0, 1, 0])
    six = matrices(6, 3, POINTS[8][0])
    np.testing.assert_allclose(np.abs(six.filter[1]), 2 / 9)
    np.testing.assert_allclose(np.abs(six.filter[3]), [1 / 90, 1 / 45, 2 / 45])
    np.testing.assert_allclose(np.abs(six.filter[5]), [32 / 45, 16 / 45, 8 / 45])
    np.testing.assert_allclose(np.abs(six.image[0]), [1, 0, 5.25, 0, 5.25, 0, 1, 0])
    ours = np.abs(matrices(4, 3, (0, 0.625, -0.625, 1.5, -1.5)).filter)
    assert ours[0, 0] == pytest.approx(1.13777777777778)
    assert ours[1] == pytest.approx([0.688403361344538, 0.430252100840336, 0.26890756302521])
    assert ours[3] == pytest.approx([0.119514472455649, 0.179271708683473, 0.26890756302521])


@pytest.mark.parametrize(("m", "r", "points"), FORMS)
@pytest.mark.parametrize("rank", [1, 2])
def test_no_result_is_beyond_wherever_its_tiles_begin(
    m: int, r: int, points: Any, rank: int
) -> None:
    rng = np.random.default_rng([m, r, rank])
    x, w = normal(rng, 2, 4, *(17, 14)[:rank]), normal(rng, 2, 2, *(r,) * rank)
    x[:, :, 8:] *= 1e6  # what is beside large numbers is small
    sums, _ = exact(x, w, 2)
    bound = winograd_bound(x, w, m, points=points, groups=2)
    assert bound.shape == sums.shape
    assert (winograd_bound(x, w, m, groups=2) >= bound).all()
    axes = [matrices(m, r, points)] * rank
    for begins in np.ndindex(*(m,) * rank):
        made = winograd(x, w, axes, arithmetic=F32, begins=begins, groups=2)
        assert (abs(made - sums) <= bound).all(), begins


def test_a_right_f63_is_beyond_the_bound_of_a_sum_and_within_its_own() -> None:
    rng = np.random.default_rng(3)
    x, w = normal(rng, 1, 1, 60, 60), normal(rng, 4, 1, 3, 3)
    sums, sizes = exact(x, w)
    made = winograd(x, w, [matrices(6, 3, POINTS[8][0])] * 2, arithmetic=F32)
    assert (abs(made - sums) > sum_bound(sizes, 9, unit=SINGLE)).any()
    assert (abs(made - sums) <= winograd_bound(x, w, 6)).all()


def test_the_bound_does_not_depend_on_how_rows_are_scaled() -> None:
    rng = np.random.default_rng(4)
    x, w = normal(rng, 1, 3, 15, 15), normal(rng, 2, 3, 3, 3)
    sums, _ = exact(x, w)
    bound = winograd_bound(x, w, 6, points=POINTS[8][0])
    axis = matrices(6, 3, POINTS[8][0])
    for factors in (2 / 9, 32 / 45, 90.0), (1 / 45, 1.0, 3.0), (32.0, 1 / 7, 1e3):
        some = np.resize(factors, 8)
        for images in np.ones(8), 1 / some, some:
            made = winograd(x, w, [rescaled(axis, some, images)] * 2, arithmetic=F32)
            assert (abs(made - sums) <= bound).all()


@pytest.mark.parametrize(("m", "r", "points"), LAVIN)
@pytest.mark.parametrize("channels", one_in(2, [1, 8]))
def test_the_bound_is_not_idle(m: int, r: int, points: Any, channels: int) -> None:
    """On typical data the worst of some ten thousand elements is within a factor of 100 or so."""
    rng = np.random.default_rng(5)
    x, w = normal(rng, 1, channels, 60, 60), normal(rng, 4, channels, r, r)
    sums, _ = exact(x, w)
    made = winograd(x, w, [matrices(m, r, points)] * 2, arithmetic=F32)
    bound = winograd_bound(x, w, m, points=points)
    assert 1 > (abs(made - sums) / bound).max() > 1 / 150
    # The bound grows as the least digit does.
    assert winograd_bound(x, w, m, points=points, unit=2.0**-11, underflow=0.0) == pytest.approx(
        bound * 2.0**13, rel=0.1
    )


@pytest.mark.parametrize(("m", "r", "points"), LAVIN)
def test_a_product_that_one_tile_lacks_is_beyond_it(m: int, r: int, points: Any) -> None:
    rng = np.random.default_rng(6)
    x, w = normal(rng, 1, 8, 24, 24), normal(rng, 2, 8, r, r)
    sums, _ = exact(x, w)
    bound = winograd_bound(x, w, m)

    def spoil(products: Any) -> Any:
        products[0, 1, 2, 1, 1, 1] = 0
        return products

    made = winograd(x, w, [matrices(m, r, points)] * 2, arithmetic=F32, spoil=spoil)
    beyond = abs(made - sums) > bound
    tile = beyond[0, 1, 2 * m : 3 * m, m : 2 * m]
    assert tile.mean() > 0.5
    assert beyond.sum() == tile.sum()


def test_halves_have_their_own_unit() -> None:
    rng = np.random.default_rng(7)
    x = normal(rng, 1, 3, 14, 14).astype(np.float16)
    w = (normal(rng, 2, 3, 3, 3) * 0.1).astype(np.float16)
    sums, _ = exact(x, w)
    made = winograd(x, w, [matrices(4, 3, POINTS[6][0])] * 2, arithmetic=F16)
    bound = winograd_bound(x, w, 4, unit=2.0**-11, underflow=2.0**-24)
    assert (abs(made - sums) <= bound).all()
    assert (abs(made - sums) > winograd_bound(x, w, 4)).any()
    assert (abs(made - sums) / bound).max() > 1 / 150


@pytest.mark.parametrize("flushed", [False, True])
def test_what_underflows_is_within_it(flushed: bool) -> None:
    rng = np.random.default_rng(8)
    for image, bank in (-30, -8), (-19, -19), (-38, 0), (2, -38), (-40, 20):
        x = (normal(rng, 1, 2, 16, 16) * 10.0**image).astype(np.float32)
        w = (normal(rng, 2, 2, 3, 3) * 10.0**bank).astype(np.float32)
        sums, _ = exact(x, w)
        made = winograd(
            x,
            w,
            [matrices(4, 3, POINTS[6][0])] * 2,
            arithmetic=Arithmetic(np.float32, flushed=flushed),
        )
        bound = winograd_bound(x, w, 4)
        assert (abs(made - sums) <= bound).all()


@pytest.mark.parametrize(
    ("m", "r", "counts"),
    [(2, 3, (4, 3, 4)), (4, 3, (4, 5, 6)), (6, 3, (4, 7, 8)), (4, 5, (6, 7, 8))],
)
@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("unit", [SINGLE, 2.0**-9])
def test_it_is_what_the_roundings_of_all_stages_can_do_together(
    m: int, r: int, counts: tuple[int, ...], channels: int, unit: float
) -> None:
    """Each stage's are counted: the terms of a row, less an addition, and two for a constant."""
    rng = np.random.default_rng(13)
    points = POINTS[m + r - 1][0]
    x, w = normal(rng, 1, channels, 30), normal(rng, 1, channels, r)
    one = matrices(m, r, points)
    g, b, a = (gamma(count, unit) for count in counts)
    most = np.zeros(31 - r)
    padded = np.pad(x[0].astype(np.float64), [(0, 0), (m - 1, m - 1)])
    filters, filters_off = abs(w[0] @ one.filter.T), g * (abs(w[0]) @ abs(one.filter).T)
    for place, i in np.ndindex(31 - r, m):
        start = place - i + m - 1
        samples = padded[:, start : start + m + r - 1]
        images, images_off = abs(samples @ one.image.T), b * (abs(samples) @ abs(one.image).T)
        made = (filters + filters_off) * (images + images_off) * (1 + gamma(channels, unit))
        off = (made * (1 + a) - filters * images).sum(axis=0)
        most[place] = max(most[place], abs(one.output[i]) @ off)
    bound = winograd_bound(x, w, m, points=points, unit=unit)[0, 0]
    assert (bound >= most * (1 - 1e-9)).all()
    assert (bound <= most * 1.01).all()


def test_products_that_underflow_add_up() -> None:
    """In many channels, each of which loses all that it has."""
    x = np.full((1, 400, 12), 1e-19, np.float32)
    w = np.full((1, 400, 3), 0.3e-19, np.float32)
    sums, _ = exact(x, w)
    flushing = Arithmetic(np.float32, flushed=True)
    made = winograd(x, w, [matrices(2, 3, POINTS[4][0])], arithmetic=flushing)
    assert (made == 0).all()
    assert (sums > 100 * 2.0**-126).all()
    assert (sums <= winograd_bound(x, w, 2)).all()


def test_tile_of_one_is_a_direct_sum() -> None:
    rng = np.random.default_rng(9)
    x, w = normal(rng, 1, 3, 6, 7), normal(rng, 2, 3, 3, 5)
    sums, sizes = exact(x, w)
    assert winograd_bound(x, w, 1) == pytest.approx(sum_bound(sizes, 45, unit=SINGLE), rel=1e-3)
    # One axis of length 1, or one that is summed directly, changes nothing along the other.
    rows = winograd_bound(x, w[:, :, :, :1], (4, 1))
    assert rows == pytest.approx(winograd_bound(x, w[:, :, :, :1], 4))
    made = winograd(x, w, [matrices(1, 3, ()), matrices(2, 5, POINTS[6][0])], arithmetic=F32)
    mixed = winograd_bound(x, w, (1, 2), points=POINTS[6][0])
    assert (abs(made - sums) <= mixed).all()
    assert (mixed < winograd_bound(x, w, (4, 2), points=POINTS[6][0])).all()


@pytest.mark.parametrize("shape", one_in(3, [(2, 32, 90, 58), (3, 2, 2, 5000), (1, 1, 16, 17, 42)]))
@pytest.mark.parametrize(
    "points", one_in(2, POINTS[6][:2])
)  # the last place of a tile is the worst, or any
def test_a_large_layer_is_no_other_than_its_parts(shape: tuple[int, ...], points: Any) -> None:
    """What is computed in several blocks, and the images of a batch, fit together."""
    rng = np.random.default_rng(10)
    x, w = normal(rng, *shape), normal(rng, 4, shape[1], *(min(3, n) for n in shape[2:]))
    tiles = [1 if n < 3 else 4 for n in shape[2:]]
    whole = winograd_bound(x, w, tiles, points=points)
    part = winograd_bound(x[-1:, ..., 27:41], w[2:3], tiles, points=points)
    inner = whole[-1:, 2:3, ..., 27:39]
    np.testing.assert_allclose(part[..., 3:-3], inner[..., 3:-3], rtol=1e-12)
    for along in slice(30, 39), slice(0, 5), slice(20, None), slice(7, 7):
        window = [slice(None)] * (len(tiles) - 1) + [along]
        part = winograd_bound(x[-1:], w, tiles, points=points, window=window)
        np.testing.assert_allclose(part, whole[-1:, ..., along], rtol=1e-12)


def test_more_roundings_widen_it_and_zeros_have_none() -> None:
    rng = np.random.default_rng(11)
    x, w = normal(rng, 1, 2, 9, 9), normal(rng, 1, 2, 3, 3)
    assert (winograd_bound(x, w, 4, roundings=2) > winograd_bound(x, w, 4)).all()
    assert winograd_bound(0 * x, w, 4).max() < 1e-30
    assert winograd_bound(x[:0], w, 4).shape == (0, 1, 7, 7)
    assert np.isinf(winograd_bound(x, w, 4, unit=0.1)).all()
    huge = x.astype(np.float64) * 1e200, w.astype(np.float64) * 1e200
    assert np.isinf(winograd_bound(*huge, 4)).all()


def test_points_that_nobody_uses_are_refused() -> None:
    x, w = np.ones((1, 1, 9, 9)), np.ones((1, 1, 3, 3))
    with pytest.raises(InputError, match="5 products are not known"):
        winograd_bound(x, w, 3)
    with pytest.raises(InputError, match="6 products are not known"):
        winograd_bound(x, w, 4, points=(0, 1, -1))


def test_it_holds_in_exact_arithmetic() -> None:
    """The witness of all other tests is double precision; here Fractions are."""
    rng = np.random.default_rng(12)
    x, w = normal(rng, 1, 2, 11), normal(rng, 1, 2, 3)
    made = winograd(x, w, [matrices(4, 3, POINTS[6][0])], arithmetic=F32)
    bound = winograd_bound(x, w, 4)
    for i in range(9):
        true = sum(
            Fraction(float(x[0, c, i + k])) * Fraction(float(w[0, c, k]))
            for c in range(2)
            for k in range(3)
        )
        assert abs(Fraction(float(made[0, 0, i])) - true) <= Fraction(float(bound[0, 0, i]))
