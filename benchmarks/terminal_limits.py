"""Random stations and settings: no voltage beyond what all that names a terminal allows, or the station is refused.

    python -m benchmarks.terminal_limits                      # 10,000 in process, some minutes
    python -m benchmarks.terminal_limits --count 200 --sockets
    python -m benchmarks.terminal_limits --seed 5000          # go on from there: number and seed are one

Each seed makes a station file in which ports, knobs, selects, safe levels, ramps, overshoots and limits of instruments
name the same few terminals, in several spellings, and then sets knobs, plays shots, makes safe, and lets somebody turn
a level by hand.  The drivers are the real ones.  What they write is obeyed by virtual instruments, in process or on
sockets, and every voltage that comes out there is compared with an intersection that is computed here, from the random
draws alone.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Figure
from drivers.bench.rig import BenchRig
from drivers.instruments.e36300 import E36300
from drivers.instruments.keysight_33600 import Keysight33600
from drivers.instruments.qdac2 import QDac2
from drivers.instruments.rigol_ds1000z import RigolDS1000Z
from drivers.transport.deadline import Deadline
from drivers.transport.port import Port
from drivers.transport.replayed import ReplayedTraffic
from labrhel.config.station import station_from
from labrhel.errors import ConfigurationError, LabrhelError
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
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
_DRIVERS: dict[str, Callable[..., Any]] = {  # found by entry points they would take longer than all the rest
    "keysight_33600": Keysight33600, "rigol_ds1000z": RigolDS1000Z, "qdac2": QDac2, "e36300": E36300,
}  # fmt: skip
_KINDS = {"awg": "keysight_33600", "scope": "rigol_ds1000z", "bias": "qdac2", "supply": "e36300"}
_LEVELS = ("bias.ch1", "bias.ch2", "bias.ch3", "supply.ch1", "supply.ch2")
_OUTPUTS = ("awg.ch1", "awg.ch2")
_CODE = 0.5 / (2**13 - 1)  # of the largest voltage: half a code of the generator
_PLACE = re.compile(r"(port|knob|select of|init of|safe level of) (\w+)")
_DIGITS = 1e-8  # V: drivers write nine digits
_FORMS: tuple[Callable[[float], str], ...] = (
    lambda v: f"{v!r}", lambda v: f"'{v!r} V'", lambda v: f"{v:.17e}", lambda v: f"'{v:+.12f}V'",
    lambda v: f"'{v * 1e3!r} mV'",
)  # fmt: skip


@dataclass(slots=True)
class Draw:
    """A station drawn from a seed: its text, and by terminal what is allowed there, and who names it."""

    text: str
    allowed: dict[str, list[tuple[float, float]]]
    levels: list[tuple[str, str, float]]  # terminal, who, what it sets there
    names: dict[str, list[str]]  # by terminal, who limits it
    twice: bool = False

    def limits(self, terminal: str) -> tuple[float, float]:
        """The intersection; without anything that names it, everything."""
        ends = self.allowed.get(terminal, [])
        return max((low for low, _ in ends), default=-math.inf), min((high for _, high in ends), default=math.inf)

    @property
    def contradicts(self) -> bool:
        """Whether some terminal has no range, or a level outside it."""
        empty = any(not low < high for low, high in map(self.limits, self.allowed))
        return (
            empty
            or self.twice
            or any(not low <= v <= high for t, _, v in self.levels for low, high in [self.limits(t)])
        )


@dataclass(slots=True)
class Tally:
    """What came of the stations."""

    ends: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)


def draw(rng: random.Random, addresses: dict[str, str]) -> Draw:
    """A station; about half of them contradict themselves."""
    made = Draw("", defaultdict(list), [], defaultdict(list))
    lines = ["instruments:"]
    named: list[str] = []  # knobs and selects
    safe: dict[str, dict[str, float]] = {"bias": {}, "supply": {}}
    sections = _ports(rng, made) + _knobs(rng, made, named) + _channels(rng, made, named)
    for box, kind in _KINDS.items():
        init: list[str] = []
        if box in safe:
            safe[box] = {
                t.partition(".")[2]: _level(rng, t) for t in _LEVELS if t.startswith(box) and rng.random() < 0.4
            }
            if safe[box]:
                init.append(f"safe: {{{', '.join(f'{own}: {volts!r}' for own, volts in safe[box].items())}}}")
            if rng.random() < 0.3:
                own = rng.choice([t for t in _LEVELS if t.startswith(box)])
                low, high = _range(rng, own)
                init.append(f"limits: {{{own.partition('.')[2]}: [{low!r}, {high!r}]}}")
                made.allowed[own].append((low, high))
                made.names[own].append("init")
        lines.append(f"  {box}: {{type: {kind}, address: '{addresses[box]}', init: {{{', '.join(init)}}}}}")
    if rng.random() < 0.05:  # the same box once more, with its address spelled otherwise
        lines.append(f"  again: {{type: qdac2, address: '{addresses['bias'].replace('TCPIP', 'tcpip0')}'}}")
    for terminal in dict.fromkeys(named):
        box, _, own = terminal.partition(".")
        made.levels.append((terminal, "safe", safe.get(box, {}).get(own, 0.0)))
    ramped = [f"{box}.{own}" for box, levels in safe.items() for own in levels if rng.random() < 0.5]
    ramps = ", ".join(f"{t}: {{time: 4 ms, order: {rng.randrange(2)}}}" for t in ramped)
    rig = ["rig:", "  trigger: {fired_by: awg, seen_by: {scope: {terminal: ch4, level: 1.5}}}", "  ring_down: 0",
           f"  ramps: {{{ramps}}}", *sections]  # fmt: skip
    made.text = "\n".join([*lines, *rig, ""])
    return made


def _volts(rng: random.Random, value: float) -> str:
    return rng.choice(_FORMS)(value)


def _level(rng: random.Random, terminal: str) -> float:
    value = rng.choice([0.0, 0.1, 0.5, rng.uniform(0, 0.5), rng.uniform(0, 1), rng.uniform(-1, 1), rng.uniform(-5, 5)])
    return abs(value) if terminal.startswith("supply") else value


def _range(rng: random.Random, terminal: str) -> tuple[float, float]:
    low = rng.choice([0.0, round(rng.uniform(-5, 0), 1), rng.uniform(-3, 0), rng.uniform(-3, 0), rng.uniform(-1, 0.5)])
    if terminal.startswith("supply"):
        low = rng.choice([0.0, 0.0, 0.0, 0.0, rng.uniform(0, 1)])
    high = rng.choice([1.0, 5.0, rng.uniform(0.5, 5), rng.uniform(1, 5), rng.uniform(-1, 3)])
    return low, max(high, low + 0.2)


def _name(rng: random.Random, terminal: str) -> str:
    """A terminal, sometimes spelled so that it is another text."""
    box, _, own = terminal.partition(".")
    other = [
        f"{box}.{own.upper()}",
        f"{box}.ch0{own[2:]}",
        f"{box.upper()}.{own}",
        f"{box}.ch{chr(0xFF10 + int(own[2:]))}",
    ]
    return rng.choice(other) if rng.random() < 0.01 else rng.choice([f"'{terminal}'", f'"{terminal}"', terminal])


def _ports(rng: random.Random, made: Draw) -> list[str]:
    lines = ["  ports:"]
    shared: dict[str, float] = {}
    for port in ("u1", "f1", "f2")[: rng.choice([1, 2, 3])]:
        terminal = rng.choice(_OUTPUTS)
        low, high = _range(rng, terminal)
        safe = shared.setdefault(terminal, _level(rng, terminal) if rng.random() < 0.3 else 0.0)
        made.allowed[terminal].append((low, high))
        made.names[terminal].append(port)
        made.levels.append((terminal, port, safe))
        lines.append(
            f"    {port}: {{terminal: {_name(rng, terminal)}, gain: {rng.choice([1, -2, 0.5])}, safe: {safe!r}, "
            f"limits: [{_volts(rng, low)}, {_volts(rng, high)}]}}"
        )
    return lines


def _knobs(rng: random.Random, made: Draw, named: list[str]) -> list[str]:
    lines = ["  knobs:"]
    for knob, size in (("stiffness", 2), ("coupling", 1)):
        terminals = [rng.choice(_LEVELS) for _ in range(size)]
        if size == 2 and rng.random() < 0.9:
            terminals = rng.sample(_LEVELS, 2)
        made.twice |= len(set(terminals)) < size
        low, high = _range(rng, next((t for t in terminals if t.startswith("supply")), terminals[0]))
        for terminal in terminals:
            made.allowed[terminal].append((low, high))
            made.names[terminal].append(knob)
        named += terminals
        beyond = f", approach: {{overshoot: {rng.uniform(-2, 2)!r}}}" if rng.random() < 0.5 else ""
        lines.append(
            f"    {knob}: {{terminals: [{', '.join(_name(rng, t) for t in terminals)}], per_volt: 0.1, "
            f"limits: [{_volts(rng, low)}, {_volts(rng, high)}]{beyond}}}"
        )
    return lines


def _channels(rng: random.Random, made: Draw, named: list[str]) -> list[str]:
    lines = ["  channels:"]
    switched = rng.random() < 0.5
    terminal = rng.choice(_LEVELS)
    for channel, where in (("q1", "scope.ch1"), ("q2", "scope.ch1" if switched else "scope.ch2")):
        select = ""
        if switched:
            volts = rng.uniform(0, 0.5) if channel == "q1" else rng.uniform(0.5, 1.5)
            made.levels.append((terminal, channel, volts))
            named.append(terminal)
            select = f", select: {{{_name(rng, terminal)}: {_volts(rng, volts)}}}"
        lines.append(f"    {channel}: {{terminal: {where}, range: [-4, 4]{select}}}")
    return lines


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
        for terminal in _OUTPUTS:
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


def attempt(place: Lab, seed: int, *, sockets: bool) -> tuple[str, list[str]]:
    """One station: how it ended, and what was wrong with that."""
    rng = random.Random(seed)
    made = draw(rng, place.addresses)
    place.fresh()
    wrong: list[str] = []
    try:
        document = station_from(made.text, Path("station.yaml"))
    except ConfigurationError as error:
        return "refused when read", _unnamed(error)
    if made.contradicts and not _misspelled(made):
        wrong.append("what names a terminal contradicts itself, and the station was read")
    with ExitStack() as opened:
        try:
            instruments: Any = {}
            log = None if sockets else Inside(place.bench)
            for name, section in document.station.instruments.items():
                made_by = _DRIVERS[section.type]
                instruments[name] = made_by(name, section.address, **section.init, log=log)
                opened.callback(instruments[name].release)
            rig = BenchRig(document, instruments, place.bench.model, STEP, log=log)
        except LabrhelError:
            return "refused when opened", wrong
        ends = Counter[str]()
        for _ in range(rng.randrange(3, 8)):
            with suppress(LabrhelError):
                ends["refused"] += 1
                rng.choice((_configure, _configure, _shoot, _shoot, _turn, _safe))(rng, rig, place)
                ends["done"] += 1
        with suppress(LabrhelError):
            rig.close()
    for terminal, volts in place.seen.items():
        low, high = made.limits(terminal)
        slack = _CODE * max(map(abs, (low, high, *volts))) if terminal in _OUTPUTS and math.isfinite(high) else _DIGITS
        if not (low - slack <= min(volts) and max(volts) <= high + slack):
            wrong.append(f"{terminal} was at [{min(volts)}, {max(volts)}] V, allowed is [{low}, {high}] V")
    return "used" if ends["done"] else "used, all refused", wrong


def _unnamed(error: ConfigurationError) -> list[str]:
    """What is missing in the words of a contradiction: the line of one place, or the other one."""
    places = {" ".join(found) for found in _PLACE.findall(str(error))}
    good = " allow" not in str(error) or (error.line is not None and error.key is not None and len(places) > 1)
    return [] if good else [f"not both places are named: {error}"]


def _misspelled(made: Draw) -> bool:
    """A terminal that is spelled otherwise is another one, until the station is opened and it is not found."""
    words = made.text.replace("'", "").replace('"', "")
    return any(word in words for word in ("CH", ".ch0", "BIAS", "SUPPLY", "AWG")) or any(ord(c) > 0xFF00 for c in words)


def _configure(rng: random.Random, rig: BenchRig, place: Lab) -> None:
    size = {"stiffness": 2, "coupling": 1}
    knobs = {}
    for name in rng.sample(sorted(size), rng.choice([1, 2])):
        limits = rig.capabilities.knob(name).limits
        spread = (limits.low, limits.high, rng.uniform(limits.low, limits.high), rng.uniform(-6, 6))
        knobs[name] = np.array([rng.choice([*spread, *spread, math.nan, math.inf]) for _ in range(size[name])])
    rig.configure(knobs)


def _shoot(rng: random.Random, rig: BenchRig, place: Lab) -> None:
    drives = []
    for port in rig.capabilities.ports:
        if rng.random() < 0.7:
            size = rng.choice([0.1, 1.0, rng.uniform(0, 6)])
            wave = size * np.sin(np.arange(12) * rng.uniform(0.1, 3) + rng.uniform(0, 6)) + rng.choice([0.0, 0.5, -2.0])
            drives.append(Drive(port.name, Waveform.of(wave, STEP), Role.INPUT if port.name == "u1" else Role.NUDGE))
    seen = tuple(rng.choice([("q1",), ("q1", "q2"), ()]))
    program = ShotProgram(STEP, Rest(), (Pass(12, tuple(drives), Acquire(seen)),))
    rig.run([compile(program, rig.capabilities, rig.wiring)])


def _turn(rng: random.Random, rig: BenchRig, place: Lab) -> None:
    place.hand(rng.choice(_LEVELS), rng.uniform(-6, 6))


def _safe(rng: random.Random, rig: BenchRig, place: Lab) -> None:
    rig.make_safe()


def campaign(count: int, seed: int, *, sockets: bool = False, say: Callable[[str], None] = lambda words: None) -> Tally:
    """So many stations, from a seed on."""
    tally = Tally()
    with lab() as place:
        for number in range(seed, seed + count):
            try:
                end, wrong = attempt(place, number, sockets=sockets)
            except Exception as error:  # whatever it is, it is what is looked for
                end, wrong = "traceback", [f"{type(error).__name__}: {error}"]
            tally.ends[end] += 1
            tally.bad += [f"{number}: {words}" for words in wrong]
            for words in wrong:
                say(f"{number}: {words}")
            if (number + 1) % 1000 == 0:
                say(f"{number + 1 - seed} stations: {dict(tally.ends)}, {len(tally.bad)} bad")
    return tally


def targets(count: int = 10_000, on_sockets: int = 200) -> Iterator[Figure]:
    """Both counts."""
    for many, sockets in ((count, False), (on_sockets, True)):
        tally = campaign(many, 0, sockets=sockets)
        where = "on sockets" if sockets else "in process"
        words = f"{len(tally.bad)} beyond; {', '.join(f'{n} {end}' for end, n in tally.ends.items())}"
        yield Figure(f"{many} random stations {where}: no voltage beyond the limits", words, not tally.bad)


def main() -> int:
    """Run the campaign; exit status 1 if a voltage was beyond, or a station not refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first; each station has the next one")
    parser.add_argument("--sockets", action="store_true", help="over real sockets")
    asked = parser.parse_args()
    begin = time.monotonic()
    tally = campaign(asked.count, asked.seed, sockets=asked.sockets, say=lambda words: print(words, flush=True))
    print(f"{asked.count} stations in {time.monotonic() - begin:.0f} s: {dict(tally.ends)}, {len(tally.bad)} bad")
    return bool(tally.bad)


if __name__ == "__main__":
    sys.exit(main())
