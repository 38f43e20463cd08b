"""One instrument in several roles: a generator that also reads, a source of levels that also plays.

Its driver and its wire are one, and so are making it safe, and closing it; each role is a box of its own inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from drivers.foreign.box import Box
from drivers.foreign.digitizer import ForeignDigitizer
from drivers.foreign.generator import ForeignGenerator
from drivers.foreign.source import ForeignSource
from drivers.roles import Burst, InputSpec, OutputSpec, Record, Window
from labrhel.arrays import Array
from labrhel.errors import InstrumentError


class InSeveralRoles(Box):
    """An instrument that is all of its `roles`, in the order in which they are made safe.

    What a role adds is in a class of its own below, so that it has the methods of no other.
    """

    generator: ForeignGenerator | None = None
    digitizer: ForeignDigitizer | None = None
    source: ForeignSource | None = None

    def __init__(self, *box: Any, roles: Sequence[Box]) -> None:
        super().__init__(*box)
        self._roles = roles
        for role in roles:
            for name, kind in (
                ("generator", ForeignGenerator), ("digitizer", ForeignDigitizer), ("source", ForeignSource)
            ):  # fmt: skip
                if isinstance(role, kind):
                    setattr(self, name, role)

    def _require_sense(self) -> None:
        for role in self._roles:
            role._require_sense()

    def _switch_off(self) -> None:
        self._each(lambda role: role._switch_off())

    def _make_safe(self) -> None:
        self._each(lambda role: role._switch_off())
        self._each(lambda role: role._make_safe())

    def _forget(self) -> None:
        for role in self._roles:
            role._forget()

    def _each(self, action: Callable[[Box], None]) -> None:
        """Whatever becomes of the others; the first failure is said."""
        first: Exception | None = None
        for role in self._roles:
            try:
                action(role)
            except Exception as error:
                first = first or error
        if first is not None:
            raise first


class _Waits(InSeveralRoles):
    """What plays and what records is armed, and waited for."""

    def arm(self, *, source: str = "") -> None:
        """Without a source: record one trigger, from now on; with one, outputs on, waiting for a trigger from there."""
        if not source:
            assert self.digitizer is not None
            self.digitizer.arm()
        else:
            assert self.generator is not None
            self.generator.arm(source=source)

    def wait(self, seconds: float) -> None:
        """Until the record, if one is armed, is complete, and the burst that it has fired, if any, has ended."""
        end = time.monotonic() + seconds
        records = self.digitizer is not None and self.digitizer.is_armed
        if records:
            assert self.digitizer is not None
            self.digitizer.wait(seconds)
        if self.generator is not None and self.generator.armed and not (records and self.generator.armed == "external"):
            self.generator.wait(max(end - time.monotonic(), 0.0))
        elif not records:
            raise InstrumentError(f"{self.name} waits for no trigger: arm it first")


class _Plays(_Waits):
    @property
    def outputs(self) -> Mapping[str, OutputSpec]:
        """By output, what it can do."""
        assert self.generator is not None
        return self.generator.outputs

    def load(self, bursts: Mapping[str, Burst]) -> dict[str, Array]:
        """Upload; the samples [V] as its converters have them."""
        assert self.generator is not None
        return self.generator.load(bursts)

    def fire(self) -> None:
        """Trigger it by software."""
        assert self.generator is not None
        self.generator.fire()


class _Records(_Waits):
    @property
    def inputs(self) -> Mapping[str, InputSpec]:
        """By input, what it can do."""
        assert self.digitizer is not None
        return self.digitizer.inputs

    @property
    def triggers(self) -> tuple[str, ...]:
        """What it can be triggered by."""
        assert self.digitizer is not None
        return self.digitizer.triggers

    def prepare(self, window: Window, trigger: str, level: float) -> float:
        """Set time base, ranges and trigger; the rate it took [Hz]."""
        assert self.digitizer is not None
        return self.digitizer.prepare(window, trigger, level)

    def read(self, terminals: Sequence[str]) -> dict[str, Record]:
        """The records of these inputs."""
        assert self.digitizer is not None
        return self.digitizer.read(terminals)


class _Holds(InSeveralRoles):
    @property
    def levels(self) -> Mapping[str, tuple[float, float]]:
        """By terminal, the lowest and the highest level [V]."""
        assert self.source is not None
        return self.source.levels

    @property
    def held(self) -> Mapping[str, float]:
        """Safe levels [V] of the terminals that stay on."""
        assert self.source is not None
        return self.source.held

    def set_levels(self, volts: Mapping[str, float]) -> dict[str, float]:
        """Set terminals [V]; returns what they read back as."""
        assert self.source is not None
        return self.source.set_levels(volts)

    def get_levels(self, terminals: Sequence[str]) -> dict[str, float]:
        """What terminals read back as [V]."""
        assert self.source is not None
        return self.source.get_levels(terminals)


class _PlaysAndRecords(_Plays, _Records): ...


class _PlaysAndHolds(_Plays, _Holds): ...


class _RecordsAndHolds(_Records, _Holds): ...


class _PlaysRecordsAndHolds(_Plays, _Records, _Holds): ...


_KINDS: Mapping[frozenset[type[Box]], type[InSeveralRoles]] = {
    frozenset({ForeignGenerator, ForeignDigitizer}): _PlaysAndRecords,
    frozenset({ForeignGenerator, ForeignSource}): _PlaysAndHolds,
    frozenset({ForeignDigitizer, ForeignSource}): _RecordsAndHolds,
    frozenset({ForeignGenerator, ForeignDigitizer, ForeignSource}): _PlaysRecordsAndHolds,
}


def as_one(roles: Sequence[Box], *box: Any) -> Box:
    """The instrument that has these roles; the only one of them as it is."""
    if len(roles) == 1:
        return roles[0]
    return _KINDS[frozenset(map(type, roles))](*box, roles=roles)
