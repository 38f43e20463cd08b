"""One circuit, one run: the vendor's client, behind a wire that refuses to wait.

A circuit is sent whole before every run, so nothing of an earlier one is left.  After anything that went wrong the wire
is opened again, and the machine has to say who it is, before the next.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from drivers.lucidac.circuit import INTEGRATORS, LANES
from drivers.lucidac.wire import Lines
from drivers.transport.address import split_url
from drivers.transport.deadline import Deadline
from drivers.transport.lease import Lease
from labrhel.arrays import Array
from labrhel.errors import ConfigurationError, InstrumentError, TransportError

LONGEST = 1.0
"""The longest run [s]: a limit of the machine."""

HELLO, ANSWER = 2.0, 7.0
"""How long the machine may take to say who it is, when it is asked again, and for a run beyond its own time [s]."""

_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError)
T = TypeVar("T")


class Route(NamedTuple):
    """A lane that is in use: its coefficient is `share` of full scale, which is 1, or 10 where it is `amplified`."""

    source: int
    lane: int
    share: float
    target: int
    amplified: bool


@dataclass(frozen=True, slots=True)
class Patch:
    """A circuit: its routes, and where the integrators start (8,)."""

    routes: Sequence[Route]
    start: Array

    def configuration(self) -> dict[str, Any]:
        """As the machine takes it; all integrators are read.  Nothing but Python's own numbers reaches lucipy."""
        found = _lucipy().Circuit()
        for item in self.routes:
            found.route(int(item.source), int(item.lane), float(item.share), int(item.target))
        for index, value in enumerate(self.start):
            found.set_ic(index, -float(value))  # an integrator negates what it is given
        found.set_adc_channels(list(range(INTEGRATORS)))
        made = found.generate(sanity_check=False)
        # lucipy amplifies what is above 1, which a lane whose gain is not 1 may have to be set beyond.
        amplified = {item.lane for item in self.routes if item.amplified}
        made["/0"]["/I"]["upscaling"] = [lane in amplified for lane in range(LANES)]
        return made


class Machine:
    """The machine at tcp://HOST:PORT, leased for this process; `identity` is its own name.

    Raises ConfigurationError for what is no address and where there is no lucipy, TransportError where nothing answers.
    """

    def __init__(self, address: str) -> None:
        _lucipy()
        scheme, self._host, self._tcp, *_ = split_url(address)
        if scheme != "tcp":
            raise ConfigurationError(f"a LUCIDAC is reached at tcp://HOST:PORT, not {address!r}")
        self.address = address
        self._lock = threading.Lock()
        self._client: Any = None
        self.identity = ""
        self._lease = Lease(address)
        try:
            self.identity = self._exchanged(lambda client: str(client.get_mac()), ANSWER)
        except BaseException:
            self.close()
            raise

    def run(self, patch: Patch, seconds: float, rate: int) -> tuple[Array, Array]:
        """Let a circuit run; times (samples,) [s] and all integrators (samples, 8) [machine units].

        Raises TransportError for a machine that is silent, InstrumentError for one that refuses or halts early.
        """
        circuit, duration = patch.configuration(), round(seconds * 1e9)
        wanted = round(seconds * rate)

        def ask(client: Any) -> tuple[Any, Any]:
            client.set_circuit(circuit)
            client.set_run(halt_on_overload=True, op_time=duration)
            client.run_config.ic_time = client.determine_idal_ic_time_from_k0s(circuit["/0"]["/M0"]["elements"])
            run = client.start_run(sample_rate=rate)
            return run.data(empty_is_fine=True), run.op_end_state()

        rows, last = self._exchanged(ask, ANSWER + seconds)
        values = np.array(rows, float).reshape(-1, INTEGRATORS)
        if not np.isfinite(values).all() or not wanted - 1 <= len(values) <= wanted + 1:
            raise InstrumentError(
                f"{self.address} sent {len(values)} of {wanted} samples, or what is no number: did an element overload "
                "and halt it? Lower the start, or raise position= and velocity= of the URL"
            )
        # Samples last to the end of the run, unless the end is sent apart.
        end = seconds if last is None else (len(values) - 1) / rate
        return np.linspace(0.0, end, len(values)), values

    def close(self) -> None:
        """Give the machine back; harmless twice."""
        with self._lock:
            self._drop()
            self._lease.close()

    def _exchanged(self, ask: Callable[[Any], T], seconds: float) -> T:
        lucipy = _lucipy()
        with self._lock:
            try:
                if self._client is None:
                    self._client = _client(lucipy, Lines(self._host, self._tcp))
                    self._until(HELLO if self.identity else ANSWER)
                    self._client.get_mac()
                self._until(seconds)
                return ask(self._client)
            except OSError as problem:
                self._drop()
                raise TransportError(
                    f"{self.address} does not answer: {problem}; is it on, and is the address right?"
                ) from problem
            except lucipy.synchc.RemoteError as problem:
                raise InstrumentError(f"{self.address} refused: {_short(problem)}", answer=str(problem)) from problem
            except _NONSENSE as problem:
                self._drop()
                words = f"{self.address} sent what is no answer of a LUCIDAC: {_short(problem)}"
                raise InstrumentError(words, answer=str(problem)) from problem
            except BaseException:
                self._drop()  # interrupted: what is on its way belongs to nobody
                raise

    def _until(self, seconds: float) -> None:
        self._client.sock.sock.until = Deadline(seconds)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _client(lucipy: Any, lines: Lines) -> Any:
    """The vendor's client on our wire; it is made on its own emulated one, which does nothing."""
    client = lucipy.LUCIDAC("emu:/")
    client.sock = lucipy.synchc.jsonlines(lines)
    return client


def _short(problem: BaseException) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())[:200]


def _lucipy() -> Any:
    """The package; importing it sets up the root logger, which is ours to set up."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        import lucipy
        import lucipy.synchc
    except ImportError as error:
        raise ConfigurationError(
            "lucidac: rigs need the vendor's lucipy, which is not installed: pip install 'labrhel[lucidac]'"
        ) from error
    root.handlers[:] = before
    root.setLevel(level)
    lucipy.synchc.log.setLevel(logging.ERROR)
    return lucipy


def sample_rates() -> Sequence[int]:
    """What the machine's converters can be clocked at [samples/s]."""
    return _lucipy().LUCIDAC.allowed_sample_rates
