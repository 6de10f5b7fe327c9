"""HTTP servers on loopback that bill cached input by the rules of three kinds of providers.

    with BillingServer() as server:
        session.map(rows, "Long instruction … {text}", schema=Label, api_base=server.base_url)
    server.input_usd, server.reads

The rules follow the providers' documents and do not use ainb's tables:

- Anthropic: up to four ``cache_control`` marks. The prefix before a mark is read if the same bytes were
  written at an earlier mark (within the last 20 blocks), else written; not below the minimum.
- OpenAI from 5.6 on: ``prompt_cache_breakpoint`` in explicit mode, else one at the end of the last user
  message; reads at breakpoints only; a minimum of 1,024 tokens.
- OpenAI before 5.6: prompts are cached automatically and free of charge on the machine to which a request is
  routed: by its start and its key, and to any machine beyond 15 such requests per minute.

A prefix can be read after the first answer has begun, until its lifetime has passed since its last use.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ainb import tokens as ainb_tokens
from tests.fault_server import Fault, FaultServer, Seen

if TYPE_CHECKING:
    import tiktoken

Json = dict[str, Any]
LOOKBACK_BLOCKS = 20
MACHINES = 20
REQUESTS_PER_MACHINE = 15
STEP_CHARACTERS, STEP_TOKENS = 512, 128
ROW_LINE = re.compile(r"^\[([^\]\s]+)\] (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Model:
    """Prices in USD per million tokens, minimum prefix in tokens, lifetime of a prefix in seconds."""

    input: str
    read: str
    write: str
    output: str
    minimum: int
    life_seconds: float = 300.0
    write_1h: str | None = None


MODELS = {
    "gpt-6-luna": Model("0.1", "0.01", "0.125", "0.5", 1_024, 1_800.0),
    "gpt-5.4-nano": Model("0.2", "0.02", "0.2", "1.25", 1_024),
    "claude-haiku-5-5": Model("0.1", "0.01", "0.125", "0.5", 512, 300.0, "0.2"),
    "claude-haiku-4-5": Model("1", "0.1", "1.25", "5", 4_096, 300.0, "2"),
}


@dataclass
class Bill:
    """Charged tokens and cost of one request."""

    plain: int = 0
    read: int = 0
    written: int = 0
    written_1h: int = 0
    output: int = 0
    input_usd: Decimal = Decimal(0)
    usd: Decimal = Decimal(0)


@dataclass
class _Entry:
    readable_at: float
    expires_at: float


@dataclass
class _Prompt:
    """Blocks in the order of rendering, and cache marks: blocks before the mark, and whether for an hour."""

    blocks: list[str] = field(default_factory=list)
    marks: list[tuple[int, bool]] = field(default_factory=list)

    def upto(self, count: int) -> bytes:
        return hashlib.sha256("".join(self.blocks[:count]).encode()).digest()

    def tokens(self, count: int) -> int:
        return sum(count_tokens(block) for block in self.blocks[:count])


class BillingServer(FaultServer):
    """Answers rows with their labels and bills them.

    Args:
        answer: Makes the answer to the text of a row; None labels texts with "good" positive.
        change: Changes the entries of a pack's answer before they are sent; may also return the whole text,
            or text and finish reason.
        refuse: Returns the fault for a request; None answers it.
        answer_seconds: Time until an answer begins.
        now: Clock of the cache; None means the arrival times of requests.
    """

    def __init__(
        self,
        *,
        answer: Callable[[str], Json] | None = None,
        change: Callable[[list[Json]], Any] | None = None,
        refuse: Callable[[Seen], Fault | None] = lambda _seen: None,
        answer_seconds: float = 0.0,
        now: Callable[[], float] | None = None,
        **options: Any,
    ) -> None:
        self.answer = answer or label
        self.change = change
        self.refuse = refuse
        self.answer_seconds = answer_seconds
        self.now = now
        self.bills: list[Bill] = []
        self.packs: list[list[str]] = []
        self._entries: dict[tuple[str, bytes], _Entry] = {}
        self._routed: Counter[tuple[str, int]] = Counter()
        self._machines: dict[tuple[str, int, bytes], float] = {}
        self._rng = random.Random(0)
        self._lock = threading.Lock()
        super().__init__(self._serve_request, **options)

    @property
    def reads(self) -> int:
        """Number of requests that read a cached prefix."""
        return sum(bill.read > 0 for bill in self.bills)

    @property
    def input_usd(self) -> Decimal:
        """USD charged for input."""
        return sum((bill.input_usd for bill in self.bills), Decimal(0))

    @property
    def usd(self) -> Decimal:
        """USD charged in total."""
        return sum((bill.usd for bill in self.bills), Decimal(0))

    def _serve_request(self, seen: Seen) -> Fault:
        if (refusal := self.refuse(seen)) is not None:
            return refusal
        body, claude = seen.body, seen.path.partition("?")[0].endswith("/messages")
        prompt = _read_claude(body) if claude else _read_openai(body)
        text, reason = self._reply(prompt, body)
        with self._lock:
            bill = self._bill(body, prompt, seen.at if self.now is None else self.now(), claude=claude)
            bill.output = count_tokens(text)
            _charge(bill, MODELS[body["model"]])
            self.bills.append(bill)
        make = _claude_body if claude else _openai_body
        return Fault(body=make(body, text, reason, bill), delay_seconds=self.answer_seconds)

    def _reply(self, prompt: _Prompt, body: Json) -> tuple[str, str]:
        last = _last_text(body)
        rows = ROW_LINE.findall(last)
        if '"rows"' not in json.dumps(
            body.get("response_format") or body.get("output_config") or body.get("tools")
        ):
            return json.dumps(self.answer(last)), "stop"
        self.packs.append([row for _, row in rows])
        entries = [{"id": name, **self.answer(row)} for name, row in rows]
        found = entries if self.change is None else self.change(entries)
        found, reason = found if isinstance(found, tuple) else (found, "stop")
        text = found if isinstance(found, str) else json.dumps({"rows": found})
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        pieces = vocabulary().encode(text)
        if limit is not None and len(pieces) > limit:
            return vocabulary().decode(pieces[:limit]), "length"
        return text, reason

    def _bill(self, body: Json, prompt: _Prompt, now: float, *, claude: bool) -> Bill:
        model = MODELS[body["model"]]
        total = prompt.tokens(len(prompt.blocks))
        bill = Bill()
        if body["model"].startswith("gpt-5.4"):
            bill.read = self._read_unasked(body, prompt, now)
        else:
            lookback = LOOKBACK_BLOCKS if claude else 0
            self._read_marked(body["model"], model, prompt, bill, now, lookback)
        bill.plain = total - bill.read - bill.written
        return bill

    def _read_marked(
        self, name: str, model: Model, prompt: _Prompt, bill: Bill, now: float, lookback: int
    ) -> None:
        for count, _hour in sorted(prompt.marks, reverse=True)[:4]:
            found = next(
                (
                    at
                    for at in range(count, max(0, count - lookback - 1), -1)
                    if self._hit(name, prompt, at, now)
                ),
                0,
            )
            if found:
                self._entries[name, prompt.upto(found)].expires_at = now + model.life_seconds
                bill.read = prompt.tokens(found)
                break
        for count, hour in prompt.marks:
            if prompt.tokens(count) < model.minimum or prompt.tokens(count) <= bill.read + bill.written:
                continue
            written = prompt.tokens(count) - bill.read - bill.written
            bill.written += written
            bill.written_1h += written if hour else 0
            life = 3_600.0 if hour else model.life_seconds
            entry = _Entry(now + self.answer_seconds, now + self.answer_seconds + life)
            known = self._entries.setdefault((name, prompt.upto(count)), entry)
            if known.expires_at < now:
                self._entries[name, prompt.upto(count)] = entry

    def _hit(self, name: str, prompt: _Prompt, count: int, now: float) -> bool:
        entry = self._entries.get((name, prompt.upto(count)))
        return entry is not None and entry.readable_at <= now <= entry.expires_at

    def _read_unasked(self, body: Json, prompt: _Prompt, now: float) -> int:
        text = "".join(prompt.blocks)
        route = f"{text[: STEP_CHARACTERS * 2]}|{body.get('prompt_cache_key')}"
        self._routed[route, int(now // 60)] += 1
        home = int.from_bytes(hashlib.sha256(route.encode()).digest()[:4]) % MACHINES
        crowded = self._routed[route, int(now // 60)] > REQUESTS_PER_MACHINE
        machine = self._rng.randrange(MACHINES) if crowded else home
        steps = range(STEP_CHARACTERS, len(text) + 1, STEP_CHARACTERS)
        keys = [(body["model"], machine, hashlib.sha256(text[:at].encode()).digest()) for at in steps]
        held = 0
        for key in keys:
            if self._machines.get(key, now + 1) > now:
                break
            held += STEP_TOKENS
        for key in keys:
            self._machines.setdefault(key, now + self.answer_seconds)
        return held if held >= MODELS[body["model"]].minimum else 0


def label(text: str) -> Json:
    """Positive if the row contains "good"."""
    return {"label": "positive" if "good" in text else "negative"}


@functools.cache
def vocabulary() -> tiktoken.Encoding:
    """The vocabulary with which the server counts tokens."""
    ainb_tokens.preload()
    return ainb_tokens._encoding("o200k_base")


@functools.lru_cache(maxsize=50_000)
def count_tokens(text: str) -> int:
    """Number of tokens of a text."""
    return len(vocabulary().encode(text, disallowed_special=()))


def _charge(bill: Bill, model: Model) -> None:
    write_1h = Decimal(model.write_1h or model.write)
    bill.input_usd = (
        Decimal(model.input) * bill.plain
        + Decimal(model.read) * bill.read
        + Decimal(model.write) * (bill.written - bill.written_1h)
        + write_1h * bill.written_1h
    ).scaleb(-6)
    bill.usd = bill.input_usd + (Decimal(model.output) * bill.output).scaleb(-6)


def _add(prompt: _Prompt, content: Any, mark: str) -> None:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for part in parts:
        if not part["text"].strip():
            raise AssertionError("a provider refuses blocks without text")
        prompt.blocks.append(part["text"])
        if mark in part:
            prompt.marks.append((len(prompt.blocks), part[mark].get("ttl") == "1h"))


def _read_openai(body: Json) -> _Prompt:
    prompt = _Prompt()
    prompt.blocks.append(json.dumps([body.get("tools"), body.get("response_format")]))
    for message in body["messages"]:
        prompt.blocks.append(f"<{message['role']}>")
        _add(prompt, message["content"], "prompt_cache_breakpoint")
    if (body.get("prompt_cache_options") or {}).get("mode") != "explicit":
        prompt.marks = [(len(prompt.blocks), False)]
    return prompt


def _read_claude(body: Json) -> _Prompt:
    prompt = _Prompt()
    prompt.blocks.append(json.dumps([body.get("tools"), body.get("output_config")]))
    if "system" in body:
        _add(prompt, body["system"], "cache_control")
    for message in body["messages"]:
        prompt.blocks.append(f"<{message['role']}>")
        _add(prompt, message["content"], "cache_control")
    return prompt


def _last_text(body: Json) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _openai_body(body: Json, text: str, reason: str, bill: Bill) -> Json:
    total = bill.plain + bill.read + bill.written
    return {
        "id": "c",
        "model": body["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": total,
            "completion_tokens": bill.output,
            "total_tokens": total + bill.output,
            "prompt_tokens_details": {"cached_tokens": bill.read, "cache_write_tokens": bill.written},
        },
    }


def _claude_body(body: Json, text: str, reason: str, bill: Bill) -> Json:
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": text}],
        "stop_reason": {"stop": "end_turn", "length": "max_tokens"}[reason],
        "usage": {
            "input_tokens": bill.plain,
            "output_tokens": bill.output,
            "cache_read_input_tokens": bill.read,
            "cache_creation_input_tokens": bill.written,
            "cache_creation": {
                "ephemeral_5m_input_tokens": bill.written - bill.written_1h,
                "ephemeral_1h_input_tokens": bill.written_1h,
            },
        },
    }
