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

SETTINGS = settings(derandomize=True, deadline=None, max_examples=300)
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
