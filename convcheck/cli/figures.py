"""--explain, --at, --picture and --filter: what is shown beside a report's table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from convcheck.cli.base import with_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convcheck.checks.compare import CompareResult
    from convcheck.checks.identify import IdentifyResult
    from convcheck.cli.base import F


def _cell(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    parts = value.replace("(", "").replace(")", "").split(",")
    batched = ctx.info_name == "identify"  # the only command whose arrays may be batches
    if not 2 <= len(parts) <= 4 + batched or not all(_is_index(p.strip()) for p in parts):
        forms = "k,y,x or n,k,y,x" if batched else "k,y,x"
        raise click.BadParameter(
            f"{value!r} is not a cell: expected {forms}, such as 0,1,2.", ctx=ctx, param=param
        )
    return tuple(map(int, parts))


def _is_index(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def figure_options(function: F) -> F:
    """The options; :func:`figures` takes what they give."""
    return with_options(
        function,
        [
            click.option(
                "--explain", is_flag=True, help="Work out one output cell, number by number."
            ),
            click.option(
                "--at",
                callback=_cell,
                metavar="K,Y,X",
                help="The cell that --explain works out, K,X in 1-D and K,Z,Y,X in 3-D; by default "
                "that of the worst difference.",
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
        ],
    )


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
        made["explanation"] = worked.explain(image, filters, flips, cell, result.rank)
    if options.get("impulse"):
        from convcheck.checks.explain import follow_impulse

        made["impulse"] = follow_impulse(image, filters, flips, rank=result.rank)
    if options["picture"] or only is not None:
        from convcheck.checks.picture import difference_map

        worst = max(result.decompositions, key=lambda row: row.comparison.max_abs_diff)
        name = result.expect or worst.name
        made["picture"] = difference_map(
            *(image, filters, flips[name]),
            name=name,
            method=result.method,
            only=only,
            rank=result.rank,
        )
    return made


def identify_figures(
    arrays: Sequence[Any], result: IdentifyResult, options: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The same for identify, by the best convention that it found; and why there is none."""
    at, only = options["at"], options["picture_filter"]
    explained = options["explain"] or at is not None
    pictured = options["picture"] or only is not None
    if not explained and not pictured:
        return {}, ()
    from convcheck.checks import agreement as checked
    from convcheck.checks.cell import check_cell, telling_cell, work_out

    image, filters, output = arrays
    seen = checked.agreement(image, filters, output, result, options.get("memory"))
    if seen is None:
        return {}, ("nothing comes near OUT: there is no convention to explain or to picture",)
    made: dict[str, Any] = {"windows": checked.windows(seen.convention, image, filters)}
    if explained:
        c = seen.convention
        at = at or seen.worst() or telling_cell(image, filters, c)
        at = check_cell(at, image.shape, filters.shape, c)
        one = seen.alone(at)
        made["cell"] = work_out(
            *(image, filters, output, c, at),
            role=seen.role,
            threshold=float(one.threshold.item()),
            agrees=not one.wrong.item(),
        )
    if pictured:
        made["picture"] = checked.agreement_map(seen, only=only)
    return made, ()
