"""The parts of identify one by one, each against its definition in plain loops."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations, product
from typing import Any

import numpy as np
import pytest

from convcheck.checks.identify.ambiguity import degenerate, only_copies, why_ambiguous
from convcheck.checks.identify.axes import Axis, axis_options, padding, table
from convcheck.checks.identify.classes import (
    canonical,
    classes,
    complexity,
    signature,
    telling_probe,
)
from convcheck.checks.identify.expectation import meets
from convcheck.checks.identify.flat import flat_fits
from convcheck.checks.identify.identification import identify
from convcheck.checks.identify.readings import Reading, readings
from convcheck.checks.identify.samples import (
    Sample,
    a_part,
    choose_samples,
    in_pairs,
    targets,
)
from convcheck.checks.sums import Problem
from convcheck.convention import FILTER_LAYOUTS, IMAGE_LAYOUTS, OUTPUT_LAYOUTS, Convention
from convcheck.engine import convolve, output_shape
from convcheck.errors import InputError

RNG = np.random.default_rng(12)
DRAWN_FROM = 13


def ints(*shape: int) -> np.ndarray:
    return RNG.integers(-9, 10, shape).astype(float)


# --- axes: the ways that one axis can go --------------------------------------------------------

SIZES = [
    *((n, k, o) for n in (1, 2, 5) for k in (1, 2, 3, 6) for o in (1, 2, 4, 7)),
    *((9, 8, 3), (9, 7, 2), (8, 3, 17), (20, 2, 2), (40, 33, 8), (40, 33, 4), (40, 32, 5)),
    *((5, 9, 3), (15, 8, 2), (70, 33, 3), (70, 32, 3), (40, 9, 4), (3, 12, 36), (30, 14, 1)),
    *((40, 33, 47), (40, 33, 85), (5, 32, 40)),
]


def ways(
    size: int,
    kernel: int,
    outputs: int,
    *,
    wide: bool = False,
    bordered: bool = False,
    outside: bool = False,
    mixed: bool = False,
) -> set[tuple[int, int, int, int]]:
    """Every (input dilation, dilation, stride, first window) that is searched, by definition."""
    found = set()
    apart = 1 if wide or bordered or size == 1 else 8
    far = {kernel} if 8 < kernel <= 32 and not mixed else set()  # patches side by side
    steps = {*range(1, 5 if mixed else 9)} | far
    gaps = {1} if apart == 1 else steps
    for gap, dilation, stride in product(gaps, range(1, 5), steps):
        extent, length = dilation * (kernel - 1) + 1, gap * (size - 1) + 1
        if kernel == 1 and dilation > 1:
            continue  # says nothing
        if stride > 1 and ((gap > 1 and not mixed) or outputs == 1):
            continue  # no transposed convolution has both; of one output none can be seen
        if dilation > 1 and (gap > 8 or stride > 8 or (not wide and kernel > 7)):
            continue  # long kernels are not dilated, and patches are none then
        if not wide and kernel > 32 and max(gap, dilation, stride) > 1:
            continue  # a kernel as long as an image neither
        beyond = 6 if outside else 0
        crop = length if wide else extent + 1 if gap == 1 else 3
        strided = (gap == 1 or mixed) and (wide or kernel <= 32)
        most = max(steps) if dilation == 1 else min(max(steps), 8)
        unseen = most if strided and outputs == 1 else stride
        for start in range(-150, 90):
            last = start + (outputs - 1) * stride
            left_out = length - (last + extent)
            first_touches = start + extent - 1 >= -beyond
            last_touches = last <= length - 1 + (gap - 1) + beyond
            if first_touches and last_touches and start <= crop and left_out < unseen + crop:
                found.add((gap, dilation, stride, start))
    return found


def as_set(options: list[Axis]) -> set[tuple[int, int, int, int]]:
    listed = [
        (a.input_dilation, a.dilation, a.stride, start)
        for a in options
        for start in range(a.first, a.first + a.count)
    ]
    assert len(set(listed)) == len(listed)
    assert all(a.count > 0 for a in options)
    return set(listed)


@pytest.mark.parametrize(
    "keys", [{}, *({name: True} for name in ("wide", "bordered", "outside", "mixed"))]
)
def test_every_way_of_an_axis_is_searched_and_no_other(keys: dict[str, bool]) -> None:
    for sizes in SIZES:
        options = axis_options(*sizes, **{"wide": False, **keys})
        assert as_set(options) == ways(*sizes, **keys), sizes


def test_a_wrapped_axis_is_rolled_by_every_amount() -> None:
    rolls = {(1, d, 1, start) for d in (1, 2, 3, 4) for start in range(-4, 1)}
    assert as_set(axis_options(5, 3, 5, wide=False, circular=True)) == rolls
    assert as_set(axis_options(5, 1, 5, wide=True, circular=True)) == {r for r in rolls if r[1] < 2}
    assert axis_options(5, 3, 4, wide=False, circular=True) == []


@pytest.mark.parametrize("mode", ["constant", "reflect", "symmetric", "edge", "wrap"])
@pytest.mark.parametrize(
    "sizes", [(5, 3, 4), (5, 2, 4), (5, 1, 3), (1, 3, 3), (4, 4, 9), (4, 2, 9)]
)
def test_an_option_of_an_axis_is_the_convention_that_it_says(
    sizes: tuple[int, int, int], mode: str
) -> None:
    """What the taps meet, summed up, is what the engine makes of the convention."""
    size, kernel, outputs = sizes
    x, w = ints(1, size), ints(1, kernel)
    places = [0, outputs - 1, outputs // 2]
    options = axis_options(size, kernel, outputs, wide=False)
    every = table(options, places, size, kernel)
    if mode != "constant":
        every = replace(every.without_gaps(), mode=mode)
    kinds = as_set([a for a in options if mode == "constant" or a.input_dilation == 1])
    assert len(every) == len(kinds) * (2 if kernel > 1 else 1)
    part = every.part(np.arange(len(every)) % 7 == 3)
    assert len(part) == len(range(3, len(every), 7))
    for gap in set(every.gap.tolist()):
        alike = every.gap == gap
        assert np.array_equal(every.part(alike).source(1), every.source(1)[alike])
    met = [part.source(sample) for sample in range(3)]
    assert np.array_equal(part.source(np.array([2, 0])), np.array([met[2], met[0]]))
    assert all(((at >= 0) & (at <= size)).all() for at in met)
    for i in range(len(part)):
        option = tuple(int(a[i]) for a in (part.gap, part.dilation, part.stride, part.start))
        assert option in kinds
        pads = padding(option, size, outputs, kernel)
        c = Convention(
            image_layout="HW",
            filter_layout="HW",
            output_layout="HW",
            flip=["W"] if part.reversed[i] else [],
            stride=[1, option[2]],
            dilation=[1, option[1]],
            input_dilation=[1, option[0]],
            padding=[[0, 0], pads],
            padding_mode=mode,
        )
        made = convolve(x, w, c)
        assert made.shape == (1, outputs), option
        padded = [*x[0], 0.0]
        for sample, place in enumerate(places):
            assert made[0, place] == sum(
                tap * padded[at] for tap, at in zip(w[0], met[sample][i], strict=True)
            )
        length, extent = option[0] * (size - 1) + 1, option[1] * (kernel - 1) + 1
        last = option[3] + option[2] * (outputs - 1)
        assert part.touches[i] == (option[3] < 0 or last + extent > length)
        assert pads[0] == -option[3]
        # Nothing is padded or cropped behind where the stride alone leaves the rest out.
        assert (pads[1] == 0) == (0 <= length - last - extent < option[2])


def test_options_with_the_same_window_are_one() -> None:
    """And with another dilation, another gap or a kernel that is reversed they are not."""
    every = table(axis_options(9, 3, 4, wide=False), [1, 3, 0], 9, 3)
    for sample in range(3):
        kept, which = every.distinct(sample)
        assert len(kept) < len(every)
        parts = (every.gap, every.dilation, every.reversed)
        windows = (*parts, every.start + every.stride * every.places[sample])
        shown = list(zip(*(a.tolist() for a in windows), strict=True))
        assert [shown[i] for i in kept[which]] == shown
        assert len({shown[i] for i in kept}) == len(kept)


def test_no_options_make_an_empty_table() -> None:
    assert len(table([], [0], 5, 3)) == 0


# --- readings: whose axis is whose --------------------------------------------------------------

ARRAYS = [
    ((3, 9, 8), (4, 3, 3, 2), (4, 7, 7)),
    ((3, 9, 3), (3, 3, 3, 3), (3, 9, 3)),
    ((4, 9, 8), (4, 2, 3, 2), (4, 9, 8)),
    ((4, 9, 8), (6, 2, 3, 2), (6, 9, 8)),
    ((4, 9, 8), (2, 4, 3, 2), (4, 9, 8)),
    ((4, 9, 8), (6, 4, 3, 2), (12, 9, 8)),
    ((1, 4, 9, 8), (3, 2, 4, 2), (1, 9, 8, 8)),
    ((2, 9, 8, 4), (3, 2, 4, 2), (2, 9, 8, 8)),
    ((9, 8), (3, 2), (9, 8)),
    ((3, 9, 8), (3, 2), (3, 9, 8)),
    ((2, 9, 8), (2, 1), (2, 9, 8)),
    ((9, 8, 3), (3, 3, 2), (9, 8)),
    ((9, 8), (4, 3, 2), (4, 9, 8)),
    ((9, 8), (1, 1, 3, 2), (9, 8, 1)),
    ((6, 9, 8), (3, 1, 2, 2), (6, 9, 8)),
    ((6, 9, 8), (6, 1, 2, 2), (6, 9, 8)),
    ((1, 9, 8), (1, 1, 1, 3), (3, 9, 8)),
    ((2, 9, 8), (2, 2, 2, 2), (4, 9, 8)),
    ((4, 9, 8), (3, 2, 3, 2), (3, 9, 8)),
]


@pytest.mark.parametrize("shapes", ARRAYS, ids=str)
def test_the_readings_are_all_that_the_engine_can_follow(shapes: tuple[Any, ...]) -> None:
    image, filters, output = map(np.zeros, shapes)
    expected = set()
    for layouts in product(IMAGE_LAYOUTS, FILTER_LAYOUTS, OUTPUT_LAYOUTS):
        if [*map(len, layouts)] != [image.ndim, filters.ndim, output.ndim]:
            continue
        if layouts[1].index("W") < layouts[1].index("H"):
            continue  # a transposed kernel says the same
        channels = dict(zip(layouts[0], image.shape, strict=True)).get("C", 1)
        for groups in range(1, channels + 1):
            if layouts[1] == "HWIO" and groups == channels > 1:
                bank = dict(zip(layouts[1], filters.shape, strict=True))
                if bank["I"] == channels:
                    continue  # HWIM says the same
            if layouts[1] == "HWIM" and groups < channels:
                continue
            keys = ("image_layout", "filter_layout", "output_layout")
            c = Convention(**dict(zip(keys, layouts, strict=True)), groups=groups, padding=9)
            try:
                made = output_shape(image.shape, filters.shape, c.replace(output_layout="NOHW"))
            except InputError:
                continue
            sizes = dict(zip(layouts[2], output.shape, strict=True))
            if layouts[1] == "HWIM" and channels == 1:
                continue  # HWIO says the same
            if made[:2] == (sizes.get("N", 1), sizes.get("O", 1)):
                expected.add((*layouts, groups))
    found = [
        (r.base.image_layout, r.base.filter_layout, r.base.output_layout, r.base.groups)
        for r in readings(image, filters, output)
    ]
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize("shapes", ARRAYS, ids=str)
def test_what_a_reading_says_of_its_sums_is_so(shapes: tuple[Any, ...]) -> None:
    image, filters, output = (ints(*shape) for shape in shapes)
    for reading in readings(image, filters, output):
        c = reading.base.replace(padding=4)
        sums = convolve(np.ones_like(image), np.abs(filters), c)
        assert reading.heaviest == sums.max()
        assert reading.reach == reading.heaviest * np.abs(image).max()
        assert reading.terms == convolve(np.ones_like(image), np.ones_like(filters), c).max()
        assert reading.whole
        assert not replace(reading, image=reading.image + 0.5).whole
        assert not replace(reading, filters=reading.filters + 0.25).whole
        assert reading.image.shape[0] == reading.output.shape[0]
        named = (*"NCHW", *"OIHW", *"NOHW")
        for array, (letter, size) in zip(
            [image] * 4 + [filters] * 4 + [output] * 4,
            zip(
                named,
                (*reading.image.shape, *reading.filters.shape, *reading.output.shape),
                strict=True,
            ),
            strict=True,
        ):
            layout = (
                c.image_layout
                if array is image
                else c.filter_layout.replace("M", "O")
                if array is filters
                else c.output_layout
            )
            assert size == dict(zip(layout, array.shape, strict=True)).get(letter, 1)


# --- samples ------------------------------------------------------------------------------------


def test_samples_are_elements_of_different_values() -> None:
    output = np.arange(2 * 5 * 30 * 40).reshape(2, 5, 30, 40) % 301
    samples = choose_samples(output, 40, lambda values: values > 50)
    assert len(samples) == 40
    assert len({s.index for s in samples}) == 40
    assert len({s.value for s in samples}) == 40
    assert all(output[s.index] == s.value > 50 for s in samples)
    assert {s.index[0] for s in samples} == {0, 1}
    assert {s.index[1] for s in samples} == set(range(5))
    assert all(isinstance(s.value, float) for s in samples)
    assert np.array_equal(targets(samples), [s.value for s in samples])


def test_samples_lie_about_the_middle_unless_it_is_damaged() -> None:
    output = np.random.default_rng(1).random((1, 1, 80, 120))
    near = choose_samples(output, 40, np.isfinite)
    assert all(30 <= s.index[2] <= 50 and 45 <= s.index[3] <= 75 for s in near)
    far = choose_samples(output, 40, np.isfinite, everywhere=True)
    for axis, size in ((2, 80), (3, 120)):
        assert min(s.index[axis] for s in far) < 0.1 * size
        assert max(s.index[axis] for s in far) > 0.9 * size


def test_samples_are_looked_for_outwards() -> None:
    """Where the middle says nothing they are taken from further out, to the very edge."""
    output = np.random.default_rng(2).random((1, 1, 40, 40))
    for rim, count in ((4, 20), (1, 10)):
        marked = output.copy()
        marked[:, :, rim:-rim, rim:-rim] = np.nan
        assert len(choose_samples(marked, 20, np.isfinite)) >= count
    small = choose_samples(np.arange(2.0).reshape(1, 1, 1, 2), 9, np.isfinite)
    assert {s.index for s in small} == {(0, 0, 0, 0), (0, 0, 0, 1)}


def test_samples_of_few_values_are_as_many_as_are_asked_for() -> None:
    output = np.ones((1, 2, 20, 20), np.int64)
    assert len(choose_samples(output, 12, np.isfinite)) == 12


def test_samples_of_one_channel_are_of_one_that_says_much() -> None:
    """The middle one of the odd ones that have most to say, or nearly."""

    def channel(output: np.ndarray) -> int:
        (found,) = {s.index[1] for s in choose_samples(output, 9, np.isfinite, one_channel=True)}
        return found

    output = np.random.default_rng(3).random((1, 12, 20, 20))
    output[:, 0] = np.nan
    output[0, 7, :2] = np.nan  # nine tenths are left
    assert channel(output) == 7
    output[0, 7, 2, 2] = np.nan
    assert channel(output) == 5
    output[:, 1::2] = np.nan
    assert channel(output) == 6


def test_pairs_of_samples_are_of_one_channel() -> None:
    places = [(0, 1, 5, 6), (0, 2, 5, 6), (1, 1, 5, 7), (0, 3, 4, 6), (0, 2, 8, 6), (0, 1, 4, 7)]
    samples = [Sample(place, 0.0) for place in places]
    assert [s.index for s in in_pairs(samples)] == [places[i] for i in (0, 2, 1, 4)]


def test_complex_samples_stay_complex() -> None:
    output = np.full((1, 1, 4, 4), 1 + 2j)
    assert choose_samples(output, 3, np.isfinite)[0].value == 1 + 2j


def test_a_part_of_a_large_output_is_spread_over_it() -> None:
    small = np.zeros((2, 3, 50, 60))
    assert a_part(small).shape == small.shape
    for shape in [(1, 4, 2000, 3000), (1, 1, 1, 10**7), (1, 1, 10**7, 1), (2, 64, 500, 700)]:
        large = np.broadcast_to(np.int8(0), shape)
        part = a_part(large)
        assert part.base is not None
        assert part.shape[:2] == shape[:2]
        assert 1 << 18 <= part.size <= 1 << 20 or shape[3] == 1


# --- classes: which conventions are the same ----------------------------------------------------


def test_conventions_are_ordered_from_plain_to_elaborate() -> None:
    for one, other in [
        ({}, {"padding": 1}),
        ({"padding": 1}, {"padding": 2}),
        ({"stride": 2}, {"stride": 3}),
        ({"dilation": 2}, {"dilation": 3}),
        ({"input_dilation": 2}, {"input_dilation": 3}),
        ({"stride": 2}, {"dilation": 2}),
        ({"dilation": 2}, {"input_dilation": 2}),
        ({"stride": 2}, {"flip": ["H", "W"]}),
        ({"flip": ["H"]}, {"flip": ["H", "W"]}),
        ({"flip": ["H", "W"]}, {"flip": ["I", "H"]}),
        ({"flip": ["H", "W"]}, {"kernel_transposed": True}),
        ({"flip": ["H", "W"]}, {"channel_order": [1, 0]}),
        ({"channel_order": [1, 0]}, {"kernel_transposed": True}),
        ({"padding": 1, "stride": 2}, {"padding": 1, "padding_mode": "edge"}),
        ({"padding": 1, "stride": 2}, {"padding": 1, "padding_value": 2}),
        (
            {"padding": 1, "padding_mode": "edge"},
            {"padding": 1, "padding_mode": "reflect", "flip": ["H", "W"]},
        ),
        ({"kernel_transposed": True}, {"padding": 1, "stride": 2}),
        ({}, {"image_layout": "HWC"}),
        ({}, {"filter_layout": "IHW"}),
        ({"filter_layout": "HWIO"}, {"filter_layout": "IHOW"}),
        ({"filter_layout": "IHWO"}, {"filter_layout": "OHIW"}),
        ({}, {"output_layout": "HWO"}),
        ({"image_layout": "CHW", "output_layout": "HWO"}, {"image_layout": "HWC"}),
        ({}, {"groups": 2}),
        ({"padding": [[0, 1], [0, 1]]}, {"padding": [[1, 0], [1, 0]]}),
        ({"channel_order": [0, 2, 1]}, {"channel_order": [2, 1, 0]}),
    ]:
        assert complexity(Convention(**one)) < complexity(Convention(**other)), (one, other)


@pytest.mark.parametrize(
    ("said", "plainest"),
    [
        # Everything reversed is an N-D convolution, unless only the channels are.
        (
            {"flip": ["H", "W"], "channel_order": [2, 1, 0]},
            {"flip": ["I", "H", "W"]},
        ),
        ({"flip": ["H"], "channel_order": [2, 1, 0]}, None),
        ({"channel_order": [2, 1, 0]}, None),
        ({"flip": ["H", "W"], "channel_order": [1, 0, 2]}, None),
        ({"flip": ["I", "H", "W"], "channel_order": [2, 1, 0]}, None),
        ({"flip": ["H", "W"], "channel_order": [2, 1, 0], "groups": 3}, None),
        # What no window meets is nothing.
        ({"padding": [[0, -1], [-2, 0]], "padding_mode": "wrap"}, {"padding": [[0, -1], [-2, 0]]}),
        ({"padding_value": 3}, {}),
        ({"padding": [[0, 0], [0, 1]], "padding_mode": "wrap"}, None),
    ],
    ids=str,
)
def test_the_plainest_words_for_an_operation(said: dict, plainest: dict | None) -> None:
    expected = Convention(**(said if plainest is None else plainest))
    assert canonical(Convention(**said), (3, 2)) == expected


def test_only_axes_of_more_than_one_are_reversed() -> None:
    order = [2, 1, 0]
    row = Convention(flip=["W"], channel_order=order)
    assert canonical(row, (1, 2)) == Convention(flip=["I", "W"])
    one = Convention(channel_order=order)
    assert canonical(one, (1, 1)) == one


ALIKE = [
    {},
    {"flip": ["H"]},
    {"flip": ["W"]},
    {"flip": ["H", "W"]},
    {"flip": ["I"]},
    {"channel_order": [1, 0]},
    {"kernel_transposed": True},
    {"padding": [[1, -1], [0, 0]]},
    {"padding": [[1, -1], [0, 0]], "padding_mode": "edge"},
    {"padding": [[1, -1], [0, 0]], "padding_mode": "symmetric"},
    {"padding": [[1, -1], [0, 0]], "padding_mode": "reflect"},
    {"padding": [[1, -1], [0, 0]], "padding_mode": "wrap"},
    {"stride": 2, "padding": [[0, 4], [0, 4]]},
    {"dilation": [2, 1], "padding": [[0, 2], [0, 0]]},
]


def test_conventions_are_alike_that_do_the_same_to_any_data() -> None:
    x, w = ints(2, 6, 5), ints(3, 2, 3, 2)
    problem = Problem.of(x, w, convolve(x, w))
    (reading,) = (r for r in readings(x, w, problem.output) if r.base == Convention())
    conventions = [Convention(**keys) for keys in ALIKE]
    for image, filters in ((x, w), (ints(2, 1, 5), ints(3, 2, 1, 2)), (x, ints(3, 2, 2, 2))):
        known = {}
        for c in conventions:
            try:
                known[c] = convolve(image, filters, c)
            except InputError:
                continue
        output = known[conventions[0]]
        reading = Reading(Convention(), image[None], filters, output[None])
        known = {c: y for c, y in known.items() if y.shape == output.shape}
        assert len(known) >= 4
        for one, other in product(known, repeat=2):
            same = np.array_equal(known[one], known[other])
            words = [signature(c, reading) for c in (one, other)]
            assert not (words[0] == words[1] and not same), (one, other)
            if one.channel_order == other.channel_order and one.flip == other.flip:
                assert (words[0] == words[1]) == same or one.kernel_transposed, (one, other)
        groups = classes(Problem.of(image, filters, output), reversed(known))
        for group in groups:
            assert all(np.array_equal(known[c], known[group[0]]) for c in group)
            assert group == sorted(group, key=complexity)
        for one, other in pairwise(groups):
            assert complexity(one[0]) <= complexity(other[0])
        for one, other in permutations(groups, 2):
            assert not np.array_equal(known[one[0]], known[other[0]])
    assert classes(problem, conventions[:1]) == [conventions[:1]]
    assert classes(problem, []) == []
    same = [Convention(), Convention(padding_value=3)]
    assert classes(problem, reversed(same)) == [same]


def test_of_a_transposed_kernel_the_other_axis_is_reversed() -> None:
    x, w = ints(1, 2, 6, 5), ints(3, 2, 1, 2)
    reading = Reading(Convention(), x, w, ints(1, 3, 5, 5))
    plain, rows, columns = (
        signature(Convention(kernel_transposed=True, flip=flip), reading)
        for flip in ((), ("H",), ("W",))
    )
    assert plain == columns != rows


def test_the_data_that_tell_large_conventions_apart_stay_in_their_memory() -> None:
    """They are the same few megabytes over and over, and no window meets a number twice."""
    shape = (3, 2, 3000, 4000)
    x = np.broadcast_to(np.int8(0), shape)
    probe = telling_probe(Problem.of(x, ints(4, 2, 3, 3), np.broadcast_to(np.int8(0), shape)))
    owner: Any = probe.image
    while owner.base is not None:
        owner = owner.base
    assert probe.image.shape == shape
    assert owner.nbytes < 8 << 20
    begin = probe.image.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    reach = sum(step * (n - 1) for step, n in zip(probe.image.strides, shape, strict=True))
    assert begin == 0
    assert reach == owner.nbytes - 1
    window = np.einsum("anchw,a->nchw", np.indices((3, 2, 40, 40)), probe.image.strides)
    assert len(np.unique(window)) == window.size
    assert len(np.unique(probe.image[0, 0, :50, :50])) > 100


# --- expectation and ambiguity ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "expect", "met"),
    [
        ({}, {"flip": ()}, True),
        ({}, {"flip": ("H",)}, False),
        ({"channel_order": (1, 2, 0)}, {"flip": ("I",)}, True),
        ({"channel_order": (1, 2, 0)}, {"flip": ("I",), "channel_order": (0, 2, 1)}, True),
        ({"channel_order": (1, 2, 0)}, {"flip": ("I",), "channel_order": (1, 2, 0)}, False),
        ({"channel_order": (2, 1, 0)}, {"flip": ("I",)}, True),
        ({"flip": ("I",)}, {"channel_order": (2, 1, 0)}, False),
        ({"flip": ("I",)}, {"channel_order": (2, 1, 0), "flip": ()}, True),
        ({"kernel_transposed": True}, {"kernel_transposed": False}, True),
        ({"kernel_transposed": True}, {"filter_layout": "OIWH"}, True),
        ({"filter_layout": "OIWH"}, {"kernel_transposed": True}, True),
        ({"scale": 2.0}, {"scale": 1.0, "flip": ()}, True),
        ({"arithmetic": "float32"}, {"arithmetic": "float32", "groups": 3}, False),
        # Other windows that meet the same samples, of 6x6 by 2x2.
        ({"stride": (4, 3)}, {"stride": (4, 3)}, True),
        ({"stride": (4, 4)}, {"padding": ((0, 0), (0, 0))}, True),
        ({"stride": (4, 4)}, {"padding": ((0, 3), (0, 2))}, True),
        ({"stride": (4, 4)}, {"padding": ((0, 4), (0, 2))}, False),
        ({"stride": (4, 4)}, {"stride": (2, 2)}, False),
        ({"stride": (4, 4)}, {"padding": ((1, 1), (0, 0))}, False),
        ({"padding": ((0, -4), (0, 0))}, {"stride": (5, 1)}, True),
        ({"padding": ((0, -4), (0, 0))}, {"stride": (5, 1), "padding": ((0, 0), (0, 0))}, True),
        ({"padding": ((0, -4), (0, 0))}, {"stride": (5, 2)}, False),
    ],
    ids=str,
)
def test_an_expectation_is_met_in_other_words_too(made: dict, expect: dict, met: bool) -> None:
    x, w = ints(3, 6, 6), ints(4, 3, 2, 2)
    expect = {key: getattr(Convention(**expect), key) for key in expect}
    assert meets(Problem.of(x, w, np.zeros(1)), Convention(**made), expect) is met


def test_words_that_a_layout_lacks_are_passed_over() -> None:
    """One filter IHW has no layout with W before H; its reversed channels are an order still."""
    x, w = ints(3, 6, 6), ints(3, 2, 2)
    made = Convention(filter_layout="IHW", channel_order=[2, 1, 0])
    assert meets(Problem.of(x, w, np.zeros(1)), made, {"flip": ("I",)})


DIFFER = "conventions that differ in {} give the same numbers on this data"
REORDERED = "reordering the channels changes nothing: filters or image are alike across channels"
ALL_ONES = "W is constant, and says nothing about order or place"


@pytest.mark.parametrize(
    ("filters", "keys", "reasons"),
    [
        (np.ones((4, 3, 2, 2)), [{"flip": ["H"]}, {"flip": ["W"]}], (ALL_ONES,)),
        (
            np.zeros((4, 3, 2, 2)),
            [{"flip": ["H"]}],
            ("W is all zeros, and says nothing about order or place",),
        ),
        (
            ints(4, 3, 1, 2).repeat(2, axis=2),
            [{"flip": ["H"]}, {"flip": ["H"], "kernel_transposed": True}],
            (
                "every filter is symmetric: reversing its rows gives the same filter",
                DIFFER.format("flip, kernel transposed"),
            ),
        ),
        (
            ints(4, 3, 2, 2),
            [{"kernel_transposed": True}],
            ("every kernel is its own transpose",),
        ),
        (
            ints(4, 3, 2, 2),
            [{"channel_order": [2, 1, 0]}, {"channel_order": [1, 0, 2], "flip": ["I"]}],
            (REORDERED,),
        ),
        (
            ints(4, 3, 2, 2),
            [{"channel_order": [2, 1, 0], "flip": ["H"]}],
            (DIFFER.format("flip, channel order"),),
        ),
        (
            ints(4, 3, 2, 2),
            [
                {"padding_mode": "edge"},
                {"padding_value": 1},
                {"padding_value": 1, "padding_mode": "edge"},
                {"padding_value": 1, "padding_mode": "edge", "stride": 2},
            ],
            (
                "what stands beyond the image's edge meets zeros, or repeats what the edge has",
                DIFFER.format("stride, padding mode, padding value"),
            ),
        ),
        (
            ints(4, 3, 2, 2),
            [{"groups": 3}],
            (DIFFER.format("groups"),),
        ),
    ],
)
def test_why_an_answer_is_ambiguous(filters: np.ndarray, keys: list, reasons: tuple) -> None:
    x = ints(3, 6, 6)
    problem = Problem.of(x, filters, ints(4, 5, 5))
    listed = [Convention(), *(Convention(**k) for k in keys)]
    found, remedy = why_ambiguous(problem, listed, crowded=False)
    assert found == reasons
    assert "convcheck random --shape 3x9x8" in remedy
    more = "so many conventions give this output that only the plainest are listed"
    assert why_ambiguous(problem, listed, crowded=True)[0] == (*reasons, more)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({"padding_value": 4}, {"padding_value": 5}, "cut off or rounded"),
        ({"padding_value": 4}, {"padding_value": 0}, "meets zeros"),
        ({"padding_value": 0}, {"padding_value": 4}, "meets zeros"),
        ({"padding_value": 4}, {"bias": (1, 2, 3, 4)}, "is as good as a bias"),
        (
            {"padding_value": 4},
            {"bias": (1, 2, 3, 4), "stride": 2},
            "differ in stride, padding",
        ),
        ({"bias": (4, 3, 2, 1)}, {"bias": (1, 2, 3, 4)}, "that differ in bias"),
    ],
    ids=str,
)
def test_why_a_number_beyond_the_edge_is_open(
    one: dict[str, Any], other: dict[str, Any], words: str
) -> None:
    problem = Problem.of(ints(3, 6, 6), ints(4, 3, 2, 2), ints(4, 5, 5))
    (reason,) = why_ambiguous(problem, [Convention(**one), Convention(**other)], crowded=False)[0]
    assert words in reason


def test_grouped_filters_that_are_symmetric() -> None:
    flips = [Convention(groups=3), Convention(groups=3, flip=["H"])]
    problem = Problem.of(ints(3, 6, 6), np.ones((3, 1, 2, 2)) * [[1, 2]], ints(3, 5, 5))
    assert why_ambiguous(problem, flips, crowded=False)[0] == (DIFFER.format("flip"),)


def test_a_batch_is_not_all_zeros_where_one_image_is() -> None:
    x = np.stack([np.zeros((3, 6, 6)), ints(3, 6, 6)])
    w = ints(4, 3, 1, 2).repeat(2, axis=2)
    flips = [Convention(image_layout="NCHW"), Convention(image_layout="NCHW", flip=["H"])]
    (reason,) = why_ambiguous(Problem.of(x, w, ints(2, 4, 5, 5)), flips, crowded=False)[0]
    assert reason.startswith("every filter is symmetric")


def test_one_number_alone_is_not_called_constant() -> None:
    one = np.ones((1, 1))
    assert degenerate(Problem.of(one, one, one)) == []
    two = np.zeros((1, 2))
    assert [said[:16] for said in degenerate(Problem.of(two, 3 + two, np.array([[0, 1]])))] == [
        "IMG is all zeros",
        "W is constant, a",
    ]


# --- data that say nothing ----------------------------------------------------------------------


def flat(output: Any, **keys: Any) -> list[Any]:
    x, w = ints(5, 12, 17), ints(4, 5, 3, 2)
    arrays = {"image": x, "filters": w, "output": np.asarray(output), **keys}
    problem = Problem.of(*arrays.values())
    return list(flat_fits(problem, list(readings(*arrays.values()))))


def test_a_constant_is_a_scale_of_zero_and_a_bias() -> None:
    fits = flat(np.full((4, 10, 16), 3.0))
    assert len(flat(np.ones((4, 4, 6)), image=ints(3, 6, 7), filters=ints(4, 3, 3, 2))) == 12
    for fit in fits:
        assert not fit.misses
        assert (fit.convention.scale, fit.convention.bias) == (0, (3, 3, 3, 3))
    assert all(
        f.convention.bias is None and f.convention.scale == 0 for f in flat(np.zeros((4, 10, 16)))
    )
    assert [f.convention.flip for f in fits[:3]] == [(), ("H", "W"), ("I", "H", "W")]
    assert {f.convention.stride for f in fits[:3]} == {(1, 1)}


def test_one_pixel_is_constant() -> None:
    (fit, *_) = flat([[5.0]], image=np.zeros((2, 2)), filters=np.ones((2, 2)))
    assert (fit.misses, fit.convention.bias) == (0, (5.0,))


def test_what_a_bias_alone_gives_needs_no_scale_of_zero() -> None:
    for fit in flat(np.full((4, 10, 16), 3.0), image=np.zeros((5, 12, 17))):
        assert (fit.misses, fit.convention.bias, fit.convention.scale) == (0, (3, 3, 3, 3), 1)


def test_a_reading_whose_sizes_do_not_fit_is_passed_over() -> None:
    """As CHW the image is too high for this output; as HWC it fits."""
    image = np.zeros((3, 40, 3))
    fits = flat(np.ones((4, 1, 38)), image=image, filters=ints(4, 3, 3, 3))
    assert fits[0].convention.image_layout == "HWC"
    assert not fits[0].misses


def test_what_is_not_constant_is_no_scale_of_zero() -> None:
    almost = np.full((4, 10, 16), 3.0)
    almost[2, 3, 4] = 4
    assert all(fit.misses for fit in flat(almost))
    assert all(fit.misses for fit in flat(np.full((4, 10, 16), 3j)))


def test_a_bias_alone_is_told_where_the_image_is_zero() -> None:
    """Sizes as they are: with a stride, a padding or zeros between where they ask for it."""
    bias = np.array([1.0, 2, 3, 4])[:, None, None]
    for size, keys in {
        (10, 16): {},
        (12, 17): {"padding": ((1, 1), (0, 1))},
        (4, 8): {"stride": (1, 2), "padding": ((-3, -3), (0, 0))},
        (14, 18): {"padding": ((2, 2), (1, 1))},
    }.items():
        fits = flat(bias + np.zeros((4, *size)), image=np.zeros((5, 12, 17)))
        assert fits
        for fit in fits:
            assert not fit.misses
            assert fit.convention.bias == (1, 2, 3, 4)
        first = fits[0].convention
        assert {key: getattr(first, key) for key in keys} == keys, size
        assert first.flip == ()


def test_filters_that_copy_one_element_tell_hardly_anything() -> None:
    x, w = ints(3, 6, 6), np.zeros((2, 3, 2, 2))
    w[0, 1, 1, 0], w[1, 2, 0, 0] = 5, -1
    problem = Problem.of(x, w, convolve(x, w, Convention()))
    assert only_copies(problem, Convention())
    result = identify(x, w, problem.output)
    assert result.verdict == "ambiguous"
    assert any("more than one number that is not zero" in reason for reason in result.reasons)
    assert any("only the plainest are listed" in reason for reason in result.reasons)
    # One filter that sums is enough, and so are windows that have a single element each.
    w[1, 0, 0, 1] = 2
    assert not only_copies(Problem.of(x, w, problem.output), Convention())
    for single in (np.eye(3)[:, :, None, None], np.ones((3, 1, 1, 1))):
        groups = 3 // single.shape[1]
        assert not only_copies(Problem.of(x, single, x), Convention(groups=groups))
    for shape in ((1, 3, 2, 1), (1, 3, 1, 2)):
        assert only_copies(Problem.of(x, np.eye(1, 6).reshape(shape), x), Convention())
