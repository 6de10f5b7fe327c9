"""Ask each service with a key one cheap question, plain and with a schema: ``make live``.

This is not part of the tests.

It costs a fraction of a cent per service and uses a temporary home. `AINB_LIVE_MODELS` (comma-separated
models) replaces the default models.
"""

from __future__ import annotations

import os
import sys
import tempfile

import ainb
from ainb import keys
from ainb.providers.services import SERVICES

MODELS = {
    "openai": "gpt-6-luna",
    "anthropic": "claude-haiku-5-5",
    "gemini": "gemini-3.5-flash-lite",
    "groq": "openai/gpt-oss-20b",
    "mistral": "mistral-small-2603",
    "deepseek": "deepseek-flash",
    "openrouter": "openai/gpt-6-luna",
    "together": "openai/gpt-oss-20b",
}
KINDS = {
    "plain": {},
    "schema": {"schema": "color: str, warm: bool, why: str?"},
    "temperature": {"temperature": 0, "effort": "low"},
}


def wanted() -> list[str]:
    """The models to ask: those in `AINB_LIVE_MODELS`, else one per service whose key is set."""
    named = os.environ.get("AINB_LIVE_MODELS")
    if named:
        return [name.strip() for name in named.split(",")]
    services = (service for service in MODELS if keys.get(SERVICES[service].key_variable or service))
    return [f"{service}:{MODELS[service]}" for service in services]


def ask(session: ainb.Session, model: str, kind: str) -> str:
    """Ask one question and return its outcome as one line."""
    try:
        reply = session.ask("Name one color of the rainbow, briefly.", model=model, **KINDS[kind])
    except ainb.AinbError as error:
        return f"FAILED {error}"
    answer = reply.parsed if reply.parsed is not None else reply.text.strip()[:60]
    extra = f", {reply.attempts} requests" if reply.attempts > 1 else ""
    return f"ok     {answer!r} ({reply.model}, {reply.usage.output_tokens} out, ${reply.cost_usd}{extra})"


def main() -> int:
    """Ask all models; returns 0 if every one answered, else 1."""
    models = wanted()
    if not models:
        print(
            "no key of a service is set; set one, such as OPENAI_API_KEY, or name models in AINB_LIVE_MODELS"
        )
        return 0
    failed = 0
    with (
        tempfile.TemporaryDirectory() as home,
        ainb.Session(home=home, cache=None, budget="0.50/session") as session,
    ):
        for model in models:
            for kind in KINDS:
                line = ask(session, model, kind)
                failed += line.startswith("FAILED")
                print(f"{model:32} {kind:12} {line}", flush=True)
        for _, model, item in session.core.learnt():
            print(f"learnt: {model}: {item.lesson.field} {item.lesson.outcome}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
