"""Name the convention that produced an output: the cheapest explanation that is one.

The stages, a module each: ``layouts`` reads the arrays' axes, ``space`` goes through hypotheses by
rising cost, ``block`` makes their sums at ``samples`` of the output, ``votes`` keeps what explains
bits of them; ``solve`` finds the numbers of each by ``intervals`` and compares forms by their score;
``whole`` holds the best to all of the output, and ``ambiguity`` asks what else would give it. The
score is :mod:`convcheck.score`, the judgement of elements :mod:`convcheck.check`.
"""

from convcheck.checks.identify.identification import Candidate, IdentifyResult, identify

__all__ = ["Candidate", "IdentifyResult", "identify"]
