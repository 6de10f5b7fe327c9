"""Tests of the panels: board, cost, errors, batches; live and static."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from decimal import Decimal
from types import SimpleNamespace

import pandas as pd
import pytest

import ainb
from ainb.batch import Progress
from ainb.messages import Usage
from ainb.panels import PANELS, panel
from ainb.panels.base import NO_CALLS, ROWS
from ainb.panels.batch import BatchPanel
from ainb.panels.markup import Table
from ainb.panels.output import live
from ainb.panels.output import slot as slots
from ainb.panels.output.live import IDLE_SECONDS, Live
from ainb.panels.view import Line, View
from ainb.pipeline.budget.options import Budget
from ainb.runtime import Runtime
from ainb.testing import FakeClock, script
from ainb.usage.log import schema
from ainb.usage.windows import ALL_TIME
from tests.usage.log.large_log import fill

HOSTILE = '<script>alert("model")</script>'
PRICES = {"echo": {"input_usd_per_million": 1000, "output_usd_per_million": 2000}}


@pytest.fixture
def session():
    with ainb.Session("scripted:echo", cache=None, retry=None, budget=Budget(usd=5, per="day")) as made:
        yield made


@pytest.fixture
def busy(session):
    """A session with answers, failures, an unpriced call and names with markup."""
    script("down", [503])
    for number in range(3):
        session.ask(f"hello {number}")
    session.record(
        prompt="x", reply="y", model=HOSTILE, provider="openai", cost_usd=Decimal("0.02"), duration_s=1.0
    )
    session.record(prompt="x", reply="y", model="nobody-knows-it")
    session.record(
        prompt="x", model=HOSTILE, error=ValueError("<img src=x onerror=alert(1)> $x_1$"), cost_usd=0
    )
    with pytest.raises(ainb.TransientProviderError):
        session.ask("hello", model="scripted:down")
    return session


@pytest.mark.parametrize("name", [None, *PANELS])
def test_every_panel_has_a_frame_a_figure_and_a_text(busy, name):
    from matplotlib.figure import Figure

    made = panel(name, session=busy)

    assert isinstance(made.frame, pd.DataFrame)
    assert isinstance(made.figure(), Figure)
    assert str(made)
    assert repr(made).startswith("<ainb panel ")


@pytest.mark.parametrize("name", [None, "cost", "errors"])
def test_without_calls_a_panel_says_how_to_make_one(session, name):
    made = panel(name, session=session)

    assert str(made) == NO_CALLS
    made.figure()


def test_without_batches_the_panel_says_how_to_start_one(session, monkeypatch):
    monkeypatch.setattr("ainb.panels.batch._newest_panel", [])

    assert "No batch has run" in str(panel("batch", session=session))


def test_one_call_is_enough(session):
    session.ask("hello")

    text = str(panel(session=session))

    assert "scripted:echo" in text
    assert "Nothing failed" in text
    assert "budget $5.00 a day · $0.00 spent · $5.00 left" in text


@pytest.mark.parametrize("name", [None, "cost", "errors"])
def test_names_and_messages_with_markup_are_shown_as_text(busy, name):
    bundle = panel(name, session=busy).view().bundle()

    assert "<script" not in bundle["text/html"]
    assert "<img src=x" not in bundle["text/html"]


def test_the_cost_panel_names_calls_of_unknown_cost(busy):
    made = panel("cost", session=busy)
    text = str(made)

    assert "≥ $0.020 spent today of $5.00" in text
    assert "unknown:nobody-knows-it" in text
    assert "No price is known for unknown:nobody-knows-it; give one: prices = " in text
    assert made.frame["unpriced"].sum() == 1


@pytest.mark.parametrize("thinking", [None, 0, 1_200])
@pytest.mark.parametrize("by", ["model", "day", "provider"])
def test_the_cost_panel_shows_thinking_where_models_think(session, thinking, by):
    usage = Usage(input_tokens=10, output_tokens=1_500, reasoning_output_tokens=thinking)
    facts = {"prompt": "x", "reply": "y", "provider": "openai", "cost_usd": Decimal("0.02")}
    session.record(model="gpt-5-mini", usage=usage, **facts)
    session.record(model="gpt-4o", **facts)

    made = panel("cost", session=session)
    made.by = by
    (table,) = [block for block in made.blocks(charts=False) if isinstance(block, Table)]

    assert ("of it thinking" in table.columns) is bool(thinking)
    assert len({len(row) for row in [table.columns, *table.rows, table.footer]}) == 1
    if thinking:
        at = table.columns.index("of it thinking")
        assert table.looks[at] == "number"
        assert table.footer[at] == "1,200"


def test_the_errors_panel_says_what_to_do(busy):
    text = str(panel("errors", session=busy))

    assert "503 server fault" in text
    assert "the provider has trouble" in text
    assert "scripted answered 503" in text


def test_the_batch_panel_lists_the_batches_of_the_home(session):
    frame = pd.DataFrame({"review": ["good", "bad"]})
    watch = BatchPanel.open(title="labels", display="text")

    session.map(frame, "Label: {review}", watcher=watch)
    text = str(panel("batch", session=session))

    assert "2 of 2 rows · done" in text
    assert "Label: {review}" in text
    assert "finished" in text
    assert list(panel("batch", session=session).frame["done"]) == [2]


def test_the_board_shows_the_batch_that_runs(busy, monkeypatch):
    watch = BatchPanel.open(title="labels", display="html")
    monkeypatch.setattr(slots, "find_shell", lambda: None)
    watch(Progress(title="t", model="m", total=3))

    assert "0 of 3 rows" in str(panel(session=busy))
    watch(Progress(title="t", model="m", total=3, done=3, state="finished"))
    assert "3 of 3 rows" not in str(panel(session=busy))


def test_a_panel_of_another_name_is_refused_with_a_hint():
    with pytest.raises(ainb.ConfigError, match="there is no panel 'costs'; did you mean 'cost'"):
        panel("costs")


def test_a_log_that_cannot_be_read_is_not_called_empty(tmp_path):
    tmp_path.joinpath("home").mkdir()
    connection = sqlite3.connect(tmp_path / "home" / "usage.sqlite3")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with ainb.Session("scripted:echo", home=tmp_path / "home") as session:
        assert "a newer ainb wrote the usage log" in str(panel("cost", session=session))


def home_with_calls(tmp_path, count):
    home = tmp_path / "home"
    home.mkdir()
    fill(home / "usage.sqlite3", count)
    return home


def test_a_newer_log_is_said_to_be_one_and_the_calls_of_this_session_are_shown(tmp_path):
    home = home_with_calls(tmp_path, 200)
    connection = sqlite3.connect(home / "usage.sqlite3")
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with ainb.Session("scripted:echo", home=home) as session:
        session.ask("hello")
        for name in (None, "cost", "errors", "batch"):
            assert "a newer ainb wrote the usage log" in str(panel(name, session=session))
        assert "scripted:echo" in str(panel(session=session))


def test_an_older_log_is_shown_before_and_after_it_is_brought_up_to_date(tmp_path, monkeypatch):
    home = home_with_calls(tmp_path, 2_000)
    step = "ALTER TABLE calls ADD COLUMN region TEXT;\n"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, lambda: step))
    monkeypatch.setattr("ainb.usage.log.reading.MIGRATIONS", schema.MIGRATIONS)

    with ainb.Session("scripted:echo", home=home) as session:
        everything = panel("cost", session=session)
        everything.window = ALL_TIME
        assert everything.frame["calls"].sum() == 2_000
        failed = panel("errors", session=session)
        failed.window = ALL_TIME
        assert "503 server fault" in str(failed)
        session.ask("hello")
        session.log.flush()
        assert everything.frame["calls"].sum() == 2_001
        assert "ainb" not in str(everything)
    with contextlib.closing(sqlite3.connect(home / "usage.sqlite3")) as connection:
        assert schema.version_of(connection) == len(schema.MIGRATIONS)


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_panels_over_very_many_calls_show_them_all(tmp_path, count):
    home = home_with_calls(tmp_path, count)

    with ainb.Session("scripted:echo", home=home) as session:
        everything = panel("cost", session=session)
        everything.window = ALL_TIME
        text = str(everything)
        assert everything.frame["calls"].sum() == count
        assert f"and {len(everything.frame) - ROWS} more" in text
        assert f"{count / 1e6:.1f} M" in text or f"{count:,}" in text
        failed = panel("errors", session=session)
        failed.window = ALL_TIME
        assert failed.frame["calls"].sum() == session.errors("error_type")["calls"].sum() > count / 100
        for name in (None, "errors", "batch"):
            html = panel(name, session=session).view().bundle()["text/html"]
            assert len(html) < 1_000_000


def test_outside_a_notebook_show_prints(busy, capsys):
    panel("cost", session=busy).show()

    assert "Cost by model, last 7 days" in capsys.readouterr().out


def test_nothing_heavy_is_loaded_with_the_panels():
    import subprocess

    code = (
        "import sys, ainb.panels, ainb.panels.output.slot, ainb.panels.markup\n"
        "heavy = {'pandas', 'matplotlib', 'ipywidgets', 'IPython', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=180)


def test_a_figure_leaves_the_settings_of_the_user_alone(busy):
    import matplotlib as mpl

    before = dict(mpl.rcParams)

    panel(
        "cost",
        session=busy,
    ).figure()
    panel("errors", session=busy).view().bundle()

    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not __import__("matplotlib.pyplot").pyplot.get_fignums()


@pytest.mark.parametrize(
    ("most", "scale"),
    [
        (0.13, {"$0.00", "$0.05", "$0.10"}),
        (40, {"$0", "$20", "$40"}),
        (0.001, {"$0.0000", "$0.0005", "$0.0010"}),
    ],
)
def test_a_scale_of_money_has_as_many_digits_everywhere(most, scale):
    from ainb.panels import charts

    days = pd.date_range("2026-11-01", periods=3)
    figure = charts.line(pd.Series([0.0, most / 2, most], index=days), step=days[1] - days[0], unit="$")
    axis = figure.axes[0].yaxis
    shown = [axis.get_major_formatter()(tick) for tick in axis.get_majorticklocs()]

    assert len({len(text.partition(".")[2]) for text in shown}) == 1
    assert scale <= set(shown)


def test_charts_are_pictures_with_their_meaning_in_words():
    from ainb.panels import charts

    index = pd.date_range("2026-11-17", periods=7, name="at")
    step = ALL_TIME.step
    series = pd.Series([0.1, 0.3, 0.3, 0.8, 1.0, 1.2, 2.58], index=index)
    counts = pd.DataFrame({"429 rate limit": [1, 0, 2, 0, 0, 1, 0], "$bad$ <kind>": 1}, index=index)

    for figure in (
        charts.line(series, step=step, unit="$"),
        charts.stacks(counts, step=step),
        charts.bars(counts.set_axis([HOSTILE] * 7)),
        charts.empty("$none$"),
    ):
        chart = charts.chart(figure, "what <it> shows")
        assert chart.png.startswith(b"\x89PNG")
        assert chart.html().startswith("<figure><img width=")
        assert 'alt="what &lt;it&gt; shows"' in chart.html()
        assert "<img" not in chart.html(deterministic=True)


# Live panels


class Publisher:
    def __init__(self) -> None:
        self.published = []

    def publish(self, data, metadata=None, *, transient=None, update=False):
        self.published.append((data, update))


class Source:
    """A panel that counts its views."""

    name = "source"

    def __init__(self, clock) -> None:
        self.session = SimpleNamespace(runtime=Runtime(clock=clock))
        self.calls = 0
        self.views = 0

    def view(self, *, charts=True):
        self.views += 1
        return View("v", [Line([f"{self.calls} calls"])])

    def change_key(self):
        return self.calls

    def controls(self, changed):
        self.changed = changed
        return []


@pytest.fixture
def shell(monkeypatch):
    found = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=True), display_pub=Publisher(), user_ns={})
    monkeypatch.setattr(slots, "find_shell", lambda: found)
    yield found
    live.stop_all()


class SteppedClock(FakeClock):
    """A fake clock that runs a function before each sleep, so that a test can act between sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.before_sleep = lambda: None

    async def sleep(self, seconds):
        self.before_sleep()
        await super().sleep(seconds)


def start(clock, shell, display="html"):
    source = Source(clock)
    running = Live(source, slots.Slot(display, clock=clock))
    return source, running


def test_a_live_panel_is_redrawn_when_calls_come_in_and_ends_when_nothing_happens(shell):
    clock = SteppedClock()
    source, running = start(clock, shell)
    slept = []

    def one_call_a_sleep():
        slept.append(clock.monotonic())
        if len(slept) <= 3:
            source.calls += 1

    clock.before_sleep = one_call_a_sleep
    running.start()
    running._job.result(timeout_seconds=60)

    shown = [data["text/plain"] for data, _ in shell.display_pub.published]
    assert shown[0] == "0 calls"
    assert shown[-1] == "3 calls"
    assert "<style>" in shell.display_pub.published[-1][0]["text/html"]
    assert clock.monotonic() >= IDLE_SECONDS
    assert source.views <= 6


def test_another_panel_of_that_name_leaves_the_first_as_it_is(shell):
    import threading

    held = threading.Event()
    clock = SteppedClock()
    clock.before_sleep = lambda: held.wait(5)
    _, first = start(clock, shell)
    first.start()
    _, second = start(clock, shell)
    second.start()
    held.set()

    assert first._slot.closed
    second._job.result(timeout_seconds=60)
    assert second._slot.closed


def test_static_panels_do_not_run(shell):
    _, running = start(FakeClock(), shell, display="static")

    running.start()

    assert running._job is None
    assert len(shell.display_pub.published) == 1


def test_choices_redraw_the_panel(shell, busy):
    made = panel("cost", session=busy)
    redrawn = []

    window, by = made.controls(lambda: redrawn.append(made.view().text()))
    window.changed("all time")
    by.changed("provider")

    assert made.window is ALL_TIME
    assert "Cost by model, all time" in redrawn[0]
    assert "Cost by provider, all time" in redrawn[1]


def test_the_board_notices_calls_and_circuits_but_not_buckets(busy):
    made = panel(session=busy)
    before = made.change_key()

    assert made.change_key() == before
    busy.ask("another")
    assert made.change_key() != before


def test_numbers_do_not_wait_for_the_library_of_charts(shell, monkeypatch):
    clock = SteppedClock()
    source, running = start(clock, shell)
    drawn = []
    source.view = lambda *, charts=True: drawn.append(charts) or View("v", [Line(["x"])])
    monkeypatch.setattr(live, "CHARTS", "a module that is not loaded")

    running.start()
    running._job.result(timeout_seconds=60)

    assert drawn[:2] == [False, True]


def test_a_history_without_rows_reads_as_steady_display_leaves_it():
    empty = Table(caption="Providers now", columns=("model", "circuit"), rows=[], history=True)
    full = Table(caption="Providers now", columns=("model", "circuit"), rows=[("m", "closed")], history=True)

    assert empty.html() == empty.html(deterministic=True) == full.html(deterministic=True)
    assert empty.text() == ""
