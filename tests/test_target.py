"""Targets: what is imported, how it is called, and that what is typed is never run."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convcheck.errors import InputError
from convcheck.kinds import kind_of, to_numpy
from convcheck.target import CallableTarget, CommandTarget, adapted, parameters_of, parse_call

if TYPE_CHECKING:
    from pathlib import Path

X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))


def given(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def test_a_call_is_read_and_bound() -> None:
    call = parse_call("f(x, w, None, strides=(stride, stride), pad=[padding, -1], mode='same')")
    args, kwargs = call.run(given, {"x": 1, "w": 2, "stride": 3, "padding": 4})
    assert args == (1, 2, None)
    assert kwargs == {"strides": (3, 3), "pad": [4, -1], "mode": "same"}
    assert call.names == {"x", "w", "stride", "padding"}


def test_a_parameter_that_is_not_passed_is_at_its_default() -> None:
    args, _ = parse_call("f(x, w, stride, padding)").run(given, {"x": 1, "w": 2})
    assert args == (1, 2, 1, 0)


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("f(x, w, {'stride': stride, 'pad': padding})", (1, 2, {"stride": 3, "pad": 0})),
        ("f(x, w, dilation - 1)", (1, 2, 0)),
        ("f(x, -1, w)", (1, -1, 2)),
        ("f(x, w, (2 * padding + 1, stride // 2, -stride))", (1, 2, (1, 1, -3))),
        ("f(x, w, N, C, K)", (1, 2, 4, 5, 6)),
    ],
)
def test_what_a_call_may_have(text: str, args: tuple[Any, ...]) -> None:
    values = {"x": 1, "w": 2, "stride": 3, "N": 4, "C": 5, "K": 6}
    assert parse_call(text).run(given, values)[0] == args


def test_what_is_made_for_a_call_and_taken_of_its_result() -> None:
    class Layer:
        def __init__(self, w: Any, b: Any, stride: int) -> None:
            self.output, self.bias = [w, stride], b

        def forward(self, x: Any) -> Any:
            return self.output, x

    values = {"x": 1, "w": 2, "K": 3}
    assert parse_call("f(w, 0, stride).forward(x)").run(Layer, values) == ([2, 1], 1)
    assert parse_call("f(w, 0, stride).forward(x)[0][-1]").run(Layer, values) == 1
    assert parse_call("f(w, x, 5).output[0]").run(Layer, values) == 2
    (args, _) = parse_call("f(x, w, zeros(K), ones((2, K)))").run(given, values)
    assert [a.shape for a in args[2:]] == [(3,), (2, 3)]
    with pytest.raises(InputError, match="no array that can be made"):
        parse_call("f(x, w, zeros((99999, 99999)))").run(given, values)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "f",
        "f(",
        "f(x)",
        "f(w)",
        "f(x, y)",
        "f(x, w, print(1))",
        "f(x, w, __import__('os').system('touch ran'))",
        "f(x, w, open('ran', 'w'))",
        "f(x, w, x.tofile('ran'))",
        "f(x, w, [i for i in (1,)])",
        "f(x, w, lambda: 1)",
        "f(x, w, *[1])",
        "f(x, w, **{'a': 1})",
        "f(x, w, (yield))",
        "f(x, w, f'{x}')",
        "f(x, w, x + 1)",
        "f(x, w, 2 ** 99)",
        "f(x, w, zeros(x))",
        "f(x, w, zeros(3).tofile('ran'))",
        "f(x, w).tofile('ran')",
        "f(x, w).__class__",
        "f(x, w)[x]",
        "f(f(x, w), w)",
        "zeros(3)",
        "x(x, w)",
        "f(x, w, -x)",
        "f(x, w, a := 1)",
        "f(x, w); import os",
        "f(x, w)\nimport os",
        "import os",
        "f(x, w, " + "(" * 300 + ")" * 300 + ")",
        "f(x, w, \0)",
        "f(x, w, {1: 2})",
        "f(x, w, x[0])",
    ],
)
def test_what_is_no_plain_call_is_refused_and_never_run(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--call"):
        parse_call(text)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("scipy.signal", "is no target"),
        (":f", "is no target"),
        ("scipy.signal:", "is no target"),
        ("no_such_module_here:f", "cannot be imported"),
        ("scipy.signal:convolv", "did you mean 'convolve'"),
        ("scipy.signal:__name__", "is not callable"),
        ("raises:f", "fails when it is imported"),
    ],
)
def test_a_target_that_is_not_there_is_said_with_a_hint(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raises.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(InputError) as caught:
        CallableTarget(name).open()
    assert says in str(caught.value)


def test_parameters_come_from_the_signature() -> None:
    assert parameters_of(lambda x, w, stride=1, groups=1: x) == ("stride", "groups")
    assert parameters_of(lambda x, w: x) == ()
    assert parameters_of(lambda x, w, **more: x) is None
    assert parameters_of(lambda x, w: x, passes=("padding",)) == ("padding",)
    assert parameters_of(lambda x, w: x, call="f(x, w, s=stride)") == ("stride",)


def test_a_callable_gets_its_own_arrays_and_gives_numpy() -> None:
    seen = []

    def function(x, w, **more):
        seen.append((type(x), more))
        return [[1, 2], [3, 4]]

    run = adapted(function, "function")
    output, precision = to_numpy(run(X, W, {"stride": 2}))
    assert output.tolist() == [[1, 2], [3, 4]]
    assert precision is None
    assert seen == [(np.ndarray, {"stride": 2})]


def test_an_output_is_copied_as_the_target_may_use_its_buffer_again() -> None:
    buffer = np.zeros(3)
    output, _ = to_numpy(buffer)
    buffer += 1
    assert output.tolist() == [0, 0, 0]


class _Tensor:
    """Torch's, by its module alone."""

    __module__ = "torch"

    def __call__(self, x, w):
        return x

    def method(self, x, w):
        return x


class _Layer(_Tensor):
    __module__ = "mine"


def _annotated(x: _Tensor, w: _Tensor) -> None:  # a string: see __future__
    pass


def _unresolved(x: tensorflow.Tensor, w) -> None:  # noqa: F821 - for a type checker
    pass


@pytest.mark.parametrize(
    ("name", "function", "kind"),
    [
        ("torch.nn.functional:conv2d", print, "torch"),
        ("torch:conv2d", print, "torch"),
        ("torchvision.ops:conv", print, "torch"),
        ("torch_port:conv", print, "numpy"),
        ("jax.lax:conv", print, "jax"),
        ("tensorflow:nn.conv2d", print, "tensorflow"),
        ("mine:conv", _annotated, "torch"),
        ("mine:conv", partial(_annotated, w=1), "torch"),
        ("mine:conv", _unresolved, "tensorflow"),
        ("mine:conv", _Layer(), "torch"),
        ("mine:conv", _Layer().method, "torch"),
        ("mine:conv", lambda x, w: x, "numpy"),
    ],
)
def test_the_kind_of_arrays_is_that_of_the_library(name: str, function: Any, kind: str) -> None:
    assert kind_of(name, function) == kind


@pytest.mark.parametrize(
    "template",
    ["", "program", "program {image} {filters}", "program '{image} {filters} {output}", "   "],
)
def test_a_command_must_name_its_files(template: str) -> None:
    with pytest.raises(InputError, match="the command"):
        CommandTarget(template, 1.0).words()


def test_a_command_takes_what_it_names() -> None:
    command = CommandTarget("p {image} {filters} {output} -s={stride} {groups}", 1.0)
    assert command.parameters() == ("stride", "groups")


def test_a_command_runs_no_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = f"{sys.executable} -c pass {{image}} {{filters}} {{output}} ; touch ran"
    with pytest.raises((InputError, RuntimeError)):
        CommandTarget(line, 10.0).open()(X, W, {})
    assert not (tmp_path / "ran").exists()


def test_a_command_that_fails_says_its_last_line() -> None:
    code = "import sys; print('first', file=sys.stderr); sys.exit('no such stride')"
    line = f'{sys.executable} -c "{code}" {{image}} {{filters}} {{output}}'
    with pytest.raises(RuntimeError, match="ended with 1: no such stride"):
        CommandTarget(line, 10.0).open()(X, W, {})
