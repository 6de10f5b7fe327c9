"""Tests of redaction of secrets in their usual forms, and of ordinary lines without secrets."""

from __future__ import annotations

import ast
import base64
import hashlib
import itertools
import pathlib
import random
import string
import sysconfig
import uuid

import pytest

import ainb
from ainb.redaction.filter import find, redact
from tests.redaction import forms

PARTS = 5


def leaks(template, name, secret):
    """Whether a part of the secret is left, other than text that the template also contains."""
    frame = template.replace("«name»", name)
    left = redact(frame.replace("«secret»", secret))
    return [
        part
        for at in range(len(secret) - PARTS + 1)
        if (part := secret[at : at + PARTS]) in left and part not in frame
    ]


def missed(templates, names, secrets):
    return [
        (template, name, secret)
        for template, name, secret in itertools.product(templates, names, secrets)
        if leaks(template, name, secret)
    ]


@pytest.mark.parametrize("template", forms.ASSIGNED)
def test_keys_and_tokens_are_found_in_any_spelling_of_an_assignment(template):
    assert missed([template], forms.NAMES_OF_KEYS, forms.KEYS) == []


@pytest.mark.parametrize("template", forms.ASSIGNED)
def test_passwords_are_found_in_any_spelling_of_an_assignment(template):
    assert missed([template], forms.NAMES_OF_PASSWORDS, forms.PASSWORDS) == []


@pytest.mark.parametrize("template", forms.URLS)
def test_passwords_in_urls_are_found_whatever_is_in_them(template):
    assert missed([template], [""], forms.PASSWORDS_IN_URLS) == []


@pytest.mark.parametrize("template", forms.URLS)
def test_the_host_of_a_url_stays_readable(template):
    before, after = template.split("«secret»")

    assert redact(template.replace("«secret»", "hunter2" + "hunter2")) == (
        f"{before}[redacted password in a URL]{after}"
    )


@pytest.mark.parametrize("template", forms.HEADERS)
def test_basic_credentials_are_found_in_any_spelling_of_the_header(template):
    assert missed([template], [""], forms.BASIC) == []


@pytest.mark.parametrize(
    "wrap", ["{}", "note: {} (from ann)", "\n\n{}\n", "1|{}|x", "`{}`", "> {}", "  - {}"]
)
def test_what_stands_around_the_line_does_not_matter(wrap):
    for template in forms.ASSIGNED:
        assert leaks(wrap.format("«here»").replace("«here»", template), "api_key", forms.KEYS[1]) == []


APART = (
    "ENV «name» «secret»",
    "ARG «name» «secret»",
    "setenv «name» «secret»",
    "setx «name» «secret»",
    "set -x «name» «secret»",
    "set -gx «name» '«secret»'",
    '#define «name» "«secret»"',
    "private readonly «name»: string = '«secret»';",
    'let «name»: &str = "«secret»";',
    'let «name»: String = "«secret»"',
    'val «name»: String? = "«secret»"',
    '«name» <- "«secret»"',
    "- name: «name»\n  value: «secret»",
    '- name: «name»\n  value: "«secret»"',
    '{"name": "«name»", "value": "«secret»"}',
    '<add key="«name»" value="«secret»" />',
    "define('«name»', '«secret»');",
    'os.environ.setdefault("«name»", "«secret»")',
    'System.setProperty("«name»", "«secret»");',
)


@pytest.mark.parametrize("template", APART)
@pytest.mark.parametrize("name", ["API_KEY", "apiKey", "client_secret", "DB_PASSWORD", "github.token"])
def test_a_value_apart_from_its_name_is_found(template, name):
    assert (
        missed([template], [name], ["Zx81aQ9vT3mN0pL4" + "cR7yWe2k", "5f2d8c1b9e3a4f60" + "7b8c9d0e"]) == []
    )


@pytest.mark.parametrize(
    "template", ["CREATE USER ann IDENTIFIED BY '«secret»';", "ALTER ROLE ann WITH PASSWORD '«secret»';"]
)
def test_a_password_of_sql_is_found(template):
    assert missed([template], [""], ["Tr0ub" + "4dor&3x", "hunter2" + "hunter2"]) == []


NO_SECRETS = (
    "ENV API_KEY $API_KEY_2",
    "ARG TOKEN",
    "set -e; KEY value2 more",
    "let key: String = String::from(name2)",
    "token: str = 'default_value_2'",
    "key <- names(table2)",
    'name: "key"\n  value: ""',
    "- name: API_KEY\n  valueFrom:\n    secretKeyRef: {name: x2}",
    '<add key="TokenLifetime" value="3600" />',
    "define('MAX_KEY', 'a short value 2')",
    "cache.set('user_key', user_value_2)",
    "password 'must have 8 characters and 1 digit'",
    "https://example.org:8080/path@v2",
    "http://localhost:8888/lab/tree/a@b.ipynb",
    "http://[::1]:8080/a@b",
    "git@github.com:ann/x.git and ssh://git@github.com:22/ann/x.git",
    "password = getpass.getpass()",
    "password=self._settings.db1_password",
    "password: str | None = None",
    "api_key=os.environ['OPENAI_API_KEY2']",
    "api_key = settings.services[0].api_key_v2",
    "client_secret=client_secret_2024.json",
    "token = tokenizer.encode_v2",
    "token: /var/run/secrets/kubernetes.io/serviceaccount2/token",
    "secret: https://vault.example.org/v1/secret2/data",
    "access_key: ${AWS_ACCESS_KEY_2}",
    "api_key: {{ secrets.OPENAI_KEY_2 }}",
    "api_key: <your-api-key-2>",
    "password: ********",
    "password=%(password1)s",
    "secret_key=changeme123456789",
    "auth_token=None",
    "expires: token: 2026-11-27T14:00:00Z",
    "if token == expected_token_2: pass",
    "primary_key=True, foreign_key='users.id_2'",
    "keyboard=qwerty12345678, monkey: banana12345678901",
    "def password_reset_2(token: str, key: bytes) -> bool:",
    "basic knowledge of Python3 and SQL",
    "Authorization: required",
    "curl -u $USER:$PASSWORD https://example.org",
    "docker run -u 1000:1000 image",
    "--key-file /etc/ssl/private/server2.key",
    "--token-limit 4096 --password-stdin",
    "secrets: inherit",
    "max_tokens: 4096, total_tokens=123456789012345678",
)


@pytest.mark.parametrize("line", NO_SECRETS)
def test_code_paths_and_templates_are_no_secrets(line):
    assert find(line) == []


def sources():
    """Source files of the package and of a part of the standard library."""
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    own = pathlib.Path(ainb.__file__).parent.rglob("*.py")
    return sorted(own) + sorted(library.glob("[a-s]*.py")) + sorted(library.glob("[a-e]*/*.py"))


def lines_of_code(rng, count):
    lines = [
        line
        for path in sources()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    return rng.sample(lines, count)


def prose(rng, count):
    """Docstrings, and the pages of the documentation."""
    root = pathlib.Path(ainb.__file__).parents[1]
    texts = [path.read_text(encoding="utf-8") for path in root.glob("*.md")]
    for path in rng.sample(sources(), 150):
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        texts += [
            ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
        ]
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    return rng.sample(lines, count)


def logs(rng, count):
    """Lines of output of servers, package managers and version control."""

    def digits(length, alphabet="0123456789abcdef"):
        return "".join(rng.choices(alphabet, k=length))

    forms_of_lines = (
        lambda: (
            f"2026-11-27T14:{rng.randint(10, 59)}:03.123Z INFO  [worker-{rng.randint(1, 64)}] request "
            f"{uuid.UUID(int=rng.getrandbits(128))} took {rng.randint(1, 900)}ms"
        ),
        lambda: (
            f'10.0.{rng.randint(0, 255)}.7 - - [27/Nov/2026:14:00:01 +0000] "GET '
            f'/static/app.{digits(20)}.js HTTP/1.1" 200 {rng.randint(100, 99999)}'
        ),
        lambda: (
            f"Successfully built package-{rng.randint(1, 9)}.{rng.randint(0, 30)}-py3-none-any.whl "
            f"size={rng.randint(1000, 99999)} sha256={digits(64)}"
        ),
        lambda: (
            f'level=warn ts=17{digits(8, "0123456789")} msg="cache miss" key=reply:{digits(40)} '
            f"shard={rng.randint(0, 15)}"
        ),
        lambda: (
            f"kernel: [{rng.randint(0, 99999)}.{digits(6, '0123456789')}] eth0: link up, 1000Mbps, lpa "
            f"0x{digits(4)}"
        ),
        lambda: (
            f"remote: Compressing objects: {rng.randint(1, 100)}% "
            f"({rng.randint(1, 100)}/{rng.randint(100, 900)}), done."
        ),
        lambda: (
            f"Downloading model-{rng.randint(1, 99)}b-q4_k_m.gguf: {rng.randint(1, 99)}%|####| "
            f"{rng.randint(1, 999)}M/1.2G"
        ),
        lambda: (
            f"ERROR root:tasks.py:{rng.randint(1, 999)} Traceback: KeyError: 'user_{digits(8)}' in session "
            f"{digits(16)}"
        ),
        lambda: (
            f"epoch {rng.randint(1, 90)}: loss=0.{digits(8, '0123456789')} "
            f"tokens_per_second={rng.randint(1000, 99999)} max_tokens=4096"
        ),
        lambda: (
            f"pod/api-{digits(9)}-{digits(5, string.ascii_lowercase)} Running image: "
            f"registry.example.org/api@sha256:{digits(64)}"
        ),
    )
    return [rng.choice(forms_of_lines)() for _ in range(count)]


def hashes(rng, count):
    """Digests, identifiers and base64, as in lock files and lists."""

    def one():
        raw = rng.randbytes(48)
        return rng.choice(
            (
                hashlib.md5(raw).hexdigest(),  # noqa: S324 - a line of text, nothing is protected by it
                f"{hashlib.sha256(raw).hexdigest()}  dist/file-{rng.randint(1, 99)}.tar.gz",
                f'"integrity": "sha512-{base64.b64encode(hashlib.sha512(raw).digest()).decode()}",',
                f"--hash=sha256:{hashlib.sha256(raw).hexdigest()} \\",
                f"commit {hashlib.sha1(raw).hexdigest()}",  # noqa: S324 - as before
                f"index {raw[:4].hex()}..{raw[4:8].hex()} 100644",
                f'  "id": "{uuid.UUID(bytes=raw[:16])}",',
                f'      "image/png": "iVBORw0KGgo{base64.b64encode(raw).decode()}",',
                f"path/to/file.py,sha256={base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).decode().rstrip('=')},1234",
                f'etag: W/"{raw[:10].hex()}"; x-trace-id: {raw[:16].hex()}',
            )
        )

    return [one() for _ in range(count)]


def test_at_most_one_of_a_thousand_ordinary_lines_is_touched():
    rng = random.Random(17)
    lines = [*lines_of_code(rng, 4_000), *prose(rng, 2_000), *logs(rng, 2_000), *hashes(rng, 2_000)]
    touched = [line for line in lines if find(line)]

    assert len(lines) == 10_000
    assert len(touched) <= 10, touched
