"""What all instruments with somebody else's driver share: opening it, one exchange at a time, making safe, closing.

It is a `drivers.roles.Instrument` around a QCoDeS driver, which speaks through a wire of ours
(drivers.transport.driver_library): its lease, its traffic, and the permit that a stop takes away stand below the
driver, whatever that does.  Making safe waits 10 ms for a call that is going on, then interrupts its wire.
"""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from qcodes.instrument import Instrument

from drivers.foreign.calls import Calls
from drivers.foreign.classes import check_arguments, check_options, driver_class, require_visa
from drivers.foreign.speech import Speech, told
from drivers.instruments._waiting import wait_until
from drivers.instruments.unlisted import unlisted
from drivers.transport.deadline import Deadline
from drivers.transport.driver_library import library_of
from drivers.transport.driver_wire import DriverWire, open_driver_wire
from drivers.transport.permit import is_making_safe, making_safe, require_permit
from drivers.transport.traffic import TrafficLog
from labrhel.config.driver_sections import ConditionSection
from labrhel.config.foreign_drivers import resource_of
from labrhel.errors import ConfigurationError, InstrumentError, TransportError

_PATIENCE = 0.01  # s that `make_safe` leaves to a running call
_AGAIN = 1.0  # s after which making safe is not tried again
_TRIES = 3
_FIELDS = "vendor", "model", "serial", "firmware"


class _Switch(Protocol):
    """What a station file says of the switch of outputs."""

    @property
    def output(self) -> str | None: ...
    @property
    def on(self) -> Any: ...
    @property
    def off(self) -> Any: ...
    @property
    def errors(self) -> Any: ...


class Box(ABC):
    """An instrument by the name that a station file gives it; `driver` is left to the user when nothing runs."""

    def __init__(self, name: str, driver: Instrument, wire: DriverWire | Calls, identity: str) -> None:
        self.name, self.driver, self.identity = name, driver, identity
        self._wire, self._speech = wire, Speech(name, driver)
        self._making_safe = threading.Lock()
        self._closed = False

    def switch_off(self) -> None:
        """Switch off every output whose safe state is off; levels that stay on are left alone."""
        self._safely(self._switch_off)

    def make_safe(self) -> None:
        """Switch off what goes off, then bring the rest to its safe level, whatever else is going on."""
        self._safely(self._make_safe)

    def close(self) -> None:
        """Make safe and give the wire back; harmless twice."""
        if not self._closed:
            try:
                self.make_safe()
            finally:
                self.release()

    def release(self) -> None:
        """Give the wire back, with the outputs as they are; harmless twice."""
        if not self._closed:
            self._closed = True
            self._wire.close()
            with suppress(Exception):  # a driver may want to say good-bye on its way
                self.driver.close()

    def require_sense(self) -> None:
        """Raise ConfigurationError for what its driver would refuse of what makes it safe; nothing is sent.

        For whoever is about to drive it.  A program that opens it to make it safe does so as well as it can: validators
        that depend on a range, say, may be others by then.
        """
        if not is_making_safe():
            self._require_sense()

    @abstractmethod
    def _require_sense(self) -> None:
        """Do it."""

    @abstractmethod
    def _switch_off(self) -> None:
        """Do it, under the lock."""

    def _make_safe(self) -> None:
        self._switch_off()

    @abstractmethod
    def _forget(self) -> None:
        """What is loaded and armed is not to be played any more."""

    def _safely(self, action: Callable[[], None]) -> None:
        if self._closed:
            return
        deadline = Deadline(_AGAIN)
        with self._making_safe:
            for left in reversed(range(_TRIES)):
                try:
                    with self._wire.taken_over(_PATIENCE), making_safe():
                        self._forget()
                        action()
                    return
                except (TransportError, InstrumentError):  # also: what an interrupted call left
                    if not (left and deadline.remaining):
                        raise

    def _do(self, steps: Iterable[Any], values: Mapping[str, Any]) -> None:
        """Do steps, one after the other, with nobody in between."""
        with self._wire.exclusive():
            for step in steps:
                require_permit()
                self._speech.do(step, values)

    def _ask(self, question: Any, values: Mapping[str, Any]) -> Any:
        with self._wire.exclusive():
            require_permit()
            return self._speech.do(question, values)

    def _number(self, question: Any, values: Mapping[str, Any]) -> float:
        """The answer to a question, as a number; InstrumentError for another."""
        answer = self._ask(question, values)
        try:
            return float(answer)
        except (TypeError, ValueError):
            raise InstrumentError(
                f"{self.name} answers {str(answer)[:60]!r} to {question}, which is no number", answer=str(answer)
            ) from None

    def _wait_until(self, condition: ConditionSection, seconds: float, problem: str) -> None:
        """Ask until the answer is the one that is waited for; raises DeadlineError."""
        wanted = condition.until if isinstance(condition.until, list) else [condition.until]
        wait_until(lambda: _is_one_of(self._ask(condition.value, {}), wanted), seconds, problem)

    def _require_no_error(self, question: Any, after: str) -> None:
        """Raise InstrumentError if the instrument keeps an error, as SCPI or a pair of number and words.

        Whatever is asked, it has obeyed before it answers: what was sent may still be on its way.
        """
        if question is None:
            told(self.name, "asking what it is", self.driver.get_idn)
            return
        answer = self._ask(question, {})
        words = ", ".join(map(str, answer)) if isinstance(answer, tuple | list) else str(answer)
        if not re.match(r"\s*[+-]?0+(\s*,|\s*$)", words):
            raise InstrumentError(f"{self.name} says {words} after {after}", answer=words)

    def _all_off(self, terminals: Sequence[str], switch: _Switch) -> None:
        """OFF to every terminal, whatever becomes of the others; then each is asked.  The first failure is said."""
        first: Exception | None = None
        for own in terminals:
            try:
                self._turn(own, switch, on=False)
            except Exception as error:
                first = first or error
        if first is not None:
            raise first
        assert switch.output is not None
        for own in terminals:
            if not self._speech.answers(switch.output, values_of(own)):
                self._require_no_error(switch.errors, f"{own} was switched off")
            elif not _is_one_of(
                answer := self._ask(switch.output, values_of(own)),
                self._speech.same(switch.output, switch.off, values_of(own)),
            ):
                raise InstrumentError(f"{self.name}.{own} does not switch off: it is {answer}", answer=str(answer))

    def _turn(self, own: str, switch: _Switch, *, on: bool) -> None:
        if switch.output is not None:
            self._speech.set(switch.output, switch.on if on else switch.off, values_of(own))

    def _check(self, steps: Iterable[Any], terminals: Sequence[str] = ()) -> None:
        """That the driver has what steps name, of every terminal."""
        for step in steps:
            for own in terminals or ("",):
                self._speech.require(step, values_of(own))

    def _takes(self, key: str, step: Any, terminals: Sequence[str] = ()) -> None:
        """That the driver would do a step, with what it is given, of every terminal; `key` says where that stands."""
        for own in terminals or ("",):
            try:
                self._speech.takes(step, values_of(own))
            except ConfigurationError as error:
                word = key.partition(".")[2]
                raise ConfigurationError(f"`{word}`: {error.problem}", key=key) from None

    def _switches(self, role: str, terminals: Sequence[str], switch: _Switch) -> None:
        """That both words of a switch are words of its driver, and not the same one."""
        if switch.errors is not None:
            self._takes(f"{role}.errors", switch.errors)
        if switch.output is None:
            return
        for key, word in (("off", switch.off), ("on", switch.on)):
            self._takes(f"{role}.{key}", {switch.output: word}, terminals)
        for own in terminals:
            if switch.on in self._speech.same(switch.output, switch.off, values_of(own)):
                raise ConfigurationError(
                    f"`off`: {switch.off!r} is what switches {own} on as well, {switch.on!r}: choose the other word",
                    key=f"{role}.off",
                )


def values_of(own: str, **more: Any) -> dict[str, Any]:
    """What stands in braces for a terminal, and `more`."""
    digits = re.search(r"\d+$", own)
    return {"terminal": own, "number": int(digits[0]) if digits else 0} | more


def open_driver(
    type_: str, name: str, address: str, options: Mapping[str, Any], **link: Any
) -> tuple[Instrument, DriverWire | Calls, str]:
    """The driver at an address, its wire, and what the instrument says it is; `link` as of `open_driver_wire`.

    Nothing is said on standard output.  Raises ConfigurationError for a driver or an option that is not there,
    TransportError if nobody answers, InstrumentError for whatever the driver finds wrong.
    """
    made = driver_class(type_)
    require_visa(made, has_address=True)
    check_options(made, options)
    quiet: Any = _quiet(made)
    wire = open_driver_wire(address, **link)
    library: Any = library_of(wire)  # where QCoDeS expects a name, pyvisa takes a library as well

    def opened() -> Instrument:
        wire.open()
        return told(name, "opening its driver", lambda: quiet(name, address, visalib=library, **options))

    return _opened(name, wire, opened)


def open_without_wire(
    type_: str,
    name: str,
    arguments: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    log: TrafficLog | None = None,
    wait: float = 0.0,
    dying: int | None = None,
    patience: float = 0.0,
) -> tuple[Instrument, DriverWire | Calls, str]:
    """The driver that is made with `arguments`, where it has no wire of ours; the rest is as of `open_driver`.

    What it sends is in no `log`; `patience` is that of wires.
    """
    made = driver_class(type_)
    require_visa(made, has_address=False)
    check_arguments(made, {**arguments, **options})
    quiet: Any = _quiet(made)
    calls = Calls(name, resource_of(type_, arguments), wait=wait, dying=dying)
    return _opened(name, calls, lambda: told(name, "opening its driver", lambda: quiet(name, **arguments, **options)))


def _opened(
    name: str, wire: DriverWire | Calls, opening: Callable[[], Instrument]
) -> tuple[Instrument, DriverWire | Calls, str]:
    driver: Instrument | None = None
    try:
        driver = opening()
        said = told(name, "asking what it is", driver.get_idn)
    except BaseException:
        wire.close()
        if driver is not None:
            with suppress(Exception):
                driver.close()
        raise
    return driver, wire, ",".join(str(said.get(field) or "") for field in _FIELDS)


def _quiet(made: type[Instrument]) -> type[Instrument]:
    """The class without what QCoDeS prints of what it has connected to: a command that answers in JSON must not."""
    return type(made.__name__, (unlisted(made),), {"connect_message": _say_nothing, "__module__": made.__module__})


def _say_nothing(*_: Any, **__: Any) -> None:
    pass


def _is_one_of(answer: Any, wanted: Sequence[Any]) -> bool:
    """Whether an answer is one that is waited for: as a number where both are, else as text, whatever the case."""
    for item in wanted:
        try:
            if float(answer) == float(item):
                return True
        except (TypeError, ValueError):
            if str(answer).strip().upper() == str(item).strip().upper():
                return True
    return False
