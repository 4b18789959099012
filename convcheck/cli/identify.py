"""``convcheck identify IMG W OUT``."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import click

from convcheck.cli import batch_norm
from convcheck.cli.base import (
    ExamplesCommand,
    again,
    check_output,
    emit,
    output_options,
)
from convcheck.cli.figures import figure_options, identify_figures
from convcheck.cli.work import Bar, Work, work_options, workers


@click.command(
    cls=ExamplesCommand,
    short_help="Which convention made this output?",
    claim=(
        "OUT is explained; with --expect or --bn, as that says",
        "it is not, or not so; with --strict also: not by one convention alone",
    ),
    examples=[
        ("which convolution made out.npy?", "convcheck identify img.npy w.npy out.npy"),
        (
            "in CI: fail unless no axis of the filters is reversed",
            "convcheck identify img.npy w.npy out.npy --expect correlation",
        ),
        (
            "fail unless these keys are so",
            """convcheck identify img.npy w.npy out.npy --expect '{"stride": [2, 2]}'""",
        ),
        (
            "is the layer's batch normalization in it as given, with an epsilon of 1e-3?",
            "convcheck identify img.npy w.npy out.npy --bn mean.npy,var.npy,g.npy,b.npy,1e-3",
        ),
        (
            "an output from a pipe, the answer for a program",
            "python make.py | convcheck identify img.npy w.npy - --json",
        ),
        (
            "one output cell worked out, and where OUT departs",
            "convcheck identify img.npy w.npy out.npy --explain --picture",
        ),
    ],
)
@click.argument("img", metavar="IMG")
@click.argument("w", metavar="W")
@click.argument("out", metavar="OUT")
@click.option(
    "--expect",
    metavar="SLUG|JSON",
    help="Claim that the answer is so: correlation, per-channel, flipped, or a JSON object of a "
    "convention's keys. Exit 1 if it is not.",
)
@click.option(
    "--bn",
    metavar="MEAN,VAR,GAMMA,BETA[,EPS]",
    help="Claim that scale and bias are those of this batch normalization: four files, or ARCHIVE "
    "or ARCHIVE::PREFIX in their place; EPS is 1e-5 by default. Exit 1 if they are not, and what "
    "was done instead.",
)
@click.option("--strict", is_flag=True, help="An answer that is not the only one is exit 1.")
@click.option(
    "--effort",
    type=click.Choice(["default", "thorough"]),
    default="default",
    help="How long to search: about ten seconds at most, or until all has been tried.",
)
@work_options
@figure_options
@output_options
def identify(
    img: str,
    w: str,
    out: str,
    expect: str | None,
    bn: str | None,
    strict: bool,
    effort: str,
    jobs: int | None,
    memory: int | None,
    dask: str | None,
    **output: Any,
) -> int:
    """Name the convention under which the filters W make OUT from the image IMG.

    A convention says what is reversed, how the axes are laid out, stride, dilation, padding,
    groups, and what is done to the sums. The answer comes in words, as JSON, and as code for SciPy,
    PyTorch, ONNX, JAX and TensorFlow. Each of the three is a .npy file of 1 to 5 axes in any
    layout, FILE.npz::NAME, or - for a .npy on stdin. NaN and infinities in OUT are elements that
    nothing gives.

    --explain and --picture show the best convention that was found; where the arrays are batches,
    --at takes n before k too.

    Without --expect the claim is that some convention makes all of OUT.
    """
    from convcheck.convention import parse_partial

    claim = None if expect is None else parse_partial(expect)
    files, eps = ([], None) if bn is None else batch_norm.parse(bn)
    check_output(output["output"])
    loaded, norm = batch_norm.load(files, ("IMG", img), ("W", w), ("OUT", out))
    from convcheck.checks.identify import identify as check
    from convcheck.checks.identify.explore import BUDGET
    from convcheck.render.report import Operand, Report

    arrays = [tensor.array for tensor in loaded]
    started = perf_counter()
    work = Work(jobs=jobs, memory=memory, dask=dask)
    with workers(work) as team, Bar("tiles", verbose=output["verbose"]) as bar:
        result = check(
            *arrays,
            expect=claim,
            batch_norm=batch_norm.batch_norm(norm, eps) if norm else None,
            strict=strict,
            budget=None if effort == "thorough" else BUDGET,
            progress=bar,
            workers=team,
            memory=memory,
        )
    seconds = perf_counter() - started
    image, filters, given = (Operand.of(tensor) for tensor in loaded)
    drawn, notes = identify_figures(arrays, result, {**output, "memory": memory})
    options = [] if expect is None else ["--expect", expect]
    options += [] if bn is None else ["--bn", bn]
    options += ["--strict"] if strict else []
    options += ["--effort", effort] if effort != "default" else []
    report = Report(
        command="identify",
        image=image,
        filters=filters,
        output=given,
        result=result,
        exit_code=result.exit_code,
        seconds=seconds,
        warnings=(*(w for t in (*loaded, *norm) for w in t.warnings), *result.warnings, *notes),
        replay=again("identify", options, img, w, out),
        **drawn,
    )
    return emit(report, output)
