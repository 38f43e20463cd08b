"""Which rule on which rig?  Relative error of the gradient and shots, of every rule on every kind of rig.

    python -m benchmarks.rules_table

Rigs have no noise; the truth is a central difference on the rig itself, for springs and couplings, each in units of its
size.  "refused" is what labrhel says before anything moves; a rule that runs and is wrong is left in, so that the table
shows what the refusals and the audit are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from benchmarks.error_bars import noisy
from labrhel.arrays import Array
from labrhel.errors import LabrhelError
from labrhel.learning.checking import compare
from labrhel.learning.needs import objections
from labrhel.learning.rules import Rule
from protocols.adjoint_only import AdjointOnly
from protocols.differences import SPSA, FiniteDifferences, size_of
from protocols.recorded_correlation import RecordedCorrelation
from protocols.rhel import RHEL, Echo
from protocols.twin import FittedTwin
from simbackend.imperfections import Imperfections
from simbackend.imperfections.friction import HiddenFriction
from simbackend.imperfections.reciprocity import NonReciprocity
from simbackend.reference import ReferenceTask, lossy_rig, reference_rig
from simbackend.rig import SimulatedRig
from simbackend.wrong_rigs import saturating_rig

NAMES = ("stiffness", "coupling")
RULES: Mapping[str, Rule] = {
    "rhel, plain": RHEL(echo=Echo.PLAIN),
    "rhel, driven": RHEL(echo=Echo.DRIVEN),
    "rhel, locked": RHEL(lock=6),
    "recorded_correlation": RecordedCorrelation(),
    "adjoint_only": AdjointOnly(),
    "twin": FittedTwin(),
    "finite_differences": FiniteDifferences(step=1e-3),
    "spsa, 20 directions": SPSA(step=1e-3, directions=20),
}


def _with(reference: ReferenceTask, **errors: object) -> ReferenceTask:
    """The rig with imperfections of its own, and knobs as declared."""
    rig = SimulatedRig(reference.model, imperfections=Imperfections(seed=1, **errors))  # type: ignore[arg-type]
    return replace(reference, rig=rig, task=replace(reference.task, capabilities=rig.capabilities))


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
    }


def truth(reference: ReferenceTask) -> dict[str, Array]:
    """By central differences on the rig, extrapolated to a step of zero."""
    coarse, fine = (reference.gradient(FiniteDifferences(step=step), NAMES).values for step in (2e-4, 1e-4))
    return {name: (4 * fine[name] - coarse[name]) / 3 for name in NAMES}


def cell(reference: ReferenceTask, rule: Rule, exact: Mapping[str, Array]) -> str:
    """Cosine, error and shots, or why not."""
    if objections(rule.needs, reference.task, reference.sequences, reference.theta, NAMES):
        return "refused"
    try:
        gradient = reference.gradient(rule, NAMES)
    except LabrhelError:
        return "refused"
    sizes = {name: size_of(np.asarray(reference.theta[name])) for name in NAMES}
    found, true = (
        np.concatenate([sizes[name] * np.ravel(side[name]) for name in NAMES]) for side in (gradient.values, exact)
    )
    cosine, error = compare(found, true)
    right = f"{error:.0e}" if error < 0.01 else f"{100 * error:.0f} %"
    return f"{right} ({gradient.shots})" if cosine > 0.9 else f"cos {cosine:.2f} ({gradient.shots})"


def main() -> None:
    kinds = rigs()
    print("| rule | " + " | ".join(kinds) + " |")
    print("|---|" + "---|" * len(kinds))
    exact = {kind: truth(reference) for kind, reference in kinds.items()}
    for name, rule in RULES.items():
        cells = [cell(reference, rule, exact[kind]) for kind, reference in kinds.items()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
