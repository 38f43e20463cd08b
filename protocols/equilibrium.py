"""Equilibrium propagation: let the rig settle, push its read-out towards the target, and see where it settles then.

Under inputs that stand still a lossy rig comes to rest at q*, a minimum of E = V - W(u + o) q.  Push it by -+beta e,
e = dL/dq at q*, and compare:

    dL/dtheta = (dE/dtheta[+] - dE/dtheta[-]) / (2 beta),      + for the force -beta e            error O(beta^2)

which needs nothing reversed, and no model but dE/dtheta.  It is right only where J = dF/dq is symmetric: if pushing i
moves j as much as pushing j moves i.

*Asymmetric*: measure J by pushing every oscillator in turn, take A = (J - J^T)/2, and push by

    f = -2 A d - beta e,     d = beta J^-T e  the way it will go,      dL/dtheta = -(d / beta) . dF/dtheta(q*)

which is exact for any A, for parameters whose effect dF/dtheta the model knows.  `asymmetry`, the spectral radius of
S^-1 A with S = (J + J^T)/2, is what the uncorrected rule suffers from: its cosine is about 0.98 at 0.2, 0.8 at 0.5.

Sources: Scellier & Bengio, Front. Comput. Neurosci. 11, 24 (2017); symmetric in beta: Laborieux et al., Front.
Neurosci. 15, 633674 (2021); the asymmetric push: Scellier et al., arXiv 1808.04873 (2018), tested in this project.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ConfigurationError
from labrhel.learning.gradient import Gradient
from labrhel.learning.needs import Needs
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import Task
from labrhel.shots.operations import Configure, Protocol
from protocols.echoes.inherited import with_inherited
from protocols.forward.forward import ForwardBatch
from protocols.inference.settled import Moved, Rest, Settling

NOISELESS_RESPONSE, NOISY_RESPONSE = 1e-3, 0.05
"""Response ratios aimed at: the bias is about the square, and settling leaves a rest."""


@dataclass(frozen=True, slots=True)
class Equilibrium:
    """Symmetric equilibrium propagation.  `response`: how far the push moves the rig, relative to where it is."""

    response: float | None = None

    needs: ClassVar[Needs] = Needs(positions=True, drive=True, settles=True, reciprocal=True)

    def __post_init__(self) -> None:
        _check(self.response)

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """Gradient of the batch's loss; raises ProgramError if the rig does not settle."""
        settling, batch, rests = yield from _settled(asked)
        beta = _beta(settling, rests, _target(self.response, asked.task))
        pushes = [-beta * rest.error[:, None] for rest in rests]
        moved = yield from settling.push(rests, pushes)
        straight = [answers[0] for answers in moved]
        found = _gradient("equilibrium", settling, batch, rests, straight, asked.wanted, beta)
        return found if asked.previous is not None else with_inherited(found, self, asked)


@dataclass(frozen=True, slots=True)
class AsymmetricEquilibrium:
    """The rule for rigs whose couplings are not reciprocal; 2n pushes a sequence more than `Equilibrium`."""

    response: float | None = None

    needs: ClassVar[Needs] = Needs(positions=True, drive=True, settles=True, drive_all=True)

    def __post_init__(self) -> None:
        _check(self.response)

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """Gradient of the batch's loss; raises ProgramError if the rig does not settle."""
        settling, batch, rests = yield from _settled(asked)
        target = _target(self.response, asked.task)
        sizes = [
            target * _size(rest) / np.linalg.norm(np.linalg.inv(settling.stiffness(rest)), axis=0) for rest in rests
        ]
        answers = yield from settling.push(rests, [np.diag(size) for size in sizes])
        jacobians = [_jacobian(answer) for answer in answers]
        beta = _beta(settling, rests, target)
        ways = [beta * np.linalg.solve(slope.T, rest.error) for slope, rest in zip(jacobians, rests, strict=True)]
        pushes = [
            -(slope - slope.T) @ way - beta * rest.error
            for slope, way, rest in zip(jacobians, ways, rests, strict=True)
        ]
        moved = yield from settling.push(rests, [push[:, None] for push in pushes])
        straight = [answers[0] for answers in moved]
        asymmetry = max(asymmetry_of(slope) for slope in jacobians)
        found = _gradient(
            "asymmetric_equilibrium", settling, batch, rests, straight, asked.wanted, beta, {"asymmetry": asymmetry}
        )
        return found if asked.previous is not None else with_inherited(found, self, asked)


def asymmetry_of(jacobian: Array) -> float:
    """Spectral radius of S^-1 A of J = S + A (n, n): 0 on a reciprocal rig."""
    symmetric, skew = (jacobian + jacobian.T) / 2, (jacobian - jacobian.T) / 2
    return float(np.abs(np.linalg.eigvals(np.linalg.solve(symmetric, skew))).max())


def _check(response: float | None) -> None:
    if response is not None and not response > 0:
        raise ConfigurationError(f"response must be positive, not {response}")


def _settled(asked: GradientRequest) -> Protocol[tuple[Settling, ForwardBatch, list[Rest]]]:
    asked = asked.at((yield Configure(asked.task.rig_parameters(asked.theta))))
    settling = Settling(asked.task, asked.theta)
    batch, rests = yield from settling.settle(asked.sequences)
    return settling, batch, rests


def _target(response: float | None, task: Task) -> float:
    if response is not None:
        return response
    quiet = all(channel.noise == 0 and channel.converter is None for channel in task.capabilities.channels)
    return NOISELESS_RESPONSE if quiet else NOISY_RESPONSE


def _size(rest: Rest) -> float:
    return max(float(np.linalg.norm(rest.q)), 1e-12)


def _beta(settling: Settling, rests: Sequence[Rest], target: float) -> float:
    """So that the nominal model moves by `target` of its size where it moves most."""
    moves = [np.linalg.norm(np.linalg.solve(settling.stiffness(rest), rest.error)) / _size(rest) for rest in rests]
    return target / float(max(moves)) if max(moves) > 0 else 1.0


def _jacobian(answers: Sequence[Moved]) -> Array:
    pairs = [[item.by for item in answers], [item.force for item in answers]]
    moved, forces = (np.stack(columns, axis=1) for columns in pairs)
    return -forces @ np.linalg.inv(moved)


def _gradient(
    rule: str,
    settling: Settling,
    batch: ForwardBatch,
    rests: Sequence[Rest],
    moved: Sequence[Moved],
    wanted: Sequence[str],
    beta: float,
    measured: dict[str, float] | None = None,
) -> Gradient:
    terms: dict[str, Array] = {}
    for rest, answer in zip(rests, moved, strict=True):
        ends = [settling.energy_slopes(wanted, rest, q) for q in (answer.plus, answer.minus)]
        for name in ends[0]:
            term = (ends[0][name] - ends[1][name]) / (2 * beta)
            terms[name] = terms[name] + term if name in terms else term
    size = sum(_size(rest) ** 2 for rest in rests)
    ratio = float(np.sqrt(sum(float(answer.by @ answer.by) for answer in moved) / size))
    # Both ways must go the same way: in another valley, or where the answer bends, they do not.
    bent = [
        float(np.linalg.norm((item.plus + item.minus) / 2 - rest.q)) for rest, item in zip(rests, moved, strict=True)
    ]
    miss = float(np.sqrt(np.sum(np.square(bent)) / size))
    words = []
    if batch.has_error and miss > max(0.3 * ratio, 1e-6):
        words.append(
            f"pushed both ways the rig does not move alike (by {ratio:.2g} of its size, its mean by {miss:.2g}): "
            "lower the response, or it left its valley"
        )
    if not batch.has_error:
        words.append("the error is zero everywhere, and so is this gradient")
    return Gradient(
        values=terms | {name: batch.direct[name] for name in wanted if name in batch.direct},
        loss=batch.loss,
        rule=rule,
        eps=beta,
        response_ratio=ratio,
        retrace_error=miss,
        shots=settling.shots,
        passes=settling.passes,
        calibration=batch.calibration,
        warnings=tuple(words),
        measured=measured or {},
    )
