"""Images, safetensors and ONNX models become arrays, or say why not; inspect lists them."""

from __future__ import annotations

import builtins
import io
import json
import re
import struct
import time
import tracemalloc
import zipfile
import zlib
from importlib import resources
from typing import IO, TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

from convcheck import cli
from convcheck.checks.inspect import guess, look
from convcheck.errors import InputError, MissingExtraError
from convcheck.tensors import Tensor, load, load_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/inspect.json").read_text())
RGB = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


def refused(path: object, *words: str) -> InputError:
    with pytest.raises(InputError) as caught:
        load("IMG", str(path))
    for word in (f"IMG: {path}", *words):
        assert word in str(caught.value)
    return caught.value


# --- images -------------------------------------------------------------------------------------


def saved(tmp_path: Path, name: str, array: Any, **how: Any) -> Tensor:
    image = pytest.importorskip("PIL.Image")
    made = array if isinstance(array, image.Image) else image.fromarray(array)
    made.save(tmp_path / name, **how)
    return load("IMG", str(tmp_path / name))


@pytest.mark.parametrize("name", ["x.png", "x.tif", "named.npy"])
def test_a_colour_image_becomes_chw_and_says_so(name: str, tmp_path: Path) -> None:
    form = {"x.tif": "TIFF"}.get(name, "PNG")
    tensor = saved(tmp_path, name, RGB, format=form)
    assert np.array_equal(tensor.array, RGB.transpose(2, 0, 1))
    assert tensor.array.dtype == np.uint8
    assert not tensor.array.flags.writeable
    (warning,) = tensor.warnings
    assert warning.startswith(f"IMG: {tmp_path / name}: {form} image: stored as 4x5x3 (H, W, RGB)")
    assert warning.endswith("read as 3x4x5 (C, H, W)")


def test_jpeg(tmp_path: Path) -> None:
    tensor = saved(tmp_path, "x.jpg", RGB)
    assert (tensor.array.shape, str(tensor.array.dtype)) == ((3, 4, 5), "uint8")


def test_one_channel_is_hw_without_a_word(tmp_path: Path) -> None:
    tensor = saved(tmp_path, "x.png", RGB[:, :, 0])
    assert np.array_equal(tensor.array, RGB[:, :, 0])
    assert tensor.warnings == ()


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_16_bits_are_kept(name: str, tmp_path: Path) -> None:
    deep = (np.arange(20, dtype=np.uint16) * 3001).reshape(4, 5)
    assert np.array_equal(saved(tmp_path, name, deep).array, deep)


def test_16_bits_a_colour_are_refused_rather_than_cut(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    rows = b"".join(b"\0" + bytes(2 * 3 * 6) for _ in range(2))
    (tmp_path / "x.png").write_bytes(
        png(6, 2, chunk(b"IDAT", zlib.compress(rows)), depth=16, colour=2)
    )
    refused(tmp_path / "x.png", "16 bits a channel", "would cut to 8", "cv2")


def test_palette_and_alpha_are_explained(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    palette = image.fromarray(RGB).convert("P")
    tensor = saved(tmp_path, "p.png", palette)
    assert tensor.array.shape == (3, 4, 5)
    assert "its palette was looked up: RGB" in tensor.warnings[1]
    alpha = image.fromarray(RGB).convert("RGBA")
    tensor = saved(tmp_path, "a.png", alpha)
    assert tensor.array.shape == (4, 4, 5)
    assert "channel 3 is alpha" in tensor.warnings[1]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *parts: bytes, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG that claims these sizes."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"".join([b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *parts, chunk(b"IEND", b"")])


def tiff(width: int, height: int, samples: int = 1, strip: int = 8) -> bytes:
    """A TIFF whose few bytes are said to be an image of these sizes."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: strip, 277: samples, 278: height}
    tags[279] = width * height % (1 << 32)
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items())
    )
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)


BOMBS = {
    "a PNG of 60000 by 60000": (
        png(60_000, 60_000, chunk(b"IDAT", zlib.compress(b""))),
        "too large",
    ),
    "a PNG of 15000 by 15000": (
        png(15_000, 15_000, chunk(b"IDAT", zlib.compress(b""))),
        "too large",
    ),
    "a TIFF of 60000 by 60000": (tiff(60_000, 60_000), "too large"),
    "a TIFF with a strip outside": (tiff(600, 600, strip=1 << 31), "cannot be read"),
    "a PNG with a text of 80 MB": (
        png(1, 1, chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(80 << 20)))),
        "cannot be read",
    ),
    "a PNG without pixels": (png(0, 5, chunk(b"IDAT", zlib.compress(b""))), "cannot be read"),
    "a PNG without data": (png(5, 5), "cannot be read"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_hostile_image_is_an_error_and_no_more(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("PIL")
    content, words = BOMBS[name]
    path = tmp_path / "bomb.png"
    path.write_bytes(content)
    tracemalloc.start()
    assert cli.run(["compare", str(path), str(path)]) == 2
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"convcheck: error: IMG: {path} is a")
    assert words in captured.err
    assert held < 100 << 20


def test_every_kind_of_pixel(tmp_path: Path) -> None:
    """What Pillow calls a mode, and what becomes of it."""
    image = pytest.importorskip("PIL.Image")
    colour = image.fromarray(RGB)
    grey = image.fromarray(RGB[:, :, 0])
    kinds = {
        "bilevel": (grey.convert("1"), "png", (4, 5), "bool", ""),
        "grey with alpha": (grey.convert("LA"), "png", (2, 4, 5), "uint8", "channel 1 is alpha"),
        "integers": (grey.convert("I"), "tif", (4, 5), "int32", ""),
        "floats": (grey.convert("F"), "tif", (4, 5), "float32", ""),
        "inks": (colour.convert("CMYK"), "jpg", (4, 4, 5), "uint8", "(H, W, CMYK)"),
    }
    for name, (made, ending, shape, dtype, words) in kinds.items():
        tensor = saved(tmp_path, f"x.{ending}", made)
        assert (tensor.array.shape, str(tensor.array.dtype)) == (shape, dtype), name
        assert words in " ".join(tensor.warnings), name
        assert bool(tensor.warnings) == bool(words), name


def test_a_palette_with_holes_becomes_rgba(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    palette = image.fromarray(RGB).quantize(8)
    tensor = saved(tmp_path, "p.png", palette, transparency=0)
    assert tensor.array.shape == (4, 4, 5)
    assert set(np.unique(tensor.array[3])) == {0, 255}
    assert "its palette was looked up: RGBA" in tensor.warnings[1]
    assert "channel 3 is alpha" in tensor.warnings[2]


def test_16_bits_in_the_other_byte_order(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    deep = (np.arange(20, dtype=np.uint16) * 3001).reshape(4, 5)
    tags = {256: 5, 257: 4, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: 40}
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, v) for tag, v in sorted(tags.items()))
    head = struct.pack(">2sHI", b"MM", 42, 48) + deep.astype(">u2").tobytes()
    (tmp_path / "x.tif").write_bytes(head + struct.pack(">H", len(tags)) + entries + bytes(4))
    tensor = load("IMG", str(tmp_path / "x.tif"))
    assert np.array_equal(tensor.array, deep)


def test_an_image_is_compared_like_any_array(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path, "photo.png", RGB)
    np.save(tmp_path / "w.npy", np.arange(12).reshape(3, 2, 2))
    assert cli.run(["compare", str(tmp_path / "photo.png"), str(tmp_path / "w.npy")]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("IMG    3x4x5 uint8 ")
    assert "stored as 4x5x3 (H, W, RGB), read as 3x4x5 (C, H, W)" in captured.err


def test_several_pictures_and_a_turned_one(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    first = image.fromarray(RGB)
    pages = saved(tmp_path, "x.tif", first, save_all=True, append_images=[first])
    assert "the first of its 2 pictures" in pages.warnings[1]
    exif = image.Exif()
    exif[274] = 6
    turned = saved(tmp_path, "x.jpg", first, exif=exif)
    assert turned.array.shape == (3, 4, 5)
    assert "EXIF orientation, 6, is not applied" in turned.warnings[1]


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\xff\xd8\xff\xe0\0\x10JFIF",
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08",
    ],
)
def test_broken_images(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    path = tmp_path / "x.png"
    for length in (len(content), 4):
        path.write_bytes(content[:length])
        refused(path, "image that cannot be read")


def test_every_way_to_cut_an_image_off(tmp_path: Path) -> None:
    saved(tmp_path, "x.png", RGB)
    whole = (tmp_path / "x.png").read_bytes()
    for length in range(4, len(whole) - 20, 3):
        (tmp_path / "y.png").write_bytes(whole[:length])
        refused(tmp_path / "y.png", "cannot be read")


def test_an_image_has_no_names(tmp_path: Path) -> None:
    saved(tmp_path, "x.png", RGB)
    refused(f"{tmp_path}/x.png::red", "no names")


def test_from_a_pipe_an_image_is_refused() -> None:
    with pytest.raises(InputError, match="is a PNG image, not an array"):
        load("IMG", "-", stdin=io.BytesIO(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"))


# --- what is missing ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "package", "extra"),
    [("x.png", b"\x89PNG\r\n\x1a\n", "PIL", "images"), ("x.onnx", b"\x08\x08", "onnx", "onnx")],
)
def test_a_missing_extra_says_how_to_get_it(
    name: str,
    content: bytes,
    package: str,
    extra: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(wanted: str, *rest: Any) -> Any:
        if wanted.partition(".")[0] == package:
            raise ImportError(wanted)
        return real(wanted, *rest)

    (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=f"IMG: .*{name} is a"):
        load("IMG", str(tmp_path / name))
    assert cli.run(["inspect", str(tmp_path / name)]) == 2
    assert f"pip install 'convcheck[{extra}]'" in capsys.readouterr().err


# --- safetensors --------------------------------------------------------------------------------


def tensors(**arrays: tuple[str, list[int], bytes]) -> bytes:
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, shape, content) in arrays.items():
        span = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": span}  # type: ignore[dict-item]
        data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


ONE = np.arange(6, dtype=np.float32)


def test_safetensors_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    half = (ONE.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    path.write_bytes(tensors(w=("F32", [2, 3], ONE.tobytes()), b=("BF16", [6], half)))
    assert np.array_equal(load("W", f"{path}::w").array, ONE.reshape(2, 3))
    assert load("W", f"{path}::w").warnings == ()
    rounded = load("W", f"{path}::b")
    assert np.array_equal(rounded.array, ONE)
    assert rounded.array.dtype == np.float32
    assert "bfloat16 read as float32" in rounded.warnings[0]
    refused(path, "holds 2 arrays: which one?", "w, b", f"name one of them: {path}::w")
    refused(f"{path}::c", "holds no array named c", "w, b")


def test_safetensors_of_the_library_itself(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    arrays = {
        name: np.arange(6).astype(name).reshape(1, 2, 3)
        for name in ("float64", "float32", "float16", "int64", "int8", "uint8", "uint16", "bool")
    }
    library.save_file(arrays, tmp_path / "x.safetensors")
    for name, array in arrays.items():
        read = load("W", f"{tmp_path}/x.safetensors::{name}").array
        assert read.dtype == array.dtype
        assert np.array_equal(read, array)


@pytest.mark.parametrize(
    ("dtype", "shape", "content", "words"),
    [
        ("F32", [2, 3], b"1234", "cannot be right"),
        ("F32", [1 << 61, 8], ONE.tobytes(), "cannot be right"),
        ("F32", [-6], ONE.tobytes(), "cannot be right"),
        ("F32", [True, 6], ONE.tobytes(), "cannot be right"),
        ("F32", "no", ONE.tobytes(), "cannot be right"),
        ("F8_E4M3", [24], ONE.tobytes(), "a type that numpy lacks"),
        (["F32"], [6], ONE.tobytes(), "a type that numpy lacks"),
    ],
)
def test_safetensors_that_lie(
    dtype: Any, shape: Any, content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(tensors(w=(dtype, shape, content)))
    refused(path, words)


@pytest.mark.parametrize("header", [b"{", b"{}x", b'{"w": 1}', b'{"w": {}}', b'{"w":' * 5000])
def test_safetensors_with_a_broken_header(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    refused(path)


def test_every_way_to_cut_safetensors_off(tmp_path: Path) -> None:
    whole = tensors(w=("F32", [2, 3], ONE.tobytes()))
    path = tmp_path / "x.safetensors"
    for length in range(9, len(whole)):
        path.write_bytes(whole[:length])
        refused(path, "cannot be right")
    path.write_bytes(whole)
    assert load("W", str(path)).array.shape == (2, 3)


@pytest.mark.parametrize("length", [50, 99 << 20, 101 << 20, (1 << 63) - 1])
def test_a_header_that_is_longer_than_its_file(length: int, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b'{"w": 1}')
    tracemalloc.start()
    refused(path)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 10 << 20, "what is not there takes no memory"


def test_a_long_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    many = {f"layer{i}.weight": ("F32", [1], b"1234") for i in range(20_000)}
    path.write_bytes(tensors(**many))
    assert load("W", f"{path}::layer19999.weight").array.shape == (1,)


# --- ONNX ---------------------------------------------------------------------------------------


def model(path: Path, external: bool = False) -> None:
    onnx = pytest.importorskip("onnx")
    arrays = {"w": ONE.reshape(1, 2, 3), "b": np.float64([1, 2])}
    initializers = [onnx.numpy_helper.from_array(a, n) for n, a in arrays.items()]
    initializers.append(onnx.helper.make_tensor("h", onnx.TensorProto.BFLOAT16, [2], [1.0, 2.5]))
    graph = onnx.helper.make_graph([], "g", [], [], initializers)
    if external:
        onnx.save_model(
            onnx.helper.make_model(graph),
            path,
            save_as_external_data=True,
            location="data.bin",
            size_threshold=0,
        )
    else:
        onnx.save_model(onnx.helper.make_model(graph), path)


def test_onnx_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    model(path)
    assert np.array_equal(load("W", f"{path}::w").array, ONE.reshape(1, 2, 3))
    half = load("W", f"{path}::h")
    assert (half.array.tolist(), str(half.array.dtype)) == ([1.0, 2.5], "float32")
    assert "bfloat16 read as float32" in half.warnings[0]
    refused(path, "holds 3 arrays", "w, b, h")
    refused(f"{path}::x", "no array named x")
    path.write_bytes(b"\x08\xff\xff\xff")
    refused(path, "cannot be read")


def test_data_in_another_file_is_not_followed(tmp_path: Path) -> None:
    model(tmp_path / "x.onnx", external=True)
    refused(f"{tmp_path}/x.onnx::w", "in another file, which is not followed")


# --- inspect ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "guesses"),
    [
        ((32, 40), ("image HW",)),
        ((3, 3), ("filter HW",)),
        ((3, 32, 40), ("image CHW",)),
        ((32, 40, 3), ("image HWC", "filters OIW")),
        ((64, 32, 5), ("image CHW", "image HWC", "filters OIW")),
        ((64, 3, 3), ("filter IHW",)),
        ((8, 3, 5, 5), ("filters OIHW", "images NCHW")),
        ((3, 3, 64, 128), ("images NCHW", "filters HWIO")),
        ((3, 3, 16, 32), ("images NCHW", "filters HWIO")),
        ((1, 224, 224, 3), ("images NHWC",)),
        ((64, 32, 1, 1), ("filters OIHW",)),
        ((7,), ("bias", "filter W")),
        ((64,), ("bias", "image W")),
        ((3, 400), ("image CW", "image HW")),
        ((400, 2), ("image WC", "image HW")),
        ((1, 64, 60, 50), ("images NCHW", "images NHWC", "image CDHW")),
        ((8, 3, 3, 5, 5), ("filters OIDHW",)),
        ((3, 3, 3, 16, 32), ("filters DHWIO",)),
        ((2, 9, 32, 40, 3), ("images NDHWC",)),
        ((2, 8, 16, 32, 32), ("images NCDHW", "images NDHWC")),
        ((1, 2, 3, 4, 5, 6), ()),
    ],
)
def test_what_a_shape_looks_like(shape: tuple[int, ...], guesses: tuple[str, ...]) -> None:
    assert guess(shape) == guesses


def test_the_range_is_of_the_finite_elements() -> None:
    entry = look("x", np.array([[1.0, np.nan], [-3.0, np.inf]]))
    assert (entry.smallest, entry.largest, entry.nonfinite) == (-3.0, 1.0, 2)
    nothing = look("x", np.full((2, 2), np.nan))
    assert (nothing.smallest, nothing.largest, nothing.nonfinite) == (None, None, 4)
    assert look("x", np.ones((2, 2), complex)).smallest is None


def test_inspect_lists_every_array(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", image=np.arange(60.0).reshape(3, 4, 5), words=np.array(["x"]))
    assert cli.run(["inspect", "a.npz"]) == 0
    out = capsys.readouterr().out
    lines = out.split("\n")
    assert lines[0] == "readable: 2 arrays in a.npz"
    headers = ("array", "shape", "dtype", "smallest to largest", "looks like")
    assert tuple(re.split(" {2,}", lines[2].strip())) == headers
    assert set(lines[3]) == {" ", "─"}
    assert lines[4] == (
        " a.npz::image   3x4x5   float64   0 to 59               image CHW or filter IHW"
    )
    assert lines[6].startswith("a.npz::words holds strings, not numbers")
    for form in ("json", "markdown", "junit", "html", "svg"):
        assert cli.run(["inspect", "a.npz", "--format", form]) == 0
        out = capsys.readouterr().out
        if form == "json":
            document = json.loads(out)
            jsonschema.Draft202012Validator(SCHEMA).validate(document)
            assert [a["spec"] for a in document["arrays"]] == ["a.npz::image", "a.npz::words"]
            assert "strings, not numbers" in document["arrays"][1]["trouble"]
    np.savez("b.npz", a=np.array(["x"]), b=np.array(["y"]))
    assert cli.run(["inspect", "b.npz"]) == 2
    assert capsys.readouterr().out.startswith("unreadable: 2 arrays in b.npz\n")


def test_inspect_of_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["inspect", "nowhere.npz"]) == 2
    assert "nowhere.npz does not exist" in capsys.readouterr().err


def test_inspect_goes_on_after_an_array_that_is_spoiled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.npz"
    np.savez(path, first=ONE, second=2 * ONE)
    content = bytearray(path.read_bytes())
    content[content.index(ONE.tobytes()) + 3] ^= 1
    path.write_bytes(content)
    assert cli.run(["inspect", "a.npz"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"a\.npz::second +6 +float32", out)
    assert re.search(r"a\.npz::first is a corrupt or cut-off zip archive", out)


def test_inspect_of_one_array(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name, and from standard input."""
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", first=ONE, second=np.ones((3, 4)))
    assert cli.run(["inspect", "a.npz::second"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"a\.npz::second +3x4 +float64", out)
    assert "first" not in out
    assert cli.run(["inspect", "a.npz::third"]) == 2
    assert "holds no array named third" in capsys.readouterr().err
    piped = io.BytesIO()
    np.save(piped, np.ones((2, 5)))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(piped.getvalue())))
    assert cli.run(["inspect", "-"]) == 0
    assert re.search(r" - +2x5 +float64", capsys.readouterr().out)


def test_the_list_of_a_files_arrays_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.npz"
    np.savez(path, **{f"a{i}": ONE for i in range(20)})
    opened = []

    class Counted(zipfile.ZipFile):
        def __init__(self, file: IO[bytes]) -> None:
            opened.append(file)
            super().__init__(file)

    monkeypatch.setattr(zipfile, "ZipFile", Counted)
    found = list(load_all("FILE", str(path)))
    assert [spec for spec, _ in found] == [f"{path}::a{i}" for i in range(20)]
    assert all(isinstance(one, Tensor) and np.array_equal(one.array, ONE) for _, one in found)
    assert len(opened) == 1
    (tmp_path / "x.safetensors").write_bytes(tensors(a=("F32", [2, 3], ONE.tobytes())))
    assert [spec for spec, _ in load_all("FILE", f"{tmp_path}/x.safetensors")] == [
        f"{tmp_path}/x.safetensors::a"
    ]


def test_a_file_of_which_nothing_can_be_read_says_so_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As every command does where the exit code is 2; the report is there too."""
    np.savez(tmp_path / "b.npz", a=np.array(["x"]), b=np.array(["y"]))
    assert cli.run(["inspect", str(tmp_path / "b.npz"), "--json"]) == 2
    out, err = capsys.readouterr()
    assert all("trouble" in entry for entry in json.loads(out)["arrays"])
    assert err.startswith("convcheck: error: FILE: ")
    assert "b.npz: none of its 2 arrays can be read\n  found:    " in err


def test_very_many_arrays_take_little_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 20_000
    entries = {
        f"layer.{n}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]}
        for n in range(count)
    }
    header = json.dumps(entries).encode()
    path = tmp_path / "many.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * count))
    begun = time.process_time()
    assert cli.run(["inspect", str(path)]) == 0
    assert time.process_time() - begun < 4
    said = capsys.readouterr().out
    assert said.startswith(f"readable: {count} arrays in ")
    assert said.endswith(f"and {count - 500} more: --json lists them all\n")
