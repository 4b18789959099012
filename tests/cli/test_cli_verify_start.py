"""``convcheck verify`` on targets as people write them, in a process of its own: its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from few import slow

TESTS = Path(__file__).resolve().parents[1]
MODULE = """
import numpy as np
from zoo import conv

def strided(x, w):
    return conv(np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2))), w, stride=2)

def bytes_of_squares(x, w):
    if x.dtype != np.uint8:
        raise TypeError("only uint8 is supported")
    if x.shape[2] != x.shape[3]:
        raise ValueError("only square images")
    return conv(x, w)

def line(x, w, stride=(1,)):
    if x.ndim != 1:
        raise ValueError("one axis")
    return np.correlate(x.astype(float), w.astype(float), "valid")[:: stride[0]]

class Layer:
    def __init__(self, in_channels, out_channels, kernel_size, stride=1):
        self.weight, self.stride = np.zeros((out_channels, in_channels, *kernel_size)), stride

    def forward(self, x):
        return conv(x, self.weight, self.stride)

def course(x, w, b, conv_param):
    y = conv(x, w, conv_param["stride"], conv_param["pad"]) + b[:, None, None]
    return y * (2 if conv_param.get("stride") == 3 else 1), None

def never(x, w):
    return undefined
"""
COURSE = "f(x, w, zeros(K), {'stride': stride, 'pad': padding})[0]"


@pytest.mark.parametrize(
    ("target", "options", "code", "says"),
    [
        ("strided", [], 0, "padded 2, stride 2"),
        slow("bytes_of_squares", [], 0, '"domain": ["square images", "uint8"]'),
        slow("line", [], 0, "1-D cross-correlation, W, W"),
        slow("Layer", ["--expect", "correlation"], 0, "cross-correlation"),
        slow("course", ["--call", COURSE], 1, "stride is 3"),
        ("never", [], 2, "mine.py:32"),
    ],
)
def test_a_target_is_started_on(
    target: str, options: list[str], code: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "zoo.py").write_text((TESTS / "zoo.py").read_text())
    (tmp_path / "mine.py").write_text(MODULE)
    command = [sys.executable, "-m", "convcheck", "verify", f"mine:{target}", *options]
    ended = subprocess.run(
        [*command, "--cases", "100", "--json"],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert ended.returncode == code, (ended.stdout, ended.stderr)
    if code == 2:
        assert says in ended.stderr
        assert "depthwise" not in ended.stderr
        return
    document = json.loads(ended.stdout)
    assert says in json.dumps(document)
    assert document["ran"] >= 95
