"""Secrets in the form of a file or header that is made for them.

Lines of .netrc and .pgpass, password hashes of /etc/shadow and .htpasswd, private keys, the logins of
Docker's config.json and of .npmrc, cookies, tokens in URLs, YAML block scalars. Every repeat is possessive or
limited, so that matching takes linear time.
"""

from __future__ import annotations

from typing import Final

from ainb.redaction.values import CHARACTER, DIGIT, DIGIT_OR_SIGN, LETTER, LOOKS_SECRET, VALUE

_SALT = r"[A-Za-z0-9./]"
_BASE64 = r"[A-Za-z0-9+/]"
_CRYPT = (
    rf"\$(?:(?:1|apr1)\${_SALT}{{1,8}}\${_SALT}{{22}}"
    rf"|[56]\$(?:rounds=[0-9]{{1,9}}\$)?{_SALT}{{1,16}}\${_SALT}{{43,86}}"
    rf"|2[abxy]?\$[0-9]{{2}}\${_SALT}{{53}}"
    rf"|(?:g?y|7)\$(?:{_SALT}{{1,16}}\$)?{_SALT}{{1,86}}\${_SALT}{{43}}"
    rf"|(?:argon2(?:id|i|d)|scrypt|pbkdf2)[A-Za-z0-9\-]{{0,12}}\$(?:v=[0-9]{{1,3}}\$)?[a-z0-9=,]{{1,64}}\$"
    rf"{_BASE64}{{8,128}}\${_BASE64}{{20,128}}+)"
    rf"|\b(?:pbkdf2_sha(?:1|256)|bcrypt_sha256|scrypt)\$[0-9:]{{1,16}}\$[A-Za-z0-9./+]{{8,64}}\${_BASE64}{{27,128}}+=?=?"
    rf"|\{{S?SHA(?:256|512)?\}}{_BASE64}{{27,128}}+={{0,2}}"
)
_BEGINNINGS_OF_HASHES = (
    "$1$", "$apr1$", "$5$", "$6$", "$2", "$y$", "$gy$", "$7$", "$argon2", "$scrypt", "$pbkdf2", "{SHA",
    "{SSHA", "pbkdf2_sha", "bcrypt_sha", "scrypt$",
)  # fmt: skip
# Base64 of a text with a colon: in one group of four, the byte 0x3A at one of its three places.
_COLON = r"(?:O[g-v]|[A-Za-z0-9+/][DTjz][o-r]|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]6)"
_LOGIN_IN_BASE64 = (
    rf"(?=(?>(?:(?!{_COLON}){_BASE64}{{4}}){{0,32}}){_COLON})(?P<secret>{_BASE64}{{10,512}}+={{0,2}})"
)
_QUOTE = r"[\\\"']{0,4}+"
_COOKIE_VALUE = r"[A-Za-z0-9%_.~+/=\-:|!]"
_COOKIE = (
    rf"(?=[^\s;,\"'0-9]{{0,256}}+[0-9])(?=[^\s;,\"'A-Za-z]{{0,256}}+[A-Za-z])"
    rf"{_COOKIE_VALUE}{{16,4096}}+(?![(\[{{])"
)
_ANOTHER = r"[^\s;=\"'{}()]{1,64}+=[^\s;\"']{0,256}+"
_SESSION = r"(?i:phpsessid|jsessionid|connect\.sid|asp\.net_sessionid|\.aspxauth|laravel_session|_session_id)"
# The colon after a name, found first: a search for a colon is faster than one for many names.
_AFTER_NAME = ":(?i:{})".format(
    "|".join(
        f"(?<=(?:{names}):)"
        for names in (
            "key|pwd",
            "pass",
            "token|senha",
            "secret|passwd",
            "password|passwort|kennwort",
            "passphrase",
        )
    )
)
_LINE_BREAK = r"(?:\r?\n|(?:\\{1,4}r)?\\{1,4}n)"  # or its escape in a string
_KEY_LINE = r"[A-Za-z0-9+/=]{16,128}+"
CREDENTIAL_FILES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    (
        "private key",
        (
            r"-{4,5}[ ]?(?i:BEGIN[ ](?:[A-Z0-9 ]{0,30}PRIVATE[ ]KEY(?:[ ]BLOCK)?"
            r"|OpenVPN[ ]Static[ ]key[ ]V1))[ ]?-{4,5}"
            r"(?>(?:[^\-]++|-(?!---))*)(?:-{4,5}[ ]?(?i:END)[ ][A-Za-z0-9 ]{0,40}-{4,5})?"
        ),
        ("--BEGIN ", "--begin ", "-- BEGIN "),
    ),
    (
        "private key",
        (
            rf"Private-Lines:[ ][0-9]{{1,3}}\s{{1,4}}"
            rf"(?P<secret>{_KEY_LINE}(?>(?:\s{{1,4}}{_KEY_LINE}){{0,200}}))"
        ),
        ("Private-Lines:",),
    ),
    ("private key", rf"<D>\s{{0,8}}(?P<secret>{_BASE64}{{40,2048}}+={{0,2}})", ("<D>",)),
    (
        "private key",
        (
            r"[\"']d[\"']:\s{0,4}[\"'](?=[^0-9\"']{0,128}+[0-9])"
            r"(?P<secret>[A-Za-z0-9_\-]{42,1024}+)(?=[\"'])"
        ),
        ('"d":', "'d':"),
    ),
    (
        "token in a URL",
        (
            rf"://{LOOKS_SECRET}{LETTER}{DIGIT}(?P<secret>[A-Za-z0-9_\-]{{20,256}}+)(?::[a-z\-]{{0,20}})?"
            r"@[A-Za-z0-9\[]"
        ),
        ("://",),
    ),
    (
        "token in a URL",
        (
            r"[?&](?:amp;)?(?i:key|sig|signature|auth|sas|x-amz-signature|x-goog-signature)="
            rf"{LOOKS_SECRET}{LETTER}{DIGIT}(?P<secret>[A-Za-z0-9%_.~+/\-]{{16,1024}}+={{0,2}})"
        ),
        ("?key=", "&key=", ";key=", "sig=", "signature=", "auth=", "sas="),
    ),
    (
        "netrc password",
        (
            r"(?:machine\s{1,8}\S{1,128}|default(?=\s{1,8}login))\s{1,8}"
            r"(?:(?:login|account|port)\s{1,8}\S{1,128}\s{1,8}){0,3}(?:password|passwd)\s{1,8}(?![$%<{])(?P<secret>\S{3,128})"
        ),
        ("password", "passwd"),
    ),
    (
        "netrc password",
        rf"\blogin[ \t]{{1,8}}\S{{1,128}}[ \t]{{1,8}}passw(?:or)?d[ \t]{{1,8}}{LOOKS_SECRET}{VALUE}",
        ("password", "passwd"),
    ),
    (
        "pgpass password",
        (
            r"(?<![A-Za-z0-9_.*:/@\-])(?:[A-Za-z0-9_.\-]{1,253}+|\*):(?:\*|[0-9]{4,5}):"
            r"(?:\*|(?=[0-9_\-]{0,64}+[A-Za-z])[A-Za-z0-9_\-]{1,64}+):"
            rf"(?:\*|[A-Za-z][A-Za-z0-9_.\-]{{0,63}}+):(?={CHARACTER}{{6}})(?!{CHARACTER}{{0,128}}:)"
            rf"{DIGIT_OR_SIGN}{LETTER}(?P<secret>{CHARACTER}{{6,128}}+={{0,2}})(?=[\"'`\\,;.)\]}}<]|\s|$)"
        ),
        (":543", ":643", ":*:"),
    ),
    ("password hash", rf"(?P<secret>{_CRYPT})", _BEGINNINGS_OF_HASHES),
    (
        "basic credentials",
        rf"\b_?auth{_QUOTE}[ ]?[:=]\s{{0,8}}{_QUOTE}{_LOGIN_IN_BASE64}(?![A-Za-z0-9_\-(\[.])",
        ('auth"', "auth'", "auth:", "auth=", "auth :", "auth =", "auth\\"),
    ),
    (
        "cookie value",
        (
            rf"(?:(?i:(?P<set>set-)?cookies?){_QUOTE}[ ]{{0,4}}[:=][ ]{{0,4}}"
            rf"|(?:--cookie|\bcurl[ ][^\n|;]{{0,200}}?(?<=[ ])-b)[ ]{{1,4}}){_QUOTE}\{{?{_QUOTE}"
            rf"(?:{_ANOTHER};[ ]{{0,2}}){{0,30}}?[^\s;=:,\"'{{}}()]{{1,64}}+"
            rf"(?:=|[\"'][ ]{{0,2}}:[ ]{{0,4}}){_QUOTE}"
            rf"(?P<secret>{_COOKIE}(?(set)|(?>(?:;[ ]{{0,2}}{_ANOTHER}){{0,30}})))"
        ),
        ("ookie", "OOKIE", "curl "),
    ),
    (
        "cookie value",
        rf"{_SESSION}{_QUOTE}[ ]{{0,4}}[=:][ ]{{0,4}}{_QUOTE}(?P<secret>{_COOKIE})",
        ("SESSID", "sessid", "SESSIONID", "sessionid", "SessionId", "connect.sid", "ASPXAUTH", "_session"),
    ),
    (
        "block value",
        (
            rf"{_AFTER_NAME}[ ][|>][+\-1-9]{{0,2}}[ ]{{0,4}}(?:\#[^\n]{{0,80}})?"
            rf"(?:{_LINE_BREAK}|[ ])\s{{0,64}}"
            rf"(?![$*%&]){LOOKS_SECRET}{LETTER}{DIGIT_OR_SIGN}(?P<secret>{CHARACTER}{{8,512}}+={{0,2}}"
            rf"(?>(?:{_LINE_BREAK}[ \t]{{1,32}}{CHARACTER}{{16,512}}+={{0,2}}(?=\s|$)){{0,64}}))"
            r"(?=[\"'`\\,;.)\]}<]|\s|$)"
        ),
        (": |", ": >"),
    ),
    (
        "password value",
        (
            rf"=(?i:(?<=pwd=)|(?<=password=))[ ]?\{{(?![A-Za-z0-9_.]{{1,64}}+![rsa]\}})"
            rf"{LOOKS_SECRET}{LETTER}{DIGIT_OR_SIGN}"
            r"(?P<secret>[^\s\"'{}=()\[\]]{6,128}+)\}(?=[;\"'\s]|$)"
        ),
        ("={", "= {"),
    ),
)
