"""``convcheck audit IMG W``."""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from convcheck.cli import batch_norm
from convcheck.cli.base import (
    ExamplesCommand,
    again,
    check_output,
    emit,
    output_options,
)

if TYPE_CHECKING:
    from convcheck.checks.audit import AuditResult


def _share(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    # click's own range lets NaN through, which no comparison refuses.
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is no number from 0 to 1.", ctx=ctx, param=param)
    return value


@click.command(
    cls=ExamplesCommand,
    short_help="Which mistakes would a test with this data miss?",
    claim=(
        "every mistake would show; with --min-score, enough of them",
        "there is a blind spot; with --min-score, there are too many",
    ),
    examples=[
        ("which mistakes would a test with this data miss?", "convcheck audit img.npy w.npy"),
        (
            "for a layer with a stride and padding",
            """convcheck audit img.npy w.npy --as '{"stride": 2, "padding": 1}'""",
        ),
        (
            "in CI: fail if less than nine in ten would show",
            "convcheck audit img.npy w.npy --min-score 0.9",
        ),
        ("write a case that misses none", "convcheck audit img.npy w.npy --fix case"),
    ],
)
@click.argument("img", metavar="IMG")
@click.argument("w", metavar="W")
@click.option(
    "--as",
    "convention",
    metavar="SLUG|JSON",
    default="correlation",
    help="What the data is to test: correlation (the default), convolution, per-channel, flipped, "
    "or a JSON object of a convention's keys.",
)
@click.option(
    "--rank",
    type=click.IntRange(1, 3),
    metavar="1|2|3",
    help="The number of spatial axes, where the shapes of IMG and W leave a choice.",
)
@click.option(
    "--bn",
    metavar="MEAN,VAR,GAMMA,BETA[,EPS]",
    help="A batch normalization after the convolution, as identify takes it: its mistakes count, "
    "too.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    callback=_share,
    metavar="0..1",
    help="The share of the mistakes that must be seen; without it, all of them.",
)
@click.option(
    "--fix",
    metavar="DIR",
    help="Write a case that sees more to DIR: image.npy, filters.npy and the right out.npy.",
)
@output_options
def audit(
    img: str,
    w: str,
    convention: str,
    rank: int | None,
    bn: str | None,
    min_score: float | None,
    fix: str | None,
    **output: Any,
) -> int:
    """Say which mistakes a test with the data IMG and W could not see.

    An implementation may reverse a filter, read an axis as another one, pad on the wrong side.
    Each such mistake is made here, one at a time. One that leaves the result as it was is a blind
    spot: a test with this data passes with it. The report says why, and the smallest change with
    which every mistake would show.

    IMG is CHW, HW or a batch NCHW, W is OIHW, IHW or HW, unless --as names other layouts. They may
    have one spatial axis, W, or three, DHW, as well: the shapes say which, and two where both fit.

    Without --min-score the claim is that there is no blind spot.
    """
    from convcheck.convention import parse_partial

    keys = parse_partial(convention)
    files, eps = ([], None) if bn is None else batch_norm.parse(bn)
    check_output(output["output"])
    (image, filters), norm = batch_norm.load(files, ("IMG", img), ("W", w))
    if fix is not None:
        from convcheck.case_folder import FIXED, check_case

        check_case("--fix", fix, FIXED)
    from convcheck.checks.audit import audit as check
    from convcheck.render.report import Operand, Report

    started = perf_counter()
    result = check(
        image.array,
        filters.array,
        keys,
        rank=rank,
        batch_norm=batch_norm.batch_norm(norm, eps) if norm else None,
        min_score=min_score,
    )
    seconds = perf_counter() - started
    warnings = (*image.warnings, *filters.warnings)
    saved = None
    if fix is not None and result.proposal is not None:
        _save(fix, result)
        saved = fix
    elif fix is not None:
        why = "is found that sees more" if result.blind_spots else "is needed: nothing is unseen"
        warnings = (*warnings, f"--fix: no other case {why}; nothing was written")
    options = [] if convention == "correlation" else ["--as", convention]
    options += [] if rank is None else ["--rank", str(rank)]
    options += [] if bn is None else ["--bn", bn]
    options += [] if min_score is None else ["--min-score", f"{min_score:g}"]
    report = Report(
        command="audit",
        image=Operand.of(image),
        filters=Operand.of(filters),
        result=result,
        exit_code=result.exit_code,
        seconds=seconds,
        warnings=warnings,
        replay=again("audit", options, img, w),
        saved=saved,
    )
    return emit(report, output)


def _save(folder: str, result: AuditResult) -> None:
    from convcheck.case_folder import FIXED, save_case
    from convcheck.engine import convolve

    proposal = result.proposal
    if proposal is None:
        return
    right = convolve(proposal.image, proposal.filters, result.convention)
    arrays = proposal.image, proposal.filters, right
    save_case("--fix", folder, dict(zip(FIXED, arrays, strict=True)))
