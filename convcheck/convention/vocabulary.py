"""The vocabulary of schema 2: of every key what its value must be, its JSON schema, its default."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from convcheck.convention.axis import PADDING_MODES
from convcheck.convention.channels import SPATIAL, spatial
from convcheck.convention.multiplier import MULTIPLIERS
from convcheck.convention.steps import ACTIVATIONS, Activation
from convcheck.convention.storage import (
    FLOATS,
    INTEGERS,
    OVERFLOWS,
    PRECISIONS,
    ROUNDINGS,
    Storage,
)
from convcheck.errors import InputError

Pair = tuple[int, int]
Numbers = float | tuple[float, ...]
DECOMPOSITIONS = ("per-channel", "flipped", "correlation")
"""Names of what is reversed, whatever the number of spatial axes."""


class Key(NamedTuple):
    """One key: what a value must be, its JSON schema, and its default in 2-D's own types.

    ``check`` takes the key, a value and the number of spatial axes; it returns the value in the
    record's type.
    """

    check: Callable[[str, Any, int], Any]
    schema: Mapping[str, Any]
    default: Any


def is_listed(value: object) -> bool:
    """Whether it is a sequence or an array of at least one axis."""
    return isinstance(value, Sequence) or getattr(value, "ndim", 0) > 0


def _unfit(key: str, value: object, expected: str, hint: str | None = None) -> InputError:
    return InputError(
        f"the convention's {key} is unfit", got=repr(value), expected=expected, hint=hint
    )


def _layout(others: str) -> Callable[[str, Any, int], str]:
    def check(key: str, value: Any, rank: int) -> str:
        axes = spatial(rank)
        letters = list(value) if isinstance(value, str) else []
        given = [a for a in letters if a not in axes]
        fits = sorted(set(letters)) == sorted(letters) and set(axes) <= set(letters)
        if not fits or not set(given) <= set(others) or {"O", "M"} <= set(given):
            hint = None
            if key == "output_layout" and isinstance(value, str) and "O" in value:
                hint = f"the output channels are C now: {value.replace('O', 'C')!r}"
            raise _unfit(
                key, value, f"{axes} and any of {', '.join(others)}, each once, in any order", hint
            )
        return str(value)

    return check


def _one_of(*allowed: str) -> Callable[[str, Any, int], str]:
    def check(key: str, value: Any, _: int) -> str:
        if not isinstance(value, str) or value not in allowed:
            hint = None
            if key == "arithmetic" and isinstance(value, str) and ":" in value:
                overflow, dtype = value.split(":", 1)
                rounding = "toward_zero" if overflow == "wrap" else "half_even"
                stored = {"dtype": dtype, "rounding": rounding, "overflow": overflow}
                hint = f"integers are a storage now: {json.dumps({'storage': stored})}"
            raise _unfit(key, value, "one of " + ", ".join(allowed), hint)
        return value

    return check


def _truth(key: str, value: Any, _: int) -> bool:
    if not isinstance(value, bool):
        raise _unfit(key, value, "true or false")
    return value


def whole(key: str, value: Any, at_least: int | None = None) -> int:
    """The value as an int, or the error that says what it must be."""
    try:
        found = None if isinstance(value, (bool, str)) else int(value)
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is None or found != value or (at_least is not None and found < at_least):
        least = "" if at_least is None else f" of at least {at_least}"
        raise _unfit(key, value, f"a whole number{least}")
    return found


def _number(key: str, value: Any, _: int = 2) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _unfit(key, value, "a finite number")
    return number


def _numbers(key: str, value: Any, _: int) -> Numbers:
    """A number, or one a channel."""
    if isinstance(value, str) or not is_listed(value):
        return _number(key, value)
    if len(value) == 0:
        raise _unfit(key, value, "a number, or a list of one a channel")
    return tuple(_number(key, v) for v in value)


def _optional(check: Callable[[str, Any, int], Any]) -> Callable[[str, Any, int], Any]:
    return lambda key, value, rank: None if value is None else check(key, value, rank)


def _per_axis(each: Callable[[str, Any], Any], what: str) -> Callable[[str, Any, int], Any]:
    """One value for every axis, or one for all of them."""

    def check(key: str, value: Any, rank: int) -> tuple[Any, ...]:
        if isinstance(value, str) or not is_listed(value):
            return (each(key, value),) * rank
        if len(value) != rank:
            axes = ", ".join(spatial(rank))
            raise _unfit(key, value, f"{what}, or one for each spatial axis: [{axes}]")
        return tuple(each(key, v) for v in value)

    return check


def _pads(key: str, value: Any) -> Pair:
    if isinstance(value, str) or not is_listed(value):
        one = whole(key, value)
        return one, one
    if len(value) != 2:
        raise _unfit(key, value, "[before, after] for each spatial axis")
    return whole(key, value[0]), whole(key, value[1])


def _padding(key: str, value: Any, rank: int) -> tuple[Pair, ...]:
    if not isinstance(value, str) and is_listed(value):
        if len(value) != rank or not all(is_listed(v) for v in value):
            ends = ", ".join(f"[before, after] of {axis}" for axis in spatial(rank))
            raise _unfit(key, value, f"one whole number, or [{ends}]")
        return tuple(_pads(key, v) for v in value)
    return (_pads(key, value),) * rank


def _mode(key: str, value: Any, rank: int) -> str | tuple[str, ...]:
    one = _one_of(*PADDING_MODES)
    modes: tuple[str, ...] = _per_axis(lambda k, v: one(k, v, rank), "a mode")(key, value, rank)
    return modes[0] if len(set(modes)) == 1 else modes


def _flip(key: str, value: Any, rank: int) -> tuple[str, ...]:
    axes = "I" + spatial(rank)
    if isinstance(value, str) and value in DECOMPOSITIONS:  # a decomposition, whatever the rank
        return {"correlation": (), "per-channel": tuple(axes[1:]), "flipped": tuple(axes)}[value]
    given = not isinstance(value, str) and is_listed(value)
    if not given or not all(isinstance(a, str) and a in tuple(axes) for a in value):
        raise _unfit(key, value, "a list out of " + ", ".join(axes))
    return tuple(axis for axis in axes if axis in value)


def _permutation(key: str, value: Any, _: int) -> tuple[int, ...]:
    expected = "null or a permutation of the channels, such as [2, 1, 0]"
    if isinstance(value, str) or not is_listed(value):
        raise _unfit(key, value, expected)
    order = tuple(whole(key, v) for v in value)
    if sorted(order) != list(range(len(order))) or not order:
        raise _unfit(key, value, expected)
    return order


def _activation(key: str, value: Any, _: int) -> Activation:
    if isinstance(value, Activation):
        name: Any = value.name
        values: Any = value.values
    elif isinstance(value, Mapping) and len(value) == 1:
        ((name, values),) = value.items()
        values = values if is_listed(values) and not isinstance(values, str) else [values]
    else:
        name, values = value, ()
    plain = [n for n, kind in ACTIVATIONS.items() if not kind.parameters]
    with_values = [
        json.dumps({n: k.parameters[0] if len(k.parameters) == 1 else list(k.parameters)})
        for n, k in ACTIVATIONS.items()
        if k.parameters
    ]
    expected = "null or one of " + ", ".join([*plain, *with_values])
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise _unfit(key, value, expected)
    if len(values) != len(ACTIVATIONS[name].parameters):
        raise _unfit(key, value, expected)
    return Activation(name, tuple(_number(key, v) for v in values))


def _storage(key: str, value: Any, rank: int) -> Storage:
    if isinstance(value, Storage):
        return value
    expected = 'null or an object such as {"dtype": "uint8", "rounding": "half_even"}'
    if not isinstance(value, Mapping) or not set(value) <= set(_STORAGE) or "dtype" not in value:
        raise _unfit(key, value, expected + " with " + ", ".join(_STORAGE))
    return Storage(**{k: _STORAGE[k](f"{key}'s {k}", v, rank) for k, v in value.items()})


_STORAGE: Mapping[str, Callable[[str, Any, int], Any]] = {
    "dtype": _one_of(*INTEGERS, *FLOATS),
    "zero_point": lambda key, value, _: whole(key, value),
    "rounding": _one_of(*ROUNDINGS),
    "overflow": _one_of(*OVERFLOWS),
    "multiplier": _one_of(*MULTIPLIERS),
}


def _array(items: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": dict(items), **more}


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"type": "null"}, dict(schema)]}


def _axes_schema(one: Mapping[str, Any]) -> dict[str, Any]:
    return _array(one, minItems=1, maxItems=3)


_COUNT = {"type": "integer", "minimum": 1}
_WHOLE = {"type": "integer"}
_NUMBER = {"type": "number"}
_NUMBERS = {"anyOf": [_NUMBER, _array(_NUMBER, minItems=1)]}
_ORDER = _or_null(_array({"type": "integer", "minimum": 0}, minItems=1))
_MODES = {"enum": list(PADDING_MODES)}
_STORED = {
    "type": "object",
    "properties": {
        "dtype": {"enum": [*INTEGERS, *FLOATS]},
        "zero_point": _WHOLE,
        "rounding": {"enum": list(ROUNDINGS)},
        "overflow": {"enum": list(OVERFLOWS)},
        "multiplier": {"enum": list(MULTIPLIERS)},
    },
    "required": ["dtype", "zero_point", "rounding", "overflow", "multiplier"],
    "additionalProperties": False,
}
_ACTIVATION = {
    "anyOf": [
        {"type": "null"},
        {"enum": [n for n, kind in ACTIVATIONS.items() if not kind.parameters]},
        *(
            {
                "type": "object",
                "properties": {
                    n: _NUMBER
                    if len(kind.parameters) == 1
                    else _array(
                        _NUMBER, minItems=len(kind.parameters), maxItems=len(kind.parameters)
                    )
                },
                "required": [n],
                "additionalProperties": False,
            }
            for n, kind in ACTIVATIONS.items()
            if kind.parameters
        ),
    ]
}


def _letters(others: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^[DHW{others}]{{1,5}}$"}


_count = _per_axis(lambda key, value: whole(key, value, 1), "one whole number")
_order = _optional(_permutation)

VOCABULARY: Mapping[str, Key] = MappingProxyType(
    {
        "image_layout": Key(_layout("NC"), _letters("NC"), "CHW"),
        "filter_layout": Key(_layout("OIM"), _letters("OIM"), "OIHW"),
        "output_layout": Key(_layout("NC"), _letters("NC"), "CHW"),
        "image_memory": Key(_optional(_layout("NC")), _or_null(_letters("NC")), None),
        "filter_memory": Key(_optional(_layout("OIM")), _or_null(_letters("OIM")), None),
        "channel_order": Key(_order, _ORDER, None),
        "output_order": Key(_order, _ORDER, None),
        "flip": Key(_flip, _array({"enum": ["I", *SPATIAL]}, uniqueItems=True), ()),
        "conjugate": Key(_truth, {"type": "boolean"}, False),
        "image_offset": Key(_numbers, _NUMBERS, 0.0),
        "image_scale": Key(_numbers, _NUMBERS, 1.0),
        "filter_offset": Key(_numbers, _NUMBERS, 0.0),
        "input_dilation": Key(_count, _axes_schema(_COUNT), (1,)),
        "padding": Key(_padding, _axes_schema(_array(_WHOLE, minItems=2, maxItems=2)), ((0, 0),)),
        "padding_mode": Key(_mode, {"anyOf": [_MODES, _axes_schema(_MODES)]}, "constant"),
        "padding_value": Key(_number, _NUMBER, 0.0),
        "dilation": Key(_count, _axes_schema(_COUNT), (1,)),
        "stride": Key(_count, _axes_schema(_COUNT), (1,)),
        "groups": Key(lambda key, value, _: whole(key, value, 1), _COUNT, 1),
        "scale": Key(_numbers, _NUMBERS, 1.0),
        "bias": Key(_optional(_numbers), _or_null(_NUMBERS), None),
        "activation": Key(_optional(_activation), _ACTIVATION, None),
        "arithmetic": Key(_one_of(*PRECISIONS), {"enum": list(PRECISIONS)}, "exact"),
        "storage": Key(_optional(_storage), _or_null(_STORED), None),
    }
)
"""Every key, in the order in which a convention is written."""
KEYS = tuple(VOCABULARY)


def convention_schema() -> dict[str, Any]:
    """The JSON Schema of a whole convention, as ``to_dict`` writes it."""
    return {
        "type": "object",
        "properties": {name: dict(key.schema) for name, key in VOCABULARY.items()},
        "required": list(KEYS),
        "additionalProperties": False,
    }
