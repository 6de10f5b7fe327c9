"""Tests of spans and metrics, with the OpenTelemetry SDK and its in-memory exporters."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from decimal import Decimal

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import enduser_attributes, gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from opentelemetry.trace import SpanKind, StatusCode
from usage_calls import finished

import ainb
from ainb.config import Config, load_config
from ainb.errors import CircuitOpenError, ConfigError, PermanentProviderError
from ainb.testing import Step, script
from ainb.usage import telemetry
from ainb.usage.columns import COLUMNS
from ainb.usage.rows import Row
from ainb.usage.telemetry import ATTRIBUTES, Telemetry
from tests.fault_server import Fault, FaultServer

SECRET = "sk-proj-Zb7Kq2Lw9Xv4Tn6Rm1Pd"


class World:
    """In-memory exporters of spans and metrics."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider(metric_readers=[self.reader])

    def spans(self):
        return [
            span for span in self.exporter.get_finished_spans() if span.instrumentation_scope.name == "ainb"
        ]

    def points(self):
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        found = data.resource_metrics[0].scope_metrics[0].metrics
        return {metric.name: list(metric.data.data_points) for metric in found}

    def listen(self, **options):
        return Telemetry("session", tracer_provider=self.tracers, meter_provider=self.meters, **options)


@pytest.fixture
def world(monkeypatch):
    """Global providers, which `otel = true` uses by default."""
    made = World()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: made.tracers)
    monkeypatch.setattr(metrics._internal, "get_meter_provider", lambda: made.meters)
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


@pytest.fixture
def session(world):
    with ainb.Session("scripted:echo", config=Config(otel=True)) as made:
        yield made


def test_the_names_are_those_of_the_conventions():
    known = {
        value
        for module in (
            gen_ai_attributes,
            error_attributes,
            http_attributes,
            server_attributes,
            enduser_attributes,
        )
        for value in vars(module).values()
        if isinstance(value, str)
    }
    names = {*ATTRIBUTES.values(), telemetry.TOKEN_TYPE, telemetry.SERVER_ADDRESS, telemetry.SERVER_PORT}

    assert {name for name in names if not name.startswith("ainb.")} <= known
    assert gen_ai_metrics.GEN_AI_CLIENT_OPERATION_DURATION == telemetry.DURATION
    assert gen_ai_metrics.GEN_AI_CLIENT_TOKEN_USAGE == telemetry.TOKENS


def test_every_attribute_is_a_column_and_none_is_forgotten():
    elsewhere = {"started_at", "duration_s", "error_message"}  # the span's own start, end and status

    assert set(ATTRIBUTES) | elsewhere == set(COLUMNS) == set(Row._fields)


def test_a_span_says_what_the_row_says(world):
    world.listen().listener(finished(3, finish_reason="stop", options={"user": "ann"}))

    (span,) = world.spans()
    said = dict(span.attributes)
    assert (span.name, span.kind) == ("chat gpt-5-mini", SpanKind.CLIENT)
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.provider.name"] == "openai"
    assert said["gen_ai.request.model"] == "gpt-5-mini"
    assert said["gen_ai.response.model"] == "gpt-5-mini-2026"
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (10, 3)
    assert said["ainb.cost_usd"] == 0.001
    assert said["enduser.id"] == "ann"
    assert span.end_time - span.start_time == 500_000_000
    assert span.status.status_code is StatusCode.UNSET
    assert not [name for name in said if name.endswith((".messages", "cache_hit", "replayed"))]


def test_the_metrics_are_split_by_model_and_kind_of_token(world):
    listener = world.listen().listener
    listener(finished(3))
    listener(finished(4))

    points = world.points()
    (duration,) = points["gen_ai.client.operation.duration"]
    assert (duration.count, duration.sum) == (2, 1.0)
    assert duration.attributes["gen_ai.request.model"] == "gpt-5-mini"
    assert duration.explicit_bounds[0] == 0.01
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum for point in points["gen_ai.client.token.usage"]
    }
    assert tokens == {"input": 20, "output": 7}


def test_a_call_through_the_pipeline_stands_below_the_span_of_its_caller(world, session):
    with world.tracers.get_tracer("caller").start_as_current_span("mine") as mine:
        session.ask("hello")
        job = session.submit("hello again")
        job.result()

    assert {span.parent.span_id for span in world.spans()} == {mine.get_span_context().span_id}
    assert {span.context.trace_id for span in world.spans()} == {mine.get_span_context().trace_id}


def test_rows_of_a_batch_and_guarded_functions_stand_below_it_too(world, session):
    @session.guard(model="own", cache=False)
    async def own(prompt):
        return prompt

    async def story():
        await own("hi")

    with world.tracers.get_tracer("caller").start_as_current_span("mine") as mine:
        session.map([{"word": "a"}, {"word": "b"}], "say {word}", journal=False)
        asyncio.run(story())

    assert len(world.spans()) == 3
    assert {span.parent.span_id for span in world.spans()} == {mine.get_span_context().span_id}


def test_hits_are_marked_and_their_tokens_are_not_counted_again(world, session):
    session.ask("hello")
    session.ask("hello")

    paid, hit = world.spans()
    assert "ainb.cache_hit" not in paid.attributes
    assert hit.attributes["ainb.cache_hit"] is True
    assert hit.kind is SpanKind.INTERNAL
    counted = world.points()["gen_ai.client.token.usage"]
    assert {point.count for point in counted} == {1}


def test_a_failed_call_is_an_error_with_its_kind_status_and_server(world, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    fault = Fault(status=401, message=f"no such key {SECRET}")
    with FaultServer([fault]) as server:
        config = Config(otel=True, api_base=server.base_url)
        with ainb.Session("openai:m", config=config) as session, pytest.raises(PermanentProviderError):
            session.ask("hello")

    (span,) = world.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert SECRET not in span.to_json()
    assert "answered 401" in span.status.description
    assert span.attributes["error.type"] == "PermanentProviderError"
    assert span.attributes["http.response.status_code"] == 401
    assert span.attributes["server.address"] == "127.0.0.1"
    assert span.attributes["server.port"] == int(server.base_url.split(":")[2].split("/")[0])
    assert span.attributes["ainb.status"] == "error"
    assert (
        world.points()["gen_ai.client.operation.duration"][0].attributes["error.type"]
        == "PermanentProviderError"
    )


def test_a_rejected_call_is_marked_and_went_nowhere(world):
    world.listen().listener(finished(error=CircuitOpenError("open"), attempts=0))

    (span,) = world.spans()
    assert (span.kind, span.status.status_code) == (SpanKind.INTERNAL, StatusCode.ERROR)
    assert span.attributes["ainb.status"] == "rejected"
    assert "server.address" not in span.attributes


def test_a_replayed_call_is_marked(world):
    event = finished(2)
    event.call.replayed = True
    world.listen().listener(event)

    (span,) = world.spans()
    assert span.attributes["ainb.replayed"] is True
    assert span.kind is SpanKind.INTERNAL
    assert "gen_ai.client.token.usage" not in world.points()


def test_a_cancelled_call_is_no_error(world):
    world.listen().listener(finished(error=asyncio.CancelledError()))

    (span,) = world.spans()
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["ainb.status"] == "cancelled"


def test_prompts_and_replies_stay_out_unless_asked_for(world):
    with ainb.Session("scripted:echo", config=Config(otel=True)) as session:
        session.ask("the weather", system="be kind")
        session.record(prompt="the weather", reply="rain", model="m")

    assert "weather" not in "".join(span.to_json() for span in world.spans())


def test_content_is_redacted_and_written_as_the_conventions_say(world):
    script("mild", ["a mild day"])
    config = Config(otel=True, otel_content=True, validation=None)
    with ainb.Session("scripted:mild", config=config) as session:
        session.ask(f"the weather {SECRET}", system="be kind")

    (span,) = world.spans()
    asked = json.loads(span.attributes["gen_ai.input.messages"])
    assert [turn["role"] for turn in asked] == ["system", "user"]
    assert asked[0]["parts"] == [{"type": "text", "content": "be kind"}]
    assert SECRET not in span.to_json()
    assert json.loads(span.attributes["gen_ai.output.messages"])[0]["parts"][0]["content"] == "a mild day"


def test_calls_made_elsewhere_are_spans_too(world, session):
    @session.monitored(operation="text_generation", model="mine")
    def ask(prompt):
        return prompt.upper()

    with world.tracers.get_tracer("caller").start_as_current_span("mine") as mine:
        ask("hello")
        session.record(prompt="hi", reply="ho", model="gpt-4o", provider="openai", cost_usd=Decimal("0.5"))

    first, second = world.spans()
    assert first.attributes["gen_ai.operation.name"] == "text_generation"
    assert second.attributes["ainb.cost_usd"] == 0.5
    assert {span.parent.span_id for span in (first, second)} == {mine.get_span_context().span_id}


class Broken(SpanProcessor):
    def on_start(self, span, parent_context=None):
        raise OSError(f"the collector is gone, Authorization: Bearer {SECRET}")


def test_a_fault_of_the_exporter_fails_no_call_and_is_said_once(world):
    world.tracers.add_span_processor(Broken())
    heard = []
    config = Config(otel=True, cache=None)
    runtime = ainb.assembly.Runtime(sink=heard.append)
    with ainb.Session("scripted:echo", config=config, runtime=runtime) as session:
        assert session.ask("hello").text == session.ask("hello").text == "hello"
        assert len(session.usage(session_id=session.log.session_id)) == 2

    (notice,) = [event for event in heard if getattr(event, "kind", None) == "otel"]
    assert "the collector is gone" in notice.text
    assert SECRET not in notice.text


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://api.openai.com/v1", ("api.openai.com", 443)),
        ("http://127.0.0.1:8000/v1", ("127.0.0.1", 8000)),
        ("https://user:pass@host/v1", ("host", 443)),
        ("scripted:echo", None),
        ("http://[::1", None),
        ("", None),
    ],
)
def test_the_server_is_read_from_the_endpoint(url, server):
    expected = {} if server is None else {"server.address": server[0], "server.port": server[1]}

    assert telemetry.server_of(url) == expected


def test_services_carry_the_names_of_the_conventions(world):
    for provider in ("gemini", "azure", "mistral", "groq"):
        event = finished(1)
        event.call.request = ainb.messages.Request(provider=provider, model="m", messages=())
        world.listen().listener(event)

    names = [span.attributes["gen_ai.provider.name"] for span in world.spans()]
    assert names == ["gcp.gemini", "azure.ai.openai", "mistral_ai", "groq"]


def test_it_is_switched_on_by_the_environment_and_content_not_by_a_project(tmp_path):
    assert load_config(environ={"AINB_OTEL": "1"}, folder=tmp_path).otel
    assert not load_config(environ={}, folder=tmp_path).otel
    (tmp_path / "pyproject.toml").write_text("[tool.ainb]\notel = true\n")
    assert load_config(environ={}, folder=tmp_path).otel
    (tmp_path / "pyproject.toml").write_text("[tool.ainb]\notel_content = true\n")
    with pytest.raises(ConfigError, match="otel_content, which only you may set"):
        load_config(environ={}, folder=tmp_path)


def run(code, **environ):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ},
    )


def test_nothing_of_opentelemetry_is_imported_when_unused():
    code = (
        "import sys, ainb\n"
        "with ainb.Session('scripted:echo') as session:\n"
        "    session.ask('hi')\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    assert run(code).stdout.strip() == "[]"


def test_without_the_package_it_is_said_at_start_which_extra_is_missing():
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import ainb\n"
        "try:\n"
        "    ainb.Session('scripted:echo')\n"
        "except ainb.ConfigError as error:\n"
        "    print(error)"
    )
    said = run(code, AINB_OTEL="1").stdout
    assert "pip install 'ainb-notebook[otel]'" in said
    assert said.count("\n") == 1


def test_attempts_that_failed_before_the_answer_are_counted_in_one_span(world):
    script("shaky", [Step(status=503), "fine"])
    config = Config(otel=True, retry=ainb.Retry(base_seconds=0.001, max_seconds=0.001))
    with ainb.Session("scripted:shaky", config=config) as session:
        session.ask("hello")

    (span,) = world.spans()
    assert span.attributes["ainb.attempts"] == 2
