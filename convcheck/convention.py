"""The one record that says how a convolution's result is made from an image and filters.

Everything is said relative to cross-correlation, which is what CNN layers compute. A convention
does its steps in this order: read the image by its layout and channel order; read the filters by
theirs, transpose the kernel, reverse the axes in ``flip``; put zeros between the image's samples
(``input_dilation``); pad or crop; cross-correlate with ``dilation``, ``stride`` and ``groups``;
``activation(scale * correlation + bias)``; round as ``arithmetic`` says; lay out the output.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import partial
from itertools import permutations
from types import MappingProxyType
from typing import Any

from convcheck.errors import InputError

Pair = tuple[int, int]

IMAGE_LAYOUTS = ("CHW", "HWC", "CWH", "HW", "NCHW", "NHWC")
FILTER_LAYOUTS = (
    "OIHW",
    *("".join(p) for p in permutations("OIHW") if "".join(p) != "OIHW"),
    "IHW",
    "HW",
    "HWIM",
)
OUTPUT_LAYOUTS = ("OHW", "HWO", "NOHW", "NHWO", "HW")
FLIP_AXES = ("I", "H", "W")
PADDING_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")
PRECISIONS = MappingProxyType(
    {"exact": 0.0, "float64": 2.0**-53, "float32": 2.0**-24, "tf32": 2.0**-11}
    | {"float16": 2.0**-11, "bfloat16": 2.0**-8}
)
"""Unit roundoff of every arithmetic that is a precision."""
INTEGER_ARITHMETICS = tuple(
    f"{how}:{kind}{bits}"
    for how in ("wrap", "saturate")
    for bits in (8, 16, 32)
    for kind in ("uint", "int")
)


@dataclass(frozen=True)
class Convention:
    """How a result is made; the defaults are a CNN layer's plain cross-correlation.

    ``stride``, ``dilation``, ``input_dilation`` take one number or one for each spatial axis;
    ``padding`` takes one number or ``[[top, bottom], [left, right]]``, where a negative number
    crops. ``scale`` is a number, ``bias`` one number for each output channel.

    Raises:
        InputError: a value that the vocabulary does not have.
    """

    image_layout: str = "CHW"
    filter_layout: str = "OIHW"
    output_layout: str = "OHW"
    flip: tuple[str, ...] = ()
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    input_dilation: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    padding_mode: str = "constant"
    padding_value: float = 0.0
    groups: int = 1
    channel_order: tuple[int, ...] | None = None
    kernel_transposed: bool = False
    scale: float = 1.0
    bias: tuple[float, ...] | None = None
    activation: str | None = None
    arithmetic: str = "exact"

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    def to_dict(self) -> dict[str, Any]:
        """Every key of the vocabulary with JSON's own types."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Convention:
        """The convention of a (partial) JSON object; keys that are left out take their defaults.

        Raises:
            InputError: an unknown key, or a value that does not fit its key.
        """
        if not isinstance(mapping, Mapping):
            raise InputError(
                "a convention must be a JSON object",
                got=type(mapping).__name__,
                expected='keys and values such as {"stride": [2, 2], "flip": []}',
            )
        for key in mapping:
            if key not in KEYS:
                close = get_close_matches(str(key), KEYS)
                raise InputError(
                    f"a convention has no key {key!r}",
                    expected=", ".join(KEYS),
                    hint=f"did you mean {close[0]!r}?" if close else None,
                )
        return cls(**mapping)

    def replace(self, **changes: Any) -> Convention:
        """The same convention with some keys changed; the others are not checked again."""
        other = copy(self)
        for name, value in changes.items():
            object.__setattr__(other, name, _CHECKS[name](name, value))
        return other


KEYS = tuple(f.name for f in fields(Convention))


def parse_partial(text: str) -> dict[str, Any]:
    """The keys that a slug or a JSON object names, checked, each in the record's own types.

    A slug says which axes are reversed and nothing more.

    Raises:
        InputError: neither a slug nor a JSON object of the vocabulary's keys.
    """
    slug = _SYNONYMS.get(text.strip(), text.strip())
    if slug in NAMED:
        return {"flip": NAMED[slug].flip}
    if not text.lstrip().startswith("{"):
        close = get_close_matches(slug, [*NAMED, *_SYNONYMS], cutoff=0.5)
        raise InputError(
            f"no convention is named {text!r}",
            expected=f"one of {', '.join(NAMED)}, or a JSON object of a convention's keys",
            hint=f"did you mean {close[0]!r}?" if close else None,
        )
    try:
        mapping = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            "the convention is not JSON",
            got=str(error),
            expected='a JSON object such as {"stride": [2, 2], "flip": []}',
        ) from None
    whole = Convention.from_dict(mapping)
    return {key: getattr(whole, key) for key in mapping}


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _is_sequence(value: object) -> bool:
    return isinstance(value, Sequence) or getattr(value, "ndim", 0) > 0


def _unfit(key: str, value: object, expected: str) -> InputError:
    return InputError(f"the convention's {key} is unfit", got=repr(value), expected=expected)


def _one_of(*allowed: str | None) -> Callable[[str, Any], str | None]:
    def check(key: str, value: Any) -> str | None:
        if not (value is None or isinstance(value, str)) or value not in allowed:
            raise _unfit(key, value, "one of " + ", ".join(map(str, allowed)))
        return value

    return check


def _truth(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _unfit(key, value, "true or false")
    return value


def _count(key: str, value: Any, at_least: int | None = None) -> int:
    try:
        whole = None if isinstance(value, (bool, str)) else int(value)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or whole != value or (at_least is not None and whole < at_least):
        least = "" if at_least is None else f" of at least {at_least}"
        raise _unfit(key, value, f"a whole number{least}")
    return whole


def _number(key: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _unfit(key, value, "a finite number")
    return number


def _bias(key: str, value: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    if isinstance(value, str) or not _is_sequence(value):
        raise _unfit(key, value, "null or a list of one number an output channel")
    return tuple(_number(key, b) for b in value)


def _pair(key: str, value: Any, at_least: int | None = None) -> Pair:
    if isinstance(value, str) or not _is_sequence(value):
        one = _count(key, value, at_least)
        return (one, one)
    if len(value) != 2:
        raise _unfit(key, value, "one whole number, or two: [h, w]")
    return (_count(key, value[0], at_least), _count(key, value[1], at_least))


def _padding(key: str, value: Any) -> tuple[Pair, Pair]:
    expected = "one whole number, or [[top, bottom], [left, right]]"
    if isinstance(value, str) or not _is_sequence(value):
        one = _count(key, value)
        return ((one, one), (one, one))
    if len(value) != 2 or not all(_is_sequence(v) and len(v) == 2 for v in value):
        raise _unfit(key, value, expected)
    return (_pair(key, value[0]), _pair(key, value[1]))


def _flip(key: str, value: Any) -> tuple[str, ...]:
    named = not isinstance(value, str) and _is_sequence(value)
    if not named or not all(isinstance(a, str) and a in FLIP_AXES for a in value):
        raise _unfit(key, value, "a list out of I, H, W")
    return tuple(axis for axis in FLIP_AXES if axis in value)


def _permutation(key: str, value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    expected = "null or a permutation of the image's channels, such as [2, 1, 0]"
    if isinstance(value, str) or not _is_sequence(value):
        raise _unfit(key, value, expected)
    order = tuple(_count(key, v) for v in value)
    if sorted(order) != list(range(len(order))):
        raise _unfit(key, value, expected)
    return order


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
    "image_layout": _one_of(*IMAGE_LAYOUTS),
    "filter_layout": _one_of(*FILTER_LAYOUTS),
    "output_layout": _one_of(*OUTPUT_LAYOUTS),
    "flip": _flip,
    "stride": partial(_pair, at_least=1),
    "dilation": partial(_pair, at_least=1),
    "input_dilation": partial(_pair, at_least=1),
    "padding": _padding,
    "padding_mode": _one_of(*PADDING_MODES),
    "padding_value": _number,
    "groups": partial(_count, at_least=1),
    "channel_order": _permutation,
    "kernel_transposed": _truth,
    "scale": _number,
    "bias": _bias,
    "activation": _one_of(None, "relu"),
    "arithmetic": _one_of(*PRECISIONS, *INTEGER_ARITHMETICS),
}
"""What each key's value must be: takes the key and the value, returns it in the record's type."""

CORRELATION = Convention()
"""What a CNN layer computes: no axis reversed."""
PER_CHANNEL = Convention(flip=("H", "W"))
"""The sum of the per-channel 2-D convolutions."""
FLIPPED = Convention(flip=("I", "H", "W"))
"""``scipy.signal.convolve`` on N-D arrays: every axis of the filter is reversed."""
NAMED: Mapping[str, Convention] = MappingProxyType(
    {"per-channel": PER_CHANNEL, "flipped": FLIPPED, "correlation": CORRELATION}
)
_SYNONYMS = {"convolution": "per-channel", "cross-correlation": "correlation"}
