"""Tests of secrets in command lines, credential files, headers, URLs and other languages."""

from __future__ import annotations

import base64
import json
import string

import pytest

from ainb.redaction.filter import find, may_hold, redact
from tests.made_up_secrets import ALNUM, BASE64, HEX, run
from tests.redaction.ordinary_lines import ORDINARY
from tests.redaction.pasted import COMMANDS, COOKIES, FILES, FOREIGN, KEYS, PASSES, QUERIES

PARTS = 5
PASSWORDS = ("Hunter" + "2!x9", "s3cr" + "3tPw", "tr0ub" + "4dor")
HIGH_ENTROPY = (run(32), run(40, HEX) + "7a8b9", run(24))
BODY = "\n".join(run(64, BASE64) for _ in range(4))


def left(template, secret):
    """The parts of a secret that redaction leaves, other than text of the template."""
    text = template.replace("«secret»", secret)
    after = redact(text)
    assert may_hold(text) or after == text
    parts = {secret[at : at + PARTS] for at in range(len(secret) - PARTS + 1)}
    return sorted(part for part in parts if part in after and part not in template)


@pytest.mark.parametrize("wrap", ["«here»", "$ «here»\n", "# note\n«here»\nexit", "first; «here»"])
@pytest.mark.parametrize("template", COMMANDS)
def test_a_password_in_a_command_is_found(template, wrap):
    for secret in PASSWORDS:
        assert left(wrap.replace("«here»", template), secret) == []


@pytest.mark.parametrize("template", [*FILES, *PASSES, *FOREIGN])
def test_a_password_in_a_file_or_another_language_is_found(template):
    for secret in PASSWORDS:
        assert left(template, secret) == []


@pytest.mark.parametrize("template", [*KEYS, *QUERIES])
def test_a_key_of_an_unknown_service_is_found(template):
    for secret in HIGH_ENTROPY:
        assert left(template, secret) == []


@pytest.mark.parametrize("template", COOKIES)
def test_the_value_of_a_cookie_is_found(template):
    for secret in (*HIGH_ENTROPY, "s%3A" + run(32) + "." + run(40)):
        assert left(template, secret) == []


@pytest.mark.parametrize(
    "login", ["ann:" + "hunter2x9", "a:b2" + "c4d6e8f", "robot$x:" + run(32), "ab:" + run(9)]
)
@pytest.mark.parametrize(
    "template",
    [
        '{"auths": {"https://index.docker.io/v1/": {"auth": "«secret»"}}}',
        '"auth":"«secret»"',
        "'auth': '«secret»'",
        "auth: «secret»",
        "//npm.example.org/:_auth=«secret»",
        '{\\"auth\\": \\"«secret»\\"}',
    ],
)
def test_a_login_in_base64_is_found(template, login):
    assert left(template, base64.b64encode(login.encode()).decode()) == []


SALTED = string.ascii_letters + string.digits + "./"
HASHES = (
    "$6" + "$" + run(16) + "$" + run(86, SALTED),
    "$5" + "$rounds=5000$" + run(16) + "$" + run(43, SALTED),
    "$1" + "$" + run(8) + "$" + run(22, SALTED),
    "$apr1" + "$" + run(8) + "$" + run(22, SALTED),
    "$y" + "$j9T$" + run(22) + "$" + run(43, SALTED),
    "$2y" + "$05$" + run(53, SALTED),
    "$2b" + "$12$" + run(53, SALTED),
    "$argon2id" + "$v=19$m=65536,t=3,p=4$" + run(22) + "$" + run(43, BASE64),
    "{SH" + "A}" + run(27) + "=",
    "{SSH" + "A}" + run(32),
    "pbkdf2_" + "sha256$260000$" + run(22) + "$" + run(43) + "=",
)


@pytest.mark.parametrize("secret", HASHES)
@pytest.mark.parametrize(
    "template", ["ann:«secret»:19000:0:99999:7:::", "ann:«secret»", "«secret»", "userPassword: «secret»"]
)
def test_a_password_hash_is_found(template, secret):
    assert left(template, secret) == []


@pytest.mark.parametrize(
    "template",
    [
        "---- BEGIN SSH2 ENCRYPTED PRIVATE " + "KEY ----\n«secret»\n---- END SSH2 ENCRYPTED PRIVATE KEY ----",
        "-----BEGIN PGP PRIVATE " + "KEY BLOCK-----\n\n«secret»\n=ab1d\n-----END PGP PRIVATE KEY BLOCK-----",
        "-----begin rsa private " + "key-----\n«secret»\n-----end rsa private key-----",
        "-----BEGIN OpenVPN Static " + "key V1-----\n«secret»\n-----END OpenVPN Static key V1-----",
        "Public-Lines: 1\nAAAA\nPrivate-" + "Lines: 4\n«secret»\nPrivate-MAC: ab12",
        "-----BEGIN ENCRYPTED PRIVATE " + "KEY-----\n«secret»",
    ],
)
def test_a_private_key_in_other_formats_is_found(template):
    assert left(template, BODY) == []
    assert left(json.dumps(template), json.dumps(BODY)[1:-1]) == []


def test_a_private_key_of_xml_and_of_a_json_web_key_is_found():
    assert left("<RSAKeyValue><Modulus>x</Modulus><" + "D>«secret»</D>", run(86) + "==") == []
    assert left('{"kty": "EC", "' + 'd": "«secret»"}', run(43)) == []


@pytest.mark.parametrize(
    "template",
    [
        "https://«secret»@github.com/ann/x.git",
        "https://«secret»:x-oauth-basic@github.com/ann/x",
        "git clone https://oauth2:«secret»@git.example.org/x.git",
        "https://«secret»:@api.example.org",
    ],
)
def test_a_token_instead_of_a_login_in_a_url_is_found(template):
    for secret in (run(32), run(40, HEX) + "7a8b9"):
        assert left(template, secret) == []


def test_the_rest_of_a_command_stays_readable():
    secret = "Hunter" + "2!x9"

    assert redact(f"mysql -u root -p{secret} shop") == "mysql -u root -p[redacted password in a command] shop"
    assert redact(f"Set-Cookie: sid={run(32)}; Path=/") == "Set-Cookie: sid=[redacted cookie value]; Path=/"
    assert redact(f"jdbc:oracle:thin:scott/{secret}@db:1521:x") == (
        "jdbc:oracle:thin:scott/[redacted password in a command]@db:1521:x"
    )


@pytest.mark.parametrize("line", ORDINARY)
def test_an_ordinary_line_of_similar_form_is_left_alone(line):
    assert find(line) == []


def test_ordinary_lines_of_similar_form_are_left_alone_together():
    assert find("\n".join(ORDINARY)) == []


@pytest.mark.parametrize("name", ["cache_key", "sort_key", "public_key", "partitionKey", "object-key"])
def test_the_digest_of_a_key_that_is_no_secret_is_left_alone(name):
    for value in (run(40, HEX), run(64, HEX), run(32, ALNUM)):
        assert find(f"{name} = {value}") == []
        assert find(f'"{name}": "{value}"') == []
