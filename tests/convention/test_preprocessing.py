"""The names of what networks of pictures are usually given."""

from __future__ import annotations

from typing import Any

import pytest

from convcheck.convention import Convention
from convcheck.convention.preprocessing import PREPROCESSING, preprocessing

# torchvision's, Caffe's and OpenAI's own numbers: the mean, and what it is divided by.
PUBLISHED: dict[str, tuple[Any, Any]] = {
    "ImageNet's mean and deviation, on pixels over 255": (
        [255 * m for m in (0.485, 0.456, 0.406)],
        [255 * d for d in (0.229, 0.224, 0.225)],
    ),
    "ImageNet's mean and deviation, on pixels from 0 to 1": (
        [0.485, 0.456, 0.406],
        [0.229, 0.224, 0.225],
    ),
    "ImageNet's mean, as Caffe takes it off": ([123.68, 116.779, 103.939], 1.0),
    "CLIP's mean and deviation, on pixels over 255": (
        [255 * m for m in (0.48145466, 0.4578275, 0.40821073)],
        [255 * d for d in (0.26862954, 0.26130258, 0.27577711)],
    ),
    "pixels from 0 to 255 taken to -1 to 1": (127.5, 127.5),
}


def steps(mean: Any, deviation: Any) -> Convention:
    over = [1 / d for d in deviation] if isinstance(deviation, list) else 1 / deviation
    return Convention(image_offset=mean, image_scale=over)


@pytest.mark.parametrize("name", PREPROCESSING)
def test_what_is_published_has_its_name(name: str) -> None:
    mean, deviation = PUBLISHED[name]
    assert preprocessing(steps(mean, deviation)) == name
    if isinstance(mean, list):
        turned = deviation[::-1] if isinstance(deviation, list) else deviation
        assert preprocessing(steps(mean[::-1], turned)) == f"{name}, BGR"
        assert preprocessing(steps(mean[0], deviation)) is None
    # To a ten-thousandth, and no further.
    for factor, named in ((1 + 5e-5, name), (1 + 2e-4, None)):
        near = [factor * m for m in mean] if isinstance(mean, list) else factor * mean
        assert preprocessing(steps(near, deviation)) == named


def test_other_steps_have_none() -> None:
    assert preprocessing(Convention()) is None
    assert preprocessing(steps([123.68, 116.779, 103.939], 2.0)) is None
    assert preprocessing(steps(127.5, 1.0)) is None
    assert preprocessing(steps(0.0, 127.5)) is None
