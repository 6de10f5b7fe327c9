"""Token formats: secrets that are recognised by prefix, alphabet and length.

Lengths are minima, so that a longer token is matched as a whole. Source: the providers' documentation,
GitHub's secret scanning patterns, and the rule packs of gitleaks 8 and detect-secrets 1.5 for prefix,
alphabet and length.
"""

from __future__ import annotations

import re
from typing import Final

# Name, prefixes separated by blanks, and the pattern of the rest.
_Row = tuple[str, str, str]
_W = r"[A-Za-z0-9_\-]"
_A = "[A-Za-z0-9]"
_HEX = "[0-9a-f]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
# Start of a word, also after an escape of JSON or of a URL.
_AFTER = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=%[0-9A-F]{2}))"
_MIXED = rf"(?=[A-Za-z_\-]*+[0-9]){_W}"


def token(prefixes: tuple[str, ...], rest: str) -> str:
    r"""The pattern of a token: one of its prefixes at the start of a word, then the rest.

    The look-behind comes after the prefix, so that the search can still jump from literal to literal. A word
    may also start after an escape: in JSON after ``\n``, whose ``n`` looks like a letter of the word, in a
    URL after ``%3D``.
    """
    by_width: dict[int, list[str]] = {}
    for prefix in prefixes:
        by_width.setdefault(len(prefix), []).append(re.escape(prefix))
    starts = [
        rf"(?:{'|'.join(same)})(?:(?<![A-Za-z0-9_\-].{{{width}}})|(?<=\\[nrtbf].{{{width}}})"
        rf"|(?<=%[0-9A-F]{{2}}.{{{width}}}))"
        for width, same in by_width.items()
    ]
    return f"(?:{'|'.join(starts)}){rest}"


# fmt: off
_LANGUAGE_MODELS: tuple[_Row, ...] = (
    ("Anthropic key", "sk-ant-", f"{_W}{{20,}}+"),
    ("OpenRouter key", "sk-or-", f"{_W}{{20,}}+"),
    ("OpenAI key", "sk-", f"{_MIXED}{{20,}}+"),
    ("Groq key", "gsk_", f"{_A}{{40,}}+"),
    ("xAI key", "xai-", f"{_A}{{60,}}+"),
    ("Perplexity key", "pplx-", f"{_A}{{40,}}+"),
    ("Replicate token", "r8_", f"{_A}{{37,}}+"),
    ("Hugging Face token", "hf_", f"{_A}{{30,}}+"),
    ("Hugging Face organization token", "api_org_", f"{_A}{{34,}}+"),
    ("Cerebras key", "csk-", "[a-z0-9]{40,}+"),
    ("NVIDIA key", "nvapi-", f"{_W}{{40,}}+"),
    ("Fireworks key", "fw_", f"(?=[A-Za-z]*+[0-9]){_A}{{22,}}+"),
    ("Anyscale key", "esecret_", f"{_A}{{24,}}+"),
    ("LangSmith key", "lsv2_pk_ lsv2_pt_ lsv2_sk_ lsv2_st_", f"{_HEX}{{32}}_{_HEX}{{10,}}+"),
    ("Tavily key", "tvly-", f"{_MIXED}{{28,}}+"),
    ("Jina key", "jina_", f"{_W}{{40,}}+"),
    ("Pinecone key", "pcsk_", f"{_A}{{5,7}}_{_A}{{50,}}+"),
    ("Together key", "tgp_v1_", f"{_W}{{40,}}+"),
    ("ElevenLabs key", "sk_", f"{_HEX}{{48,}}+"),
    ("Firecrawl key", "fc-", f"{_HEX}{{32,}}+"),
    ("RunPod key", "rpa_", "[A-Z0-9]{40,}+"),
    ("Voyage key", "pa-", f"{_MIXED}{{43,}}+"),
    ("E2B key", "e2b_", f"{_HEX}{{40,}}+"),
    ("Cursor key", "key_", f"{_HEX}{{64,}}+"),
    ("Modal key", "ak-", f"(?=[A-Za-z]*+[0-9])(?=[a-z0-9]*+[A-Z]){_A}{{22}}(?!{_W})"),
)
_CLOUDS: tuple[_Row, ...] = (
    ("Google API key", "AIza", f"{_W}{{35,}}+"),
    ("Google OAuth token", "ya29.", f"{_W}{{20,}}+"),
    ("Google client secret", "GOCSPX-", f"{_W}{{28,}}+"),
    ("Google refresh token", "1//0", f"{_W}{{40,}}+"),
    ("AWS access key", "ABIA ACCA AKIA ASIA", r"[A-Z2-7]{16}(?![A-Za-z0-9])"),
    ("AWS Bedrock key", "ABSK", "[A-Za-z0-9+/]{100,}+={0,2}"),
    ("Alibaba Cloud access key", "LTAI", f"(?=[A-Za-z]*+[0-9]){_A}{{16,}}+"),
    ("Yandex Cloud API key", "AQVN", f"{_W}{{35,}}+"),
    ("Yandex Cloud token", "t1.", rf"{_W}{{20,}}+={{0,2}}\.{_W}{{80,}}+={{0,2}}"),
    ("Yandex Cloud secret", "YC", f"{_MIXED}{{38}}(?!{_W})"),
    ("Cloudflare token", "cfat_ cfk_ cfut_", f"{_A}{{40,}}+"),
    ("Deno Deploy token", "ddp_ ddw_", f"{_A}{{36,}}+"),
    ("Aiven password", "AVNS_", f"{_W}{{16,}}+"),
    ("DigitalOcean token", "doo_v1_ dop_v1_ dor_v1_", f"{_HEX}{{64,}}+"),
    ("Heroku key", "HRKU-", f"{_W}{{58,}}+"),
    ("Fly.io token", "fm2_ fo1_", "[A-Za-z0-9+/_\\-]{43,}+={0,3}"),
    ("Fly.io macaroon", "fm1a_ fm1r_", "[A-Za-z0-9+/]{100,}+={0,3}"),
    ("Cloudflare origin key", "v1.0-", f"{_HEX}{{24}}-{_HEX}{{146,}}+"),
    ("Scalingo token", "tk-us-", f"{_W}{{48,}}+"),
    ("Netlify token", "nfp_", f"{_A}{{36,}}+"),
    ("Render key", "rnd_", f"{_A}{{28,}}+"),
    ("Tailscale key", "tskey-", rf"[a-z]{{2,10}}-{_A}{{6,}}-{_A}{{20,}}+"),
    ("Pulumi token", "pul-", f"{_HEX}{{40,}}+"),
    ("Infracost key", "ico-", f"(?=[A-Za-z]*+[0-9]){_A}{{32,}}+"),
    ("Doppler token", "dp.ct. dp.pt. dp.sa. dp.st.", rf"(?:[a-z0-9_\-]{{2,35}}\.)?{_A}{{40,}}+"),
    ("Vault token", "hvb. hvr. hvs.", f"{_W}{{90,}}+"),
    ("OpenShift token", "sha256~", f"{_W}{{43,}}+"),
)
_CODE_AND_PACKAGES: tuple[_Row, ...] = (
    ("GitHub token", "gho_ ghp_ ghr_ ghs_ ghu_", f"{_A}{{36,}}+"),
    ("GitHub fine-grained token", "github_pat_", "[A-Za-z0-9_]{50,}+"),
    ("GitLab token", "glagent- glcbt- gldt- glffct- glft- glimt- gloas- glpat- glptt- glrt- glrtr- glsoat-",
     rf"{_W}{{20,}}+(?:\.[0-9a-z]{{9}})?"),
    ("GitLab agent token", "glagn-", f"{_W}{{20,}}+"),
    ("GitLab runner registration token", "GR1348941", f"{_W}{{20,}}+"),
    ("Bitbucket app password", "ATBB", f"(?=[A-Za-z]*+[0-9]){_A}{{32,}}+"),
    ("Atlassian token", "ATATT3 ATCTT3", r"[A-Za-z0-9_\-=]{100,}+"),
    ("Trello token", "ATTA", f"{_HEX}{{64,}}+"),
    ("npm token", "npm_", f"{_A}{{36,}}+"),
    ("PyPI token", "pypi-AgE", f"{_W}{{50,}}+"),
    ("RubyGems key", "rubygems_", f"{_HEX}{{48,}}+"),
    ("NuGet key", "oy2", "[a-z0-9]{43,}+"),
    ("Clojars token", "CLOJARS_", "[A-Za-z0-9]{60,}+"),
    ("Artifactory key", "AKCp", f"{_A}{{69,}}+"),
    ("Artifactory token", "cmVmd", f"{_A}{{59,}}+"),
    ("Docker token", "dckr_oat_ dckr_pat_", f"{_W}{{27,}}+"),
    ("Buildkite token", "bkua_", f"{_HEX}{{40,}}+"),
    ("CircleCI token", "CCIPAT_", f"{_A}{{22}}_{_HEX}{{40,}}+"),
    ("Octopus Deploy key", "API-", "(?=[A-Z]*+[0-9])[A-Z0-9]{26,}+"),
    ("Harness token", "pat. sat.", rf"{_W}{{22}}\.{_A}{{24}}\.{_A}{{20,}}+"),
    ("SonarQube token", "sqa_ sqp_ squ_", f"{_HEX}{{40,}}+"),
    ("Sourcegraph token", "sgp_", f"(?:(?:{_HEX}{{16}}|local)_)?{_HEX}{{40,}}+"),
    ("Postman key", "PMAK-", f"{_HEX}{{24}}-{_HEX}{{34,}}+"),
    ("Prefect key", "pnb_ pnu_", f"{_A}{{36,}}+"),
    ("ReadMe key", "rdme_", "[a-z0-9]{70,}+"),
    ("age secret key", "AGE-SECRET-KEY-1", "[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58,}+"),
    ("1Password secret key", "A3-",
     "[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}"),
    ("1Password token", "ops_eyJ", "[A-Za-z0-9+/]{100,}+={0,3}"),
)
_DATA: tuple[_Row, ...] = (
    ("Databricks token", "dapi", rf"{_HEX}{{32,}}+(?:-[0-9])?"),
    ("Databricks secret", "dose", f"{_HEX}{{32,}}+"),
    ("Adafruit key", "aio_", f"(?=[A-Za-z]*+[0-9]){_A}{{28,}}+"),
    ("Axiom token", "xaat- xapt-", _UUID),
    ("Statsig key", "secret-", f"(?=[A-Za-z]*+[0-9]){_A}{{40,}}+"),
    ("PlanetScale token", "pscale_oauth_ pscale_pw_ pscale_tkn_", r"[A-Za-z0-9_=.\-]{32,}+"),
    ("ClickHouse Cloud key", "4b1d", f"(?=[a-z0-9]*+[A-Z]){_A}{{38,}}+"),
    ("Supabase token", "sbp_", f"{_HEX}{{40,}}+"),
    ("Supabase secret key", "sb_secret_", f"{_W}{{20,}}+"),
    ("Airtable token", "pat", rf"{_A}{{14}}\.{_HEX}{{64,}}+"),
    ("Notion token", "ntn_", f"[0-9]{{9,11}}{_A}{{30,}}+"),
    ("Notion secret", "secret_", f"(?=[A-Za-z]*+[0-9]){_A}{{43}}(?!{_W})"),
    ("Neon key", "napi_", "(?=[a-z]*+[0-9])[a-z0-9]{60,}+"),
    ("Grafana token", "glc_ glsa_", "(?=[A-Za-z_]*+[0-9])[A-Za-z0-9+/_]{32,}+={0,3}"),
    ("Grafana key", "eyJrIjoi", f"{_A}{{60,}}+={{0,3}}"),
    ("New Relic key", "NRAK- NRII- NRJS-", f"{_W}{{19,}}+"),
    ("Dynatrace token", "dt0c01. dt0s01. dt0s02. dt0s03. dt0s06. dt0s16.",
     rf"[A-Z0-9a-z]{{24}}\.{_A}{{64,}}+"),
    ("Sentry user token", "sntryu_", f"{_HEX}{{64,}}+"),
    ("Sentry organization token", "sntrys_", r"eyJ[A-Za-z0-9+/=_]{60,}+"),
    ("Honeycomb key", "hcaik_ hcaek_ hcalk_", f"{_A}{{50,}}+"),
    ("PostHog key", "phx_", f"{_A}{{40,}}+"),
    ("Mapbox token", "pk.eyJ sk.eyJ tk.eyJ", rf"{_W}{{40,}}+\.{_W}{{20,}}+"),
    ("Contentful token", "CFPAT-", f"{_W}{{43,}}+"),
    ("Typeform token", "tfp_", r"[A-Za-z0-9_.=\-]{40,}+"),
)
_MONEY_AND_SHOPS: tuple[_Row, ...] = (
    ("Stripe key", "rk_live_ rk_prod_ rk_test_ sk_live_ sk_prod_ sk_test_", f"{_A}{{16,}}+"),
    ("Stripe webhook secret", "whsec_", "[A-Za-z0-9+/=]{24,}+"),
    ("Square token", "sq0atp- sq0csp- sq0idp-", f"{_W}{{22,}}+"),
    ("Square access token", "EAAA", f"(?=[A-Za-z_\\-]*+[0-9]){_W}{{56,}}+"),
    ("Shopify token", "shpat_ shpca_ shppa_ shpss_ shptka_", "[0-9a-fA-F]{32,}+"),
    ("PayPal Braintree token", "access_token$production$", rf"[0-9a-z]{{16}}\${_HEX}{{32,}}+"),
    ("Plaid token", "access-development- access-production- access-sandbox-", _UUID),
    ("Flutterwave key", "FLWSECK- FLWSECK_TEST-", "[0-9a-h]{12,}+(?:-X)?"),
    ("Lob key", "live_ test_", f"{_HEX}{{35,}}+"),
    ("Lob publishable key", "live_pub_ test_pub_", f"{_HEX}{{31,}}+"),
    ("GoCardless token", "live_ sandbox_",
     rf"(?=[A-Za-z_\-]*+[0-9])(?=[a-z0-9_\-]*+[A-Z]){_W}{{40,}}+"),
    ("Razorpay key", "rzp_live_ rzp_test_", f"{_A}{{14,}}+"),
    ("Polar token", "polar_oat_ polar_pat_", f"{_A}{{40,}}+"),
    ("Shippo token", "shippo_live_ shippo_test_", "[0-9a-fA-F]{40,}+"),
    ("EasyPost key", "EZAK EZTK", f"(?=[A-Za-z]*+[0-9]){_A}{{54,}}+"),
    ("Duffel token", "duffel_live_ duffel_test_", r"[A-Za-z0-9_\-=]{43,}+"),
    ("SettleMint token", "sm_aat_ sm_pat_ sm_sat_", f"{_A}{{16,}}+"),
)
_MESSAGES: tuple[_Row, ...] = (
    ("Slack token", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-", r"(?=[A-Za-z\-]*+[0-9])[A-Za-z0-9\-]{12,}+"),
    ("Slack app token", "xapp-", r"[0-9]-[A-Za-z0-9\-]{20,}+"),
    ("SendGrid key", "SG.", rf"{_W}{{22}}\.{_W}{{43,}}+"),
    ("Brevo key", "xkeysib- xsmtpsib-", f"{_HEX}{{64}}-{_A}{{16,}}+"),
    ("Mailgun key", "key-", f"{_HEX}{{32,}}+"),
    ("Mailgun public key", "pubkey-", f"{_HEX}{{32,}}+"),
    ("MailerSend token", "mlsn.", f"{_HEX}{{64,}}+"),
    ("ClickUp token", "pk_", "[0-9]{6,10}_[A-Z0-9]{32,}+"),
    ("Dropbox token", "sl.", f"{_MIXED}{{100,}}+"),
    ("Resend key", "re_", f"{_A}{{8}}_{_A}{{24,}}+"),
    ("Twilio key", "SK", f"{_HEX}{{32}}(?!{_A})"),
    ("Facebook token", "EAAC EAAM", f"{_A}{{100,}}+"),
    ("Twitter bearer token", "AAAAAAAAAAAAAAAAAAAAAA",
     "[A-Za-z0-9]{0,60}+(?>(?:%[0-9A-F]{2}[A-Za-z0-9]{0,60}+)+)"),
    ("Linear key", "lin_api_ lin_oauth_", f"{_A}{{40,}}+"),
    ("HubSpot token", "pat-na1- pat-na2- pat-eu1- pat-ap1-", _UUID),
    ("Figma token", "figd_ figu_", f"{_W}{{40,}}+"),
    ("Frame.io token", "fio-u-", r"[A-Za-z0-9_\-=]{64,}+"),
    ("Adobe client secret", "p8e-", f"{_W}{{32,}}+"),
    ("Defined Networking key", "dnkey-", r"[A-Za-z0-9_=]{26}-[A-Za-z0-9_=\-]{52,}+"),
    ("Intra 42 secret", "s-s4t2af- s-s4t2ud-", f"{_HEX}{{64,}}+"),
)
# Name, literals inside the token or directly before it, and the whole pattern.
_INSIDE: tuple[_Row, ...] = (
    ("Terraform Cloud token", ".atlasv1.", rf"{_AFTER}{_A}{{14}}\.atlasv1\.[A-Za-z0-9_\-=]{{60,}}+"),
    ("Azure DevOps token", "AZDO", rf"{_AFTER}{_A}{{76}}AZDO{_A}{{4}}(?!{_A})"),
    ("Azure AD client secret", "Q~",
     rf"{_AFTER}(?<![_~.\-])[A-Za-z0-9_~.]{{3}}[0-9]Q~[A-Za-z0-9_~.\-]{{31,}}+"),
    ("Azure key", "JQQJ9", rf"{_AFTER}{_A}{{52}}JQQJ9{_A}{{27}}(?!{_A})"),
    ("MaxMind key", "_mmk", rf"{_AFTER}{_A}{{6}}_{_A}{{29}}_mmk(?!{_A})"),
    ("Mailchimp key", "-us", rf"{_AFTER}{_HEX}{{32}}-us[0-9]{{1,2}}(?!{_A})"),
    ("Telegram bot token", ":AA", rf"{_AFTER}[0-9]{{8,10}}:AA{_W}{{33,}}+"),
    # The pattern begins with the token's first letter, not with a look-behind, so that the search can jump.
    ("Discord bot token", ".",
     rf"[MNO](?:(?<![A-Za-z0-9_\-].)|(?<=\\[nrtbf].)|(?<=%[0-9A-F]{{2}}.)){_W}{{23,25}}\.{_W}{{6}}\.(?=[A-Za-z_\-]*+[0-9]){_W}{{27,}}+"),
    ("RapidAPI key", "jsn",
     f"{_AFTER}[0-9a-z]{{10}}msh[0-9a-z]{{15}}p1[0-9a-z]{{6}}jsn[0-9a-z]{{12}}(?!{_A})"),
    ("Azure storage key", "AccountKey= AccessKey=",
     r"(?:Account|SharedAccess)Key=(?P<secret>[A-Za-z0-9+/]{40,}+={0,2})"),
    ("Azure SAS signature", "sig=", r"[?&]sig=(?P<secret>[A-Za-z0-9%+/]{40,}+={0,2})"),
    ("Zapier webhook", "hooks.zapier.com/", r"hooks\.zapier\.com/hooks/catch/(?P<secret>[A-Za-z0-9/]{8,}+)"),
    ("Slack webhook", "hooks.slack.com/",
     r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/]{20,}+)"),
    ("Discord webhook", "/api/webhooks/",
     r"discord(?:app)?\.com/api/webhooks/(?P<secret>[0-9]{16,20}/[A-Za-z0-9_\-]{50,}+)"),
    ("Teams webhook", "/webhookb2/",
     r"webhook\.office\.com/webhookb2/(?P<secret>[A-Za-z0-9@\-]{36,}+/IncomingWebhook/[A-Za-z0-9/\-]{32,}+)"),
    ("JWT", ".eyJ", token(("eyJ",), rf"{_W}{{8,}}+\.eyJ{_W}{{8,}}+\.{_W}{{8,}}+")),
)
# fmt: on
_PREFIXED = (*_LANGUAGE_MODELS, *_CLOUDS, *_CODE_AND_PACKAGES, *_DATA, *_MONEY_AND_SHOPS, *_MESSAGES)
# Name, pattern, and literals; the pattern can match only if one of them occurs.
TOKENS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    *(
        (name, token(tuple(prefixes.split()), rest), tuple(prefixes.split()))
        for name, prefixes, rest in _PREFIXED
    ),
    *((name, pattern, tuple(literals.split())) for name, literals, pattern in _INSIDE),
)
