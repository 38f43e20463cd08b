"""What all instruments have in common: a QCoDeS instrument that speaks through a labrhel link.

How it is told and asked is in `talking`, how answers become values in `answers`.  After every recovery of the link
the instrument is asked whether it still has what it was given: one that has restarted has lost it, and says so before
anything else is sent.  `make_safe` waits 10 ms for whoever holds the link, then interrupts.
"""

from __future__ import annotations

import re
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple, TypeVar

from qcodes.instrument import Instrument, InstrumentBase
from qcodes.validators import Numbers

from drivers.instruments.answers import identity_of, number
from drivers.instruments.talking import TRIES, Talking
from drivers.transport import open_link
from drivers.transport.deadline import Deadline
from drivers.transport.permit import making_safe
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError, InstrumentError, LimitError, TransportError

Range = tuple[float, float]
Ranges = Sequence[float] | Mapping[str, Sequence[float]] | None
_PATIENCE = 0.01  # s that `make_safe` leaves to a running exchange
_AGAIN = 1.0  # s after which making safe is not tried again: a wire that is cut stays so for longer
T = TypeVar("T")


class Reading(NamedTuple):
    """What an instrument or a terminal is asked for: a QCoDeS parameter, which `setter` sets, if there is one."""

    key: str
    question: str
    label: str
    unit: str | None = None
    parser: Callable[[str], Any] | None = number
    """What makes a value of the answer (`answers`); None: the answer as it is."""
    setter: Callable[[float], None] | None = None
    """Checks a number, and sends it; LimitError where it must not be."""


def add_readings(owner: InstrumentBase, readings: Iterable[Reading]) -> None:
    """Give an instrument, or a terminal of it, these parameters."""
    for key, question, label, unit, parser, setter in readings:
        owner.add_parameter(
            key,
            label=label,
            unit=unit,
            get_cmd=asker(owner, question, parser or str),
            set_cmd=setter or False,
            vals=None if setter is None else Numbers(),
        )


def asker(owner: InstrumentBase, question: str, parse: Callable[[str], T]) -> Callable[[], T]:
    """What gets a QCoDeS parameter: the question, asked and converted in one place (`LinkedInstrument.ask_as`)."""

    def ask() -> T:
        instrument = owner.root_instrument
        assert isinstance(instrument, LinkedInstrument)
        return instrument.ask_as(question, parse)

    return ask


class LinkedInstrument(Instrument, Talking):
    """One box at a VISA address; `link`: see `open_link`.

    Raises ConfigurationError for another instrument, TransportError if nobody answers.
    """

    expected: ClassVar[str]
    """A pattern of what the instrument answers to *IDN?, whatever the case; `labrhel devices` knows it by that, too."""
    terminator: ClassVar[str] = "\n"
    """How its messages end on sockets and serial lines."""

    def __init__(self, name: str, address: str, **link: Any) -> None:
        said: dict[str, Any] = {"terminator": self.terminator}
        self.link = open_link(address, **(said | link))
        self.identity = self.link.identity
        self._making_safe = threading.Lock()  # two at once would interrupt each other, again and again
        self._remembers: dict[str, str] = {}
        try:
            if not re.search(self.expected, self.identity, re.IGNORECASE):
                raise ConfigurationError(
                    f"{address} answers {self.identity!r}, which is no {type(self).__name__}: correct the address, or "
                    "the type in the station file"
                )
            self.fit(identity_of(self.identity)[1] or "")
            super().__init__(name)
        except BaseException:
            self.link.close()
            raise
        self.link.on_reopen(self._after_mending)
        self.link.on_silence(self._ask_why)

    def fit(self, model: str) -> None:
        """Take what an instrument of this model has; called when it is opened, before anything of it is made."""

    def make_safe(self) -> None:
        """Bring every output to its safe level, whatever else is going on; raises if that is not certain."""
        self._safely(self._make_safe)

    def switch_off(self) -> None:
        """The same for the outputs whose safe state is off; those that stay on at a level are left where they are."""
        self._safely(self._switch_off)

    def _safely(self, action: Callable[[], None]) -> None:
        if not self._is_open():
            return
        deadline = Deadline(_AGAIN)
        with self._making_safe:
            for tries_left in reversed(range(TRIES)):
                try:
                    with self.link.taken_over(_PATIENCE), making_safe():
                        self._forget()
                        action()
                    return
                except (TransportError, InstrumentError):  # also: what an interrupted exchange left, a restart
                    if not (tries_left and deadline.remaining):
                        raise

    def close(self) -> None:
        """Make safe and give the link back; harmless twice."""
        if not self._is_open():
            return
        try:
            self.make_safe()
        finally:
            self.release()

    def release(self) -> None:
        """Give the link back, with the outputs as they are; harmless twice."""
        if self._is_open():
            self.link.close()
            super().close()

    def write_raw(self, cmd: str) -> None:
        """For parameters; raises InstrumentError if it is refused."""
        self._do(cmd)

    def ask_raw(self, cmd: str) -> str:
        """Ask as a QCoDeS parameter does."""
        return self.ask_as(cmd, str)

    def get_idn(self) -> dict[str, str | None]:
        """What it said when it was opened."""
        return dict(zip(("vendor", "model", "serial", "firmware"), identity_of(self.identity), strict=True))

    @abstractmethod
    def _make_safe(self) -> None:
        """Do it; what was loaded and armed has been forgotten."""

    def _switch_off(self) -> None:
        """Make safe what goes off: all that there is, unless it holds levels."""
        self._make_safe()

    @abstractmethod
    def _forget(self) -> None:
        """What is loaded and armed is not to be played any more."""

    def _lost(self) -> None:
        """Forget what the instrument had been given: it was lost with its power."""
        self._forget()

    def _after_mending(self) -> None:
        self._mendings += 1
        for question, answer in self._remembers.items():
            if (now := self.link.query(question)) != answer:
                self._remembers = {}
                self._lost()
                raise InstrumentError(
                    f"{self.name} has lost what it was given ({question} is {now}, was {answer}): it has restarted, or "
                    "somebody has changed it; nothing was sent; set, load and arm it again",
                    answer=now,
                )

    def _is_open(self) -> bool:
        return "link" in vars(self)


def ranges_of(limits: Ranges, reach: Mapping[str, Range]) -> dict[str, Range]:
    """The range of every terminal [V]: `limits` are one for all, or by terminal; left out, what it can reach.

    Raises ConfigurationError for what is no range within reach, or no terminal.
    """
    given = limits if isinstance(limits, Mapping) else {} if limits is None else dict.fromkeys(reach, limits)
    for name, pair in given.items():
        if name not in reach:
            raise ConfigurationError(f"there is no terminal {name!r}; {nearest(name, reach)}")
        low, high = reach[name]
        if not (all(map(_is_number, pair)) and len(pair) == 2 and low <= pair[0] < pair[1] <= high):
            raise ConfigurationError(
                f"the limits of {name} must be [low, high] within [{low:g}, {high:g}] V, not {pair}"
            )
    return {name: (given[name][0], given[name][1]) if name in given else own for name, own in reach.items()}


def safe_levels(levels: Mapping[str, Range], safe: Mapping[str, float] | None) -> dict[str, float]:
    """The safe levels of the terminals that stay on [V]: those that `safe` names; raises ConfigurationError."""
    for name, volts in (safe or {}).items():
        if name not in levels:
            raise ConfigurationError(f"there is no terminal {name!r}; {nearest(name, levels)}")
        if not _is_number(volts):
            raise ConfigurationError(f"the safe level of {name} is a number of volts without a unit, not {volts!r}")
        if not levels[name][0] <= volts <= levels[name][1]:
            raise ConfigurationError(f"the safe level of {name}, {volts:g} V, lies outside its limits {levels[name]}")
    return dict(safe or {})


def _is_number(volts: object) -> bool:
    return isinstance(volts, int | float) and not isinstance(volts, bool)


def require_within(what: str, value: float, allowed: Range, unit: str = "V") -> None:
    """Raise LimitError unless low <= value <= high; not a number is refused, too."""
    if not allowed[0] <= value <= allowed[1]:
        raise LimitError(
            f"{what} would get {value:.6g} {unit}; allowed is [{allowed[0]:g}, {allowed[1]:g}] {unit}; nothing was sent"
        )


def closed_after(instrument: LinkedInstrument) -> None:
    """Give the link back after a failure to set up; the first failure is what matters."""
    with suppress(Exception):
        instrument.link.close()
