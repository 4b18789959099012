"""--explain, --at, --picture and --filter: what is shown beside a comparison's table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convcheck.checks.compare import CompareResult
    from convcheck.cli.base import F


def _cell(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[int, int, int] | None:
    if value is None:
        return None
    parts = value.replace("(", "").replace(")", "").split(",")
    if len(parts) != 3 or not all(_is_index(p.strip()) for p in parts):
        raise click.BadParameter(
            f"{value!r} is not a cell: expected k,y,x, such as 0,1,2.", ctx=ctx, param=param
        )
    k, y, x = map(int, parts)
    return (k, y, x)


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def figure_options(function: F) -> F:
    """The options; :func:`figures` takes what they give."""
    for option in reversed(
        [
            click.option(
                "--explain", is_flag=True, help="Work out one output cell, number by number."
            ),
            click.option(
                "--at",
                callback=_cell,
                metavar="K,Y,X",
                help="The cell that --explain works out; that of the worst difference by default.",
            ),
            click.option(
                "--picture", is_flag=True, help="Draw where on the output the difference lies."
            ),
            click.option(
                *("--filter", "picture_filter"),
                type=click.IntRange(min=0),
                metavar="K",
                help="The filter that --picture draws; the worst of all by default.",
            ),
        ]
    ):
        function = option(function)
    return function


def figures(
    image: Any, filters: Any, result: CompareResult, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The report's fields for the figures that were asked for."""
    made: dict[str, Any] = {}
    if result.interrupted:
        return made  # who pressed Ctrl-C does not wait for a picture
    at, only = options["at"], options["picture_filter"]
    flips = {row.name: row.flip for row in result.decompositions}
    if options["explain"] or at is not None:
        from convcheck.checks import explain as worked

        cell = worked.worst_cell(result) if at is None else at
        made["explanation"] = worked.explain(image, filters, flips, cell)
    if options.get("impulse"):
        from convcheck.checks.explain import follow_impulse

        made["impulse"] = follow_impulse(image, filters, flips)
    if options["picture"] or only is not None:
        from convcheck.checks.picture import difference_map

        worst = max(result.decompositions, key=lambda row: row.comparison.max_abs_diff)
        name = result.expect or worst.name
        made["picture"] = difference_map(
            image, filters, flips[name], name=name, method=result.method, only=only
        )
    return made
