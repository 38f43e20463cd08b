"""Rigs that are started in a state and never driven, as analog computers: what drivers of them get wrong is found."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labrhel.arrays import Array, Arrays
from labrhel.conformance import Outcome, Subject, chosen, judge
from labrhel.frozen import FrozenArray
from labrhel.shots.capture import Capture
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.program import GivenState
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

NOMINAL = {"stiffness": [1.0, 1.3], "cubic": 0.3, "coupling": [0.2], "input": 0.0}
MODEL = OscillatorNetwork(2, coupling="chain", nominal=NOMINAL)


class Started(SimulatedRig):
    """Healthy."""

    def __init__(self) -> None:
        super().__init__(MODEL)
        still = FrozenArray(np.zeros((MODEL.size, 0)))
        self.capabilities = replace(self.capabilities, ports=(), drive_matrix=still, reversals=frozenset())


class Deaf(Started):
    """Knobs read back what they were set to, and nothing feels it."""

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        super().configure({name: np.asarray(MODEL.parameters[name].nominal) for name in knobs})
        return {name: np.array(value) for name, value in knobs.items()}


class OutOfTurn(Started):
    """The answers of a batch come last first."""

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        found = super().run(shots)
        return [replace(item, shot=shot) for item, shot in zip(found[::-1], shots, strict=True)]


class Timid(Started):
    """A start beyond a tenth is taken for a tenth."""

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        return [replace(super(Timid, self).run([self._clipped(shot)])[0], shot=shot) for shot in shots]

    def _clipped(self, shot: CompiledShot) -> CompiledShot:
        start = shot.program.prepare
        if not isinstance(start, GivenState):
            return shot
        near = GivenState(FrozenArray(np.clip(start.position.values, -0.1, 0.1)), start.momentum)
        return replace(shot, program=replace(shot.program, prepare=near))


class Latched(Started):
    """Once it was made safe it starts at half."""

    safe = False

    def make_safe(self) -> None:
        super().make_safe()
        self.safe = True

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        found = super().run(shots)
        for item in found if self.safe else ():
            for trace in item.last.traces.values():
                trace.values[:] *= 0.5
        return found


def failed(make: Callable[[], Any]) -> list[str]:
    with Subject(make, MODEL, 0.1) as subject:
        return [item.name for item in judge(subject, chosen("given state")) if item.outcome is not Outcome.PASSED]


def test_a_healthy_one_passes_every_check_of_its_starts() -> None:
    assert failed(Started) == []


@pytest.mark.parametrize(
    ("bug", "found_by"),
    [(Deaf, "turning a knob"), (OutOfTurn, "in order"), (Timid, "half a given state"), (Latched, "make_safe")],
    ids=lambda item: getattr(item, "__name__", None),
)
def test_the_kit_finds(bug: type[Started], found_by: str) -> None:
    found = failed(bug)
    assert any(found_by in name for name in found), found
