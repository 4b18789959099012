"""How each case of a shard went, in few words: what its report needs so that it can be merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from convcheck.checks.verify.examination import Examined, Finding
from convcheck.checks.verify.tally import Seen
from convcheck.worker import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from convcheck.campaign import Case
    from convcheck.checks.verify.learning import Probe

Said = TypeVar("Said", str, tuple[str, str])


@dataclass(frozen=True)
class Entry:
    """One case of which there is more to say than that it passes.

    ``instead`` is the number of the case whose place it takes. ``restart`` are the seconds that a
    new start took before it.
    """

    number: int
    kind: str | None = None
    detail: str | None = None
    skipped: str | None = None
    note: str | None = None
    overflow: tuple[str, str] | None = None
    died: bool = False
    restart: float = 0.0
    instead: int | None = None

    def seen(self, case: Case) -> Seen:
        """How the case went, without its arrays."""
        finding = None
        if self.kind is not None:
            finding = Finding(self.kind, self.detail or "", case)
        outcome = Outcome(self.kind if self.kind in ("crash", "hang") else "ok", died=self.died)
        examined = Examined(finding, self.skipped, self.note, outcome, self.overflow)
        return Seen(case, examined, 0.0)


@dataclass
class Record:
    """The cases of a campaign in their order: ``count`` of those that were asked for.

    A note, or which way integers overflow, is kept where it is new.
    """

    learnt: Probe | None = None
    count: int = 0
    entries: list[Entry] = field(default_factory=list)
    _said: set[str | tuple[str, str]] = field(default_factory=set)
    _lost: bool = False

    def kept(self, cases: Iterable[Seen]) -> Iterator[Seen]:
        """The cases that were asked for, each kept as it comes by."""
        for seen in cases:
            self.count += 1
            self.add(seen)
            yield seen

    def add(self, seen: Seen, instead: int | None = None) -> None:
        """Keep a case, if there is anything to say of it."""
        examined = seen.examined
        finding, outcome = examined.finding, examined.outcome
        restart, self._lost = seen.seconds if self._lost else 0.0, bool(outcome and outcome.died)
        entry = Entry(
            number=seen.case.number,
            kind=None if finding is None else finding.kind,
            detail=None if finding is None else finding.detail,
            skipped=examined.skipped,
            note=self._new(examined.note),
            overflow=self._new(examined.overflow),
            died=self._lost,
            restart=round(restart, 3),
            instead=instead,
        )
        if entry != Entry(seen.case.number):
            self.entries.append(entry)

    def _new(self, said: Said | None) -> Said | None:
        if said is None or said in self._said:
            return None
        self._said.add(said)
        return said
