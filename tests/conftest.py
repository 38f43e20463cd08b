"""What all tests share: reproducible property tests, and the independent test vectors where they are present."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

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
