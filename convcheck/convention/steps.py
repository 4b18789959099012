"""What is done to the sums, element by element: one table, an entry an activation.

An entry says what the activation does (``apply``), between which numbers its argument was
(``preimage``), what it is called and how other libraries write it. Nothing else in the package
knows one by its name: a new activation is a new entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcheck.convention.preimages import Dip, Interval, increasing, kept, leaky

Array = NDArray[Any]


class Activation(NamedTuple):
    """An activation of the table with the values of its parameters."""

    name: str
    values: tuple[float, ...] = ()

    def apply(self, v: Array) -> Array:
        """The activation of every element."""
        return ACTIVATIONS[self.name].apply(v, *self.values)

    def preimage(self, low: Array, high: Array) -> Interval:
        """The hull of what it makes into numbers from ``low`` to ``high``, element by element.

        Where there is nothing of the kind, the first is larger than the second.
        """
        with np.errstate(all="ignore"):
            return ACTIVATIONS[self.name].preimage(low, high, *self.values)

    @property
    def evaluated(self) -> float:
        """The units of roundoff that evaluating it takes."""
        return ACTIVATIONS[self.name].evaluated

    @property
    def cancels(self) -> float:
        """The units of roundoff of its argument that are left where it is evaluated by parts."""
        return ACTIVATIONS[self.name].cancels

    @property
    def steepest(self) -> float:
        """The largest ratio of two results' difference to that of their arguments."""
        return ACTIVATIONS[self.name].steepest(*self.values)

    @property
    def words(self) -> str:
        """What it is called, with its values: "a leaky ReLU of slope 0.1"."""
        return ACTIVATIONS[self.name].words.format(*(f"{v:g}" for v in self.values))

    def code(self, library: str, argument: str) -> str:
        """The library's expression for it."""
        text = ACTIVATIONS[self.name].code[library]
        return text.format(*map(repr, self.values), y=argument)

    def plain(self) -> Any:
        """The value of the key ``activation`` with JSON's own types."""
        if not self.values:
            return self.name
        return {self.name: list(self.values) if len(self.values) > 1 else self.values[0]}


@dataclass(frozen=True)
class Kind:
    """An entry: the functions take arrays and the values of the parameters.

    ``code`` has an expression a library, of which ``{y}`` is the argument and ``{0}``, ``{1}`` the
    values. ``evaluated`` is the roundoff of evaluating it, in units: 0 of what only chooses and
    multiplies; ``cancels`` the same of its argument, where terms of that size cancel. Where there
    are values, ``rough`` is the preimage before they are known, and ``read`` gets them from results
    and their arguments; ``limits`` says that they are the least and the greatest result. ``dip``
    has the preimages on either side of the lowest point of one that falls and increases.
    """

    words: str
    apply: Callable[..., Array]
    preimage: Callable[..., Interval]
    code: Mapping[str, str]
    parameters: tuple[str, ...] = ()
    steepest: Callable[..., float] = field(default=lambda *_: 1.0)
    evaluated: float = 0.0
    cancels: float = 1.0
    rough: Callable[[Array, Array], Interval] | None = None
    read: Callable[[Array, Array], tuple[float, ...]] = field(default=lambda *_: ())
    limits: bool = False
    dip: Dip | None = None


def _magnitude(v: Array) -> Array:
    found: Array = np.abs(v)
    return found


def _sigmoid(v: Array) -> Array:
    small = np.exp(-np.abs(v))  # which never overflows
    found: Array = np.where(v >= 0, 1.0, small) / (1.0 + small)
    return found


def _tanh(v: Array) -> Array:
    found: Array = np.tanh(v)
    return found


def _silu(v: Array) -> Array:
    found: Array = v * _sigmoid(v)
    return found


def _gelu(v: Array) -> Array:
    from scipy.special import ndtr

    found: Array = v * ndtr(v)
    return found


def _gelu_tanh(v: Array) -> Array:
    found: Array = 0.5 * v * (1.0 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v**3)))
    return found


def _hard_swish(v: Array) -> Array:
    found: Array = v * _hard_sigmoid(v)
    return found


def _hard_sigmoid(v: Array) -> Array:
    return _clip(v / 6 + 0.5, 0.0, 1.0)


def _softplus(v: Array) -> Array:
    found: Array = np.logaddexp(0.0, v)
    return found


def _elu(v: Array) -> Array:
    return np.where(v > 0, v, np.expm1(np.minimum(v, 0.0)))


def _maximum(v: Array) -> Array:
    found: Array = np.maximum(v, 0)
    return found


def _clip(v: Array, low: float, high: float) -> Array:
    found: Array = np.clip(v, low, high)
    return found


def _hard_sigmoid_preimage(low: Array, high: Array) -> Interval:
    low, high = kept(low, high, 0.0, 1.0)
    return 6 * (low - 0.5), 6 * (high - 0.5)


def _slope(y: Array, v: Array) -> tuple[float, ...]:
    """The median of what results are of their arguments below zero."""
    some = (v < 0) & np.isfinite(v)
    if not some.any():
        return (0.0,)
    heavy = some & (v <= np.median(v[some]))  # far from zero an error counts little
    return (float(np.median(y[heavy] / v[heavy])),)


def _leaky_relu(v: Array, slope: float) -> Array:
    return np.where(v > 0, v, slope * v)


_SILU = Dip(_silu, -1.2784645427610738, -0.2784645427610738)
_GELU = Dip(_gelu, -0.7517915243494656, -0.16997120747990366)
_GELU_TANH = Dip(_gelu_tanh, -0.7524614220710162, -0.17004075057125406)
_HARD_SWISH = Dip(_hard_swish, -1.5, -0.375)
ACTIVATIONS: Mapping[str, Kind] = MappingProxyType(
    {
        "relu": Kind(
            "ReLU",
            _maximum,
            lambda low, high: kept(low, high, 0.0, np.inf),
            {
                "numpy": "np.maximum({y}, 0)",
                "torch": "F.relu({y})",
                "jax": "jax.nn.relu({y})",
                "tensorflow": "tf.nn.relu({y})",
                "onnx": "Relu",
            },
        ),
        "relu6": Kind(
            "ReLU6",
            lambda v: np.clip(v, 0.0, 6.0),
            lambda low, high: kept(low, high, 0.0, 6.0),
            {
                "numpy": "np.clip({y}, 0, 6)",
                "torch": "F.relu6({y})",
                "jax": "jax.nn.relu6({y})",
                "tensorflow": "tf.nn.relu6({y})",
                "onnx": "Clip(min=0, max=6)",
            },
        ),
        "sigmoid": Kind(
            "the sigmoid",
            _sigmoid,
            increasing(lambda y: np.log(y) - np.log1p(-y), 0.0, 1.0),
            {
                "numpy": "scipy.special.expit({y})",
                "torch": "torch.sigmoid({y})",
                "jax": "jax.nn.sigmoid({y})",
                "tensorflow": "tf.nn.sigmoid({y})",
                "onnx": "Sigmoid",
            },
            evaluated=4.0,
            steepest=lambda: 0.25,
        ),
        "tanh": Kind(
            "tanh",
            _tanh,
            increasing(np.arctanh, -1.0, 1.0),
            {
                "numpy": "np.tanh({y})",
                "torch": "torch.tanh({y})",
                "jax": "jnp.tanh({y})",
                "tensorflow": "tf.nn.tanh({y})",
                "onnx": "Tanh",
            },
            evaluated=4.0,
        ),
        "silu": Kind(
            "SiLU (swish)",
            _silu,
            _SILU.preimage,
            {
                "numpy": "{y} * scipy.special.expit({y})",
                "torch": "F.silu({y})",
                "jax": "jax.nn.silu({y})",
                "tensorflow": "tf.nn.silu({y})",
                "onnx": "Swish",
            },
            evaluated=4.0,
            steepest=lambda: 1.1,
            dip=_SILU,
        ),
        "gelu": Kind(
            "GELU",
            _gelu,
            _GELU.preimage,
            {
                "numpy": "{y} * scipy.special.ndtr({y})",
                "torch": "F.gelu({y})",
                "jax": "jax.nn.gelu({y}, approximate=False)",
                "tensorflow": "tf.nn.gelu({y})",
                "onnx": "Gelu",
            },
            evaluated=4.0,
            cancels=4.0,  # 1 + erf, where erf is a polynomial
            steepest=lambda: 1.13,
            dip=_GELU,
        ),
        "gelu_tanh": Kind(
            "GELU by its tanh formula",
            _gelu_tanh,
            _GELU_TANH.preimage,
            {
                "numpy": "0.5 * {y} * "
                "(1 + np.tanh((2 / np.pi) ** 0.5 * ({y} + 0.044715 * {y}**3)))",
                "torch": 'F.gelu({y}, approximate="tanh")',
                "jax": "jax.nn.gelu({y})",
                "tensorflow": "tf.nn.gelu({y}, approximate=True)",
                "onnx": 'Gelu(approximate="tanh")',
            },
            evaluated=4.0,
            cancels=4.0,
            steepest=lambda: 1.13,
            dip=_GELU_TANH,
        ),
        "hard_sigmoid": Kind(
            "the hard sigmoid (x/6 + 1/2, cut off at 0 and 1)",
            _hard_sigmoid,
            _hard_sigmoid_preimage,
            {
                "numpy": "np.clip({y} / 6 + 0.5, 0, 1)",
                "torch": "F.hardsigmoid({y})",
                "jax": "jax.nn.hard_sigmoid({y})",
                "tensorflow": "tf.nn.relu6({y} + 3) / 6",
                "onnx": "HardSigmoid(alpha=1/6, beta=0.5)",
            },
            evaluated=0.5,
            cancels=0.2,  # x + 3 is rounded, and divided by 6
            steepest=lambda: 1 / 6,
        ),
        "hard_swish": Kind(
            "the hard swish",
            _hard_swish,
            _HARD_SWISH.preimage,
            {
                "numpy": "{y} * np.clip({y} / 6 + 0.5, 0, 1)",
                "torch": "F.hardswish({y})",
                "jax": "jax.nn.hard_swish({y})",
                "tensorflow": "{y} * tf.nn.relu6({y} + 3) / 6",
                "onnx": "HardSwish",
            },
            evaluated=2.0,
            steepest=lambda: 1.5,
            dip=_HARD_SWISH,
        ),
        "softplus": Kind(
            "softplus",
            _softplus,
            increasing(lambda y: y + np.log(-np.expm1(-y)), 0.0),
            {
                "numpy": "np.logaddexp(0, {y})",
                "torch": "F.softplus({y}, threshold=700)",  # above it, y itself
                "jax": "jax.nn.softplus({y})",
                "tensorflow": "tf.nn.softplus({y})",
                "onnx": "Softplus",
            },
            evaluated=4.0,
        ),
        "elu": Kind(
            "ELU",
            _elu,
            increasing(lambda y: np.where(y > 0, y, np.log1p(y)), -1.0),
            {
                "numpy": "np.where({y} > 0, {y}, np.expm1(np.minimum({y}, 0)))",
                "torch": "F.elu({y})",
                "jax": "jax.nn.elu({y})",
                "tensorflow": "tf.nn.elu({y})",
                "onnx": "Elu",
            },
            evaluated=4.0,
        ),
        "abs": Kind(
            "the absolute value",
            _magnitude,
            lambda _, high: (-high, high),
            {
                "numpy": "np.abs({y})",
                "torch": "torch.abs({y})",
                "jax": "jnp.abs({y})",
                "tensorflow": "tf.abs({y})",
                "onnx": "Abs",
            },
        ),
        "leaky_relu": Kind(
            "a leaky ReLU of slope {0}",
            _leaky_relu,
            leaky,
            {
                "numpy": "np.where({y} > 0, {y}, {0} * {y})",
                "torch": "F.leaky_relu({y}, {0})",
                "jax": "jax.nn.leaky_relu({y}, {0})",
                "tensorflow": "tf.nn.leaky_relu({y}, {0})",
                "onnx": "LeakyRelu(alpha={0})",
            },
            parameters=("slope",),
            steepest=lambda slope: max(1.0, abs(slope)),
            rough=lambda low, high: kept(low, high, 0.0, np.inf, below=-np.inf),
            read=_slope,
        ),
        "clip": Kind(
            "cut off below {0} and above {1}",
            _clip,
            kept,
            {
                "numpy": "np.clip({y}, {0}, {1})",
                "torch": "torch.clamp({y}, {0}, {1})",
                "jax": "jnp.clip({y}, {0}, {1})",
                "tensorflow": "tf.clip_by_value({y}, {0}, {1})",
                "onnx": "Clip(min={0}, max={1})",
            },
            parameters=("low", "high"),
            rough=lambda low, high: kept(low, high, float(high.min()), float(low.max())),
            read=lambda y, _: (float(y.min()), float(y.max())),
            limits=True,
        ),
    }
)
