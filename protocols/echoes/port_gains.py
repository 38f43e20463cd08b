"""Gains of ports that differ from shot to shot: found in what each echo shot records of itself, and taken off.

A generator whose amplitude is good to half a percent puts that half percent into the state that a preparation by drive
leaves, anew in every shot, where it stands beside the response to the nudge.  But the echoes of a sequence differ in
nothing else.  With S_j(t) the model's response to a gain of port j that is larger by one, the gains g_s of shot s are
off those at which the rig takes the path y by

    mean_s q_s(t) - y(t)        = sum_j mean_s(g_sj) S_j(t) + noise              all along, nudges cancel
    q_s(t) - mean_s q_s(t)      = sum_j (g_sj - mean_s g_sj) S_j(t) + noise      in the preparation, not nudged

and least squares finds them.  What a run of the model with these gains does otherwise than one without, both of them
nudged, is taken off the readings.  Inputs play a pilot in the preparation, which the drive ports take back, so that
their gains are seen there, too.  The model is used for a correction of the size of g alone, and only where it brings
the echoes nearer to the path; the response to the nudge is measured.

Source: derived and tested in this project (docs/echo-lock.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array
from labrhel.model.interface import Run
from labrhel.model.motion import run
from labrhel.rig.capabilities import Kind
from labrhel.shots.capture import Capture, State
from protocols.echoes.drive import EchoDrive
from protocols.echoes.plan import EchoPlan
from protocols.forward.forward import ForwardPass
from protocols.inference.inverse_dynamics import InverseDynamics

_LARGEST = 0.05  # prior of a deviation: no generator is as bad
_LEAST_NOISE = 1e-6  # of the path, for channels that declare none
_SHIFT = 1e-3  # of a gain, for the slopes


def at_common_gains(
    plan: EchoPlan,
    passes: Sequence[ForwardPass],
    drives: Sequence[EchoDrive],
    captures: Sequence[Capture],
    eps: float,
) -> tuple[list[Capture], float]:
    """The `captures` of `plan.programs(passes, drives, eps)` as if all shots had had the same gains.

    The second value is how much they differed from shot to shot, rms over the ports and relative to the gain; 0 where
    nothing was taken off.  Needs echoes by drive whose preparation was read (`EchoPlan.reads_preparation`).
    """
    levels = plan.order.of(tuple(plan.estimator.weights))
    found: list[Capture] = []
    squares = []
    for place, (forward, drive) in enumerate(zip(passes, drives, strict=True)):
        own = captures[place * len(levels) : (place + 1) * len(levels)]
        shots = _Shots(plan, forward, drive, own[0])
        gains = shots.deviations(own, levels)
        moved = [shots.moved(level * eps, row) for level, row in zip(levels, gains, strict=True)]
        if not shots.are_explained(own, moved):
            found += own
            continue
        squares.append(np.mean(np.var(gains, axis=0, ddof=1)))
        found += [shots.corrected(capture, *pair) for capture, pair in zip(own, moved, strict=True)]
    return found, float(np.sqrt(np.mean(squares))) if squares else 0.0


class _Shots:
    """The echoes of one sequence: the same drive in all of them, but for the nudge."""

    def __init__(self, plan: EchoPlan, forward: ForwardPass, drive: EchoDrive, capture: Capture) -> None:
        self._plan, self._forward, self._prepared = plan, forward, drive.prepared
        self._path = drive.path
        inverse = InverseDynamics(plan.task.model, plan.theta, plan.task.step)
        self._still = np.zeros((1, plan.task.model.size))
        self._force = inverse.force(drive.path, self._still[0])  # what takes the model along the path, not the rig
        self._ports = self._pushes(capture)

    def _pushes(self, capture: Capture) -> Array:
        """Forces (ports, n, kicks) of each port in a shot, its nudge included."""
        plan, shot = self._plan, capture.shot
        model, theta, passes = plan.task.model, plan.theta, range(len(shot.passes))

        def played(name: str) -> Array:
            return np.concatenate([shot.achieved(name, index) for index in passes])

        drives = plan.task.capabilities.drive_matrix.values
        names = plan.task.capabilities.ports_of(Kind.FORCE)
        found = [np.outer(drives[:, index], played(name)) for index, name in enumerate(names)]
        silence = np.zeros((len(model.inputs), self._path.shape[1]))
        for index, name in enumerate(model.inputs):
            alone = silence.copy()
            alone[index] = played(name)
            found.append(model.input_force(alone, theta) - model.input_force(silence, theta))
        return np.stack(found)

    def _run(self, force: Array) -> Run:
        plan = self._plan
        with np.errstate(over="ignore", invalid="ignore"):
            return run(plan.task.model, plan.theta, force, plan.task.step, self._still, self._still)

    def deviations(self, captures: Sequence[Capture], levels: Sequence[int]) -> Array:
        """Relative deviations (shots, ports) of the gains from those at which the rig would take the path."""
        plan = self._plan
        base = self._run(self._force).q[0]
        with np.errstate(over="ignore", invalid="ignore"):
            slopes = np.stack([(self._run(self._force + _SHIFT * port).q[0] - base) / _SHIFT for port in self._ports])
        read = np.stack([plan.positions(capture) for capture in captures])
        still = [level == 0 for level in levels] if sum(levels) else slice(None)  # one-sided nudges do not cancel
        mean = read[still].mean(axis=0)
        least = _LEAST_NOISE * float(np.sqrt(np.mean(base**2)))
        sigma = np.maximum(plan.geometry.noise, max(least, 1e-300))[:, None]
        before = slice(0, self._prepared)
        common = _gains(slopes / sigma, ((mean - base) / sigma)[None])
        own = _gains((slopes / sigma)[..., before], ((read - mean) / sigma)[..., before])
        return common + own

    def moved(self, amplitude: float, gains: Array) -> tuple[Run, Run]:
        """Model runs of a shot nudged by `amplitude`: with the deviations, and without."""
        force = self._force.copy()
        force[:, self._prepared :] += amplitude / self._plan.task.step * self._forward.error[:, ::-1]
        return self._run(force + np.tensordot(gains, self._ports, 1)), self._run(force)

    def are_explained(self, captures: Sequence[Capture], moved: Sequence[tuple[Run, Run]]) -> bool:
        """Whether the model with the deviations is nearer to the echoes than without; never of a motion without bound.

        A rig that amplifies every mistake does not go where the model says.
        """
        missed = [0.0, 0.0]
        for capture, pair in zip(captures, moved, strict=True):
            read = self._plan.positions(capture)[:, self._prepared :]
            for index, ran in enumerate(pair):
                missed[index] += float(np.sum((read - ran.q[0][:, self._prepared :]) ** 2))
        return missed[0] < missed[1]

    def corrected(self, capture: Capture, deviating: Run, common: Run) -> Capture:
        """The readings of the echo without what the deviations did."""
        task, last = self._plan.task, capture.last
        capabilities = task.capabilities
        q = (deviating.q - common.q)[0, :, self._prepared :]
        v = np.gradient(q, task.step, axis=1) if q.shape[1] > 1 else np.zeros_like(q)
        shown = dict(zip(capabilities.channels_of(Kind.POSITION), capabilities.position_matrix.values @ q, strict=True))
        shown |= zip(capabilities.channels_of(Kind.VELOCITY), capabilities.velocity_matrix.values @ v, strict=True)
        traces = {
            name: replace(trace, values=trace.values - shown[name]) if name in shown else trace
            for name, trace in last.traces.items()
        }
        end = last.end_state
        if end is not None:
            end = State(
                end.position - (deviating.end_position - common.end_position),
                end.momentum - (deviating.end_momentum - common.end_momentum),
            )
        return replace(capture, passes=(*capture.passes[:-1], replace(last, traces=traces, end_state=end)))


def _gains(slopes: Array, seen: Array) -> Array:
    """Gains (shots, ports) by least squares, from slopes (ports, n, kicks) and readings (shots, n, kicks), whitened."""
    rows, right = slopes.reshape(len(slopes), -1), seen.reshape(len(seen), -1)
    with np.errstate(over="ignore", invalid="ignore"):
        normal, answer = rows @ rows.T + np.eye(len(rows)) / _LARGEST**2, rows @ right.T
    if not (np.isfinite(normal).all() and np.isfinite(answer).all()):
        return np.zeros((len(seen), len(slopes)))  # a motion without bound shows no gains
    return np.linalg.solve(normal, answer).T
