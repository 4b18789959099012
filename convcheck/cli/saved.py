"""The smallest failing case of ``verify``, written to a folder."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.campaign import Case
    from convcheck.checks.verify import VerifyResult


def check_failed(folder: str) -> None:
    """Raise before any work where --save names a folder that could not be written."""
    from convcheck.case_folder import FAILED, check_case

    check_case("--save", folder, FAILED)


def save_smallest(
    folder: str | None, result: VerifyResult, again: Sequence[str]
) -> tuple[str | None, tuple[str, ...]]:
    """Write the smallest failing case; only where --save names the folder must that succeed."""
    smallest = result.smallest
    if smallest is None:
        return None, ()
    from convcheck.case_folder import FAILED, save_case
    from convcheck.errors import OutputError

    place = folder or _folder(smallest.finding.case, again)
    given = smallest.image, smallest.filters, smallest.upstream
    arrays = *given, smallest.actual, smallest.expected
    try:
        save_case("--save", place, dict(zip(FAILED, arrays, strict=True)))
    except OutputError as error:
        if folder is not None:
            raise
        return None, (f"the failing case was not saved: {error.what}",)
    return place, ()


def _folder(case: Case, again: Sequence[str]) -> str:
    """A short name, always the same for a case of a target, and another for every other."""
    from hashlib import sha256

    digest = sha256(shlex.join([*again, "--replay", case.id]).encode()).hexdigest()
    return f"convcheck-case-{case.seed}-{case.number}-{digest[:8]}"
