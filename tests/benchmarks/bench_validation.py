"""Cost of validating a prompt, and the slowest rule on 1 MB of adversarial text."""

from __future__ import annotations

import contextlib
import re
import time
import timeit
from collections.abc import Callable
from pathlib import Path

from ainb.errors import AinbError
from ainb.messages import Call, Message, Reply, Request
from ainb.pipeline.validation import optional_rules, presets
from ainb.pipeline.validation.options import Validation
from ainb.pipeline.validation.stage import ValidationStage
from ainb.pipeline.validation.untrusted import sanitize
from ainb.pipeline.validation.validator import Validator
from ainb.redaction.filter import PATTERNS
from tests.made_up_secrets import NAMES, SECRETS, in_place
from tests.pipeline.validation.test_rules import MEGABYTE, NASTY

PROSE = "The quick brown fox jumps over the lazy dog; what does this review say about battery life?\n"
UMLAUTS = "Der flinke braune Fuchs springt über den trägen Hund; was hält die Kundin von der Laufzeit?\n"
RULES = (*presets.DEFAULT_RULES, *optional_rules.OPTIONAL_RULES)
Row = tuple[str, str, str, str]


class Provider:
    """Provider of which only the name is used."""

    name, free = "openai", False


def microseconds(work) -> float:
    """CPU microseconds per execution, because other load affects them less than wall time."""
    timer = timeit.Timer(work, timer=time.process_time)
    number = max(1, int(0.05 / max(1e-6, timer.timeit(50) / 50)))
    return min(timer.repeat(5, number)) / number * 1e6


def review(text: str, **options) -> float:
    validator = Validator(Validation(**options))
    request = Request(
        provider="openai", model="m", messages=(Message("user", text),), parameters={"max_tokens": 20}
    )
    call = Call(request=request, provider=Provider())
    return microseconds(lambda: validator.passes(call) or validator.review(call))


def stage(text: str) -> float:
    """CPU microseconds of the whole stage: prompt, context length and reply."""
    reply = Reply(text="positive")

    async def proceed(_call: Call) -> Reply:
        return reply

    made = ValidationStage(Validation(), context_window=lambda _call: None)
    request = Request(
        provider="openai", model="m", messages=(Message("user", text),), parameters={"max_tokens": 20}
    )
    call = Call(request=request, provider=Provider())

    def work() -> None:
        with contextlib.suppress(StopIteration):  # the coroutine never waits
            made(call, proceed).send(None)

    return microseconds(work)


def worst(look: Callable[[str], object]) -> tuple[float, str]:
    """CPU milliseconds of the slowest text, and the unit that the text repeats."""
    texts = {}
    for unit in (*NASTY, *(f"{in_place(name)}\n" for name in NAMES)):
        size = MEGABYTE // len(unit.encode("utf-8", "surrogatepass"))
        texts[unit] = unit * size
    slowest = max(texts, key=lambda unit: processor_seconds(look, texts[unit]))
    return min(processor_seconds(look, texts[slowest]) for _ in range(5)) * 1e3, slowest


def processor_seconds(look: Callable[[str], object], text: str) -> float:
    start = time.process_time()
    look(text)
    return time.process_time() - start


def rows() -> list[Row]:
    """Table rows: name, measured figure, peer or limit in the same run, goal."""
    code = (Path(presets.__file__).read_text(encoding="utf-8") * 2)[:2_000]
    prose, umlauts = (PROSE * 30)[:2_000], (UMLAUTS * 30)[:2_000]
    naive = [re.compile(pattern) for _, pattern in PATTERNS]
    each = microseconds(lambda: [pattern.search(prose) for pattern in naive])
    found: list[Row] = [
        *((f"validation of a prompt of {size} characters", f"{review((PROSE * 3)[:size]):.1f} us", f"the whole stage {stage((PROSE * 3)[:size]):.1f} us", "<= 4 us") for size in (20, 100, 200)),
        ("validation of a 2 kB prompt", f"{review(prose):.0f} us", f"each pattern in turn {each:.0f} us", "<= 60 us"),
        ("  not ASCII", f"{review(umlauts):.0f} us", "-", "<= 60 us"),
        ("  Python code", f"{review(code):.0f} us", "-", "-"),
        ("  with a secret in it", f"{review(prose + SECRETS['OpenAI key']):.0f} us", "-", "-"),
        ("  strict, personal data and heuristics too", f"{review(prose, preset='strict', personal_data=True, injection=True, actions={'secret': 'warn'}):.0f} us", "-", "-"),
        ("sanitize 2 kB", f"{microseconds(lambda: sanitize(prose)):.0f} us", "-", "-"),
        ("an error's text, redacted", f"{microseconds(lambda: AinbError('the prompt is longer than the context; shorten it')):.1f} us", "-", "-"),
    ]  # fmt: skip
    looks = {rule.name: rule.places for rule in RULES} | {"sanitize": sanitize}
    for name, look in looks.items():
        milliseconds, unit = worst(look)
        found.append((f"1 MB made to hurt: {name}", f"{milliseconds:.0f} ms", f"{unit[:20]!r}", "<= 50 ms"))
    return found


if __name__ == "__main__":
    for row in rows():
        print(" | ".join(row))
