"""What every test of ``identify`` on another library's output asks of the answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcheck.checks.identify import IdentifyResult, identify
from convcheck.convention import Convention, normalized
from convcheck.engine import convolve


def explain(image: Any, filters: Any, output: Any, **keys: Any) -> Convention:
    """The one convention that is identified; it has ``keys`` and gives the output again."""
    image, filters, output = (np.asarray(a) for a in (image, filters, output))
    result = identify(image, filters, output)
    said = [(c.convention.to_dict(), c.where) for c in result.candidates] or result.nearest
    assert result.verdict == "identified", (result.verdict, said, result.reasons)
    convention = result.candidates[0].convention
    for key, wanted in normalized(keys, convention.rank).items():
        assert getattr(convention, key) == wanted, (key, convention)
    assert_gives(convention, image, filters, output)
    return convention


def assert_gives(
    convention: Convention, image: np.ndarray, filters: np.ndarray, output: np.ndarray
) -> None:
    """It gives the output: exactly where all are integers, else within its precision."""
    again = convolve(image, filters, convention)
    assert again.shape == output.shape
    if convention.storage is not None and convention.storage.is_integer:
        # Halves may have been rounded either way by an accumulator of single precision.
        away = np.abs(again.astype(np.int64) - output.astype(np.int64))
        assert np.minimum(away, 2 ** (8 * output.itemsize) - away).max() <= 1
        assert np.mean(away != 0) < 0.02
        return
    wide = np.complex128 if np.iscomplexobj(output) else np.float64
    away = np.abs(again.astype(wide) - output.astype(wide))
    if all((a == np.rint(a.real)).all() for a in (image, filters, output)):
        assert not away.any()
        return
    size = np.abs(output.astype(wide)).max()
    kind = convention.storage.dtype if convention.storage is not None else convention.arithmetic
    digits = {"float32": 1e-5, "tf32": 5e-3, "float16": 1e-2, "bfloat16": 5e-2}
    assert away.max() <= digits.get(kind, 1e-13) * size


def not_claimed(image: Any, filters: Any, output: Any, **keys: Any) -> None:
    """An output made otherwise is not identified as a convention with all of these ``keys``.

    Where something is identified it has to give the output again, so that it is another truth.
    """
    image, filters, output = (np.asarray(a) for a in (image, filters, output))
    result = identify(image, filters, output)
    if result.verdict != "identified":
        return
    convention = result.candidates[0].convention
    wanted = normalized(keys, convention.rank)
    same = all(_close(getattr(convention, key), value) for key, value in wanted.items())
    assert not same, convention
    assert_gives(convention, image, filters, output)


def _close(one: Any, other: Any) -> bool:
    """Whether two values of a key are equal, numbers to six digits."""
    if one == other:
        return True
    try:
        return np.allclose(one, other, rtol=1e-6, atol=1e-6)
    except (TypeError, ValueError):
        return False


def verdict(image: Any, filters: Any, output: Any) -> IdentifyResult:
    """The whole answer."""
    return identify(np.asarray(image), np.asarray(filters), np.asarray(output))
