"""`labrhel pause`, `stop`, `estop` and `reset`: what is said to programs that drive a rig.

An emergency stop must not wait for libraries to load: what needs them is imported where it is used.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from labrhel.errors import ConfigurationError, LabrhelError
from labrhel.safety import estop, ledger
from labrhel.safety.control import STATE
from labrhel.safety.ledger import Remembered
from labrhel.safety.lifecycle import State
from labrhel.safety.processes import PATIENCE, Program, programs

Say = Callable[[str], None]

_LOOK = 0.05  # s between two looks whether a program has ended


def _printed(words: str) -> None:
    print(words, flush=True)


def press(say: Say = _printed) -> bool:
    """Stop everything and say what was reached; True if every rig said that it is safe, and nothing was left on."""
    pressed = estop.press()
    for answer in pressed.answers:
        words = (
            f"safe after {1e3 * answer.seconds:.0f} ms" if answer.seconds is not None else f"NOT SAFE: {answer.problem}"
        )
        say(f"{answer.rig}{f' (process {answer.pid})' if answer.pid else ''}: {words}")
    if pressed.latch is None:
        say(f"NOT LATCHED: {pressed.problem}; programs that were called are held back, others may begin")
    else:
        say(f"latched in {pressed.latch}: nothing runs until `labrhel reset`")
    called = {answer.pid for answer in pressed.answers}
    good = all(answer.seconds is not None for answer in pressed.answers) and pressed.latch is not None
    remembered = [left for left in ledger.left() if not (left.is_driven and left.entry.pid in called)]
    for left in remembered:
        if not _ends(left):
            say(f"{left.entry.station} is open in process {left.entry.pid}, which does not listen: NOT REACHED")
            good = False
        elif left.stands:
            good = _taken_up(left, say) and good
    if not pressed.answers and not remembered:
        say("no program of this machine drives a rig, and no station was left with outputs on")
    return good


def reset(*, forget: bool) -> bool:
    """Release the latch, unless outputs were left on that cannot be made safe; True if none were."""
    for left in ledger.left():
        if left.is_driven:
            continue
        if forget:
            left.forget()
            print(f"forgotten: {left.entry.station}, which process {left.entry.pid} has left")
        elif not _taken_up(left, _printed):
            print("still latched: make them safe by hand, then `labrhel reset --forget`")
            return False
    print("released" if estop.reset() else "the emergency stop was not latched")
    return True


def _ends(left: Remembered) -> bool:
    """Whether nobody drives it any more: a program that has just stopped to listen is about to end."""
    end = time.monotonic() + PATIENCE
    while left.is_driven:
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK)
    return True


def _taken_up(left: Remembered, say: Say) -> bool:
    """Make a station safe that was left, and say what came of it."""
    from labrhel import plugins

    who = f"{left.entry.station}, left by process {left.entry.pid}"
    try:
        plugins.take_up(left)
    except LabrhelError as error:
        say(f"{who}: NOT SAFE: {error}")
        return False
    say(f"{who}: made safe")
    return True


def ask(run: str, root: Path, command: str) -> None:
    """Ask the run to do it, and print what it answers."""
    print(alive(run, root).ask(command))


def woke_the_paused_one() -> bool:
    """True if a run of this machine is paused, and goes on; ConfigurationError if several are."""
    paused = [program for program in programs() if program.run and _state(program) == State.PAUSED]
    if len(paused) > 1:
        raise ConfigurationError(f"several runs are paused: {', '.join(item.run for item in paused)}; name one")
    return bool(paused) and woken(paused[0].run)


def _state(program: Program) -> str:
    try:
        return program.ask(STATE)
    except (ConnectionRefusedError, LabrhelError):
        return ""  # killed, or busy: not one that waits


def woken(identity: str) -> bool:
    """True if the run of this id was paused in a program that is alive, and goes on."""
    for program in programs():
        if program.run == identity:
            try:
                print(f"{program.run}: {program.ask('resume')}")
            except ConnectionRefusedError:
                return False  # killed: its file is all that is left
            return True
    return False


def alive(run: str, root: Path) -> Program:
    """The program that drives the run, or the only one where none is named; ConfigurationError if there is none."""
    found = [program for program in programs() if program.run]
    if run:
        from labrhel.store import find_run

        identity = find_run(run, root).name
        found = [program for program in found if program.run == identity]
    if len(found) != 1:
        listed = ", ".join(program.run for program in found)
        words = f"several runs are going on: {listed}; name one" if found else "no such run is going on"
        raise ConfigurationError(words)
    return found[0]
