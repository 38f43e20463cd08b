"""A wire that hurts frames, a board that starts again, an owner that dies: never a wrong value that looks right."""

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from drivers.fpga import FpgaBoard, FpgaRig
from drivers.testing.boards import rig_at
from drivers.testing.wounded_wire import WOUNDS, WoundedWire
from drivers.transport import open_framed_link
from labrhel.errors import InstrumentError, TransportError
from labrhel.shots.compile import compile
from labrhel.shots.program import Pass, Rest, ShotProgram
from labrhel.testing.boards import STEP
from labrhel.testing.programs import VERILATOR
from labrhel.testing.waiting import PATIENCE, wait_for
from labrhel.wire.board import Option, Region, Register, Request, Status, address
from simbackend.testing.boards import Shot

STOPS = 30
COUNT = int(os.environ.get("LABRHEL_FAULTS", "20"))


@pytest.mark.needs(*VERILATOR)
@pytest.mark.parametrize("kind", WOUNDS)
def test_a_hurt_frame_gives_the_right_bits_after_all_or_an_error_with_a_name(wire: WoundedWire, kind: str) -> None:
    rig, shots = (
        rig_at(wire.url, timeout=0.05, patience=2.0),
        [Shot.random(seed, 8, retraced=True) for seed in range(5)],
    )
    wire.wound, wire.share = kind, 0.04
    right = turn = 0
    while wire.wounds < COUNT:
        shot = shots[turn % len(shots)]
        turn += 1
        try:
            assert shot.is_right(shot.run_on(rig))
            right += 1
        except (TransportError, InstrumentError):
            pass
    wire.wound = None
    assert right > 0
    wait_for(lambda: answers(rig), "the board to give up what it has half of")
    for shot in shots:
        assert shot.is_right(shot.run_on(rig))
    rig.close()


def answers(rig: FpgaRig) -> bool:
    try:
        rig.board.refresh()
    except TransportError:  # what a wound has left behind
        return False
    return True


def run_until_noticed(rig: FpgaRig, shot: Shot) -> None:
    """The button has been pressed, but the process that is the board may be slow to feel it."""
    time.sleep(0.1)  # usually enough, and no frame is cut
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        assert shot.is_right(shot.run_on(rig))


def test_a_board_that_was_started_again_is_noticed_and_loaded_again(board: Any) -> None:
    rig, shots = rig_at(board.url), [Shot.random(seed, 6, retraced=True) for seed in range(3)]
    for shot in shots:
        assert shot.is_right(shot.run_on(rig))
        board.reset()
        with pytest.raises(TransportError, match="has been started again"):
            run_until_noticed(rig, shot)
        assert shot.is_right(shot.run_on(rig))
    rig.close()


def test_a_board_that_starts_again_during_a_shot_gives_no_capture(board: Any) -> None:
    rig, shot = rig_at(board.url, timeout=8.0), Shot.random(1, 8)  # which passes if it is asked while it is off
    assert shot.is_right(shot.run_on(rig))
    rig.board.refresh()
    board.reset()
    with pytest.raises(TransportError, match="started again"):
        wait_for(lambda: rig.board.read(Region.POSITIONS, 0, 8) is None, "the board to start again")
    assert shot.is_right(shot.run_on(rig))
    rig.close()


def test_a_connection_that_breaks_is_opened_again_and_the_board_loaded_again(wire: WoundedWire) -> None:
    rig, shot = rig_at(wire.url), Shot.random(2, 6, retraced=True)
    for _ in range(5):
        assert shot.is_right(shot.run_on(rig))
        wire.cut()
    assert shot.is_right(shot.run_on(rig))
    rig.close()


def test_a_run_that_was_sent_again_into_a_new_session_is_not_taken_for_the_next_one(board: Any) -> None:
    """Found by cut frames: the board then counts shot 1 as run, and would answer the true shot 1 with old words."""
    rig, shots = rig_at(board.url), [Shot.random(seed, 8) for seed in range(2)]
    assert shots[0].is_right(shots[0].run_on(rig))
    rig.board.refresh()
    rig.board._reopened()  # as the link does when it opens the wire again in the middle of an exchange
    with pytest.raises(TransportError, match="opened again"):
        rig.board.start(8, Option.REST, 0, 1)
    assert shots[1].is_right(shots[1].run_on(rig))
    rig.close()


def test_another_host_on_the_board_is_noticed(board: Any) -> None:
    host = FpgaBoard(open_framed_link(board.url))
    host._session ^= 1  # as if somebody else had opened one
    with pytest.raises(TransportError, match="another host has taken it"):
        host.status()
    host.close()


OWNER = """
import sys
from labrhel.testing.boards import STEP
from drivers.testing.boards import rig_at
from labrhel.shots.compile import compile
from labrhel.shots.program import Pass, Rest, ShotProgram
rig = rig_at(sys.argv[1])
shot = compile(ShotProgram(STEP, Rest(), (Pass(1024),) * 100000), rig.capabilities)
print("running", flush=True)
rig.run([shot])
"""


@pytest.mark.needs(*VERILATOR)
def test_after_kill_9_of_the_owner_no_pass_runs_within_a_second(board: Any) -> None:
    command = [sys.executable, "-c", OWNER, board.url]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "running\n"
    time.sleep(0.3)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    time.sleep(1.0)
    again = FpgaBoard(open_framed_link(board.url, wait=PATIENCE))
    assert not again.status() & Status.RUNNING
    again.close()


@pytest.mark.needs(*VERILATOR)
@pytest.mark.slow
def test_stops_at_random_instants_win_and_leave_a_board_that_runs_again(board: Any) -> None:
    """Found by the conformance kit: a RUN that was not sent counted, and the board refused every later one."""
    rig, shot, random = rig_at(board.url), Shot.random(3, 20), np.random.default_rng(5)
    long = compile(ShotProgram(STEP, Rest(), (Pass(300),) * 4), rig.capabilities)
    failures: list[Exception] = []

    def run() -> None:
        try:
            rig.run([long] * 200)
        except (InstrumentError, TransportError) as error:
            failures.append(error)

    def runs() -> bool:
        return bool(rig.board._checked(Request.READ, address(Region.REGISTERS, 0), 0)[0] & Status.RUNNING)

    for turn in range(STOPS):
        thread = threading.Thread(target=run)
        thread.start()
        wait_for(runs, "the run to begin")
        time.sleep(random.uniform(0.0, 0.03))
        rig.make_safe()
        assert not any(runs() for _ in range(5)), "a pass was started after the stop"
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert len(failures) == turn + 1
        assert shot.is_right(shot.run_on(rig)), f"after stop {turn}"
    rig.close()


def test_opening_a_board_touches_nothing_that_runs_on_it_before_it_is_known(board: Any) -> None:
    rig = rig_at(board.url)
    rig.run([compile(ShotProgram(STEP, Rest(), (Pass(5),)), rig.capabilities)])
    before = rig.board.read(Region.REGISTERS, Register.LENGTH, 3)
    rig.close()
    again = FpgaBoard(open_framed_link(board.url))
    assert (again.read(Region.REGISTERS, Register.LENGTH, 3) == before).all()
    again.close()
