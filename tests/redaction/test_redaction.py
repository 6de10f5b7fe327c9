"""Tests of the patterns of secrets, and of the values of key variables."""

from __future__ import annotations

import itertools
import json
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ainb
from ainb.redaction import filter as redaction
from ainb.redaction.filter import PATTERNS, find, redact, secret_values
from tests.made_up_secrets import ALNUM, BASE64, IN_PLACE, RNG, SECRETS, TAILS, made


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_of_the_pack_is_found_under_its_name(name):
    text = f"before {SECRETS[name]} after"

    assert find(text) == [(7, 7 + len(SECRETS[name]), name)]
    assert redact(text) == f"before [redacted {name}] after"


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_secret_that_is_known_by_its_place_leaves_its_place_readable(name):
    before, secret = IN_PLACE[name]
    after = TAILS.get(name, "\n")

    assert redact(before + secret + after) == f"{before}[redacted {name}]{after}"


def test_every_pattern_of_the_pack_is_tested():
    assert {name for name, _ in PATTERNS} == {*SECRETS, *IN_PLACE, "private key"}


@pytest.mark.parametrize("kind", ["", "RSA ", "OPENSSH ", "EC "])
@pytest.mark.parametrize("end", [True, False])
def test_a_private_key_is_found_whole_also_when_it_was_cut(kind, end):
    body = "\n".join(made("", 64, BASE64) for _ in range(5))
    header = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"
    pem = f"-----BEGIN {kind}PRIVATE KEY-----\n{header}{body}" + (
        f"\n-----END {kind}PRIVATE KEY-----" if end else ""
    )

    assert redact(f"x {pem}") == "x [redacted private key]"
    assert "PRIVATE" not in redact(json.dumps({"pem": pem}))


WRAPPERS = (
    lambda secret: json.dumps({"a": f"line\n{secret}\tb", "n": [secret]}),
    lambda secret: f'client = OpenAI(api_key="{secret}")\nprint(client)',
    lambda secret: f"curl -H 'x-api-key: {secret}' https://example.org",
    lambda secret: f"export SOME_API_KEY={secret}\n",
    lambda secret: repr({"key": secret}),
    lambda secret: f"<td>{secret}</td>",
    lambda secret: f"https://example.org/?q=1&key={secret}#top",
    lambda secret: f"({secret}), [{secret}]; {secret}: '{secret}'",
)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(SECRETS)),
    wrap=st.sampled_from(WRAPPERS),
    before=st.text(max_size=60),
    after=st.text(max_size=60),
)
def test_no_secret_leaves_in_text_code_or_json(name, wrap, before, after):
    secret = SECRETS[name]

    for text in (f"{before} {wrap(secret)} {after}", json.dumps([before, wrap(secret), after])):
        assert secret not in redact(text)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_redacting_twice_changes_nothing_more_and_places_are_in_order(text):
    once = redact(text)
    places = find(text)

    assert redact(once) == once
    assert all(0 <= start < end <= len(text) for start, end, _ in places)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(places))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([*SECRETS.values(), "plain words", "x = 1"]), min_size=1, max_size=8))
def test_redacted_text_stays_redacted(parts):
    once = redact(" ".join(parts))

    assert redact(once) == once


def test_values_of_key_variables_are_found_wherever_they_stand(monkeypatch):
    value = "".join(RNG.choices(ALNUM, k=40))
    monkeypatch.setenv("MISTRAL_API_KEY", f" {value}\n")

    assert redact(f"abc{value}def") == "abc[redacted MISTRAL_API_KEY]def"
    assert redact(json.dumps({"x": value})) == '{"x": "[redacted MISTRAL_API_KEY]"}'
    monkeypatch.delenv("MISTRAL_API_KEY")
    assert redact(value) == value


def test_a_key_variable_named_by_the_user_is_redacted_too(monkeypatch):
    value = "".join(RNG.choices(ALNUM, k=40))
    monkeypatch.setattr(redaction, "_variables", dict(redaction._variables))
    monkeypatch.setenv("MY_GATEWAY", value)
    assert redact(value) == value

    redaction.watch("MY_GATEWAY")
    assert redact(value) == "[redacted MY_GATEWAY]"


@pytest.mark.parametrize(
    "value",
    [
        "short",
        "your-api-key-goes-here",
        "xxxxxxxxxxxxxxxxxxxxxxxx",
        "aaaaaaaaaaaaaaaaaaaa",
        "<insert your key>",
        "sk-..." + "a" * 20,
        "${OPENAI_API_KEY_FILE}",
    ],
)
def test_a_placeholder_is_no_secret(value, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", value)

    assert "OPENAI_API_KEY" not in secret_values().values()


CLEAN = (
    "task-sk-learn-pipeline-with-a-very-long-name",
    '<div class="sk-container-id-1 sk-toggleable__content sk-text-repr-fallback">',
    "api_key = settings.load_the_key_for_2026(service)",
    "OPENAI_API_KEY=your-key-here",
    '--tag KEY=VALUE, {"key": "PROJ-2024-000123-customers"}',
    "https://example.org:8080/path@v2 and http://user:{password}@host",
    "max_tokens=4096, token = tokens[index_of_the_first1]",
    "the secret of a good password: use more than sixteen characters",
    "sha256 446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "def token_count(self, text: str) -> int:",
)


@pytest.mark.parametrize("text", CLEAN)
def test_ordinary_text_is_left_alone(text):
    assert find(text) == []


def test_the_packages_own_source_holds_no_secret():
    for path in pathlib.Path(ainb.__file__).parent.rglob("*.py"):
        assert find(path.read_text(encoding="utf-8")) == [], path


def test_reviews_of_products_hold_no_secret():
    root = pathlib.Path(ainb.__file__).parents[1]
    path = next((root / "notebooks").rglob("reviews.csv"), None)
    if path is None:
        pytest.skip("the reviews are not among the notebooks")
    assert find(path.read_text(encoding="utf-8")) == []


def adversarial():
    for rule in redaction.RULES:
        for literal in rule.literals:
            for unit in (
                literal,
                f"{literal}!",
                f"{literal}a ",
                f'{literal}="',
                f"{literal}=a",
                f"{literal}{' ' * 9}",
                f'"{literal}": "a1b2',
                f"{literal}: ",
                f"{literal}:",
                f"{literal}=a1/",
                f"{literal}>a",
                f"--{literal} a.",
                f"{literal}%2",
            ):
                yield rule, unit
    for unit in (
        "KEY=",
        "://a:",
        "ey" + "Jaaaaaaaa.",
        "-----BEGIN PRIVATE " + "KEY-----a-",
        "a",
        " ",
        "A1",
        "bearer a.",
        "://a:@",
        "://a:b/",
        "authorization:",
        "machine a login a password ",
        "M.",
        "%2",
        "\u200b",
        "a\n",
    ):
        for rule in redaction.RULES:
            yield rule, unit


def test_hostile_text_is_searched_to_its_end():
    # Thousands of texts of 20 kB, for which a pattern of quadratic time would take hours.
    for rule, unit in adversarial():
        text = unit * (20_000 // len(unit))
        assert sum(match.end() - match.start() for match in rule.pattern.finditer(text)) <= len(text)
