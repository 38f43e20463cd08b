"""Lanes that are not what they are set to: measured through the machine, and set so that they are right."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drivers.lucidac import LucidacRig
from drivers.lucidac.lanes import FACTORS
from drivers.testing.lucidac import Faults, emulator, proxy
from labrhel import plugins
from labrhel.conformance import Outcome, Subject, chosen, judge
from labrhel.errors import InstrumentError
from simbackend.models.oscillator_network import OscillatorNetwork

pytest.importorskip("lucipy")

FAULTS = Faults.drawn(seed=5)
NOMINAL = {"stiffness": [60.0, 130.0], "coupling": 10.0, "cubic": [20.0, 0.0], "input": 0.0, "friction": [0.2, 0.0]}


@pytest.fixture(scope="module")
def ideal() -> Iterator[str]:
    with emulator() as endpoint:
        yield endpoint


def model() -> OscillatorNetwork:
    return OscillatorNetwork(2, coupling="chain", nominal=NOMINAL, time_unit=1e-3)


def opened(url: str) -> LucidacRig:
    rig = plugins.open_rig(f"lucidac:{url}", model(), Path())
    assert isinstance(rig, LucidacRig)
    return rig


def test_gains_and_offsets_of_lanes_are_found_to_a_fifth_of_a_percent(ideal: str) -> None:
    with proxy(ideal, FAULTS) as endpoint:
        rig = opened(endpoint)
        found, count = rig.lane_errors, len(rig.settings()["lucidac"]["lanes"])
        rig.close()
    gain, offset = FAULTS.gain[:, :count], FAULTS.offset[:, :count] * FACTORS[:, None]
    assert np.abs(found.gain / gain - 1).max() < 2e-3
    assert np.abs((found.offset - offset) / FACTORS[:, None]).max() < 1e-3
    assert np.abs(gain - 1).min() > 0.02  # there was something to find


def test_measured_lanes_are_the_model_and_lanes_as_they_are_set_are_not(ideal: str) -> None:
    wanted = chosen("a given state is where the shot begins")
    with proxy(ideal, FAULTS) as endpoint:
        outcomes = []
        for lanes in ("measured", "ideal"):
            with Subject(lambda lanes=lanes: opened(f"{endpoint}?lanes={lanes}"), model(), step=0.01) as subject:
                outcomes += [result.outcome for result in judge(subject, wanted)]
    assert outcomes == [Outcome.PASSED, Outcome.FAILED]


def test_a_lane_that_carries_nothing_is_told_by_its_number(ideal: str) -> None:
    broken = Faults(FAULTS.gain.copy(), FAULTS.offset)
    broken.gain[:, 4] = 0.1
    with proxy(ideal, broken) as endpoint:
        rig = opened(endpoint)
        with pytest.raises(InstrumentError, match=r"lanes .*: 4 \(0\.1\)$"):
            rig.read(["stiffness"])
        rig.close()
