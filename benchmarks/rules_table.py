"""Which rule on which rig?  Error of the gradient, shots, and bench time to a given loss, of every rule on every rig.

    python -m benchmarks.rules_table

Rigs have no noise; the truth is a central difference on the rig itself, for springs and couplings (springs and their
cubic terms on rigs that settle), each in units of its size.  "refused" is what labrhel says before anything moves; a
rule that runs and is wrong is left in, so that the table shows what the refusals and the audit are for.

Bench time: the rig shows what it does at its parameters; these are then moved by 5 %, and Adam brings the loss to 1/20
of what it is there, in at most 100 gradients.  The rig is taken to move at 1 kHz, and a shot to cost 0.1 s of arming,
transfer and ringing down beside its passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.error_bars import noisy
from labrhel.arrays import Array
from labrhel.errors import LabrhelError
from labrhel.executor import execute
from labrhel.learning.checking import compare
from labrhel.learning.needs import objections
from labrhel.learning.optimizers import Adam
from labrhel.learning.rules import GradientRequest, Rule
from labrhel.learning.train import free_run
from protocols.adjoint_only import AdjointOnly
from protocols.differences import SPSA, FiniteDifferences, size_of
from protocols.echoes.options import Echo
from protocols.equilibrium import AsymmetricEquilibrium, Equilibrium
from protocols.heb import HEB
from protocols.recorded_correlation import RecordedCorrelation
from protocols.rhel import RHEL
from protocols.twin import FittedTwin
from simbackend.imperfections import Imperfections
from simbackend.imperfections.friction import HiddenFriction
from simbackend.imperfections.reciprocity import NonReciprocity
from simbackend.rigs.reference import ReferenceTask, lossy_rig, reference_rig, relaxing_rig
from simbackend.rigs.simulated import SimulatedRig
from simbackend.rigs.wrong import saturating_rig

SETTLING = ("relaxation", "relaxation, not reciprocal")
SECONDS, SHOT = 1e-3 / (2 * np.pi), 0.1  # of a unit of model time, and beside the passes of a shot
MOVED, REACHED, LONGEST, RATE = 0.05, 0.05, 100, 0.01
RULES: Mapping[str, Rule] = {
    "rhel, plain": RHEL(echo=Echo.PLAIN),
    "rhel, driven": RHEL(echo=Echo.DRIVEN),
    "rhel, locked": RHEL(lock=6),
    "heb": HEB(),
    "recorded_correlation": RecordedCorrelation(),
    "adjoint_only": AdjointOnly(),
    "equilibrium": Equilibrium(),
    "asymmetric_equilibrium": AsymmetricEquilibrium(),
    "twin": FittedTwin(),
    "finite_differences": FiniteDifferences(step=1e-3),
    "spsa, 20 directions": SPSA(step=1e-3, directions=20),
}


def _with(reference: ReferenceTask, **errors: object) -> ReferenceTask:
    """The rig with imperfections of its own, and knobs as declared."""
    rig = SimulatedRig(reference.model, imperfections=Imperfections(seed=1, **errors))  # type: ignore[arg-type]
    return replace(reference, rig=rig, task=replace(reference.task, capabilities=rig.capabilities))


def at_the_end(reference: ReferenceTask) -> ReferenceTask:
    """The same task, of which the last sample counts."""
    (sequence,) = reference.sequences
    last = np.zeros_like(sequence.weight)
    last[-1] = 1.0
    return replace(reference, sequences=(replace(sequence, weight=last),))


def rigs() -> dict[str, ReferenceTask]:
    """By kind."""
    lossy = lossy_rig(np.random.default_rng(3))
    saturating = saturating_rig(3).reference
    knobs = replace(saturating, task=replace(saturating.task, capabilities=saturating.rig.capabilities))
    return {
        "lossless": reference_rig(),
        "lossy": lossy,
        "lossy, hidden friction": _with(lossy, friction=HiddenFriction(uniform=0.02)),
        "linear, lossy": noisy(3, 0.0, linear=True),
        "other springs, no flip": knobs,
        "not reciprocal": _with(lossy, reciprocity=NonReciprocity(0.1)),
        "lossless, loss at the end": at_the_end(reference_rig()),
        SETTLING[0]: relaxing_rig(np.random.default_rng(3)),
        SETTLING[1]: relaxing_rig(np.random.default_rng(3), seed=3, reciprocity=NonReciprocity(0.5)),
    }


def names_of(kind: str) -> tuple[str, str]:
    """The parameters that are compared and trained; no model knows how a pair that is not reciprocal scales."""
    return "stiffness", "cubic" if kind in SETTLING else "coupling"


def truth(reference: ReferenceTask, names: Sequence[str]) -> dict[str, Array]:
    """By central differences on the rig, extrapolated to a step of zero."""
    coarse, fine = (reference.gradient(FiniteDifferences(step=step), names).values for step in (2e-4, 1e-4))
    return {name: (4 * fine[name] - coarse[name]) / 3 for name in names}


def bench_time(reference: ReferenceTask, rule: Rule, names: Sequence[str]) -> str:
    """Until the loss has come down, or what it came to."""
    task, theta = reference.task, dict(reference.theta)
    (shown,) = execute(free_run(task, reference.sequences, theta), reference.handler())
    sequences = tuple(replace(item, target=shown) for item in reference.sequences)
    task = replace(task, variance=float(shown.var()))
    random = np.random.default_rng(0)
    sizes = {name: size_of(np.asarray(theta[name])) * np.ones(np.shape(theta[name])) for name in names}
    for name in names:
        theta[name] = theta[name] * (1 + MOVED * random.standard_normal(np.shape(theta[name])))
    scale = np.concatenate([sizes[name] for name in names])
    ends = np.cumsum([sizes[name].size for name in names])[:-1]
    start = np.concatenate([theta[name] for name in names]) / scale
    adam = Adam(start, (np.full(start.shape, -np.inf), np.full(start.shape, np.inf)), rate=RATE)
    first, last, seconds, nudge = 0.0, np.inf, 0.0, None
    for count in range(LONGEST):
        parts = dict(zip(names, np.split(adam.ask() * scale, ends), strict=True))
        gradient = execute(
            rule.gradient(GradientRequest(task, sequences, theta | parts, names, nudge)), reference.handler()
        )
        first, last = first or gradient.loss, gradient.loss
        if count and last < REACHED * first:
            return f"{seconds:.1f} s"
        nudge = gradient.nudge
        longest = max(task.steps(item) for item in sequences) * task.step
        seconds += gradient.shots * SHOT + gradient.passes * longest * SECONDS
        adam.tell(gradient.loss, scale * np.concatenate([gradient.values[name] for name in names]))
    share = last / first
    return f"loss at {100 * share:.0f} %" if share <= 1 else f"loss rose {share:.2g}-fold"


def cell(kind: str, reference: ReferenceTask, rule: Rule, exact: Mapping[str, Array]) -> str:
    """Error (cosine where it is useless), shots and bench time, or that it was refused."""
    names = names_of(kind)
    if objections(rule.needs, reference.task, reference.sequences, reference.theta, names):
        return "refused"
    try:
        gradient = reference.gradient(rule, names)
    except LabrhelError:
        return "refused"
    sizes = {name: size_of(np.asarray(reference.theta[name])) for name in names}
    found, true = (
        np.concatenate([sizes[name] * np.ravel(side[name]) for name in names]) for side in (gradient.values, exact)
    )
    cosine, error = compare(found, true)
    right = f"{error:.0e}" if error < 0.01 else f"{100 * error:.0f} %"
    if cosine < 0.9:
        right = f"cos {cosine:.2f}"
    return f"{right} ({gradient.shots}) {bench_time(reference, rule, names)}"


def main() -> None:
    kinds = rigs()
    print("| rule | " + " | ".join(kinds) + " |")
    print("|---|" + "---|" * len(kinds))
    exact = {kind: truth(reference, names_of(kind)) for kind, reference in kinds.items()}
    for name, rule in RULES.items():
        cells = [cell(kind, reference, rule, exact[kind]) for kind, reference in kinds.items()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
