"""`spice:CIRCUIT.cir`: somebody's circuit as a rig, its waveforms by ngspice.

Between the kicks a port goes from value to value in straight lines; a reading is taken where the kick is, from the
points of the simulation up to there.  Passes that follow each other without a flip are one simulation.  A flip ends it:
the voltages of all capacitors and the currents of all inductors are kept, those that the mapping names change their
sign, and the next simulation begins there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.config.reader import Source
from labrhel.errors import ConfigurationError, InstrumentError, ProgramError
from labrhel.executor.limiting import check_range
from labrhel.model.interface import Model
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture, PassCapture, Trace, played, together
from labrhel.shots.compiled import CompiledPass, CompiledShot
from simbackend.rigs.clock import ShotClock
from simbackend.spice.deck import Part, as_of, driven, of_state, started, terms
from simbackend.spice.declared import capabilities_of, wiring_of
from simbackend.spice.mapping import Mapping, load
from simbackend.spice.netlist import Netlist, read
from simbackend.spice.transient import Simulator

_NODE = r"[a-z0-9_.+\-$#:/]+"
_READS = re.compile(rf"v\(\s*{_NODE}\s*(,\s*{_NODE}\s*)?\)|i\(\s*[lv][a-z0-9_.]*\s*\)", re.IGNORECASE | re.ASCII)
_AT_ONCE = 2  # simulations


def open_rig(url: str, model: Model, folder: Path) -> SpiceRig:
    """Simulates a circuit in ngspice: spice:CIRCUIT.cir, with CIRCUIT.yaml beside it; settings: ?seed=3.

    `url` is what follows `spice:`, a file of `folder`; `seed` draws the parts that the mapping gives a tolerance, and
    without it all are what they should be.  Raises ConfigurationError, and InstrumentError where there is no ngspice.
    """
    name, _, query = url.partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    seed = settings.pop("seed", None)
    if settings or not (seed is None or seed.isdecimal()):
        raise ConfigurationError(f"a rig spice:{name} takes seed=NUMBER and nothing else, not {query!r}")
    netlist = read(folder / name)
    mapping, source = load(folder / name)
    return SpiceRig(f"spice:{url}", netlist, mapping, source, model, None if seed is None else int(seed))


class SpiceRig:
    """A circuit in ngspice (labrhel.shots.rig.Rig): the wiring is the mapping's, the parts as the seed drew them."""

    def __init__(
        self, name: str, netlist: Netlist, mapping: Mapping, source: Source, model: Model, seed: int | None
    ) -> None:
        self._netlist, self._mapping, self._source = netlist, mapping, source
        self._simulator = Simulator()
        self._sources = {port: self._key(item.source, "vi", "ports", port) for port, item in mapping.ports.items()}
        for channel, item in mapping.channels.items():
            if not _READS.fullmatch(item.reads):
                raise source.error("reads is v(NODE), v(NODE,NODE), or i(COMPONENT) of an L or V", "channels", channel)
        self._flips = frozenset(self._key(item, "cl", "flips") for item in mapping.flips)
        if mapping.flips and netlist.hidden:
            words = f"a flip has to keep what {netlist.hidden} remembers, and cannot: leave flips out"
            raise source.error(words, "flips")
        self._stored = [key for key in netlist.components if key[0] in "cl"]
        random = None if seed is None else np.random.default_rng([11, seed])
        self._parts: dict[str, Part] = {}
        self._values = {knob: self._nominal(knob, random) for knob in mapping.knobs}
        self.wiring = wiring_of(mapping, str(source.file))
        self.capabilities = capabilities_of(mapping, source, name, model)
        self._clock = ShotClock(self.capabilities)

    def configure(self, knobs: Arrays) -> dict[str, Array]:
        """Give components other values [knob units]: all of them or none."""
        set_to = {}
        for name, value in knobs.items():
            knob = self.capabilities.knob(name)
            if np.shape(value) != knob.shape:
                raise ProgramError(f"{name} has the shape {knob.shape}, not {np.shape(value)}")
            check_range(name, np.asarray(value, float), knob.limits, knob.unit)
            step = knob.resolution or 1.0
            set_to[name] = np.round(np.array(value, float) / step) * step if knob.resolution else np.array(value, float)
        self._values |= set_to
        return {name: value.copy() for name, value in set_to.items()}

    def read(self, names: Sequence[str]) -> dict[str, Array]:
        """Knobs as they are set, which is not what parts with tolerances are."""
        return {self.capabilities.knob(name).name: self._values[name].copy() for name in names}

    def run(self, shots: Sequence[CompiledShot]) -> list[Capture]:
        """Simulate the shots, some at a time; nothing is played if a sample of any is beyond its port's limits."""
        for name, wave in (
            (name, wave) for shot in shots for item in shot.passes for name, wave in item.played.items()
        ):
            port = self.capabilities.port(name)
            check_range(name, wave.samples.values, port.limits, port.unit)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            repeats = [pool.submit(self._once, shot) for shot in shots for _ in range(shot.repeats)]
            answers = iter([item.result() for item in repeats])
        return [self._capture(shot, [next(answers) for _ in range(shot.repeats)]) for shot in shots]

    def make_safe(self) -> None:
        """End the simulations that run; a circuit that is not simulated drives nothing."""
        self._simulator.stop()

    def close(self) -> None:
        """The same as `make_safe`."""
        self.make_safe()

    def _capture(self, shot: CompiledShot, repeats: list[list[PassCapture]]) -> Capture:
        passes = tuple(together(readings) for readings in zip(*repeats, strict=True))
        start = self._clock.start(shot, len(shot.passes))
        return Capture(shot, passes, len(shot.passes), start, start)

    def _once(self, shot: CompiledShot) -> list[PassCapture]:
        state = dict.fromkeys(self._stored, 0.0)
        captures: list[PassCapture] = []
        for passes in _between_flips(shot.passes):
            if passes[0].reversal is Reversal.MOMENTUM_FLIP:
                state = {key: -value if key in self._flips else value for key, value in state.items()}
            found, state = self._simulated(passes, state, shot.dt)
            captures += found
        return captures

    def _simulated(
        self, passes: Sequence[CompiledPass], state: dict[str, float], step: float
    ) -> tuple[list[PassCapture], dict[str, float]]:
        names = [port.name for port in self.capabilities.ports]
        waves = np.concatenate([played(item, names) for item in passes], axis=1)
        volts = {name: self.wiring.to_device(name, row) for name, row in zip(names, waves, strict=True)}
        dt = step * self.capabilities.time_unit
        end, h = dt * waves.shape[1], dt / self._mapping.numerics.substeps
        kicks = dt * (np.arange(waves.shape[1]) + 0.5)
        channels = self._mapping.channels
        wanted = [item.reads for item in channels.values()]
        wanted += [of_state(self._netlist.components[key]) for key in self._stored]
        saved = dict.fromkeys(part for words in wanted for part, _ in terms(words))
        cards = self._cards(volts, state, kicks, end)
        found = self._simulator.run([*cards, f".save {' '.join(saved)}", f".tran {h:.12g} {end:.12g} 0 {h:.12g} uic"])
        time, nothing = found["time"], np.zeros_like(found["time"])
        if time[-1] < end - h:
            raise InstrumentError(f"ngspice ended {time[-1]:.3g} s into a pass of {end:.3g} s: the circuit runs away")
        columns = np.stack([sum((sign * found[part] for part, sign in terms(item)), nothing) for item in wanted])
        rows = dict(zip(channels, as_of(kicks, time, columns[: len(channels)]), strict=True))
        begins = np.cumsum([0, *(item.steps for item in passes)])
        captures = [self._readings(item, rows, begin, step) for item, begin in zip(passes, begins, strict=False)]
        return captures, dict(zip(self._stored, columns[len(channels) :, -1].tolist(), strict=True))

    def _readings(self, item: CompiledPass, rows: Arrays, begin: int, step: float) -> PassCapture:
        every, end = item.acquire.every, begin + item.steps
        traces = {name: rows[name][None, begin:end:every].copy() for name in item.acquire.channels}
        units = {name: self.capabilities.channel(name).unit for name in traces}
        return PassCapture({name: Trace(row, units[name], 0.0, every * step) for name, row in traces.items()})

    def _cards(self, volts: Arrays, state: dict[str, float], kicks: Array, end: float) -> Iterator[str]:
        # Steps are not controlled by their error: its tolerance is beyond reach.
        accuracy = f"reltol={self._mapping.numerics.accuracy:g} abstol=1e-12 vntol=1e-9"
        yield f".options method=trap trtol=1e9 chgtol=1 itl4=200 {accuracy}"
        plays = {key: volts[port] for port, key in self._sources.items()}
        values = dict(self._component_values())
        for card in self._netlist.cards:
            key = card.split()[0].lower()
            if self._netlist.components.get(key) is not card:
                yield card
            elif key in plays:
                yield from driven(card, plays[key], kicks, end)
            else:
                valued = self._parts[key].with_value(values[key]) if key in values else card
                yield started(valued, state[key]) if key in state else valued

    def _component_values(self) -> Iterator[tuple[str, float]]:
        for name, knob in self._mapping.knobs.items():
            for gangs, value in zip(map(_gangs, knob.components), self._values[name], strict=True):
                for component in gangs:
                    yield component.lower(), float(1 / value if knob.law == "inverse" else value)

    def _nominal(self, knob: str, random: np.random.Generator | None) -> Array:
        section, values = self._mapping.knobs[knob], []
        for gangs in map(_gangs, section.components):
            parts = [self._part(component, knob, random) for component in gangs]
            nominal = {part.nominal for part in parts}
            if len(nominal) != 1 or not min(nominal) > 0:
                words = (
                    f"{', '.join(gangs)}: what a knob turns has a plain value above 0 in the netlist, gangs the same"
                )
                raise self._source.error(words, "knobs", knob)
            values.append(nominal.pop())
        return 1 / np.array(values) if section.law == "inverse" else np.array(values)

    def _part(self, component: str, knob: str, random: np.random.Generator | None) -> Part:
        key = self._key(component, "rlc", "knobs", knob)
        if key in self._parts:
            raise self._source.error(f"{component} is turned by another knob already", "knobs", knob)
        off = 1.0 if random is None else float(np.exp(self._mapping.knobs[knob].tolerance * random.normal()))
        self._parts[key] = Part(tuple(self._netlist.components[key].split()), off)
        return self._parts[key]

    def _key(self, component: str, letters: str, *path: str) -> str:
        key = component.lower()
        if key not in self._netlist.components or key[0] not in letters:
            kinds, file = " or ".join(letters.upper()), self._netlist.file.name
            raise self._source.error(f"{file} has no {kinds} called {component!r} outside of subcircuits", *path)
        return key


def _gangs(components: str | list[str]) -> list[str]:
    return [components] if isinstance(components, str) else components


def _between_flips(passes: Sequence[CompiledPass]) -> Iterator[Sequence[CompiledPass]]:
    flips = [index for index, item in enumerate(passes) if index and item.reversal is Reversal.MOMENTUM_FLIP]
    for begin, end in pairwise([0, *flips, len(passes)]):
        yield passes[begin:end]
