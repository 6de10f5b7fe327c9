"""Anthropic protocol of the fault server: bodies and events under ``/messages`` as Anthropic publishes them.

Source: Anthropic's API reference: Messages, Streaming messages, Errors.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from tests.fault_server import Fault

REASONS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def whole(step: Fault, request: Any) -> dict[str, Any]:
    """The body of a response that is not streamed."""
    text = _text(step, request)
    return {
        **_head(request),
        "content": [{"type": "text", "text": text}],
        "stop_reason": REASONS.get(step.finish_reason, step.finish_reason),
        "stop_sequence": None,
        "usage": _usage(request, len(text.split())),
    }


def events(step: Fault, request: Any) -> list[bytes]:
    """The server-sent events of a streamed response, as bytes."""
    text = _text(step, request)
    reason = REASONS.get(step.finish_reason, step.finish_reason)
    start = {
        **_head(request),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(request, 1),
    }
    found: list[tuple[str, dict[str, Any]]] = [
        ("message_start", {"message": start}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("ping", {}),
        *(
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": piece}})
            for piece in re.findall(r"\s*\S+\s*?|\s+", text)
        ),
        ("content_block_stop", {"index": 0}),
        (
            "message_delta",
            {
                "delta": {"stop_reason": reason, "stop_sequence": None},
                "usage": {"output_tokens": len(text.split())},
            },
        ),
        ("message_stop", {}),
    ]
    return [event(kind, fields) for kind, fields in found]


def event(kind: str, fields: Any) -> bytes:
    """One server-sent event as bytes."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **fields}))


def fault(step: Fault) -> bytes:
    """The body of an error response."""
    if step.body is not None:
        return step.body if isinstance(step.body, bytes) else json.dumps(step.body).encode()
    usual: dict[str, bytes] = {
        "garbage": b'{"type": "message", "content": [{"type": "text", "text": "hal',
        "html": b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad "
        b"Gateway</h1></body></html>",
        "empty": b"",
        "no_choices": b'{"id": "msg_1", "type": "message", "role": "assistant", "content": []}',
        "wrong_types": b'{"id": 7, "type": "message", "content": {"text": 3}, "stop_reason": 3, "usage": '
        b'"many"}',
    }
    if step.action in usual:
        return usual[step.action]
    kind = step.code or KINDS.get(step.status, "api_error")
    return json.dumps(
        {"type": "error", "error": {"type": kind, "message": step.message}, "request_id": "req_body"}
    ).encode()


def _head(request: Any) -> dict[str, Any]:
    return {"id": "msg_fault", "type": "message", "role": "assistant", "model": request.get("model", "")}


def _text(step: Fault, request: Any) -> str:
    if step.text is not None:
        return step.text
    content = request["messages"][-1]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


def _usage(request: Any, output: int) -> dict[str, Any]:
    turns = [*request["messages"], {"content": request.get("system", "")}]
    prompt = sum(len(str(turn["content"]).split()) for turn in turns)
    return {
        "input_tokens": prompt,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
    }
