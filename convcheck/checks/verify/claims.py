"""What is claimed of an implementation: ``--expect`` read into keys of a convention."""

from __future__ import annotations

import json
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from convcheck.checks.verify.model import PADDINGS
from convcheck.convention import VOCABULARY, normalized, parse_partial
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN = (
    *("image_memory", "filter_memory"),
    *("channel_order", "output_order", "conjugate", "image_offset", "image_scale"),
    *("filter_offset", "scale", "bias", "activation"),
)
"""Keys that are at their defaults where a decomposition is claimed."""


def claim(text: str) -> dict[str, Any]:
    """The keys that ``--expect`` asks for.

    The slug of a decomposition is the whole operation: besides what it reverses, nothing may be
    swapped, reordered, scaled or added. That of a padding rule (``same-upper``) asks for the rule
    alone; both are joined by a comma. A JSON object asks for its own keys alone; its ``padding``
    may be the name of a rule.

    Over one or three axes they are another number of values: :func:`ranked`.

    Raises:
        InputError: none of them.
    """
    if text.lstrip().startswith("{"):
        return _object(text)
    keys: dict[str, Any] = {}
    for slug in (word.strip() for word in text.split(",")):
        rule = slug.replace("-", "_").upper()
        more = {"padding": rule} if rule in PADDINGS else _operation(slug)
        if keys.keys() & more.keys():
            raise InputError(
                f"{text!r} claims two things at once",
                expected="one decomposition, one padding rule, or one of each",
            )
        keys |= more
    return keys


def _operation(slug: str) -> dict[str, Any]:
    rules = [name.replace("_", "-").lower() for name in PADDINGS]
    try:
        keys = normalized(parse_partial(slug), 2)
    except InputError as error:
        close = get_close_matches(slug, rules, n=1, cutoff=0.5)
        raise InputError(
            error.what,
            expected=f"{error.expected}; for the padding {', '.join(rules)}",
            hint=f"did you mean {close[0]!r}?" if close else error.hint,
        ) from None
    return {**keys, **{key: VOCABULARY[key].default for key in PLAIN}}


def _object(text: str) -> dict[str, Any]:
    mapping: Any = None
    with suppress(ValueError, RecursionError):
        mapping = json.loads(text)
    padding = mapping.get("padding") if isinstance(mapping, dict) else None
    if not isinstance(padding, str):
        return _normalized(parse_partial(text))
    if padding not in PADDINGS:
        raise InputError(
            "the convention's padding is unfit",
            got=repr(padding),
            expected="one whole number, [[top, bottom], [left, right]], or one of "
            + ", ".join(PADDINGS),
        )
    keys = parse_partial(json.dumps({**mapping, "padding": 0}))
    return {**_normalized(keys), "padding": padding}


def _normalized(keys: Mapping[str, Any]) -> dict[str, Any]:
    for rank in (2, 1, 3):
        with suppress(InputError):
            return normalized(keys, rank)
    return normalized(keys, 2)  # for its error


def ranked(keys: Mapping[str, Any], spatial: str) -> dict[str, Any]:
    """A claim's keys over other spatial axes: what all have in common is said of each.

    Raises:
        InputError: a claim that tells its axes apart, which are other ones.
    """
    found = dict(keys)
    for key in ("stride", "dilation", "input_dilation", "padding"):
        value = found.get(key)
        if isinstance(value, tuple) and len(value) != len(spatial) and len(set(value)) == 1:
            found[key] = value[:1] * len(spatial)
    if {"H", "W"} <= set(found.get("flip", ())):
        found["flip"] = tuple(a for a in found["flip"] if a not in "DHW") + tuple(spatial)
    plain = {k: v for k, v in found.items() if not (k == "padding" and isinstance(v, str))}
    return {**found, **normalized(plain, len(spatial))}
