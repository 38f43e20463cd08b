"""`labrhel pause`, `stop`, `estop` and `reset`: what is said to programs that drive a rig.

An emergency stop must not wait for libraries to load: what needs them is imported where it is used.
"""

from __future__ import annotations

from pathlib import Path

from labrhel.errors import ConfigurationError
from labrhel.safety import estop
from labrhel.safety.processes import Program, programs


def press() -> bool:
    """Stop everything; True if every rig said that it is safe."""
    answers = estop.press()
    for answer in answers:
        words = (
            f"safe after {1e3 * answer.seconds:.0f} ms" if answer.seconds is not None else f"NOT SAFE: {answer.problem}"
        )
        print(f"{answer.rig} (process {answer.pid}): {words}")
    if not answers:
        print("no program of this machine drives a rig")
    print("latched: nothing runs until `labrhel reset`")
    return all(answer.seconds is not None for answer in answers)


def reset() -> None:
    """Release the latch."""
    print("released" if estop.reset() else "the emergency stop was not latched")


def ask(run: str, root: Path, command: str) -> None:
    """Say it to the run, and print what it answers."""
    print(_alive(run, root).ask(command))


def woken(run: str, root: Path) -> bool:
    """True if the run was paused in a program that is alive, and goes on."""
    from labrhel.store import find_run

    identity = find_run(run, root).name
    for program in programs():
        if program.run == identity:
            try:
                print(f"{program.run}: {program.ask('resume')}")
            except ConnectionRefusedError:
                return False  # killed: its file is all that is left
            return True
    return False


def _alive(run: str, root: Path) -> Program:
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
