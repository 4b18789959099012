"""The conventions of gradients: what they give is what moves the output."""

from __future__ import annotations

import numpy as np
import pytest
from few import one_in

from convcheck.call_text import DB, DW, DX
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.errors import InputError
from convcheck.gradients import check_forward, gradient, mistaken, operands, outputs

FORWARD = [
    Convention("NCHW", "OIHW", "NCHW"),
    Convention("NCHW", "OIHW", "NCHW", stride=(2, 3), padding=((1, 0), (2, 1)), groups=2),
    Convention("NHWC", "HWIO", "NHWC", stride=(2, 1), dilation=(1, 2), groups=2, scale=3.0),
    Convention("NCHW", "OHWI", "NHWC", flip=("H", "W"), stride=(2, 2), padding=((0, 2), (1, 0))),
    Convention("NCHW", "OIHW", "NCHW", flip=("W",), groups=2, padding=((3, 3), (4, 4))),
    Convention("NCW", "OIW", "NCW", stride=(3,), dilation=(2,), padding=((1, 1),)),
    Convention("NCDHW", "OIDHW", "NCDHW", stride=(2, 1, 1), padding=((1, 1),) * 3),
]


@pytest.mark.parametrize("c", one_in(2, FORWARD))
def test_a_gradient_is_what_one_number_moves(c: Convention) -> None:
    """The output is linear in the image, and in the filters: d(dout·out) of a unit is exact."""
    rng = np.random.default_rng(0)
    sizes, taps = (7, 8, 6)[: c.rank], (2, 3, 2)[: c.rank]
    of = {"N": 2, "C": 4, **dict(zip(c.spatial, sizes, strict=True))}
    x = rng.integers(-9, 10, [of[a] for a in c.image_layout]).astype(float)
    of = {"O": 4, "I": 4 // c.groups, **dict(zip(c.spatial, taps, strict=True))}
    w = rng.integers(-9, 10, [of[a] for a in c.filter_layout]).astype(float)
    out = np.asarray(convolve(x, w, c))
    dout = rng.integers(-9, 10, out.shape).astype(float)
    outs = outputs(c, sizes, taps)
    assert outs == tuple(out.shape[c.output_layout.index(a)] for a in c.spatial)
    for which, array in ((DX, x), (DW, w)):
        given = operands(which, c, x, w, dout)
        found = np.asarray(convolve(*given, gradient(which, c, sizes, taps, outs)))
        assert found.shape == array.shape
        for place in list(np.ndindex(array.shape))[:: max(1, array.size // 25)]:
            unit = np.zeros(array.shape)
            unit[place] = 1
            moved = convolve(*((unit, w) if which == DX else (x, unit)), c)
            assert found[place] == (dout * moved).sum()
    given = operands(DB, c, x, w, dout)
    found = np.asarray(convolve(*given, gradient(DB, c.replace(scale=1), sizes, taps, outs)))
    every = tuple(i for i, a in enumerate(c.output_layout) if a != "C")
    assert np.array_equal(found.ravel(), dout.sum(axis=every))


def test_every_mistake_is_said_once_and_is_none() -> None:
    c = FORWARD[1]
    for which in (DX, DW, DB):
        right = gradient(which, c, (7, 8), (2, 3), outputs(c, (7, 8), (2, 3)))
        found = [*mistaken(which, c, (7, 8), (2, 3), 2)]
        assert len({words for words, *_ in found}) == len(found)
        for words, _, convention, images in found:
            same = convention == right and images == slice(None)
            assert not same or "dilation" in words  # which is 1


@pytest.mark.parametrize(
    "c",
    [
        Convention("NCHW", "OIHW", "NCHW", padding_mode="reflect", padding=((1, 1),) * 2),
        Convention("NCHW", "OIHW", "NCHW", activation="relu"),
        Convention("HW", "HW", "HW"),
        Convention("NCHW", "OIHW", "NCHW", input_dilation=(2, 2)),
    ],
)
def test_what_has_no_known_gradient_is_refused(c: Convention) -> None:
    with pytest.raises(InputError, match="are not known"):
        check_forward(c)
