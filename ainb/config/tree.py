"""Options tree: one frozen dataclass with default, parser and help line of each option."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from ainb.config.values import (
    one_of,
    option,
    read_amount,
    read_flag,
    read_headers,
    read_models,
    read_names,
    read_path,
    read_table,
    read_text,
    read_tokens,
    read_wait,
    section,
)
from ainb.errors import ConfigError
from ainb.pipeline.budget import Budget, parse_budget
from ainb.pipeline.cache import Cache
from ainb.pipeline.circuit import Circuit
from ainb.pipeline.deadline import Deadline
from ainb.pipeline.rate_limit import RateLimit
from ainb.pipeline.retry import Retry
from ainb.pipeline.validation import Validation, parse_validation
from ainb.plain import plain_fields
from ainb.providers.local import Local
from ainb.stores.local import default_home
from ainb.stores.redis import StateAddress, parse_state
from ainb.usage.log import Log

REPLAYS = ("off", "record", "replay", "auto")
DISPLAYS = ("auto", "widgets", "html", "text", "static", "off")


@dataclass(frozen=True, kw_only=True)
class Config:
    """All options of a session.

    Raises:
        ConfigError: A value is not valid; the message names option, value and range.
    """

    # fmt: off
    model: str | None = option(None, read_text,
        "model of cells that name none, as provider:model or an alias")
    api_base: str | None = option(None, read_text, "base URL in place of the provider's own")
    fallback: tuple[str, ...] = option(tuple, read_models,
        "models to try in order when the previous one is down")
    allow_insecure_http: bool = option(default=False, read=read_flag,
        text="allow plain http to other machines for prompts and keys (pyproject.toml: only if trusted)")
    headers: Mapping[str, Mapping[str, str]] = option(dict, read_headers,
        'own HTTP headers by service, as in {"openai": {"X-Team": "$TEAM"}}; $VARIABLE is read when a call '
        "is made (from pyproject.toml only if trusted)")
    env_file: Path | None = option(None, read_path,
        "file of NAME=value lines, such as .env, where keys are looked up after the environment (from "
        "pyproject.toml only if trusted)")
    home: Path | None = option(None, read_path,
        "folder of cache, usage log and journals (default: the user's data folder; from pyproject.toml only "
        "if trusted)")
    chat_tokens: int = option(8_000, read_tokens, "tokens of earlier turns sent with a question of a chat")
    display: str = option("auto", one_of(*DISPLAYS),
        "how replies and panels are shown: " + ", ".join(DISPLAYS))
    state: StateAddress | None = option(None, parse_state,
        "Redis URL for shared limits, circuits, budgets and cache (default: those of this machine)")
    aliases: Mapping[str, str] = option(dict, read_names, "short names for models")
    batch_poll_seconds: float = option(15.0, read_wait,
        "first wait between polls of a provider's batch job; it grows to 20 times that, at most 300 s")
    confirm_above_usd: Decimal | None = option(None, read_amount,
        "USD above which the forecast of a batch must be confirmed before it is sent (default: none)")
    prices: Mapping[str, Mapping[str, Any]] = option(dict, read_table,
        "prices of models: NAME = { input_usd_per_million = …, … }")
    log: Log = section(Log, "rows and content of the usage log")
    log_content: bool = option(default=False, read=read_flag,
        text="keep prompts and replies (redacted) in the usage log")
    otel: bool = option(default=False, read=read_flag,
        text="export a span and metrics per call to the program's own OpenTelemetry providers")
    otel_content: bool = option(default=False, read=read_flag,
        text="put prompts and replies (redacted) into the spans (from pyproject.toml only if trusted)")
    replay: str = option("off", one_of(*REPLAYS),
        "answers from the notebook's cassette: " + ", ".join(REPLAYS))
    footer: bool = option(default=True, read=read_flag,
        text="show a line below each reply: model, seconds, tokens, cost")
    validation: Validation | None = section(Validation, "rules that redact or refuse before sending",
        short=parse_validation)
    deadline: Deadline | None = section(Deadline, "time limits of a call and of an attempt")
    cache: Cache | None = section(Cache, "storage and reuse of answers")
    budget: Budget | None = section(Budget, "limit on spending, such as 5/day, 2/session", on=False,
        short=parse_budget)
    retry: Retry | None = section(Retry, "attempts after transient faults")
    rate_limit: RateLimit | None = section(RateLimit,
        "requests, tokens and calls in flight per provider and model")
    user_rate_limit: RateLimit | None = section(RateLimit,
        "requests, tokens and calls in flight of each user (--user), within those of all", on=False)
    local: Local = section(Local, "how llama.cpp serves models on this machine")
    circuit: Circuit | None = section(Circuit, "when calls to a failing provider are stopped")
    # fmt: on

    def __post_init__(self) -> None:
        for name in ("home", "env_file"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, read_path(getattr(self, name)))
        plain_fields(self)
        if self.local is None:
            raise ConfigError(
                "local cannot be off; set its slots and context_tokens, or use no local: models"
            )
        if self.log is None:
            raise ConfigError(
                "log cannot be off: budgets, costs and errors are read from it; limit it with max_rows"
            )

    def home_folder(self) -> Path:
        """The folder of cache, usage log and journals; not created here."""
        return self.home if self.home is not None else default_home()


OPTIONS: Mapping[str, dataclasses.Field[Any]] = {item.name: item for item in dataclasses.fields(Config)}
