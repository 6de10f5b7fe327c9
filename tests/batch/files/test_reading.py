"""Tests of input files: every format as rows, and one-line errors with file, line and fix."""

from __future__ import annotations

import csv
import errno
import gzip
import io
import json
import os
import sys
from pathlib import Path

import pandas as pd
import pytest

import ainb
from ainb.batch.files import file_source
from ainb.errors import ConfigError
from ainb.testing.faults import SCRIPTS


@pytest.fixture
def session(tmp_path):
    made = ainb.Session("scripted:echo", home=tmp_path / "home")
    yield made
    made.close()
    SCRIPTS.clear()


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


CELLS = [
    "00501",
    "1.10",
    "12",
    "9007199254740993",
    "NA",
    "None",
    "null",
    "n/a",
    "nan",
    "True",
    "1e5",
    " x ",
    "2024-01-01",
    "-0",
]


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_the_text_in_the_file_sent_and_kept(session, tmp_path, cell):
    path = put(tmp_path, "in.csv", f"id,n\n{cell},\n7,8\n")

    result = session.map(path, "<{id}>", keep=True)
    out = session.map(path, "<{id}>", keep=True, out=tmp_path / "out.csv")

    assert list(result["reply"]) == [f"<{cell}>", "<7>"]
    assert list(result["id"]) == [cell, "7"]
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["n"]) for row in rows] == [(cell, ""), ("7", "8")]


def test_only_an_empty_field_is_missing(session, tmp_path):
    result = session.map(put(tmp_path, "in.csv", 'a,b\nx,\n"",y\nNA,z\n'), "{a}")

    assert list(result["status"]) == ["ok", "rejected", "ok"]


def test_ids_keep_their_form_past_ten_thousand_rows(session, tmp_path):
    lines = [f"{number:05}" for number in range(10_005)] + ["x"]
    path = put(tmp_path, "in.csv", "id\n" + "\n".join(lines))

    result = session.map(path, "{id}", keep=["id"], limit=None, sample=40)

    assert list(result["reply"]) == list(result["id"])
    assert all(len(cell) == 5 or cell == "x" for cell in result["id"])


@pytest.mark.parametrize(
    ("content", "replies"),
    [
        ("a,b\nx,1,\ny,2,\n", ["x-1", "y-2"]),
        ("a,b,\nx,1\ny,2,\n", ["x-1", "y-2"]),
        ("a,b\n\nx,1\n\n\ny,2\n\n", ["x-1", "y-2"]),
        ('a,b\n"x\ny","1,2"\n', ["x\ny-1,2"]),
        ("\ufeffa,b\r\nx,1\r\n", ["x-1"]),
        ("a,b\rx,1\ry,2", ["x-1", "y-2"]),
        ('a,b\n"x ""q""",1\n', ['x "q"-1']),
        ("a,b,a\nx,1,z\n", ["x-1"]),
        ("a,b\n" + "x" * 200_000 + ",1\n", ["x" * 200_000 + "-1"]),
    ],
)
def test_lines_of_every_shape_are_read_as_the_csv_module_reads_them(session, tmp_path, content, replies):
    assert list(session.map(put(tmp_path, "in.csv", content), "{a}-{b}")["reply"]) == replies
    assert csv.field_size_limit() == 131_072


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("in.csv", "a,b\nx,1\ny,2,3\n", "in.csv, line 3: 3 fields where the header has 2"),
        ("in.csv", 'a,b\n"x\n",1\ny\n', "in.csv, line 4: 1 fields where the header has 2"),
        ("in.csv", "a,b\nx\n", "in.csv, line 2: 1 fields"),
        ("in.csv", 'a,b\nx,1\n"y,2\nz,3\n', "in.csv, line 3: a quote is opened and never closed"),
        (
            "in.csv",
            "a;b\n1,5;2\n",
            "in.csv, line 1: no ',' but ';' between the names; give read={'sep': ';'}",
        ),
        ("in.csv", "a\tb\n1\t2\n", "give read={'sep': '\\t'}"),
        ("in.csv", "", "in.csv is empty"),
        ("in.csv", "\n\n", "in.csv is empty"),
        ("in.csv", "a,b\n", "in.csv holds a header and no rows below it"),
        (
            "in.csv",
            b"a,b\nx,1\ncaf\xe9,2\n",
            "in.csv, line 3: not UTF-8 at byte 11; give read={'encoding': 'cp1252'}",
        ),
        (
            "in.csv",
            b"a,b\n" + b"x,1\n" * 600_000 + b"\x81\xe9,2\n",
            "in.csv, line 600,002: not UTF-8 at byte 2,400,004; give read={'encoding': 'latin-1'}",
        ),
        ("in.csv", "a,b\nx,1\n".encode("utf-16-le"), "give read={'encoding': 'utf-16-le'}"),
        ("in.csv", "a,b\nx,1\n".encode("utf-16-be"), "give read={'encoding': 'utf-16-be'}"),
        ("in.csv.gz", b"a,b\nx,1\n", "is not a complete gzip file"),
        ("in.csv.gz", gzip.compress(b"a,b\nx,1\n" * 100, mtime=0)[:-9], "is not a complete gzip file"),
        ("in.jsonl", "", "in.jsonl is empty"),
        ("in.jsonl", '{"a": "x"}\n{"a": \n', "in.jsonl, line 2, is not JSON"),
        ("in.jsonl", '[{"a": "x"}]', "holds one JSON array"),
        ("in.jsonl", b'{"a": "\xe9"}\n', "in.jsonl, line 1: not UTF-8 at byte 7"),
        ("in.parquet", "a,b\nx,1\n", "in.parquet cannot be read as Parquet"),
        ("in.xlsx", "a,b\nx,1\n", "in.xlsx cannot be read as an .xlsx workbook"),
        ("in.xls", "x", "must end in one of"),
        ("in.txt", "x", "must end in one of"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_on_one_line_before_anything_is_sent(
    session, tmp_path, name, content, said
):
    path = put(tmp_path, name, content)

    for data in (path, str(path)):
        with pytest.raises(ConfigError) as caught:
            session.map(data, "{a}-{b}" if "json" not in name else "{a}")
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    assert session.usage().empty


@pytest.mark.parametrize(
    ("name", "content", "read"),
    [
        ("in.csv", "a,b\né,1\n".encode("utf-16"), None),
        ("in.csv", "a,b\né,1\n".encode("utf-32"), None),
        ("in.csv", "a,b\né,1\n".encode("utf-8-sig"), None),
        ("in.csv", "a,b\né,1\n".encode("utf-8-sig"), {"encoding": "UTF-8"}),
        ("in.csv", "a,b\né,1\n".encode("cp1252"), {"encoding": "cp1252"}),
        ("in.csv", "a;b\né;1\n", {"sep": ";"}),
        ("in.csv", "a;b\né;1\n", {"delimiter": ";"}),
        ("in.csv", "a report\nof 2024\na,b\né,1\n", {"skiprows": 2}),
        ("in.csv", "a,b\n'é','1'\n", {"quotechar": "'"}),
        ("in.tsv", "a\tb\né\t1\n", None),
        ("IN.CSV", "a,b\né,1\n", None),
        ("in.csv.gz", gzip.compress("a,b\né,1\n".encode(), mtime=0), None),
        ("in.tsv.gz", gzip.compress("a\tb\né\t1\n".encode(), mtime=0), None),
        ("in.jsonl", '\ufeff{"a": "é", "b": 1}\n\n', None),
        ("in.jsonl", '{"a": "é", "b": 1}\r\n'.encode("utf-16"), None),
        ("in.jsonl.gz", gzip.compress('{"a": "é", "b": 1}'.encode(), mtime=0), None),
    ],
)
def test_encodings_separators_and_packed_files_are_read(session, tmp_path, name, content, read):
    result = session.map(str(put(tmp_path, name, content)), "{a}-{b}", read=read)

    assert list(result["reply"]) == ["é-1"]


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ({"encodng": "x"}, "did you mean 'encoding'"),
        ({"encoding": "utf8x"}, "names no encoding"),
        ({"sep": ";;"}, "makes no sense"),
        ("utf-8", "read= takes a dict"),
    ],
)
def test_invalid_reader_options_are_refused(session, tmp_path, read, said):
    with pytest.raises(ConfigError, match=said):
        session.map(put(tmp_path, "in.csv", "a,b\nx,1\n"), "{a}", read=read)
    with pytest.raises(ConfigError, match="read= is for files"):
        session.map(["x"], "{value}", read={"sep": ";"})


def test_keys_of_json_lines_are_gathered_from_all_lines(session, tmp_path):
    path = put(tmp_path, "in.jsonl", '{"a": 9007199254740993}\n{"a": 1, "b": "y"}\n')

    assert list(session.map(path, "{a} {b}")["status"]) == ["rejected", "ok"]
    assert session.map(path, "{a}")["reply"][0] == "9007199254740993"


def workbook(path, rows, *, title="Sheet1"):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    return book, path


def test_a_sheet_is_read_with_the_values_of_openpyxl(session, tmp_path):
    book, path = workbook(
        tmp_path / "in.xlsx",
        [
            ["id", "when", None, "Review Text"],
            [501, pd.Timestamp("2024-02-03"), None, "00501"],
            [None, None, None, None],
            [1.5, pd.Timestamp("2024-02-03 04:05"), True, "NA"],
        ],
    )
    book.active["A2"].number_format = "00000"
    book.create_sheet("other").append(["x"])
    book["other"].append(["y"])
    book.save(path)

    result = session.map(path, "{id}|{when}|{Review Text}", keep=True)

    assert list(result["reply"]) == ["00501|2024-02-03|00501", "1.5|2024-02-03 04:05:00|NA"]
    assert list(session.map(path, "{x}", read={"sheet": "other"})["reply"]) == ["y"]
    with pytest.raises(ConfigError, match="has no sheet 'othr'; did you mean 'other'"):
        session.map(path, "{x}", read={"sheet": "othr"})


@pytest.mark.parametrize(("rows", "said"), [([], "is empty"), ([["a", "b"]], "a header and no rows")])
def test_a_sheet_without_rows_is_refused(session, tmp_path, rows, said):
    book, path = workbook(tmp_path / "in.xlsx", rows)
    book.save(path)

    with pytest.raises(ConfigError, match=said):
        session.map(path, "{a}")


@pytest.mark.parametrize(
    "missing",
    [("in.xlsx", "openpyxl", "excel"), ("in.parquet", "pyarrow.parquet", "parquet")],
)
def test_a_missing_extra_is_named(session, tmp_path, monkeypatch, missing):
    name, package, extra = missing
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ConfigError, match=rf"ainb-notebook\[{extra}\]"):
        session.map(put(tmp_path, name, "x"), "{a}")


def test_parquet_keeps_types_reads_used_columns_and_odd_names(session, tmp_path):
    path = tmp_path / "in.parquet"
    frame = pd.DataFrame(
        {"a.b": ["x", "y"], "big": pd.array([9007199254740993, None], dtype="Int64"), "l": [[1], [2]]}
    )
    frame.to_parquet(path)

    out = session.map(path, "{a.b} {l}", keep=["big"], out=tmp_path / "out.parquet")

    back = pd.read_parquet(out, dtype_backend="numpy_nullable")
    assert list(back["reply"]) == ["x [1]", "y [2]"]
    assert back["big"][0] == 9007199254740993
    assert pd.isna(back["big"][1])


def test_a_file_can_be_sampled_limited_previewed_and_forecast(session, tmp_path):
    path = put(tmp_path, "in.csv", "a\n" + "\n".join(f"w{number}" for number in range(100)))

    assert list(session.map(path, "{a}", limit=2)["reply"]) == ["w0", "w1"]
    sampled = list(session.map(path, "{a}", sample=5)["reply"])
    assert len(sampled) == 5
    assert sampled == sorted(sampled, key=lambda word: int(word[1:]))
    assert session.preview_map(path, "{a}")[0].request.messages[-1].text == "w0"


def test_a_function_gets_the_texts_of_a_row(session, tmp_path):
    path = put(tmp_path, "in.csv", "a,b\n007,NA\n")

    assert session.map(path, json.dumps)["reply"][0] == '{"a": "007", "b": "NA"}'


def test_the_folder_of_a_path_may_be_a_home_folder(session, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    put(tmp_path, "in.csv", "a\nx\n")

    assert session.map("~/in.csv", "{a}")["reply"][0] == "x"
    assert session.map(Path("~/in.csv"), "{a}")["reply"][0] == "x"


def looped(folder):
    (folder / "a.csv").symlink_to(folder / "b.csv")
    (folder / "b.csv").symlink_to(folder / "a.csv")
    return folder / "a.csv"


def made_folder(folder):
    (folder / "folder.csv").mkdir()
    return folder / "folder.csv"


def made_pipe(folder):
    os.mkfifo(folder / "pipe.csv")
    return folder / "pipe.csv"


def linked_device(folder):
    (folder / "zero.csv").symlink_to("/dev/zero")
    return folder / "zero.csv"


def below_a_file(folder):
    (folder / "a.csv").write_text("a\n1\n")
    return folder / "a.csv" / "b.csv"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="paths of POSIX")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / ("x" * 300 + ".csv"), "cannot be read (File name too long)"),
        (lambda folder: str(folder / ("y/" * 3000)) + "a.csv", "cannot be read (File name too long)"),
        (lambda _: "a\0b.csv", "embedded null"),
        (lambda _: "~no-such-user-here/a.csv", "cannot be read (Could not determine home directory)"),
        (looped, "cannot be read (Too many levels of symbolic links)"),
        (made_folder, "is a folder"),
        (made_pipe, "is a pipe or a device"),
        (linked_device, "is a pipe or a device"),
        (below_a_file, "there is no file"),
    ],
)
def test_a_path_that_names_no_file_is_an_error_that_says_why(tmp_path, make, said):
    with pytest.raises(ConfigError) as caught:
        file_source(make(tmp_path))

    assert said in str(caught.value)
    assert "give the path of a .csv" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_file_that_cannot_be_opened_is_an_error_that_says_why(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")

    def refuse(*_arguments, **_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(io, "open", refuse)

    with pytest.raises(ConfigError, match=r"a\.csv cannot be read \(Permission denied\); give the path"):
        file_source(path)
