"""What compare and random ask of the judge, as options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from convcheck.cli.base import with_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convcheck.cli.base import F

DECOMPOSITIONS = ("per-channel", "flipped", "correlation")
SYNONYMS = {"convolution": "per-channel", "cross-correlation": "correlation"}
"""As in convention, which is not imported for a command's options."""


def judge_options(function: F) -> F:
    """The options of compare that random shares."""
    return with_options(
        function,
        [
            click.option(
                "--expect",
                type=click.Choice([*DECOMPOSITIONS, *SYNONYMS]),
                callback=lambda ctx, param, value: SYNONYMS.get(value, value),  # noqa: ARG005
                help="Claim that this decomposition matches: exit 1 if it does not. convolution is "
                "another name of per-channel.",
            ),
            click.option(
                "--strict",
                is_flag=True,
                help="A match that the data cannot tell from another row is exit 1.",
            ),
            click.option(
                "--all-flips",
                is_flag=True,
                help="Judge every flip of the filter's axes: of (I, H, W) all eight.",
            ),
            click.option(
                "--rank",
                type=click.IntRange(1, 3),
                metavar="1|2|3",
                help="How many spatial axes there are; 2 by default where the shapes allow that.",
            ),
            click.option(
                "--method",
                type=click.Choice(["auto", "direct", "fft"]),
                default="auto",
                help="scipy.signal.convolve's own method.",
            ),
        ],
    )


def judging_words(judging: Mapping[str, Any]) -> list[str]:
    """The options of ``judge_options`` that are not at their defaults, as they are typed."""
    words = [f"--{key.replace('_', '-')}" for key in ("strict", "all_flips") if judging[key]]
    if judging["rank"] is not None:
        words += ["--rank", str(judging["rank"])]
    if judging["expect"] is not None:
        words += ["--expect", judging["expect"]]
    return [*words, "--method", judging["method"]] if judging["method"] != "auto" else words
