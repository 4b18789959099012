"""How a result is made: the record of schema 2 and what its keys are made of."""

from convcheck.convention.axis import PADDING_MODES, Axis
from convcheck.convention.deviations import Deviation, deviations
from convcheck.convention.record import (
    CORRELATION,
    FLIPPED,
    NAMED,
    PER_CHANNEL,
    SYNONYMS,
    Convention,
    named,
    normalized,
    parse_partial,
)
from convcheck.convention.steps import ACTIVATIONS, Activation
from convcheck.convention.storage import INTEGERS, PRECISIONS, Storage, representable, round_to
from convcheck.convention.usual import usual_convention
from convcheck.convention.vocabulary import KEYS, VOCABULARY, Numbers, Pair, convention_schema

__all__ = [
    "ACTIVATIONS",
    "CORRELATION",
    "FLIPPED",
    "INTEGERS",
    "KEYS",
    "NAMED",
    "PADDING_MODES",
    "PER_CHANNEL",
    "PRECISIONS",
    "SYNONYMS",
    "VOCABULARY",
    "Activation",
    "Axis",
    "Convention",
    "Deviation",
    "Numbers",
    "Pair",
    "Storage",
    "convention_schema",
    "deviations",
    "named",
    "normalized",
    "parse_partial",
    "representable",
    "round_to",
    "usual_convention",
]
