"""identify on arrays that nobody saves on purpose: an answer, or an error that says why not."""

from __future__ import annotations

import numpy as np
import pytest
from identify_cases import draw, same_function

from convcheck.checks.identify import identify
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.errors import InputError

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
        "output_layout": {2: "HW", 3: "OHW", 4: "NOHW"}[x.ndim],
    }
    return x, w, convolve(x, w, Convention(**{**layouts, **keys}))


def whole(a: np.ndarray, kind: str) -> np.ndarray:
    return a.astype(np.int64).astype(kind)


IDENTIFIED = {
    "one pixel": (np.array([[2.0]]), np.array([[3.0]]), np.array([[6.0]])),
    "one pixel, 4-D": (
        np.ones((1, 1, 1, 1)) * 2,
        np.ones((1, 1, 1, 1)) * 3,
        np.full((1,) * 4, 6.0),
    ),
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
    "int32 that mostly saturated": (
        50000 * X,
        50000 * W,
        np.clip(convolve(50000 * X, 50000 * W), -(2**31), 2**31 - 1).astype(np.int32),
    ),
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
    # What the shapes alone force is no ambiguity.
    "one row out": made(normal(3, 4, 13), normal(4, 3, 3, 2), stride=3),
    "symmetric by one": made(
        X, RNG.integers(-9, 10, (4, 3, 3, 3)), padding=1, padding_mode="symmetric"
    ),
}


@pytest.mark.parametrize("name", IDENTIFIED)
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


PERIODIC = np.tile(RNG.integers(-9, 10, (3, 4, 4)), (1, 2, 3))
RIMMED = np.pad(RNG.integers(-9, 10, (3, 6, 7)), ((0, 0), (1, 1), (1, 1)))
AMBIGUOUS = {
    "periodic image": made(PERIODIC, W),
    "rows of zeros around": made(RIMMED, RNG.integers(-9, 10, (4, 3, 3, 3)), padding=1),
    "two channels alike": made(np.concatenate([X[:2], X[:1]]), W),
    "symmetric kernels": made(X, W + W[..., ::-1]),
    "kernels of ones": made(X, np.ones_like(W)),
    "constant image": made(np.full_like(X, 2), W),
    "an image of zeros": made(0 * X, W),
    "an image of zeros, and a bias": made(0 * X, W, bias=(1, 2, 3, 4)),
    "a constant image, a bias and padding": made(
        np.full_like(X, 2), W, bias=(1, 2, 3, 4), padding=1
    ),
    "filters of zeros": made(X, 0 * W),
    "filters of zeros, and a bias": made(X, 0 * W, bias=(1, 2, 3, 4)),
    "zeros throughout": made(0 * X, 0 * W),
    "a constant output": (X, W, np.full(Y.shape, 3)),
    "zeros from numbers": (X, W, 0 * Y),
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
    "conjugated filters": (
        X + 1j * X[::-1],
        W * (1 + 1j),
        convolve(X + 1j * X[::-1], W * (1 - 1j)),
    ),
    "signs": (X, W, np.sign(Y)),
    "rounded to tens": (X, W, np.round(Y, -2)),
}


@pytest.mark.parametrize("name", UNEXPLAINED)
def test_unexplained(name: str) -> None:
    result = identify(*UNEXPLAINED[name])
    assert result.verdict == "unexplained", result.candidates


def test_constant_arrays_are_said() -> None:
    assert any("OUT is constant" in r for r in identify(X, W, np.full(Y.shape, 3)).reasons)
    assert any("IMG is all zeros" in w for w in identify(0 * X, W, Y).warnings)


REFUSED = {
    "an impossible size": ((X, W, normal(4, 200, 300)), "no stride, dilation or padding"),
    "impossible channels": ((X, W, normal(7, 6, 8)), "no convention connects"),
    "empty": ((X, W, np.zeros((4, 0, 3))), "OUT is empty"),
    "five axes": ((X[None, None], W, Y), "IMG has the wrong number of axes"),
    "text": ((X.astype(str), W, Y), "IMG does not hold numbers"),
    "objects": ((X, W.astype(object), Y), "W does not hold numbers"),
    "not finite": ((X, W, np.where(Y > 50, np.nan, Y)), "not finite"),
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


@pytest.mark.parametrize("words", DAMAGE)
@pytest.mark.parametrize("zeroed", [True, False])
def test_damage_is_placed(words: str, zeroed: bool) -> None:
    x, w = normal(3, 8, 19), normal(4, 3, 3, 3)  # wide: of fewer elements the search is long
    y = convolve(x, w, Convention(padding=1))
    wrong = np.zeros(y.shape, bool)
    if DAMAGE[words] is None:
        wrong[:] = True
        wrong[:, 1:-1, 1:-1] = False
    else:
        wrong[DAMAGE[words]] = True
    result = identify(x, w, np.where(wrong, 0 if zeroed else y + normal(*y.shape), y))
    assert result.verdict == "near-match"
    (candidate,) = result.candidates
    assert candidate.comparison.mismatched == wrong.sum()
    assert (candidate.where or "").startswith(words)
    assert ("where OUT is 0 throughout" in (candidate.where or "")) == zeroed
    assert candidate.convention.padding == ((1, 1), (1, 1))


@pytest.mark.parametrize(
    ("which", "words"),
    [
        (np.s_[::2], "every second output channel, from 0"),
        (np.s_[1::2], "every second output channel, from 1"),
        (np.s_[:4], "output channels 0, 1, 2, 3"),
    ],
)
@pytest.mark.parametrize("bias", [None, (0.5, -1, 2, 0.25, -0.5, 1, 0.75, -2)], ids=str)
def test_half_of_the_channels_damaged_under_relu(
    which: slice, words: str, bias: tuple | None
) -> None:
    """Less than half of what ReLU left may be right, or no element of the channel looked at."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((3, 12, 13)), rng.standard_normal((8, 3, 3, 3))
    y = convolve(x, w, Convention(padding=1, activation="relu", bias=bias))
    y[which] = np.maximum(5 * rng.standard_normal(y[which].shape), 0)
    result = identify(x, w, y)
    (candidate,) = result.candidates
    assert result.verdict == "near-match"
    assert candidate.convention.padding == ((1, 1), (1, 1))
    assert words in (candidate.where or "")


def test_a_few_elements_by_luck_are_no_near_match() -> None:
    rng = np.random.default_rng(3)
    x, w, y = (rng.integers(-3, 4, s) for s in ((2, 4, 3), (1, 2, 3, 1), (1, 2, 3)))
    assert identify(x, w, y).verdict == "unexplained"


@pytest.mark.parametrize("seed", range(0, 40, 3))
def test_a_few_saturated_bytes_get_an_answer(seed: int) -> None:
    """So few elements inside the limits that those at them are asked too: what fits is named."""
    rng = np.random.default_rng(seed)
    filters = int(rng.integers(1, 4))
    x = rng.integers(0, 256, (1, *rng.integers(4, 7, 2))).astype(np.uint8)
    w = rng.integers(-9, 10, (filters, 1, 2, 2))
    x, w, y = made(
        x,
        w,
        scale=float(rng.choice([0.05, 0.3, 1])),
        bias=tuple(map(float, rng.integers(-99, 100, filters))),
        arithmetic="saturate:uint8",
    )
    result = identify(x, w, y)
    assert result.verdict in ("identified", "ambiguous"), result.candidates
    for candidate in result.candidates:
        assert np.array_equal(convolve(x, w, candidate.convention), y)
    if result.verdict == "identified":
        (found,) = (c.convention for c in result.candidates)
        assert found.flip == ()
        assert found.padding == ((0, 0), (0, 0))


def test_few_elements_tell_bias_and_border_together() -> None:
    """Hardly an element is clear of the border, and few bits would explain it nearly."""
    case = draw(3170)
    result = identify(case.image, case.filters, case.output)
    (found,) = (c.convention for c in result.candidates)
    assert result.verdict == "identified"
    assert same_function(found, case.convention, case.image, case.filters)
    assert found.arithmetic == "exact"


def test_an_order_of_which_one_group_is_the_usual() -> None:
    x, w = normal(4, 14, 13), normal(3, 4, 3, 3)
    result = identify(*made(x, w, groups=2, padding=1, channel_order=(2, 3, 1, 0)))
    (found,) = (c.convention for c in result.candidates)
    assert result.verdict == "identified"
    assert found.channel_order == (2, 3, 1, 0)


def test_zeros_between_the_samples_are_no_evidence() -> None:
    """Eight of nine elements are their channel's bias, whatever the order of the channels."""
    x, w = normal(3, 10, 9), normal(4, 2)
    result = identify(
        *made(
            *(x, w),
            filter_layout="HW",
            groups=3,
            channel_order=(0, 2, 1),
            dilation=3,
            input_dilation=3,
            padding=((6, 6), (3, 3)),
            bias=(-0.5, -4.5, 4.5),
        )
    )
    assert result.verdict == "identified"
    (found,) = (c.convention for c in result.candidates)
    assert (found.channel_order, found.bias) == ((0, 2, 1), (-0.5, -4.5, 4.5))


@pytest.mark.parametrize("seed", range(2))
def test_a_border_seen_by_the_few_elements_that_relu_left(seed: int) -> None:
    """So few that a bias and the border together would be too much to ask of them."""
    rng = np.random.default_rng(seed)
    x, w = rng.integers(-9, 10, (3, 9, 7)), rng.integers(-9, 10, (3, 3, 5))
    keys = {"stride": (2, 1), "padding": ((1, 1), (2, 2)), "padding_value": 3}
    x, w, y = made(x, w, **keys, activation="relu")
    assert np.count_nonzero(y) < 20
    result = identify(x, w, y)
    assert result.verdict == "identified"
    (found,) = (c.convention for c in result.candidates)
    assert (found.padding_value, found.padding, found.scale) == (3, ((1, 1), (2, 2)), 1)


@pytest.mark.parametrize("seed", [1001, 1010, 1097])
def test_what_saturation_leaves_of_a_few_elements_proves_nothing(seed: int) -> None:
    """Of millions of conventions some give a dozen elements that are mostly 0 or 255."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (1, *rng.integers(4, 7, 2)))
    w = rng.integers(-9, 10, (1, 1, 2, 2))
    scale = float(rng.choice([1, 3]))
    bias = (float(rng.integers(-99, 100)),)
    x, w, y = made(x.astype(np.uint8), w, scale=scale, bias=bias, arithmetic="saturate:uint8")
    assert np.count_nonzero((y > 0) & (y < 255)) < 3
    result = identify(x, w, y)
    assert result.verdict == "ambiguous"
    assert "only the plainest are listed" in result.reasons[-1]


def test_a_group_of_which_relu_left_nothing_does_not_tell_its_channel() -> None:
    x, w = normal(3, 7, 8), normal(3, 3)
    keys = {"filter_layout": "HW", "groups": 3, "padding": 1, "activation": "relu"}
    x, w, y = made(x, w, **keys, bias=(-99, -99, 0.5), channel_order=(1, 0, 2))
    result = identify(x, w, y)
    assert result.verdict == "ambiguous"
    orders = {c.convention.channel_order for c in result.candidates}
    assert {None, (1, 0, 2)} <= orders


@pytest.mark.parametrize(("seed", "size"), [(0, 3), (2, 3), (6, 3), (21, 5), (29, 5)])
def test_a_border_that_is_copied_leaves_plain_numbers(seed: int, size: int) -> None:
    """As Pillow's kernels do: rounded bytes, and the image itself where a window reaches over."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    w = rng.integers(-3, 6, (size, size))
    layouts = {"image_layout": "HW", "filter_layout": "HW", "output_layout": "HW"}
    truth = Convention(
        **layouts,
        flip=["H"],
        padding=size // 2,
        scale=1 / int(w.sum()),
        bias=[10.0],
        arithmetic="saturate:uint8",
    )
    y = x.copy()
    inside = (slice(size // 2, -(size // 2)),) * 2
    y[inside] = convolve(x, w, truth)[inside]
    result = identify(x, w, y)
    (candidate,) = result.candidates
    assert result.verdict == "near-match"
    assert candidate.convention == truth
    assert (candidate.where or "").startswith("the border, where windows reach over")


def test_a_column_of_whole_numbers_that_is_off_is_not_rounded_so() -> None:
    """Few bits and a bias would explain it away: every other element is an exact integer."""
    x = np.random.default_rng(4).integers(0, 10, (1, 10, 12, 3)).astype(np.float32)
    w = np.load("fixtures/identify/filters.npy")
    layouts = {"image_layout": "NHWC", "filter_layout": "HWIO", "output_layout": "NHWO"}
    c = Convention(**layouts, stride=2, padding=[[0, 1], [0, 1]])
    output = convolve(x, w, c).astype(np.float32)
    output[0, :, 1, 2] += 40
    result = identify(x, w, output)
    assert result.verdict == "near-match"
    assert result.candidates[0].where == "column 1 of output channel 2"
