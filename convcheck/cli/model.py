"""``convcheck model A [B]``."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from convcheck.cli.base import ExamplesCommand, again, check_output, emit, output_options
from convcheck.cli.work import Bar

if TYPE_CHECKING:
    from convcheck.trace.layer import Trace


@click.command(
    cls=ExamplesCommand,
    short_help="Which layer of a model departs, and why?",
    claim=(
        "every convolution does what its attributes say; with B, what A's say",
        "one does not; with --strict also: the data could not have told, or a layer is not judged",
    ),
    examples=[
        ("does every convolution do what it says?", "convcheck model net.onnx"),
        ("which layer of my port is wrong?", "convcheck model ref.onnx port.onnx"),
        ("a model that ran elsewhere, by its trace", "convcheck model ref.onnx port.npz"),
        ("on an image of mine", "convcheck model net.onnx --input photo.npy"),
    ],
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@click.option(
    "--input",
    "inputs",
    metavar="[NAME=]FILE",
    multiple=True,
    help="What a model is run on: an array for its input NAME, or for its first one. May be given "
    "more than once; what is not given is drawn at random.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Of the random input; 0 by default.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Layers that are not judged, or of which the input could not tell, are exit 1.",
)
@output_options
def model(
    a: str, b: str | None, inputs: tuple[str, ...], seed: int, strict: bool, **output: Any
) -> int:
    """Judge every convolution of the model A on its own input.

    A is an ONNX model, which is run once, or a trace: a .npz, a .safetensors or a folder of what
    every layer was given and gave. A convolution holds if its output follows from its attributes,
    within proven bounds. A batch normalization and an activation that follow belong to it. Layers
    of other kinds are counted, not judged.

    With B, a port of A, each layer of B is judged on B's own input by what A's layer says, so that
    an error does not run through all that follows. The report says which layer departs first, why,
    and what mends it.
    """
    check_output(output["output"])
    from convcheck.checks.model import check_model
    from convcheck.render.report import NOTHING, Operand, Report

    started = perf_counter()
    arrays = _arrays(inputs)
    first = _trace(a, arrays, seed)
    second = None if b is None else _trace(b, arrays, seed)
    count = len((second or first).layers)
    with Bar("layers", total=count, verbose=output["verbose"]) as bar:
        result = check_model(first, second, strict=strict, progress=bar.advance)
    options = [word for spec in inputs for word in ("--input", spec)]
    options += ["--seed", str(seed)] if seed else []
    options += ["--strict"] if strict else []
    report = Report(
        command="model",
        image=Operand(a, (), ""),
        filters=NOTHING if b is None else Operand(b, (), ""),
        result=result,
        exit_code=result.exit_code,
        seconds=perf_counter() - started,
        warnings=_warnings(arrays),
        replay=again("model", options, a, *([b] if b else [])),
    )
    return emit(report, output)


def _arrays(inputs: tuple[str, ...]) -> dict[str, Any]:
    import os

    from convcheck.tensors import load

    found = {}
    for spec in inputs:
        name, sign, file = spec.partition("=")
        if not sign or os.path.lexists(spec):
            name, file = "", spec
        found[name] = load("--input", file).array
    return found


def _warnings(arrays: dict[str, Any]) -> tuple[str, ...]:
    from convcheck.checks.model.untold import is_constant

    return tuple(
        f"--input {name + ': ' if name else ''}every number is {array.flat[0]}, which hides "
        "kernels that are reversed or transposed and channels in another order: give different ones"
        for name, array in arrays.items()
        if is_constant(array)
    )


def _trace(path: str, arrays: dict[str, Any], seed: int) -> Trace:
    from convcheck import used

    used.read(path)
    if path.lower().endswith(".onnx"):
        from convcheck.trace.runtime import record

        return record(path, arrays, seed=seed)
    from convcheck.trace.files import read

    return read(path)
