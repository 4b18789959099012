"""How hypotheses are voted for: by the bits of the samples that they explain.

A vote is robust: a sample, or a chunk of samples, that does not fit adds nothing, and takes nothing
from the others. Survivors are hypotheses and nothing more; what they explain is solved for and
scored elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.identify.block import Judge

Array = NDArray[Any]

CHUNK = 8
"""Samples of one channel that are looked at together, for a line through them."""
ROOM = 2.0**-5
"""Of the output's spread: how far a sum may be from a plain output, in the coarsest arithmetic."""
MOST = 24.0
"""Bits that one sample can say: those of single precision, in which the values are looked at."""
TIGHT = 0.8
"""r squared that a few samples must have about a line."""


def chunked(samples: Array) -> Array:
    """The samples in an order in which the first two chunks are of different channels, if any are.

    Samples come in runs of one channel each.
    """
    runs = np.split(np.arange(len(samples)), np.flatnonzero(np.diff(samples[:, 1])) + 1)
    chunks = [run[i : i + CHUNK] for run in runs for i in range(0, len(run), CHUNK)]
    nth: dict[int, int] = {}
    keys = []
    for chunk in chunks:
        channel = int(samples[chunk[0], 1])
        nth[channel] = nth.get(channel, 0) + 1
        keys.append((len(chunk) < CHUNK, nth[channel]))
    order = sorted(range(len(chunks)), key=lambda i: keys[i])
    found: Array = samples[np.concatenate([chunks[i] for i in order])] if chunks else samples
    return found


def plain(values: Array, spread: float, step: float, modulus: float | None) -> Judge:
    """The sums themselves, whatever their arithmetic; of integers that may have wrapped by it."""
    room = ROOM * spread + step
    count = len(values)
    first = tuple(dict.fromkeys((0, count // 2, count - 1)))
    least = max(1, len(first) - 1)

    def apart(predicted: Array, wanted: Array) -> Array:
        difference = predicted - wanted
        if modulus:
            difference = difference - modulus * np.rint(difference / modulus)
        size: Array = np.abs(difference)
        return size

    def quick(sums: Mapping[int, Array]) -> Array:
        within = sum((apart(sums[s], values[s]) <= room).astype(np.int8) for s in first)
        found: Array = np.asarray(within) >= least
        return found

    def votes(sums: Array) -> Array:
        away = apart(sums, values[: len(sums), None])
        with np.errstate(divide="ignore"):
            bits = np.clip(np.log2(max(modulus or 0.0, spread) / np.maximum(away, step)), 0, MOST)
        bits = np.where(away <= room, bits, 0.0)
        enough = np.count_nonzero(away <= room, axis=0) >= 0.4 * len(sums)
        found: Array = np.where(enough, bits.sum(axis=0), 0.0)
        return found

    return Judge(first, min(count, 2 * CHUNK), quick, votes, exact=bool(modulus))


def line(values: Array, channels: Array, *, folded: bool = False) -> Judge:
    """Sums on a line for each chunk of one channel; a factor alone where channels are mixed.

    ``folded``: of squares, which is what an absolute value leaves.
    """
    count = len(values)
    few = [np.arange(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]
    first = tuple(int(s) for chunk in few[:2] for s in chunk[:5])

    def quick(sums: Mapping[int, Array]) -> Array:
        alive: Array = np.zeros(sums[first[0]].shape, bool)
        for chunk in few[:2]:
            some = chunk[:5]
            alive |= _tightness(np.stack([sums[int(s)] for s in some]), some) >= TIGHT
        return alive

    def _tightness(sums: Array, some: Array) -> Array:
        x, y = sums, values[some].reshape(-1, *(1 for _ in sums.shape[1:]))
        if folded:
            x, y = x * x, y * y
        if len(some) >= 4 and (channels[some] == channels[some[0]]).all():
            x, y = x - x.mean(axis=0), y - y.mean()
        # By the norm of y first: in single precision the squares of both together may overflow.
        y = y / max(float(np.sqrt((np.abs(y) ** 2).sum())), 1e-300)
        power = (np.abs(x) ** 2).sum(axis=0)
        product = np.abs((np.conj(x) * y).sum(axis=0)) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Array = np.nan_to_num(product / power, posinf=0.0)
        return np.minimum(found, 1.0)

    def votes(sums: Array) -> Array:
        bits = np.zeros(sums.shape[1])
        for chunk in few:
            if chunk[-1] >= len(sums):
                continue
            loose = np.maximum(1.0 - _tightness(sums[chunk], chunk), 2.0 ** (-2 * MOST))
            bits += 0.5 * max(len(chunk) - 2, 1) * -np.log2(loose)
        found: Array = np.where(bits >= 0.5 * len(sums), bits, 0.0)
        return found

    return Judge(first, min(count, 2 * CHUNK), quick, votes)
