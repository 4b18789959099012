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
    output_options,
)
from convcheck.cli.figures import figure_options, figures
from convcheck.cli.judging import judge_options, judging_words
from convcheck.cli.work import Bar, Work, work_options, workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from convcheck.checks.compare import CompareResult

Shape = tuple[int, ...]


SHAPES = {1: ("CxW", "3x40"), 2: ("CxHxW", "3x5x5"), 3: ("CxDxHxW", "2x6x9x8")}
FILTERS = {1: ("CxFw", "3x5"), 2: ("CxFhxFw", "3x2x2"), 3: ("CxFdxFhxFw", "2x2x3x3")}
"""How shapes are given, by the number of spatial axes, and a sample."""


def _sizes(form: str, sample: str, least: int, most: int) -> Callable[..., Shape | None]:
    """A callback that reads ``least`` to ``most`` sizes joined by x, each from 1 up."""

    def parse(ctx: click.Context, param: click.Parameter, value: str | None) -> Shape | None:
        if value is None:
            return None
        parts = value.lower().split("x")
        found = None
        if not all(p.isascii() and p.isdigit() for p in parts):
            found = "is not a shape"
        elif max(map(len, parts)) > 18:
            found = "is larger than any memory"
        elif not least <= len(parts) <= most:
            found = _axes(len(parts))
        elif 0 in map(int, parts):
            found = "has an axis of length 0"
        if found is not None:
            shown = value if len(value) <= 80 else f"{value[:77]}..."
            raise click.BadParameter(
                f"{shown!r} {found}: expected {form}, such as {sample}.", ctx=ctx, param=param
            )
        return tuple(map(int, parts))

    return parse


def _axes(count: int) -> str:
    return "has 1 axis" if count == 1 else f"has {count} axes"


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
        ("1-D; the kernel says so", "convcheck random --shape 3x40 --kernel 5"),
        ("keep the arrays", "convcheck random --shape 3x5x5 --save case"),
    ],
)
@click.option(
    "--shape",
    callback=_sizes(*SHAPES[2], 2, 4),
    metavar="CxHxW",
    required=True,
    help="The image's shape; CxW or CxDxHxW with a --kernel of as many axes beside C.",
)
@click.option(
    "--filters",
    callback=_sizes(f"[Kx]{FILTERS[2][0]}", FILTERS[2][1], 2, 5),
    metavar="[Kx]CxFhxFw",
    help="The filters' shape; one 2x2 filter by default.",
)
@click.option(
    "--kernel",
    callback=_sizes("FhxFw", "2x2", 1, 3),
    metavar="FhxFw",
    help="The size of the filters, and with it how many spatial axes there are: 5 for 1-D, 2x3x3 "
    "for 3-D; 2x2 by default.",
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
    rank: int | None,
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
    rank, bank = _bank_shape(shape, filters, kernel, count, rank)
    check_output(output["output"])
    if save is not None:
        from convcheck.case_folder import DRAWN, check_case

        check_case("--save", save, DRAWN)
    if seed is None:
        seed = int.from_bytes(os.urandom(4))
    judging: dict[str, Any] = {"expect": expect, "strict": strict, "all_flips": all_flips}
    judging |= {"method": method}

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
                **judging,
                rank=rank,
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
    replay += [*judging_words({**judging, "rank": None}), "--seed"]  # the shapes say the rank
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
    shape: Shape, filters: Shape | None, kernel: Shape | None, count: int | None, rank: int | None
) -> tuple[int, Shape]:
    """How many spatial axes there are, and the shape (K,C,*F) of the filters."""
    if filters is None:
        rank = rank or len(kernel or (2, 2))
        if kernel is not None and len(kernel) != rank:
            raise click.UsageError(
                f"--kernel {_text(kernel)} {_axes(len(kernel))}: not --rank {rank}."
            )
        _check_axes("--shape", shape, {rank + 1}, *SHAPES[rank])
        return rank, (count or 1, shape[0], *(kernel or (2,) * rank))
    if kernel is not None or count is not None:
        raise click.UsageError("--filters says the kernel and the count: leave out the other two.")
    rank = rank or len(shape) - 1
    _check_axes("--shape", shape, {rank + 1}, *SHAPES[rank])
    form, sample = FILTERS[rank]
    _check_axes("--filters", filters, {rank + 1, rank + 2}, f"[Kx]{form}", sample)
    return rank, filters if len(filters) == rank + 2 else (1, *filters)


def _check_axes(option: str, shape: Shape, fitting: set[int], form: str, sample: str) -> None:
    if len(shape) not in fitting:
        raise click.BadParameter(
            f"{_text(shape)!r} {_axes(len(shape))}: expected {form}, such as {sample}; "
            f"{'--kernel' if option == '--shape' else '--shape'} says how many.",
            param_hint=f"'{option}'",
        )


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _save(folder: str, image: Any, filters: Any) -> tuple[str, str]:
    from pathlib import Path

    from convcheck.case_folder import FILTERS, IMAGE, save_case

    save_case("--save", folder, {IMAGE: image, FILTERS: filters})
    return str(Path(folder, IMAGE)), str(Path(folder, FILTERS))
