"""Does a gradient look at what came back?  Rigs that are not what they declare, by the default rule.

    python -m benchmarks.honesty [--rigs N] [--rows NAME,...]

Undeclared: random lossy Duffing rigs of four oscillators, each with one thing wrong that no channel declares.  A
gradient counts as good within 5 % of the exact one; beyond that it must be refused or come with a warning.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np

from benchmarks.figure import Figure, print_table
from labrhel.errors import LabrhelError
from labrhel.executor import RigBackend, execute, stack
from labrhel.frozen import FrozenArray
from labrhel.learning.task import Task, TrialSequence
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.rig.capabilities import Kind, Reversal
from labrhel.shots.waveform import Waveform
from protocols.echoes.causes import cause_of_miss
from protocols.echoes.doubts import LARGEST_MISS
from protocols.echoes.measurement import Measurement
from protocols.rhel import RHEL
from simbackend.imperfections import Imperfections
from simbackend.imperfections.converters import ConverterErrors
from simbackend.imperfections.flip import FlipErrors
from simbackend.imperfections.friction import HiddenFriction
from simbackend.imperfections.mismatch import Mismatch
from simbackend.imperfections.noise import ForceNoise
from simbackend.imperfections.paths import PathErrors
from simbackend.imperfections.timing import ClockErrors
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.reference import ReferenceTask
from simbackend.rigs.simulated import SimulatedRig

STEP = 0.1
NAMES = ("stiffness", "cubic", "coupling")
LINEAR_NAMES = ("stiffness", "coupling", "mass")
UNDECLARED: Mapping[str, Mapping[str, Any]] = {
    "clean": {},
    "DAC 12 bits over +-10": {"dac": ConverterErrors(12, 10.0)},
    "DAC 14 bits over +-10": {"dac": ConverterErrors(14, 10.0)},
    "DAC 16 bits over +-10": {"dac": ConverterErrors(16, 10.0)},
    "force noise 1e-3": {"force": ForceNoise(1e-3, 0.0)},
    "temperature 1e-6": {"force": ForceNoise(0.0, 1e-6)},
    "gain jitter 0.1 %": {"ports": PathErrors(jitter=1e-3)},
    "trigger jitter 0.01 samples": {"clock": ClockErrors(0.0, 0.01 * STEP)},
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of random rigs: kicks of a pass, range of the cubic terms, of the drive, and of the e-folds that are lost."""

    steps: int = 400
    cubic: tuple[float, float] = (0.05, 0.2)
    drive: float = 0.5
    folds: tuple[float, float] = (1.0, 4.0)
    stiffness: tuple[float, float] = (0.5, 2.0)


CHAOTIC = Sizes(steps=1500, cubic=(1.0, 1.0), folds=(0.01, 0.2), stiffness=(-1.0, -1.0))
"""Bistable oscillators: what rounding becomes in a pass is 1e9 to 1e19 times as large."""


def undeclared_rig(seed: int, wrong: Mapping[str, Any], sizes: Sizes = Sizes(), n: int = 4) -> ReferenceTask:
    """A lossy Duffing rig, every parameter drawn, with `wrong` as its `Imperfections`."""
    random = np.random.default_rng([15, seed])
    root = random.normal(size=(n, n))
    friction, mass = root @ root.T, random.uniform(0.8, 1.2, n)
    friction *= random.uniform(*sizes.folds) / (np.mean(np.diag(friction) / mass) * sizes.steps * STEP)
    nominal = {
        "mass": mass,
        "stiffness": random.uniform(*sizes.stiffness, n),
        "cubic": random.uniform(*sizes.cubic, n),
        "coupling": random.uniform(0.0, 0.3, n * (n - 1) // 2),
        "friction": friction,
        "input": random.normal(size=(n, 1)),
    }
    model = OscillatorNetwork(n, coupling="all", inputs=("u1",), nominal=nominal)
    time = STEP * np.arange(sizes.steps)
    tones = [np.sin(random.uniform(0.6, 1.6) * time + random.uniform(0, 6)) for _ in range(2)]
    rig = SimulatedRig(model, imperfections=Imperfections(seed=seed, **wrong))
    target = np.convolve(random.normal(size=sizes.steps), np.ones(8) / 8, "same")[None]
    task = Task(model, rig.capabilities, STEP, 1, (f"q{n}",), float(target.var()))
    inputs = {"u1": Waveform.of(sizes.drive * (tones[0] + tones[1]), STEP)}
    sequence = TrialSequence("undeclared", inputs, target, np.ones(sizes.steps))
    theta = {name: spec.nominal for name, spec in model.parameters.items()}
    theta |= {"readout": np.ones((1, 1)), "readout_offset": np.zeros(1)}
    return ReferenceTask(model, rig, task, (sequence,), theta)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Relative error of a gradient, None where it was refused; whether it came with a warning, and its shots."""

    error: float | None
    warned: bool
    shots: int


def outcome(seed: int, row: str, response: float | None = None) -> Outcome:
    """One gradient of one rig of a row of the table."""
    rig = undeclared_rig(seed, UNDECLARED[row])
    try:
        gradient = rig.gradient(RHEL(response=response), NAMES)
    except LabrhelError:
        return Outcome(None, warned=True, shots=0)
    return Outcome(rig.compare(gradient)[1], bool(gradient.warnings), gradient.shots)


def row_figure(row: str, rigs: Sequence[int]) -> Figure:
    """The figures of a row, beside a fixed response of 0.03."""
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(partial(outcome, row=row), rigs))
        fixed = list(pool.map(partial(outcome, row=row, response=0.03), rigs))
    errors = np.array([item.error for item in found if item.error is not None])
    silent = sum(item.error is not None and item.error > 0.05 and not item.warned for item in found)
    missed = sum(
        mine.error is None and other.error is not None and other.error <= 0.05
        for mine, other in zip(found, fixed, strict=True)
    )
    good = float(np.mean(errors <= 0.05)) if errors.size else 1.0
    median = float(np.median(errors)) if errors.size else 0.0
    least = np.median([item.error for item in fixed if item.error is not None])
    met = median <= 0.02 and good >= 0.95 and not silent and missed <= 0.1 * len(found)
    words = (
        f"median {100 * median:.2g} %, within 5 % {100 * good:.0f} %, silent beyond {silent}, refused "
        f"{len(found) - errors.size} (of which r = 0.03 is good {missed}); at r = 0.03 {100 * least:.2g} %; "
        f"{np.median([item.shots for item in found]):.0f} shots"
    )
    return Figure(f"{row}: median <= 2 %, 95 % within 5 % or refused, none silent", words, met)


@dataclass(frozen=True, slots=True)
class Bars:
    """A row of error bars: what is wrong with the rigs, how they reverse, and what is calibrated, to which uncertainty.

    `gains`: of every port and channel, which are 1 % off; `clock`: of a clock of the readings that is 10 ppm slow.
    """

    wrong: Mapping[str, Any]
    reversals: frozenset[Reversal] = frozenset({Reversal.MOMENTUM_FLIP})
    gains: float = 0.0
    clock: float = 0.0
    steps: int = 400


BY_DRIVE = frozenset({Reversal.BY_DRIVE})
APART = 10e-6
GAINS = {"ports": PathErrors(gain=0.01), "channels": PathErrors(gain=0.01)}
SLOW = {"clock": ClockErrors(apart=APART)}
EIGHT, TWELVE = {"adc": ConverterErrors(8, 16.0)}, {"dac": ConverterErrors(12, 10.0)}
NOISE = {"noise": 3e-3}
COVERAGE: Mapping[str, Bars] = {
    "by drive": Bars(NOISE, BY_DRIVE),
    "8-bit ADC without dither": Bars(EIGHT),
    "12-bit DAC": Bars(TWELVE),
    "noisy readings by flip": Bars(NOISE),
    "gains of 1 % calibrated to 0.3 %": Bars({**NOISE, **GAINS}, gains=3e-3),
    "clocks 10 ppm apart, 600 samples": Bars({**NOISE, **SLOW}, clock=3e-6, steps=600),
    "clocks 10 ppm apart, 2000 samples": Bars({**NOISE, **SLOW}, clock=3e-6, steps=2000),
    "clocks 10 ppm apart, 10000 samples": Bars({**NOISE, **SLOW}, clock=3e-6, steps=10_000),
    "all of it together, by drive": Bars({**EIGHT, **TWELVE, **GAINS, **SLOW}, BY_DRIVE, 3e-3, 3e-6, 600),
}
REPEATS = 8


def read_by_positions(rig: ReferenceTask) -> ReferenceTask:
    """The same rig without sums on board, velocities and end states."""
    declared = rig.task.capabilities
    positions = tuple(channel for channel in declared.channels if channel.kind is Kind.POSITION)
    blind = FrozenArray(np.zeros((0, declared.size)))
    return rig.declaring(accumulates=frozenset(), channels=positions, velocity_matrix=blind, reads_state=False)


def calibrated_to(rig: ReferenceTask, bars: Bars, seed: int) -> CalibrationSet:
    """What a calibration with these uncertainties might have found."""
    random, found = np.random.default_rng([16, seed]), {}
    if bars.gains:
        for item in (*rig.task.capabilities.ports, *rig.task.capabilities.channels):
            value = rig.rig.true_gain(item.name) + bars.gains * random.standard_normal()
            found[f"{item.name}.gain"] = CalibratedValue(value, "1", bars.gains, "drawn")
    if bars.clock:
        rate = APART + bars.clock * evenly(seed)
        found["clock.rate"] = CalibratedValue(rate, "1", bars.clock, "drawn")
    return CalibrationSet(found)


def evenly(seed: int) -> float:
    """A standard normal number; over any run of seeds as many are large as should be.

    Where one number moves all entries of a rig, its interval holds all of them or none: of 22 rigs with independent
    draws two were beyond 1.96, and the coverage could not be above 91 %.  Source: the additive recurrence of the golden
    ratio, which fills (0, 1) evenly, through the quantiles.
    """
    return NormalDist().inv_cdf((0.5 + seed * (5**0.5 - 1) / 2) % 1.0)


def covered(seed: int, row: str, repeats: int = REPEATS) -> tuple[float, float, float]:
    """Share of the entries of the exact gradient in their 95 % intervals; squares of half-widths and of errors."""
    bars = COVERAGE[row]
    rig = undeclared_rig(seed, bars.wrong, Sizes(cubic=(0.0, 0.0), steps=bars.steps))
    rig = read_by_positions(rig).declaring(reversals=bars.reversals)
    known = calibrated_to(rig, bars, seed)
    rig = replace(rig, task=replace(rig.task, calibration=known))
    handler = stack(RigBackend(rig.rig), rig.task.capabilities, calibration=known)
    gradient, exact = execute(RHEL(repeats=repeats).gradient(rig.request(LINEAR_NAMES)), handler), rig.exact()[1]
    inside, widths, errors = [], [], []
    for name, (low, high) in gradient.interval().items():
        inside.append(np.ravel((low <= exact[name]) & (exact[name] <= high)))
        widths.append(np.ravel(high - low) / 2)
        errors.append(np.ravel(gradient.values[name] - exact[name]))
    size = float(np.sqrt(np.mean(np.concatenate([np.ravel(exact[name]) for name in gradient.values]) ** 2)))
    rms = float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))
    return float(np.mean(np.concatenate(inside))), float(np.median(np.concatenate(widths))) / size, rms / size


def coverage_figure(row: str, rigs: Sequence[int]) -> Figure:
    """Over rigs; a quantized row has no upper bound of coverage."""
    with ProcessPoolExecutor(2) as pool:
        found = np.array(list(pool.map(partial(covered, row=row), rigs)))
    rms = float(np.median(found[:, 2]))  # over rigs, whose gradients differ a thousandfold in size
    share, width = float(found[:, 0].mean()), float(np.median(found[:, 1]) / rms)
    most = 1.0 if "bit" in row or "all" in row else 0.98
    words = f"{100 * share:.1f} %, half-width {width:.2g} times the rms error of {100 * rms:.2g} %"
    return Figure(f"{row}: 95 % intervals cover 92 to 98 %", words, 0.92 <= share <= most and width <= 3)


def chaotic(seed: int) -> tuple[float, bool]:
    """Error of a chain of bistable oscillators, infinite where refused, and whether it was flagged."""
    rig = undeclared_rig(seed, {}, CHAOTIC)
    try:
        gradient = rig.gradient(RHEL(), NAMES)
    except LabrhelError:
        return np.inf, True
    return rig.compare(gradient)[1], bool(gradient.warnings)


def chaos_figure(rigs: int) -> Figure:
    """Errors above 5 % that come without a word."""
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(chaotic, range(rigs)))
    wrong = [flagged for error, flagged in found if error > 0.05]
    errors = [error for error, _ in found if np.isfinite(error)]
    words = f"{sum(wrong)} of {len(wrong)}, {rigs - len(errors)} refused; median error {100 * np.median(errors):.2g} %"
    return Figure(f"{rigs} bistable networks: errors above 5 % flagged in 95 %", words, sum(wrong) >= 0.95 * len(wrong))


TAME = {
    "Duffing": (4, Sizes()),
    "linear": (4, Sizes(cubic=(0.0, 0.0))),
    "long": (3, Sizes(steps=2000, folds=(0.5, 4.0))),
    "strong": (4, Sizes(cubic=(0.2, 0.6), drive=1.0)),
    "six": (6, Sizes(steps=300)),
}


def alarmed(seed: int, kind: str) -> bool:
    """Whether a rig that is what it declares was warned of, or refused."""
    n, sizes = TAME[kind]
    try:
        return bool(undeclared_rig(seed, {}, sizes, n).gradient(RHEL(), NAMES).warnings)
    except LabrhelError:
        return True


def tame_figure(rigs: int) -> Figure:
    """False alarms."""
    with ProcessPoolExecutor(2) as pool:
        found = [is_one for kind in TAME for is_one in pool.map(partial(alarmed, kind=kind), range(rigs))]
    words = f"{sum(found)} of {len(found)}"
    return Figure("tame rigs: at most 2 % warned of or refused", words, sum(found) <= 0.02 * len(found))


SEEDED: Mapping[str, tuple[Mapping[str, Any], float]] = {
    "clipped": ({"adc": ConverterErrors(12, 0.6)}, 0.05),
    "quantised": ({"adc": ConverterErrors(7, 8.0)}, 0.05),
    "noisy": ({"noise": 2e-2}, 0.02),
    "delayed": ({"ports": PathErrors(delay=0.5 * STEP)}, 0.01),
    "friction": ({"friction": HiddenFriction(uniform=0.02)}, 0.01),
    "nudge": ({}, 0.3),
    "flip": ({"flip": FlipErrors(error=0.05)}, 0.01),
    "jittered": ({"ports": PathErrors(jitter=0.02)}, 0.01),
    "shaken": ({"force": ForceNoise(1e-2, 0.0)}, 0.05),
    "mismatched": ({"mismatch": Mismatch(0.1), "friction": HiddenFriction(uniform=0.02)}, 0.01),
    "mismatched and late": ({"mismatch": Mismatch(0.1), "ports": PathErrors(delay=0.5 * STEP)}, 0.01),
}
"""What is wrong, and the response ratio at which it is looked for, with which no nudge bends the motion as much as that
does; a miss below a hundredth is not asked about."""

CALLED = {"shaken": "noisy", "mismatched": "friction", "mismatched and late": "delayed"}
"""What a cause is to be called, where that is not its name here."""

SEEN_IN = {"jittered": 3, "shaken": 3, "noisy": 3}
"""Repeats that a cause needs to be told from others; one, where it is not named."""


def named(seed: int, kind: str) -> str:
    """The cause that is named; empty where the echo retraces to a hundredth, a question mark where none is."""
    wrong, response = SEEDED[kind]
    rig = undeclared_rig(seed, wrong)
    run = Measurement(RHEL(response=response), rig.request(NAMES))
    handler = rig.handler()
    execute(run.first_block(), handler)
    for _ in range(SEEN_IN.get(kind, 1) - 1):
        execute(run.another_block(), handler)
    if run.blocks[0].retrace_error < LARGEST_MISS:
        return ""
    found = cause_of_miss(run.plan, run.blocks)
    return found.name if found.is_known else "?"


def causes_figure(rigs: int) -> Figure:
    """Of those that are asked about."""
    with ProcessPoolExecutor(2) as pool:
        rows = {kind: [*filter(None, pool.map(partial(named, kind=kind), range(rigs)))] for kind in SEEDED}
    asked = sum(len(row) for row in rows.values())
    right = sum(row.count(CALLED.get(kind, kind)) for kind, row in rows.items())
    wrong = asked - right - sum(row.count("?") for row in rows.values())
    others = {kind: [name for name in row if name != CALLED.get(kind, kind)] for kind, row in rows.items()}
    missed = ", ".join(f"{kind} {len(row)}" for kind, row in others.items() if row)
    words = f"{right} right and {wrong} wrong of {asked}" + (f"; missed: {missed}" if missed else "")
    is_met = right >= 0.9 * asked and wrong <= 0.05 * asked
    return Figure("seeded causes: named in 90 %, a wrong one in at most 5 %", words, is_met)


ROWS = (*UNDECLARED, *COVERAGE, "chaos", "tame", "causes")


def targets(rigs: int = 40, rows: Sequence[str] = ROWS) -> Iterator[Figure]:
    """Every row."""
    for row in rows:
        if row in UNDECLARED:
            yield row_figure(row, range(rigs))
        elif row in COVERAGE:
            yield coverage_figure(row, range(5 * rigs))
        elif row == "tame":
            yield tame_figure(5 * rigs // 2)
        elif row == "causes":
            yield causes_figure(rigs // 2)
        else:
            yield chaos_figure(rigs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=40)
    parser.add_argument("--rows", default="")
    given = parser.parse_args()
    chosen = [row for row in ROWS if not given.rows or any(part in row for part in given.rows.split(","))]
    sys.exit(not print_table(targets(given.rigs, chosen)))


if __name__ == "__main__":
    main()
