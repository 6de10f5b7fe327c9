"""Passwords in command lines: the option of a program that takes one, and pairs of user and password.

``mysql -p…``, ``sshpass -p …``, ``curl -u ann:…``, ``net use … /user:ann``, ``sqlplus ann/…@db``. A program
and its option are searched on one command line, which continues after a backslash; it is read at most once
for each name of a program, up to a limit.
"""

from __future__ import annotations

from typing import Final

_QUOTED = r"(?P<quoted>[\"'])?"
_NO_TEMPLATE = r"(?![$%<{*(\[\-|])(?!(?i:your|pass(?:word|wd)?\b|\.{3}|…|x{3}|\\))"
_VALUE = r"(?P<secret>(?(quoted)[^\"'\n]{4,128}+|[^\s\"'`]{4,128}+))"
_LETTER = r"(?=[^\s\"'`A-Za-z]{0,64}+[A-Za-z]|[0-9]{6})"
_DIGIT_OR_SIGN = r"(?=[^\s\"'`0-9!@#$%^&*?+~]{0,64}+[0-9!@#$%^&*?+~])"
_ANY = f"{_QUOTED}{_NO_TEMPLATE}{_LETTER}{_VALUE}"
# Where an ordinary word may follow, a password has a digit or a sign.
_LIKELY = f"{_QUOTED}{_NO_TEMPLATE}{_LETTER}{_DIGIT_OR_SIGN}{_VALUE}"
_LIKELY_LAST = rf"{_LIKELY}(?=[\"']?[ \t]{{0,4}}(?:/|[\n\r`]|$))"


def _arguments(ends: str) -> str:
    """The arguments between a program and an option; none of the characters `ends` is in them."""
    run = rf"[^\n`\\{ends}]{{0,200}}"
    return rf"(?:\.exe)?[ \t](?:{run}+\\\s{{0,8}}+){{0,8}}?{run}?(?<=[ ])"


_TO_OPTION = _arguments("|;&")
# A URL contains "&".
_TO_LOGIN = _arguments("|;")
_LOGIN = r"(?:docker|podman|nerdctl|buildah|skopeo|helm|oc|az|cf|argocd)[ \t](?:[a-z]{1,12}[ \t]){0,2}login"
_ATTACHED = rf"\b(?:(?:mysql|mariadb)[a-z_\-]{{0,20}}|7z[azr]?){_TO_OPTION}-p"
_NO_WORD = r"(?!(?:asswords?|asswd|ort|rotocol|lugin|rint|rompt|ager|ath|id)\b)"
_APART = (
    (rf"(?:mongo(?:sh|dump|restore|import|export)?|psexec(?:64)?|evil-winrm|sshpass|{_LOGIN})", "-p"),
    (r"(?:sqlcmd|osql|bcp|isql|(?:un)?zip|mosquitto_(?:pub|sub|rr)|ipmitool)", "-P"),
    ("redis-cli", "(?:-a|--pass)"),
)
_OPTIONS = "|".join(f"{program}{_TO_OPTION}{option}" for program, option in _APART)
_LOGIN_OPTION = r"(?:-u|-U|-a|--user|--proxy-user|--auth)[ =]{0,2}[\"']?[^\s:\"'$/]{1,64}:"
_NET = (
    r"net[ ](?:use[ \t](?:[^\n|;&]{0,200}?[ \t])??"
    r"(?:\\\\[^\s\\]{1,64}\\\S{1,64}|/user:\S{1,64})|user[ \t]{1,4}[^\s/]{1,64})[ \t]{1,4}(?!/)"
)
COMMANDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("password in a command", f"{_ATTACHED}{_NO_WORD}{_ANY}", (" -p",)),
    (
        "password in a command",
        (
            rf"\bsshpass[ ]{{1,4}}-p[ \t]{{0,4}}{_ANY}"
            r"(?=[\"']?[ \t]{1,4}(?:ssh|scp|sftp|rsync|sudo|git|ansible))"
        ),
        (" -p",),
    ),
    (
        "password in a command",
        rf"\b(?:{_OPTIONS})[ \t=]{{1,4}}{_LIKELY}",
        (" -p", " -P", "redis-cli"),
    ),
    (
        "curl password",
        rf"\b(?:curl|http){_TO_LOGIN}{_LOGIN_OPTION}(?![$*%{{<…])(?P<secret>[^\s\"']{{3,128}})",
        ("curl", "http "),
    ),
    ("password in a command", rf"(?i:\b{_NET}){_LIKELY_LAST}", ("net use",)),
    (
        "password in a command",
        rf"(?i:-pass(?:in|out)?[ \t]{{1,4}}[\"']?pass:|[ \t]/pass(?:word)?:){_ANY}",
        ("pass:", "/password:"),
    ),
    (
        "password in a command",
        (
            r"\becho[ \t]{1,4}(?:-[ne]{1,2}[ \t])?[\"']?(?:[A-Za-z0-9_.\-]{1,32}:)?(?![$%<{])"
            r"(?P<secret>[^\s\"'|:]{3,128}+)[\"']?[ \t]{0,4}\|[^\n|]{0,100}?"
            r"(?:chpasswd|sudo[ ]-S|--password-stdin|passwd[ ]--stdin)"
        ),
        ("chpasswd", "sudo -S", "--password-stdin", "passwd --stdin"),
    ),
    (
        "password in a command",
        (
            r"\bhtpasswd[ ]-(?=[A-Za-z]{0,8}b)(?:(?=[A-Za-z]{0,8}n)"
            r"|[A-Za-z]{1,8}+[ \t]{1,4}\S{1,128}(?=[ ]))"
            rf"\S{{0,8}}[ \t]{{1,4}}\S{{1,64}}[ \t]{{1,4}}{_LIKELY}"
        ),
        ("htpasswd -",),
    ),
    (
        "password in a command",
        (
            r"(?<![^\n])[ \t]{0,8}(?:requirepass|enable[ ]password(?:[ ][0-9])?)"
            rf"[ \t]{{1,8}}{_LIKELY_LAST}"
        ),
        ("requirepass", "enable password"),
    ),
    (
        "password in a command",
        (
            rf"(?:jdbc:oracle:[a-z0-9]{{1,8}}:|\b(?:sqlplus|sqlcl|sqlldr){_TO_OPTION}"
            r"|\bconnect\([\"'])[A-Za-z][A-Za-z0-9_$#\-]{0,63}/\\?\"?(?![$%<{*(])"
            r"(?P<secret>[^\s\"'/@]{3,128}+)\\?\"?@"
        ),
        ("jdbc:oracle:", "sqlplus", "sqlcl", "sqlldr", "connect("),
    ),
)
