"""Options of no kind: whatever is given, an answer or exit 2, soon, and without a traceback."""

from __future__ import annotations

import io
import itertools
import time
import tracemalloc
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from convcheck import cli
from convcheck.campaign import parse_id
from convcheck.checks.verify import claim
from convcheck.convention import KEYS, parse_partial
from convcheck.errors import ConvcheckError
from convcheck.target import parse_call

pytestmark = pytest.mark.slow
FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
QUESTION = [str(FIXTURES / "question" / name) for name in ("image.npy", "filters.npy")]
ANSWERED = [str(FIXTURES / "identify" / name) for name in ("image.npy", "filters.npy", "out.npy")]
SECONDS = 2.0
BYTES = 64 << 20
fuzz = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
few = settings(fuzz, max_examples=60)


def survives(*arguments: str, within: float = SECONDS) -> None:
    """One command, in this process: an exit code that says something, in time and in memory."""
    out, err = io.StringIO(), io.StringIO()
    tracemalloc.start()
    started = time.process_time()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = cli.run(arguments)
        seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    said = err.getvalue()
    assert code in {0, 1, 2}, said
    assert "Traceback" not in said
    assert "internal error" not in said
    if code == 2:
        assert "convcheck: error: " in said
        assert out.getvalue() == ""
    assert seconds < within, arguments
    assert peak < BYTES, arguments


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command writes by itself lands here; numpy and scipy are loaded before the clock."""
    monkeypatch.chdir(tmp_path)
    if not WARM:
        cli.run(["compare", *QUESTION, "--explain", "--picture", "-q"])
        cli.run(["audit", *QUESTION, "-q"])
        cli.run(["identify", *ANSWERED, "-q"])
        WARM.append(True)


WARM: list[bool] = []
HUGE = "9" * 5000  # more digits than Python turns into an int
# Digits are few: a shape may be as large as it is asked for.
SYMBOLS = st.text("0123xX,.:/()[]{}-+ eE_∞٣½²\t\nnaifIWHk%", max_size=12)
TEXT = st.one_of(SYMBOLS, st.text(max_size=8), st.sampled_from(["", HUGE, f"-{HUGE}", "nan"]))


@fuzz
@given(TEXT)
@example(f"{HUGE},0,0")
@example("0,0,²")
@example("9999999999999999999,0,0")
def test_at(text: str) -> None:
    survives("compare", *QUESTION, "--at", text)


@fuzz
@given(st.sampled_from(["--memory", "--jobs", "--filter"]), TEXT)
@example("--memory", f"{HUGE}TiB")
@example("--memory", "0.0000001")
@example("--memory", "1e9")
@example("--filter", "9999999999999999999")
@example("--jobs", HUGE)
def test_numbers_of_compare(option: str, text: str) -> None:
    survives("compare", *QUESTION, option, text)


@fuzz
@given(
    st.sampled_from(["--expect", "--method", "--format", "--color", "--dask", "--no-such"]),
    TEXT.filter(lambda text: text != "local"),
)
def test_choices_of_compare(option: str, text: str) -> None:
    if option != "--dask":  # it would be reached for
        survives("compare", *QUESTION, option, text)


SIZES = st.lists(st.integers(0, 40).map(str), max_size=5).map("x".join)
NUMPY_NAMES = st.sampled_from(sorted({str(k) for k in np.sctypeDict})) | st.sampled_from(
    ["i4,i4", "(2,)f4", "O", "S", "M8[s]", "V8", "f4" * 99, "{'names': ['a']}", ">f8", "=u2", "f3"]
)


@fuzz
@given(TEXT | SIZES, TEXT | SIZES)
@example("3x5x5", f"3x2x{HUGE}")
@example("1x1x1", "1x1x1")
@example("3x5x5", "99999999x3x2x2")
def test_shapes_of_random(shape: str, filters: str) -> None:
    if shape != "3x5x5" or len(filters) < 99:
        survives("random", "--shape", shape, "--filters", filters, "--seed", "1")


@fuzz
@given(
    st.sampled_from(["--dtype", "--kernel", "--count", "--seed", "--values"]),
    TEXT | SIZES | NUMPY_NAMES,
)
@example("--seed", HUGE)
@example("--seed", "9" * 4000)
@example("--dtype", "clongdouble")
def test_options_of_random(option: str, text: str) -> None:
    survives("random", "--shape", "3x9x8", *([] if option == "--seed" else ["--seed", "1"]))
    survives("random", "--shape", "3x9x8", option, text)


# Whatever JSON can say, about keys that are there.
VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 9)
    | st.floats()
    | st.sampled_from(["CHW", "NHWC", "OIHW", "HWIM", "relu", "float32", "wrap:uint8", "I", ""])
    | st.sampled_from([10**400, -(10**400), 2**63, 1e308, 5e-324])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(sorted(KEYS)) | st.text(max_size=6), VALUES, max_size=4)


def as_json(value: Any) -> str:
    import json

    return json.dumps(value)


JSON = st.one_of(OBJECTS.map(as_json), VALUES.map(as_json), TEXT.map(lambda text: "{" + text))
DEEP = '{"bias":' * 3000


@fuzz
@given(JSON)
@example(DEEP)
@example("[" * 100_000)
@example('{"stride": ' + HUGE + "}")
@example('{"stride": 1e999}')
@example('{"padding": 1000000000}')
@example('{"padding": -1000000000}')
@example('{"input_dilation": 1000000}')
@example('{"dilation": 4611686018427387904}')
@example('{"groups": 1000000007}')
@example('{"scale": 1e308}')
@example('{"stride": 1, "stride": 2}')
def test_conventions(text: str) -> None:
    survives("audit", *QUESTION, "--as", text)


@few
@given(JSON)
@example(DEEP)
@example('{"stride": ' + HUGE + "}")
def test_claims(text: str) -> None:
    # The search itself takes a second, and several under tracemalloc.
    survives("identify", *ANSWERED, "--expect", text, within=10 * SECONDS)


@fuzz
@given(TEXT)
@example("-0.0")
@example("1e-400")
def test_scores(text: str) -> None:
    survives("audit", *QUESTION, "--min-score", text)


CASES = st.lists(
    st.sampled_from(["0", "1", ":", ",", "=", "stride", "batch", "dtype", "float16", "9", "x"]),
    max_size=9,
).map("".join)
CALLS = st.text("f(x,w)=*'\"\\{}[]:-+.0stridegoup lambda\n", max_size=30)


class Given:
    """What a call gives, of which anything may be taken."""

    def __call__(self, *_: Any, **__: Any) -> Given:
        return self

    def __getattr__(self, _: str) -> Given:
        return self

    def __getitem__(self, _: object) -> Given:
        return self


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([parse_id, parse_call, parse_partial, claim]), TEXT | CASES | CALLS | JSON)
@example(parse_call, "f(x, w, -'a')")
@example(parse_call, "f(x, w, '\\d')")
@example(parse_call, "f(x, w, " + "(" * 300 + ")" * 300 + ")")
@example(parse_call, "f(x, w, " + "-" * 9000 + "1)")
@example(parse_call, f"f(x, w, {HUGE})")
@example(parse_call, "f(x, w, stride // 0)")
@example(parse_call, "f(x, w, 1j // stride)")
@example(parse_call, "f(x, w, zeros((1j, K)))")
@example(parse_call, "f(w, zeros(K)).forward(x)[0].data")
@example(parse_id, "0:1:batch=99999,channels=99999")
def test_what_verify_reads(parse: Any, text: str) -> None:
    try:
        read = parse(text)
    except ConvcheckError as error:
        assert str(error)  # noqa: PT017
    else:
        if parse is parse_call:
            with suppress(ConvcheckError):  # a sum that has no value, an array that is too large
                read.run(Given(), {"N": 1, "C": 1, "K": 1})


@few
@given(
    st.sampled_from(
        ["--shard", "--pass", "--layout", "--arrays", "--timeout", "--cases", "--seed"]
    ),
    TEXT,
)
@example("--shard", f"1/{HUGE}")
@example("--timeout", "inf")
@example("--timeout", "-nan")
@example("--seed", HUGE)
def test_options_of_verify(option: str, text: str) -> None:
    # The parsers come first; whatever they let through ends at a target that is none.
    survives("verify", "none", option, text)


@pytest.mark.parametrize("command", sorted(cli.cli.commands))
def test_options_that_want_a_value_and_get_none(command: str) -> None:
    flags = {p.opts[0] for p in cli.cli.commands[command].params if getattr(p, "is_flag", False)}
    options = [p.opts[-1] for p in cli.cli.commands[command].params if p.opts[0].startswith("-")]
    for option, other in itertools.product(options, ["", "\0", "--", "-"]):
        if option not in {*flags, "--json", "-o", "--output", "--save", "--fix", "--dask"}:
            survives(command, option)
            survives(command, option, other)
