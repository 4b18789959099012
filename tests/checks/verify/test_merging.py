"""The reports of shards, merged: the report of a run without shards."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest
from few import slow
from zoo import conv

from convcheck.campaign import Case, cases, further
from convcheck.checks.verify import VerifyResult, claim, put_to_test
from convcheck.checks.verify.domain import Limit
from convcheck.checks.verify.learning import Probe
from convcheck.checks.verify.merging import Merged, Shard, complete, shard
from convcheck.checks.verify.model import Model
from convcheck.checks.verify.record import Entry, Record
from convcheck.checks.verify.stored import entries_of, learnt_of, to_json
from convcheck.convention import Convention
from convcheck.errors import InputError
from convcheck.render.json_report import to_dict
from convcheck.render.report import NOTHING, Campaign, Report
from convcheck.serving import Inline
from convcheck.target import adapted, parameters_of

SCHEMA = json.loads(resources.files("convcheck").joinpath("schemas/verify.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def even(x, w):
    return conv(x, w[:, :, ::-1, ::-1] if w.shape[2] % 2 == 0 else w)


def twice(x, w):
    return conv(x, w[:, :, ::-1, ::-1] if w.shape[2] == 2 else w) * (2 if len(x) == 3 else 1)


def refuses(x, w):
    if (x.shape[1] + len(w) + x.shape[2]) % 3 == 0:
        raise NotImplementedError("not this one")
    return conv(x, w)


def refuses_most(x, w):
    if (x.shape[1] + len(w) + x.shape[2]) % 5:
        raise NotImplementedError("not this one")
    return conv(x, w)


def crashes(x, w):
    if len(w) == 3:
        raise ValueError("a fault")
    return conv(x, w)


def narrow(x, w):
    made = conv(x, w)
    return made.astype(x.dtype) if x.dtype.kind in "iu" else made


def runner_of(function: Any) -> Inline:
    return Inline(adapted(function, "f"), parameters_of(function))


def report(
    function: Any,
    count: int,
    part: int = 0,
    of: int = 1,
    expect: str | None = None,
    budget: float = 0.5,
    **more: Any,
) -> dict[str, Any]:
    """The JSON of a shard; of no part, that of the whole."""
    wanted = None if expect is None else claim(expect)
    result = put_to_test(
        runner_of(function),
        cases(0, count, shard=(part or 1, of)),
        target="f",
        layout="NCHW",
        expect=wanted,
        patience=0.0,
        budget=budget,
        record=bool(part),
        more=further(0, count),
        **more,
    )
    total = len(range((part or 1) - 1, count, of))
    campaign = Campaign(total, (part or 1, of), wanted, None, "", count, "fail_fast" in more)
    return document(result, campaign)


def document(result: VerifyResult, campaign: Campaign) -> dict[str, Any]:
    made = Report("verify", NOTHING, NOTHING, result, result.exit_code, seed=0)
    found = to_dict(replace(made, replay="convcheck verify f", campaign=campaign))
    VALIDATOR.validate(found)
    return json.loads(json.dumps(found)) | {"elapsed_s": 0}


@pytest.mark.parametrize(
    ("function", "count", "of", "more"),
    [
        (conv, 30, 3, {}),
        (conv, 5, 7, {}),
        (even, 30, 4, {}),
        (even, 30, 3, {"fail_fast": True}),
        slow(twice, 90, 2, {}),
        (refuses, 40, 3, {}),
        (refuses, 40, 1, {}),
        (refuses_most, 40, 3, {}),
        (crashes, 40, 3, {"expect": "correlation,valid"}),
        (narrow, 60, 3, {}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_whole_is_what_a_run_without_shards_says(
    function: Any, count: int, of: int, more: dict[str, Any]
) -> None:
    whole = report(function, count, **more)
    assert "merge" not in whole
    parts = [report(function, count, part, of, **more) for part in range(1, of + 1)]
    shards = complete([shard(f"{n}.json", parts[n]) for n in reversed(range(of))])
    merged = Merged(shards)
    result = merged.result(runner_of(function), patience=0.0)
    wanted = None if "expect" not in more else claim(more["expect"])
    assert document(result, Campaign(count, expect=wanted)) == whole
    alone = Merged(shards).result(None)
    assert (alone.verdict, alone.ran, alone.when) == (result.verdict, result.ran, result.when)
    assert alone.smallest is None


def test_what_nothing_explains_is_merged_without_its_cases() -> None:
    def noise(x, w):
        drawn = np.random.default_rng(int(abs(x).sum()) % 99)
        return drawn.standard_normal((len(x), len(w), x.shape[2], x.shape[3]))

    whole = report(noise, 6, budget=0.05)
    parts = [shard("x", report(noise, 6, part, 2, budget=0.05)) for part in (1, 2)]
    assert whole["verdict"] == "unexplained"
    assert whole["nearest"]
    assert document(Merged(parts).result(None), Campaign(6)) == whole


BASE = Convention("NCHW", "OIHW", "NCHW")
MODELS = [
    Model("NCHW", BASE),
    Model("NCHW", BASE.replace(scale=(1.5, 2.0), bias=0.1, activation={"clip": [0, 6]})),
    Model("NCHW", BASE, expect=claim("flipped")),
    Model("NCHW", BASE, expect=claim("correlation,same-lower"), precision="bfloat16"),
    Model("NCHW", BASE, expect=claim('{"stride": 2, "storage": {"dtype": "int8"}}')),
    Model(
        "NCDHW",
        Convention("NCDHW", "OIDHW", "NCDHW", padding=((1, 2), (0, 0), (3, 3))),
        "full",
        transposed=True,
        parameters=("stride", "groups"),
        dtypes=("float32", "int8"),
        domain=(
            Limit("3x3 kernels", equal=(("kernel_height", 3), ("order", "C"))),
            Limit("square images", square=("height", "width")),
            Limit("even", multiple=(("height", "width"), 2)),
        ),
    ),
]


@pytest.mark.parametrize("model", MODELS, ids=range(len(MODELS)))
def test_what_was_learnt_is_the_same_after_json(model: Model) -> None:
    learnt = Probe(model, ("a note",), assumed=True)
    stored = json.loads(json.dumps(to_json(Record(learnt))))
    assert learnt_of(stored) == (learnt, None)
    definition = {"$ref": "#/$defs/model", "$defs": SCHEMA["$defs"]}
    jsonschema.Draft202012Validator(definition).validate(stored["model"])


ENTRIES = [
    Entry(3, "crash", "why", died=True),
    Entry(4, restart=1.5),
    Entry(5, skipped="not supported"),
    Entry(6, note="wraps", overflow=("wrap", "int8")),
    Entry(11, "wrong values", "", instead=5),
]


def test_entries_are_the_same_after_json() -> None:
    stored = json.loads(json.dumps(to_json(Record(entries=list(ENTRIES)))))
    assert stored["entries"][1] == {"number": 4, "restart": 1.5}
    assert entries_of(stored) == ENTRIES


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_case_is_counted_as_it_went(entry: Entry) -> None:
    seen = entry.seen(Case(0, entry.number))
    record = Record()
    record.add(seen, entry.instead)
    assert record.entries == [replace(entry, restart=0.0)] if entry.number != 4 else True


def whole() -> Shard:
    return shard("1.json", report(conv, 4, 1, 2))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"command": "audit"}, "no report that can be merged"),
        ({"schema_version": 1}, "no report that can be merged"),
        ({"merge": None}, "cannot be read as the report of a shard"),
        ({"merge": {}}, "cannot be read as the report of a shard"),
        ({"shard": {"part": 3, "of": 2}}, "cannot be read as the report of a shard"),
        ({"shard": 7}, "cannot be read as the report of a shard"),
        ({"interrupted": True}, "partial: shard 1/2 was interrupted"),
        ({"seed": None}, "cannot be read as the report of a shard"),
    ],
    ids=str,
)
def test_what_is_no_report_of_a_shard_is_refused(changes: dict[str, Any], says: str) -> None:
    right = report(conv, 2, 1, 2)
    with pytest.raises(InputError, match=says):
        shard("1.json", right | changes)
    for other in ([], None, "x", {}):
        with pytest.raises(InputError, match="no report that can be merged"):
            shard("1.json", other)


def test_the_report_of_the_whole_is_no_shard() -> None:
    with pytest.raises(InputError, match="of all cases, not of a shard"):
        shard("1.json", report(conv, 2))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"seed": 1}, "seed"),
        ({"target": "g"}, "target"),
        ({"command": "convcheck verify f --layout NCHW"}, "command"),
        ({"version": "0.0.1"}, "version of convcheck"),
        ({"asked": 5}, "number of cases"),
        ({"fail_fast": True}, "--fail-fast"),
        ({"in_words": "f is another one", "assumed": True}, "convention that was learnt"),
    ],
    ids=str,
)
def test_shards_of_different_campaigns_are_refused(changes: dict[str, Any], what: str) -> None:
    first, second = (report(conv, 4, part, 2) for part in (1, 2))
    for key, value in changes.items():
        inner = key in second["merge"]
        (second["merge"] if inner else second)[key] = value
    with pytest.raises(InputError, match=f"another {what}") as caught:
        complete([shard("1.json", first), shard("2.json", second)])
    assert caught.value.what.startswith("2.json is of another campaign than 1.json")
    assert str(caught.value.expected).endswith(", as in 1.json")


def test_each_shard_is_wanted_once() -> None:
    one = whole()
    with pytest.raises(InputError, match="shard 1/2 is there twice") as caught:
        complete([one, replace(one, name="again.json")])
    assert caught.value.got == "1.json and again.json"
    with pytest.raises(InputError, match="a shard is missing: 2/2") as caught:
        complete([one])
    assert "--seed 0 --cases 4 --shard 2/2" in str(caught.value.hint)
    five = shard("1.json", report(conv, 4, 2, 5))
    with pytest.raises(InputError, match="shards are missing: 1/5, 3/5, 4/5, 5/5"):
        complete([five])


def test_a_shard_that_has_too_few_cases_is_refused() -> None:
    shards = [shard(f"{n}.json", report(conv, 6, n, 2)) for n in (1, 2)]
    with pytest.raises(InputError, match=r"2\.json cannot be read"):
        Merged([shards[0], replace(shards[1], count=2)])


def test_an_output_is_no_part_of_a_record() -> None:
    assert all(type(v) in (int, str, bool, float) for v in asdict(ENTRIES[0]).values() if v)
