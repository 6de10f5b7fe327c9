"""Tests of recorded batch jobs: their rows are normal records, and replay needs neither provider nor key."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import ainb
from ainb.config import load_config
from ainb.runtime import Runtime
from ainb.stores.cassette.file import _shared
from tests.jobs.batch_server import BatchServer, Behaviour
from tests.jobs.conftest import POLL_SECONDS, PRICES
from tests.jobs.test_batch_api import LABEL, PROMPT


@pytest.fixture(autouse=True)
def a_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nb.ipynb").write_text("{}")
    monkeypatch.setenv("AINB_NOTEBOOK", str(tmp_path / "nb.ipynb"))
    _shared.clear()
    yield
    _shared.clear()


def run(mode, url, texts, *, anthropic, home, **options):
    _shared.clear()
    config = load_config(
        {"prices": PRICES, "batch_poll_seconds": POLL_SECONDS, "home": Path(home), "replay": mode}
    )
    model = "anthropic:test-model" if anthropic else "openai:test-model"
    with ainb.Session(model, api_base=url, config=config, runtime=Runtime()) as session:
        frame = session.map(texts, PROMPT, **{"batch_api": True, **options})
        return frame, session.usage(), session.batch_jobs()


@pytest.mark.parametrize("anthropic", [False, True], ids=["openai", "anthropic"])
@pytest.mark.parametrize("replayed_live", [False, True], ids=["as jobs", "as live calls"])
def test_a_recorded_run_is_replayed_with_no_provider(tmp_path, texts, monkeypatch, anthropic, replayed_live):
    monkeypatch.setenv("OPENAI_API_KEY", "nobody")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "nobody")
    behaviour = Behaviour(rows={4: 400}, order="shuffled")
    with BatchServer([behaviour], answer=lambda _body: '{"label": "positive"}') as server:
        url = server.anthropic_url if anthropic else server.base_url
        recorded, log, jobs = run(
            "record", url, texts, anthropic=anthropic, home=tmp_path / "a", schema=LABEL
        )
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    options = {"batch_api": False} if replayed_live else {}
    frame, replayed, none = run(
        "replay", url, texts, anthropic=anthropic, home=tmp_path / "b", schema=LABEL, **options
    )

    assert len(jobs) == 1
    assert len(none) == 0
    assert list(recorded["status"]) == ["ok"] * 4 + ["error"] + ["ok"] * 15
    pd.testing.assert_frame_equal(frame.drop(columns="duration_s"), recorded.drop(columns="duration_s"))
    assert replayed["replayed"].all()
    assert set(replayed["delivery"]) == ({"live"} if replayed_live else {"batch"})
    assert replayed["cost_usd"].sum() == pytest.approx(log["cost_usd"].sum())


@pytest.mark.parametrize("anthropic", [False, True], ids=["openai", "anthropic"])
def test_auto_submits_only_what_the_cassette_lacks(tmp_path, texts, monkeypatch, anthropic):
    monkeypatch.setenv("OPENAI_API_KEY", "nobody")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "nobody")
    with BatchServer() as server:
        url = server.anthropic_url if anthropic else server.base_url
        run("record", url, texts.head(8), anthropic=anthropic, home=tmp_path / "a")
        frame, _, _ = run("auto", url, texts, anthropic=anthropic, home=tmp_path / "b")

        assert (frame["status"] == "ok").all()
        assert [len(job.lines) for job in server.jobs] == [8, 12]
