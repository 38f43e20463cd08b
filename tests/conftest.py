"""What all tests share: reproducible property tests, independent test vectors where they are present, tidiness."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from labrhel.testing.leaks import no_leaks

# No deadline: the first call of a kernel compiles it.  Derandomized: a red run is red again on the next machine.
settings.register_profile("labrhel", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("labrhel")


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
