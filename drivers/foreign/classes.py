"""From `qcodes:MODULE.CLASS` in a station file to the driver's class: whose code that may be.

A station file is data from anywhere, so it names code and brings none: the package must have been installed in this
Python (drivers.foreign.installed).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from typing import Any

from qcodes.instrument import VisaInstrument

from drivers.foreign.installed import require_installed
from labrhel.config.foreign_drivers import FOREIGN, problem_of
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError


def driver_class(type_: str) -> type[VisaInstrument]:
    """The class of a driver; raises ConfigurationError if it cannot be had, or is no VISA driver of QCoDeS."""
    module, name = require_installed(type_)
    try:
        found = import_module(module)
    except Exception as error:  # of code that is not ours
        raise ConfigurationError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    made = getattr(found, name, None)
    if made is None:
        known = [
            key for key, item in vars(found).items() if isinstance(item, type) and issubclass(item, VisaInstrument)
        ]
        raise ConfigurationError(f"{module} has no {name!r}; {nearest(name, known)}")
    if not (isinstance(made, type) and issubclass(made, VisaInstrument)):
        raise ConfigurationError(f"{named_of(type_)} is no QCoDeS driver of a VISA instrument (a VisaInstrument)")
    return made


def named_of(type_: str) -> str:
    """Module and class, as Python writes them."""
    return type_.removeprefix(FOREIGN)


def check_options(made: type[VisaInstrument], options: Mapping[str, Any]) -> None:
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
