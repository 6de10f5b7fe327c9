"""Tests of ``%ai pull hf:…`` against a server in place of the Hugging Face hub."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from ainb import __main__ as command
from ainb.errors import AinbError, ConfigError, NotConfirmedError
from ainb.providers.local import hub, look_up, pull_from_hub, weights
from tests.providers.local.hub_server import OWNER, Hub
from tests.shells import fresh_shell

CONTENT = b"GGUF" + bytes(range(256)) * 8_000
NAME = "small.Q4.gguf"
REFERENCE = f"hf:{OWNER}/{NAME}"


@pytest.fixture
def server(monkeypatch, tmp_path):
    with Hub(
        {NAME: CONTENT, "sub/deep.gguf": CONTENT[:5_000], "README.md": b"x", "big-00001-of-00002.gguf": b"G"}
    ) as made:
        monkeypatch.setenv("HF_ENDPOINT", made.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setenv("AINB_MODEL_DIR", str(tmp_path / "models"))
        yield made


def names_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("path", [NAME, "sub/deep.gguf"])
def test_a_file_is_looked_up_and_fetched(server, tmp_path, path):
    seen = []
    file = look_up(f"hf:{OWNER}/{path}")

    place = pull_from_hub(file, progress=lambda done, total: seen.append((done, total)))

    body = server.files[path]
    assert (file.size_bytes, file.sha256, file.licence) == (
        len(body),
        hashlib.sha256(body).hexdigest(),
        "apache-2.0",
    )
    assert place.read_bytes() == body
    assert names_in(tmp_path / "models") == [place.name]
    assert seen[-1] == (len(body), len(body))
    assert weights.find(file.name) == place
    assert file.name in weights.pulled()


def test_the_token_goes_to_the_hub_alone(server, monkeypatch):
    server.token = "hf_made_up"
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")

    pull_from_hub(look_up(REFERENCE))

    assert {item[3] for item in server.seen if item[0] == "hub"} == {"Bearer hf_made_up"}
    assert {item[3] for item in server.seen if item[0] == "storage"} == {None}


def test_a_repository_with_terms_says_what_to_do(server):
    server.token = "hf_made_up"
    with pytest.raises(AinbError, match="set HF_TOKEN"):
        look_up(REFERENCE)


def test_a_renamed_repository_is_followed(server):
    server.moved = True
    assert pull_from_hub(look_up(REFERENCE)).read_bytes() == CONTENT


@pytest.mark.parametrize("breaks", [[0], [1], [1_000_000], [10, 10, 10], [500_000, 0, 500_000]])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_breaks_is_taken_up_again(server, breaks, ranges):
    server.break_after, server.ranges = list(breaks), ranges
    assert pull_from_hub(look_up(REFERENCE)).read_bytes() == CONTENT
    if ranges and breaks[0]:
        assert [item[4] for item in server.seen if item[0] == "storage"][1] == f"bytes={breaks[0]}-"


def test_a_download_that_was_given_up_goes_on_later(server, tmp_path):
    server.break_after = [100_000] + [0] * (hub.MAX_TRIES - 1)
    with pytest.raises(AinbError, match=r"broke off at .*continues from there"):
        pull_from_hub(look_up(REFERENCE))
    assert names_in(tmp_path / "models") != []

    server.seen.clear()
    assert pull_from_hub(look_up(REFERENCE)).read_bytes() == CONTENT
    assert [item[4] for item in server.seen if item[0] == "storage"] == ["bytes=100000-"]
    assert names_in(tmp_path / "models") == [NAME]


def test_an_interrupt_keeps_what_has_come(server, tmp_path):
    def stop(done, _total):
        if done > 1_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull_from_hub(look_up(REFERENCE), progress=stop)

    (partial,) = names_in(tmp_path / "models")
    assert partial.endswith(".part")
    assert pull_from_hub(look_up(REFERENCE)).read_bytes() == CONTENT


@pytest.mark.parametrize("sent", [b"X" * len(CONTENT), CONTENT[:-1] + b"!", b"GGUF" + CONTENT])
def test_another_file_than_the_hub_names_is_not_kept(server, tmp_path, sent):
    server.sends[NAME] = sent
    file = look_up(REFERENCE)
    with pytest.raises(AinbError, match="sha256"):
        pull_from_hub(file)
    assert names_in(tmp_path / "models") == []


def test_a_damaged_part_is_found_out(server, tmp_path):
    file = look_up(REFERENCE)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / f".{file.sha256[:16]}.part").write_bytes(b"?" * 1_000)
    with pytest.raises(AinbError, match="sha256"):
        pull_from_hub(file)
    assert pull_from_hub(file).read_bytes() == CONTENT


def test_a_file_that_is_there_is_not_fetched_again_and_another_is_not_replaced(server, tmp_path):
    pull_from_hub(look_up(REFERENCE))
    server.seen.clear()
    pull_from_hub(look_up(REFERENCE))
    assert not [item for item in server.seen if item[0] == "storage"]

    (tmp_path / "models" / NAME).write_bytes(b"GGUF mine")
    with pytest.raises(ConfigError, match="is another file"):
        pull_from_hub(look_up(REFERENCE))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (f"hf:{OWNER}", "there are small.Q4.gguf"),
        (f"hf:{OWNER}/none.gguf", "there is no file none.gguf"),
        ("hf:nobody/none/x.gguf", "there is no"),
        (f"hf:{OWNER}/big-00001-of-00002.gguf", "one part of a model"),
        (f"hf:{OWNER}/README.md", "is written hf:OWNER/REPO/FILE.gguf"),
        ("hf:", "is written"),
        ("hf:a", "is written"),
        ("hf:../../etc/x.gguf", "is written"),
        (f"hf:{OWNER}/../x.gguf", "is written"),
        (f"hf:{OWNER}/a?b.gguf", "is written"),
        ("hf:a b/c/d.gguf", "is written"),
    ],
)
def test_what_cannot_be_pulled_is_said(server, reference, words):
    with pytest.raises(ConfigError, match=words.replace("?", r"\?")):
        look_up(reference)


@pytest.mark.parametrize(
    "card", [None, {}, {"license": 5}, {"license": "other", "license_name": "llama-3.2"}]
)
def test_the_licence_is_what_the_repository_says(server, card):
    server.card = card
    assert look_up(REFERENCE).licence == ("llama-3.2" if card and "license_name" in card else None)


@pytest.mark.parametrize(
    "where", ["http://example.org", "file:///etc", "ftp://127.0.0.1", "http://10.0.0.1", "nothing"]
)
def test_no_model_is_fetched_over_plain_http_from_elsewhere(server, monkeypatch, where):
    monkeypatch.setenv("HF_ENDPOINT", where)
    with pytest.raises(ConfigError, match="over https"):
        look_up(REFERENCE)


@pytest.mark.parametrize("where", ["http://example.org", "file:///etc"])
def test_no_redirect_to_plain_http_is_followed(server, where):
    file = look_up(REFERENCE)
    server.redirect_to = where
    with pytest.raises(ConfigError, match="over https"):
        pull_from_hub(file)


def test_a_hub_that_is_not_there_and_one_without_digests(server, monkeypatch):
    server.digests = False
    with pytest.raises(AinbError, match="no size and sha256"):
        look_up(REFERENCE)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(AinbError, match="cannot be reached"):
        look_up(REFERENCE)


def test_a_full_disk_is_noticed_before_anything_is_fetched(server, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    file = look_up(REFERENCE)
    with pytest.raises(AinbError, match=r"no room .* needs 2 MB"):
        pull_from_hub(file)


# Commands


def test_the_magic_shows_size_and_licence_and_asks_first(server, tmp_path, capsys):
    with fresh_shell() as shell:
        shell.run_line_magic("load_ext", "ainb")
        with pytest.raises(NotConfirmedError, match=r"2 MB, licence apache-2\.0.*--yes"):
            shell.run_line_magic("ai", f"pull {REFERENCE}")
        assert names_in(tmp_path / "models") == []

        shell.run_line_magic("ai", f"pull {REFERENCE} --yes")
    assert "is on this machine" in capsys.readouterr().out
    assert names_in(tmp_path / "models") == [NAME]


def test_the_command_line_asks_too(server, capsys):
    assert command.main(["pull", REFERENCE]) == 1
    assert "2 MB, licence apache-2.0" in capsys.readouterr().err
    assert command.main(["pull", REFERENCE, "--yes"]) == 0
    assert capsys.readouterr().out.strip().endswith(NAME)
