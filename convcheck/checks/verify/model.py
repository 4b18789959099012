"""What an implementation does: a convention for any case that it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from convcheck.campaign import SAME
from convcheck.checks.verify.domain import Limit, within
from convcheck.convention import Axis, Convention, Pair
from convcheck.gradients import gradient, operands, outputs
from convcheck.worker import Outcome, Request

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convcheck.campaign import Case

    Array = NDArray[Any]

Rule = Callable[[Axis], Pair]

GEOMETRY = (
    *("depth", "height", "width", "kernel_depth", "kernel_height", "kernel_width"),
    *("batch", "channels", "filters", "groups", "stride", "dilation", "padding"),
)
"""What a problem says of a case."""
WIDE = 1 << 20
"""Numbers in an array beyond which a batch is cut to one image, so that judging it stays small."""

LAYOUTS: Mapping[str, tuple[str, str]] = {
    "NCHW": ("NCHW", "OIHW"),
    "NCHW/IOHW": ("NCHW", "IOHW"),
    "CHW": ("CHW", "OIHW"),
    "CHW/IHW": ("CHW", "IHW"),
    "NHWC": ("NHWC", "HWIO"),
    "NHWC/OHWI": ("NHWC", "OHWI"),
    "HWC": ("HWC", "HWIO"),
    "HW": ("HW", "HW"),
    "W": ("W", "W"),
    "NCW": ("NCW", "OIW"),
    "NCW/IOW": ("NCW", "IOW"),
    "CW": ("CW", "OIW"),
    "NWC": ("NWC", "WIO"),
    "DHW": ("DHW", "DHW"),
    "NCDHW": ("NCDHW", "OIDHW"),
    "NCDHW/IODHW": ("NCDHW", "IODHW"),
    "CDHW": ("CDHW", "OIDHW"),
    "NDHWC": ("NDHWC", "DHWIO"),
    "NCHW/depthwise": ("NCHW", "OIHW"),
    "NCHW/IHW/depthwise": ("NCHW", "IHW"),
    "CHW/depthwise": ("CHW", "OIHW"),
    "CHW/IHW/depthwise": ("CHW", "IHW"),
    "NHWC/depthwise": ("NHWC", "HWIM"),
    "NHWC/HWIO/depthwise": ("NHWC", "HWIO"),
    "HWC/depthwise": ("HWC", "HWIM"),
}
"""The ways in which arrays are handed over, in the order in which they are tried.

In a depthwise one every channel is a group, whatever parameters the target takes.
"""


def layouts(kind: str) -> tuple[list[str], list[str], list[str]]:
    """The names of :data:`LAYOUTS`, the usual ones of a kind of arrays first.

    Depthwise apart, and those of one and three axes.
    """
    # Some calls in another layout than its own end TensorFlow's process.
    last = ("NHWC", "NWC", "NDHWC")
    names = sorted(LAYOUTS, key=lambda name: kind == "tensorflow" and not name.startswith(last))
    plain = [n for n in names if not _depthwise(n)]
    return (
        [n for n in plain if "HW" in n and "D" not in n],
        [n for n in names if _depthwise(n)],
        [n for n in plain if "HW" not in n or "D" in n],
    )


def _depthwise(layout: str) -> bool:
    return layout.endswith("/depthwise")


class Runner(Protocol):
    """What calls the target, once its parameters were asked for.

    ``unpassed`` are parameters that it takes and is not given, ``kind`` that of its arrays.
    """

    unpassed: tuple[str, ...]
    kind: str

    def run(self, request: Request) -> Outcome:
        """One call."""

    def parameters(self) -> tuple[str, ...] | None:
        """The parameters that it takes, where that is known."""

    def close(self) -> None:
        """The end."""


def _same_upper(axis: Axis) -> Pair:
    return axis.same()


def _centred(axis: Axis) -> Pair:
    half = axis.extent // 2
    return half, axis.extent - 1 - half


def _low(rule: Rule) -> Rule:
    return lambda axis: (rule(axis)[1], rule(axis)[0])


RULES: Mapping[str, Rule] = {
    "explicit": lambda _: (0, 0),
    "SAME_UPPER": _same_upper,
    "SAME_LOWER": _low(_same_upper),
    "centred": _centred,
    "centred, the extra row before": _low(_centred),
    "full": lambda axis: (axis.extent - 1, axis.extent - 1),
    "half the kernel on both sides": lambda axis: (axis.extent // 2, axis.extent // 2),
}
"""What a target pads an axis with by itself, beside the padding that is asked for."""
PADDINGS = {
    "SAME_UPPER": "SAME_UPPER",
    "SAME_LOWER": "SAME_LOWER",
    "VALID": "explicit",
    "FULL": "full",
}
"""The rules that can be claimed, by the names that they have for it."""
_OPERANDS = ("image_layout", "filter_layout")


@dataclass(frozen=True)
class Model:
    """The convention of any case: what is the same always, and what follows from the parameters.

    The stride, dilation and padding of ``base`` are the target's own, beside its parameters.
    ``transposed``: a stride spreads the image's samples, and padding crops.
    """

    layout: str
    base: Convention
    rule: str = "explicit"
    transposed: bool = False
    parameters: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ("float32",)
    gives: str = "float32"
    """The dtype that it gives for float32."""
    precision: str | None = None
    """What it gives, where NumPy has no dtype for it."""
    expect: Mapping[str, Any] = field(default_factory=dict)
    multiplies: bool = True
    """Whether a depthwise one takes several filters for a channel, where the layout has them."""
    domain: tuple[Limit, ...] = ()
    """The limits of what it takes, beside its dtypes."""
    gradients: tuple[str, ...] = ()
    """The gradients that it is asked for; nothing where its output is."""

    @property
    def depthwise(self) -> bool:
        """Whether every channel is a group."""
        return _depthwise(self.layout)

    @property
    def layouts(self) -> tuple[str, str]:
        """The image's and the filters'."""
        return LAYOUTS[self.layout]

    @property
    def takes(self) -> tuple[str, ...]:
        """What it takes, in words, where that is not everything."""
        dtype = self.dtypes if len(self.dtypes) == 1 else ()
        return (*(limit.words for limit in self.domain), *dtype)

    @property
    def claimed(self) -> str | None:
        """The padding rule that is expected, where it is one: the claim of a plain convolution."""
        padding = self.expect.get("padding")
        return padding if isinstance(padding, str) else None

    def arrays(self, case: Case) -> tuple[Array, Array]:
        """What stands for image and filters in :meth:`convention`."""
        x, w = case.arrays(*self.layouts)
        if not case.gradient:
            return x, w
        forward = self.forward(case)
        return operands(case.gradient, forward, x, w, case.upstream(self.upstream(case)))

    def upstream(self, case: Case) -> tuple[int, ...]:
        """The shape of the output, whose gradient is given where a gradient is asked for."""
        forward = self.forward(case)
        sides = outputs(forward, case.sizes, case.taps)
        lengths = {
            "N": case.batch,
            "C": case.filters,
            **dict(zip(forward.spatial, sides, strict=True)),
        }
        return tuple(lengths[axis] for axis in forward.output_layout)

    def convention(self, case: Case) -> Convention:
        """What the target should do with a case."""
        forward = self.forward(case)
        if not case.gradient:
            return forward
        sides = outputs(forward, case.sizes, case.taps)
        return gradient(case.gradient, forward, case.sizes, case.taps, sides)

    def forward(self, case: Case) -> Convention:
        """What gives the output of a case, whichever gradient of it is asked for."""
        expect = {k: v for k, v in self.expect.items() if k != "padding" or self.claimed is None}
        rule = self.rule if self.claimed is None else PADDINGS[self.claimed]
        transposed = self.transposed and self.claimed is None
        base = self.base
        own = base.padding if self.claimed is None else ((0, 0),) * base.rank
        axes = self._axes(case, expect)
        padding = []
        for axis, (first, last) in zip(axes, own, strict=True):
            # A transposed convolution is asked how much to crop.
            before, after = RULES["full" if transposed else rule](axis)
            more = -case.padding if transposed else case.padding
            padding.append((before + first + more, after + last + more))
        steps = [axis.stride for axis in axes]
        step, spread = (1, steps) if transposed else (steps, 1)
        shared = not {"O", "I", "M"} & set(base.filter_layout)
        return base.replace(
            **{
                "channel_order": _order(base.channel_order, case.channels),
                "stride": step,
                "input_dilation": spread,
                "dilation": [axis.dilation for axis in axes],
                "groups": 1 if shared else case.groups,
                "padding": padding,
                "arithmetic": self.precision or "exact",
                **expect,
            }
        )

    def _axes(self, case: Case, expect: Mapping[str, Any]) -> list[Axis]:
        """A case's spatial axes as they are read: those of the layouts may be other ones."""
        read = {key: expect.get(key, getattr(self.base, key)) for key in _OPERANDS}
        spatial = self.base.spatial
        stored = {
            "N": case.batch,
            "C": case.channels,
            **dict(zip(spatial, case.sizes, strict=True)),
        }
        sizes = _read(stored, self.layouts[0], read["image_layout"])
        stored = {"O": case.filters, "M": case.filters, "I": case.channels // case.groups}
        stored |= dict(zip(spatial, case.taps, strict=True))
        taps = _read(stored, self.layouts[1], read["filter_layout"])
        own = zip(self.base.stride, self.base.dilation, strict=True)
        return [
            Axis(sizes[a], taps[a], case.stride * stride, case.dilation * dilation)
            for a, (stride, dilation) in zip(spatial, own, strict=True)
        ]

    def found(self) -> Model:
        """What was learnt of the target, without what is expected of it."""
        return replace(self, expect={})

    def request(self, case: Case, *, repeat: bool = True) -> Request:
        """The call that puts a case to the target."""
        upstream = self.upstream(case) if case.gradient else ()
        return Request(case, *self.layouts, self.parameters, repeat, upstream)

    def unfit(self, wanted: Case, case: Case) -> str | None:
        """Why the target cannot be called with what is wanted; None where the case is that."""
        if wanted.rank != case.rank:
            return f"over {_axes_words(wanted.rank)}: the target is called with {case.rank}"
        for key in GEOMETRY:
            asked, given = getattr(wanted, key), getattr(case, key)
            if asked == given:
                continue
            own = () if self.transposed else self.convention(case).padding
            if key == "padding" and set(own) == {(asked, asked)}:
                continue  # the target pads so by itself
            what = key.replace("_", " ")
            return f"the target is not called with every {what}: with {given} in place of {asked}"
        return None

    def project(self, case: Case) -> Case:
        """The nearest case that the target can be called with."""
        fitted = case.projected(*self.layouts, self.parameters)
        if fitted.dtype not in self.dtypes:
            fitted = replace(fitted, dtype=self.dtypes[0])
        if fitted.mixed and not {case.dtype, case.filters_dtype} <= set(self.dtypes):
            fitted = replace(fitted, filters_dtype=SAME)
        if fitted.values == "nan" and not fitted.holds_nan:
            fitted = replace(fitted, values="ints")
        if case.gradient not in self.gradients:
            fitted = replace(fitted, gradient=next(iter(self.gradients), ""))
        if fitted.gradient:
            values = "ints" if fitted.values == "nan" else fitted.values
            fitted = replace(fitted, filters_dtype=SAME, values=values)
        fitted = within(fitted, self.domain)
        if self.depthwise:
            several = self.multiplies and not {"O", "M"}.isdisjoint(self.layouts[1])
            each = max(1, case.filters // case.channels) if several else 1
            fitted = replace(fitted, groups=fitted.channels, filters=each * fitted.channels)
        if self.transposed:
            # Padding crops a transposed convolution's result: something must be left of it.
            fitted = replace(fitted, padding=min(fitted.padding, _croppable(fitted)))
            if fitted.widest > WIDE:
                fitted = replace(fitted, batch=1)
        return fitted


def _axes_words(rank: int) -> str:
    return "one spatial axis" if rank == 1 else f"{rank} spatial axes"


def _order(learnt: tuple[int, ...] | None, channels: int) -> tuple[int, ...] | None:
    """An order of so many channels like the one that was learnt: reversed, or of the first alone.

    If the target has another in mind, its cases fail; none is left out.
    """
    if learnt is None:
        return None
    if learnt == tuple(reversed(range(len(learnt)))):
        return tuple(reversed(range(channels)))
    return (*(i for i in learnt if i < channels), *range(len(learnt), channels))


def _read(stored: Mapping[str, int], given: str, layout: str) -> dict[str, int]:
    """The lengths of an array's axes, stored as ``given`` and read as ``layout``."""
    lengths = [stored[axis] for axis in given]
    return {**stored, **dict(zip(layout, lengths, strict=False))}


def _croppable(case: Case) -> int:
    spans = zip(case.sizes, case.taps, strict=True)
    return min(((n - 1) * case.stride + case.dilation * (f - 1)) // 2 for n, f in spans)
