"""Functions put to the cases of ``convcheck.verify``, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.campaign import cases
from convcheck.checks.verify import claim, put_to_test
from convcheck.serving import Inline
from convcheck.target import adapted, parameters_of

if TYPE_CHECKING:
    from convcheck.checks.verify import VerifyResult

COUNT = 100


def put(function: Any, count: int = COUNT, expect: str | None = None, **more: Any) -> VerifyResult:
    """As convcheck.verify, without the search for what it does: that may take seconds."""
    runner = Inline(adapted(function, "f"), parameters_of(function))
    more = {"patience": 0.0, "budget": 0.5, "target": "f", **more}
    wanted = None if expect is None else claim(expect)
    return put_to_test(runner, cases(0, count), expect=wanted, **more)
