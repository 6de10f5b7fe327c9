"""HTTP transport of the provider adapters; independent of any protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.providers.http.answer import Answer
    from ainb.providers.http.batches import TRANSFER_SECONDS, BatchHttp, form
    from ainb.providers.http.client import Response, StoredResponse, request
    from ainb.providers.http.embedded import status_of
    from ainb.providers.http.exchange import Exchange, encode_body
    from ainb.providers.http.faults import Origin, clean, response_fault
    from ainb.providers.http.headers import rate_limit_headers, request_id
    from ainb.providers.http.hosts import is_local_url, refuse_cleartext
    from ainb.providers.http.json_body import Json, UnreadableError, count_or_none, mapping, word_or_none
    from ainb.providers.http.rate_headers import read_limits
    from ainb.providers.http.refusal import Refusal, read_refusal
    from ainb.providers.http.target import Target, make_target, without_path
else:
    __getattr__ = lazy_exports(
        __name__,
        answer="Answer",
        batches="BatchHttp TRANSFER_SECONDS form",
        client="Response StoredResponse request",
        embedded="status_of",
        exchange="Exchange encode_body",
        faults="Origin clean response_fault",
        headers="rate_limit_headers request_id",
        hosts="is_local_url refuse_cleartext",
        json_body="Json UnreadableError count_or_none mapping word_or_none",
        rate_headers="read_limits",
        refusal="Refusal read_refusal",
        target="Target make_target without_path",
    )

__all__ = [
    "TRANSFER_SECONDS", "Answer", "BatchHttp", "Exchange", "Json", "Origin", "Refusal", "Response",
    "StoredResponse", "Target", "UnreadableError", "clean", "count_or_none", "encode_body", "form",
    "is_local_url", "make_target", "mapping", "rate_limit_headers", "read_limits", "read_refusal",
    "refuse_cleartext", "request", "request_id", "response_fault", "status_of", "without_path",
    "word_or_none",
]  # fmt: skip
