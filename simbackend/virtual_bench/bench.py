"""A virtual bench: instruments on real wires around one physics, started and stopped as one."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol

from labrhel.config import Document, find
from labrhel.config import load as load_configuration
from labrhel.errors import ConfigurationError, InstrumentError
from labrhel.experiment.model import model_of
from simbackend.imperfections import Device
from simbackend.imperfections.settings import imperfections_of
from simbackend.models.simulable import Simulable
from simbackend.rigs.simulated import capabilities_of
from simbackend.virtual_bench.control import serve_control
from simbackend.virtual_bench.faults import Fault
from simbackend.virtual_bench.scpi.scpi import Scpi
from simbackend.virtual_bench.station.catalog import Entry, entry_of, made
from simbackend.virtual_bench.station.spec import BenchSpec, InstrumentSection, load
from simbackend.virtual_bench.station.wiring import Wiring, refuse_what_is_not_acted_out, wired
from simbackend.virtual_bench.wires.exchange import Station
from simbackend.virtual_bench.wires.hislip import HislipServer
from simbackend.virtual_bench.wires.tcp import HOST, Server, serve_scpi
from simbackend.virtual_bench.world.clock import Clock
from simbackend.virtual_bench.world.motion import Oscillators
from simbackend.virtual_bench.world.world import World

_PACE = 0.01  # s; how far the motion may lag behind a bench that is as slow as a real one


class Wire(Protocol):
    """What reaches an instrument."""

    def start(self) -> None:
        """Be reachable, at the same address as before."""
        ...

    def stop(self) -> None:
        """Be reachable no more, for now."""
        ...

    def close(self) -> None:
        """Stop for ever, and leave nothing open."""
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
        """Reach it by one more wire."""
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
            self.device.event_status = 0
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


class Bench:
    """All hosts by name, the clock and the world; a context manager that closes them."""

    def __init__(self, spec: BenchSpec, wiring: Wiring, world: World, model: Simulable, speed: float) -> None:
        self.hosts: dict[str, Host] = {}
        self.clock, self.world = world.clock, world
        self.spec, self.wiring, self.model, self.speed = spec, wiring, model, speed
        self._control = Server(serve_control(self))
        self._closing = threading.Event()
        self._pacemaker = None if self.clock.skips else threading.Thread(target=self._keep_up, name="bench")
        if self._pacemaker is not None:
            self._pacemaker.start()

    @property
    def control(self) -> tuple[str, int]:
        """Host and port of the side channel (`simbackend.virtual_bench.control`)."""
        return HOST, self._control.port

    @property
    def addresses(self) -> dict[str, dict[str, str]]:
        """VISA addresses by instrument and wire."""
        return {name: dict(host.addresses) for name, host in self.hosts.items()}

    def describe(self) -> list[str]:
        """One line for each way to reach an instrument, and the control port."""
        lines = [
            f"{name:10}{wire:8}{address:44}{','.join(host.device.identity[:2])}"
            for name, host in self.hosts.items()
            for wire, address in host.addresses.items()
        ]
        return [*lines, f"{'control':10}{'tcp':8}{HOST}:{self._control.port}"]

    def close(self) -> None:
        """Stop all threads, close all sockets and lines."""
        self._closing.set()
        if self._pacemaker is not None:
            self._pacemaker.join()
        self.clock.close()
        for host in self.hosts.values():
            host.stop()
        self._control.close()

    def _keep_up(self) -> None:
        while not self._closing.wait(_PACE):
            with self.clock.lock, suppress(InstrumentError):  # of a motion that diverges whoever looks at it is told
                self.world.keep_up()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def virtual_bench(name: str | Path, *, speed: float = math.inf) -> Bench:
    """Start a bench: a station that comes with labrhel, or a file; `speed`: see `simbackend.virtual_bench.world.clock`.

    Raises ConfigurationError for what cannot be built, TransportError for a port that somebody else has.
    """
    spec, source = load(name)
    document = _document(spec.model, source.file.parent)
    model = model_of(document)
    if not isinstance(model, Simulable):
        raise ConfigurationError(f"a virtual bench simulates separable Hamiltonians, not {type(model).__name__}")
    section = document.config.imperfections if spec.imperfections is None else spec.imperfections
    declared = capabilities_of(model, "bench")
    errors = imperfections_of(section, model, declared)
    refuse_what_is_not_acted_out(Device(errors, model, declared).acts)
    entries = {key: entry_of(item.kind) for key, item in spec.instruments.items()}
    clock = Clock(speed)
    wiring = wired(spec.leads, entries, model, errors, source)
    oscillators = Oscillators(model, errors, wiring.drives, wiring.turns, spec.step)
    world = World(oscillators, wiring.senses, clock, spec.ring_down, wiring.switched)
    for line, into, delay in wiring.triggers:
        world.listen(line, delay, _relay(world, into))
    bench = Bench(spec, wiring, world, model, speed)
    try:
        for key, item in spec.instruments.items():
            bench.hosts[key] = _host(key, item, world, errors.seed)
    except BaseException:
        bench.close()
        raise
    return bench


def _document(name: str, folder: Path) -> Document:
    beside = folder / name
    return load_configuration(beside if beside.is_file() else find(name))


def _relay(world: World, into: str) -> Callable[[float], None]:
    return lambda moment: world.pulse(into, moment)


def _host(name: str, item: InstrumentSection, world: World, seed: int) -> Host:
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
