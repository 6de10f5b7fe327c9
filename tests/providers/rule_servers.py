"""HTTP servers on loopback with the refusals of a model family, and the error bodies of the real services.

    with RuleServer("gpt-6-sol") as server:
        session.ask("hi", model="openai:gpt-6-sol", api_base=server.base_url, temperature=0)
    assert [seen.body.keys() for seen in server.requests]

The rules follow the providers' documents and do not use ainb's tables, so that an error there is detected. A
server answers a schema with a value of that schema, thinks if the model does (tokens, and empty thinking
blocks for Claude), and cuts a reply if the output limit leaves no room for text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests import anthropic_speaker
from tests.fault_server import Fault, FaultServer, Seen

Json = dict[str, Any]
Rule = Callable[[Json], Fault | None]
SAMPLING = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)
THOUGHT = 40  # output tokens that a thinking model uses before its text


class RuleServer(FaultServer):
    """A server that answers as a model of one family.

    Args:
        family: Key of `FAMILIES`, or a list of rules.
        thinks: With a list of rules: whether the model thinks before it answers.
    """

    def __init__(self, family: str | list[Rule], *, thinks: bool = False, **options: Any) -> None:
        self.rules, self.thinks = (
            (FAMILIES[family], family in THINKING) if isinstance(family, str) else (family, thinks)
        )
        self.refusals: list[str] = []
        self.answered: list[Json] = []
        super().__init__(self._play_rules, **options)

    def _play_rules(self, seen: Seen) -> Fault:
        body = seen.body
        for rule in self.rules:
            refusal = rule(body)
            if refusal is not None:
                self.refusals.append(json.dumps(refusal.body, default=str))
                return refusal
        self.answered.append(body)
        speak = _claude_answer if seen.path.partition("?")[0].endswith("/messages") else _openai_answer
        return speak(body, thinks=self.thinks)


def sample(schema: Any, root: Any = None) -> Any:
    """A value of a JSON schema."""
    root = schema if root is None else root
    if not isinstance(schema, Mapping):
        return "x"
    if "$ref" in schema:
        return sample(_target(schema["$ref"], root), root)
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return None if branches[-1].get("type") == "null" else sample(branches[0], root)
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    return values[0] if values else _sample_of_type(schema, root)


def _target(reference: str, root: Any) -> Any:
    for part in reference.lstrip("#/").split("/"):
        root = root[part] if part else root
    return root


def _sample_of_type(schema: Mapping[str, Any], root: Any) -> Any:
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        return None if "null" in kind else sample({**schema, "type": kind[0]}, root)
    if kind == "object":
        wanted = schema.get("required", [])
        return {
            name: sample(item, root) for name, item in schema.get("properties", {}).items() if name in wanted
        }
    if kind == "array":
        return [sample(schema.get("items", {}), root)]
    least = schema.get("minimum", 1)
    values: Json = {
        "string": "x",
        "integer": int(least),
        "number": float(least),
        "boolean": True,
        "null": None,
    }
    return values[kind]


# --- answers


def _openai_answer(body: Json, *, thinks: bool) -> Fault:
    form = body.get("response_format") or {}
    text = (
        json.dumps(sample(form["json_schema"]["schema"]))
        if form.get("type") == "json_schema"
        else "an answer"
    )
    if form.get("type") == "json_object":
        text = json.dumps(sample(_schema_in_prompt(body)))
    thought = THOUGHT if thinks and body.get("reasoning_effort") != "none" else 0
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or 10_000
    cut = limit <= thought
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": min(limit, thought + 5),
        "total_tokens": 10 + min(limit, thought + 5),
        "completion_tokens_details": {"reasoning_tokens": min(limit, thought)},
    }
    reason = "length" if cut else "stop"
    text = "" if cut else text
    head = {"id": "c", "model": body["model"]}
    if not body.get("stream"):
        message = {"role": "assistant", "content": text}
        if thought:
            message["reasoning"] = "I weighed it."
        choice = {"index": 0, "message": message, "finish_reason": reason}
        return Fault(body={**head, "object": "chat.completion", "choices": [choice], "usage": usage})
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning": piece} for piece in ("I weighed", " it.")] if thought else []
    deltas += [{"content": text[at : at + 4]} for at in range(0, len(text), 4)]
    chunks: list[Json] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**head, "choices": [], "usage": usage})
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    return Fault(body=events.encode(), headers={"content-type": "text/event-stream"})


def _schema_in_prompt(body: Json) -> Any:
    """The schema in the text of a prompt, for a model without structured output."""
    for message in body["messages"]:
        for found in re.finditer(r"\{", str(message["content"])):
            try:
                value, _ = json.JSONDecoder().raw_decode(str(message["content"])[found.start() :])
            except ValueError:
                continue
            if "type" in value or "properties" in value or "anyOf" in value:
                return value
    raise AssertionError("no schema in the prompt")


def _claude_answer(body: Json, *, thinks: bool) -> Fault:
    form = (body.get("output_config") or {}).get("format")
    choice = body.get("tool_choice") or {}
    content: list[Json] = [{"type": "text", "text": "an answer"}]
    if form:
        content = [{"type": "text", "text": json.dumps(sample(form["schema"]))}]
    elif body.get("tools") and choice.get("type") != "none":
        tool = body["tools"][-1]
        content = [
            {"type": "tool_use", "id": "t1", "name": tool["name"], "input": sample(tool["input_schema"])}
        ]
    kind = (body.get("thinking") or {}).get("type")
    thinking = kind in {"adaptive", "enabled", "between_tools"} or (thinks and kind != "disabled")
    thought = THOUGHT if thinking else 0
    cut = body["max_tokens"] <= thought
    if thinking:
        content = [{"type": "thinking", "thinking": "", "signature": "sig"}, *([] if cut else content)]
    output = min(body["max_tokens"], thought + 5)
    reason = "max_tokens" if cut else ("tool_use" if content[-1]["type"] == "tool_use" else "end_turn")
    usage = {
        "input_tokens": 10,
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": thought},
    }
    head = {"id": "m", "type": "message", "role": "assistant", "model": body["model"]}
    if not body.get("stream"):
        return Fault(body={**head, "content": content, "stop_reason": reason, "usage": usage})
    event = anthropic_speaker.event
    pieces = [
        event(
            "message_start",
            {"message": {**head, "content": [], "usage": {"input_tokens": 10, "output_tokens": 1}}},
        )
    ]
    for at, block in enumerate(content):
        pieces += _block_events(at, block)
    pieces.append(event("message_delta", {"delta": {"stop_reason": reason}, "usage": usage}))
    pieces.append(event("message_stop", {}))
    return Fault(body=b"".join(pieces), headers={"content-type": "text/event-stream"})


def _block_events(at: int, block: Json) -> list[bytes]:
    event = anthropic_speaker.event
    empty = {"text": {"text": ""}, "thinking": {"thinking": ""}, "tool_use": {"input": {}}}[block["type"]]
    delta: Json = {
        "text": {"type": "text_delta", "text": block.get("text")},
        "thinking": {"type": "signature_delta", "signature": "sig"},
        "tool_use": {"type": "input_json_delta", "partial_json": json.dumps(block.get("input"))},
    }[block["type"]]
    return [
        event("content_block_start", {"index": at, "content_block": {**block, **empty}}),
        event("content_block_delta", {"index": at, "delta": delta}),
        event("content_block_stop", {"index": at}),
    ]


# --- refusals


def openai_error(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> Fault:
    """The error body of OpenAI."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Fault(status=status, body={"error": error})


def anthropic_error(message: str) -> Fault:
    """The error body of Anthropic, which has no parameter and no code."""
    error = {"type": "invalid_request_error", "message": message}
    return Fault(status=400, body={"type": "error", "error": error, "request_id": "req_1"})


def no_max_tokens(body: Json) -> Fault | None:
    """Refuse ``max_tokens``, as OpenAI's reasoning models do."""
    if "max_tokens" not in body:
        return None
    text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    return openai_error(text, "max_tokens", "unsupported_parameter")


def sampling_refused(body: Json, *, while_effort: bool, default: str) -> Fault | None:
    """Refuse sampling parameters: always, or only while the model thinks."""
    if while_effort and body.get("reasoning_effort", default) == "none":
        return None
    for name in SAMPLING:
        if name not in body or (name in {"temperature", "top_p"} and body[name] == 1):
            continue
        if name in {"temperature", "top_p"}:
            text = f"Unsupported value: '{name}' does not support {float(body[name])} with this model. Only the default (1) value is supported."
            return openai_error(text, name, "unsupported_value")
        return openai_error(
            f"Unsupported parameter: '{name}' is not supported with this model.",
            name,
            "unsupported_parameter",
        )
    return None


def never(default: str = "medium") -> Rule:
    """Refuse sampling parameters."""
    return lambda body: sampling_refused(body, while_effort=False, default=default)


def while_none(default: str) -> Rule:
    """Refuse sampling parameters unless the effort is none."""
    return lambda body: sampling_refused(body, while_effort=True, default=default)


def efforts(*levels: str) -> Rule:
    """Refuse other effort levels than these; without levels the parameter is unknown."""

    def rule(body: Json) -> Fault | None:
        effort = body.get("reasoning_effort")
        if effort is None or effort in levels:
            return None
        if not levels:
            return openai_error("Unrecognized request argument supplied: reasoning_effort")
        listed = ", ".join(f"'{level}'" for level in levels[:-1]) + f", and '{levels[-1]}'"
        text = f"Unsupported value: 'reasoning_effort' does not support '{effort}' with this model. Supported values are: {listed}."
        return openai_error(text, "reasoning_effort", "unsupported_value")

    return rule


def tools_need_none(default: str) -> Rule:
    """Refuse tools on chat completions unless the effort is none."""

    def rule(body: Json) -> Fault | None:
        if not body.get("tools") or body.get("reasoning_effort", default) == "none":
            return None
        text = (
            f"Function tools with reasoning_effort are not supported for {body['model']} in "
            f"/v1/chat/completions. "
            "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
        )
        return openai_error(text, "reasoning_effort")

    return rule


def unknown(*names: str) -> Rule:
    """Refuse these parameters as unknown."""

    def rule(body: Json) -> Fault | None:
        found = [name for name in names if name in body]
        return openai_error(f"Unrecognized request argument supplied: {found[0]}") if found else None

    return rule


def only(*names: str) -> Rule:
    """Refuse all fields but these in one error, as FastAPI does: Mistral, Azure's serverless models, vLLM."""

    def rule(body: Json) -> Fault | None:
        extra = [name for name in body if name not in {"model", "messages", "stream", *names}]
        if not extra:
            return None
        detail = [
            {
                "type": "extra_forbidden",
                "loc": ["body", name],
                "msg": "Extra inputs are not permitted",
                "input": body[name],
            }
            for name in extra
        ]
        return Fault(status=422, body={"detail": detail})

    return rule


STRICT_KEYS = frozenset(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "$ref",
        "$defs",
        "title",
        "description",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minItems",
        "maxItems",
    ]
)


def strict_schema(body: Json) -> Fault | None:
    """Rules of OpenAI's strict mode: closed objects, every property required, supported keywords only."""
    form = body.get("response_format") or {}
    if form.get("type") != "json_schema":
        return None
    given = form["json_schema"]
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", given["name"]):
        return openai_error(
            "Invalid 'response_format.json_schema.name'", "response_format.json_schema.name", "invalid_value"
        )
    if not given.get("strict"):
        return None
    problem = (
        "schema must be of type object"
        if given["schema"].get("type") != "object"
        else _not_strict(given["schema"])
    )
    if problem is None:
        return None
    text = f"Invalid schema for response_format '{given['name']}': In context=(), {problem}."
    return openai_error(text, "response_format", "invalid_json_schema")


def _not_strict(schema: Any, *, place: str = "") -> str | None:
    if isinstance(schema, list):
        return next((found for item in schema if (found := _not_strict(item))), None)
    if not isinstance(schema, Mapping):
        return None
    if place in {"properties", "$defs"}:
        return next((found for item in schema.values() if (found := _not_strict(item))), None)
    odd = set(schema) - STRICT_KEYS
    pattern = schema.get("pattern", "")
    names = schema.get("properties", ())
    is_object = schema.get("type") == "object"
    problems = {
        f"'{min(odd, default='')}' is not permitted": odd,
        "$ref cannot have keywords beside it": "$ref" in schema and len(schema) > 1,
        "'pattern' lookarounds are not permitted": "(?=" in pattern or "(?!" in pattern,
        "schema must have a 'type' key": not schema.keys() & {"type", "anyOf", "$ref"},
        "'additionalProperties' is required to be supplied and to be false": is_object
        and schema.get("additionalProperties") is not False,
        "'required' is required to be supplied and to be an array including every key in properties": is_object
        and set(schema.get("required", ())) != set(names),
    }
    found = next((text for text, holds in problems.items() if holds), None)
    inner = ((name, schema[name]) for name in ("properties", "$defs", "items", "anyOf") if name in schema)
    return found or next((deep for name, item in inner if (deep := _not_strict(item, place=name))), None)


def json_schema_unavailable(message: str, code: str | None = "invalid_request_error") -> Rule:
    """Refuse ``json_schema``; the service has ``json_object`` only."""

    def rule(body: Json) -> Fault | None:
        if (body.get("response_format") or {}).get("type") != "json_schema":
            return None
        return openai_error(message, None, code)

    return rule


# --- Anthropic


def claude_sampling_refused(body: Json) -> Fault | None:
    """Refuse sampling parameters, as Opus 4.7 and later and Sonnet 5 and later do."""
    for name, fine in (("temperature", 1), ("top_p", 0.99), ("top_k", None)):
        if name in body and body[name] != fine:
            return anthropic_error(f"`{name}` is deprecated for this model.")
    return None


def claude_one_of(body: Json) -> Fault | None:
    """Refuse temperature together with top_p, as models of 4.5 and 4.6 do."""
    if "temperature" in body and "top_p" in body:
        return anthropic_error(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        )
    return None


def claude_efforts(*levels: str) -> Rule:
    """Refuse other effort levels than these."""

    def rule(body: Json) -> Fault | None:
        effort = (body.get("output_config") or {}).get("effort")
        if effort is None or effort in levels:
            return None
        if not levels:
            return anthropic_error("This model does not support the effort parameter.")
        listed = " or ".join(f"'{level}'" for level in levels)
        return anthropic_error(f"output_config.effort: Input should be {listed}")

    return rule


def claude_thinking(*kinds: str) -> Rule:
    """Refuse other values of ``thinking.type`` than these."""

    def rule(body: Json) -> Fault | None:
        thinking = body.get("thinking")
        if thinking is None:
            return None
        kind = thinking["type"]
        if kind == "enabled" and thinking.get("budget_tokens", 0) >= body["max_tokens"]:
            return anthropic_error("`max_tokens` must be greater than `thinking.budget_tokens`.")
        if kind in kinds:
            return None
        if kind == "adaptive":
            return anthropic_error("adaptive thinking is not supported on this model")
        return anthropic_error(
            f'"thinking.type.{kind}" is not supported for this model. Use "thinking.type.adaptive" and '
            f'"output_config.effort" '
            "to control thinking behavior."
        )

    return rule


def claude_disabled_to_high(body: Json) -> Fault | None:
    """Refuse disabled thinking above effort high, as Opus 5 and Haiku 5.5 do."""
    effort = (body.get("output_config") or {}).get("effort")
    if (body.get("thinking") or {}).get("type") == "disabled" and effort in {"xhigh", "max"}:
        return anthropic_error(f'thinking.type "disabled" cannot be combined with effort "{effort}"')
    return None


def no_forced_tool(body: Json) -> Fault | None:
    """Refuse a forced tool, as Opus 5.5, Sonnet 5.5 and Fable 5.1 do."""
    if (body.get("tool_choice") or {}).get("type") in {"tool", "any"}:
        return anthropic_error("tool_choice: forced tool use is not supported on this model")
    return None


def no_forced_tool_with_thinking(body: Json) -> Fault | None:
    """Refuse a forced tool while the model thinks."""
    forced = (body.get("tool_choice") or {}).get("type") in {"tool", "any"}
    if forced and (body.get("thinking") or {}).get("type") in {"enabled", "adaptive"}:
        return anthropic_error("Thinking may not be enabled when tool_choice forces tool use.")
    return None


def no_output_format(body: Json) -> Fault | None:
    """Refuse ``output_config.format``, as older models and gateways do."""
    if "format" in (body.get("output_config") or {}):
        return anthropic_error("output_config.format: Extra inputs are not permitted")
    return None


def claude_schema(body: Json) -> Fault | None:
    """Check the limits of ``output_config.format``."""
    form = (body.get("output_config") or {}).get("format")
    if form is None:
        return None
    text = json.dumps(form["schema"])
    for word in ("minimum", "maximum", "exclusiveMinimum", "multipleOf", "minLength", "maxLength"):
        if f'"{word}":' in text:
            return anthropic_error(
                f"output_config.format.schema: For 'integer' type, property '{word}' is not supported"
            )
    return _open_object(form["schema"])


def _open_object(schema: Any) -> Fault | None:
    if isinstance(schema, list):
        return next((found for item in schema if (found := _open_object(item))), None)
    if not isinstance(schema, Mapping):
        return None
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        return anthropic_error(
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set "
            "to false"
        )
    return next((found for item in schema.values() if (found := _open_object(item))), None)


CLAUDE_OLD = [claude_one_of, no_forced_tool_with_thinking, claude_schema]
LOW_MAX = ("low", "medium", "high", "xhigh", "max")
NONE_MAX = ("none", *LOW_MAX)
NONE_XHIGH = NONE_MAX[:-1]

# Rules by model, which is also the name of its family; the part before the colon is the service.
FAMILIES: dict[str, list[Rule]] = {
    "openai:gpt-4o": [efforts(), strict_schema],
    "openai:gpt-4.1-mini": [efforts(), strict_schema],
    "openai:o3": [no_max_tokens, never(), efforts("low", "medium", "high"), unknown("stop"), strict_schema],
    "openai:o4-mini": [
        no_max_tokens,
        never(),
        efforts("low", "medium", "high"),
        unknown("stop"),
        strict_schema,
    ],
    "openai:gpt-5-mini": [no_max_tokens, never(), efforts("minimal", "low", "medium", "high"), strict_schema],
    "openai:gpt-5.1": [
        no_max_tokens,
        while_none("none"),
        efforts("none", "low", "medium", "high"),
        strict_schema,
    ],
    "openai:gpt-5.2": [no_max_tokens, while_none("none"), efforts(*NONE_XHIGH), strict_schema],
    "openai:gpt-5.4-nano": [
        no_max_tokens,
        while_none("none"),
        efforts(*NONE_XHIGH),
        tools_need_none("none"),
        strict_schema,
    ],
    "openai:gpt-5.5": [
        no_max_tokens,
        while_none("medium"),
        efforts(*NONE_XHIGH),
        tools_need_none("medium"),
        strict_schema,
    ],
    "openai:gpt-5.6-luna": [
        no_max_tokens,
        while_none("medium"),
        efforts(*NONE_MAX),
        tools_need_none("medium"),
        strict_schema,
    ],
    "openai:gpt-6-sol": [
        no_max_tokens,
        while_none("medium"),
        efforts(*NONE_MAX),
        tools_need_none("medium"),
        strict_schema,
    ],
    "openai:gpt-6-luna": [
        no_max_tokens,
        while_none("medium"),
        efforts(*NONE_MAX),
        tools_need_none("medium"),
        strict_schema,
    ],
    "openai:gpt-6.1-terra": [no_max_tokens, while_none("medium"), efforts(*NONE_MAX), strict_schema],
    "openai:gpt-6-astra": [no_max_tokens, never(), efforts(*LOW_MAX), strict_schema],
    "openai:gpt-6.1-sol": [no_max_tokens, never(), efforts(*LOW_MAX), strict_schema],
    "openai:o1": [no_max_tokens, never(), efforts("low", "medium", "high"), strict_schema],
    "openai:gpt-5.3": [no_max_tokens, while_none("none"), efforts(*NONE_XHIGH), strict_schema],
    "openai:gpt-5.2-pro": [no_max_tokens, never(), efforts("medium", "high", "xhigh"), strict_schema],
    "anthropic:claude-mythos-5": [
        claude_sampling_refused,
        claude_efforts(*LOW_MAX),
        claude_thinking("adaptive"),
        no_forced_tool,
        claude_schema,
    ],
    "openai:gpt-5.2-chat-latest": [no_max_tokens, never(), efforts("medium"), strict_schema],
    "anthropic:claude-sonnet-4-20250514": [
        claude_efforts(),
        claude_thinking("enabled", "disabled"),
        no_output_format,
    ],
    "anthropic:claude-haiku-4-5": [*CLAUDE_OLD, claude_efforts(), claude_thinking("enabled", "disabled")],
    "anthropic:claude-sonnet-4-5": [*CLAUDE_OLD, claude_efforts(), claude_thinking("enabled", "disabled")],
    "anthropic:claude-opus-4-5": [
        *CLAUDE_OLD,
        claude_efforts("low", "medium", "high"),
        claude_thinking("enabled", "disabled"),
    ],
    "anthropic:claude-sonnet-4-6": [
        *CLAUDE_OLD,
        claude_efforts("low", "medium", "high", "max"),
        claude_thinking("adaptive", "enabled", "disabled"),
    ],
    "anthropic:claude-opus-4-7": [
        claude_sampling_refused,
        claude_efforts(*LOW_MAX),
        claude_thinking("adaptive", "disabled"),
        claude_schema,
    ],
    "anthropic:claude-opus-4-8": [
        claude_sampling_refused,
        claude_efforts(*LOW_MAX),
        claude_thinking("adaptive", "disabled"),
        claude_schema,
    ],
    "anthropic:claude-sonnet-5": [
        claude_sampling_refused,
        claude_efforts(*LOW_MAX),
        claude_thinking("adaptive", "disabled"),
        claude_schema,
    ],
    "anthropic:claude-opus-5": [
        claude_disabled_to_high,
        claude_sampling_refused,
        claude_efforts(*LOW_MAX),
        claude_thinking("adaptive", "disabled"),
        claude_schema,
    ],
    "anthropic:claude-haiku-5-5": [
        claude_disabled_to_high,
        claude_sampling_refused,
        claude_efforts(*LOW_MAX),
        claude_thinking("adaptive", "disabled"),
        claude_schema,
    ],
    "anthropic:claude-sonnet-5-5": [
        claude_sampling_refused,
        claude_efforts(*LOW_MAX),
        claude_thinking("adaptive", "between_tools"),
        no_forced_tool,
        claude_schema,
    ],
    "anthropic:claude-opus-5-5": [
        claude_sampling_refused,
        claude_efforts(*LOW_MAX),
        claude_thinking("adaptive"),
        no_forced_tool,
        claude_schema,
    ],
    "anthropic:claude-fable-5-1": [
        claude_sampling_refused,
        claude_efforts(*LOW_MAX),
        claude_thinking("adaptive"),
        no_forced_tool,
        claude_schema,
    ],
    "groq:openai/gpt-oss-20b": [
        efforts("low", "medium", "high"),
        unknown("logprobs", "top_logprobs"),
        strict_schema,
    ],
    "groq:llama-3.3-70b-versatile": [
        efforts(),
        json_schema_unavailable(
            "This model does not support response format `json_schema`. See supported models at "
            "https://console.groq.com/docs/structured-outputs#supported-models",
            None,
        ),
    ],
    "deepseek:deepseek-flash": [json_schema_unavailable("This response_format type is unavailable now")],
    "mistral:mistral-small-2603": [
        only(
            "temperature",
            "top_p",
            "max_tokens",
            "stop",
            "random_seed",
            "response_format",
            "tools",
            "tool_choice",
        ),
    ],
    "openrouter:x-ai/grok-4.5": [
        lambda body: (
            openai_error(
                f"This model does not support 'reasoning_effort' value '{body['reasoning']['effort']}'"
            )
            if (body.get("reasoning") or {}).get("effort") in {"none", "minimal", "xhigh", "max"}
            else None
        ),
    ],
    "gemini:gemini-3.8-flash": [
        lambda body: (
            Fault(
                status=400,
                body=[
                    {
                        "error": {
                            "code": 400,
                            "status": "INVALID_ARGUMENT",
                            "message": 'Invalid JSON payload received. Unknown name "temperature": Cannot '
                            "find field.",
                        }
                    }
                ],
            )
            if "temperature" in body
            else None
        ),
        lambda body: (
            Fault(
                status=400,
                body=[
                    {
                        "error": {
                            "code": 400,
                            "status": "INVALID_ARGUMENT",
                            "message": "The specified schema produces a constraint that has too many "
                            "states for serving.",
                        }
                    }
                ],
            )
            if '"maximum"' in json.dumps(body.get("response_format"))
            else None
        ),
    ],
}
THINKING = frozenset(
    name
    for name in FAMILIES
    if name.startswith(("openai:o", "openai:gpt-5", "openai:gpt-6", "groq:openai", "openrouter"))
    and not name.startswith(("openai:gpt-5.1", "openai:gpt-5.2", "openai:gpt-5.3", "openai:gpt-5.4"))
) | {
    "openai:gpt-5.2-chat-latest",
    "openai:gpt-5.2-pro",
    "anthropic:claude-mythos-5",
    "anthropic:claude-opus-5",
    "anthropic:claude-haiku-5-5",
    "anthropic:claude-sonnet-5-5",
    "anthropic:claude-opus-5-5",
    "anthropic:claude-fable-5-1",
}
