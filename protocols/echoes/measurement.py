"""A gradient while it is measured: forward passes, lock, and echoes, in blocks that are each a whole measurement."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.errors import ProgramError
from labrhel.learning.estimator import Order
from labrhel.learning.gradient import NudgeRecord
from labrhel.learning.readings import Masks, unread_entries
from labrhel.learning.rules import GradientRequest
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Protocol, RunShots
from protocols.echoes import directed
from protocols.echoes.aim import FIRST_RESPONSE, GOOD, UNDOUBTED, USELESS, Aim, Sample, searched
from protocols.echoes.bias import bias_of_retrace
from protocols.echoes.blocks import Block, combined_in_squares, norm_of, suffice
from protocols.echoes.doubts import refusal, refusal_of_growth, refusal_of_transposing
from protocols.echoes.drive import EchoDrive
from protocols.echoes.floors import MOST_BLOCKS, of_inputs, of_rounding, steps_of
from protocols.echoes.forecast import forecast_response, undistorted
from protocols.echoes.growth import ROUNDING, growth_of_rounding
from protocols.echoes.lock import Locked, lock, noise_floor, warm
from protocols.echoes.options import EchoOptions, Unread, is_exact
from protocols.echoes.plan import first_eps, representable
from protocols.echoes.port_gains import at_common_gains
from protocols.echoes.unmodelled import Unmodelled
from protocols.echoes.unread import SaidByModel, believed_of, check_readings, completed_batch, refuse_unobservable
from protocols.forward.clipping import over_range
from protocols.forward.forward import ForwardBatch, read_forward
from protocols.inference.fit import fit
from protocols.inference.output_error import Believed
from protocols.inference.record import Record, of_record

LOCKED = 1e-3
"""Retrace error at which an echo counts as locked."""

_ATTEMPTS = 3  # at the response ratio that was asked for
_DITHERS = (1.0, 1.1, 0.95, 1.05, 0.9)  # factors of nudges, whose mean square is one to 1 %
_USUAL = 3.0  # factor by which a doubt may grow from gradient to gradient before it is looked into again
_RETRACED = 0.1  # an echo that misses by more answers about another path than is known
_UNDISTORTED = 1e-3  # of the nudge: not worth a run of the model
_BEYOND_REPAIR = 0.5  # of the nudge: what a model takes off would be most of the gradient
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
        self.unknown: Masks = {}
        if options.unread is Unread.REFUSED:
            check_readings(asked)
            self.unknown = unread_entries(asked.task, asked.theta, asked.wanted, {})
        self.believed: Believed | None = None
        self.one_sided: Unmodelled | None = None
        self.unread: SaidByModel | None = None
        self.asymmetric = directed.Asymmetric.of(self.plan)
        self.flutter = self.uncorrected = 0.0
        self.shots = self.passes = 0
        self._eps = 1.0
        self.aim: Aim | None = None
        self.search_shots = 0
        self.amplified = 0.0
        self.record: Record | None = None
        self._lowered = False
        self._rounding: tuple[int, dict[str, Array]] = (0, {})
        rig = asked.task.capabilities
        self._rounds = any(item.converter for item in (*rig.ports, *rig.channels))
        self._is_exact = is_exact(rig)

    @property
    def begins(self) -> bool:
        """True of the first gradient of a run, which looks at the rig more closely."""
        return self._asked.previous is None

    @property
    def is_precise(self) -> bool:
        """True if no more repeats are wanted."""
        silent = not self.blocks[0].batch.has_error
        return suffice(self.blocks, self.options, self.pairs, self.floor, silent=silent)

    def first_block(self) -> Protocol[None]:
        """Forward pass, lock, and echoes at a nudge that gives the response that is aimed at."""
        options = self.options
        batch = yield from self._forward()
        plan = self.plan
        # A dry run answers with silence, in which there is nothing to look at.
        if self.begins and batch.has_error and batch.has_motion:
            self._forecast(batch)
            if not batch.clipped and plan.geometry.is_whole:
                self.record = of_record(plan.task.model, plan.theta, batch.passes, plan.task.step)
        drives = self._drives(batch)
        if options.lock and any(item.name not in self.learned for item in batch.passes):
            drives = yield from self._lock(batch)
        target = options.target_response(plan.task, plan.theta, self._asked.wanted)
        if options.is_automatic and self._asked.previous is not None and self._asked.previous.aim is not None:
            target = self._asked.previous.aim
        if options.eps is not None:
            self._eps = options.eps
        else:
            self._eps = first_eps(plan.task, batch, plan.theta, target, self._asked.previous)
            if self.asymmetric is not None and batch.has_error and batch.has_motion:
                forecast = forecast_response(plan, batch.passes)  # of a mode that grows no balance of forces knows
                self._eps = representable(min(self._eps, target / max(forecast, 1e-300)))
        if directed.is_directed(plan.task.model, plan.theta) and batch.has_motion:
            self._look_ahead(batch)
        block = yield from self._at_response(batch, drives, target)
        if self.asymmetric is not None:
            block = yield from self._transposed(block, target)
        self.blocks.append(block)
        if not batch.has_error or not batch.has_motion:
            return
        if self.believed is not None:
            self.unread = SaidByModel.of(self.plan, self._asked, self.believed, block, locked=self.locked is not None)
            if self.begins:
                refuse_unobservable(self.unread, block.reading.terms, self.misfit)
        if self._looks_for_one_sided(block):
            nudges = self.plan.achieved(batch.passes, block.captures, block.asked)
            self.one_sided = directed.of_reciprocal(
                self.plan, batch.passes, block.captures, block.eps, nudges, block.reading
            )
        if not self.begins and self._is_exact and self._sample(block).doubt > UNDOUBTED:
            self._forecast(batch)
        if options.is_automatic and self._is_in_doubt(block):
            yield from self._search(block)

    @property
    def misfit(self) -> float:
        """Rms of what the fitted model of a partly read rig misses, over the noise that its channels declare; or 0."""
        return 0.0 if self.believed is None or self._is_exact else self.believed.misfit

    @property
    def told_one_sided(self) -> bool:
        """Whether the answers to the nudge say how directed the couplings are, better than the record alone."""
        found = self.one_sided if self.asymmetric is None else self.asymmetric.unmodelled
        return found is not None and found.told

    def _looks_for_one_sided(self, block: Block) -> bool:
        """Of the first gradient by a model that has no directed couplings, where everything is seen."""
        plan = self.plan
        return (
            self.begins
            and plan.geometry.is_whole
            and plan.task.model.size > 1
            and not plan.starts
            and block.retrace_error < _RETRACED
            and not directed.is_directed(plan.task.model, plan.theta)
            and len(block.captures) > 0
            and not (block.clipped or block.batch.clipped)
        )

    def _forecast(self, batch: ForwardBatch) -> None:
        """How large rounding becomes in the echoes; raises ProgramError where no nudge would be seen behind it.

        Of the first gradient alone: later on a run has a history to judge it by, and is warned of.
        """
        plan, options = self.plan, self.options
        self.amplified = ROUNDING * growth_of_rounding(plan.task.model, plan.theta, batch.passes, plan.task.step)
        asked_once = options.is_automatic and options.repeats == 1 and options.precision is None
        if self.begins and asked_once and self.amplified > FIRST_RESPONSE:
            raise ProgramError(refusal_of_growth(self.amplified))

    def _look_ahead(self, batch: ForwardBatch) -> None:
        """What the model says of a rig with directed couplings."""
        self.flutter = directed.growth_in_pass(self.plan, batch.passes)
        if self.asymmetric is None:
            names = [name for name in self._asked.wanted if name in self.plan.task.model.parameters]
            self.uncorrected = directed.bias_uncorrected(self.plan, batch.passes, names)

    def _transposed(self, block: Block, target: float) -> Protocol[Block]:
        """Pairs of echoes until the rig has run its transpose; raises ProgramError where they lead nowhere."""
        options, found, batch = self.options, self.asymmetric, block.batch
        assert found is not None
        silent = not (batch.has_error and batch.has_motion)
        tolerance = directed.PRECISION if options.precision is None else options.precision
        most = options.directed or (directed.USUAL if silent else directed.MOST)
        while len(found.changes) < most:
            if not silent and options.directed is None:
                if found.diverges and self.flutter < directed.FLUTTERS:
                    break
                if found.remaining <= tolerance or found.is_at_floor:
                    break
            if options.eps is None and not silent and found.size > 0:
                # The answer to the next nudge is the adjoint, as far as it is known.
                self._eps = representable(target * float(np.sqrt(batch.size)) / found.size)
            block = yield from self._echo(batch, block.drives)
        if not silent and options.directed is None and found.remaining > directed.USELESS:
            raise ProgramError(refusal_of_transposing(found.changes, self.flutter))
        return replace(block, reading=found.concluded(block.reading))

    def _at_response(self, batch: ForwardBatch, drives: Sequence[EchoDrive], target: float) -> Protocol[Block]:
        """Echoes at a nudge that gives the response ratio `target`, or at the one that is fixed."""
        options = self.options
        for attempt in itertools.count(1):
            block = yield from self._echo(batch, drives)
            if options.lock and self.locked is None and self._does_not_retrace(block):
                drives = yield from self._lock(batch)
                block = yield from self._echo(batch, drives)
            ratio = block.response_ratio
            if block.clipped and not batch.clipped and options.is_automatic and attempt < _ATTEMPTS:
                self._eps = representable(block.asked * min(0.5, target / max(ratio, 1e-300)))
                self._lowered, target = True, 0.5 * min(target, ratio)
                continue
            settled = 1 / _TOLERANCE < ratio / target < _TOLERANCE
            if options.eps is not None or not batch.has_error or attempt == _ATTEMPTS or ratio == 0 or settled:
                return block
            if options.is_automatic and self._is_exact and self._sample(block).doubt > USELESS:
                return block  # this is no answer to the nudge, and another eps will not follow from it
            # A small response is proportional to eps, so one correction lands on the target.
            self._eps = representable(block.eps * float(np.clip(target / max(ratio, 1e-300), 1e-6, 1e6)))
        raise AssertionError("unreachable: the last attempt returned")

    @property
    def target(self) -> float | None:
        """The response ratio that a search, this one or an earlier, found best; None where none was needed.

        One that had to be lowered because the echoes clipped counts as found.
        """
        if self.aim is not None:
            return self.aim.response
        if self._lowered:
            return self.blocks[0].response_ratio
        return None if self._asked.previous is None else self._asked.previous.aim

    @property
    def pairs(self) -> int:
        """Sets of echoes that a gradient is the mean of."""
        if self.aim is not None:
            return self.aim.pairs
        previous = self._asked.previous
        return 1 if previous is None or not self.options.is_automatic else previous.pairs

    @property
    def doubt(self) -> float:
        """Miss over response, as it is usual on this rig."""
        if self._asked.previous is not None and self.aim is None:
            return self._asked.previous.doubt
        first = self.blocks[0]
        return first.retrace_error / first.response_ratio if first.response_ratio > 0 else 0.0

    def _is_in_doubt(self, block: Block) -> bool:
        """Whether what came back is more than the rig's declared noise and a small nudge explain."""
        previous, sample = self._asked.previous, self._sample(block)
        usual = 0.0 if previous is None else _USUAL * previous.doubt
        explained = UNDOUBTED
        if not self._is_exact:
            floor = noise_floor(self.plan, block.batch.passes)
            explained = float(np.hypot(floor / max(sample.response, 1e-300), np.sqrt(GOOD)))
        return sample.doubt > max(explained, usual) or sample.distortion > max(GOOD, usual)

    def _search(self, block: Block) -> Protocol[None]:
        """Look for a better nudge, and go on with the blocks that were measured there."""
        options, batch, drives, before = self.options, block.batch, block.drives, self.shots
        fired: dict[int, Block] = {}

        def fire(asked: float, *, anew: bool) -> Protocol[Sample]:
            self._eps = representable(asked)
            along = (yield from self._forward()) if anew else batch
            new = yield from self._echo(along, self._drives(along) if anew else drives)
            sample = self._sample(new)
            fired[id(sample)] = new
            samples.append(sample)
            return sample

        first = self._sample(block)
        samples, fired[id(first)] = [first], block
        forecast = forecast_response(self.plan, batch.passes)
        start = FIRST_RESPONSE / forecast if forecast > 0 else 1.0
        self.aim = aim = yield from searched(fire, first, start)
        self._eps, self.search_shots = aim.asked, self.shots - before
        # Later on a run has a history to judge it by: interlocks stop it, health calibrates again, and it is warned of.
        if self.begins and aim.error > USELESS and options.repeats == 1 and options.precision is None:
            raise ProgramError(refusal(aim, self.search_shots))
        self.blocks = [fired[id(sample)] for sample in aim.samples]

    def _sample(self, block: Block) -> Sample:
        return block.sample(self._unexpected(block))

    def _unexpected(self, block: Block) -> float:
        """What the echoes missed, relative to the forward pass, of the path that an un-nudged one took with this drive.

        Where none was fired that is the forward path.
        """
        locked = self.locked
        if locked is None or any(ours is not theirs for ours, theirs in zip(block.drives, locked.drives, strict=True)):
            return block.retrace_error
        pairs = zip(block.reading.miss, locked.missed, strict=True)
        return float(np.sqrt(sum(np.sum((miss - still) ** 2) for miss, still in pairs) / block.batch.size))

    def another_block(self) -> Protocol[None]:
        """All of it again, so that the noise of the forward record is in the spread, too.

        Where converters round, the nudge is a little another one each time, or the repeats would be copies.
        """
        if self.options.eps is None and self._rounds:
            self._eps = self.blocks[0].asked * _DITHERS[len(self.blocks) % len(_DITHERS)]
        batch = yield from self._forward()
        self.blocks.append((yield from self._echo(batch, self._drives(batch))))

    def stronger_block(self) -> Protocol[None]:
        """The echoes of the first block at twice the nudge: what changes is bias."""
        first = self.blocks[0]
        self._eps = 2 * first.eps
        self.stronger = yield from self._echo(first.batch, first.drives)

    def _forward(self) -> Protocol[ForwardBatch]:
        plan = self.plan
        ends = plan.starts and plan.task.capabilities.reads_state
        programs = tuple(
            plan.task.forward(item, plan.theta, plan.geometry.channels, keep=True, ends=ends)
            for item in self._asked.sequences
        )
        captures = yield RunShots(programs)
        self._count(captures)
        batch = read_forward(plan.task, plan.geometry, self._asked.sequences, captures, plan.theta)
        if plan.geometry.is_whole:
            return batch
        if self.believed is None and self.options.unread is Unread.SMOOTHED and batch.has_motion:
            self.believed = believed_of(plan, self._asked, batch)
            self._believe(self.believed.theta)
        return completed_batch(self.plan, batch)

    def _believe(self, theta: Arrays) -> None:
        """Go on with a model that was fitted to what the rig did."""
        self.deviations = {
            name: np.asarray(value) - self._asked.theta[name]
            for name, value in theta.items()
            if name in self.plan.task.model.parameters and name in self._asked.theta
        }
        self.plan = self.options.plan(self.plan.task, theta, self._asked.wanted)
        if self.asymmetric is not None:
            self.asymmetric.forget()

    def _drives(self, batch: ForwardBatch) -> list[EchoDrive]:
        """By the nominal model and what was learned.

        The preparation is that of this very record, or its noise would be in no spread; as long as the first one.
        """
        lengths = [drive.prepared for drive in self.blocks[0].drives] if self.blocks else []
        return warm(self.plan.drives(batch.passes, lengths), [item.name for item in batch.passes], self.learned)

    def _lock(self, batch: ForwardBatch) -> Protocol[Sequence[EchoDrive]]:
        plan = self.plan
        if self.believed is None:
            self._believe(fit(plan.task.model, plan.theta, batch.passes, plan.task.step, plan.geometry.noise).theta)
        drives = self._drives(batch)
        locked = yield from lock(self.plan, batch.passes, drives, self._locked_at, self.options.lock)
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
        return block.retrace_error > max(
            self._locked_at, block.response_ratio**2, noise_floor(self.plan, block.batch.passes)
        )

    @property
    def _locked_at(self) -> float:
        """Retrace error at which an echo counts as locked: where more pairs of echoes are to bring digits, less."""
        if self.asymmetric is None:
            return LOCKED
        wanted = directed.PRECISION if self.options.precision is None else self.options.precision
        return min(LOCKED, 0.1 * wanted)

    def _echo(self, batch: ForwardBatch, drives: Sequence[EchoDrive]) -> Protocol[Block]:
        plan, options = self.plan, self.options
        careful = options.order is not Order.AB or options.repeats > 1 or options.precision is not None
        nudged = batch.passes if self.asymmetric is None else self.asymmetric.nudged(plan, batch.passes)
        programs = plan.programs(nudged, drives, self._eps)
        captures = yield RunShots(programs, order="fixed" if careful else "free")
        self._count(captures)
        nudges = plan.achieved(nudged, captures, self._eps)
        eps = self._eps * nudges.scale
        reading = plan.read(batch.passes, captures, eps)
        distortion, floor = 0.0, dict[str, Array]()
        if self.asymmetric is not None:  # what was not played as asked is part of its correction
            distortion = nudges.distortion
        elif _UNDISTORTED < nudges.distortion < _BEYOND_REPAIR:
            reading, floor = undistorted(plan, batch.passes, reading, nudges)
            distortion = norm_of(floor) / (norm_of(reading.terms) or 1.0)
        elif nudges.distortion > _UNDISTORTED:
            distortion = nudges.distortion
        made = Block(
            batch,
            tuple(drives),
            reading,
            eps,
            asked=self._eps,
            distortion=distortion,
            clipped=over_range(captures),
            floor=floor,
            captures=tuple(captures),
        )
        jitter = 0.0
        if plan.reads_preparation and plan.reversal is Reversal.BY_DRIVE and plan.geometry.is_whole:
            captures, jitter = at_common_gains(plan, nudged, drives, captures, self._eps)
            # What the echoes missed is told as it was seen: what a model takes off does not count as retraced.
            reading = replace(plan.read(batch.passes, captures, eps), miss=reading.miss)
            made = replace(made, reading=reading, jitter=jitter)
        if self.asymmetric is None:
            return made
        return replace(made, reading=self.asymmetric.read(plan, batch.passes, nudged, captures, eps, nudges, reading))

    def floor(self) -> dict[str, Array]:
        """By parameter the standard error that no repeat shows.

        Of directed couplings, what is left of the correction; the rest only where an error bar is asked for.
        What the model may have left of a distorted nudge; what the miss of a drive that was rounded, or made from a
        rounded record, and inputs that were rounded cost by the model; and the rounding of the readings.
        """
        parts = [] if self.asymmetric is None else self.asymmetric.floor()
        if self.unread is not None:
            parts.append(self.unread.error)
        if len(self.blocks) < 2:
            return combined_in_squares(parts)
        first = self.blocks[0]
        parts.append(dict(first.floor))
        rig = self.plan.task.capabilities
        plays_steps = any(port.converter for port in rig.ports)
        if plays_steps or steps_of(rig):
            parts.append(bias_of_retrace(self.plan, self.blocks))
        if plays_steps:
            parts.append(of_inputs(self.plan, self._asked.sequences, first.batch))
        parts.append(self._of_rounding())
        return combined_in_squares(parts)

    def _of_rounding(self) -> dict[str, Array]:
        """Anew only where a block more changes it: `precision` asks after every one."""
        count = min(len(self.blocks), MOST_BLOCKS)
        if self._rounding[0] != count:
            self._rounding = count, of_rounding(self.plan, self._asked.sequences, self.blocks)
        return self._rounding[1]

    def _count(self, captures: Sequence[Capture]) -> None:
        self.shots += len(captures)
        self.passes += sum(capture.passes_run for capture in captures)


def _moved(theta: Arrays, deviations: Arrays) -> dict[str, Array]:
    return {**theta, **{name: np.asarray(theta[name]) + value for name, value in deviations.items() if name in theta}}
