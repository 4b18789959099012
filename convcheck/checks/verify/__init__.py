"""Put an implementation to the test, and name what it does."""

from convcheck.checks.verify.causes import Cause
from convcheck.checks.verify.claims import claim
from convcheck.checks.verify.conclusion import VerifyResult
from convcheck.checks.verify.entry import verify
from convcheck.checks.verify.examination import Finding
from convcheck.checks.verify.judgement import Judgement, judge
from convcheck.checks.verify.minimising import Smallest
from convcheck.checks.verify.model import LAYOUTS, Model
from convcheck.checks.verify.shards import Team, team
from convcheck.checks.verify.verification import put_to_test

__all__ = [
    "LAYOUTS",
    "Cause",
    "Finding",
    "Judgement",
    "Model",
    "Smallest",
    "Team",
    "VerifyResult",
    "claim",
    "judge",
    "put_to_test",
    "team",
    "verify",
]
