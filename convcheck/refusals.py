"""Whether what a target raises refuses the call, or is a crash of its own."""

from __future__ import annotations

import linecache
import re
from typing import TYPE_CHECKING

from convcheck import call_text, layers, target

if TYPE_CHECKING:
    from collections.abc import Collection

UNSUPPORTED = (
    "not implemented",
    "unsupported",
    "not supported",
    "not available for",
    "not_implemented",
    "no kernel",
    "type 'tensor(",
    "expected scalar type",
    "buffer source array is read-only",
    "buffer dtype mismatch",
    "unexpected input data type",
    "incompatible function arguments",
    "no matching signature",
    "only support",
    "must be one of",
    "list of allowed values",
    "incompatible type",
    "does not match type",
    "not yet support",
    "unimplemented",
)
"""What libraries say of a parameter, a dtype or an array that they do not take."""
DTYPES = ("dtype", "casting")
"""What a TypeError is about that refuses arrays."""
NONSENSE = re.compile(
    r"not supported between instances|unsupported operand|unsupported format"
    r"|object is not (callable|iterable|subscriptable)"
)
"""Python's own words for code that makes no sense: no refusal, whatever else they contain."""
MISCALL = re.compile(
    r"unexpected keyword argument|missing \d+ required|takes .{1,60} positional argument"
)
"""Likewise for a call whose arguments are not those of the function."""

LIMITS = re.compile(r"\bonly\b|\bmust (be|have)\b|\brequires?\b", re.IGNORECASE)
"""What code says of its arguments that it does not take."""


def refuses(error: BaseException, text: str, passed: Collection[str]) -> bool:
    """Whether an error, whose words are ``text``, refuses what the target was called with.

    ``passed`` are the parameters that it was called with.
    """
    if isinstance(error, NotImplementedError):
        return True
    # No callable may end its caller, and a program that a signal ended did not choose to:
    # what they say besides is no reason.
    if isinstance(error, SystemExit) or re.match(r"ended with SIG", text):
        return False
    if isinstance(error, TypeError) and _at_the_call(error):
        return re.search(r"unsupported operand|between instances", text) is None
    if isinstance(error, TypeError) and MISCALL.search(text):
        return _of_the_target(text, passed)
    if NONSENSE.search(text):
        return False
    if isinstance(error, (ValueError, TypeError, AssertionError)) and _said_no(error, text):
        return True
    words = [*UNSUPPORTED, *(DTYPES if isinstance(error, TypeError) else ())]
    return (
        any(word in text.lower() for word in words)
        or re.search(r"\bonly\b.{1,60}\bsupported\b", text) is not None
        or re.match(r"ended with \d+: ([\w.]+\.)?NotImplementedError\b", text) is not None
    )


def _said_no(error: BaseException, text: str) -> bool:
    """Whether a line of the target's own says what it takes: it has looked at its arguments."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or LIMITS.search(text) is None:
        return False
    line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
    return line.lstrip().startswith(("raise ", "assert "))


def _at_the_call(error: TypeError) -> bool:
    """Whether the callable was not entered, or is no Python: no frame is the target's own."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    callers = (target.__name__, call_text.__name__, layers.__name__)
    return trace is not None and trace.tb_frame.f_globals.get("__name__") in callers


def _of_the_target(text: str, passed: Collection[str]) -> bool:
    """Whether a miscall is convcheck's: what wraps a callable is entered, so only names tell."""
    named = set(re.findall(r"'(\w+)'", text))
    wanted = set(passed) if "unexpected" in text else set(target.PARAMETERS) - set(passed)
    return bool(named & wanted)
