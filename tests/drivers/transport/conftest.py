"""Every test ends with as many threads and open files as it began with."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def alone(state_of_its_own: None, leaving_nothing_open: None) -> Iterator[None]:
    yield
