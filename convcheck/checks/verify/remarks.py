"""What is worth knowing of a campaign as a whole, beside its findings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convcheck.checks.verify.model import Model
    from convcheck.checks.verify.tally import Tally

FEW = 10
"""One in so many cases must have run, or it is said how few have."""
WANTS_TUPLES = re.compile(
    r"TypeError: .*(non-iterable int|'int' object is not (iterable|subscriptable)"
    r"|'int' has no len\(\))"
)
"""What Python says to code that takes a number for a tuple."""


def remarks(campaign: Tally, model: Model) -> Iterator[str]:
    """Sentences on the campaign, as notes."""
    ran = campaign.passed_count + campaign.failed_count
    total = ran + sum(campaign.skipped.values())
    if 0 < ran * FEW < total:
        most = max(campaign.skipped, key=lambda reason: campaign.skipped[reason])
        more = ", most of them" if len(campaign.skipped) > 1 else ""
        yield f"only {ran} of {total} cases ran; the others were skipped{more}: {most}"
    pairs = [p for p in model.parameters if p != "groups"]
    crashed = campaign.findings and not campaign.passed_count
    if pairs and crashed and all(WANTS_TUPLES.match(f.detail) for f in campaign.findings):
        named = [f"{p}=({p}, {p})" if p in pairs else f"{p}={p}" for p in model.parameters]
        yield (
            "every case crashes over a number where a tuple is wanted: try "
            f"--call 'f(x, w, {', '.join(named)})'"
        )
