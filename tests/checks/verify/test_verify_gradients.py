"""verify --gradients: right backward passes pass, wrong ones are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from few import one_in
from zoo_backward import RIGHT, ZOO, Wrong, cached, naive

from convcheck.campaign import cases, parse_id
from convcheck.checks.verify import claim, put_to_test
from convcheck.errors import InputError
from convcheck.serving import Inline
from convcheck.target import differentiated, parameters_of

if TYPE_CHECKING:
    from convcheck.checks.verify import VerifyResult

FEW = 40


def put(function: Any, count: int = FEW, call: str | None = None, **more: Any) -> VerifyResult:
    run = differentiated(function, "f", call=call)
    runner = Inline(run, parameters_of(function, call=call), backward=True)
    return put_to_test(runner, cases(0, count), target="f", gradients=True, **more)


@pytest.mark.parametrize("name", one_in(2, RIGHT))
def test_a_right_backward_pass_passes(name: str) -> None:
    result = put(RIGHT[name])
    assert result.verdict == "pass", result.findings
    assert result.model is not None
    assert result.passed == FEW * len(result.model.gradients)


@pytest.mark.parametrize("one", one_in(3, ZOO), ids=lambda one: one.name)
def test_a_wrong_one_is_named(one: Wrong) -> None:
    result = put(one.function, 60)
    assert result.verdict == "fail"
    assert {finding.case.gradient for finding in result.findings} == {one.gradient}
    assert result.when is not None
    assert result.when.startswith(f"{one.gradient}: ")
    assert one.when in result.when
    assert (one.does or "") in (result.does or "")


def test_two_gradients_that_are_wrong_are_two_causes() -> None:
    both = [w.function for w in ZOO if w.name in ("no db", "the stride forgotten in dW")]

    def function(dout, x, w, b, stride=1, padding=0):  # type: ignore[no-untyped-def]
        dx, dw, _ = both[0](dout, x, w, b, stride, padding)
        return dx, dw

    result = put(function, 60)
    assert {cause.gradient for cause in result.causes} == {"dW", "db"}


def test_a_failing_case_is_made_small_and_is_an_id() -> None:
    stride = next(w for w in ZOO if w.name == "the stride forgotten in dW")
    result = put(stride.function, 60)
    assert result.smallest is not None
    case = result.smallest.finding.case
    assert case.stride > 1
    assert (case.channels, case.batch, case.gradient) == (1, 1, "dW")
    assert "gradient=dW" in case.id
    assert parse_id(case.id) == case
    assert result.smallest.upstream is not None


def test_a_cache_is_said_with_a_call() -> None:
    call = "f(dout, (x, w, zeros(K), {'stride': stride, 'pad': padding}))"
    assert put(cached, 20, call).verdict == "pass"
    assert put(naive, 20, "f(dout, x, w, stride, padding)").verdict == "pass"


def test_without_a_bias_db_is_not_held_and_this_is_said() -> None:
    result = put(RIGHT["im2col"], 10)
    assert result.model is not None
    assert result.model.gradients == ("dX", "dW")
    assert any("db is not held: it gives no db" in note for note in result.notes)


def test_what_is_expected_of_the_forward_pass_is_what_the_gradients_are_of() -> None:
    def same(dout, x, w):  # type: ignore[no-untyped-def]
        import numpy as np

        pads = [((f - 1) // 2, f // 2) for f in w.shape[2:]]
        wide = np.pad(x, ((0, 0), (0, 0), *pads))
        dx, dw, _ = RIGHT["taps"](dout, wide, w, None)
        (t, _), (left, _) = pads
        return dx[:, :, t : t + x.shape[2], left : left + x.shape[3]], dw

    assert put(same, 30, expect=claim("correlation,same-upper")).verdict == "pass"
    assert put(same, 30).verdict == "fail"


def test_a_layer_is_refused_and_not_accused() -> None:
    class Layer:
        def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None: ...

        def forward(self, x: Any) -> Any: ...

    with pytest.raises(InputError, match="gradients of a layer are not taken"):
        differentiated(Layer, "f", "torch")


def test_names_that_say_nothing_are_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match="nothing tells the gradients") as caught:
        differentiated(lambda x, w: x, "f")
    assert "--call" in str(caught.value.hint)
    with pytest.raises(InputError, match="could not be called in any layout"):
        put(lambda dout, one, other: None, 5)
