"""A wire that hurts frames, a board that starts again, an owner that dies: never a wrong value that looks right."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from drivers.fpga import FpgaBoard
from drivers.testing.boards import rig_at
from drivers.testing.wounded_wire import WOUNDS, WoundedWire
from drivers.transport import open_framed_link
from labrhel.errors import InstrumentError, TransportError
from labrhel.shots.compile import compile
from labrhel.shots.program import Pass, Rest, ShotProgram
from labrhel.testing.boards import STEP
from labrhel.wire.board import Option, Region, Register, Request, Status, address
from simbackend.testing.boards import Shot

STOPS = 30
COUNT = int(os.environ.get("LABRHEL_FAULTS", "50"))


@pytest.mark.parametrize("kind", WOUNDS)
def test_a_hurt_frame_gives_the_right_bits_after_all_or_an_error_with_a_name(wire: WoundedWire, kind: str) -> None:
    rig, shots = rig_at(wire.url, timeout=0.05), [Shot.random(seed, 8, retraced=True) for seed in range(5)]
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
    time.sleep(0.2)  # the board gives up what it has half of
    with contextlib.suppress(TransportError):  # what a wound has left behind may still fail one exchange
        rig.board.refresh()
    for shot in shots:
        assert shot.is_right(shot.run_on(rig))
    rig.close()


def test_a_board_that_was_started_again_is_noticed_and_loaded_again(verilated: Any) -> None:
    rig, shots = rig_at(verilated.url), [Shot.random(seed, 30, retraced=True) for seed in range(3)]
    for shot in shots:
        assert shot.is_right(shot.run_on(rig))
        verilated.reset()
        time.sleep(0.05)
        with pytest.raises(TransportError, match="has been started again"):
            shot.run_on(rig)
        assert shot.is_right(shot.run_on(rig))
    rig.close()


def test_a_board_that_starts_again_during_a_shot_gives_no_capture(verilated: Any) -> None:
    rig, shot = rig_at(verilated.url), Shot.random(1, 20)
    assert shot.is_right(shot.run_on(rig))
    rig.board.refresh()
    verilated.reset()
    time.sleep(0.05)
    with pytest.raises(TransportError, match="started again"):
        rig.board.read(Region.POSITIONS, 0, 8)
    assert shot.is_right(shot.run_on(rig))
    rig.close()


def test_a_connection_that_breaks_is_opened_again_and_the_board_loaded_again(wire: WoundedWire) -> None:
    rig, shot = rig_at(wire.url, timeout=0.3), Shot.random(2, 20, retraced=True)
    for _ in range(5):
        assert shot.is_right(shot.run_on(rig))
        wire.cut()
    assert shot.is_right(shot.run_on(rig))
    rig.close()


def test_a_run_that_was_sent_again_into_a_new_session_is_not_taken_for_the_next_one(verilated: Any) -> None:
    """Found by cut frames: the board then counts shot 1 as run, and would answer the true shot 1 with old words."""
    rig, shots = rig_at(verilated.url), [Shot.random(seed, 8) for seed in range(2)]
    assert shots[0].is_right(shots[0].run_on(rig))
    rig.board.refresh()
    rig.board._reopened()  # as the link does when it opens the wire again in the middle of an exchange
    with pytest.raises(TransportError, match="opened again"):
        rig.board.start(8, Option.REST, 0, 1)
    assert shots[1].is_right(shots[1].run_on(rig))
    rig.close()


def test_another_host_on_the_board_is_noticed(verilated: Any) -> None:
    board = FpgaBoard(open_framed_link(verilated.url))
    board._session ^= 1  # as if somebody else had opened one
    with pytest.raises(TransportError, match="another host has taken it"):
        board.status()
    board.close()


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


def test_after_kill_9_of_the_owner_no_pass_runs_within_a_second(verilated: Any) -> None:
    command = [sys.executable, "-c", OWNER, verilated.url]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "running\n"
    time.sleep(0.3)
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    time.sleep(1.0)
    board = FpgaBoard(open_framed_link(verilated.url, wait=5.0))
    assert not board.status() & Status.RUNNING
    board.close()


@pytest.mark.slow
def test_stops_at_random_instants_win_and_leave_a_board_that_runs_again(verilated: Any) -> None:
    """Found by the conformance kit: a RUN that was not sent counted, and the board refused every later one."""
    rig, shot, random = rig_at(verilated.url), Shot.random(3, 20), np.random.default_rng(5)
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
        while not runs():  # the run has begun
            time.sleep(0.001)
        time.sleep(random.uniform(0.0, 0.03))
        rig.make_safe()
        assert not any(runs() for _ in range(5)), "a pass was started after the stop"
        thread.join(10)
        assert not thread.is_alive()
        assert len(failures) == turn + 1
        assert shot.is_right(shot.run_on(rig)), f"after stop {turn}"
    rig.close()


def test_opening_a_board_touches_nothing_that_runs_on_it_before_it_is_known(verilated: Any) -> None:
    rig = rig_at(verilated.url)
    rig.run([compile(ShotProgram(STEP, Rest(), (Pass(5),)), rig.capabilities)])
    before = rig.board.read(Region.REGISTERS, Register.LENGTH, 3)
    rig.close()
    again = FpgaBoard(open_framed_link(verilated.url))
    assert (again.read(Region.REGISTERS, Register.LENGTH, 3) == before).all()
    again.close()
