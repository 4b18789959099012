"""The oracle: scipy.signal.convolve, imported only where it is called."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convcheck.errors import InputError, OracleError
from convcheck.fourier import round_to_quantum
from convcheck.rounding import Arithmetic, fft_bound, largest_magnitude, norm

Array = NDArray[Any]

NAME = "scipy.signal.convolve"
METHODS = ("auto", "direct", "fft")


@dataclass(frozen=True)
class Reference:
    """What the oracle gave for one filter, and how far that can be from the exact result.

    ``bound`` is None where the oracle summed directly: the bound of any sum of products holds.
    """

    values: Array
    bound: float | None


def choose_method(image: Array, bank: Array, arithmetic: Arithmetic, method: str) -> str:
    """``direct`` or ``fft``: what scipy takes for an image (C,*S) and a bank under ``method``.

    It takes no FFT for integers that one might not get right: the bank's largest number decides.

    Raises:
        InputError: scipy has no such method.
    """
    from scipy.signal import choose_conv_method

    if method not in METHODS:
        raise InputError(f"scipy has no method {method!r}", expected=f"one of {', '.join(METHODS)}")
    if method != "auto":
        return method
    if arithmetic.dtype.kind == "i":
        kernel = max(bank, key=largest_magnitude)
    else:
        # For floating point it looks at the shapes only: there is no need to convert an image.
        image = np.broadcast_to(np.zeros(1, arithmetic.dtype), image.shape)
        kernel = np.broadcast_to(np.zeros(1, arithmetic.dtype), bank.shape[1:])
    return str(choose_conv_method(image, kernel, mode="valid"))


class Oracle:
    """scipy's N-D convolution, valid, of one image (C,*S) with one filter after the other."""

    def __init__(self, image: Array, arithmetic: Arithmetic, method: str) -> None:
        # An FFT works in floating point whatever it is given; so its result is judged as such.
        self.rounds_integers = method == "fft" and arithmetic.dtype.kind == "i"
        self.image = image.astype(np.float64) if self.rounds_integers else image
        self.method = method
        self.arithmetic = arithmetic

    @cached_property
    def _norm(self) -> float:
        return norm(self.image)

    def __call__(self, kernel: Array) -> Reference:
        """The result for a filter (C,*F): (*out), where out is S - F + 1.

        Raises:
            OracleError: scipy raised, or gave something that is not finite.
        """
        values, bounds = self.each(kernel[None])
        return Reference(values[0], None if bounds is None else bounds[0])

    def each(self, bank: Array) -> tuple[Array, list[float] | None]:
        """The results for filters (K,C,*F), stacked, and how far each can be off.

        Raises:
            OracleError: scipy raised, or gave something that is not finite.
        """
        from scipy.signal import convolve

        if self.rounds_integers:
            bank = bank.astype(np.float64)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is not finite: it is looked at below
                for k, kernel in enumerate(bank):
                    (found,) = convolve(self.image, kernel, mode="valid", method=self.method)
                    if k == 0:
                        values = np.empty((len(bank), *found.shape), found.dtype)
                    values[k] = found
        except Exception as error:
            raise OracleError(
                f"{NAME} itself failed, so there is nothing to judge against",
                got=f"{type(error).__name__}: {error}",
                hint="try --method direct; if that fails too, report it to scipy",
            ) from error
        finite = np.isfinite(values)
        if not finite.all():
            raise OracleError(
                f"{NAME} gave values that are not finite for finite data",
                got=f"{np.count_nonzero(~finite)} of {values.size} elements",
                hint="its FFT overflows before its sums do: use --method direct, or scale the data",
            )
        if self.method != "fft":
            return values, None
        bounds = [self._fft_bound(kernel) for kernel in bank]
        step = self.arithmetic.quantum
        for k, bound in enumerate(bounds):
            if bound < 0.49 * step:
                # Every exact result is a multiple of the quantum, and only one is within the bound.
                round_to_quantum(values[k], step)
                bounds[k] = 0.0
            elif self.rounds_integers:
                values[k] = np.rint(values[k])
                bounds[k] += 0.5
        return values.astype(self.arithmetic.dtype, copy=False), bounds

    def _fft_bound(self, kernel: Array) -> float:
        length = _length(self.image.shape, kernel.shape, self.arithmetic.is_complex)
        # Integers beyond 2^53 were rounded when they became floats.
        roundings = self.arithmetic.input_roundings + 2 * self.rounds_integers
        return fft_bound(self._norm, norm(kernel), length, roundings=roundings)


@lru_cache(maxsize=4)
def _length(image: tuple[int, ...], kernel: tuple[int, ...], is_complex: bool) -> int:
    """Points of the transform that scipy takes."""
    from scipy.fft import next_fast_len

    full = (a + b - 1 for a, b in zip(image, kernel, strict=True))
    return math.prod(int(next_fast_len(n, not is_complex)) for n in full)
