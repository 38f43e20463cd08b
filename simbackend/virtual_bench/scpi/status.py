"""The status model of IEEE 488.2 and SCPI: events, what enables them, the status byte, and when service is asked for.

    *ESR (bits: operation complete 1, query 4, device 8, execution 16, command error 32, power on 128) & *ESE --> ESB
    errors queued --> 4     QUEStionable & its enable --> 8     answer waiting --> MAV 16     ESB --> 32
    OPERation & its enable --> 128          (all of these) & *SRE --> MSS 64, and service is requested

Sources: IEEE 488.2, chapter 11; SCPI-99 volume 1, chapter 9, and volume 2, chapter 20.
"""

from __future__ import annotations

from dataclasses import dataclass, field

OPERATION_COMPLETE, QUERY_ERROR, DEVICE_ERROR, EXECUTION_ERROR, COMMAND_ERROR, POWER_ON = 1, 4, 8, 16, 32, 128
ERROR_QUEUED, QUESTIONABLE, MESSAGE_AVAILABLE, EVENT, MASTER, OPERATION = 4, 8, 16, 32, 64, 128
_ALL = 0x7FFF


@dataclass(slots=True)
class Register:
    """A condition, the events that it has left until they are read, and which of them count.

    No virtual instrument has a condition to report yet: clients that set and read these registers find them there.
    """

    condition: int = 0
    event: int = 0
    enable: int = 0
    rising: int = _ALL
    falling: int = 0

    def read(self) -> int:
        """The events, which are then gone."""
        event, self.event = self.event, 0
        return event

    def preset(self) -> None:
        """What STATus:PRESet restores."""
        self.enable, self.rising, self.falling = 0, _ALL, 0


@dataclass(slots=True)
class Status:
    """All registers of an instrument that has just been switched on."""

    event: int = POWER_ON
    event_enable: int = 0
    service_enable: int = 0
    operation: Register = field(default_factory=Register)
    questionable: Register = field(default_factory=Register)
    awaits: bool = False
    """True after *OPC until what was pending then is complete."""

    def read_event(self) -> int:
        """The event register, which is then empty."""
        event, self.event = self.event, 0
        return event

    def clear(self) -> None:
        """What *CLS does; what is enabled stays enabled, and *OPC is forgotten."""
        self.event, self.awaits = 0, False
        self.operation.event = self.questionable.event = 0

    def byte(self, *, errors: bool, answer: bool = False) -> int:
        """The status byte, its master summary included."""
        byte = (
            ERROR_QUEUED * errors
            | QUESTIONABLE * bool(self.questionable.event & self.questionable.enable)
            | MESSAGE_AVAILABLE * answer
            | EVENT * bool(self.event & self.event_enable)
            | OPERATION * bool(self.operation.event & self.operation.enable)
        )
        return byte | MASTER * bool(byte & self.service_enable & ~MASTER)
