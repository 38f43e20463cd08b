"""I/Q imperfections of arrays: what each does to a rig, and what gradients still survive."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel import plugins
from labrhel.errors import ConfigurationError
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from protocols.rhel import RHEL
from simbackend.imperfections import Imperfections
from simbackend.imperfections.quadratures import QuadratureErrors
from simbackend.models.kerr_array import KerrArray
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.arrays import random_array
from simbackend.rigs.simulated import SimulatedRig

STEP = 0.05


def rig(**settings: Any) -> SimulatedRig:
    model = KerrArray(1, nominal={"detuning": 0.3, "loss": 0.5})
    return SimulatedRig(
        model, imperfections=Imperfections(seed=5, others={"quadratures": QuadratureErrors(**settings)})
    )


def read(rig: SimulatedRig, port: str, passes: int = 1) -> np.ndarray:
    wave = Drive(port, Waveform.of(np.ones(40), STEP), Role.INPUT)
    stretch = (Pass(40, (wave,), Acquire(("a1_i", "a1_q"))), Pass(40, (), Acquire(("a1_i", "a1_q")), echo=True))
    shot = compile(ShotProgram(STEP, Rest(), stretch[:passes]), rig.capabilities)
    traces = rig.run([shot])[0].last.traces
    return traces["a1_i"].values[0] + 1j * traces["a1_q"].values[0]


def test_imbalance_skew_and_cables_turn_what_a_port_drives_and_a_channel_reads() -> None:
    errors = QuadratureErrors(gain=0.05, phase=0.1, lo_phase=0.3)
    real = rig(gain=0.05, phase=0.1, lo_phase=0.3)
    site = real._device._site
    drive, i, q = (errors.turning(name, site, 0) for name in ("u1_q", "a1_i", "a1_q"))
    a = read(rig(), "u1_i") * 1j * drive
    assert np.allclose(read(real, "u1_q"), (a / i).real + 1j * (-1j * a / q).real, atol=1e-14)
    assert abs(drive - 1) > 0.01 and abs(i - q) > 0.01


def test_the_local_oscillator_drifts_from_shot_to_shot() -> None:
    real = rig(lo_drift=0.1)
    turns = [read(real, "u1_i")[-1] for _ in range(3)]
    assert turns[1] / turns[0] == pytest.approx(turns[2] / turns[1])
    # Ports and channels turn together, as the rig does against both.
    assert turns[1] / turns[0] == pytest.approx(1.0)
    assert rig(lo_drift=0.1)._device.is_steady is False


def test_a_conjugation_may_end_in_a_turned_amplitude() -> None:
    plain, turned = read(rig(), "u1_i", 2), read(rig(conjugation=0.2), "u1_i", 2)
    assert np.allclose(turned, plain * np.exp(0.2j), atol=1e-14)


def test_settings_are_read_from_a_url_and_oscillators_have_none() -> None:
    opened = plugins.open_rig("sim:?seed=1&quadratures.gain=1%&quadratures.phase=0.01", KerrArray(2), Path())
    assert isinstance(opened, SimulatedRig) and opened._device.turns
    with pytest.raises(ConfigurationError, match="quadratures act on arrays in the rotating frame"):
        plugins.open_rig("sim:?quadratures.gain=1%", OscillatorNetwork(2), Path())
    with pytest.raises(ConfigurationError, match=r"quadratures\.gian: unknown setting"):
        plugins.open_rig("sim:?quadratures.gian=1%", KerrArray(2), Path())


def test_a_locked_echo_survives_what_a_driven_one_does_not() -> None:
    errors = QuadratureErrors(conjugation=0.05)
    task = random_array(
        np.random.default_rng(3), 3, 6.0, 150, imperfections=Imperfections(seed=2, others={"quadratures": errors})
    )
    names = ("detuning", "coupling", "kerr", "loss")
    plain, locked = (task.compare(task.gradient(RHEL(lock=lock, response=1e-4), names))[1] for lock in (0, 8))
    assert plain > 0.01
    assert locked < plain / 3
