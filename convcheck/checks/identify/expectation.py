"""Whether an answer is what was expected: its keys are so, in its own words or in others."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from convcheck.checks.identify.thin import same_sums
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from convcheck.checks.sums import Problem
    from convcheck.convention import Convention


def meets(data: Problem, convention: Convention, expect: Mapping[str, Any]) -> bool:
    """Whether ``convention``, or another that does the same to ``data``, has the expected keys.

    A flip of an axis of size one, or a padding that no window reaches, is no difference.
    """
    if _has(convention, expect):
        return True
    if not _has(convention, {k: v for k, v in expect.items() if k in _AFTER}):
        return False
    said = _said_otherwise(convention, expect)
    return next(same_sums(data, convention, said), None) is not None


_AFTER = ("scale", "bias", "activation", "arithmetic")


def _has(convention: Convention, expect: Mapping[str, Any]) -> bool:
    return all(getattr(convention, key) == value for key, value in expect.items())


def _said_otherwise(c: Convention, expect: Mapping[str, Any]) -> Iterator[Convention]:
    """The expected keys with the others as they are, or as they may be said as well.

    Reversed channels are a flip or an order; swapped kernels are a layout with W before H.
    """
    orders = [c.channel_order, None]
    if c.channel_order is not None:
        orders.append(c.channel_order[::-1])
    swapped = c.filter_layout.translate(str.maketrans("HW", "WH"))
    kernels = [(c.kernel_transposed, c.filter_layout), (not c.kernel_transposed, swapped)]
    for order, (transposed, layout) in product(orders, kernels):
        keys = {
            "channel_order": order,
            "kernel_transposed": transposed,
            "filter_layout": layout,
        }
        try:
            yield c.replace(**{**keys, **expect})
        except InputError:
            continue
