"""Name the convention that produced an output."""

from convcheck.checks.identify.identification import Candidate, IdentifyResult, identify

__all__ = ["Candidate", "IdentifyResult", "identify"]
