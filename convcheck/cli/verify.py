"""``convcheck verify TARGET``."""

from __future__ import annotations

import math
import os
import shlex
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from convcheck.cli import shards
from convcheck.cli.base import (
    ExamplesCommand,
    check_output,
    emit,
    output_options,
    stderr_is_terminal,
    write_stderr,
)
from convcheck.cli.saved import check_failed, save_smallest
from convcheck.cli.work import team_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convcheck.campaign import Case
    from convcheck.target import Target
    from convcheck.workload import Workload

KINDS = ("numpy", "torch", "jax", "tensorflow")
LAYOUTS = (
    *("NCHW", "NCHW/IOHW", "CHW", "CHW/IHW", "NHWC", "NHWC/OHWI", "HWC", "HW"),
    *("W", "NCW", "NCW/IOW", "CW", "NWC", "DHW", "NCDHW", "NCDHW/IODHW", "CDHW", "NDHWC"),
    *("NCHW/depthwise", "NCHW/IHW/depthwise", "CHW/depthwise", "CHW/IHW/depthwise"),
    *("NHWC/depthwise", "NHWC/HWIO/depthwise", "HWC/depthwise"),
)
PARAMETERS = ("stride", "padding", "dilation", "groups")


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    for name in names:
        if name not in PARAMETERS:
            expected = ", ".join(PARAMETERS)
            raise click.BadParameter(f"{name!r} is none of {expected}.", ctx=ctx, param=param)
    return names


def _seconds(ctx: click.Context, param: click.Parameter, value: float) -> float:
    # click's own range lets NaN through, which no comparison refuses.
    if math.isnan(value):
        raise click.BadParameter("nan is no time.", ctx=ctx, param=param)
    return value


@click.command(
    cls=ExamplesCommand,
    short_help="Which convolution does an implementation do?",
    claim=(
        "every case passes; with --expect, by that convention",
        "a case fails, or the implementation follows no convention",
    ),
    examples=[
        ("which convolution is it, and everywhere?", "convcheck verify torch.nn.functional:conv2d"),
        (
            "in CI: fail unless it is the cross-correlation",
            "convcheck verify package.module:conv --expect correlation",
        ),
        (
            "a callable that names its arguments otherwise",
            "convcheck verify package.module:conv --call 'f(x, w, strides=(stride, stride))'",
        ),
        (
            "the gradients that a backward pass gives",
            "convcheck verify package.module:backward --gradients",
        ),
        (
            "a program in any language",
            "convcheck verify --command './conv {image} {filters} {output} {stride}'",
        ),
    ],
)
@click.argument("target", metavar="[TARGET]", required=False)
@click.option(
    "--command",
    metavar="'PROGRAM ...'",
    help="Test a program: it reads the .npy files {image} and {filters} and writes {output}; "
    "{stride}, {padding}, {dilation} and {groups} are numbers.",
)
@click.option(
    "--pass",
    "passes",
    metavar="NAMES",
    callback=_names,
    help="The parameters to pass, such as stride,padding; found out without it.",
)
@click.option(
    "--call",
    metavar="CALL",
    help="How to call it: 'f(x, w, strides=stride)', 'f(w, zeros(K), padding).forward(x)[0]'.",
)
@click.option(
    "--arrays", type=click.Choice(KINDS), help="The arrays it takes; found out without it."
)
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    metavar="LAYOUT",
    help=f"Of image and filters; found by trying without it: {', '.join(LAYOUTS)}.",
)
@click.option(
    "--expect",
    metavar="SLUG|JSON",
    help="Judge by this convention, not by the one it is found to follow: correlation, "
    "per-channel, flipped; same-upper, same-lower, valid, full for the padding; both, as in "
    "correlation,same-upper; or a JSON object of a convention's keys, such as "
    '{"padding": "SAME_UPPER"}.',
)
@click.option(
    "--gradients",
    is_flag=True,
    help="Judge its gradients dX, dW and db, not its output: of a function that PyTorch, JAX or "
    "TensorFlow differentiates, or of a backward pass such as backward(dout, x, w), which returns "
    "dx, dw and perhaps db. With --call it is named dout.",
)
@click.option(
    *("--cases", "count"),
    type=click.IntRange(min=1),
    show_default="300; of a workload all",
    metavar="N",
    help="How many cases, from small to large; of a workload the first.",
)
@click.option(
    "--workload",
    metavar="FILE",
    help="The cases are the convolutions of this list, as oneDNN's benchdnn writes them "
    "(mb1ic64ih56oc64oh56kh3ph1nNAME, one a line), or of an ONNX model.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="What the cases are drawn from.",
)
@click.option(
    "--shard",
    metavar="I/N",
    callback=shards.parsed,
    help="Only each N-th case, from the I-th; 'auto': as the variables of Buildkite, GitLab, "
    "CircleCI or a SLURM array say it.",
)
@click.option("--replay", metavar="ID", help="Only this case, as a report names it.")
@click.option("--fail-fast", is_flag=True, help="End at the first failing case.")
@click.option(
    "--save", metavar="DIR", help="Where a failing case is written; by default a new folder here."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.01, max=86400),
    callback=_seconds,
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="What a case may take; beyond it, it hangs.",
)
@team_options
@output_options
def verify(
    target: str | None,
    command: str | None,
    passes: tuple[str, ...] | None,
    call: str | None,
    arrays: str | None,
    layout: str | None,
    expect: str | None,
    count: int | None,
    workload: str | None,
    gradients: bool,
    seed: int,
    shard: tuple[int, int] | None,
    replay: str | None,
    fail_fast: bool,
    save: str | None,
    timeout: float,
    jobs: int | None,
    dask: str | None,
    **output: Any,
) -> int:
    """Name the convolution that an implementation does, and the smallest case where it does not.

    TARGET is package.module:callable; the current directory is importable. It is called with an
    image and filters, and with stride, padding, dilation and groups where it takes them. Small
    cases tell which convention it follows; then every case is judged by that convention, within
    proven rounding bounds. A crash, a hang, a wrong shape, a changed input and results that change
    from call to call are found too.

    Without --expect the claim is that it follows one convention everywhere.
    """
    if command is not None and gradients:
        raise click.UsageError("--gradients is for a TARGET, not for --command.")
    if gradients and (workload is not None or shard is not None):
        raise click.UsageError("--gradients has no workloads and no shards: leave them out.")
    check_output(output["output"])
    alone = None if replay is None else _case(replay)
    gradients = gradients or (alone is not None and alone.gradient != "")
    chosen = target_of(target, command, passes, call, arrays, timeout, gradients)
    from convcheck.worker import Worker

    wanted = None if expect is None else claimed(expect)
    if workload is not None and replay is not None:
        raise click.UsageError("--replay says the whole case: leave --workload out.")
    listed = None if workload is None else _listed(workload)
    count = _count(count, listed)
    recorded, shard = shard is not None and replay is None, shard or (1, 1)
    if alone is not None:
        seed = alone.seed
    if save is not None:
        check_failed(save)
    again = _command_words(target, command, passes, call, arrays, layout, expect, timeout)
    again += ["--gradients"] if gradients else []
    same = [] if workload is None else ["--workload", workload]
    same += ["--seed", str(seed), "--cases", str(count)]
    same += [] if shard == (1, 1) else ["--shard", f"{shard[0]}/{shard[1]}"]
    same = same if replay is None else ["--replay", replay]
    total = 1 if alone is not None else len(range(shard[0] - 1, count, shard[1]))
    if output["verbose"]:
        _announce(chosen, total, seed, shard, timeout)
    started = perf_counter()
    runner = Worker(chosen, timeout)
    try:
        runner.begin()
        # All that is slow to import is imported here while the target is imported there.
        from convcheck.campaign import cases, further
        from convcheck.checks.verify import put_to_test, team

        drawn = cases if listed is None else listed.cases
        here = os.getcwd()  # noqa: PTH109 - no import
        with (
            team(chosen, timeout, jobs, dask, here) as others,
            _progress(3 * total if gradients else total) as advance,
        ):
            result = put_to_test(
                runner,
                [alone] if alone is not None else drawn(seed, count, shard=shard),
                target=chosen.name,
                layout=layout,
                expect=wanted,
                fail_fast=fail_fast,
                smaller=alone is None,
                beside=alone is None,
                team=others,
                progress=advance,
                record=recorded,
                more=None
                if alone is not None or listed is not None or gradients
                else further(seed, count),
                gradients=gradients,
            )
    finally:
        runner.close()
    saved, warnings = save_smallest(save, result, again)

    from convcheck.render.report import NOTHING, Campaign, Report

    report = Report(
        command="verify",
        image=NOTHING,
        filters=NOTHING,
        result=result,
        exit_code=result.exit_code,
        warnings=(*(() if listed is None else listed.warnings), *warnings),
        seconds=perf_counter() - started,
        seed=seed,
        replay=shlex.join(again),
        saved=saved,
        campaign=Campaign(
            *(total, shard, wanted, replay, shlex.join([*again, *same]), count, fail_fast),
            workload=listed,
        ),
    )
    return emit(report, output)


def _case(replay: str) -> Case:
    from convcheck.campaign import parse_id

    return parse_id(replay)


def _listed(path: str) -> Workload:
    from convcheck.workload import load

    return load(path)


def _count(asked: int | None, listed: Workload | None) -> int:
    """How many cases there are."""
    if listed is None:
        return 300 if asked is None else asked
    whole = len(listed.problems)
    return whole if asked is None else min(asked, whole)


def target_of(
    target: str | None,
    command: str | None,
    passes: tuple[str, ...] | None,
    call: str | None,
    arrays: str | None,
    timeout: float,
    gradients: bool = False,
) -> Target:
    """What the options name, if it is one thing."""
    if (target is None) == (command is None):
        raise click.UsageError("Name one target: TARGET, or --command 'PROGRAM ...'.")
    if command is not None and (passes or call or arrays):
        raise click.UsageError("--pass, --call and --arrays are for a TARGET, not for --command.")
    if passes and call:
        raise click.UsageError("--call says what is passed: leave --pass out.")
    from convcheck.target import CallableTarget, CommandTarget, parse_call

    if command is not None:
        program = CommandTarget(command, timeout)
        program.words()
        return program
    if call is not None:
        parse_call(call)
    return CallableTarget(str(target), arrays, passes, call, gradients)


def claimed(expect: str) -> dict[str, Any]:
    """The keys of a convention that ``--expect`` asks for."""
    from convcheck.checks.verify import claim

    return claim(expect)


def _command_words(
    target: str | None,
    command: str | None,
    passes: tuple[str, ...] | None,
    call: str | None,
    arrays: str | None,
    layout: str | None,
    expect: str | None,
    timeout: float,
) -> list[str]:
    """The command without its cases: ``--replay ID`` makes it that of one case."""
    words = ["convcheck", "verify"]
    options = {
        "--command": command,
        "--pass": None if passes is None else ",".join(passes),
        "--call": call,
        "--arrays": arrays,
        "--layout": layout,
        "--expect": expect,
        "--timeout": None if timeout == 10.0 else f"{timeout:g}",
    }
    words += [] if target is None else [target]
    for name, value in options.items():
        words += [] if value is None else [name, value]
    return words


def _announce(
    target: Target, total: int, seed: int, shard: tuple[int, int], timeout: float
) -> None:
    part = "" if shard == (1, 1) else f", shard {shard[0]}/{shard[1]}"
    cases = "one case" if total == 1 else f"{total} cases"
    write_stderr(
        f"convcheck: about to run {target.name}: first a few small cases to learn what it does, "
        f"then {cases} (seed {seed}{part}), each within {timeout:g} s, in a process of its own\n"
    )


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with the count of failures, where it is a terminal."""
    if total < 2 or not stderr_is_terminal():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("cases"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failures]} failed"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("cases", total=total, failures=0)
        yield lambda failures: progress.update(task, advance=1, failures=failures)
