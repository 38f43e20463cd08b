"""A port that can start on a grid of times alone: what it plays, and what reaches the rig of it."""

from dataclasses import replace

import numpy as np
import pytest

from labrhel.errors import ProgramError
from labrhel.frozen import FrozenArray
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.rig.capabilities import Capabilities, SafeState, Timing
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Interpolation, Waveform
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig, capabilities_of

DT, STEPS, UNIT = 0.2, 30, 1e-3
MODEL = OscillatorNetwork(2, coupling="chain", nominal={"input": [[0.7], [0.2]]})
SAFE = 0.25


def rig(grid: float, rates: tuple[float, ...] = (1 / (DT * UNIT),)) -> Capabilities:
    declared = replace(capabilities_of(MODEL, "grid"), time_unit=UNIT)
    timing = Timing(rates=rates, start_grid=grid)
    ports = tuple(replace(port, timing=timing, safe=SafeState(SAFE)) for port in declared.ports)
    return replace(declared, ports=ports)


def line(times: np.ndarray) -> np.ndarray:
    return 1.0 + 0.1 * times


WAVE = Waveform(FrozenArray(line(DT * np.arange(-50, 100))), DT, t0=-50 * DT, interpolation=Interpolation.LINEAR)
DRIVES = (Drive("u1", WAVE, Role.INPUT),)


def program(*steps: int) -> ShotProgram:
    return ShotProgram(DT, Rest(), tuple(Pass(count, DRIVES, Acquire(("q1",))) for count in steps))


@pytest.mark.parametrize("rates", [(), (5e3,), (12e3,), (40e3, 1e6)])
def test_a_pass_that_begins_on_the_grid_is_played_as_without_one(rates: tuple[float, ...]) -> None:
    exact = compile(program(25, STEPS), rig(0.0, rates))
    gridded = compile(program(25, STEPS), rig(1e-3, rates))  # the second pass begins at 5 ms
    assert gridded.digest == exact.digest


@pytest.mark.parametrize("rates", [(5e3,), (12e3,), (40e3, 1e6)])
def test_a_pass_between_two_grid_times_starts_at_the_next_and_idles_until_then(rates: tuple[float, ...]) -> None:
    second = compile(program(23, STEPS), rig(1e-3, rates)).passes[1]  # begins at 4.6 ms, so it starts at 5 ms
    played, achieved = second.played["u1"], second.achieved["u1"].values
    assert 4.6 + DT / 2 + played.t0 == pytest.approx(5.0)
    kicks = DT * np.arange(STEPS)
    assert achieved[:2] == pytest.approx([SAFE, SAFE])  # kicks at 4.7 and 4.9 ms
    inside = slice(3, STEPS - 1)
    assert achieved[inside] == pytest.approx(line(kicks[inside]), abs=1e-9)
    ends = 4.6 + DT / 2 + played.t0 + len(played.samples) * played.dt
    assert 10.6 <= ends + 1e-9 < 10.6 + played.dt


def test_a_port_without_a_rate_of_its_own_starts_late_as_well() -> None:
    second = compile(program(23, STEPS), rig(1e-3, ())).passes[1]
    assert second.played["u1"].t0 == pytest.approx(0.4)
    assert len(second.played["u1"].samples) == STEPS - 2
    assert second.achieved["u1"].values == pytest.approx([SAFE, SAFE, *line(DT * np.arange(2, STEPS))])


def test_a_known_delay_is_made_up_for_in_what_is_played_and_not_by_the_start() -> None:
    late = CalibrationSet({"u1.delay": CalibratedValue(0.1e-3, "s", 0.0, "test")})
    second = compile(program(23, STEPS), rig(1e-3), calibration=late).passes[1]
    assert 4.6 + DT / 2 + second.played["u1"].t0 == pytest.approx(5.0)
    assert second.achieved["u1"].values[4:-2] == pytest.approx(line(DT * np.arange(4, STEPS - 2)), abs=1e-9)


def test_a_pass_that_is_over_before_the_port_can_start_is_refused_with_the_times() -> None:
    with pytest.raises(ProgramError, match=r"u1 can start every 0\.02 s, and a pass of 0\.006 s that begins 0\.0046 s"):
        compile(program(23, STEPS), rig(20e-3))


def test_a_simulated_rig_plays_from_the_grid_on() -> None:
    simulated = SimulatedRig(MODEL)
    simulated.capabilities = rig(1.0, ())
    simulated.capabilities = replace(simulated.capabilities, time_unit=1.0)
    shot = compile(program(23, STEPS), simulated.capabilities)
    found = simulated.run([shot])[0]
    plain = compile(program(23, STEPS), replace(simulated.capabilities, ports=capabilities_of(MODEL, "x").ports))
    known = simulated.run([plain])[0]
    traces = [item.passes[1].traces["q1"].values[0] for item in (found, known)]
    assert np.array_equal(found.passes[0].traces["q1"].values, known.passes[0].traces["q1"].values)
    assert traces[0][0] == traces[1][0]  # not yet moved by the second pass
    assert np.abs(traces[0] - traces[1]).max() > 1e-3  # which began two kicks late
