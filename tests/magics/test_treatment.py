"""Tests of the %%ai options for cache, budget, user and tags of a call."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ainb import errors
from ainb import session as sessions
from ainb.testing import script


@pytest.fixture
def seen(terminal, monkeypatch):
    """Records the calls of cells."""
    session = sessions.current()
    calls = []
    handle = session.handle
    monkeypatch.setattr(session, "handle", lambda call: (calls.append(call), handle(call))[1])
    return calls


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("--no-cache", "cache", "off"),
        ("--refresh", "cache", "refresh"),
        ("--no-cache --refresh", "cache", "refresh"),
        ("--ttl 60", "ttl_seconds", 60.0),
        ("--ttl 0.5", "ttl_seconds", 0.5),
        ("--ttl 7d", "ttl_seconds", 604_800.0),
        ("--budget 0.50", "budget_usd", Decimal("0.50")),
        ("--budget $2", "budget_usd", Decimal(2)),
        ("--budget=0", "budget_usd", Decimal(0)),
        ("--user ann", "user", "ann"),
        ("--tag team=search", "tags", {"team": "search"}),
        (
            "--tag team=search --tag 'note=two words' --tag=url=a=b",
            "tags",
            {"team": "search", "note": "two words", "url": "a=b"},
        ),
        ("--tag run=1 --tag run=2", "tags", {"run": "2"}),
    ],
)  # fmt: skip
def test_options_reach_the_call_and_not_the_provider(terminal, seen, line, field, value):
    assert terminal.run(f"%%ai scripted:echo {line}\nhi").error is None

    (call,) = seen
    assert getattr(call.options, field) == value
    assert call.request.parameters == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--ttl 0", "--ttl takes a number of seconds above 0, or a span such as 90m, 24h, 7d; it is '0'"),
        ("--ttl -5", "--ttl takes a number of seconds above 0"),
        ("--ttl soon", "--ttl takes a number of seconds above 0"),
        ("--ttl 7y", "--ttl takes a number of seconds above 0"),
        ("--ttl", "--ttl needs a value after it: --ttl SECONDS"),
        ("--budget ten", "--budget takes a number of USD from 0 to 1,000,000, such as 0.50; it is 'ten'"),
        ("--budget -1", "--budget takes a number of USD"),
        ("--budget nan", "--budget takes a number of USD"),
        ("--budget 5/day", "--budget takes a number of USD"),
        ("--tag team", "--tag takes KEY=VALUE, such as team=search; it is 'team'"),
        ("--tag =x", "--tag takes KEY=VALUE"),
        ("--tag team=", "--tag takes KEY=VALUE"),
        ("--user ' '", "--user takes a text"),
        ("--no-cache=yes", "--no-cache takes no value"),
        ("--dry-rum", "%%ai has no option --dry-rum; did you mean '--dry-run'?"),
        ("--schema 3x", "the schema '3x' cannot be read: '3x' is not a type"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_way_out(terminal, seen, line, message):
    cell = terminal.run(f"%%ai scripted:echo {line}\nhi")

    assert isinstance(cell.error, errors.ConfigError)
    assert message in str(cell.error)
    assert seen == []


def test_options_of_a_cell_use_bypass_and_overwrite_a_stored_answer(terminal):
    script("counts", ["one", "two", "three"])

    said = [
        terminal.run(f"%%ai scripted:counts {line}\nhi").result.text
        for line in ("", "", "--no-cache", "", "--refresh", "")
    ]

    assert said == ["one", "one", "two", "one", "three", "three"]


def test_tags_and_user_go_into_the_usage_row(terminal):
    terminal.run("%%ai scripted:echo --tag team=search --user ann\nhi")

    (row,) = sessions.current().usage().itertuples()
    assert (row.user, row.tags) == ("ann", '{"team":"search"}')
