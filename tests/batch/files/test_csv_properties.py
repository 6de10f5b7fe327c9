"""Property tests of CSV files: input is read as the csv module reads it, output is read back unchanged."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ainb.batch.files.csv import CsvFile
from ainb.batch.files.guard import OutputGuard
from ainb.batch.files.ordered import OrderedFile
from ainb.batch.files.table import distinct_labels
from ainb.batch.input.template import Template
from ainb.batch.results.row_result import RowResult
from ainb.errors import ConfigError, InvalidPromptError

# Texts that CSV readers often get wrong, and arbitrary text.
CELLS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "00501",
            "1.10",
            "9007199254740993",
            "NA",
            "None",
            "null",
            "n/a",
            "nan",
            "-inf",
            "True",
            "1e5",
            '"',
            '""',
            "a,b",
            "a;b",
            "a\tb",
            "a\nb",
            "a\r\nb",
            "a\rb",
            "\r",
            "\n",
            " x ",
            "'=1+1",
            "=1+1",
            "-5",
            "+",
            "@",
            "é",
            "日本",
            "😀",
            "\ufeffx",
            "#",
            "\\",
            "{x}",
            "0x10",
            "1_000",
            "2024-01-01",
        ]
    ),
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    st.just("a\0b"),
)
NAMES = st.lists(
    st.text(alphabet="abc ,;\"'\n\r1.é{}()", min_size=1, max_size=6), min_size=1, max_size=4, unique=True
)
DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
    }
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])


@st.composite
def tables(draw):
    names = draw(NAMES)
    rows = st.lists(CELLS, min_size=len(names), max_size=len(names))
    return names, draw(st.lists(rows, min_size=1, max_size=6))


def check_reading(table, dialect, encoding, packed):
    names, rows = table
    text = io.StringIO(newline="")
    writer = csv.writer(text, **dialect)
    writer.writerow(names)
    writer.writerows(rows)
    data = text.getvalue().encode(encoding)
    # Here the byte order mark is part of the first column name.
    if encoding == "utf-8" and data.startswith(codecs.BOM_UTF8):
        return
    expected = [
        row
        for row in csv.reader(io.StringIO(text.getvalue(), newline=""), delimiter=dialect["delimiter"])
        if row
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("in.csv.gz" if packed else "in.csv")
        path.write_bytes(gzip.compress(data) if packed else data)
        least = max((place for place, name in enumerate(expected[0], start=1) if name), default=1)
        is_ragged = any(len(row) < least or any(row[len(expected[0]) :]) for row in expected[1:])
        if is_ragged or len(expected) == 1:
            with pytest.raises(ConfigError):
                CsvFile(path, {"sep": dialect["delimiter"]})
            return
        file = CsvFile(path, {"sep": dialect["delimiter"]})
        assert file.columns == distinct_labels(expected[0])
        assert file.length == len(expected) - 1
        found = list(file.rows(file.columns))
    width = len(expected[0])
    wanted = [[cell or None for cell in (row + [""] * width)[:width]] for row in expected[1:]]
    assert [list(row.values()) for row in found] == wanted
    template = Template("<{" + file.columns[0] + "}>", columns=file.columns)
    for row, cells in zip(found, wanted, strict=True):
        if cells[0] is None:
            with pytest.raises(InvalidPromptError):
                template.fill(row)
        else:
            assert template.fill(row)[0] == f"<{cells[0]}>"


def check_writing(table, end, replies):
    names, rows = table
    names = distinct_labels(names)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
        path, guard = Path(folder) / f"out{end}", OutputGuard(Path(home))
        out = OrderedFile(path, fields={}, keep=names, csv_formulas="keep", guard=guard, notify=str)
        for position, cells in enumerate(rows):
            out.start(position, dict(zip(names, cells, strict=True)))
            out.put(position, RowResult(status="ok", reply=replies[position % len(replies)]))
        out.close(complete=True)
        assert out.result() == path
        data = gzip.decompress(path.read_bytes()) if end.endswith(".gz") else path.read_bytes()
        assert list(Path(folder).iterdir()) == [path]
    separator = "\t" if end.startswith(".tsv") else ","
    text = data.decode("utf-8")
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    frame = pd.read_csv(io.BytesIO(data), sep=separator, dtype=str, keep_default_na=False)
    expected = [[*cells, replies[position % len(replies)]] for position, cells in enumerate(rows)]
    place = read[0].index("reply")
    assert read[0][: len(names)] == list(names)
    assert [[*row[: len(names)], row[place]] for row in read[1:]] == expected
    assert frame.iloc[:, [*range(len(names)), place]].to_numpy().tolist() == expected


@given(tables(), DIALECTS, ENCODINGS, st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_file_of_the_csv_module_is_read_as_the_csv_module_reads_it(table, dialect, encoding, packed):
    check_reading(table, dialect, encoding, packed)


@pytest.mark.slow
@given(tables(), DIALECTS, ENCODINGS, st.booleans())
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_ten_thousand_files_of_the_csv_module_are_read_as_the_csv_module_reads_them(
    table, dialect, encoding, packed
):
    check_reading(table, dialect, encoding, packed)


@given(tables(), st.sampled_from([".csv", ".tsv", ".csv.gz"]), st.lists(CELLS, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_result_is_read_back_the_same_by_the_csv_module_and_by_pandas(table, end, replies):
    check_writing(table, end, replies)


@pytest.mark.slow
@given(tables(), st.sampled_from([".csv", ".tsv", ".csv.gz"]), st.lists(CELLS, min_size=1, max_size=3))
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_ten_thousand_results_are_read_back_the_same_by_the_csv_module_and_by_pandas(table, end, replies):
    check_writing(table, end, replies)
