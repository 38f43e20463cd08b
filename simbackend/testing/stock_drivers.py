"""One oscillator behind virtual instruments, driven through drivers that come with QCoDeS and its contributions.

`INSTRUMENTS` is what docs/your-bench.md shows of such a station file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import labrhel
from labrhel import Experiment
from simbackend.virtual_bench import Bench, virtual_bench

CONFIG = """\
model:
  oscillators: 1
  inputs: [u1]
  units: {time: ms, position: V, input: V}
  parameters:
    stiffness: {value: 1.0, train: true}
    cubic: 0.2
    friction: 0.05
    input: [[1.0]]
  readout: {channels: [q1]}
rig: "sim:"
protocol: {rule: rhel, record: none}
optimizer: {kind: adam, rate: 0.05, steps: 4}
data:
  teacher:
    parameters: {stiffness: 1.2}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 6, seed: 3}
    samples: 60
    spacing: 0.2
    sequences: 1
  substeps: 4
  skip: 5
"""
BENCH = """\
model: config.yaml
ring_down: 60ms
instruments:
  awg: {kind: keysight_33600, model: 33522B}
  scope: {kind: rigol_ds1000z, model: DS1074Z, noise: 1mV}
  bias: {kind: qdac2}
leads:
  - {wire: awg.ch1, to: u1}
  - {wire: awg.ch2, to: f1}
  - {wire: q1, to: scope.ch1}
  - {wire: awg.sync, to: scope.ch4}
  - {wire: bias.ch1, to: "stiffness[0]", at_zero: 0.8, per_volt: 0.2}
"""
INSTRUMENTS = """\
instruments:
  awg:
    kind: qcodes:qcodes.instrument_drivers.Keysight.Keysight33522B
    address: "TCPIP::192.168.1.11::5025::SOCKET"
    outputs:
      terminals: [ch1, ch2]
      limits: [-5 V, 5 V]
      bits: 14
      memory: 1000000
      shortest: 8
      rates: [1 Hz, 62.5 MHz]
      prepare:
        - "{terminal}.amplitude_unit": VPP
        - write: "OUTP{number}:LOAD INF"
        - write: "FORM:BORD NORM"
        - "{terminal}.burst_mode": N Cycle
        - "{terminal}.burst_ncycles": 1
      play:
        - "{terminal}.output": "OFF"
        - "{terminal}.trigger_source": BUS
        - "{terminal}.function_type": SIN
        - write: "SOUR{number}:DATA:VOL:CLE"
        - visa_handle.write_binary_values: ["SOUR{number}:DATA:ARB:DAC {name},", "{codes}", h, true]
        - write: "SOUR{number}:FUNC:ARB {name}"
        - write: "SOUR{number}:FUNC:ARB:FILT OFF"
        - write: "SOUR{number}:FUNC:ARB:SRAT {rate}"
        - "{terminal}.function_type": ARB
        - "{terminal}.amplitude": "{amplitude}"
        - "{terminal}.offset": "{offset}"
        - "{terminal}.burst_state": "ON"
      output: "{terminal}.output"
      on: "ON"
      off: "OFF"
      external:
        - "{terminal}.trigger_source": EXT
      software:
        - sync.source: 1
        - sync.output: "ON"
      fire: [force_trigger]
      done: {value: {ask: "*OPC?"}, until: 1}
      errors: error
  scope:
    kind: qcodes:qcodes.instrument_drivers.rigol.RigolDS1074Z
    address: "TCPIP::192.168.1.12::5555::SOCKET"
    inputs:
      terminals: [ch1, ch2, ch3, ch4]
      memory: 30000
      rates: [250 kHz, 500 kHz]
      prepare:
        - write: ":RUN"
        - write: ":ACQ:MDEP 30000"
        - write: ":STOP"
        - write: ":TIM:MAIN:SCAL {2500 / rate}"
        - write: ":TIM:MAIN:OFFS {start + 15000 / rate}"
        - trigger_mode: edge
        - trigger_edge_source: "{trigger}"
        - trigger_edge_slope: positive
        - trigger_level: "{level}"
        - write: ":WAV:MODE RAW"
        - write: ":WAV:STAR 1"
        - write: ":WAV:STOP 30000"
        - waveform_npoints: 30000
      range:
        - write: ":CHAN{number}:PROB 1"
        - "channels.{terminal}.vertical_scale": "{span / 8}"
        - write: ":CHAN{number}:OFFS {-middle}"
      arm:
        - write: ":SING"
      waiting: {value: {ask: ":TRIG:STAT?"}, until: [WAIT, TD]}
      ready: {value: {ask: ":TRIG:STAT?"}, until: STOP}
      stop:
        - write: ":STOP"
      interval: waveform_xincrem
      start: waveform_xorigin
      trace: "channels.{terminal}.trace"
      errors: {ask: ":SYST:ERR?"}
  bias:
    kind: qcodes:qcodes_contrib_drivers.drivers.QDevil.QDAC2.QDac2
    address: "TCPIP::192.168.1.13::5025::SOCKET"
    levels:
      terminals: [ch01, ch02]
      limits: [-5 V, 5 V]
      level: "{terminal}.dc_constant_V"
      errors: {ask: "syst:err?"}
"""
RIG = """\
rig:
  trigger: {fired_by: awg, seen_by: {scope: {terminal: ch4, level: 1.0}}}
  ring_down: 60ms
  ports:
    u1: {terminal: awg.ch1, limits: [-5 V, 5 V]}
    f1: {terminal: awg.ch2, limits: [-5 V, 5 V]}
  channels:
    q1: {terminal: scope.ch1, range: [-2 V, 2 V], noise: 1mV}
  knobs:
    stiffness: {terminals: [bias.ch01], at_zero: 0.8, per_volt: 0.2, limits: [-3 V, 5 V]}
"""

_PLACES = {"awg": "192.168.1.11::5025", "scope": "192.168.1.12::5555", "bias": "192.168.1.13::5025"}


@contextmanager
def bench_and_station(
    folder: Path, *changes: tuple[str, str], speed: float = float("inf")
) -> Iterator[tuple[Bench, Path]]:
    """The bench, and its station file beside its configuration; `changes` of the station file's text."""
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "bench.yaml").write_text(BENCH, encoding="utf-8")
    with virtual_bench(folder / "bench.yaml", speed=speed) as bench:
        text = INSTRUMENTS + RIG
        places = [(f"TCPIP::{place}::SOCKET", bench.addresses[name]["socket"]) for name, place in _PLACES.items()]
        for old, new in (*places, *changes):
            assert old in text, old
            text = text.replace(old, new)
        (folder / "station.yaml").write_text(text, encoding="utf-8")
        yield bench, folder / "station.yaml"


@contextmanager
def opened(folder: Path, *changes: tuple[str, str], settings: str = "") -> Iterator[tuple[Bench, Experiment]]:
    """The experiment on that bench; `settings` of the URL."""
    with (
        bench_and_station(folder, *changes) as (bench, file),
        labrhel.load_experiment(folder / "config.yaml", rig_url=f"bench:{file}{settings}") as experiment,
    ):
        yield bench, experiment


def volts(bench: Bench) -> list[float]:
    """What stands on the outputs of the generator, and the first level [V]."""
    with bench.clock.lock:
        return [bench.world.volts(name) for name in ("awg.ch1", "awg.ch2", "bias.ch1")]
