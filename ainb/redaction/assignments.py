"""Secrets that are recognised by their context: a name and a separator, a header, a URL.

``password=…``, ``"api_key": "…"``, ``client_secret = …``, ``Authorization: Basic …``, ``postgres://ann:…``,
in the spellings of shells, .env files, YAML, TOML, JSON, XML and connection strings. Every pattern takes
linear time: each run of characters is read once, by a possessive quantifier. Groups are atomic instead,
because Python before 3.11.5 matches a possessive repeat of a group wrongly (cpython issue 106052).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ainb.redaction.commands import COMMANDS
from ainb.redaction.credential_files import CREDENTIAL_FILES
from ainb.redaction.languages import PARTS_OF_WORDS, WORDS
from ainb.redaction.values import (
    CHARACTER,
    DIGIT,
    DIGIT_OR_SIGN,
    KEY_CHARACTERS,
    LETTER,
    LOOKS_SECRET,
    NO_COLON,
    PASSWORD_CHARACTERS,
    SECRET,
    VALUE,
)

_KEY_KINDS = (
    "api", "access", "secret", "private", "auth", "account", "client", "signing", "encryption", "app",
    "application", "service", "subscription", "master", "shared", "storage", "session", "admin", "license",
)  # fmt: skip
UNKNOWN_KEY_CHARACTERS = 20
# Of these, the value is a name or a digest.
_ORDINARY_KEYS = (
    "cache", "sort", "primary", "foreign", "partition", "public", "pub", "dedup", "idempotency", "row",
    "group", "object", "hash", "index", "shard", "lookup", "map", "routing", "range", "join", "host", "site",
    "publishable", "state", "request", "batch", "call", "reply", "prompt", "file", "image", "storage", "dict",
    "lock", "unique", "content", "digest", "build", "block", "known",
)  # fmt: skip
_PASS_KINDS = (
    "db", "user", "smtp", "mail", "admin", "root", "ftp", "login", "http", "proxy", "ssh", "become",
    "sudo", "vault", "bind", "ldap", "mysql", "store", "require",
)  # fmt: skip


def _named(word: str, before: str, *, shortest: int, strict: bool = False) -> str:
    """A name that ends in `word`, a separator and a value: quoted, in capitals with "=", or plain.

    Args:
        word: Last part of the name.
        before: Look-behinds for the text up to the end of the word, unless the name is in capitals with "=".
        shortest: Minimum length of a quoted or plain value.
        strict: As in `_assigned`; names in capitals are then no exception.
    """
    any_case = "".join(f"[{letter.upper()}{letter}]" for letter in word)
    capitals = "" if strict else rf"(?<={word.upper()})=(?={CHARACTER}{{8}})|"
    return _assigned(any_case, before, shortest=shortest, capitals=capitals, strict=strict)


def _assigned(name: str, before: str, *, shortest: int, capitals: str = "", strict: bool = False) -> str:
    """A name, a separator and a value.

    Args:
        name: Pattern of the last part of the name.
        before: Look-behinds after the name.
        shortest: Minimum length of a value.
        capitals: Another beginning of a value, and "|".
        strict: Whether a value in quotes, too, must not look like words, a path or a variable.
    """
    long_enough = f"(?={CHARACTER}{{{shortest}}})"
    # In JSON inside JSON, and in a notebook file, quotes follow backslashes.
    quote = r"\\{0,8}+[\"']"
    # A value directly after a colon contains no colon, so that in ``key:key:key:…`` each run is read once.
    unquoted = (
        rf"[ \t]{{0,8}}+(?:(?<![:\uff1a])|(?={NO_COLON}{{{shortest},}}+={{0,2}}(?![:\uff1a=]))){long_enough}"
    )
    separator = r"(?::=?+|=>?+|\uff1a)(?![=~:])"
    opening = (
        # Tried only where a separator may begin: most texts that would take long fail there.
        rf"(?:{capitals}(?=[:\uff1a\\\s\"'\]>]|=(?![=~]|{name}[=:])){before}"
        rf"(?:(?>(?:{quote})?)\]?+[ \t]{{0,8}}+{separator}"
        rf"(?:\s{{0,8}}+{quote}(?P<quoted>){long_enough}|{unquoted}(?P<plain>))"
        rf"|>(?={CHARACTER}{{{shortest},256}}+={{0,2}}</)(?P<element>)))"
    )
    sign = DIGIT if shortest > PASSWORD_CHARACTERS else DIGIT_OR_SIGN
    looks = LOOKS_SECRET if strict else f"(?(plain){LOOKS_SECRET})(?(element){LOOKS_SECRET})"
    # A quoted value ends at its quote.
    return (
        rf"{name}{opening}(?![$*%&]){sign}{LETTER}{looks}{SECRET}"
        rf"(?(quoted)(?<=[^\s\"']{{{shortest}}})(?=\\{{0,8}}[\"']))"
    )


def _after(kinds: Iterable[str], word: str) -> str:
    """Look-behinds for a word after one of the kinds; kinds of the same width share one."""
    return f"(?i:{'|'.join(f'(?<={text})' for text in _same_width(kinds, word))})"


def _not_after(kinds: Iterable[str], word: str) -> str:
    """Look-behinds for a word after none of the kinds."""
    return f"(?i:{''.join(f'(?<!{text})' for text in _same_width(kinds, word))})"


def _same_width(kinds: Iterable[str], word: str) -> Iterable[str]:
    by_width: dict[int, list[str]] = {}
    for kind in kinds:
        by_width.setdefault(len(kind), []).append(kind)
    for same in by_width.values():
        for joint in (r"[_\-. ]", ""):
            yield f"(?:{'|'.join(same)}){joint}{word}"


# The password is between the colon and the last @ before the host. As in most clients, it ends before the
# first "/", "?" or "#"; if no host with a dot or a port follows then, it may contain these characters, as in
# other clients.
_URL_RUN = r"(?>(?:[^\s\"'<>@:]++|:(?!//))*)"
_LOGIN_IN_URL = (
    r"://[^\s/:@\[\"'<>]{0,256}+:(?![{$<*%\[])(?P<secret>"
    r"[^\s/?#\"'<>]{3,256}(?=@(?:[A-Za-z0-9\-]{1,63}+\.[A-Za-z0-9]|localhost|[A-Za-z0-9\-]{1,63}+:[0-9]|\[))"
    rf"|(?![0-9]{{1,5}}+[/?#])(?=[^\s\"'<>@]{{3}}|[^\s\"'<>@]{{0,2}}@[^\s\"'<>@]{{1,256}}@){_URL_RUN}(?:@{_URL_RUN})*(?=@[A-Za-z0-9\[])"
    r"|[^\s/@\"'<>]{3,256}+(?=@))@"
)
_OPTION = (
    r"--(?>(?:[A-Za-z]{1,20}+[_\-.]){0,4})"
    r"(?i:[a-z]{0,20}(?:key|token|secret|password|passwd|passphrase|pwd|pass))"
    rf"[ \t]{{1,4}}[\"']?{LOOKS_SECRET}{VALUE}"
)

# Names that stand apart from their value: commands, declarations with a type, pairs of name and value.
_ENDING = r"[A-Za-z0-9_.\-]{0,64}?(?i:key|token|secret|password|passwd|pwd|_pass)"
_GAP = r"[ \t]{0,4}"
_BLANK = r"[ \t]{1,8}"
_OF = rf"{_GAP}[:=]{_GAP}"
_QUOTE = r"[\"']"
_COMMAND = r"(?:\b(?:ENV|ARG|setenv|setx|SETX|set[ \t]{1,2}-[A-Za-z]{1,4})|#define)"
_TYPE = rf"{_GAP}:{_GAP}&?(?:'static[ \t])?(?i:str|string)[?!]?{_GAP}="
_FUNCTION = r"(?:define|setdefault|setenv|putenv|setProperty|\.set)\("
_KEY_IN_QUOTES = rf"{_GAP}[\"'`](?={CHARACTER}{{{KEY_CHARACTERS}}}){VALUE}"
_LAST_WORDS = r"(?i:key|token|secret|password)"
_APART: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "option value",
        rf"{_COMMAND}{_BLANK}{_ENDING}{_BLANK}{_QUOTE}?{LOOKS_SECRET}{VALUE}",
        ("ENV ", "ARG ", "setenv ", "setx ", "SETX ", "set -", "#define "),
    ),
    (
        "option value",
        rf"(?i:identified[ \t]{{1,4}}by|password)[ \t]{{1,4}}'{VALUE}(?=')",
        ("IDENTIFIED BY", "identified by", "PASSWORD '", "password '"),
    ),
    ("key value", f"{_LAST_WORDS}{_TYPE}{_KEY_IN_QUOTES}", (": str", ":str", "&str", "'static str")),
    ("key value", f"{_LAST_WORDS}{_GAP}<-{_KEY_IN_QUOTES}", ("<-",)),
    (
        "key value",
        (
            rf"(?i:name|key){_QUOTE}?{_OF}{_QUOTE}?{_ENDING}{_QUOTE}?,?\s{{1,32}}{_QUOTE}?value{_QUOTE}?"
            rf"{_OF}{_QUOTE}?{LOOKS_SECRET}{VALUE}"
        ),
        ("value:", "value=", "value'", 'value"'),
    ),
    (
        "key value",
        f"{_FUNCTION}{_GAP}{_QUOTE}{_ENDING}{_QUOTE}{_GAP},{_GAP}{_QUOTE}{VALUE}(?={_QUOTE})",
        ("define(", "setdefault(", "setenv(", "putenv(", "setProperty(", ".set("),
    ),
)
# A key of an unknown service has three separate digits at least, and is no UUID.
_UNKNOWN = (
    rf"(?:(?<=[A-Za-z0-9][_\-.][Kk][Ee][Yy])|(?<=[a-z]Key)){_not_after(_ORDINARY_KEYS, 'key')}"
    r"(?=[\s\"'\\\]:=\uff1a>]{1,16}(?![0-9a-fA-F]{8}-[0-9a-fA-F]{4}-)"
    r"(?>(?:[A-Za-z+/_\-]{0,64}+[0-9]{1,64}+){3})[A-Za-z0-9+/_=\-]{0,256}+(?![.:]))"
)
_ALONE = r"(?i:(?<![a-z0-9]{word}))"
# Name of the pattern, last word of the name that the value follows, look-behinds for the text before it, and
# the fewest characters of a quoted or plain value.
_NAMED: tuple[tuple[str, str, str, int], ...] = (
    ("key value", "key", _after(_KEY_KINDS, "key"), KEY_CHARACTERS),
    ("token value", "token", "", KEY_CHARACTERS),
    ("secret value", "secret", "", KEY_CHARACTERS),
    ("password value", "password", "", PASSWORD_CHARACTERS),
    ("password value", "passwd", "", PASSWORD_CHARACTERS),
    ("password value", "passphrase", "", PASSWORD_CHARACTERS),
    ("password value", "pwd", "", PASSWORD_CHARACTERS),
    ("password value", "pass", _after(_PASS_KINDS, "pass"), PASSWORD_CHARACTERS),
    ("password value", "passcode", "", PASSWORD_CHARACTERS),
    ("credential value", "credentials", "", KEY_CHARACTERS),
)
# The same, for names that mostly stand before other values.
_STRICT: tuple[tuple[str, str, str, int], ...] = (
    ("key value", "key", _UNKNOWN, UNKNOWN_KEY_CHARACTERS),
    ("password value", "pass", _ALONE.format(word="pass"), PASSWORD_CHARACTERS),
    (
        "password value",
        "pw",
        f"(?:{_after(_PASS_KINDS, 'pw')}|{_ALONE.format(word='pw')})",
        PASSWORD_CHARACTERS,
    ),
    ("password value", "psk", "", PASSWORD_CHARACTERS),
)
# Name, pattern, and literals; the pattern can match only if one of them occurs.
ASSIGNMENTS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("password in a URL", _LOGIN_IN_URL, ("://",)),
    (
        "bearer token",
        r"[Bb]earer\s{1,8}(?=[A-Za-z_.~+/=\-]*+[0-9])(?P<secret>[A-Za-z0-9_.~+/=\-]{20,}+)",
        ("earer ",),
    ),
    (
        "authorization value",
        (
            r"(?i:authorization)[\"'\\\]]{0,8}\s{0,8}[:=]\s{0,8}[\"'\\]{0,8}"
            r"(?i:(?:basic|bearer|token|apikey|api-key|key|digest|negotiate|ssws|splunk|bot)\s{1,4})?"
            r"(?![$*%&{<])(?P<secret>(?=[A-Za-z_.~+/=\-]*+[0-9]|[A-Za-z]*+={1,2})[A-Za-z0-9_.~+/=\-]{8,}+)(?![(\[{])"
        ),
        ("uthorization", "UTHORIZATION"),
    ),
    (
        "basic credentials",
        r"[Bb]asic\s{1,8}(?=[A-Z]?[A-Za-z+/]*+[0-9])(?P<secret>[A-Za-z0-9+/]{16,}+={0,2})(?![A-Za-z0-9_\-])",
        ("asic ",),
    ),
    *COMMANDS,
    *CREDENTIAL_FILES,
    ("option value", _OPTION, ("--",)),
    *_APART,
    *(
        (name, _named(word, before, shortest=shortest), (word, word.upper(), word.capitalize()))
        for name, word, before, shortest in _NAMED
    ),
    *(
        (name, _named(word, before, shortest=shortest, strict=True), (word,))
        for name, word, before, shortest in _STRICT
    ),
    (
        "password value",
        _assigned(f"(?i:{WORDS})", "", shortest=PASSWORD_CHARACTERS, strict=True),
        PARTS_OF_WORDS,
    ),
)
