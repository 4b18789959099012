"""What every test of ``identify`` on another library's output asks of the answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from convcheck.checks.identify import IdentifyResult, identify
from convcheck.convention import Convention
from convcheck.engine import convolve


def explain(image: Any, filters: Any, output: Any, **keys: Any) -> Convention:
    """The one convention that is identified; it has ``keys`` and gives the output again."""
    image, filters, output = (np.asarray(a) for a in (image, filters, output))
    result = identify(image, filters, output)
    said = [(c.convention.to_dict(), c.where) for c in result.candidates] or result.nearest
    assert result.verdict == "identified", (result.verdict, said, result.reasons)
    convention = result.candidates[0].convention
    wanted = Convention(**keys)
    for key in keys:
        assert getattr(convention, key) == getattr(wanted, key), (key, convention)
    assert_gives(convention, image, filters, output)
    return convention


def candidates(image: Any, filters: Any, output: Any) -> list[Convention]:
    """The conventions that are the same on data that cannot tell them apart; each gives OUT."""
    image, filters, output = (np.asarray(a) for a in (image, filters, output))
    result = identify(image, filters, output)
    assert result.verdict == "ambiguous", (result.verdict, result.candidates)
    assert result.reasons
    for candidate in result.candidates:
        assert_gives(candidate.convention, image, filters, output)
    return [candidate.convention for candidate in result.candidates]


def assert_gives(
    convention: Convention, image: np.ndarray, filters: np.ndarray, output: np.ndarray
) -> None:
    """The convention gives the output: exactly where it says so, else within its precision."""
    again = convolve(image, filters, convention)
    assert again.shape == output.shape
    kind = convention.arithmetic
    if kind == "exact":
        assert np.array_equal(again, output)
        return
    wide = np.complex128 if np.iscomplexobj(output) else np.float64
    away = np.abs(again.astype(wide) - output.astype(wide))
    if ":" in kind:
        # Halves may have been rounded either way by an accumulator of single precision.
        assert np.mod(away, 2.0 ** int("".join(c for c in kind if c.isdigit()))).max() <= 1
        assert np.mean(away != 0) < 0.02
        return
    size = np.abs(output.astype(wide)).max()
    digits = {"float64": 1e-13, "float32": 1e-5, "tf32": 5e-3, "float16": 1e-2, "bfloat16": 5e-2}
    assert away.max() <= digits[kind] * size


def verdict(image: Any, filters: Any, output: Any) -> IdentifyResult:
    """The whole answer."""
    return identify(np.asarray(image), np.asarray(filters), np.asarray(output))
