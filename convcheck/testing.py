"""convcheck in a test of your own, under pytest, unittest or nothing at all.

``assert_convolution`` holds one output to a convention; ``cases`` are what to try a whole
implementation on.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convcheck.campaign import SAME, Case, parse_id
from convcheck.campaign import cases as _cases
from convcheck.checks.verify.claims import claim
from convcheck.checks.verify.judgement import judge
from convcheck.checks.verify.mistakes import mistakes
from convcheck.checks.verify.model import LAYOUTS, Model
from convcheck.convention import Convention, parse_partial
from convcheck.convention.usual import usual_convention
from convcheck.engine import convolve
from convcheck.errors import ConvcheckError, InputError
from convcheck.kinds import detached
from convcheck.pytest_plugin import DIAGNOSE
from convcheck.target import PARAMETERS
from convcheck.words import describe, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["TestCase", "assert_convolution", "case", "cases"]

Array = NDArray[Any]
__unittest = True  # unittest leaves the frames of a module that says so out of a traceback


def assert_convolution(
    image: ArrayLike,
    filters: ArrayLike,
    output: ArrayLike,
    convention: str | Mapping[str, Any] | Convention = "correlation",
) -> None:
    """Fail unless ``output`` is this convolution of ``image`` with ``filters``.

    ``convention`` is a slug (correlation, per-channel, flipped), a JSON object or a dict of a
    convention's keys, or a :class:`convcheck.Convention`. Layouts that it does not name are the
    usual ones for arrays of so many axes. Rounding in the coarsest of the three dtypes is allowed
    for, and nothing else.

    Raises:
        AssertionError: it is not; the message says which of the usual mistakes it is, and where the
            worst element is. ``pytest --convcheck-diagnose``, or ``CONVCHECK_DIAGNOSE=1``, lets it
            search every convention where it is none of them, for some seconds.
        InputError: arrays or a convention that cannot be judged.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    x, w, y = (_array(a) for a in (image, filters, output))
    wanted = _convention(x, w, y, convention)
    seen = judge(x, w, y, wanted)
    if seen.passed:
        return
    name, explained = _explained(x, w, y, wanted)
    lines = [
        f"the output is not the one that was claimed: {name}{seen.kind}: {seen.detail}",
        f"claimed: {describe(wanted, image_shape=x.shape, filter_shape=w.shape)}",
        explained,
    ]
    raise AssertionError("\n".join(lines))


@dataclass(frozen=True)
class TestCase:
    """One case of a campaign: arrays, the parameters to call with, and the right output."""

    __test__ = False  # not for pytest to collect

    case: Case
    layout: str
    parameters: Mapping[str, int]
    """What to pass: ``conv(image, filters, **case.parameters)``."""

    def arrays(self) -> tuple[Array, Array]:
        """The image and the filters, fresh ones at every call."""
        return self.case.arrays(*LAYOUTS[self.layout])

    def id(self) -> str:
        """What names it in a test's name, and in :func:`case`: its id, and what it is like."""
        image, filters = ("x".join(map(str, a.shape)) for a in self.arrays())
        steps = [f"{p}{n}" for p, n in self.parameters.items() if n != (p != "padding")]
        return "-".join([self.case.id, image, filters, *steps, self.dtype])

    @property
    def dtype(self) -> str:
        """The arrays' dtype."""
        return self.case.dtype

    def convention(
        self, convention: str | Mapping[str, Any] | Convention = "correlation"
    ) -> Convention:
        """A convention with this case's layouts and parameters.

        Whatever ``convcheck verify --expect`` takes: the padding may be a rule, ``same-upper`` or
        ``{"padding": "SAME_UPPER"}``.
        """
        image_layout, filter_layout = LAYOUTS[self.layout]
        base = Convention(image_layout, filter_layout, image_layout)
        keys = _keys(convention, claim)
        transposed = filter_layout.startswith("IO")
        if transposed and convention == "correlation":
            keys = {"flip": base.replace(flip="per-channel").flip}  # what a transposed one is
        return Model(self.layout, base, transposed=transposed, expect=keys).convention(self.case)

    def expected(self, convention: str | Mapping[str, Any] | Convention = "correlation") -> Array:
        """The right output, in float64 or exact integers."""
        return convolve(*self.arrays(), self.convention(convention))

    def check(
        self,
        output: ArrayLike,
        convention: str | Mapping[str, Any] | Convention = "correlation",
    ) -> None:
        """:func:`assert_convolution` for this case.

        Raises:
            AssertionError: the output is not right.
        """
        __tracebackhide__ = True
        image, filters = self.arrays()
        assert_convolution(image, filters, output, self.convention(convention))


def cases(
    count: int = 100,
    seed: int = 0,
    *,
    layout: str = "NCHW",
    parameters: Collection[str] = PARAMETERS,
    dtypes: Collection[str] = ("float32", "float64"),
) -> list[TestCase]:
    """Cases from small to large, each the same whenever it is asked for.

    A list, which is what pytest wants to parametrise with; arrays are made when asked for.

    Args:
        count: how many.
        seed: what they are drawn from.
        layout: of the arrays: one of ``convcheck.checks.verify.LAYOUTS``.
        parameters: those that the implementation takes, out of stride, padding, dilation, groups.
        dtypes: those that it takes; a case of another dtype comes in the first of them.

    Raises:
        InputError: a layout or a parameter that there is not.
    """
    _check(layout, parameters)
    fitting = layout, tuple(parameters), tuple(dtypes)
    return [_fitted(drawn, *fitting) for drawn in _cases(seed, count)]


def case(
    case_id: str,
    *,
    layout: str = "NCHW",
    parameters: Collection[str] = PARAMETERS,
    dtypes: Collection[str] = ("float32", "float64"),
) -> TestCase:
    """The case of an id; what it is like, after the first hyphen, may be left out.

    Raises:
        InputError: no id.
    """
    _check(layout, parameters)
    return _fitted(parse_id(case_id.partition("-")[0]), layout, tuple(parameters), tuple(dtypes))


def _check(layout: str, parameters: Collection[str]) -> None:
    if layout not in LAYOUTS:
        raise InputError(f"no layout is named {layout!r}", expected=f"one of {', '.join(LAYOUTS)}")
    for name in parameters:
        if name not in PARAMETERS:
            expected = f"some of {', '.join(PARAMETERS)}"
            raise InputError(f"no parameter is named {name!r}", expected=expected)


def _fitted(
    drawn: Case, layout: str, parameters: tuple[str, ...], dtypes: tuple[str, ...]
) -> TestCase:
    transposed = LAYOUTS[layout][1].startswith("IO")
    model = Model(layout, Convention(), transposed=transposed, parameters=parameters, dtypes=dtypes)
    # What an implementation may refuse is verify's to try: two dtypes in one call, NaN.
    plain = "ints" if drawn.values == "nan" else drawn.values
    fitted = model.project(replace(drawn, filters_dtype=SAME, values=plain))
    return TestCase(fitted, layout, {p: getattr(fitted, p) for p in parameters})


def _array(given: ArrayLike) -> Array:
    array = np.asarray(detached(given).numpy() if hasattr(given, "detach") else given)
    if array.dtype.kind not in "biufc":
        raise InputError("an array does not hold numbers", got=f"dtype {array.dtype}")
    return array


def _keys(
    convention: str | Mapping[str, Any] | Convention,
    read: Callable[[str], dict[str, Any]] = parse_partial,
) -> dict[str, Any]:
    if isinstance(convention, Convention):
        return dict(vars(convention))
    return read(convention if isinstance(convention, str) else json.dumps(dict(convention)))


def _convention(
    image: Array, filters: Array, output: Array, convention: str | Mapping[str, Any] | Convention
) -> Convention:
    if isinstance(convention, Convention):
        return convention
    keys = _keys(convention)
    found = usual_convention(image.shape, filters.shape, keys)
    lean = found.output_layout.replace("C", "")
    if "output_layout" in keys or output.ndim != len(lean):
        return found
    return found.replace(output_layout=lean)


ENOUGH = 24
"""Elements of a wrong output that say what it is."""


BUDGET = 0.5
"""Seconds of the thread's own that may be spent on trying the usual mistakes: other work on the
machine changes no message."""


SEARCH = 8.0
"""Seconds that a search may take, where it is asked for."""


def _explained(image: Array, filters: Array, output: Array, wanted: Convention) -> tuple[str, str]:
    """The mistake in a word, where there is one for it, and in a sentence."""

    def said(convention: Convention) -> str:
        return describe(convention, image_shape=image.shape, filter_shape=filters.shape)

    # In a few elements a mistake may look like another convention by chance.
    few = "" if output.size >= ENOUGH else "may be"
    until = time.thread_time() + BUDGET
    for one in mistakes(wanted, image, filters, output):
        with suppress(ConvcheckError):
            if judge(image, filters, output, one.convention).passed:
                name = "kernel reversed: " if one.what.startswith(REVERSED) else ""
                return name, f"what it {few or 'is'}: {said(one.convention)} ({one.what})"
        if time.thread_time() > until:
            break
    if not os.environ.get(DIAGNOSE):
        more = "pytest --convcheck-diagnose, or CONVCHECK_DIAGNOSE=1, searches every convention"
        return "", f"it is none of the usual mistakes: {more}"
    return "", _searched(image, filters, output, wanted, few, said)


REVERSED = "it reverses the kernel's"


def _searched(
    image: Array,
    filters: Array,
    output: Array,
    wanted: Convention,
    few: str,
    said: Callable[[Convention], str],
) -> str:
    from convcheck.checks.identify import identify  # slow to import, and seldom needed

    try:
        result = identify(image, filters, output, budget=SEARCH)
    except ConvcheckError as error:
        return f"it follows no convention: {error.what}"
    first = next(iter(result.candidates), None)
    if first is None or result.verdict == "unexplained":
        return "it follows no convention that convcheck knows"
    if result.verdict == "near-match":
        count = first.comparison
        wrong = f"{count.mismatched} of {count.total} elements"
        return f"what it nearly is: {said(first.convention)}; but for {wrong}"
    found = first.convention
    clauses = "; ".join(differences(found, wanted.replace(arithmetic=found.arithmetic)))
    sure = "is" if result.verdict == "identified" else "may be"
    more = f" (it has {clauses})" if clauses else ""
    return f"what it {few or sure}: {said(found)}{more}"
