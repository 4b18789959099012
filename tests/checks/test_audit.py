"""audit: which mistakes data cannot see, and a proposal that sees them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convcheck.checks.audit import audit
from convcheck.checks.identify import BatchNorm
from convcheck.convention import Convention
from convcheck.engine import convolve
from convcheck.errors import ExitCode, InputError

RNG = np.random.default_rng(0)


def ints(*shape: int) -> np.ndarray:
    return RNG.integers(-9, 10, shape)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"flip": ("H", "W")},
        {"stride": 2, "padding": ((0, 1), (1, 1))},
        {"padding": 1, "padding_mode": "reflect"},
        {"dilation": 2},
    ],
    ids=str,
)
def test_data_that_tells_everything(keys: dict[str, Any]) -> None:
    result = audit(ints(3, 9, 11), ints(4, 3, 2, 3), keys)
    assert result.verdict == "sees-all"
    assert result.exit_code == ExitCode.OK
    assert result.seen == result.total > 15


@pytest.mark.parametrize(
    ("image", "bank", "name", "reason"),
    [
        (ints(3, 7, 9), np.ones((4, 3, 3, 2)), "flip H", "W is constant"),
        (np.ones((3, 7, 9)), ints(4, 3, 3, 2), "flip H", "constant"),
        (ints(3, 3, 2), ints(4, 3, 3, 2), "stride of rows", "one element"),
        (ints(3, 9), np.ones((4, 3, 3)), "flip W", "W is constant"),
        (np.ones((3, 5, 7, 9)), ints(4, 3, 2, 3, 2), "flip D", "constant"),
    ],
)
def test_blind_spots_have_their_reason(
    image: np.ndarray, bank: np.ndarray, name: str, reason: str
) -> None:
    result = audit(image, bank)
    blind = {d.name: d for d in result.blind_spots}
    assert reason in (blind[name].reason or "")
    assert result.exit_code == ExitCode.FAILED
    # What is called blind is so: the mistake gives the same output.
    base = convolve(image, bank, result.convention)
    assert np.array_equal(convolve(image, bank, blind[name].convention), base)


def test_what_is_called_seen_is_so() -> None:
    image, bank = ints(3, 7, 9), ints(4, 3, 3, 2)
    result = audit(image, bank)
    base = convolve(image, bank, result.convention)
    told = 0
    for deviation in result.deviations:
        try:
            other = convolve(image, bank, deviation.convention)
        except InputError:
            continue
        assert deviation.seen == (not np.array_equal(other, base))
        told += 1
    assert told > 10


@pytest.mark.parametrize(
    ("image", "bank"),
    [
        (ints(1, 5, 5), np.ones((1, 1, 3, 3))),
        (ints(4, 5, 5), ints(4, 4, 5, 5)),
        (ints(2, 6, 6), np.zeros((2, 2, 3, 3), int)),
    ],
)
def test_the_proposal_sees_what_it_says(image: np.ndarray, bank: np.ndarray) -> None:
    result = audit(image, bank)
    assert result.proposal is not None
    again = audit(result.proposal.image, result.proposal.filters)
    assert (again.seen, again.total) == (result.proposal.seen, result.proposal.total)
    assert again.verdict == "sees-all"


def test_a_score_that_is_asked_for() -> None:
    image, bank = ints(3, 7, 9), np.ones((4, 3, 3, 2))
    score = audit(image, bank).score
    assert 0 < score < 1
    assert audit(image, bank, min_score=score).exit_code == ExitCode.OK
    assert audit(image, bank, min_score=score + 0.01).exit_code == ExitCode.FAILED


def test_the_mistakes_of_a_batch_normalization() -> None:
    image, bank = ints(3, 7, 9), ints(2, 3, 3, 2)
    mean, var, gamma, beta = (np.array(v) for v in ([3.0, -2.0], [4.0, 0.5], [1.5, 0.7], [1.0, 2]))
    result = audit(image, bank, {"bias": [5, 6]}, batch_norm=BatchNorm(mean, var, gamma, beta))
    sums = convolve(image, bank, Convention()) + np.array([5, 6])[:, None, None]
    each = [v[:, None, None] for v in (mean, var, gamma, beta)]

    def normal(eps: float) -> np.ndarray:
        return (sums - each[0]) / np.sqrt(each[1] + eps) * each[2] + each[3]

    np.testing.assert_allclose(convolve(image, bank, result.convention), normal(1e-5), rtol=1e-12)
    named = {d.name: d for d in result.deviations}
    other = convolve(image, bank, named["epsilon"].convention)
    np.testing.assert_allclose(other, normal(1e-3), rtol=1e-12)
    assert named["epsilon"].seen
    assert {"batch norm no-mean", "batch norm deviation"} <= named.keys()


def test_an_epsilon_beside_large_variances_is_not_seen() -> None:
    zeros, ones = np.zeros(2), np.ones(2)
    norm = BatchNorm(zeros, 1e12 * ones, ones, ones)
    blind = {d.name for d in audit(ints(3, 7, 9), ints(2, 3, 3, 2), batch_norm=norm).blind_spots}
    assert "epsilon" in blind
    assert "batch norm no-beta" not in blind


def test_a_batch_normalization_of_other_channels_is_refused() -> None:
    norm = BatchNorm(*(np.ones(3) for _ in range(4)))
    with pytest.raises(InputError, match="another number of channels"):
        audit(ints(3, 7, 9), ints(2, 3, 3, 2), batch_norm=norm)
