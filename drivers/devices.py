"""What is reachable: VISA resources, serial ports, and the instruments and boards that somebody names.

Listing asks the operating system and, for network instruments, the network (VXI-11 discovery of pyvisa-py); it opens
no device.  An instrument that is named is asked *IDN? and nothing else, through a link of its own, under its lease.
A board that is named is asked for its gateware; that opens a session on it, so a host of another machine that uses it
finds it taken.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from drivers.fpga.board import FpgaBoard
from drivers.transport import Lease, canonical_address, open_framed_link, open_link
from labrhel import plugins
from labrhel.config.foreign_drivers import DRIVER, FOREIGN
from labrhel.errors import ConfigurationError, TransportError
from labrhel.rig.devices import Asked, Device, State

if TYPE_CHECKING:
    from drivers.instruments.linked import LinkedInstrument

_USUAL = ("\n", "\r\n")  # servers that wait for the second do not see the end of the first
_AT_ONCE = 8
_HOLDER = re.compile(r"in use by (?:process (\d+)(.*)|(.*)): stop that")


def find(asked: Sequence[Asked], timeout: float) -> Iterator[Device]:
    """A `labrhel.rig.devices.Finder`."""
    groups: dict[str, list[int]] = {}  # one after the other at one address: each would find the other's lease
    asked = [replace(item, kind=_registered(item.kind)) for item in asked]
    for number, item in enumerate(asked):
        with item.at():
            groups.setdefault(canonical_address(item.address), []).append(number)
    known = set(groups)
    drivers = (
        plugins.instrument_drivers() if asked else {}
    )  # first: an answer that comes while QCoDeS is imported is late
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda numbers: [_asked(asked[n], timeout, drivers) for n in numbers], groups.values())
        answers = dict(
            zip((n for numbers in groups.values() for n in numbers), chain.from_iterable(found), strict=True)
        )
    yield from (answers[number] for number in range(len(asked)))
    for device in (*_resources(), *_ports()):
        place = device.address
        with suppress(ConfigurationError):
            place = canonical_address(place)
        if place not in known:
            known.add(place)
            yield device


def driver_of(identity: str, drivers: Mapping[str, type[LinkedInstrument]]) -> str:
    """The kind whose driver fits what an instrument says; empty if there is none."""
    return next((kind for kind, made in drivers.items() if re.search(made.expected, identity, re.IGNORECASE)), "")


def _registered(type_: str) -> str:
    """The kind of what a station file calls `type`; as it is where no such driver is registered."""
    try:
        return plugins.instrument_kind(type_)
    except ConfigurationError:
        return type_


def _asked(item: Asked, timeout: float, drivers: Mapping[str, type[LinkedInstrument]]) -> Device:
    try:
        Lease(item.address).close()
    except TransportError as error:
        found = _HOLDER.search(str(error))
        holder = "another process" if found is None else f"PID {found[1]}{found[2]}" if found[1] else found[3]
        return Device(item.address, State.IN_USE, item.name, driver=item.kind, note=f"in use by {holder}")
    if item.address.startswith(DRIVER):
        note = "its driver has no address, and is not asked here: open the station"
        return Device(item.address, State.LISTED, item.name, driver=item.kind, note=note)
    try:
        identity = _board(item.address, timeout) if "://" in item.address else _instrument(item, timeout, drivers)
    except ConfigurationError as error:  # of a board that is none of ours
        return Device(item.address, State.FAULTY, item.name, driver=item.kind, note=str(error))
    except TransportError as error:
        why = error.__cause__ or error
        note = f"does not answer ({why}): is it on, and is the address right?"
        return Device(item.address, State.FAULTY, item.name, driver=item.kind, note=note)
    if "://" in item.address:
        return Device(item.address, State.ANSWERS, item.name, identity, "fpga")
    if not (identity and identity.isascii() and identity.isprintable()):
        note = f"answers {identity[:60]!r}, which is no text: is it another device, or another baud rate?"
        return Device(item.address, State.FAULTY, item.name, driver=item.kind, note=note)
    if item.kind.startswith(FOREIGN):
        return Device(item.address, State.ANSWERS, item.name, identity, item.kind)
    driver = driver_of(identity, drivers)
    if item.kind in drivers and driver != item.kind:
        note = f"this is no {item.kind}: correct the address, or the type in the station file"
        return Device(item.address, State.FAULTY, item.name, identity, driver, note)
    return Device(item.address, State.ANSWERS, item.name, identity, driver, "" if driver else "no driver fits")


def _instrument(item: Asked, timeout: float, drivers: Mapping[str, type[LinkedInstrument]]) -> str:
    made = drivers.get(item.kind)
    endings = _USUAL if made is None else (made.terminator, *(other for other in _USUAL if other != made.terminator))
    is_stream = item.address.upper().endswith("::SOCKET") or item.address.upper().startswith("ASRL")
    for place, ending in enumerate(endings if is_stream else endings[:1]):
        try:
            with open_link(item.address, timeout=timeout, patience=timeout, retries=0, terminator=ending) as link:
                return link.identity.strip()
        except TransportError:
            if not is_stream or place == len(endings) - 1:
                raise
    raise AssertionError("unreachable")


def _board(where: str, timeout: float) -> str:
    with open_framed_link(where, timeout=timeout, patience=timeout) as link:
        build = FpgaBoard(link).build
    return f"labrhel board, {build.units} units, gateware {build.gateware:08x}"


def _resources() -> Iterator[Device]:
    import pyvisa

    with warnings.catch_warnings(), suppress(Exception):  # backends fail in ways of their own where they have nothing
        warnings.simplefilter("ignore")
        for place in pyvisa.ResourceManager("@py").list_resources():
            if not place.startswith("ASRL"):
                yield Device(place, State.LISTED, note="not asked; --ask asks it")


def _ports() -> Iterator[Device]:
    from serial.tools import list_ports

    for port in list_ports.comports():
        words = f"serial port, {port.description}" if port.description not in ("", "n/a") else "serial port"
        yield Device(f"ASRL{port.device}::INSTR", State.LISTED, note=f"{words}; not asked; --ask writes to it")
