"""The distribution as a user gets it; runs in the checkout and, alone, against an installed wheel."""

import importlib
import subprocess
import sys
from importlib.metadata import entry_points, metadata
from pathlib import Path

import pytest

PACKAGES = ("labrhel", "drivers", "protocols", "simbackend", "calibration")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_is_imported_from_one_place_and_is_typed(name: str) -> None:
    home = Path(importlib.import_module("labrhel").__file__ or "").parent.parent
    package = Path(importlib.import_module(name).__file__ or "").parent
    assert package.parent == home
    assert (package / "py.typed").exists()


def test_the_distribution_can_never_reach_a_public_registry() -> None:
    assert "Private :: Do Not Upload" in metadata("labrhel").get_all("Classifier", [])


@pytest.mark.parametrize("group", ["labrhel.models", "labrhel.rigs", "labrhel.rules", "labrhel.exact_gradients"])
def test_every_entry_point_loads(group: str) -> None:
    points = entry_points(group=group)
    assert points
    assert all(callable(point.load()) for point in points)


def test_importing_labrhel_loads_none_of_the_heavy_libraries() -> None:
    heavy = "{'numpy', 'scipy', 'numba', 'xarray', 'matplotlib', 'qcodes', 'h5py', 'pydantic'}"
    code = f"import sys, labrhel, labrhel.cli; print(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_the_command_line_explains_itself() -> None:
    answer = subprocess.run([sys.executable, "-m", "labrhel", "--help"], capture_output=True, text=True, check=True)
    for command in ("run", "resume", "check", "runs", "show", "plot", "export", "rigs"):
        assert command in answer.stdout
