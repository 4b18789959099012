"""The parts of random conventions that every draw of them shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class Bank(NamedTuple):
    """A bank of filters: its layout, the extent of each letter, and what else follows from it."""

    kind: str
    layout: str
    sizes: dict[str, int]
    taps: list[int]
    groups: int
    channels: int
    per_group: int

    @property
    def outputs(self) -> int:
        return self.groups * (1 if self.kind == "shared" else self.per_group)


def pick(rng: np.random.Generator, *choices: Any) -> Any:
    return choices[rng.integers(len(choices))]


def draw_bank(rng: np.random.Generator, *, most: int, longest: int, spatial: str = "HW") -> Bank:
    """Up to ``most`` channels and filters a group, kernels of up to ``longest`` taps an axis."""
    kinds = ("dense", "dense", "dense", "grouped", "depthwise", "transposed", "shared", "HWIM")
    kind = pick(rng, *kinds)
    inputs, per_group = (int(rng.integers(1, most + 1)) for _ in range(2))
    groups = 1 if kind == "dense" else int(rng.integers(2, 4))
    if kind in {"depthwise", "shared", "HWIM"}:
        inputs = 1
    letters = "OI" + spatial
    if kind == "dense" and per_group == 1 and rng.random() < 0.5:
        letters = spatial if inputs == 1 else "I" + spatial
    elif kind in {"shared", "HWIM"}:
        letters = {"shared": spatial}.get(kind, spatial + "IM")
    layout = "".join(rng.permutation(list(letters))) if rng.random() < 0.5 else letters
    channels = groups * inputs
    taps = [int(rng.integers(1, longest + 1)) for _ in spatial]
    sizes = {
        "O": groups * per_group if kind in {"grouped", "depthwise"} else per_group,
        "I": channels if kind in {"transposed", "HWIM"} else inputs,
        "M": per_group,
    }
    sizes |= dict(zip(spatial, taps, strict=True))
    return Bank(kind, layout, sizes, taps, groups, channels, per_group)


def usual_padding(
    size: int, taps: int, stride: int, dilation: int, even: int
) -> dict[str, tuple[int, int]]:
    """What an axis is padded with by each of the rules that software has."""
    reach = dilation * (taps - 1)
    total = max((-(-size // stride) - 1) * stride + reach + 1 - size, 0)
    return {
        "none": (0, 0),
        "even": (even, even),
        "upper": (total // 2, total - total // 2),
        "lower": (total - total // 2, total // 2),
        "full": (reach, reach),
        "scipy": (taps // 2, (taps - 1) // 2),
    }
