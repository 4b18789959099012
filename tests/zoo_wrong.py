"""Implementations of convolution with one real mistake each."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import numpy as np
from zoo import conv

Array = Any


@dataclass(frozen=True)
class Wrong:
    """A wrong implementation, and what is to be said of it."""

    name: str
    function: Callable[..., Array] = field(repr=False)
    expect: str | None = None
    """Given where the mistake is another convention, followed everywhere."""
    named: tuple[str, ...] = ()
    """What the name of that convention must say."""
    when: tuple[str, ...] = ()
    """What the condition must say."""
    kind: str | None = None


ZOO: list[Wrong] = []


def wrong(name: str, **more: Any) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    def register(function: Callable[..., Array]) -> Callable[..., Array]:
        ZOO.append(Wrong(name, function, **more))
        return function

    return register


def layer(function: Callable[..., Array]) -> Callable[..., Array]:
    """A mistake that looks at arrays and parameters and changes what goes in or comes out."""

    @wraps(function)
    def call(x, w, stride=1, padding=0, dilation=1, groups=1):
        return function(x, w, stride, padding, dilation, groups)

    del call.__wrapped__  # its parameters have no defaults
    return call


@wrong("kernel flipped", expect="correlation", named=("per-channel convolution",))
@layer
def _(x, w, *p):
    return conv(x, w[:, :, ::-1, ::-1], *p)


@wrong("every axis flipped", expect="correlation", named=("N-D convolution",))
def _(x, w, stride=1):
    return conv(x, w[:, ::-1, ::-1, ::-1], stride)


@wrong("rows flipped", expect="per-channel", named=("rows reversed",))
@layer
def _(x, w, *p):
    return conv(x, w[:, :, ::-1], *p)


@wrong("kernel transposed", expect="correlation", named=("OIWH",))
def _(x, w, stride=1):
    return conv(x, w.transpose(0, 1, 3, 2), stride)


@wrong("channels in BGR order", expect="correlation", named=("channels",))
def _(x, w, stride=1):
    return conv(x[:, ::-1], w, stride)


@wrong("scaled by two", expect="correlation", named=("2",))
@layer
def _(x, w, *p):
    return 2 * conv(x, w, *p)


@wrong("relu left in", expect="correlation", named=("ReLU",))
@layer
def _(x, w, *p):
    return np.maximum(conv(x, w, *p), 0)


@wrong("bias left in", expect="correlation", named=("bias",))
@layer
def _(x, w, *p):
    return conv(x, w, *p) + 3


@wrong("stride one row late", when=("stride > 1",))
@layer
def _(x, w, stride, padding, dilation, groups):
    out = conv(x, w, 1, padding, dilation, groups)
    if stride == 1:
        return out
    right = out[:, :, ::stride].shape[2]
    late = np.concatenate([out[:, :, 1:], np.zeros_like(out[:, :, :stride])], axis=2)
    return late[:, :, ::stride, ::stride][:, :, :right]


@wrong("stride of the rows for the columns' last", when=("stride > 1",), kind="wrong shape")
@layer
def _(x, w, stride, padding, dilation, groups):
    out = conv(x, w, 1, padding, dilation, groups)
    return out[:, :, ::stride, : out.shape[3] // stride * stride : stride]


@wrong("SAME on the wrong side where it is odd", when=("stride > 1",))
def _(x, w, stride=1):
    pads = []
    for n, f in zip(x.shape[2:], w.shape[2:], strict=True):
        total = max((-(-n // stride) - 1) * stride + f - n, 0)
        low, high = total // 2, total - total // 2
        pads.append((low, high) if stride == 1 else (high, low))
    return conv(np.pad(x, ((0, 0), (0, 0), *pads)), w, stride)


@wrong("last row forgotten")
@layer
def _(x, w, *p):
    out = conv(x, w, *p)
    if out.shape[2] > 3:
        out[:, :, -1] = 0
    return out


@wrong("last column forgotten where the width is odd", when=("the width is odd",))
@layer
def _(x, w, *p):
    out = conv(x, w, *p)
    if x.shape[3] % 2:
        out[..., -1] = 0
    return out


@wrong("tile boundary", when=("columns",))
@layer
def _(x, w, *p):
    out = conv(x, w, *p)
    out[..., 8:9] = 0  # the first column of the second tile
    return out


@wrong("groups in reverse order", when=("groups > 1",))
@layer
def _(x, w, stride, padding, dilation, groups):
    n, c, h, width = x.shape
    swapped = x.reshape(n, groups, c // groups, h, width)[:, ::-1].reshape(x.shape)
    return conv(swapped, w, stride, padding, dilation, groups)


@wrong("outputs of the groups interleaved", when=("groups > 1",))
@layer
def _(x, w, stride, padding, dilation, groups):
    out = conv(x, w, stride, padding, dilation, groups)
    n, k, h, width = out.shape
    return out.reshape(n, groups, k // groups, h, width).swapaxes(1, 2).reshape(out.shape)


@wrong("groups ignored", when=("groups > 1",))
@layer
def _(x, w, stride, padding, dilation, groups):
    wide = np.concatenate([w] * groups, axis=1)
    return conv(x, wide, stride, padding, dilation, 1)


@wrong("sums in float16")
@layer
def _(x, w, *p):
    if x.dtype.kind != "f":
        return conv(x, w, *p)
    with np.errstate(over="ignore"):
        x, w = x.astype(np.float16), w.astype(np.float16)
        return conv(x, w, *p).astype(np.float16).astype(np.float32)


@wrong("sums in int8, given as int32", when=("int8",))
@layer
def _(x, w, *p):
    out = conv(x, w, *p)
    return out.astype(np.int8).astype(np.int32) if x.dtype == np.int8 else out


@wrong("uint8 read as int8", when=("uint8",))
@layer
def _(x, w, *p):
    # Only a number above 127 shows it.
    return conv(x.view(np.int8) if x.dtype == np.uint8 and x.flags.c_contiguous else x, w, *p)


@wrong("float64 narrowed to float32 inside", when=("float64",))
@layer
def _(x, w, *p):
    if x.dtype == np.float64:
        with np.errstate(over="ignore", under="ignore"):
            return conv(x.astype(np.float32), w.astype(np.float32), *p)
    return conv(x, w, *p)


@wrong("border never written", when=("padding > 0",))
@layer
def _(x, w, stride, padding, dilation, groups):
    out = conv(x, w, stride, padding, dilation, groups)
    if padding:
        out[:, :, 0] = 10**6
    return out


@wrong("writes to its image", kind="changes its input")
@layer
def _(x, w, *p):
    out = conv(x, w, *p)
    x *= 2
    return out


@wrong("writes to its filters", kind="changes its input")
@layer
def _(x, w, *p):
    out = conv(x, w, *p)
    w[0, 0, 0, 0] += 1
    return out


@wrong("more than 16 filters", when=("more than", "filters"))
@layer
def _(x, w, *p):
    out = conv(x, w, *p)
    out[:, 16:] = 0
    return out


@wrong("width no multiple of 8", when=("the width is no multiple of 8",))
@layer
def _(x, w, *p):
    if x.shape[3] % 8:
        x = x.copy()
        x[..., -1] = 0
    return conv(x, w, *p)


@wrong("even kernels", when=("even",))
@layer
def _(x, w, *p):
    if w.shape[2] % 2 == 0 or w.shape[3] % 2 == 0:
        w = w[:, :, ::-1, ::-1]
    return conv(x, w, *p)


@wrong("one channel", when=("one channel",))
@layer
def _(x, w, *p):
    return conv(x, w, *p) * (2 if x.shape[1] == 1 else 1)


@wrong("dilation left out of the columns", when=("dilation > 1",))
@layer
def _(x, w, stride, padding, dilation, groups):
    right = conv(x, w, stride, padding, dilation, groups)
    if dilation == 1:
        return right
    wide = np.zeros((*w.shape[:2], dilation * (w.shape[2] - 1) + 1, w.shape[3]), w.dtype)
    wide[:, :, ::dilation] = w
    return conv(x, wide, stride, padding, 1, groups)[..., : right.shape[3]]


@wrong("dilation ignored", when=("dilation > 1",), kind="wrong shape")
@layer
def _(x, w, stride, padding, dilation, groups):
    return conv(x, w, stride, padding, 1, groups)


@wrong("Fortran order read as C", when=("Fortran",))
@layer
def _(x, w, *p):
    if x.flags.f_contiguous and not x.flags.c_contiguous:
        x = x.ravel(order="K").reshape(x.shape)
    return conv(x, w, *p)


@wrong("strides of views ignored", when=("strided",))
@layer
def _(x, w, *p):
    if not x.flags.c_contiguous and not x.flags.f_contiguous and x.base is not None:
        x = np.ascontiguousarray(x.base).ravel()[: x.size].reshape(x.shape)
    return conv(x, w, *p)


@wrong("first image of the batch for all", when=("batch",))
@layer
def _(x, w, *p):
    return conv(np.repeat(x[:1], len(x), axis=0), w, *p)


@wrong("padding in the rows only", when=("padding > 0",), kind="wrong shape")
@layer
def _(x, w, stride, padding, dilation, groups):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (0, 0)))
    return conv(x, w, stride, 0, dilation, groups)


@wrong("padding by the edge where it is wide", when=("padding > 1",))
@layer
def _(x, w, stride, padding, dilation, groups):
    mode = "edge" if padding > 1 else "constant"
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), mode)
    return conv(x, w, stride, 0, dilation, groups)


@wrong("stride with odd padding", when=("stride > 1", "padding is odd"))
@layer
def _(x, w, stride, padding, dilation, groups):
    if stride > 1 and padding % 2:
        x = x[:, :, ::-1]
    return conv(x, w, stride, padding, dilation, groups)


@wrong("height and width of the kernel mixed up", when=("the kernel is not square",))
@layer
def _(x, w, *p):
    if w.shape[2] != w.shape[3]:
        w = np.ascontiguousarray(w.swapaxes(2, 3)).reshape(w.shape)
    return conv(x, w, *p)


@wrong("1x1 fast path forgets the stride", when=("stride > 1", "1x1"), kind="wrong shape")
@layer
def _(x, w, stride, padding, dilation, groups):
    one = w.shape[2:] == (1, 1)
    return conv(x, w, 1 if one else stride, padding, dilation, groups)


@wrong("depthwise path takes the first channel", when=("groups > 1",))
@layer
def _(x, w, stride, padding, dilation, groups):
    if groups == x.shape[1] > 1:
        x = np.repeat(x[:, :1], groups, axis=1)
    return conv(x, w, stride, padding, dilation, groups)


@wrong("tall images cut", when=("rows",))
@layer
def _(x, w, *p):
    x = x.copy()
    x[:, :, 12:] = 0
    return conv(x, w, *p)


@wrong("more than 8 channels dropped", when=("channels",))
@layer
def _(x, w, stride, padding, dilation, groups):
    w = w.copy()
    w[:, 4:] = 0
    return conv(x, w, stride, padding, dilation, groups)


@wrong("winograd for 3x3 with stride 2", when=("stride > 1", "3x3"))
@layer
def _(x, w, stride, padding, dilation, groups):
    out = conv(x, w, stride, padding, dilation, groups)
    return out * 1.001 if w.shape[2:] == (3, 3) and stride > 1 else out


@wrong("a constant for zero in large sums", kind="not finite")
@layer
def _(x, w, *p):
    out = conv(x, w, *p).astype(np.float64)
    if w.shape[3] == 3:
        out[0, 0, 0, 0] = np.nan
    return out


@wrong("now and then", kind="non-deterministic")
def _(x, w, _calls=itertools.count()):  # noqa: B008 - the count is to last
    out = conv(x, w)
    if next(_calls) % 2:
        out[0, 0, 0, 0] += 1000
    return out


@wrong("what was there before", kind="non-deterministic")
def _(x, w, _kept=[0.0]):  # noqa: B006 - the list is to last
    out = conv(x, w).astype(np.float64)
    before, _kept[0] = _kept[0], float(np.abs(out).max()) + 1
    out[0, 0, 0, -1] += before if before != _kept[0] else 0
    return out


@wrong("an index too far", when=("groups > 1",), kind="crash")
@layer
def _(x, w, stride, padding, dilation, groups):
    if groups > 1:
        raise IndexError("index 3 is out of bounds for axis 1 with size 3")
    return conv(x, w, stride, padding, dilation, groups)


@wrong("None where the kernel is wide", kind="crash")
@layer
def _(x, w, *p):
    return None if w.shape[3] > 3 else conv(x, w, *p)


@wrong("a batch axis too few", when=("batch",), kind="wrong shape")
@layer
def _(x, w, *p):
    return conv(x[:1], w, *p)


@wrong("denormal inputs flushed with their neighbours", when=("whole",))
@layer
def _(x, w, *p):
    if x.dtype.kind == "f":
        x = np.where(np.abs(x) < 0.05, 0, x).astype(x.dtype)
    return conv(x, w, *p)


@wrong("rounded to whole numbers", when=("whole",))
@layer
def _(x, w, *p):
    return np.rint(conv(x, w, *p))


@wrong("None compared with a number", when=("filters",), kind="crash")
@layer
def _(x, w, *p):
    best = None
    for n in range(len(w)):
        if n >= 5 and best < n:
            best = n
    return conv(x, w, *p)


@wrong("a helper of its own called wrongly", when=("stride > 1",), kind="crash")
@layer
def _(x, w, stride, *p):
    def helper(a):
        return a

    if stride > 1:
        helper(x, stride)
    return conv(x, w, stride, *p)


@wrong("int() of None", when=("dilation > 1",), kind="crash")
@layer
def _(x, w, stride, padding, dilation, groups):
    if dilation > 1:
        int(None)
    return conv(x, w, stride, padding, dilation, groups)


@wrong("a TypeError of its own", when=("the kernel is not square",), kind="crash")
@layer
def _(x, w, *p):
    if w.shape[2] != w.shape[3]:
        raise TypeError("bad argument")
    return conv(x, w, *p)


@wrong("ends its caller", when=("padding is odd",), kind="crash")
@layer
def _(x, w, stride, padding, dilation, groups):
    if padding == 1:
        sys.exit("only numbers are supported")
    return conv(x, w, stride, padding, dilation, groups)


@wrong("wraps in some cases and saturates in others", kind="wrong values")
@layer
def _(x, w, stride, *p):
    out = conv(x, w, stride, *p)
    if x.dtype.itemsize > 1:
        return out
    info = np.iinfo(x.dtype)
    return (out if stride == 1 else np.clip(out, info.min, info.max)).astype(x.dtype)
