"""The JSON schemas: what is generated of them is as docs/schemas.py makes it, and holds."""

from __future__ import annotations

import json
from pathlib import Path
from runpy import run_path
from typing import Any

import jsonschema
import pytest

from convcheck.cli import judging
from convcheck.convention import NAMED, SYNONYMS, Convention, parse_partial
from convcheck.convention.record import SCHEMA
from convcheck.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
FILES = {path.stem: path for path in (ROOT / "convcheck" / "schemas").glob("*.json")}


def test_there_is_one_for_every_kind_of_report() -> None:
    assert set(FILES) == {"audit", "compare", "diff", "identify", "inspect", "model", "verify"}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_the_script_writes(name: str) -> None:
    script = run_path(str(ROOT / "docs" / "schemas.py"))
    text = FILES[name].read_text("utf-8")
    assert script["written"](script["updated"](json.loads(text))) == text


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_a_schema_of_this_version(name: str) -> None:
    schema = json.loads(FILES[name].read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema_version"] == {"const": SCHEMA} == {"const": 2}
    assert schema["$id"] == f"urn:convcheck:schema:{name}:2"
    # What is referred to is there, and what is there is referred to.
    text = json.dumps(schema)
    for definition in schema.get("$defs", {}):
        assert f'"#/$defs/{definition}"' in text
    validator = jsonschema.Draft202012Validator(schema)
    assert not validator.is_valid({})


CONVENTIONS: list[dict[str, Any]] = [
    {},
    {"stride": [2, 3], "padding": [[0, 1], [-1, 2]], "flip": "flipped", "bias": [1, 2.5]},
    {"image_layout": "NWC", "filter_layout": "WIO", "padding_mode": "reflect", "scale": [1, 2]},
    {"image_layout": "NCDHW", "padding_mode": ["wrap", "constant", "edge"], "dilation": 2},
    {"activation": {"leaky_relu": 0.1}, "storage": {"dtype": "int8", "overflow": "wrap"}},
    {"activation": {"clip": [0, 6]}, "channel_order": [2, 1, 0], "output_order": [0]},
    {"activation": "gelu", "arithmetic": "tf32", "image_offset": [1, 2], "filter_offset": 3},
]


@pytest.mark.parametrize("keys", CONVENTIONS, ids=str)
@pytest.mark.parametrize("name", ["audit", "identify", "verify"])
def test_every_convention_fits(name: str, keys: dict[str, Any]) -> None:
    schema = json.loads(FILES[name].read_text("utf-8"))
    whole = {"$ref": "#/$defs/convention", "$defs": schema["$defs"]}
    validator = jsonschema.Draft202012Validator(whole)
    found = Convention.from_dict(keys).to_dict()
    validator.validate(found)
    assert Convention.from_dict(json.loads(json.dumps(found))) == Convention.from_dict(keys)
    for key in found:
        assert not validator.is_valid({k: v for k, v in found.items() if k != key}), key
    assert not validator.is_valid(found | {"kernel_transposed": False})


def test_a_claim_may_leave_keys_out() -> None:
    schema = json.loads(FILES["identify"].read_text("utf-8"))
    claim = {"$ref": "#/$defs/claim", "$defs": schema["$defs"]}
    validator = jsonschema.Draft202012Validator(claim)
    assert validator.is_valid({})
    assert validator.is_valid({"stride": [2, 2], "flip": []})
    for text in ("convolution", '{"stride": 2, "padding": 1, "storage": {"dtype": "uint8"}}'):
        assert validator.is_valid(parse_partial(text))
    assert not validator.is_valid({"strides": [2, 2]})
    assert not validator.is_valid({"padding": "SAME_UPPER"})


def test_a_claim_to_verify_may_name_a_rule() -> None:
    schema = json.loads(FILES["verify"].read_text("utf-8"))
    claim = {"$ref": "#/$defs/claim_with_rule", "$defs": schema["$defs"]}
    validator = jsonschema.Draft202012Validator(claim)
    assert validator.is_valid({"padding": "SAME_UPPER"})
    assert validator.is_valid({"padding": [[0, 1]]})
    assert not validator.is_valid({"padding": "same"})


def test_the_command_line_knows_the_names_of_decompositions() -> None:
    assert tuple(NAMED) == judging.DECOMPOSITIONS
    assert dict(SYNONYMS) == judging.SYNONYMS


@pytest.mark.parametrize(
    ("old", "successor"),
    [
        ({"kernel_transposed": True}, '{"filter_layout": "OIWH"}'),
        ({"output_layout": "OHW"}, "'CHW'"),
        ({"output_layout": "NHWO"}, "'NHWC'"),
        ({"arithmetic": "wrap:uint8"}, '"overflow": "wrap"'),
    ],
)
def test_a_key_of_the_first_schema_names_its_successor(old: dict[str, Any], successor: str) -> None:
    with pytest.raises(InputError) as caught:
        Convention.from_dict(old)
    assert caught.value.hint is not None
    assert successor in caught.value.hint
