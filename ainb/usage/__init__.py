"""Usage log: one row per call, frames computed from the rows, and telemetry.

`columns` and `rows` define a row; `filters`, `windows` and `outputs` select rows; `log` stores rows in
SQLite, and `frames` reads them as DataFrames. `telemetry` exports the same rows to
OpenTelemetry. Nothing heavy is imported here.
"""

from __future__ import annotations

import logging

# Silent unless configured; an application that wants the lines adds its own handler.
logging.getLogger("ainb").addHandler(logging.NullHandler())
