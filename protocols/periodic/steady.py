"""The adjoint of a periodic steady state, measured as one: linear damped rigs under inputs that repeat.

Under an input of period P a damped linear rig ends in a motion of that period, whatever it began with.  Driven at the
read-out with the error of one period, reversed and repeated, it ends in the adjoint of that motion,

    M a'' + G a' + K a = e/d,     dL/dtheta = -d sum over one period a . dr/dtheta

both averaged over whole periods (`protocols.periodic.period`).  The error is sent with both signs, and the difference
taken.  Where an echo is asked for it is sent during one, under the reversed input; as the rig is linear, that input,
the state the echo begins in, and their errors are common to both signs.

The loss is that of the steady state: transients have no part in it.  Nonlinear rigs answer to the error about another
motion than the one that was recorded, and are not what this is for; nor are rigs that lose little, whose transients
take their time.  Sources: damped linear systems, periodic or from rest, arXiv 2506.20402; periodic (Lagrangian)
equilibrium propagation, arXiv 2505.07363; the discrete form is derived and tested in this project (docs/periodic.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError, DivergedError, ProgramError
from labrhel.learning.gradient import Gradient
from labrhel.learning.readout import READOUT
from labrhel.learning.rules import GradientRequest
from labrhel.learning.task import STATE, Task, TrialSequence
from labrhel.model.motion import hessian_along
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Configure, Protocol, RunShots
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from protocols.forward.clipping import TOLERANCE, aimed, of_clipping, over_range
from protocols.forward.forward import ForwardPass
from protocols.forward.geometry import Geometry
from protocols.inference.correlation import correlated
from protocols.periodic.period import Periodic

LEFT, UNSTEADY = 0.1, 1e-3
"""Shares of a transient beyond which nothing is fired, and of a motion that still changes, which is said."""


@dataclass(frozen=True, slots=True)
class SteadyPass:
    """One period of a sequence: positions, velocities and error at the kicks (n, kicks), inputs (inputs, kicks)."""

    program: ShotProgram
    q: Array
    v: Array
    u: Array
    error: Array


def in_steady_state(
    asked: GradientRequest, periodic: Periodic, response: float, name: str, *, echoes: bool
) -> Protocol[Gradient]:
    """The gradient for the parameters named in `wanted`; `echoes`: sent during an echo, and not from rest.

    Raises ProgramError for a period that is no whole number of samples, inputs that do not repeat, and transients that
    are not over.
    """
    task, geometry = asked.task, Geometry(asked.task.capabilities)
    asked = asked.at((yield Configure(task.rig_parameters(asked.theta))))
    theta = asked.theta
    left = _left_of_transients(task, theta, periodic)
    programs = tuple(_forward(task, geometry, periodic, item) for item in asked.sequences)
    captures: list[Capture] = yield RunShots(programs)
    shots, passes = len(captures), sum(capture.passes_run for capture in captures)
    clipped, changing = over_range(captures), 0.0
    steady, loss, direct = [], 0.0, dict[str, Array]()
    scale = task.loss(asked.sequences).scale
    for sequence, capture in zip(asked.sequences, captures, strict=True):
        item, share, terms, change = _read(task, geometry, periodic, sequence, capture, theta, scale)
        steady.append(item)
        loss, changing = loss + share, max(changing, change)
        direct = {key: direct.get(key, 0.0) + term for key, term in terms.items()}
    if not np.isfinite(loss):
        raise DivergedError("the readings are so large that the loss overflows; lower the drive")
    size = max(sum(float(np.sum(item.q**2)) for item in steady), 1e-300)

    def fire(eps: float) -> Protocol[tuple[float, bool, list[Capture]]]:
        nonlocal shots, passes
        sent: list[Capture] = yield RunShots(tuple(
            _sent(task, geometry, periodic, item, sign * eps, echoes=echoes) for item in steady for sign in (1, -1)
        ))  # fmt: skip
        shots, passes = shots + len(sent), passes + sum(capture.passes_run for capture in sent)
        squares = sum(float(np.sum(q**2)) for q, _ in _answers(geometry, periodic, task.step, sent))
        return float(np.sqrt(squares / size)), bool(over_range(sent)), sent

    first = asked.previous.eps if asked.previous is not None else _first_eps(task, steady, theta, response)
    eps, sent = yield from aimed(fire, first, response)
    gradient, answered = dict[str, Array](), 0.0
    for index, (item, (q, _)) in enumerate(zip(steady, _answers(geometry, periodic, task.step, sent), strict=True)):
        answered += float(np.sum(q**2))
        a = q[:, ::-1] / _achieved(task, geometry, periodic, item, sent[2 * index : 2 * index + 2])
        for key, term in _terms(task, theta, item, a, asked.wanted).items():
            gradient[key] = gradient.get(key, 0.0) + term
    ratio = float(np.sqrt(answered / size))
    return Gradient(
        values=gradient | {key: direct[key] for key in asked.wanted if key in direct},
        loss=loss,
        rule=name,
        eps=eps * response / ratio if ratio and ratio > response / TOLERANCE else eps,
        response_ratio=ratio,
        shots=shots,
        passes=passes,
        calibration=captures[0].shot.calibration,
        measured={"unsteady": changing},
        warnings=(
            *_words(periodic, geometry, left, changing, size, steady, asked),
            *of_clipping(clipped, over_range(sent)),
        ),
    )


def _left_of_transients(task: Task, theta: Arrays, periodic: Periodic) -> float:
    """What is left of the slowest transient when counting begins, by the model; refused where that is most of it."""
    n, mass = task.model.size, task.model.mass(theta)
    stiffness = hessian_along(task.model, theta, np.zeros((n, 1)))[0]
    motion = np.block([
        [np.zeros((n, n)), np.eye(n)],
        [-stiffness / mass[:, None], -task.model.friction(theta) / mass[:, None]],
    ])  # fmt: skip
    slowest = float(np.linalg.eigvals(motion).real.max())
    left = float(np.exp(min(slowest * periodic.discard * periodic.period, 0.0)))
    if left > LEFT:
        needed = np.log(1e-8) / (slowest * periodic.period) if slowest < 0 else np.inf
        advice = f"discard: {int(np.ceil(needed))} leaves 1e-8" if np.isfinite(needed) else "it loses no energy"
        raise ProgramError(
            f"after {periodic.discard} periods {left:.2g} of the slowest transient is left, so nothing is steady: "
            f"{advice}"
        )
    return left


def _forward(task: Task, geometry: Geometry, periodic: Periodic, sequence: TrialSequence) -> ShotProgram:
    inputs = periodic.input_of(task, sequence)
    drives = _played(task, {port: periodic.tiled(values) for port, values in inputs.items()}, Role.INPUT)
    steps = periodic.kicks(task) * periodic.all
    return ShotProgram(task.step, Rest(), (Pass(steps, drives, Acquire(geometry.channels)),))


def _played(task: Task, values: Arrays, role: Role) -> tuple[Drive, ...]:
    return tuple(Drive(port, Waveform.of(each, task.step), role) for port, each in values.items())


def _read(
    task: Task,
    geometry: Geometry,
    periodic: Periodic,
    sequence: TrialSequence,
    capture: Capture,
    theta: Arrays,
    scale: float,
) -> tuple[SteadyPass, float, dict[str, Array], float]:
    """The steady pass of a sequence, its share of the loss, the direct terms, and how much it still changes."""
    readout, every = task.readout(theta), task.every
    target, weight, constant = periodic.target_of(task, sequence)
    x = periodic.folded(capture.last.stack(task.channels))[:, ::every]
    rho = 2 * weight * (readout.outputs(x) - target) / scale
    loss = (float(np.sum(weight * (readout.outputs(x) - target) ** 2)) + constant) / scale
    q, v = (periodic.folded(part) for part in geometry.state(capture.last, task.step))
    if len(geometry.channels) < 2 * task.model.size:  # no velocities: differences, which the ends of a pass lack
        v = (np.roll(q, -1, axis=1) - np.roll(q, 1, axis=1)) / (2 * task.step)
    error = np.zeros_like(q)
    error[:, ::every] = geometry.on_oscillators(task.channels, readout.error(rho))
    u = np.stack([periodic.folded(capture.shot.achieved(port)[None])[0] for port in task.model.inputs])
    change = periodic.changing(geometry.state(capture.last, task.step)[0])
    return SteadyPass(capture.shot.program, q, v, u, error), loss, readout.gradients(x, rho), change


def _sent(
    task: Task, geometry: Geometry, periodic: Periodic, item: SteadyPass, eps: float, *, echoes: bool
) -> ShotProgram:
    force = periodic.tiled(eps / task.step * item.error[:, ::-1])
    nudge = _played(task, geometry.to_ports(force), Role.NUDGE)
    first, steps = item.program.passes[0], force.shape[1]
    acquire = Acquire(geometry.channels)
    if not echoes:
        return ShotProgram(task.step, Rest(), (Pass(steps, nudge, acquire),))
    # Backwards: kick j of a period replays kick P - 1 - j, as of a pass of whole periods.
    mirror = (steps - 1) * task.step
    replayed = tuple(Drive(drive.port, drive.waveform.reversed(mirror), drive.role) for drive in first.drives)
    if task.capabilities.reversals <= {Reversal.BY_DRIVE}:  # what an echo begins in has died out where it is read
        return ShotProgram(task.step, Rest(), (Pass(steps, (*replayed, *nudge), acquire),))
    echo = Pass(steps, (*replayed, *nudge), acquire, echo=True)
    return ShotProgram(task.step, Rest(), (Pass(first.steps, first.drives, keep=True), echo))


def _answers(geometry: Geometry, periodic: Periodic, step: float, sent: Sequence[Capture]) -> list[tuple[Array, Array]]:
    """Half the difference of each pair, folded, in the order of the echo."""
    states = [[periodic.folded(part) for part in geometry.state(capture.last, step)] for capture in sent]
    return [((one[0] - two[0]) / 2, (one[1] - two[1]) / 2) for one, two in zip(states[::2], states[1::2], strict=True)]


def _achieved(task: Task, geometry: Geometry, periodic: Periodic, item: SteadyPass, pair: Sequence[Capture]) -> float:
    """What the ports made of the error, over the error."""
    wanted = periodic.tiled(item.error[:, ::-1] / task.step)
    plus, minus = (geometry.forces(capture) for capture in pair)
    return float(np.sum((plus - minus) / 2 * wanted)) / max(float(np.sum(wanted**2)), 1e-300) or 1.0


def _terms(task: Task, theta: Arrays, item: SteadyPass, a: Array, wanted: Sequence[str]) -> dict[str, Array]:
    """Correlated over one period, between two others: what a kick explains depends on its neighbours."""
    known = task.model.parameters
    unknown = [name for name in wanted if name not in known and name not in READOUT]
    if unknown:
        raise ConfigurationError(f"there is no parameter {unknown[0]!r} to differentiate by")
    around = ForwardPass(
        ShotProgram(task.step, Rest(), (Pass(3 * a.shape[1]),)),
        np.tile(item.q, 3), np.tile(item.v, 3), np.tile(item.u, 3), np.tile(item.error, 3),
    )  # fmt: skip
    response = np.concatenate([np.zeros_like(a), a, np.zeros_like(a)], axis=1)
    names = [name for name in wanted if name in known and name not in STATE]
    found = correlated(task.model, theta, around, response, task.step, names)
    return found | {name: np.zeros(known[name].shape) for name in wanted if name in STATE}


def _first_eps(task: Task, steady: Sequence[SteadyPass], theta: Arrays, response: float) -> float:
    """From the balance of forces: an impulse e moves a mass by e/(m w)."""
    impulse = max(float(np.sqrt(np.mean(item.error**2))) for item in steady)
    moved = max(float(np.sqrt(np.mean(item.q**2))) for item in steady)
    kick = float(np.mean(task.model.mass(theta))) / min(task.model.largest_step(theta), 1e300)
    return 0.1 * response * moved * kick / impulse if impulse > 0 else 1.0


def _words(
    periodic: Periodic,
    geometry: Geometry,
    left: float,
    changing: float,
    size: float,
    steady: Sequence[SteadyPass],
    asked: GradientRequest,
) -> Iterator[str]:
    noise = float(np.sqrt(2 * np.sum(geometry.noise**2) * sum(item.q.shape[1] for item in steady) / size))
    if changing > max(UNSTEADY, 3 * noise):
        yield (
            f"the motion changes by {changing:.2g} of its size from the first counted period to the last: raise "
            f"discard (by the model {left:.2g} of the slowest transient is left)"
        )
    begun = [name for name in asked.wanted if name in STATE]
    if begun:
        yield f"a steady state does not know how it began: the gradient by {', '.join(begun)} is zero"
