"""Tests of aliases in pyproject.toml: the rest of the file stays identical to the byte."""

from __future__ import annotations

import stat
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ainb.errors import ConfigError
from ainb.magics.commands.alias_file import forget_alias, save_alias

PLAIN = '# mine\n[project]\nname = "x"   # odd   spacing\n\n[tool.other]\nlist = [\n  1,\n]\n'


@pytest.fixture
def file(tmp_path):
    return tmp_path / "pyproject.toml"


def saved(file, before, name="fast", target="openai:m"):
    file.write_bytes(before.encode())
    save_alias(file, name, target)
    return file.read_bytes().decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[tool.ainb.aliases]\nfast = "openai:m"\n'),
        (PLAIN, PLAIN + '\n[tool.ainb.aliases]\nfast = "openai:m"\n'),
        ("a = 1", 'a = 1\n\n[tool.ainb.aliases]\nfast = "openai:m"\n'),
        ("a = 1\r\n", 'a = 1\r\n\r\n[tool.ainb.aliases]\r\nfast = "openai:m"\r\n'),
        ("[tool.ainb.aliases]", '[tool.ainb.aliases]\nfast = "openai:m"\n'),
        (
            '[ tool . ainb.aliases ] # here\nold = "x:y"\n\n# of b\n[b]\n',
            '[ tool . ainb.aliases ] # here\nold = "x:y"\nfast = "openai:m"\n\n# of b\n[b]\n',
        ),
        (
            "[tool.ainb.aliases]\r\nold = 'x:y'\r\n[b]\n",
            "[tool.ainb.aliases]\r\nold = 'x:y'\r\nfast = \"openai:m\"\r\n[b]\n",
        ),
        (
            "[tool.ainb.aliases]\nfast  =  'a:b'  # why\nz = \"c:d\"\n",
            '[tool.ainb.aliases]\nfast  =  "openai:m"  # why\nz = "c:d"\n',
        ),
        ('[tool.ainb.aliases]\n"fast" = "a:b"\n', '[tool.ainb.aliases]\n"fast" = "openai:m"\n'),
        (
            '[tool.ainb]\naliases = { old = "x:y" } # two\nmodel = "old"\n',
            '[tool.ainb]\naliases = { old = "x:y", fast = "openai:m" } # two\nmodel = "old"\n',
        ),
        ("[tool.ainb]\naliases = {}\n", '[tool.ainb]\naliases = { fast = "openai:m" }\n'),
        ('[tool.ainb]\naliases = {fast="a:b"}\n', '[tool.ainb]\naliases = {fast="openai:m"}\n'),
    ],
)
def test_an_alias_is_written_and_the_rest_stays_to_the_byte(file, before, after):
    assert saved(file, before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[tool.ainb.aliases]\nfast = "a:b" # why\nz = "c:d"\n', '[tool.ainb.aliases]\nz = "c:d"\n'),
        ('[tool.ainb.aliases]\nfast = "a:b"', "[tool.ainb.aliases]\n"),
        (
            '[tool.ainb]\naliases = { old = "x:y", fast = "a:b" }\n',
            '[tool.ainb]\naliases = { old = "x:y" }\n',
        ),
        (
            '[tool.ainb]\naliases = { fast = "a:b", old = "x:y" }\n',
            '[tool.ainb]\naliases = { old = "x:y" }\n',
        ),
    ],
)
def test_an_alias_is_taken_out_and_the_rest_stays_to_the_byte(file, before, after):
    file.write_text(before)

    assert forget_alias(file, "fast")
    assert file.read_text() == after
    assert not forget_alias(file, "fast")


def test_a_name_of_any_letters_is_quoted(file):
    after = saved(file, "", 'my.model "2"')

    assert tomllib.loads(after)["tool"]["ainb"]["aliases"] == {'my.model "2"': "openai:m"}


@pytest.mark.parametrize(
    "before",
    [
        '[tool.ainb]\naliases.old = "x:y"\n',
        '[tool.ainb]\naliases = { old = """x:y""", b = { c = 1 } }\n',
        'text = """\n[tool.ainb.aliases]\n"""\n[tool.ainb]\naliases.old = "x:y"\n',
    ],
)
def test_a_form_that_is_not_understood_is_refused_and_the_file_untouched(file, before):
    with pytest.raises(ConfigError, match=r'add fast = "openai:m" under \[tool.ainb.aliases\] yourself'):
        saved(file, before)
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ('[tool.ainb]\naliases.fast = "x:y"\n', r"take out the line of fast under \[tool.ainb.aliases\]"),
        ("[tool.ainb]\naliases = 3\n", "aliases is not a table in pyproject.toml; fix it first"),
    ],
)
def test_an_alias_that_cannot_be_taken_out_is_named_and_the_file_untouched(file, before, message):
    file.write_text(before)

    with pytest.raises(ConfigError, match=message):
        forget_alias(file, "fast")
    assert file.read_text() == before


def test_a_header_inside_a_text_is_no_header(file):
    before = 'text = """\n[tool.ainb.aliases]\nfast = "a:b"\n"""\n'

    after = saved(file, before)
    assert after == before + '\n[tool.ainb.aliases]\nfast = "openai:m"\n'


def test_a_file_that_is_no_toml_is_left_alone(file):
    with pytest.raises(ConfigError, match="cannot be read"):
        saved(file, "a = [")
    assert file.read_text() == "a = ["
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        save_alias(file, "fast", "openai:m")
    assert file.read_bytes() == b"\xff\xfe"


def test_no_key_is_written(file):
    key = "sk-proj-Zb7Kq2Lw9Xv4Tn6Rm1Pd8Yc3Hs5Jf0Bg"
    with pytest.raises(ConfigError, match="looks like a key"):
        save_alias(file, "fast", f"openai:{key}")
    assert not file.exists()


def test_a_link_stays_a_link_and_the_mode_stays(file, tmp_path):
    real = tmp_path / "real.toml"
    real.write_text("a = 1\n")
    real.chmod(0o640)
    file.symlink_to(real)

    save_alias(file, "fast", "openai:m")

    assert file.is_symlink()
    assert "fast" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pyproject.toml", "real.toml"]


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be written .*; the alias holds until the kernel ends"):
        save_alias(tmp_path / "gone" / "pyproject.toml", "fast", "openai:m")


NAMES = st.text("abz-_.é'\"\\ ", min_size=1, max_size=5)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(NAMES, st.text("ab:/'\"\\é #={},", max_size=6), st.booleans()), max_size=8))
def test_any_order_of_saving_and_forgetting_leaves_a_file_that_says_so(tmp_path_factory, steps):
    file = tmp_path_factory.mktemp("alias") / "pyproject.toml"
    file.write_text(PLAIN)
    wanted = {}
    for name, target, keep in steps:
        if keep:
            save_alias(file, name, target)
            wanted[name] = target
        else:
            assert forget_alias(file, name) == (name in wanted)
            wanted.pop(name, None)

    read = tomllib.loads(file.read_text())
    assert read.get("tool", {}).get("ainb", {}).get("aliases", {}) == wanted
    assert file.read_text().startswith(PLAIN)
