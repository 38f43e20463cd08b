"""What every SCPI instrument has: commands by header, the error queue, and the registers of IEEE 488.2.

An instrument is a class: its commands are methods marked with `command`, its plain settings stand in a table
(`simbackend.virtual_bench.scpi.settings`).  It executes one message at a time and returns the answer without
terminator; wires, faults and clients are somebody else's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from simbackend.virtual_bench.scpi.headers import HeaderTable
from simbackend.virtual_bench.scpi.messages import Unit, split_parameters, units

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
_OPERATION_COMPLETE, _QUERY_ERROR, _DEVICE_ERROR, _EXECUTION_ERROR, _COMMAND_ERROR = 1, 4, 8, 16, 32


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
    _table: ClassVar[HeaderTable[Command]]

    def __init_subclass__(cls) -> None:
        commands: dict[str, Command] = {}
        for parent in cls.__mro__:
            for member in vars(parent).values():
                for pattern in getattr(member, "patterns", ()):
                    commands.setdefault(pattern, member)
        for setting in cls.settings:
            commands |= setting.commands()
        cls._table = HeaderTable(commands)

    def __init__(self, identity: Sequence[str]) -> None:
        self.identity = tuple(identity)
        self.values: dict[tuple[str, int], Any] = {}
        self.errors: deque[tuple[int, str]] = deque()
        self.event_status = 0
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
        kinds = {1: _COMMAND_ERROR, 2: _EXECUTION_ERROR, 4: _QUERY_ERROR}
        self.event_status |= kinds.get(-code // 100, _DEVICE_ERROR)
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
        return None

    @command("*CLS")
    def _clear(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.errors.clear()
        self.event_status = 0
        return None

    @command("*ESR?")
    def _events(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        status, self.event_status = self.event_status, 0
        return f"{status:+d}"

    @command("*OPC?")
    def _complete_query(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.complete()
        return "1"

    @command("*OPC")
    def _complete(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.event_status |= _OPERATION_COMPLETE
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

    def complete(self) -> None:
        """Return when nothing is pending."""

    def status_byte(self) -> int:
        """Error queue not empty (4), event register not empty (32)."""
        return 4 * bool(self.errors) | 32 * bool(self.event_status)
