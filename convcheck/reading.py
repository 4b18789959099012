"""Read texts and JSON: lists of problems, reports. Arrays are read by ``tensors``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from convcheck import used
from convcheck.errors import InputError
from convcheck.unreadable import clip, reason, shown

LIMIT = 1 << 30
"""Bytes that are read of a file; what is larger is no such text."""


def read_bytes(operand: str, path: str) -> bytes:
    """What a file holds.

    Raises:
        InputError: a file that cannot be read, or is far too large.
    """
    try:
        with Path(path).open("rb") as file:
            used.read(file.fileno())
            found = file.read(LIMIT + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise InputError(
            f"{operand}: {shown(path)} could not be read",
            got=reason(error),
            expected="a file that may be read",
        ) from None
    if len(found) > LIMIT:
        raise InputError(
            f"{operand}: {shown(path)} is too large",
            got=f"more than {LIMIT:,} bytes",
            expected=f"at most {LIMIT:,} bytes",
        )
    return found


def read_text(operand: str, path: str) -> str:
    """A text in UTF-8.

    Raises:
        InputError: a file that cannot be read, or is no such text.
    """
    found = read_bytes(operand, path)
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{operand}: {shown(path)} is no text",
            got=f"byte {error.start} is {found[error.start : error.start + 1]!r}",
            expected="text in UTF-8",
        ) from None


def read_json(operand: str, path: str) -> Any:
    """A JSON document.

    Raises:
        InputError: a file that cannot be read, or is no JSON.
    """
    text = read_text(operand, path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        begins = f"; it begins with {clip(text[:40])!r}" if text else "; it is empty"
        raise InputError(
            f"{operand}: {shown(path)} is no JSON",
            got=f"{error}{begins}",
            expected="a report that convcheck wrote with --json, or with -o FILE.json",
        ) from None
