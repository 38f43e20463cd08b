"""From `qcodes:MODULE.CLASS` in a station file to the driver's class: whose code that may be.

A station file is data from anywhere, so it names code and brings none: the package must have been installed in this
Python (drivers.foreign.installed).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from typing import Any

from qcodes.instrument import Instrument, VisaInstrument

from drivers.foreign.installed import require_installed
from labrhel.config.foreign_drivers import FOREIGN, problem_of, problem_of_arguments
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError


def driver_class(type_: str) -> type[Instrument]:
    """The class of a driver; raises ConfigurationError if it cannot be had, or is no driver of QCoDeS."""
    module, name = require_installed(type_)
    try:
        found = import_module(module)
    except Exception as error:  # of code that is not ours
        raise ConfigurationError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    made = getattr(found, name, None)
    if made is None:
        known = [key for key, item in vars(found).items() if isinstance(item, type) and issubclass(item, Instrument)]
        raise ConfigurationError(f"{module} has no {name!r}; {nearest(name, known)}")
    if not (isinstance(made, type) and issubclass(made, Instrument)) or made is Instrument:
        raise ConfigurationError(f"{named_of(type_)} is no QCoDeS driver of an instrument")
    return made


def named_of(type_: str) -> str:
    """Module and class, as Python writes them."""
    return type_.removeprefix(FOREIGN)


def require_visa(made: type[Instrument], *, has_address: bool) -> None:
    """Raise ConfigurationError for an address of a driver that speaks no VISA, and for arguments of one that does."""
    if issubclass(made, VisaInstrument) == has_address:
        return
    if has_address:
        raise ConfigurationError(
            f"{made.__name__} is no driver of a VISA instrument (a VisaInstrument): say what it is made with in "
            "`arguments`, in place of `address`"
        )
    raise ConfigurationError(
        f"{made.__name__} is a driver of a VISA instrument: give its `address`, and further arguments in `init`, so "
        "that its wire is watched over"
    )


def check_arguments(made: type[Instrument], arguments: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for an argument that a driver without VISA does not take, or that names a file."""
    if problem := problem_of_arguments(arguments):
        raise ConfigurationError(problem[1])
    taken = signature(made.__init__).parameters
    if any(item.kind is item.VAR_KEYWORD for item in taken.values()):
        return
    for argument in arguments:
        if argument not in taken:
            raise ConfigurationError(f"{made.__name__} has no argument {argument!r}; {nearest(argument, taken)}")


def check_options(made: type[Instrument], options: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for an option that a driver does not take, or that names a file."""
    taken = signature(made.__init__).parameters
    takes_any = any(item.kind is item.VAR_KEYWORD for item in taken.values())
    if not takes_any and "visalib" not in taken:
        raise ConfigurationError(f"{made.__name__} takes no `visalib`, so its wire cannot be watched over")
    if problem := problem_of(options):
        raise ConfigurationError(problem[1])
    for option in options:
        if not takes_any and option not in taken:
            raise ConfigurationError(f"{made.__name__} has no option {option!r}; {nearest(option, taken)}")
