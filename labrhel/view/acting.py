"""What a viewer may do to a run, by the very code of the commands: pause, resume, stop, emergency stop.

Only programs of the user who started the view can be asked, since the word for it lies in files of that user alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from labrhel.errors import LabrhelError
from labrhel.safety.processes import programs

Action = Literal["pause", "resume", "stop", "estop"]


Press = Callable[[Callable[[str], None]], bool]
"""The emergency stop of `labrhel estop`: it tells what it reached, and whether all of it is safe."""


def act(action: Action, run: str, press: Press) -> str:
    """Do it, and say what came of it; `run` is the name of the run's folder."""
    if action == "estop":
        said: list[str] = []
        try:
            good = press(said.append)
        except Exception as error:  # whatever it is, whoever pressed has to know
            good = False
            said.append(f"{error or type(error).__name__}")
        return ". ".join([] if good else ["NOT EVERYTHING IS SAFE"]) + (". " if not good else "") + "; ".join(said)
    found = [program for program in programs() if program.run == run]
    if not found:
        return f"no program of yours on this computer drives {run}: it has ended, or is another user's"
    try:
        return f"{action}: {found[0].ask(action)}"
    except (LabrhelError, OSError) as error:
        return f"{action}: {error}"


def may_act(run: str) -> bool:
    """Whether a program of this user drives the run."""
    return any(program.run == run and not program.is_gone for program in programs())
