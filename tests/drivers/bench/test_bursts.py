"""What stands on an output that ports share, whose zero is not zero volts and whose safe level is another one."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from drivers.bench.bursts import bursts_of
from labrhel.errors import LimitError
from labrhel.rig.terminals import Terminals
from labrhel.rig.wiring import Wire, Wiring
from labrhel.shots.compile import compile
from labrhel.shots.compiled import CompiledShot
from labrhel.shots.program import Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

SAFE, ZERO = 1.0, 0.5  # V
SHARED = {
    name: SimpleNamespace(terminal=terminal, safe=safe, offset=zero)
    for name, terminal, safe, zero in (
        ("f1", "awg1.ch1", SAFE, ZERO), ("f2", "awg1.ch1", SAFE, ZERO), ("f3", "awg1.ch2", 0.25, -0.5),
        ("u1", "awg2.ch1", 0.0, 0.0),
    )
}  # fmt: skip
FREE = Terminals({})


def shot(*passes: dict[str, list[float]]) -> CompiledShot:
    """A shot whose ports play these forces, through wires whose gain is -2 [force per V]."""
    rig = SimulatedRig(OscillatorNetwork(3)).capabilities
    parts = tuple(
        Pass(2, tuple(Drive(port, Waveform.of(values, 0.1), Role.INPUT) for port, values in item.items()))
        for item in passes
    )
    wires = {name: Wire(item.terminal, -2.0, item.offset) for name, item in SHARED.items() if name != "u1"}
    return compile(ShotProgram(0.1, Rest(), parts), rig, Wiring(wires))


def samples(found: Any, terminal: str) -> list[float]:
    box, _, own = terminal.partition(".")
    return found[box][own].samples.tolist()


def test_two_ports_on_one_output_add_what_each_is_away_from_zero_and_the_zero_counts_once() -> None:
    found = bursts_of(shot({"f1": [1.0, -2.0], "f2": [0.5, 0.0]}), SHARED, FREE, 1e-4)  # type: ignore[arg-type]
    assert np.allclose(samples(found, "awg1.ch1"), [SAFE, ZERO - 0.5 - 0.25, ZERO + 1.0, SAFE])
    assert np.allclose(samples(found, "awg1.ch2"), [0.25, -0.5, -0.5, 0.25])
    assert np.allclose(samples(found, "awg2.ch1"), [0.0] * 4)
    burst = found["awg1"]["ch1"]
    assert (burst.rate, burst.idle) == (pytest.approx(1e4), SAFE)


def test_an_output_plays_all_passes_in_a_row_and_stays_at_its_zero_where_nothing_is_played() -> None:
    found = bursts_of(shot({"f2": [1.0, 1.0]}, {}, {"f1": [2.0, 4.0]}), SHARED, FREE, 1e-4)  # type: ignore[arg-type]
    expected = [SAFE, 0.0, 0.0, ZERO, ZERO, ZERO - 1.0, ZERO - 2.0, SAFE]
    assert np.allclose(samples(found, "awg1.ch1"), expected)


@pytest.mark.parametrize(("limits", "fine"), [((-0.25, 1.5), True), ((-0.2, 1.5), False), ((-0.25, 1.4), False)])
def test_the_sum_is_what_the_limits_of_a_terminal_are_for(limits: tuple[float, float], fine: bool) -> None:  # noqa: FBT001
    both, bound = shot({"f1": [1.0, -2.0], "f2": [0.5, 0.0]}), Terminals({"awg1.ch1": limits})
    if fine:
        bursts_of(both, SHARED, bound, 1e-4)  # type: ignore[arg-type]
        return
    with pytest.raises(LimitError, match=r"awg1\.ch1 would get .* for f1 and f2"):
        bursts_of(both, SHARED, bound, 1e-4)  # type: ignore[arg-type]
