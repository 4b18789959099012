"""A few of many values for the tests that everybody runs; .ci/run has them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable


def slow(*values: Any) -> Any:
    """A set of parameters that only .ci/run needs."""
    return pytest.param(*values, marks=pytest.mark.slow)


def one_in(every: int, values: Iterable[Any]) -> list[Any]:
    """Parameters of a test: the first value and every so many after it; the others are slow."""
    return [value if number % every == 0 else slow(value) for number, value in enumerate(values)]


def rows_in(every: int, rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """As one_in, of sets of several parameters."""
    return [row if number % every == 0 else slow(*row) for number, row in enumerate(rows)]
