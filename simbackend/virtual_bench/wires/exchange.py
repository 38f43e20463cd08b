"""One exchange: a message reaches an instrument, its answer leaves, and faults come between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from labrhel.errors import InstrumentError
from simbackend.virtual_bench.faults import ON_ANSWERS, Fault, Faults
from simbackend.virtual_bench.scpi.scpi import Scpi
from simbackend.virtual_bench.world.clock import Clock


class LineBroke(Exception):  # noqa: N818
    """A fault breaks the connection now."""


@dataclass(slots=True)
class Station:
    """An instrument with what is around it: its faults, and how it is switched off and on."""

    device: Scpi
    clock: Clock
    terminator: bytes = b"\n"
    faults: Faults = field(default_factory=Faults)
    restart: Callable[[float], None] = lambda seconds: None
    pause: Callable[[float], bool] = lambda seconds: False
    obeyed: list[Callable[[], None]] = field(default_factory=list)
    """Called after each message, whichever wire it came by: its status may have changed."""

    def obey(self, message: bytes) -> bytes | None:
        """Run a message; the bytes that go out, with their terminator.  Raises LineBroke."""
        if not message.strip():
            return None
        fault = self.faults.due()
        if fault is not None and fault.kind not in ON_ANSWERS:
            self.faults.take(fault)
            if fault.kind == "restart":
                self.restart(fault.amount)
            if fault.kind in ("reset", "restart"):
                raise LineBroke
            if fault.kind == "busy":
                self.pause(fault.amount)
            else:
                with self.clock.lock:
                    self.device.report(int(fault.amount), "ordered")
        with self.clock.at_once():
            try:
                answer = self.device.execute(message)
            except InstrumentError as error:
                self.device.report(-310, str(error))
                answer = None
        for listener in self.obeyed:
            listener()
        return None if answer is None else self._sent(answer, fault)

    def _sent(self, answer: bytes, fault: Fault | None) -> bytes:
        if fault is None or fault.kind not in ON_ANSWERS:
            return answer + self.terminator
        self.faults.take(fault)
        if fault.kind == "late":
            self.pause(fault.amount)
        if fault.kind == "lost":
            return (answer + self.terminator)[: -max(int(fault.amount), 1)]
        if fault.kind == "garbage":
            return b"\xfe" * int(fault.amount) + answer + self.terminator
        return answer + (b"\x00" if fault.kind == "terminator" else self.terminator)
