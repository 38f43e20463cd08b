"""The SCPI server of a Red Pitaya STEMlab 125-14: two generators, two inputs of 14 bits, and its deep memory.

Follows: its own source (RedPitaya/RedPitaya, scpi-server and rp-api, OS 2.00 and later; RedPitaya-FPGA for the timing)
and its documentation.  A generator gives +-1 V into 50 Ohm (twice that into an open lead).
The usual memory holds 16384 samples with the trigger in the middle, later by ACQ:TRIG:DLY samples; the deep memory
(ACQ:AXI) is a ring of SET:Buffer bytes in which Trig:Dly samples follow the trigger.  Binary data
are big-endian, floats for VOLTS and 16-bit words for RAW.  A trigger is taken at once: nobody
waits for what lies before it, and what was not recorded reads as 0.

Samples are means over their spacing, counted from ACQ:START: where a trigger falls between two of them is chance.
Model INSTR2014 is the server of OS 1.04, without deep memory and without initial and last values.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np

from labrhel.arrays import Array
from simbackend.virtual_bench.instruments.instrument import VirtualInstrument, channels
from simbackend.virtual_bench.instruments.red_pitaya_board import BOARD, BoardCommands
from simbackend.virtual_bench.instruments.red_pitaya_buses import BUSES, BusCommands
from simbackend.virtual_bench.instruments.red_pitaya_channels import ChannelQueries, require_channel
from simbackend.virtual_bench.instruments.red_pitaya_generator import CHANNELS, GENERATOR, Generators, Switch
from simbackend.virtual_bench.scpi.messages import block_of
from simbackend.virtual_bench.scpi.scpi import Answer, ScpiError, command
from simbackend.virtual_bench.scpi.settings import Flag, Real, Setting, Whole, Word, number, whole
from simbackend.virtual_bench.world.recorder import Record, Recorder, Setup, State, codes_of
from simbackend.virtual_bench.world.signals import Ramp
from simbackend.virtual_bench.world.world import World

_CLOCK, _BUFFER = 125e6, 16384  # Hz, samples
_HALF = _BUFFER // 2
_DEEP_START, _DEEP_BYTES = 16_777_216, 2_097_152
_FULL = 8192  # codes of full scale; the largest code is one less
_GAINS = {"LV": 1.0, "HV": 20.0}
_TRIGGERS = ("DISABLED", "NOW", "CH1_PE", "CH1_NE", "CH2_PE", "CH2_NE", "EXT_PE", "EXT_NE", "AWG_PE", "AWG_NE")
_AROUND = {"PRE_TRIG": (1, 0), "POST_TRIG": (0, 1), "PRE_POST_TRIG": (1, 1)}
_SLOW, _SLOW_CODES, _SLOW_REACH = range(4), 156, 1.8  # pins, codes, V
_LATER = ("ACQ:AXI", "ACQ:TRIG:FILL", "SOUR#:BURS:LASTVALUE", "SOUR#:INITVALUE")
"""What the server of OS 1.04 does not have."""
_OLD = "INSTR2014"


class VirtualRedPitaya(VirtualInstrument, BoardCommands, BusCommands, ChannelQueries):
    """See the module.  `noise`: of both inputs [V rms]."""

    maker, models, firmware, terminator = "REDPITAYA", ("INSTR2023", "INSTR2014"), "01-02", b"\r\n"
    outputs = (*channels(2), *(f"aout{pin}" for pin in range(4)))
    inputs, plays, reach, level_range = ("in1", "in2", "trigger_in"), True, 2.0, (0.0, 1.8)

    settings: ClassVar[Sequence[Setting]] = (
        *GENERATOR,
        *BOARD,
        *BUSES,
        Whole("ACQ:DEC", "decimation", 1.0, (0,), 1.0, 65536.0),
        Whole("ACQ:DEC:Factor", "decimation", 1.0, (0,), 1.0, 65536.0),
        Switch("ACQ:AVG", "average", True),
        Whole("ACQ:TRig:DLY", "delay", 0.0, (0,), -float(_HALF), 2.0**31),
        Real("ACQ:TRig:LEV", "level", 0.0, (0,), -20.0, 20.0),
        Real("ACQ:TRig:HYST", "hysteresis", 0.005, (0,), 0.0, 1.0),
        Word("ACQ:SOUR#:GAIN", "gain", "LV", CHANNELS, "LV HV"),
        Word("ACQ:DATA:Units", "units", "VOLTS", (0,), "VOLTS RAW"),
        Word("ACQ:DATA:FORMAT", "format", "ASCII", (0,), "ASCII BIN"),
        Whole("ACQ:AXI:DEC", "decimation", 1.0, (0,), 1.0, 65536.0),
        Word("ACQ:AXI:DATA:Units", "deep_units", "VOLTS", (0,), "VOLTS RAW"),
        Whole("ACQ:AXI:SOUR#:Trig:Dly", "deep_delay", 0.0, CHANNELS, 0.0, float(_DEEP_BYTES)),
        Flag("ACQ:AXI:SOUR#:ENable", "deep", False, CHANNELS),
    )

    def __init__(self, world: World, name: str, identity: Sequence[str], *, noise: float = 0.0, seed: int = 0) -> None:
        self._noise, self._seed = noise, seed
        self._recorder = Recorder(world, [f"{name}.in{channel}" for channel in CHANNELS], seed)
        self._slow = dict.fromkeys(_SLOW, 0)
        self._started_at = 0.0
        self._seen: dict[tuple[int, int, int, int, str], Array] = {}
        self._generators = Generators(world, name, {})
        super().__init__(world, name, identity)
        world.listen(f"{name}.trigger_in", 0.0, self._generators.external)

    def restore(self) -> None:
        """*RST of the real server leaves generators and inputs as they are; only power-on comes here."""
        super().restore()
        self._started = False
        self._trigger = "DISABLED"
        self._deep_bytes = dict.fromkeys(CHANNELS, 0)
        self._recorder.stop()
        self._generators.restore(self.values)
        self._zero((), [])
        self.reset_board()
        self.reset_buses()

    def execute(self, message: bytes) -> bytes | None:
        """Refuse what an old server does not know."""
        if self.identity[1] == _OLD and message.decode("ascii", "replace").strip().upper().startswith(_unknown()):
            self.report(-113)
            return None
        return super().execute(message)

    @command("*RST")
    def _soft_reset(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return None

    def real(self, value: float) -> str:
        """As the server prints floats."""
        return f"{value:g}"

    def error_line(self, code: int, words: str) -> str:
        """Without a plus sign."""
        return f'{code},"{words}"'

    def changed(self, key: str, place: int, before: Any) -> None:
        """What is said of a generator reaches its output; one that is told to wait for software is triggered by it."""
        if any(item.key == key for item in GENERATOR):
            self._generators.update(place)
        if key == "decimation" and not (self.values[key, 0] in (1, 2, 4, 8) or self.values[key, 0] >= 16):
            raise ScpiError(-222)
        if key == "trigger" and self.values[key, place] == "INT" != before:
            self._generators.fire([place], self._world.clock.now())

    # ----- generators

    @command("SOUR#:TRAC:DATA:DATA")
    def _samples(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._generators.upload(suffixes[0], words)
        return None

    @command("SOUR#:TRAC:DATA:DATA?")
    def _kept_samples(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._floats(self._generators.uploaded(suffixes[0]))

    @command("SOUR:TRig:INT")
    def _fire_both(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        # Before SOUR#:TRIG:INT, which would match it, too.
        self._generators.trigger_enabled(self._world.clock.now())
        return None

    @command("SOUR#:TRig:INT")
    def _fire(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._generators.fire([suffixes[0]], self._world.clock.now())
        return None

    @command("OUTPUT:STATE")
    def _both_outputs(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        for channel in CHANNELS:
            self.execute(b"OUTPUT%d:STATE " % channel + b",".join(words))
        return None

    @command("GEN:RST")
    def _generator_reset(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.values.update({(item.key, place): item.default for item in GENERATOR for place in item.places})
        self._generators.reset(self.values)
        return None

    @command("PHAS:ALIGN")
    def _align(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return None

    # ----- slow outputs

    @command("ANALOG:RST")
    def _zero(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        for pin in _SLOW:
            self._turn(pin, 0)
        return None

    @command("ANALOG:PIN")
    def _set_slow(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        pin = self._pin(words)
        if len(words) < 2:
            raise ScpiError(-109)
        code = int(number(words[1]) / _SLOW_REACH * _SLOW_CODES + 1e-6)  # rounded down, as the server does
        if not 0 <= code <= _SLOW_CODES:
            raise ScpiError(-222)
        self._turn(pin, code)
        return None

    @command("ANALOG:PIN?")
    def _read_slow(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self._slow[self._pin(words)] * _SLOW_REACH / _SLOW_CODES)

    def _pin(self, words: list[bytes]) -> int:
        names = {b"AOUT%d" % pin: pin for pin in _SLOW}
        if not words or words[0].upper() not in names:
            raise ScpiError(-224 if words else -109)
        return names[words[0].upper()]

    def _turn(self, pin: int, code: int) -> None:
        self._slow[pin] = code
        volts = code * _SLOW_REACH / _SLOW_CODES
        self._world.turn(f"{self._name}.aout{pin}", Ramp(self._world.clock.now(), volts, volts))

    # ----- acquisition

    def _is_deep(self) -> bool:
        return any(self.values["deep", channel] for channel in CHANNELS)

    def _spacing(self) -> float:
        return self.values["decimation", 0] / _CLOCK

    @command("ACQ:START")
    def _start(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._started, self._trigger, self._started_at = True, "DISABLED", self._world.clock.now()
        self._recorder.stop()
        self._recorder.record = None
        return None

    @command("ACQ:STOP")
    def _stop(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._started = False
        self._recorder.stop()
        return None

    @command("ACQ:RST")
    def _acquire_reset(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        for item in self.settings:
            if item.pattern.startswith("ACQ"):
                self.values.update({(item.key, place): item.default for place in item.places})
        return self._start(suffixes, words)

    @command("ACQ:TRig")
    def _arm(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        chosen = words[0].decode("ascii", "replace").upper() if words else ""
        if chosen not in _TRIGGERS:
            raise ScpiError(-224 if words else -109)
        self._trigger = chosen
        if chosen == "DISABLED" or not self._started:
            return None
        after = max(_HALF + self.values["delay", 0], 0) * self._spacing()
        if self._is_deep():
            after = max(self.values["deep_delay", channel] for channel in CHANNELS) * self._spacing()
        sources = {"EXT": "trigger_in", "AWG": "generator", "CH1": "in1", "CH2": "in2", "NOW": ""}
        source, _, edge = chosen.partition("_")
        line = f"{self._name}.{sources[source]}"
        self._recorder.arm(Setup(line, self.values["level", 0], rising=edge != "NE", before=0.0, after=after))
        if chosen == "NOW":
            self._recorder.force()
        return None

    @command("ACQ:TRig:DLY:NS")
    def _delay_in_ns(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        spacing = int(1e9 * self._spacing())  # the server drops fractions of a nanosecond
        self.values["delay", 0] = float(round(number(words[0]) / spacing)) if words else 0.0
        return None

    @command("ACQ:TRig:DLY:NS?", "ACQ:TRig:DLY:NS:CH#?")
    def _told_in_ns(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(int(self.values["delay", 0] * 1e9 * self._spacing()))

    @command("ACQ:TRig:STAT?")
    def _status(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._state()

    @command("ACQ:TRig:STAT:CH#?")
    def _status_of(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        require_channel(suffixes)
        return self._state()

    def _state(self) -> str:
        return "WAIT" if self._recorder.poll() in (State.WAITING, State.FILLING) else "TD"

    @command("ACQ:TRig:FILL?", "ACQ:TRig:FILL:CH#?", "ACQ:AXI:SOUR#:Trig:Fill?")
    def _is_full(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._recorder.poll()
        return str(int(self._recorder.record is not None))

    @command("ACQ:TPOS?", "ACQ:TPOS:CH#?")
    def _trigger_place(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(self._place_of_trigger())

    @command("ACQ:WPOS?", "ACQ:WPOS:CH#?")
    def _write_place(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(_BUFFER - 1)

    @command("ACQ:BUF:SIZE?")
    def _size(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(_BUFFER)

    @command("ACQ:SRATe?", "ACQ:SRATe:CH#?")
    def _rate(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f"{1 / self._spacing():9.0f} Hz"

    def _place_of_trigger(self) -> int:
        return int(_HALF - self.values["delay", 0]) % _BUFFER

    def _record(self) -> Record:
        self._recorder.poll()
        if self._recorder.record is None:
            raise ScpiError(-230)
        return self._recorder.record

    def _codes(self, channel: int, first: int, count: int) -> Array:
        """Codes from sample `first` [after the trigger] on; seen once, they are kept."""
        if channel not in CHANNELS:
            raise ScpiError(-114)
        record = self._record()
        key = (record.number, channel, first, count, self.values["gain", channel])
        if key not in self._seen:
            self._seen = {**dict(list(self._seen.items())[-3:]), key: self._converted(record, channel, first, count)}
        return self._seen[key]

    def _converted(self, record: Record, channel: int, first: int, count: int) -> Array:
        spacing = self._spacing()
        since = (self._started_at - record.trigger) % spacing  # to the end of the first sample after the trigger
        ends = since + (first + np.arange(count)) * spacing
        middles = ends - spacing / 2 if self.values["average", 0] else ends
        volts = record.volts(f"{self._name}.in{channel}", middles, self._noise, self._seed)
        volts[ends - spacing < self._started_at - record.trigger - 1e-12] = 0.0
        return codes_of(volts, _GAINS[self.values["gain", channel]] / _FULL, 0, -_FULL, _FULL - 1)

    def _sent(self, codes: Array, channel: int, units: str) -> Answer:
        volts = codes * _GAINS[self.values["gain", channel]] / _FULL
        if self.values["format", 0] == "BIN":
            return block_of(volts.astype(">f4").tobytes() if units == "VOLTS" else codes.astype(">i2").tobytes())
        if units == "RAW":
            return "{" + ",".join(f"{int(code)}" for code in codes) + "}"
        return self._floats(volts)

    def _floats(self, values: Array) -> Answer:
        if self.values["format", 0] == "BIN":
            return block_of(values.astype(">f4").tobytes())
        return "{" + ",".join(f"{value:.6f}" for value in values) + "}"

    def _usual(self, channel: int, start: int, count: int) -> Answer:
        """Samples from place `start` of the buffer, of which place 0 is the oldest."""
        delay = int(self.values["delay", 0])
        codes = self._codes(channel, delay - _HALF, _BUFFER)
        return self._sent(np.roll(codes, -start)[:count], channel, self.values["units", 0])

    @command("ACQ:SOUR#:DATA?")
    def _all(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._usual(suffixes[0], 0, _BUFFER)

    @command("ACQ:SOUR#:DATA:STArt:End?", "ACQ:SOUR#:DATA:Start:End?")
    def _between(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        start, end = (whole(words, place, 0, _BUFFER - 1) for place in (0, 1))
        return self._usual(suffixes[0], start, (end - start) % _BUFFER + 1)

    @command("ACQ:SOUR#:DATA:Old:N?")
    def _oldest(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._usual(suffixes[0], 0, whole(words, 0, 1, _BUFFER))

    @command("ACQ:SOUR#:DATA:LAT:N?", "ACQ:SOUR#:DATA:LATest:N?")
    def _latest(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        count = whole(words, 0, 1, _BUFFER)
        return self._usual(suffixes[0], _BUFFER - count, count)

    @command("ACQ:SOUR#:DATA:STArt:N?", "ACQ:SOUR#:DATA:Start:N?")
    def _from(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._usual(suffixes[0], whole(words, 0, 0, _BUFFER - 1), whole(words, 1, 1, _BUFFER))

    @command("ACQ:SOUR#:DATA:TRig?")
    def _around_trigger(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        """So many samples before the trigger, after it, or both, and the one in which it lies."""
        count = whole(words, 0, 0, _HALF - 1)
        chosen = words[1].decode("ascii", "replace").upper() if len(words) > 1 else ""
        if chosen not in _AROUND:
            raise ScpiError(-224 if chosen else -109)
        before, after = (count * share for share in _AROUND[chosen])
        return self._usual(suffixes[0], (self._place_of_trigger() - before) % _BUFFER, before + after + 1)

    # ----- deep memory

    @command("ACQ:AXI:START?")
    def _deep_start(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(_DEEP_START)

    @command("ACQ:AXI:SIZE?")
    def _deep_size(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(_DEEP_BYTES)

    @command("ACQ:AXI:SOUR#:SET:Buffer")
    def _deep_buffer(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        start = whole(words, 0, _DEEP_START, _DEEP_START + _DEEP_BYTES)
        self._deep_bytes[suffixes[0]] = whole(words, 1, 2, _DEEP_START + _DEEP_BYTES - start)
        return None

    def _deep_place(self, channel: int) -> tuple[int, int]:
        """Samples of the ring, and the place of the trigger in it."""
        size = self._deep_bytes.get(channel, 0) // 2
        if not size:
            raise ScpiError(-221)
        return size, int(size - self.values["deep_delay", channel]) % size

    @command("ACQ:AXI:SOUR#:Trig:Pos?")
    def _deep_trigger(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(self._deep_place(suffixes[0])[1])

    @command("ACQ:AXI:SOUR#:Write:Pos?")
    def _deep_write(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(self._deep_place(suffixes[0])[0] - 1)

    @command("ACQ:AXI:SOUR#:DATA:STArt:N?", "ACQ:AXI:SOUR#:DATA:Start:N?")
    def _deep_data(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel = suffixes[0]
        size, _ = self._deep_place(channel)
        start, count = whole(words, 0, 0, size - 1), whole(words, 1, 1, size)
        oldest = int(self.values["deep_delay", channel]) - size
        codes = np.roll(self._codes(channel, oldest, size), -start)[:count]
        return self._sent(codes, channel, self.values["deep_units", 0])


@cache
def _unknown() -> tuple[str, ...]:
    return tuple(item.replace("#", str(channel)) for item in _LATER for channel in CHANNELS)
