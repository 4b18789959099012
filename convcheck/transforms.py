"""scipy's own FFT for calls that share an operand: less work, and the same transforms.

``scipy.signal.convolve`` transforms both of its operands anew in every call. Of calls with one
image and many filters the image's transform is always the same, and most rows of a filter that is
padded to the image's size are zeros, whose transforms are zeros. ``scipy.fft`` lets a backend take
its calls; this one hands them to scipy's own functions, the image once and a filter axis by axis.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Array = NDArray[Any]


@contextmanager
def shared_transforms(image: Array) -> Iterator[None]:
    """While convolutions with ``image`` are made by scipy, its transform is made once."""
    from scipy.fft import set_backend

    backend = _Backend(image)
    try:
        with set_backend(backend):
            yield
    finally:
        vars(backend).clear()  # scipy has it refer to itself: it would wait for the collector


class _Backend:
    """It takes the transforms of whole arrays to given lengths; all else is left to scipy."""

    __ua_domain__ = "numpy.scipy.fft"

    def __init__(self, image: Array) -> None:
        self.image = image
        self.kept: dict[tuple[Any, ...], Array] = {}

    def __ua_function__(
        self, method: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """The result of one of scipy.fft's functions; NotImplemented where it is scipy's to do."""
        from scipy.fft import skip_backend

        if method.__name__ not in ("fftn", "rfftn") or len(args) != 2 or set(options) != {"axes"}:
            return NotImplemented
        array, lengths = args
        axes = range(array.ndim) if options["axes"] is None else options["axes"]
        with skip_backend(self):
            if array is not self.image:
                return along_each_axis(array, lengths, axes, real=method.__name__ == "rfftn")
            key = (method.__name__, *lengths, *axes)
            if key not in self.kept:
                self.kept[key] = method(array, lengths, axes=axes)
                self.kept[key].flags.writeable = False
            return self.kept[key]


def along_each_axis(
    array: Array, lengths: Sequence[int], axes: Sequence[int], *, real: bool
) -> Array:
    """The N-D FFT of an array padded to ``lengths``, each axis padded when its turn comes.

    The axes come in the order in which scipy takes them, so that it is the same sum by sum.
    """
    from scipy.fft import fft, rfft

    order = [*zip(axes, lengths, strict=True)]
    if real:
        axis, length = order.pop()
        array = rfft(array, length, axis=axis)
    for axis, length in order:
        array = fft(array, length, axis=axis)
    return array
