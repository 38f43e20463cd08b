"""Which virtual instruments there are, by the name of their dialect, and what each says it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from simbackend.virtual_bench.instruments.e36300 import E36300
from simbackend.virtual_bench.instruments.infiniivision import InfiniiVision
from simbackend.virtual_bench.instruments.keysight_33600 import Keysight33600
from simbackend.virtual_bench.instruments.qdac2 import QDac2
from simbackend.virtual_bench.instruments.red_pitaya import RedPitaya
from simbackend.virtual_bench.instruments.rigol_ds1000z import RigolDS1000Z
from simbackend.virtual_bench.scpi.scpi import Scpi


@dataclass(frozen=True, slots=True)
class Entry:
    """`make(world, name, identity, **options)`; the models it can be, the first one usual; terminals and options.

    `driver`: the class that speaks to it, in drivers.instruments; `reach`: the largest voltage of its outputs without
    load [V]; `plays`: it is a generator; `unipolar`: its outputs are never negative; `slow`: the largest voltage of its
    outputs that are levels, where a generator has some [V].
    """

    make: Callable[..., Scpi]
    maker: str
    models: tuple[str, ...]
    firmware: str
    outputs: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    terminator: bytes = b"\n"
    driver: str = ""
    reach: float = 10.0
    plays: bool = False
    unipolar: bool = False
    slow: float | None = None

    @property
    def level_range(self) -> tuple[float, float]:
        """What its levels can be [V]."""
        if self.slow is not None:
            return 0.0, self.slow
        return 0.0 if self.unipolar else -self.reach, self.reach

    def identity(self, model: str, serial: str) -> tuple[str, str, str, str]:
        """What *IDN? answers."""
        return self.maker, model, serial, self.firmware


def _channels(count: int) -> tuple[str, ...]:
    return tuple(f"ch{number}" for number in range(1, count + 1))


CATALOG: dict[str, Entry] = {
    "keysight_33600": Entry(
        Keysight33600,
        "Agilent Technologies",
        ("33622A", "33522B"),
        "A.02.03-3.15-03-64-02",
        (*_channels(2), "sync", "trigger_out"),
        ("trigger_in",),
        ("latency",),
        driver="Keysight33600",
        plays=True,
    ),
    "rigol_ds1000z": Entry(
        RigolDS1000Z,
        "RIGOL TECHNOLOGIES",
        ("DS1104Z", "DS1074Z"),
        "00.04.04.SP3",
        (),
        _channels(4),
        ("noise", "jitter", "seed", "clock_error"),
        driver="RigolDS1000Z",
    ),
    "infiniivision": Entry(
        InfiniiVision,
        "KEYSIGHT TECHNOLOGIES",
        ("DSO-X 3024A",),
        "02.65.2021030741",
        (),
        (*_channels(4), "trigger_in"),
        ("noise", "jitter", "seed"),
        driver="InfiniiVision",
    ),
    "e36300": Entry(
        E36300,
        "Keysight Technologies",
        ("E36312A",),
        "2.1.3-1.0.4-1.12",
        _channels(3),
        driver="E36300",
        reach=6.0,
        unipolar=True,
    ),
    "red_pitaya": Entry(
        RedPitaya,
        "REDPITAYA",
        ("INSTR2023", "INSTR2014"),
        "01-02",
        (*_channels(2), *(f"aout{pin}" for pin in range(4))),
        ("in1", "in2", "trigger_in"),
        ("noise", "seed"),
        b"\r\n",
        driver="RedPitaya",
        reach=2.0,
        plays=True,
        slow=1.8,
    ),
    "qdac2": Entry(QDac2, "QDevil", ("QDAC-II",), "13-1.57", _channels(24), driver="QDac2"),
}


def entry_of(kind: str) -> Entry:
    """The entry of a dialect; raises ConfigurationError for one that does not exist."""
    if kind not in CATALOG:
        raise ConfigurationError(f"there is no virtual instrument {kind!r}; {nearest(kind, CATALOG)}")
    return CATALOG[kind]


def made(kind: str, model: str, world: Any, name: str, options: dict[str, Any]) -> Scpi:
    """An instrument; raises ConfigurationError for a model or option that its dialect does not have."""
    entry = entry_of(kind)
    chosen = model or entry.models[0]
    if chosen not in entry.models:
        raise ConfigurationError(f"a {kind} is a {' or '.join(entry.models)}, not {chosen!r}")
    for option in options:
        if option not in entry.options:
            words = ", ".join(entry.options) or "none"
            raise ConfigurationError(f"a {kind} has no option {option!r}; it has: {words}")
    serial = f"VB{abs(sum(ord(letter) * 31**place for place, letter in enumerate(name))) % 10**8:08d}"
    return entry.make(world, name, entry.identity(chosen, serial), **options)
