"""What each imperfection costs a gradient: relative error on devices of the reference rig, linear and Duffing.

    python -m benchmarks.sensitivity [--devices N]         prints the table of docs/sensitivity.md

A draw is a device: the reference rig with 10 % mismatch in every mass, spring and anharmonic term (one seed each) and
one imperfection.  The error is that of the rule's gradient by stiffness, cubic term and coupling, as one vector,
against the exact gradient of that very device: its true parameters, driven by what truly reaches it in the forward
pass.  Nothing is compensated or calibrated.  The Duffing rig is measured at half of its drive too (input, initial
state and target halved): at the full one the cubic force reaches the linear one.  "lost": no nudge was left.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.checking import compare
from labrhel.shots.compile import compile
from labrhel.shots.waveform import Waveform
from protocols.rhel import RHEL
from simbackend.dynamics.adjoint import exact_gradient
from simbackend.imperfections import (
    ClockErrors,
    ConverterErrors,
    Drift,
    FlipErrors,
    ForceNoise,
    HiddenFriction,
    Imperfections,
    KnobErrors,
    Life,
    Mismatch,
    NonReciprocity,
    PathErrors,
    ReplayErrors,
)
from simbackend.rigs.reference import CUBIC, STEP, STEPS, ReferenceTask, lossy_rig, reference_rig
from simbackend.rigs.simulated import SimulatedRig

COMPARED = ("stiffness", "cubic", "coupling")
SAMPLE = 0.0107  # of the fastest period: the sample that the published figures count delays in
VARIETY = Mismatch(0.1)  # so that 20 devices are 20 different rigs
AGE = 50  # shots in the life of each device before it is measured; drift and settling need a past
SMALL, LINEAR, DUFFING = 1e-3, 0.3, 0.05  # response ratios: without noise; with noise, as the rule chooses by itself


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: an imperfection and, where PHYSICS.md or docs has them, the figures known before.

    `errors`: fields of `Imperfections`, or a function of the length of a sample [time] for what is timed; `noisy`
    rows are run at the response that a noisy rig needs; `lossy` ones on the random rigs with friction.
    """

    name: str
    errors: Mapping[str, Any] | Callable[[float], Mapping[str, Any]]
    known: tuple[str, str] = ("", "")
    noisy: bool = False
    lossy: bool = False

    def at(self, sample: float) -> Mapping[str, Any]:
        """The fields, for a rig of which a sample is so long."""
        return self.errors(sample) if callable(self.errors) else self.errors


def _replay(samples: float) -> Callable[[float], Mapping[str, Any]]:
    return lambda sample: {"replay": ReplayErrors(delay=samples * sample)}


def _exact(side: str, subject: str, samples: float) -> Callable[[float], Mapping[str, Any]]:
    return lambda sample: {side: PathErrors(exact={f"{subject}.delay": samples * sample})}


def _late(side: str, samples: float) -> Callable[[float], Mapping[str, Any]]:
    return lambda sample: {side: PathErrors(delay=samples * sample)}


def _skewed(side: str, samples: float) -> Callable[[float], Mapping[str, Any]]:
    return lambda sample: {side: PathErrors(skew=samples * sample)}


ROWS = (
    Row("flip gain 5 %", {"flip": FlipErrors(error=0.05)}, ("6 (4..21)", "7 (2..20)")),
    Row("input replay gain 5 %", {"replay": ReplayErrors(gain=0.05)}, ("13 (7..18)", "7 (2..14)")),
    Row("input replay delay 1 sample", _replay(1.0), ("11 (4..52)", "8 (5..24)")),
    Row("nudge delay 1 sample", _exact("ports", "force", 1.0), ("10 (6..31)", "9 (4..12)")),
    Row("drift 1e-5 per shot, r = 1e-3", {"drift": Drift(rate=1e-5)}, ("3", "2")),
    Row("drift 1e-4 per shot, r = 1e-3", {"drift": Drift(rate=1e-4)}, ("33", "17")),
    Row("read-out delay 0.5 samples, lossy rigs", _late("channels", 0.5), ("", "5"), lossy=True),
    Row("read-out delay 2 samples, lossy rigs", _late("channels", 2.0), ("", "23"), lossy=True),
    Row("everything off", {}),
    Row("mismatch 20 %", {"mismatch": Mismatch(0.2)}),
    Row("flip offset 0.01", {"flip": FlipErrors(offset=0.01)}),
    Row("random walk 1e-5 per shot, r = 1e-3", {"drift": Drift(walk=1e-5)}),
    Row("hidden uniform friction, 0.01 e-folds", {"friction": HiddenFriction(uniform=0.01 / (STEPS * STEP))}),
    Row("hidden uniform friction, 0.1 e-folds", {"friction": HiddenFriction(uniform=0.1 / (STEPS * STEP))}),
    Row("hidden friction of the slowest mode, 0.6 e-folds", {
        "friction": HiddenFriction(modes=(0.6 / (STEPS * STEP), 0, 0, 0, 0, 0))}),
    Row("non-reciprocity 1 %", {"reciprocity": NonReciprocity(0.01)}),
    Row("knobs turned by 5 %, hysteresis 1 %", {"knobs": KnobErrors(hysteresis=0.01)}),
    Row("knobs turned by 5 %, settling in 0.2 shots", {"knobs": KnobErrors(settling=0.2)}),
    Row("delay of all ports 1 sample", _late("ports", 1.0)),
    Row("port skew 1 sample rms", _skewed("ports", 1.0)),
    Row("port gain 1 % rms", {"ports": PathErrors(gain=0.01)}),
    Row("input offset 0.05", {"ports": PathErrors(exact={"input.offset": 0.05})}),
    Row("port AC coupling, a tenth of the slowest tone", {"ports": PathErrors(corner=0.014)}),
    Row("clock skew 100 ppm", {"clock": ClockErrors(skew=1e-4)}),
    Row("jitter 0.01 samples", lambda sample: {"clock": ClockErrors(jitter=0.01 * sample)}, noisy=True),
    Row("delay of all channels 1 sample", _late("channels", 1.0)),
    Row("channel skew 1 sample rms", _skewed("channels", 1.0)),
    Row("channel gain 1 % rms", {"channels": PathErrors(gain=0.01)}),
    Row("channel offset 0.05 rms", {"channels": PathErrors(offset=0.05)}),
    Row("channel AC coupling, a tenth of the slowest tone", {"channels": PathErrors(corner=0.014)}),
    Row("force noise 1e-3", {"force": ForceNoise(density=1e-3)}, noisy=True),
    Row("thermal noise 1e-5 at 0.1 e-folds", {
        "force": ForceNoise(temperature=1e-5), "friction": HiddenFriction(uniform=0.1 / (STEPS * STEP))}, noisy=True),
    Row("read-out noise 1e-2", {"noise": 1e-2}, noisy=True),
    Row("ADC 12 bits over +-10", {"adc": ConverterErrors(12)}, noisy=True),
    Row("ADC 8 bits over +-10", {"adc": ConverterErrors(8)}, noisy=True),
    Row("ADC 12 bits over +-1, which clips", {"adc": ConverterErrors(12, 1.0)}, noisy=True),
    Row("DAC 12 bits over +-10", {"dac": ConverterErrors(12)}, noisy=True),
    Row("DAC 8 bits over +-4", {"dac": ConverterErrors(8, 4.0)}, noisy=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spread:
    """Relative errors of one row on many devices."""

    errors: Array

    def __str__(self) -> str:
        percent = 100 * np.array([np.median(self.errors), self.errors.min(), self.errors.max()])
        return "{} ({}..{})".format(*map(_short, percent))


def _short(percent: float) -> str:
    if np.isinf(percent):  # a gradient of exactly zero: the converter rounded the whole nudge away
        return "lost"
    return f"{percent:.0f}" if percent >= 99.5 else f"{percent:.2g}"


def scaled(reference: ReferenceTask, drive: float, steps: int = STEPS) -> ReferenceTask:
    """The task with input, initial state and target times `drive`, and only the first `steps` kicks."""
    (sequence,) = reference.sequences
    inputs = {name: Waveform.of(drive * wave.samples.values[:steps], wave.dt) for name, wave in sequence.inputs.items()}
    shorter = replace(
        sequence, inputs=inputs, target=drive * sequence.target[:, :steps], weight=sequence.weight[:steps]
    )
    start = drive * reference.theta["initial_position"]
    return replace(reference, sequences=(shorter,), theta={**reference.theta, "initial_position": start})


def device(reference: ReferenceTask, seed: int, **errors: Any) -> ReferenceTask:
    """The same task on device `seed`, which has these imperfections, AGE shots and a turn of its knobs behind it."""
    life = Life()
    rig = SimulatedRig(reference.model, imperfections=Imperfections(seed=seed, **errors), life=life)
    rig.configure({name: 0.95 * reference.theta[name] for name in ("stiffness", "coupling")})
    life.fire(AGE)
    return replace(reference, rig=rig, task=replace(reference.task, capabilities=rig.capabilities))


def gradient_error(reference: ReferenceTask, response: float) -> tuple[float, float]:
    """Cosine and relative error of the rule's gradient against the exact one of the device as it is."""
    task, rig, (sequence,) = reference.task, reference.rig, reference.sequences
    wanted = [name for name in COMPARED if reference.theta[name].any()]
    gradient = reference.gradient(RHEL(response=response), wanted)
    forward = compile(task.forward(sequence, reference.theta, ()), task.capabilities)
    truly = {name: Waveform.of(values, task.step) for name, values in rig.true_inputs(forward, AGE).items()}
    theta = {**reference.theta, **rig.true_parameters(AGE)}
    exact = exact_gradient(task, (replace(sequence, inputs=truly),), theta)[1]
    flat = [np.concatenate([np.ravel(source[name]) for name in wanted]) for source in (gradient.values, exact)]
    return compare(flat[0], flat[1])


def measure(row: Row, devices: int, *, cubic: float, drive: float = 1.0, steps: int = STEPS) -> Spread:
    """The errors of devices 0 .. devices - 1."""
    found = []
    for seed in range(devices):
        if row.lossy:
            reference, errors, response = lossy_rig(np.random.default_rng(seed)), {}, 0.03
        else:
            reference, errors = scaled(reference_rig(cubic), drive, steps), {"mismatch": VARIETY}
            response = SMALL if not row.noisy else LINEAR if cubic == 0 else DUFFING
        sample = SAMPLE * np.pi * reference.model.largest_step({})  # the fastest period is pi times 2/omega_max
        found.append(gradient_error(device(reference, seed, **{**errors, **row.at(sample)}), response)[1])
    return Spread(np.array(found))


def lengths(devices: int) -> list[str]:
    """Drift against the length of a pass: lines of the second table."""
    drift = Row("", {"drift": Drift(rate=1e-5)})
    lines = []
    for steps in (150, 400, 1000):
        figures = (measure(drift, devices, cubic=0.0, steps=steps), measure(drift, devices, cubic=CUBIC, steps=steps))
        lines.append("| {} | {} | {} |".format(steps, *figures))
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="What each imperfection costs a gradient.")
    parser.add_argument("--devices", type=int, default=40, help="devices for each row")
    devices = parser.parse_args(arguments).devices
    print("| imperfection | linear | known before | Duffing, half drive | Duffing | known before |")
    print("|---|---|---|---|---|---|")
    for row in ROWS:
        linear = "" if row.lossy else measure(row, devices, cubic=0.0)
        half = "" if row.lossy else measure(row, devices, cubic=CUBIC, drive=0.5)
        full = measure(row, devices, cubic=CUBIC)
        print(f"| {row.name} | {linear} | {row.known[0]} | {half} | {full} | {row.known[1]} |", flush=True)
    print("\n| kicks | linear, drift 1e-5 | Duffing, drift 1e-5 |\n|---|---|---|", *lengths(devices), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
