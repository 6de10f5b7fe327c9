"""What a secret value looks like: the parts that the patterns of assignments, commands and files share."""

from __future__ import annotations

KEY_CHARACTERS = 16
PASSWORD_CHARACTERS = 8
# A value contains "=" only as padding, so that in ``KEY=KEY=KEY=…`` each run is read once.
CHARACTER = r"[^\s\"'`,;()\[\]{}<>\\=]"
NO_COLON = r"[^\s\"'`,;()\[\]{}<>\\=:\uff1a]"
# A value has a letter and a digit (or, in passwords, a sign) near its beginning, and is no template or call.
LETTER = r"(?=[^\s\"'`,;()\[\]{}<>\\=A-Za-z]{0,128}+[A-Za-z])"
DIGIT = r"(?=[^\s\"'`,;()\[\]{}<>\\=0-9]{0,128}+[0-9])"
DIGIT_OR_SIGN = r"(?=[^\s\"'`,;()\[\]{}<>\\=0-9!@#$%^&*?+~]{0,128}+[0-9!@#$%^&*?+~])"
SECRET = rf"(?P<secret>{CHARACTER}{{8,}}+={{0,2}})(?![(\[{{]|<(?!/))"
VALUE = rf"(?![$*%&]){LETTER}{DIGIT}{SECRET}"
# Unquoted values that are not secrets: code, a path or a placeholder (words with a short number at the end,
# joined by marks), a URL, a date, a file, or a variable named like its content.
_WORD = r"(?:(?:[A-Z]?[a-z]{1,40}+(?>(?:[A-Z][a-z]{1,40}+){0,6})|[A-Z]{1,40}+)[0-9]{0,3}+|[0-9]{1,8}+)"
_NO_NAMES = (
    rf"(?!(?:[/~.@#|]{{1,3}}+{_WORD}|{_WORD}[._\-/:+@]{{1,3}}+{_WORD})(?>(?:[._\-/:+@]{{1,3}}+{_WORD}){{0,16}})"
    rf"[._\-/:+@]?+(?!{CHARACTER}))"
)
_NO_PATH = r"(?![A-Za-z][A-Za-z0-9+.\-]{0,20}+://|[0-9]{4}-[0-9]{2}-[0-9]{2}|[A-Za-z]:[/\\])"
_NO_VARIABLE = (
    r"(?![A-Za-z]{0,24}(?i:pass|pwd|token|secret|key|value|param|arg|field|text|string|config|user)"
    rf"[A-Za-z]{{0,24}}+[0-9]{{0,3}}+(?!{CHARACTER}))"
)
_NO_DUMMY = r"(?!(?i:your|change_?me|placeholder|dummy|redacted|x{4}|\.{3}|none|null|true|false))"
LOOKS_SECRET = f"{_NO_PATH}{_NO_DUMMY}{_NO_NAMES}{_NO_VARIABLE}"
