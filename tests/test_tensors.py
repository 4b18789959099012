"""Arrays and reports, from files and to files: what is read, what is refused and in which words."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import pty
import resource
import signal
import socket
import stat
import struct
import tempfile
import tracemalloc
import warnings
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from convcheck import npy as npy_files
from convcheck import tensors
from convcheck.errors import ConvcheckError, InputError, OutputError
from convcheck.tensors import load
from convcheck.writing import check_writable, save, write_text

ARRAY = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
TERABYTES = "{'descr': '<f8', 'fortran_order': False, 'shape': (1250000000000,)}"  # 10 of them


@pytest.fixture(autouse=True)
def no_hang():
    def give_up(signum, frame):
        raise AssertionError("hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def npy(array=ARRAY) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(*members: tuple[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def with_header(header: str | bytes, data: bytes = b"", version: int = 1) -> bytes:
    raw = header.encode("latin-1") if isinstance(header, str) else header
    length = struct.pack("<H" if version == 1 else "<I", len(raw))
    return b"\x93NUMPY" + bytes([version, 0]) + length + raw + data


def header_of(shape: str, descr: str = "'<f4'", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


def patched(content: bytes, *changes: tuple[bytes, int, bytes]) -> bytes:
    """Overwrite what follows each signature at an offset, wherever the signature occurs."""
    raw = bytearray(content)
    for signature, offset, new in changes:
        at = raw.find(signature)
        assert at >= 0
        while at >= 0:
            raw[at + offset : at + offset + len(new)] = new
            at = raw.find(signature, at + 1)
    return bytes(raw)


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def refused(spec: Path | str, *facts: str, operand: str = "W", stdin=None) -> InputError:
    """Load, and hold the error to naming the operand, the file, the facts and what to do."""
    with pytest.raises(InputError) as caught:
        load(operand, str(spec), stdin=stdin)
    text = str(caught.value)
    first = text.splitlines()[0]
    assert first.startswith(f"{operand}: {spec} ")
    assert caught.value.exit_code == 2
    assert caught.value.hint
    for fact in facts:
        assert fact in text
    return caught.value


def refused_bytes(tmp_path: Path, content: bytes, *facts: str, name: str = "x.npy") -> InputError:
    path = tmp_path / name
    path.write_bytes(content)
    return refused(path, *facts)


@contextmanager
def as_nobody():
    """Root may read and write everything: be somebody else where permissions are the matter."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def open_dir():
    """Give a directory that everybody may enter: tmp_path is below a private one."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def peak_below(limit: int):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


# --- what is read -------------------------------------------------------------------------------

DTYPES = ["?", "i1", "u2", "<i4", ">i8", "f2", "<f4", ">f8", "g", "c8", ">c16", "G"]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_numeric_dtype_is_mapped_read_only(tmp_path, dtype, order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4) % 5, dtype=dtype, order=order)
    path = tmp_path / "x.npy"
    np.save(path, array)
    tensor = load("IMG", str(path))
    assert tensor.path == str(path)
    assert tensor.warnings == ()
    assert type(tensor.array) is np.ndarray
    assert tensor.array.dtype == array.dtype
    assert tensor.array.flags.f_contiguous == (order == "F")
    np.testing.assert_array_equal(tensor.array, array)
    assert not tensor.array.flags.writeable
    assert not tensor.array.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        tensor.array[0, 0, 0] = 1


def test_an_npy_is_mapped_not_read(tmp_path):
    path = tmp_path / "x.npy"
    size = 256 << 20
    path.write_bytes(with_header(header_of(f"({size},)", "'|u1'")))
    os.truncate(path, path.stat().st_size + size)  # sparse
    with peak_below(1 << 20):
        assert load("IMG", str(path)).array.nbytes == size


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0, 3), (1,) * 32])
@pytest.mark.parametrize("source", ["npy", "npz", "-"])
def test_shapes_at_the_edge_load(tmp_path, shape, source):
    path, array = tmp_path / "x", np.ones(shape, np.float32)
    path.write_bytes(npy(array) if source == "npy" else npz(("x.npy", npy(array))))
    spec, stdin = ("-", io.BytesIO(npy(array))) if source == "-" else (str(path), None)
    loaded = load("IMG", spec, stdin=stdin).array
    assert loaded.shape == shape
    np.testing.assert_array_equal(loaded, array)


@pytest.mark.parametrize(
    "content",
    [
        with_header(header_of("(3L,)"), npy()[-96:-84]),
        with_header(header_of("(3,)"), npy()[-96:-84], version=2),
        with_header(header_of("(3,)"), npy()[-96:-84], version=3),
        with_header('{"shape":(3,),"fortran_order":False,"descr":"<f4"}', npy()[-96:-84]),
    ],
    ids=["python2", "2.0", "3.0", "another writer"],
)
def test_headers_as_others_write_them(tmp_path, content):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    np.testing.assert_array_equal(load("IMG", str(path)).array, [0, 1, 2])


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_npz(tmp_path, writer):
    path = tmp_path / "x.npz"
    writer(path, w=ARRAY, b=ARRAY.T)
    tensor = load("W", f"{path}::b")
    np.testing.assert_array_equal(tensor.array, ARRAY.T)
    assert tensor.path == f"{path}::b"
    assert tensor.warnings == ()
    assert not tensor.array.flags.writeable
    assert load("W", f"{path}::w.npy").array.shape == ARRAY.shape
    writer(path, only=ARRAY)
    np.testing.assert_array_equal(load("W", str(path)).array, ARRAY)
    np.testing.assert_array_equal(load("W", f"{path}::only").array, ARRAY)


def test_the_content_decides_not_the_name(tmp_path):
    (tmp_path / "a.npz").write_bytes(npy())
    (tmp_path / "b.npy").write_bytes(npz(("only.npy", npy())))
    assert load("W", str(tmp_path / "a.npz")).array.shape == ARRAY.shape
    assert load("W", str(tmp_path / "b.npy")).array.shape == ARRAY.shape


def test_colons_in_a_path_and_in_a_name(tmp_path):
    np.savez(tmp_path / "x.npz", **{"w": ARRAY, "a::b": ARRAY[0]})
    np.save(tmp_path / "plain.npy", ARRAY[1])
    (tmp_path / "plain.npy").rename(tmp_path / "x.npz::w")
    np.savez(tmp_path / "x::y.npz", w=ARRAY[0, 0])
    assert load("W", str(tmp_path / "x.npz::w")).array.shape == (3, 4)
    assert load("W", str(tmp_path / "x.npz::a::b")).array.shape == (3, 4)
    assert load("W", str(tmp_path / "x::y.npz::w")).array.shape == (4,)


def test_a_dash_reads_standard_input(monkeypatch):
    tensor = load("IMG", "-", stdin=io.BytesIO(npy()))
    np.testing.assert_array_equal(tensor.array, ARRAY)
    assert tensor.path == "-"
    assert not tensor.array.flags.writeable
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(npy())))
    assert load("IMG", "-").array.shape == ARRAY.shape


def test_a_pipe_that_comes_in_drops():
    class Drops(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 7))

    np.testing.assert_array_equal(load("IMG", "-", stdin=Drops(npy())).array, ARRAY)


def test_bytes_after_the_array_are_counted(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(npy() + npy())
    (note,) = load("IMG", str(path)).warnings
    assert note.startswith(f"IMG: {path}: {len(npy())} bytes after the array")
    (note,) = load("IMG", "-", stdin=io.BytesIO(npy() + b"x")).warnings
    assert note.startswith("IMG: - (standard input): 1 byte after the array")
    (note,) = load("IMG", "-", stdin=io.BytesIO(npy() + bytes(9 << 20))).warnings
    assert "at least 1,048,576 bytes" in note
    path.write_bytes(npz(("x.npy", npy() + b"12345")))
    (note,) = load("IMG", str(path)).warnings
    assert "5 bytes" in note


def test_members_are_names_and_nothing_is_extracted(tmp_path, monkeypatch):
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    Path("x.npz").write_bytes(npz(("../up.npy", npy()), (f"{tmp_path}/abs.npy", npy(ARRAY[0]))))
    assert load("W", "x.npz::../up").array.shape == (2, 3, 4)
    assert load("W", f"x.npz::{tmp_path}/abs").array.shape == (3, 4)
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["inner", "x.npz"]


# --- files that are none ------------------------------------------------------------------------


def test_a_missing_file_and_its_neighbours(tmp_path):
    np.save(tmp_path / "image.npy", ARRAY)
    np.save(tmp_path / "w.npy", ARRAY)
    for typed, meant in [("imgae.npy", "image"), ("w", "w"), ("w.npz", "w"), ("image", "image")]:
        refused(tmp_path / typed, "does not exist", f"did you mean {tmp_path}/{meant}.npy?")
    assert "did you mean" not in str(refused(tmp_path / "zzzzzzzz.dat", "No such file"))
    refused(tmp_path / "no" / "x.npy", "does not exist", f"its directory {tmp_path}/no")
    refused(tmp_path / "w.npy" / "x.npy", "does not exist", "Not a directory")
    refused(f"{tmp_path}/imag.npz::w", "does not exist", "image.npy")


def test_suggestions_do_not_depend_on_the_file_system(tmp_path, monkeypatch):
    found = [tmp_path / "image.npz", tmp_path / "image.npy"]
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(found))
    refused(tmp_path / "image", f"did you mean {tmp_path}/image.npy, {tmp_path}/image.npz?")


def test_paths_that_cannot_be(tmp_path):
    with pytest.raises(InputError, match=r"W: a\\x00b does not exist"):
        load("W", "a\0b")
    with pytest.raises(InputError, match=r"W: a\\x1b\[31m\\nb does not exist"):
        load("W", "a\x1b[31m\nb")
    refused("", "names no file")
    refused("x" * 5000, "cannot be read", "File name too long")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    refused(loop, "cannot be read", "symbolic links")


def test_a_directory(tmp_path):
    refused(tmp_path, "is a directory")


def test_permission_denied(open_dir):
    path = open_dir / "x.npy"
    path.write_bytes(npy())
    path.chmod(0)
    with as_nobody():
        refused(path, "permission denied", "ls -ld")


def test_an_empty_file(tmp_path):
    refused_bytes(tmp_path, b"", "is empty", "0 bytes")


def test_special_files_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        refused("fifo", "not a regular file", "FIFO", "- < FILE")
        refused("socket", "not a regular file", "a socket")
        refused("/dev/zero", "not a regular file", "a character device")
        Path("link").symlink_to("fifo")
        refused("link", "FIFO")


def test_a_file_that_becomes_a_fifo_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "fifo", "rb", opener=tensors._open_at_once) as file:
        assert file.read() == b""


def test_a_file_that_shrinks_before_it_is_mapped(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(npy(np.zeros(100_000)))
    with path.open("rb") as file:
        file.peek()  # the header is in the buffer
        os.truncate(path, 4096)
        with pytest.raises(InputError, match="is cut off"):
            npy_files.mapped(file)
        file.seek(0)
    with path.open("rb") as file:
        file.peek()
        os.truncate(path, 0)
        with pytest.raises(InputError, match="cannot be mapped"):
            npy_files.mapped(file)


def test_a_disk_that_fails(tmp_path, monkeypatch):
    (tmp_path / "x.npy").write_bytes(npy())

    def fail(file):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(npy_files, "mapped", fail)
    refused(tmp_path / "x.npy", "cannot be read", "Input/output error")


def test_memory_that_runs_out(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    path.write_bytes(npz(("x.npy", npy())))

    def fail(stream, header):
        raise MemoryError

    monkeypatch.setattr(npy_files, "read", fail)
    refused(path, "does not fit in memory", "save it as an .npy")


# --- .npy that are not right --------------------------------------------------------------------


def test_every_truncation(tmp_path):
    content = npy()
    for length in range(1, len(content)):
        error = refused_bytes(tmp_path, content[:length], "is cut off")
        assert ("inside its header" in error.what) == (length < 128)
    refused_bytes(tmp_path, content[:-1], "96 bytes, followed by 95 bytes", "(2, 3, 4)", "float32")


@pytest.mark.parametrize("source", ["npy", "npz", "-"])
def test_a_header_promising_terabytes_allocates_nothing(tmp_path, source):
    content = with_header(TERABYTES, bytes(16))
    path = tmp_path / "x"
    path.write_bytes(content if source == "npy" else npz(("x.npy", content)))
    spec, stdin = (str(path), None) if source != "-" else ("-", io.BytesIO(content))
    with peak_below(1 << 20), pytest.raises(InputError) as caught:
        load("IMG", spec, stdin=stdin)
    assert caught.value.what.startswith(f"IMG: {spec} ")
    assert "10,000,000,000,000 bytes" in str(caught.value)
    assert "16 bytes" in str(caught.value) or source == "-"


def test_a_stream_that_ends_early_takes_no_more_memory_than_it_has():
    content = with_header(header_of("(1000000000,)", "'|u1'"), bytes(100))
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    with (
        os.fdopen(read, "rb") as stdin,
        peak_below(3 << 20),
        pytest.raises(InputError) as caught,
    ):
        load("IMG", "-", stdin=stdin)
    assert "1,000,000,000 bytes, followed by 100 bytes" in str(caught.value)


HUGE_HEX = "0x" + "f" * 8000  # an int that Python refuses to print

BAD_HEADERS = {
    "negative": header_of("(-3, 4)"),
    "bool": header_of("(True, 4)"),
    "float": header_of("(3.0, 4)"),
    "text": header_of("('3',)"),
    "none": header_of("None"),
    "list": header_of("[3, 4]"),
    "bare": header_of("3"),
    "nested": header_of("((3,), 4)"),
    "over int64": header_of("(9223372036854775808,)"),
    "huge int": header_of(f"({'9' * 4000},)"),
    "huger int": header_of(f"({'9' * 5000},)"),
    "huge hex": header_of(f"({HUGE_HEX},)"),
    "huge complex": header_of(f"({HUGE_HEX} + 1j,)"),
    "product": header_of("(4294967296, 4294967296, 4294967296)"),
    "product beside zero": header_of("(0, 4294967296, 4294967296)"),
    "rank": header_of("(" + "1, " * 33 + ")"),
    "rank 1000": header_of("(" + "1, " * 1000 + ")"),
    "fortran": header_of("(3,)", fortran="1"),
    "descr": header_of("(3,)", descr="4"),
    "descr none": header_of("(3,)", descr="None"),
    "parentheses": "(" * 9999,
    "brackets": "[" * 150 + "]" * 150,
    "minuses": "-" * 9998 + "1",
    "sums": "1+" * 4900 + "1",
    "attributes": "a" + ".a" * 4900,
    "nul": header_of("(3,\0)"),
    "latin": b"{'descr': '\xff\xfe'",
    "call": "__import__('os').abort()",
    "escape": "'\\d'",
    "missing key": "{'descr': '<f4', 'shape': (3,)}",
    "extra key": "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'x': 1}",
    "unhashable": "{[]: 1}",
    "number": "1",
    "empty": "",
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
@pytest.mark.parametrize("version", [1, 2, 3])
def test_hostile_headers(tmp_path, header, version):
    error = refused_bytes(tmp_path, with_header(header, bytes(64), version), "cannot be right")
    assert error.got
    assert max(len(line) for line in str(error).splitlines()[1:]) < 160


def test_a_header_that_is_no_utf_8(tmp_path):
    refused_bytes(tmp_path, with_header(b"'\xff'", version=3), "cannot be right", r"\xff")


def test_python_does_not_comment_on_headers(tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refused_bytes(tmp_path, with_header(r"'\d'"), "cannot be right")
    assert caught == []


def test_length_fields_that_lie(tmp_path):
    longer = b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + header_of("(3,)").encode()
    refused_bytes(tmp_path, longer, "cut off inside its header", "9,000 bytes")
    huge = b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1) + header_of("(3,)").encode()
    with peak_below(1 << 20):
        refused_bytes(tmp_path, huge, "4,294,967,295 bytes", "at most 10,000 bytes")


@pytest.mark.parametrize("version", [b"\0\0", b"\1\1", b"\4\0", b"\xff\xff"])
def test_unknown_versions(tmp_path, version):
    content = npy()[:6] + version + npy()[8:]
    refused_bytes(tmp_path, content, "unknown version", version.hex("."), "1.0, 2.0 or 3.0")


NOT_NUMBERS = [
    (np.array(["a", "bc"]), "holds strings", "dtype <U2"),
    (np.array([b"a", b"bc"]), "holds byte strings", "dtype |S2"),
    (np.array(["2020-01-01"], "M8[D]"), "holds dates", "dtype <M8[D]"),
    (np.array([1], "m8[s]"), "holds time differences", "dtype <m8[s]"),
    (np.zeros(2, [("r", "f4"), ("g", "f4")]), "holds a structured array", "x['FIELD']"),
    (np.zeros(2, "V8"), "holds raw bytes (void)", "dtype |V8"),
    (np.zeros(2, "V2"), "holds raw bytes (void)", "bfloat16", "astype('float32')"),
    (np.zeros(2, "V1"), "holds raw bytes (void)", "float8", "astype('float32')"),
]


@pytest.mark.parametrize("case", NOT_NUMBERS, ids=[case[0].dtype.str for case in NOT_NUMBERS])
def test_what_is_no_number(tmp_path, case):
    array, *facts = case
    refused_bytes(tmp_path, npy(array), *facts, "bool, integer, float or complex")


@pytest.mark.parametrize("descr", ["<V2", "|V2"])
def test_bfloat16_as_ml_dtypes_is_saved(tmp_path, descr):
    refused_bytes(tmp_path, with_header(header_of("(1,)", f"'{descr}'"), bytes(2)), "bfloat16")


@pytest.mark.parametrize("descr", ["f4,f4", "(2,)f4", "T", "float32", "<q4", "", "<", "i", "f4 "])
def test_dtypes_that_no_numpy_writes(tmp_path, descr):
    content = with_header(header_of("(1,)", repr(descr)), bytes(8))
    refused_bytes(tmp_path, content, "unknown kind of data", f"dtype {descr}")


def test_a_subarray_is_a_structured_dtype(tmp_path):
    refused_bytes(tmp_path, with_header(header_of("(1,)", "('<f4', (2,))")), "a structured array")


@pytest.mark.parametrize("descr", ["<f12", "<i3", "<i16", "<c99", "<f0"])
def test_dtypes_that_this_machine_lacks(tmp_path, descr):
    with suppress(TypeError):
        pytest.skip(f"{np.dtype(descr)} is known here")
    content = with_header(header_of("(1,)", repr(descr)), bytes(99))
    refused_bytes(tmp_path, content, "numpy lacks", descr, "float64")


class Trap:
    def __reduce__(self):
        return (os.mkdir, ("sprung",))


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    objects = npy(np.array([Trap()], dtype=object))
    refused_bytes(tmp_path, objects, "holds pickled Python objects", "dtype |O")
    refused_bytes(tmp_path, npz(("x.npy", objects)), "holds pickled Python objects")
    for protocol in range(2, 6):
        refused_bytes(tmp_path, pickle.dumps(Trap(), protocol), "is a Python pickle")
    assert not Path("sprung").exists()
    pickle.loads(pickle.dumps(Trap()))
    assert Path("sprung").exists()  # the trap works


FOREIGN = {
    "text": (b"1 2 3\n4 5 6\n", "is text", "numpy.loadtxt"),
    "utf-8 cut in a character": (b"a" + "é".encode() * 600, "is text", "loadtxt"),
    "gif": (b"GIF89a\1\0\1\0", "a GIF image", "PIL"),
    "hdf5": (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file", "h5py"),
    "matlab": (b"MATLAB 5.0 MAT-file, Platform", "a MATLAB file", "loadmat"),
    "gzip": (gzip.compress(npy()), "a gzip file", "gzip -dc"),
    "text with a brace": (b'1234567 {"w": 1}', "is text", "loadtxt"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "git lfs pull"),
    "html": (b"<!DOCTYPE html><title>404</title>", "an HTML page", "download"),
    "raw": (np.float32([1.5, -2e9]).tobytes(), "no format that convcheck knows", "numpy.fromfile"),
    "short": (b"\x00", "no format that convcheck knows", "numpy.fromfile"),
}


@pytest.mark.parametrize("case", FOREIGN.values(), ids=FOREIGN.keys())
def test_other_files_named_npy(tmp_path, case):
    content, *facts = case
    error = refused_bytes(tmp_path, content, *facts, "it begins with", "a .npy or .npz file")
    assert str(error).replace("\n", "").isprintable()


# --- .npz that are not right --------------------------------------------------------------------


def test_a_name_for_an_npy(tmp_path):
    (tmp_path / "x.npy").write_bytes(npy())
    refused(f"{tmp_path}/x.npy::w", "asks for 'w' in an .npy", f"out: {tmp_path}/x.npy")
    (tmp_path / "x.txt").write_text("hello")
    refused(f"{tmp_path}/x.txt::w", "is text")


def test_several_arrays_and_no_name_or_a_wrong_one(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, weight=ARRAY, bias=ARRAY)
    refused(path, "holds 2 arrays", "weight, bias", f"name one of them: {path}::weight")
    refused(f"{path}::wieght", "no array named wieght", "weight, bias", "did you mean ::weight?")
    refused(f"{path}::", "no array named", "weight, bias")
    np.savez(path, **{f"a{index}": ARRAY for index in range(30)})
    assert refused(path, "holds 30 arrays", "a0, a1,").got.endswith(", a9 and 20 more")
    np.savez(path, only=ARRAY)
    refused(f"{path}::other", "no array named other", "did you mean ::only?")


def test_duplicate_names(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(npz(("w.npy", npy()), ("w.npy", npy(ARRAY * 2)), ("b.npy", npy())))
    refused(f"{path}::w", "holds 2 arrays of one name")
    assert load("W", f"{path}::b").array.shape == ARRAY.shape
    path.write_bytes(npz(("w.npy", npy()), ("w.npy", npy(ARRAY * 2))))
    refused(path, "holds 2 arrays of one name")


def test_zip_archives_of_other_things(tmp_path):
    torch = npz(("model/data.pkl", b"\x80\x02"), ("model/data/0", b"1234"))
    refused_bytes(
        tmp_path,
        torch,
        "is a PyTorch file",
        "python -c \"import torch, numpy; numpy.save('x.npy', "
        "torch.load('x.pt', weights_only=True).numpy())\"",
    )
    refused_bytes(tmp_path, npz(("word/document.xml", b"<a/>")), "without arrays", "document.xml")
    refused_bytes(tmp_path, npz(), "without arrays", "no members")


def test_names_do_not_speak_to_the_terminal(tmp_path):
    error = refused_bytes(tmp_path, npz(("\x1b[2J.npy", npy()), ("b" * 999 + ".npy", npy())))
    assert "\\x1b[2J" in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 1000


def test_encrypted_members(tmp_path):
    content = patched(npz(("x.npy", npy())), (LOCAL, 6, b"\1\0"), (CENTRAL, 8, b"\1\0"))
    refused_bytes(tmp_path, content, "is encrypted")


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 99])
def test_compression_that_numpy_does_not_write(tmp_path, kind):
    if kind == 99:
        new = struct.pack("<H", kind)
        content = patched(npz(("x.npy", npy())), (LOCAL, 8, new), (CENTRAL, 10, new))
    else:
        content = npz(("x.npy", npy()), kind=kind)
    refused_bytes(tmp_path, content, "uses a compression", f"type {kind}")


def test_a_flipped_bit(tmp_path):
    stored = npz(("x.npy", npy()), kind=zipfile.ZIP_STORED)
    at = stored.index(ARRAY.tobytes())
    content = stored[:at] + b"\xff" + stored[at + 1 :]
    refused_bytes(tmp_path, content, "corrupt or cut-off zip archive", "Bad CRC-32")
    # The CRC is checked too when what it covers goes on after the array.
    stored = npz(("x.npy", npy() + bytes(3 << 20)), kind=zipfile.ZIP_STORED)
    refused_bytes(tmp_path, stored[:at] + b"\xff" + stored[at + 1 :], "Bad CRC-32")


def test_cut_off_archives(tmp_path):
    content = npz(("x.npy", npy()))
    for length in range(4, len(content)):
        refused_bytes(tmp_path, content[:length], "corrupt or cut-off zip archive")


def test_a_corrupt_stream(tmp_path):
    content = npz(("x.npy", npy()))
    broken = patched(content, (LOCAL, 30 + len("x.npy"), b"\xff\xff\xff\xff"))
    refused_bytes(tmp_path, broken, "corrupt or cut-off zip archive", "decompressing")


@pytest.mark.parametrize(
    "changes",
    [
        [(CENTRAL, 6, b"\x63\0")],
        [(CENTRAL, 8, b"\0\x08"), (CENTRAL, 46, b"\xff")],
        [(CENTRAL, 20, struct.pack("<II", 9999, 9999))],
        [(END, 16, struct.pack("<I", 9999))],
    ],
    ids=["a version to come", "a name that is no UTF-8", "sizes past the end", "offsets before 0"],
)
def test_directories_of_archives_that_lie(tmp_path, changes):
    content = patched(npz(("x.npy", npy()), kind=zipfile.ZIP_STORED), *changes)
    refused_bytes(tmp_path, content, "corrupt or cut-off zip archive")


def test_members_that_are_not_npy(tmp_path):
    refused_bytes(tmp_path, npz(("x.npy", b"")), "is empty")
    refused_bytes(tmp_path, npz(("x.npy", b"hello")), "is text")
    refused_bytes(tmp_path, npz(("x.npy", npz())), "is a zip archive")
    refused_bytes(tmp_path, npz(("x.npy", npy()[:50])), "cut off inside its header")
    refused_bytes(tmp_path, npz(("x.npy", npy()[:-1])), "96 bytes, followed by 95 bytes")


def test_members_larger_than_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy())
        archive.filelist[0].file_size = 5 << 30
    refused(path, "too large", "a member of 5,368,709,120 bytes", "at most 4,294,967,296 bytes")
    path.write_bytes(npz(("x.npy", npy())))
    monkeypatch.setattr(npy_files, "LIMIT", len(npy()))
    assert load("W", str(path)).array.shape == ARRAY.shape
    monkeypatch.setattr(npy_files, "LIMIT", len(npy()) - 1)
    refused(path, "too large", "save it as an .npy file")


def test_a_member_that_unpacks_to_less_than_it_says(tmp_path):
    """Its size and its header agree on a gigabyte: neither is believed."""
    promise = with_header(header_of("(1000000000,)", "'|u1'"), bytes(1000))
    size = struct.pack("<I", 1_000_000_000 + len(promise) - 1000)
    content = patched(npz(("x.npy", promise)), (LOCAL, 22, size), (CENTRAL, 24, size))
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with peak_below(8 << 20):
        refused(path, "is cut off", "followed by 1,000 bytes")


def test_a_member_that_unpacks_to_more_than_it_says(tmp_path):
    bomb = npz(("x.npy", npy() + bytes(64 << 20)))
    size = struct.pack("<I", len(npy()))
    path = tmp_path / "x.npz"
    path.write_bytes(patched(bomb, (LOCAL, 22, size), (CENTRAL, 24, size)))
    with peak_below(8 << 20):
        refused(path, "corrupt or cut-off zip archive")


# --- standard input -----------------------------------------------------------------------------


def refused_stdin(stdin, *facts: str) -> None:
    refused("-", "- (standard input)", *facts, operand="IMG", stdin=stdin)


def test_standard_input_that_is_no_npy():
    refused_stdin(io.BytesIO(), "is empty", "only one operand can be -")
    refused_stdin(io.BytesIO(b"hello, world"), "is text")
    refused_stdin(io.BytesIO(npz(("x.npy", npy()))), "is a zip archive", "name an .npz as a file")
    refused_stdin(io.BytesIO(npy()[:-1]), "is cut off", "96 bytes, followed by 95 bytes")
    refused_stdin(io.BytesIO(npy()[:60]), "cut off inside its header")


def test_an_endless_standard_input(monkeypatch):
    with Path("/dev/zero").open("rb") as zeros:
        refused_stdin(zeros, "no format that convcheck knows")
    monkeypatch.setattr(npy_files, "LIMIT", 95)
    refused_stdin(io.BytesIO(npy()), "too large", "at most 95 bytes")


def test_a_terminal_is_not_waited_for():
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb"), os.fdopen(follower, "rb") as terminal:
        refused_stdin(terminal, "is a terminal", "convcheck … - < x.npy")


def test_a_closed_standard_input(monkeypatch):
    closed = io.BytesIO()
    closed.close()
    refused_stdin(closed, "is closed")
    monkeypatch.setattr("sys.stdin", None)
    refused_stdin(None, "is closed")


def test_a_directory_as_standard_input(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)

    class Stdin(io.RawIOBase):
        def readinto(self, buffer):
            return os.readv(fd, [buffer])

    try:
        refused_stdin(Stdin(), "cannot be read", "directory")
    finally:
        os.close(fd)


# --- writing ------------------------------------------------------------------------------------


def left_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("array", [ARRAY, ARRAY.T, ARRAY[:, ::2], np.float64(3), np.zeros((0, 3))])
def test_what_is_saved_is_loaded(tmp_path, array):
    path = tmp_path / "x.npy"
    save(path, array)
    loaded = load("IMG", str(path))
    np.testing.assert_array_equal(loaded.array, array)
    np.testing.assert_array_equal(np.load(path), array)
    assert loaded.warnings == ()
    assert left_in(tmp_path) == ["x.npy"]


def test_the_name_is_taken_as_it_is(tmp_path):
    save(tmp_path / "array", ARRAY)
    save(f"{tmp_path}/text.npy", ARRAY)
    assert left_in(tmp_path) == ["array", "text.npy"]


def test_text_is_written_as_utf_8_without_new_line_ends(tmp_path):
    write_text(tmp_path / "report", "⋆ a\nb\r\n\udcff")
    assert (tmp_path / "report").read_bytes() == "⋆ a\nb\r\n\\udcff".encode()
    write_text(tmp_path / "report", "short")
    assert (tmp_path / "report").read_bytes() == b"short"
    assert left_in(tmp_path) == ["report"]


def test_the_mode_is_that_of_a_plain_open(tmp_path):
    before = os.umask(0o027)
    try:
        save(tmp_path / "new.npy", ARRAY)
        (tmp_path / "old").touch()
        (tmp_path / "old").chmod(0o604)
        write_text(tmp_path / "old", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.npy").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o604


def test_the_file_is_replaced_not_written_over(tmp_path):
    path = tmp_path / "x.npy"
    save(path, ARRAY)
    mapped = load("IMG", str(path)).array
    save(path, mapped * 2)  # as -o onto an operand would
    np.testing.assert_array_equal(mapped, ARRAY)
    np.testing.assert_array_equal(load("IMG", str(path)).array, ARRAY * 2)


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.npy"
    save(path, ARRAY)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(OutputError) as caught:
            save(path, np.ones(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(path) in caught.value.what
    assert caught.value.got == "File too large"
    assert caught.value.exit_code == 2
    assert path.read_bytes() == before
    assert left_in(tmp_path) == ["x.npy"]


@pytest.mark.parametrize("failure", [OSError(5, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
def test_a_failure_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch, failure, step):
    path = tmp_path / "report"
    write_text(path, "old")

    def fail(*arguments):
        assert len(left_in(tmp_path)) == 2  # the temporary file is there, beside the old one
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(step, fail)
        with pytest.raises(OutputError if isinstance(failure, OSError) else KeyboardInterrupt):
            write_text(path, "new")
    assert path.read_text() == "old"
    assert left_in(tmp_path) == ["report"]


def test_an_array_that_only_pickle_could_write(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*x\.npy"):
        save(tmp_path / "x.npy", np.array([None]))
    assert left_in(tmp_path) == []


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("old", "new"):
        (tmp_path / name).symlink_to(Path("there") / name)
    (tmp_path / "there" / "old").write_text("old")
    for name in ("old", "new"):
        check_writable(tmp_path / name)
        write_text(tmp_path / name, "text")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "there" / name).read_text() == "text"
    assert left_in(tmp_path / "there") == ["new", "old"]


def test_a_fifo_is_written_into(tmp_path):
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for target in (fifo, link):
            check_writable(target)
            save(target, ARRAY)
            write_text(target, "text")
            assert os.read(reader, 1 << 16) == npy() + b"text"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert left_in(tmp_path) == ["fifo", "link"]


def test_a_device_is_written_into(open_dir):
    link = open_dir / "link"
    link.symlink_to("/dev/null")
    # Never as root: code that fails here would replace the machine's own /dev/null.
    with as_nobody():
        assert not os.access("/dev", os.W_OK, effective_ids=True)
        for target in ("/dev/null", link):
            check_writable(target)
            save(target, ARRAY)
            write_text(target, "text")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    assert link.is_symlink()


def test_a_stream_is_added_to_even_where_it_is_a_file(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\n")
    with path.open("ab") as stream:
        inode = os.fstat(stream.fileno()).st_ino
        write_text(f"/dev/fd/{stream.fileno()}", "after\n")
    assert path.read_text() == "before\nafter\n"
    assert path.stat().st_ino == inode


def test_a_full_device():
    with as_nobody(), pytest.raises(OutputError, match="cannot write /dev/full") as caught:
        write_text("/dev/full", "text")
    assert caught.value.got == "No space left on device"


@pytest.fixture
def nowhere(open_dir):
    (open_dir / "file").write_text("kept")
    (open_dir / "file").chmod(0o444)
    (open_dir / "open").mkdir()
    (open_dir / "open").chmod(0o777)
    (open_dir / "open" / "file").write_text("kept")
    (open_dir / "open" / "file").chmod(0o444)
    (open_dir / "closed").mkdir(mode=0o755)
    (open_dir / "private").mkdir(mode=0o700)
    (open_dir / "loop").symlink_to("loop")
    return open_dir


@pytest.mark.parametrize("act", [check_writable, lambda path: write_text(path, "new")])
@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("", "it is a directory"),
        ("closed", "it is a directory"),
        ("missing/x", "missing does not exist"),
        ("file/x", "Not a directory"),
        ("open/file", "permission denied"),
        ("file", "permission denied"),
        ("closed/x", "no file can be made in"),
        ("private/x", "ermission denied"),
        ("loop", "symbolic links"),
        ("n" * 300, "File name too long"),
        ("a\0b", "embedded null"),
    ],
)
def test_what_cannot_be_written(nowhere, act, name, got):
    with as_nobody(), pytest.raises(OutputError) as caught:
        act(f"{nowhere}/{name}")
    assert f"cannot write {nowhere}/{name}".split("\0")[0] in caught.value.what
    assert got in caught.value.got
    assert caught.value.hint
    assert left_in(nowhere) == ["closed", "file", "loop", "open", "private"]
    assert left_in(nowhere / "open") == ["file"]
    assert (nowhere / "open" / "file").read_text() == "kept"


def test_checking_writes_nothing(tmp_path):
    check_writable(tmp_path / "x")
    check_writable("/dev/stdout")
    assert left_in(tmp_path) == []


# --- bytes of no kind ---------------------------------------------------------------------------

SAFE = b'{"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
SEEDS = [
    npy(),
    npy(np.array([[True, False]])),
    with_header(header_of("(3,)"), bytes(12), version=2),
    npz(("x.npy", npy())),
    npz(("x.npy", npy()), ("y.npy", npy()), kind=zipfile.ZIP_STORED),
    struct.pack("<Q", len(SAFE)) + SAFE + bytes(24),
]
DIFFERENT = st.tuples(st.integers(0, 400), st.integers(0, 2), st.binary(max_size=4))
LITERALS = st.text("()[]{}'\",:-+.0123456789xjLTrueFalse \\\n\0é", max_size=60)
fuzz = settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def survives(directory: Path, content: bytes) -> None:
    path = directory / "x"
    path.write_bytes(content)
    for spec, stdin in [(path, None), (f"{path}::x", None), ("-", io.BytesIO(content))]:
        try:
            tensor = load("IMG", str(spec), stdin=stdin)
        except ConvcheckError as error:
            assert str(error).startswith("IMG: ")  # noqa: PT017
        else:
            assert tensor.array.dtype.kind in "biufc"
            assert tensor.array.nbytes <= len(content)
            tensor.array.sum()  # every element can be reached


@fuzz
@given(st.sampled_from([b"", b"\x93NUMPY", b"\x93NUMPY\1\0", b"PK\3\4"]), st.binary(max_size=200))
def test_random_bytes(tmp_path, start, content):
    survives(tmp_path, start + content)


@fuzz
@given(st.sampled_from(SEEDS), st.lists(DIFFERENT, min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # sums of what happens to be infinite
def test_mutated_files(tmp_path, content, changes):
    for at, dropped, added in changes:
        start = at % (len(content) + 1)
        content = content[:start] + added + content[start + dropped :]
    survives(tmp_path, content)


@fuzz
@given(st.one_of(LITERALS, LITERALS.map(header_of), st.builds(header_of, LITERALS, LITERALS)))
@example(header_of("(1,)", "['\\d']"))
@example(header_of("(1,)", f"[{HUGE_HEX}]"))
@example(f"{{{HUGE_HEX}: 1}}")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_headers(tmp_path, header):
    survives(tmp_path, with_header(header.encode(), b"\1" * 64))


@pytest.mark.parametrize(
    ("offset", "value", "what"),
    [(8, b"\x00\x00", "compression"), (14, b"\1\2\3\4", "CRC"), (22, b"\x20\0\0\0", "size")],
)
def test_headers_of_a_member_that_contradict_each_other(
    offset: int, value: bytes, what: str, tmp_path: Path
) -> None:
    """Each of two readers may believe another of them."""
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        file = io.BytesIO()
        np.save(file, np.arange(6.0))
        archive.writestr("x.npy", file.getvalue())
    assert load("IMG", str(path)).array.sum() == 15
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(value)] = value
    path.write_bytes(raw)
    with pytest.raises(InputError, match="corrupt or cut-off zip archive") as caught:
        load("IMG", str(path))
    assert f"headers contradict each other: {what} " in str(caught.value.got)
