"""The printed code, run: NumPy's and SciPy's as they are, TensorFlow's on a stand-in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convcheck.calls import CANNOT, LIBRARIES, equivalent_calls, onnx_node
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.errors import InputError

sys.path.append(str(Path(__file__).parent / "peers"))
from drawn_conventions import Drawn, draw, expected, run

if TYPE_CHECKING:
    from collections.abc import Sequence

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


@pytest.mark.parametrize("first", range(0, COUNT, 100))
def test_numpy_says_every_convention(first: int) -> None:
    for seed in range(first, first + 100):
        drawn = draw(seed)
        code = calls_of(drawn)["scipy"]
        assert same(run(code, drawn), drawn), (seed, drawn.convention, code)


@pytest.mark.parametrize("flip", [(), ("H", "W")])
@pytest.mark.parametrize("mode", ["full", "same"])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("taps", [(1, 1), (2, 2), (3, 3), (4, 3), (2, 5), (7, 8)])
@pytest.mark.parametrize("gap", [1, 2])
def test_the_modes_of_scipy(
    flip: tuple[str, ...], mode: str, stride: tuple[int, int], taps: tuple[int, int], gap: int
) -> None:
    pads = [(t - 1, t - 1) if mode == "full" else (t // 2, (t - 1) // 2) for t in taps]
    convention = Convention(flip=flip, stride=stride, padding=pads, input_dilation=gap)
    drawn = Drawn(digits(3, 6, 7), digits(2, 3, *taps), convention)
    code = calls_of(drawn)["scipy"]
    if max(taps) > 1:
        # With a stride, another mode may leave the same windows.
        assert f'"{mode}"' in code or (stride != (1, 1) and '"full"' in code)
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
def test_complex_arrays(flip: tuple[str, ...], dilation: int, groups: int) -> None:
    image = digits(3, 6, 7) + 1j * digits(3, 7, 6).swapaxes(1, 2)
    filters = digits(6, 3 // groups, 2, 3) - 1j * digits(6, 3 // groups, 3, 2).swapaxes(2, 3)
    drawn = Drawn(image, filters, Convention(flip=flip, dilation=dilation, groups=groups))
    assert same(run(calls_of(drawn, "complex128")["scipy"], drawn), drawn)


def test_integers_that_float64_would_not_add_exactly() -> None:
    image, filters = digits(2, 6, 6) * 300_000_001, digits(2, 2, 3, 3) * 300_007
    drawn = Drawn(image, filters, Convention(arithmetic="wrap:int32"))
    calls = calls_of(drawn, "int64")
    assert same(run(calls["scipy"], drawn), drawn)
    assert calls["torch"] == CANNOT


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
        ("torch", {"padding": 1, "padding_mode": "symmetric"}, CANNOT),
        ("torch", {"padding": 8, "padding_mode": "reflect"}, CANNOT),
        ("torch", {"arithmetic": "wrap:uint8"}, CANNOT),
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
        ("tensorflow", {"padding": 1, "padding_mode": "wrap"}, CANNOT),
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


def test_shapes_that_do_not_fit() -> None:
    for shapes in [((3, 5), (2, 3, 3, 3)), ((3, 5, 5), (2, 2, 3, 3)), ((3, 2, 2), (2, 3, 3, 3))]:
        with pytest.raises(InputError):
            equivalent_calls(Convention(), *shapes)
        with pytest.raises(InputError):
            onnx_node(Convention(), *shapes)


def test_a_precision_without_a_dtype_is_left_to_the_reader() -> None:
    calls = equivalent_calls(Convention(arithmetic="tf32"), (3, 5, 5), (2, 3, 3, 2))
    for code in calls.values():
        assert code.endswith("# the result before it is rounded to tf32")


def test_neither_numpy_nor_a_framework_is_imported() -> None:
    script = (
        "import sys; from convcheck.calls import equivalent_calls as e;"
        "import convcheck.words; from convcheck.convention import Convention;"
        "e(Convention(), (3, 5, 5), (2, 3, 3, 2));"
        "sys.exit(bool({'numpy', 'scipy', 'torch', 'onnx', 'jax', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


# ---------------------------------------------------------------------------------- TensorFlow


class Tensor(np.ndarray):
    """What TensorFlow's functions return: an array with ``numpy()``."""

    def numpy(self) -> np.ndarray:
        return np.asarray(self)


def tensor(array: np.ndarray) -> Tensor:
    return np.asarray(array).view(Tensor)


def explicit(padding: Any, sizes: Sequence[int], extents: Sequence[int], stride: Sequence[int]):
    """TensorFlow's padding in rows and columns, by the formulas of its documentation."""
    if padding == "VALID":
        return [(0, 0), (0, 0)]
    if padding != "SAME":
        assert padding[0] == padding[3] == [0, 0]
        assert min(min(p) for p in padding) >= 0
        return padding[1:3]
    pads = []
    for n, e, s in zip(sizes, extents, stride, strict=True):
        along = max(e - s, 0) if n % s == 0 else max(e - n % s, 0)
        pads.append((along // 2, along - along // 2))
    return pads


def conv2d(x: Any, w: Any, strides: Any, padding: Any, dilations: Any = (1, 1)) -> Tensor:
    assert x.shape[3] % w.shape[2] == 0
    stride = strides[1:3]
    extents = [d * (n - 1) + 1 for n, d in zip(w.shape, dilations, strict=False)]
    convention = Convention(
        image_layout="NHWC",
        filter_layout="HWIO",
        output_layout="NHWO",
        stride=stride,
        dilation=dilations,
        padding=explicit(padding, x.shape[1:3], extents, stride),
        groups=x.shape[3] // w.shape[2],
    )
    return tensor(convolve(np.asarray(x), np.asarray(w), convention))


def depthwise_conv2d(x: Any, w: Any, strides: Any, padding: Any, dilations: Any = (1, 1)) -> Tensor:
    assert strides[1] == strides[2]
    assert strides[1] == 1 or tuple(dilations) == (1, 1)
    assert x.shape[3] == w.shape[2]
    parts = [
        conv2d(x[..., [c]], w[:, :, [c]], strides, padding, dilations) for c in range(x.shape[3])
    ]
    return tensor(np.concatenate(parts, axis=3))


def conv2d_transpose(x: Any, w: Any, output_shape: Any, strides: Any, padding: str) -> Tensor:
    """The gradient of conv2d: each output adds its filter to where its window stood."""
    assert w.shape[3] == x.shape[3]
    assert w.shape[2] == output_shape[3]
    (kh, kw), (sh, sw) = w.shape[:2], strides[1:3]
    sizes = output_shape[1:3]
    (top, bottom), (left, right) = explicit(padding, sizes, (kh, kw), (sh, sw))
    batch, rows, columns, outputs = output_shape
    whole = np.zeros((batch, rows + top + bottom, columns + left + right, outputs))
    assert (rows + top + bottom - kh) // sh + 1 == x.shape[1]
    assert (columns + left + right - kw) // sw + 1 == x.shape[2]
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            window = whole[:, i * sh : i * sh + kh, j * sw : j * sw + kw]
            window += np.einsum("ni,hwoi->nhwo", x[:, i, j], w)
    return tensor(whole[:, top : top + rows, left : left + columns])


def pad(x: Any, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> Tensor:
    for n, pads in zip(x.shape, paddings, strict=True):
        assert max(pads) <= {"CONSTANT": np.inf, "REFLECT": n - 1, "SYMMETRIC": n}[mode]
    extra = {"constant_values": constant_values} if mode == "CONSTANT" else {}
    return tensor(np.pad(x, paddings, mode=mode.lower(), **extra))


def test_tensorflow_by_its_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(
        constant=np.array,
        float64="float64",
        pad=pad,
        nn=SimpleNamespace(
            conv2d=conv2d,
            depthwise_conv2d=depthwise_conv2d,
            conv2d_transpose=conv2d_transpose,
            relu=lambda x: tensor(np.maximum(x, 0)),
        ),
    )
    monkeypatch.setitem(sys.modules, "tensorflow", stand_in)
    said: dict[str, int] = {}
    for seed in range(2 * COUNT):
        drawn = draw(seed)
        code = calls_of(drawn)["tensorflow"]
        if code == CANNOT:
            continue
        for name in ("conv2d(", "depthwise_conv2d(", "conv2d_transpose(", "tf.pad"):
            said[name] = said.get(name, 0) + (name in code)
        assert same(run(code, drawn), drawn), (seed, drawn.convention, code)
    assert said["conv2d("] > COUNT / 4
    assert min(said.values()) >= 5, said
