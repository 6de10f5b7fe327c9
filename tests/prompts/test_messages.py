"""Tests of the core types of the pipeline."""

from __future__ import annotations

import dataclasses

from ainb.messages import Call, Message, Request


def test_a_forked_call_carries_everything_and_gathers_errors_and_notes_of_its_own():
    call = Call(
        request=Request(provider="scripted", model="echo", messages=(Message("user", "x"),)),
        provider=object(),
    )
    for field in dataclasses.fields(Call):
        if field.name not in {"errors", "notes"}:
            setattr(call, field.name, object())
    call.errors.append(ValueError("first"))
    call.notes.append("said already")

    fork = call.fork()

    for field in dataclasses.fields(Call):
        if field.name not in {"errors", "notes"}:
            assert getattr(fork, field.name) is getattr(call, field.name), field.name
    assert fork.errors == call.errors
    assert fork.errors is not call.errors
    assert fork.notes == []
