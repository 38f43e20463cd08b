"""The command set of a labrhel FPGA board: one place for the numbers that gateware and driver must agree on.

Requests and answers are frames (`labrhel.wire.frames`) whose payload is 32-bit words, little-endian; an answer has the
kind of its request with the top bit set, its sequence number, and as its first word the status of the board.

    kind   payload of the request        payload of the answer
    HELLO  session                       status                 opens a session: numbering starts here
    READ   address, count                status, count words
    WRITE  address, words                status                 at most `Build.chunk` words
    RUN    shot, steps, options          status                 starts a pass, and does not wait for its end
    STOP   -                             status                 ends a pass at once; outputs go to their safe value

What keeps a wrong value from looking like a right one: every answer carries the session that the host has opened, so
a board that was started again, or given to somebody else, is found out by its next answer; a request older than the
last one is refused (ERROR.STALE), so a copy that comes late changes nothing; shots are numbered 1, 2, ... and only the
next one starts, so a repeated RUN runs once; and `Build.gateware` names arithmetic and size of the bitstream.

An address is a region (top 8 bits) and an offset in words.  Waveforms and captures lie step by step, `stride(ports)` or
`stride(units)` words for each; states lie slot by slot, the positions of all units, then the momenta.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar
from zlib import crc32

from labrhel.errors import ConfigurationError
from labrhel.wire.fixed_point import Format
from labrhel.wire.tanh_table import shift_of

MAGIC = 0x4C425248
"""What register 0 of every board holds: "LBRH"."""

VERSION = 1
"""Of this command set."""

ARITHMETIC = "leapfrog 1: drift rounds odd, kick rounds half up, words wrap, overflows count"
"""Of the integer map (simbackend.fixed_point.reference); changed with it, so that old bitstreams are refused."""

ANSWER = 0x80
"""Added to the kind of a request by its answer."""


class Request(enum.IntEnum):
    """Kinds of request."""

    HELLO = 1
    READ = 2
    WRITE = 3
    RUN = 4
    STOP = 5


class Refusal(enum.IntEnum):
    """Why a board has refused a request: the low byte of the status; 0 if it has not."""

    KIND = 1  # no such request, or one without its words
    ADDRESS = 2  # no such word, or not one to read or write
    BUSY = 3  # a pass is running
    STALE = 4  # older than the last request
    SHOT = 5  # neither the next shot nor the last one again
    LENGTH = 6  # no steps, or more than the memories hold


class Status(enum.IntFlag):
    """The other bits of the status word; its upper half is the session."""

    RUNNING = 1 << 8
    FINISHED = 1 << 9  # the last pass ran to its end
    STOPPED = 1 << 10  # the last pass was stopped
    SILENCE = 1 << 11  # ... because the host was silent for longer than HEARTBEAT
    OVERFLOW = 1 << 12  # a word of the last pass did not fit


class Region(enum.IntEnum):
    """Top byte of an address, and who may use it."""

    REGISTERS = 0
    CONTROL = 1  # write: the operations of one step (labrhel.wire.microcode)
    COEFFICIENTS = 2  # write: the factor of each operation
    STATES = 3  # read, write: slots of positions and momenta
    INPUTS = 4  # write: samples of the input ports
    NUDGES = 5  # write: kicks of the units
    POSITIONS = 6  # read: at the kicks
    MOMENTA = 7  # read: before the kicks


class Register(enum.IntEnum):
    """Offsets in Region.REGISTERS; those from HEARTBEAT on can be written."""

    MAGIC = 0
    VERSION = 1
    GATEWARE = 2
    UNITS = 3
    PORTS = 4
    STATE_FORMAT = 5  # word | fraction << 8
    COEFFICIENT_FORMAT = 6
    DEPTH = 7  # steps that waveforms and captures hold
    SLOTS = 8
    OPERATIONS = 9  # that a step may have
    CLOCK = 10  # [Hz]
    TABLE = 15  # intervals of the table of tanh; 0: there is none
    OVERFLOWS = 11  # words of the last pass that did not fit
    STEPS = 12  # of the last pass that were begun
    DAMAGED = 13  # frames that came damaged
    SHOT = 14  # number of the last one
    HEARTBEAT = 16  # [ms] of silence after which a running pass is stopped
    LENGTH = 17  # operations of one step
    MONITOR = 18  # the unit whose position is put out while a pass runs
    SAFE = 19  # what is put out otherwise [code]


class Option(enum.IntFlag):
    """How a pass starts and what drives it; `| source << 8 | target << 16` with the slots of states."""

    REST = 1  # from rest, not from the slot `source`
    FLIP = 2  # with the momenta reversed
    DRIVEN = 4  # inputs are played, else they are zero
    NUDGED = 8  # nudges are played, else they are zero


def stride(count: int) -> int:
    """Words that a row of `count` takes: the next power of two, so that addresses are bits side by side."""
    return 1 << (count - 1).bit_length()


def address(region: Region, offset: int) -> int:
    """The word that a request names."""
    return region << 24 | offset


_STATE, _COEFFICIENT = Format(32, 26), Format(32, 28)


@dataclass(frozen=True, slots=True)
class Build:
    """What a bitstream was built for; `depth` is a power of two, `chunk` the words that one WRITE takes.

    `table`: intervals of the table of tanh (`labrhel.wire.tanh_table`), 0 for a board without.
    """

    units: int = 6
    ports: int = 1
    state: Format = _STATE
    coefficient: Format = _COEFFICIENT
    depth: int = 1024
    slots: int = 16
    operations: int = 256
    clock: int = 50_000_000
    table: int = 0

    chunk: ClassVar[int] = 1023

    def __post_init__(self) -> None:
        low = {"units": 1, "ports": 1, "depth": 2, "slots": 2, "operations": 2, "clock": 1}
        high = {"units": 256, "ports": 256, "depth": 1 << 16, "slots": 256, "operations": 1 << 16, "clock": 1 << 31}
        for name, least in low.items():
            if not least <= getattr(self, name) <= high[name]:
                raise ConfigurationError(
                    f"a board has {least} to {high[name]} {name}, not {getattr(self, name)}: build another"
                )
        if self.table:
            shift_of(self.state, self.table)
        if self.depth & (self.depth - 1):
            raise ConfigurationError(f"the depth of a board is a power of two, not {self.depth}")

    @property
    def gateware(self) -> int:
        """The id of the bitstream: a CRC-32 over command set, arithmetic and size."""
        return crc32(f"{VERSION} {ARITHMETIC} {self.registers()}".encode())

    def registers(self) -> dict[Register, int]:
        """What the board says of its size."""
        sizes = {
            Register.UNITS: self.units,
            Register.PORTS: self.ports,
            Register.STATE_FORMAT: self.state.word | self.state.fraction << 8,
            Register.COEFFICIENT_FORMAT: self.coefficient.word | self.coefficient.fraction << 8,
            Register.DEPTH: self.depth,
            Register.SLOTS: self.slots,
            Register.OPERATIONS: self.operations,
            Register.CLOCK: self.clock,
        }
        return sizes | ({Register.TABLE: self.table} if self.table else {})

    @classmethod
    def of(cls, words: list[int]) -> Build:
        """From the registers 0 to TABLE of a board; inverse of `registers`."""
        state, coefficient = (
            Format(words[place] & 0xFF, words[place] >> 8 & 0xFF)
            for place in (Register.STATE_FORMAT, Register.COEFFICIENT_FORMAT)
        )
        units, ports = words[Register.UNITS], words[Register.PORTS]
        sizes = words[Register.DEPTH : Register.CLOCK + 1]
        return cls(units, ports, state, coefficient, *sizes, table=words[Register.TABLE])

    def words(self, region: Region) -> int:
        """Size of a region."""
        return {
            Region.REGISTERS: Register.SAFE + 1,
            Region.CONTROL: self.operations,
            Region.COEFFICIENTS: self.operations,
            Region.STATES: self.slots * 2 * stride(self.units),
            Region.INPUTS: self.depth * stride(self.ports),
        }.get(region, self.depth * stride(self.units))
