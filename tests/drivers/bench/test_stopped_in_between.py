"""A stop at every message of a program that sets levels, loads, arms and fires: nothing is switched on after it.

The program is held where it is about to send, until the stop has answered, or waits for the link that it holds.  Where
it talks to several boxes at once, it goes on with the others meanwhile.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from drivers.transport import Link
from drivers.transport.port import Port
from labrhel.errors import LabrhelError
from labrhel.safety import estop, processes
from labrhel.safety.processes import GO, SAFE, listening, programs
from labrhel.shots.compile import compile
from labrhel.shots.rig import Rig
from labrhel.testing.waiting import PATIENCE, wait_for
from simbackend.testing.benches import drive, opened, volts
from simbackend.virtual_bench import Bench

SWITCHES_ON = re.compile(rb"volt (?!0[;\n])|OUTP\d ?:? ?(1|ON)\b|\*TRG|:DATA:ARB|FUNC:ARB ", re.IGNORECASE)
EVERY = int(os.environ.get("LABRHEL_STOP_EVERY", "60"))  # message of a shot; those that set levels are all tried
LEVELS = 6  # of the first messages, which set levels
_is_program: ContextVar[bool] = ContextVar("is_program", default=False)  # and in the threads that it talks from


@dataclass
class At:
    """Holds the thread `program` before its lock or message number `turn`, and begins the stop there."""

    turn: int
    count: int = 0
    counting: threading.Lock = field(default_factory=threading.Lock)
    program: threading.Thread | None = None
    stop: threading.Thread | None = None
    waits: threading.Event = field(default_factory=threading.Event)
    """The stop waits for a link that the program holds, and has interrupted it."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """The stop has answered."""
    late: list[bytes] = field(default_factory=list)
    """What switches something on and was sent after the stop had answered."""


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[At]:
    at, exchange, exclusive, interrupt = At(0), Link._exchange, Link.exclusive, Link.interrupt
    send = Port.send_all

    def hold() -> None:
        if _is_program.get() and at.stop is not None:
            with at.counting:
                at.count += 1
                is_now = at.count == at.turn
            if is_now:
                at.stop.start()
                wait_for(lambda: at.waits.is_set() or at.stopped.is_set(), "the stop")

    def held(link, text, messages, receive, **options):
        hold()
        return exchange(link, text, messages, receive, **options)

    def alone(link):
        hold()
        return exclusive(link)

    def seen(port, messages, deadline):
        if at.stopped.is_set():
            at.late += [message for message in messages if SWITCHES_ON.search(message)]
        send(port, messages, deadline)

    monkeypatch.setattr(Link, "_exchange", held)

    def interrupted(link):
        interrupt(link)
        at.waits.set()

    monkeypatch.setattr(Link, "exclusive", alone)
    monkeypatch.setattr(Link, "interrupt", interrupted)
    monkeypatch.setattr(Port, "send_all", seen)
    yield at


def are_on(bench: Bench) -> bool:
    with bench.clock.lock:
        levels = [bench.world.volts(f"bias.ch{number}") for number in range(1, 16)]
    return any(levels) or any(volts(bench))


@pytest.mark.parametrize(("how", "turn"), [("an emergency stop", 1), ("made safe", 9)])
def test_a_program_that_is_stopped_at_any_message_switches_nothing_on_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: At, how: str, turn: int
) -> None:
    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))
    with opened(tmp_path) as (bench, experiment), listening("bench", estop.emergency(experiment.rig)):
        rig: Rig = experiment.rig
        shots = [compile(drive(experiment, volts, steps=40), rig.capabilities) for volts in (0.5, 0.4)]
        (listener,) = programs()
        answers: list[tuple[object, bool]] = []
        failures: list[LabrhelError] = []

        def program() -> None:
            _is_program.set(True)
            try:
                rig.configure({"coupling": np.full(15, 0.2)})
                rig.run(shots)  # the second is loaded while the first is read
            except LabrhelError as error:
                failures.append(error)

        def stop() -> None:
            said = listener.ask(SAFE, PATIENCE) if how == "an emergency stop" else rig.make_safe()
            answers.append((said, are_on(bench)))
            at.stopped.set()

        stopped = 0
        while True:
            at.turn, at.count = turn, 0
            at.waits.clear()
            at.stopped.clear()
            at.program, at.stop = threading.Thread(target=program), threading.Thread(target=stop)
            at.program.start()
            at.program.join(PATIENCE)
            assert not at.program.is_alive()
            if at.count < turn:  # it has come to its end
                break
            at.stop.join(PATIENCE)
            assert len(failures) == (stopped := stopped + 1), turn
            assert answers.pop() == (SAFE if how == "an emergency stop" else None, False), turn
            assert not are_on(bench), turn
            assert at.late == [], turn
            listener.ask(GO)
            turn += 1 if turn < LEVELS else EVERY
        assert turn > 20
    assert processes.held_back() == ""
