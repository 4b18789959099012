"""Says which convolution this is, and proves it.

The command line's checks as functions on arrays. Everything is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convcheck._version import __version__

if TYPE_CHECKING:
    from convcheck import trace
    from convcheck.checks.audit import AuditResult, audit
    from convcheck.checks.compare import CompareResult, compare
    from convcheck.checks.diff import DiffResult, diff
    from convcheck.checks.identify import BatchNorm, IdentifyResult, identify
    from convcheck.checks.verify import VerifyResult, verify
    from convcheck.convention import Convention
    from convcheck.engine import convolve
    from convcheck.errors import (
        ConvcheckError,
        ExitCode,
        InputError,
        MissingExtraError,
        OracleError,
        OutputError,
    )

__all__ = [
    "AuditResult",
    "BatchNorm",
    "CompareResult",
    "ConvcheckError",
    "Convention",
    "DiffResult",
    "ExitCode",
    "IdentifyResult",
    "InputError",
    "MissingExtraError",
    "OracleError",
    "OutputError",
    "VerifyResult",
    "__version__",
    "audit",
    "compare",
    "convolve",
    "diff",
    "identify",
    "trace",
    "verify",
]

_HOMES = {
    "AuditResult": "convcheck.checks.audit",
    "BatchNorm": "convcheck.checks.identify",
    "CompareResult": "convcheck.checks.compare",
    "ConvcheckError": "convcheck.errors",
    "Convention": "convcheck.convention",
    "DiffResult": "convcheck.checks.diff",
    "ExitCode": "convcheck.errors",
    "IdentifyResult": "convcheck.checks.identify",
    "InputError": "convcheck.errors",
    "MissingExtraError": "convcheck.errors",
    "OracleError": "convcheck.errors",
    "OutputError": "convcheck.errors",
    "VerifyResult": "convcheck.checks.verify",
    "audit": "convcheck.checks.audit",
    "compare": "convcheck.checks.compare",
    "convolve": "convcheck.engine",
    "diff": "convcheck.checks.diff",
    "identify": "convcheck.checks.identify",
    "verify": "convcheck.checks.verify",
}


def __getattr__(name: str) -> Any:
    if name == "trace":
        return import_module("convcheck.trace")
    if name not in _HOMES:
        raise AttributeError(f"module 'convcheck' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
