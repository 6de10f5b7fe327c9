"""A made-up secret of every kind that the shipped patterns find, alone and in its usual context."""

from __future__ import annotations

import random
import string

RNG = random.Random(5)
ALNUM = string.ascii_letters + string.digits


def made(prefix, length, alphabet=ALNUM, suffix=""):
    """A made-up secret, joined here so that this file contains nothing that looks like a secret."""
    return prefix + "a1" + "".join(RNG.choices(alphabet, k=length - 2)) + suffix


UPPER = string.ascii_uppercase + "234567"
CAPITALS = string.ascii_uppercase + string.digits
LOWER = string.ascii_lowercase + string.digits
BASE64 = ALNUM + "+/"
WORD = ALNUM + "_-"
HEX = "0123456789abcdef"
BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


def run(length, alphabet=ALNUM):
    """Made-up characters, including a digit."""
    letters = RNG.choices(alphabet, k=length)
    letters[1] = RNG.choice([letter for letter in alphabet if letter.isdigit()])
    return "".join(letters)


def uuid():
    return "-".join(run(length, HEX) for length in (8, 4, 4, 4, 12))


SECRETS = {
    "Anthropic key": made("sk-" + "ant-api03-", 90),
    "OpenRouter key": made("sk-" + "or-v1-", 64, HEX),
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
    "Hugging Face organization token": "api" + "_org_" + run(34),
    "Cerebras key": "cs" + "k-" + run(48, LOWER),
    "NVIDIA key": "nv" + "api-" + run(64, WORD),
    "Fireworks key": "f" + "w_" + run(24),
    "Anyscale key": "esec" + "ret_" + run(26, LOWER),
    "LangSmith key": "lsv2" + "_pt_" + run(32, HEX) + "_" + run(10, HEX),
    "Tavily key": "tv" + "ly-" + run(32),
    "Jina key": "ji" + "na_" + run(60),
    "Pinecone key": "pc" + "sk_" + run(6) + "_" + run(63),
    "Together key": "tgp" + "_v1_" + run(43, WORD),
    "ElevenLabs key": "s" + "k_" + run(48, HEX),
    "Firecrawl key": "f" + "c-" + run(32, HEX),
    "RunPod key": "rp" + "a_" + run(48, CAPITALS),
    "Voyage key": "p" + "a-" + run(43, WORD),
    "E2B key": "e2" + "b_" + run(40, HEX),
    "Cursor key": "ke" + "y_" + run(64, HEX),
    "Modal key": "a" + "k-Q" + run(21),
    "Google refresh token": "1/" + "/0" + run(60, WORD),
    "Yandex Cloud secret": "Y" + "C" + run(38, WORD),
    "Cloudflare token": "cf" + "ut_" + run(40),
    "Deno Deploy token": "dd" + "p_" + run(36),
    "Aiven password": "AV" + "NS_" + run(19, WORD),
    "Databricks secret": "do" + "se" + run(32, HEX),
    "Adafruit key": "ai" + "o_" + run(28),
    "Axiom token": "xa" + "at-" + uuid(),
    "Statsig key": "sec" + "ret-" + run(43),
    "Notion secret": "sec" + "ret_" + run(43),
    "Lob publishable key": "te" + "st_pub_" + run(31, HEX),
    "GoCardless token": "li" + "ve_Q" + run(39, WORD),
    "Razorpay key": "rz" + "p_live_" + run(14),
    "Polar token": "pol" + "ar_oat_" + run(43),
    "Mailgun public key": "pub" + "key-" + run(32, HEX),
    "MailerSend token": "ml" + "sn." + run(64, HEX),
    "ClickUp token": "p" + "k_" + run(8, string.digits) + "_" + run(32, CAPITALS),
    "Dropbox token": "s" + "l." + run(140, WORD),
    "Alibaba Cloud access key": "LT" + "AI" + run(20),
    "Yandex Cloud API key": "AQ" + "VN" + run(36, WORD),
    "Yandex Cloud token": "t" + "1." + run(40, WORD) + "." + run(86, WORD),
    "DigitalOcean token": "dop" + "_v1_" + run(64, HEX),
    "Heroku key": "HR" + "KU-AA" + run(58, WORD),
    "Fly.io token": "fo" + "1_" + run(43, WORD),
    "Fly.io macaroon": "fm" + "1r_" + run(120, BASE64),
    "Cloudflare origin key": "v1" + ".0-" + run(24, HEX) + "-" + run(146, HEX),
    "Scalingo token": "tk-" + "us-" + run(48, WORD),
    "Netlify token": "nf" + "p_" + run(36),
    "Render key": "rn" + "d_" + run(32),
    "Tailscale key": "tskey" + "-auth-" + run(12) + "-" + run(32),
    "Terraform Cloud token": run(14) + ".atlas" + "v1." + run(67, WORD),
    "Pulumi token": "pu" + "l-" + run(40, HEX),
    "Infracost key": "ic" + "o-" + run(32),
    "Doppler token": "dp" + ".pt." + run(43),
    "Vault token": "hv" + "s." + run(95, WORD),
    "OpenShift token": "sha" + "256~" + run(43, WORD),
    "Azure DevOps token": run(76) + "AZ" + "DO" + run(4),
    "Azure AD client secret": run(3) + "8" + "Q~" + run(34),
    "GitLab agent token": "gla" + "gn-" + run(50, WORD),
    "GitLab runner registration token": "GR" + "1348941" + run(20, WORD),
    "Bitbucket app password": "AT" + "BB" + run(32),
    "Atlassian token": "AT" + "ATT3" + run(186, WORD),
    "Trello token": "AT" + "TA" + run(64, HEX),
    "RubyGems key": "ruby" + "gems_" + run(48, HEX),
    "NuGet key": "oy" + "2" + run(43, LOWER),
    "Clojars token": "CLO" + "JARS_" + run(60, LOWER),
    "Artifactory key": "AK" + "Cp" + run(69),
    "Artifactory token": "cm" + "Vmd" + run(59),
    "Docker token": "dckr" + "_pat_" + run(27, WORD),
    "Buildkite token": "bk" + "ua_" + run(40, HEX),
    "CircleCI token": "CCI" + "PAT_" + run(22) + "_" + run(40, HEX),
    "Octopus Deploy key": "AP" + "I-" + run(26, CAPITALS),
    "Harness token": "pa" + "t." + run(22, WORD) + "." + run(24) + "." + run(20),
    "SonarQube token": "sq" + "u_" + run(40, HEX),
    "Sourcegraph token": "sg" + "p_" + run(16, HEX) + "_" + run(40, HEX),
    "Postman key": "PM" + "AK-" + run(24, HEX) + "-" + run(34, HEX),
    "Prefect key": "pn" + "u_" + run(36),
    "ReadMe key": "rd" + "me_" + run(70, LOWER),
    "age secret key": "AGE-SECRET" + "-KEY-1" + run(58, BECH32),
    "1Password secret key": "A" + "3-" + "-".join(run(length, CAPITALS) for length in (6, 6, 5, 5, 5, 5)),
    "1Password token": "ops" + "_eyJ" + run(250, BASE64),
    "Databricks token": "da" + "pi" + run(32, HEX),
    "PlanetScale token": "pscale" + "_tkn_" + run(43, WORD),
    "ClickHouse Cloud key": "4b" + "1d" + run(37) + "Q",
    "Supabase token": "sb" + "p_" + run(40, HEX),
    "Supabase secret key": "sb" + "_secret_" + run(31, WORD),
    "Airtable token": "pa" + "t" + run(14) + "." + run(64, HEX),
    "Notion token": "nt" + "n_" + run(11, string.digits) + run(35),
    "Neon key": "na" + "pi_" + run(64, LOWER),
    "Grafana token": "gls" + "a_" + run(32) + "_" + run(8, HEX),
    "Grafana key": "eyJr" + "Ijoi" + run(90),
    "New Relic key": "NR" + "AK-" + run(27, CAPITALS),
    "Dynatrace token": "dt0" + "c01." + run(24, CAPITALS) + "." + run(64, CAPITALS),
    "Sentry user token": "sntr" + "yu_" + run(64, HEX),
    "Sentry organization token": "sntr" + "ys_eyJ" + run(120, BASE64) + "_" + run(43, BASE64),
    "Honeycomb key": "hca" + "ik_" + run(58),
    "PostHog key": "ph" + "x_" + run(43),
    "MaxMind key": run(6) + "_" + run(29) + "_m" + "mk",
    "Mapbox token": "sk" + ".eyJ" + run(60) + "." + run(22),
    "Contentful token": "CF" + "PAT-" + run(43, WORD),
    "Typeform token": "tf" + "p_" + run(59, WORD),
    "Square token": "sq0" + "csp-" + run(43, WORD),
    "Square access token": "EA" + "AA" + run(60, WORD),
    "Shopify token": "shp" + "at_" + run(32, HEX),
    "PayPal Braintree token": "access_token" + "$production$" + run(16, LOWER) + "$" + run(32, HEX),
    "Plaid token": "access" + "-production-" + uuid(),
    "Flutterwave key": "FLW" + "SECK_TEST-" + run(32, "0123456789abcdefgh") + "-X",
    "Lob key": "li" + "ve_" + run(35, HEX),
    "Shippo token": "shippo" + "_live_" + run(40, HEX),
    "EasyPost key": "EZ" + "AK" + run(54),
    "Duffel token": "duffel" + "_live_" + run(43, WORD),
    "SettleMint token": "sm" + "_pat_" + run(16),
    "Brevo key": "xkey" + "sib-" + run(64, HEX) + "-" + run(16),
    "Mailchimp key": run(32, HEX) + "-u" + "s12",
    "Mailgun key": "ke" + "y-" + run(32, HEX),
    "Resend key": "r" + "e_" + run(8) + "_" + run(24),
    "Twilio key": "S" + "K" + run(32, HEX),
    "Telegram bot token": run(10, string.digits) + ":A" + "A" + run(33, WORD),
    "Discord bot token": "M" + run(23) + "." + run(6) + "." + run(38),
    "Facebook token": "EA" + "AC" + run(150),
    "Twitter bearer token": "A" * 22 + run(24) + "%3D" + run(50),
    "Linear key": "lin" + "_api_" + run(40),
    "HubSpot token": "pat" + "-na1-" + uuid(),
    "Figma token": "fig" + "d_" + run(40, WORD),
    "Frame.io token": "fio" + "-u-" + run(64, WORD),
    "Adobe client secret": "p8" + "e-" + run(32),
    "Defined Networking key": "dn" + "key-" + run(26) + "-" + run(52),
    "RapidAPI key": run(10, LOWER)
    + "ms"
    + "h"
    + run(15, LOWER)
    + "p1"
    + run(6, LOWER)
    + "js"
    + "n"
    + run(12, LOWER),
    "Intra 42 secret": "s-s4" + "t2ud-" + run(64, HEX),
}
IN_PLACE = {
    "Azure storage key": ("Account" + "Key=", made("", 86, suffix="==")),
    "Azure SAS signature": ("https://x.blob.core.windows.net/y?sv=1&" + "sig=", made("", 46)),
    "Zapier webhook": ("https://hooks.zapier" + ".com/hooks/catch/", "12345678/" + run(7, LOWER)),
    "Slack webhook": (
        "https://hooks.slack" + ".com/services/",
        "T" + made("", 8) + "/B" + made("", 8) + "/" + made("", 24),
    ),
    "Discord webhook": (
        "https://discord" + ".com/api/webhooks/",
        run(18, string.digits) + "/" + run(68, WORD),
    ),
    "Teams webhook": (
        "https://x.webhook.office" + ".com/webhookb2/",
        f"{uuid()}@{uuid()}/IncomingWebhook/{run(32, HEX)}/{uuid()}",
    ),
    "password in a URL": ("postgres:" + "//ann:", "s3cr" + "et!pass"),
    "bearer token": ("Authorization: " + "Bearer ", made("", 40)),
    "authorization value": ("Authorization: " + "Token ", made("", 40)),
    "basic credentials": ("header " + "Basic ", made("", 22, suffix="==")),
    "curl password": ("cur" + "l -s -u ann:", "hunter2" + "hunter2"),
    "password in a command": ("mysq" + "l -u root -p", "hunter2" + "hunter2"),
    "pgpass password": ("db.example.org:5432:shop:ann:", "hunter2" + "hunter2"),
    "password hash": ("root:", "$6" + "$" + run(16) + "$" + run(86)),
    "cookie value": ("Cook" + "ie: session=", made("", 32)),
    "block value": ("pass" + "word: |\n  ", "hunter2" + "hunter2"),
    "token in a URL": ("https://example.org/v1?a=1&" + "key=", made("", 32)),
    "netrc password": ("machine example.org login ann " + "password ", "hunter2" + "hunter2"),
    "option value": ("--api-" + "key ", made("", 24)),
    "key value": ("MY_SERVICE_API_" + "KEY=", made("", 24)),
    "token value": ('"access_' + 'token": "', made("", 24)),
    "secret value": ("client_" + "secret = '", made("", 24)),
    "password value": ("DB_PASS" + "WORD=", "hunter2hunter2"),
    "credential value": ("CREDEN" + "TIALS=", made("", 24)),
}
TAILS = {
    "password in a URL": "@db.example.org/x",
    "token value": '"',
    "secret value": "'",
}


def in_place(name: str) -> str:
    """A secret of a kind in its usual context."""
    if name in SECRETS:
        return SECRETS[name]
    head, secret = IN_PLACE[name]
    return f"{head}{secret}{TAILS.get(name, '')}"


def bare(name: str) -> str:
    """A secret of a kind without context."""
    return SECRETS[name] if name in SECRETS else IN_PLACE[name][1]


NAMES = (*SECRETS, *IN_PLACE)
