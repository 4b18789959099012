"""``identify --bn``: the arrays of a batch normalization, four files or one archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from convcheck.cli.base import load_operands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.checks.identify import BatchNorm
    from convcheck.tensors import Tensor

ARRAYS = ("MEAN", "VAR", "GAMMA", "BETA")
NAMES = (
    ("running_mean", "running_var", "weight", "bias"),
    ("moving_mean", "moving_variance", "gamma", "beta"),
    ("mean", "var", "gamma", "beta"),
)
"""What they are called in an archive, after a prefix: PyTorch's names, Keras' and plain ones."""
SEPARATORS = "./_:"
FORM = "MEAN,VAR,GAMMA,BETA[,EPS] or ARCHIVE[::PREFIX][,EPS]"


def parse(text: str) -> tuple[list[str], float | None]:
    """The files, four or one archive, and the ε where there is one.

    Raises:
        UsageError: anything else.
    """
    parts = text.split(",")
    files, last = (parts[:-1], parts[-1]) if len(parts) in (2, 5) else (parts, None)
    if len(files) not in (1, 4) or not all(files):
        raise click.BadParameter(
            f"{text!r} is not {FORM}. A file whose name has a comma has to be renamed.",
            param_hint="--bn",
        )
    try:
        return files, None if last is None else float(last)
    except ValueError:
        raise click.BadParameter(f"EPS {last!r} is not a number.", param_hint="--bn") from None


def load(files: Sequence[str], *others: tuple[str, str]) -> tuple[list[Tensor], list[Tensor]]:
    """The arrays of other operands, and the four."""
    names = [f"{name} of --bn" for name in ARRAYS] if files else []
    if len(files) == 1:
        files = specs(files[0])
    loaded = load_operands(*others, *zip(names, files, strict=True))
    return loaded[: len(others)], loaded[len(others) :]


def specs(archive: str) -> list[str]:
    """What calls the four arrays of an archive, of the one prefix that has them all.

    Raises:
        InputError: there is none with this prefix, or several without one.
    """
    from convcheck.errors import InputError
    from convcheck.tensors import contents
    from convcheck.unreadable import listed, shown

    path, wanted, held = contents("--bn", archive)
    found = {}
    for names in NAMES:
        for first in held:
            prefix = first.removesuffix(names[0])
            whole = not prefix or prefix[-1] in SEPARATORS
            if first.endswith(names[0]) and whole and all(prefix + n in held for n in names):
                found[prefix] = [f"{path}::{prefix}{name}" for name in names]
    asked = found
    if wanted is not None:
        same = wanted.rstrip(SEPARATORS)
        asked = {p: names for p, names in found.items() if p.rstrip(SEPARATORS) == same}
    if len(asked) == 1:
        return next(iter(asked.values()))
    if asked:
        first = next(prefix for prefix in asked if prefix)
        raise InputError(
            f"--bn: {shown(path)} holds {len(asked)} batch normalizations: which one?",
            got=listed([prefix.rstrip(SEPARATORS) or "one without a prefix" for prefix in asked]),
            expected="a prefix",
            hint=f"name one of them: {shown(path)}::{first.rstrip(SEPARATORS)}",
        )
    raise InputError(
        f"--bn: {shown(archive)} holds no batch normalization",
        got=listed(list(held)) if held else "one array without a name",
        expected="; or ".join(", ".join(names) for names in NAMES) + ", all after one prefix",
        hint="name the four arrays: --bn MEAN,VAR,GAMMA,BETA, each a FILE or FILE::NAME",
    )


def batch_norm(arrays: Sequence[Tensor], eps: float | None) -> BatchNorm:
    """The batch normalization of four loaded arrays."""
    from convcheck.checks.identify import BatchNorm
    from convcheck.checks.identify.norm import EPSILON

    mean, var, gamma, beta = (tensor.array for tensor in arrays)
    return BatchNorm(mean, var, gamma, beta, EPSILON if eps is None else eps)
