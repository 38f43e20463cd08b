"""Oscilloscopes of the Rigol DS1000Z series, as DS1104Z (100 MHz) or DS1074Z: read-out of four channels of 8 bits.

Follows: MSO1000Z/DS1000Z Series Digital Oscilloscope Programming Guide (PGA16306-1110).  There is no external trigger
input: what triggers is one of the channels.  The probe ratio is 10 after a reset, as on the real instrument: a plain
cable needs `:CHANnel1:PROBe 1`.  A waveform is read from the screen (NORMal, 1200 points) or, when stopped, from the
memory (RAW, at most 250000 points at a time):  volts = (code - yorigin - yreference) * yincrement.  Channels that are
on share memory and converter: one alone has four times the samples and the rate that each of three or four has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from labrhel.arrays import Array
from simbackend.virtual_bench.instruments.instrument import VirtualInstrument, channels
from simbackend.virtual_bench.scpi.messages import block_of
from simbackend.virtual_bench.scpi.scpi import Answer, ScpiError, command
from simbackend.virtual_bench.scpi.settings import Flag, Real, Setting, Whole, Word
from simbackend.virtual_bench.world.recorder import Record, Recorder, Setup, State, codes_of
from simbackend.virtual_bench.world.world import World

CHANNELS: tuple[int, ...] = (1, 2, 3, 4)
_SCREEN, _DIVISIONS, _CODES_PER_DIVISION, _MIDDLE = 1200, 12, 25, 127
_MOST_AT_ONCE = 250_000
_FASTEST = 250e6  # Sa/s with four channels on
_DEPTHS = (3000, 30_000, 300_000, 3_000_000, 6_000_000)  # samples of each, with four channels on
_SHARES = {1: 4, 2: 2}  # of what each of four channels has, by the number of those that are on
_LONGEST = _DEPTHS[-1] * _SHARES[1]
_ALL_DEPTHS = sorted({depth * share for depth in _DEPTHS for share in (1, *_SHARES.values())})
_AT_ONCE = 1 << 20  # samples
_AC_CORNER = 5.0  # Hz
_SOURCES = "CHANnel1 CHANnel2 CHANnel3 CHANnel4"


class VirtualRigolDS1000Z(VirtualInstrument):
    """See the module.  `noise`: of every input [V rms at the BNC]."""

    maker, models, firmware = "RIGOL TECHNOLOGIES", ("DS1104Z", "DS1074Z"), "00.04.04.SP3"
    inputs = channels(4)

    settings: ClassVar[Sequence[Setting]] = (
        Flag("CHANnel#:DISPlay", "display", True, CHANNELS),
        Real("CHANnel#:SCALe", "scale", 1.0, CHANNELS, 1e-3, 100.0),
        Real("CHANnel#:OFFSet", "offset", 0.0, CHANNELS, -1000.0, 1000.0),
        Word("CHANnel#:COUPling", "coupling", "DC", CHANNELS, "AC DC GND"),
        Real("CHANnel#:PROBe", "probe", 10.0, CHANNELS, 0.01, 1000.0),
        Word("CHANnel#:BWLimit", "bandwidth", "OFF", CHANNELS, "20M OFF"),
        Flag("CHANnel#:INVert", "inverted", False, CHANNELS),
        Real("TIMebase[:MAIN]:SCALe", "time_scale", 1e-6, (0,), 5e-9, 50.0),
        Real("TIMebase[:MAIN]:OFFSet", "time_offset", 0.0, (0,), -1e3, 1e3),
        Word("TIMebase:MODE", "time_mode", "MAIN", (0,), "MAIN XY ROLL"),
        Word("ACQuire:TYPE", "type", "NORM", (0,), "NORMal AVERages PEAK HRESolution"),
        Word("ACQuire:MDEPth", "depth", "AUTO", (0,), "AUTO " + " ".join(str(depth) for depth in _ALL_DEPTHS)),
        Word("TRIGger:MODE", "trigger_mode", "EDGE", (0,), "EDGE PULSe VIDeo PATTern"),
        Word("TRIGger:EDGe:SOURce", "source", "CHAN1", (0,), _SOURCES),
        Word("TRIGger:EDGe:SLOPe", "slope", "POS", (0,), "POSitive NEGative RFALl"),
        Real("TRIGger:EDGe:LEVel", "level", 0.0, (0,), -500.0, 500.0),
        Word("TRIGger:SWEep", "sweep", "AUTO", (0,), "AUTO NORMal SINGle"),
        Real("TRIGger:HOLDoff", "holdoff", 16e-9, (0,), 16e-9, 10.0),
        Word("WAVeform:SOURce", "wave_source", "CHAN1", (0,), _SOURCES),
        Word("WAVeform:MODE", "wave_mode", "NORM", (0,), "NORMal MAXimum RAW"),
        Word("WAVeform:FORMat", "wave_format", "BYTE", (0,), "WORD BYTE ASCii"),
        Whole("WAVeform:POINts", "points", 1200.0, (0,), 1.0, _LONGEST),
        Whole("WAVeform:STARt", "start", 1.0, (0,), 1.0, _LONGEST),
        Whole("WAVeform:STOP", "stop", 1200.0, (0,), 1.0, _LONGEST),
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
        clock_error: float = 0.0,
    ) -> None:
        self._noise, self._seed = noise, seed
        self._slow = 1 + clock_error  # seconds that pass in one of its own
        self._recorder = Recorder(world, [f"{name}.ch{channel}" for channel in CHANNELS], seed, jitter)
        super().__init__(world, name, identity)

    def restore(self) -> None:
        """Run, and trigger without an event."""
        super().restore()
        self._running = True
        self._codes: dict[tuple[int, int, int], Array] = {}
        self._recorder.stop()
        self._recorder.corners = {}

    def real(self, value: float) -> str:
        """As in the guide: 1.000000e+00."""
        return f"{value:.6e}"

    def error_line(self, code: int, words: str) -> str:
        """Without a plus sign."""
        return f'{code},"{words}"'

    def changed(self, key: str, place: int, before: Any) -> None:
        """A change of the coupling changes what arrives; one of the probe, what the divisions are called.

        A channel that is switched on or off leaves the others another share of the memory.
        """
        if key == "depth" and self.values["depth", 0] not in ("AUTO", *(str(depth) for depth in self._depths())):
            raise ScpiError(-222, f"the depths are {', '.join(map(str, self._depths()))} with these channels on")
        if key == "display" and self.values["depth", 0] != "AUTO" and self.values[key, place] != before:
            change = {True: 1, False: -1}[self.values[key, place]]
            ratio = self._share() / self._share(-change)
            self.values["depth", 0] = str(round(int(self.values["depth", 0]) * ratio))
        if key == "probe":
            for name in ("scale", "offset"):
                self.values[name, place] *= self.values["probe", place] / before
        if key == "coupling":
            corners = {c: _AC_CORNER for c in CHANNELS if self.values["coupling", c] == "AC"}
            self._recorder.corners = {f"{self._name}.ch{c}": corner for c, corner in corners.items()}

    # ----- time base and acquisition

    def _share(self, fewer: int = 0) -> int:
        """How many times the memory and rate of four channels each has that is on, or would with so many `fewer`."""
        return _SHARES.get(sum(self.values["display", channel] for channel in CHANNELS) + fewer, 1)

    def _depths(self) -> list[int]:
        return [depth * self._share() for depth in _DEPTHS]

    def _memory(self) -> tuple[int, float]:
        """Samples of a record, and their rate [Hz]."""
        width = _DIVISIONS * self.values["time_scale", 0]
        depth = self._depths()[2] if self.values["depth", 0] == "AUTO" else int(self.values["depth", 0])
        rate = min(depth / width, _FASTEST * self._share())
        return max(round(rate * width), _SCREEN), rate

    def _setup(self) -> Setup:
        width, middle = _DIVISIONS * self.values["time_scale", 0], self.values["time_offset", 0]
        channel = int(self.values["source", 0][-1])
        return Setup(
            source=f"{self._name}.ch{channel}",
            level=self.values["level", 0] / self.values["probe", channel],
            rising=self.values["slope", 0] != "NEG",
            before=max(width / 2 - middle, 0.0),
            after=max(width / 2 + middle, 0.0),
        )

    @command("SINGle")
    def _single(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self.values["sweep", 0] = "SING"
        self._running = False
        self._codes.clear()
        self._recorder.arm(self._setup())
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

    @command("TFORce")
    def _force(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._recorder.force()
        return None

    @command("TRIGger:STATus?")
    def _status(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        if self._running:
            return "AUTO"
        names = {State.STOPPED: "STOP", State.FILLING: "RUN", State.WAITING: "WAIT", State.TRIGGERED: "TD"}
        return names[self._recorder.poll()]

    @command("ACQuire:SRATe?")
    def _rate(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self._memory()[1])

    @command("CLEar")
    def _clear_screen(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        self._recorder.record = None
        return None

    @command("AUToscale")
    def _nothing(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return None

    def _free_run(self) -> None:
        """A record that ends now, with no trigger."""
        self._codes.clear()
        self._recorder.keep_latest(self._setup())

    def _record(self) -> Record:
        self._recorder.poll()
        if self._running:
            self._free_run()
        record = self._recorder.record
        if record is None:
            raise ScpiError(-230)
        return record

    # ----- reading

    def _channel(self) -> int:
        return int(self.values["wave_source", 0][-1])

    def _is_raw(self) -> bool:
        mode = self.values["wave_mode", 0]
        return mode == "RAW" or (mode == "MAX" and not self._running)

    def _grid(self) -> tuple[int, float, float]:
        """Points, seconds between them, and the first one [s after the trigger]."""
        count, rate = self._memory()
        width = _DIVISIONS * self.values["time_scale", 0]
        origin = self.values["time_offset", 0] - width / 2
        return (count, 1 / rate, origin) if self._is_raw() else (_SCREEN, width / _SCREEN, origin)

    def _scaling(self) -> tuple[float, int]:
        """Volts of a code, and the code of 0 V less the reference."""
        step = self.values["scale", self._channel()] / _CODES_PER_DIVISION
        return step, round(self.values["offset", self._channel()] / step)

    @command("WAVeform:PREamble?")
    def _preamble(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        count, step, origin = self._grid()
        volts, zero = self._scaling()
        form = {"BYTE": 0, "WORD": 1, "ASC": 2}[self.values["wave_format", 0]]
        kind = 2 if self._is_raw() else 0
        return f"{form},{kind},{count},1,{step:.6e},{origin:.6e},0,{volts:.6e},{zero},{_MIDDLE}"

    @command("WAVeform:XINCrement?")
    def _x_step(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self._grid()[1])

    @command("WAVeform:XORigin?")
    def _x_origin(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self._grid()[2])

    @command("WAVeform:XREFerence?")
    def _x_reference(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return "0"

    @command("WAVeform:YINCrement?")
    def _y_step(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return self.real(self._scaling()[0])

    @command("WAVeform:YORigin?")
    def _y_origin(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(self._scaling()[1])

    @command("WAVeform:YREFerence?")
    def _y_reference(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        return str(_MIDDLE)

    @command("WAVeform:DATA?")
    def _data(self, suffixes: tuple[int, ...], words: list[bytes]) -> Answer:
        channel, record = self._channel(), self._record()
        count, step, origin = self._grid()
        key = (channel, count, record.number)
        if key not in self._codes:
            # Noise is drawn for a whole record; without it a deep memory is converted a part at a time.
            size = count if self._noise else _AT_ONCE
            places = [np.arange(first, min(first + size, count)) for first in range(0, count, size)]
            parts = [self._converted(record, self._slow * (origin + step * place)) for place in places]
            self._codes[key] = np.concatenate(parts)
        start, stop = (int(self.values[name, 0]) for name in ("start", "stop"))
        if not self._is_raw():
            start, stop = max(start, 1), min(stop, count)
        if stop < start or stop - start + 1 > _MOST_AT_ONCE or stop > count:
            raise ScpiError(-222, f"at most {_MOST_AT_ONCE} of {count} points are read at a time")
        codes = self._codes[key][start - 1 : stop]
        if self.values["wave_format", 0] == "ASC":
            scale, zero = self._scaling()
            return block_of(",".join(f"{(int(c) - zero - _MIDDLE) * scale:.6e}" for c in codes).encode())
        return block_of(codes.tobytes() if self.values["wave_format", 0] == "BYTE" else codes.astype("<u2").tobytes())

    def _converted(self, record: Record, times: Array) -> Array:
        """Codes of the channel that is read, at `times` [s after the trigger]."""
        channel = self._channel()
        volts = record.volts(f"{self._name}.ch{channel}", times, self._noise, self._seed)
        volts = volts * self.values["probe", channel]
        volts = volts * (-1 if self.values["inverted", channel] else 1) * (self.values["coupling", channel] != "GND")
        scale, zero = self._scaling()
        return codes_of(volts, scale, zero + _MIDDLE, 0, 255).astype(np.uint8)
