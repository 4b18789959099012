"""What ``model`` found: one row a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convcheck.errors import ExitCode

if TYPE_CHECKING:
    from convcheck.comparison import Comparison
    from convcheck.convention import Convention


@dataclass(frozen=True)
class Cause:
    """Why a layer departs: the key that differs, in words, and what mends it."""

    key: str
    words: str
    fix: str | None = None


@dataclass(frozen=True)
class Unseen:
    """A mistake that a layer's input could not have shown, by the key of a convention, and why.

    ``any_input`` says that no other input could, as of a symmetric kernel that is reversed.
    """

    key: str
    words: str
    any_input: bool = False


@dataclass(frozen=True)
class Row:
    """A layer and how it fares: ``holds``, ``departs`` or ``unpaired``.

    ``convention`` is what it was judged under, in ``words`` too: its own; of a pair A's, in the
    layouts and precision of B; B's where that does the same in fewer bits. ``comparison`` is None
    where the output does not have its shape. ``partner`` is the layer of the other model. ``drift``
    is how far its output is from the other model's, relative to that one's root mean square.
    ``causes`` of a layer that holds are what the records say otherwise and this input cannot tell;
    ``unseen`` are mistakes that it could not have shown.
    """

    name: str
    kind: str
    verdict: str
    convention: Convention | None
    words: str
    comparison: Comparison | None
    seconds: float
    partner: str | None = None
    causes: tuple[Cause, ...] = ()
    paired_by: str | None = None
    drift: float | None = None
    unseen: tuple[Unseen, ...] = ()

    @property
    def bits(self) -> float | None:
        """The agreement of the output with its sums, 0 to 53; None where that says nothing.

        Which is so of a layer that departs, and of integers: they are right or not.
        """
        if self.verdict != "holds" or self.comparison is None or self.convention is None:
            return None
        storage = self.convention.storage
        whole = self.convention.arithmetic == "exact" or (storage and storage.is_integer)
        return None if whole else self.comparison.agreement_bits


@dataclass(frozen=True)
class ModelResult:
    """All layers in the order in which they ran, and the kinds that are not judged."""

    rows: tuple[Row, ...]
    others: Mapping[str, int]
    models: tuple[str, ...]
    strict: bool = False

    @property
    def departing(self) -> tuple[Row, ...]:
        """The layers that do not hold."""
        return tuple(row for row in self.rows if row.verdict != "holds")

    @property
    def untold(self) -> tuple[Row, ...]:
        """The layers that hold on this input, though the two records differ."""
        return tuple(row for row in self.rows if row.verdict == "holds" and row.causes)

    @property
    def blind(self) -> tuple[Row, ...]:
        """The layers that hold, of which another input could have shown more."""
        return tuple(
            row
            for row in self.rows
            if row.verdict == "holds" and any(not one.any_input for one in row.unseen)
        )

    @property
    def verdict(self) -> str:
        """``holds`` or ``departs``."""
        return "departs" if self.departing else "holds"

    @property
    def exit_code(self) -> ExitCode:
        """0 where every layer holds; with ``strict`` also only where nothing is left open."""
        failed = bool(self.departing) or (
            self.strict and bool(self.others or self.untold or self.blind)
        )
        return ExitCode.FAILED if failed else ExitCode.OK

    def to_dict(self) -> dict[str, Any]:
        """The rows with JSON's own types."""
        return {
            "models": list(self.models),
            "strict": self.strict,
            "layers": [_row(row) for row in self.rows],
            "not_judged": dict(self.others),
        }


def _row(row: Row) -> dict[str, Any]:
    c = row.comparison
    return {
        "name": row.name,
        "kind": row.kind,
        "verdict": row.verdict,
        "convention": row.words,
        "mismatched": None if c is None else c.mismatched,
        "total": None if c is None else c.total,
        "agreement_bits": None if row.bits is None else round(row.bits, 3),
        "seconds": round(row.seconds, 4),
        "partner": row.partner,
        "paired_by": row.paired_by,
        "drift": row.drift,
        "causes": [cause.__dict__ for cause in row.causes],
        "unseen": [one.__dict__ for one in row.unseen],
    }
