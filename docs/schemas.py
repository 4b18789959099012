"""Write what the JSON schemas have of the package: ``python docs/schemas.py``.

A convention's keys and values are the record's, the rows of a table are compare's or a
batch normalization's, and the version
is the vocabulary's. All else in ``convcheck/schemas`` is written by hand and stays as it is.
``tests/test_schemas.py`` holds the files to what this makes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from convcheck.checks.compare import rows_of  # noqa: E402 - the tree that this script is in
from convcheck.checks.identify.norm_lines import MORE, ROWS  # noqa: E402
from convcheck.convention import NAMED, convention_schema  # noqa: E402
from convcheck.convention.record import SCHEMA  # noqa: E402

SCHEMAS = ROOT / "convcheck" / "schemas"
RULES = ("SAME_UPPER", "SAME_LOWER", "VALID", "FULL")
"""What verify takes in place of a padding."""


def definitions() -> dict[str, dict[str, Any]]:
    """The definitions that are generated, by the name that a schema gives them."""
    whole = convention_schema()
    partial = given(whole)
    either = partial["properties"]["padding"]["anyOf"]
    padding = {"anyOf": [*either, {"enum": list(RULES)}]}
    ruled = partial | {"properties": partial["properties"] | {"padding": padding}}
    rows = [row for rank in (1, 2, 3) for row in rows_of(rank, all_flips=True)]
    return {
        "convention": {"description": "Every key of a convention."} | whole,
        "claim": {"description": "The keys that were claimed, as they were given."} | partial,
        "claim_with_rule": {"description": "The same; the padding may be a rule."} | ruled,
        "name": {"enum": list(dict.fromkeys(rows))},
        "batch_norm_verdict": {"enum": [*ROWS, *MORE]},
    }


def given(whole: dict[str, Any]) -> dict[str, Any]:
    """The schema of some keys as a user gives them: one value for all axes, a decomposition."""
    keys = dict(whole["properties"])
    for name in ("stride", "dilation", "input_dilation"):
        keys[name] = {"anyOf": [keys[name], keys[name]["items"]]}
    keys["padding"] = {"anyOf": [keys["padding"], keys["padding"]["items"]["items"]]}
    keys["flip"] = {"anyOf": [keys["flip"], {"enum": list(NAMED)}]}
    null, stored = keys["storage"]["anyOf"]
    keys["storage"] = {"anyOf": [null, stored | {"required": ["dtype"]}]}
    return {key: value for key, value in whole.items() if key != "required"} | {"properties": keys}


def updated(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its version and with those definitions that it has, as they are now."""
    made: dict[str, Any] = json.loads(json.dumps(schema))
    made["$id"] = made["$id"].rsplit(":", 1)[0] + f":{SCHEMA}"
    made["properties"]["schema_version"] = {"const": SCHEMA}
    for name, definition in definitions().items():
        if name in made.get("$defs", {}):
            made["$defs"][name] = definition
    return made


def written(schema: dict[str, Any]) -> str:
    """The text of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for path in sorted(SCHEMAS.glob("*.json")):
        path.write_text(written(updated(json.loads(path.read_text("utf-8")))), encoding="utf-8")
