"""The smallest failing case of ``verify``, written to a folder."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from convcheck.cli.base import make_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.campaign import Case
    from convcheck.checks.verify import VerifyResult


def save_smallest(
    folder: str | None, result: VerifyResult, again: Sequence[str]
) -> tuple[str | None, tuple[str, ...]]:
    """Write the smallest failing case; only where --save names the folder must that succeed."""
    smallest = result.smallest
    if smallest is None:
        return None, ()
    from pathlib import Path

    from convcheck.errors import OutputError
    from convcheck.writing import save

    place = folder or _folder(smallest.finding.case, again)
    named = {
        "image": smallest.image,
        "filters": smallest.filters,
        "actual": smallest.actual,
        "expected": smallest.expected,
    }
    try:
        make_folder("--save", place)
        for name, array in named.items():
            if array is not None:
                save(Path(place, f"{name}.npy"), array)
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
