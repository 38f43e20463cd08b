"""The network that is put on boards: six oscillators, all coupled, no two of a kind."""

from __future__ import annotations

from labrhel import plugins
from labrhel.model.interface import Model

STEP = 0.2  # between kicks [model time]


def model() -> Model:
    """The host's model of the board."""
    nominal = {"stiffness": [1, 1.3, 0.8, 1.1, 1.5, 0.9], "cubic": 0.2, "coupling": 0.15}
    return plugins.model_factory("oscillator_network")(6, coupling="all", nominal=nominal)
