"""The convention that two arrays are usually meant in: the number of spatial axes from shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convcheck.convention.channels import read_filters, read_image, spatial
from convcheck.convention.record import Convention
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RANKS = (2, 1, 3)
"""Numbers of spatial axes, the usual one first."""
_IMAGE, _FILTERS = ("", "C", "NC"), ("", "I", "OI")
"""The axes before the spatial ones, by how many there are."""


def usual_convention(
    image_shape: Sequence[int],
    filter_shape: Sequence[int],
    keys: Mapping[str, Any] | None = None,
    rank: int | None = None,
) -> Convention:
    """The convention of ``keys``, with the usual layouts of these shapes where they name none.

    An image is (*S), (C,*S) or (N,C,*S), filters are (*S), (I,*S) or (O,I,*S), and S is ``rank``
    axes. Where that is None it is as many as both can have with channels that agree; two, if two
    are possible. Batches stay batches in the output, and output channels are its axis C.

    Raises:
        InputError: no number of spatial axes fits both; a value that the vocabulary does not have.
    """
    keys = keys or {}
    found: list[Convention] = []
    errors: list[InputError] = []
    for axes in RANKS if rank is None else (rank,):
        layouts = _layouts(len(image_shape), len(filter_shape), keys, axes)
        if layouts is None:
            continue
        try:
            found.append(Convention(**{**layouts, **keys}))
        except InputError as error:
            errors.append(error)
    for convention in found:
        if _channels_agree(image_shape, filter_shape, convention):
            return convention
    if found:
        return found[0]
    raise errors[0] if errors else _unfit(image_shape, filter_shape, rank)


def _layouts(
    image_axes: int, filter_axes: int, keys: Mapping[str, Any], rank: int
) -> dict[str, str] | None:
    """The usual layouts over so many spatial axes; None where there are too many or too few."""
    image, filters = image_axes - rank, filter_axes - rank
    layouts = {}
    if "image_layout" not in keys:
        if not 0 <= image < len(_IMAGE):
            return None
        layouts["image_layout"] = _IMAGE[image] + spatial(rank)
    if "filter_layout" not in keys:
        if not 0 <= filters < len(_FILTERS):
            return None
        layouts["filter_layout"] = _FILTERS[filters] + spatial(rank)
    batch = "N" in str({**layouts, **keys}["image_layout"])
    layouts["output_layout"] = ("NC" if batch else "C") + spatial(rank)
    return layouts


def _channels_agree(image_shape: Sequence[int], filter_shape: Sequence[int], c: Convention) -> bool:
    image, filters = (np.broadcast_to(np.uint8(0), tuple(s)) for s in (image_shape, filter_shape))
    try:
        x = read_image(image, c.replace(channel_order=None))
        read_filters(filters, c, x.shape[1])
    except InputError:
        return False
    return True


def _unfit(image_shape: Sequence[int], filter_shape: Sequence[int], rank: int | None) -> InputError:
    axes = {None: "1, 2 or 3 spatial axes", 1: "1 spatial axis"}.get(rank, f"{rank} spatial axes")
    shapes = ("x".join(map(str, shape)) or "scalar" for shape in (image_shape, filter_shape))
    return InputError(
        "IMG and W do not have the axes of one convolution",
        got="IMG {} and W {}".format(*shapes),
        expected="IMG as (C, *S), (*S) or a batch (N, C, *S), W as (O, I, *S), (I, *S) or (*S), "
        f"S the same {axes} in both",
    )
