"""How the windows of a convention lie, drawn along each axis."""

from __future__ import annotations

import pytest

from convcheck.convention import Axis
from convcheck.render import strip
from convcheck.render.report import Style


def strip_of(axis: Axis, style: Style | None = None) -> list[str]:
    """The strip along the rows, without the line of words."""
    lines = strip.render((axis, axis), style or Style())
    assert len(lines) == 1 + 2 * (len(lines) // 2)
    return [line.plain for line in lines[2 : 1 + len(lines) // 2]]


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        (
            Axis(8, 3, before=1, after=1),
            [
                "  ▒████████▒  █ IMG  ▒ padding",
                "  ▲▲▲▲▲▲▲▲    where each window starts",
                "  ■■■         the first window",
                "         ■■■  the last window",
            ],
        ),
        (
            Axis(9, 3, stride=3, dilation=2),
            [
                "  █████████  █ IMG",
                "  ▲  ▲       where each window starts",
                "  ■ ■ ■      the first window",
                "     ■ ■ ■   the last window",
            ],
        ),
        (
            Axis(4, 2, input_dilation=2, before=1, after=-1),
            [
                "  ▒█·█·█·x  █ IMG  ▒ padding  · zero  x cropped",
                "  ▲▲▲▲▲▲    where each window starts",
                "  ■■        the first window",
                "       ■■   the last window",
            ],
        ),
        (
            Axis(3, 3),
            [
                "  ███  █ IMG",
                "  ▲    where each window starts",
                "  ■■■  the first window",
            ],
        ),
    ],
)
def test_the_strip_is_exactly_this(axis: Axis, expected: list[str]) -> None:
    assert strip_of(axis) == expected


def test_the_strip_in_plain_characters() -> None:
    axis = Axis(40, 3, stride=2, before=1, after=1)
    lines = strip_of(axis, Style(unicode=False, width=60))
    assert lines[0].startswith("  +########### ~ ###########")
    assert all(line.isascii() and len(line) <= 60 for line in lines)


@pytest.mark.parametrize(
    ("rank", "names"),
    [(1, ["samples"]), (2, ["rows", "columns"]), (3, ["slices", "rows", "columns"])],
)
def test_there_is_one_along_each_axis(rank: int, names: list[str]) -> None:
    lines = [line.plain for line in strip.render((Axis(5, 2),) * rank, Style())]
    titles = [line for line in lines if line.startswith("Along the ")]
    assert [title.removeprefix("Along the ").partition(":")[0] for title in titles] == names
