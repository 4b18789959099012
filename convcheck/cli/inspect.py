"""``convcheck inspect FILE``."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import click

from convcheck.cli.base import (
    ExamplesCommand,
    check_inputs,
    check_output,
    emit,
    output_options,
    write_stderr,
)


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
    from convcheck.mapping import outlive_faults
    from convcheck.render.report import Operand, Report
    from convcheck.tensors import load_all
    from convcheck.unreadable import shown

    outlive_faults()
    started = perf_counter()
    entries: list[Entry] = []
    warnings: list[str] = []
    errors: list[InputError] = []
    for spec, found in load_all("FILE", file):
        if isinstance(found, InputError):
            trouble = str(found).replace("\n ", ";").removeprefix("FILE: ")
            entries.append(Entry(spec, trouble=trouble))
            errors.append(found)
            continue
        entries.append(look(spec, found.array, found.warnings))
        check_inputs()
        warnings += found.warnings
    if errors and len(entries) == 1:
        raise errors[0]
    if len(errors) == len(entries) > 1:
        said = InputError(
            f"FILE: {shown(file)}: none of its {len(entries)} arrays can be read",
            got=entries[0].trouble,
            hint=errors[0].hint,
        )
        write_stderr(f"convcheck: error: {said}\n")  # as everywhere where the exit code is 2
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
