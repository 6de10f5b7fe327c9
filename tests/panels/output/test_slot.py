"""Tests of the output slot: displays, updates, static copies, errors, threads."""

from __future__ import annotations

import asyncio
import io
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ainb.panels.markup import Table
from ainb.panels.output import slot as slots
from ainb.panels.output import widgets
from ainb.panels.output.slot import Slot, resolve
from ainb.panels.output.widgets import KEPT_WIDGETS, WIDGET_VIEW, Control
from ainb.panels.view import Chart, Line, SideBySide, View
from ainb.testing import FakeClock, run_virtual


class Publisher:
    """Records the published output."""

    def __init__(self) -> None:
        self.published = []
        self.looks = []
        self.fault = None

    def publish(self, data, metadata=None, *, transient=None, update=False):
        if self.fault is not None:
            raise self.fault
        self.looks.append(metadata)
        self.published.append((data, update, (transient or {}).get("display_id")))


@pytest.fixture
def shell(monkeypatch):
    """A kernel with a front end."""
    found = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=True), display_pub=Publisher(), user_ns={})
    monkeypatch.setattr(slots, "find_shell", lambda: found)
    return found


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def view(text="hello", *, status="", pictures=()):
    charts = [Chart(png=png, description="a chart", width=100) for png in pictures]
    return View("ainb test", [Line([text]), *charts], line=f"ainb: {text}", status=status)


def maker(*texts):
    """A function that returns the next view at each call."""
    left = list(texts)
    return lambda: view(left.pop(0))


@pytest.mark.parametrize(
    ("display", "mode"),
    [
        ("auto", "widgets"),
        ("widgets", "widgets"),
        ("html", "html"),
        ("text", "text"),
        ("static", "static"),
        ("off", "off"),
    ],
)
def test_a_watched_kernel_shows_what_was_asked_for(shell, display, mode):
    assert resolve(display) == mode


@pytest.mark.parametrize(
    ("display", "mode"),
    [("auto", "static"), ("widgets", "widgets"), ("html", "html"), ("text", "text"), ("off", "off")],
)
def test_without_a_front_end_auto_is_static(shell, display, mode):
    shell.kernel._allow_stdin = False

    assert resolve(display) == mode


@pytest.mark.parametrize(
    ("display", "mode"),
    [("auto", "text"), ("widgets", "text"), ("html", "text"), ("static", "text"), ("off", "off")],
)
def test_outside_a_notebook_everything_is_text(monkeypatch, display, mode):
    monkeypatch.setattr(slots, "find_shell", lambda: None)

    assert resolve(display) == mode


def test_front_ends_that_may_have_no_widgets_get_html(shell, monkeypatch):
    shell.user_ns["__vsc_ipynb_file__"] = "/x/a.ipynb"
    assert resolve("auto") == "html"
    assert resolve("widgets") == "widgets"

    shell.user_ns.clear()
    monkeypatch.setitem(__import__("sys").modules, "google.colab", SimpleNamespace())
    assert resolve("auto") == "html"


def test_without_ipywidgets_a_kernel_gets_html(shell, monkeypatch):
    monkeypatch.setattr(slots, "find_spec", lambda _name: None)

    assert resolve("auto") == resolve("widgets") == "html"


def test_the_live_widget_is_replaced_by_a_static_bundle(shell):
    slot = Slot("auto", clock=FakeClock())

    slot.open(lambda: view("first"))
    slot.close(lambda: view("last"))

    (copy, _, display_id), (live, _, live_id), (last, update, same_id), (emptied, too, gone_id) = (
        shell.display_pub.published
    )
    assert set(live) == {"text/plain", WIDGET_VIEW}
    assert live["text/plain"] == ""
    assert set(copy) == set(last) == {"text/plain", "text/html"}
    assert "first" in copy["text/html"]
    assert "last" in last["text/html"]
    assert emptied == {}
    assert update
    assert too
    assert display_id == same_id is not None
    assert live_id == gone_id not in {display_id, None}


def texts_of(live):
    return [text for part in live._body._parts for text in part.texts]


def copies(shell):
    return [
        data["text/plain"] for data, _, _ in shell.display_pub.published if data and WIDGET_VIEW not in data
    ]


def test_a_static_copy_is_renewed_now_and_then_and_at_the_end(shell):
    clock = FakeClock()
    slot = Slot("auto", clock=clock)
    slot.open(lambda: view("0"))

    for text in "123":
        clock.advance(0.5)
        slot.update(lambda text=text: view(text))
    assert copies(shell) == ["0"]
    clock.advance(1)
    slot.renew_copy()
    slot.renew_copy()
    assert copies(shell) == ["0", "3"]
    slot.close(lambda: view("end"))
    slot.renew_copy()

    assert copies(shell) == ["0", "3", "end"]


def test_a_static_copy_shows_the_saved_view(shell):
    slot = Slot("auto", clock=FakeClock())

    slot.open(lambda: replace(view("goes on"), saved=view("stopped at 1")))

    assert copies(shell) == ["stopped at 1"]


def test_content_that_stays_is_not_sent_again(shell):
    clock = FakeClock()
    slot = Slot("auto", clock=clock)
    table = Table(caption="c", columns=("a",), rows=[("1",)])
    slot.open(lambda: View("x", [Line(["0"]), table]))
    line, cells = texts_of(slot._live)
    sent = []
    for widget in (line, cells):
        widget.observe(lambda change: sent.append(change["owner"]), names="value")

    clock.advance(1)
    slot.update(lambda: View("x", [Line(["1"]), table]))

    assert sent == [line]


def test_a_new_block_leaves_those_before_it_in_place(shell):
    clock = FakeClock()
    slot = Slot("auto", clock=clock)
    table = Table(caption="c", columns=("a",), rows=[("1",)])
    slot.open(lambda: View("x", [Line(["0"]), table]))
    before = slot._live._body.box.children

    clock.advance(1)
    slot.update(lambda: View("x", [Line(["1"]), table, Line(["2"])]))

    assert slot._live._body.box.children[:2] == before


def test_blocks_may_come_and_go(shell):
    clock = FakeClock()
    slot = Slot("auto", clock=clock)
    table = Table(caption="c", columns=("a",), rows=[("1",)])
    slot.open(lambda: View("x", [Line(["0"])]))

    for blocks in ([Line(["1"]), table], [SideBySide([table, Line(["2"])]), Line(["3"])], [table]):
        clock.advance(1)
        slot.update(lambda blocks=blocks: View("x", blocks))
        shown = [widget.value for widget in texts_of(slot._live)]
        assert len(slot._live._body.box.children) == len(blocks)
        assert "".join(shown).count("<table") == sum(block.html().count("<table") for block in blocks)


def test_updates_come_five_times_a_second_and_the_last_one_always(shell):
    clock = FakeClock()
    slot = Slot("auto", clock=clock)
    slot.open(lambda: view("0"))
    (body,) = texts_of(slot._live)

    slot.update(lambda: view("too early"))
    assert "0" in body.value
    clock.advance(0.2)
    slot.update(lambda: view("in time"))
    assert "in time" in body.value
    slot.update(lambda: view("too early again"))
    slot.close(lambda: view("the end"))

    assert "the end" in body.value
    assert "the end" in shell.display_pub.published[-2][0]["text/html"]


def test_a_state_that_came_too_early_is_shown_when_its_turn_is(shell):
    async def scenario():
        loop = asyncio.get_running_loop()
        slot = Slot("html", clock=FakeClock(loop=loop))
        slot.open(lambda: view("0"))
        slot.update(lambda: view("1"))
        slot.update(lambda: view("2"))
        await asyncio.sleep(0.3)
        return slot

    slot = run_virtual(scenario())

    shown = [data["text/plain"] for data, _, _ in shell.display_pub.published]
    assert shown == ["0", "2"]
    assert slot._timer is None


def test_nothing_is_left_running_after_the_end(shell):
    async def scenario():
        loop = asyncio.get_running_loop()
        slot = Slot("html", clock=FakeClock(loop=loop))
        slot.open(lambda: view("0"))
        slot.update(lambda: view("1"))
        timer = slot._timer
        slot.close(lambda: view("2"))
        slot.update(lambda: view("3"))
        slot.close(lambda: view("4"))
        await asyncio.sleep(1)
        return timer

    timer = run_virtual(scenario())

    assert timer.cancelled()
    assert [data["text/plain"] for data, _, _ in shell.display_pub.published] == ["0", "2"]


def test_static_shows_the_end_once_and_each_picture_alone(shell):
    slot = Slot("static", clock=FakeClock())

    slot.open(lambda: pytest.fail("nothing is shown before the end"))
    slot.update(lambda: pytest.fail("nothing is shown before the end"))
    slot.close(lambda: view("end", pictures=[b"png"]))

    (bundle, update, _), (picture, picture_update, _) = shell.display_pub.published
    assert not update
    assert not picture_update
    assert "<img" not in bundle["text/html"]
    assert "a chart" in bundle["text/html"]
    assert picture == {"image/png": b"png"}
    assert shell.display_pub.looks[-1] == {"image/png": {"width": 100, "alt": "a chart"}}


def test_off_shows_nothing(shell, capsys):
    slot = Slot("off", clock=FakeClock())

    slot.open(view)
    slot.update(view)
    slot.close(view)

    assert shell.display_pub.published == []
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_one_line_that_is_written_over(monkeypatch):
    terminal = Screen()
    monkeypatch.setattr(slots, "find_shell", lambda: None)
    monkeypatch.setattr("sys.stderr", terminal)
    clock = FakeClock()
    slot = Slot("auto", clock=clock)

    slot.open(lambda: view("one"))
    clock.advance(1)
    slot.update(lambda: view("two " + "x" * 500))
    slot.close(lambda: view("three"))

    lines = terminal.getvalue().split("\r\x1b[2K")
    assert lines[1] == "ainb: one"
    assert lines[2].startswith("ainb: two x")
    assert lines[2].endswith("…")
    assert len(lines[2]) < 200
    assert lines[3] == "ainb: three\n"


def test_a_log_file_gets_the_last_line_alone(monkeypatch, capsys):
    monkeypatch.setattr(slots, "find_shell", lambda: None)
    slot = Slot("auto", clock=FakeClock())

    slot.open(lambda: view("one"))
    slot.update(lambda: view("two"))
    slot.close(lambda: view("three"))

    assert capsys.readouterr().err == "ainb: three\n"


def test_a_display_error_is_said_once_and_turns_the_panel_off(shell):
    said = []
    clock = FakeClock()
    slot = Slot("html", clock=clock, on_error=said.append)
    slot.open(lambda: view("0"))
    shell.display_pub.fault = RuntimeError("no front end")

    for _ in range(3):
        clock.advance(1)
        slot.update(lambda: view("1"))
    slot.close(lambda: view("2"))

    assert said == [
        (
            "the panel is off after a display error (RuntimeError: no front end); "
            "what it was to show is not affected"
        )
    ]
    assert slot.mode == "off"


def test_a_view_that_cannot_be_made_is_a_display_error_too(shell):
    said = []
    slot = Slot("html", clock=FakeClock(), on_error=said.append)

    slot.open(lambda: 1 / 0)

    assert len(said) == 1


def test_screen_readers_hear_only_what_changed(shell):
    clock = FakeClock()
    slot = Slot("widgets", clock=clock)
    slot.open(lambda: view("0", status="a quarter"))
    status = slot._live._status
    heard = []
    status.observe(lambda change: heard.append(change["new"]), names="value")

    for text in ("1", "2"):
        clock.advance(1)
        slot.update(lambda text=text: view(text, status="a quarter"))
    clock.advance(1)
    slot.update(lambda: view("3", status="half"))

    assert len(heard) == 1
    assert '<p class="sr" role="status">half</p>' in heard[0]


def test_choices_and_the_button_call_back_and_go_at_the_end(shell):
    chosen, cancelled = [], []
    slot = Slot("widgets", clock=FakeClock())
    control = Control(label="by", options=("a", "b"), value="a", changed=chosen.append)

    slot.open(view, controls=[control], cancel=lambda: cancelled.append(True))
    dropdown, _row, button = slot._live._extra
    dropdown.value = "b"
    button.click()
    slot.close(view)

    assert chosen == ["b"]
    assert cancelled == [True]
    assert len(slot._live._box.children) == 2


def test_without_something_to_cancel_there_is_no_button(shell):
    slot = Slot("widgets", clock=FakeClock())

    slot.open(view)

    assert slot._live._extra == []


def test_only_the_last_widgets_are_kept_for_pages_that_were_reloaded(shell, monkeypatch):
    monkeypatch.setattr(widgets, "_kept", type(widgets._kept)())
    live = []
    for _ in range(KEPT_WIDGETS + 3):
        slot = Slot("widgets", clock=FakeClock())
        slot.open(view)
        live.append(slot._live)
        slot.close(view)

    assert len(widgets._kept) == KEPT_WIDGETS
    assert live[0]._body.box.comm is None
    assert texts_of(live[0])[0].style.comm is None
    assert live[-1]._body.box.comm is not None


def test_nothing_of_a_panel_that_is_no_longer_kept_stays_in_the_kernel(shell, monkeypatch):
    from ipywidgets.widgets.widget import _instances

    monkeypatch.setattr(widgets, "_kept", type(widgets._kept)())
    before = set(_instances)
    slot = Slot("widgets", clock=FakeClock())

    slot.open(
        view, controls=[Control(label="by", options=("a", "b"), value="a", changed=print)], cancel=print
    )
    slot.close(view)
    slot._live.drop()

    assert set(_instances) <= before


def test_threads_may_update_and_close_at_once(shell):
    slot = Slot("html", clock=FakeClock())
    slot.open(lambda: view("0"))
    threads = [threading.Thread(target=slot.update, args=(lambda: view("x"),)) for _ in range(8)]

    for thread in threads:
        thread.start()
    slot.close(lambda: view("end"))
    for thread in threads:
        thread.join(5)

    assert shell.display_pub.published[-1][0]["text/plain"] == "end"
