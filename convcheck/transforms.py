"""scipy's own FFT for calls that share an operand: less work, and the same numbers.

``scipy.signal.convolve`` transforms both of its operands anew in every call, and makes all of the
full convolution before it cuts out what is valid. Of calls with one image and many filters the
image's transform is always the same; most rows of a filter that is padded to the image's size are
zeros, whose transforms are zeros; and of the 2C - 1 channels of the full result one is valid.
``scipy.fft`` lets a backend take its calls. This one hands them to scipy's own functions: of the
image once, of a filter axis by axis, and on the way back for what is valid alone. Of complex data
it shares the image's transform alone, as it is scipy's version that tells which axis comes first.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Array = NDArray[Any]


@contextmanager
def shared_transforms(image: Array) -> Iterator[None]:
    """While scipy makes valid convolutions of ``image``, it transforms no more than it must."""
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
        self.filter: tuple[int, ...] | None = None
        """The shape of what was transformed last beside the image."""

    def __ua_function__(
        self, method: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """The result of one of scipy.fft's functions; NotImplemented where it is scipy's to do."""
        from scipy.fft import skip_backend

        name = method.__name__
        if name not in ("fftn", "rfftn", "irfftn") or len(args) != 2 or set(options) != {"axes"}:
            return NotImplemented
        array, lengths = args
        axes = range(array.ndim) if options["axes"] is None else options["axes"]
        with skip_backend(self):
            if name == "irfftn":
                if self.filter is None or not self.kept:
                    return NotImplemented  # not of the image
                wanted = [slice(self.filter[axis] - 1, self.image.shape[axis]) for axis in axes]
                valid = back_along_each_axis(array, lengths, axes, wanted)
                return amid_nan(valid, lengths, axes, wanted)
            if array is not self.image:
                if name == "fftn":
                    return NotImplemented
                self.filter = array.shape
                return along_each_axis(array, lengths, axes)
            key = (name, *lengths, *axes)
            if key not in self.kept:
                self.kept[key] = method(array, lengths, axes=axes)
                self.kept[key].flags.writeable = False
            return self.kept[key]


def along_each_axis(array: Array, lengths: Sequence[int], axes: Sequence[int]) -> Array:
    """The N-D FFT of a real array padded to ``lengths``, each axis padded when its turn comes.

    The axes come in the order in which scipy takes them, so that it is the same sum by sum.
    """
    from scipy.fft import fft, rfft

    *order, (axis, length) = zip(axes, lengths, strict=True)
    array = rfft(array, length, axis=axis)
    for axis, length in order:
        array = fft(array, length, axis=axis)
    return array


def back_along_each_axis(
    array: Array, lengths: Sequence[int], axes: Sequence[int], wanted: Sequence[slice]
) -> Array:
    """The inverse N-D FFT to ``lengths``, of real numbers: only what is ``wanted`` of each axis.

    Like scipy's it divides by the number of points once, at the end, and as a product.
    """
    from scipy.fft import ifft, irfft

    *order, (last, length, end) = zip(axes, lengths, wanted, strict=True)
    for axis, _, part in order:
        array = ifft(array, axis=axis, norm="forward")[(slice(None),) * axis + (part,)]
    array = irfft(array, length, axis=last, norm="forward")[(slice(None),) * last + (end,)]
    array *= (1 / np.prod(lengths, dtype=np.longdouble)).astype(array.dtype)
    return array


def amid_nan(
    array: Array, lengths: Sequence[int], axes: Sequence[int], wanted: Sequence[slice]
) -> Array:
    """An array of ``lengths`` that is NaN but for what is ``wanted``.

    Along an axis of which one element is wanted it has that element everywhere, without a copy.
    """
    full, made, parts = [*array.shape], [*array.shape], {}
    for axis, length, part in zip(axes, lengths, wanted, strict=True):
        full[axis] = length
        if made[axis] > 1:
            made[axis], parts[axis] = length, part
    whole = np.empty(made, array.dtype)
    whole[tuple(parts.get(axis, slice(None)) for axis in range(array.ndim))] = array
    for axis, part in parts.items():
        for beside in (slice(part.start), slice(part.stop, None)):
            whole[(slice(None),) * axis + (beside,)] = np.nan
    return np.broadcast_to(whole, full)
