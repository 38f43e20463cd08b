"""A gradient while it is measured: forward passes, lock, and echoes, in blocks that are each a whole measurement."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.learning.estimator import Order
from labrhel.learning.gradient import NudgeRecord
from labrhel.learning.rules import GradientRequest
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Protocol, RunShots
from protocols.echoes.blocks import Block, relative_error
from protocols.echoes.drive import EchoDrive
from protocols.echoes.lock import Locked, lock, noise_floor, warm
from protocols.echoes.options import EchoOptions
from protocols.echoes.plan import first_eps, representable
from protocols.echoes.port_gains import at_common_gains
from protocols.forward.forward import ForwardBatch, read_forward
from protocols.inference.fit import fit

LOCKED = 1e-3
"""Retrace error at which an echo counts as locked."""

_ATTEMPTS = 3  # at the response ratio that was asked for
_LEAST_REPEATS = 3  # before a spread is believed
_TOLERANCE = 3.0  # factor by which it may be missed; the next gradient starts from what this one found


class Measurement:
    """One gradient while it is measured: its `blocks`, and one at twice the nudge if a bound was asked for."""

    def __init__(self, options: EchoOptions, asked: GradientRequest) -> None:
        self.options, self._asked = options, asked
        self.blocks: list[Block] = []
        self.stronger: Block | None = None
        self.locked: Locked | None = None
        known = asked.previous if asked.previous is not None and options.lock else NudgeRecord(1.0, 0.0)
        self.deviations, self.learned = known.deviations, known.corrections
        self.plan = options.plan(asked.task, _moved(asked.theta, self.deviations), asked.wanted)
        self.shots = self.passes = 0
        self._eps = 1.0

    @property
    def is_precise(self) -> bool:
        """True if no more repeats are wanted."""
        options, done = self.options, len(self.blocks)
        if done < max(options.repeats, 1 if options.precision is None else _LEAST_REPEATS):
            return False
        if options.precision is None or not self.blocks[0].batch.has_error or done >= options.most_repeats:
            return True
        return relative_error(self.blocks) <= options.precision

    def first_block(self) -> Protocol[None]:
        """Forward pass, lock, and echoes at a nudge that gives the response that is aimed at."""
        options, plan = self.options, self.plan
        batch = yield from self._forward()
        drives = self._drives(batch)
        if options.lock and any(item.name not in self.learned for item in batch.passes):
            drives = yield from self._lock(batch)
        target = options.target_response(plan.task, plan.theta)
        if options.eps is not None:
            self._eps = options.eps
        else:
            self._eps = first_eps(plan.task, batch, plan.theta, target, self._asked.previous)
        for attempt in itertools.count(1):
            block = yield from self._echo(batch, drives)
            if options.lock and self.locked is None and self._does_not_retrace(block):
                drives = yield from self._lock(batch)
                block = yield from self._echo(batch, drives)
            ratio = block.response_ratio
            settled = 1 / _TOLERANCE < ratio / target < _TOLERANCE
            if options.eps is not None or not batch.has_error or attempt == _ATTEMPTS or ratio == 0 or settled:
                self.blocks.append(block)
                return
            # A small response is proportional to eps, so one correction lands on the target.
            self._eps = representable(block.eps * float(np.clip(target / max(ratio, 1e-300), 1e-6, 1e6)))

    def another_block(self) -> Protocol[None]:
        """All of it again, so that the noise of the forward record is in the spread, too."""
        batch = yield from self._forward()
        self.blocks.append((yield from self._echo(batch, self._drives(batch))))

    def stronger_block(self) -> Protocol[None]:
        """The echoes of the first block at twice the nudge: what changes is bias."""
        first = self.blocks[0]
        self._eps = 2 * first.eps
        self.stronger = yield from self._echo(first.batch, first.drives)

    def _forward(self) -> Protocol[ForwardBatch]:
        plan = self.plan
        programs = tuple(
            plan.task.forward(item, plan.theta, plan.geometry.channels, keep=True) for item in self._asked.sequences
        )
        captures = yield RunShots(programs)
        self._count(captures)
        return read_forward(plan.task, plan.geometry, self._asked.sequences, captures, plan.theta)

    def _drives(self, batch: ForwardBatch) -> list[EchoDrive]:
        """By the nominal model and what was learned; the preparation is that of the first block."""
        drives = warm(self.plan.drives(batch.passes), [item.name for item in batch.passes], self.learned)
        if not self.blocks:
            return drives
        return [drive.prepared_as(first) for drive, first in zip(drives, self.blocks[0].drives, strict=True)]

    def _lock(self, batch: ForwardBatch) -> Protocol[Sequence[EchoDrive]]:
        plan = self.plan
        believed = fit(plan.task.model, plan.theta, batch.passes, plan.task.step, plan.geometry.noise).theta
        self.deviations = {
            name: np.asarray(value) - self._asked.theta[name]
            for name, value in believed.items()
            if name in plan.task.model.parameters and name in self._asked.theta
        }
        self.plan = self.options.plan(plan.task, believed, self._asked.wanted)
        drives = self._drives(batch)
        locked = yield from lock(self.plan, batch.passes, drives, LOCKED, self.options.lock)
        self.locked = locked
        self.shots += locked.shots
        self.passes += locked.passes
        nominal = self.plan.drives(batch.passes)
        added = {
            item.name: new.force - old.force
            for item, new, old in zip(batch.passes, locked.drives, nominal, strict=True)
        }
        self.learned = {**self.learned, **added}
        return locked.drives

    def _does_not_retrace(self, block: Block) -> bool:
        # The mean of two nudged echoes is off by the square of the response, however well the rig retraces.
        return block.retrace_error > max(LOCKED, block.response_ratio**2, noise_floor(self.plan, block.batch.passes))

    def _echo(self, batch: ForwardBatch, drives: Sequence[EchoDrive]) -> Protocol[Block]:
        plan, options = self.plan, self.options
        careful = options.order is not Order.AB or options.repeats > 1 or options.precision is not None
        programs = plan.programs(batch.passes, drives, self._eps)
        captures = yield RunShots(programs, order="fixed" if careful else "free")
        self._count(captures)
        eps = self._eps * plan.achieved_scale(batch.passes, captures, self._eps)
        reading = plan.read(batch.passes, captures, eps)
        if not (plan.reads_preparation and plan.reversal is Reversal.BY_DRIVE):
            return Block(batch, tuple(drives), reading, eps)
        settled, jitter = at_common_gains(plan, batch.passes, drives, captures, self._eps)
        # What the echoes missed is told as it was seen: what a model takes off does not count as retraced.
        corrected = replace(plan.read(batch.passes, settled, eps), miss=reading.miss)
        return Block(batch, tuple(drives), corrected, eps, jitter)

    def _count(self, captures: Sequence[Capture]) -> None:
        self.shots += len(captures)
        self.passes += sum(capture.passes_run for capture in captures)


def _moved(theta: Arrays, deviations: Arrays) -> dict[str, Array]:
    return {**theta, **{name: np.asarray(theta[name]) + value for name, value in deviations.items() if name in theta}}
