"""Numbers in few digits, as people choose them."""

from __future__ import annotations

import math


def simple_numbers(value: float) -> list[float]:
    """Numbers near ``value``, from the plainest to itself."""
    numbers = [float(round(value))] if abs(value) < 1e15 else []
    if 1e-9 < abs(value) < 1:
        numbers.append(1 / round(1 / value))
    numbers += [float(f"{value:.{digits}g}") for digits in range(1, 9)]
    numbers.append(value)
    close = [n for n in numbers if abs(n - value) <= 0.02 * abs(value) + 1e-9]
    return [n for n in dict.fromkeys(close) if n != 0]


def plainest(least: float, most: float) -> float:
    """The number between the two that takes the fewest digits, or is one over a whole number."""
    if least <= 0 <= most:
        return 0.0
    if most < 0:
        return -plainest(-most, -least)
    digits = -math.floor(math.log10(least))
    for more in range(min(17, 300 - digits)):  # 10.0**309 is beyond float64
        number = math.ceil(least * 10.0 ** (digits + more)) / 10.0 ** (digits + more)
        if least <= number <= most:
            return number
        if more == 2 and most < 1 and 1 / math.ceil(1 / most) >= least:
            return 1 / math.ceil(1 / most)
    return (least + most) / 2


def length(value: float) -> int:
    """How many characters a number takes, as a decimal or as one over a whole number."""
    decimal = len(repr(value).removesuffix(".0"))
    whole = round(1 / value) if abs(value) > 1e-9 else 0
    return min(decimal, len(f"1/{whole}")) if whole and 1 / whole == value else decimal
