"""A convention as a report says it: in one sentence, as JSON to copy, as code to paste."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import numpy as np

from convcheck.calls import equivalent_calls
from convcheck.convention import Convention, usual_convention
from convcheck.words import describe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from convcheck.render.report import Report

_ALWAYS = ("image_layout", "filter_layout", "output_layout", "flip")
"""Keys that are said even where they are the default: a bare {} would say nothing."""


def sentence(convention: Convention, report: Report, output: str = "OUT") -> str:
    """The convention in one sentence, without its full stop."""
    return describe(
        convention,
        output=output,
        image_shape=report.image.shape,
        filter_shape=report.filters.shape,
    )


def short_json(convention: Convention) -> str:
    """The convention as one line of JSON; what is left out is the default."""
    keys = convention.to_dict()
    usual = Convention(filter_layout="OI" + convention.spatial).to_dict()
    return compact({key: v for key, v in keys.items() if key in _ALWAYS or v != usual[key]})


def compact(mapping: Mapping[str, Any]) -> str:
    """JSON on one line."""
    return json.dumps(mapping, separators=(",", ":"), allow_nan=False)


def calls(convention: Convention, report: Report) -> dict[str, str]:
    """Code for each library that makes OUT from IMG and W, in the arithmetic that holds it all."""
    kinds = {np.dtype(operand.dtype).kind for operand in report.operands.values()}
    dtype = "float64"
    if "c" in kinds:
        dtype = "complex128"
    elif kinds <= {"b", "i", "u"}:
        dtype = "int64"
    return equivalent_calls(convention, report.image.shape, report.filters.shape, dtype=dtype)


def audit_command(report: Report, convention: Convention, *more: str) -> str:
    """The command that audits these operands for a convention."""
    shapes = (report.image.shape, report.filters.shape)
    rank = convention.rank
    usual = usual_convention(*shapes, rank=rank).to_dict()
    unusual = {key: v for key, v in convention.to_dict().items() if v != usual[key]}
    keys = ["--as", compact(unusual)] if unusual else []
    if usual_convention(*shapes, unusual).rank != rank:
        keys += ["--rank", str(rank)]
    paths = [report.image.path, report.filters.path]
    dashes = ["--"] if any(p.startswith("-") and p != "-" for p in paths) else []
    return shlex.join(["convcheck", "audit", *keys, *more, *dashes, *paths])
