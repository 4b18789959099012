"""``convcheck random --shape 3x5x5``."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from convcheck.cli.base import (
    ExamplesCommand,
    check_output,
    emit,
    judge_options,
    judging_words,
    make_folder,
    output_options,
)
from convcheck.cli.figures import figure_options, figures
from convcheck.cli.work import Bar, Work, work_options, workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from convcheck.checks.compare import CompareResult

Shape = tuple[int, ...]


def _shape(form: str, sample: str, *, optional: str = "") -> Callable[..., Shape | None]:
    """A callback that reads sizes joined by x, as many as ``form`` has, each from 1 up."""
    ranks = {form.count("x") + 1, (optional + form).count("x") + 1}
    wanted = f"expected {optional and f'[{optional}]'}{form}, such as {sample}"

    def parse(ctx: click.Context, param: click.Parameter, value: str | None) -> Shape | None:
        if value is None:
            return None
        parts = value.lower().split("x")
        found = None
        if not all(p.isascii() and p.isdigit() for p in parts):
            found = "is not a shape"
        elif max(map(len, parts)) > 18:
            found = "is larger than any memory"
        elif len(parts) not in ranks:
            found = "has 1 axis" if len(parts) == 1 else f"has {len(parts)} axes"
        elif 0 in map(int, parts):
            found = "has an axis of length 0"
        if found is not None:
            shown = value if len(value) <= 80 else f"{value[:77]}..."
            raise click.BadParameter(f"{shown!r} {found}: {wanted}.", ctx=ctx, param=param)
        return tuple(map(int, parts))

    return parse


@click.command(
    cls=ExamplesCommand,
    short_help="compare on drawn data: no files are needed.",
    claim=(
        "a decomposition matches; with --expect, it is that one",
        "none does, or not that one; with --strict also: the data cannot tell which",
    ),
    examples=[
        ("one random case, digits 0 to 9", "convcheck random --shape 3x5x5"),
        (
            "a layer's shapes",
            "convcheck random --shape 64x56x56 --filters 64x64x3x3 --values normal",
        ),
        ("a thousand cases, reproducible", "convcheck random --shape 3x9x8 --trials 1000 --seed 1"),
        ("keep the arrays", "convcheck random --shape 3x5x5 --save case"),
    ],
)
@click.option(
    "--shape",
    callback=_shape("CxHxW", "3x5x5"),
    metavar="CxHxW",
    required=True,
    help="The image's shape.",
)
@click.option(
    "--filters",
    callback=_shape("CxFhxFw", "3x2x2", optional="Kx"),
    metavar="[Kx]CxFhxFw",
    help="The filters' shape; one 2x2 filter by default.",
)
@click.option(
    "--kernel",
    callback=_shape("FhxFw", "2x2"),
    metavar="FhxFw",
    help="The size of the filters; 2x2 by default.",
)
@click.option(
    "--count", type=click.IntRange(min=1), metavar="K", help="How many filters; 1 by default."
)
@click.option(
    "--dtype",
    default="float32",
    metavar="NAME",
    help="A type of numbers that numpy has; float32 by default.",
)
@click.option(
    "--values",
    type=click.Choice(["ints", "normal"]),
    default="ints",
    help="Digits 0 to 9, or standard normal numbers.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="N",
    help="What the case is drawn from; without it a new one, which is printed.",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1),
    metavar="N",
    help="Judge N cases, from the seeds SEED, SEED + 1, ...; the first that fails is saved.",
)
@click.option("--save", metavar="DIR", help="Write image.npy and filters.npy to DIR.")
@click.option("--impulse", is_flag=True, help="The image is a single 1: the filter comes out.")
@judge_options
@figure_options
@work_options
@output_options
def random(
    shape: Shape,
    filters: Shape | None,
    kernel: Shape | None,
    count: int | None,
    dtype: str,
    values: str,
    seed: int | None,
    trials: int | None,
    save: str | None,
    expect: str | None,
    strict: bool,
    all_flips: bool,
    method: str,
    jobs: int | None,
    memory: int | None,
    dask: str | None,
    **output: Any,
) -> int:
    """Draw a case that tells the decompositions apart, and compare it.

    The drawn data separates the decompositions whenever its shape allows that. With --trials the
    report shows the first case that fails, or else the first.
    """
    bank = _bank_shape(shape, filters, kernel, count)
    check_output(output["output"])
    if seed is None:
        seed = int.from_bytes(os.urandom(4))
    judging = {"expect": expect, "strict": strict, "all_flips": all_flips, "method": method}

    from convcheck.cases import draw
    from convcheck.checks.compare import compare
    from convcheck.checks.explain import impulse_like
    from convcheck.render.report import Operand, Report, Trials

    started = perf_counter()
    counts = {"match": 0, "ambiguous": 0, "mismatch": 0}
    results: list[CompareResult] = []
    failed: int | None = None
    work = Work(jobs=jobs, memory=memory, dask=dask)
    bar = Bar("cases", trials) if trials else Bar("tiles", verbose=output["verbose"])
    with workers(work) as team, bar:
        for number in range(seed, seed + (trials or 1)):
            drawn = draw(shape, bank, seed=number, dtype=dtype, values=values)
            if output["impulse"]:
                drawn = (impulse_like(drawn[0]), drawn[1])
            judged = compare(
                *drawn,
                **judging,  # type: ignore[arg-type]
                memory=memory,
                workers=team,
                progress=None if trials else bar,
            )
            if judged.interrupted and trials:
                raise KeyboardInterrupt  # part of one case says nothing of the others
            counts[judged.verdict] += 1
            results.append(judged)
            fails = failed is None and judged.exit_code != 0
            if fails:
                failed = number
            if fails or number == seed:
                shown, result, arrays = number, judged, drawn
            if trials:
                bar.advance()
    seconds = perf_counter() - started
    if save is None and trials and failed is not None:
        save = f"convcheck-case-{failed}"
    paths = (f"random, seed {shown}",) * 2 if save is None else _save(save, *arrays)
    replay = ["convcheck", "random", "--shape", _text(shape), "--filters", _text(bank)]
    replay += ["--dtype", dtype] if dtype != "float32" else []
    replay += ["--values", values] if values != "ints" else []
    replay += ["--impulse"] if output["impulse"] else []
    replay += [*judging_words(judging), "--seed"]
    report = Report(
        command="random",
        image=Operand(paths[0], arrays[0].shape, str(arrays[0].dtype)),
        filters=Operand(paths[1], arrays[1].shape, str(arrays[1].dtype)),
        result=result,
        exit_code=result.exit_code,
        warnings=result.warnings,
        seconds=seconds,
        **figures(*arrays, result, output),
        seed=seed,
        replay=shlex.join([*replay, str(seed), *(["--trials", str(trials)] if trials else [])]),
    )
    if trials:
        first = None if failed is None else shlex.join([*replay, str(failed)])
        cases = tuple(
            (shlex.join([*replay, str(number)]), judged)
            for number, judged in enumerate(results, seed)
        )
        summary = Trials(trials, counts, first, None if failed is None else save, cases)
        report = replace(report, trials=summary)
    return emit(report, output)


def _bank_shape(
    shape: Shape, filters: Shape | None, kernel: Shape | None, count: int | None
) -> Shape:
    if filters is None:
        return (count or 1, shape[0], *(kernel or (2, 2)))
    if kernel is not None or count is not None:
        raise click.UsageError("--filters says the kernel and the count: leave out the other two.")
    return filters if len(filters) == 4 else (1, *filters)


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _save(folder: str, image: Any, filters: Any) -> tuple[str, str]:
    from pathlib import Path

    from convcheck.writing import save

    make_folder("--save", folder)
    paths = (str(Path(folder, "image.npy")), str(Path(folder, "filters.npy")))
    save(paths[0], image)
    save(paths[1], filters)
    return paths
