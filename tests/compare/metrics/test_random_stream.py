"""Tests of the random numbers of a comparison, which do not depend on the version of numpy."""

from __future__ import annotations

import pytest

from ainb.compare.metrics.random_stream import fixed_stream


@pytest.mark.parametrize(
    ("seed", "counts", "order"),
    [
        (0, [49, 87, 29, 135], [6, 3, 5, 0, 7, 2, 1, 4]),
        (7, [60, 87, 21, 132], [7, 4, 6, 1, 5, 0, 2, 3]),
        (2**70, [71, 102, 32, 95], [6, 0, 1, 5, 4, 7, 3, 2]),
    ],
)
def test_a_seed_draws_the_same_rows_and_resamples_everywhere(seed, counts, order):
    assert fixed_stream(seed).multinomial(300, [0.2, 0.3, 0.1, 0.4]).tolist() == counts
    assert fixed_stream(seed).permutation(8).tolist() == order
