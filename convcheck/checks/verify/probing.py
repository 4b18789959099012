"""Learn what an implementation does from small cases that tell every convention apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convcheck.campaign import DTYPES
from convcheck.checks.inputs import shape_text
from convcheck.checks.verify.domain import STARTS, Limit, scouted
from convcheck.checks.verify.guessing import guess, usual
from convcheck.checks.verify.learning import BASE, VARIED, Called, Probe, learn
from convcheck.checks.verify.model import LAYOUTS, Model, Runner, layouts
from convcheck.convention import KEYS, VOCABULARY, Convention, Numbers
from convcheck.convention.channels import SPATIAL
from convcheck.errors import ConvcheckError, InputError
from convcheck.worker import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from convcheck.campaign import Case
    from convcheck.checks.identify import IdentifyResult
    from convcheck.checks.identify.nearest import Miss

Array = NDArray[Any]
LOST = 1
"""So many lost processes a layout's probes may cost, besides the one that ends them."""
PROBED, FINER = "float32", "float64"
"""The dtype of the probes, and that of the next ones where none of them is answered."""
UNEXPLAINED = 2
"""So many outputs that nothing explains end a layout's probes: each takes the whole budget."""
BUDGET = 3.0
"""Seconds that the search of every convention may take for one output."""
AGREED = 2
"""By so many probes the answer must lead: one alone may have met the very mistake sought. Where it
does not give all of an output, by one more."""


def probe(
    runner: Runner, layout: str | None, expect: Mapping[str, Any], budget: float = BUDGET
) -> Probe:
    """Learn a model of the target.

    ``budget`` is how many seconds an output is searched for where it follows no usual convention.

    Raises:
        InputError: it cannot be called at all.
    """
    runner.parameters()
    found, tried = _search(runner, layout, PROBED, budget)
    if found is None and not any(seen.answered or seen.lost for seen in tried):
        found, others = _search(runner, layout, FINER, budget)
        tried = others if any(seen.answered for seen in others) else tried
    if found is None and not any(seen.answered or seen.lost for seen in tried):
        found, others = _search(runner, layout, PROBED, budget, narrow=True)
        tried = others if any(seen.answered for seen in others) else tried
    if found is not None:
        return learn(runner, found.model(), expect, found.mishaps)
    callable_in = [seen for seen in tried if seen.answered]
    if expect and layout is not None and not callable_in:
        callable_in = tried[:1]  # what is to be judged is known without any of its outputs
    notes = _said(tried)
    if not callable_in:
        slow = any(seen.ended for seen in tried)
        hint = "a longer --timeout, where its first call is slow: imports, compiling"
        raise InputError(
            "the target could not be called in any layout",
            got=_telling(tried),
            expected="a callable of an image and filters, such as f(image, filters), or a program "
            "that reads two .npy files and writes one",
            hint=hint
            if slow
            else "say how with --layout; a callable's also with --arrays, --pass or --call, as in "
            "'f(x, w, zeros(K), {\"stride\": stride})[0]'",
        )
    if expect:
        # What is expected can be judged case by case, whatever the target does instead.
        seen = callable_in[0]
        learnt = learn(runner, seen.model(), expect, seen.mishaps)
        return replace(learnt, notes=(*notes, *learnt.notes), assumed=True)
    return Probe(None, notes, next((seen.nearest for seen in callable_in if seen.nearest), None))


def _search(
    runner: Runner, layout: str | None, dtype: str, budget: float, *, narrow: bool = False
) -> tuple[_Layout | None, list[_Layout]]:
    """The layout in which it is known what the target does, and all that were tried.

    ``narrow``: where the plain call is refused, others are tried.
    """
    tried: list[_Layout] = []
    for names in [[layout]] if layout else layouts(runner.kind):
        if any(seen.ended for seen in tried):
            break
        # The search takes seconds: who answers otherwise is depthwise where that is plain to see.
        readers: list[Callable[[_Layout], None]] = [_guessed]
        if not any(seen.outputs for seen in tried):
            readers.append(partial(_identified, budget=budget))
        alike = [_Layout(name, readers, dtype, narrow=narrow) for name in names]
        tried += alike
        found = _best(runner, alike)
        if found is not None:
            return found, tried
    return None, tried


def _best(runner: Runner, alike: Sequence[_Layout]) -> _Layout | None:
    """The first layout of which the probes say what the target does, if only most of them."""
    for seen in alike:
        if _decided(runner, seen, VARIED):
            return seen
        if seen.ended:
            break
    for seen in alike:
        # The very first call may be one that the target fails in its own layout.
        if seen.mishaps and not seen.outputs and _decided(runner, seen, VARIED[1:]):
            return seen
    return next((seen for seen in alike if seen.votes or seen.nearly), None)


def _telling(tried: Sequence[_Layout]) -> str:
    """The error that tells first: that of the target's own code, where it came so far."""
    told = next((seen for seen in tried if seen.where), None)
    told = told or next((seen for seen in tried if seen.said), None)
    if told is None:
        return "nothing"
    place = f", at {told.where}" if told.where else ""
    others = f"; no other of {len(tried)} layouts did better" if len(tried) > 1 else ""
    return f"{told.said}{place}, called with {told.name}{others}"


def _said(tried: Sequence[_Layout]) -> tuple[str, ...]:
    """What came of each layout; those of which the same is to be said together."""
    names: dict[str, list[str]] = {}
    for seen in tried:
        if seen.said:
            names.setdefault(seen.said, []).append(seen.name)
    return tuple(f"{', '.join(layouts)}: {said}" for said, layouts in names.items())


@dataclass
class _Layout:
    """What the probes in one layout say."""

    name: str
    readers: Sequence[Callable[[_Layout], None]]
    """What reads the outputs, the quick one first."""
    dtype: str
    """The probes'."""
    narrow: bool = False
    """Whether calls of other sizes and dtypes are tried where the plain one is refused."""
    domain: tuple[Limit, ...] = ()
    """The limits of what it takes."""
    outputs: list[tuple[Case, Array]] = field(default_factory=list)
    mishaps: list[Called] = field(default_factory=list)
    """The calls that crashed or hung."""
    votes: Counter[Convention] = field(default_factory=Counter)
    """Conventions that give all of an output."""
    nearly: Counter[Convention] = field(default_factory=Counter)
    """Those that give most of one."""
    passed: tuple[str, ...] = ()
    """The parameters that every call must pass."""
    transposed: bool = False
    said: str = ""
    where: str = ""
    """The line of the target's own that raised what is said."""
    precision: str | None = None
    """What its outputs are, where NumPy has no dtype for it."""
    answers: bool = False
    """Whether it gave an output of a shape that can be meant, if only NaN."""
    ended: bool = False
    """Whether no other layout is to be tried."""
    idle: bool = False
    """Whether other numbers in its arrays gave the same output."""
    nearest: Miss | None = None

    @property
    def answered(self) -> bool:
        return bool(self.outputs) or self.answers

    @property
    def lost(self) -> int:
        """The processes, or time limits, that its calls have cost."""
        return sum(outcome.died or outcome.kind == "hang" for _, outcome in self.mishaps)

    @property
    def decided(self) -> bool:
        return _leads(self.votes, AGREED) or _leads(self.votes + self.nearly, AGREED + 1)

    def vote(self, case: Case, found: Convention, *, whole: bool) -> None:
        self.transposed = self.transposed or _is_transposed(found, case)
        (self.votes if whole else self.nearly)[_timeless(found)] += 1

    def model(self) -> Model:
        if not self.votes and not self.nearly:
            return self.plain()
        first = self.votes if _leads(self.votes, AGREED) else self.votes + self.nearly
        return replace(self.plain(), base=_first(first), transposed=self.transposed)

    def plain(self) -> Model:
        """The cross-correlation in this layout."""
        image, filters = LAYOUTS[self.name]
        lean = self.outputs and self.outputs[0][1].ndim < len(image)
        base = Convention(image, filters, image.replace("C", "") if lean else image)
        return Model(
            self.name, base, dtypes=(self.dtype,), precision=self.precision, domain=self.domain
        )


def _decided(runner: Runner, seen: _Layout, variants: Sequence[Mapping[str, int]]) -> bool:
    """Whether the probes of a layout say what the target does."""
    _call(runner, seen, variants)
    for read in seen.readers:
        if seen.outputs and not seen.idle:
            read(seen)
        if seen.decided:
            return True
    return False


def _call(runner: Runner, seen: _Layout, variants: Sequence[Mapping[str, int]]) -> None:
    """The outputs of the probes, as far as the target gives any that can be meant so."""
    name = seen.name
    for variant in variants:
        case = seen.plain().project(replace(BASE, **variant))  # type: ignore[arg-type]
        if any(case == known for known, _ in seen.outputs):
            continue  # within its limits it is another one's
        outcome = runner.run(Request(case, *LAYOUTS[name], seen.passed, repeat=False))
        if outcome.kind == "rejected" and not seen.domain and _narrowed(runner, seen):
            case = seen.plain().project(replace(BASE, **variant))  # type: ignore[arg-type]
            outcome = runner.run(Request(case, *LAYOUTS[name], seen.passed, repeat=False))
        known = runner.parameters() or ()
        if outcome.kind == "rejected" and not seen.outputs and known != seen.passed:
            # Some of them may have no default.
            outcome = runner.run(Request(case, *LAYOUTS[name], known, repeat=False))
            seen.passed = known if outcome.output is not None else ()
        if outcome.output is None:
            seen.where = seen.where or outcome.where
            seen.said = seen.said or outcome.detail
            seen.ended = outcome.kind == "hang" and not seen.outputs
            if outcome.kind == "rejected":
                break
            seen.mishaps.append((case, outcome))
            if seen.lost > LOST or not seen.outputs:
                break
        elif not _plausible(case, *LAYOUTS[name], outcome.output):
            seen.said = seen.said or f"its output is {shape_text(outcome.output.shape)}"
            break
        elif np.isfinite(outcome.output).any():
            seen.outputs.append((case, outcome.output))
            seen.precision = outcome.precision
            seen.idle = _is_idle(runner, seen, *seen.outputs[0])
            if seen.idle:
                seen.said = "its output does not depend on the image and the filters"
                break
        else:
            seen.answers = True
            seen.said = seen.said or "nothing in its output is finite"


def _narrowed(runner: Runner, seen: _Layout) -> bool:
    """Whether the limits of what a target takes are known, which has refused a call."""
    if seen.outputs:
        seen.domain = scouted(runner, seen.plain(), seen.outputs[0][0])
        return bool(seen.domain)
    parameters = seen.passed or runner.parameters() or ()
    for changes in STARTS if seen.narrow else ():
        model = replace(seen.plain(), dtypes=DTYPES, parameters=parameters)
        case = model.project(replace(BASE, **changes))
        outcome = runner.run(Request(case, *model.layouts, parameters, repeat=False))
        if outcome.output is not None and _plausible(case, *model.layouts, outcome.output):
            seen.passed, seen.dtype = parameters, case.dtype
            seen.domain = scouted(runner, replace(model, dtypes=(case.dtype,)), case)
            return True
    return False


def _is_idle(runner: Runner, seen: _Layout, case: Case, output: Array) -> bool:
    """Whether a target computes nothing: a factor of 0 explains it, as it does anything else.

    Only what has no more than a number for each filter is called again, with other numbers.
    """
    if np.unique(output).size > case.filters:
        return False
    other = Request(replace(case, seed=1), *LAYOUTS[seen.name], seen.passed, repeat=False)
    again = runner.run(other).output
    return again is not None and np.array_equal(again, output)


def _guessed(seen: _Layout) -> None:
    """Try the few conventions that most implementations follow, which is quick."""
    models = usual(seen.plain(), BASE.channels, seen.outputs)
    for case, output in seen.outputs:
        model, share = guess(models, case, output)
        if model is not None:
            seen.vote(case, model.convention(case), whole=share == 1)


def _identified(seen: _Layout, budget: float) -> None:
    """Search every convention there is; slow where nothing fits."""
    from convcheck.checks.identify import identify  # slow to import, and seldom needed

    seen.votes.clear()
    seen.nearly.clear()
    unexplained = 0
    for case, output in seen.outputs:
        image, filters = case.arrays(*LAYOUTS[seen.name])
        try:
            result = identify(image, filters, output, budget=budget)
        except ConvcheckError:
            result = None
        found = _in_layout(result, LAYOUTS[seen.name])
        if result is not None and result.candidates:
            first = result.candidates[0].comparison
            # What gives less than half says nothing of how the arrays are handed over.
            found = None if 2 * first.mismatched > first.total else found
        if result is None or found is None or found.scale == 0:
            seen.said = seen.said or (
                f"nothing explains its output of {shape_text(output.shape)} for an image "
                f"{shape_text(image.shape)} and filters {shape_text(filters.shape)}"
            )
            seen.nearest = seen.nearest or (result.nearest if result else None)
            unexplained += 1
        else:
            # A coarse arithmetic explains much: it must not outvote what gives every digit.
            fine = found.arithmetic in ("exact", "float64", "float32")
            whole = result.verdict in ("identified", "ambiguous")
            seen.vote(case, found, whole=whole and fine)
        if seen.decided or (unexplained == UNEXPLAINED and not seen.votes and not seen.nearly):
            return


def _leads(votes: Counter[Convention], by: int) -> bool:
    counts = [count for _, count in votes.most_common(2)]
    return bool(counts) and counts[0] - sum(counts[1:]) >= by


def _first(votes: Counter[Convention]) -> Convention:
    """The answer of most probes; of two, the one that does less."""
    most = votes.most_common(1)[0][1]
    first = [convention for convention, count in votes.items() if count == most]
    if len(first) == 1:
        return first[0]
    return min(first, key=lambda c: sum(getattr(c, k) != VOCABULARY[k].default for k in KEYS))


def _plausible(case: Case, image_layout: str, filter_layout: str, output: Array) -> bool:
    """Whether an output can be that of filters read so: an axis must count them."""
    if "C" not in image_layout:
        return True
    summed = output.ndim == 2 and case.filters == 1 and "O" not in filter_layout
    return case.filters in output.shape or summed


def _in_layout(result: IdentifyResult | None, layouts: tuple[str, str]) -> Convention | None:
    """The answer, in the layouts in which the arrays were handed over if there is such a one."""
    rank = sum(axis in SPATIAL for axis in layouts[0])
    named = [c.convention for c in result.candidates] if result else []
    named = [c for c in named if c.rank == rank]
    same = [c for c in named if (c.image_layout, c.filter_layout) == layouts]
    return next(iter([*same, *named]), None)


def _timeless(found: Convention) -> Convention:
    """What does not follow from a case's sizes; numbers that were solved for lose their noise."""
    storage = found.storage if found.storage and found.storage.is_integer else None
    return found.replace(
        scale=_rounded(found.scale, 6),
        bias=None if found.bias is None else _rounded(found.bias, 5),
        storage=storage,
        **{key: VOCABULARY[key].default * found.rank for key in _STEPS},
        groups=1,
        arithmetic="exact",
    )


_STEPS = ("stride", "dilation", "input_dilation", "padding")


def _rounded(numbers: Numbers, digits: int) -> Numbers:
    """In so many digits; one number where all channels have the same."""
    each = numbers if isinstance(numbers, tuple) else (numbers,)
    plain = tuple(float(f"{n:.{digits}g}") for n in each)
    return plain[0] if len(set(plain)) == 1 else plain


def _is_transposed(found: Convention, case: Case) -> bool:
    """Whether it is a transposed convolution at stride 1: a bank for one, and full padding."""
    layout = found.filter_layout
    if not {"I", "O"} <= set(layout) or layout.index("I") > layout.index("O"):
        return False
    return found.padding == tuple((n - 1, n - 1) for n in case.taps)
