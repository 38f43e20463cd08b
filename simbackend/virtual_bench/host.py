"""One instrument of a bench: the device, the wires that reach it, and the faults it was ordered."""

from __future__ import annotations

import threading
from typing import Protocol

from simbackend.virtual_bench.faults import Fault
from simbackend.virtual_bench.scpi.scpi import Scpi
from simbackend.virtual_bench.scpi.status import Status
from simbackend.virtual_bench.station.catalog import Entry, entry_of, made
from simbackend.virtual_bench.station.spec import InstrumentSection
from simbackend.virtual_bench.wires.exchange import Station
from simbackend.virtual_bench.wires.hislip import HislipServer
from simbackend.virtual_bench.wires.tcp import HOST, Server, serve_scpi
from simbackend.virtual_bench.world.world import World


class Wire(Protocol):
    """What reaches an instrument."""

    def start(self) -> None:
        """Open the same address as before."""
        ...

    def stop(self) -> None:
        """Close the address until `start` opens it again."""
        ...

    def close(self) -> None:
        """Stop permanently, and leave nothing open."""
        ...


class Host:
    """One instrument of a bench with its wires and faults."""

    def __init__(self, name: str, device: Scpi, entry: Entry, world: World) -> None:
        self.name, self.device = name, device
        self._inputs, self._world, self._clock = entry.inputs, world, world.clock
        self.addresses: dict[str, str] = {}
        self._wires: list[Wire] = []
        self._closing = threading.Event()
        self._outages, self._turn = 0, threading.Lock()
        self._returning: list[threading.Thread] = []
        self.station = Station(device, world.clock, entry.terminator, restart=self._restart, pause=self._closing.wait)

    def add(self, kind: str, wire: Wire, address: str) -> None:
        """Make the instrument reachable by one more wire."""
        self._wires.append(wire)
        self.addresses[kind] = address

    def order(self, fault: Fault, after: int = 0) -> None:
        """Order a fault; a clipped input begins at once."""
        if fault.kind != "clip":
            self.station.faults.order(fault, after)
            return
        with self._clock.lock:
            for terminal in self._inputs:
                self._world.overdrive[f"{self.name}.{terminal}"] = fault.amount

    def stop(self) -> None:
        """Close every wire."""
        with self._turn:  # from here on nobody opens a wire again
            self._closing.set()
        for wire in self._wires:
            wire.close()  # ends the threads that could restart
        for thread in self._returning:
            thread.join()

    def _restart(self, seconds: float) -> None:
        """Go away at once, and come back by and by: the last of the restarts that overlap opens the wires again."""
        with self._turn:
            self._outages += 1
        for wire in self._wires:
            wire.stop()
        with self._clock.lock:
            self.device.errors.clear()
            self.device.status = Status()
            self.device.restore()
        thread = threading.Thread(target=self._return, args=(seconds,), name=f"restart {self.name}")
        with self._turn:  # a thread that can be seen can be joined: it has started
            self._returning = [*(other for other in self._returning if other.is_alive()), thread]
            thread.start()

    def _return(self, seconds: float) -> None:
        self._closing.wait(seconds)
        with self._turn:
            self._outages -= 1
            if self._outages == 0 and not self._closing.is_set():
                for wire in self._wires:
                    wire.start()


def host_of(name: str, item: InstrumentSection, world: World, seed: int) -> Host:
    """The instrument `name` of a station on its wires; `seed`: what its own errors are drawn from."""
    entry, options = entry_of(item.kind), item.options()
    if "seed" in entry.options:
        options["seed"] = seed
    with world.clock.lock:
        device = made(item.kind, item.model, world, name, options)
    host = Host(name, device, entry, world)
    for wire in item.wires:
        if wire == "socket":
            server = Server(serve_scpi(host.station), item.port)
            host.add(wire, server, f"TCPIP::{HOST}::{server.port}::SOCKET")
        elif wire == "hislip":
            hislip = HislipServer(host.station)
            host.add(wire, hislip, f"TCPIP::{HOST}::hislip0,{hislip.port}::INSTR")
        else:
            from simbackend.virtual_bench.wires.serial_line import SerialLine  # pseudo-terminals are for Unix only

            line = SerialLine(host.station)
            host.add(wire, line, f"ASRL{line.path}::INSTR")
    return host
