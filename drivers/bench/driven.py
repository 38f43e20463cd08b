"""What may be on: every output of a bench, from its opening and from each command on, until it was seen safe."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

from labrhel.config.station import StationDocument


class Driven:
    """Outputs by INSTRUMENT.TERMINAL, with the level [V] each was told last, None before the first.

    Any thread may tell, and ask.
    """

    def __init__(self, outputs: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._moves = 0
        self._told: dict[str, tuple[float | None, int]] = dict.fromkeys(outputs, (None, 0))

    def told(self, levels: Mapping[str, float]) -> None:
        """To be called before levels [V] are sent."""
        with self._lock:
            self._moves += 1
            self._told |= {name: (level, self._moves) for name, level in levels.items()}

    def moves(self) -> int:
        """How often levels were told; what is told later is not made safe by what has begun before."""
        return self._moves

    def seen_safe(self, boxes: Iterable[str], moves: int) -> None:
        """Instruments were seen safe by an attempt that began after so many moves."""
        safe = set(boxes)
        with self._lock:
            self._told = {
                name: told for name, told in self._told.items() if told[1] > moves or name.partition(".")[0] not in safe
            }

    def left(self) -> dict[str, float | None]:
        """Outputs that were not seen safe, with their levels [V] where these are known."""
        with self._lock:
            return {name: level for name, (level, _) in self._told.items()}


def outputs_of(document: StationDocument) -> list[str]:
    """Every output that a station names."""
    rig = document.station.rig
    ports = [port.terminal for port in rig.ports.values()]
    knobs = [terminal for knob in rig.knobs.values() for terminal in knob.terminals]
    switches = [terminal for channel in rig.channels.values() for terminal in channel.select]
    return list(dict.fromkeys([*ports, *knobs, *switches]))
