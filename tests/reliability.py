"""Print the table of promises under faults: ``python -m tests.reliability [--slow] [WORD...]``.

Each row has a promise, its required figure, and the tests that try to break it, which this command runs. Only
rows that contain one of the words are run. `--slow` adds the long variants: ten thousand schedules, a hundred
or two hundred kills. A test reports a measured figure with ``record_property("figure", ...)``.

The exit code is 1 if a promise does not hold.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIMITER = "tests/pipeline/rate_limit/test_rate_limit"
CIRCUIT = "tests/pipeline/circuit/test_circuit_breaker_schedules.py"
RETRY = "tests/pipeline/retry/test_retry_schedules.py"
BUDGET = "tests/pipeline/budget"
FAULTS = "tests/stores/test_faults_at_any_moment.py"
REDIS = "tests/stores/redis"


@dataclass(frozen=True)
class Promise:
    """A row of the table.

    Attributes:
        what: The quantity that is counted.
        goal: The required figure.
        tests: Test files or functions (``FILE::NAME``) that try to break the promise.
    """

    what: str
    goal: str
    tests: tuple[str, ...]


PROMISES = (
    Promise(
        "grants in any window above bucket + rate x window, or above the cap",
        "0",
        (f"{LIMITER}_schedules.py", f"{LIMITER}_servers.py"),
    ),
    Promise(
        "FIFO inversions; wait of a big request against ideal",
        "0; <= 1.05",
        (
            f"{LIMITER}_schedules.py",
            f"{LIMITER}.py::test_a_large_request_at_the_head_waits_no_longer_than_it_must",
        ),
    ),
    Promise(
        "stuck waiters, leaked permits after cancellation at any await",
        "0",
        (
            f"{LIMITER}.py::test_cancelled_at_any_step_a_call_leaves_nothing_behind",
            f"{BUDGET}/test_budget.py::test_no_money_is_lost_when_a_call_is_cancelled_at_any_await",
            "tests/pipeline/cache/test_single_flight.py::test_promises_hold_in_500_random_schedules",
            "tests/pipeline/cache/test_single_flight.py::test_promises_hold_in_10_000_random_schedules",
        ),
    ),
    Promise(
        "outage: requests a call with retry budget; calls that reach a dead place",
        "<= 1.11; <= 16",
        (
            RETRY,
            "tests/test_end_to_end.py::test_a_dead_server_is_left_alone_after_few_hits_and_reported_in_one_line",
        ),
    ),
    Promise(
        "half-open: callers that reach the provider at once",
        "2",
        (
            f"{CIRCUIT}::test_scenario",
            f"{REDIS}/test_redis.py::test_of_all_callers_of_all_processes_two_probe_and_their_success_closes_the_circuit",
        ),
    ),
    Promise(
        "breaker after client errors, 429s, cancellations",
        "closed",
        (CIRCUIT, "tests/test_end_to_end.py::test_a_rejection_never_reaches_the_breaker"),
    ),
    Promise(
        "100 identical calls at once; one cancelled, refused or out of money",
        "1 paid; 0 innocent failures",
        (
            "tests/pipeline/cache/test_parties.py",
            "tests/test_end_to_end.py::test_100_identical_calls_at_once_make_one_request",
            f"{REDIS}/test_redis_processes.py::test_a_hundred_identical_calls_in_each_of_four_processes_are_paid_once",
            f"{REDIS}/test_redis_leases.py",
        ),
    ),
    Promise(
        "budget overshoot, 4 processes, kills; money used when it runs out",
        "$0.00; >= 97 %",
        (
            "tests/stores/test_day_book.py::test_four_processes_share_a_day_without_overshoot",
            "tests/stores/test_day_book.py::test_a_killed_process_returns_what_it_had_not_sent",
            "tests/stores/test_day_book_draws.py",
            "tests/batch/test_budget_after_a_kill.py",
            f"{BUDGET}/test_budget.py::test_32_workers_never_overshoot_and_use_nearly_all_of_it",
            f"{BUDGET}/test_absurd_usage.py",
            f"{REDIS}/test_redis_processes.py::test_four_processes_share_a_day_budget_and_never_pass_it",
            f"{REDIS}/test_redis_kills.py",
            f"{REDIS}/test_redis_loss.py",
            f"{REDIS}/test_redis_cut_off.py",
            f"{REDIS}/test_redis_held_up.py",
        ),
    ),
    Promise(
        "SIGKILL in a batch: acknowledged rows lost; paid twice beyond those in flight",
        "0; 0 in 200 kills",
        (
            "tests/batch/test_resume.py::test_a_killed_batch_goes_on_and_pays_only_for_what_was_in_flight",
            "tests/batch/test_resume.py::test_200_kills_lose_nothing",
            "tests/batch/test_log_after_a_kill.py",
        ),
    ),
    Promise(
        "SIGKILL in a provider batch job: rows submitted twice, rows lost",
        "0; 0 in 100 kills",
        ("tests/jobs/test_kills.py",),
    ),
    Promise(
        "each SQL statement and file operation failing once at any moment: calls lost",
        "0",
        (FAULTS, "tests/batch/test_storage_faults.py"),
    ),
    Promise(
        "tampered or foreign stored rows that run code, stop a call or spin",
        "0; 0; 0",
        (
            "tests/batch/test_tampered_journal.py",
            "tests/usage/log/test_tampered_log.py",
            f"{BUDGET}/test_absurd_usage.py::test_any_value_in_any_column_of_the_day_book",
            f"{FAULTS}::test_a_file_may_be_harmed_while_it_is_used_and_before",
            "tests/stores/disk/test_disk_store.py",
            "tests/pipeline/replay/test_hostile_cassettes.py",
            f"{REDIS}/test_redis.py::test_an_entry_that_cannot_be_read_is_a_miss_and_is_replaced",
        ),
    ),
    Promise(
        "4 processes on one store: lock errors",
        "0",
        (
            "tests/stores/disk/test_disk_store.py::test_four_kernels_on_one_store_have_no_lock_errors",
            "tests/usage/log/test_log.py::test_four_processes_that_write_at_once_lose_nothing",
        ),
    ),
    Promise(
        "Redis down, hanging or full: calls lost",
        "0",
        (f"{REDIS}/test_redis_outage.py", f"{REDIS}/test_redis_surroundings.py"),
    ),
    Promise(
        "wall clock steps of an hour, a day, DST: extra wait",
        "none",
        (
            f"{LIMITER}.py::test_steps_of_the_wall_clock_make_no_wait_and_no_burst",
            f"{CIRCUIT}::test_scenario",
            f"{BUDGET}/test_budget.py::test_a_day_of_a_clock_change_is_as_long_as_it_is",
            f"{BUDGET}/test_budget.py::test_a_wall_clock_that_steps_back_gives_no_second_budget",
        ),
    ),
    Promise(
        "seeded mutants of the cores killed",
        ">= 95 %",
        (
            f"{LIMITER}_mutants.py",
            f"{CIRCUIT}::test_a_mutant_is_killed",
            f"{RETRY}::test_a_mutant_is_killed",
            f"{BUDGET}/test_money_mutants.py",
            "tests/pipeline/cache/test_single_flight.py::test_random_schedules_detect_the_mutant",
            f"{REDIS}/test_redis_scripts.py::test_the_schedules_kill_the_mutant",
        ),
    ),
    Promise(
        "hostile strings that run in the browser",
        "0",
        ("tests/panels/test_hostile_browser.py",),
    ),
    Promise(
        "secrets of 60 kinds that leave; lines of ordinary text touched",
        "0; <= 1 in 1,000",
        ("tests/redaction", "tests/test_nothing_leaks.py"),
    ),
    Promise(
        "any JSON or text of a model that stops a batch or is stored unfinished",
        "0 in 10,000 examples",
        ("tests/batch/test_any_value.py", "tests/providers/test_whole_answers.py"),
    ),
    Promise(
        "threads and files of sessions that nobody closed, after 500",
        "flat",
        ("tests/test_dropped_sessions.py",),
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Run the tests of the chosen rows and print a line per row; returns 1 if a promise does not hold."""
    words = [word for word in arguments if word != "--slow"]
    chosen = [row for row in PROMISES if not words or any(word in row.what for word in words)]
    failed = False
    print(f"{'what':80s}  {'goal':28s}  measured", flush=True)
    for promise in chosen:
        measured, holds = measure(promise, slow="--slow" in arguments)
        failed = failed or not holds
        print(f"{promise.what:80s}  {promise.goal:28s}  {measured}", flush=True)
    return int(failed)


def measure(promise: Promise, *, slow: bool) -> tuple[str, bool]:
    """Run the tests of a promise; returns their figures as one line, and whether the promise holds."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
        chosen = [] if slow else ["-m", "not slow"]
        ended = subprocess.run(
            [*command, *chosen, *promise.tests], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if not report.exists():
            return f"NOT RUN: {ended.stdout.strip().splitlines()[-1:] or ended.returncode}", False
        return read_report(report)


def read_report(report: Path) -> tuple[str, bool]:
    """Counts and figures of a run as one line, and whether at least one test ran and none failed."""
    cases = list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314 - pytest wrote the file
    skipped = [case for case in cases if case.find("skipped") is not None]
    broken = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    ran = len(cases) - len(skipped)
    figures = [
        item.get("value", "")
        for case in cases
        for item in case.iter("property")
        if item.get("name") == "figure"
    ]
    parts = [f"holds in {ran:,} tests" if not broken else f"BROKEN in {len(broken):,} of {ran:,} tests"]
    parts += [f"{len(skipped):,} skipped"] if skipped else []
    parts += sorted(set(figures))
    parts += [f"first: {broken[0].get('classname')}::{broken[0].get('name')}"] if broken else []
    if not ran:
        return "NOT RUN: " + "; ".join(parts[1:] or ["all its tests are slow; add --slow"]), False
    return "; ".join(parts), not broken


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
