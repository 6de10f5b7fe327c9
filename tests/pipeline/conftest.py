"""Fixtures of real texts: product reviews, and the source of the package."""

from __future__ import annotations

import csv
import pathlib

import pytest

import ainb

PACKAGE = pathlib.Path(ainb.__file__).parent


@pytest.fixture(scope="session")
def reviews():
    """The texts of the reviews that are shipped with the notebooks."""
    path = next((PACKAGE.parent / "notebooks").rglob("reviews.csv"), None)
    if path is None:
        pytest.skip("the reviews are not among the notebooks")
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


@pytest.fixture(scope="session")
def sources():
    """The source of every module of the package."""
    return [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
