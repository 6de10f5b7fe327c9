"""One made-up secret of every kind that the shipped patterns know, alone and where it usually stands."""

from __future__ import annotations

import random
import string

RNG = random.Random(5)
ALNUM = string.ascii_letters + string.digits


def made(prefix, length, alphabet=ALNUM, suffix=""):
    """A made-up secret; put together here, so that this file holds nothing that looks like one."""
    return prefix + "a1" + "".join(RNG.choices(alphabet, k=length - 2)) + suffix


UPPER = string.ascii_uppercase + "234567"
BASE64 = ALNUM + "+/"
SECRETS = {
    "Anthropic key": made("sk-" + "ant-api03-", 90),
    "OpenRouter key": made("sk-" + "or-v1-", 64, "0123456789abcdef"),
    "OpenAI key": made("sk-" + "proj-", 80),
    "Google API key": made("AI" + "za", 35),
    "Google OAuth token": made("ya29" + ".", 60),
    "Google client secret": made("GOC" + "SPX-", 28),
    "AWS access key": "AK" + "IA" + "".join(RNG.choices(UPPER, k=16)),
    "AWS Bedrock key": made("AB" + "SK", 110, BASE64),
    "Azure key": made("", 52) + "JQ" + "QJ9" + made("", 27),
    "GitHub token": made("gh" + "p_", 36),
    "GitHub fine-grained token": made("github" + "_pat_", 82),
    "GitLab token": made("gl" + "pat-", 20),
    "Slack token": made("xo" + "xb-", 40),
    "Slack app token": made("xa" + "pp-1-", 40),
    "Stripe key": made("sk_" + "live_", 24),
    "Stripe webhook secret": made("wh" + "sec_", 32),
    "Hugging Face token": made("h" + "f_", 34),
    "npm token": made("np" + "m_", 36),
    "PyPI token": made("py" + "pi-AgE", 150),
    "Groq key": made("gs" + "k_", 52),
    "xAI key": made("xa" + "i-", 80),
    "Perplexity key": made("pp" + "lx-", 48),
    "Replicate token": made("r" + "8_", 37),
    "SendGrid key": made("S" + "G.", 22) + "." + made("", 43),
    "JWT": made("ey" + "J", 30) + "." + made("ey" + "J", 60) + "." + made("", 43),
}
IN_PLACE = {
    "Azure storage key": ("Account" + "Key=", made("", 86, suffix="==")),
    "Azure SAS signature": ("https://x.blob.core.windows.net/y?sv=1&" + "sig=", made("", 46)),
    "Slack webhook": (
        "https://hooks.slack" + ".com/services/",
        "T" + made("", 8) + "/B" + made("", 8) + "/" + made("", 24),
    ),
    "password in a URL": ("postgres:" + "//ann:", "s3cr" + "et!pass"),
    "bearer token": ("Authorization: " + "Bearer ", made("", 40)),
    "key value": ("MY_SERVICE_API_" + "KEY=", made("", 24)),
    "token value": ('"access_' + 'token": "', made("", 24)),
    "secret value": ("client_" + "secret = '", made("", 24)),
    "password value": ("DB_PASS" + "WORD=", "hunter2hunter2"),
    "credential value": ("CREDEN" + "TIALS=", made("", 24)),
}
TAILS = {"password in a URL": "@db.example.org/x", "token value": '"', "secret value": "'"}


def in_place(name: str) -> str:
    """A secret of that kind with what stands around it."""
    if name in SECRETS:
        return SECRETS[name]
    head, secret = IN_PLACE[name]
    return f"{head}{secret}{TAILS.get(name, '')}"


def bare(name: str) -> str:
    """The secret alone."""
    return SECRETS[name] if name in SECRETS else IN_PLACE[name][1]


NAMES = (*SECRETS, *IN_PLACE)
