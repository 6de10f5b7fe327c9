"""``%%ai --each FRAME``: one call per row; the result is a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ainb.errors import CallInterrupted, ConfigError
from ainb.magics.display.dry_run import rows_report
from ainb.magics.parsing.arguments import Arguments, one_word
from ainb.magics.parsing.flags import EACH_ONLY
from ainb.magics.parsing.schemas import find_schema
from ainb.magics.shell import NotebookShell
from ainb.prompts import first_word
from ainb.providers.parameters import PARAMETERS
from ainb.session import Session, is_dask
from ainb.suggestions import closest

if TYPE_CHECKING:
    from ainb.panels.batch import BatchPanel

TABLE_PACKAGES = frozenset({"pandas", "dask", "polars", "pyarrow", "geopandas"})
TABLE_KINDS = frozenset({"DataFrame", "Series", "LazyFrame", "GeoDataFrame", "Table"})
NOT_FOR_EACH = ("format", "stream", "chat", "reset", "image")


def run_each(shell: NotebookShell, arguments: Arguments, body: str, magic: str) -> Any:
    """Send the cell's prompt once for each row of the table that ``--each`` names.

    Returns:
        The result, which IPython shows as Out[n]; None with ``--into`` and ``--dry-run``. `_ai` is bound to
        it.

    Raises:
        ConfigError: The value has no rows, an option does not go with ``--each``, or the prompt uses no
            column.
        BatchInterrupted: The user stopped it; `_ai`, and the name of ``--into``, hold the finished rows.
    """
    cell = arguments.cell
    for name in NOT_FOR_EACH:
        if name in cell:
            raise ConfigError(f"--{name} does not go with --each: every row's reply is a cell of the result")
    names = shell.namespace()
    data = _rows(shell, names, str(cell["each"]))
    session = shell.session()
    options = _row_options(shell, arguments)
    options |= {
        **_parameters(arguments),
        **arguments.call,
        "model": one_word(arguments.words, magic),
        "names": names,
    }
    if "dry_run" in cell:
        shell.show(rows_report(*session.preview_map(data, body, **options)))
        return None
    watch = _watch(shell, options)
    try:
        result = _run(session, data, body, {**options, "watcher": watch})
    except BaseException as error:
        _bind_done(shell, cell.get("into"), error)
        if type(error) is KeyboardInterrupt:
            raise CallInterrupted("stopped by you before the first row was sent; nothing was spent") from None
        raise
    finally:
        watch.close()
        if session.last_map is not None:
            shell.bind("_ai", session.last_map)
    if into := cell.get("into"):
        shell.bind(str(into), result)
        return None
    return result


def _bind_done(shell: NotebookShell, name: Any, error: BaseException) -> None:
    """Bind the finished rows when a batch ends early, and add this to the error's message."""
    frame = getattr(error, "frame", None)
    if name and frame is not None:
        shell.bind(str(name), frame)
        error.args = (f"{error}; {name} holds what is done",)


def _run(session: Session, data: Any, body: str, options: dict[str, Any]) -> Any:
    """The frame of all rows; a Dask table is computed, so that all calls are done when the cell ends."""
    result = session.map(data, body, **options)
    if not is_dask(result):
        return result
    from ainb.dask import compute

    session.last_map = compute(session.core, result)
    return session.last_map


def _row_options(shell: NotebookShell, arguments: Arguments) -> dict[str, Any]:
    options = {name: arguments.cell[name] for name in EACH_ONLY if name in arguments.cell}
    if options.get("keep") == ("*",):
        options["keep"] = True
    if schema := arguments.cell.get("schema"):
        options["schema"] = find_schema(shell, str(schema))
    return options


def _parameters(arguments: Arguments) -> dict[str, Any]:
    """Parameters of ``-m``: known names as keywords, others as fields of the body."""
    known = {name: value for name, value in arguments.body.items() if name in PARAMETERS}
    others = {name: value for name, value in arguments.body.items() if name not in PARAMETERS}
    if others:
        known["extra_body"] = {**known.get("extra_body", {}), **others}
    return known


def _rows(shell: NotebookShell, names: Mapping[str, Any], typed: str) -> Any:
    """The rows of a name, of a file's path, or of an expression."""
    from ainb.batch import is_path

    if typed in names:
        return names[typed]
    if is_path(typed) and first_word(typed) not in names:
        return typed
    if typed.isidentifier():
        tables = shell.variables(_holds_rows)
        hint = closest(typed, tables) if tables else "no variable of the notebook holds rows"
        raise ConfigError(f"--each {typed}: there is no such name in the notebook; {hint}")
    try:
        code = compile(typed, "<--each>", "eval")
    except (SyntaxError, ValueError) as error:
        raise ConfigError(
            f"--each {typed} is neither a name nor a Python expression ({error.args[0]}); "
            "put quotes around an expression with spaces: --each 'df[df.stars < 3]'"
        ) from None
    # The user's own code in the user's own notebook, as in a cell.
    return eval(code, shell.ipython.user_global_ns, shell.ipython.user_ns)  # noqa: S307


def is_table(value: Any) -> bool:
    """Whether a value is a table, a column or a list."""
    kind = type(value)
    return kind is list or (
        kind.__module__.partition(".")[0] in TABLE_PACKAGES and kind.__name__ in TABLE_KINDS
    )


def _holds_rows(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _watch(shell: NotebookShell, options: Mapping[str, Any]) -> BatchPanel:
    """A live panel in a notebook, a line on stderr elsewhere."""
    from ainb.panels.batch import BatchPanel

    session = shell.session()
    return BatchPanel.open(
        budget_usd=options.get("budget_usd"),
        display=shell.display(),
        state=session.state,
        clock=session.runtime.clock,
        on_error=shell.print_line,
    )
