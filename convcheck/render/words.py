"""The sentences of a report, the same in every format."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from convcheck.checks.blindness import AXIS_WORDS
from convcheck.convention.channels import spatial
from convcheck.reference import NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convcheck.checks.compare import CompareResult, Decomposition
    from convcheck.comparison import Number
    from convcheck.render.report import Report


def shape_text(shape: Sequence[int]) -> str:
    """3x5x5."""
    return "x".join(map(str, shape))


def filter_words(rank: int) -> dict[str, str]:
    """What lies along each axis of a filter with so many spatial axes, by the axis's letter."""
    return {axis: f"{word}s" for axis, word in AXIS_WORDS[rank].items()}


def spatial_words(rank: int) -> list[str]:
    """What lies along each spatial axis of an image: slices, rows, columns."""
    words = filter_words(rank)
    return [words[axis] for axis in spatial(rank)] if rank > 1 else ["samples"]


def enumerate_words(words: Sequence[str], last: str = "and") -> str:
    """a, b and c."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def number(value: Number) -> str:
    """A number as it is, in the fewest digits that say it exactly."""
    if isinstance(value, complex):
        sign = "-" if value.imag < 0 or str(value.imag).startswith("-") else "+"
        return f"{number(value.real)}{sign}{number(abs(value.imag))}j"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    return repr(value)


def size(value: float) -> str:
    """A difference or a threshold, to three digits; they are judged in full."""
    return number(value) if abs(value) < 1e6 and value == int(value) else f"{value:.3g}"


def verdict_name(result: CompareResult) -> str:
    """The verdict; of a part it is none."""
    return "partial" if result.interrupted else result.verdict


def verdict_line(result: CompareResult) -> str:
    """The answer, in one sentence."""
    total = result.decompositions[0].comparison.total
    if result.interrupted:
        names = enumerate_words(result.matching) or "no row"
        return (
            f"interrupted after {total} of {prod(result.shape)} elements. Of these alone: "
            f"{names} {_match(result.matching or ('',))} {NAME}."
        )
    if result.verdict == "mismatch" and result.expect is not None:
        row = next(d for d in result.decompositions if d.name == result.expect)
        line = (
            f"{row.name} was expected and does not match: {row.comparison.mismatched} of "
            f"{_elements(total)} differ from scipy by more than rounding can explain."
        )
        if result.matching:
            line += f" {enumerate_words(result.matching)} {_match(result.matching)}."
        return line
    if result.verdict == "mismatch":
        return (
            "No decomposition matches scipy.signal.convolve. One of them must: this is a defect of "
            "scipy, numpy or convcheck, and worth a report."
        )
    how = "to the last digit" if result.exact else "within proven rounding bounds"
    names = enumerate_words(result.matching)
    if len(result.matching) > 1 and result.verdict == "match":
        same = next(s for s in result.same_operation if result.matching[0] in s.names)
        names += f", the same operation {same.because},"
    return f"{names} {_match(result.matching)} {NAME} {how}, {_elements(total, 'all ')}."


def explanation(result: CompareResult) -> list[str]:
    """Why, what the data cannot tell, and what to call instead.

    A line that begins with two spaces is code, to be copied: it must not be wrapped.
    """
    if result.interrupted:
        return []
    lines = []
    if "flipped" in result.matching:
        channels = result.image_shape[0] if len(result.image_shape) > result.rank else 1
        _, *spatial = filter_words(result.rank).values()
        lines.append(
            "Why: scipy's N-D convolution reverses every axis of the filter: "
            f"{', '.join(spatial)} and the channel axis too. "
            + (
                f"So image channel c meets filter channel C-1-c (here {_pairs(channels)})."
                if channels > 1
                else "With one channel there is no channel order to reverse."
            )
        )
    lines.extend(
        f"This data cannot tell {enumerate_words(blind.names)} apart: {blind.reason}. "
        f"To tell them apart, {blind.remedy}."
        for blind in result.indistinguishable
    )
    others = [d for d in result.decompositions if not d.matches]
    calls = {d.name: call for d in others if (call := _call(d, result)) is not None}
    if calls:
        lines.append("If you wanted another row, call instead:")
        width = max(map(len, calls))
        lines.extend(f"  {name:{width}}  {call}" for name, call in calls.items())
    return lines


def reading(result: CompareResult) -> list[str]:
    """What the axes are, where they are not those of 2-D images and filters."""
    if result.rank == 2:
        return []
    sizes = spatial(result.rank)
    image = ("C", *sizes)[-len(result.image_shape) :]
    filters = ("K", "C", *(f"F{axis.lower()}" for axis in sizes))[-len(result.filters_shape) :]
    return [f"Read as {result.rank}-D: IMG ({', '.join(image)}), W ({', '.join(filters)})."]


def oracle_call(result: CompareResult) -> str:
    """What was judged against, as code; in it w[k] is each filter in turn."""
    return f"{NAME}({_image(result)}, {_filter(result)}, 'valid', method='{result.method}')"


def how(report: Report) -> list[str]:
    """How a result was come by: versions, arithmetic, method, time."""
    import platform

    import numpy as np
    import scipy

    from convcheck import __version__

    result: CompareResult = report.result
    sums = "every sum is exact" if result.exact else "sums round, within proven bounds"
    return [
        (
            f"convcheck {__version__}, numpy {np.__version__}, scipy {scipy.__version__}, "
            f"Python {platform.python_version()}"
        ),
        f"both sides computed in {result.dtype}: {sums}",
        f"scipy's method: {result.method}",
        f"time: {report.seconds:.2g} s, with the import of scipy.signal",
    ]


def _match(names: Sequence[str]) -> str:
    return "matches" if len(names) == 1 else "match"


def _elements(count: int, every: str = "") -> str:
    return "the one element" if count == 1 else f"{every}{count} elements"


def _pairs(channels: int) -> str:
    pairs = [f"{c} with {channels - 1 - c}" for c in range(channels)]
    return ", ".join(pairs if channels <= 4 else [*pairs[:2], "...", pairs[-1]])


def _image(result: CompareResult) -> str:
    # An image without a channel axis is what filters without one meet as they are.
    flat = len(result.filters_shape) == result.rank < len(result.image_shape)
    return "x[0]" if flat else "x"


def _filter(result: CompareResult, channels: str = "", conjugate: bool = False) -> str:
    """One filter, as scipy must be given it; ``channels`` is how its first axis is sliced."""
    subscripts = ["k"] if len(result.filters_shape) == result.rank + 2 else []
    if len(result.image_shape) == result.rank < len(result.filters_shape):
        subscripts.append("0")
    elif channels:
        subscripts.append(channels)
    inside = f"[{', '.join(subscripts)}]" if subscripts else ""
    return f"w{inside}{'.conj()' if conjugate else ''}"


def _call(row: Decomposition, result: CompareResult) -> str | None:
    """The scipy call that computes a row, where one does."""
    if row.name == "correlation":
        # scipy's correlate conjugates its second operand; a CNN layer does not.
        kernel = _filter(result, conjugate=isinstance(row.comparison.expected, complex))
        return f"scipy.signal.correlate({_image(result)}, {kernel}, 'valid')"
    if row.name == "per-channel":
        return f"{NAME}({_image(result)}, {_filter(result, '::-1')}, 'valid')"
    return None
