"""verify --gradients on real libraries, whose gradients are right, and on what is made of them."""

from __future__ import annotations

from typing import Any

import pytest
from few import slow

from convcheck.checks.verify import verify
from convcheck.render.verify_words import name

PEERS = [
    ("torch.nn.functional:conv2d", {}, "dX, dW and db of the cross-correlation", 12),
    slow("torch.nn.functional:conv2d", {}, "dX, dW and db of the cross-correlation", 300),
    slow("torch.nn.functional:conv1d", {}, "1-D cross-correlation, NCW, OIW", 60),
    slow("torch.nn.functional:conv3d", {}, "3-D cross-correlation, NCDHW, OIDHW", 40),
    slow("jax.lax:conv", {"call": "f(x, w, (stride, stride), 'SAME')"}, "SAME_UPPER", 10),
    slow("jax.lax:conv", {"call": "f(x, w, (stride, stride), 'VALID')"}, "dX and dW", 10),
]


@pytest.mark.parametrize(("target", "more", "says", "count"), PEERS, ids=str)
def test_a_library_s_gradients_pass(
    target: str, more: dict[str, Any], says: str, count: int
) -> None:
    pytest.importorskip(target.partition(".")[0])
    result = verify(target, cases=count, timeout=60.0, gradients=True, **more)
    assert result.verdict == "pass", result.findings
    assert says in name(result)
    assert result.model is not None
    assert result.passed == count * len(result.model.gradients)


def test_a_gradient_that_is_written_wrong_is_named() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional

    class Own(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, stride: int, padding: int) -> Any:
            ctx.save_for_backward(x, w)
            ctx.given = stride, padding
            return functional.conv2d(x, w, None, stride, padding)

        @staticmethod
        def backward(ctx: Any, dout: Any) -> Any:
            x, w = ctx.saved_tensors
            dx = torch.nn.grad.conv2d_input(x.shape, w, dout, *ctx.given)
            dw = torch.nn.grad.conv2d_weight(x, w.shape, dout, *ctx.given)
            return dx, dw / len(x), None, None

    def conv(x: torch.Tensor, w: torch.Tensor, stride: int = 1, padding: int = 0) -> Any:
        return Own.apply(x, w, stride, padding)

    result = verify(conv, cases=30, arrays="torch", gradients=True)
    assert {finding.case.gradient for finding in result.findings} == {"dW"}
    assert "dW: " in (result.when or "")
    assert result.does == "it divides by the number of images"
