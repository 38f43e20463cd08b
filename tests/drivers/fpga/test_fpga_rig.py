"""The rig on the Verilated board: the bits of the numerical backend, echoes that retrace, refusals, stops."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.fpga import FpgaRig
from drivers.testing.boards import rig_at
from labrhel import plugins
from labrhel.errors import ConfigurationError, InstrumentError, LimitError, ProgramError, TransportError
from labrhel.frozen import FrozenArray
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, GivenState, Hold, Pass, Rest, ShotProgram
from labrhel.testing.boards import STEP, model
from labrhel.testing.programs import VERILATOR
from labrhel.testing.waiting import PATIENCE, wait_for
from labrhel.wire.board import Build, Option, Region, Register, Status
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.testing.boards import Shot

LONG = pytest.mark.needs(*VERILATOR)  # Amaranth's own simulation takes a minute for a few hundred steps


@pytest.mark.parametrize("steps", [1, 2, 37, pytest.param(150, marks=LONG), pytest.param(1024, marks=LONG)])
def test_a_shot_gives_the_bits_of_the_numerical_backend(rig: FpgaRig, steps: int) -> None:
    shot = Shot.random(steps, steps)
    assert shot.is_right(shot.run_on(rig))


@pytest.mark.parametrize("steps", [12, pytest.param(300, marks=LONG)])
def test_an_echo_without_another_nudge_retraces_every_bit(rig: FpgaRig, steps: int) -> None:
    shot = Shot.random(1, steps, retraced=True)
    capture = shot.run_on(rig)
    assert shot.is_right(capture)
    there, back = capture.passes
    for name in there.traces:
        sign = -1 if name.startswith("v") else 1
        assert np.array_equal(sign * back.traces[name].values[:, ::-1], there.traces[name].values)


def test_a_capture_says_when_its_first_pass_was_to_start_and_when_the_board_ran(rig: FpgaRig) -> None:
    ticks = iter(range(100, 300, 7))
    timed = FpgaRig(rig.board, rig.model, STEP, clock=lambda: float(next(ticks)))
    there = ShotProgram(STEP, Rest(), (Pass(20, (), Acquire(("q1",))), Pass(8, (), Acquire(("q1",)))), repeats=2)
    first, second = timed.run([compile(there, timed.capabilities)] * 2)
    assert (first.planned_start, first.actual_start) == (100.0, 107.0)
    assert (second.planned_start, second.actual_start) == (156.0, 163.0)  # two passes, twice


def test_stored_states_save_forward_passes_until_a_knob_moves(rig: FpgaRig) -> None:
    there = ShotProgram(STEP, Rest(), Shot.random(2, 8).program.passes)
    silent = Pass(8, there.passes[0].drives, keep=True)
    echo = ShotProgram(STEP, Rest(), (silent, Pass(8, (), Acquire(("q1",)), echo=True)))
    rig.run([compile(there, rig.capabilities)])
    (stored,) = rig.run([compile(echo, rig.capabilities)])
    assert stored.passes_run == 1
    rig.configure({"stiffness": model().parameters["stiffness"].nominal})
    (again,) = rig.run([compile(echo, rig.capabilities)])
    assert again.passes_run == 2
    assert np.array_equal(again.last.traces["q1"].values, stored.last.traces["q1"].values)


@LONG
def test_more_states_than_slots_are_run_again_and_right(rig: FpgaRig) -> None:
    shots = [Shot.random(seed, 10, retraced=True) for seed in range(rig.board.build.slots + 3)]
    for shot in [*shots, *shots]:
        assert shot.is_right(shot.run_on(rig))


def test_hold_goes_on_where_the_last_pass_ended(rig: FpgaRig) -> None:
    start = GivenState(FrozenArray(np.full(6, 0.2)), FrozenArray(np.zeros(6)))
    whole = ShotProgram(STEP, start, (Pass(8, acquire=Acquire(("q1",))),))
    halves = [ShotProgram(STEP, item, (Pass(4, acquire=Acquire(("q1",))),)) for item in (start, Hold())]
    expected = rig.run([compile(whole, rig.capabilities)])[0].last.traces["q1"].values
    found = [item.last.traces["q1"].values for item in rig.run([compile(half, rig.capabilities) for half in halves])]
    assert np.array_equal(np.concatenate(found, axis=1), expected)


def test_parameters_are_what_their_codes_stand_for(rig: FpgaRig) -> None:
    wanted = np.linspace(0.9, 1.1, 6)
    achieved = rig.configure({"stiffness": wanted})["stiffness"]
    assert 0 < np.abs(achieved - wanted).max() <= 2**-29 / STEP
    assert np.array_equal(rig.read(["stiffness"])["stiffness"], achieved)
    with pytest.raises(LimitError, match="step times stiffness"):
        rig.configure({"stiffness": np.full(6, 100.0)})


def test_a_pass_whose_words_did_not_fit_is_an_error(rig: FpgaRig) -> None:
    start = GivenState(FrozenArray(np.full(6, 20.0)), FrozenArray(np.zeros(6)))
    with pytest.raises(InstrumentError, match="words of fpga did not fit"):
        rig.run([compile(ShotProgram(STEP, start, (Pass(5),)), rig.capabilities)])


def test_what_the_board_cannot_do_is_refused_before_anything_moves(rig: FpgaRig) -> None:
    with pytest.raises(ProgramError, match=r"set up for a step of 0\.2, not 0\.1"):
        rig.run([compile(ShotProgram(0.1, Rest(), (Pass(5),)), rig.capabilities)])
    with pytest.raises(ConfigurationError, match="6 oscillators and 1 inputs; the model has 7"):
        FpgaRig(rig.board, OscillatorNetwork(7), STEP)
    with pytest.raises(ProgramError, match="no friction term"):
        FpgaRig(rig.board, OscillatorNetwork(6, nominal={"friction": 0.1}), STEP)


@pytest.mark.parametrize(
    ("setting", "words"),
    [("colour=red", "no setting 'colour'"), ("step=x", "step is a positive number"), ("gateware=11", "was asked for")],
)
def test_a_wrong_url_is_refused(board: Any, setting: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        plugins.open_rig(f"fpga:{board.url}?{setting}", model(), Path(), STEP)


def test_another_bitstream_is_refused_by_its_id(monkeypatch: pytest.MonkeyPatch, board: Any) -> None:
    found = board.build.gateware
    monkeypatch.setattr("labrhel.wire.board.ARITHMETIC", "of another time")
    with pytest.raises(ConfigurationError, match=f"the gateware is {found:08x}; one of its size"):
        rig_at(board.url)


@LONG
def test_a_serial_line_carries_the_same_bits(serial_board: Any) -> None:
    rig = plugins.open_rig(f"fpga:{serial_board.url}?baud=921600", model(), Path(), STEP)
    assert isinstance(rig, FpgaRig)
    shot = Shot.random(3, 60, retraced=True)
    assert shot.is_right(shot.run_on(rig))
    rig.close()


def test_make_safe_from_another_thread_ends_a_running_shot(rig: FpgaRig) -> None:
    long = compile(ShotProgram(STEP, Rest(), (Pass(1024),) * 500), rig.capabilities)
    failure: list[BaseException] = []

    def run() -> None:
        try:
            rig.run([long])
        except InstrumentError as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: rig.board.status() & Status.RUNNING, "a pass")
    rig.make_safe()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert "outputs are safe" in str(failure[0])
    shot = Shot.random(4, 8)
    assert shot.is_right(shot.run_on(rig))


def test_a_board_that_hears_nothing_stops_the_pass_by_itself(rig: FpgaRig) -> None:
    rig.run([compile(ShotProgram(STEP, Rest(), (Pass(5),)), rig.capabilities)])
    board, status = rig.board, rig.board.status
    board.write(Region.REGISTERS, Register.HEARTBEAT, [1])
    board.start(1024, Option.REST, 0, 0)
    wait_for(lambda: status() & Status.SILENCE, "the board to miss its host")  # asked less often than it must hear
    with pytest.raises(TransportError, match="heard nothing for too long"):
        board.finish(1024)


def test_the_nudge_is_declared_in_codes(rig: FpgaRig) -> None:
    build, port = Build(), rig.capabilities.port("f1")
    assert port.converter is not None
    assert port.converter.lsb == pytest.approx(build.state.resolution / STEP)
    assert rig.capabilities.firmware == f"gateware {build.gateware:08x}"


def test_close_and_make_safe_may_be_called_after_close(rig: FpgaRig) -> None:
    rig.close()
    rig.close()
    rig.make_safe()
