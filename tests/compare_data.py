"""What the tests of compare share: fixtures, drawn numbers, and how a result is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from convcheck.checks.compare import CompareResult

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
NAMES = ("per-channel", "flipped", "correlation")
DIGITS = np.random.default_rng(0).integers(1, 9, (3, 5, 6)).astype(float)
FILTER = np.random.default_rng(1).integers(1, 9, (1, 3, 2, 3)).astype(float)


def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The image and the filters of a fixture."""
    return np.load(FIXTURES / name / "image.npy"), np.load(FIXTURES / name / "filters.npy")


def row(result: CompareResult, name: str) -> Any:
    """How a row fared."""
    return next(d.comparison for d in result.decompositions if d.name == name)


def numbers(seed: int, shape: tuple[int, ...], dtype: str, kind: str) -> np.ndarray:
    """Data of one dtype: digits, the dtype's whole range, measured numbers, or a wide range."""
    rng = np.random.default_rng(seed)
    kind_of_dtype = np.dtype(dtype)
    if kind_of_dtype.kind in "iu":
        limits = np.iinfo(kind_of_dtype)
        low, high = (limits.min, limits.max) if kind == "wide" else (0, 9)
        return rng.integers(low, high, shape, dtype, endpoint=True)
    if kind_of_dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    values = rng.integers(-9, 10, shape).astype(float)
    if kind == "measured":
        values = rng.standard_normal(shape)
    elif kind == "wide":
        reach = {"float16": 2, "float32": 15, "complex64": 15}.get(dtype, 140)
        values = rng.standard_normal(shape) * 10.0 ** rng.uniform(-reach, reach, shape)
    if kind_of_dtype.kind == "c":
        values = values + 1j * numbers(seed + 1, shape, "float64", "digits")
    return values.astype(dtype)
