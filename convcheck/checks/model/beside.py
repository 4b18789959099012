"""A layer of a port on its own input, by what the original's layer says; and why it departs."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convcheck.checks.model.causes import searched
from convcheck.checks.model.judging import arrays_of, held, short
from convcheck.checks.model.result import Cause, Row
from convcheck.checks.model.untold import unseen
from convcheck.checks.model.weights import close, quantised, relation
from convcheck.convention.channels import read_filters, stored_image, to_axes
from convcheck.errors import InputError
from convcheck.trace.layer import Layer, about
from convcheck.words.differs import differences

if TYPE_CHECKING:
    from convcheck.check import Check
    from convcheck.convention import Convention

Array = NDArray[Any]

NAMES = ("A", "B")
_NUMPY = {"reflect": "reflect", "edge": "edge", "wrap": "wrap", "symmetric": "symmetric"}
_OWN = ("image_layout", "output_layout", "image_offset", "image_scale", "storage", "arithmetic")
"""Keys that belong to how a port stores its numbers."""


class _Side(NamedTuple):
    """A layer with its arrays and convention."""

    layer: Layer
    convention: Convention
    parts: Array | None
    image: Array
    filters: Array
    output: Array

    @classmethod
    def of(cls, layer: Layer) -> _Side:
        convention, parts = layer.convention()
        side = cls(layer, convention, parts, *arrays_of(layer))
        try:
            side.bank()
        except InputError as error:
            raise about(layer.name, error) from error
        return side

    def bank(self) -> Array:
        """The weights as they are met: O, I and the spatial axes, float64."""
        channels = stored_image(self.image, self.convention).shape[1]
        w = read_filters(self.filters, self.convention, channels).astype(np.float64)
        offset = np.asarray(self.convention.filter_offset, float)
        made: Array = w - (offset.reshape(-1, *[1] * (w.ndim - 1)) if offset.ndim else offset)
        return made

    def scaled(self) -> Array:
        """The same with the factor of the normalization, or of the quantisation."""
        w = self.bank()
        factor = np.asarray(self.convention.scale, float).reshape(-1, *[1] * (w.ndim - 1))
        made: Array = w * factor
        return made


def compared(a: Layer, b: Layer, by: str) -> Row:
    """The row of B's layer.

    Raises:
        InputError: arrays that do not fit their own attributes.
    """
    begun = perf_counter()
    mine, other = _Side.of(a), _Side.of(b)
    own = mine.convention
    changes = {key: getattr(other.convention, key) for key in ("image_layout", "output_layout")}
    same_rank = own.rank == other.convention.rank
    found: Check | None = None
    causes: tuple[Cause, ...] = ()
    expected = judged = own
    judge = a
    if same_rank:
        arithmetic = _coarser(own, other.convention)
        expected = judged = own.replace(**changes, arithmetic=arithmetic)
        image = _unpadded(other, expected)
        found, judged = _held(image, mine.filters, other.output, expected, mine.parts)
    holds = found is not None and found.matches
    if holds:
        if image is other.image:  # else B pads by a layer of its own
            causes = tuple(d for d in _attributes(mine, other) if d.key != "arithmetic")
    else:
        try:
            alone, mended = held(
                other.image, other.filters, other.output, other.convention, other.parts
            )
        except InputError as error:
            raise about(b.name, error) from error
        if alone.matches and same_rank and _few_bits(mine, other._replace(convention=mended)):
            holds, found, judged, judge = True, alone, mended, b
        else:
            causes = _causes(mine, other, expected, alone.matches)
    return Row(
        b.name,
        b.kind,
        "holds" if holds else "departs",
        judged,
        short(judge, judged),
        found.comparison if found is not None else None,
        perf_counter() - begun,
        partner=a.name,
        causes=causes,
        paired_by=by,
        drift=_drift(mine, other),
        unseen=unseen(other.image, other.filters, other.convention) if holds else (),
    )


def _held(
    image: Array, filters: Array, output: Array, c: Convention, parts: Array | None
) -> tuple[Check | None, Convention]:
    try:
        return held(image, filters, output, c, parts)
    except InputError:
        return None, c  # of another shape: it departs


def _coarser(a: Convention, b: Convention) -> str:
    """float16 and bfloat16 operands are B's own; else what is the less exact of the two."""
    order = ("exact", "float64", "float32")
    if a.arithmetic in order and b.arithmetic in order:
        return max(a.arithmetic, b.arithmetic, key=order.index)
    return a.arithmetic


def _unpadded(other: _Side, expected: Convention) -> Array:
    """B's image without a border that B had put around it before, as A's layer does itself."""
    c, x = other.convention, other.image
    more = [(a - b, d - e) for (a, d), (b, e) in zip(expected.padding, c.padding, strict=True)]
    spread = set(expected.input_dilation) == {1} == set(c.input_dilation)
    if not spread or any(n < 0 for pair in more for n in pair) or not any(map(any, more)):
        return x
    if any(c.padding_modes[i] != "constant" for i in range(c.rank)):
        return x
    widths, cut = [], []
    for axis, size in zip(c.image_layout, x.shape, strict=True):
        before, after = more[c.spatial.index(axis)] if axis in c.spatial else (0, 0)
        widths.append((before, after))
        cut.append(slice(before, size - after))
    inner = x[tuple(cut)]
    if 0 in inner.shape:
        return x
    mode = expected.padding_modes[0]
    try:
        made = (
            np.pad(inner, widths, constant_values=expected.padding_value)
            if mode == "constant"
            else np.pad(inner, widths, mode=_NUMPY[mode])  # type: ignore[call-overload]
        )
    except ValueError:
        return x
    return inner if np.array_equal(made, x) else x


def _few_bits(mine: _Side, other: _Side) -> bool:
    """Whether B does what A does with weights, or numbers, of fewer bits, and does that right."""
    if any(d.key != "arithmetic" for d in _not_excused(mine, other)):
        return False
    a, b = mine.scaled(), other.scaled()
    stored = other.convention.storage is not None or mine.convention.storage is not None
    if stored:
        # The scales of image and output are in B's factor: what is left is one number.
        size = float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0))
        b = b * (size[0] / size[1]) if size[1] else b
        alike = a.shape == b.shape and bool(np.abs(a - b).max() <= 0.02 * size[0])
        return alike and _bias_in_proportion(mine, other)
    if _of_numbers(mine, other, 0.02):
        return False
    if (mine.layer.epsilon is None) == (other.layer.epsilon is None):
        a, b = mine.bank(), other.bank()
    if close(a, b):  # then it is the sums that are of fewer bits, and B says so
        return mine.convention.arithmetic != other.convention.arithmetic
    return quantised(a, b)


def _not_excused(mine: _Side, other: _Side) -> list[Cause]:
    """What the records say otherwise, but for an activation that quantising makes."""
    cut = mine.convention.activation
    made = other.layer.cut_off and cut is not None and cut.name in ("relu", "relu6", "clip")
    return [d for d in _attributes(mine, other) if not (made and d.key == "activation")]


def _bias_in_proportion(mine: _Side, other: _Side) -> bool:
    """Whether the biases are the same but for one factor, which is the output's scale."""
    if "bias" not in other.layer.roles and not other.layer.kind.startswith("QLinearConv"):
        return True  # which may be added by a layer of its own
    a, b = (
        np.atleast_1d(np.asarray(0.0 if c.bias is None else c.bias, float))
        for c in (mine.convention, other.convention)
    )
    a, b = np.broadcast_arrays(a, b) if 1 in (a.size, b.size) else (a, b)
    if a.shape != b.shape:
        return False
    power = float(b @ b)
    factor = float(a @ b) / power if power else 0.0
    return bool(np.abs(a - factor * b).max() <= 0.02 * np.abs(a).max())


def _attributes(mine: _Side, other: _Side) -> list[Cause]:
    """What the records of the two say otherwise, but for weights and numbers."""
    plain = {"scale": 1.0, "bias": None, "flip": (), "storage": None, "filter_offset": 0.0}
    plain |= {"image_offset": 0.0}
    rank = other.convention.rank
    layout = "OI" + other.convention.spatial
    e, f = (
        side.convention.replace(
            **plain,
            image_layout="NC" + layout[2:],
            filter_layout=layout,
            output_layout="NC" + layout[2:],
            filter_memory=None,
        )
        for side in (mine, other)
    )
    if mine.convention.rank != rank:
        return [Cause("rank", f"B has {rank} spatial axes where A has {mine.convention.rank}")]
    if other.convention.storage is not None or mine.convention.storage is not None:
        f = f.replace(arithmetic=e.arithmetic)
    f = f.replace(padding=_whole_padding(other, mine.convention))
    return [Cause(d.key, d.words, d.fix) for d in differences(e, f, names=NAMES)]


def _whole_padding(other: _Side, expected: Convention) -> tuple[tuple[int, int], ...]:
    """B's padding with the zeros that its image came with, where A's layer pads more itself."""
    c, x = other.convention, other.image
    found = []
    for letter, (before, after), wanted in zip(c.spatial, c.padding, expected.padding, strict=True):
        axis = c.image_layout.index(letter)
        more = sum(wanted) - before - after
        filled = np.any(x != 0, axis=tuple(i for i in range(x.ndim) if i != axis))
        if more > 0 and filled.any():
            first, last = int(np.argmax(filled)), int(np.argmax(filled[::-1]))
            found.append((before + min(first, more + 1), after + min(last, more + 1)))
        else:
            found.append((before, after))
    return tuple(found)


def _causes(mine: _Side, other: _Side, expected: Convention, alone: bool) -> tuple[Cause, ...]:
    """Why: by the records, where B's output follows from its own; else by trying mistakes."""
    causes = _not_excused(mine, other) + _of_weights(mine, other) + _of_numbers(mine, other)
    if alone:
        return tuple(causes)
    epsilon = _epsilon(mine, other, expected)
    if epsilon is not None:
        return (epsilon,)
    if mine.convention.rank == other.convention.rank:
        found = searched(other.image, mine.filters, other.output, expected, mine.parts, names=NAMES)
        if found:
            return found
    return tuple(causes)


def _of_weights(mine: _Side, other: _Side) -> list[Cause]:
    if mine.convention.storage is not None or other.convention.storage is not None:
        return []  # in other units
    try:
        a, b = mine.bank(), other.bank()
    except InputError:
        return []
    if close(a, b) or close(mine.scaled(), other.scaled()):
        return []
    normalized = (mine.layer.epsilon is None) != (other.layer.epsilon is None)
    pair = (mine.scaled(), other.scaled()) if normalized else (a, b)
    found = relation(*pair)
    if found is not None:
        return [found]
    if quantised(*pair):
        return []
    if a.shape != b.shape:
        return [Cause("weight", f"B's weights are {b.shape} as O, I and taps, A's {a.shape}")]
    off = np.abs(pair[0] - pair[1])
    part = np.count_nonzero(off > 1e-5 * np.abs(pair[0]).max(initial=0)) / off.size
    return [
        Cause(
            "weight", f"B's weights are others than A's in {part:.0%} of them", "copy A's weights"
        )
    ]


def _of_numbers(mine: _Side, other: _Side, room: float = 1e-5) -> list[Cause]:
    """Epsilon, normalization and bias; of the size of the latter ``room`` is not counted."""
    a, b = mine.layer, other.layer
    if a.epsilon is not None and b.epsilon is not None:
        if not np.isclose(a.epsilon, b.epsilon, rtol=1e-4, atol=0):
            words = (
                f"B's batch normalization has an epsilon of {b.epsilon:g} where A has {a.epsilon:g}"
            )
            return [Cause("epsilon", words, f"eps={a.epsilon:g}")]
        for role in ("mean", "variance", "gamma", "beta"):
            one, two = (np.asarray(x.array(role), float).ravel() for x in (a, b))
            if one.shape != two.shape or not np.allclose(one, two, rtol=1e-4, atol=1e-6):
                return [Cause("scale", f"B's batch normalization has another {role} than A's")]
    if ("bias" in a.roles) != ("bias" in b.roles) and (a.epsilon is None) == (b.epsilon is None):
        words = "B has no bias where A has one" if "bias" in a.roles else "B has a bias, A has none"
        return [Cause("bias", words, "copy the bias" if "bias" in a.roles else "bias=False")]
    one, two = (
        np.atleast_1d(np.asarray(0.0 if c is None else c, float))
        for c in (mine.convention.bias, other.convention.bias)
    )
    size = max(np.abs(one).max(initial=0), np.abs(two).max(initial=0))
    if other.convention.storage is not None and mine.convention.storage is None:
        if not _bias_in_proportion(mine, other):
            words = "B's bias is another than A's, in units of its output's scale"
            return [Cause("bias", words, "quantise A's bias")]
    elif mine.convention.storage is None:
        apart = one.shape == two.shape or 1 in (one.size, two.size)
        if apart and np.abs(one - two).max(initial=0) > room * size:
            if a.epsilon is not None and b.epsilon is None:
                words = "B's folded batch normalization gives another bias than A's"
            elif not two.any():
                words = "B has no bias where A has one"
            elif one.size == two.size and np.allclose(np.sort(one), np.sort(two), rtol=1e-5):
                words = "B's bias has its channels in another order than A's"
            else:
                words = "B's bias is another than A's"
            return [Cause("bias", words, "copy the bias")]
    return []


def _epsilon(mine: _Side, other: _Side, expected: Convention) -> Cause | None:
    """Another epsilon of A's batch normalization with which B's output follows."""
    own = mine.layer.epsilon
    if own is None:
        return None
    for epsilon in (1e-3, 1e-5, 1e-4, 1e-6, 1e-2, 0.0):
        c, parts = replace(mine.layer, epsilon=epsilon).convention()
        c = expected.replace(scale=c.scale, bias=c.bias)
        found, _ = _held(other.image, mine.filters, other.output, c, parts)
        if epsilon != own and found is not None and found.matches:
            words = f"B's batch normalization was made with an epsilon of {epsilon:g}, not {own:g}"
            return Cause("epsilon", words, f"eps={own:g}")
    return None


OTHER = 0.5
"""Of the size of A's image: where B's is further off, it is another image."""


def _drift(mine: _Side, other: _Side) -> float | None:
    """How far the outputs are apart, relative to the size of A's.

    None where shapes differ, or B was given another image.
    """
    same = mine.convention.rank == other.convention.rank
    if not same or mine.convention.activation != other.convention.activation:
        return None
    if other.convention.storage != mine.convention.storage:
        return None
    images = ((s.image, s.convention.image_layout) for s in (mine, other))
    given = _apart(mine.convention, *images)
    if given is None or given > OTHER:
        return None
    outputs = ((s.output, s.convention.output_layout) for s in (mine, other))
    return _apart(mine.convention, *outputs)


def _apart(c: Convention, *stored: tuple[Array, str]) -> float | None:
    a, b = (to_axes(x.astype(np.float64), layout, "NC" + c.spatial) for x, layout in stored)
    if a.shape != b.shape:
        return None
    size = float(np.sqrt(np.mean(a**2)))
    off = float(np.abs(a - b).max(initial=0))
    return off / size if size and np.isfinite(off) and np.isfinite(size) else None
