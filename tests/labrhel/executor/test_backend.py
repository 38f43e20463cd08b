"""The innermost handler: which calls of a rig an operation becomes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from labrhel.executor import RigBackend
from labrhel.shots.operations import Checkpoint, Configure, Publish, Read, RunShots


class Rig:
    """Writes down how it was called, and answers with what it was handed."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def run(self, shots: Sequence[str]) -> list[str]:
        self.calls.append(("run", list(shots)))
        return [f"capture of {shot}" for shot in shots]

    def configure(self, knobs: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(("configure", dict(knobs)))
        return {name: value + 0.25 for name, value in knobs.items()}

    def read(self, names: Sequence[str]) -> dict[str, Any]:
        self.calls.append(("read", tuple(names)))
        return {"oven": np.array(21.0)}


SHOTS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("order", "calls"), [("free", [["a", "b", "c"]]), ("fixed", [["a"], ["b"], ["c"]])]
)
def test_shots_of_a_free_order_are_one_batch_and_those_of_a_fixed_one_come_one_by_one(
    order: Any, calls: list[list[str]]
) -> None:
    rig = Rig()
    answer = RigBackend(rig).do(RunShots((), order, SHOTS))  # type: ignore[arg-type]
    assert answer == [f"capture of {shot}" for shot in SHOTS]
    assert rig.calls == [("run", call) for call in calls]


def test_a_setting_answers_with_what_the_rig_achieved() -> None:
    rig = Rig()
    asked = Configure({"stiffness": np.array(9.0)}, {"bias": np.array(1.5)})
    assert RigBackend(rig).do(asked) == {"bias": 1.75}  # type: ignore[arg-type]
    assert rig.calls == [("configure", {"bias": 1.5})]


def test_a_reading_is_the_rigs_and_the_rest_is_not_its_business() -> None:
    rig = Rig()
    backend = RigBackend(rig)  # type: ignore[arg-type]
    assert backend.do(Read(("oven",)))["oven"] == 21.0
    assert backend.do(Checkpoint(1, {})) is None
    assert backend.do(Publish(1, {})) is None
    assert rig.calls == [("read", ("oven",))]
