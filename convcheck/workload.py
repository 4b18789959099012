"""A list of convolutions to put an implementation to, as oneDNN's benchdnn writes them.

A line has a problem such as ``mb1ic64ih56oc64oh56kh3ph1nresnet_50:conv2``: groups, images, channels
and filters of all groups, and for each of depth, height and width the image's side, the output's,
the kernel's, stride, padding, and dilation counted from 0. What is left out follows from the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from convcheck.campaign import LARGEST, WIDEST, Case, Wanted, case
from convcheck.errors import InputError
from convcheck.reading import read_bytes, read_text
from convcheck.unreadable import clip, shown

AXES = "dhw"
SIZES = {
    "d": ("depth", "kernel_depth"),
    "h": ("height", "kernel_height"),
    "w": ("width", "kernel_width"),
}
_KEYS = ("g", "mb", "ic", "oc", *(kind + axis for kind in "ioksp" for axis in AXES))
_KEYS += tuple("d" + axis for axis in AXES)
_KEY = re.compile(f"({'|'.join(_KEYS)})")
_NUMBER = re.compile(r"[0-9]{1,9}")
_Bad = Callable[..., InputError]
EXPECTED = (
    "a problem such as mb1ic64ih56oc64oh56kh3ph1nNAME: keys of g, mb, ic, id, ih, iw, oc, od, oh, "
    "ow, kd, kh, kw, sd, sh, sw, pd, ph, pw, dd, dh, dw with a number each, and a name after n"
)


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a problem: ``padding`` is what is before and after the image."""

    size: int
    taps: int
    stride: int
    dilation: int
    padding: tuple[int, int]

    @property
    def even(self) -> int | None:
        """The padding of both sides that gives the same windows, if there is one."""
        before, after = self.padding
        span = self.dilation * (self.taps - 1) + 1
        asked, both = ((self.size + before + end - span) // self.stride for end in (after, before))
        return before if before >= 0 and asked == both else None


@dataclass(frozen=True)
class Problem:
    """One convolution: ``line`` is where a text has it."""

    name: str
    line: int | None
    batch: int
    channels: int
    filters: int
    groups: int
    axes: tuple[Axis, ...]

    @property
    def words(self) -> str:
        """Its name and its place."""
        place = "" if self.line is None else f"line {self.line}"
        named = shown(self.name)
        return f"{named} ({place})" if named and place else named or place

    def sizes(self) -> dict[str, int]:
        """The keys of a case; where an axis differs from another those of the first one."""
        found = {"depth": 1, "kernel_depth": 1, "height": 1, "kernel_height": 1}
        for letter, axis in zip(AXES[-len(self.axes) :], self.axes, strict=True):
            side, taps = SIZES[letter]
            found |= {side: axis.size, taps: axis.taps}
        first = self.axes[0]
        return found | {
            "batch": self.batch,
            "channels": self.channels,
            "filters": self.filters,
            "groups": self.groups,
            "rank": len(self.axes),
            "stride": first.stride,
            "dilation": first.dilation,
            "padding": first.even or 0,
        }

    def unfit(self) -> str | None:
        """Why no target can be called with it, as it has one number for all axes and both sides."""
        for what in ("stride", "dilation"):
            values = [getattr(axis, what) for axis in self.axes]
            if len(set(values)) > 1:
                return f"another {what} along each axis: a target is given one number"
        paddings = [axis.even for axis in self.axes]
        if None in paddings:
            return "another padding before the image than after it: a target is given one number"
        if len(set(paddings)) > 1:
            return "another padding along each axis: a target is given one number"
        return None


@dataclass(frozen=True)
class Workload:
    """The problems of a file, and what makes cases of them."""

    file: str
    digest: str
    """Of the file: shards that are merged have the same."""
    problems: tuple[Problem, ...]
    cut: dict[int, int] = field(default_factory=dict)
    """How many images a problem is run with, where it is too large with all of them."""

    def case(self, seed: int, number: int) -> Case:
        """A problem as a case, with the data that are drawn for this number."""
        sizes: dict[str, Any] = {**self.problems[number].sizes(), "batch": self._batch(number)}
        return replace(case(seed, number), **sizes)

    def cases(self, seed: int, count: int, *, shard: tuple[int, int] = (1, 1)) -> Iterator[Wanted]:
        """The first ``count`` problems, or those of a shard."""
        for number in range(shard[0] - 1, count, shard[1]):
            wanted = self.case(seed, number)
            unfit = self.problems[number].unfit()
            if _large(wanted):
                unfit = "too large to be judged, with one image too"
            yield Wanted(wanted, unfit)

    def problem(self, found: Case) -> Problem | None:
        """The problem that a case is, if it is one."""
        if found.number >= len(self.problems):
            return None
        sizes = {**self.problems[found.number].sizes(), "batch": self._batch(found.number)}
        same = all(getattr(found, key) == value for key, value in sizes.items())
        return self.problems[found.number] if same else None

    def _batch(self, number: int) -> int:
        return self.cut.get(number, self.problems[number].batch)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is not as the file has it."""
        if not self.cut:
            return ()
        first = min(self.cut)
        one = len(self.cut) == 1
        said = (
            f"{len(self.cut)} problem{' is' if one else 's are'} too large for all "
            f"{'its' if one else 'their'} images, and run with fewer: the first is "
            f"{self.problems[first].words}, with {self.cut[first]} of "
            f"{self.problems[first].batch}"
        )
        return (said,)


def load(path: str) -> Workload:
    """The problems of a file: an ONNX model by its name, or a text.

    Raises:
        InputError: no such file, none such, or a line that is no problem.
    """
    if path.lower().endswith(".onnx"):
        from convcheck.onnx_workload import problems_of

        found = tuple(problems_of(path))
    else:
        found = tuple(parsed(read_text("--workload", path), path))
    digest = sha256(read_bytes("--workload", path)).hexdigest()
    if not found:
        raise InputError(
            f"--workload: {shown(path)} has no problem",
            got="no convolution" if path.lower().endswith(".onnx") else "comments and options",
            expected=EXPECTED + "; or an ONNX model with convolutions",
        )
    whole = Workload(path, digest, found)
    cut = {}
    for number, problem in enumerate(found):
        most = problem.batch
        while most > 1 and _large(replace(whole.case(0, number), batch=most)):
            most //= 2
        if most < problem.batch:
            cut[number] = most
    return replace(whole, cut=cut)


def _large(wanted: Case) -> bool:
    return wanted.size > LARGEST or wanted.widest > WIDEST


def parsed(text: str, path: str) -> Iterator[Problem]:
    """The problems of a text; comments and options are passed over.

    Raises:
        InputError: a line that is no problem.
    """
    for number, line in enumerate(text.splitlines(), 1):
        for word in line.split():
            if word.startswith("#"):
                break
            if not word.startswith("-"):
                yield problem_of(word, number, path)


def problem_of(word: str, line: int, path: str) -> Problem:
    """One problem.

    Raises:
        InputError: none.
    """

    def bad(what: str, got: str, expected: str = EXPECTED) -> InputError:
        place = f"--workload: {shown(path)}, line {line}"
        return InputError(
            f"{place}: {what}",
            got=got,
            expected=expected,
            hint="mend the line, or put # before it",
        )

    keys, name = _keys(word, bad)
    axes = _axes(keys, word, bad)
    groups = keys.get("g", 1)
    for key in ("g", "mb", "ic", "oc"):
        if keys.get(key, {"g": 1, "mb": 2}.get(key, 0)) < 1:
            raise bad(f"{key} is missing or 0", clip(word), f"{key} with a number from 1")
    for key in ("ic", "oc"):
        if keys[key] % groups:
            raise bad(
                f"{key} is no multiple of g",
                f"{key}{keys[key]} and g{groups}",
                f"{key} of all groups together",
            )
    return Problem(name, line, keys.get("mb", 2), keys["ic"], keys["oc"], groups, axes)


def _keys(word: str, bad: _Bad) -> tuple[dict[str, int], str]:
    keys: dict[str, int] = {}
    place = 0
    while place < len(word):
        if word[place] == "_":
            place += 1
            continue
        if word[place] == "n":
            return keys, word[place + 1 :].strip("\"'")
        key = _KEY.match(word, place)
        if key is None:
            raise bad("no key that is known", f"{clip(word[place:])!r} in {clip(word)}")
        number = _NUMBER.match(word, key.end())
        if number is None:
            got = f"{clip(word[key.end() :])!r} after {key[0]!r} in {clip(word)}"
            raise bad(f"{key[0]} has no number", got, "a whole number of at most 9 digits")
        keys[key[0]] = int(number[0])
        place = number.end()
    return keys, ""


def _axes(keys: Mapping[str, int], word: str, bad: _Bad) -> tuple[Axis, ...]:
    """The axes: one that is left out is as the one before it, unless the ones before are too."""
    given = [axis for axis in AXES if _is_said(axis, keys)]
    named = "".join(given)
    if named not in ("d", "dhw", "h", "hw", "w"):
        expected = "the sizes of w, of h and w, of h alone for both, of d, h and w, or of d for all"
        raise bad("not the axes of a convolution", f"{named or 'none'} in {clip(word)}", expected)
    count = {"d": 3, "dhw": 3, "h": 2, "hw": 2, "w": 1}[named]
    found = [_axis(axis, keys, word, bad) for axis in given]
    return tuple(found) if len(found) == count else (found[0],) * count


def _is_said(axis: str, keys: Mapping[str, int]) -> bool:
    sizes = any(keys.get(kind + axis) for kind in "iokd")
    return sizes or keys.get(f"s{axis}", 1) != 1 or keys.get(f"p{axis}", 0) > 0


def _axis(axis: str, keys: Mapping[str, int], word: str, bad: _Bad) -> Axis:
    size, taps = keys.get(f"i{axis}", 0), keys.get(f"k{axis}", 0)
    if not size or not taps:
        raise bad(f"i{axis} or k{axis} is missing or 0", clip(word), f"i{axis} and k{axis} from 1")
    stride, dilation = keys.get(f"s{axis}", 1), keys.get(f"d{axis}", 0) + 1
    if not stride:
        raise bad(f"s{axis} is 0", clip(word), f"s{axis} from 1")
    span = dilation * (taps - 1) + 1
    output, before = keys.get(f"o{axis}", 0), keys.get(f"p{axis}")
    if output:
        both = (output - 1) * stride - size + span
        before = max(0, both // 2) if before is None else before
        after = both - before
    else:
        before = after = before or 0
    if size + before + max(0, after) < span:
        raise bad(
            f"along {axis} the kernel is longer than the padded image",
            f"a kernel that spans {span}, an image of {size + before + max(0, after)}",
            "a window at least",
        )
    return Axis(size, taps, stride, dilation, (before, after))
