"""identify on arrays that nobody saves on purpose: an answer, or an error that says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from few import one_in, slow

from convcheck.checks.identify import identify
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

RNG = np.random.default_rng(5)
X = RNG.integers(-9, 10, (3, 8, 9))
W = RNG.integers(-9, 10, (4, 3, 3, 2))
Y = convolve(X, W)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def made(x: np.ndarray, w: np.ndarray, **keys: object) -> tuple[np.ndarray, ...]:
    layouts = {
        "image_layout": {2: "HW", 3: "CHW", 4: "NCHW"}[x.ndim],
        "filter_layout": {2: "HW", 3: "IHW", 4: "OIHW"}[w.ndim],
        "output_layout": {2: "HW", 3: "CHW", 4: "NCHW"}[x.ndim],
    }
    return x, w, convolve(x, w, Convention(**{**layouts, **keys}))


def whole(a: np.ndarray, kind: str) -> np.ndarray:
    return a.astype(np.int64).astype(kind)


IDENTIFIED = {
    "huge": made(X * 1e290, W.astype(float)),
    "huge both": made(X * 1e153, W * 1e150),
    "denormal": made(X * 5e-324, W.astype(float)),
    "beyond 2^53": made(X * 10**15 + RNG.integers(0, 9, X.shape), W),
    "int8 of -128": made(RNG.integers(-128, -120, X.shape).astype(np.int8), W.astype(np.int8)),
    "uint64": (
        (X + 9).astype(np.uint64) * 10**15,
        (W + 9).astype(np.uint64),
        convolve((X + 9).astype(np.uint64) * 10**15, (W + 9).astype(np.uint64)).astype(np.uint64),
    ),
    "int8 that wrapped": (X, W, whole(Y, "int8")),
    "int16 that wrapped": (50 * X, 50 * W, whole(convolve(50 * X, 50 * W), "int16")),
    "int32 that wrapped": (50000 * X, 50000 * W, whole(convolve(50000 * X, 50000 * W), "int32")),
    "int8 that saturated": (X, W, np.clip(Y, -128, 127).astype(np.int8)),
    "saturated, as floats": (X, W, np.clip(Y, 0, 255).astype(float)),
    "complex": made(normal(3, 8, 9) + 1j * normal(3, 8, 9), normal(4, 3, 3, 2) * (1 + 2j)),
    "complex64": (X + 1j, W * 1j, convolve(X + 1j, W * 1j).astype(np.complex64)),
    "in Fortran's order": (np.asfortranarray(X), np.asfortranarray(W), np.asfortranarray(Y)),
    "another step": (np.repeat(X, 2, 2)[:, :, ::2], W[::-1][::-1], Y),
    "big-endian": (X.astype(">f4"), W.astype(">i2"), Y.astype(">f8")),
    "one row": made(normal(3, 1, 20), normal(4, 3, 1, 3)),
    "one column": made(normal(3, 20, 1), normal(4, 3, 3, 1)),
    "a line in 2-D": made(normal(1, 20), normal(1, 3)),
    "kernel larger than the image": made(normal(2, 2, 2), normal(3, 2, 3, 3), padding=2),
    "one filter, a batch": made(normal(3, 2, 9, 8), normal(1, 2, 3, 3)),
    "depthwise": made(normal(128, 7, 8), normal(128, 1, 3, 3), groups=128, padding=1),
    "as many filters as channels": made(normal(32, 8, 9), normal(32, 32, 3, 3), padding=1),
    "longdouble": (X.astype(np.longdouble), W.astype(np.longdouble), Y.astype(np.longdouble)),
    "bools": made(X > 0, W > 0),
    "halves": (X.astype(np.float16), W.astype(np.float16), Y.astype(np.float16)),
    "a kernel of one tap, padded": made(normal(3, 7, 6), normal(4, 3, 1, 1), padding=1),
    "the same, and only the border tells": made(
        normal(3, 7, 6), normal(4, 3, 1, 1), padding=2, stride=2, bias=(1, -2, 3, 4)
    ),
    "windows in the padding altogether": made(X, W, padding=[[3, 5], [2, 4]]),
    "windows in the padding, complex": made(X * 1j, W + 1j, padding=[[4, 3], [0, 3]]),
    "windows in repeated pixels": made(X, W, padding=4, padding_mode="edge"),
    "a zero point, seen by more than a third of the output": made(
        RNG.integers(0, 256, (1, 14, 9)),
        RNG.integers(-128, 128, (3, 1, 2, 4)),
        padding=1,
        padding_value=117,
        stride=[2, 1],
        bias=(7956, 20241, -58383),
    ),
    "an output of one pixel": made(normal(3, 3, 2), normal(4, 3, 3, 2)),
    "symmetric kernels": made(X, W + W[..., ::-1]),
    "kernels of ones": made(X, np.ones_like(W)),
    "conjugated filters": made(X + 1j * X[::-1], W * (1 + 1j), conjugate=True),
    # What the shapes alone force is no ambiguity.
    "one row out": made(normal(3, 4, 13), normal(4, 3, 3, 2), stride=3),
    "symmetric by one": made(
        X, RNG.integers(-9, 10, (4, 3, 3, 3)), padding=1, padding_mode="symmetric"
    ),
}


OPEN = {
    "huge": "numbers near the ends of float64 overflow on the way",
    "huge both": "numbers near the ends of float64 overflow on the way",
    "denormal": "numbers near the ends of float64 underflow on the way",
}


def may_fail(names: Iterable[str], slow: Container[str] = ()) -> list[Any]:
    """The names, those that are known to fail marked so: one that passes is to be taken off."""
    marks: dict[str, list[Any]] = {name: [pytest.mark.slow] * (name in slow) for name in names}
    for name in OPEN.keys() & marks.keys():
        marks[name] = [pytest.mark.slow, pytest.mark.xfail(strict=True, reason=OPEN[name])]
    return [pytest.param(name, marks=mark) for name, mark in marks.items()]


@pytest.mark.parametrize("name", may_fail(IDENTIFIED))
def test_identified(name: str) -> None:
    image, filters, output = IDENTIFIED[name]
    for array in (image, filters, output):
        array.flags.writeable = False
    result = identify(image, filters, output)
    assert result.verdict == "identified", (result.candidates, result.reasons, result.nearest)
    assert result.candidates[0].comparison.mismatched == 0


def test_a_shape_forced_choice_is_the_plainest() -> None:
    found = identify(*IDENTIFIED["symmetric by one"]).candidates[0].convention
    assert found.padding_mode == "edge"
    found = identify(*IDENTIFIED["one row out"]).candidates[0].convention
    assert found.stride == (1, 3)


RIMMED = np.pad(RNG.integers(-9, 10, (3, 6, 7)), ((0, 0), (1, 1), (1, 1)))
AMBIGUOUS = {
    "rows of zeros around": made(RIMMED, RNG.integers(-9, 10, (4, 3, 3, 3)), padding=1),
    "two channels alike": made(np.concatenate([X[:2], X[:1]]), W),
    "constant image": made(np.full_like(X, 2), W),
    "a constant image, a bias and padding": made(
        np.full_like(X, 2), W, bias=(1, 2, 3, 4), padding=1
    ),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous(name: str) -> None:
    image, filters, output = AMBIGUOUS[name]
    result = identify(image, filters, output)
    assert result.verdict == "ambiguous"
    assert len(result.candidates) > 1
    assert result.reasons
    assert result.remedy
    for candidate in result.candidates:
        assert np.array_equal(convolve(image, filters, candidate.convention), output)


UNEXPLAINED = {
    "one pixel": (np.array([[2.0]]), np.array([[0.0]]), np.array([[7.0]])),
    "numbers from zeros": (0 * X, W, Y),
    "real parts": (X + 1j, W * 1j, convolve(X + 1j, W * 1j).real * RNG.random(Y.shape)),
    "signs": (X, W, np.sign(Y)),
    "rounded to tens": (X, W, np.round(Y, -2)),
    "an impossible size": (X, W, normal(4, 30, 40)),
}


@pytest.mark.parametrize(
    "name",
    may_fail(UNEXPLAINED, {"one pixel", "rounded to tens", "real parts", "numbers from zeros"}),
)
def test_unexplained(name: str) -> None:
    result = identify(*UNEXPLAINED[name])
    assert result.verdict == "unexplained", result.candidates


@pytest.mark.parametrize(
    ("name", "words"),
    [
        slow("IMG", "IMG is all zeros"),
        slow("W", "W is all zeros"),
        slow("OUT", "OUT is constant"),  # as in test_ambiguity.py
    ],
)
def test_arrays_of_one_number_say_nothing(name: str, words: str) -> None:
    arrays = {"IMG": X, "W": W, "OUT": Y}
    if name == "OUT":
        arrays["OUT"] = np.full(Y.shape, 3)
    else:
        arrays |= {name: 0 * arrays[name], "OUT": 0 * Y}
    result = identify(*arrays.values())
    assert result.verdict in ("ambiguous", "unexplained")
    assert any(words in said for said in (*result.reasons, *result.warnings))


REFUSED = {
    "empty": ((X, W, np.zeros((4, 0, 3))), "OUT is empty"),
    "six axes": ((X[None, None, None], W, Y), "IMG has the wrong number of axes"),
    "text": ((X.astype(str), W, Y), "IMG does not hold numbers"),
    "objects": ((X, W.astype(object), Y), "W does not hold numbers"),
    "nothing finite": ((X, W, np.full(Y.shape, np.nan)), "OUT holds no finite value"),
    "sums that overflow": ((X * 1e300, W * 1e300, Y), "overflow"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    arrays, words = REFUSED[name]
    with pytest.raises(InputError, match=words):
        identify(*arrays)


DAMAGE = {
    "row 3": np.s_[:, 3],
    "the border": None,
    "all of output channel 2": np.s_[2],
    "all of every second output channel, from 1": np.s_[1::2],
    "row 5 of output channel 1": np.s_[1, 5],
    "rows 4 to 7": np.s_[:, 4:],
    "a tile, rows 2 to 4 and columns 3 to 6 of output channel 0": np.s_[0, 2:5, 3:7],
}


SLOW = {
    *("the border", "rows 4 to 7", "row 3", "row 3, zeroed", "all of output channel 2"),
    *("the border, zeroed", "all of output channel 2, zeroed", "row 5 of output channel 1"),
    "a tile, rows 2 to 4 and columns 3 to 6 of output channel 0, zeroed",
    *("all of every second output channel, from 1", "row 5 of output channel 1, zeroed"),
}


@pytest.mark.parametrize(
    "name", may_fail([*DAMAGE, *(f"{words}, zeroed" for words in DAMAGE)], SLOW)
)
def test_damage_is_placed(name: str) -> None:
    words, zeroed = name.removesuffix(", zeroed"), name.endswith(", zeroed")
    rng = np.random.default_rng(7)
    x, w = rng.standard_normal((3, 8, 19)), rng.standard_normal((4, 3, 3, 3))
    y = convolve(x, w, Convention(padding=1))
    wrong = np.zeros(y.shape, bool)
    if DAMAGE[words] is None:
        wrong[:] = True
        wrong[:, 1:-1, 1:-1] = False
    else:
        wrong[DAMAGE[words]] = True
    result = identify(x, w, np.where(wrong, 0 if zeroed else y + rng.standard_normal(y.shape), y))
    assert result.verdict == "near-match"
    (candidate,) = result.candidates
    assert np.array_equal(candidate.wrong, wrong)
    assert candidate.comparison.mismatched == wrong.sum()
    assert (candidate.where or "").startswith(words)
    assert ("where OUT is 0 throughout" in (candidate.where or "")) == zeroed
    # Where all of the border is wrong nothing tells what was there.
    found = candidate.convention.replace(padding_mode="constant", padding_value=0)
    assert found == Convention(padding=1)


@pytest.mark.parametrize("value", one_in(3, [np.nan, np.inf, -np.inf]))
def test_what_is_not_finite_is_placed(value: float) -> None:
    y = np.where(Y > 50, value, Y)
    result = identify(X, W, y)
    assert result.verdict == "near-match"
    (candidate,) = result.candidates
    assert np.array_equal(candidate.wrong, ~np.isfinite(y))
    assert candidate.convention == Convention()
    assert f"where OUT is {value:g} throughout" in (candidate.where or "")


@pytest.mark.slow
def test_a_column_that_is_a_copy_of_the_one_before() -> None:
    from convcheck.testing import case

    drawn = case("0:68:groups=1", parameters=("stride", "padding"))
    output = drawn.expected().astype(np.float32)
    output[..., -1] = output[..., -2]
    assert identify(*drawn.arrays(), output).verdict in ("near-match", "unexplained")


@pytest.mark.parametrize("seed", one_in(7, range(0, 40, 3)))
def test_a_few_saturated_bytes_name_no_other_operation(seed: int) -> None:
    """So few elements lie inside the limits that many conventions give all of them by luck."""
    rng = np.random.default_rng(seed)
    filters = int(rng.integers(1, 4))
    x = rng.integers(0, 256, (1, *rng.integers(4, 7, 2))).astype(np.uint8)
    w = rng.integers(-9, 10, (filters, 1, 2, 2))
    scale = float(rng.choice([0.05, 0.3, 1]))
    bias = tuple(map(float, rng.integers(-99, 100, filters)))
    x, w, y = made(x, w, scale=scale, bias=bias, storage={"dtype": "uint8"})
    result = identify(x, w, y)
    if result.verdict == "identified":
        (found,) = (c.convention for c in result.candidates)
        assert (found.flip, found.padding, found.stride) == ((), ((0, 0), (0, 0)), (1, 1))
