"""Drawing of the pipeline as SVG, in the order that ``ainb.assembly`` gives."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from ainb import Budget, Circuit, Config, Deadline, Retry, Session
from ainb.messages import Stage
from docs.hooks.errors import IncompleteDocsError

WIDTH, LINE, GAP, INDENT, TOP = 760, 40, 8, 36, 60
ATTEMPTS, PROBES, ATTEMPT_SECONDS = Retry().attempts, Circuit().probes, Deadline().attempt_seconds
SENT_FROM: Final = "RetryStage"  # stages inside it run for each attempt
# Stage: name, effect on the request, error or result with which it can end the call.
TEXTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "RecordStage": ("record", "writes one usage row in any case", ""),
    "TextDeliveryStage": ("text delivery", "waits until every streamed piece was shown", ""),
    "ValidationStage": ("validation", "redacts secrets, refuses what a rule blocks", "InvalidPromptError"),
    "DeadlineStage": ("deadline", "bounds all waits and attempts together", "DeadlineExceededError"),
    "FallbackStage": ("fallback", "uses the next model when this one is down", ""),
    "ReplayStage": ("replay", "answers from the cassette, if switched on", "ReplayMissError"),
    "CacheStage": ("cache", "returns a stored answer; identical calls share one", "a reply"),
    "AnswerStage": ("answer check", "checks the schema, sends once more", "InvalidReplyError"),
    "BudgetStage": ("budget", "reserves the most that the call can cost", "BudgetExceededError"),
    "RetryStage": (
        "retry",
        f"makes up to {ATTEMPTS} attempts, after transient faults only",
        "ProviderError",
    ),
    "before_attempt": (
        "budget",
        "reserves again if the last attempt may be billed",
        "BudgetExceededError",
    ),
    "ResendStage": ("resend", "leaves out a parameter that the model refused", ""),
    "GateStage": ("circuit gate", "refuses at once while the circuit is open", "CircuitOpenError"),
    "RateLimitStage": ("rate limit", "waits in a queue for requests, tokens and a slot", "RateLimitError"),
    "take_turn": ("cache", "identical calls under other limits send in turn", ""),
    "PermitStage": (
        "circuit permit",
        f"lets {PROBES} probes into a half-open circuit",
        "CircuitOpenError",
    ),
    "AttemptTimeoutStage": ("attempt timeout", f"ends an attempt after {ATTEMPT_SECONDS:g} s", ""),
    "before_sending": ("budget", "books the call as sent", ""),
    "OwnKeyStage": ("own keys", "removes your keys from the reply", ""),
}


def stages() -> list[Stage]:
    """The stages of a session with every stage on."""
    config = dataclasses.replace(Config(), budget=Budget(usd=Decimal(1)), replay="replay")
    with Session("scripted:echo", config=config) as session:
        return session.core.stages.in_order()


def name_of(stage: Any) -> str:
    """Name of a stage's class, or of the method that is the stage."""
    return getattr(stage, "__name__", type(stage).__name__)


def drawing() -> str:
    """The pipeline as an inline SVG in the page's colours.

    Raises:
        IncompleteDocsError: A stage has no text.
    """
    names = [name_of(stage) for stage in stages()]
    missing = [name for name in names if name not in TEXTS]
    if missing:
        raise IncompleteDocsError(f"stages without a text in the drawing: {', '.join(missing)}")
    inner = names.index(SENT_FROM) + 1
    boxes = [_box(number, *TEXTS[name], inside=number >= inner) for number, name in enumerate(names)]
    bottom = _y(len(names)) + 8
    attempt = _y(inner) - GAP // 2
    height = bottom + LINE + 20
    spoken = "; ".join(f"{TEXTS[name][0]} {TEXTS[name][1]}" for name in names)
    return (
        f'<div class="ainb-pipeline"><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-labelledby="pipeline-title pipeline-text">'
        '<title id="pipeline-title">The pipeline of a call</title>'
        f'<desc id="pipeline-text">From the cell to the provider: {html.escape(spoken)}.</desc>'
        f"{_end(10, 'a cell, a row of a table, or session.ask')}"
        f'<rect class="attempt" x="{INDENT + 8}" y="{attempt}" width="{WIDTH - 2 * INDENT - 16}" '
        f'height="{bottom - attempt - 8}" rx="6"/>'
        f'<text class="small" x="{WIDTH - INDENT - 30}" y="{attempt + 14}" text-anchor="end">'
        "each attempt</text>"
        f"{''.join(boxes)}{_end(bottom, 'the provider: one HTTP request')}"
        f'<path class="way" d="M 16 48 V {bottom + 20} m -5 -8 l 5 8 l 5 -8"/>'
        f'<path class="way" d="M {WIDTH - 16} {bottom + 20} V 48 m -5 8 l 5 -8 l 5 8"/>'
        f'<text class="small" x="24" y="{TOP - 8}">request</text>'
        f'<text class="small" x="{WIDTH - 26}" y="{TOP - 8}" text-anchor="end">reply or error</text>'
        "</svg></div>"
    )


def _y(number: int) -> int:
    return TOP + number * (LINE + GAP)


def _box(number: int, name: str, text: str, ends: str, *, inside: bool) -> str:
    left = INDENT + (22 if inside else 0)
    width = WIDTH - 2 * left
    top = _y(number)
    middle = top + LINE // 2 + 4
    end = (
        f'<text class="end" x="{left + width - 12}" y="{middle}" text-anchor="end">{ends}</text>'
        if ends
        else ""
    )
    return (
        f'<rect class="stage" x="{left}" y="{top}" width="{width}" height="{LINE}" rx="4"/>'
        f'<text class="name" x="{left + 12}" y="{middle}">{name}</text>'
        f'<text x="{left + 132}" y="{middle}">{html.escape(text)}</text>{end}'
    )


def _end(top: int, text: str) -> str:
    return (
        f'<rect class="outside" x="{INDENT}" y="{top}" width="{WIDTH - 2 * INDENT}" height="30" rx="15"/>'
        f'<text class="name" x="{WIDTH // 2}" y="{top + 20}" text-anchor="middle">{html.escape(text)}</text>'
    )
