"""A virtual bench whose terminals are watched, behind sockets, or obeying drivers in the same process."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.random_stations import OUTPUTS
from drivers.transport.deadline import Deadline
from drivers.transport.port import Port
from drivers.transport.replayed import ReplayedTraffic
from simbackend.virtual_bench import Bench, virtual_bench
from simbackend.virtual_bench.scpi.messages import Framer
from simbackend.virtual_bench.wires.exchange import Station
from simbackend.virtual_bench.world.signals import Ramp

STEP = 0.05
"""Between kicks [model time]."""

_MODEL = """
model:
  oscillators: 2
  coupling: chain
  units: {time: ms, position: V, input: V}
  parameters: {stiffness: [1.0, 1.3], coupling: {value: 0.15, train: true}, input: [[1.0], [0.0]]}
  readout: {channels: [q2]}
rig: "sim:"
protocol: {rule: rhel, record: none}
optimizer: {kind: adam, steps: 1}
data:
  teacher: {parameters: {coupling: 0.25}, input: {amplitude: 0.3, band: [0.08, 0.35], tones: 8, seed: 3}, samples: 60,
            spacing: 0.2, sequences: 1}
  substeps: 4
  skip: 10
"""
_BENCH = """
model: model.yaml
ring_down: 5ms
instruments:
  awg: {kind: keysight_33600}
  scope: {kind: rigol_ds1000z}
  bias: {kind: qdac2}
  supply: {kind: e36300}
leads:
  - {wire: awg.ch1, to: u1}
  - {wire: awg.ch2, to: f2}
  - {wire: awg.sync, to: scope.ch4}
  - {wire: q1, to: scope.ch1, reach: 4}
  - {wire: q2, to: scope.ch2, reach: 4}
"""


class Inside(ReplayedTraffic):
    """In place of wires: what a driver sends is obeyed by the virtual instrument of its address, here and now."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(Path("/dev/null"))
        self._stations = {
            next(iter(host.addresses.values())).casefold().replace("tcpip0", "tcpip"): host.station
            for host in bench.hosts.values()
        }

    def port(self, name: str) -> Any:
        """The instrument of an address."""
        return InsidePort(name, self._stations[name.casefold().replace("tcpip0", "tcpip")])


class InsidePort(Port):
    """A port whose other end is an instrument in this process."""

    def __init__(self, name: str, station: Station) -> None:
        super().__init__(name, None)
        self._station, self._framer, self._answer = station, Framer(), bytearray()

    def interrupt(self) -> None: ...

    def close(self) -> None: ...

    def _write(self, data: bytes, deadline: Deadline) -> None:
        for message in self._framer.feed(data):
            self._answer += self._station.obey(message) or b""

    def _read_into(self, view: memoryview, deadline: Deadline) -> int:
        if not self._answer:
            raise TimeoutError("no answer")
        count = min(len(view), len(self._answer))
        view[:count] = self._answer[:count]
        del self._answer[:count]
        return count

    def _poll(self) -> bool:
        return bool(self._answer)


class Lab:
    """A virtual bench whose terminals are watched: `seen` has every voltage that a terminal was brought to."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seen: dict[str, list[float]] = defaultdict(list)
        self._by_hand = False
        self._turn = bench.world.turn
        bench.world.turn = self._watch_turn  # pyright: ignore[reportAttributeAccessIssue]
        for terminal in OUTPUTS:
            self._watch_output(terminal)

    @property
    def addresses(self) -> dict[str, str]:
        return {name: next(iter(each.values())) for name, each in self.bench.addresses.items()}

    def fresh(self) -> None:
        """Every instrument as after switching it on."""
        with self.bench.clock.lock, self.by_hand():
            for host in self.bench.hosts.values():
                host.device.errors.clear()
                host.device.restore()
        self.seen.clear()

    def hand(self, terminal: str, volts: float) -> None:
        """Somebody turns a level at the instrument itself."""
        box, _, own = terminal.partition(".")
        words = f":SOUR{own[2:]}:VOLT {volts:.6g}" if box == "bias" else f":VOLT {abs(volts):.6g},(@{own[2:]})"
        with self.bench.clock.lock, self.by_hand():
            self.bench.hosts[box].device.execute(words.encode())

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """What happens meanwhile is no driver's."""
        self._by_hand = True
        try:
            yield
        finally:
            self._by_hand = False

    def _watch_turn(self, terminal: str, ramp: Ramp) -> None:
        off = terminal.startswith("supply") and ramp.high == 0  # its outputs are off then, or are not on yet
        if not self._by_hand and not off:
            self.seen[terminal].append(ramp.high)
        self._turn(terminal, ramp)

    def _watch_output(self, terminal: str) -> None:
        track, values = self.bench.world.output(terminal), self.bench.hosts["awg"].device.values
        channel = int(terminal[-1])
        hold, play = track.hold, track.play

        def held(moment: float, level: float) -> None:
            if values["output", channel] and not self._by_hand:
                self.seen[terminal].append(level)
            hold(moment, level)

        def played(moment: float, samples: Any, rate: float, cycles: float, idle: float) -> float:
            self.seen[terminal] += [float(np.min(samples)), float(np.max(samples)), idle]
            return play(moment, samples, rate, cycles, idle)

        track.hold, track.play = held, played  # pyright: ignore[reportAttributeAccessIssue]


@contextmanager
def lab() -> Iterator[Lab]:
    """A bench of its own."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.yaml").write_text(_MODEL, encoding="utf-8")
        (Path(folder) / "bench.yaml").write_text(_BENCH, encoding="utf-8")
        with virtual_bench(Path(folder) / "bench.yaml") as bench:
            yield Lab(bench)
