"""State of a session's models, cache, budgets and shared state, as plain rows."""

from __future__ import annotations

import dataclasses
from typing import Any

from ainb.core import Core


def status_rows(core: Core) -> list[dict[str, Any]]:
    """Current state of a session; cheap to make.

    Returns:
        One row per model that was called, with `name` (``provider:model``), `endpoint`, the state of its
        circuit, queue and buckets, the `retries_left` of its endpoint, and its `activity` if its calls wait
        for this machine, such as "loading the model"; then a row named "cache", one row per budget, and a row
        named "state" if state is shared. Keys of a stage that is off are missing.
    """
    stages = core.stages
    rows = _models(core)
    if stages.cache is not None:
        rows.append({"part": "cache", "name": "cache", **stages.cache.lookup.status()})
    for budget in stages.budget.limits.status():
        money = {key: value for key, value in dataclasses.asdict(budget).items() if key.endswith("_usd")}
        rows.append({"part": "budget", "name": f"budget {budget.scope} {budget.name}".strip(), **money})
    if stages.shared is not None:
        rows.append({"part": "state", "name": "state", **stages.shared.status()})
    return rows


def _models(core: Core) -> list[dict[str, Any]]:
    """One row per model and endpoint, in order of first use."""
    stages, activities = core.stages, core.activities()
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for circuit in stages.breakers.status() if stages.breakers else []:
        row = rows.setdefault((circuit.name, circuit.endpoint or ""), {})
        row |= {"circuit": circuit.state, "probe_in_s": circuit.probe_in_s}
        row |= {"failure_rate": circuit.failure_rate, "calls_in_window": circuit.calls}
    for limits in stages.rate_limit.status() if stages.rate_limit else []:
        name = f"{limits.pop('provider')}:{limits.pop('model')}"
        rows.setdefault((name, limits.pop("endpoint")), {}).update(limits)
    for (name, endpoint), row in rows.items():
        if stages.retry is not None:
            row["retries_left"] = stages.retry.budget(endpoint).retries
        if name in activities:
            row["activity"] = activities[name]
    return [{"part": "model", "name": name, "endpoint": place, **row} for (name, place), row in rows.items()]
