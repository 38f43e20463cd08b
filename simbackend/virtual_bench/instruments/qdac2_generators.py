"""The generators of a QDAC-II channel: sweeps and lists of its DC voltage, and the waves that are added to it.

Follows: QDAC-II user manual, SCPI commands, as the qcodes-contrib driver QDAC2 uses them.  A generator plays when it is
initiated with trigger IMMediate, or when what triggers it comes: TINT n, *TRG; once, or each time if it is initiated
continuously.  A sweep or a list stays at its last voltage; a wave is gone when it is over.  Markers, the slew of
waves and external triggers are kept and do nothing; waves are staircases of 128 steps a period.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array
from simbackend.virtual_bench.instruments.instrument import VirtualInstrument
from simbackend.virtual_bench.scpi.scpi import Answer, Command, ScpiError, block_content, command, only
from simbackend.virtual_bench.scpi.settings import Flag, Real, Setting, Whole, Word, number
from simbackend.virtual_bench.world.signals import Varying

CHANNELS = tuple(range(1, 25))
TRIGGERS = "IMMediate BUS HOLD " + " ".join(f"INTernal{n} EXTernal{n}" for n in range(1, 15))
_WAVES = {"SINE": "sine", "SQUare": "squ", "TRIangle": "tri", "AWG": "awg"}
_MARKERS = ("STARt", "END", "PSTart", "PENDs", "SSTart", "SENDs")
_ENDLESS = 9.9e37
_STEPS = 128  # of a period
_AWG_STEP = 1e-6  # s


@dataclass(frozen=True, slots=True)
class Staircase:
    """`volts`, each for `dwell` [s] from `start` on, `count` times over; `before` and `after` it another voltage."""

    start: float
    volts: Array
    dwell: float
    count: float
    before: float
    after: float

    @property
    def end(self) -> float:
        """When it is over [s]."""
        return self.start + self.count * len(self.volts) * self.dwell

    def at(self, moment: float) -> float:
        """The voltage at a moment."""
        if moment < self.start:
            return self.before
        if moment >= self.end:
            return self.after
        return float(self.volts[int((moment - self.start) / self.dwell) % len(self.volts)])


@dataclass(frozen=True, slots=True)
class Sum:
    """Voltages that are added."""

    parts: tuple[Varying, ...]

    def at(self, moment: float) -> float:
        """The voltage at a moment."""
        return sum(part.at(moment) for part in self.parts)


def generator_settings() -> Sequence[Setting]:
    """What the generators keep."""
    found: list[Setting] = [
        Real("[SOURce#:]SWEep:STARt", "sweep_start", 0.0, CHANNELS, -10.0, 10.0),
        Real("[SOURce#:]SWEep:STOP", "sweep_stop", 0.0, CHANNELS, -10.0, 10.0),
        Whole("[SOURce#:]SWEep:POINts", "sweep_points", 2.0, CHANNELS, 2.0, 1e7),
        Word("[SOURce#:]SWEep:GENeration", "sweep_mode", "STEP", CHANNELS, "STEPped ANALog"),
        Word("[SOURce#:]LIST:TMODe", "list_mode", "AUTO", CHANNELS, "AUTO STEPped"),
    ]
    for header, key in (("SWEep", "sweep"), ("LIST", "list")):
        found += [
            Real(f"[SOURce#:]{header}:DWELl", f"{key}_dwell", 1e-3, CHANNELS, 2e-6, 3600.0),
            Word(f"[SOURce#:]{header}:DIRection", f"{key}_direction", "UP", CHANNELS, "UP DOWN"),
            Whole(f"[SOURce#:]{header}:COUNt", f"{key}_count", 1.0, CHANNELS, -1.0, _ENDLESS),
        ]
    for header, key in ({"DC": "dc"} | _WAVES).items():
        found += [
            Real(f"[SOURce#:]{header}:DELay", f"{key}_delay", 0.0, CHANNELS, 0.0, 3600.0),
            Word(f"[SOURce#:]{header}:TRIGger:SOURce", f"{key}_trigger", "IMM", CHANNELS, TRIGGERS),
            Flag(f"[SOURce#:]{header}:INITiate:CONTinuous", f"{key}_again", False, CHANNELS),
            *[Whole(f"[SOURce#:]{header}:MARKer:{m}", f"{key}_{m}", 0.0, CHANNELS, 0.0, 14.0) for m in _MARKERS],
        ]
    for header, key in _WAVES.items():
        found += [
            Real(f"[SOURce#:]{header}:OFFSet", f"{key}_offset", 0.0, CHANNELS, -10.0, 10.0),
            Whole(f"[SOURce#:]{header}:COUNt", f"{key}_count", -1.0, CHANNELS, -1.0, _ENDLESS),
            Real(f"[SOURce#:]{header}:SLEW", f"{key}_slew", _ENDLESS, CHANNELS, 0.01, _ENDLESS),
        ]
    for header, key in list(_WAVES.items())[:3]:
        found += [
            Real(f"[SOURce#:]{header}:SPAN", f"{key}_span", 0.2, CHANNELS, 0.0, 20.0),
            Real(f"[SOURce#:]{header}:FREQuency", f"{key}_frequency", 1e3, CHANNELS, 1e-4, 5e5),
            Real(f"[SOURce#:]{header}:DCYCle", f"{key}_duty", 50.0, CHANNELS, 0.0, 100.0),
            Word(f"[SOURce#:]{header}:POLarity", f"{key}_polarity", "NORM", CHANNELS, "NORMal INVerted"),
            Word(f"[SOURce#:]{header}:TYPe", f"{key}_type", "SYMM", CHANNELS, "SYMMetric POSitive NEGative"),
        ]
    found.append(Real("[SOURce#:]AWG:SCALe", "awg_scale", 1.0, CHANNELS, -10.0, 10.0))
    return tuple(found)


class Generators(VirtualInstrument):
    """What is initiated, and what is played; the DC voltage and its limits are the instrument's."""

    def restore(self) -> None:
        """Nothing is initiated, no trace is there."""
        super().restore()
        self._lists: dict[int, Array] = {}
        self._traces: dict[str, Array] = {}
        self._named: dict[int, str] = {}
        self._ready: set[tuple[int, str]] = set()
        self.waves: dict[tuple[int, str], Staircase] = {}

    def dc(self, channel: int, moving: Varying) -> None:
        """The DC voltage of a channel does this from now on."""
        raise NotImplementedError

    def volts(self, channel: int) -> float:
        """Its DC voltage now."""
        raise NotImplementedError

    def renew(self, channel: int) -> None:
        """A wave of a channel has begun or ended."""
        raise NotImplementedError

    def now(self) -> float:
        """The time of the bench [s]."""
        return self._world.clock.now()

    def require(self, channel: int, volts: Array) -> None:
        """ScpiError if the channel cannot give these."""
        raise NotImplementedError

    def playing(self, kind: str, channel: int) -> Varying | None:
        """What a generator plays, or has played last."""
        return self.waves.get((channel, kind)) if kind != "dc" else self.base(channel)

    def base(self, channel: int) -> Varying:
        """What its DC voltage does."""
        raise NotImplementedError

    def initiate(self, kind: str, channel: int) -> None:
        """Play at once, or be ready for a trigger."""
        if self.values[f"{kind}_trigger", channel] == "IMM":
            self._play(kind, channel)
        else:
            self._ready.add((channel, kind))

    def abort(self, kind: str, channel: int) -> None:
        """Stay where it is, or be silent."""
        self._ready.discard((channel, kind))
        if kind == "dc":
            now, volts = self.now(), self.volts(channel)
            self.dc(channel, Staircase(now, np.array([volts]), 1.0, 1, volts, volts))
        elif self.waves.pop((channel, kind), None) is not None:
            self.renew(channel)

    def fire(self, source: str) -> None:
        """What triggers has come."""
        for channel, kind in sorted(self._ready):
            if self.values[f"{kind}_trigger", channel] == source:
                if not self.values[f"{kind}_again", channel]:
                    self._ready.discard((channel, kind))
                self._play(kind, channel)

    def _play(self, kind: str, channel: int) -> None:
        begin = self.now() + self.values[f"{kind}_delay", channel]
        if kind == "dc":
            mode = self.values["mode", channel]
            if mode == "FIX":
                raise ScpiError(-221)
            key = "sweep" if mode == "SWE" else "list"
            volts = self._sweep(channel) if mode == "SWE" else self._lists.get(channel, np.zeros(0))
            if not len(volts):
                raise ScpiError(-221)
            volts = volts[:: 1 if self.values[f"{key}_direction", channel] == "UP" else -1]
            self.require(channel, volts)
            count = _times(self.values[f"{key}_count", channel])
            dwell = self.values[f"{key}_dwell", channel]
            self.dc(channel, Staircase(begin, volts, dwell, count, self.volts(channel), float(volts[-1])))
            return
        volts, dwell = self._wave(kind, channel)
        self.require(channel, volts)
        self.waves[channel, kind] = Staircase(
            begin, volts, dwell, _times(self.values[f"{kind}_count", channel]), 0.0, 0.0
        )
        self.renew(channel)

    def _sweep(self, channel: int) -> Array:
        start, stop = self.values["sweep_start", channel], self.values["sweep_stop", channel]
        return np.linspace(start, stop, round(self.values["sweep_points", channel]))

    def _wave(self, kind: str, channel: int) -> tuple[Array, float]:
        """One period [V], and how long each sample lasts [s]."""
        offset = self.values[f"{kind}_offset", channel]
        if kind == "awg":
            trace = self._traces.get(self._named.get(channel, ""))
            if trace is None:
                raise ScpiError(-221)
            return offset + self.values["awg_scale", channel] * trace, _AWG_STEP
        phase = (np.arange(_STEPS) + 0.5) / _STEPS
        duty = self.values[f"{kind}_duty", channel] / 100
        shape = {
            "sine": np.sin(2 * np.pi * phase),
            "squ": np.where(phase < duty, 1.0, -1.0),
            "tri": np.interp(phase, [0, max(duty, 1e-9), 1 + 1e-9], [-1.0, 1.0, -1.0]),
        }[kind]
        sign = 1 if self.values[f"{kind}_polarity", channel] == "NORM" else -1
        shift = {"SYMM": 0.0, "POS": 0.5, "NEG": -0.5}[self.values[f"{kind}_type", channel]]
        volts = offset + self.values[f"{kind}_span", channel] * (sign * shape / 2 + shift)
        return volts, 1 / (_STEPS * self.values[f"{kind}_frequency", channel])

    @command("TINTernal")
    def _internal(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.fire(f"INT{round(number(only(words)))}")
        return None

    @command("*TRG")
    def _bus(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.fire("BUS")
        return None

    @command("[SOURce#:]ALL:ABORt")
    def _abort_all(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        for kind in ("dc", *_WAVES.values()):
            self.abort(kind, _channel(suffixes))
        return None

    @command("[SOURce#:]LIST:VOLTage")
    def _list(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._lists[_channel(suffixes)] = _numbers(words)
        return None

    @command("[SOURce#:]LIST:VOLTage:APPend")
    def _append(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel = _channel(suffixes)
        self._lists[channel] = np.concatenate([self._lists.get(channel, np.zeros(0)), _numbers(words)])
        return None

    @command("[SOURce#:]LIST:VOLTage?")
    def _list_query(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return ",".join(self.real(volts) for volts in self._lists.get(_channel(suffixes), []))

    @command("[SOURce#:]LIST:POINts?")
    def _list_points(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(len(self._lists.get(_channel(suffixes), ())))

    @command("[SOURce#:]SWEep:TIME?")
    def _sweep_time(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel = _channel(suffixes)
        return self.real(self.values["sweep_points", channel] * self.values["sweep_dwell", channel])

    @command("TRACe:DEFine")
    def _define(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        if len(words) != 2:
            raise ScpiError(-109)
        size = round(number(words[1]))
        if not 2 <= size <= 1_000_000:
            raise ScpiError(-222)
        self._traces[_text(words[0])] = np.zeros(size)
        return None

    @command("TRACe:DATA")
    def _data(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        name = _text(words[0]) if words else ""
        if name not in self._traces or len(values := _numbers(words[1:])) != len(self._traces[name]):
            raise ScpiError(-221)
        self._traces[name] = values
        return None

    @command("TRACe:CATalog?")
    def _catalog(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return ",".join(f'"{name}"' for name in self._traces) or '""'

    @command("TRACe:REMove:ALL")
    def _forget(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._traces.clear()
        return None

    @command("[SOURce#:]AWG:DEFine")
    def _choose(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        name = _text(words[0]) if words else ""
        if name not in self._traces:
            raise ScpiError(-224)
        self._named[_channel(suffixes)] = name
        return None


def generator_commands() -> dict[str, Command]:
    """INITiate, ABORt, NCLeft? and PERiod of every generator."""
    found: dict[str, Command] = {}
    for header, kind in ({"DC": "dc"} | _WAVES).items():
        found[f"[SOURce#:]{header}:INITiate[:IMMediate]"] = _each(kind, Generators.initiate)
        found[f"[SOURce#:]{header}:ABORt"] = _each(kind, Generators.abort)
    for header, kind in (*_WAVES.items(), ("SWEep", "dc"), ("LIST", "dc")):
        found[f"[SOURce#:]{header}:NCLeft?"] = _left(kind)
    for header, kind in list(_WAVES.items())[:3]:
        found[f"[SOURce#:]{header}:PERiod"] = _period(kind)
    return found


def _each(kind: str, action: Callable[[Generators, str, int], None]) -> Command:
    def run(device: Generators, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        action(device, kind, _channel(suffixes))
        return None

    return run


def _left(kind: str) -> Command:
    def run(device: Generators, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        playing = device.playing(kind, _channel(suffixes))
        if not isinstance(playing, Staircase) or math.isinf(playing.count):
            return "0" if not isinstance(playing, Staircase) else "-1"
        left = (playing.end - device.now()) / (len(playing.volts) * playing.dwell)
        return str(max(0, math.ceil(left)))

    return run


def _period(kind: str) -> Command:
    def run(device: Generators, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        period = number(only(words))
        if not 2e-6 <= period <= 1e4:
            raise ScpiError(-222)
        device.values[f"{kind}_frequency", _channel(suffixes)] = 1 / period
        return None

    return run


def _times(count: float) -> float:
    return math.inf if count < 0 or count >= _ENDLESS else count


def _channel(suffixes: tuple[int, ...]) -> int:
    channel = suffixes[0] if suffixes else 1
    if channel not in CHANNELS:
        raise ScpiError(-114)
    return channel


def _numbers(words: list[bytes]) -> Array:
    """Numbers one by one, or a block of them in four bytes each, the lowest first."""
    if len(words) == 1 and words[0].startswith(b"#"):
        data = block_content(words[0])
        if len(data) % 4:
            raise ScpiError(-161)
        return np.frombuffer(data, "<f4").astype(float)
    return np.array([number(word) for word in words])


def _text(word: bytes) -> str:
    return word.decode("ascii", "replace").strip("\"'").lower()
