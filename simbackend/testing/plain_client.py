"""A client of the virtual bench that knows nothing but sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from labrhel.testing.waiting import PATIENCE
from simbackend.virtual_bench import Bench

PAIR = """
model: pair.yaml
ring_down: 2s
instruments:
  awg: {{kind: keysight_33600, model: 33522B{awg}}}
  scope: {{kind: rigol_ds1000z{scope}}}
leads:
  - {{wire: awg.ch1, to: f1{drive}}}
  - {{wire: awg.ch2, to: f2}}
  - {{wire: q1, to: scope.ch1{sense}}}
  - {{wire: q2, to: scope.ch2}}
  - {{wire: awg.sync, to: scope.ch4}}
"""
MODEL = """
model:
  oscillators: 2
  coupling: chain
  units: {time: ms, position: V, input: V}
  parameters: {stiffness: [1.0, 1.3], cubic: 0.2, coupling: 0.15, friction: 0.05}
"""


def station(folder, *, awg="", scope="", drive="", sense=""):
    """A generator, an oscilloscope and two oscillators; more can be said of each."""
    (folder / "pair.yaml").write_text(MODEL, encoding="utf-8")
    file = folder / "bench.yaml"
    file.write_text(PAIR.format(awg=awg, scope=scope, drive=drive, sense=sense), encoding="utf-8")
    return file


class Client:
    """One connection of a client without a driver."""

    def __init__(self, address: str, timeout: float = PATIENCE) -> None:
        self.socket = socket.create_connection(("127.0.0.1", int(address.split("::")[2])), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else two writes in a row take 40 ms
        self._stream = self.socket.makefile("rb")

    def write(self, message: str | bytes) -> None:
        self.socket.sendall((message.encode() if isinstance(message, str) else message) + b"\n")

    def read(self) -> bytes:
        line = self._stream.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError
        return line

    def ask(self, message: str) -> str:
        self.write(message)
        return self.read().decode().rstrip("\n")

    def block(self, message: str) -> bytes:
        self.write(message)
        head = self._exactly(2)
        length = int(self._exactly(int(head[1:])))
        data = self._exactly(length + 1)
        assert data.endswith(b"\n")
        return data[:-1]

    def close(self) -> None:
        self._stream.close()
        self.socket.close()

    def _exactly(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise ConnectionResetError
        return data


@contextmanager
def clients(bench: Bench, *names: str) -> Iterator[list[Client]]:
    """Connections to instruments, closed at the end."""
    opened = [Client(bench.addresses[name]["socket"]) for name in names]
    try:
        yield opened
    finally:
        for client in opened:
            client.close()


def upload(awg: Client, channel: int, samples, *, rate: float, amplitude: float, name: str = "w") -> None:
    """A waveform between -1 and 1 as a binary arb, played once by a bus trigger, the output declared open."""
    data = np.asarray(samples, ">f4").tobytes()
    block = f"#{len(str(len(data)))}{len(data)}".encode() + data
    for words in (f"OUTP{channel}:LOAD INF", f"SOUR{channel}:DATA:VOL:CLE"):
        awg.write(words)
    awg.write(f"SOUR{channel}:DATA:ARB {name},".encode() + block)
    for words in (f"FUNC:ARB {name}", "FUNC ARB", f"FUNC:ARB:SRAT {rate}", f"VOLT {amplitude}", "BURS:STAT ON"):
        awg.write(f"SOUR{channel}:{words}")
    for words in (f"SOUR{channel}:BURS:NCYC 1", f"TRIG{channel}:SOUR BUS", f"OUTP{channel} ON"):
        awg.write(words)


def arm(scope: Client, *, scale: float, volts: float, position: float, depth: int = 30000) -> None:
    """Single shot on the sync signal at channel 4; `position` [s] of the middle of the screen after the trigger."""
    for channel in (1, 2, 3, 4):
        scope.write(f":CHAN{channel}:PROB 1")
        scope.write(f":CHAN{channel}:SCAL {1 if channel == 4 else volts}")
    for words in (f":TIM:MAIN:SCAL {scale}", f":TIM:MAIN:OFFS {position}", f":ACQ:MDEP {depth}"):
        scope.write(words)
    for words in (":TRIG:EDG:SOUR CHAN4", ":TRIG:EDG:LEV 1.5", ":WAV:MODE RAW", ":WAV:FORM BYTE", ":SING"):
        scope.write(words)
    for words in (":WAV:STAR 1", f":WAV:STOP {depth}"):
        scope.write(words)
    while scope.ask(":TRIG:STAT?") != "WAIT":
        pass


def trace(scope: Client, channel: int):
    """Times [s after the trigger] and volts of the record, by its preamble."""
    scope.write(f":WAV:SOUR CHAN{channel}")
    numbers = [float(word) for word in scope.ask(":WAV:PRE?").split(",")]
    x_step, x_origin, _, y_step, y_origin, y_reference = numbers[4:]
    codes = np.frombuffer(scope.block(":WAV:DATA?"), np.uint8).astype(float)
    return x_origin + x_step * np.arange(len(codes)), (codes - y_origin - y_reference) * y_step
