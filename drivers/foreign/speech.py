"""Steps and questions of a station file, done and asked of a driver by its own names.

A name is a path from the driver through its channels to a parameter, a function, or a method of the driver itself;
what QCoDeS gives to every instrument is left alone, but for `write`, `ask` and the messages of its VISA resource.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pyvisa.errors import VisaIOError
from pyvisa.resources import MessageBasedResource
from qcodes.instrument import ChannelTuple, Instrument, InstrumentBase, VisaInstrument
from qcodes.parameters import Function, ParameterBase

from drivers.transport.permit import require_permit
from labrhel.config.problems import nearest
from labrhel.config.templates import filled
from labrhel.errors import ConfigurationError, InstrumentError, LabrhelError, TransportError

T = TypeVar("T")
_OF_ALL = "write", "ask"
_MESSAGES = (
    "write", "query", "write_raw", "write_binary_values", "write_ascii_values", "query_binary_values",
    "query_ascii_values",
)  # fmt: skip
_BASES = "qcodes.instrument.", "qcodes.metadatable", "qcodes.utils", "builtins", "abc", "typing", "collections"
_SHOWN = 300  # characters of what a driver says


class Speech:
    """How the instrument `name` is told and asked through its driver."""

    def __init__(self, name: str, driver: Instrument) -> None:
        self._name, self._driver = name, driver
        self._known: dict[str, Any] = {}

    def require(self, step: Any, values: Mapping[str, Any]) -> None:
        """Raise ConfigurationError if a step names what the driver does not have; nothing is sent."""
        self._found(_filled(_named(step), values))

    def settable(self, name: str, values: Mapping[str, Any]) -> None:
        """Raise ConfigurationError unless a name is that of a parameter."""
        path = _filled(name, values)
        if not isinstance(self._found(path), ParameterBase):
            raise ConfigurationError(f"{path} of {type(self._driver).__name__} is a function, where a parameter is due")

    def takes(self, step: Any, values: Mapping[str, Any]) -> None:
        """Raise ConfigurationError for what a driver would not do of a step, as its validators say; nothing is sent."""
        path, found = self._step(step, values)
        made = type(self._driver).__name__
        if isinstance(found, ParameterBase):
            if not (found.gettable if isinstance(step, str) else found.settable):
                raise ConfigurationError(f"{path} of {made} cannot be {'asked' if isinstance(step, str) else 'set'}")
            if isinstance(step, str):
                return
        arguments, more = _arguments(step, found, values)
        try:
            if isinstance(found, ParameterBase | Function):
                found.validate(*arguments, **more)
            elif (taken := _signature(found)) is not None:
                taken.bind(*arguments, **more)
        except Exception as error:  # a validator may raise anything
            given = ", ".join(map(repr, [*arguments, *more.values()])) or "nothing"
            raise ConfigurationError(f"{path} of {made} does not take {given}: {_words(error)}") from None

    def same(self, name: str, value: Any, values: Mapping[str, Any]) -> list[Any]:
        """What a parameter may answer once it was set to a value: that, and all that its driver takes for the same."""
        words = getattr(self._found(_filled(name, values)), "val_mapping", None) or {}
        return [value, *(word for word, raw in words.items() if value in words and raw == words[value])]

    def answers(self, name: str, values: Mapping[str, Any]) -> bool:
        """Whether a parameter can be asked."""
        return bool(getattr(self._found(_filled(name, values)), "gettable", False))

    def set(self, name: str, value: Any, values: Mapping[str, Any]) -> None:
        """Set a parameter."""
        self.do({name: value}, values)

    def do(self, step: Any, values: Mapping[str, Any]) -> Any:
        """Do a step, or ask a question: what the driver returns.

        Raises TransportError if the instrument does not answer, InstrumentError for whatever else the driver raises.
        """
        path, found = self._step(step, values)
        arguments, more = _arguments(step, found, values)
        require_permit()  # of a driver with a wire of ours it is asked below, too
        return told(self._name, f"{path} of its driver", lambda: found(*arguments, **more))

    def _step(self, step: Any, values: Mapping[str, Any]) -> tuple[str, Any]:
        path = _filled(_named(step), values)
        return path, self._found(path)

    def _found(self, path: str) -> Any:
        """What a path leads to, from the driver on."""
        if path in self._known:
            return self._known[path]
        item: Any = self._driver
        for part in path.split("."):
            known = _parts(item)
            if part not in known:
                raise ConfigurationError(
                    f"{type(self._driver).__name__} has no {path!r}: {nearest(part, sorted(known))}"
                )
            item = known[part]()
        if not callable(item) or isinstance(item, InstrumentBase | ChannelTuple):
            raise ConfigurationError(f"{path} of {type(self._driver).__name__} is no parameter and no function")
        self._known[path] = item
        return item


def told(name: str, what: str, action: Callable[[], T]) -> T:
    """What a driver's function returns; what it raises, as an error of ours that begins with `name`."""
    try:
        return action()
    except LabrhelError as error:
        error.args = error.args[:1]  # QCoDeS adds to whatever passes through it
        raise
    except (VisaIOError, OSError) as error:
        refused = any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error))
        words = "nobody listens there" if refused else _words(error)
        raise TransportError(f"{name}: {what}: {words}: look at the device and its cable") from error
    except Exception as error:  # a driver may raise anything
        said = _words(error)
        raise InstrumentError(f"{name}: {what} failed: {said}", answer=said) from error


def is_message(step: Any) -> bool:
    """Whether a step only sends words of the instrument itself, of which its driver learns nothing."""
    return _named(step).rpartition(".")[2] in (*_OF_ALL, *_MESSAGES)


def _parts(item: Any) -> dict[str, Callable[[], Any]]:
    """What may be named of a driver, a channel, several of them, or a VISA resource."""
    if isinstance(item, ChannelTuple):
        return {channel.short_name: lambda channel=channel: channel for channel in item}
    if not isinstance(item, InstrumentBase):
        names = _MESSAGES if isinstance(item, MessageBasedResource) else ()
        return {name: lambda name=name: getattr(item, name) for name in names}
    found: dict[str, Callable[[], Any]] = {}
    for kind in type(item).__mro__:
        for name, made in vars(kind).items():
            is_own = not kind.__module__.startswith(_BASES)
            if callable(made) and not name.startswith("_") and (is_own or name in _OF_ALL):
                found.setdefault(name, lambda name=name: getattr(item, name))
    if isinstance(item, VisaInstrument):
        found["visa_handle"] = lambda: item.visa_handle
    for named in (item.functions, item.submodules, item.parameters):
        found |= {name: lambda part=part: part for name, part in named.items()}
    return found


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    try:
        return filled(template, values)
    except ValueError as error:
        raise ConfigurationError(f"{template!r} of the station file: {error}") from None


def _named(step: Any) -> str:
    return step if isinstance(step, str) else next(iter(step))


def _arguments(step: Any, found: Any, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """What a step gives to what it names, in order and by name."""
    if isinstance(step, str):
        return [], {}
    argument = _filled(step[next(iter(step))], values)
    if isinstance(found, ParameterBase):
        return [argument], {}
    if isinstance(argument, Mapping):
        return [], {str(key): item for key, item in argument.items()}
    return (argument if isinstance(argument, list) else [argument]), {}


def _signature(found: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(found)
    except (TypeError, ValueError):  # made outside Python
        return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(error: Exception) -> str:
    """What a driver says; QCoDeS adds what it was doing."""
    parts = [" ".join(str(part).split()) for part in error.args]
    return "; ".join(part for part in parts if part)[:_SHOWN] or type(error).__name__
