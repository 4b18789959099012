"""What all tests share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def drawn_anew(request: pytest.FixtureRequest) -> None:
    """Whatever ran before, a test draws the same numbers: its module's RNG begins at DRAWN_FROM."""
    seed = getattr(request.module, "DRAWN_FROM", None)
    if seed is not None:
        request.module.RNG.bit_generator.state = np.random.default_rng(seed).bit_generator.state
