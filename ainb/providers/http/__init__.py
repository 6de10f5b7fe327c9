"""HTTP transport of the provider adapters; independent of any protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.providers.http.answer import Answer
    from ainb.providers.http.batches import (
        MAX_PAGES,
        SKEW_SECONDS,
        TRANSFER_SECONDS,
        BatchHttp,
        form,
        joined_length,
        joined_lines,
    )
    from ainb.providers.http.client import Response, StoredResponse, request
    from ainb.providers.http.embedded import status_of
    from ainb.providers.http.exchange import Exchange, encode_body
    from ainb.providers.http.faults import Origin, clean, response_fault
    from ainb.providers.http.headers import rate_limit_headers, request_id
    from ainb.providers.http.hosts import goes_in_the_clear, is_local_url
    from ainb.providers.http.json_body import Json, UnreadableError, count_or_none, mapping, word_or_none
    from ainb.providers.http.rate_headers import read_limits
    from ainb.providers.http.refusal import Refusal, read_refusal
    from ainb.providers.http.target import Target, make_target, without_path
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "Answer": "answer",
            "BatchHttp": "batches",
            "Exchange": "exchange",
            "Json": "json_body",
            "MAX_PAGES": "batches",
            "Origin": "faults",
            "Refusal": "refusal",
            "Response": "client",
            "SKEW_SECONDS": "batches",
            "StoredResponse": "client",
            "TRANSFER_SECONDS": "batches",
            "Target": "target",
            "UnreadableError": "json_body",
            "clean": "faults",
            "count_or_none": "json_body",
            "encode_body": "exchange",
            "form": "batches",
            "goes_in_the_clear": "hosts",
            "is_local_url": "hosts",
            "joined_length": "batches",
            "joined_lines": "batches",
            "make_target": "target",
            "mapping": "json_body",
            "rate_limit_headers": "headers",
            "read_limits": "rate_headers",
            "read_refusal": "refusal",
            "request": "client",
            "request_id": "headers",
            "response_fault": "faults",
            "status_of": "embedded",
            "without_path": "target",
            "word_or_none": "json_body",
        },
    )

__all__ = [
    "MAX_PAGES",
    "SKEW_SECONDS",
    "TRANSFER_SECONDS",
    "Answer",
    "BatchHttp",
    "Exchange",
    "Json",
    "Origin",
    "Refusal",
    "Response",
    "StoredResponse",
    "Target",
    "UnreadableError",
    "clean",
    "count_or_none",
    "encode_body",
    "form",
    "goes_in_the_clear",
    "is_local_url",
    "joined_length",
    "joined_lines",
    "make_target",
    "mapping",
    "rate_limit_headers",
    "read_limits",
    "read_refusal",
    "request",
    "request_id",
    "response_fault",
    "status_of",
    "without_path",
    "word_or_none",
]
