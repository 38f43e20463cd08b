"""What every virtual instrument is: what it says it is, its terminals, and the world that it stands in.

    class VirtualGS200(VirtualInstrument):
        maker, models, firmware = "YOKOGAWA", ("GS210",), "1.05"
        outputs, level_range = ("out",), (-10.0, 10.0)
        settings = (Real("SOURce:LEVel", "level", 0.0, (0,), -12.0, 12.0),)

        def changed(self, key, place, before):
            self.turn("out", self.values["level", 0])

It is registered as `KIND.virtual` in the entry-point group `labrhel.instruments`, beside the driver of its kind
(docs/adding-an-instrument.md), and must have no command that its real counterpart lacks.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import ClassVar

from simbackend.virtual_bench.scpi.scpi import Scpi
from simbackend.virtual_bench.world.signals import Ramp, Varying
from simbackend.virtual_bench.world.world import World


class VirtualInstrument(Scpi):
    """An instrument of a virtual bench; its keyword arguments are the options that the file of a bench may give it."""

    maker: ClassVar[str]
    models: ClassVar[tuple[str, ...]]
    """The models it can be, the usual one first."""
    firmware: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]] = ()
    inputs: ClassVar[tuple[str, ...]] = ()
    terminator: ClassVar[bytes] = b"\n"
    plays: ClassVar[bool] = False
    """True for generators."""
    reach: ClassVar[float] = 10.0
    """The largest voltage of what its outputs play, without load [V]."""
    level_range: ClassVar[tuple[float, float]] = (-10.0, 10.0)
    """What the levels of its outputs can be [V]."""
    options: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        parameters = inspect.signature(cls.__init__).parameters.values()
        cls.options = tuple(item.name for item in parameters if item.kind is item.KEYWORD_ONLY)

    def __init__(self, world: World, name: str, identity: Sequence[str]) -> None:
        self._world, self._name = world, name
        super().__init__(identity)

    @classmethod
    def says(cls, model: str, serial: str) -> tuple[str, str, str, str]:
        """What one of that model answers to *IDN?."""
        return cls.maker, model, serial, cls.firmware

    def turn(self, terminal: str, volts: float | Varying) -> None:
        """An output goes to a level, at once or on its way."""
        moving = Ramp(self._world.clock.now(), high=volts) if isinstance(volts, (int, float)) else volts
        self._world.turn(f"{self._name}.{terminal}", moving)


def channels(count: int) -> tuple[str, ...]:
    """Terminals ch1, ch2, ..."""
    return tuple(f"ch{number}" for number in range(1, count + 1))
