"""Tests of the cassette file: lines, strict reading, concurrent writers, and merges in git."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ainb
from ainb.errors import ConfigError
from ainb.stores.cassette import file as cassettes
from ainb.stores.cassette.file import Cassette, read_cassette, shared_cassette
from ainb.stores.cassette.line import VERSION, LineError, read_line, write_line
from ainb.stores.notebook import cassette_path, find_notebook


def record(prompt="hi", text="answer", *, duration_s=0.5, **more):
    return write_line(
        {
            "model": "openai:m",
            "body": {"messages": [{"role": "user", "content": prompt}]},
            "reply": {"text": text},
            "measured": {"duration_s": duration_s, "attempts": 1},
            **more,
        }
    )


def store(path, *lines):
    cassette = Cassette(path)
    for line in lines:
        cassette.put(line)
    cassette.flush()
    return cassette


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nb.ainb.jsonl"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),  # noqa: E501
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=4),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_what_is_written_is_read_again_with_the_same_key_on_one_line(body, text):  # fmt: skip
    line = write_line(
        {"model": "m:m", "body": body, "reply": {"text": text}, "measured": {"duration_s": 1, "attempts": 0}}
    )

    again = read_line(line.text)

    assert (again.key, again.fields) == (line.key, line.fields)
    assert b"\n" not in line.text
    assert write_line(again.fields).text == line.text


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_every_changed_byte_is_detected(data):
    text = record("Grüße").text
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[place]))

    with pytest.raises(LineError):
        read_line(text[:place] + bytes([other]) + text[place + 1 :])


def test_the_order_of_keys_in_a_request_does_not_count():
    one = write_line({**record().fields, "body": {"a": 1, "b": {"c": 2, "d": 3}}})
    two = write_line({**record().fields, "body": {"b": {"d": 3, "c": 2}, "a": 1}})

    assert (one.key, one.text) == (two.key, two.text)


@pytest.mark.parametrize(("one", "two"), [(1, 1.0), (1, True), ("1", 1), (0.0, -0.0)])
def test_numbers_of_different_kinds_are_different_requests(one, two):
    first, second = (write_line({**record().fields, "body": {"x": value}}) for value in (one, two))

    assert first.key != second.key


def forged(**changes):
    """A line with a valid checksum that ainb would not write."""
    fields = {**record().fields, **changes}
    head = orjson.dumps(
        {**{name: value for name, value in fields.items() if value is not ...}, "version": VERSION}
    )[:-1]
    from ainb.stores.cassette.line import _checksum

    return head + b',"sha256":"' + _checksum(head) + b'"}'


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[:-20], "is cut off or was edited by hand"),
        (lambda text: text[: len(text) // 2], "is cut off or was edited by hand"),
        (
            lambda text: text.replace(b"answer", b"better"),
            r"was edited by hand \(its sha256 does not match\)",
        ),
        (lambda text: text.replace(b'"role"', b' "role"'), "was edited by hand"),
        (lambda text: text[:-1] + b',"more":1}', "was edited by hand"),
        (lambda _: b"<<<<<<< HEAD", "is a merge marker; keep the lines of both sides"),
        (lambda _: b"=======", "is a merge marker"),
        (lambda _: b">>>>>>> theirs", "is a merge marker"),
        (lambda _: b"||||||| base", "is a merge marker"),
        (lambda _: b"", "is cut off or was edited by hand"),
        (lambda _: b"null", "is not a record of ainb"),
        (lambda _: b"[]", "is not a record of ainb"),
        (lambda _: b'{"version":true}', "is not a record of ainb"),
        (lambda text: text.replace(b'"version":2', b'"version":3'), ("is of version 3, but this ainb reads "
                                                                    "version 2; upgrade")),
        (lambda text: text.replace(b'"version":2', b'"version":1'), ("is of version 1, .*; record the "
                                                                    "notebook again")),
        (lambda _: forged(reply={"text": 1}), "is not a record of ainb"),
        (lambda _: forged(reply=...), "is not a record of ainb"),
        (lambda _: forged(error={"type": "X", "message": "both"}), "is not a record of ainb"),
        (lambda _: forged(body=[]), "is not a record of ainb"),
        (lambda _: forged(measured={"duration_s": -1, "attempts": 1}), "is not a record of ainb"),
        (lambda _: forged(surprise=1), "is not a record of ainb"),
        (lambda _: forged(notes=[1]), "is not a record of ainb"),
    ],
)  # fmt: skip
def test_an_invalid_line_is_an_error_with_file_and_line_and_nothing_is_written(path, damage, said):
    good, bad = record("a"), damage(record("b").text)
    content = good.text + b"\n" + bad + b"\n" + record("c").text + b"\n"
    path.write_bytes(content)
    cassette = Cassette(path)

    with pytest.raises(ConfigError, match=rf"^nb\.ainb\.jsonl, line 2 {said}.*; nothing was changed$"):
        cassette.lines()
    cassette.put(record("d"))
    with pytest.raises(ConfigError, match="line 2"):
        cassette.flush()
    with pytest.raises(ConfigError, match="line 2"):
        cassette.keep_only([])
    assert path.read_bytes() == content
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_repeated_request_is_an_error_with_both_lines(path):
    path.write_bytes(b"\n".join([record("a").text, record("b").text, record("a", "other").text, b""]))

    with pytest.raises(ConfigError, match=r"line 3 repeats the request of line 1; delete one of the two"):
        read_cassette(path)


def test_a_cassette_without_a_last_line_end_or_with_those_of_windows_is_whole(path):
    texts = [record("a").text, record("b").text]
    for content in (b"\n".join(texts), b"\r\n".join([*texts, b""])):
        path.write_bytes(content)
        assert len(read_cassette(path)) == 2


def test_an_unchanged_outcome_keeps_its_line_and_the_file_is_not_touched(path):
    store(path, record("a", duration_s=1.0))
    before = path.stat()

    store(path, record("a", duration_s=9.0))

    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_changed_outcome_replaces_its_line_alone(path):
    store(path, record("a"), record("b"), record("c"))
    before = path.read_bytes().splitlines()

    store(path, record("b", "new"))

    after = path.read_bytes().splitlines()
    assert [one == two for one, two in zip(before, after, strict=True)] == [True, False, True]


def test_what_another_kernel_wrote_is_seen_and_kept(path):
    ours, theirs = Cassette(path), Cassette(path)
    store(path, record("a"))
    assert len(ours.lines()) == 1

    theirs.put(record("b"))
    theirs.flush()
    ours.put(record("c"))
    ours.flush()

    assert len(ours.lines()) == len(theirs.lines()) == len(read_cassette(path)) == 3


WRITER = """
import sys
from pathlib import Path
from ainb.stores.cassette.file import Cassette
from ainb.stores.cassette.line import write_line
path, name = Path(sys.argv[1]), sys.argv[2]
cassette = Cassette(path)
for number in range(40):
    body = {"messages": [{"role": "user", "content": f"{name} {number}"}]}
    cassette.put(write_line({"model": "m:m", "body": body, "reply": {"text": "x"}, "measured": {"duration_s": 1, "attempts": 1}}))
    cassette.flush()
"""  # noqa: E501


def test_several_kernels_record_into_one_file_and_lose_nothing(path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(ainb.__file__).parents[1]))
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), f"kernel {n}"]) for n in range(4)]

    assert [writer.wait(timeout=120) for writer in writers] == [0] * 4
    assert len(read_cassette(path)) == 160
    texts = path.read_bytes().splitlines()
    assert texts == sorted(texts)
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_fault_while_writing_leaves_the_old_file_and_the_records_for_the_next_try(path, monkeypatch):
    cassette = store(path, record("a"))
    before = path.read_bytes()
    cassette.put(record("b"))

    with monkeypatch.context() as patch:
        patch.setattr(
            "os.fsync", lambda _handle: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        with pytest.raises(OSError, match="No space left"):
            cassette.flush()
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    cassette.flush()
    assert len(read_cassette(path)) == 2


def test_a_cassette_that_is_kept_locked_is_an_error_after_a_while(path, monkeypatch):
    from ainb.testing import FakeClock

    cassette = Cassette(path, FakeClock())
    cassette.put(record())
    monkeypatch.setattr(cassettes, "_lock", lambda _handle: False)

    with pytest.raises(OSError, match="another kernel has kept it locked for 10 s"):
        cassette.flush()


def test_a_link_stays_a_link_and_modes_stay(path, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    target = folder / "real.jsonl"
    target.write_bytes(b"")
    target.chmod(0o640)
    path.symlink_to(target)

    store(path, record())

    assert path.is_symlink()
    assert len(read_cassette(target)) == 1
    assert target.stat().st_mode & 0o777 == 0o640


def test_keep_only_drops_the_rest(path):
    cassette = store(path, record("a"), record("b"), record("c"))

    assert cassette.keep_only([record("b").key]) == 2
    assert list(read_cassette(path)) == [record("b").key]


def test_one_process_has_one_cassette_a_file(path, tmp_path):
    (tmp_path / "x").mkdir()

    assert shared_cassette(path) is shared_cassette(tmp_path / "x" / ".." / path.name)
    assert shared_cassette(path) is not shared_cassette(tmp_path / "x" / path.name)


def test_a_folder_that_does_not_exist_is_an_os_error(tmp_path):
    cassette = Cassette(tmp_path / "no" / "nb.ainb.jsonl")
    cassette.put(record())

    with pytest.raises(OSError, match="No such file"):
        cassette.flush()


def git(folder, *arguments, check=True):
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_branches_that_both_added_records_merge_line_by_line(path, tmp_path):
    (tmp_path / ".gitattributes").write_text("*.ainb.jsonl merge=union\n")
    store(path, *(record(f"base {number}") for number in range(3)))
    git(tmp_path, "init", "-q", "-b", "trunk")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "base")
    for branch, start in (("ours", "trunk"), ("theirs", "trunk")):
        git(tmp_path, "checkout", "-q", "-b", branch, start)
        store(path, *(record(f"{branch} {number}") for number in range(4)))
        git(tmp_path, "commit", "-qam", branch)

    git(tmp_path, "merge", "-q", "-m", "both", "ours")

    assert len(read_cassette(path)) == 11
    store(path, record("one more"))
    assert path.read_bytes().splitlines() == sorted(path.read_bytes().splitlines())


def test_names_of_cassettes():
    names = {"nb.ipynb": "nb", "job.py": "job", "v1.2": "v1.2", "page.md": "page", "a.ainb.jsonl": "a"}

    assert {given: cassette_path(Path("/x") / given).name for given in names} == {
        given: f"{stem}.ainb.jsonl" for given, stem in names.items()
    }


@pytest.fixture
def places(tmp_path, monkeypatch):
    for name in ("AINB_NOTEBOOK", "JPY_SESSION_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "__main__", type(sys)("__main__"))
    (tmp_path / "nb.ipynb").write_text("{}")
    (tmp_path / "other.ipynb").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("variables", "told", "found"),
    [
        ({}, None, None),
        ({"JPY_SESSION_NAME": "{here}/nb.ipynb"}, None, "nb.ipynb"),
        ({"JPY_SESSION_NAME": "folder/of/the/server/nb.ipynb"}, None, "nb.ipynb"),
        ({"JPY_SESSION_NAME": "{here}/Untitled.ipynb"}, None, None),
        ({"JPY_SESSION_NAME": "Console 1"}, None, None),
        ({"JPY_SESSION_NAME": "3f2504e0-4f89-11d3-9a0c-0305e82c3301"}, None, None),
        ({}, "{here}/nb.ipynb", "nb.ipynb"),
        ({}, "Untitled-1.ipynb", None),
        ({"JPY_SESSION_NAME": "{here}/nb.ipynb", "AINB_NOTEBOOK": "other.ipynb"}, None, "other.ipynb"),
        ({"AINB_NOTEBOOK": "not-there-yet.ipynb"}, None, "not-there-yet.ipynb"),
    ],
)
def test_the_notebook_is_found_where_the_front_end_says_and_only_when_it_is_saved(places, monkeypatch, variables, told, found):  # fmt: skip  # noqa: E501
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(here=places))

    got = find_notebook(told and told.format(here=places))

    assert got == (None if found is None else places / found)


@pytest.mark.parametrize(
    ("started", "found"),
    [("/x/job.py", "/x/job.py"), ("/x/pytest/__main__.py", None), ("/x/bin/pytest", None), (None, None)],
)
def test_a_script_counts_and_a_program_does_not(places, monkeypatch, started, found):
    monkeypatch.setattr(sys.modules["__main__"], "__file__", started, raising=False)

    assert find_notebook() == (None if found is None else Path(found))


def test_a_line_is_an_object_that_any_tool_reads():
    assert json.loads(record("hi").text)["body"]["messages"][0] == {"content": "hi", "role": "user"}
