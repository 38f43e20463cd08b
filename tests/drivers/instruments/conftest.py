"""Instruments of a virtual bench, over real wires; every test ends with as many threads and files as it began with."""

from contextlib import ExitStack, closing

import numpy as np
import pytest
import qcodes.instrument  # noqa: F401  (first: what it leaves open is no leak of a test)

from drivers.instruments import open_instrument
from labrhel.model.leapfrog import leapfrog
from simbackend.virtual_bench import virtual_bench

MODEL = """
model:
  oscillators: 2
  coupling: chain
  units: {time: ms, position: V, input: V}
  parameters: {stiffness: [1.0, 1.3], cubic: 0.2, coupling: 0.15, friction: 0.05}
"""


@pytest.fixture(autouse=True)
def alone(state_of_its_own, leaving_nothing_open):
    yield


@pytest.fixture(scope="session")
def motion():
    """Positions of a bench's oscillators from rest under forces, `step` apart; run once for all who play the same."""
    known = {}

    def of(model, force, step):
        if (force.tobytes(), step) not in known:
            still = np.zeros(2)
            ran = leapfrog(lambda q: model.force(q, {}), model.mass({}), model.friction({}), force, step, still, still)
            known[force.tobytes(), step] = ran.q
        return known[force.tobytes(), step]

    return of


@pytest.fixture
def start(tmp_path):
    """Start a bench of two oscillators from the sections `instruments` and `leads`; it is closed at the end."""
    (tmp_path / "pair.yaml").write_text(MODEL, encoding="utf-8")
    with ExitStack() as stack:

        def started(text, speed=float("inf")):
            file = tmp_path / "bench.yaml"
            file.write_text("model: pair.yaml\nring_down: 2s\n" + text, encoding="utf-8")
            return stack.enter_context(virtual_bench(file, speed=speed))

        yield started


@pytest.fixture
def opened():
    """Open instruments of a bench by their name there; they are closed before the bench."""
    with ExitStack() as stack:

        def one(bench, name, wire="socket", **options):
            kind = bench.spec.instruments[name].kind
            options = {"timeout": 30.0} | options
            return stack.enter_context(closing(open_instrument(kind, name, bench.addresses[name][wire], **options)))

        yield one
