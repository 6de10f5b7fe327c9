"""Tests of the cost forecast of a batch: accuracy within a factor of two, and confirmation above a limit."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal

import pytest

import ainb
from ainb import Budget, pricing, tokens
from ainb.batch.forecast.past_outputs import FILE_NAME
from ainb.errors import BudgetExceededError, ConfigError, NotConfirmedError
from ainb.events import Notice
from ainb.messages import Message, Request
from ainb.pipeline.answer import read_schema
from ainb.pricing.expected import expected_output
from ainb.pricing.reply_size import LEAST_LIMIT, reply_size
from ainb.runtime import Runtime
from tests.fault_server import Fault, FaultServer

REVIEWS = [
    "The soup was cold and the waiter forgot our order twice, so we will not come back.",
    "Great value, friendly staff, and the view from the terrace is worth the climb.",
    "It does what it says. Nothing special, but the battery lasts for two days.",
    "Arrived late and with a scratch on the lid. Support answered within an hour and sent a new one.",
    "I have used it every morning since March, and it still looks and works as on the first day.",
]
ARTICLE = " ".join(REVIEWS * 8)
ARTICLES = [f"{place}. {ARTICLE}" for place in range(3)]
GERMAN = "Die Suppe war kalt und der Kellner hat unsere Bestellung zweimal vergessen, also kommen wir nicht wieder."
SUMMARY = (
    "Guests praise the friendly staff, the view and the value for money, and several say that the product lasts "
    "and works well for months. Complaints are about cold food, forgotten orders, late deliveries and scratches; "
    "support usually answers quickly and replaces what is broken."
)
REASON = "The reviewer complains about cold food and forgotten orders and says that they will not return."
EMAIL = " ".join(
    [
        "Dear customer, thank you for your message. We are sorry that the delivery was late and that the lid came",
        "with a scratch. A new lid is on its way to you and should arrive within three working days. There is no",
        "need to return the old one. If anything else is missing or does not work as you expect, please reply to",
        "this message or call us between nine and five. As a small apology we have added a voucher to your account,",
        "which you can use for your next order until the end of the year. Kind regards, the support team",
    ]
    * 2
)
LABEL = "label: positive|negative|neutral"

# Template, schema, rows, a typical reply, thinking tokens, model.
PAIRS = [
    ("Classify: {value}", LABEL, REVIEWS, '{"label":"negative"}', 0, "openai:gpt-4o-mini"),
    ("Classify: {value}", LABEL, REVIEWS, '{"label":"negative"}', 320, "openai:gpt-5-mini"),
    ("Classify: {value}", LABEL, REVIEWS, '{"label":"negative"}', 0, "anthropic:claude-haiku-4-5"),
    ("Classify: {value}", LABEL, REVIEWS, '{\n  "label": "neutral"\n}', 0, "groq:llama-3.3-70b-versatile"),
    ("Rate it: {value}", "score: int 0..10", REVIEWS, '{"score":3}', 0, "openai:gpt-4o"),
    ("Rate it: {value}", f"{LABEL}, score: float 0..1", REVIEWS, '{"label":"negative","score":0.92}', 0, "mistral:mistral-small-latest"),
    ("Label it: {value}", f"{LABEL}, reason: str", REVIEWS, json.dumps({"label": "negative", "reason": REASON}), 0, "openai:gpt-4o-mini"),
    ("Label it: {value}", f"{LABEL}, reason: str", REVIEWS, json.dumps({"label": "negative", "reason": REASON}), 450, "openai:gpt-5-nano"),
    ("Extract names: {value}", "names: [str]", REVIEWS, '{"names":["Anna Schmidt","Acme Ltd","Berlin"]}', 0, "openai:gpt-4o-mini"),
    ("Extract: {value}", "product: str, price: float?, date: date?, city: str?", REVIEWS, '{"product":"kettle","price":29.9,"date":"2026-03-01","city":"Leeds"}', 0, "anthropic:claude-haiku-4-5"),
    ("Is it a complaint? {value}", "complaint: bool, urgent: bool", REVIEWS, '{"complaint":true,"urgent":false}', 0, "deepseek:deepseek-chat"),
    ("Answer yes or no: is this a complaint? {value}", None, REVIEWS, "Yes", 0, "openai:gpt-4o-mini"),
    ("Classify as positive or negative, answer with one word: {value}", None, REVIEWS, "negative", 0, "anthropic:claude-haiku-4-5"),
    ("Classify as positive or negative, answer with one word: {value}", None, REVIEWS, "negative", 256, "openai:gpt-5-mini"),
    ("Summarize in one sentence: {value}", None, ARTICLES, SUMMARY.split(";", maxsplit=1)[0][:170], 0, "openai:gpt-4o-mini"),
    ("Summarize: {value}", None, ARTICLES, SUMMARY, 0, "openai:gpt-4o"),
    ("Summarize: {value}", None, ARTICLES, SUMMARY, 0, "anthropic:claude-sonnet-4-5"),
    ("Translate into German: {value}", None, REVIEWS, GERMAN, 0, "openai:gpt-4o-mini"),
    ("Translate into German: {value}", None, REVIEWS, GERMAN, 0, "mistral:mistral-small-latest"),
    ("Write a headline for: {value}", None, REVIEWS, "Cold Soup, Forgotten Orders: A Disappointing Night Out", 0, "openai:gpt-4o"),
    ("Give 3 bullet points on: {value}", None, REVIEWS, "- The soup was served cold to the guests\n- The waiter forgot the order two times\n- The guests do not plan to come back again", 0, "groq:llama-3.3-70b-versatile"),
    ("Answer this customer in a friendly email: {value}", None, REVIEWS, EMAIL, 0, "openai:gpt-4o-mini"),
    ("Rewrite it politely: {value}", None, REVIEWS, REVIEWS[0], 0, "anthropic:claude-haiku-4-5"),
    ("Tag it: {value}", {"type": "array", "items": {"enum": ["food", "service", "price", "quality"]}, "maxItems": 4}, REVIEWS, '["food","service"]', 0, "openai:gpt-4o-mini"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for service in ("OPENAI", "ANTHROPIC", "GROQ", "MISTRAL", "DEEPSEEK"):
        monkeypatch.setenv(f"{service}_API_KEY", "sk-made-up-0123456789")


def answer(service, text, thinking, read):
    written = tokens.count_tokens(text) + 2 + thinking
    if service == "anthropic":
        usage = {"input_tokens": read, "output_tokens": written}
        return {
            "type": "message", "model": "m", "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "usage": usage,
        }  # fmt: skip
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"model": "m", "choices": [choice], "usage": usage}


def replies(service, text, thinking):
    def play(seen):
        body = seen.body
        schemas = [body.get("response_format"), body.get("output_config"), *body.get("tools", ())]
        schema = next((json.dumps(item) for item in schemas if item), "")
        read = sum(
            tokens.count_tokens(turn["content"]) + 4 for turn in body["messages"]
        ) + tokens.count_tokens(schema)
        is_wrapped = '"value"' in schema and text.startswith("[")
        said = json.dumps({"value": json.loads(text)}) if is_wrapped else text
        return Fault(body=answer(service, said, thinking, read))

    return play


def forecast_and_cost(pair, home):
    template, schema, rows, text, thinking, model = pair
    service, events = model.partition(":")[0], []
    with (
        FaultServer(replies(service, text, thinking)) as server,
        ainb.Session(
            model,
            api_base=server.base_url,
            home=home,
            cache=None,
            retry=None,
            runtime=Runtime(sink=events.append),
        ) as session,
    ):
        options = {} if schema is None else {"schema": schema}
        frame = session.map(rows, template, watcher=lambda _: None, resume=False, **options)
    assert set(frame["status"]) == {"ok"}, frame["error_message"].tolist()
    (said,) = [event.text for event in events if isinstance(event, Notice) and event.kind == "forecast"]
    likely, low, high = (Decimal(part) for part in _dollars(said))
    return likely, low, high, Decimal(str(frame["cost_usd"].sum()))


def _dollars(text):
    return [word.strip("$(),") for word in text.split() if word.strip("(").startswith("$")]


def test_the_likely_cost_is_within_a_factor_of_two_for_nine_of_ten(tmp_path):
    assert len(PAIRS) >= 20
    for run in ("fresh home", "second run"):
        off = {}
        for place, pair in enumerate(PAIRS):
            likely, _, _, cost = forecast_and_cost(pair, tmp_path / str(place))
            if not cost / 2 <= likely <= cost * 2:
                off[pair[0], pair[-1]] = (likely, cost)
        assert len(off) <= len(PAIRS) // 10, (run, off)


def test_the_range_is_useful_and_holds_the_cost_in_a_second_run(tmp_path):
    for place, pair in enumerate(PAIRS[::4]):
        forecast_and_cost(pair, tmp_path / str(place))
        likely, low, high, cost = forecast_and_cost(pair, tmp_path / str(place))
        assert low < likely < high <= 2 * low
        assert low <= cost <= high, pair[0]


def test_past_outputs_of_a_schema_count_for_another_template(tmp_path):
    long = json.dumps({"label": "negative", "reason": REASON * 12})
    pair = ("Judge: {value}", f"{LABEL}, reason: str", REVIEWS, long, 0, "openai:gpt-4o-mini")
    forecast_and_cost(pair, tmp_path)

    likely, _, _, cost = forecast_and_cost(("What is it: {value}", *pair[1:]), tmp_path)

    assert cost / 2 <= likely <= cost * 2


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": 9}', b'{"version": 1, "outputs": {"a": [1]}}', b"\xff"]
)
def test_an_unreadable_file_of_past_outputs_is_ignored(content, tmp_path):
    (tmp_path / FILE_NAME).write_bytes(content)
    likely, _, _, cost = forecast_and_cost(PAIRS[0], tmp_path)
    assert cost / 2 <= likely <= cost * 2
    assert json.loads((tmp_path / FILE_NAME).read_bytes())["version"] == 1


def test_rows_that_are_alike_are_counted_once(tmp_path):
    pair = (*PAIRS[0][:2], ["a", "b"] * 10, *PAIRS[0][3:])
    likely, _, _, cost = forecast_and_cost(pair, tmp_path)
    assert cost / 2 <= likely <= cost * 2


def test_the_forecast_counts_schema_and_system_message(tmp_path):
    events = []
    with ainb.Session("scripted:echo", home=tmp_path, runtime=Runtime(sink=events.append)) as session:
        session.map(
            [f"{n}" for n in range(10)],
            "Label {value}",
            schema=LABEL,
            system="Be brief.",
            watcher=print,
            resume=False,
        )
        request = session.make_call("Label 1", schema=LABEL, system="Be brief.").request

    (said,) = [event.text for event in events if isinstance(event, Notice) and event.kind == "forecast"]
    assert f"about {10 * tokens.count_request(request).tokens:,} tokens in" in said


# Confirmation


def batch(tmp_path, model="openai:gpt-4o", *, server, answer=None, config=None, rows=5, data=None, **options):
    asked = []

    def confirm(question):
        asked.append(question)
        return answer

    with ainb.Session(
        model,
        api_base=server.base_url,
        home=tmp_path,
        cache=None,
        config=config,
        runtime=Runtime(confirm=confirm),
    ) as session:
        try:
            frame = session.map(
                data or [f"{row} " + "long " * 2_000 for row in range(rows)],
                "Classify: {value}",
                schema=LABEL,
                **options,
            )
        except NotConfirmedError as error:
            return error, asked, len(server.requests)
        return frame, asked, len(server.requests)


@pytest.fixture
def server():
    with FaultServer(replies("openai", '{"label":"neutral"}', 0)) as made:
        yield made


@pytest.mark.parametrize("limit", [0.01, "0.01", Decimal("0.01"), "$0.01"])
def test_a_batch_above_the_limit_is_sent_after_a_yes(limit, tmp_path, server):
    frame, asked, sent = batch(tmp_path, server=server, answer=True, confirm_above_usd=limit)
    assert len(frame) == sent == 5
    (question,) = asked
    assert "more than confirm_above_usd = $0.01" in question


def test_a_batch_above_the_limit_is_not_sent_after_a_no(tmp_path, server):
    error, _, sent = batch(tmp_path, server=server, answer=False, confirm_above_usd=0.01)
    assert "was not confirmed" in str(error)
    assert sent == 0


def test_without_a_way_to_confirm_the_error_has_a_fix(tmp_path, server):
    error, _, sent = batch(tmp_path, server=server, answer=None, confirm_above_usd=0.01)
    assert "nobody could be asked" in str(error)
    assert sent == 0
    enough = Decimal(str(error).rpartition("confirm_above_usd=")[2].rstrip(")"))

    frame, asked, _ = batch(tmp_path, server=server, confirm_above_usd=enough)
    assert len(frame) == 5
    assert not asked


def test_the_configured_limit_counts_and_the_runs_own_comes_first(tmp_path, server, monkeypatch):
    monkeypatch.setenv("AINB_CONFIRM_ABOVE_USD", "0.01")
    error, _, _ = batch(tmp_path, server=server)
    assert isinstance(error, NotConfirmedError)
    frame, _, _ = batch(tmp_path, server=server, confirm_above_usd=10)
    assert len(frame) == 5


@pytest.mark.parametrize("what", ["iterator", "no price"])
def test_a_cost_that_is_not_known_has_to_be_confirmed(what, tmp_path, server):
    model = "openai:gpt-4o" if what == "iterator" else "openai:a-model-nobody-sells"
    data = iter(REVIEWS) if what == "iterator" else REVIEWS
    error, asked, sent = batch(tmp_path, model, server=server, data=data, confirm_above_usd=5)
    assert "not known" in asked[0]
    assert isinstance(error, NotConfirmedError)
    assert sent == 0


def test_no_confirmation_is_needed_below_the_limit_and_for_free_models(tmp_path, server):
    assert batch(tmp_path, server=server, rows=1, confirm_above_usd=5)[1] == []
    with ainb.Session("scripted:echo", home=tmp_path, cache=None) as session:
        assert len(session.map(["a"], "{value}", confirm_above_usd=0)) == 1


@pytest.mark.parametrize("wrong", ["many", -1, "nan", True])
def test_a_limit_that_is_no_amount_is_refused(wrong, tmp_path, server):
    with pytest.raises(ConfigError, match="confirm_above_usd"):
        batch(tmp_path, server=server, confirm_above_usd=wrong)


# Output limits from schemas


BOUNDED = [
    LABEL,
    "score: int 0..10",
    "score: float 0..1",
    "ok: bool",
    "day: date",
    f"{LABEL}, score: int 0..10, ok: bool?",
    {"type": "string", "maxLength": 20},
    {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 5},
    {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True},
    {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    {"$ref": "#/$defs/A", "$defs": {"A": {"enum": ["x", "yes"]}}},
    {"const": "x"},
]
UNBOUNDED = [
    "why: str",
    "tags: [str]",
    "tags: [int]",
    {"type": "object"},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": True},
    {"type": "string", "maxLength": 100_000},
    {"type": "array", "items": {"type": "string", "maxLength": 5}},
    {},
    {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}},
    {"anyOf": [{"type": "integer"}, {"type": "string"}]},
]


@pytest.mark.parametrize("schema", BOUNDED, ids=str)
def test_a_schema_that_bounds_its_reply_gives_the_limit(schema):
    limit = reply_size(read_schema(schema).json_schema).limit
    assert limit is not None
    assert LEAST_LIMIT <= limit < 1_000


@pytest.mark.parametrize("schema", UNBOUNDED, ids=str)
def test_a_schema_that_does_not_bound_its_reply_gives_none(schema):
    assert reply_size(schema if isinstance(schema, dict) else read_schema(schema).json_schema).limit is None


@pytest.mark.parametrize("schema", BOUNDED[:6], ids=str)
@pytest.mark.parametrize("indent", [None, 2, 4])
def test_every_matching_reply_keeps_the_limit(schema, indent):
    found = read_schema(schema).json_schema
    properties = found["properties"]
    values = [
        item.get("enum") or [item.get("maximum", 1), 0.123456789012, True, "2026-12-31"]
        for item in properties.values()
    ]
    limit = reply_size(found).limit
    for chosen in itertools.product(*values):
        text = json.dumps(dict(zip(properties, chosen, strict=True)), indent=indent)
        assert tokens.count_tokens(f"```json\n{text}\n```") < limit


@pytest.mark.parametrize("service", ["openai", "anthropic"])
def test_under_a_hard_budget_the_schemas_limit_is_reserved_and_sent(service, tmp_path):
    model = {"openai": "openai:gpt-4o", "anthropic": "anthropic:claude-sonnet-4-5"}[service]
    with (
        FaultServer(replies(service, '{"label":"neutral"}', 0)) as server,
        ainb.Session(
            model,
            api_base=server.base_url,
            home=tmp_path,
            cache=None,
            budget=Budget(usd="0.02", per="session"),
        ) as session,
    ):
        frame = session.map(REVIEWS * 4, "Classify: {value}", schema=LABEL, resume=False)
        body = server.requests[0].body
        spent = session.budget_status()[0].spent_usd

    assert set(frame["status"]) == {"ok"}
    assert body["max_tokens"] == reply_size(read_schema(LABEL).json_schema).limit
    assert 0 < spent <= Decimal("0.02")


def test_the_room_for_thinking_is_added(tmp_path):
    request = Request(
        provider="openai", model="gpt-5-mini", messages=(Message("user", "x"),), schema=read_schema(LABEL)
    )
    limit = pricing.quote(pricing.Prices(), request).output_limit
    assert limit == reply_size(request.schema.json_schema).limit + 8_192


@pytest.mark.parametrize("budget", [{"budget_usd": "0.002"}, {}])
@pytest.mark.parametrize("many", [False, True])
def test_a_budget_below_the_cost_of_a_reply_names_the_limit_that_fits(budget, many, tmp_path):
    config = None if budget else Budget(usd="0.002", per="session")
    with (
        FaultServer(replies("openai", "fine", 0)) as server,
        ainb.Session(
            "openai:gpt-4o", api_base=server.base_url, home=tmp_path, cache=None, budget=config
        ) as session,
    ):
        if many:
            text = session.map(["a"], "Tell me of {value}", resume=False, **budget)["error_message"][0]
        else:
            with pytest.raises(BudgetExceededError) as caught:
                session.ask("Tell me of it", **budget)
            text = str(caught.value)
        fits = int(text.partition("Give --max-tokens ")[2].partition(",")[0])
        assert session.ask("Tell me of it", max_tokens=fits, **budget).text == "fine"

    assert fits >= 100


@pytest.mark.parametrize(
    ("prompt", "least", "most"),
    [
        ("Answer with one word: {x}", 1, 10),
        ("Describe it in 50 words", 50, 90),
        ("Explain it in two sentences.", 40, 80),
        ("List 5 ideas", 80, 160),
        ("Write three paragraphs", 250, 450),
        ("What is love?", 200, 300),
    ],
)
def test_the_expected_length_of_a_reply_is_read_from_the_prompt(prompt, least, most):
    request = Request(provider="openai", model="gpt-4o", messages=(Message("user", prompt),))
    assert least <= expected_output(request).tokens <= most


def test_the_requests_own_limit_bounds_what_is_expected():
    request = Request(
        provider="openai", model="gpt-4o", messages=(Message("user", "hi"),), parameters={"max_tokens": 7}
    )
    assert expected_output(request).tokens == 7
    assert expected_output(request, past=900).tokens == 7
