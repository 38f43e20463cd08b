"""What every SCPI instrument has: commands by header, the error queue, and the registers of IEEE 488.2.

An instrument is a class: its commands are methods marked with `command`, its plain settings stand in a table
(`simbackend.virtual_bench.scpi.settings`).  It executes one message at a time and returns the answer without
terminator; wires, faults and clients are somebody else's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from simbackend.virtual_bench.scpi.headers import HeaderTable
from simbackend.virtual_bench.scpi.messages import Unit, block_end, split_parameters, units
from simbackend.virtual_bench.scpi.status import (
    COMMAND_ERROR,
    DEVICE_ERROR,
    EXECUTION_ERROR,
    MASTER,
    OPERATION_COMPLETE,
    QUERY_ERROR,
    Register,
    Status,
)

Answer = str | bytes | None
Command = Callable[[Any, tuple[int, ...], list[bytes]], Answer]

ERRORS = {
    -100: "Command error",
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -200: "Execution error",
    -211: "Trigger ignored",
    -221: "Settings conflict",
    -222: "Data out of range",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -310: "System error",
    -350: "Queue overflow",
    -410: "Query INTERRUPTED",
    -420: "Query UNTERMINATED",
}
"""The standard's own errors; instruments add theirs.  Source: SCPI-99 volume 2, chapter 21."""

_QUEUE = 20
_CLASSES = {1: COMMAND_ERROR, 2: EXECUTION_ERROR, 4: QUERY_ERROR}  # by the hundreds of an error


class ScpiError(Exception):
    """A command that was refused; its number goes to the error queue, not to the client."""

    def __init__(self, code: int, detail: str = "") -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code},{detail}")


def command(*patterns: str) -> Callable[[Command], Command]:
    """Mark a method as a command: called with the suffixes of its header and its parameters."""

    def mark(method: Command) -> Command:
        method.patterns = patterns  # type: ignore[attr-defined]
        return method

    return mark


class Scpi:
    """An instrument that only knows the common commands.  `identity`: manufacturer, model, serial, firmware."""

    settings: ClassVar[Sequence[Any]] = ()
    more_commands: ClassVar[Mapping[str, Command]] = {}
    """By pattern; for families of commands that differ in a word."""
    version: ClassVar[str] = "1999.0"
    """Of the SCPI standard that it obeys."""
    has_registers: ClassVar[bool] = True
    """Whether it has the registers of STATus."""
    _table: ClassVar[HeaderTable[Command]]

    def __init_subclass__(cls) -> None:
        commands: dict[str, Command] = {}
        for parent in cls.__mro__:
            for member in vars(parent).values():
                for pattern in getattr(member, "patterns", ()):
                    commands.setdefault(pattern, member)
        for setting in cls.settings:
            commands |= setting.commands()
        commands |= cls.more_commands
        if cls.has_registers:
            commands = _REGISTERS | commands
        cls._table = HeaderTable(commands)

    def __init__(self, identity: Sequence[str]) -> None:
        self.identity = tuple(identity)
        self.values: dict[tuple[str, int], Any] = {}
        self.errors: deque[tuple[int, str]] = deque()
        self.status = Status()
        self.cancelled = False
        """Set by a device clear, which ends what a command waits for."""
        self.restore()

    def restore(self) -> None:
        """What *RST restores: all settings to their defaults."""
        self.values = {(item.key, place): item.default for item in self.settings for place in item.places}

    def changed(self, key: str, place: int, before: Any) -> None:
        """A setting has a new value, and had `before`; raise ScpiError to refuse it."""

    def real(self, value: float) -> str:
        """A number as this instrument writes it."""
        return f"{value:+.14E}"

    def execute(self, message: bytes) -> bytes | None:
        """Run one message; the answers of its queries, joined by semicolons, or None if it asks nothing."""
        answers: list[bytes] = []
        self.cancelled = False
        path = ""
        for unit in units(message):
            header = unit.header if unit.header.startswith("*") else path + unit.header
            if unit.header.startswith(":"):
                header = unit.header[1:]
            if not header.startswith("*"):
                path = header.rpartition(":")[0] + ":" if ":" in header else ""
            try:
                answer = self._run(header, unit)
            except ScpiError as error:
                self.report(error.code, error.detail)
                if -200 < error.code <= -100:
                    break  # the rest of a message that is not understood is not obeyed
                continue
            if answer is not None:
                answers.append(answer.encode() if isinstance(answer, str) else answer)
        return b";".join(answers) if answers else None

    def _run(self, header: str, unit: Unit) -> Answer:
        found = self._table.find(header)
        if found is None:
            raise ScpiError(-113)
        handler, suffixes = found
        return handler(self, suffixes, split_parameters(unit.parameters))

    def report(self, code: int, detail: str = "") -> None:
        """Put an error into the queue, and its class into the event register."""
        self.status.event |= _CLASSES.get(-code // 100, DEVICE_ERROR)
        words = ERRORS.get(code, "")
        self.errors.append((code, "; ".join(part for part in (words, detail) if part)))
        if len(self.errors) > _QUEUE:
            self.errors.pop()
            self.errors[-1] = (-350, ERRORS[-350])

    def error_line(self, code: int, words: str) -> str:
        """One entry of the error queue as this instrument writes it."""
        return f'{code:+d},"{words}"'

    @command("*IDN?")
    def _identify(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return ",".join(self.identity)

    @command("*RST")
    def _reset(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.restore()
        self.status.awaits = False
        return None

    @command("*CLS")
    def _clear(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.errors.clear()
        self.status.clear()
        return None

    @command("*ESR?")
    def _events(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.look()
        return f"{self.status.read_event():+d}"

    @command("*ESE")
    def _enable_events(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.status.event_enable = _mask(words, 255)
        return None

    @command("*ESE?")
    def _enabled_events(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f"{self.status.event_enable:+d}"

    @command("*SRE")
    def _enable_service(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.status.service_enable = _mask(words, 255) & ~MASTER
        return None

    @command("*SRE?")
    def _enabled_service(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f"{self.status.service_enable:+d}"

    @command("*OPC?")
    def _complete_query(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.complete()
        return "1"

    @command("*OPC")
    def _complete(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.status.awaits = True
        self.look()
        return None

    @command("*WAI")
    def _wait(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.complete()
        return None

    @command("*STB?")
    def _status_byte(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f"{self.status_byte():+d}"

    @command("*TST?")
    def _self_test(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return "+0"

    @command("SYSTem:ERRor[:NEXT]?")
    def _next_error(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.error_line(*(self.errors.popleft() if self.errors else (0, "No error")))

    @command("SYSTem:VERSion?")
    def _version(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.version

    @command("STATus:PRESet")
    def _preset(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.status.operation.preset()
        self.status.questionable.preset()
        return None

    def complete(self) -> None:
        """Return when nothing is pending."""

    def is_busy(self) -> bool:
        """Whether something is pending now."""
        return False

    def look(self) -> None:
        """What was pending at *OPC may be complete by now."""
        if self.status.awaits and not self.is_busy():
            self.status.awaits = False
            self.status.event |= OPERATION_COMPLETE

    def status_byte(self, *, answer: bool = False) -> int:
        """What a serial poll or *STB? reads; `answer`: one is waiting to be read."""
        self.look()
        return self.status.byte(errors=bool(self.errors), answer=answer)


def only(words: list[bytes]) -> bytes:
    """The one parameter of a command that takes one."""
    if len(words) != 1:
        raise ScpiError(-108 if words else -109)
    return words[0]


def block_content(word: bytes) -> bytes:
    """The bytes of a definite-length block."""
    end = block_end(word, 0) if word.startswith(b"#") else None
    if end is None or end == 1 or end > len(word):
        raise ScpiError(-161)
    return word[2 + word[1] - ord("0") : end]


def _mask(words: list[bytes], most: int) -> int:
    """The one parameter of an enable register."""
    try:
        value = round(float(only(words)))
    except ValueError:
        raise ScpiError(-104) from None
    if not 0 <= value <= most:
        raise ScpiError(-222)
    return value


def _register_commands(header: str, register_of: Callable[[Scpi], Register]) -> dict[str, Command]:
    """The commands of one register of STATus."""

    def asked(read: Callable[[Register], int]) -> Command:
        return lambda device, suffixes, words: f"{read(register_of(device)):+d}"

    def told(key: str) -> Command:
        return lambda device, suffixes, words: setattr(register_of(device), key, _mask(words, 0x7FFF))

    found = {
        f"{header}[:EVENt]?": asked(Register.read),
        f"{header}:CONDition?": asked(lambda register: register.condition),
    }
    for words, key in (("ENABle", "enable"), ("PTRansition", "rising"), ("NTRansition", "falling")):
        found |= {
            f"{header}:{words}": told(key),
            f"{header}:{words}?": asked(lambda register, key=key: getattr(register, key)),
        }
    return found


_REGISTERS = {
    **_register_commands("STATus:OPERation", lambda device: device.status.operation),
    **_register_commands("STATus:QUEStionable", lambda device: device.status.questionable),
}
