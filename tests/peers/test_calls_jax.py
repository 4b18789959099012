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

COUNT = 100


@pytest.fixture(autouse=True)
def compiled_plainly() -> Iterator[None]:
    """Each call is compiled to be run once: to optimise it takes longer than all else."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.slow
def test_jax_agrees_on_every_convention() -> None:
    kinds = [
        '"SAME"',
        '"SAME_LOWER"',
        '"VALID"',
        "lhs_dilation",
        "feature_group",
        "jnp.pad",
    ]
    said, left_out = agree("jax", range(COUNT), kinds)
    assert not left_out
    assert min(said.values()) > 0, said


def test_complex_arrays() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(-9, 10, (3, 6, 7)) + 1j * rng.integers(-9, 10, (3, 6, 7))
    filters = rng.integers(-9, 10, (2, 3, 2, 3)) + 1j * rng.integers(-9, 10, (2, 3, 2, 3))
    drawn = Drawn(image, filters, Convention(flip=("I", "W"), stride=2, padding=1, conjugate=True))
    code = equivalent_calls(drawn.convention, image.shape, filters.shape, dtype="complex128")["jax"]
    assert np.array_equal(run(code, drawn), expected(drawn))
