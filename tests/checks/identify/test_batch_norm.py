"""A given batch normalization beside an output: as given, or what was done in its place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from few import one_in, rows_in, slow
from identified import LONG, made, normal, whole

from convcheck import BatchNorm, identify
from convcheck.checks.identify.batch_norm import MORE, ROWS
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from convcheck.checks.identify.batch_norm import Normalized

Array = np.ndarray[Any, Any]
CHANNELS = 5
IMAGE, FILTERS = normal(3, 12, 11), normal(CHANNELS, 3, 3, 2)
RNG = np.random.default_rng(3)
NORM = BatchNorm(
    mean=RNG.standard_normal(CHANNELS),
    var=RNG.uniform(0.2, 3, CHANNELS),
    gamma=RNG.uniform(0.5, 1.5, CHANNELS) * [1, -1, 1, 1, -1],
    beta=RNG.standard_normal(CHANNELS),
)
OWN = RNG.standard_normal(CHANNELS)


def output(scale: Any, bias: Any, dtype: Any = np.float32, **keys: Any) -> Array:
    return made(IMAGE, FILTERS, scale=tuple(scale), bias=tuple(bias), **keys).astype(dtype)


def normalized(norm: BatchNorm, eps: float | None = None, own: Any = 0.0, **keys: Any) -> Array:
    """What a batch normalization makes of the convolution with its own bias."""
    scale = norm.gamma / np.sqrt(norm.var + (norm.eps if eps is None else eps))
    return output(scale, norm.beta + (own - norm.mean) * scale, **keys)


def judged(out: Array, norm: BatchNorm = NORM, **options: Any) -> Normalized:
    found = identify(IMAGE, FILTERS, out, batch_norm=norm, budget=LONG, **options)
    assert found.batch_norm is not None
    assert found.verdict == "identified"
    assert (found.exit_code == 0) is (found.batch_norm.verdict == "as-given")
    assert found.as_claimed is found.batch_norm.holds
    return found.batch_norm


@pytest.mark.parametrize("activation", one_in(2, [None, "relu", "silu"]))
@pytest.mark.parametrize("dtype", one_in(2, [np.float32, np.float64]))
@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_as_given(activation: str | None, dtype: Any, eps: float) -> None:
    norm = replace(NORM, eps=eps)
    found = judged(normalized(norm, activation=activation, dtype=dtype), norm)
    assert (found.verdict, found.holds, found.eps) == ("as-given", True, eps)
    assert found.left is not None
    assert found.left[0] <= eps <= found.left[1] < 3 * eps
    assert (found.off, found.channel, found.bias, found.also) == (0, None, None, ())


@pytest.mark.parametrize("activation", one_in(2, [None, "relu", "silu"]))
@pytest.mark.parametrize(
    ("given", "eps"), rows_in(2, [(1e-5, 1e-3), (1e-3, 1e-5), (1e-5, 0.02), (1e-3, 0.0)])
)
def test_another_epsilon(activation: str | None, given: float, eps: float) -> None:
    found = judged(normalized(NORM, eps, activation=activation), replace(NORM, eps=given))
    assert found.verdict == "other-epsilon"
    assert found.eps == pytest.approx(eps, rel=1e-3)
    assert (found.given, found.off > 0) == (given, True)


@pytest.mark.parametrize("activation", one_in(2, [None, "relu", "silu"]))
@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_a_bias_of_the_convolution(activation: str | None, eps: float) -> None:
    found = judged(normalized(NORM, eps, OWN, activation=activation))
    assert found.verdict == ("bias" if eps == NORM.eps else "bias-and-epsilon")
    assert found.eps == pytest.approx(eps, rel=1e-3)
    np.testing.assert_allclose(np.array(found.bias, float), OWN, rtol=1e-4, atol=1e-5)


def test_a_channel_that_a_relu_cut_off_does_not_tell_its_bias() -> None:
    own = OWN.copy()
    own[2] = -1e3
    found = judged(normalized(NORM, own=own, activation="relu"))
    assert found.verdict == "bias"
    assert found.bias is not None
    assert [o for o, b in enumerate(found.bias) if b is None] == [2]


def root(n: BatchNorm) -> Array:
    return np.sqrt(n.var + n.eps)


OTHERS: dict[str, Callable[[BatchNorm], tuple[Array, Array]]] = {
    "no-beta": lambda n: (n.gamma / root(n), -n.mean * n.gamma / root(n)),
    "no-gamma": lambda n: (1 / root(n), n.beta - n.mean / root(n)),
    "no-gamma-no-beta": lambda n: (1 / root(n), -n.mean / root(n)),
    "no-mean": lambda n: (n.gamma / root(n), n.beta),
    "epsilon-beside-root": lambda n: (
        n.gamma / (np.sqrt(n.var) + n.eps),
        n.beta - n.mean * n.gamma / (np.sqrt(n.var) + n.eps),
    ),
    "no-root": lambda n: (
        n.gamma / (n.var + n.eps),
        n.beta - n.mean * n.gamma / (n.var + n.eps),
    ),
    "deviation": lambda n: (
        n.gamma / np.hypot(n.var, np.sqrt(n.eps)),
        n.beta - n.mean * n.gamma / np.hypot(n.var, np.sqrt(n.eps)),
    ),
    "gamma-beta-swapped": lambda n: (n.beta / root(n), n.gamma - n.mean * n.beta / root(n)),
}


@pytest.mark.parametrize("given", one_in(2, [1e-3, 1e-2]))
@pytest.mark.parametrize("name", one_in(2, OTHERS))
def test_what_was_done_in_its_place(name: str, given: float) -> None:
    found = judged(output(*OTHERS[name](replace(NORM, eps=1e-3))), replace(NORM, eps=given))
    assert found.verdict == name
    assert found.eps == pytest.approx(1e-3, rel=0.01)
    assert found.bias is None


@pytest.mark.parametrize("size", [10.0, 255.0])
def test_images_of_large_numbers(size: float) -> None:
    """The scales are small then, and so is what rounding of the sums does to OUT."""
    norm = replace(NORM, mean=size * NORM.mean, var=size**2 * NORM.var)
    scale = norm.gamma / np.sqrt(norm.var + norm.eps)
    keys = {"scale": tuple(scale), "bias": tuple(norm.beta - norm.mean * scale)}
    image = (size * IMAGE).astype(np.float32)
    out = made(image, FILTERS, **keys).astype(np.float32)
    found = identify(image, FILTERS, out, batch_norm=norm, budget=LONG)
    assert found.verdict == "identified"
    assert found.batch_norm is not None
    assert found.batch_norm.holds


def test_statistics_of_the_batch() -> None:
    sums = made(IMAGE, FILTERS)
    eps = 1e-3
    norm = replace(NORM, eps=eps)
    own = replace(norm, mean=sums.mean(axis=(1, 2)), var=sums.var(axis=(1, 2)))
    assert judged(normalized(own), norm).verdict == "batch-statistics"


def test_every_row_has_a_test() -> None:
    assert {*ROWS} == {"as-given", "batch-statistics", *OTHERS}
    assert {*MORE} == {"other-epsilon", "bias", "bias-and-epsilon", "not-this", "not-judged"}


def test_none_of_these() -> None:
    scale = NORM.gamma / np.sqrt(NORM.var)
    scale[3] *= 1.5
    found = judged(output(scale, NORM.beta - NORM.mean * scale))
    assert (found.verdict, found.holds, found.eps, found.left) == ("not-this", False, None, None)
    assert found.channel == 3
    assert found.found is not None
    assert found.expected is not None
    assert found.found[0] == pytest.approx(1.5 * found.expected[0], rel=1e-4)


def test_one_channel_alone_that_is_off() -> None:
    norm = replace(NORM, beta=NORM.beta + np.array([0, 0, 0, 0.01, 0]))
    found = judged(normalized(NORM), norm)
    assert (found.verdict, found.off, found.channel) == ("bias", 1, 3)
    assert found.bias is not None
    wanted = -0.01 * np.sqrt(NORM.var[3] + NORM.eps) / NORM.gamma[3]
    np.testing.assert_allclose(np.array(found.bias, float), [0, 0, 0, wanted, 0], atol=1e-5)


def test_an_epsilon_that_the_data_does_not_tell() -> None:
    """Variances of thousands, of outputs that are as large."""
    norm = replace(NORM, mean=64 * NORM.mean, var=4096 * NORM.var, gamma=64 * NORM.gamma)
    found = judged(normalized(norm, 1e-3), norm)
    assert (found.verdict, found.eps) == ("as-given", 1e-5)
    assert found.left is not None
    assert found.left[0] == 0
    assert found.left[1] > 1e-3


@pytest.mark.parametrize("mean", [0.0, 0.5])
def test_of_one_channel_an_epsilon_takes_a_mean_to_be_told(mean: float) -> None:
    """One scale is always that of some epsilon; with a bias that agrees, too, it is no luck."""
    norm = BatchNorm(np.array([mean]), np.array([1.5]), np.array([0.75]), np.array([0.25]))
    scale = 0.75 / np.sqrt(1.5 + 1e-3)
    out = made(IMAGE, FILTERS[:1], scale=scale, bias=0.25 - mean * scale).astype(np.float32)
    found = identify(IMAGE, FILTERS[:1], out, batch_norm=norm, budget=LONG).batch_norm
    assert found is not None
    assert found.verdict == ("other-epsilon" if mean else "not-this")


def test_channels_are_those_of_the_filters() -> None:
    order = (3, 0, 4, 2, 1)
    found = judged(normalized(NORM, output_order=order))
    assert found.verdict == "as-given"


def test_integers_that_are_stored_leave_room() -> None:
    image, filters = whole(3, 20, 19, seed=1), whole(CHANNELS, 3, 3, 3, seed=2)
    norm = replace(NORM, var=400 * NORM.var, gamma=20 * NORM.gamma)
    scale = norm.gamma / np.sqrt(norm.var + norm.eps)
    bias = norm.beta - norm.mean * scale
    storage = {"dtype": "int8", "rounding": "half_even", "overflow": "saturate"}
    out = made(image, filters, scale=tuple(scale), bias=tuple(bias), storage=storage)
    found = identify(image, filters, out, batch_norm=norm, budget=LONG)
    assert found.verdict == "identified"
    assert found.batch_norm is not None
    assert found.batch_norm.verdict == "as-given"
    assert found.batch_norm.left is not None
    assert found.batch_norm.left[1] > 1e-3


@pytest.mark.parametrize("kind", ["near", slow("unexplained"), slow("complex")])
def test_what_is_not_judged(kind: str) -> None:
    out = normalized(NORM)
    if kind == "near":
        out[1, 3, 4] += 1
    elif kind == "unexplained":
        out = normal(*out.shape)
    else:
        out = made(IMAGE, FILTERS).astype(np.complex128) * 1j
    found = identify(IMAGE, FILTERS, out, batch_norm=NORM, budget=2)
    assert found.batch_norm is not None
    assert (found.batch_norm.verdict, found.batch_norm.holds) == ("not-judged", None)
    assert found.exit_code == 1
    assert found.as_claimed


def test_one_of_several_answers_will_do() -> None:
    image = IMAGE[[0, 1, 0]]
    scale = NORM.gamma / np.sqrt(NORM.var + 1e-5)
    keys = {"scale": tuple(scale), "bias": tuple(NORM.beta - NORM.mean * scale)}
    out = made(image, FILTERS, **keys).astype(np.float32)
    found = identify(image, FILTERS, out, batch_norm=NORM, budget=LONG)
    assert found.verdict == "ambiguous"
    assert found.batch_norm is not None
    assert found.batch_norm.holds
    assert found.exit_code == 0


FOUR = ("mean", "var", "gamma", "beta")
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "lengths": ({"gamma": np.ones(4)}, "different lengths"),
    "channels": (dict.fromkeys(FOUR, np.ones(7)), "another number of channels"),
    "an axis of OUT, but another": (dict.fromkeys(FOUR, np.ones(10)), "another number of channels"),
    "negative": ({"var": NORM.var - 2}, "VAR of the batch normalization holds negative numbers"),
    "nan": ({"beta": np.full(CHANNELS, np.nan)}, "BETA .* not finite"),
    "axes": ({"mean": np.ones((CHANNELS, 1))}, "MEAN .* wrong number of axes"),
    "empty": (dict.fromkeys(FOUR, np.ones(0)), "is empty"),
    "complex": ({"gamma": 1j * NORM.gamma}, "GAMMA .* complex"),
    "text": ({"gamma": np.array(list("abcde"))}, "GAMMA .* does not hold numbers"),
    "eps": ({"eps": -1e-5}, "EPS .* is unfit"),
    "eps nan": ({"eps": float("nan")}, "EPS .* is unfit"),
    "nothing to divide by": ({"eps": 0.0, "var": np.zeros(CHANNELS)}, "is 0 where EPS is 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_batch_normalization_of_this(name: str) -> None:
    keys, said = BAD[name]
    with pytest.raises(InputError, match=said) as raised:
        identify(IMAGE, FILTERS, normalized(NORM), batch_norm=replace(NORM, **keys))
    assert raised.value.got
    assert raised.value.expected
