"""``convcheck verify TARGET``."""

from __future__ import annotations

import math
import os
import shlex
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from convcheck.cli.base import (
    ExamplesCommand,
    check_output,
    emit,
    make_folder,
    output_options,
    stderr_is_terminal,
    write_stderr,
)
from convcheck.cli.work import team_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convcheck.campaign import Case
    from convcheck.checks.verify import VerifyResult
    from convcheck.target import Target

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


def _part(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int]:
    part, _, of = (value or "1/1").partition("/")
    if not (part.isdecimal() and of.isdecimal() and len(part) < 10 and len(of) < 10) or not (
        1 <= int(part) <= int(of)
    ):
        raise click.BadParameter(
            f"{value!r} is no shard such as 1/4, the first of four.", ctx=ctx, param=param
        )
    return int(part), int(of)


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
    default=300,
    show_default=True,
    metavar="N",
    help="How many cases, from small to large.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="What the cases are drawn from.",
)
@click.option("--shard", metavar="I/N", callback=_part, help="Only each N-th case, from the I-th.")
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
    gradients: bool,
    count: int,
    seed: int,
    shard: tuple[int, int],
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
    if (target is None) == (command is None):
        raise click.UsageError("Name one target: TARGET, or --command 'PROGRAM ...'.")
    if command is not None and (passes or call or arrays):
        raise click.UsageError("--pass, --call and --arrays are for a TARGET, not for --command.")
    if command is not None and gradients:
        raise click.UsageError("--gradients is for a TARGET, not for --command.")
    if passes and call:
        raise click.UsageError("--call says what is passed: leave --pass out.")
    check_output(output["output"])
    from convcheck.target import CallableTarget, CommandTarget, parse_call
    from convcheck.worker import Worker

    wanted = None if expect is None else _claim(expect)
    alone = None if replay is None else _case(replay)
    gradients = gradients or (alone is not None and alone.gradient != "")
    chosen: Target
    if command is not None:
        chosen = CommandTarget(command, timeout)
        chosen.words()
    else:
        if call is not None:
            parse_call(call)
        chosen = CallableTarget(str(target), arrays, passes, call, gradients)
    if alone is not None:
        seed = alone.seed
    if save is not None:
        make_folder("--save", save)
    again = _command_words(target, command, passes, call, arrays, layout, expect, timeout)
    again += ["--gradients"] if gradients else []
    same = ["--seed", str(seed), "--cases", str(count)]
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

        here = os.getcwd()  # noqa: PTH109 - no import
        with (
            team(chosen, timeout, jobs, dask, here) as others,
            _progress(3 * total if gradients else total) as advance,
        ):
            result = put_to_test(
                runner,
                [alone] if alone is not None else cases(seed, count, shard=shard),
                target=chosen.name,
                layout=layout,
                expect=wanted,
                fail_fast=fail_fast,
                smaller=alone is None,
                beside=alone is None,
                team=others,
                progress=advance,
                more=() if alone is not None else further(seed, count, shard=shard),
                gradients=gradients,
            )
    finally:
        runner.close()
    saved, warnings = _save(save, result, again)

    from convcheck.render.report import NOTHING, Campaign, Report

    report = Report(
        command="verify",
        image=NOTHING,
        filters=NOTHING,
        result=result,
        exit_code=result.exit_code,
        warnings=warnings,
        seconds=perf_counter() - started,
        seed=seed,
        replay=shlex.join(again),
        saved=saved,
        campaign=Campaign(total, shard, wanted, replay, shlex.join([*again, *same])),
    )
    return emit(report, output)


def _case(replay: str) -> Case:
    from convcheck.campaign import parse_id

    return parse_id(replay)


def _claim(expect: str) -> dict[str, Any]:
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


def _save(
    folder: str | None, result: VerifyResult, again: list[str]
) -> tuple[str | None, tuple[str, ...]]:
    """Write the smallest failing case; only where --save names the folder must that succeed."""
    smallest = result.smallest
    if smallest is None:
        return None, ()
    from pathlib import Path

    from convcheck.errors import OutputError
    from convcheck.writing import save

    place = folder or _folder(smallest.finding.case, again)
    named = {
        "image": smallest.image,
        "filters": smallest.filters,
        "dout": smallest.upstream,
        "actual": smallest.actual,
        "expected": smallest.expected,
    }
    try:
        make_folder("--save", place)
        for name, array in named.items():
            if array is not None:
                save(Path(place, f"{name}.npy"), array)
    except OutputError as error:
        if folder is not None:
            raise
        return None, (f"the failing case was not saved: {error.what}",)
    return place, ()


def _folder(case: Case, again: list[str]) -> str:
    """A short name, always the same for a case of a target, and another for every other."""
    from hashlib import sha256

    digest = sha256(shlex.join([*again, "--replay", case.id]).encode()).hexdigest()
    return f"convcheck-case-{case.seed}-{case.number}-{digest[:8]}"


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
