"""How two arrays relate, exactly or within stated arithmetic: what ``convcheck diff`` asks.

``placing`` says where REF's elements lie in MINE, ``candidates`` which of that is worth a look,
``values`` and ``lines`` what was done to the numbers. ``judging`` holds each explanation to every
element and weighs it by :mod:`convcheck.score`, ``search`` keeps what is worth it, ``region`` says
which part is wrong.
"""

from convcheck.checks.diff.diffing import diff
from convcheck.checks.diff.result import DiffResult, Relation

__all__ = ["DiffResult", "Relation", "diff"]
