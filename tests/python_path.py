"""Module search path of the Python processes that tests start."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STARTUP = ROOT / "tests" / "startup"


def python_path(*folders: Path) -> str:
    """`PYTHONPATH` with these folders, the root of the repository and the tests' startup folder."""
    return os.pathsep.join(map(str, [*folders, ROOT, STARTUP]))
