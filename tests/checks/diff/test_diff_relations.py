"""Each relation of two arrays is found, said, and true: its code is run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import convcheck

Array = NDArray[Any]
RNG = np.random.default_rng(7)
A = RNG.standard_normal((1, 6, 9, 10)).astype(np.float32)
ORDER = [3, 1, 5, 0, 2, 4]
SHIFTED = np.zeros_like(A)
SHIFTED[:, :, 1:, :-2] = A[:, :, :-1, 2:]
CHANNEL = np.array([0.5, 2.0, 1.25, 3.0, 0.75, 1.5], np.float32).reshape(-1, 1, 1)

RELATIONS: dict[str, tuple[Array, Array, str]] = {
    "axes": (A, A.transpose(0, 2, 3, 1), "mine == ref.transpose(0, 2, 3, 1)"),
    "reshaped": (A, A.reshape(1, 9, 10, 6), "mine == ref.reshape(1, 9, 10, 6)"),
    "reversed": (A, A[:, :, ::-1], "mine == ref[..., ::-1, :]"),
    "order": (A, A[:, ORDER], f"mine == ref[:, {ORDER}]"),
    "shifted": (A, SHIFTED, "mine[..., 1:9, :8] == ref[..., :8, 2:10]"),
    "rolled": (A, np.roll(A, 3, axis=3), "mine == np.roll(ref, 3, axis=3)"),
    "cut": (A, A[:, :, 1:-1, 2:-1], "mine == ref[..., 1:8, 2:9]"),
    "padded": (A[:, :, 1:-1, 2:-1], A, "mine[..., 1:8, 2:9] == ref[..., :7, :7]"),
    "strided": (A, A[:, :, ::2, 1::2], "mine == ref[..., :9:2, 1:10:2]"),
    "factor": (A, A * np.float32(2.5), "mine == ref * 2.5"),
    "offset": (A, A - np.float32(3), "mine == ref - 3.0"),
    "line": (A, A * np.float32(1.1) + np.float32(3), "mine == ref * 1.1 + 3.0"),
    "relu": (A, np.maximum(A, 0), "mine == np.maximum(ref, 0)"),
    "no relu": (np.maximum(A, 0), A, "ref == np.maximum(mine, 0)"),
    "both": (A, A.transpose(0, 2, 3, 1)[:, ::-1] * np.float32(2), ""),
}


@pytest.mark.parametrize("name", RELATIONS)
def test_a_relation_is_found_and_true(name: str) -> None:
    ref, mine, code = RELATIONS[name]
    found = convcheck.diff(ref, mine)
    assert found.verdict == "explained", str(found)
    assert (found.exit_code, len(found.relations)) == (1, 1)
    (relation,) = found.relations
    assert code in ("", relation.code)
    names = {"ref": ref, "mine": mine, "np": np}
    left, right = relation.code.split(" == ")
    assert np.array_equal(eval(left, dict(names)), eval(right, dict(names)))
    if relation.fix is not None:
        mended = eval(relation.fix, dict(names))
        assert mended.shape == ref.shape
        assert np.allclose(mended, ref, rtol=1e-5, atol=1e-6)


def test_equal_and_rounding_are_what_holds() -> None:
    assert convcheck.diff(A, A).verdict == "equal"
    found = convcheck.diff(A, A.astype(np.float16))
    assert (found.verdict, found.exit_code) == ("rounding", 0)
    assert found.relations[0].code == "mine == ref.astype(np.float16)"
