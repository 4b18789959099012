"""Traces as files: read lazily, written an array at a time.

A trace is a folder of .npy, an .npz or a .safetensors. Its array ``trace.json`` has the bytes of
a JSON object that lists the layers; ``NAME.input`` and its kin are beside it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from convcheck.errors import InputError, OutputError
from convcheck.tensors import contents, load
from convcheck.trace.layer import REQUIRED, ROLES, Layer, Trace
from convcheck.unreadable import clip, shown

Array = NDArray[Any]

INDEX = "trace.json"
VERSION = 1
_TYPES = {
    "f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8",
    "u8": "U64", "u4": "U32", "u2": "U16", "u1": "U8", "b1": "BOOL",
}  # fmt: skip
"""The names that safetensors has for numpy's types."""


def read(path: str) -> Trace:
    """The trace in a file or a folder; arrays are read when they are asked for.

    Raises:
        InputError: it is none, or parts of it are missing.
    """
    folder = Path(path).is_dir()
    encode: Callable[[str], str] = _file_name if folder else str
    if folder:
        names = {p.name.removesuffix(".npy") for p in Path(path).iterdir() if p.suffix == ".npy"}
    else:
        names = set(contents("MODEL", path)[2])

    def array(name: str) -> Array:
        spec = str(Path(path, encode(name) + ".npy")) if folder else f"{path}::{name}"
        return load("MODEL", spec).array

    if encode(INDEX) not in names:
        raise InputError(
            f"MODEL: {shown(path)} is no trace: it has no array {INDEX}",
            expected="a trace, or an ONNX model (.onnx)",
            hint="docs/trace.md says what a trace holds",
        )
    index = _index(path, array(INDEX))
    layers = []
    for number, entry in enumerate(index["layers"]):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(entry.get("convention"), dict):
            raise InputError(
                f"MODEL: {shown(path)}: layer {number} of {INDEX} is not described",
                got=clip(json.dumps(entry)),
                expected='{"name": ..., "kind": ..., "convention": {...}}',
            )
        for key in ("scale", "bias"):
            if key in entry["convention"]:
                raise InputError(
                    f"MODEL: {shown(path)}: the layer {name!r} has a {key} in its convention",
                    expected=f"an array {name}.{key}",
                    hint="docs/trace.md says what a trace holds",
                )
        roles = frozenset(role for role in ROLES if encode(f"{name}.{role}") in names)
        for role in REQUIRED:
            if role not in roles:
                raise InputError(
                    f"MODEL: {shown(path)}: the layer {name!r} has no {role}",
                    expected=f"an array {name}.{role}",
                    hint="write the trace again; docs/trace.md says what it holds",
                )
        epsilon = entry.get("epsilon")
        if epsilon is not None and not isinstance(epsilon, (int, float)):
            raise InputError(
                f"MODEL: the layer {name!r}: epsilon is no number", got=clip(repr(epsilon))
            )
        layers.append(
            Layer(
                name,
                str(entry.get("kind", "convolution")),
                entry["convention"],
                roles,
                lambda role, name=name: array(f"{name}.{role}"),  # type: ignore[misc]
                epsilon,
                entry.get("cut_off") is True,
            )
        )
    others = index.get("others", {})
    if not isinstance(others, dict) or not all(isinstance(n, int) for n in others.values()):
        raise InputError(
            f"MODEL: {shown(path)}: 'others' of {INDEX} does not count layers",
            got=clip(json.dumps(others)),
            expected='{"MaxPool": 1}',
        )
    counted = {str(kind): count for kind, count in others.items()}
    return Trace(path, tuple(layers), counted)


def _index(path: str, found: Array) -> dict[str, Any]:
    try:
        index = json.loads(found.astype(np.uint8).tobytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"MODEL: {shown(path)}: {INDEX} is not JSON", got=clip(str(error))
        ) from error
    if not isinstance(index, dict) or not isinstance(index.get("layers"), list):
        raise InputError(f"MODEL: {shown(path)}: {INDEX} lists no layers")
    if index.get("version", VERSION) != VERSION:
        raise InputError(
            f"MODEL: {shown(path)} is a trace of another version",
            got=clip(repr(index["version"])),
            expected=str(VERSION),
        )
    return index


def _file_name(name: str) -> str:
    """A name as that of a file in a folder: no separator is left in it."""
    return quote(name, safe=" ()[]:,=+@") if name not in (".", "..") else quote(name)


@dataclass
class Writer:
    """Writes a trace: an array at a time, the list of layers last."""

    path: Path
    layers: list[dict[str, Any]] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    _zip: zipfile.ZipFile | None = None
    _data: IO[bytes] | None = None
    _entries: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        try:
            if self.path.suffix == ".npz":
                self._zip = zipfile.ZipFile(self.path, "w", allowZip64=True)
            elif self.path.suffix == ".safetensors":
                self._data = tempfile.TemporaryFile(dir=self.path.parent)
            else:
                self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the trace {shown(str(self.path))} could not be written", got=error.strerror
            ) from error
        return self

    def layer(
        self,
        name: str,
        kind: str,
        keys: Mapping[str, Any],
        arrays: Mapping[str, Array],
        epsilon: float | None = None,
        *,
        cut_off: bool = False,
    ) -> None:
        """Write one layer; a name that is taken gets a number."""
        taken = {entry["name"] for entry in self.layers}
        own, count = name, 1
        while own in taken:
            count += 1
            own = f"{name}#{count}"
        entry: dict[str, Any] = {"name": own, "kind": kind, "convention": dict(keys)}
        if epsilon is not None:
            entry["epsilon"] = epsilon
        if cut_off:
            entry["cut_off"] = True
        self.layers.append(entry)
        for role, array in arrays.items():
            self._put(f"{own}.{role}", np.asarray(array))

    def _put(self, name: str, array: Array) -> None:
        array = np.ascontiguousarray(array) if array.ndim else array
        if self._zip is not None:
            with self._zip.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        elif self._data is not None:
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            begin = self._data.tell()
            self._data.write(little.tobytes())
            self._entries[name] = {
                "dtype": _TYPES[array.dtype.str[1:]],
                "shape": list(array.shape),
                "data_offsets": [begin, self._data.tell()],
            }
        else:
            np.save(self.path / (_file_name(name) + ".npy"), array, allow_pickle=False)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        index = {"version": VERSION, "layers": self.layers, "others": self.others}
        if error is None:
            self._put(INDEX, np.frombuffer(json.dumps(index).encode(), np.uint8))
        if self._zip is not None:
            self._zip.close()
            if error is not None:
                self.path.unlink(missing_ok=True)
        elif self._data is not None:
            if error is None:
                head = json.dumps(self._entries).encode()
                head += b" " * (-len(head) % 8)
                self._data.seek(0)
                with self.path.open("wb") as file:
                    file.write(len(head).to_bytes(8, "little") + head)
                    shutil.copyfileobj(self._data, file)
            self._data.close()
