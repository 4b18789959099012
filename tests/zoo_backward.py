"""Backward passes as people write them: right ones, and ones with one real mistake each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Array = Any


class Gradients(NamedTuple):
    dw: Array
    dx: Array
    db: Array


def backward(dout, x, w, b, stride=1, padding=0, dilation=1, groups=1):
    """Tap by tap and group by group: right."""
    kind = np.result_type(x, np.float32)
    s, p, d = stride, padding, dilation
    x, w, dout = x.astype(kind), w.astype(kind), dout.astype(kind)
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    oh, ow = dout.shape[2:]
    inputs, outputs = w.shape[1], len(w) // groups
    for g, i, j in itertools.product(range(groups), *map(range, w.shape[2:])):
        c, k = slice(g * inputs, (g + 1) * inputs), slice(g * outputs, (g + 1) * outputs)
        rows = slice(i * d, i * d + (oh - 1) * s + 1, s)
        columns = slice(j * d, j * d + (ow - 1) * s + 1, s)
        dw[k, :, i, j] += np.einsum("nkhw,nchw->kc", dout[:, k], x[:, c, rows, columns])
        dx[:, c, rows, columns] += np.einsum("nkhw,kc->nchw", dout[:, k], w[k, :, i, j])
    dx = dx[:, :, p : dx.shape[2] - p, p : dx.shape[3] - p]
    return dx, dw, dout.sum(axis=(0, 2, 3))


def naive(dout, x, w, stride=1, pad=0):
    """The loops of a course, but for its cache."""
    n, _, h, width = x.shape
    f, _, hh, ww = w.shape
    xp = np.pad(x.astype(float), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dxp, dw, db = np.zeros_like(xp), np.zeros(w.shape), np.zeros(f)
    for b, k, i, j in itertools.product(range(n), range(f), *map(range, dout.shape[2:])):
        r, c = i * stride, j * stride
        db[k] += dout[b, k, i, j]
        dw[k] += xp[b, :, r : r + hh, c : c + ww] * dout[b, k, i, j]
        dxp[b, :, r : r + hh, c : c + ww] += w[k] * float(dout[b, k, i, j])
    return dxp[:, :, pad : pad + h, pad : pad + width], dw, db


def cached(dout, cache):
    x, w, _, conv_param = cache
    return naive(dout, x, w, conv_param["stride"], conv_param["pad"])


def im2col(grad_output, input, weight, stride=1):  # noqa: A002 - as people call it
    """A matrix product each, and the columns added up again; only the two gradients."""
    g = grad_output.astype(float).transpose(1, 0, 2, 3).reshape(len(weight), -1)
    views = np.lib.stride_tricks.sliding_window_view(input, weight.shape[2:], axis=(2, 3))
    views = views[:, :, ::stride, ::stride]
    oh, ow = views.shape[2:4]
    columns = views.transpose(1, 4, 5, 0, 2, 3).reshape(weight[0].size, -1).astype(float)
    grad_weight = (g @ columns.T).reshape(weight.shape)
    back = weight.reshape(len(weight), -1).T.astype(float) @ g
    back = back.reshape(*weight.shape[1:], len(input), oh, ow)
    grad_input = np.zeros(input.shape)
    for i, j in itertools.product(*map(range, weight.shape[2:])):
        rows, columns = (slice(a, a + (o - 1) * stride + 1, stride) for a, o in ((i, oh), (j, ow)))
        grad_input[:, :, rows, columns] += back[:, i, j].swapaxes(0, 1)
    return {"grad_weight": grad_weight, "grad_input": grad_input}


def last(dout, x, w, b, stride=1):
    """Channels last, filters HWIO, the results in another order and by their names."""
    first = (0, 3, 1, 2)
    dx, dw, db = backward(
        dout.transpose(first), x.transpose(first), w.transpose(3, 2, 0, 1), b, stride
    )
    return Gradients(dw.transpose(2, 3, 1, 0), dx.transpose(0, 2, 3, 1), db.reshape(1, 1, 1, -1))


def ordered(x, w, dout, stride=1, padding=0):
    """The results in another order, which their shapes tell."""
    dx, dw, db = backward(dout, x, w, None, stride, padding)
    return dw, db, dx


def signal(dy, x, w, stride=1):
    """Over one axis: that of two with one row."""
    dx, dw, _ = backward(dy[:, :, None], x[:, :, None], w[:, :, None], None, stride)
    return dx[:, :, 0], dw[:, :, 0]


RIGHT: dict[str, Callable[..., Any]] = {
    "taps": backward,
    "naive": lambda dout, x, w, stride=1, padding=0: naive(dout, x, w, stride, padding),
    "im2col": im2col,
    "channels last": last,
    "another order": ordered,
    "one axis": signal,
}


@dataclass(frozen=True)
class Wrong:
    """A wrong backward pass, and what is to be said of it: the gradient, when, and what it does."""

    name: str
    function: Callable[..., Any] = field(repr=False)
    gradient: str
    when: str
    does: str | None = None


ZOO: list[Wrong] = []


def wrong(name: str, *said: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        ZOO.append(Wrong(name, function, *said))
        return function

    return register


def changed(name: str, *said: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A mistake in what goes into the right one, or in what comes out."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(dout, x, w, b, stride=1, padding=0, dilation=1, groups=1):
            return function(dout, x, w, b, stride, padding, dilation, groups)

        return wrong(name, *said)(run)

    return register


@changed("dW is the batch's mean", "dW", "the batch has more than one", "by the number of images")
def _(dout, x, *more):
    dx, dw, db = backward(dout, x, *more)
    return dx, dw / len(x), db


@changed("dW is summed over the batch twice", "dW", "the batch has more than one", "batch twice")
def _(dout, x, *more):
    dx, dw, db = backward(dout, x, *more)
    for _ in range(len(x) - 1):
        dw = dw + backward(dout, x, *more)[1]
    return dx, dw, db


@changed("dW is that of the last image", "dW", "the batch has more than one", "last image alone")
def _(dout, x, *more):
    dx, dw, db = backward(dout, x, *more)
    for n in range(len(x)):
        dw = backward(dout[n : n + 1], x[n : n + 1], *more)[1]  # = where += is meant
    return dx, dw, db


@changed("the stride forgotten in dW", "dW", "stride > 1", "leaves the stride out")
def _(dout, x, w, b, s, p, d, g):
    dx, _, db = backward(dout, x, w, b, s, p, d, g)
    return dx, backward(dout, x, w, b, 1, p, d, g)[1], db


@changed("the filters not flipped in dX", "dX", "kernel", "does not reverse the kernel")
def _(dout, x, w, *more):
    _, dw, db = backward(dout, x, w, *more)
    return backward(dout, x, w[:, :, ::-1, ::-1], *more)[0], dw, db


@changed("the padding not cut off dX", "dX", "padding > 0", "leaves the padding around")
def _(dout, x, w, b, s, p, d, g):
    _, dw, db = backward(dout, x, w, b, s, p, d, g)
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    return backward(dout, padded, w, b, s, 0, d, g)[0], dw, db


@changed("dX cut at the wrong end", "dX", "padding > 0", "leaves the padding out")
def _(dout, x, w, b, s, p, d, g):
    _, dw, db = backward(dout, x, w, b, s, p, d, g)
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dx = backward(dout, padded, w, b, s, 0, d, g)[0]
    return dx[:, :, : x.shape[2], : x.shape[3]], dw, db


@changed("the padding forgotten in dW", "dW", "padding > 0", "leaves the padding out")
def _(dout, x, w, b, s, p, d, g):
    dx, _, db = backward(dout, x, w, b, s, p, d, g)
    wide = np.pad(x, ((0, 0), (0, 0), (0, 2 * p), (0, 2 * p)))
    return dx, backward(dout, wide, w, b, s, 0, d, g)[1], db


@changed("no db", "db", "in every case")
def _(*given):
    return backward(*given)[:2]


@changed("db is the mean over the positions", "db", "", "a mean over the positions")
def _(dout, *more):
    dx, dw, _ = backward(dout, *more)
    return dx, dw, dout.astype(float).mean(axis=(2, 3)).sum(axis=0)


@changed("db is that of the first image", "db", "the batch has more than one", "first image alone")
def _(dout, *more):
    dx, dw, _ = backward(dout, *more)
    return dx, dw, dout[0].astype(float).sum(axis=(1, 2))


@changed("dW transposed", "dW", "", "swaps inputs and outputs of the filters")
def _(*given):
    dx, dw, db = backward(*given)
    return dx, dw.swapaxes(0, 1), db


@changed("dW's kernel transposed", "dW", "kernel", "swaps the kernel's rows and columns")
def _(*given):
    dx, dw, db = backward(*given)
    return dx, dw.swapaxes(2, 3), db


@changed("the dilation forgotten in dX", "dX", "dilation > 1", "leaves the dilation out")
def _(dout, x, w, b, s, p, d, g):
    _, dw, db = backward(dout, x, w, b, s, p, d, g)
    return backward(dout, x, w, b, s, p, 1, g)[0], dw, db


@changed("a first tap of dX forgotten", "dX", "")
def _(dout, x, w, *more):
    _, dw, db = backward(dout, x, w, *more)
    w = w.copy()
    w[:, :, 0, 0] = 0
    return backward(dout, x, w, *more)[0], dw, db
