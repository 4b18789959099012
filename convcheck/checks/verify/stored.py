"""What a shard's report has for merging, as JSON's own types, and back."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from convcheck.campaign import Case
from convcheck.checks.verify.conclusion import Nearest
from convcheck.checks.verify.domain import Limit
from convcheck.checks.verify.examination import Finding
from convcheck.checks.verify.learning import Probe
from convcheck.checks.verify.model import Model
from convcheck.checks.verify.record import Entry, Record
from convcheck.convention import Convention, normalized, parse_partial

if TYPE_CHECKING:
    from collections.abc import Mapping


def to_json(record: Record) -> dict[str, Any]:
    """How a shard's cases went, and what was learnt before them; of a key's default nothing."""
    learnt = record.learnt or Probe(None)
    return {
        "model": None if learnt.model is None else _model(learnt.model),
        "assumed": learnt.assumed,
        "notes": list(learnt.notes),
        "findings": [asdict(finding) for finding in learnt.findings],
        "nearest": _nearest(Nearest.of(learnt.nearest)),
        "count": record.count,
        "entries": [
            {key: _listed(v) for key, v in asdict(entry).items() if v != _PLAIN.get(key)}
            for entry in record.entries
        ],
    }


_PLAIN = {field.name: field.default for field in fields(Entry) if field.name != "number"}


def learnt_of(stored: Mapping[str, Any]) -> tuple[Probe, Nearest | None]:
    """What was learnt of the target before its cases, and the nearest miss."""
    nearest = stored["nearest"]
    if nearest is not None:
        convention = Convention.from_dict(nearest["convention"])
        nearest = Nearest(**{**nearest, "convention": convention})
    learnt = Probe(
        model=None if stored["model"] is None else _model_of(stored["model"]),
        notes=tuple(stored["notes"]),
        assumed=bool(stored["assumed"]),
        findings=tuple(
            Finding(one["kind"], one["detail"], Case(**one["case"])) for one in stored["findings"]
        ),
    )
    return learnt, nearest


def entries_of(stored: Mapping[str, Any]) -> list[Entry]:
    """The cases of which there is something to say."""
    found = []
    for one in stored["entries"]:
        keys: dict[str, Any] = {key: _frozen(value) for key, value in one.items()}
        found.append(Entry(**keys))
    return found


def _nearest(nearest: Nearest | None) -> dict[str, Any] | None:
    if nearest is None:
        return None
    return {**vars(nearest), "convention": nearest.convention.to_dict()}


def _model(model: Model) -> dict[str, Any]:
    claimed = {k: v for k, v in model.expect.items() if not _is_rule(k, v)}
    whole = model.base.replace(**claimed).to_dict()
    rules = {k: v for k, v in model.expect.items() if _is_rule(k, v)}
    return {
        **{key: _listed(getattr(model, key)) for key in _ALIKE},
        "base": model.base.to_dict(),
        "expect": {**{key: whole[key] for key in claimed}, **rules},
        "domain": [_listed(asdict(limit)) for limit in model.domain],
    }


_ALIKE = (
    *("layout", "rule", "transposed", "parameters", "dtypes", "gives", "precision"),
    "multiplies",
)
"""The keys of a model that JSON has a type for."""


def _model_of(stored: Mapping[str, Any]) -> Model:
    base = Convention.from_dict(stored["base"])
    claimed = {k: v for k, v in stored["expect"].items() if not _is_rule(k, v)}
    rules = {k: v for k, v in stored["expect"].items() if _is_rule(k, v)}
    return Model(
        **{key: _frozen(stored[key]) for key in _ALIKE},
        base=base,
        expect={**normalized(parse_partial(json.dumps(claimed)), base.rank), **rules},
        domain=tuple(
            Limit(**{key: _frozen(value) for key, value in limit.items()})
            for limit in stored["domain"]
        ),
    )


def _is_rule(key: str, value: Any) -> bool:
    return key == "padding" and isinstance(value, str)


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(v) for key, v in value.items()}
    return [*map(_listed, value)] if isinstance(value, list | tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
