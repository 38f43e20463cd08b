"""From `qcodes:MODULE.CLASS` in a station file to the driver's class: whose code that may be.

A station file is data from anywhere, so it names code and brings none: the package must be installed in this Python,
by pip or as an editable one.  What lies in the working folder or beside the file is not, whatever Python would import.
"""

from __future__ import annotations

import re
import site
import sysconfig
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.machinery import PathFinder
from inspect import signature
from pathlib import Path
from typing import Any

from qcodes.instrument import VisaInstrument

from labrhel.config.problems import nearest
from labrhel.config.station_sections import FOREIGN
from labrhel.errors import ConfigurationError

_NAME = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+")
_OURS = "name", "address", "visalib", "pyvisa_sim_file", "resource"
_FILES = re.compile(r"[/\\]|\.(dll|so|dylib|py)$", re.IGNORECASE)


def require_installed(type_: str) -> tuple[str, str]:
    """Module and class that a type names; imports nothing.

    Raises ConfigurationError for what is no such name, and for a package that is not installed.
    """
    named = type_.removeprefix(FOREIGN)
    if not _NAME.fullmatch(named):
        raise ConfigurationError(
            f"a driver is named by its module and class, such as {FOREIGN}qcodes.instrument_drivers.Keysight."
            f"Keysight33522B, not {type_!r}"
        )
    package = named.partition(".")[0]
    if PathFinder.find_spec(package, list(_installed())) is None:
        raise ConfigurationError(
            f"{package!r} is no installed package: `pip install` it; a station file names drivers, and brings none"
        )
    module, _, name = named.rpartition(".")
    return module, name


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
    for option, value in options.items():
        if option in _OURS:
            raise ConfigurationError(f"init: {option} of a driver is set here: leave it out")
        if not takes_any and option not in taken:
            raise ConfigurationError(f"{made.__name__} has no option {option!r}; {nearest(option, taken)}")
        if isinstance(value, str) and _FILES.search(value):
            raise ConfigurationError(f"init: {option}: a station file names no files, such as {value!r}")


def _installed() -> Iterator[str]:
    """Folders into which packages are installed, and those that editable ones stand in."""
    paths = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    paths |= {*site.getsitepackages()} | ({site.getusersitepackages()} if site.ENABLE_USER_SITE else set())
    for path in filter(None, paths):
        yield path
        for link in sorted(Path(path).glob("*.pth")):
            for line in link.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.strip() and not line.startswith(("import ", "import\t", "#")):
                    yield str(Path(path, line.strip()))
