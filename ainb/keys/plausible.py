"""Plausibility checks of keys; no message shows the key."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGIT = re.compile(r"[0-9]")
LONGEST_WORD = 24
SHORTEST_KEY = 8
# The most common mistake is the key of one service under the name of another.
_PREFIXES = {
    "sk-ant-": "ANTHROPIC_API_KEY",
    "sk-or-": "OPENROUTER_API_KEY",
    "gsk_": "GROQ_API_KEY",
    "AIza": "GEMINI_API_KEY",
    "hf_": "HF_TOKEN",
    "xai-": "XAI_API_KEY",
}
_SAME = {frozenset({"GEMINI_API_KEY", "GOOGLE_API_KEY"})}


def is_variable_name(text: str) -> bool:
    """Whether a text is the name of an environment variable.

    It is False for a text that is more likely a key given in place of its name.
    """
    if _NAME.fullmatch(text) is None:
        return False
    # Keys are long runs of letters and digits; names of that length consist of words.
    return not any(len(word) > LONGEST_WORD and _DIGIT.search(word) for word in text.split("_"))


def fault_of(name: str, key: str) -> str | None:
    """Reason why a text cannot be a key, or None; it does not repeat the text.

    Args:
        name: The key's variable.
        key: The text, without outer white space.
    """
    checks = (
        (not key, f"the key for {name} is empty"),
        (any(letter.isspace() for letter in key), f"the key for {name} holds white space; copy it again"),
        (
            not (key.isascii() and key.isprintable()),
            f"the key for {name} holds a character that no key contains; copy it again",
        ),
        (key[:1] in "\"'`<" or key[-1:] in "\"'`>", f"the key for {name} is in quotes or brackets"),
        (key.startswith(f"{name}="), f"the key for {name} begins with its own name"),
        (len(key) < SHORTEST_KEY, f"the key for {name} has fewer than {SHORTEST_KEY} characters"),
    )
    for fails, fault in checks:
        if fails:
            return fault
    other = next((owner for prefix, owner in _PREFIXES.items() if key.startswith(prefix)), name)
    if other != name and frozenset({other, name}) not in _SAME:
        return f"the key for {name} looks like one for {other}"
    return None
