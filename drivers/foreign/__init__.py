"""Instruments with somebody else's QCoDeS driver, in the roles that a station file gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drivers.foreign.box import Box
    from labrhel.config.station_sections import InstrumentSection


def open_foreign(name: str, section: InstrumentSection, **link: Any) -> Box:
    """Open an instrument of a station by the driver that it names; `link` as of `open_driver_wire`.

    Raises ConfigurationError for a driver that is not there or lacks what the station file names, TransportError if
    nobody answers.
    """
    from drivers.foreign.box import open_driver, open_without_wire
    from drivers.foreign.digitizer import ForeignDigitizer
    from drivers.foreign.generator import ForeignGenerator
    from drivers.foreign.several import as_one
    from drivers.foreign.source import ForeignSource

    if section.address:
        opened = open_driver(section.type, name, section.address, section.init, **link)
    else:
        opened = open_without_wire(section.type, name, section.arguments, section.init, **link)
    try:
        roles: list[Box] = []
        if section.outputs is not None:
            roles.append(ForeignGenerator(name, *opened, section=section.outputs))
        if section.inputs is not None:
            roles.append(ForeignDigitizer(name, *opened, section=section.inputs))
        if section.levels is not None:
            roles.append(ForeignSource(name, *opened, section=section.levels))
        box = as_one(roles, name, *opened)
        box.require_sense()
        return box
    except BaseException:
        driver, wire, _ = opened
        wire.close()
        driver.close()
        raise
