"""Name the convention that produced an output: the cheapest explanation that is one.

The stages, a module each: ``layouts`` reads the arrays' axes, ``space`` goes through hypotheses by
rising cost, ``block`` makes their sums at ``samples`` of the output, ``votes`` keeps what explains
bits of them, and ``variants`` says what those leave open. ``solve`` finds the numbers of each, by
``numbers`` and ``intervals``, and compares ``forms`` by their score; ``explore`` runs all of it
until no hypothesis that is left can win. ``whole`` holds the best to all of the output, and
``ambiguity`` asks what else would give it, ``batch_norm`` whether its scale and bias are those of
one that was given. The score is :mod:`convcheck.score`, the judgement of
elements :mod:`convcheck.check`.
"""

from convcheck.checks.identify.identification import Candidate, IdentifyResult, identify
from convcheck.checks.identify.norm import BatchNorm

__all__ = ["BatchNorm", "Candidate", "IdentifyResult", "identify"]
