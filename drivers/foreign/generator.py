"""A generator with somebody else's driver: bursts are handed over in the steps of its station file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from drivers.foreign.box import Box, values_of
from drivers.instruments._bursts import FULL, Plan, plan_burst
from drivers.roles import Burst, OutputSpec
from labrhel.arrays import Array
from labrhel.config.driver_sections import OutputsSection
from labrhel.errors import InstrumentError, ProgramError

_LATE = 0.05  # s that a burst may be late, where nothing says that it has ended


class ForeignGenerator(Box):
    """A `drivers.roles.Generator`; `section` says how it plays."""

    def __init__(self, *box: Any, section: OutputsSection) -> None:
        super().__init__(*box)
        self._section = section
        low, high = section.limits
        spec = OutputSpec(
            low, high, section.bits, section.memory, (section.rates[0], section.rates[1]), section.latency
        )
        self.outputs: Mapping[str, OutputSpec] = dict.fromkeys(section.terminals, spec)
        self._prepared = set[str]()
        self._loaded: dict[str, Plan] = {}
        self._armed = ""
        self._count = 0
        for own in self.outputs:
            self._speech.settable(section.output, values_of(own))
        self._check([*section.prepare, *section.play, *section.external, *section.software], section.terminals)
        self._check([*section.fire, *([section.errors] if section.errors else [])])
        if section.done is not None:
            self._check([section.done.value])

    @property
    def armed(self) -> str:
        """Where it waits for a trigger from; "" if it does not."""
        return self._armed

    def load(self, bursts: Mapping[str, Burst]) -> dict[str, Array]:
        """Upload, and leave outputs that are in no burst off; returns the samples [V] as its converters have them."""
        plans = {own: self._plan(own, burst) for own, burst in bursts.items()}
        with self._wire.exclusive():
            self._forget()
            for own, plan in plans.items():
                if own not in self._prepared:
                    self._turn(own, self._section, on=False)
                    self._do(self._section.prepare, values_of(own))
                    self._prepared.add(own)
                self._do(self._section.play, self._values(own, plan))
                self._require_no_error(self._section.errors, f"it was handed a burst for {own}")
            for own in self.outputs:
                if own not in plans:
                    self._turn(own, self._section, on=False)
            self._loaded = plans
        bits = self._section.bits
        return {
            own: plan.played(plan.amplitude, plan.offset, bits)[: len(bursts[own].samples)]
            for own, plan in plans.items()
        }

    def arm(self, *, source: str) -> None:
        """Outputs on, idling, waiting for a trigger from `source`: "external" or "software"."""
        if source not in ("external", "software"):
            raise ProgramError(f'a trigger comes from "external" or "software", not {source!r}')
        with self._wire.exclusive():
            if not self._loaded:
                raise InstrumentError(f"{self.name} has nothing to play: load it before it is armed")
            for own in self._loaded:
                self._do(self._section.external if source == "external" else self._section.software, values_of(own))
                self._turn(own, self._section, on=True)
            self._require_no_error(self._section.errors, f"it was armed for a trigger from {source}")
            self._armed = source

    def fire(self) -> None:
        """Trigger it by software."""
        with self._wire.exclusive():
            if self._armed != "software":
                raise InstrumentError(f"{self.name} does not wait for a software trigger: arm it so first")
            if not self._section.fire:
                raise ProgramError(f"{self.name} has no steps `fire`: nothing in the station file triggers it")
            self._do(self._section.fire, {})

    def wait(self, seconds: float) -> None:
        """Until the burst has ended; DeadlineError if it has not by then."""
        if self._section.done is not None:
            self._wait_until(self._section.done, seconds, f"{self.name}: the burst has not ended")
            return
        longest = max((len(plan.codes) / plan.rate for plan in self._loaded.values()), default=0.0)
        time.sleep(min(self._section.latency + longest + _LATE, seconds))

    def _plan(self, own: str, burst: Burst) -> Plan:
        """What can be refused is refused here: before the driver is told anything."""
        if own not in self.outputs:
            raise ProgramError(f"{self.name} has no output {own!r}; it has {', '.join(self.outputs)}")
        where = f"{self.name}.{own}"
        if burst.idle:
            raise ProgramError(f"{where} is off when it is safe, at 0 V, and cannot idle at {burst.idle:g} V")
        return plan_burst(where, burst, self.outputs[own], self._section.shortest, self._section.smallest)

    def _values(self, own: str, plan: Plan) -> dict[str, Any]:
        self._count += 1
        samples = plan.codes / FULL
        volts = plan.offset + samples * plan.amplitude / 2
        return values_of(
            own, volts=volts, samples=samples, codes=plan.codes.astype(np.int16), points=len(samples), rate=plan.rate,
            amplitude=plan.amplitude, offset=plan.offset, low=float(volts.min()), high=float(volts.max()),
            name=f"L{self._count}",
        )  # fmt: skip

    def _require_sense(self) -> None:
        self._switches("outputs", list(self.outputs), self._section)

    def _switch_off(self) -> None:
        self._all_off(list(self.outputs), self._section)

    def _forget(self) -> None:
        self._loaded, self._armed = {}, ""
