"""Instruments by the name of their dialect, or by the class that a station file names: see `labrhel.plugins`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from drivers.instruments.unlisted import unlisted
from drivers.transport import open_link
from labrhel import plugins
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError

if TYPE_CHECKING:
    from drivers.instruments.linked import LinkedInstrument
    from drivers.roles import Instrument
    from labrhel.config.station_sections import InstrumentSection


def open_section(name: str, section: InstrumentSection, **link: Any) -> Instrument:
    """Open an instrument as a station file says it, with a driver of ours or of somebody else; nothing in it changes.

    Its name is that of its station.  QCoDeS's register of names, one for the whole process, does not hold it: two
    stations that call their generators awg1 can be open at a time, and one be made safe while another is.
    `link`: what the station file does not say of its link, such as `log`.  Raises what `open_instrument` raises.
    """
    if section.is_foreign:
        from drivers.foreign import open_foreign

        return open_foreign(name, section, **link)
    made = _checked(section.type, section.init | link)
    return unlisted(made)(name, section.address, **(section.init | link))


def import_driver(section: InstrumentSection) -> None:
    """Import the driver of an instrument; raises ConfigurationError if it cannot be had."""
    if section.is_foreign:
        from drivers.foreign import classes, digitizer, generator, source  # noqa: F401  (before threads are begun)

        classes.driver_class(section.type)
    else:
        plugins.instrument_driver(section.type)


def open_instrument(kind: str, name: str, address: str, **options: Any) -> LinkedInstrument:
    """Open the instrument at a VISA address as `name`; nothing in it changes.

    `kind`: the name under which its driver is registered, or module and class of it; `options`: those of its class, and
    of its link (`drivers.transport.open_link`).  Raises ConfigurationError for a kind or an option that does not exist,
    and for another instrument at that address; TransportError if nobody answers.
    """
    made = _checked(kind, options)
    if made.exist(name, made.__mro__[-1]):
        raise ConfigurationError(f"an instrument {name!r} is open already: close it first, or choose another name")
    return made(name, address, **options)


def _checked(kind: str, options: Iterable[str]) -> Any:
    """The class of a driver that has these options."""
    made = plugins.instrument_driver(kind)
    known = _options(made)
    for option in options:
        if option not in known:
            raise ConfigurationError(f"a {kind} has no option {option!r}; {nearest(option, known)}")
    return made


def _options(made: type) -> set[str]:
    """What may be said of an instrument: by the drivers that it builds on, and by its link."""
    from drivers.instruments.linked import LinkedInstrument

    own = made.__mro__[: made.__mro__.index(LinkedInstrument)]
    makers = [vars(parent)["__init__"] for parent in own if "__init__" in vars(parent)]
    named = {item.name for maker in (*makers, open_link) for item in inspect.signature(maker).parameters.values()
             if item.kind is item.KEYWORD_ONLY}  # fmt: skip
    return named - {"marker"}
