"""``convcheck.verify``: an implementation put to the test from Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convcheck.campaign import cases as drawn_cases
from convcheck.campaign import further
from convcheck.checks.verify.claims import claim
from convcheck.checks.verify.model import LAYOUTS, Runner
from convcheck.checks.verify.shards import team
from convcheck.checks.verify.verification import put_to_test
from convcheck.convention import Convention
from convcheck.differentiated import is_backward
from convcheck.errors import InputError
from convcheck.kinds import kind_of
from convcheck.serving import Inline
from convcheck.target import (
    CallableTarget,
    adapted,
    differentiated,
    parameters_of,
    unpassed_of,
)
from convcheck.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from convcheck.checks.verify.conclusion import VerifyResult


def verify(
    target: Callable[..., Any] | str,
    *,
    cases: int = 300,
    seed: int = 0,
    layout: str | None = None,
    expect: str | Mapping[str, Any] | Convention | None = None,
    arrays: str | None = None,
    passes: Sequence[str] | None = None,
    call: str | None = None,
    fail_fast: bool = False,
    timeout: float = 10.0,
    jobs: int = 1,
    dask: str | None = None,
    gradients: bool = False,
) -> VerifyResult:
    """Name the convention that an implementation follows, and where it does not follow it.

    Args:
        target: a callable, which is called in this process, or ``"package.module:callable"``,
            which is called in another one that may crash or hang.
        cases: how many.
        seed: what they are drawn from.
        layout: one of ``LAYOUTS``; found by trying where it is None.
        expect: what it must follow: a slug, JSON, or keys of a convention.
        arrays: ``numpy``, ``torch``, ``jax`` or ``tensorflow``; found out where it is None.
        passes: the parameters to pass, where the signature does not say it.
        call: how to call it, such as ``"f(x, w, strides=stride)"``.
        fail_fast: end at the first failing case.
        timeout: seconds that a case may take, for a target that is named.
        jobs: how many processes put cases to a target that is named. They import the calling
            script: it must keep its own work under ``if __name__ == "__main__"``.
        dask: the address of a dask scheduler, or ``local``, whose workers do so instead.
        gradients: judge its gradients dX, dW and db, not its output; it is differentiated by its
            library, or is a backward pass such as ``backward(dout, x, w)``.

    Raises:
        InputError: a target that cannot be called, or an option that cannot be used.
    """
    if layout is not None and layout not in LAYOUTS:
        raise InputError(f"no layout is named {layout!r}", expected="one of " + ", ".join(LAYOUTS))
    given = None if passes is None else tuple(passes)
    if jobs < 1:
        raise InputError("jobs is no count of processes", got=repr(jobs), expected="1 or more")
    runner: Runner
    named = CallableTarget(str(target), arrays, given, call, gradients)
    if isinstance(target, str):
        name = target
        runner = Worker(named, timeout)
    elif jobs > 1 or dask is not None:
        raise InputError(
            "a callable that is given as an object is called in this process alone",
            hint="name it: 'package.module:callable', which the workers can import",
        )
    else:
        name = getattr(target, "__qualname__", None) or type(target).__name__
        kind = arrays or kind_of(name, target)
        function = (differentiated if gradients else adapted)(target, name, kind, call)
        backward = gradients and is_backward(target, call)
        unpassed = unpassed_of(target) if given is None and call is None else ()
        runner = Inline(
            function, parameters_of(target, given, call), unpassed, kind, backward=backward
        )
    try:
        with team(named, timeout, jobs, dask, str(Path.cwd())) as others:
            return put_to_test(
                runner,
                drawn_cases(seed, cases),
                target=name,
                layout=layout,
                expect=_claim(expect),
                fail_fast=fail_fast,
                team=others,
                more=further(seed, cases),
                gradients=gradients,
            )
    finally:
        runner.close()


def _claim(expect: str | Mapping[str, Any] | Convention | None) -> dict[str, Any]:
    if expect is None:
        return {}
    if isinstance(expect, Convention):
        return dict(vars(expect))
    if isinstance(expect, str):
        return claim(expect)
    return claim(json.dumps(dict(expect)))
