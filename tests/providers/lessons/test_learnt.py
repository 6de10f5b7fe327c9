"""Tests of learnt refusals: stored for 30 days in the process and the home, and validated when read."""

from __future__ import annotations

import json
import stat

import pytest

from ainb.providers.lessons.learnt import FILE_NAME, KEEP_SECONDS, Memory, memory_of
from ainb.providers.lessons.lesson import Lesson

PLACE = ("https://api.example/v1", "m")
NOW = 1_800_000_000.0
TEMPERATURE = Lesson(field="temperature")


def test_a_lesson_is_kept_for_its_endpoint_and_model_alone(tmp_path):
    memory = Memory(tmp_path / FILE_NAME)
    memory.learn(*PLACE, TEMPERATURE, NOW)

    assert memory.lessons(*PLACE, NOW) == [TEMPERATURE]
    assert memory.lessons("https://other.example/v1", "m", NOW) == []
    assert memory.lessons(PLACE[0], "n", NOW) == []


def test_a_lesson_is_shared_by_processes_of_the_home_for_thirty_days(tmp_path):
    Memory(tmp_path / "home" / FILE_NAME).learn(*PLACE, TEMPERATURE, NOW)
    path = tmp_path / "home" / FILE_NAME

    assert Memory(path).lessons(*PLACE, NOW + KEEP_SECONDS - 1) == [TEMPERATURE]
    assert Memory(path).lessons(*PLACE, NOW + KEEP_SECONDS) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_processes_do_not_undo_each_others_lessons(tmp_path):
    path = tmp_path / FILE_NAME
    one, two = Memory(path), Memory(path)
    one.lessons(*PLACE, NOW)
    two.learn(*PLACE, Lesson(field="seed"), NOW)
    one.learn(*PLACE, TEMPERATURE, NOW)

    assert {lesson.field for lesson in Memory(path).lessons(*PLACE, NOW)} == {"seed", "temperature"}


def test_a_newer_lesson_replaces_the_older_and_the_opposite_one():
    memory = Memory()
    memory.learn(*PLACE, Lesson(field="max_tokens", instead="max_completion_tokens"), NOW)
    memory.learn(*PLACE, Lesson(field="max_completion_tokens", instead="max_tokens"), NOW)

    assert [lesson.field for lesson in memory.lessons(*PLACE, NOW)] == ["max_completion_tokens"]

    memory.learn(*PLACE, Lesson(field="reasoning_effort", refused=("max",)), NOW)
    memory.learn(*PLACE, Lesson(field="reasoning_effort", refused=("xhigh",)), NOW)
    assert memory.lessons(*PLACE, NOW)[-1].refused == ("max", "xhigh")


def test_a_lesson_that_no_longer_holds_is_forgotten_in_the_file_too(tmp_path):
    memory = Memory(tmp_path / FILE_NAME)
    memory.learn(*PLACE, Lesson(field="max_tokens", instead="max_completion_tokens"), NOW)
    memory.forget(*PLACE, "max_completion_tokens", NOW)

    assert Memory(tmp_path / FILE_NAME).lessons(*PLACE, NOW) == []


GOOD = {
    "endpoint": PLACE[0], "model": "m", "at": NOW, "field": "seed",
    "instead": None, "value": None, "allowed": [], "refused": [], "when": None,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"field": "messages"},
        {"field": "model"},
        {"field": 3},
        {"field": "a b"},
        {"instead": "model"},
        {"instead": "messages"},
        {"instead": {"x": 1}},
        {"allowed": "low"},
        {"allowed": [1]},
        {"refused": None},
        {"value": 5},
        {"when": ["tools"]},
        {"at": "yesterday"},
        {"at": None},
        {"at": True},
        {"at": NOW + 10 * KEEP_SECONDS},
        {"endpoint": None},
        {"model": 7},
    ],
)
def test_a_record_that_ainb_did_not_write_is_left_aside(tmp_path, change):
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps({"version": 1, "records": [GOOD | change, "odd", GOOD | {"field": "top_k"}]}))

    assert Memory(path).lessons(*PLACE, NOW) == [Lesson(field="top_k")]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"version": 2, "records": []}', '{"version": 1, "records": {}}', "null"]
)
def test_a_damaged_file_is_an_empty_one_and_is_written_anew(tmp_path, text):
    path = tmp_path / FILE_NAME
    path.write_text(text)
    memory = Memory(path)

    assert memory.lessons(*PLACE, NOW) == []
    memory.learn(*PLACE, TEMPERATURE, NOW)
    assert Memory(path).lessons(*PLACE, NOW) == [TEMPERATURE]


def test_a_home_that_cannot_be_written_keeps_lessons_in_the_process(tmp_path):
    (tmp_path / "home").write_text("a file")
    memory = Memory(tmp_path / "home" / FILE_NAME)
    memory.learn(*PLACE, TEMPERATURE, NOW)

    assert memory.lessons(*PLACE, NOW) == [TEMPERATURE]


def test_sessions_of_one_home_share_a_memory_and_replay_has_its_own(tmp_path):
    assert memory_of(tmp_path) is memory_of(tmp_path)
    assert memory_of(None) is not memory_of(None)
