"""Tests of displayed replies: output forms, hostile content, footer, tables."""

from __future__ import annotations

import json
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.magics.display.reply import DisplayOptions, facts, live_bundle, money, reply_bundle
from ainb.messages import Reply, Usage
from ainb.panels.markup import Report, Table
from tests.hostile import HOSTILE

PLAIN = DisplayOptions(rich=False)
RICH = DisplayOptions()
STEADY = DisplayOptions(deterministic=True)

MAY_STAND = {
    "style",
    "div",
    "p",
    "a",
    "code",
    "pre",
    "em",
    "strong",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "ul",
    "ol",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "blockquote",
    "hr",
    "br",
    "span",
    "iframe",
    "caption",
}
MAY_BE_SAID = {
    "class",
    "href",
    "rel",
    "title",
    "start",
    "style",
    "sandbox",
    "srcdoc",
    "scope",
    "referrerpolicy",
    "role",
    "tabindex",
    "aria-label",
}


class Inspector(HTMLParser):
    """Parses HTML and collects tags, attributes and links."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag == "a":
            self.links.append(dict(attrs))


def inspect(html):
    found = Inspector()
    found.feed(html)
    found.close()
    return found


def assert_harmless(html):
    found = inspect(html)
    assert set(found.tags) <= MAY_STAND
    assert {name for _, name, _ in found.attributes} <= MAY_BE_SAID
    assert found.tags.count("style") == 1
    for link in found.links:
        assert link["rel"] == "noopener noreferrer"
        assert link["href"].split(":")[0].lower() not in {"javascript", "vbscript", "data", "file"}
    assert all(value == "" for tag, name, value in found.attributes if (tag, name) == ("iframe", "sandbox"))
    html.encode()


@pytest.mark.parametrize("form", ["markdown", "text", "code", "json", "html"])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_reply_is_shown_and_does_nothing(text, form):
    bundle = reply_bundle(Reply(text=text, model=text, form=form, finish_reason="length"), RICH)

    assert_harmless(bundle["text/html"])
    assert "\x1b" not in bundle["text/plain"]
    bundle["text/plain"].encode()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_pieces_and_tables_do_nothing(text):
    assert_harmless(live_bundle(text)["text/html"])

    report = Report([text], [Table(caption=text, columns=(text, "b"), rows=[(text, text)])]).bundle()
    assert_harmless(report["text/html"])
    assert "\x1b" not in report["text/plain"]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.sampled_from([*HOSTILE, "<", ">", "&", '"', "`", "*", "\n", "[", "](", ")", "|", "a"]), max_size=6
    )
)
def test_any_mixture_of_hostile_strings_is_harmless(parts):
    for form in ("markdown", "text", "html"):
        assert_harmless(reply_bundle(Reply(text="".join(parts), form=form), RICH)["text/html"])


def test_a_page_runs_in_a_frame_that_loads_nothing():
    page = Reply(text="```html\n<h1>Hi</h1><script>x()</script>\n```", form="html")

    html = reply_bundle(page, RICH)["text/html"]

    frame = {name: value for tag, name, value in inspect(html).attributes if tag == "iframe"}
    assert frame["sandbox"] == ""
    assert "default-src 'none'" in frame["srcdoc"]
    assert frame["srcdoc"].endswith("<h1>Hi</h1><script>x()</script>")


def test_markdown_is_rendered_and_its_text_stays_beside_it():
    bundle = reply_bundle(Reply(text="**bold** and [x](https://example.org)\n\n| a |\n|---|\n| 1 |"), RICH)

    assert bundle["text/plain"].startswith("**bold** and")
    assert "<strong>bold</strong>" in bundle["text/html"]
    assert (
        '<a href="https://example.org" rel="noopener noreferrer" referrerpolicy="no-referrer">'
        in bundle["text/html"]
    )
    assert "<td>1</td>" in bundle["text/html"]


def test_each_form_is_shown_its_own_way():
    fenced = "Here:\n```python\nprint(1)\n```\nand\n```\nprint(2)\n```"

    assert reply_bundle(Reply(text=fenced, form="code"), RICH)["text/plain"] == "print(1)\n\nprint(2)"
    assert "<pre><code>print(1)" in reply_bundle(Reply(text=fenced, form="code"), RICH)["text/html"]
    pretty = reply_bundle(Reply(text='```json\n{"a": ["é", 1]}\n```', form="json"), RICH)["text/plain"]
    assert json.loads(pretty) == {"a": ["é", 1]}
    assert pretty.startswith('{\n  "a"')
    assert reply_bundle(Reply(text="x^2", form="math"), RICH) == {
        "text/plain": "x^2",
        "text/latex": "$$x^2$$",
    }
    assert reply_bundle(Reply(text="$$x$$", form="math"), RICH)["text/latex"] == "$$x$$"
    assert "<em>" not in reply_bundle(Reply(text="*a*\n  b", form="text"), RICH)["text/html"]


def test_what_is_not_json_is_shown_as_it_came_and_says_so():
    bundle = reply_bundle(Reply(text="sorry", form="json"), RICH)

    assert bundle["text/plain"] == "sorry"
    assert "not JSON, shown as it came" in bundle["text/html"]


def reply(**changes):
    return Reply(
        **{
            "text": "Paris.",
            "model": "gpt-5-mini",
            "usage": Usage(input_tokens=1142, output_tokens=318),
            "duration_s": 1.24,
            "cost_usd": Decimal("0.00071"),
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "gpt-5-mini · 1.2 s · 1,142 in, 318 out · $0.0007"),
        ({"cost_usd": None}, "gpt-5-mini · 1.2 s · 1,142 in, 318 out"),
        ({"cost_usd": Decimal(0)}, "gpt-5-mini · 1.2 s · 1,142 in, 318 out · free"),
        ({"usage": Usage()}, "gpt-5-mini · 1.2 s · $0.0007"),
        ({"attempts": 3}, "gpt-5-mini · 1.2 s · 1,142 in, 318 out · 3 attempts · $0.0007"),
        (
            {"cached": True, "cost_usd": Decimal(0), "saved_usd": Decimal("0.0003")},
            "gpt-5-mini · from cache, saved $0.0003",
        ),
        ({"cached": True, "cost_usd": Decimal(0)}, "gpt-5-mini · from cache"),
        ({"cached": True, "coalesced": True}, "gpt-5-mini · shared with an identical call"),
        ({"cached": True, "stale": True}, "gpt-5-mini · from cache, older than asked for"),
    ],
)
def test_the_footer_says_what_is_known(changes, line):
    assert " · ".join(facts(reply(**changes))) == line


def test_in_static_display_the_footer_is_the_same_for_every_run():
    first = reply_bundle(reply(), STEADY)
    again = reply_bundle(
        reply(duration_s=9.0, cached=True, cost_usd=Decimal(0), saved_usd=Decimal("0.00071"), attempts=0),
        STEADY,
    )

    assert first == again
    assert "gpt-5-mini · 1,142 in, 318 out</p>" in first["text/html"]


def test_a_cut_reply_says_so_even_without_a_footer():
    html = reply_bundle(reply(finish_reason="length"), DisplayOptions(footer=False))["text/html"]

    assert '<p class="foot"><span class="warn">cut at max_tokens</span></p>' in html
    assert "gpt-5-mini" not in html


def test_where_nothing_rich_is_shown_only_the_text_is_made():
    assert reply_bundle(reply(), PLAIN) == {"text/plain": "Paris."}


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        ("1234.5", "$1,234.50"),
        ("1.84", "$1.84"),
        ("0.1", "$0.10"),
        ("0.018", "$0.018"),
        ("0.0007", "$0.0007"),
        ("0.000001", "<$0.0001"),
    ],
)
def test_money_has_the_digits_that_mean_something(usd, text):
    assert money(Decimal(usd)) == text


def test_tables_have_caption_and_scopes():
    html = Table(caption="C", columns=("a", "b"), rows=[("1", "2")]).html()

    assert "<caption>C</caption>" in html
    assert html.count('<th scope="col">') == 2
    assert '<th scope="row">1</th><td>2</td>' in html


def test_a_price_that_is_not_known_is_said_and_never_shown_as_free():
    unpriced = Reply(text="x", model="m", cost_source="unpriced")
    priced = Reply(text="x", model="m", cost_usd=Decimal("0.25"), cost_source="table")

    assert facts(unpriced)[-1] == "price unknown"
    assert facts(unpriced, deterministic=True) == [
        "m",
    ]
    assert facts(priced)[-1] == "$0.25"
