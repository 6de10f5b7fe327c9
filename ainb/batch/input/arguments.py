"""Opens the rows and parses the prompt of a batch, and checks them against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ainb.batch.files import file_source, is_path
from ainb.batch.input.source import Source
from ainb.batch.input.tables import read_source
from ainb.batch.input.template import Template
from ainb.errors import ConfigError
from ainb.plain import plain_scalar


def open_rows(data: Any, task: Any, names: Mapping[str, Any], given: dict[str, Any]) -> Source:
    """Open the rows: a table, a list, an iterator, or the path of a file.

    Args:
        data: The rows.
        task: The prompt or the function.
        names: Variables of the notebook.
        given: Keyword arguments of ``Session.map``; ``limit``, ``sample`` and ``read`` are removed.

    Raises:
        ConfigError: There are no rows, the file cannot be read, a number is invalid, or no rows could fill
            the prompt.
    """
    if isinstance(task, str):
        # Errors that do not depend on the rows are raised before the first row is read from an iterator.
        Template(task.strip(), columns=None, names=names)
    limit, sample = _take_count(given, "limit"), _take_count(given, "sample")
    read = given.pop("read", None)
    if is_path(data):
        return file_source(data, read=read, limit=limit, sample=sample)
    if read is not None:
        raise ConfigError(f"read= is for files; the rows are {type(data).__name__}")
    return read_source(data, limit=limit, sample=sample)


def _take_count(given: dict[str, Any], name: str) -> int | None:
    number = plain_scalar(given.pop(name, None))
    if number is None or (type(number) is int and number >= 0):
        return number
    raise ConfigError(f"{name} must be a whole number of rows, 0 or more; it is {number!r}")


@contextmanager
def giving_back(source: Source) -> Iterator[None]:
    """Return the first item to an iterator when the batch is refused."""
    try:
        yield
    except BaseException:
        if source.put_back is not None:
            source.put_back()
        raise


def read_task(
    task: str | Template | Callable[..., Any], source: Source, names: Mapping[str, Any]
) -> Template | Callable[..., Any]:
    """The prompt for these rows, or the function.

    Raises:
        ConfigError: The prompt uses an unknown column or a label of several columns, or the task is neither
            a prompt nor a function.
    """
    if isinstance(task, str):
        task = Template(task.strip(), columns=source.labels, names=names)
    elif isinstance(task, Template) and source.labels is not None:
        task = task.for_columns(source.labels)
    if isinstance(task, Template):
        source.check(task.uses)
        return task
    if callable(task):
        source.check(source.columns or ())
        return task
    raise ConfigError(
        f"a batch takes a prompt with {{columns}} or a function of one item; it is {type(task).__name__}"
    )
