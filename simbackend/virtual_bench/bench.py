"""A virtual bench: instruments on real wires around one physics, started and stopped as one."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from labrhel.config import Document, find
from labrhel.config import load as load_configuration
from labrhel.errors import ConfigurationError, InstrumentError
from labrhel.experiment.model import model_of
from simbackend.imperfections import Device, Imperfections
from simbackend.imperfections.settings import imperfections_of
from simbackend.models.simulable import Simulable
from simbackend.rigs.simulated import capabilities_of
from simbackend.virtual_bench.control import serve_control
from simbackend.virtual_bench.host import Host, host_of
from simbackend.virtual_bench.station.catalog import entry_of
from simbackend.virtual_bench.station.spec import BenchSpec, load
from simbackend.virtual_bench.station.wiring import Wiring, refuse_what_is_not_acted_out, wired
from simbackend.virtual_bench.wires.tcp import HOST, Server
from simbackend.virtual_bench.world.clock import Clock
from simbackend.virtual_bench.world.motion import Oscillators
from simbackend.virtual_bench.world.world import World

_PACE = 0.01  # s; how far the motion may lag behind a bench that is as slow as a real one


class Bench:
    """All hosts by name, the clock and the world; a context manager that closes them."""

    def __init__(self, spec: BenchSpec, wiring: Wiring, world: World, model: Simulable, speed: float) -> None:
        self.hosts: dict[str, Host] = {}
        self.clock, self.world = world.clock, world
        self.spec, self.wiring, self.model, self.speed = spec, wiring, model, speed
        self._control = Server(serve_control(self.hosts, world))
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
    spec, wiring, model, errors = _planned(name)
    clock = Clock(speed)
    oscillators = Oscillators(model, errors, wiring.drives, wiring.turns, spec.step)
    world = World(oscillators, wiring.senses, clock, spec.ring_down, wiring.switched)
    for line, into, delay in wiring.triggers:
        world.listen(line, delay, _relay(world, into))
    bench = Bench(spec, wiring, world, model, speed)
    try:
        for key, item in spec.instruments.items():
            bench.hosts[key] = host_of(key, item, world, errors.seed)
    except BaseException:
        bench.close()
        raise
    return bench


def check_file(name: str | Path) -> None:
    """Raise ConfigurationError for the file of a bench that cannot be built; nothing is started."""
    _planned(name)


def _planned(name: str | Path) -> tuple[BenchSpec, Wiring, Simulable, Imperfections]:
    """The file of a bench, its leads, its oscillators and what is wrong with them.  Raises ConfigurationError."""
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
    return spec, wired(spec.leads, entries, model, errors, source), model, errors


def _document(name: str, folder: Path) -> Document:
    beside = folder / name
    return load_configuration(beside if beside.is_file() else find(name))


def _relay(world: World, into: str) -> Callable[[float], None]:
    return lambda moment: world.pulse(into, moment)
