"""The printed code: NumPy's and SciPy's is run, the others' is read."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from drawn_conventions import Drawn, agrees, draw, expected, run
from few import one_in

from convcheck.calls import CANNOT, LIBRARIES, equivalent_calls, onnx_node
from convcheck.convention import ACTIVATIONS, KEYS, Convention
from convcheck.errors import InputError

COUNT = 600


def digits(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-9, 10, shape)


def calls_of(drawn: Drawn, dtype: str = "float64") -> dict[str, str]:
    shapes = drawn.image.shape, drawn.filters.shape
    return equivalent_calls(drawn.convention, *shapes, dtype=dtype)


def same(actual: np.ndarray, drawn: Drawn) -> bool:
    wanted = expected(drawn)
    return actual.shape == wanted.shape and np.array_equal(actual, wanted)


# ------------------------------------------------------------------------------ NumPy and SciPy


@pytest.mark.parametrize("first", one_in(3, range(0, COUNT, 100)))
def test_numpy_says_every_convention(first: int) -> None:
    for seed in range(first, first + 100):
        drawn = draw(seed)
        code = calls_of(drawn)["scipy"]
        assert agrees(run(code, drawn), drawn), (seed, drawn.convention, code)


def test_the_drawn_conventions_have_every_value_of_every_key() -> None:
    drawn = [draw(seed).convention for seed in range(COUNT)]
    for key in KEYS:
        assert len({repr(getattr(c, key)) for c in drawn}) > 1 or key == "conjugate", key
    assert {c.rank for c in drawn} == {1, 2, 3}
    assert {c.activation.name for c in drawn if c.activation} == set(ACTIVATIONS)


@pytest.mark.parametrize("flip", ["correlation", "per-channel"])
@pytest.mark.parametrize("mode", ["full", "same"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "taps", [(1,), (2,), (5,), (9,), (1, 1), (2, 2), (4, 3), (2, 5), (7, 8), (2, 1, 3)]
)
@pytest.mark.parametrize("gap", [1, 2])
def test_the_modes_of_scipy(
    flip: str, mode: str, stride: int, taps: tuple[int, ...], gap: int
) -> None:
    pads = [(t - 1, t - 1) if mode == "full" else (t // 2, (t - 1) // 2) for t in taps]
    layout = "C" + "DHW"[-len(taps) :]
    convention = Convention(layout, flip=flip, stride=stride, padding=pads, input_dilation=gap)
    drawn = Drawn(digits(3, *(4, 6, 7)[-len(taps) :]), digits(2, 3, *taps), convention)
    code = calls_of(drawn)["scipy"]
    if max(taps) > 1:
        # With a stride, another mode may leave the same windows.
        assert f'"{mode}"' in code or (stride > 1 and '"full"' in code)
    assert same(run(code, drawn), drawn), code


@pytest.mark.parametrize(
    ("changes", "shape", "lines"),
    [
        (
            {"flip": ("I", "H", "W")},
            (2, 3, 3, 2),
            ['out = np.array([signal.convolve(x, f, "valid", method="direct")[0] for f in w])'],
        ),
        (
            {"stride": 2},
            (2, 3, 3, 2),
            [
                (
                    'out = np.array([signal.correlate(x, f, "valid", method="direct")[0] '
                    "for f in w])[:, ::2, ::2]"
                )
            ],
        ),
        (
            {"flip": ("H", "W"), "filter_layout": "HWIO"},
            (3, 2, 3, 2),
            [
                'w = filters.transpose(3, 2, 0, 1).astype("float64")',
                (
                    "out = np.array([sum(signal.convolve(c, k, "
                    '"valid", method="direct") for c, k in zip(x, f)) for f in w])'
                ),
            ],
        ),
    ],
)
def test_the_telling_form(
    changes: dict[str, Any], shape: tuple[int, ...], lines: list[str]
) -> None:
    code = equivalent_calls(Convention(**changes), (3, 5, 5), shape)["scipy"]
    assert set(lines) <= set(code.splitlines())


@pytest.mark.parametrize("flip", [(), ("H", "W"), ("I", "H", "W"), ("I",)])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("conjugate", [False, True])
def test_complex_arrays(flip: tuple[str, ...], dilation: int, groups: int, conjugate: bool) -> None:
    image = digits(3, 6, 7) + 1j * digits(3, 7, 6).swapaxes(1, 2)
    filters = digits(6, 3 // groups, 2, 3) - 1j * digits(6, 3 // groups, 3, 2).swapaxes(2, 3)
    convention = Convention(flip=flip, dilation=dilation, groups=groups, conjugate=conjugate)
    drawn = Drawn(image, filters, convention)
    assert same(run(calls_of(drawn, "complex128")["scipy"], drawn), drawn)


def test_integers_that_float64_would_not_add_exactly() -> None:
    image, filters = digits(2, 6, 6) * 300_000_001, digits(2, 2, 3, 3) * 300_007
    for overflow in ("wrap", "saturate"):
        storage = {"dtype": "int32", "zero_point": 3, "overflow": overflow}
        drawn = Drawn(image, filters, Convention(storage=storage, image_offset=2))
        assert same(run(calls_of(drawn, "int64")["scipy"], drawn), drawn)


@pytest.mark.parametrize("rounding", ["half_even", "half_away", "half_up", "toward_zero", "down"])
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int64"])
@pytest.mark.parametrize("arithmetic", ["exact", "float32", "float16"])
def test_halves_and_overflows_as_they_are_stored(
    rounding: str, overflow: str, dtype: str, arithmetic: str
) -> None:
    image = np.arange(-1000, 1001).reshape(1, 1, -1) / 2
    storage = {"dtype": dtype, "zero_point": -7, "rounding": rounding, "overflow": overflow}
    convention = Convention(storage=storage, arithmetic=arithmetic)
    drawn = Drawn(image, np.ones((1, 1, 1, 1)), convention)
    for library in ("scipy", "onnx"):
        code = calls_of(drawn)[library]
        assert same(run(code, drawn, Conv=lambda **_: lambda x, w: x * w[0]), drawn), code


def test_nothing_leaks_from_a_lonely_nan() -> None:
    image = digits(1, 8, 8).astype(float)
    image[0, 0, 0] = np.nan
    for convention in (Convention(), Convention(dilation=2), Convention(flip=("H", "W"))):
        drawn = Drawn(image, digits(1, 1, 3, 3), convention)
        out = run(calls_of(drawn)["scipy"], drawn)
        assert np.argwhere(np.isnan(out)).tolist() == [[0, 0, 0]]


# ----------------------------------------------------------------------------- what all of them say


def test_every_library_has_its_line() -> None:
    calls = equivalent_calls(Convention(), (3, 5, 5), (2, 3, 3, 2))
    assert tuple(calls) == LIBRARIES
    assert CANNOT not in calls.values()
    for code in calls.values():
        assert "out = " in code.splitlines()[-1]


@pytest.mark.parametrize(
    ("library", "changes", "said"),
    [
        (
            "torch",
            {"stride": 2, "padding": ((1, 0), (1, 0))},
            "F.conv2d(x, w, stride=2, padding=1)",
        ),
        ("torch", {"padding": ((0, 1), (0, 1))}, "x = F.pad(x, (0, 1, 0, 1))"),
        (
            "torch",
            {"flip": ("H", "W"), "input_dilation": 2, "padding": ((1, 2), (1, 2))},
            "F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1)",
        ),
        (
            "torch",
            {"padding": 1, "padding_mode": "reflect"},
            'x = F.pad(x, (1, 1, 1, 1), mode="reflect")',
        ),
        # What PyTorch's padding has not is done by NumPy's.
        ("torch", {"padding": 1, "padding_mode": "symmetric"}, "torch.from_numpy(np.pad(x, "),
        ("torch", {"padding": 8, "padding_mode": "reflect"}, "torch.from_numpy(np.pad(x, "),
        (
            "torch",
            {"bias": (1, 2, 3, 4)},
            "F.conv2d(x, w, bias=torch.tensor([1, 2, 3, 4], dtype=torch.float64))",
        ),
        (
            "torch",
            {"image_offset": (1, 2, 0.5), "image_scale": 1 / 58},
            "(x - np.array([1, 2, 0.5])[:, None, None]) * (1 / 58)",
        ),
        ("torch", {"filter_offset": 128}, 'torch.from_numpy(filters.astype("float64") - 128)'),
        (
            "torch",
            {"scale": (1, 2, 3, 4), "activation": {"leaky_relu": 0.1}},
            "y = F.leaky_relu(y, 0.1)",
        ),
        (
            "torch",
            {"storage": {"dtype": "uint8", "zero_point": 121}},
            (
                "y = F.conv2d(x, w).numpy() + 121\n"
                'out = np.clip(np.rint(y), 0, 255).astype("uint8")[0]'
            ),
        ),
        ("torch", {"output_order": (3, 2, 1, 0)}, "F.conv2d(x, w).numpy()[:, ::-1][0]"),
        ("onnx", {"activation": "relu"}, "y = np.maximum(y, 0)  # Relu"),
        (
            "onnx",
            {"stride": 2, "padding": ((0, 1), (0, 1))},
            (
                "y = Conv(dilations=[1, 1], group=1, kernel_shape=[3, 3], "
                "pads=[0, 0, 1, 1], strides=[2, 2])(x, w)"
            ),
        ),
        (
            "onnx",
            {"flip": ("H", "W"), "input_dilation": 2, "padding": ((1, 2), (1, 2))},
            (
                "y = ConvTranspose(dilations=[1, 1], group=1, kernel_shape=[3, 3], "
                "output_padding=[1, 1], pads=[1, 1, 1, 1], strides=[2, 2])(x, w)"
            ),
        ),
        ("jax", {"stride": 2, "padding": ((0, 1), (0, 1))}, '(x, w, (2, 2), "SAME",'),
        ("jax", {"stride": 2, "padding": ((1, 0), (1, 0))}, '(x, w, (2, 2), "SAME_LOWER",'),
        ("jax", {"padding": -1}, "(x, w, (1, 1), ((-1, -1), (-1, -1)),"),
        ("jax", {}, 'dimension_numbers=("NCHW", "OIHW", "NCHW"))'),
        (
            "tensorflow",
            {"stride": 2, "padding": ((0, 1), (0, 1))},
            'tf.nn.conv2d(x, w, strides=[1, 2, 2, 1], padding="SAME")',
        ),
        (
            "tensorflow",
            {"padding": ((2, 0), (1, 1))},
            "padding=[[0, 0], [2, 0], [1, 1], [0, 0]])",
        ),
        (
            "tensorflow",
            {"flip": ("H", "W"), "input_dilation": 2, "padding": ((2, 1), (2, 1))},
            'tf.nn.conv2d_transpose(x, w, [1, 16, 16, 4], strides=[1, 2, 2, 1], padding="SAME")',
        ),
        ("tensorflow", {"padding": 1, "padding_mode": "wrap"}, "x = np.pad(x, "),
        (
            "tensorflow",
            {"stride": 2, "dilation": 2},
            'tf.nn.conv2d(x, w, strides=[1, 2, 2, 1], padding="VALID", dilations=[2, 2])',
        ),
        (
            "tensorflow",
            {"flip": ("H", "W"), "input_dilation": (2, 3), "padding": ((0, 2), (2, 1))},
            "[1, 15, 23, 4], strides=[1, 2, 3, 1], padding=[[0, 0], [2, 0], [0, 1], [0, 0]])",
        ),
        ("tensorflow", {"dilation": 2, "input_dilation": 2}, "x = spread"),
    ],
)
def test_the_call_by_its_own_names(library: str, changes: dict[str, Any], said: str) -> None:
    code = equivalent_calls(Convention(**changes), (3, 8, 8), (4, 3, 3, 3))[library]
    assert said in code


@pytest.mark.parametrize(
    ("library", "layout", "changes", "said"),
    [
        ("scipy", "CW", {"flip": "flipped"}, "signal.convolve(x, f, "),
        ("torch", "CW", {"stride": 2, "padding": 1}, "F.conv1d(x, w, stride=2, padding=1)"),
        ("torch", "CDHW", {"dilation": 2}, "F.conv3d(x, w, dilation=2)"),
        (
            "torch",
            "CDHW",
            {"padding": ((0, 1), (2, 3), (4, 5))},
            "F.pad(x, (4, 5, 2, 3, 0, 1))",
        ),
        ("torch", "CW", {"flip": ("W",), "input_dilation": 2}, "F.conv_transpose1d(x, w, stride=2"),
        (
            "torch",
            "CDHW",
            {"flip": "per-channel", "input_dilation": (1, 2, 2)},
            "F.conv_transpose3d(x, w, stride=(1, 2, 2)",
        ),
        ("onnx", "CW", {"padding": ((1, 2),)}, "kernel_shape=[3], pads=[1, 2], strides=[1])(x, w)"),
        ("onnx", "CDHW", {"padding": ((1, 2), (3, 4), (5, 6))}, "pads=[1, 3, 5, 2, 4, 6]"),
        ("jax", "WC", {}, '(x, w, (1,), "VALID", dimension_numbers=("NWC", "OIW", "NCW"))'),
        ("jax", "CDHW", {}, 'dimension_numbers=("NCDHW", "OIDHW", "NCDHW"))'),
        (
            "tensorflow",
            "CW",
            {"dilation": 2},
            'conv1d(x, w, stride=1, padding="VALID", dilations=2',
        ),
        ("tensorflow", "CW", {"padding": 2}, "tf.pad(x, ((0, 0), (2, 2), (0, 0)))"),
        ("tensorflow", "CDHW", {"stride": 2}, "conv3d(x, w, strides=[1, 2, 2, 2, 1], padding="),
        ("tensorflow", "CDHW", {"dilation": 2}, "spread[::2, ::2, ::2] = w"),
        (
            "tensorflow",
            "CDHW",
            {"flip": "per-channel", "input_dilation": 2, "padding": 2},
            "conv3d_transpose(x, w, [1, 17, 17, 17, 4], strides=[1, 2, 2, 2, 1], padding=",
        ),
        ("tensorflow", "CDHW", {"groups": 3}, CANNOT),
    ],
)
def test_the_call_in_one_and_three_dimensions(
    library: str, layout: str, changes: dict[str, Any], said: str
) -> None:
    convention = Convention(layout, **changes)
    shape = [3 if axis == "C" else 8 for axis in layout]
    groups = convention.groups
    bank = (4 * groups, 3 // groups, *[3] * convention.rank)
    assert said in equivalent_calls(convention, shape, bank)[library]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_said_by_every_library(name: str) -> None:
    values = list(range(len(ACTIVATIONS[name].parameters)))
    convention = Convention(activation={name: values} if values else name)
    calls = equivalent_calls(convention, (3, 8, 8), (4, 3, 3, 3))
    for library, code in calls.items():
        assert convention.activation is not None
        entry = {"scipy": "numpy"}.get(library, library)
        assert convention.activation.code(entry, "y") in code


def test_shapes_that_do_not_fit() -> None:
    for shapes in [((3, 5), (2, 3, 3, 3)), ((3, 5, 5), (2, 2, 3, 3)), ((3, 2, 2), (2, 3, 3, 3))]:
        with pytest.raises(InputError):
            equivalent_calls(Convention(), *shapes)
        with pytest.raises(InputError):
            onnx_node(Convention(), *shapes)


def test_a_precision_without_a_dtype_is_left_to_the_reader() -> None:
    calls = equivalent_calls(Convention(arithmetic="tf32"), (3, 5, 5), (2, 3, 3, 2))
    for code in calls.values():
        assert code.endswith("# neither the operands nor the result are rounded to tf32 here")
    stored = equivalent_calls(Convention(storage={"dtype": "bfloat16"}), (3, 5, 5), (2, 3, 3, 2))
    for code in stored.values():
        assert code.endswith("# the result before it is rounded to bfloat16")


def test_neither_scipy_signal_nor_a_framework_is_imported() -> None:
    script = (
        "import sys; from convcheck.calls import equivalent_calls as e;"
        "import convcheck.words; from convcheck.convention import Convention;"
        "e(Convention(), (3, 5, 5), (2, 3, 3, 2));"
        "sys.exit(bool({'scipy.signal', 'torch', 'onnx', 'jax', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
