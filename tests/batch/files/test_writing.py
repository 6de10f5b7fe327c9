"""Tests of output files: no input and no other file is overwritten, and results are written atomically."""

from __future__ import annotations

import csv
import errno
import gzip
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest

import ainb
from ainb.batch import BatchFailedError
from ainb.batch.files.guard import MAX_LINES, OutputGuard
from ainb.errors import ConfigError
from ainb.testing import Step, script
from ainb.testing.faults import SCRIPTS


@pytest.fixture
def session(tmp_path):
    made = ainb.Session("scripted:echo", home=tmp_path / "home", retry=None)
    yield made
    made.close()
    SCRIPTS.clear()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "io.csv"
    path.write_text("a,n\nx,007\ny,8\n")
    return path


def symlink(path):
    other = path.with_name("link.csv")
    other.symlink_to(path)
    return other


def hard_link(path):
    other = path.with_name("hard.csv")
    os.link(path, other)
    return other


@pytest.mark.parametrize(
    "spell",
    [
        lambda path: path,
        str,
        symlink,
        hard_link,
        lambda path: path.parent / "." / "x" / ".." / path.name,
        lambda path: f"{path.parent}//{path.name}",
        os.path.relpath,
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_result_never_replaces_its_input_by_whatever_name(session, source, spell, overwrite):
    before = source.read_bytes()
    (source.parent / "x").mkdir()
    with pytest.raises(ConfigError, match="is the input itself"):
        session.map(source, "{a}", out=spell(source), overwrite=overwrite)

    assert source.read_bytes() == before
    assert session.usage().empty


def test_a_file_of_others_is_replaced_only_when_asked(session, source):
    out = source.with_name("mine.csv")
    out.write_text("years of work")

    with pytest.raises(ConfigError, match="is not a result of ainb"):
        session.map(source, "{a}", out=out)
    assert out.read_text() == "years of work"
    assert session.usage().empty
    session.map(source, "{a}", out=out, overwrite=True)
    assert "reply" in out.read_text()


@pytest.mark.parametrize("end", [".csv", ".jsonl", ".parquet", ".csv.gz", ".tsv"])
def test_a_result_of_ours_is_replaced_unless_it_changed(session, source, end):
    out = source.with_name(f"out{end}")
    session.map(source, "{a}", out=out)
    session.map(source, "{n}", out=out)
    changed = bytearray(out.read_bytes())
    changed[-1] ^= 1
    out.write_bytes(changed)

    with pytest.raises(ConfigError, match="was changed since"):
        session.map(source, "{a}", out=out)
    assert out.read_bytes() == changed


def test_a_result_of_ours_is_known_to_sessions_of_the_same_home_only(session, source, tmp_path):
    out = source.with_name("out.csv")
    session.map(source, "{a}", out=out)
    with ainb.Session("scripted:echo", home=tmp_path / "home") as same:
        same.map(source, "{a}", out=out)
    with (
        ainb.Session("scripted:echo", home=tmp_path / "other") as other,
        pytest.raises(ConfigError, match="is not a result of ainb"),
    ):
        other.map(source, "{a}", out=out)


def test_a_link_is_followed_and_stays_and_the_mode_stays(session, source):
    real = source.with_name("real.csv")
    real.write_text("old")
    real.chmod(0o640)
    link = source.with_name("out.csv")
    link.symlink_to(real)

    session.map(source, "{a}", out=link, overwrite=True)

    assert link.is_symlink()
    assert "reply" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640


def test_an_unfinished_result_is_a_file_beside_the_old_one(session, source):
    out = source.with_name("out.csv")
    session.map(source, "{a}", out=out)
    before = out.read_bytes()

    def rows():
        yield {"a": "one"}
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        session.map(rows(), "say {a}", out=out, concurrency=1)

    assert out.read_bytes() == before
    partial = source.with_name("out.partial.csv")
    assert list(pd.read_csv(partial)["reply"]) == ["say one"]
    session.map(source, "say {a}", out=out)
    assert list(pd.read_csv(out)["reply"]) == ["say x", "say y"]
    assert not partial.exists()
    assert not [path for path in source.parent.iterdir() if path.name.endswith(".tmp")]


def test_a_partial_file_of_others_is_left_alone(session, source):
    partial = source.with_name("out.partial.csv")
    partial.write_text("mine")

    def rows():
        yield {"a": "one"}
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        session.map(rows(), "say {a}", out=source.with_name("out.csv"), concurrency=1)
    session.map(source, "{a}", out=source.with_name("out.csv"))

    assert partial.read_text() == "mine"
    assert len(list(source.parent.glob("*.out.partial.csv"))) == 1


def loop_of_links(folder):
    (folder / "a.csv").symlink_to(folder / "b.csv")
    (folder / "b.csv").symlink_to(folder / "a.csv")
    return folder / "a.csv"


@pytest.mark.parametrize(
    "spell",
    [
        lambda folder: f"{folder}/a\0b.csv",
        lambda folder: f"{folder}\0/b.csv",
        lambda folder: f"{folder}/{'n' * 300}.csv",
        lambda folder: f"{folder}/{'n' * 245}.csv",  # fits, but a partial file's name does not
        lambda folder: f"{folder}/{'é' * 122}.csv",  # the limit is in bytes
        lambda folder: f"{folder}/{'n' * 240}.jsonl",
        lambda folder: f"{'/'.join([str(folder), *['n' * 200] * 30])}/a.csv",
        lambda folder: f"~no_such_user_of_{folder.name}/a.csv",
        loop_of_links,
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_path_that_the_system_refuses_costs_nothing(session, source, tmp_path, spell, overwrite):
    out = spell(tmp_path)
    asked = script("counted", ["x"])

    with pytest.raises(ConfigError, match=r"^[^\n]*out=[^\n]*$"):
        session.map(source, "{a}", model="scripted:counted", out=out, overwrite=overwrite)

    assert asked.played == 0


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ELOOP, errno.ENAMETOOLONG])
def test_a_path_that_cannot_be_looked_at_costs_nothing(session, source, tmp_path, code, monkeypatch):
    out = tmp_path / "out.csv"
    asked = script("counted", ["x"])
    look = Path.lstat

    def failing(path):
        if path.parent == out.parent and "out" in path.name:
            raise OSError(code, os.strerror(code))
        return look(path)

    monkeypatch.setattr(Path, "lstat", failing)

    with pytest.raises(ConfigError, match=re.escape(f"cannot be written ({os.strerror(code)})")):
        session.map(source, "{a}", model="scripted:counted", out=out)

    assert asked.played == 0


def test_a_long_name_that_fits_is_written(session, source, tmp_path):
    out = tmp_path / f"{'n' * 233}.csv"

    assert session.map(source, "{a}", out=out) == out
    assert out.is_file()


def test_failed_rows_are_results_too(session, source):
    script("bad", [Step(status=400), Step(text="fine")])
    out = source.with_name("out.csv")

    with pytest.raises(BatchFailedError):
        session.map(source, "{a}", model="scripted:bad", out=out, on_error="raise", concurrency=1)
    assert sorted(pd.read_csv(out)["status"]) == ["error", "ok"]


def test_columns_of_the_input_named_like_ours_get_a_suffix_in_every_output(session, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("reply,status,a\nr,s,x\n")

    frame = session.map(path, "{a}", keep=True)
    for end in (".csv", ".jsonl", ".parquet"):
        out = session.map(path, "{a}", keep=True, out=tmp_path / f"out{end}")
        assert out.exists()
    assert list(frame.columns[:3]) == ["reply_input", "status_input", "a"]
    assert list(pd.read_csv(tmp_path / "out.csv").columns[:3]) == ["reply_input", "status_input", "a"]


FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "=cmd|'/c calc'!A1",
    "-",
    "+",
    "--5",
    "-5 apples",
]
PLAIN = ["-5", "+3.25", "-1e5", "-.5", "5", "a=b", "'=1", "", " =1"]


@pytest.mark.parametrize("end", [".csv", ".tsv", ".csv.gz"])
def test_formulas_that_the_model_wrote_are_escaped_and_kept_cells_are_not(session, tmp_path, end):
    texts = [*FORMULAS, *[text for text in PLAIN if text]]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"t": text}) + "\n" for text in texts))

    def read(**options):
        out = session.map(source, lambda row: row["t"], keep=["t"], out=tmp_path / f"out{end}", **options)
        text = (
            gzip.decompress(out.read_bytes()).decode() if end.endswith(".gz") else out.read_bytes().decode()
        )
        return list(csv.DictReader(text.splitlines(keepends=True), delimiter="\t" if end == ".tsv" else ","))

    escaped, kept = read(), read(csv_formulas="keep")

    assert [row["t"] for row in escaped] == texts
    assert [row["reply"] for row in escaped] == [f"'{text}" if text in FORMULAS else text for text in texts]
    assert [row["reply"] for row in kept] == texts
    with pytest.raises(ConfigError, match="csv_formulas must be"):
        read(csv_formulas="no")


def test_typed_columns_are_escaped_too(session, tmp_path):
    script("label", [Step(text='{"label": "=1+1", "n": -5}')])
    out = session.map(
        ["x"],
        "{value}",
        model="scripted:label",
        schema={"type": "object", "properties": {"label": {"type": "string"}, "n": {"type": "integer"}}},
        out=tmp_path / "o.csv",
    )

    with out.open(newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["label"], row["n"]) == ("'=1+1", "-5")


def test_half_a_surrogate_pair_in_a_reply_costs_no_file(session, tmp_path):
    for end in (".csv", ".jsonl"):
        out = session.map(["x"], lambda _: "a\ud800b", out=tmp_path / f"out{end}")
        assert "a" in out.read_text(encoding="utf-8")


def test_kept_values_of_json_keep_their_form_in_json(session, tmp_path):
    source = tmp_path / "in.jsonl"
    values = {"a": "x", "big": 2**70, "n": None, "l": [1, {"k": "é"}], "f": 0.1}
    source.write_text(json.dumps(values))

    out = session.map(source, "{a}", keep=True, out=tmp_path / "out.jsonl")

    row = json.loads(out.read_text())
    assert {name: row[name] for name in values} == values


def test_kept_columns_of_changing_types_do_not_stop_a_parquet_file(session, tmp_path):
    rows = [{"a": "x", "k": number} for number in range(10_001)] + [
        {"a": "x", "k": "text"},
        {"a": "x", "k": None},
    ]

    out = session.map(iter(rows), "{a}", keep=["k"], out=tmp_path / "out.parquet")

    assert len(pd.read_parquet(out)) == len(rows)


def test_the_list_of_outputs_stays_short_and_bad_lines_are_passed_over(tmp_path):
    guard = OutputGuard(tmp_path)
    file = tmp_path / "x.csv"
    file.write_bytes(b"")
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "outputs.jsonl").write_text(
        'nonsense\n["a"]\n[1, 2, 3]\n' + '["/y", 1, "z"]\n' * (MAX_LINES + 1)
    )
    (tmp_path / "outputs.jsonl").chmod(0o600)

    guard.record(file, 0, digest)

    assert guard.owns(file)
    assert (tmp_path / "outputs.jsonl").read_text().count("\n") == 2
