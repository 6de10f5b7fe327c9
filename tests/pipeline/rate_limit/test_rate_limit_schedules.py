"""Property tests of the rate limiter: limits, FIFO order, no stuck waiter, no leaked permit."""

from __future__ import annotations

import pytest

from ainb.pipeline.rate_limit.local import LocalLimiter
from tests.pipeline.rate_limit.rate_limit_schedules import check_limiter


def test_limits_order_and_permits_hold_over_random_schedules():
    check_limiter(LocalLimiter, examples=170)


@pytest.mark.slow
def test_limits_order_and_permits_hold_over_ten_thousand_random_schedules():
    check_limiter(LocalLimiter, examples=3400)
