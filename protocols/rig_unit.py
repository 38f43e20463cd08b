"""A rig as a recurrent unit: the engine interface of `simbackend.recurrent.engines` on shots.

    u (batch, steps, d_in) -> y (batch, steps, d_out),   y_k = C x_k + y0        x: channels at the kicks

so that a rig, simulated or on a bench, sits inside a torch model like any other unit
(`simbackend.recurrent.stacks.layer`).  Every item of a batch is a shot of its own: one forward and, with the symmetric
estimator, two echoes, one after the other on a bench.  The echo is nudged with e = C^T dL/dy, whatever made dL/dy; the
rest is RHEL (`protocols.rhel`), and with a_k = D[q] in forward order the inputs get

    dL/du_k = d W^T a_k                      W the input map of the nominal model

A host cannot see how far a perturbation grows on a rig, so `growth` is not a number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.estimator import Estimator
from labrhel.learning.readout import Readout
from labrhel.learning.task import Task, TrialSequence
from labrhel.learning.units import BackwardRun, ForwardRun, UnitState
from labrhel.shots.capture import Capture
from labrhel.shots.compile import reversal_of
from labrhel.shots.operations import Configure, Protocol, RunShots
from labrhel.shots.program import Pass, ShotProgram
from labrhel.shots.waveform import Waveform
from protocols.echoes.beliefs import beliefs
from protocols.echoes.blocks import Block
from protocols.echoes.causes import cause_of_miss
from protocols.echoes.doubts import LARGEST_MISS
from protocols.echoes.plan import EchoPlan, Wanted
from protocols.forward.clipping import of_clipping, over_range
from protocols.forward.forward import ForwardBatch, ForwardPass
from protocols.forward.geometry import Geometry

Execute = Callable[[Protocol[Any]], Any]
"""Runs a protocol to its end: `lambda protocol: execute(protocol, handler)` with an executor's handler."""

_ATTEMPTS, _TOLERANCE = 3, 3.0  # at the response ratio, and the factor by which it may be missed


class RigUnit:
    """An `Engine` that fires shots through an executor.

    `task` names model, step and read-out channels; its `every` must be 1.  Parameters are those of the model that
    the rig has as knobs, `readout` C (d_out, channels) and `readout_offset` y0 (d_out,).  `response` is the response
    ratio that the nudge aims at: 0.05 on a noisy nonlinear rig, 1e-5 on an ideal one.
    """

    name = "rig"

    def __init__(
        self, execute: Execute, task: Task, *, response: float = 0.05, estimator: Estimator = Estimator.SYMMETRIC
    ) -> None:
        if task.every != 1:
            raise ConfigurationError(f"a rig as a unit is read at every kick; the task reads every {task.every}")
        self._execute, self._task = execute, task
        self._response, self._estimator = response, estimator
        self._geometry = Geometry(task.capabilities)
        self._eps: float | None = None
        self._has_told = False

    def forward(self, theta: Arrays, inputs: Array, start: UnitState | None = None) -> ForwardRun:
        """Run every item of the batch; raises ConfigurationError for a start: a rig starts as its model says."""
        if start is not None:
            raise ConfigurationError("a rig as a unit starts from rest, or as its model says; give no start")
        theta = {name: np.asarray(value, float) for name, value in theta.items()}
        achieved, captures = self._execute(self._forward(theta, inputs))
        theta |= achieved
        readout = Readout(theta["readout"], theta["readout_offset"])
        x = [self._task.captured(capture) for capture in captures]
        outputs = np.ascontiguousarray(np.stack([readout.outputs(item).T for item in x]), dtype=inputs.dtype)
        ends = np.full((len(inputs), self._task.model.size), np.nan)  # the rig is not asked for its end state
        rest = np.zeros_like(ends)
        return ForwardRun(theta, inputs, outputs, UnitState(rest, rest), UnitState(ends, ends), captures)

    def _forward(self, theta: Arrays, inputs: Array) -> Protocol[tuple[dict[str, Array], list[Capture]]]:
        task = self._task
        achieved = yield Configure(task.rig_parameters(theta))
        programs = tuple(
            task.forward(self._sequence(index, item), theta, self._geometry.channels, keep=True)
            for index, item in enumerate(inputs)
        )
        captures = yield RunShots(programs)
        return achieved, captures

    def _sequence(self, index: int, item: Array) -> TrialSequence:
        waves = {
            port: Waveform.of(np.asarray(column, float), self._task.step)
            for port, column in zip(self._task.model.inputs, item.T, strict=True)
        }
        steps = len(item)
        return TrialSequence(f"item {index}", waves, np.zeros((1, steps)), np.ones(steps))

    def backward(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        """Echo every item, nudged with its share of the cotangent."""
        captures = run.tape
        assert isinstance(captures, list)
        readout, task = Readout(run.theta["readout"], run.theta["readout_offset"]), self._task
        passes, direct = [], {"readout": np.zeros_like(readout.gain), "readout_offset": np.zeros_like(readout.offset)}
        for capture, rho in zip(captures, np.asarray(cotangent, float), strict=True):
            for name, term in readout.gradients(task.captured(capture), rho.T).items():
                direct[name] += term
            passes.append(self._recorded(capture, readout.error(rho.T)))
        wanted = [name for name in run.theta if name in task.model.parameters]
        friction = task.model.friction(run.theta)
        plan = EchoPlan(
            task=task,
            geometry=self._geometry,
            estimator=self._estimator,
            wanted=Wanted.of(task, wanted, run.theta, driven=bool(friction.any())),
            theta=run.theta,
            friction=friction,
            reversal=reversal_of(task.capabilities),
        )
        return self._execute(self._echoes(plan, passes, direct, run))

    def _recorded(self, capture: Capture, error: Array) -> ForwardPass:
        q, v = self._geometry.state(capture.last, self._task.step)
        u = np.stack([capture.shot.achieved(port, 0) for port in self._task.model.inputs])
        first = capture.shot.program.passes[0]
        unread = ShotProgram(
            self._task.step, capture.shot.program.prepare, (Pass(first.steps, first.drives, keep=True),)
        )
        return ForwardPass(unread, q, v, u, self._geometry.on_oscillators(self._task.channels, error))

    def _echoes(
        self, plan: EchoPlan, passes: Sequence[ForwardPass], direct: Arrays, run: ForwardRun
    ) -> Protocol[BackwardRun]:
        yield Configure(self._task.rig_parameters(run.theta))  # another unit may have used the rig since
        size = max(sum(float(np.sum(item.q**2)) for item in passes), 1e-300)
        pushed = float(np.sqrt(sum(np.sum(item.error**2) for item in passes)))
        eps = self._eps if self._eps is not None else self._response * np.sqrt(size) / max(pushed, 1e-300)
        drives = plan.drives(passes)
        for attempt in itertools.count(1):
            captures = yield RunShots(plan.programs(passes, drives, eps))
            eps *= plan.achieved_scale(passes, captures, eps)
            reading = plan.read(passes, captures, eps)
            ratio = float(np.sqrt(reading.response / size))
            off = ratio / self._response
            if not pushed or not ratio or attempt == _ATTEMPTS or 1 / _TOLERANCE < off < _TOLERANCE:
                self._eps = eps
                assert isinstance(run.tape, list)
                batch = ForwardBatch(tuple(passes), float("nan"), direct, (), "", over_range(run.tape))
                block = Block(
                    batch, tuple(drives), reading, eps, clipped=over_range(captures), captures=tuple(captures)
                )
                return self._conclude(plan, block, direct)
            eps /= off
        raise AssertionError("unreachable: the last attempt returned")

    def _conclude(
        self,
        plan: EchoPlan,
        block: Block,
        direct: Arrays,
    ) -> BackwardRun:
        reading, miss, eps = block.reading, block.retrace_error, block.eps
        words = [*of_clipping(block.batch.clipped, block.clipped)]
        if miss > LARGEST_MISS:
            words.append(f"the echo misses the forward path by {miss:.2g} of its size; {cause_of_miss(plan, [block])}")
        if not self._has_told and next(beliefs(plan.task, plan.theta), None) is not None:
            words.append("what the calibration knows only to an uncertainty is not counted in a rig inside a stack")
        self._has_told = True
        weights = np.asarray(plan.theta.get("input", self._task.model.parameters["input"].nominal), float)
        inputs = []
        for (echoes,) in plan.turns(block.captures):
            q = {level: self._geometry.state(capture.last, self._task.step)[0] for level, capture in echoes.items()}
            slope = self._estimator.derivative(q, eps)[:, ::-1]
            inputs.append(self._task.step * (weights.T @ slope).T)
        unknown = np.full((len(inputs), self._task.model.size), np.nan)
        return BackwardRun(
            parameters={**reading.terms, **direct},
            inputs=np.stack(inputs),
            start=UnitState(unknown, unknown),
            response_ratio=block.response_ratio,
            growth=float("nan"),
            retrace_error=miss,
            warnings=tuple(words),
        )
