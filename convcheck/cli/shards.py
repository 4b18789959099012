"""``--shard I/N``: which part of a campaign a run is, as it is said or as a CI system says it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

Shard = tuple[int, int]


class System(NamedTuple):
    """The variables that say which of how many jobs this one is.

    ``first`` is the number of the first job, or the variable that has it; numbers are ``step``
    apart, where a variable of this name is set.
    """

    name: str
    job: str
    jobs: str
    first: str
    step: str = ""


SYSTEMS = (
    System("Buildkite", "BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", "0"),
    System("GitLab", "CI_NODE_INDEX", "CI_NODE_TOTAL", "1"),
    System("CircleCI", "CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", "0"),
    System(
        "a SLURM array",
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_COUNT",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_STEP",
    ),
)
"""Those that ``--shard auto`` knows. Of several the first counts that has more than one job."""


def parsed(ctx: click.Context, param: click.Parameter, value: str | None) -> Shard | None:
    """The shard that was asked for, counted from 1; None where none was."""
    if value is None:
        return None
    if value == "auto":
        return _of_environment(os.environ, ctx, param)
    part, _, of = value.partition("/")
    if not (_is_count(part) and _is_count(of)) or not 1 <= int(part) <= int(of):
        raise click.BadParameter(
            f"{value!r} is no shard such as 1/4, the first of four, nor 'auto'.",
            ctx=ctx,
            param=param,
        )
    return int(part), int(of)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _of_environment(
    environment: Mapping[str, str], ctx: click.Context, param: click.Parameter
) -> Shard:
    whole: Shard | None = None
    for system in SYSTEMS:
        said = _said(environment, system)
        if not said:
            continue
        found = _shard(said, system)
        if found is None:
            shown = ", ".join(f"{name}={value}" for name, value in said.items())
            raise click.BadParameter(
                f"auto: the variables of {system.name} name no shard: found {shown}; expected "
                f"{system.job} and {system.jobs}, as of one of several jobs. Say it as in "
                "--shard 1/4.",
                ctx=ctx,
                param=param,
            )
        if found[1] > 1:
            return found
        whole = found
    if whole is None:
        names = ", ".join(f"{system.job} ({system.name})" for system in SYSTEMS)
        raise click.BadParameter(
            f"auto: nothing says which of several jobs this is: none of {names} is set. "
            "Say it as in --shard 1/4.",
            ctx=ctx,
            param=param,
        )
    return whole


def _said(environment: Mapping[str, str], system: System) -> dict[str, str]:
    """The variables of a system that are set, if those are that it sets for each job."""
    said = {name: environment[name] for name in system[1:] if environment.get(name)}
    return said if {system.job, system.jobs} & said.keys() else {}


def _shard(said: Mapping[str, str], system: System) -> Shard | None:
    count = said.get(system.jobs, "")
    index = said.get(system.job)
    if count == "1" and index is None:
        return 1, 1  # of a job that is not one of several
    first, step = said.get(system.first, system.first), said.get(system.step, "1")
    if index is None or not all(map(_is_count, (count, index, first, step))) or int(step) < 1:
        return None
    turn, rest = divmod(int(index) - int(first), int(step))
    return (turn + 1, int(count)) if rest == 0 and 0 <= turn < int(count) else None
