"""One filter that keeps secrets out of everything ainb writes: error texts, log lines, rows, journals, cassettes.

Two kinds are found: the values of key variables in the environment, wherever they stand, and what looks like a secret by a
pack of patterns. A secret is a long run without blanks, and most texts hold none: they are looked at once. Otherwise a pattern is
run where one of its literals occurs. Every pattern takes linear time: a run of characters is read once, possessively, and only from where it starts.

Source: the providers' published token formats, GitHub's secret scanning patterns and the gitleaks rules.
"""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ainb.variables import KEY_VARIABLES, OTHER_KEY_VARIABLES

# The table beneath the environment: asked through the environment itself, each variable that is not set costs an error raised and
# caught, which was a third of a look at a text.
_table: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
_table_name: Callable[[str], Any] = getattr(os.environ, "encodekey", str)
# Name to what it is called in that table.
_variables = {name: _table_name(name) for name in (*KEY_VARIABLES.values(), *OTHER_KEY_VARIABLES)}
MIN_KEY_CHARACTERS = 16
# Beyond so many secrets of a kind the rest of the text counts as one, and beyond so many long runs it is searched as it is.
MAX_MATCHES = 10_000
MAX_RUNS = 1_000
_MIN_DISTINCT = 8
_PLACEHOLDER = re.compile(
    r"your|example|placeholder|changeme|change_me|dummy|\.\.\.|xxxx|0000|<|>|\$\{", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class _Rule:
    name: str
    text: str
    literals: tuple[str, ...]

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        """Compiled when its literal is met for the first time: most never are, and all of them take 30 ms."""
        return re.compile(self.text)


def _run(literal: str, rest: str, *, width: int | None = None) -> str:
    r"""A literal where a word starts, then `rest`.

    The look-behind stands after the literal, so that the search still jumps from literal to literal. In JSON a word may also start
    after ``\n``, where the ``n`` looks like part of it. `width` is the literal's length in characters where it is a pattern.
    """
    place = f".{{{len(literal) if width is None else width}}}"
    return rf"{literal}(?:(?<![A-Za-z0-9_\-]{place})|(?<=\\[nrtbf]{place})){rest}"


_WORD = r"[A-Za-z0-9_\-]"
_MIXED = rf"(?=[A-Za-z_\-]*+[0-9]){_WORD}"
# A value: no template, no call, no path of names; at least one digit and one letter. No "=" in it but padding, so that in
# ``KEY=KEY=KEY=…`` each run is read once.
_CHARACTER = r"[^\s\"'`,;()\[\]{}<>\\=]"
_VALUE = (
    r"(?![$*%&])(?=[^\s\"'`,;()\[\]{}<>\\=0-9]*+[0-9])(?=[^\s\"'`,;()\[\]{}<>\\=A-Za-z]*+[A-Za-z])"
    rf"(?P<secret>{_CHARACTER}{{8,}}+={{0,2}})(?![(\[{{]|<(?!/))"
)
_KEY_KINDS = ("api", "access", "secret", "private", "auth", "account", "client", "signing", "encryption")


def _named(word: str, kinds: Iterable[str] = ()) -> str:
    """``word="value"`` in any case with a long value, and ``WORD=value`` as in a shell or an .env file.

    Args:
        word: What the name ends in.
        kinds: What must stand before the word in the first form; nothing means anything may.
    """
    any_case = "".join(f"[{letter.upper()}{letter}]" for letter in word)
    kind = "|".join(f"(?<={kind}{joint}{word})" for kind in kinds for joint in (r"[_\- ]", ""))
    named = f"(?i:{kind})" if kind else ""
    # In JSON inside JSON, and in a notebook file, quotes stand behind backslashes.
    separator = r"\\{0,8}[\"']?\s{0,8}(?::|=>|=)\s{0,8}\\{0,8}[\"']"
    # The second form is tried only where its separator may begin: most texts that hurt fail there.
    begins = r"(?=[:\\\s\"']|=[>\\\s\"'])"
    opening = (
        rf"(?:(?<={word.upper()})=(?={_CHARACTER}{{8}})"
        rf"|{begins}(?P<quoted>(?={separator}{_CHARACTER}{{16}}){named}{separator}))"
    )
    # In the first form 16 characters, up to the closing quote.
    return rf"{any_case}{opening}{_VALUE}(?(quoted)(?<=[^\s\"']{{16}})(?=\\{{0,8}}[\"']))"


# Name, pattern, and the literals of which one must occur for the pattern to have a chance.
_PACK: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Anthropic key", _run("sk-ant-", rf"{_WORD}{{20,}}+"), ("sk-ant-",)),
    ("OpenRouter key", _run("sk-or-", rf"{_WORD}{{20,}}+"), ("sk-or-",)),
    ("OpenAI key", _run("sk-", rf"{_MIXED}{{20,}}+"), ("sk-",)),
    ("Google API key", _run("AIza", rf"{_WORD}{{35}}"), ("AIza",)),
    ("Google OAuth token", _run("ya29\\.", rf"{_WORD}{{20,}}+", width=5), ("ya29.",)),
    ("Google client secret", _run("GOCSPX-", rf"{_WORD}{{28}}"), ("GOCSPX-",)),
    ("AWS access key", _run("A[KS]IA", r"[A-Z2-7]{16}(?![A-Za-z0-9])", width=4), ("AKIA", "ASIA")),
    ("AWS Bedrock key", _run("ABSK", r"[A-Za-z0-9+/]{100,}+={0,2}"), ("ABSK",)),
    (
        "Azure key",
        r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf]))[A-Za-z0-9]{52}JQQJ9[A-Za-z0-9]{27}(?![A-Za-z0-9])",
        ("JQQJ9",),
    ),
    (
        "Azure storage key",
        r"(?:Account|SharedAccess)Key=(?P<secret>[A-Za-z0-9+/]{40,}+={0,2})",
        ("AccountKey=", "AccessKey="),
    ),
    ("Azure SAS signature", r"[?&]sig=(?P<secret>[A-Za-z0-9%+/]{40,}+={0,2})", ("sig=",)),
    (
        "GitHub token",
        _run("gh[pousr]_", r"[A-Za-z0-9]{36,}+", width=4),
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    ),
    ("GitHub fine-grained token", _run("github_pat_", r"[A-Za-z0-9_]{50,}+"), ("github_pat_",)),
    (
        "GitLab token",
        _run("gl(?:pat|oas|ptt|rtr|agn|cbt)-", rf"{_WORD}{{20,}}+", width=6),
        ("glpat-", "gloas-", "glptt-", "glrtr-", "glagn-", "glcbt-"),
    ),
    ("Slack token", _run("xox[abeoprs]-", r"(?=[A-Za-z\-]*+[0-9])[A-Za-z0-9\-]{12,}+", width=5), ("xox",)),
    ("Slack app token", _run("xapp-", r"[0-9]-[A-Za-z0-9\-]{20,}+"), ("xapp-",)),
    (
        "Slack webhook",
        r"hooks\.slack\.com/(?:services|workflows)/(?P<secret>[A-Za-z0-9/]{20,}+)",
        ("hooks.slack.com/",),
    ),
    ("Stripe key", _run("[sr]k_(?:live|test)_", r"[A-Za-z0-9]{16,}+", width=8), ("k_live_", "k_test_")),
    ("Stripe webhook secret", _run("whsec_", r"[A-Za-z0-9+/=]{24,}+"), ("whsec_",)),
    ("Hugging Face token", _run("hf_", r"[A-Za-z0-9]{30,}+"), ("hf_",)),
    ("npm token", _run("npm_", r"[A-Za-z0-9]{36}"), ("npm_",)),
    ("PyPI token", _run("pypi-", rf"AgE{_WORD}{{50,}}+"), ("pypi-AgE",)),
    ("Groq key", _run("gsk_", r"[A-Za-z0-9]{40,}+"), ("gsk_",)),
    ("xAI key", _run("xai-", r"[A-Za-z0-9]{60,}+"), ("xai-",)),
    ("Perplexity key", _run("pplx-", r"[A-Za-z0-9]{40,}+"), ("pplx-",)),
    ("Replicate token", _run("r8_", r"[A-Za-z0-9]{37}"), ("r8_",)),
    ("SendGrid key", _run("SG\\.", rf"{_WORD}{{22}}\.{_WORD}{{43}}", width=3), ("SG.",)),
    ("JWT", _run("eyJ", rf"{_WORD}{{8,}}+\.eyJ{_WORD}{{8,}}+\.{_WORD}{{8,}}+"), (".eyJ",)),
    (
        "private key",
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:[^\-]++|-(?!----))*+(?:-----END [A-Z0-9 ]{0,40}-----)?",
        ("PRIVATE KEY",),
    ),
    (
        "password in a URL",
        r"://[^\s/:@\"'<>]{0,256}+:(?![{$<*%\[])(?P<secret>[^\s/@\"'<>]{3,256}+)@",
        ("://",),
    ),
    (
        "bearer token",
        r"[Bb]earer\s{1,8}(?=[A-Za-z_.~+/=\-]*+[0-9])(?P<secret>[A-Za-z0-9_.~+/=\-]{20,}+)",
        ("earer ",),
    ),
    ("key value", _named("key", _KEY_KINDS), ("key", "KEY", "Key")),
    ("token value", _named("token"), ("token", "TOKEN", "Token")),
    ("secret value", _named("secret"), ("secret", "SECRET", "Secret")),
    ("password value", _named("password"), ("password", "PASSWORD", "Password")),
    ("password value", _named("passwd"), ("passwd", "PASSWD")),
    ("credential value", _named("credentials"), ("credentials", "CREDENTIALS")),
)
_RULES = tuple(_Rule(name, text, literals) for name, text, literals in _PACK)
# Of most rules a literal stands in the secret itself, and so in a long run; of these it stands beside, in any case of letters.
_BESIDE_NAMES = frozenset(
    {"private key", "bearer token", "password in a URL"}
    | {rule.name for rule in _RULES if rule.name.endswith(" value")}
)
_Literals = tuple[tuple[str, _Rule], ...]


def _gated(rules: Iterable[_Rule], gates: str, *, lower: bool = False) -> tuple[tuple[str, _Literals], ...]:
    """Literals by a character that must occur for any of them to occur: one search spares many."""
    groups: dict[str, dict[tuple[str, _Rule], None]] = {}
    for rule in rules:
        for literal in rule.literals:
            gate = next((gate for gate in gates if gate in literal), "")
            groups.setdefault(gate, {})[literal.lower() if lower else literal, rule] = None
    return tuple((gate, tuple(literals)) for gate, literals in groups.items())


_BESIDE = _gated((rule for rule in _RULES if rule.name in _BESIDE_NAMES), ":", lower=True)
_INSIDE = _gated((rule for rule in _RULES if rule.name not in _BESIDE_NAMES), "-_.=")
_ENDS = bytes(byte for byte in range(256) if chr(byte) in "\"'`,;()[]{}<>\\" or byte <= 32)  # noqa: PLR2004 - blank and controls
# Whatever may stand in a secret becomes "a": blanks, quotes, brackets, commas and semicolons end a run.
_RUNS = bytes(32 if byte in _ENDS else 97 for byte in range(256))
_LONG_RUN = b"a" * MIN_KEY_CHARACTERS
# A secret is at least one long run, but for a value in .env form, a password in a URL and what stands in a PEM block.
_ASSIGNED = tuple(
    (f"{literal}=", rule)
    for rule in _RULES
    if rule.name.endswith(" value")
    for literal in rule.literals
    if literal.isupper()
)
(_URL_RULE,) = (rule for rule in _RULES if rule.name == "password in a URL")
(_PEM_RULE,) = (rule for rule in _RULES if rule.name == "private key")
_remembered: dict[str, str] = {}
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...]


def __getattr__(name: str) -> Any:
    if name == "PATTERNS":
        return tuple((rule.name, rule.pattern) for rule in _RULES)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def find(text: str) -> list[tuple[int, int, str]]:
    """Places of secrets.

    Args:
        text: Anything.

    Returns:
        ``(start, end, name)`` of each, in order, without overlap; the name is a pattern's, or the variable whose value it is.
    """
    raw = text.encode("utf-8", "replace")
    if _LONG_RUN in raw.translate(_RUNS):
        found, rules = _known_values(text), _rules_for(raw)
    else:
        found, rules = [], _rules_for_short(text)
    for rule in dict.fromkeys(rules):
        found += _matches(rule, text)
    return _without_overlap(found) if found else found


def _matches(rule: _Rule, text: str) -> list[tuple[int, int, str]]:
    group = "secret" if "secret" in rule.pattern.groupindex else 0
    matches = itertools.islice(rule.pattern.finditer(text), MAX_MATCHES)
    found = [(*match.span(group), rule.name) for match in matches]
    if len(found) == MAX_MATCHES:
        found[-1] = (found[-1][0], len(text), rule.name)
    return found


def may_hold(text: str) -> bool:
    """Whether `find` may find something: a short look that settles most texts."""
    return _LONG_RUN in text.encode("utf-8", "replace").translate(_RUNS) or bool(_rules_for_short(text))


def find_known(text: str) -> list[tuple[int, int, str]]:
    """Places of key variables' values alone, as `find` gives them; what only looks like a secret is left aside."""
    if _LONG_RUN not in text.encode("utf-8", "replace").translate(_RUNS):
        return []
    return _without_overlap(_known_values(text))


def remember(value: str, name: str) -> None:
    """Have a value that stands in no key variable (from a file, a keyring, a variable of the person's own) treated like one.

    Args:
        value: The secret; nothing happens where `is_secret` says that it is none.
        name: What stands in its place.
    """
    if is_secret(value):
        _remembered[value] = name


def redact(text: str) -> str:
    """The text with ``[redacted NAME]`` in place of each secret; the text itself when there is none."""
    found = find(text)
    if not found:
        return text
    pieces, place = [], 0
    for start, end, name in found:
        pieces += [text[place:start], f"[redacted {name}]"]
        place = end
    return "".join([*pieces, text[place:]])


def encodable(text: str) -> str:
    """The text with "?" for halves of surrogate pairs, which neither UTF-8 nor a file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def watch(name: str) -> None:
    """Count the variable `name` among those that hold keys; for a key variable that the person named."""
    _variables[name] = _table_name(name)


def secret_values(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Values that must not be seen: those of key variables, and where this process's own are asked for, those that were remembered.

    Args:
        environ: Where to look; None means the process's environment.

    Returns:
        Value to variable name; without values shorter than MIN_KEY_CHARACTERS and those that only stand for a key.
    """
    if environ is None:
        variables: Mapping[str, str] = os.environ
        values = dict(_remembered)
        names = [name for name, key in list(_variables.items()) if key in _table]
    else:
        variables, values, names = environ, {}, list(_variables)
    for name in names:
        value = variables.get(name)
        key = "" if value is None else value.strip().strip("\"'").strip()
        if is_secret(key):
            values[key] = name
    return values


def is_secret(value: str) -> bool:
    """Whether a key variable's value is long and varied enough to be a key, and no placeholder."""
    long_enough = len(value) >= MIN_KEY_CHARACTERS and len(set(value)) >= _MIN_DISTINCT
    return long_enough and _PLACEHOLDER.search(value) is None


def _rules_for(raw: bytes) -> list[_Rule]:
    """Rules of which a literal occurs."""
    # As text, in which literals are searched three times as fast; a character a byte, which for literals of ASCII is the same.
    lowered, runs = raw.lower().decode("latin-1"), _long_runs(raw).decode("latin-1")
    return [*_of_literals(_BESIDE, lowered), *_of_literals(_INSIDE, runs)]


def _of_literals(groups: tuple[tuple[str, _Literals], ...], text: str) -> list[_Rule]:
    return [
        rule for gate, literals in groups if gate in text for literal, rule in literals if literal in text
    ]


def _rules_for_short(text: str) -> list[_Rule]:
    """Rules that may find something in a text without a long run; of three characters one at least must occur."""
    rules = [rule for literal, rule in _ASSIGNED if literal in text] if "=" in text else []
    if "@" in text and "://" in text:
        rules.append(_URL_RULE)
    if "-----BEGIN" in text:
        rules.append(_PEM_RULE)
    return rules


def _long_runs(raw: bytes) -> bytes:
    """The runs that are long enough for a key, a blank between them; most texts have none, and are looked at once."""
    shape = raw.translate(_RUNS)
    runs: list[bytes] = []
    at = shape.find(_LONG_RUN)
    while at >= 0:
        if len(runs) == MAX_RUNS:
            return b" ".join([*runs, raw[at:]])
        end = shape.find(b" ", at)
        runs.append(raw[at:] if end < 0 else raw[at:end])
        at = -1 if end < 0 else shape.find(_LONG_RUN, end)
    return b" ".join(runs)


def _known_values(text: str) -> list[tuple[int, int, str]]:
    found = []
    for value, name in secret_values().items():
        start = text.find(value)
        while start >= 0:
            found.append((start, start + len(value), name))
            start = text.find(value, start + len(value))
    return found


def _without_overlap(found: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Overlapping places joined under the name of the one that starts first (the longer, where two start together)."""
    if all(before[1] <= after[0] for before, after in itertools.pairwise(found)):
        return found
    joined: list[tuple[int, int, str]] = []
    for start, end, name in sorted(found, key=lambda place: (place[0], -place[1])):
        if joined and start < joined[-1][1]:
            before = joined[-1]
            joined[-1] = (before[0], max(before[1], end), before[2])
        else:
            joined.append((start, end, name))
    return joined
