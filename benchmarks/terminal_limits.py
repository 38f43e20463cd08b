"""Random stations and settings: no voltage beyond what all that names a terminal allows, or the station is refused.

    python -m benchmarks.terminal_limits                      # 10,000 in process, some minutes
    python -m benchmarks.terminal_limits --count 200 --sockets
    python -m benchmarks.terminal_limits --from 5000          # go on from there: number and seed are one

Each seed makes a station file (`benchmarks.random_stations`), and then sets knobs, plays shots, makes safe, and lets
somebody turn a level by hand.  The drivers are the real ones.  What they write is obeyed by virtual instruments, in
process or on sockets (`benchmarks.watched_terminals`), and every voltage that comes out there is compared with an
intersection that is computed from the random draws alone.
"""

from __future__ import annotations

import math
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.campaign import Outcome, Tally, asked, each, pursue, say, told
from benchmarks.figure import Figure
from benchmarks.random_stations import LEVELS, OUTPUTS, Draw, draw
from benchmarks.watched_terminals import STEP, Inside, Lab, lab
from drivers.bench.rig import BenchRig
from drivers.instruments.e36300 import E36300
from drivers.instruments.keysight_33600 import Keysight33600
from drivers.instruments.qdac2 import QDac2
from drivers.instruments.rigol_ds1000z import RigolDS1000Z
from labrhel.config.station import station_from
from labrhel.errors import ConfigurationError, LabrhelError
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform

_DRIVERS: dict[str, Callable[..., Any]] = {  # found by entry points they would take longer than all the rest
    "keysight_33600": Keysight33600, "rigol_ds1000z": RigolDS1000Z, "qdac2": QDac2, "e36300": E36300,
}  # fmt: skip
_CODE = 0.5 / (2**13 - 1)  # of the largest voltage: half a code of the generator
_PLACE = re.compile(r"(port|knob|select of|init of|safe level of) (\w+)")
_DIGITS = 1e-8  # V: drivers write nine digits


def attempt(place: Lab, seed: int, *, sockets: bool) -> tuple[str, list[str]]:
    """One station: how it ended, and what was wrong with that."""
    rng = random.Random(seed)
    made = draw(rng, place.addresses)
    place.fresh()
    wrong: list[str] = []
    try:
        document = station_from(made.text, Path("station.yaml"))
    except ConfigurationError as error:
        return "refused when read", _unnamed(error)
    if made.contradicts and not _misspelled(made):
        wrong.append("what names a terminal contradicts itself, and the station was read")
    with ExitStack() as opened:
        try:
            instruments: Any = {}
            log = None if sockets else Inside(place.bench)
            for name, section in document.station.instruments.items():
                made_by = _DRIVERS[section.type]
                instruments[name] = made_by(name, section.address, **section.init, log=log)
                opened.callback(instruments[name].release)
            rig = BenchRig(document, instruments, place.bench.model, STEP, log=log)
        except LabrhelError:
            return "refused when opened", wrong
        ends = Counter[str]()
        for _ in range(rng.randrange(3, 8)):
            with suppress(LabrhelError):
                ends["refused"] += 1
                rng.choice((_configure, _configure, _shoot, _shoot, _turn, _safe))(rng, rig, place)
                ends["done"] += 1
        with suppress(LabrhelError):
            rig.close()
    for terminal, volts in place.seen.items():
        low, high = made.limits(terminal)
        slack = _CODE * max(map(abs, (low, high, *volts))) if terminal in OUTPUTS and math.isfinite(high) else _DIGITS
        if not (low - slack <= min(volts) and max(volts) <= high + slack):
            wrong.append(f"{terminal} was at [{min(volts)}, {max(volts)}] V, allowed is [{low}, {high}] V")
    return "used" if ends["done"] else "used, all refused", wrong


def _unnamed(error: ConfigurationError) -> list[str]:
    """What is missing in the words of a contradiction: the line of one place, or the other one."""
    places = {" ".join(found) for found in _PLACE.findall(str(error))}
    good = " allow" not in str(error) or (error.line is not None and error.key is not None and len(places) > 1)
    return [] if good else [f"not both places are named: {error}"]


def _misspelled(made: Draw) -> bool:
    """A terminal that is spelled otherwise is another one, until the station is opened and it is not found."""
    words = made.text.replace("'", "").replace('"', "")
    return any(word in words for word in ("CH", ".ch0", "BIAS", "SUPPLY", "AWG")) or any(ord(c) > 0xFF00 for c in words)


def _configure(rng: random.Random, rig: BenchRig, place: Lab) -> None:
    size = {"stiffness": 2, "coupling": 1}
    knobs = {}
    for name in rng.sample(sorted(size), rng.choice([1, 2])):
        limits = rig.capabilities.knob(name).limits
        spread = (limits.low, limits.high, rng.uniform(limits.low, limits.high), rng.uniform(-6, 6))
        knobs[name] = np.array([rng.choice([*spread, *spread, math.nan, math.inf]) for _ in range(size[name])])
    rig.configure(knobs)


def _shoot(rng: random.Random, rig: BenchRig, place: Lab) -> None:
    drives = []
    for port in rig.capabilities.ports:
        if rng.random() < 0.7:
            size = rng.choice([0.1, 1.0, rng.uniform(0, 6)])
            wave = size * np.sin(np.arange(12) * rng.uniform(0.1, 3) + rng.uniform(0, 6)) + rng.choice([0.0, 0.5, -2.0])
            drives.append(Drive(port.name, Waveform.of(wave, STEP), Role.INPUT if port.name == "u1" else Role.NUDGE))
    seen = tuple(rng.choice([("q1",), ("q1", "q2"), ()]))
    program = ShotProgram(STEP, Rest(), (Pass(12, tuple(drives), Acquire(seen)),))
    rig.run([compile(program, rig.capabilities, rig.wiring)])


def _turn(rng: random.Random, rig: BenchRig, place: Lab) -> None:
    place.hand(rng.choice(LEVELS), rng.uniform(-6, 6))


def _safe(rng: random.Random, rig: BenchRig, place: Lab) -> None:
    rig.make_safe()


def outcome(place: Lab, sockets: bool, seed: int) -> Outcome:  # noqa: FBT001
    """The station of a seed."""
    end, wrong = attempt(place, seed, sockets=sockets)
    return Outcome(seed, "station on sockets" if sockets else "station in process", end, tuple(wrong))


def campaign(seeds: range, keep: Path | None = None, say: Callable[[str], object] = print, *, sockets: bool) -> Tally:
    """A station of each seed."""
    with lab() as place:
        return pursue(each(partial(outcome, place, sockets), seeds), keep, say, every=1000)


def targets(count: int = 10_000, on_sockets: int = 200) -> Iterator[Figure]:
    """Both counts."""
    for many, sockets in ((count, False), (on_sockets, True)):
        tally = campaign(range(many), say=lambda words: None, sockets=sockets)
        where = "on sockets" if sockets else "in process"
        words = f"{len(tally.bad)} beyond; {', '.join(f'{n} {end}' for end, n in tally.ends.items())}"
        yield Figure(f"{many} random stations {where}: no voltage beyond the limits", words, not tally.bad)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; exit status 1 if a voltage was beyond, or a station not refused."""
    chosen = asked(__doc__, 10_000, arguments, "sockets")
    seeds = range(chosen.first, chosen.first + chosen.count)
    return told(campaign(seeds, chosen.keep, say, sockets=chosen.sockets))


if __name__ == "__main__":
    sys.exit(main())
