"""What all tests share: reproducible property tests, independent test vectors where they are present, tidiness."""

import os

# Before numpy is imported: OpenBLAS's threads spin while they wait, on the core that the other worker needs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from labrhel.testing.leaks import no_leaks
from labrhel.testing.programs import missing

REMEDY = "make system-packages"

# No deadline: the first call of a kernel compiles it.  Derandomized: a red run is red again on the next machine.
settings.register_profile("labrhel", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("labrhel")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a program that is not here, and say which."""
    for item in items:
        for mark in item.iter_markers("needs"):
            if lacking := missing(*mark.args):
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(lacking)}: {REMEDY}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line about the tests that were skipped for want of a program."""
    reasons = [str(report.longrepr[-1]) for report in terminalreporter.stats.get("skipped", ())]
    lacking = [found[1].split(", ") for reason in reasons if (found := re.search(f"needs (.*): {REMEDY}", reason))]
    if lacking:
        programs = sorted({program for programs in lacking for program in programs})
        tests = f"{len(lacking)} test{'s' if len(lacking) > 1 else ''}"
        terminalreporter.write_line(f"skipped: {tests} in need of {', '.join(programs)}: {REMEDY}")


@pytest.fixture(params=["lossless", "friction"])
def vectors(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """Gradients of a network on the half-step grid by automatic differentiation, made by other people's code."""
    root = os.environ.get("LABRHEL_DATA")
    if not root:
        pytest.skip("LABRHEL_DATA is not set; it names the folder of the independent test vectors")
    name = f"network_{request.param}_half.npz"
    for folder in (Path(root), Path(root) / "vectors"):
        if (folder / name).exists():
            with np.load(folder / name) as file:
                return dict(file)
    pytest.skip(f"{name} is neither in LABRHEL_DATA nor in its sub-folder vectors")


@pytest.fixture(scope="session", autouse=True)
def state_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Locks, e-stops, calibrations and decisions of the tests are not the user's, whose rig may be running."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABRHEL_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("own")))
        patch.setenv("LABRHEL_NO_PLOT", "1")  # a picture takes a second, and hundreds of runs end with one
        yield


@pytest.fixture
def runs_that_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end with their picture, as those of a user do."""
    monkeypatch.delenv("LABRHEL_NO_PLOT")


@pytest.fixture
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of locks, e-stops and calibrations, for this test alone."""
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def leaving_nothing_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test ends with as many threads and open files as it began with."""
    import pyvisa

    pyvisa.ResourceManager("@py")  # it stays
    monkeypatch.setattr(pyvisa.logger, "disabled", True)  # pytest keeps what is logged, with the sockets in it
    with no_leaks():
        yield
