"""Padding in words, on every side and by every name: literal sentences."""

from __future__ import annotations

import pytest

from convcheck.convention import Convention
from convcheck.words import describe, padding_words

PLAIN = "OUT is the cross-correlation of IMG, read as CHW, with W, read as OIHW"
ONE_BEFORE = "padded 1 before and 0 after"


@pytest.mark.parametrize(
    ("padding", "mode", "value", "words"),
    [
        (1, "constant", 0, "padded 1 on every side"),
        (-1, "constant", 0, "cropped by 1 on every side"),
        (((1, 1), (2, 2)), "constant", 0, "padded 1 above and below, 2 left and right"),
        (((2, 2), (0, 0)), "constant", 0, "padded 2 above and below"),
        (((0, 0), (-2, -2)), "constant", 0, "cropped by 2 on the left and right"),
        (((0, 1), (0, 1)), "constant", 0, "padded 0 before and 1 after"),
        (((1, 2), (0, 3)), "constant", 0, "padded 1 above, 2 below and 3 right"),
        (((-1, 0), (0, 0)), "constant", 0, "cropped by 1 at the top"),
        (((2, -1), (0, -3)), "constant", 0, ("padded 2 above and cropped by 1 at the bottom "
         "and 3 on the right")),
        (1, "constant", 128, "padded 1 on every side with the value 128"),
        (1, "reflect", 0, ("padded 1 on every side by reflection without repeating the edge "
         "(reflect)")),
        (1, "symmetric", 0, ("padded 1 on every side by reflection that repeats the edge "
         "(symmetric)")),
        (1, "edge", 0, "padded 1 on every side by repeating the edge (edge)"),
        (((1, 0), (1, 0)), "wrap", 0, ("padded 1 before and 0 after by going round to the other "
         "side (wrap, circular)")),
        (-1, "wrap", 0, "cropped by 1 on every side"),
        (((1, 1), (2, 0)), ("edge", "wrap"), 0, ("padded 1 above and below by repeating the edge "
         "(edge) and 2 left by going round to the other side (wrap, circular)")),
        (((1, 1), (2, 2)), ("constant", "wrap"), 0, ("padded 1 above and below with zeros and "
         "2 left and right by going round to the other side (wrap, circular)")),
        (((0, 0), (2, 2)), ("constant", "edge"), 0, ("padded 2 left and right by repeating the "
         "edge (edge)")),
    ],
)  # fmt: skip
def test_padding(padding: object, mode: object, value: float, words: str) -> None:
    convention = Convention(padding=padding, padding_mode=mode, padding_value=value)
    assert describe(convention) == f"{PLAIN}, {words}"


@pytest.mark.parametrize(
    ("layout", "padding", "words"),
    [
        ("CW", 1, "padded 1 on both sides"),
        ("CW", ((1, 0),), "padded 1 before"),
        ("CW", ((1, 2),), "padded 1 before and 2 after"),
        ("CW", ((-1, -2),), "cropped by 1 at the start and 2 at the end"),
        ("CW", ((2, -1),), "padded 2 before and cropped by 1 at the end"),
        ("CDHW", 2, "padded 2 on every side"),
        ("CDHW", ((1, 1), (0, 0), (2, 2)), "padded 1 in front and behind, 2 left and right"),
        ("CDHW", ((1, 0), (0, 2), (0, 0)), "padded 1 in front and 2 below"),
        ("CDHW", ((0, -1), (0, 0), (0, 0)), "cropped by 1 at the back"),
    ],
)
def test_padding_in_one_and_three_dimensions(layout: str, padding: object, words: str) -> None:
    said = describe(Convention(layout, output_layout=layout, padding=padding))
    assert said.endswith(f", {words}")


@pytest.mark.parametrize(
    ("mode", "value", "words"),
    [
        ("constant", 0, "zero padding"),
        ("constant", 2.5, "2.5 padding"),
        ("edge", 0, "padding by repeating the edge (edge)"),
        (
            ("constant", "edge"),
            0,
            "padding above and below with zeros and left and right by repeating the edge (edge)",
        ),
    ],
)
def test_what_stands_beyond_the_edge(mode: object, value: float, words: str) -> None:
    assert padding_words(Convention(padding_mode=mode, padding_value=value)) == words


@pytest.mark.parametrize(
    ("size", "taps", "stride", "dilation", "padding", "words"),
    [
        (8, 3, 1, 1, (0, 0), "no padding (VALID)"),
        (8, 3, 1, 1, (1, 1), "padded 1 on every side (SAME)"),
        (8, 3, 2, 1, (0, 1), "padded 0 before and 1 after (SAME_UPPER)"),
        (8, 3, 2, 1, (1, 0), f"{ONE_BEFORE} (PyTorch: padding=1, stride=2; SAME_LOWER)"),
        (8, 2, 1, 1, (0, 1), "padded 0 before and 1 after (SAME_UPPER)"),
        (8, 2, 1, 3, (1, 2), "padded 1 before and 2 after (SAME_UPPER)"),
        (8, 3, 1, 1, (2, 2), "padded 2 on every side (FULL)"),
        (9, 3, 2, 1, (2, 0), "padded 2 before and 0 after"),
        (8, 3, 2, 1, (2, 1), "padded 2 before and 1 after (PyTorch: padding=2, stride=2; FULL)"),
        (11, 5, 4, 1, (2, 0), "padded 2 before and 0 after (PyTorch: padding=2, stride=4)"),
        (8, 5, 2, 1, (1, 2), "padded 1 before and 2 after (SAME_UPPER)"),
        (8, 5, 2, 1, (0, 3), "padded 0 before and 3 after"),
        (9, 3, 4, 1, (1, 1), "padded 1 on every side (SAME)"),
        # A 1x1 kernel with stride 2 needs no padding for SAME; VALID is the plainer name.
        (8, 1, 2, 1, (0, 0), "no padding (VALID)"),
    ],
)
def test_the_usual_name_of_the_padding(
    size: int, taps: int, stride: int, dilation: int, padding: tuple[int, int], words: str
) -> None:
    convention = Convention(stride=stride, dilation=dilation, padding=(padding, padding))
    said = describe(convention, image_shape=(3, size, size), filter_shape=(4, 3, taps, taps))
    assert said.endswith(words)


@pytest.mark.parametrize(
    ("layout", "stride", "pads", "words"),
    [
        ("CW", 2, (1, 0), "padded 1 before (PyTorch: padding=1, stride=2; SAME_LOWER)"),
        ("CW", 1, (1, 1), "padded 1 on both sides (SAME)"),
        ("CDHW", 2, (0, 1), "padded 0 before and 1 after (SAME_UPPER)"),
        ("CDHW", (2, 4, 4), (1, 0), f"{ONE_BEFORE} (PyTorch: padding=1, stride=(2, 4, 4))"),
    ],
)
def test_the_usual_name_in_one_and_three_dimensions(
    layout: str, stride: object, pads: tuple[int, int], words: str
) -> None:
    rank = len(layout) - 1
    convention = Convention(layout, output_layout=layout, stride=stride, padding=[pads] * rank)
    said = describe(convention, image_shape=(3, *[8] * rank), filter_shape=(4, 3, *[3] * rank))
    assert said.endswith(words)


def test_the_name_must_be_true_of_both_axes() -> None:
    convention = Convention(padding=((1, 1), (0, 0)))
    said = describe(convention, image_shape=(1, 8, 8), filter_shape=(1, 1, 3, 3))
    assert said.endswith("padded 1 above and below")


def test_the_padding_of_a_transposed_convolution_as_its_caller_gave_it() -> None:
    convention = Convention(flip=("H", "W"), input_dilation=2, padding=((1, 2), (1, 2)))
    said = describe(convention, image_shape=(3, 8, 8), filter_shape=(4, 3, 3, 3))
    assert said.endswith("padded 1 before and 2 after (PyTorch: padding=1, output_padding=1)")
    plain = describe(
        convention.replace(padding=2), image_shape=(3, 8, 8), filter_shape=(4, 3, 3, 3)
    )
    assert plain.endswith("padded 2 on every side (PyTorch: padding=0)")
