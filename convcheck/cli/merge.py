"""``convcheck merge REPORT.json ...``."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from convcheck.cli.base import (
    ExamplesCommand,
    check_output,
    emit,
    output_options,
    write_stderr,
)
from convcheck.cli.saved import check_failed, save_smallest
from convcheck.cli.verify import claimed, target_of, verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convcheck.checks.verify.merging import Merged, Shard
    from convcheck.worker import Worker
    from convcheck.workload import Workload


@click.command(
    cls=ExamplesCommand,
    short_help="One report of verify's shards.",
    claim=(
        "every case of every shard passes",
        "a case fails, or the implementation follows no convention",
    ),
    examples=[
        ("the report of both halves of a campaign", "convcheck merge 1.json 2.json"),
        ("for the list of tests of a CI system", "convcheck merge *.json -o convcheck.xml"),
        ("where the target is not", "convcheck merge *.json --no-call"),
    ],
)
@click.argument("reports", metavar="REPORT.json ...", nargs=-1, required=True)
@click.option(
    "--no-call", is_flag=True, help="Leave out what only further calls of a failing target say."
)
@click.option(
    "--save", metavar="DIR", help="Where a failing case is written; by default a new folder here."
)
@output_options
def merge(reports: tuple[str, ...], no_call: bool, save: str | None, **output: Any) -> int:
    """Make the JSON reports of all shards of 'convcheck verify --shard I/N' into the one report
    that a run without --shard gives, but for the time that it took.

    Where cases failed, the target that the reports name is called again as in verify, to say what
    it does there and to find the smallest case: merge reports that you trust, where the target is.
    --no-call leaves that out, and so does a target that cannot be opened here.
    """
    check_output(output["output"])
    if save is not None:
        check_failed(save)
    from convcheck.checks.verify.merging import Merged, complete, shard
    from convcheck.reading import read_json
    from convcheck.render.report import NOTHING, Campaign, Report

    started = perf_counter()
    shards = complete([shard(name, read_json("REPORT", name)) for name in reports])
    first = shards[0]
    options = _options(first)
    workload = _workload(first)
    merged = Merged(shards, workload)
    with _runner(merged, options, no_call=no_call, verbose=output["verbose"]) as (runner, left):
        result = merged.result(runner)
    again = shlex.split(first.command)
    saved, warnings = save_smallest(save, result, again)
    same = [] if workload is None else ["--workload", workload.file]
    same += ["--seed", str(first.seed), "--cases", str(first.asked)]
    expect = options["expect"]
    report = Report(
        command="verify",
        image=NOTHING,
        filters=NOTHING,
        result=result,
        exit_code=result.exit_code,
        warnings=(*(() if workload is None else workload.warnings), *left, *warnings),
        seconds=perf_counter() - started,
        seed=first.seed,
        replay=first.command,
        saved=saved,
        campaign=Campaign(
            cases=first.asked,
            expect=None if expect is None else claimed(expect),
            again=shlex.join([*again, *same]),
            workload=workload,
        ),
    )
    return emit(report, output)


def _workload(first: Shard) -> Workload | None:
    """The list of problems that the reports name, if it is the same as it was."""
    if first.workload is None:
        return None
    from convcheck.errors import InputError
    from convcheck.workload import load

    found = load(first.workload)
    if found.digest != first.digest or len(found.problems) < first.asked:
        raise InputError(
            f"{first.workload} is another file than the reports are of",
            got=f"sha256 {found.digest}",
            expected=f"sha256 {first.digest}, as in {first.name}",
            hint="merge where the workload is as it was for the shards",
        )
    return found


def _options(first: Shard) -> dict[str, Any]:
    """What the command of the reports says of the target."""
    from convcheck.errors import InputError

    try:
        words = shlex.split(first.command)
        return verify.make_context("convcheck verify", words[2:]).params
    except (click.ClickException, click.exceptions.Exit, ValueError) as error:
        said = f": {error.format_message()}" if isinstance(error, click.ClickException) else ""
        raise InputError(
            f"{first.name} names no command that can be run again{said}",
            got=first.command,
            expected="convcheck verify TARGET and its options",
        ) from None


@contextmanager
def _runner(
    merged: Merged, options: dict[str, Any], *, no_call: bool, verbose: bool
) -> Iterator[tuple[Worker | None, Sequence[str]]]:
    """What calls the target, where that is needed; or what is left out, and why."""
    if not merged.failed:
        yield None, ()
        return
    what = "what the target does where it fails, and the smallest case, are left out"
    if no_call:
        yield None, (f"{what}: --no-call",)
        return
    from convcheck.errors import InputError
    from convcheck.worker import Worker

    keys = ("target", "command", "passes", "call", "arrays", "timeout")
    chosen = target_of(**{key: options[key] for key in keys})
    if verbose:
        write_stderr(f"convcheck: about to call {chosen.name} again, as cases failed\n")
    runner = Worker(chosen, options["timeout"])
    try:
        try:
            runner.parameters()
        except InputError as error:
            found = f" ({error.got})" if error.got else ""
            yield None, (f"{what}: {error.what}{found}; merge where verify can call it",)
            return
        yield runner, ()
    finally:
        runner.close()
