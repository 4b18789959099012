"""Numbers as they are stored."""

from __future__ import annotations

import numpy as np
import pytest

from convcheck.convention import INTEGERS, Storage


@pytest.mark.parametrize("dtype", INTEGERS)
def test_floats_wrap_to_the_last_bit(dtype: str) -> None:
    whole = [-24892, 5, -1, 2**63, -(2**63), 2**64 - 2048, 10**19, -(10**19), 2**70 + 2**40]
    size, least = 2 ** (8 * np.dtype(dtype).itemsize), int(np.iinfo(dtype).min)
    stored = Storage(dtype, rounding="toward_zero", overflow="wrap").apply(np.array(whole, float))
    assert stored.dtype == dtype
    assert stored.tolist() == [(n - least) % size + least for n in whole]
