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
    from drivers.foreign.box import open_driver
    from drivers.foreign.digitizer import ForeignDigitizer
    from drivers.foreign.generator import ForeignGenerator
    from drivers.foreign.source import ForeignSource

    opened = open_driver(section.type, name, section.address, section.init, **link)
    try:
        if section.outputs is not None:
            box = ForeignGenerator(name, *opened, section=section.outputs)
        elif section.levels is not None:
            box = ForeignSource(name, *opened, section=section.levels)
        else:
            assert section.inputs is not None
            box = ForeignDigitizer(name, *opened, section=section.inputs)
        box.require_sense()
        return box
    except BaseException:
        driver, wire, _ = opened
        wire.close()
        driver.close()
        raise
