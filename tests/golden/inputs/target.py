"""A cross-correlation that is wrong for integers where the image has seven columns."""

import numpy as np


def conv(x, w):
    """Stride 1, no padding: image NCHW, filters OIHW."""
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    y = np.einsum("nchwij,ocij->nohw", windows, w)
    if x.shape[-1] == 7 and x.dtype.kind == "i":
        y = y[:, :, ::-1]
    return y
