"""Print the table of figures: ``python tests/benchmarks/run.py [NAME...]``.

Each ``bench_NAME.py`` has ``rows()``, which returns tuples: name, measured figure, peer or limit in the same
run, goal. A missed goal is not a failure.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path

FOLDER = Path(__file__).parent


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def rows(path: Path):
    """The rows of one file; if it fails, one row with the error, so that the other files still run."""
    try:
        return load(path).rows()
    except Exception as error:  # noqa: BLE001 - any error becomes a row
        traceback.print_exc()
        return [(path.stem, "FAILED", f"{type(error).__name__}: {error}".splitlines()[0][:80], "-")]


def main() -> None:
    wanted = sys.argv[1:]
    sys.path.insert(0, str(FOLDER.parent))
    sys.path.insert(0, str(FOLDER.parent.parent))
    print(f"{'what':58s}  {'measured':26s}  {'peer or limit, same run':34s}  goal", flush=True)
    for path in sorted(FOLDER.glob("bench_*.py")):
        if wanted and path.stem.removeprefix("bench_") not in wanted:
            continue
        for what, measured, peer, goal in rows(path):
            print(f"{what:58s}  {measured:26s}  {peer:34s}  {goal}", flush=True)


if __name__ == "__main__":
    main()
