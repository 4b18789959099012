"""What diff found, frozen: one result feeds every format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convcheck.checks.diff.words import sentences
from convcheck.errors import ExitCode

if TYPE_CHECKING:
    from convcheck.checks.diff.pair import Spread
    from convcheck.checks.diff.region import Region
    from convcheck.checks.identify import IdentifyResult
    from convcheck.words.differs import Difference

VERDICTS = ("equal", "rounding", "explained", "near-match", "ambiguous", "unexplained")


@dataclass(frozen=True)
class Relation:
    """One explanation: ``made`` (MINE or REF) is the other one after ``steps``, in this order.

    It holds for ``given`` of the ``elements`` of MINE that REF has one for; ``outside`` are those
    for which it has none. ``ulps`` is the largest rounding error of those that are given, in units
    in the last place of ``format``, at the size of the numbers around: 0 where all are given to the
    last digit, ``rounded`` counts the others. ``code`` is a line that says it, of the arrays
    ``ref`` and ``mine``; ``fix`` the expression that makes REF's numbers of ``mine``, where there
    is one. ``wrong`` is where the elements lie that are not given. ``cost`` and ``literal`` are
    bits: of the explanation, and of the elements as they are.
    """

    made: str
    steps: tuple[str, ...]
    code: str
    fix: str | None
    elements: int
    given: int
    outside: int
    ulps: float
    rounded: int
    format: str
    wrong: Region | None
    cost: float
    literal: float

    def to_dict(self) -> dict[str, Any]:
        """With JSON's own types."""
        wrong = self.wrong
        return {
            "made": self.made,
            "steps": list(self.steps),
            "code": self.code,
            "fix": self.fix,
            "elements": self.elements,
            "given": self.given,
            "outside": self.outside,
            "ulps": round(self.ulps, 3),
            "rounded": self.rounded,
            "format": self.format,
            "wrong": None
            if wrong is None
            else {
                "kind": wrong.kind,
                "index": wrong.index,
                "in_words": wrong.words,
                "count": wrong.count,
                "value": None if wrong.value is None else _number(wrong.value),
            },
            "cost_bits": round(self.cost, 3),
            "literal_bits": round(self.literal, 3),
        }


@dataclass(frozen=True)
class Side:
    """What identify says of one of the two, where IMG and W were given."""

    result: IdentifyResult
    in_words: str


@dataclass(frozen=True)
class DiffResult:
    """How MINE relates to REF.

    ``relations`` are the explanations, the cheapest first: one, or several where the data cannot
    tell. ``spread`` is the distribution of the difference between MINE and REF as they are, None
    where their shapes differ; ``agreement_bits`` are the bits that all elements have in common.
    ``unseen`` are the mistakes that REF's own numbers would not show. ``reference`` and ``mine``
    are identify's answers, ``differences`` what differs between their conventions.
    """

    verdict: str
    relations: tuple[Relation, ...]
    spread: Spread | None
    agreement_bits: float | None
    unseen: tuple[str, ...]
    reasons: tuple[str, ...]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    dtypes: tuple[str, str]
    reference: Side | None = None
    mine: Side | None = None
    differences: tuple[Difference, ...] = ()
    strict: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """0 where MINE is REF, to the last digit or but for rounding."""
        holds = self.verdict in ("equal", "rounding")
        told = not (self.strict and self.unseen)
        return ExitCode.OK if holds and told else ExitCode.FAILED

    def to_dict(self) -> dict[str, Any]:
        """With JSON's own types; NaN and infinities are null."""
        return {
            "verdict": self.verdict,
            "in_words": sentences(self)[0],
            "relations": [r.to_dict() for r in self.relations],
            "distribution": None if self.spread is None else _spread(self.spread),
            "agreement_bits": None
            if self.agreement_bits is None
            else round(self.agreement_bits, 3),
            "unseen": list(self.unseen),
            "reasons": list(self.reasons),
            "reference": _side(self.reference),
            "mine": _side(self.mine),
            "differences": [
                {"key": d.key, "in_words": d.words, "fix": d.fix} for d in self.differences
            ],
            "strict": self.strict,
        }

    def __str__(self) -> str:
        return "\n".join(sentences(self))


def _side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    result = side.result
    first = result.candidates[0].convention.to_dict() if result.candidates else None
    return {"verdict": result.verdict, "in_words": side.in_words, "convention": first}


def _spread(spread: Spread) -> dict[str, Any]:
    def three(values: tuple[float, float, float] | None) -> dict[str, Any] | None:
        names = ("median", "p99", "max")
        return None if values is None else dict(zip(names, map(_number, values), strict=True))

    values = spread.values
    return {
        "elements": spread.elements,
        "equal": spread.equal,
        "absolute": three(spread.absolute),
        "relative": three(spread.relative),
        "ulp": three(spread.ulp),
        "format": spread.format,
        "worst_index": None if spread.worst is None else list(spread.worst),
        "ref": None if values is None else _number(values[0]),
        "mine": None if values is None else _number(values[1]),
        "correlation": None if spread.correlation is None else round(spread.correlation, 9),
        "nonfinite": {"ref": spread.nonfinite[0], "mine": spread.nonfinite[1]},
        "clash": spread.clash,
    }


def _number(value: Any) -> Any:
    if isinstance(value, complex):
        return {"real": _number(value.real), "imag": _number(value.imag)}
    return value if abs(value) < float("inf") else None
