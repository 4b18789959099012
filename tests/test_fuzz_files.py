"""Files of other kinds with anything in them: read right or refused, soon and in little memory."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import resource
import struct
import time
import zlib
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from convcheck import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow
SECONDS = 2.0
BYTES = 64 << 20
RGB = (np.arange(7 * 5 * 3) * 7 % 251).astype(np.uint8).reshape(7, 5, 3)
fuzz = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """What is imported takes memory too: all that is needed is there before anything is counted."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        cli.run(["random", "--shape", "3x5x5", "--filters", "2x3x2x2"])
        folder = Path(__file__).resolve().parent.parent / "fixtures" / "question"
        cli.run(["inspect", str(folder / "image.npy"), "--json"])
    for name in ("onnx.numpy_helper", "PIL.Image"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with contextlib.suppress(pytest.skip.Exception):
        images()


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """No more address space than there is, and 64 MiB: what asks for more is out of memory."""
    status = Path("/proc/self/status")
    if not status.exists():
        yield
        return
    taken = next(
        int(line.split()[1]) << 10
        for line in status.read_text().splitlines()
        if line.startswith("VmSize")
    )
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def survives(path: Path, *names: str) -> list[Any]:
    """What inspect lists of a file, [] where it refuses; compare takes it or refuses it too."""
    listed: list[Any] = []
    for command in (
        ["inspect", str(path), "--json"],
        *(["compare", f"{path}{name}", f"{path}{name}", "-q"] for name in ("", *names)),
    ):
        out, err = io.StringIO(), io.StringIO()
        started = time.process_time()
        with redirect_stdout(out), redirect_stderr(err), little_memory():
            code = cli.run(command)
        said = err.getvalue()
        assert time.process_time() - started < SECONDS, command
        assert code in {0, 1, 2}, said
        for word in ("Traceback", "internal error", "in memory", "out of memory"):
            assert word not in said, said
        if code == 2:
            assert "convcheck: error: " in said or '"exit_code": 2' in out.getvalue()
        elif command[0] == "inspect":
            listed = json.loads(out.getvalue())["arrays"]
    return listed


Edit = tuple[str, int, int, bytes]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "double", "insert", "flip"]),
        st.integers(0, 1 << 16),
        st.integers(0, 1 << 10),
        st.one_of(
            st.binary(max_size=6),
            st.sampled_from([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff" * 9 + b"\1", bytes(4)]),
        ),
    ),
    max_size=4,
)


def edited(content: bytes, edits: list[Edit]) -> bytes:
    """The content with bytes changed, left out, repeated and put in."""
    made = bytearray(content)
    for how, where, length, put in edits:
        at = where % (len(made) + 1)
        if how == "set":
            made[at : at + len(put)] = put
        elif how == "cut":
            del made[at : at + (length or len(made))]
        elif how == "double":
            made[at:at] = made[at : at + length]
        elif how == "insert":
            made[at:at] = put
        elif at < len(made):
            made[at] ^= 1 << length % 8
    return bytes(made)


# --- images -------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, data: bytes, *more: bytes, depth: int = 8, color: int = 2
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = [chunk(b"IHDR", header), *more, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def tiff(*tags: tuple[int, int, int, int], data: bytes = bytes(64)) -> bytes:
    """A little-endian TIFF of these tags: number, type, count, value."""
    body = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4) + data


def tags(width: int, height: int, **more: int) -> list[tuple[int, int, int, int]]:
    named = {"compression": 259, "strip": 273, "bytes": 279, "bits": 258, "rows": 278, "tile": 322}
    values = {"compression": 1, "strip": 8, "bytes": 64, "bits": 8, "rows": height, **more}
    plain = [(256, 4, 1, width), (257, 4, 1, height), (262, 3, 1, 1), (277, 3, 1, 1)]
    return plain + [(named[name], 4, 1, value) for name, value in values.items()]


@cache
def images() -> dict[str, bytes]:
    image = pytest.importorskip("PIL.Image")
    made = {}
    for name, form, how in [
        ("png", "PNG", {}),
        ("palette", "PNG", {}),
        ("jpeg", "JPEG", {}),
        ("progressive", "JPEG", {"progressive": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
        ("tiff", "TIFF", {}),
        ("lzw", "TIFF", {"compression": "tiff_lzw"}),
        ("deflate", "TIFF", {"compression": "tiff_deflate"}),
        ("fax", "TIFF", {"compression": "group4"}),
    ]:
        picture = image.fromarray(RGB)
        if name == "palette":
            picture = picture.quantize(9)
        if name == "fax":
            picture = picture.convert("1")
        stream = io.BytesIO()
        picture.save(stream, format=form, **how)
        made[name] = stream.getvalue()
    return made


@fuzz
@given(st.sampled_from(["png", "palette", "jpeg", "progressive"]), EDITS)
def test_edited_images(tmp_path: Path, kind: str, edits: list[Edit]) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(edited(images()[kind], edits))
    listed = survives(path)
    if not edits:
        assert [entry["shape"] for entry in listed] == [[3, 7, 5]]


@fuzz
@given(st.sampled_from(["tiff", "lzw", "deflate", "fax"]), EDITS)
def test_edited_tiffs(tmp_path: Path, kind: str, edits: list[Edit]) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(edited(images()[kind], edits))
    listed = survives(path)
    if not edits:
        assert [entry["shape"] for entry in listed] == [[7, 5] if kind == "fax" else [3, 7, 5]]


HOSTILE = {
    "png, 900 megapixels": png(30000, 30000, b""),
    "png, 170 megapixels": png(13000, 13000, b""),
    "png, 40 megapixels": png(6400, 6400, bytes(100)),
    "png, grey, 170 megapixels": png(13000, 13000, b"", color=0),
    "png, one row of a million": png(1_000_000, 60, b""),
    "png, no size": png(0, 0, b""),
    "png, text that unpacks": png(
        3, 3, bytes(30), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80 << 20)))
    ),
    "png, a profile that unpacks": png(
        3, 3, bytes(30), chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(80 << 20)))
    ),
    "png, a chunk of gigabytes": png(3, 3, bytes(30))[:33] + b"\x7f\xff\xff\xffIDAT",
    "png, pixels, then a gigabyte that is not there": (
        png(3, 3, bytes(30))[:33] + b"\x40" + png(3, 3, bytes(30))[34:]
    ),
    "png, many empty chunks": png(3, 3, bytes(30), *[chunk(b"tEXt", b"a\0")] * 20000),
    "jpeg, 65500 x 65500": b"\xff\xd8\xff\xc0\0\x11\x08\xff\xdc\xff\xdc\3\1\x22\0\2\x11\1\3\x11\1",
    "jpeg, markers without end": b"\xff\xd8\xff" + b"\xe0\0\2\xff" * 50000,
    "tiff, 900 megapixels": tiff(*tags(30000, 30000)),
    "tiff, 170 megapixels": tiff(*tags(13000, 13000)),
    "tiff, one strip, deflate": tiff(*tags(13000, 13000, compression=8)),
    "tiff, fax": tiff(*tags(13000, 13000, compression=4, bits=1)),
    "tiff, itself as the next": tiff(*tags(3, 3))[:-68] + struct.pack("<I", 8) + bytes(64),
    "tiff, strips of gigabytes": tiff(*tags(4, 4, bytes=0xFFFFFFFF, strip=0xFFFFFFF0)),
    "tiff, tags that count gigabytes": tiff(*tags(4, 4), (700, 7, 0xF0000000, 8)),
    "tiff, a tag counted in files": tiff(*tags(4, 4), (320, 3, 0x7FFFFFFF, 8)),
    "tiff, no tags": tiff(),
    "tiff, cut off": b"II*\0\xff\xff\xff\xff",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_images_that_promise_too_much(tmp_path: Path, name: str) -> None:
    pytest.importorskip("PIL")
    path = tmp_path / "x.png"
    path.write_bytes(HOSTILE[name])
    survives(path)


@fuzz
@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"\x08\x07", b""]),
    st.binary(max_size=300),
    st.sampled_from(["x.png", "x.onnx", "x.safetensors"]),
)
def test_bytes_of_no_kind(tmp_path: Path, magic: bytes, rest: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(magic + rest)
    survives(path)


# --- safetensors --------------------------------------------------------------------------------


def safetensors(header: Any, data: bytes = bytes(64)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


PLAIN_ENTRY = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@fuzz
@given(EDITS)
def test_edited_safetensors(tmp_path: Path, edits: list[Edit]) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(edited(safetensors({"w": PLAIN_ENTRY, "v": PLAIN_ENTRY}), edits))
    listed = survives(path, "::w")
    if not edits:
        assert [entry["shape"] for entry in listed] == [[4, 4], [4, 4]]


@fuzz
@given(JSON, st.sampled_from(["dtype", "shape", "data_offsets", "w", ""]))
@example([1 << 40, 1 << 40], "shape")
@example([0, 1 << 61], "shape")
@example([1] * 33, "shape")
@example({**PLAIN_ENTRY, "dtype": "BF16", "shape": [0, 1 << 61], "data_offsets": [0, 0]}, "w")
@example({**PLAIN_ENTRY, "dtype": "F64", "shape": [0, 1 << 61], "data_offsets": [0, 0]}, "w")
@example([-4, -4], "shape")
@example([64, 0], "data_offsets")
@example("F8_E4M3", "dtype")
def test_safetensors_of_any_header(tmp_path: Path, value: Any, key: str) -> None:
    header = {"w": {**PLAIN_ENTRY, key: value}} if key in PLAIN_ENTRY else {key: value}
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors(value if not key else header))
    survives(path, "::w")


# --- ONNX ---------------------------------------------------------------------------------------


def field(number: int, content: bytes | int) -> bytes:
    """One field of a protobuf: a number, or bytes after their length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    made = b""
    while value >= 128:
        made, value = made + bytes([value & 127 | 128]), value >> 7
    return made + bytes([value])


DIMS, TYPE, FLOATS, INTS, STRINGS, NAME, RAW, EXTERNAL, LOCATION = 1, 2, 4, 5, 6, 8, 9, 13, 14
FLOAT, STRING = 1, 8


def tensor(dims: list[int], kind: int = FLOAT, *more: bytes, name: bytes = b"w") -> bytes:
    shape = b"".join(field(DIMS, n) for n in dims)
    return shape + field(TYPE, kind) + field(NAME, name) + b"".join(more)


def model(*initializers: bytes, graph: bytes = b"") -> bytes:
    """A model, version first, as files have it."""
    made = graph + b"".join(field(5, one) for one in initializers)
    return field(1, 8) + field(7, made)


def nested(depth: int) -> bytes:
    """A graph in an attribute of a node of a graph in an attribute ..."""
    inner = b""
    for _ in range(depth):
        inner = field(1, field(5, field(6, inner)))
    return inner


RAW64 = field(RAW, bytes(range(64)))
EXTERNALLY = b"".join(
    field(EXTERNAL, field(1, key) + field(2, value))
    for key, value in ((b"location", b"../../../../../../etc/passwd"), (b"length", b"64"))
)
ONNX = {
    "right": model(tensor([4, 4], FLOAT, RAW64)),
    "another file": model(tensor([4, 4], FLOAT, EXTERNALLY, field(LOCATION, 1))),
    "another file, and data": model(tensor([4, 4], FLOAT, RAW64, EXTERNALLY, field(LOCATION, 1))),
    "another file, not said": model(tensor([4, 4], FLOAT, EXTERNALLY)),
    "absurd sizes": model(tensor([1 << 40, 1 << 40], FLOAT, RAW64)),
    "sizes that wrap to 16": model(tensor([1 << 33, 1 << 33, 16], FLOAT, RAW64)),
    "negative sizes": model(tensor([-4, -4], FLOAT, RAW64)),
    "one size that follows": model(tensor([-1, 4], FLOAT, RAW64)),
    "a size of none": model(tensor([0, 1 << 62], FLOAT)),
    "a hundred axes": model(tensor([1] * 100, FLOAT, field(RAW, bytes(4)))),
    "no sizes": model(tensor([], FLOAT, field(RAW, bytes(4)))),
    "the data many times": model(tensor([4, 4], FLOAT, *[RAW64] * 20000)),
    "one name many times": model(*[tensor([4, 4], FLOAT, RAW64)] * 500),
    "many names": model(
        *(tensor([1], FLOAT, field(RAW, bytes(4)), name=b"%d" % n) for n in range(2000))
    ),
    "floats in fields": model(tensor([2], FLOAT, field(FLOATS, struct.pack("<2f", 1, 2)))),
    "too few": model(tensor([4, 4], FLOAT, field(RAW, bytes(60)))),
    "half a number": model(tensor([4, 4], FLOAT, field(RAW, bytes(63)))),
    "text": model(tensor([2], STRING, field(STRINGS, b"1.5"), field(STRINGS, b"2"))),
    "text, named as numbers": model(tensor([2], FLOAT, field(STRINGS, b"1.5"))),
    "too large for its type": model(tensor([1], 10, field(INTS, 1 << 20))),
    "less than its type has": model(tensor([1], 2, field(INTS, -1))),
    "a flag of two": model(tensor([4], 9, field(RAW, b"\0\1\2\3"))),
    "segments": model(tensor([4, 4], FLOAT, RAW64, field(3, field(1, 0) + field(2, 16)))),
    "no type": model(tensor([4, 4], 0, RAW64)),
    "no such type": model(tensor([4, 4], 999, RAW64)),
    "a negative type": model(tensor([4, 4], -1, RAW64)),
    "no name": model(tensor([4, 4], FLOAT, RAW64, name=b"")),
    "a name of bytes": model(tensor([4, 4], FLOAT, RAW64, name=b"\xff\xfe")),
    "a name of lines": model(tensor([4, 4], FLOAT, RAW64, name=b"\n\x1b[31m\0")),
    "no initialisers": model(),
    "no graph": field(1, 8),
    "a version alone": b"\x08",
    "recursive": model(tensor([4, 4], FLOAT, RAW64), graph=nested(20)),
    "recursive without end": model(tensor([4, 4], FLOAT, RAW64), graph=nested(3000)),
    "a length of exabytes": field(1, 8) + b"\x3a" + b"\xff" * 8 + b"\x7f",
    **{f"type {kind}": model(tensor([4], kind, field(RAW, bytes(range(4))))) for kind in range(28)},
    **{f"type {kind}, long": model(tensor([4], kind, RAW64)) for kind in range(28)},
    **{
        f"type {kind}, in fields": model(tensor([3], kind, *[field(INTS, n) for n in (1, 300, -9)]))
        for kind in range(28)
    },
}


@pytest.mark.parametrize("name", ONNX)
def test_models_that_lie(tmp_path: Path, name: str) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "x.onnx"
    path.write_bytes(ONNX[name])
    listed = survives(path, "::w")
    if name in {"right", "recursive"}:
        assert [entry["shape"] for entry in listed] == [[4, 4]]
    if name in {"another file", "text", "text, named as numbers", "too few", "absurd sizes"}:
        assert listed == []


@fuzz
@given(st.sampled_from(["right", "floats in fields", "recursive", "type 10, in fields"]), EDITS)
def test_edited_models(tmp_path: Path, name: str, edits: list[Edit]) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "x.onnx"
    path.write_bytes(edited(ONNX[name], edits))
    survives(path, "::w")


@fuzz
@given(
    st.lists(st.integers(-2, 9) | st.sampled_from([2**31, 2**62, -(2**63)]), max_size=4),
    st.integers(-1, 30),
    st.lists(
        st.tuples(st.integers(1, 16), st.integers(0, 400) | st.binary(max_size=24)), max_size=4
    ),
)
@example([0, 1 << 62], 17, [])
@example([1 << 31, 1 << 62, 0], 21, [])
@example([1 << 31, 0], 21, [])
@example([1 << 40, 0], 17, [])
def test_tensors_of_any_field(tmp_path: Path, dims: list[int], kind: int, more: list[Any]) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "x.onnx"
    path.write_bytes(model(tensor(dims, kind, *(field(*each) for each in more))))
    survives(path, "::w")
