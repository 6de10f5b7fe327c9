"""Tests of hostile column names and labels in frames, panels and reports."""

from __future__ import annotations

from decimal import Decimal
from html.parser import HTMLParser

import pandas as pd
import pytest

import ainb
from ainb.config import Config
from tests.hostile import HOSTILE

LABELS = [text for text in HOSTILE if "\ud800" not in text]
NEVER = {"script", "iframe", "object", "embed", "link", "meta", "base", "form", "video", "audio"}


class Page(HTMLParser):
    """Parses HTML and collects tags and attributes."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def check(html):
    page = Page()
    page.feed(html)
    assert not NEVER & set(page.tags), NEVER & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in {"data-commandlinker-command", "ping", "srcset", "formaction"}, (tag, name)
        if name in {"href", "src", "xlink:href"}:
            assert value.startswith(("#", "https://", "http://", "data:image/png;base64,")), (
                tag,
                name,
                value,
            )
            assert "evil.example" not in value
        if name == "style":
            assert "url(" not in value.replace(" ", "")


@pytest.fixture
def session(tmp_path):
    with ainb.Session("scripted:echo", config=Config(home=tmp_path / "home")) as made:
        ainb.session.use(made)
        yield made
        ainb.session.use(None)


def test_columns_and_labels_of_a_table_are_shown_as_text(session):
    frame = pd.DataFrame([[f"v{at}" for at in range(len(LABELS))]] * 3, columns=LABELS, index=LABELS[:3])
    frame.insert(0, "text", ["one", "two", "three"])

    result = session.map(frame, "say {text}", keep=True)

    assert list(result["status"]) == ["ok"] * 3
    assert set(LABELS) <= set(result.columns)
    assert list(result.index) == LABELS[:3]
    check(result._repr_html_())
    for name in ("batch", "cost", "errors", None):
        check(ainb.panel(name, session=session).view().bundle()["text/html"])


@pytest.mark.parametrize("label", LABELS)
def test_a_column_of_any_name_can_be_filled_in_and_misspelt(session, label):
    frame = pd.DataFrame({label: ["one"], "text": ["two"]})

    assert list(session.map(frame, f"{{{label}}} and {{text}}", keep=True)["status"]) in (
        ["ok"],
        ["rejected"],
    )


def test_tags_users_and_models_in_the_log_are_shown_as_text(session):
    for text in LABELS:
        session.record(prompt="x", reply="y", model=text, provider="openai", cost_usd=Decimal("0.01"))
        session.ask("hello", tags={text[:60]: text, "team": text}, user=text[:60], cache="off")

    check(session.usage()._repr_html_())
    for by in (["request_model"], ["user"], ["day", "request_model"]):
        check(session.costs(by=by).reset_index()._repr_html_())
    for name in ("cost", "errors", None):
        check(ainb.panel(name, session=session).view().bundle()["text/html"])
