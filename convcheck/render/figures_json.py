"""What --explain, --impulse and --picture found, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convcheck.convention import Activation, Storage
from convcheck.convention.channels import spatial
from convcheck.render.json_parts import number

if TYPE_CHECKING:
    from convcheck.checks.cell import Cell
    from convcheck.checks.explain import Block, Explanation, Impulse
    from convcheck.checks.picture import DifferenceMap
    from convcheck.convention import Axis
    from convcheck.render.report import Report


def figures(report: Report) -> dict[str, Any]:
    """The keys of what was asked for, and no others."""
    made: dict[str, Any] = {}
    if report.explanation is not None:
        made["explanation"] = _explanation(report.explanation)
    if report.impulse is not None:
        made["impulse"] = _impulse(report.impulse)
    if report.picture is not None:
        made["picture"] = _picture(report.picture)
    if report.cell is not None:
        made["cell"] = _cell(report.cell)
    if report.windows is not None:
        letters = spatial(len(report.windows))
        made["windows"] = {
            letter: _axis(axis) for letter, axis in zip(letters, report.windows, strict=True)
        }
    return made


def _explanation(found: Explanation) -> dict[str, Any]:
    return {
        "at": list(found.at),
        "window": _blocks(found.window),
        "stored": _blocks(found.stored),
        "reference": number(found.reference),
        "workings": [
            {
                "name": working.name,
                "partners": list(working.partners),
                "applied": _blocks(working.applied),
                "products": _blocks(working.products),
                "sums": [number(s) for s in working.sums],
                "total": number(working.total),
                "matches": found.matches(working),
            }
            for working in found.workings
        ],
    }


def _impulse(impulse: Impulse) -> dict[str, Any]:
    return {
        "at": list(impulse.at),
        "origin": list(impulse.origin),
        "stored": [_blocks(channel) for channel in impulse.stored],
        "outputs": {name: _blocks(blocks) for name, blocks in impulse.outputs.items()},
        "reference": _blocks(impulse.reference),
    }


def _picture(shown: DifferenceMap) -> dict[str, Any]:
    return {
        "name": shown.name,
        "filter": shown.filter,
        "slice": None if shown.slice is None else shown.slice[0],
        "shape": list(shown.shape),
        "reference": shown.reference,
        "share": shown.share,
        "largest": number(shown.largest),
        "cells": [[number(value) for value in row] for row in shown.cells],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "at": list(cell.at),
        "index": list(cell.index),
        "by": cell.role,
        "convention": cell.convention.to_dict(),
        "places": [list(places) for places in cell.places],
        "channels": list(cell.channels),
        "partners": list(cell.partners),
        "window": _blocks(cell.window),
        "stored": _blocks(cell.stored),
        "applied": _blocks(cell.applied),
        "products": _blocks(cell.products),
        "sums": [number(s) for s in cell.sums],
        "total": number(cell.total),
        "rounded": cell.rounded,
        "steps": [
            {"name": name, "with": _plain(given), "result": number(result)}
            for name, given, result in cell.steps
        ],
        "value": number(cell.value),
        "given": number(cell.given),
        "threshold": number(cell.threshold),
        "agrees": cell.agrees,
    }


def _plain(given: Any) -> Any:
    if isinstance(given, Activation):
        return given.plain()
    if isinstance(given, Storage):
        return given.to_dict()
    return given if isinstance(given, str) else number(given)


def _axis(axis: Axis) -> dict[str, int]:
    return {
        "size": axis.size,
        "input_dilation": axis.input_dilation,
        "before": axis.before,
        "after": axis.after,
        "taps": axis.taps,
        "dilation": axis.dilation,
        "stride": axis.stride,
        "windows": axis.out,
    }


def _blocks(blocks: tuple[Block, ...]) -> list[Any]:
    return [_block(block) for block in blocks]


def _block(block: Block) -> list[Any]:
    return [[number(value) for value in row] for row in block]
