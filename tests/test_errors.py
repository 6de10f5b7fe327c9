"""Tests of the error classes: one line in a notebook, the traceback on request, pickling."""

from __future__ import annotations

import pickle

import pytest

from ainb import errors

KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AinbError)
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_with_its_attributes(kind):
    error = kind("what is so")
    error.attempts = 3

    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes, made one line above
    assert (type(back), str(back), back.__dict__) == (kind, "what is so", error.__dict__)


def test_an_error_is_one_line_at_first_and_a_traceback_when_shown_again():
    with pytest.raises(errors.ConfigError) as caught:
        raise errors.ConfigError("one\nline")

    assert caught.value._render_traceback_() == ["ConfigError: one line"]
    again = caught.value._render_traceback_()
    assert again[0].startswith("Traceback")
    assert "test_errors.py" in "\n".join(again)


def test_a_refused_call_differs_from_one_that_was_sent():
    assert issubclass(errors.CircuitOpenError, errors.CallRejectedError)
    assert not issubclass(errors.ProviderError, errors.CallRejectedError)
    assert not issubclass(errors.DeadlineExceededError, errors.CallRejectedError)


def test_no_error_is_one_that_ipython_hides_from_nbval():
    assert all(kind.__mro__[-2] is BaseException for kind in KINDS)
    assert not any("UsageError" in base.__name__ for kind in KINDS for base in kind.__mro__)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("two\nlines", "two lines"),
        ("a\r\n  b", "a b"),
        ("\x1b[31mred", "[31mred"),
        ("next\x85line\u2028end", "next line end"),
        ("\u202eturned", "turned"),
        ("two  spaces stay", "two  spaces stay"),
        ("क्\u200dष", "क्\u200dष"),
        ("a\u200cb", "a\u200cb"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_a_message_is_one_line_and_keeps_its_letters(given, shown):
    assert str(errors.PermanentProviderError(given)) == shown
    assert str(errors.ConfigError(given)) == shown
