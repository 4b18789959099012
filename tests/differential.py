"""What ``identify`` answered in 0.1.0 for some 2000 outputs, against what it answers now.

The outputs are drawn anew from kind and seed (:mod:`outputs`); ``frozen_answers.json`` has for each
the verdict of 0.1.0, whether that was the truth, and its first candidate where that is another
operation than the truth. Where 0.1.0 was right, its verdict and the class of its first candidate
are to stay; elsewhere the truth counts. Two conventions are of one class if they do the same to
other numbers of the same shapes, whatever their keys are.

    python tests/differential.py [N] [--kind WORDS] [--workers W]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from outputs import Made, draw, missing
from same_operation import alike, departures, right

import convcheck
from convcheck.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from plain_convolution import Array, Truth

FROZEN = Path(__file__).with_name("frozen_answers.json")
KEPT = 0.995
"""Of the answers that were right, the part that has to be right still."""


class Frozen(NamedTuple):
    """What 0.1.0 said of one output."""

    kind: str
    seed: int
    fingerprint: str
    verdict: str
    right: bool
    candidate: Truth | None
    """The first candidate where it is another operation than the truth."""


class Outcome(NamedTuple):
    """What became of one answer.

    ``same`` and ``changed`` are right as before, ``lost`` no longer, ``gained`` for the first time,
    ``open`` are wrong as before and say so, ``false`` are wrong as before and claim to explain.
    """

    status: str
    name: str
    was: str
    now: str
    seconds: float


def frozen(kind: str = "") -> list[Frozen]:
    """All frozen answers whose kind has these words in it."""
    table = json.loads(FROZEN.read_text())
    return [
        Frozen(name, seed, *entry[:3], entry[3] if len(entry) > 3 else None)
        for name, entries in table.items()
        if kind in name
        for seed, entry in enumerate(entries)
    ]


def spread(answers: list[Frozen], count: int | None) -> list[Frozen]:
    """So many of them, evenly out of all."""
    if count is None or count >= len(answers):
        return answers
    return [answers[i * len(answers) // count] for i in range(count)]


def fingerprint(made: Made) -> str:
    """Of what was drawn, but for the digits of real numbers, which may depend on the machine."""
    shapes = [(a.shape, a.dtype.str) for a in (made.image, made.filters, made.output)]
    truth = {k: v for k, v in made.truth.items() if k not in ("scale", "bias")}
    words = json.dumps([shapes, truth], sort_keys=True)
    return f"{zlib.crc32(words.encode()):08x}"


def engine(image: Array, filters: Array, convention: Truth) -> Array:
    """convcheck's own result of a convention's keys."""
    return convcheck.convolve(image, filters, convcheck.Convention.from_dict(convention))


def answer(made: Made) -> tuple[str, list[Any]]:
    """The verdict and the candidates of today; of an error that no user should see, what it is."""
    try:
        found = convcheck.identify(made.image, made.filters, made.output)
    except InputError:
        return "refused", []
    except Exception as error:  # noqa: BLE001 — one of them must not end a campaign
        return f"error: {error!r}", []
    return found.verdict, list(found.candidates)


def outcome(was: Frozen) -> Outcome:
    """What became of one frozen answer."""
    made = draw(was.kind, was.seed)
    name = f"{was.kind} {was.seed}"
    if fingerprint(made) != was.fingerprint:
        raise AssertionError(f"{name} is another output than the one whose answer was frozen")
    begun = time.perf_counter()
    verdict, answers = answer(made)
    seconds = time.perf_counter() - begun
    candidates = [c.convention.to_dict() for c in answers]
    now = right(made, verdict, candidates, engine)
    if now and was.right:
        first = was.candidate or made.truth
        same = verdict == was.verdict and alike(made, candidates[0], first, engine)
        status = "same" if same else "changed"
    elif now or was.right:
        status = "gained" if now else "lost"
    else:
        status = "false" if verdict in ("identified", "ambiguous") else "open"
    said = verdict if now or not candidates else f"{verdict}: {departures(candidates[0])}"
    return Outcome(status, name, was.verdict, said, seconds)


def outcomes(answers: Iterable[Frozen], workers: int = 1) -> Iterator[Outcome]:
    """What became of each, those of libraries that are not there left out."""
    there = [a for a in answers if missing(a.kind) is None]
    if workers == 1:
        yield from map(outcome, there)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(outcome, there)


def main(arguments: list[str]) -> int:
    """Compare, and print what was gained, lost and changed."""
    parser = argparse.ArgumentParser(description="Today's answers against those of 0.1.0.")
    parser.add_argument("count", nargs="?", type=int, help="so many, evenly out of all")
    parser.add_argument("--kind", default="", help="only kinds that have these words in their name")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    answers = spread(frozen(given.kind), given.count)
    absent = Counter(filter(None, (missing(a.kind) for a in answers)))
    for library, number in absent.items():
        print(f"{number} skipped: {library} is not installed")
    begun, counts, longest = time.perf_counter(), Counter(), 0.0
    for result in outcomes(answers, given.workers):
        counts[result.status] += 1
        longest = max(longest, result.seconds)
        if result.status not in ("same", "open") or result.now.startswith("error"):
            print(f"{result.status:8} {result.name}: was {result.was}, is {result.now}", flush=True)
    print(
        f"{counts.total()} outputs in {time.perf_counter() - begun:.0f} s, longest {longest:.1f} s"
    )
    for status in ("same", "changed", "gained", "lost", "open", "false"):
        print(f"  {status:8} {counts[status]}")
    were_right = counts["same"] + counts["changed"] + counts["lost"]
    kept = 1 - counts["lost"] / max(were_right, 1)
    print(
        f"  {kept:.2%} of the {were_right} that were right still are; at least {KEPT:.1%} are to be"
    )
    return int(kept < KEPT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
