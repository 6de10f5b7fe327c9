"""Tests of the table of promises: its tests exist, and a failed promise is reported as failed."""

from __future__ import annotations

import pytest

from tests.reliability import PROMISES, ROOT, Promise, main, read_report

PASSED = '<testcase name="a"><properties><property name="figure" value="7 of 7"/></properties></testcase>'
FAILED = '<testcase classname="t" name="b"><failure/></testcase>'
BROKEN = '<testcase classname="t" name="c"><error/></testcase>'
SKIPPED = '<testcase name="d"><skipped/></testcase>'


@pytest.mark.parametrize("name", sorted({test for promise in PROMISES for test in promise.tests}))
def test_the_tests_of_the_table_exist(name):
    path, _, function = name.partition("::")

    assert (ROOT / path).exists()
    assert not function or f"def {function}(" in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("cases", "holds", "words"),
    [
        ([PASSED, PASSED], True, "holds in 2 tests; 7 of 7"),
        ([PASSED, SKIPPED], True, "holds in 1 tests; 1 skipped; 7 of 7"),
        ([PASSED, FAILED], False, "BROKEN in 1 of 2 tests; 7 of 7; first: t::b"),
        ([BROKEN], False, "BROKEN in 1 of 1 tests; first: t::c"),
        ([SKIPPED], False, "NOT RUN: 1 skipped"),
        ([], False, "NOT RUN: all its tests are slow; add --slow"),
    ],
)
def test_the_result_of_a_row_is_that_of_its_tests(tmp_path, cases, holds, words):
    report = tmp_path / "report.xml"
    report.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")

    assert read_report(report) == (words, holds)


def test_the_tests_are_run_and_failures_are_reported(tmp_path, capsys, monkeypatch):
    path = tmp_path / "test_made_up.py"
    path.write_text("def test_good(): pass\ndef test_bad(): assert False\n")
    row = Promise("made up", "0", (str(path),))
    monkeypatch.setattr("tests.reliability.PROMISES", [row, Promise("another", "0", ())])

    assert main(["made"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "BROKEN in 1 of 2 tests" in lines[1]
