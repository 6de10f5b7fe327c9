"""Tests of the batch panel: progress, rates, failures, cancellation."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal

import pytest

from ainb.batch import LoopWatcher, Progress, ProgressReporter
from ainb.batch.results.row_result import RowResult
from ainb.panels.batch import BatchPanel, newest_batch_panel
from ainb.panels.output.slot import Slot
from ainb.panels.progress import progress_view
from ainb.testing import FakeClock, run_virtual
from tests import made_up_secrets


def running(**changes):
    progress = Progress(title="Label: {review}", model="openai:gpt-5-mini", total=300)
    for number in range(180):
        progress.count(
            number,
            RowResult(
                status="ok",
                cached=number < 11,
                cost_nano_usd=0 if number < 11 else 100_000,
                input_tokens=50,
                output_tokens=5,
            ),
            resumed=False,
        )
    progress.count(
        181,
        RowResult(
            status="error",
            error_type="InvalidReplyError",
            error_message='"label" is <b>mixed</b>',
            cost_nano_usd=0,
        ),
        resumed=False,
    )
    progress.in_flight, progress.concurrency, progress.rows_per_s, progress.elapsed_s = 8, 16, 4.1, 44.0
    for name, value in changes.items():
        setattr(progress, name, value)
    return progress  # fmt: skip


def test_a_running_batch_says_how_far_it_is():
    view = progress_view(
        running(), budget_usd=Decimal("0.10"), now={"circuit": "closed", "requests_limit": 500, "waiting": 0}
    )
    text = view.text()

    assert "181 of 300 rows · about 29 s left" in text
    assert "180 answered · 11 of them from cache · 1 failed" in text
    assert "8 in flight of at most 16 · 4.1 rows/s · rate limit 500 requests/min · provider OK" in text
    assert "9,000 tokens in, 900 out · $0.017 so far · about $0.028 total · budget $0.10" in text
    assert "reply does not match the schema" in text
    html = view.inner()
    assert '<progress aria-label="rows done" value="181" max="300">181 of 300</progress>' in html
    assert "<b>mixed" not in html


def test_a_finished_batch_says_what_it_cost_and_what_failed():
    view = progress_view(running(total=181, state="finished"))
    steady = view.bundle(deterministic=True)

    assert "181 of 181 rows · done" in steady["text/plain"]
    assert "180 answered · 1 failed" in steady["text/plain"]
    assert "$0.017 total" in view.text()
    assert "in 44 s" in view.text()
    assert "<progress" not in steady["text/html"]
    shown = steady["text/html"].split("</style>")[1] + steady["text/plain"]
    assert not re.search(r"\d s\b|rows/s|from cache|\$0.017", shown)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"resumed": 40, "resumed_answers": 40}, "40 of them by an earlier run"),
        ({"reasoning_tokens": 12_000}, "(12 k thinking)"),
        ({"saved_nano_usd": 1_500_000_000}, "$1.50 saved against live calls"),
    ],
)
def test_parts_of_rows_tokens_and_money_are_shown_where_there_are_any(changes, shown):
    assert shown not in progress_view(running()).text()
    assert shown in progress_view(running(**changes)).text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "stopped"}, "181 of 300 rows · stopped; run it again to continue"),
        ({"state": "stopped", "total": 181, "rejected": 12}, "12 not sent; run it again to send these"),
        ({"state": "failed"}, "ended by an error"),
    ],
)
def test_a_batch_that_ended_early_says_so(changes, said):
    assert said in progress_view(running(**changes)).text(deterministic=True)


@pytest.mark.parametrize(
    ("changes", "now", "said"),
    [
        ({"in_flight": 12}, {}, "12 in flight of at most 16"),
        ({"in_flight": 12}, {"waiting": 4, "circuit": "closed"}, "8 in flight of at most 16"),
        ({"in_flight": 12, "paused": 12, "next_try_s": 11.6}, {}, "0 in flight of at most 16"),
        ({"in_flight": 12, "paused": 12, "next_try_s": 11.6}, {}, "paused, next try in 12 s"),
        ({}, {"circuit": "open", "probe_in_s": 27.2}, "paused, next try in 27 s"),
        ({}, {"circuit": "closed", "paused_s": 5.0}, "paused, next try in 5.0 s"),
        ({}, {"circuit": "closed", "probe_in_s": 0.0}, "provider OK"),
        ({}, {"circuit": "half-open"}, "trying again"),
        ({}, {"circuit": "closed", "activity": "loading the model"}, "loading the model"),
        ({"elapsed_s": 185.0}, {}, "3 min 05 s elapsed"),
        ({"elapsed_s": 7_500.0}, {}, "2 h 05 min elapsed"),
        ({"rows_per_s": 0.05}, {}, "3.0 rows/min"),
        (
            {},
            {"requests_limit": 600, "tokens_limit": 90_000},
            "rate limit 600 requests/min · 90 k tokens/min",
        ),
    ],
)
def test_a_running_batch_says_what_it_does_now(changes, now, said):
    view = progress_view(running(**changes), now=now)

    assert said in view.text()
    assert said in view.line


def test_the_rate_of_a_finished_batch_is_that_of_the_whole_run():
    text = progress_view(running(total=181, state="finished", rows_per_s=529.0, elapsed_s=45.0)).text()

    assert "in 45 s · 4.0 rows/s" in text


def test_in_a_file_a_running_batch_has_stopped():
    saved = progress_view(running(), unix=0.0).saved

    assert "stopped at 181 of 300 rows · run the cell again to continue · state at" in saved.text()
    assert "left" not in saved.text()
    assert "in flight" not in saved.text()
    assert progress_view(running(state="finished")).saved is None


def answered(progress, number, fields, item):
    result = RowResult(status="ok", reply=f"reply {number}", fields=fields, cost_nano_usd=0)
    progress.count(number, result, resumed=False, item=item)


@pytest.mark.parametrize(
    ("fields", "item", "heads", "shown"),
    [
        ({"label": "good", "n": 1}, {"review": "a fine day"}, "row input label n", "a fine day good 1"),
        (None, {"a": "x", "b": 2}, "row input reply", "x · 2 reply 203"),
        ({"label": None}, "a text", "row input label", "a text"),
        ({"label": "<b>"}, ("one", "two"), "row input label", "('one', 'two') <b>"),
    ],
)
def test_a_running_batch_shows_its_last_three_answers(fields, item, heads, shown):
    progress = running()
    for number in range(200, 204):
        answered(progress, number, fields, item)

    lines = progress_view(progress).text().split("Last answers\n")[1].split("\n\n")[0].splitlines()

    assert " ".join(lines[0].split()) == heads
    assert [line.split()[0] for line in lines[1:]] == ["201", "202", "203"]
    assert " ".join(lines[-1].split()) == f"203 {shown}".strip()
    progress.state = "finished"
    assert "Last answers" not in progress_view(progress).text()


def test_a_long_or_secret_input_is_cut_and_redacted():
    progress, secret = running(), made_up_secrets.made("sk-proj-", 48)
    answered(progress, 1, None, {"text": "x" * 500})
    answered(progress, 2, None, {"text": f"key {secret} end"})

    text = progress_view(progress).text()

    assert "x" * 89 + "…" in text
    assert secret not in text


def test_while_no_row_ends_the_watcher_is_called_each_second():
    seen = []

    class Watcher(LoopWatcher):  # virtual time does not wait for threads
        def __call__(self, progress):
            seen.append(progress.elapsed_s)

    async def scene():
        clock = FakeClock(loop=asyncio.get_running_loop())
        reporter = ProgressReporter(Progress(total=3, in_flight=3), Watcher(), clock)
        reporter.start()
        await asyncio.sleep(5.5)
        reporter.update(last=True)
        await asyncio.sleep(5)

    run_virtual(scene())

    assert seen == pytest.approx([0, 1, 2, 3, 4, 5, 5.5])


def test_a_rate_is_of_the_last_seconds_or_else_of_all():
    clock = FakeClock()
    progress = Progress(total=100)
    reporter = ProgressReporter(progress, None, clock)
    for done in (0, 10, 20):
        clock.advance(5)
        progress.done = done
        reporter.update()
    assert progress.rows_per_s == pytest.approx(2.0)

    for _ in range(20):
        clock.advance(1)
        reporter.update()

    assert progress.rows_per_s == pytest.approx(20 / 35)
    assert progress.average_rows_per_s == pytest.approx(20 / 35)


def test_rows_of_unknown_cost_are_named():
    text = progress_view(running(unpriced=3)).text()

    assert "cost of 3 rows unknown" in text
    assert "total" not in text


def test_a_source_of_unknown_length_is_counted_all_the_same():
    view = progress_view(running(total=None))

    assert "181 rows" in view.text()
    assert "<progress" in view.inner()
    assert "max=" not in view.inner()


def test_failures_that_are_not_all_shown_belong_to_the_run():
    progress = running()
    for number in range(200, 210):
        progress.count(
            number,
            RowResult(status="error", error_type="ValueError", error_message=f"bad {number}"),
            resumed=False,
        )

    view = progress_view(progress)

    assert "bad 209" in view.text()
    assert "bad 209" not in view.text(deterministic=True)


def test_screen_readers_hear_of_quarters():
    heard = {progress_view(running(done=done)).status for done in range(0, 300, 5)}

    assert heard == {
        f"ainb batch of 300 rows: {part}"
        for part in ("started", "a quarter done", "half done", "three quarters done")
    }


def test_the_panel_watches_a_batch_to_its_end(capsys):
    clock = FakeClock()
    asked = []

    def state():
        asked.append(clock.monotonic())
        return [{"part": "model", "name": "openai:gpt-5-mini", "circuit": "open", "probe_in_s": 9.0}]

    panel = BatchPanel.open(title="labels", display="text", state=state, clock=clock)
    assert newest_batch_panel() is panel
    assert panel.running
    assert "has not begun" in panel.view().text()
    panel(running())
    panel(running(total=181, state="finished"))

    assert not panel.running
    assert capsys.readouterr().err.startswith(
        "ainb: 181 of 181 rows · done · in 44 s · 4.1 rows/s · 180 answered"
    )
    panel.close()
    assert capsys.readouterr().err == ""


def test_the_state_is_asked_once_a_second():
    clock = FakeClock()
    asked = []

    class Live(Slot):
        is_live = True

    panel = BatchPanel(
        Live("off", clock=clock), state=lambda: asked.append(clock.monotonic()) or [], clock=clock
    )
    for _ in range(25):
        panel(running())
        clock.advance(0.1)

    assert len(asked) == 3


def test_a_batch_that_never_began_shows_nothing(capsys):
    BatchPanel.open(display="text").close()

    assert capsys.readouterr().err == ""


def test_only_a_background_batch_has_a_button_and_it_cancels_the_job():
    cancelled = []

    class Opened(Slot):
        is_live = True

        def open(self, make, *, controls=(), cancel=None):
            self.cancel = cancel

    for cancel in (None, lambda: cancelled.append(True)):
        panel = BatchPanel(slot := Opened("off"), cancel=cancel)
        panel(running())
        assert (slot.cancel is not None) == (cancel is not None)
    slot.cancel()
    assert cancelled == [True]


@pytest.mark.parametrize(("elapsed", "shown"), [((0.0, 0.4), 0), ((0.0, 0.6, 1.0, 1.2), 2), ((2.0, 2.2), 2)])
@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
@pytest.mark.parametrize("failed", [0, 2])
def test_a_short_batch_is_shown_only_if_rows_failed(elapsed, shown, state, failed):
    called = []

    class Counted(Slot):
        is_live = True

        def open(self, make, *, controls=(), cancel=None):
            called.append(make())

        def update(self, make):
            called.append(make())

        close = update

    panel = BatchPanel(Counted("off"), after_seconds=1.0)
    for seconds in elapsed:
        panel(running(elapsed_s=seconds, failed=failed))
        assert panel.running
    panel(running(elapsed_s=elapsed[-1], state=state, failed=failed))

    assert not panel.running
    assert len(called) == (shown + 1 if shown or failed else 0)
    assert "rows" in panel.view().text()
