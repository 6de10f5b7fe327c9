"""`cached_by_identity`: one call per object, and equal objects apart."""

import pytest

from ainb.identity_cache import MAX_KNOWN, cached_by_identity


def test_an_object_is_computed_once_and_an_equal_one_by_itself():
    seen = []
    count = cached_by_identity(lambda schema: seen.append(schema) or len(seen))
    one, other = {"type": "object"}, {"type": "object"}

    assert [count(one), count(one), count(other), count(one)] == [1, 1, 2, 1]


def test_objects_that_nobody_else_keeps_are_not_taken_for_each_other():
    """The id of a discarded dict is soon that of the next one."""
    number = cached_by_identity(lambda schema: schema["number"])

    assert [number({"number": at}) for at in range(3 * MAX_KNOWN)] == list(range(3 * MAX_KNOWN))


def test_an_error_is_raised_and_not_kept():
    schema = {}
    number = cached_by_identity(lambda schema: schema["number"])

    with pytest.raises(KeyError):
        number(schema)
    schema["number"] = 1
    assert number(schema) == 1
