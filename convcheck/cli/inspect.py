"""``convcheck inspect FILE``."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import click

from convcheck.cli.base import ExamplesCommand, check_inputs, check_output, emit, output_options


@click.command(
    cls=ExamplesCommand,
    short_help="What does this file hold?",
    claim=("the file was read",),
    examples=[
        ("what is in here?", "convcheck inspect weights.npz"),
        ("a model's weights", "convcheck inspect model.safetensors"),
        ("for a program", "convcheck inspect model.onnx --json"),
    ],
)
@click.argument("file", metavar="FILE")
@output_options
def inspect(file: str, **output: Any) -> int:
    """List the arrays in FILE: names, shapes, dtypes, ranges, and what they look like.

    FILE is a .npy, .npz, .safetensors or .onnx file, or an image (PNG, JPEG, TIFF). The names are
    as the other commands take them. What an array looks like is a guess from its shape alone.
    """
    check_output(output["output"])
    from convcheck.checks.inspect import Entry, InspectResult, look
    from convcheck.errors import InputError
    from convcheck.loaders import contents
    from convcheck.mapping import outlive_faults
    from convcheck.render.report import Operand, Report
    from convcheck.tensors import load

    outlive_faults()
    started = perf_counter()
    try:
        names = contents(file)
    except (InputError, OSError):
        names = [None]  # loading it says what is wrong
    entries: list[Entry] = []
    warnings: list[str] = []
    for name in names:
        spec = file if name is None else f"{file}::{name}"
        try:
            tensor = load("FILE", spec)
        except InputError as error:
            if len(names) == 1:
                raise
            trouble = str(error).replace("\n ", ";").removeprefix("FILE: ")
            entries.append(Entry(spec, trouble=trouble))
            continue
        entries.append(look(spec, tensor.array, tensor.warnings))
        check_inputs()
        warnings += tensor.warnings
    result = InspectResult(tuple(entries))
    given = Operand(file, (), "")
    report = Report(
        command="inspect",
        image=given,
        filters=Operand("", (), ""),
        result=result,
        exit_code=result.exit_code,
        seconds=perf_counter() - started,
        warnings=tuple(warnings),
    )
    return emit(report, output)
