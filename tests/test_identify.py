"""identify: the convention behind an output, and nothing claimed that is not so."""

from __future__ import annotations

import numpy as np
import pytest
from identify_cases import draw, same_function

from convcheck.checks.identify import IdentifyResult, identify
from convcheck.convention import Convention
from convcheck.engine import convolve, round_to
from convcheck.errors import ConvcheckError, ExitCode, InputError

RNG = np.random.default_rng(5)
IMAGE = RNG.integers(-9, 10, (3, 9, 8)).astype(np.float32)
BANK = RNG.integers(-9, 10, (4, 3, 3, 2)).astype(np.float32)


def answer(result: IdentifyResult) -> Convention:
    assert result.verdict == "identified", (result.verdict, result.candidates, result.nearest)
    assert result.exit_code == ExitCode.OK
    return result.candidates[0].convention


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"flip": ["H", "W"]},
        {"flip": ["I", "H", "W"]},
        {"flip": ["W"], "stride": [2, 1]},
        {"stride": 2, "padding": [[0, 1], [1, 0]]},
        {"dilation": [2, 3], "padding": 2},
        {"kernel_transposed": True, "padding": 1},
        {"channel_order": [2, 1, 0], "padding": [[1, 0], [0, 0]]},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": [[2, 1], [1, 1]], "padding_mode": "symmetric"},
        {"padding": 1, "padding_mode": "wrap"},
        {"padding": 1, "padding_value": 3.0},
        {"input_dilation": 2, "padding": [[2, 3], [1, 2]], "flip": ["H", "W"]},
        {"padding": 1, "bias": [1, -2, 3, 4]},
        {"padding": 1, "scale": 0.25, "bias": [1, -2, 3, 4], "activation": "relu"},
        {"padding": [[-1, 0], [0, -2]]},
    ],
    ids=str,
)
def test_each_category_alone(keys: dict) -> None:
    made = Convention(**keys)
    output = convolve(IMAGE, BANK, made)
    found = answer(identify(IMAGE, BANK, output))
    assert same_function(found, made, IMAGE, BANK)
    assert np.array_equal(convolve(IMAGE, BANK, found), output)
    assert found.activation == made.activation
    assert found.scale == made.scale


@pytest.mark.parametrize(
    ("shapes", "keys"),
    [
        # Six elements a channel, all of whose windows reach over the edge.
        (((2, 6, 14), (8, 1, 4, 1)), {"stride": [5, 6], "padding": [[2, 1], [0, 0]], "groups": 2}),
        # Eight elements a channel, and a bias for each.
        (
            ((2, 2, 6, 8), (6, 1, 4, 2)),
            {
                "image_layout": "NCHW",
                "output_layout": "NOHW",
                "stride": [8, 6],
                "padding": [[3, 3], [1, 1]],
                "groups": 2,
                "scale": 1.0,
                "bias": [-1.0, 0.5, 1.5, 0.75, 3.0, 3.5],
            },
        ),
    ],
    ids=["a scale", "a bias for each"],
)
def test_an_unknown_border_that_no_channel_tells_alone(shapes: tuple, keys: dict) -> None:
    rng = np.random.default_rng(4)
    image, bank = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    made = Convention(**{"padding_value": 3.0, "scale": 0.25} | keys)
    output = convolve(image, bank, made).astype(np.float32)
    found = answer(identify(image, bank, output))
    assert found.padding_value == 3.0
    assert same_function(found, made, image, bank)


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16", "float16"])
def test_arithmetic_is_named(arithmetic: str) -> None:
    rng = np.random.default_rng(1)
    image, bank = rng.standard_normal((3, 9, 8)), rng.standard_normal((4, 3, 3, 2))
    output = convolve(image, bank, Convention(padding=1, arithmetic=arithmetic))
    assert answer(identify(image, bank, output)).arithmetic == arithmetic


@pytest.mark.parametrize("name", ["uint8", "int8", "int16"])
@pytest.mark.parametrize("how", ["wrap", "saturate"])
def test_integers_that_wrapped_or_saturated(how: str, name: str) -> None:
    factor = 1000 if name == "int16" else 1
    image = (factor * IMAGE).astype(np.int32)
    output = convolve(image, BANK.astype(np.int32), Convention(arithmetic=f"{how}:{name}"))
    found = answer(identify(image, BANK.astype(np.int32), output))
    assert found.arithmetic == f"{how}:{name}"


@pytest.mark.parametrize("arithmetic", ["bfloat16", "float16"])
def test_windows_wholly_in_the_padding_of_few_bits(arithmetic: str) -> None:
    rng = np.random.default_rng(2)
    image, bank = rng.standard_normal((2, 9, 11)), rng.standard_normal((3, 2, 1, 1))
    made = Convention(padding=1, bias=[1.0, -0.5, 0.25], arithmetic=arithmetic)
    rounded = [round_to(a, arithmetic).astype(np.float32) for a in (image, bank)]
    output = convolve(*rounded, made).astype(np.float16 if arithmetic == "float16" else np.float32)
    found = answer(identify(*rounded, output))
    assert found.padding == ((1, 1), (1, 1))
    assert found.arithmetic == arithmetic


def test_a_channel_of_zeros_is_no_proof_of_a_bias() -> None:
    rng = np.random.default_rng(3)
    image, bank = rng.standard_normal((3, 10, 12)), rng.standard_normal((4, 3, 3, 3))
    output = convolve(image, bank, Convention(activation="relu"))
    output[2] = 0
    unwritten = identify(image, bank, output)
    assert unwritten.verdict == "near-match"
    assert "output channel 2" in (unwritten.candidates[0].where or "")
    output = convolve(image, bank, Convention(activation="relu", bias=[0.5, -0.25, -99.0, 1.0]))
    dead = identify(image, bank, output)
    assert answer(dead).activation == "relu"
    assert any("output channel 2" in warning for warning in dead.warnings)


@pytest.mark.parametrize("damaged", [np.s_[:, 6:], np.s_[:, 2:7, 3:8]], ids=["rows", "a tile"])
def test_a_quarter_of_a_rectified_output_is_damaged(damaged: tuple) -> None:
    rng = np.random.default_rng(0)
    image, bank = rng.standard_normal((3, 10, 12)), rng.standard_normal((4, 3, 3, 3))
    made = Convention(scale=0.5, bias=[0.5, -0.3, 0.2, 0.1], activation="relu")
    right = convolve(image, bank, made)
    output = right.copy()
    output[damaged] = np.maximum(output[damaged] + rng.standard_normal(output[damaged].shape), 0)
    found = identify(image, bank, output)
    assert found.verdict == "near-match"
    assert found.candidates[0].comparison.mismatched == np.count_nonzero(output != right)


def test_channels_out_of_order_whose_sums_were_scaled_and_wrapped() -> None:
    made = Convention(channel_order=[1, 2, 0], scale=0.25, arithmetic="wrap:uint8")
    output = convolve(IMAGE, BANK, made)
    found = answer(identify(IMAGE, BANK, output))
    assert np.array_equal(convolve(IMAGE, BANK, found), output)
    assert found.channel_order == (1, 2, 0)


def test_drawn_conventions_are_found_and_never_mistaken() -> None:
    found = 0
    seeds = range(12)
    for seed in seeds:
        case = draw(seed)
        result = identify(case.image, case.filters, case.output)
        if result.verdict in ("identified", "ambiguous"):
            same = [
                same_function(c.convention, case.convention, case.image, case.filters)
                for c in result.candidates
            ]
            assert any(same), (seed, case.convention, result.candidates)
            found += 1
    assert found >= 0.75 * len(seeds)


def _noise(image: np.ndarray, bank: np.ndarray, output: np.ndarray) -> np.ndarray:
    return np.random.default_rng(2).standard_normal(output.shape)


def _of_another_image(image: np.ndarray, bank: np.ndarray, output: np.ndarray) -> np.ndarray:
    other = np.random.default_rng(3).standard_normal(image.shape)
    return convolve(other, bank, Convention())


def _squared(image: np.ndarray, bank: np.ndarray, output: np.ndarray) -> np.ndarray:
    return output**2


def _shuffled(image: np.ndarray, bank: np.ndarray, output: np.ndarray) -> np.ndarray:
    return np.random.default_rng(4).permutation(output.ravel()).reshape(output.shape)


@pytest.mark.parametrize("spoil", [_noise, _of_another_image, _squared, _shuffled])
def test_what_is_no_convolution_is_unexplained(spoil) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    image, bank = rng.standard_normal((5, 9, 8)), rng.standard_normal((4, 5, 3, 2))
    result = identify(image, bank, spoil(image, bank, convolve(image, bank, Convention())))
    assert result.verdict == "unexplained"
    assert result.exit_code == ExitCode.FAILED
    assert not result.candidates


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ((1, 2, 3), "one element, in output channel 1, at row 2, column 3"),
        ((slice(None), 8), "row 8"),
        ((slice(None), slice(None), 5), "column 5"),
        ((2, slice(1, 4), slice(2, 5)), "a tile, rows 1 to 3 and columns 2 to 4"),
    ],
    ids=str,
)
def test_a_defect_is_placed(place: tuple, where: str) -> None:
    output = convolve(IMAGE, BANK, Convention(padding=1))
    output[place] += 1000 + np.arange(output[place].size).reshape(output[place].shape)
    result = identify(IMAGE, BANK, output)
    assert result.verdict == "near-match"
    assert result.exit_code == ExitCode.FAILED
    assert (result.candidates[0].where or "").startswith(where)
    assert result.candidates[0].convention.padding == ((1, 1), (1, 1))


@pytest.mark.parametrize(
    ("image", "bank", "said"),
    [
        (IMAGE, np.ones_like(BANK), "W is constant"),
        (IMAGE, np.zeros_like(BANK), "W is all zeros"),
        (np.zeros_like(IMAGE), BANK, "IMG is all zeros"),
        (IMAGE, BANK + BANK[:, :, ::-1], "symmetric"),
    ],
    ids=["ones", "no filters", "no image", "symmetric rows"],
)
def test_blind_data_has_no_winner(image: np.ndarray, bank: np.ndarray, said: str) -> None:
    result = identify(image, bank, convolve(image, bank, Convention()))
    assert result.verdict == "ambiguous"
    assert len(result.candidates) > 1
    assert any(said in reason for reason in result.reasons)
    assert identify(image, bank, convolve(image, bank, Convention()), strict=True).exit_code == 1


def test_expectations() -> None:
    output = convolve(IMAGE, BANK, Convention(stride=2))
    assert identify(IMAGE, BANK, output, expect={"stride": (2, 2), "flip": ()}).exit_code == 0
    assert identify(IMAGE, BANK, output, expect={"flip": ("H", "W")}).exit_code == 1


def test_shapes_that_nothing_connects() -> None:
    with pytest.raises(InputError, match="no convention connects"):
        identify(IMAGE, BANK, np.ones((7, 5, 5)))


def test_values_that_are_not_finite() -> None:
    output = convolve(IMAGE, BANK, Convention())
    output[0, 1, 2] = np.nan
    with pytest.raises(ConvcheckError, match="not finite"):
        identify(IMAGE, BANK, output)
    result = identify(IMAGE, BANK, output, ignore_nonfinite=True)
    assert result.verdict == "identified"
    assert result.candidates[0].comparison.total == output.size - 1
    assert result.warnings


@pytest.mark.parametrize(
    ("made", "expect", "met"),
    [
        ({"flip": ["I", "H", "W"]}, {"flip": ("I", "H", "W")}, True),
        ({"flip": ["I", "H", "W"]}, {"flip": ("H", "W")}, False),
        ({"flip": ["I", "H", "W"]}, {"flip": ("H", "W"), "channel_order": (2, 1, 0)}, True),
        ({"channel_order": [2, 1, 0]}, {"flip": ("I",)}, True),
        ({"channel_order": [2, 1, 0]}, {"flip": ()}, True),
        ({"channel_order": [2, 1, 0]}, {"flip": (), "channel_order": None}, False),
        ({"stride": 2, "padding": [[1, 0], [0, 0]]}, {"padding": ((1, 1), (0, 0))}, False),
        ({"stride": 2, "padding": [[2, 0], [0, 0]]}, {"padding": ((2, 1), (0, 0))}, True),
        ({"kernel_transposed": True}, {"filter_layout": "OIWH"}, True),
        ({"scale": 0.5}, {"scale": 0.5, "flip": ()}, True),
        ({"scale": 0.5}, {"scale": 1.0}, False),
        ({}, {"stride": (1, 1)}, True),
        ({}, {"groups": 3}, False),
    ],
)
def test_what_is_expected_may_be_said_in_other_words(made: dict, expect: dict, met: bool) -> None:
    convention = Convention(**made)
    result = identify(IMAGE, BANK, convolve(IMAGE, BANK, convention), expect=expect)
    assert result.verdict == "identified"
    assert result.expect_met is met
    assert result.exit_code == (ExitCode.OK if met else ExitCode.FAILED)


def test_a_flip_of_one_channel_is_none() -> None:
    image, bank = IMAGE[:1], BANK[:, :1]
    output = convolve(image, bank, Convention(flip=("H", "W")))
    assert identify(image, bank, output, expect={"flip": ("I", "H", "W")}).expect_met
    assert not identify(image, bank, output, expect={"flip": ("I", "H")}).expect_met


def test_an_ambiguous_answer_says_what_else_is_unseen() -> None:
    bank = BANK + BANK[:, ::-1]
    result = identify(IMAGE, bank, convolve(IMAGE, bank))
    assert result.verdict == "ambiguous"
    assert result.audit is not None
    assert {spot.name for spot in result.audit.blind_spots} == {"flip I", "channels reversed"}
    assert identify(IMAGE, BANK, convolve(IMAGE, BANK)).audit is None


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_what_an_fft_made_is_no_near_match(dtype: type, mode: str) -> None:
    """Its rounding goes by the largest sums: beyond what the smallest could lose."""
    from scipy.signal import fftconvolve

    rng = np.random.default_rng(17)
    x, w = rng.standard_normal((2, 33, 37)).astype(dtype), rng.standard_normal((2, 2, 1, 2))
    w = w.astype(dtype)
    y = np.stack([sum(fftconvolve(a, b, mode) for a, b in zip(x, k, strict=True)) for k in w])
    (candidate,) = identify(x, w, y).candidates
    assert candidate.comparison.mismatched == 0
    assert candidate.convention.flip == ("W",)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize("values", ["normal", "ints"])
def test_what_an_fft_made_of_a_black_image(
    dtype: type, single: bool, rectified: bool, values: str
) -> None:
    """Where nothing is to be summed it leaves noise, in whichever precision it was computed."""
    from scipy.fft import irfft2, rfft2

    rng = np.random.default_rng(4)
    image, filters = rng.standard_normal((2, 40, 50)), rng.standard_normal((3, 2, 4, 3))
    if values == "ints":
        image, filters = np.rint(90 * image), np.rint(4 * filters)
    image[:, :15], image[..., 40:] = 0, 0
    x, w = image.astype(dtype), filters.astype(dtype)
    a, b = (v.astype(dtype if single else np.float64) for v in (x, w))
    product = rfft2(a)[None] * rfft2(b, a.shape[1:])
    y = irfft2(product.sum(axis=1), a.shape[1:])[:, 3:, 2:].astype(dtype)
    if rectified:
        y = np.maximum(y, 0)
    result = identify(x, w, y)
    assert result.verdict == "identified"
    (convention,) = (c.convention for c in result.candidates)
    assert (convention.flip, convention.bias) == (("H", "W"), None)
    assert convention.activation == ("relu" if rectified else None)
    # One element that is wrong there is still seen.
    y[1, 2, 3] += 1e-4 * y.max()
    near = identify(x, w, y)
    assert (near.verdict, near.candidates[0].comparison.mismatched) == ("near-match", 1)
    assert near.candidates[0].comparison.worst_index == (1, 2, 3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_smallest_sum_is_held_to_what_it_can_lose(dtype: type) -> None:
    rng = np.random.default_rng(18)
    x, w = rng.standard_normal((1, 40, 41)).astype(dtype), rng.standard_normal((1, 1, 1, 2))
    w = w.astype(dtype)
    y = convolve(x, w.astype(dtype)).astype(dtype)
    sizes = convolve(np.abs(x), np.abs(w))
    at = np.unravel_index(np.argmin(sizes), sizes.shape)
    y[at] += 200 * np.finfo(dtype).eps * sizes[at]
    result = identify(x, w, y)
    assert result.verdict == "near-match"
    assert result.candidates[0].comparison.worst_index == at


@pytest.mark.parametrize(
    "keys",
    [
        {"scale": 1 / 9, "bias": (3.0, -2.5, 40.0, 0.0)},
        {"scale": -2.0},
        {"scale": 1 / 3, "padding": 1},
        {"padding": [[2, 2], [2, 3]], "padding_value": 3.0, "bias": (3.0, -2.5, 40.0, 0.0)},
    ],
    ids=str,
)
def test_integers_that_wrapped_after_any_scale_or_over_any_border(keys: dict) -> None:
    made = Convention(**keys, arithmetic="wrap:uint8")
    image = 20 * IMAGE.astype(np.int64)
    found = answer(identify(image, BANK, convolve(image, BANK, made)))
    assert same_function(found, made, image, BANK)
    assert found.scale == pytest.approx(made.scale)
    assert found.padding_value == made.padding_value


@pytest.mark.parametrize(
    ("image", "filters", "keys"),
    [
        ((3, 96, 112), (8, 3, 16, 16), {"stride": 16}),  # as vision transformers embed patches
        ((3, 70, 57), (5, 3, 14, 14), {"stride": 14, "padding": [[0, 0], [0, -1]]}),
        ((3, 70, 60), (4, 3, 9, 10), {"stride": [9, 2]}),
        ((3, 64, 48), (4, 3, 16, 16), {"stride": 16, "padding": [[3, 0], [0, 2]]}),
        ((4, 5, 6), (3, 4, 16, 16), {"input_dilation": 16, "padding": [[15, 15], [15, 15]]}),
        ((3, 40, 44), (4, 3, 9, 9), {"dilation": 2, "padding": 8}),
    ],
    ids=str,
)
@pytest.mark.parametrize("bias", [False, True])
def test_long_kernels_in_patches_and_apart(
    image: tuple[int, ...], filters: tuple[int, ...], keys: dict, bias: bool
) -> None:
    x, w = (RNG.standard_normal(shape).astype(np.float32) for shape in (image, filters))
    bias_keys = {"bias": RNG.integers(-9, 10, filters[0]) / 2} if bias else {}
    truth = Convention(**keys, **bias_keys, arithmetic="float32")
    y = convolve(x, w, truth).astype(np.float32)
    result = identify(x, w, y)
    (candidate,) = result.candidates
    found = candidate.convention
    assert result.verdict == "identified"
    assert (found.stride, found.dilation) == (truth.stride, truth.dilation)
    assert found.input_dilation == truth.input_dilation
    assert convolve(x, w, found).shape == y.shape
