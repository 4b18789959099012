"""The one record that says how a convolution's result is made from an image and filters.

Everything is said relative to cross-correlation, which is what layers compute. A convention does
its steps in this order: read the image by its layout, or its memory by another one's, and channel
order, minus ``image_offset``,
times ``image_scale``; read the filters by theirs, minus ``filter_offset``, conjugated, the axes in
``flip`` reversed; put zeros between the image's samples (``input_dilation``); pad or crop;
cross-correlate with ``dilation``, ``stride`` and ``groups``; ``activation(scale * correlation +
bias)``; ``storage``; lay out the output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from convcheck.convention.channels import SPATIAL, check_memory, spatial
from convcheck.convention.steps import Activation
from convcheck.convention.storage import Storage
from convcheck.convention.vocabulary import (
    DECOMPOSITIONS,
    KEYS,
    VOCABULARY,
    Numbers,
    Pair,
    is_listed,
)
from convcheck.errors import InputError

SCHEMA = 2
"""The version of this vocabulary."""


@dataclass(frozen=True)
class Convention:
    """How a result is made; the defaults are a layer's plain cross-correlation.

    ``stride``, ``dilation``, ``input_dilation``, ``padding_mode`` take one value or one for each
    spatial axis; ``padding`` takes one number or ``[before, after]`` for each axis, where a
    negative number crops. How many spatial axes there are follows from the layouts; a layout that
    is not given has as many as the others, or two.

    Raises:
        InputError: a value that the vocabulary does not have.
    """

    image_layout: str = ""
    filter_layout: str = ""
    output_layout: str = ""
    image_memory: str | None = None
    filter_memory: str | None = None
    channel_order: tuple[int, ...] | None = None
    output_order: tuple[int, ...] | None = None
    flip: tuple[str, ...] = ()
    conjugate: bool = False
    image_offset: Numbers = 0.0
    image_scale: Numbers = 1.0
    filter_offset: Numbers = 0.0
    input_dilation: tuple[int, ...] = (1,)
    padding: tuple[Pair, ...] = ((0, 0),)
    padding_mode: str | tuple[str, ...] = "constant"
    padding_value: float = 0.0
    dilation: tuple[int, ...] = (1,)
    stride: tuple[int, ...] = (1,)
    groups: int = 1
    scale: Numbers = 1.0
    bias: Numbers | None = None
    activation: Activation | None = None
    arithmetic: str = "exact"
    storage: Storage | None = None

    def __post_init__(self) -> None:
        rank = _rank(self)
        for name, key in VOCABULARY.items():
            value = getattr(self, name)
            if name in _LAYOUTS and value == "":
                value = (_letters(self, name) or _LAYOUTS[name]) + spatial(rank)
            elif name in _PER_AXIS and isinstance(value, tuple) and value == key.default:
                value = key.default * rank
            object.__setattr__(self, name, key.check(name, value, rank))
        for operand in ("image", "filter"):
            layout, memory = (getattr(self, f"{operand}_{what}") for what in ("layout", "memory"))
            check_memory(operand, layout, memory)

    @property
    def spatial(self) -> str:
        """The letters of the spatial axes: W, HW or DHW."""
        return spatial(self.rank)

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.stride)

    @property
    def linear(self) -> Convention:
        """What is summed, exactly, without anything that is done to the sums."""
        return self.replace(scale=1.0, bias=None, activation=None, arithmetic="exact", storage=None)

    @property
    def padding_modes(self) -> tuple[str, ...]:
        """The padding mode of every spatial axis."""
        mode = self.padding_mode
        return mode if isinstance(mode, tuple) else (mode,) * self.rank

    def to_dict(self) -> dict[str, Any]:
        """Every key of the vocabulary with JSON's own types."""
        return {name: _plain(getattr(self, name)) for name in KEYS}

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
            if key not in VOCABULARY:
                close = get_close_matches(str(key), KEYS)
                hint = f"did you mean {close[0]!r}?" if close else None
                raise InputError(
                    f"a convention has no key {key!r}",
                    expected=", ".join(KEYS),
                    hint=_SUCCESSORS.get(str(key), hint),
                )
        return cls(**mapping)

    def replace(self, **changes: Any) -> Convention:
        """The same convention with some keys changed; the others are not checked again."""
        other = copy(self)
        for name, value in changes.items():
            checked = VOCABULARY[name].check(name, value, self.rank)
            object.__setattr__(other, name, checked)
        return other


def _as_json(given: Mapping[str, Any]) -> str:
    """A dict as it would stand on the command line; NumPy's numbers and arrays are numbers."""

    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        raise InputError(
            "a convention has a value that is none of its vocabulary's",
            got=type(value).__name__,
            expected="numbers, texts, and lists of them",
        )

    return json.dumps(dict(given), default=plain)


def parse_partial(given: str | Mapping[str, Any]) -> dict[str, Any]:
    """The keys that a slug, a JSON object or a dict names, checked, with the values that are given.

    A slug says which axes are reversed and nothing more. What a value is in the record's own types
    depends on the number of spatial axes: :func:`normalized` tells.

    Raises:
        InputError: neither a slug nor a JSON object of the vocabulary's keys.
    """
    text = given if isinstance(given, str) else _as_json(given)
    slug = SYNONYMS.get(text.strip(), text.strip())
    if slug in NAMED:
        return {"flip": slug}
    if not text.lstrip().startswith("{"):
        close = get_close_matches(slug, [*NAMED, *SYNONYMS], cutoff=0.5)
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
            hint="in a shell single quotes stand around all of it, double ones around names",
        ) from None
    Convention.from_dict(mapping)
    return dict(mapping)


def normalized(keys: Mapping[str, Any], rank: int) -> dict[str, Any]:
    """Keys of a convention in the record's own types, over so many spatial axes.

    Raises:
        InputError: a value that does not fit its key.
    """
    return {name: VOCABULARY[name].check(name, value, rank) for name, value in keys.items()}


def named(slug: str, rank: int = 2) -> Convention:
    """The decomposition of this name over so many spatial axes."""
    return Convention(filter_layout="OI" + spatial(rank), flip=slug)  # type: ignore[arg-type]


def _rank(c: Convention) -> int:
    """The number of spatial axes that the layouts and the values for each axis agree on."""
    found: dict[str, int] = {}
    for name in (*_LAYOUTS, *_MEMORIES.values()):
        layout = getattr(c, name)
        if isinstance(layout, str) and layout:
            found[name] = sum(letter in SPATIAL for letter in layout)
    if not found:
        for name in _PER_AXIS:
            value = getattr(c, name)
            default = isinstance(value, tuple) and value == VOCABULARY[name].default
            if not default and not isinstance(value, str) and is_listed(value):
                found[name] = len(value)
    ranks = set(found.values())
    if len(ranks) > 1 or not ranks <= {1, 2, 3}:
        raise InputError(
            "the convention's keys do not agree on the number of spatial axes",
            got=", ".join(f"{name} {getattr(c, name)!r}" for name in found),
            expected="1, 2 or 3 of D, H, W (W alone in 1-D, H W in 2-D) in every layout, and one "
            "value for each in the keys that have one an axis",
        )
    return ranks.pop() if ranks else 2


_LAYOUTS = {"image_layout": "C", "filter_layout": "OI", "output_layout": "C"}
"""The axes beside the spatial ones that each layout has where it is not given."""
_MEMORIES = {"image_layout": "image_memory", "filter_layout": "filter_memory"}
_PER_AXIS = ("stride", "dilation", "input_dilation", "padding", "padding_mode")


def _letters(c: Convention, name: str) -> str:
    """The axes beside the spatial ones of a layout that is not given, where its memory is."""
    memory = getattr(c, _MEMORIES.get(name, ""), None)
    others = {"image_layout": ("NC",), "filter_layout": ("OI", "IM")}.get(name, ())
    given = memory if isinstance(memory, str) else ""
    letters = {a for a in given if a not in SPATIAL}
    return next(
        ("".join(a for a in some if a in letters) for some in others if letters <= {*some}), ""
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Activation):
        return value.plain()
    if isinstance(value, Storage):
        return value.to_dict()
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


_SUCCESSORS = {
    "kernel_transposed": "a kernel whose rows and columns are swapped is a filter layout now: "
    '{"filter_layout": "OIWH"}',
}
"""What stands now for the keys of schema 1 that are gone."""


CORRELATION = Convention()
"""What a layer computes: no axis reversed."""
PER_CHANNEL = Convention(flip=("H", "W"))
"""The sum of the per-channel 2-D convolutions."""
FLIPPED = Convention(flip=("I", "H", "W"))
"""``scipy.signal.convolve`` on N-D arrays: every axis of the filter is reversed."""
NAMED: Mapping[str, Convention] = MappingProxyType({slug: named(slug) for slug in DECOMPOSITIONS})
SYNONYMS: Mapping[str, str] = MappingProxyType(
    {"convolution": "per-channel", "cross-correlation": "correlation"}
)
"""Other names of the decompositions."""

if tuple(f.name for f in fields(Convention)) != KEYS:  # pragma: no cover
    raise TypeError("the record and its vocabulary have other keys")
