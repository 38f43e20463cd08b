"""Random station files in which ports, knobs, selects, safe levels and ramps name the same few terminals.

What each terminal may carry is kept beside the text, as it was drawn: an intersection that nothing of labrhel computes.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

LEVELS = ("bias.ch1", "bias.ch2", "bias.ch3", "supply.ch1", "supply.ch2")
OUTPUTS = ("awg.ch1", "awg.ch2")
"""Terminals that the stations name."""

_KINDS = {"awg": "keysight_33600", "scope": "rigol_ds1000z", "bias": "qdac2", "supply": "e36300"}
_FORMS: tuple[Callable[[float], str], ...] = (
    lambda v: f"{v!r}", lambda v: f"'{v!r} V'", lambda v: f"{v:.17e}", lambda v: f"'{v:+.12f}V'",
    lambda v: f"'{v * 1e3!r} mV'",
)  # fmt: skip


@dataclass(slots=True)
class Draw:
    """A station drawn from a seed: its text, and by terminal what is allowed there, and who names it."""

    text: str
    allowed: dict[str, list[tuple[float, float]]]
    levels: list[tuple[str, str, float]]  # terminal, who, what it sets there
    names: dict[str, list[str]]  # by terminal, who limits it
    twice: bool = False

    def limits(self, terminal: str) -> tuple[float, float]:
        """The intersection; without anything that names it, everything."""
        ends = self.allowed.get(terminal, [])
        return max((low for low, _ in ends), default=-math.inf), min((high for _, high in ends), default=math.inf)

    @property
    def contradicts(self) -> bool:
        """Whether some terminal has no range, or a level outside it."""
        empty = any(not low < high for low, high in map(self.limits, self.allowed))
        return (
            empty
            or self.twice
            or any(not low <= v <= high for t, _, v in self.levels for low, high in [self.limits(t)])
        )


def draw(rng: random.Random, addresses: dict[str, str]) -> Draw:
    """A station; about half of them contradict themselves."""
    made = Draw("", defaultdict(list), [], defaultdict(list))
    lines = ["instruments:"]
    named: list[str] = []  # knobs and selects
    safe: dict[str, dict[str, float]] = {"bias": {}, "supply": {}}
    sections = _ports(rng, made) + _knobs(rng, made, named) + _channels(rng, made, named)
    for box, kind in _KINDS.items():
        init: list[str] = []
        if box in safe:
            safe[box] = {
                t.partition(".")[2]: _level(rng, t) for t in LEVELS if t.startswith(box) and rng.random() < 0.4
            }
            if safe[box]:
                init.append(f"safe: {{{', '.join(f'{own}: {volts!r}' for own, volts in safe[box].items())}}}")
            if rng.random() < 0.3:
                own = rng.choice([t for t in LEVELS if t.startswith(box)])
                low, high = _range(rng, own)
                init.append(f"limits: {{{own.partition('.')[2]}: [{low!r}, {high!r}]}}")
                made.allowed[own].append((low, high))
                made.names[own].append("init")
        lines.append(f"  {box}: {{type: {kind}, address: '{addresses[box]}', init: {{{', '.join(init)}}}}}")
    if rng.random() < 0.05:  # the same box once more, with its address spelled otherwise
        lines.append(f"  again: {{type: qdac2, address: '{addresses['bias'].replace('TCPIP', 'tcpip0')}'}}")
    for terminal in dict.fromkeys(named):
        box, _, own = terminal.partition(".")
        made.levels.append((terminal, "safe", safe.get(box, {}).get(own, 0.0)))
    ramped = [f"{box}.{own}" for box, levels in safe.items() for own in levels if rng.random() < 0.5]
    ramps = ", ".join(f"{t}: {{time: 4 ms, order: {rng.randrange(2)}}}" for t in ramped)
    rig = ["rig:", "  trigger: {fired_by: awg, seen_by: {scope: {terminal: ch4, level: 1.5}}}", "  ring_down: 0",
           f"  ramps: {{{ramps}}}", *sections]  # fmt: skip
    made.text = "\n".join([*lines, *rig, ""])
    return made


def _volts(rng: random.Random, value: float) -> str:
    return rng.choice(_FORMS)(value)


def _level(rng: random.Random, terminal: str) -> float:
    value = rng.choice([0.0, 0.1, 0.5, rng.uniform(0, 0.5), rng.uniform(0, 1), rng.uniform(-1, 1), rng.uniform(-5, 5)])
    return abs(value) if terminal.startswith("supply") else value


def _range(rng: random.Random, terminal: str) -> tuple[float, float]:
    low = rng.choice([0.0, round(rng.uniform(-5, 0), 1), rng.uniform(-3, 0), rng.uniform(-3, 0), rng.uniform(-1, 0.5)])
    if terminal.startswith("supply"):
        low = rng.choice([0.0, 0.0, 0.0, 0.0, rng.uniform(0, 1)])
    high = rng.choice([1.0, 5.0, rng.uniform(0.5, 5), rng.uniform(1, 5), rng.uniform(-1, 3)])
    return low, max(high, low + 0.2)


def _name(rng: random.Random, terminal: str) -> str:
    """A terminal, sometimes spelled so that it is another text."""
    box, _, own = terminal.partition(".")
    other = [
        f"{box}.{own.upper()}",
        f"{box}.ch0{own[2:]}",
        f"{box.upper()}.{own}",
        f"{box}.ch{chr(0xFF10 + int(own[2:]))}",
    ]
    return rng.choice(other) if rng.random() < 0.01 else rng.choice([f"'{terminal}'", f'"{terminal}"', terminal])


def _ports(rng: random.Random, made: Draw) -> list[str]:
    lines = ["  ports:"]
    shared: dict[str, float] = {}
    for port in ("u1", "f1", "f2")[: rng.choice([1, 2, 3])]:
        terminal = rng.choice(OUTPUTS)
        low, high = _range(rng, terminal)
        safe = shared.setdefault(terminal, _level(rng, terminal) if rng.random() < 0.3 else 0.0)
        made.allowed[terminal].append((low, high))
        made.names[terminal].append(port)
        made.levels.append((terminal, port, safe))
        lines.append(
            f"    {port}: {{terminal: {_name(rng, terminal)}, gain: {rng.choice([1, -2, 0.5])}, safe: {safe!r}, "
            f"limits: [{_volts(rng, low)}, {_volts(rng, high)}]}}"
        )
    return lines


def _knobs(rng: random.Random, made: Draw, named: list[str]) -> list[str]:
    lines = ["  knobs:"]
    for knob, size in (("stiffness", 2), ("coupling", 1)):
        terminals = [rng.choice(LEVELS) for _ in range(size)]
        if size == 2 and rng.random() < 0.9:
            terminals = rng.sample(LEVELS, 2)
        made.twice |= len(set(terminals)) < size
        low, high = _range(rng, next((t for t in terminals if t.startswith("supply")), terminals[0]))
        for terminal in terminals:
            made.allowed[terminal].append((low, high))
            made.names[terminal].append(knob)
        named += terminals
        beyond = f", approach: {{overshoot: {rng.uniform(-2, 2)!r}}}" if rng.random() < 0.5 else ""
        lines.append(
            f"    {knob}: {{terminals: [{', '.join(_name(rng, t) for t in terminals)}], per_volt: 0.1, "
            f"limits: [{_volts(rng, low)}, {_volts(rng, high)}]{beyond}}}"
        )
    return lines


def _channels(rng: random.Random, made: Draw, named: list[str]) -> list[str]:
    lines = ["  channels:"]
    switched = rng.random() < 0.5
    terminal = rng.choice(LEVELS)
    for channel, where in (("q1", "scope.ch1"), ("q2", "scope.ch1" if switched else "scope.ch2")):
        select = ""
        if switched:
            volts = rng.uniform(0, 0.5) if channel == "q1" else rng.uniform(0.5, 1.5)
            made.levels.append((terminal, channel, volts))
            named.append(terminal)
            select = f", select: {{{_name(rng, terminal)}: {_volts(rng, volts)}}}"
        lines.append(f"    {channel}: {{terminal: {where}, range: [-4, 4]{select}}}")
    return lines
