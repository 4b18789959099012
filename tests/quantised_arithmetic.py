"""The published integer arithmetic of quantised layers, where the library is not at hand.

Each function is written from its source, and named after it: accumulators of 32 bits, the bias
among them, by a multiplier and a shift as ``QuantizeMultiplier`` makes them. Nothing of convcheck's
is used.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def tflite_quantize_multiplier(scale: float) -> tuple[int, int]:
    """TensorFlow Lite, kernels/internal/quantization_util.cc: ``QuantizeMultiplier``."""
    if scale == 0.0:
        return 0, 0
    fraction, shift = math.frexp(scale)
    q = math.floor(fraction * (1 << 31) + 0.5)  # TfLiteRound, of what is positive
    if q == 1 << 31:
        q, shift = q // 2, shift + 1
    return (0, 0) if shift < -31 else (q, shift)


def gemmlowp_high_multiply(a: Array, b: int) -> Array:
    """gemmlowp, fixedpoint.h: ``SaturatingRoundingDoublingHighMul``: C's division truncates."""
    product = a.astype(np.int64) * b
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    return np.sign(nudged) * (np.abs(nudged) // (1 << 31))


def gemmlowp_rounding_divide(x: Array, exponent: int) -> Array:
    """gemmlowp, fixedpoint.h: ``RoundingDivideByPOT``."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


def tflite_twice(accumulators: Array, scale: float) -> Array:
    """TensorFlow Lite, common.h: ``MultiplyByQuantizedMultiplier``, as gemmlowp rounds: twice."""
    q, shift = tflite_quantize_multiplier(scale)
    left, right = max(shift, 0), max(-shift, 0)
    return gemmlowp_rounding_divide(gemmlowp_high_multiply(accumulators << left, q), right)


def tflite_once(accumulators: Array, scale: float) -> Array:
    """The same where ``TFLITE_SINGLE_ROUNDING`` is set; XNNPACK's ``rndnu`` is that, too."""
    q, shift = tflite_quantize_multiplier(scale)
    total = 31 - shift
    return (accumulators.astype(np.int64) * q + (1 << (total - 1))) >> total


def cmsis_nn_requantize(accumulators: Array, scale: float) -> Array:
    """CMSIS-NN, arm_nnsupportfunctions.h: ``arm_nn_requantize`` without single rounding."""
    q, shift = tflite_quantize_multiplier(scale)
    left, right = max(shift, 0), max(-shift, 0)
    high = ((accumulators.astype(np.int64) << left) * q + (1 << 30)) >> 31
    result, remainder = high >> right, high & ((1 << right) - 1)
    threshold = (((1 << right) - 1) >> 1) + (result < 0)
    return result + (remainder > threshold)


def qnnpack_q31(accumulators: Array, scale: float) -> Array:
    """QNNPACK, requantization/q31-scalar.c: a multiplier of the 24 bits of a float32 scale."""
    bits = int(np.float32(scale).view(np.uint32))
    multiplier = ((bits & 0x007FFFFF) | 0x00800000) << 7
    shift = 127 + 31 - 32 - (bits >> 23)
    product = (accumulators.astype(np.int64) * multiplier + (1 << 30)) >> 31
    remainder = (product & ((1 << shift) - 1)) - (product < 0)
    return (product >> shift) + (remainder > ((1 << shift) - 1) >> 1)


def fbgemm_float32(accumulators: Array, scale: float) -> Array:
    """FBGEMM, onnxruntime, QNNPACK on x86: float32 times float32, ``nearbyint``."""
    return np.rint(accumulators.astype(np.float32) * np.float32(scale)).astype(np.int64)
