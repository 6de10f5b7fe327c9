"""Adapter for the models of pydantic-ai (``pydantic:PROVIDER:MODEL``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.providers.pydantic_ai.adapter import PydanticAIProvider
    from ainb.providers.pydantic_ai.names import OFFERED, SERVICE, key_variables, needs_key, split_name
else:
    __getattr__ = lazy_exports(
        __name__,
        adapter="PydanticAIProvider",
        names="OFFERED SERVICE key_variables needs_key split_name",
    )

__all__ = ["OFFERED", "SERVICE", "PydanticAIProvider", "key_variables", "needs_key", "split_name"]
