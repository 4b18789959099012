"""Right answers of 0.1.0 stay; the outputs that they are of are what they are said to be."""

from __future__ import annotations

import differential
import numpy as np
import outputs
import pytest
from few import one_in
from plain_convolution import before_storage, stored


def there(kind: str) -> str:
    library = outputs.missing(kind)
    if library is not None:
        pytest.skip(f"{library} is not installed")
    return kind


@pytest.mark.parametrize("count", one_in(2, [6, 60]))
def test_right_answers_stay_right(count: int) -> None:
    there = [a for a in differential.frozen() if a.right and outputs.missing(a.kind) is None]
    results = list(differential.outcomes(differential.spread(there, count)))
    assert len(results) >= count
    assert [r for r in results if r.status == "lost"] == []


@pytest.mark.campaign
def test_all_right_answers_stay_right() -> None:
    assert differential.main([]) == 0


@pytest.mark.parametrize("kind", outputs.KINDS)
def test_an_output_is_what_its_truth_says(kind: str) -> None:
    made = outputs.draw(there(kind), 0)
    storage = made.truth.get("storage")
    if storage is None:
        error = np.abs(made.output - made.exact)
        assert (error <= 8 * made.unit * np.abs(made.exact).max()).all()
    else:
        plain = stored(before_storage(made.image, made.filters, made.truth), storage)
        differ = np.abs(made.output.astype(int) - plain.astype(int))
        # A library's own sums may fall on the other side of a tie.
        assert differ.max() <= 1
        assert np.count_nonzero(differ) <= 0.05 * differ.size


@pytest.mark.parametrize("kind", outputs.KINDS)
def test_the_engine_makes_what_plain_loops_make(kind: str) -> None:
    made = outputs.draw(there(kind), 1)
    plain = before_storage(made.image, made.filters, made.truth)
    ours = differential.engine(
        made.image, made.filters, made.truth | {"arithmetic": "exact", "storage": None}
    )
    assert ours.shape == plain.shape
    np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-12 * np.abs(plain).max())


def test_an_output_is_a_function_of_kind_and_seed() -> None:
    for kind in ("float32 strided", "quantised uint8", "bytes down"):
        one, again, other = (outputs.draw(kind, seed) for seed in (3, 3, 4))
        assert np.array_equal(one.output, again.output)
        assert one.truth == again.truth
        assert one.output.shape != other.output.shape or (one.output != other.output).any()
