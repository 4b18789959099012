"""pytest's option that lets ``convcheck.testing`` search on; it imports nothing of convcheck."""

from __future__ import annotations

import os
from typing import Any

DIAGNOSE = "CONVCHECK_DIAGNOSE"
"""What says so in the environment, where tests are not pytest's."""


def pytest_addoption(parser: Any) -> None:
    """Add ``--convcheck-diagnose``."""
    group = parser.getgroup("convcheck")
    group.addoption(
        "--convcheck-diagnose",
        action="store_true",
        help="search every convention for an output that is none of the usual mistakes",
    )


def pytest_configure(config: Any) -> None:
    """Tell ``convcheck.testing``, in this process and in those that it starts."""
    if config.getoption("--convcheck-diagnose", default=False):
        os.environ[DIAGNOSE] = "1"
