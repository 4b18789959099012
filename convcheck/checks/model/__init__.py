"""A model's convolutions, each judged on its own recorded input; and two models beside each other.

``judging`` holds a layer to its attributes, ``pairing`` finds the layers of two models that belong
together, ``causes`` says why one departs. The judgement itself is :mod:`convcheck.check`.
"""

from convcheck.checks.model.checking import check_model
from convcheck.checks.model.result import Cause, ModelResult, Row

__all__ = ["Cause", "ModelResult", "Row", "check_model"]
