"""Tests of redaction of the user's key where it is split or encoded, in plain and streamed text."""

from __future__ import annotations

import html
import itertools
import json
import random
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.messages import Call, CallOptions, Message, Reply, Request
from ainb.pipeline.validation.key_filter import KeyFilter, OwnKeyStage
from ainb.pipeline.validation.options import Validation
from ainb.pipeline.validation.validator import Validator
from ainb.redaction.filter import find, find_known, may_hold, redact
from ainb.redaction.split_keys import find_split
from tests.made_up_secrets import ALNUM

RNG = random.Random(9)
# Not in the format of a provider, so that it is found by its variable only; with characters that URLs encode.
KEY = "gw7." + "".join(RNG.choices(ALNUM, k=20)) + "+/-_" + "".join(RNG.choices(ALNUM, k=20)) + "=="
NO_WIDTH = "\u00ad\u034f\u061c\u200b\u200c\u200d\u200e\u2060\u2063\ufeff\ufe0f\U000e0041"
BREAKS = (
    "\n",
    "\r\n",
    "\n    ",
    " \\\n  ",
    "\n\n",
    "=\n",
    "\n> ",
    "\n# ",
    "\n * ",
    '"\n"',
    "' +\n    '",
    '" \\\n    "',
    "\u2028",
    "\x0b",
    "\\n",
    "\\r\\n",
    "\\n    ",
    "<br>",
    "<wbr/>",
    "&shy;",
    "&#8203;",
    "\\u200b",
    "\\u00ad",
)
PLACES = (1, 4, 16, len(KEY) // 2, len(KEY) - 3)


def every_character_encoded(text):
    return "".join(f"%{ord(letter):02X}" for letter in text)


ENCODED = {
    "signs": urllib.parse.quote(KEY, safe=""),
    "signs in small letters": urllib.parse.quote(KEY, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "everything": every_character_encoded(KEY),
    "everything, twice": urllib.parse.quote(every_character_encoded(KEY), safe=""),
    "every other": "".join(
        every_character_encoded(letter) if at % 2 else letter for at, letter in enumerate(KEY)
    ),
    "a query": urllib.parse.urlencode({"key": KEY}),
    "soft hyphens everywhere": "\u00ad".join(KEY),
    "no width everywhere": "".join(letter + RNG.choice(NO_WIDTH) for letter in KEY),
    "no width in JSON": json.dumps("\u200b".join(KEY)),
    "lines of eight": "\n".join(KEY[at : at + 8] for at in range(0, len(KEY), 8)),
    "both": "\u200b".join(urllib.parse.quote(KEY, safe="")[:20])
    + "\n"
    + urllib.parse.quote(KEY, safe="")[20:],
}


@pytest.fixture(autouse=True)
def own_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def split(mark, place):
    return KEY[:place] + mark + KEY[place:]


SPLIT = [split(mark, place) for mark, place in itertools.product((*NO_WIDTH, *BREAKS), PLACES)]


@pytest.mark.parametrize("before", ["", "see ", 'x = "', "https://example.org/?k="])
def test_a_key_that_is_split_or_encoded_is_found_whole(before):
    for form in (*SPLIT, *ENCODED.values()):
        text = f"{before}{form} and more"

        assert may_hold(text), form
        left = redact(text)
        assert "[redacted OPENAI_API_KEY]" in left, form
        assert not any(KEY[at : at + 6] in left for at in range(len(KEY) - 5)), form


def test_only_the_key_is_taken_out():
    for form in SPLIT:
        assert redact(f"before {form} after") == "before [redacted OPENAI_API_KEY] after"


def test_two_keys_in_one_text_are_found_both():
    text = f"{SPLIT[0]} then {KEY} then {SPLIT[-1]}"

    assert redact(text) == " then ".join(["[redacted OPENAI_API_KEY]"] * 3)


def test_half_a_key_and_another_text_are_left_alone():
    for text in (KEY[:20], f"{KEY[:20]}\nX{KEY[20:]}", KEY.swapcase(), f"{KEY[:20]}, {KEY[20:]}"):
        assert find_known(text) == []


@pytest.mark.parametrize("mark", ["=\n", "=\r\n"])
@pytest.mark.parametrize(
    "key", ["sk-made-up=0123456789abcdef", "made=up==0123456789ABCDEF==", "sk0123456789abcdef="]
)
def test_a_key_with_equals_signs_is_found_in_a_mail_wherever_its_lines_end(key, mark):
    values = {key: "MADE_UP"}
    for first in range(1, len(key)):
        for second in range(first, len(key)):
            form = key[:first] + mark + key[first:second] + mark[1:] + key[second:]
            text = f"before {form} after"
            places = find_split(text, values)
            assert any(start <= 7 and end >= 7 + len(form) for start, end, _ in places), form


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, len(KEY) - 1), st.sampled_from([*NO_WIDTH, *BREAKS])), max_size=6),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_places_are_right_whatever_stands_around(splits, before, after):
    form = KEY
    for place, mark in sorted(splits, reverse=True):
        form = form[:place] + mark + form[place:]
    text = f"{before} {form} {after}"

    places = [(start, end) for start, end, name in find(text) if name == "OPENAI_API_KEY"]
    assert any(start <= len(before) + 1 and end >= len(before) + 1 + len(form) for start, end in places)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_of_a_stream_no_part_of_a_split_key_is_shown(size):
    for form in (KEY, *SPLIT[::3], *ENCODED.values()):
        text = f"You sent {form}, did you not?"
        shown = []
        stream = KeyFilter({KEY: "OPENAI_API_KEY"}, shown.append)
        for at in range(0, len(text), size):
            stream.feed(text[at : at + size])
        stream.end()

        assert "".join(shown) == redact(text), form
        assert "[redacted OPENAI_API_KEY]" in "".join(shown)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.text(max_size=8)
        | st.sampled_from([KEY[:9], KEY[:3], "\n", "%", "%2", "\\", "\\u20", "&", '"', "<b"])
    )
)
def test_a_stream_without_a_key_is_shown_whole(pieces):
    shown = []
    stream = KeyFilter({KEY: "OPENAI_API_KEY"}, shown.append)
    for piece in pieces:
        stream.feed(piece)
    stream.end()

    assert "".join(shown) == "".join(pieces)


class Nobody:
    """A provider to which nothing is sent."""

    name, free = "scripted", True


def call_of(*messages, **parameters):
    request = Request(
        provider="openai", model="m", messages=messages or (Message("user", "x"),), parameters=parameters
    )
    return Call(request=request, provider=Nobody(), options=CallOptions())


FORMS = {"whole": KEY, "soft hyphens": ENCODED["soft hyphens everywhere"], "encoded": ENCODED["everything"]}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "part", [{"url": "https://example.org/x.png?k={}"}, "https://example.org/{}/x.png"], ids=str
)
def test_an_own_key_in_the_url_of_a_picture_is_not_sent(form, part):
    url = {"url": part["url"].format(form)} if isinstance(part, dict) else part.format(form)
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": url}]

    review = Validator(Validation()).review(call_of(Message("user", content)))

    sent = json.dumps(review.request.messages[0].content, ensure_ascii=False)
    assert "[redacted OPENAI_API_KEY]" in sent
    assert form not in sent
    assert KEY not in urllib.parse.unquote(sent).replace("\u00ad", "")
    assert review.notes


def test_a_signature_in_the_url_of_a_picture_stays_for_the_provider_to_use():
    url = "https://x.blob.core.windows.net/y.png?" + "sig=" + "a1" * 30
    content = [{"type": "image_url", "image_url": {"url": url}}]
    call = call_of(Message("user", content))

    assert Validator(Validation()).review(call).request is call.request


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_own_key_in_the_name_of_a_parameter_is_not_sent(form):
    call = call_of(metadata={form: 1, "deep": [{f"x {form}": {"y": form}}], "plain": 2})

    sent = Validator(Validation()).review(call).request.parameters
    assert sent == {
        "metadata": {
            "[redacted OPENAI_API_KEY]": 1,
            "deep": [{"x [redacted OPENAI_API_KEY]": {"y": "[redacted OPENAI_API_KEY]"}}],
            "plain": 2,
        }
    }


def test_names_that_become_the_same_lose_no_entry():
    sent = Validator(Validation()).review(call_of(a={KEY: 1, SPLIT[0]: 2, "x": 3})).request.parameters

    assert sent["a"] == {"[redacted OPENAI_API_KEY]": 1, "[redacted OPENAI_API_KEY] 2": 2, "x": 3}


@pytest.mark.parametrize("form", [KEY, *SPLIT[::7], *ENCODED.values(), html.escape(KEY)])
def test_a_server_that_repeats_the_key_anywhere_in_its_reply_shows_it_nowhere(form):
    reply = Reply(
        text=f"you are {form}",
        model=f"m-{form}",
        provider="openai",
        finish_reason=form,
        request_id=f"req {form}",
        headers={"x-ratelimit-key": form, f"x-ratelimit-{form}": "1"},
    )
    call = call_of()

    async def proceed(_call):
        return reply

    running = OwnKeyStage()(call, proceed)
    with pytest.raises(StopIteration) as done:
        running.send(None)

    shown = done.value.value
    texts = [
        shown.text,
        shown.model,
        shown.finish_reason,
        shown.request_id,
        *shown.headers,
        *shown.headers.values(),
    ]
    assert all(form not in text and redact(text) == text for text in texts)
    assert sum("[redacted OPENAI_API_KEY]" in text for text in texts) == 6
    assert call.notes == ["the reply repeated the value of OPENAI_API_KEY; it was redacted"]


PLACES_OF_A_REPLY = ("text", "model", "finish_reason", "request_id", "name of a header", "header")


@pytest.mark.parametrize("place", PLACES_OF_A_REPLY)
def test_a_key_in_any_one_text_of_a_reply_is_found(place):
    for form in (KEY, *SPLIT, *ENCODED.values()):
        texts = dict.fromkeys(PLACES_OF_A_REPLY[:4], "plain") | {place: f"x {form}"}
        header = {texts.pop("name of a header", "x-limit"): texts.pop("header", "1")}
        reply = Reply(**texts, provider="openai", headers=header)

        shown = OwnKeyStage()._clean(call_of(), reply)

        header = next(iter(shown.headers.items()))
        found = (shown.text, shown.model, shown.finish_reason, shown.request_id, *header)
        assert "[redacted OPENAI_API_KEY]" in found[PLACES_OF_A_REPLY.index(place)], form
