"""verify: its verdicts, what it says of a target, and what ends a campaign."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zoo
import zoo_wrong
from few import one_in, rows_in
from verified import put

import convcheck
from convcheck.campaign import Case, cases, parse_id
from convcheck.checks.verify import (
    Finding,
    Model,
    VerifyResult,
    put_to_test,
    verify,
)
from convcheck.checks.verify.examination import Examined, examined
from convcheck.checks.verify.tally import Seen, Tally
from convcheck.convention import Convention
from convcheck.errors import ExitCode, InputError
from convcheck.render.verify_words import name
from convcheck.serving import Inline
from convcheck.target import adapted, parameters_of
from convcheck.worker import Outcome, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

SOME = {w.name: w for w in zoo_wrong.ZOO}


def test_what_it_does_is_searched_for_too() -> None:
    """Two mistakes at once are none of the usual single ones."""

    def turned(x: Any, w: Any) -> Any:
        return zoo.conv(x, w[..., ::-1, :].swapaxes(2, 3))

    # On a machine with much else to do it may take a minute: what is said must not depend on it.
    result = put(turned, 60, expect="correlation", patience=600.0, smaller=False)
    assert result.does is not None
    assert result.does.startswith("it has ")
    assert "OIWH" in result.does


@pytest.mark.parametrize(
    ("order", "others", "fails"),
    rows_in(
        2,
        [
            ((1, 0, 2), lambda n: (1, 0, *range(2, n)), False),
            ((2, 1, 0), lambda n: tuple(reversed(range(n))), False),
            ((1, 0, 2), lambda n: tuple(range(n)), True),  # of three channels alone
            ((1, 2, 0), lambda n: tuple(range(n)), True),
        ],
    ),
)
def test_an_order_of_channels_is_held_to_images_of_more_and_fewer(
    order: tuple[int, ...], others: Any, fails: bool
) -> None:
    def target(x: Any, w: Any) -> Any:
        n = len(x)
        chosen = order if n == 3 else others(n) if n > 1 else (0,)
        return convcheck.convolve(x[list(chosen)], w)

    # Time enough to learn the order on a machine with much else to do.
    result = put(target, 60, smaller=False, budget=60.0)
    assert all(reason.startswith("refuses NaN") for reason in result.skipped)
    assert bool(result.findings) == fails
    assert ("reverse order" in name(result)) == (order == (2, 1, 0))


@pytest.mark.parametrize(
    "wrong", one_in(3, ["even kernels", "stride with odd padding", "groups ignored"])
)
def test_the_smallest_case_is_small_and_rebuilds_from_its_id(wrong: str) -> None:
    function = SOME[wrong].function
    result = put(function)
    smallest = result.smallest
    assert smallest is not None
    case = smallest.finding.case
    assert case.size <= min(f.case.size for f in result.findings)
    assert case.size <= 64
    assert (case.dtype, case.order, case.values) == ("float32", "C", "ints")
    again = put_to_test(
        Inline(adapted(function, "f"), parameters_of(function)),
        [parse_id(case.id)],
        smaller=False,
        patience=0.0,
    )
    assert again.findings == (smallest.finding,)
    assert np.array_equal(again.smallest.image, smallest.image)
    assert np.array_equal(again.smallest.actual, smallest.actual)
    assert not np.array_equal(smallest.actual, smallest.expected)


@pytest.mark.slow
def test_a_target_that_nothing_explains() -> None:
    rng = np.random.default_rng(0)

    def noise(x: Any, w: Any) -> Any:
        return rng.standard_normal((len(x), len(w), x.shape[2], x.shape[3]))

    result = put(noise, layout="NCHW")
    assert (result.verdict, result.exit_code, result.ran) == ("unexplained", ExitCode.FAILED, 0)
    assert result.nearest is not None
    expected = put(noise, 20, layout="NCHW", expect="correlation")
    assert (expected.verdict, expected.passed) == ("fail", 0)


def test_a_target_that_cannot_be_called() -> None:
    def picky(x: Any, w: Any) -> Any:
        raise ValueError("never")

    with pytest.raises(InputError, match="could not be called in any layout"):
        put(picky)


def test_where_everything_is_skipped_nothing_ran() -> None:
    begun = []

    def drawn() -> Iterator[Case]:
        begun.append(True)
        yield from cases(0, 20)

    def tired(x: Any, w: Any, stride: int = 1) -> Any:
        if begun:
            raise NotImplementedError("no more")
        return zoo.conv(x, w, stride)

    result = put_to_test(Inline(adapted(tired, "f"), ("stride",)), drawn())
    assert result.verdict == "nothing-ran"
    assert result.exit_code == ExitCode.NOT_JUDGED
    assert result.skipped == {"NotImplementedError: no more": 20}


def test_ctrl_c_keeps_what_was_found() -> None:
    def stopped(failures: int) -> None:
        if failures >= 3:
            raise KeyboardInterrupt

    result = put(SOME["groups ignored"].function, progress=stopped)
    assert result.interrupted
    assert result.exit_code == ExitCode.INTERRUPTED
    assert result.failed == 3
    assert len(result.findings) == 3


def test_fail_fast_ends_at_the_first() -> None:
    result = put(SOME["groups ignored"].function, fail_fast=True)
    assert result.failed == 1
    assert "first failing case" in result.notes[-1]


class _Hangs:
    """A runner whose target hangs for wide kernels."""

    unpassed: tuple[str, ...] = ()
    kind = "numpy"

    def __init__(self) -> None:
        self.hung = 0
        self.inner = Inline(adapted(zoo.conv, "f"), ("stride",))

    def parameters(self) -> tuple[str, ...]:
        return ("stride",)

    def run(self, request: Request) -> Outcome:
        if request.case.kernel_width == 4:
            self.hung += 1
            return Outcome("hang", "no answer within 10 s", died=True)
        return self.inner.run(request)

    def close(self) -> None:
        pass


def test_after_three_hangs_a_campaign_ends() -> None:
    runner = _Hangs()
    result = put_to_test(runner, cases(0, 500), patience=0.0)
    assert result.failed == 3
    assert {f.kind for f in result.findings} == {"hang"}
    assert result.notes == ("ended early: 3 cases hung",)
    assert runner.hung <= 3 + 5, "and making the case smaller does not cost minutes"


def test_a_difference_between_calls_that_rounding_explains_is_a_note() -> None:
    calls = []

    def wobbles(x: Any, w: Any) -> Any:
        calls.append(1)
        out = zoo.conv(x, w).astype(np.float64)
        return out * (1 + 2.0**-52 * (len(calls) % 2))

    result = put(wobbles, 30)
    assert result.verdict == "pass"
    assert any("no more than rounding" in note for note in result.notes)


def test_a_claim_that_nothing_explains_is_not_said_to_be_followed() -> None:
    def nothing(x: Any, w: Any) -> Any:
        return zoo.conv(x, w) * np.nan

    result = put(nothing, 10)
    assert (result.verdict, result.exit_code) == ("unexplained", ExitCode.FAILED)
    assert "NCHW: nothing in its output is finite" in result.notes
    expected = put(nothing, 10, expect="correlation")
    assert (expected.verdict, expected.failed) == ("fail", 10)
    assert {f.kind for f in expected.findings} == {"not finite"}
    assert expected.convention is None
    assert "follows no convention" in name(expected)


def test_half_precision_that_overflows_here_and_there_is_not_judged_as_double() -> None:
    def halved(x: Any, w: Any) -> Any:
        with np.errstate(over="ignore"):
            return zoo.conv(x.astype(np.float64), w.astype(np.float64)).astype(np.float16)

    result = put(halved, 80)
    assert result.verdict == "pass"
    assert any("overflows float16" in note for note in result.notes)


def test_a_crash_while_learning_is_a_finding_where_no_case_crashes() -> None:
    def tall(x: Any, w: Any) -> Any:
        if w.shape[2] == 4:
            raise ZeroDivisionError("tall")
        return zoo.conv(x, w)

    result = put(tall, 5)
    assert (result.verdict, result.exit_code, result.passed, result.failed) == ("fail", 1, 5, 1)
    (finding,) = result.findings
    assert (finding.kind, finding.detail) == ("crash", "ZeroDivisionError: tall")
    assert any("1 of the failures was met in calls to learn" in note for note in result.notes)
    assert result.smallest is not None
    assert result.smallest.finding.case.size < finding.case.size
    again = parse_id(finding.case.id)
    runner = Inline(adapted(tall, "f"), ())
    assert put_to_test(runner, [again], patience=0.0, beside=False).verdict == "fail"
    small = parse_id("0:0:kernel_height=1")
    assert put_to_test(runner, [small], patience=0.0, beside=False).verdict == "pass"
    later = put(tall, 100)
    assert later.verdict == "fail"
    assert not any("learn" in n for n in later.notes)
    assert later.passed + later.failed == 100


FIRST = (2, 3, 9, 11)


@pytest.mark.parametrize("shape", one_in(3, [FIRST, (1, 3, 8, 16), (2, 3, 10, 13)]))
@pytest.mark.parametrize(
    ("does", "kind"),
    [
        ("raises", "crash"),
        ("cut", "wrong shape"),
        ("nan", "not finite"),
        ("wrong", "wrong values"),
        ("moody", "non-deterministic"),
        ("writes", "changes its input"),
    ],
)
def test_what_is_wrong_in_one_call_of_learning_is_found(
    does: str, kind: str, shape: tuple[int, ...]
) -> None:
    calls = [0]

    def fails(x: Any, w: Any) -> Any:
        calls[0] += 1
        y = zoo.conv(x, w).astype(np.float64)
        if x.shape != shape:
            return y
        if does == "raises":
            raise IndexError("only here")
        if does == "writes":
            x[...] = 0
        y[0, 0, 0, 0] += {"wrong": 1, "moody": calls[0] % 2, "nan": np.nan}.get(does, 0)
        return y[..., :-1] if does == "cut" else y

    result = put(fails, 3)
    assert result.verdict == "fail"
    assert {f.kind for f in result.findings} == {kind}
    assert all(
        (f.case.batch, f.case.channels, f.case.height, f.case.width) == shape
        for f in result.findings
    )
    assert "cross-correlation" in name(result)


class _Mishap(_Hangs):
    """A runner whose target hangs, or takes its process along, for one shape of image."""

    def __init__(self, kind: str, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.kind, self.shape = kind, shape

    def run(self, request: Request) -> Outcome:
        if request.case.arrays(request.image_layout, request.filter_layout)[0].shape == self.shape:
            self.hung += 1
            return Outcome(self.kind, "gone", died=True)
        return self.inner.run(request)


@pytest.mark.parametrize("kind", ["hang", "crash"])
@pytest.mark.parametrize("shape", one_in(3, [FIRST, (1, 3, 8, 16), (2, 3, 10, 13)]))
def test_so_is_a_lost_process(kind: str, shape: tuple[int, ...]) -> None:
    runner = _Mishap(kind, shape)
    result = put_to_test(runner, cases(0, 3), patience=0.0)
    assert (result.verdict, result.passed) == ("fail", 3)
    assert {(f.kind, f.detail) for f in result.findings} == {(kind, "gone")}
    assert runner.hung <= (13 if kind == "crash" else 9)


def test_what_a_target_does_in_a_layout_that_is_not_its_own_is_no_finding() -> None:
    def whole(x: Any, w: Any) -> Any:
        if x.ndim != 3 or w.shape[1] != x.shape[0]:
            raise ValueError(f"a layout that I crash in: {x.shape}")
        return zoo.conv(x[None], w)[0]

    result = put(whole, 20)
    assert (result.verdict, result.findings) == ("pass", ())
    assert result.model is not None
    assert result.model.layout == "CHW"


class _Dies(_Hangs):
    """A runner whose process is lost in every case of the campaign, and is slow to start."""

    def run(self, request: Request) -> Outcome:
        if request.case.number:
            self.hung += 1
            return Outcome("crash", "the process ended with SIGSEGV", died=True)
        return self.inner.run(request)


def test_a_process_that_is_lost_in_every_case_ends_the_campaign() -> None:
    runner = _Dies()
    result = put_to_test(runner, cases(0, 500), patience=0.0)
    assert result.failed == 25
    assert result.notes == ("ended early: the process was lost 25 times",)
    assert runner.hung <= 25 + 5


def test_so_does_one_that_is_slow_to_start() -> None:
    case = next(iter(cases(0, 1)))
    lost = Examined(Finding("crash", "gone", case), outcome=Outcome("crash", "gone", died=True))
    tally = Tally()
    tally.take([Seen(case, lost, 30.0)] * 20, fail_fast=False)
    assert tally.failed_count == 3
    assert [*tally.notes] == [
        "ended early: the process was lost 3 times, and to start it again took 60 s"
    ]


def test_parameters_without_a_default_are_passed_from_the_first_call_on() -> None:
    def needs(x: Any, w: Any, stride: int, padding: int) -> Any:
        return zoo.conv(x, w, stride, padding)

    result = put(needs, 30)
    assert (result.verdict, result.passed) == ("pass", 30)
    assert result.model is not None
    assert result.model.parameters == ("stride", "padding")


def test_parameters_that_no_case_passes_are_said() -> None:
    def renamed(x: Any, w: Any, strides: int = 1, pad: int = 0, mode: str = "fast") -> Any:
        return zoo.conv(x, w, strides, pad)

    (note,) = convcheck.verify(renamed, cases=3).notes
    assert note.startswith("no case passes strides and pad: --call says how")
    called = convcheck.verify(renamed, cases=3, call="f(x, w, strides=stride, pad=padding)")
    assert (called.verdict, called.notes) == ("pass", ())
    assert convcheck.verify(zoo.conv, cases=3).notes == ()


@pytest.mark.slow
def test_a_dtype_that_is_not_available_is_no_crash() -> None:
    result = convcheck.verify("scipy.signal:convolve2d", cases=12, expect="per-channel,full")
    assert result.verdict == "pass"
    assert result.model is not None
    assert "float16" not in result.model.dtypes


def test_the_python_function() -> None:
    result = convcheck.verify(zoo.conv, cases=10)
    assert isinstance(result, convcheck.VerifyResult)
    assert (result.verdict, result.passed, result.target) == ("pass", 10, "conv")
    assert convcheck.verify(zoo.conv, cases=5, expect={"flip": ["H", "W"]}).verdict == "fail"
    assert convcheck.verify(zoo.conv, cases=5, passes=["stride"]).model.parameters == ("stride",)
    assert convcheck.verify("scipy.ndimage:correlate", cases=5).verdict == "pass"
    with pytest.raises(InputError, match="no layout"):
        verify(zoo.conv, layout="CNHW")


class _Bfloat16(np.ndarray):
    """What a library gives whose dtype NumPy lacks: to float() and numpy(), as torch's tensors."""

    dtype = "torch.bfloat16"  # type: ignore[assignment]

    def detach(self) -> _Bfloat16:
        return self

    cpu = detach

    def float(self) -> _Bfloat16:
        return self

    def numpy(self) -> np.ndarray:
        return np.array(self, copy=True, subok=False)


@pytest.mark.parametrize("bits", [16, 21])
def test_an_output_in_bfloat16_is_judged_as_such(bits: int) -> None:
    def conv(x, w):
        y = np.asarray(zoo.conv(x, w), np.float32).view(np.uint32)
        return ((y >> bits) << bits).view(np.float32).view(_Bfloat16)

    result = put(conv, 60)
    assert result.verdict == ("pass" if bits == 16 else "fail"), result.findings
    assert name(result).endswith("no padding, bfloat16")


def test_sums_in_too_few_bits_are_found_whatever_cases_are_drawn() -> None:
    def conv(x, w):
        y = zoo.conv(x, w)
        return y.astype("int64").astype("int16").astype("int32") if x.dtype == np.int8 else y

    result = put(conv, 5)
    assert [f.case.values for f in result.findings] == ["wide"]


class _Restarted(_Hangs):
    """A runner whose target is wrong from its thirtieth call on, until it is started anew."""

    def __init__(self) -> None:
        self.calls = 0

        def conv(x, w, stride=1):
            self.calls += 1
            return zoo.conv(x, w, stride) + (self.calls > 30)

        self.inner = Inline(adapted(conv, "f"), ("stride",))

    def run(self, request: Request) -> Outcome:
        return self.inner.run(request)

    def close(self) -> None:
        self.calls = 0


def test_a_case_that_passes_alone_is_said_to() -> None:
    result = put_to_test(_Restarted(), cases(0, 60), patience=0.0)
    assert result.verdict == "fail"
    assert "the first call of a process" in result.notes[-1]
    result = put(lambda x, w: zoo.conv(x, w) + (w.shape[3] == 2), 20)
    assert not any("first call" in note for note in result.notes)


IDLE = "NCHW: its output does not depend on the image and the filters"


@pytest.mark.parametrize(
    "made",
    [
        np.zeros_like,
        lambda y: np.full_like(y, 7),
        lambda y: np.zeros_like(y) + np.arange(y.shape[1])[None, :, None, None],
    ],
)
def test_what_computes_nothing_follows_no_convention(made: Any) -> None:
    def target(x: Any, w: Any, stride: int = 1) -> Any:
        return made(zoo.conv(x, w, stride))

    result = put(target, 10, layout="NCHW")
    assert (result.verdict, result.exit_code, result.ran) == ("unexplained", ExitCode.FAILED, 0)
    assert result.notes == (IDLE,)
    assert put(target, 10).verdict == "unexplained"
    expected = put(target, 10, layout="NCHW", expect="correlation", smaller=False)
    assert (expected.verdict, expected.exit_code) == ("fail", ExitCode.FAILED)


def test_few_numbers_are_not_nothing() -> None:
    result = put(lambda x, w: np.maximum(zoo.conv(x, w), 0) * 3, 20)
    assert (result.verdict, result.notes) == ("pass", ())


@pytest.mark.parametrize(
    "error",
    one_in(
        2,
        [
            ValueError("Buffer dtype mismatch, expected 'double' but got 'float'"),
            TypeError("dtype float64 wanted"),
        ],
    ),
)
def test_what_takes_float64_alone_is_probed_with_it(error: Exception) -> None:
    def double(x: Any, w: Any, stride: int = 1) -> Any:
        if x.dtype != np.float64:
            raise error
        return zoo.conv(x, w, stride)

    result = put(double, 40)
    assert (result.verdict, result.passed) == ("pass", 40)
    assert result.model is not None
    assert result.model.dtypes == ("float64",)
    assert name(result) == "f is the cross-correlation, NCHW, OIHW, no padding, float64"
    flipped = put(lambda x, w, stride=1: double(x, w[..., ::-1], stride), 40, expect="correlation")
    assert flipped.verdict == "fail"
    assert {f.case.dtype for f in flipped.findings} == {"float64"}


def test_long_doubles_do_not_differ_between_calls() -> None:
    result = put(lambda x, w: zoo.conv(x, w).astype(np.longdouble), 30)
    assert (result.verdict, result.notes) == ("pass", ())


def test_numbers_where_tuples_are_wanted_are_said() -> None:
    ones = np.ones(2, int)  # a default that is a tuple would say it by itself

    def tuples(x: Any, w: Any, stride: Any = ones, groups: int = 1) -> Any:
        high, _ = stride
        return zoo.conv(x, w, high, 0, 1, groups)

    result = put(tuples, 20, smaller=False)
    assert (result.verdict, result.passed) == ("fail", 0)
    call = "f(x, w, stride=(stride, stride), groups=groups)"
    assert result.notes[-1].endswith(f"where a tuple is wanted: try --call '{call}'")
    called = convcheck.verify(tuples, cases=20, call=call)
    assert (called.verdict, called.notes) == ("pass", ())

    def at_times(x: Any, w: Any, stride: int = 1) -> Any:
        return zoo.conv(x, w, stride) if stride == 1 else tuple(stride)

    assert not any("tuple" in note for note in put(at_times, 20, smaller=False).notes)


def test_a_pass_of_few_cases_is_said_to_be_one() -> None:
    def some(most: int) -> VerifyResult:
        calls = itertools.count()
        begun: list[bool] = []

        def target(x: Any, w: Any) -> Any:
            if begun and next(calls) >= 2 * most:  # every case is called twice
                raise NotImplementedError("tired")
            return zoo.conv(x, w)

        def drawn() -> Iterator[Case]:
            begun.append(True)
            yield from cases(0, 30)

        return put_to_test(Inline(adapted(target, "f"), ()), drawn(), patience=0.0)

    result = some(2)
    assert (result.verdict, result.exit_code, result.ran) == ("pass", ExitCode.OK, 2)
    said = "only 2 of 30 cases ran; the others were skipped: NotImplementedError: tired"
    assert result.notes == (said,)
    assert some(3).notes == ()


@pytest.mark.slow
def test_a_dtype_wraps_or_saturates_and_not_both() -> None:
    result = put(SOME["wraps in some cases and saturates in others"].function, 200)
    assert (result.verdict, result.failed, result.passed) == ("fail", 2, 198)
    assert result.smallest is None
    assert {f.case.dtype for f in result.findings} == {"int8", "uint8"}
    for finding in result.findings:
        assert "s at " in finding.detail
        assert finding.detail.endswith("; each passes alone")

    def one_each(x: Any, w: Any) -> Any:
        y = zoo.conv(x, w)
        return np.clip(y, 0, 255).astype("u1") if x.dtype == "u1" else y.astype(x.dtype)

    assert put(one_each, 200).verdict == "pass"


def test_what_wrapping_and_saturating_both_give_says_neither() -> None:
    # 255 wrapped and 511 wrapped are 255, and so is what is clipped.
    case = Case(seed=0, number=0, height=1, width=2, kernel_height=1, kernel_width=1, dtype="uint8")
    model = Model("HW", Convention("HW", "HW", "HW"))
    image, one = np.array([[255, 1]], "u1"), np.array([[1]], "u1")
    for filters, output, overflow in (
        (one, [[255, 1]], None),
        (one * 3, [[253, 3]], ("wrap", "uint8")),
        (one * 3, [[255, 3]], ("saturate", "uint8")),
    ):
        outcome = Outcome("ok", "", np.array(output, "u1"))
        assert examined(model, case, outcome, (image, filters)).overflow == overflow
    image = np.array([[73, 1]], "u1")  # 73 * 7 is 511
    outcome = Outcome("ok", "", np.array([[255, 7]], "u1"))
    seen = examined(model, case, outcome, (image, one * 7))
    assert (seen.finding, seen.overflow) == (None, None)
