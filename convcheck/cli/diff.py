"""``convcheck diff REF MINE [IMG W]``."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import click

from convcheck.cli.base import (
    ExamplesCommand,
    again,
    check_output,
    emit,
    load_operands,
    output_options,
)


@click.command(
    cls=ExamplesCommand,
    short_help="How do two arrays relate, and why?",
    claim=(
        "MINE is REF, to the last digit or but for rounding",
        "it is not, explained or not; with --strict also: REF would not show usual mistakes",
    ),
    examples=[
        ("how does my output differ from the right one?", "convcheck diff ref.npy mine.npy"),
        (
            "which one thing did my layer do otherwise?",
            "convcheck diff ref.npy mine.npy img.npy w.npy",
        ),
        ("where they differ", "convcheck diff ref.npy mine.npy --picture"),
        ("two arrays of an archive, for a program", "convcheck diff a.npz::x a.npz::y --json"),
    ],
)
@click.argument("ref", metavar="REF")
@click.argument("mine", metavar="MINE")
@click.argument("img", metavar="[IMG", required=False)
@click.argument("w", metavar="W]", required=False)
@click.option("--strict", is_flag=True, help="Arrays that usual mistakes leave equal are exit 1.")
@click.option("--picture", is_flag=True, help="Draw where the difference lies.")
@click.option(
    "--effort",
    type=click.Choice(["default", "thorough"]),
    default="default",
    help="With IMG and W: search about ten seconds for each, or until all has been tried.",
)
@output_options
def diff(
    ref: str,
    mine: str,
    img: str | None,
    w: str | None,
    strict: bool,
    picture: bool,
    effort: str,
    **output: Any,
) -> int:
    """Say how the array MINE relates to the array REF, and prove it.

    Equal, or but for rounding; axes in another order, memory reshaped; reversed, shifted, cut,
    strided; channels in another order; a factor and an offset; an activation; fewer bits; one part
    wrong: what is said holds for every element, and chance is refused. Each array is a .npy file of
    up to 6 axes, FILE.npz::NAME, or - for a .npy on stdin.

    With IMG and W, from which both were made by a convolution, the convention of each is named, and
    what differs between them, with the line that mends MINE.
    """
    if img is not None and w is None:
        raise click.UsageError("IMG needs W beside it: convcheck diff REF MINE IMG W.")
    more = [spec for spec in (img, w) if spec is not None]
    check_output(output["output"])
    named = zip(("REF", "MINE", "IMG", "W"), (ref, mine, *more), strict=False)
    loaded = load_operands(*named)
    from convcheck.checks.diff import diff as check
    from convcheck.checks.identify.explore import BUDGET
    from convcheck.render.report import NOTHING, Operand, Report

    started = perf_counter()
    arrays = [tensor.array for tensor in loaded]
    budget = None if effort == "thorough" else BUDGET
    result = check(*arrays, strict=strict, budget=budget)
    seconds = perf_counter() - started
    given = [Operand.of(tensor) for tensor in loaded]
    drawn: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    if picture:
        from convcheck.checks.diff.picture import difference_of

        shown = difference_of(arrays[0], arrays[1])
        drawn = {} if shown is None else {"picture": shown}
        if shown is None:
            notes = ("REF and MINE have other shapes: there is no difference to picture",)
    options = ["--strict"] if strict else []
    options += ["--effort", effort] if effort != "default" else []
    report = Report(
        command="diff",
        image=given[2] if more else NOTHING,
        filters=given[3] if more else NOTHING,
        ref=given[0],
        mine=given[1],
        result=result,
        exit_code=result.exit_code,
        seconds=seconds,
        warnings=(*(w for t in loaded for w in t.warnings), *result.warnings, *notes),
        replay=again("diff", options, ref, mine, *more),
        **drawn,
    )
    return emit(report, output)
