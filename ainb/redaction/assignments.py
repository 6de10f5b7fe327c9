"""Secrets that are recognised by their context: a name and a separator, a header, a URL.

``password=…``, ``"api_key": "…"``, ``client_secret = …``, ``Authorization: Basic …``, ``postgres://ann:…``,
in the spellings of shells, .env files, YAML, TOML, JSON, XML and connection strings. Every pattern takes
linear time: each run of characters is read once, by a possessive quantifier. Groups are atomic instead,
because Python before 3.11.5 matches a possessive repeat of a group wrongly (cpython issue 106052).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

KEY_CHARACTERS = 16
PASSWORD_CHARACTERS = 8
# A value contains "=" only as padding, so that in ``KEY=KEY=KEY=…`` each run is read once.
_CHARACTER = r"[^\s\"'`,;()\[\]{}<>\\=]"
_NO_COLON = r"[^\s\"'`,;()\[\]{}<>\\=:]"
# A value has a letter and a digit (or, in passwords, a sign) near its beginning, and is no template or call.
_LETTER = r"(?=[^\s\"'`,;()\[\]{}<>\\=A-Za-z]{0,128}+[A-Za-z])"
_DIGIT = r"(?=[^\s\"'`,;()\[\]{}<>\\=0-9]{0,128}+[0-9])"
_DIGIT_OR_SIGN = r"(?=[^\s\"'`,;()\[\]{}<>\\=0-9!@#$%^&*?+~]{0,128}+[0-9!@#$%^&*?+~])"
_SECRET = rf"(?P<secret>{_CHARACTER}{{8,}}+={{0,2}})(?![(\[{{]|<(?!/))"
_VALUE = rf"(?![$*%&]){_LETTER}{_DIGIT}{_SECRET}"
# Unquoted values that are not secrets: code, a path or a placeholder (words with a short number at the end,
# joined by marks), a URL, a date, a file, or a variable named like its content.
_WORD = r"(?:(?:[A-Z]?[a-z]{1,40}+(?>(?:[A-Z][a-z]{1,40}+){0,6})|[A-Z]{1,40}+)[0-9]{0,3}+|[0-9]{1,8}+)"
_NO_NAMES = (
    rf"(?!(?:[/~.@#|]{{1,3}}+{_WORD}|{_WORD}[._\-/:+@]{{1,3}}+{_WORD})(?>(?:[._\-/:+@]{{1,3}}+{_WORD}){{0,16}})"
    rf"[._\-/:+@]?+(?!{_CHARACTER}))"
)
_NO_PATH = r"(?![A-Za-z][A-Za-z0-9+.\-]{0,20}+://|[0-9]{4}-[0-9]{2}-[0-9]{2}|[A-Za-z]:[/\\])"
_NO_VARIABLE = (
    r"(?![A-Za-z]{0,24}(?i:pass|pwd|token|secret|key|value|param|arg|field|text|string|config|user)"
    rf"[A-Za-z]{{0,24}}+[0-9]{{0,3}}+(?!{_CHARACTER}))"
)
_NO_DUMMY = r"(?!(?i:your|change_?me|placeholder|dummy|redacted|x{4}|\.{3}|none|null|true|false))"
_LOOKS_SECRET = f"{_NO_PATH}{_NO_DUMMY}{_NO_NAMES}{_NO_VARIABLE}"
_KEY_KINDS = (
    "api", "access", "secret", "private", "auth", "account", "client", "signing", "encryption", "app",
    "application", "service", "subscription", "master", "shared", "storage", "session", "admin", "license",
)  # fmt: skip
_PASS_KINDS = ("db", "user", "smtp", "mail", "admin", "root", "ftp", "login", "http", "proxy")


def _named(word: str, kinds: Iterable[str], *, shortest: int) -> str:
    """A name that ends in `word`, a separator and a value: quoted, in capitals with "=", or plain.

    Args:
        word: Last part of the name.
        kinds: Texts of which one must precede the word, unless the name is in capitals with "="; empty means
            any.
        shortest: Minimum length of a quoted or plain value.
    """
    any_case = "".join(f"[{letter.upper()}{letter}]" for letter in word)
    named = f"(?i:{'|'.join(_after_kind(kinds, word))})" if kinds else ""
    long_enough = f"(?={_CHARACTER}{{{shortest}}})"
    # In JSON inside JSON, and in a notebook file, quotes follow backslashes.
    quote = r"\\{0,8}+[\"']"
    # A value directly after a colon contains no colon, so that in ``key:key:key:…`` each run is read once.
    unquoted = rf"[ \t]{{0,8}}+(?:(?<!:)|(?={_NO_COLON}{{{shortest},}}+={{0,2}}(?![:=]))){long_enough}"
    separator = r"(?::=?+|=>?+)(?![=~:])"
    opening = (
        rf"(?:(?<={word.upper()})=(?={_CHARACTER}{{8}})"
        # Tried only where a separator may begin: most texts that would take long fail there.
        rf"|(?=[:\\\s\"'\]>]|=(?![=~]|{any_case}[=:])){named}(?:(?>(?:{quote})?)\]?+[ \t]{{0,8}}+{separator}"
        rf"(?:\s{{0,8}}+{quote}(?P<quoted>){long_enough}|{unquoted}(?P<plain>))"
        rf"|>(?={_CHARACTER}{{{shortest},256}}+={{0,2}}</)(?P<element>)))"
    )
    sign = _DIGIT if shortest > PASSWORD_CHARACTERS else _DIGIT_OR_SIGN
    value = f"(?![$*%&]){sign}{_LETTER}(?(plain){_LOOKS_SECRET})(?(element){_LOOKS_SECRET}){_SECRET}"
    # A quoted value ends at its quote.
    return rf"{any_case}{opening}{value}(?(quoted)(?<=[^\s\"']{{{shortest}}})(?=\\{{0,8}}[\"']))"


def _after_kind(kinds: Iterable[str], word: str) -> Iterable[str]:
    """Look-behinds for a word after one of the kinds; kinds of the same width share one."""
    by_width: dict[int, list[str]] = {}
    for kind in kinds:
        by_width.setdefault(len(kind), []).append(kind)
    for same in by_width.values():
        for joint in (r"[_\-. ]", ""):
            yield f"(?<=(?:{'|'.join(same)}){joint}{word})"


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
    rf"[ \t]{{1,4}}[\"']?{_LOOKS_SECRET}{_VALUE}"
)

# Names that stand apart from their value: commands, declarations with a type, pairs of name and value.
_ENDING = r"[A-Za-z0-9_.\-]{0,64}?(?i:key|token|secret|password|passwd|pwd)"
_GAP = r"[ \t]{0,4}"
_BLANK = r"[ \t]{1,8}"
_OF = rf"{_GAP}[:=]{_GAP}"
_QUOTE = r"[\"']"
_COMMAND = r"(?:\b(?:ENV|ARG|setenv|setx|set[ \t]{1,2}-[A-Za-z]{1,4})|#define)"
_TYPE = rf"{_GAP}:{_GAP}&?(?:'static[ \t])?(?i:str|string)[?!]?{_GAP}="
_FUNCTION = r"(?:define|setdefault|setenv|putenv|setProperty|\.set)\("
_KEY_IN_QUOTES = rf"{_GAP}[\"'`](?={_CHARACTER}{{{KEY_CHARACTERS}}}){_VALUE}"
_LAST_WORDS = r"(?i:key|token|secret|password)"
_APART: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "option value",
        rf"{_COMMAND}{_BLANK}{_ENDING}{_BLANK}{_QUOTE}?{_LOOKS_SECRET}{_VALUE}",
        ("ENV ", "ARG ", "setenv ", "setx ", "set -", "#define "),
    ),
    (
        "option value",
        rf"(?i:identified[ \t]{{1,4}}by|password)[ \t]{{1,4}}'{_VALUE}(?=')",
        ("IDENTIFIED BY", "identified by", "PASSWORD '", "password '"),
    ),
    ("key value", f"{_LAST_WORDS}{_TYPE}{_KEY_IN_QUOTES}", (": str", ":str", "&str", "'static str")),
    ("key value", f"{_LAST_WORDS}{_GAP}<-{_KEY_IN_QUOTES}", ("<-",)),
    (
        "key value",
        (
            rf"(?i:name|key){_QUOTE}?{_OF}{_QUOTE}?{_ENDING}{_QUOTE}?,?\s{{1,32}}{_QUOTE}?value{_QUOTE}?"
            rf"{_OF}{_QUOTE}?{_LOOKS_SECRET}{_VALUE}"
        ),
        ("value:", "value=", "value'", 'value"'),
    ),
    (
        "key value",
        f"{_FUNCTION}{_GAP}{_QUOTE}{_ENDING}{_QUOTE}{_GAP},{_GAP}{_QUOTE}{_VALUE}(?={_QUOTE})",
        ("define(", "setdefault(", "setenv(", "putenv(", "setProperty(", ".set("),
    ),
)
# Name of the pattern, last word of the name that the value follows, kinds of which one must precede the word,
# and the fewest characters of a quoted or plain value.
_NAMED: tuple[tuple[str, str, tuple[str, ...], int], ...] = (
    ("key value", "key", _KEY_KINDS, KEY_CHARACTERS),
    ("token value", "token", (), KEY_CHARACTERS),
    ("secret value", "secret", (), KEY_CHARACTERS),
    ("password value", "password", (), PASSWORD_CHARACTERS),
    ("password value", "passwd", (), PASSWORD_CHARACTERS),
    ("password value", "passphrase", (), PASSWORD_CHARACTERS),
    ("password value", "pwd", (), PASSWORD_CHARACTERS),
    ("password value", "pass", _PASS_KINDS, PASSWORD_CHARACTERS),
    ("credential value", "credentials", (), KEY_CHARACTERS),
)
# Name, pattern, and literals; the pattern can match only if one of them occurs.
ASSIGNMENTS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    (
        "private key",
        (
            r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
            r"(?>(?:[^\-]++|-(?!----))*)(?:-----END [A-Z0-9 ]{0,40}-----)?"
        ),
        ("PRIVATE KEY",),
    ),
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
    (
        "curl password",
        (
            r"curl\s{1,4}(?:-{1,2}[A-Za-z\-]{1,20}\s{1,4}){0,4}(?:-u|--user)[ =]{0,2}"
            r"[\"']?[^\s:\"'$]{1,64}:(?![$*%{<])(?P<secret>[^\s\"']{3,128})"
        ),
        ("curl ",),
    ),
    (
        "netrc password",
        r"machine\s{1,8}\S{1,128}\s{1,8}login\s{1,8}\S{1,128}\s{1,8}password\s{1,8}(?P<secret>\S{3,128})",
        ("machine ",),
    ),
    ("option value", _OPTION, ("--",)),
    *_APART,
    *(
        (name, _named(word, kinds, shortest=shortest), (word, word.upper(), word.capitalize()))
        for name, word, kinds, shortest in _NAMED
    ),
)
