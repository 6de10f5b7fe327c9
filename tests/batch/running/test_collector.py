import gc

import pytest

from ainb.batch.running.collector import LEAST_OBJECTS, Collector


@pytest.fixture(autouse=True)
def _usual_threshold():
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_the_collector_is_rarer_while_a_batch_runs_and_as_before_afterwards() -> None:
    collector = Collector()
    with collector.rare():
        assert gc.get_threshold() == (LEAST_OBJECTS, 10, 10)
    assert gc.get_threshold() == (700, 10, 10)


def test_the_last_of_several_batches_puts_the_threshold_back_also_after_an_error() -> None:
    collector = Collector()
    with collector.rare():
        with pytest.raises(ZeroDivisionError), collector.rare():
            raise ZeroDivisionError
        assert gc.get_threshold()[0] == LEAST_OBJECTS
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("chosen", [0, 50_000])
def test_a_collector_that_is_off_or_rarer_already_stays_as_it_is(chosen: int) -> None:
    gc.set_threshold(chosen, 10, 10)
    with Collector().rare():
        assert gc.get_threshold() == (chosen, 10, 10)
    assert gc.get_threshold() == (chosen, 10, 10)


def test_what_the_person_sets_during_a_batch_stays() -> None:
    with Collector().rare():
        gc.set_threshold(5_000, 5, 5)
    assert gc.get_threshold() == (5_000, 5, 5)


def test_a_forked_child_has_the_usual_threshold_again() -> None:
    collector = Collector()
    with collector.rare():
        collector.put_back()
        assert gc.get_threshold() == (700, 10, 10)
