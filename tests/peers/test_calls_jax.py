"""The code printed for JAX, run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_conventions import Drawn, agree, expected, run

from convcheck.calls import equivalent_calls
from convcheck.convention import Convention

if TYPE_CHECKING:
    from collections.abc import Iterator

jax = pytest.importorskip("jax")

COUNT = 150


@pytest.fixture(autouse=True)
def compiled_plainly() -> Iterator[None]:
    """Each call is compiled to be run once: to optimise it takes longer than all else."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.slow
def test_jax_agrees_wherever_it_has_a_call() -> None:
    kinds = [
        '"SAME"',
        '"SAME_LOWER"',
        '"VALID"',
        "lhs_dilation",
        "feature_group",
        "numpy.pad",
    ]
    said, left_out = agree("jax", range(COUNT), kinds)
    assert all(":" in convention.arithmetic for convention in left_out)
    assert len(left_out) < 0.4 * COUNT
    assert min(said.values()) >= 5, said


def test_complex_arrays() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(-9, 10, (3, 6, 7)) + 1j * rng.integers(-9, 10, (3, 6, 7))
    filters = rng.integers(-9, 10, (2, 3, 2, 3)) + 1j * rng.integers(-9, 10, (2, 3, 2, 3))
    drawn = Drawn(image, filters, Convention(flip=("I", "W"), stride=2, padding=1))
    code = equivalent_calls(drawn.convention, image.shape, filters.shape, dtype="complex128")["jax"]
    assert np.array_equal(run(code, drawn), expected(drawn))
