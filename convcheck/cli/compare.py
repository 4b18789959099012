"""``convcheck compare IMG W``."""

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
from convcheck.cli.figures import figure_options, figures
from convcheck.cli.judging import judge_options, judging_words
from convcheck.cli.work import Bar, Work, work_options, workers


@click.command(
    cls=ExamplesCommand,
    short_help="Which decomposition equals scipy.signal.convolve?",
    claim=(
        "a decomposition matches; with --expect, it is that one",
        "none does, or not that one; with --strict also: the data cannot tell which",
    ),
    examples=[
        ("which decomposition is scipy's N-D convolution?", "convcheck compare img.npy w.npy"),
        ("in CI: fail unless it is this one", "convcheck compare img.npy w.npy --expect flipped"),
        ("arrays out of an .npz", "convcheck compare data.npz::image data.npz::filters --json"),
        ("show where one output cell comes from", "convcheck compare img.npy w.npy --explain"),
        ("one of the two from a pipe", "python make.py | convcheck compare - w.npy"),
    ],
)
@click.argument("img", metavar="IMG")
@click.argument("w", metavar="W")
@judge_options
@figure_options
@work_options
@output_options
def compare(
    img: str,
    w: str,
    expect: str | None,
    strict: bool,
    all_flips: bool,
    rank: int | None,
    method: str,
    jobs: int | None,
    memory: int | None,
    dask: str | None,
    **output: Any,
) -> int:
    """Say which decomposition of a convolution equals scipy.signal.convolve.

    IMG is an array (C, H, W), or (H, W) for one channel. W is a bank of filters (K, C, Fh, Fw), one
    filter (C, Fh, Fw), or (Fh, Fw) for one channel. In 1-D both have an axis less, in 3-D one more:
    (C, D, H, W). Each is a .npy file, FILE.npz::NAME, an image, FILE.safetensors::NAME,
    MODEL.onnx::NAME, or - for a .npy on stdin.

    Without --expect the claim is that some decomposition matches.
    """
    check_output(output["output"])
    image, filters = load_operands(("IMG", img), ("W", w))
    from convcheck.checks.compare import compare as check
    from convcheck.render.report import Operand, Report

    judging: dict[str, Any] = {"expect": expect, "strict": strict, "all_flips": all_flips}
    judging |= {"rank": rank, "method": method}
    started = perf_counter()
    work = Work(jobs=jobs, memory=memory, dask=dask)
    with workers(work) as team, Bar("tiles", verbose=output["verbose"]) as bar:
        result = check(
            *(image.array, filters.array),
            **judging,
            memory=memory,
            workers=team,
            progress=bar,
        )
    report = Report(
        command="compare",
        image=Operand(image.path, image.array.shape, str(image.array.dtype)),
        filters=Operand(filters.path, filters.array.shape, str(filters.array.dtype)),
        result=result,
        exit_code=result.exit_code,
        seconds=perf_counter() - started,
        warnings=(*image.warnings, *filters.warnings, *result.warnings),
        replay=again("compare", judging_words(judging), img, w),
        **figures(image.array, filters.array, result, output),
    )
    return emit(report, output)
