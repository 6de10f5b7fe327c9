"""Where the Pythons that tests start look for modules."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STARTUP = ROOT / "tests" / "startup"


def python_path(*folders: Path) -> str:
    """A `PYTHONPATH` of these folders, the package's own and the startup file of the tests."""
    return os.pathsep.join(map(str, [*folders, ROOT, STARTUP]))
