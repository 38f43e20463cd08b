"""Oscilloscopes of the Keysight InfiniiVision X series, as DSO-X 3024A (four channels) or MSO-X 3012A (two).

Follows: InfiniiVision 3000 X-Series Programmer's Guide (75019-97073).  :SINGle arms and lets the program go on;
:DIGitize arms and lets nothing else happen until the record is there, or the device is cleared.  An external trigger
input.  8 bits, 12 in high resolution; words are big-endian unless the byte order is set; blocks write their length
with eight digits.   volts = (code - yreference) * yincrement + yorigin,  yreference 128 (words: 32768); a range holds
200 of the 256 levels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from labrhel.arrays import Array
from simbackend.virtual_bench.instruments.instrument import VirtualInstrument, channels
from simbackend.virtual_bench.scpi.messages import Unit, block_of
from simbackend.virtual_bench.scpi.scpi import Answer, ScpiError, block_content, command, only
from simbackend.virtual_bench.scpi.settings import Flag, Real, Setting, Text, Whole, Word
from simbackend.virtual_bench.world.recorder import Recorder, Setup, State, codes_of
from simbackend.virtual_bench.world.world import World

CHANNELS: tuple[int, ...] = (1, 2, 3, 4)
_LEVELS, _DIVISIONS, _TIME_DIVISIONS = 200, 8, 10
_FASTEST, _SCREEN, _MEMORY = 2e9, 62_500, 4_000_000
_AC_CORNER = 3.5  # Hz
_BEYOND_TWO = re.compile(r"CHAN[A-Z]*[34](:|\?|$)", re.IGNORECASE)
_RUNNING = 8  # in the operation register
_SOURCES = "CHANnel1 CHANnel2 CHANnel3 CHANnel4"
_OF_CHANNEL = {
    "RANG": "range", "OFFS": "offset", "COUP": "coupling", "IMP": "impedance", "DISP": "display", "BWL": "bandwidth",
    "INV": "inverted",
}  # fmt: skip
_OF_TIME = {"MODE": "time_mode", "REF": "reference", "MAIN:RANG": "time_range", "POS": "position"}
_REFERENCE = {"LEFT": 0.1, "CENT": 0.5, "RIGH": 0.9}  # where on the screen


class VirtualInfiniiVision(VirtualInstrument):
    """See the module.  `noise`: of every input [V rms at the BNC]."""

    maker, models, firmware = "KEYSIGHT TECHNOLOGIES", ("DSO-X 3024A", "MSO-X 3012A"), "02.65.2021030741"
    inputs = (*channels(4), "trigger_in")

    settings: ClassVar[Sequence[Setting]] = (
        Flag("CHANnel#:DISPlay", "display", True, CHANNELS),
        Real("CHANnel#:RANGe", "range", 8.0, CHANNELS, 8e-3, 400.0),
        Real("CHANnel#:OFFSet", "offset", 0.0, CHANNELS, -400.0, 400.0),
        Word("CHANnel#:COUPling", "coupling", "DC", CHANNELS, "AC DC"),
        Real("CHANnel#:PROBe", "probe", 1.0, CHANNELS, 0.1, 10_000.0),
        Flag("CHANnel#:BWLimit", "bandwidth", False, CHANNELS),
        Flag("CHANnel#:INVert", "inverted", False, CHANNELS),
        Text("CHANnel#:LABel", "label", "", CHANNELS),
        Word("CHANnel#:IMPedance", "impedance", "ONEM", CHANNELS, "ONEMeg FIFTy"),
        Word("TIMebase:MODE", "time_mode", "MAIN", (0,), "MAIN WINDow XY ROLL"),
        Real("TIMebase:RANGe", "time_range", 1e-3, (0,), 20e-9, 500.0),
        Real("TIMebase:POSition", "position", 0.0, (0,), -500.0, 500.0),
        Word("TIMebase:REFerence", "reference", "CENT", (0,), "LEFT CENTer RIGHt"),
        Word("TRIGger:MODE", "trigger_mode", "EDGE", (0,), "EDGE GLITch PATTern TV"),
        Word("TRIGger[:EDGE]:SOURce", "source", "CHAN1", (0,), f"{_SOURCES} EXTernal LINE"),
        Real("TRIGger[:EDGE]:LEVel", "level", 0.0, (0,), -400.0, 400.0),
        Word("TRIGger[:EDGE]:SLOPe", "slope", "POS", (0,), "POSitive NEGative EITHer ALTernate"),
        Word("TRIGger:SWEep", "sweep", "AUTO", (0,), "AUTO NORMal"),
        Word("ACQuire:TYPE", "type", "NORM", (0,), "NORMal AVERage HRESolution PEAK"),
        Word("ACQuire:MODE", "mode", "RTIM", (0,), "RTIMe SEGMented"),
        Whole("ACQuire:COUNt", "count", 8.0, (0,), 2.0, 65536.0),
        Word("WAVeform:SOURce", "wave_source", "CHAN1", (0,), _SOURCES),
        Word("WAVeform:FORMat", "format", "BYTE", (0,), "BYTE WORD ASCii"),
        Word("WAVeform:BYTeorder", "order", "MSBF", (0,), "MSBFirst LSBFirst"),
        Flag("WAVeform:UNSigned", "unsigned", True),
        Word("WAVeform:POINts:MODE", "points_mode", "NORM", (0,), "NORMal MAXimum RAW"),
        Whole("WAVeform:POINts", "points", 1000.0, (0,), 100.0, float(_MEMORY), coerced=True),
    )

    def __init__(
        self,
        world: World,
        name: str,
        identity: Sequence[str],
        *,
        noise: float = 0.0,
        seed: int = 0,
        jitter: float = 0.0,
    ) -> None:
        self._noise, self._seed = noise, seed
        self._recorder = Recorder(world, [f"{name}.ch{channel}" for channel in CHANNELS], seed, jitter)
        super().__init__(world, name, identity)

    def _run(self, header: str, unit: Unit) -> Answer:
        """A model with a 2 before its letter has two channels, and knows no header of others."""
        if self.identity[1][-2] == "2" and _BEYOND_TWO.match(header):
            raise ScpiError(-114)
        return super()._run(header, unit)

    def restore(self) -> None:
        """Run, and trigger without an event."""
        super().restore()
        self._running, self._digitizing, self._triggered, self._was_armed = True, False, False, False
        self._codes: dict[tuple[int, int, int], Array] = {}
        self._recorder.stop()
        self._recorder.corners = {}

    def real(self, value: float) -> str:
        """As in the guide: +1.00000E+00."""
        return f"{value:+.8E}"

    def changed(self, key: str, place: int, before: Any) -> None:
        """A change of the coupling changes what arrives; one of the probe, what the range is called."""
        if key == "probe":
            for name in ("range", "offset"):
                self.values[name, place] *= self.values["probe", place] / before
        if key == "coupling":
            corners = {c: _AC_CORNER for c in CHANNELS if self.values["coupling", c] == "AC"}
            self._recorder.corners = {f"{self._name}.ch{c}": corner for c, corner in corners.items()}

    def execute(self, message: bytes) -> bytes | None:
        """Nothing happens while it digitizes."""
        if self._digitizing:
            self.cancelled = False
            self._recorder.complete(lambda: self.cancelled)
            self._digitizing = False
        return super().execute(message)

    # ----- acquisition

    def _setup(self) -> Setup:
        width, source = self.values["time_range", 0], self.values["source", 0]
        begin = self.values["position", 0] - width * _REFERENCE[self.values["reference", 0]]
        probe = 1.0 if source in ("EXT", "LINE") else self.values["probe", int(source[-1])]
        self._codes.clear()
        return Setup(
            source=f"{self._name}.trigger_in" if source == "EXT" else f"{self._name}.ch{source[-1]}",
            level=self.values["level", 0] / probe,
            rising=self.values["slope", 0] != "NEG",
            before=max(-begin, 0.0),
            after=max(begin + width, 0.0),
        )

    def _arm(self) -> None:
        self._running, self._was_armed = False, False
        self._recorder.arm(self._setup())

    def _state(self) -> State:
        state = State.TRIGGERED if self._running else self._recorder.poll()
        self._was_armed |= state in (State.WAITING, State.TRIGGERED) or self._recorder.record is not None
        self._triggered |= state is State.TRIGGERED or self._recorder.record is not None
        return state

    @command("*OPT?")
    def _options(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return ",".join("0" * 24)

    @command("CHANnel#?")
    def _channel_setup(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel = suffixes[0]
        if channel not in CHANNELS:
            raise ScpiError(-114)
        return (
            f':CHAN{channel}:{self._said(_OF_CHANNEL, channel)};LAB "{self.values["label", channel] or channel}";'
            f"UNIT VOLT;PROB {self.real(self.values['probe', channel])};PROB:SKEW {self.real(0.0)};STYP SING"
        )

    @command("TIMebase?")
    def _timebase(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f":TIM:{self._said(_OF_TIME, 0)}"

    def _said(self, keys: Mapping[str, str], place: int) -> str:
        """Settings as the answers to :CHANnel1? and the like list them."""
        specs = {item.key: item for item in self.settings}
        return ";".join(f"{word} {specs[key].write(self, self.values[key, place])}" for word, key in keys.items())

    @command("SYSTem:SETup?")
    def _setup_query(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        kept = [[key, place, value] for (key, place), value in self.values.items()]
        return block_of(json.dumps(kept).encode(), 8)

    @command("SYSTem:SETup")
    def _set_up(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        """Only what :SYSTem:SETup? has answered is understood."""
        try:
            kept = {(key, place): value for key, place, value in json.loads(block_content(only(words)))}
        except (ValueError, TypeError):
            raise ScpiError(-161) from None
        if kept.keys() != self.values.keys():
            raise ScpiError(-161)
        self.restore()
        self.values |= kept
        return None

    @command("SINGle")
    def _single(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._arm()
        return None

    @command("DIGitize")
    def _digitize(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._arm()
        self._digitizing = True
        return None

    @command("RUN")
    def _run_on(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._running = True
        self._recorder.stop()
        return None

    @command("STOP")
    def _stop(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        if self._running:
            self._free_run()
        self._running = False
        self._recorder.stop()
        return None

    @command("TRIGger:FORCe")
    def _force(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._recorder.force()
        return None

    @command("OPERegister:CONDition?", "OPER:CONDition?")
    def _condition(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f"{_RUNNING if self._state() is not State.STOPPED else 0:+d}"

    @command("TER?")
    def _trigger_event(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._state()
        seen, self._triggered = self._triggered, False
        return f"{int(seen):+d}"

    @command("AER?")
    def _armed_event(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._state()
        seen, self._was_armed = self._was_armed, False
        return f"{int(seen):+d}"

    @command("ACQuire:SRATe?")
    def _rate(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(min(_MEMORY / self.values["time_range", 0], _FASTEST))

    @command("ACQuire:POINts?")
    def _depth(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f"{min(_MEMORY, round(_FASTEST * self.values['time_range', 0])):+d}"

    @command("SYSTem:PRESet")
    def _preset(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.restore()
        return None

    def _free_run(self) -> None:
        self._recorder.keep_latest(self._setup())

    # ----- settings in divisions

    @command("CHANnel#:SCALe")
    def _set_scale(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._divided("CHANnel#:RANGe", suffixes, words, _DIVISIONS)

    @command("CHANnel#:SCALe?")
    def _scale(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self.values["range", suffixes[0]] / _DIVISIONS)

    @command("TIMebase:SCALe")
    def _set_time_scale(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self._divided("TIMebase:RANGe", suffixes, words, _TIME_DIVISIONS)

    @command("TIMebase:SCALe?")
    def _time_scale(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self.values["time_range", 0] / _TIME_DIVISIONS)

    def _divided(self, pattern: str, suffixes: tuple[int, ...], words: list[bytes], divisions: int) -> Answer:
        setting = next(item for item in self.settings if item.pattern == pattern)
        if len(words) != 1:
            raise ScpiError(-109)
        try:
            whole = repr(divisions * float(words[0])).encode()
        except ValueError:
            raise ScpiError(-104) from None
        return setting.commands()[pattern](self, suffixes, [whole])

    # ----- reading

    def _channel(self) -> int:
        return int(self.values["wave_source", 0][-1])

    def _grid(self) -> tuple[int, float, float]:
        """Points, seconds between them, and the first one [s after the trigger]."""
        width = self.values["time_range", 0]
        most = _SCREEN if self.values["points_mode", 0] == "NORM" else _MEMORY
        count = round(max(min(self.values["points", 0], most, _FASTEST * width), 1))
        return count, width / count, self.values["position", 0] - width * _REFERENCE[self.values["reference", 0]]

    def _scaling(self) -> tuple[float, int]:
        """Volts of a code as it is sent, and the code of the middle of the screen."""
        wide = self.values["format", 0] == "WORD"
        return self.values["range", self._channel()] / _LEVELS / (256 if wide else 1), 32768 if wide else 128

    @command("WAVeform:PREamble?")
    def _preamble(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        count, step, origin = self._grid()
        volts, middle = self._scaling()
        form = {"BYTE": 0, "WORD": 1, "ASC": 4}[self.values["format", 0]]
        kind = {"NORM": 0, "PEAK": 1, "AVER": 2, "HRES": 3}[self.values["type", 0]]
        offset = self.values["offset", self._channel()]
        return f"{form:+d},{kind:+d},{count:+d},+1,{step:+.8E},{origin:+.8E},+0,{volts:+.8E},{offset:+.8E},{middle:+d}"

    @command("WAVeform:XINCrement?")
    def _x_step(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self._grid()[1])

    @command("WAVeform:XORigin?")
    def _x_origin(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self._grid()[2])

    @command("WAVeform:YINCrement?")
    def _y_step(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self._scaling()[0])

    @command("WAVeform:YORigin?")
    def _y_origin(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self.values["offset", self._channel()])

    @command("WAVeform:YREFerence?")
    def _y_reference(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return f"{self._scaling()[1]:+d}"

    @command("WAVeform:DATA?")
    def _data(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        codes, form = self._levels(), self.values["format", 0]
        if form == "ASC":
            volts = (codes - 32768) * self._scaling()[0] / 256 + self.values["offset", self._channel()]
            return block_of(",".join(f"{value:+.5E}" for value in volts).encode(), 8)
        if form == "BYTE":
            bytes_ = np.clip(codes // 256, 1, 255).astype(np.uint8)
            return block_of(bytes_.tobytes() if self.values["unsigned", 0] else (bytes_ ^ 0x80).tobytes(), 8)
        order = ">" if self.values["order", 0] == "MSBF" else "<"
        wide = codes if self.values["unsigned", 0] else codes - 32768
        return block_of(wide.astype(order + ("u2" if self.values["unsigned", 0] else "i2")).tobytes(), 8)

    def _levels(self) -> Array:
        """The codes of the record as words."""
        if self._running:
            self._free_run()
            self._running = True
        self._state()
        record, channel = self._recorder.record, self._channel()
        if record is None:
            raise ScpiError(-230)
        count, step, origin = self._grid()
        key = (channel, count, record.number)
        if key not in self._codes:
            times = origin + step * np.arange(count)
            volts = record.volts(f"{self._name}.ch{channel}", times, self._noise, self._seed)
            volts = volts * self.values["probe", channel] * (-1 if self.values["inverted", channel] else 1)
            fine = 16 if self.values["type", 0] == "HRES" else 1
            level = self.values["range", channel] / _LEVELS / fine
            levels = codes_of(volts - self.values["offset", channel], level, 128 * fine, fine, 256 * fine - 1)
            self._codes[key] = levels.astype(np.int64) * (256 // fine)
        return self._codes[key]
