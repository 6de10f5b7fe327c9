"""Tests of the import graph: no cycles, and no lookup of our own modules in sys.modules."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import grimp
import pytest

import ainb

PACKAGE = Path(ainb.__file__).parent


@pytest.fixture(scope="module")
def graph():
    """All imports: at the top of modules, inside functions, and under TYPE_CHECKING."""
    return grimp.build_graph("ainb", cache_dir=None)


def find_cycle(imports):
    """One cycle as a list of modules with the first one repeated at the end; None if there is no cycle."""
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        return list(reversed(error.args[1]))
    return None


def test_a_cycle_is_found_and_named():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) is not None
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_no_module_imports_itself_over_others(graph):
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    cycle = find_cycle(imports)

    assert cycle is None, "import cycle: " + " -> ".join(cycle)


def test_imports_inside_functions_and_for_types_count(graph):
    assert "ainb.panels" in {
        item for module in graph.modules for item in graph.find_modules_directly_imported_by(module)
    }
    assert graph.direct_import_exists(importer="ainb", imported="ainb.magics")  # inside a function
    assert graph.direct_import_exists(importer="ainb", imported="ainb.session")  # under TYPE_CHECKING


def test_no_module_of_ours_is_looked_up_in_sys_modules():
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and node.value.startswith("ainb.")
            ):
                found += _look_ups(path, node.lineno)

    assert found == []


def _look_ups(path, line):
    text = path.read_text(encoding="utf-8").splitlines()[line - 1]
    return [f"{path.relative_to(PACKAGE)}:{line}"] if "sys.modules" in text else []
