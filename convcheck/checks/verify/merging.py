"""The reports of a campaign's shards made into that of the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from convcheck._version import __version__
from convcheck.campaign import case as drawn_case
from convcheck.checks.verify.conclusion import VerifyResult, Why, result
from convcheck.checks.verify.examination import Examined
from convcheck.checks.verify.explaining import KEPT as EVIDENCE
from convcheck.checks.verify.explaining import PATIENCE
from convcheck.checks.verify.record import Entry
from convcheck.checks.verify.stored import entries_of, learnt_of
from convcheck.checks.verify.tally import Seen, Tally
from convcheck.convention.record import SCHEMA
from convcheck.errors import ConvcheckError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from convcheck.campaign import Case
    from convcheck.checks.verify.conclusion import Nearest
    from convcheck.checks.verify.learning import Probe
    from convcheck.checks.verify.model import Model, Runner
    from convcheck.workload import Workload

MOST = 20
"""Shards that are missing, of which so many are named."""


@dataclass(frozen=True)
class Shard:
    """What is read of one report: which cases it is of, and how they went."""

    name: str
    """The file."""
    part: int
    of: int
    same: Mapping[str, Any]
    """What all shards of a campaign have alike, by what an error calls it."""
    command: str
    """The command that the target is put to the test by, without its cases."""
    seed: int
    workload: str | None
    """The file of the problems that the cases are."""
    digest: str | None
    asked: int
    fail_fast: bool
    target: str
    learnt: Probe
    nearest: Nearest | None
    count: int
    entries: tuple[Entry, ...]
    elapsed: float


def shard(name: str, document: Any) -> Shard:
    """One report.

    Raises:
        InputError: a JSON document that is no report of a whole shard.
    """
    head = document if isinstance(document, dict) else {}
    if head.get("command") != "verify" or head.get("schema_version") != SCHEMA:
        found = {key: head[key] for key in ("command", "schema_version") if key in head}
        raise InputError(
            f"{name} is no report that can be merged",
            got=f"JSON with {_said(found)}" if found else "JSON of something else",
            expected=f'JSON of convcheck verify, "command": "verify", "schema_version": {SCHEMA}',
            hint="write each part with convcheck verify TARGET --shard I/N -o FILE.json",
        )
    if "merge" not in head:
        raise InputError(
            f"{name} is the report of all cases, not of a shard",
            got=f"a report of {head.get('cases')} cases without the key 'merge'",
            expected="reports of convcheck verify --shard I/N, for I from 1 to N",
            hint="it is whole as it is; merge those of --shard alone",
        )
    part, of = _numbers(name, head)
    if head.get("interrupted"):
        raise InputError(
            f"{name} is partial: shard {part}/{of} was interrupted",
            expected="the reports of shards that ran to their end",
            hint=f"run that shard again: --shard {part}/{of}",
        )
    try:
        stored = head["merge"]
        learnt, nearest = learnt_of(stored)
        return Shard(
            name=name,
            part=part,
            of=of,
            same={
                "version of convcheck": stored["version"],
                "target": head["target"],
                "command": stored["command"],
                "seed": head["seed"],
                "number of cases": stored["asked"],
                "number of shards": of,
                "--fail-fast": stored["fail_fast"],
                "--workload": (head.get("workload"), stored["workload"]),
                "convention that was learnt": (head["in_words"], learnt, nearest),
            },
            command=str(stored["command"]),
            seed=int(head["seed"]),
            workload=head.get("workload"),
            digest=stored["workload"],
            asked=int(stored["asked"]),
            fail_fast=bool(stored["fail_fast"]),
            target=str(head["target"]),
            learnt=learnt,
            nearest=nearest,
            count=int(stored["count"]),
            entries=tuple(entries_of(stored)),
            elapsed=float(head["elapsed_s"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ConvcheckError) as error:
        what = error.what if isinstance(error, ConvcheckError) else repr(error)
        raise _damaged(name, what) from None


def _damaged(name: str, got: str) -> InputError:
    return InputError(
        f"{name} cannot be read as the report of a shard",
        got=got,
        expected=f"the JSON of convcheck {__version__}, as verify --shard I/N writes it",
        hint="run that shard again with this version, and leave the file as it is",
    )


def _numbers(name: str, head: Mapping[str, Any]) -> tuple[int, int]:
    said = head.get("shard")
    part, of = (said.get("part"), said.get("of")) if isinstance(said, dict) else (0, 0)
    if not (isinstance(part, int) and isinstance(of, int) and 1 <= part <= of):
        raise _damaged(name, f"shard {said}")
    return part, of


def complete(shards: Sequence[Shard]) -> list[Shard]:
    """The shards in their order, if they are those of one campaign, each of them once.

    Raises:
        InputError: shards of different campaigns, one that is missing or there twice.
    """
    first = shards[0]
    for other in shards[1:]:
        for what, value in other.same.items():
            if value != first.same[what]:
                raise InputError(
                    f"{other.name} is of another campaign than {first.name}: another {what}",
                    got=_said_of(value),
                    expected=f"{_said_of(first.same[what])}, as in {first.name}",
                    hint="merge the shards of one campaign, that one version has run",
                )
    known: dict[int, Shard] = {}
    for one in shards:
        if one.part in known:
            raise InputError(
                f"shard {one.part}/{one.of} is there twice",
                got=f"{known[one.part].name} and {one.name}",
                expected=f"each of {one.of} shards once",
                hint="leave one of them out",
            )
        known[one.part] = one
    missing = [part for part in range(1, first.of + 1) if part not in known][:MOST]
    if missing:
        alone = len(missing) == 1
        raise InputError(
            f"{'a shard is' if alone else 'shards are'} missing: "
            + ", ".join(f"{part}/{first.of}" for part in missing),
            got=", ".join(f"{part}/{first.of} in {known[part].name}" for part in sorted(known)),
            expected=f"each of {first.of} shards once",
            hint=f"run {'it' if alone else 'them'}: {first.command} --seed {first.seed} "
            f"--cases {first.asked} --shard {missing[0]}/{first.of} -o FILE.json",
        )
    return [known[part] for part in sorted(known)]


def _said_of(value: Any) -> str:
    return str(value[0] if isinstance(value, tuple) else value)


def _said(mapping: Mapping[str, Any]) -> str:
    return ", ".join(f'"{key}": {value!r}' for key, value in mapping.items())


class Merged:
    """The campaign that shards are the parts of, as far as the cases that ran say it."""

    def __init__(self, shards: Sequence[Shard], workload: Workload | None = None) -> None:
        """Count the cases of :func:`complete` shards, in the order of the whole."""
        self.shards = shards
        self._draw = drawn_case if workload is None else workload.case
        self.campaign = Tally()
        first = shards[0]
        self.learnt, self.model = first.learnt, first.learnt.model
        self._wrong: list[Case] = []
        if self.model is not None:
            self._count(self.model)
            self.campaign.add(self.learnt.findings)

    @property
    def failed(self) -> bool:
        """Whether there is anything to explain."""
        return bool(self.campaign.failed_count)

    def result(self, runner: Runner | None, *, patience: float = PATIENCE) -> VerifyResult:
        """What the campaign says; why it fails in full where ``runner`` calls the target."""
        why, model = Why(), self.model
        if model is not None:
            if runner is not None and self.failed:
                self.campaign.evidence += self._evidence(runner, model)
            why.look(runner, model, self.campaign, patience=patience)
        elapsed = sum(one.elapsed for one in self.shards)
        made = result(self.shards[0].target, self.learnt, self.campaign, why, elapsed=elapsed)
        return replace(made, nearest=self.shards[0].nearest)

    def _evidence(self, runner: Runner, model: Model) -> Iterator[tuple[Case, Any]]:
        """The wrong outputs, which the reports have not: the target is called again for them."""
        for case in self._wrong:
            output = runner.run(model.request(case)).output
            if output is not None:
                yield case, output

    def _count(self, model: Model) -> None:
        first, of = self.shards[0], len(self.shards)
        own = {e.number: e for s in self.shards for e in s.entries if e.instead is None}
        for number in range(first.asked):
            one = self.shards[number % of]
            if number // of >= one.count:
                raise _damaged(one.name, f"the results of {one.count} cases")
            if self._take(model, own.get(number, Entry(number))):
                return
        if not self.campaign.mostly_ran:
            return
        others = {e.instead: e for s in self.shards for e in s.entries if e.instead is not None}
        for number in tuple(self.campaign.refused):
            if number in others and self._take(model, others[number]):
                return

    def _take(self, model: Model, entry: Entry) -> bool:
        """Count a case, and say whether the campaign ends with it."""
        first = self.shards[0]
        case = model.project(self._draw(first.seed, entry.number))
        seen = entry.seen(case) if entry != Entry(entry.number) else Seen(case, Examined(), 0.0)
        self.campaign.starting += entry.restart
        self.campaign.take([seen], fail_fast=first.fail_fast)
        if entry.kind in ("wrong values", "wrong shape") and len(self._wrong) < EVIDENCE:
            self._wrong.append(case)
        return self.campaign.ending(fail_fast=first.fail_fast) is not None
