"""Each activation: what it does, what it came from, what it is called, and its code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from few import one_in
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_convolution import ACTIVATIONS as PLAIN

from convcheck.convention import ACTIVATIONS, Activation, Convention
from convcheck.errors import InputError

SETTINGS = settings(derandomize=True, deadline=None, max_examples=100)
VALUES: dict[str, tuple[float, ...]] = {"leaky_relu": (0.2,), "clip": (-1.5, 3.0)}
V = np.concatenate([np.linspace(-9, 9, 181), [-60.0, 40.0, 800.0, -800.0, 1e-12]])
EVERY = sorted(ACTIVATIONS)


def activation(name: str) -> Activation:
    return Activation(name, VALUES.get(name, ()))


def test_the_names_are_the_fixed_ones() -> None:
    assert set(ACTIVATIONS) >= {
        *("relu", "relu6", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", "hard_sigmoid"),
        *("hard_swish", "softplus", "elu", "abs", "leaky_relu", "clip"),
    }
    assert {n for n, kind in ACTIVATIONS.items() if kind.parameters} == set(VALUES)


@pytest.mark.parametrize("name", EVERY)
def test_it_is_what_its_formula_says(name: str) -> None:
    if name not in PLAIN:
        assert name == "hard_sigmoid"
        expected = np.clip(V / 6 + 0.5, 0, 1)
    else:
        given_ = [VALUES[name]] if name == "clip" else VALUES.get(name, ())
        with np.errstate(over="ignore"):
            expected = PLAIN[name](V, *given_)
    found = activation(name).apply(V)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", EVERY)
def test_it_is_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    code = activation(name).code("torch", "y")
    made = eval(code, {"F": torch.nn.functional, "torch": torch, "y": torch.from_numpy(V)})
    np.testing.assert_allclose(activation(name).apply(V), made.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", EVERY)
def test_its_numpy_code_runs(name: str) -> None:
    import scipy.special

    code = activation(name).code("numpy", "y")
    with np.errstate(over="ignore"):
        made = eval(code, {"np": np, "scipy": scipy, "y": V})
    np.testing.assert_allclose(activation(name).apply(V), made, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", EVERY)
def test_its_jax_code_runs(name: str) -> None:
    jax = pytest.importorskip("jax")
    code = activation(name).code("jax", "y")
    y = np.linspace(-9, 9, 41).astype(np.float32)
    made = eval(code, {"jax": jax, "jnp": jax.numpy, "y": jax.numpy.asarray(y)})
    np.testing.assert_allclose(activation(name).apply(y), made, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax", "tensorflow", "onnx"])
@pytest.mark.parametrize("name", EVERY)
def test_every_library_has_a_name_for_it(name: str, library: str) -> None:
    text = activation(name).code(library, "result")
    assert text
    assert "{" not in text
    assert ("result" in text) == (library != "onnx")


@pytest.mark.parametrize("name", one_in(3, EVERY))
@SETTINGS
@given(v=st.floats(-30, 30), below=st.floats(0, 0.5), above=st.floats(0, 0.5))
def test_the_preimage_contains_what_it_came_from(
    name: str, v: float, below: float, above: float
) -> None:
    one = activation(name)
    result = one.apply(np.array([v]))
    roundoff = 1e-14 * np.maximum(np.abs(result), 1)
    low, high = one.preimage(result - below - roundoff, result + above + roundoff)
    assert low[0] <= v <= high[0]


@pytest.mark.parametrize("name", EVERY)
def test_the_preimage_is_no_wider_than_it_must_be(name: str) -> None:
    """Where it increases, the ends of the preimage are those of the interval."""
    one = activation(name)
    v = np.array([0.5, 0.8, 1.3])
    low, high = one.preimage(one.apply(v), one.apply(v + 0.25))
    np.testing.assert_allclose(high, v + 0.25, rtol=1e-6)
    if name != "abs":
        np.testing.assert_allclose(low, v, rtol=1e-6)
    else:
        np.testing.assert_allclose(low, -v - 0.25)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("relu", -3, -2),
        ("relu6", 7, 8),
        ("sigmoid", 1.5, 2),
        ("tanh", -3, -2),
        ("silu", -2, -1),
        ("gelu", -2, -1),
        ("hard_swish", -2, -1),
        ("softplus", -2, -1),
        ("elu", -3, -2),
        ("abs", -3, -2),
        ("clip", 4, 5),
        ("clip", -3, -2),
    ],
)
def test_nothing_makes_what_lies_beyond_its_results(name: str, low: float, high: float) -> None:
    found = activation(name).preimage(np.array([float(low)]), np.array([float(high)]))
    assert found[0][0] > found[1][0]


@pytest.mark.parametrize(
    ("name", "result", "interval"),
    [
        ("relu", 0.0, (-np.inf, 0.0)),
        ("relu", 2.0, (2.0, 2.0)),
        ("relu6", 6.0, (6.0, np.inf)),
        ("clip", -1.5, (-np.inf, -1.5)),
        ("clip", 3.0, (3.0, np.inf)),
        ("abs", 2.0, (-2.0, 2.0)),
        ("leaky_relu", -1.0, (-5.0, -5.0)),
        ("leaky_relu", 2.0, (2.0, 2.0)),
        ("hard_sigmoid", 0.0, (-np.inf, -3.0)),
        ("hard_sigmoid", 0.75, (1.5, 1.5)),
    ],
)
def test_what_results_came_from(name: str, result: float, interval: tuple[float, float]) -> None:
    low, high = activation(name).preimage(np.array([result]), np.array([result]))
    assert (low[0], high[0]) == pytest.approx(interval)


@pytest.mark.parametrize("name", EVERY)
def test_it_is_nowhere_steeper_than_it_is_said_to_be(name: str) -> None:
    v = np.linspace(-12, 12, 24001)
    slopes = np.abs(np.diff(activation(name).apply(v))) / np.diff(v)
    assert slopes.max() <= activation(name).steepest * (1 + 1e-9)
    assert slopes.max() >= 0.9 * activation(name).steepest or name == "silu"


@pytest.mark.parametrize("slope", [0.2, 0.01, -0.5, 3.0])
def test_a_slope_is_read_off_results(slope: float) -> None:
    v = np.array([-3.0, -0.5, 2.0, 4.0])
    assert ACTIVATIONS["leaky_relu"].read(np.where(v > 0, v, slope * v), v) == pytest.approx(
        (slope,)
    )
    assert ACTIVATIONS["leaky_relu"].read(v[2:], v[2:]) == (0.0,)
    assert Activation("leaky_relu", (slope,)).steepest == max(1.0, abs(slope))


def test_ends_are_read_off_results() -> None:
    v = np.array([-9.0, 0.5, 2.0, 8.0])
    assert ACTIVATIONS["clip"].read(np.clip(v, -1, 3), v) == (-1.0, 3.0)


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        ("relu", "ReLU"),
        ("gelu_tanh", "GELU by its tanh formula"),
        ({"leaky_relu": 0.1}, "a leaky ReLU of slope 0.1"),
        ({"clip": [-1.0, 2.5]}, "cut off below -1 and above 2.5"),
    ],
)
def test_words_and_json(plain: Any, words: str) -> None:
    found = Convention(activation=plain).activation
    assert found is not None
    assert found.words == words
    assert found.plain() == plain
    assert Convention.from_dict({"activation": plain}).to_dict()["activation"] == plain


@pytest.mark.parametrize(
    "value",
    [
        *("ReLU", "", False, 0, ["relu"], {}, {"clip": 1.0}, {"relu": 1}),
        *({"leaky_relu": [0.1, 0.2]}, {"leaky_relu": float("nan")}),
        {"leaky_relu": 0.1, "clip": [0, 1]},
    ],
    ids=str,
)
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(InputError, match="activation"):
        Convention.from_dict({"activation": value})


@pytest.mark.parametrize(
    ("name", "evaluated", "cancels"),
    [
        *((name, 0, 1) for name in ("relu", "relu6", "abs", "leaky_relu", "clip")),
        *((name, 4, 1) for name in ("sigmoid", "tanh", "silu", "softplus", "elu")),
        *((name, 4, 4) for name in ("gelu", "gelu_tanh")),
        ("hard_sigmoid", 0.5, 0.2),
        ("hard_swish", 2, 1),
    ],
)
def test_the_roundoff_of_evaluating_it(name: str, evaluated: float, cancels: float) -> None:
    """In units, of the result and of the argument; docs/search.md has what they are good for."""
    assert (activation(name).evaluated, activation(name).cancels) == (evaluated, cancels)


@pytest.mark.parametrize(
    ("name", "steepest"),
    [("silu", 1.1), ("gelu", 1.13), ("hard_swish", 1.5), ("sigmoid", 0.25), ("tanh", 1)],
)
def test_how_steep_it_is_said_to_be(name: str, steepest: float) -> None:
    assert activation(name).steepest == steepest


INF = np.inf


@pytest.mark.parametrize(
    ("name", "low", "high", "ends"),
    [
        # Cut off at both ends, which stand for all beyond them.
        ("relu", -1.0, 2.0, (-INF, 2)),
        ("relu", -2.0, -0.5, (INF, -INF)),
        ("relu6", 5.0, 7.0, (5, INF)),
        ("relu6", 6.5, 7.0, (INF, -INF)),
        ("clip", -2.0, -1.0, (-INF, -1)),
        ("hard_sigmoid", 0.25, 1.0, (-1.5, INF)),
        # No end is reached.
        ("sigmoid", 0.0, 0.5, (-INF, 0)),
        ("sigmoid", 0.5, 1.0, (0, INF)),
        ("sigmoid", -0.5, -0.1, (INF, -INF)),
        ("sigmoid", 1.1, 1.2, (INF, -INF)),
        ("sigmoid", -1.0, 2.0, (-INF, INF)),
        ("tanh", -1.0, 0.0, (-INF, 0)),
        ("tanh", 0.0, 1.0, (0, INF)),
        ("tanh", 1.5, 2.0, (INF, -INF)),
        ("softplus", 0.0, INF, (-INF, INF)),
        ("softplus", np.log(2), np.log(2), (0, 0)),
        ("elu", -1.0, 0.0, (-INF, 0)),
        ("elu", -0.5, 3.0, (np.log(0.5), 3)),
        ("elu", 0.5, INF, (0.5, INF)),
        ("abs", -1.0, 2.0, (-2, 2)),
        # Below zero there are two arguments, or none.
        ("silu", -0.1, 0.0, (-INF, 0)),
        ("silu", 0.0, 0.0, (-INF, 0)),
        ("hard_swish", 3.0, 4.0, (3, 4)),
        ("hard_swish", 1e6, 1e6, (1e6, 1e6)),
        ("gelu", 1e6, 1e6, (1e6, 1e6)),
    ],
)
def test_the_ends_of_a_preimage(
    name: str, low: float, high: float, ends: tuple[float, float]
) -> None:
    # Beside it, to show that each is by itself: what anything makes.
    found = activation(name).preimage(np.array([low, 0.5]), np.array([high, 0.6]))
    assert (found[0][0], found[1][0]) == pytest.approx(ends)
    assert found[0][1] <= found[1][1]


@pytest.mark.parametrize(
    ("name", "lowest", "least"),
    [
        ("silu", -1.2784645427610738, -0.2784645427610738),
        ("gelu", -0.7517915243494656, -0.16997120747990366),
        ("gelu_tanh", -0.7524614220710162, -0.17004075057125406),
        ("hard_swish", -1.5, -0.375),
    ],
)
def test_where_it_is_least(name: str, lowest: float, least: float) -> None:
    one = activation(name)
    around = one.apply(lowest + np.linspace(-0.5, 0.5, 101))
    assert around.min() == around[50] == pytest.approx(least, rel=1e-14)
    ends = np.array([least - 1e-9, least, 0.5 * least, 0.5]), np.array([least, 0.5 * least, 0, 0.6])
    low, high = one.preimage(ends[0], ends[1])
    assert low[:3].tolist() == [-INF] * 3
    assert high[0] == pytest.approx(lowest, abs=1e-6)
    np.testing.assert_allclose(one.apply(high), ends[1], rtol=1e-12, atol=1e-15)
    assert (high[1:] > lowest).all()
    # What lies below is made of nothing, alone and beside what is made of something.
    for beside in ([], [0.5]):
        y = np.array([least - 1e-6, *beside])
        low, high = one.preimage(y, y)
        assert low[0] > high[0]
        assert (low[1:] == high[1:]).all()


@pytest.mark.parametrize(
    ("slope", "low", "high", "ends"),
    [
        (0.5, -2.0, -1.0, (-4, -2)),
        (0.5, -2.0, 3.0, (-4, 3)),
        (0.5, 1.0, 3.0, (1, 3)),
        # A result has two arguments.
        (-0.5, 1.0, 2.0, (-4, 2)),
        (0.0, 1.0, 2.0, (1, 2)),
        (0.0, 0.0, 2.0, (-INF, 2)),
        (0.0, -1.0, 0.0, (-INF, 0)),
    ],
)
def test_a_leaky_relu_backwards(
    slope: float, low: float, high: float, ends: tuple[float, float]
) -> None:
    found = Activation("leaky_relu", (slope,)).preimage(np.array([low]), np.array([high]))
    assert (found[0][0], found[1][0]) == ends


def test_what_is_known_before_the_parameters_are() -> None:
    low, high = np.array([-2.0, -0.5, 0.5, 3.0]), np.array([-1.0, -0.25, 0.5, 4.0])
    rough = {name: ACTIVATIONS[name].rough for name in VALUES}
    assert all(rough.values())
    # Below zero a slope makes anything, of whatever is below it.
    found = rough["leaky_relu"](low, high)  # type: ignore[misc]
    assert [end.tolist() for end in found] == [[-INF, -INF, 0.5, 3.0], [-1.0, -0.25, 0.5, 4.0]]
    # The least and the greatest stand for all beyond them.
    found = rough["clip"](low, high)  # type: ignore[misc]
    assert [end.tolist() for end in found] == [[-INF, -0.5, 0.5, 3.0], [-1.0, -0.25, 0.5, INF]]


def test_a_slope_is_that_of_what_is_far_below_zero() -> None:
    read = ACTIVATIONS["leaky_relu"].read
    v = np.array([-8.0, -6.0, -4.0, -1.0, -0.5, 3.0])
    y = np.array([-0.8, -0.6, -0.4, -0.9, -0.9, 3.0])
    assert read(y, v) == pytest.approx((0.1,))
    assert read(np.array([-0.5, 0.0, 0.0]), np.array([-1.0, 0.0, 0.0])) == (0.5,)
    assert read(np.array([-0.5, -INF]), np.array([-1.0, -INF])) == (0.5,)
    assert read(np.array([0.0, 2.0]), np.array([0.0, 2.0])) == (0.0,)


def test_values_are_written_as_they_are() -> None:
    assert activation("leaky_relu").code("numpy", "y") == "np.where(y > 0, y, 0.2 * y)"
    assert activation("clip").code("onnx", "y") == "Clip(min=-1.5, max=3.0)"
    assert activation("clip").plain() == {"clip": [-1.5, 3.0]}
    assert Activation("leaky_relu", (1 / 3,)).words == "a leaky ReLU of slope 0.333333"
