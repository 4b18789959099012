"""How a result was come by: what --verbose says, on stderr."""

from __future__ import annotations

import platform
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from convcheck._version import __version__
from convcheck.render import words

if TYPE_CHECKING:
    from convcheck.render.report import Report

_MORE = {
    "identify": "identify_words",
    "audit": "audit_table",
    "verify": "verify_words",
    "inspect": "inspect_table",
    "diff": "diff_table",
    "model": "model_table",
}
"""The modules that say more of their command than versions."""


def how(report: Report) -> list[str]:
    """Versions, arithmetic, method, time."""
    if report.command not in _MORE:
        return words.how(report)
    versions = (
        f"convcheck {__version__}, numpy {np.__version__}, Python {platform.python_version()}"
    )
    more = import_module(f"convcheck.render.{_MORE[report.command]}")
    return [versions, *more.how(report)]
