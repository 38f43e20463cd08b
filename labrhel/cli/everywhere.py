"""The emergency stop on every computer of a Dask cluster: each worker presses it where it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from labrhel.cli import stopping
from labrhel.errors import LabrhelError
from labrhel.sweeps.cluster import connected

_PATIENCE = 30.0  # s for all workers: a rig whose wires are cut takes its time to say so


def press_everywhere(
    address: str, say: Callable[[str], None], security: Any = None, *, patience: float = _PATIENCE
) -> bool:
    """Press on all workers at once, and say what each reached; True if all were reached, and all is safe there.

    A worker that has not answered within `patience` [s], and a scheduler that does not, are NOT REACHED.
    """
    try:
        client = connected(address, security)
    except LabrhelError as error:
        say(f"NOT REACHED: {error}")
        return False
    asked: dict[str, _Asked] = {
        worker: _Asked(client, worker) for worker in client.scheduler_info(n_workers=-1)["workers"]
    }
    good = bool(asked)
    if not asked:
        say(f"{address} has no workers: nothing was reached there")
    for worker, call in asked.items():
        found = call.answer(patience)
        if isinstance(found, str):
            say(f"{worker}: NOT REACHED: {found}: go there, and stop it by hand")
            good = False
            continue
        safe, lines = found
        for line in lines:
            say(f"{worker}: {line}")
        good = good and safe
    threading.Thread(target=client.close, daemon=True).start()  # it waits for workers that hang
    return good


class _Asked:
    """A worker that was asked to press, from a thread of its own, so that none waits for another."""

    def __init__(self, client: Any, worker: str) -> None:
        self._client, self._worker = client, worker
        self._found: tuple[bool, list[str]] | str = "it does not answer"
        self._thread = threading.Thread(target=self._call, daemon=True)
        self._thread.start()

    def _call(self) -> None:
        try:
            self._found = self._client.run(pressed_here, workers=[self._worker])[self._worker]
        except Exception as error:  # whatever it is, the worker was not reached
            self._found = str(error) or type(error).__name__

    def answer(self, patience: float) -> tuple[bool, list[str]] | str:
        """Whether all is safe there, and what it said; or why it was not reached."""
        self._thread.join(patience)
        return self._found


def pressed_here() -> tuple[bool, list[str]]:
    """What a worker does: press on its own computer; whether all is safe, and what there is to say."""
    lines: list[str] = []
    return stopping.press(lines.append), lines
