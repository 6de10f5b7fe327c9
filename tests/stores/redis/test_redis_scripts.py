"""Property and mutation tests of the Lua scripts of the shared state under a virtual clock."""

from __future__ import annotations

import pytest

from ainb.stores.redis import circuit, limiter_scripts, money
from tests.stores.redis.lua_circuit_schedules import check_circuit
from tests.stores.redis.lua_lab import Lab, scripts_of
from tests.stores.redis.lua_limiter_schedules import check_limiter
from tests.stores.redis.lua_money_schedules import check_money
from tests.stores.redis.lua_mutants import CIRCUIT, LIMITER, MONEY
from tests.stores.redis.redis_lab import Server

pytestmark = pytest.mark.redis
SUBJECTS = {
    "limiter": (limiter_scripts, check_limiter),
    "money": (money, check_money),
    "circuit": (circuit, check_circuit),
}
MUTANTS = {"limiter": LIMITER, "money": MONEY, "circuit": CIRCUIT}


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lua"))
    made = Lab(server)
    yield made
    made.client.close()
    server.close()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_random_schedules_keep_every_promise(lab, subject):
    module, check = SUBJECTS[subject]

    check(lab, scripts_of(module), examples=200)


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS)
def test_thousands_of_random_schedules_keep_every_promise(lab, subject):
    module, check = SUBJECTS[subject]

    check(lab, scripts_of(module), examples=2000)


@pytest.mark.parametrize(
    ("subject", "mutant"),
    [(subject, mutant) for subject, mutants in MUTANTS.items() for mutant in mutants],
    ids=lambda item: getattr(item, "label", item),
)
def test_the_schedules_kill_the_mutant(lab, subject, mutant):
    module, check = SUBJECTS[subject]
    broken = scripts_of(module, mutant)

    with pytest.raises((AssertionError, ExceptionGroup)):
        check(lab, broken, examples=200, shrink=False)
