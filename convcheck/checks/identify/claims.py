"""The ways in which an output may have been made: precisions of operands and sums, and storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from convcheck.check import Claim
from convcheck.convention import PRECISIONS, Storage

if TYPE_CHECKING:
    from convcheck.traits import Traits


def claims(traits: Traits, fine: tuple[str, ...]) -> Iterator[Claim]:
    """The ways in which such an output may have been made, the plainest first.

    ``fine`` are the precisions that the operands have more bits than.
    """
    if traits.format == "integer" or (traits.whole and traits.integer is not None):
        yield Claim(None, 2.0**-53, None, "exact")
        dtype = str(traits.integer)
        for rounding in ("half_even", "toward_zero", "down"):
            yield Claim(None, 2.0**-24, Storage(dtype, 0, rounding, "saturate"), "exact")
        if traits.format == "integer" and traits.limits[0] > np.iinfo(dtype).min:
            zero = int(traits.limits[0])
            if np.isfinite(traits.limits[0]):
                yield Claim(None, 2.0**-24, Storage(dtype, zero, "half_even", "saturate"), "exact")
        if traits.format == "integer" and np.iinfo(dtype).bits <= 32:
            for rounding in ("toward_zero", "half_even"):
                yield Claim(None, 2.0**-53, Storage(dtype, 0, rounding, "wrap"), "exact")
    if traits.format == "integer":
        return
    own = traits.format
    yield Claim(None, PRECISIONS[own], None, "exact" if own == "float64" else own)
    for narrow in () if traits.is_complex else traits.narrow:
        # Results of few bits, of operands that have no more.
        yield Claim(narrow if narrow in fine else None, 2.0**-24, Storage(narrow), narrow)
        if narrow in fine:
            yield Claim(None, 2.0**-24, Storage(narrow), "exact")
    if own == "float32":
        for few in ("tf32", "bfloat16", "float16"):
            if few in fine and few not in traits.narrow:
                stored = None if few == "tf32" else Storage("float32")
                yield Claim(few, 2.0**-24, stored, few)
