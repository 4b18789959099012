"""Implementations of convolution that are right.

SciPy takes a second to import, in every process that calls one of these: only who needs it waits.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Array = Any


def conv(x, w, stride=1, padding=0, dilation=1, groups=1):
    """A layer's cross-correlation, tap by tap: right."""
    kind = np.float64 if "f" in (x.dtype.kind, w.dtype.kind) else np.int64
    x, w = x.astype(kind), w.astype(kind)
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n, c, h, width = x.shape
    k, i, fh, fw = w.shape
    oh = (h - dilation * (fh - 1) - 1) // stride + 1
    ow = (width - dilation * (fw - 1) - 1) // stride + 1
    out = np.zeros((n, groups, k // groups, oh, ow), kind)
    for a, b in itertools.product(range(fh), range(fw)):
        rows = slice(a * dilation, a * dilation + (oh - 1) * stride + 1, stride)
        columns = slice(b * dilation, b * dilation + (ow - 1) * stride + 1, stride)
        taps = x[:, :, rows, columns].reshape(n, groups, c // groups, oh * ow)
        weights = w[:, :, a, b].reshape(groups, k // groups, i)
        out += (weights @ taps).reshape(out.shape)
    return out.reshape(n, k, oh, ow)


def loops(x, w, stride=1, padding=0):
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n, _, h, width = x.shape
    k, _, fh, fw = w.shape
    oh, ow = (h - fh) // stride + 1, (width - fw) // stride + 1
    out = np.empty((n, k, oh, ow))
    for b, o, i, j in np.ndindex(out.shape):
        window = x[b, :, i * stride : i * stride + fh, j * stride : j * stride + fw]
        out[b, o, i, j] = (window * w[o]).sum()
    return out


def einsum(x, w, stride=1, dilation=1):
    fh, fw = (dilation * (n - 1) + 1 for n in w.shape[2:])
    v = np.lib.stride_tricks.sliding_window_view(x, (fh, fw), axis=(2, 3))
    v = v[:, :, ::stride, ::stride, ::dilation, ::dilation]
    return np.einsum("nchwab,ocab->nohw", v.astype(np.float64), w.astype(np.float64))


def im2col(x, w, stride=1, padding=0):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    v = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    v = v[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)
    n, oh, ow = v.shape[:3]
    kind = np.result_type(x, np.float32)
    columns = v.reshape(n * oh * ow, -1).astype(kind)
    out = columns @ w.reshape(len(w), -1).T.astype(kind)
    return out.reshape(n, oh, ow, len(w)).transpose(0, 3, 1, 2)


def fourier(x, w):
    kind = np.result_type(x, np.float32)
    size = [a + b - 1 for a, b in zip(x.shape[2:], w.shape[2:], strict=True)]
    fx = np.fft.rfft2(x.astype(kind), size)
    fw = np.fft.rfft2(w[:, :, ::-1, ::-1].astype(kind), size)
    full = np.fft.irfft2(np.einsum("nchw,ochw->nohw", fx, fw), size)
    rows, columns = (slice(f - 1, n) for f, n in zip(w.shape[2:], x.shape[2:], strict=True))
    return full[:, :, rows, columns]


def single(x, w, stride=1, padding=0, dilation=1, groups=1):
    kind = np.float32 if x.dtype.kind == "f" and x.dtype.itemsize <= 4 else np.float64
    return conv(x, w, stride, padding, dilation, groups).astype(kind)


def reversed_sum(x, w):
    """In float32, from the last tap to the first."""
    x, w = x.astype(np.float32), w.astype(np.float32)
    oh, ow = x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1
    out = np.zeros((len(x), len(w), oh, ow), np.float32)
    for c in reversed(range(x.shape[1])):
        for a, b in itertools.product(*map(range, w.shape[2:])):
            out += x[:, None, c, a : a + oh, b : b + ow] * w[None, :, c, a, b, None, None]
    return out


def scipy_sum(x, w):
    """What the published question was after: a sum of convolutions of one channel each."""
    import scipy.signal

    x, w = x.astype(np.float64), w.astype(np.float64)
    return sum(scipy.signal.convolve(x[c], w[c], "valid", "direct") for c in range(len(x)))


def reflected(x, w):
    import scipy.ndimage

    return scipy.ndimage.correlate(x.astype(float), w.astype(float))


def channels_last(x, w, stride=1):
    return conv(x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), stride).transpose(0, 2, 3, 1)


def same(x, w, stride=1):
    pads = []
    for n, f in zip(x.shape[2:], w.shape[2:], strict=True):
        total = max((-(-n // stride) - 1) * stride + f - n, 0)
        pads.append((total // 2, total - total // 2))
    return conv(np.pad(x, ((0, 0), (0, 0), *pads)), w, stride)


def transposed(x, w, stride=1, padding=0):
    n, _, h, width = x.shape
    fh, fw = w.shape[2:]
    out = np.zeros((n, w.shape[1], (h - 1) * stride + fh, (width - 1) * stride + fw))
    for i, j in np.ndindex(h, width):
        part = np.einsum("nc,cohw->nohw", x[:, :, i, j].astype(float), w.astype(float))
        out[:, :, i * stride : i * stride + fh, j * stride : j * stride + fw] += part
    return out[:, :, padding : out.shape[2] - padding, padding : out.shape[3] - padding]


def rectified(x, w):
    return np.maximum(conv(x, w), 0)


def picky(x, w, stride=1, padding=0, dilation=1, groups=1):
    if dilation > 1:
        raise NotImplementedError("dilation is for later")
    if x.dtype != np.float32:
        raise TypeError(f"dtype {x.dtype}")
    return conv(x, w, stride, padding, dilation, groups).astype(np.float32)


RIGHT: dict[str, Callable[..., Array]] = {
    "taps": conv,
    "loops": loops,
    "einsum": einsum,
    "im2col": im2col,
    "fourier": fourier,
    "single": single,
    "reversed sum": reversed_sum,
    "sum of scipy's": scipy_sum,
    "channels last": channels_last,
    "same": same,
    "transposed": transposed,
    "relu": rectified,
    "picky": picky,
    "ndimage reflect": reflected,
}
