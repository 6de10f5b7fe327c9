"""Property tests of XLSX files: a workbook of openpyxl is read cell by cell as openpyxl reads it."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from ainb.batch.files.table import distinct_labels
from ainb.batch.files.xlsx import ExcelFile
from ainb.errors import ConfigError

TEXTS = st.one_of(
    st.sampled_from(
        [
            "=1+1",
            "+1",
            "-5",
            "@x",
            "#N/A",
            "#DIV/0!",
            "TRUE",
            "00501",
            "1e5",
            " x ",
            "a\nb",
            "a\r\nb",
            "_x000D_",
            "_x005F_",
            "2024-01-01",
            "é",
            "日本",
            "😀",
            "{x}",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
).filter(lambda text: not ILLEGAL_CHARACTERS_RE.search(text))
# Dates in Excel start in 1900 and have no time zone.
FIRST, LAST = (dt.datetime(*day) for day in ((1900, 3, 1), (9999, 12, 31)))  # noqa: DTZ001
DATES = st.datetimes(FIRST, LAST).map(lambda moment: moment.replace(microsecond=0))
CELLS = st.one_of(
    st.none(),
    TEXTS,
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    DATES,
    DATES.map(dt.datetime.date),
    DATES.map(dt.datetime.time),
)
ROWS = st.lists(st.lists(CELLS, max_size=5), min_size=1, max_size=6)


def write(path, sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for line, cells in enumerate(rows, start=1):
            for column, value in enumerate(cells, start=1):
                if value is None:
                    continue
                cell = sheet.cell(line, column, value)
                if isinstance(value, str):
                    cell.data_type = "s"  # keep a text that begins with = as text
    book.save(path)


def as_read_by_openpyxl(path, sheet):
    """Rows with at least one cell, without empty cells at the end."""
    lines = []
    for cells in openpyxl.load_workbook(path, data_only=True)[sheet].iter_rows(values_only=True):
        values = [None if cell == "" else cell for cell in cells]
        while values and values[-1] is None:
            values.pop()
        if values:
            lines.append(values)
    return lines


def in_iso_form(value):
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ")
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def check(sheets, place):
    name = list(sheets)[place % len(sheets)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.xlsx"
        write(path, sheets)
        expected = as_read_by_openpyxl(path, name)
        if len(expected) < 2:
            with pytest.raises(ConfigError, match=r"empty|no rows below"):
                ExcelFile(path, {"sheet": name})
            return
        file = ExcelFile(path, {"sheet": name})
        found = [list(row.values()) for row in file.rows(file.columns)]
    width = len(expected[0])
    assert file.columns == distinct_labels([in_iso_form(cell) for cell in expected[0]])
    assert file.length == len(expected) - 1
    wanted = [[in_iso_form(cell) for cell in (row + [None] * width)[:width]] for row in expected[1:]]
    assert [[(type(cell), cell) for cell in row] for row in found] == [
        [(type(cell), cell) for cell in row] for row in wanted
    ]


@given(st.lists(ROWS, min_size=1, max_size=2), st.integers(0, 1))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_workbook_of_openpyxl_is_read_as_openpyxl_reads_it(sheets, place):
    check({f"s{number}": rows for number, rows in enumerate(sheets)}, place)


@pytest.mark.slow
@given(st.lists(ROWS, min_size=1, max_size=2), st.integers(0, 1))
@settings(max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_five_thousand_workbooks_of_openpyxl_are_read_as_openpyxl_reads_them(sheets, place):
    check({f"s{number}": rows for number, rows in enumerate(sheets)}, place)
