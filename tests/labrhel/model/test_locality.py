"""Which oscillators an entry of a parameter acts at."""

import numpy as np

from labrhel.model.locality import oscillators_of
from simbackend.models.oscillator_network import OscillatorNetwork

MODEL = OscillatorNetwork(
    4,
    coupling={"springs": "chain", "directed": [[0, 2]], "gyroscopic": [[1, 3]]},
    nominal={"cubic": 0.2, "coupling": 0.3, "directed": 0.1, "gyroscopic": 0.1, "input": [[1.0], [0.0], [0.5], [0.0]]},
)


def acting(name: str, *index: int) -> set[int]:
    return {int(place) for place in np.flatnonzero(oscillators_of(MODEL, {}, name)[index])}


def test_what_stands_at_one_oscillator_acts_there_alone() -> None:
    for name in ("mass", "stiffness", "quadratic", "cubic", "quartic"):
        for index in range(4):
            assert acting(name, index) == {index}, name
    assert acting("input", 3, 0) == {3}


def test_what_joins_two_oscillators_acts_at_both_ends() -> None:
    assert acting("coupling", 1) == {1, 2}
    assert acting("directed", 0) == {0, 2}
    assert acting("gyroscopic", 0) == {1, 3}
    assert acting("friction", 0, 0) == {0}
    assert acting("friction", 0, 3) == {0, 3}


def test_an_offset_of_an_input_acts_where_the_input_does() -> None:
    assert acting("input_offset", 0) == {0, 2}


def test_an_initial_state_acts_in_no_force() -> None:
    assert not oscillators_of(MODEL, {}, "initial_position").any()
