"""How a result was come by: what --verbose says, on stderr."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import numpy as np

from convcheck._version import __version__
from convcheck.render import audit_table, identify_words, inspect_table, verify_words, words

if TYPE_CHECKING:
    from convcheck.render.report import Report

_MORE = {
    "identify": identify_words.how,
    "audit": audit_table.how,
    "verify": verify_words.how,
    "inspect": inspect_table.how,
}


def how(report: Report) -> list[str]:
    """Versions, arithmetic, method, time."""
    if report.command not in _MORE:
        return words.how(report)
    versions = (
        f"convcheck {__version__}, numpy {np.__version__}, Python {platform.python_version()}"
    )
    return [versions, *_MORE[report.command](report)]
