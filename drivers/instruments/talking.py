"""How an instrument is told and asked: every refusal is known at once, under the name of what was refused.

By IEEE 488.2 an instrument drops the rest of a message behind a header that it does not know, a question for errors
included.  So commands are a message of their own, and the question for errors comes in the next one:

    :OUTP1 ON;:TRIG1:SOUR BUS
    :SYST:ERR?;:OUTP1?;:SYST:ERR?

Where questions are asked, that message begins and ends with it: a question that is refused leaves the first answer
alone, which says so without a time-out.  An instrument that answers nothing at all is asked for errors before its wire
is blamed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any, ClassVar, NamedTuple, TypeVar

from drivers.instruments.answers import error, looks_like_error, units
from drivers.transport import Link, LinkError, is_repeatable
from drivers.transport.port import DamageError
from labrhel.errors import InstrumentError, TransportError

T = TypeVar("T")
ERROR = ":SYST:ERR?"
TRIES = 3
_MOST_ERRORS = 30  # longer than any queue
_SHOWN = 300  # characters of commands in a sentence


class _Said(NamedTuple):
    """What one message brought: errors, the value unless there were some, and all of it where answers are missing."""

    errors: list[str]
    value: list[Any]
    short: list[str]


class Talking:
    """The part of an instrument that speaks; `link` and `name` are those of the instrument."""

    joins_commands: ClassVar[bool] = True
    """Whether several commands may come in one message, separated by semicolons."""
    link: Link
    _mendings = 0
    """How often the link was mended."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The instrument's name."""

    def ask_as(self, question: str, parse: Callable[[str], T], *, repeat: bool | None = None) -> T:
        """What `parse` (drivers.instruments.answers) makes of the answer to one question.

        A damaged answer is asked for again if the question only reads, or `repeat` says so.  Raises InstrumentError for
        a question that is refused, TransportError for an answer that is damaged every time.
        """
        if not self.joins_commands or ";" in question or "ERR" in question.upper():
            return self.link.query_as(question, parse, repeat=repeat)
        repeat = is_repeatable(question) if repeat is None else repeat
        return self._converse(lambda answers: parse(answers[0]), [question], TRIES if repeat else 1, repeat=repeat)

    def _do(self, *commands: str) -> list[str]:
        """Obey; the answers to the questions among `commands`.  InstrumentError carries what the instrument refuses."""
        return self._do_as(list[str], *commands)

    def _do_as(self, parse: Callable[[list[str]], T], *commands: str, again: bool = False) -> T:
        """Obey, and convert the answers to the questions among `commands`; a ValueError of `parse` is a damaged answer.

        `again`: all of it is sent again where the answers are damaged.
        """
        if not self.joins_commands:
            return self._one_by_one(parse, commands)
        return self._converse(parse, commands, TRIES if again else 1, repeat=False)

    def _converse(self, parse: Callable[[list[str]], T], commands: Sequence[str], tries: int, *, repeat: bool) -> T:
        for left in reversed(range(tries)):
            with self.link.exclusive():
                try:
                    said = self._together(parse, commands, repeat=repeat)
                except LinkError as problem:
                    if repeat or not left or not isinstance(problem.__cause__, DamageError):
                        raise
                    continue
                if said.value:
                    return said.value[0]
                is_older = said.errors != [] and "?" in commands[0]
                self._refuse(commands, said.errors, is_older=is_older and said.errors[0] == said.short[0])
            if not left:
                raise InstrumentError(
                    f"{self.name} answers only a part of {_spelled(commands)}: {'; '.join(said.short)!r}",
                    answer=";".join(said.short),
                )
        raise AssertionError("unreachable")

    def _each(self, commands: Iterable[str]) -> None:
        """Every command in a message of its own, whatever the instrument says to the others; the first refusal."""
        first: InstrumentError | None = None
        for command in commands:
            try:
                self._do(command)
            except InstrumentError as error:
                first = first or error
        if first is not None:
            raise first

    def _do_blocks(self, *blocks: tuple[str, bytes]) -> None:
        """Send commands that end in a block each, a message each; InstrumentError if one is refused."""
        with self.link.exclusive():
            if found := self.link.query_as(ERROR, error, first=blocks):
                self._refuse([text for text, _ in blocks], [found])

    def _together(self, parse: Callable[[list[str]], Any], commands: Sequence[str], *, repeat: bool) -> _Said:
        told = list(takewhile(lambda command: "?" not in command, commands))
        asked = commands[len(told) :]
        due = sum("?" in command for command in asked)
        text = ";".join(map(_rooted, [ERROR, *asked, ERROR])) if asked else ERROR

        def read(answer: str) -> _Said:
            parts = units(answer)
            errors = [found for found in [error(parts[0])] if found]
            if not asked and len(parts) == 1:
                return _Said(errors, [] if errors else [parse([])], parts)
            if len(parts) == due + 2:
                errors += [found for found in [error(parts[-1])] if found]
                return _Said(errors, [] if errors else [parse(parts[1:-1])], parts)
            return _Said(errors + [part for part in parts[1:] if looks_like_error(part)], [], parts)

        first = [";".join(map(_rooted, told))] if told else []
        return self.link.query_as(text, read, first=first, repeat=repeat)

    def _one_by_one(self, parse: Callable[[list[str]], T], commands: Sequence[str]) -> T:
        """Again if the link was mended in between: some may not have arrived.  Only for what may be repeated."""
        problem: Exception = TransportError(f"{self.name}: the link failed {TRIES} times during {_spelled(commands)}")
        with self.link.exclusive():
            for _ in range(TRIES):
                before, answers, told = self._mendings, list[str](), list[str]()
                for command in commands:
                    if "?" in command:
                        again = is_repeatable(command)
                        answers.append(self.link.query_as(command, str, first=told, repeat=again))
                        told = []
                    else:
                        told.append(command)
                if found := self.link.query_as(ERROR, error, first=told):
                    self._refuse(commands, [found])
                if self._mendings != before:
                    continue
                try:
                    return parse(answers)
                except ValueError as wrong:
                    problem = InstrumentError(
                        f"{self.name} answers what it should not to {_spelled(commands)}: {wrong}",
                        answer=";".join(answers),
                    )
        raise problem

    def _refuse(self, commands: Iterable[str], found: Sequence[str] = (), *, is_older: bool = False) -> None:
        """Raise InstrumentError if the instrument keeps an error, or some were `found` already, after `commands`."""
        errors = list(found)
        while len(errors) < _MOST_ERRORS and (kept := self.link.query_as(ERROR, error)):
            errors.append(kept)
        if errors:
            words = "; ".join(errors)
            when = "of something that came before" if is_older else "after"
            raise InstrumentError(f"{self.name} says {words} {when} {_spelled(commands)}", answer=words)

    def _ask_why(self, text: str) -> None:
        """For `Link.on_silence`: an instrument that does not know a question keeps an error instead of an answer."""
        self._refuse([text])


def _rooted(command: str) -> str:
    """A header that begins anew, behind whatever other one in a message."""
    return command if command[:1] in (":", "*") else f":{command}"


def _spelled(commands: Iterable[str]) -> str:
    return "; ".join(commands)[:_SHOWN]
