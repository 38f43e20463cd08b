"""The map of imports: no circles, and one module that looks for plug-ins."""

from collections.abc import Callable, Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

FRONT_DOOR = "labrhel"
"""`labrhel/__init__.py` offers what lies behind it when it is asked for, and says the version; no circle goes there."""
TREE = Path(__file__).parents[1]
PACKAGES = ("labrhel", "drivers", "protocols", "simbackend", "calibration")


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """All imports of the five packages, those inside functions and for type checkers included."""
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def circle(modules: Iterable[str], imported_by: Callable[[str], set[str]]) -> list[str]:
    """The modules of one circle of imports, each imported by the one before it; empty if there is none."""
    try:
        TopologicalSorter({module: imported_by(module) - {module, FRONT_DOOR} for module in modules}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def concepts(graph: grimp.ImportGraph) -> Iterator[str]:
    """The packages and modules right under labrhel."""
    return (module for module in graph.modules if module.count(".") == 1 and module.startswith("labrhel."))


def test_a_circle_would_be_found() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert set(circle(imports, imports.__getitem__)) == {"b", "c"}


def test_no_module_imports_itself_through_others(graph: grimp.ImportGraph) -> None:
    assert len(graph.modules) > 300
    assert not circle(graph.modules, graph.find_modules_directly_imported_by)


def test_no_concept_of_labrhel_imports_itself_through_others() -> None:
    graph = grimp.build_graph("labrhel", cache_dir=None)
    for concept in list(concepts(graph)):
        graph.squash_module(concept)
    assert "labrhel.model" in graph.modules
    assert not circle(graph.modules, graph.find_modules_directly_imported_by)


def test_plug_ins_are_looked_for_by_the_composition_module_alone(graph: grimp.ImportGraph) -> None:
    looking = {
        importer
        for importer in graph.find_modules_that_directly_import("importlib")
        for details in graph.get_import_details(importer=importer, imported="importlib")
        if "entry_points" in details["line_contents"]
    }
    assert looking == {"labrhel.plugins"}


def test_types_are_checked_where_pytorch_is_missing(graph: grimp.ImportGraph) -> None:
    using = graph.find_modules_that_directly_import("torch")
    assert using
    for module in using:
        source = TREE.joinpath(*module.split(".")).with_suffix(".py")
        assert "# pyright: reportMissingImports=false\n" in source.read_text(encoding="utf-8"), module
