"""Mutation tests: the property suite detects every mutant of the rate limiter."""

from __future__ import annotations

import pytest

from tests.mutation import load_mutant
from tests.pipeline.rate_limit.mutants_rate_limit import CHAIN, LOCAL, MUTANTS
from tests.pipeline.rate_limit.rate_limit_schedules import check_limiter


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.label)
def test_the_suite_kills_the_mutant(mutant):
    after = CHAIN[CHAIN.index(mutant.module) + 1 :]

    with load_mutant(mutant.module, mutant.old, mutant.new, dependents=after) as modules:
        limiter_class = modules[LOCAL].LocalLimiter

    with pytest.raises(BaseException):  # noqa: B017, PT011 - wrong grant, stuck waiter, or leak
        check_limiter(limiter_class, examples=150, shrink=False)


def test_a_faithful_copy_passes_the_suite():
    first, *after = CHAIN

    with load_mutant(first, "ROUNDING = ", "ROUNDING = ", dependents=after) as modules:
        limiter_class = modules[LOCAL].LocalLimiter

    check_limiter(limiter_class, examples=30)
