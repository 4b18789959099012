"""What every format is made from: one frozen result and where its operands came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convcheck.convention.record import SCHEMA

if TYPE_CHECKING:
    from convcheck.checks.cell import Cell
    from convcheck.checks.compare import CompareResult
    from convcheck.checks.explain import Explanation, Impulse
    from convcheck.checks.picture import DifferenceMap
    from convcheck.convention import Axis
    from convcheck.errors import ExitCode
    from convcheck.tensors import Tensor
    from convcheck.workload import Workload

SCHEMA_VERSION = SCHEMA
OTHERS = ("identify", "audit", "verify", "inspect", "diff", "model")
"""The commands whose report is no diff table: each has a NAME_table and a NAME_json."""


@dataclass(frozen=True)
class Operand:
    """An array that was given: where it came from, its shape and its dtype as stored."""

    path: str
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, tensor: Tensor) -> Operand:
        """The operand that a loaded array is."""
        return cls(tensor.path, tensor.array.shape, str(tensor.array.dtype))


@dataclass(frozen=True)
class Trials:
    """How the independent cases of ``random --trials`` ended."""

    count: int
    verdicts: dict[str, int]
    """How many cases ended in each verdict."""
    first_failure: str | None
    """The command that replays the first failing case."""
    saved: str | None
    cases: tuple[tuple[str, CompareResult], ...] = ()
    """Every case: the command that replays it alone, and how it ended."""


NOTHING = Operand("", (), "")
"""The image and the filters of a command that is given none."""


@dataclass(frozen=True)
class Campaign:
    """Which cases ``verify`` was asked for; what it found is in its result."""

    cases: int
    shard: tuple[int, int] = (1, 1)
    expect: dict[str, Any] | None = None
    only: str | None = None
    """The id of the one case that was replayed."""
    again: str = ""
    """The command that runs the same cases."""
    asked: int = 0
    """How many all shards have."""
    fail_fast: bool = False
    workload: Workload | None = None
    """The list of problems that the cases are."""


@dataclass(frozen=True)
class Report:
    """One run of a command, ready for any format."""

    command: str
    image: Operand
    filters: Operand
    result: Any
    exit_code: ExitCode
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    """What the check took; no part of a report that is compared with another one."""
    seed: int | None = None
    replay: str | None = None
    """The command that makes this report again."""
    trials: Trials | None = None
    output: Operand | None = None
    """``identify`` only: the array that is to be explained."""
    ref: Operand | None = None
    """``diff`` only: the array that is right."""
    mine: Operand | None = None
    """``diff`` only: the array that is in question."""
    saved: str | None = None
    """The folder where ``audit --fix`` or ``verify`` has written a case."""
    campaign: Campaign | None = None
    """``verify`` only."""
    explanation: Explanation | None = None
    """``--explain``: one output cell worked out."""
    impulse: Impulse | None = None
    """``--impulse``: what comes out of a single 1."""
    picture: DifferenceMap | None = None
    """``--picture``: where the difference lies."""
    cell: Cell | None = None
    """``identify --explain``: one element of OUT worked out."""
    windows: tuple[Axis, ...] | None = None
    """``identify --explain`` or ``--picture``: how the windows lie, where that is not plain."""

    @property
    def verdict(self) -> str:
        """The result's, or that it is not what ``--expect`` or ``--bn`` said of identify's."""
        claimed = self.command != "identify" or self.result.as_claimed
        return str(self.result.verdict) if claimed else "not-as-expected"

    @property
    def operands(self) -> dict[str, Operand]:
        """The arrays that were given, by the names that the command line gives them."""
        named = {"REF": self.ref, "MINE": self.mine}
        if self.ref is None or self.image is not NOTHING:
            named |= {"IMG": self.image, "W": self.filters, "OUT": self.output}
        return {name: operand for name, operand in named.items() if operand is not None}


@dataclass(frozen=True)
class Style:
    """How a report is to look; ``width`` is None where no terminal sets one."""

    width: int | None = None
    color: bool = False
    unicode: bool = True
    quiet: bool = False
