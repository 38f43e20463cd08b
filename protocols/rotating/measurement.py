"""A gradient by conjugation echoes while it is measured: forward passes and echoes, in blocks that are each a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from labrhel.arrays import Array
from labrhel.errors import ProgramError
from labrhel.learning.gradient import Gradient
from labrhel.learning.needs import PLAIN_BELOW, folds_lost
from labrhel.learning.rules import GradientRequest
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.compile import reversal_of
from labrhel.shots.operations import Configure, Protocol, RunShots
from protocols.echoes import doubts
from protocols.echoes.aim import FIRST_RESPONSE, GOOD, UNDOUBTED, USELESS, Aim, Sample, searched
from protocols.echoes.blocks import Block, combined, norm_of, suffice
from protocols.echoes.options import EchoOptions
from protocols.echoes.plan import representable
from protocols.forward.clipping import aimed, of_clipping, over_range
from protocols.forward.forward import ForwardBatch, read_forward
from protocols.rotating.foretold import bias_of_missing_ports, growth_of_rounding, response_of
from protocols.rotating.locking import locked_drive
from protocols.rotating.plan import ConjugationPlan

_USUAL = 3.0  # factor by which a doubt may grow from gradient to gradient before it is looked into again


def measured(options: EchoOptions, asked: GradientRequest, *, driven: bool = True) -> Protocol[Gradient]:
    """The gradient by echoes on an array; `driven` off where nothing of the answer depends on it, as on linear ones.

    Raises ProgramError where the rig lacks what the rule needs.
    """
    asked = asked.at((yield Configure(asked.task.rig_parameters(asked.theta))))
    run = _Measurement(options, asked)
    yield from run.first_block(driven=driven)
    while not run.is_precise:
        run.blocks.append((yield from run.block(run.eps)))
    stronger = None
    if options.bound and run.blocks[0].batch.has_error:
        stronger = yield from run.echo(run.blocks[0].batch, 2 * run.eps)
    return run.concluded(stronger)


class _Measurement:
    """One gradient while it is measured."""

    def __init__(self, options: EchoOptions, asked: GradientRequest) -> None:
        self.options, self.asked = options, asked
        rig = asked.task.capabilities
        apart = options.by_state and not rig.reversals
        reversal = Reversal.CONJUGATION if apart else reversal_of(rig)
        self.plan = ConjugationPlan.of(options, asked.task, asked.theta, asked.wanted, reversal)
        self.blocks: list[Block] = []
        self.eps, self.shots, self.passes = 1.0, 0, 0
        self.aim: Aim | None = None
        self.search_shots = 0
        self.amplified = 0.0
        previous = asked.previous
        self.learned = {} if previous is None or not options.lock else dict(previous.corrections)
        self.rounds = 0

    @property
    def _silent(self) -> bool:
        batch = self.blocks[0].batch
        return not (batch.has_error and batch.has_motion)

    @property
    def pairs(self) -> int:
        """Sets of echoes that a gradient is the mean of, where a search found that single ones are too noisy."""
        previous = self.asked.previous
        return self.aim.pairs if self.aim else 1 if previous is None else previous.pairs

    @property
    def is_precise(self) -> bool:
        """True if no more repeats are wanted."""
        pairs = self.pairs if self.options.is_automatic else 1
        return suffice(self.blocks, self.options, pairs, silent=self._silent)

    def first_block(self, *, driven: bool) -> Protocol[None]:
        """Forward pass, lock, and echoes at a nudge that gives the response that is aimed at."""
        options, plan, previous = self.options, self.plan, self.asked.previous
        batch = yield from self._forward()
        live = batch.has_error and batch.has_motion
        if live and previous is None:
            self.amplified = growth_of_rounding(plan, batch.passes)
            if options.is_automatic and options.repeats == 1 and self.amplified > FIRST_RESPONSE:
                raise ProgramError(doubts.refusal_of_growth(self.amplified))
        if options.lock and live and driven and any(item.name not in self.learned for item in batch.passes):
            yield from self._lock(batch)
        target = options.target_response(plan.task, plan.theta)
        if options.is_automatic and previous is not None and previous.aim is not None:
            target = previous.aim
        if options.eps is not None:
            self.eps = options.eps
            self.blocks.append((yield from self.echo(batch, self.eps)))
            return
        if previous is not None and previous.response_ratio > 0:
            start = previous.eps * target / previous.response_ratio
        else:
            foretold = response_of(plan, batch.passes) if live else 0.0
            start = target * float(np.sqrt(batch.size)) / foretold if foretold > 0 else 1.0

        def fire(eps: float) -> Protocol[tuple[float, bool, Block]]:
            block = yield from self.echo(batch, representable(eps))
            return block.response_ratio, bool(block.clipped) and not batch.clipped, block

        self.eps, block = yield from aimed(fire, start, target)
        self.blocks.append(block)
        sample = block.sample(block.retrace_error)
        usual = 0.0 if previous is None else _USUAL * previous.doubt
        if options.is_automatic and live and sample.doubt > max(self._explained(batch, sample), usual):
            yield from self._search(sample, start * FIRST_RESPONSE / target)

    def _explained(self, batch: ForwardBatch, sample: Sample) -> float:
        """The doubt that declared noise explains, of a forward record and the mean of two echoes."""
        if self.plan.geometry.noise == 0:
            return UNDOUBTED
        return float(np.hypot(self._floor(batch) / max(sample.response, 1e-300), np.sqrt(GOOD)))

    def _floor(self, batch: ForwardBatch) -> float:
        """What declared noise makes the mean of two echoes miss of a forward record, relative to the motion."""
        count = sum(item.q.size for item in batch.passes)
        return self.plan.geometry.noise * float(np.sqrt(1.5 * count / batch.size))

    def _search(self, first: Sample, start: float) -> Protocol[None]:
        fired, before, batch = {id(first): self.blocks[0]}, self.shots, self.blocks[0].batch

        def fire(asked: float, *, anew: bool) -> Protocol[Sample]:
            block = yield from self.block(asked) if anew else self.echo(batch, asked)
            sample = block.sample(block.retrace_error)
            fired[id(sample)] = block
            kept.append(sample)
            return sample

        kept = [first]
        self.aim = aim = yield from searched(fire, first, start)
        self.eps, self.search_shots = aim.asked, self.shots - before
        options = self.options
        if self.asked.previous is None and aim.error > USELESS and options.repeats == 1 and options.precision is None:
            raise ProgramError(doubts.refusal(aim, self.search_shots))
        self.blocks = [fired[id(sample)] for sample in aim.samples]

    def _lock(self, batch: ForwardBatch) -> Protocol[None]:
        def fire(more: dict[str, Array]) -> Protocol[list[Capture]]:
            programs = tuple(self.plan.program(item, 0.0, _as_fields(more)) for item in batch.passes)
            return (yield from self._fired(programs, fixed=True))

        self.learned, self.rounds = yield from locked_drive(self.plan, batch, fire, self.options.lock)

    def block(self, eps: float) -> Protocol[Block]:
        """A whole measurement at `eps`, so that the noise of the forward record is in the spread, too."""
        batch = yield from self._forward()
        return (yield from self.echo(batch, eps))

    def echo(self, batch: ForwardBatch, eps: float) -> Protocol[Block]:
        """The echoes of a batch at `eps`."""
        plan, options = self.plan, self.options
        careful = options.repeats > 1 or options.precision is not None or len(plan.order.of((1, -1))) > 2
        programs = plan.programs(batch.passes, eps, _as_fields(self.learned))
        captures = yield from self._fired(programs, fixed=careful)
        scale, distortion = plan.achieved(batch.passes, captures, eps)
        reading = plan.read(batch.passes, captures, eps * scale)
        clipped = over_range(captures)
        return Block(batch, (), reading, eps * scale, asked=eps, distortion=distortion, clipped=clipped)

    def _fired(self, programs: Sequence, *, fixed: bool) -> Protocol[list[Capture]]:
        """Run echoes, with the flux reversed for them where there is one."""
        turned, plan = self.plan.turned, self.plan
        back = {name: np.asarray(plan.theta.get(name, plan.task.model.parameters[name].nominal)) for name in turned}
        if turned:
            yield Configure(turned)
        try:
            captures: list[Capture] = yield RunShots(tuple(programs), order="fixed" if fixed else "free")
        except GeneratorExit:
            raise
        except BaseException:
            if turned:
                yield Configure(back)
            raise
        if turned:
            yield Configure(back)
        self._count(captures)
        return captures

    def _forward(self) -> Protocol[ForwardBatch]:
        plan, asked = self.plan, self.asked
        ends = plan.apart and plan.task.capabilities.reads_state
        programs = tuple(
            plan.task.forward(item, plan.theta, plan.geometry.channels, keep=not plan.apart, ends=ends)
            for item in asked.sequences
        )
        captures: list[Capture] = yield RunShots(programs)
        self._count(captures)
        return read_forward(plan.task, plan.geometry, asked.sequences, captures, plan.theta)

    def _count(self, captures: Sequence[Capture]) -> None:
        self.shots += len(captures)
        self.passes += sum(capture.passes_run for capture in captures)

    def concluded(self, stronger: Block | None) -> Gradient:
        """The mean of the blocks, and in words which assumptions failed."""
        blocks, plan, options = self.blocks, self.plan, self.options
        batch = blocks[0].batch
        direct = [name for name in self.asked.wanted if name in batch.direct]
        values, errors = combined(blocks, direct)
        bias, found = None, dict[str, float]()
        if stronger is not None:
            scale = (stronger.eps / blocks[0].eps) ** plan.estimator.order - 1
            terms = blocks[0].reading.terms
            bias = {name: np.abs(stronger.reading.terms[name] - terms[name]) / scale for name in terms}
        if plan.partial and not self._silent:
            foretold = bias_of_missing_ports(plan, batch.passes)
            found["predicted_bias"] = norm_of(foretold) / (norm_of({name: values[name] for name in foretold}) or 1.0)
            bias = {name: np.abs(term) + (bias or {}).get(name, 0.0) for name, term in foretold.items()}
        if bias is not None:
            bias |= {name: np.zeros_like(values[name]) for name in direct}
        if self.aim is not None:
            found |= {"search_shots": float(self.search_shots), "expected_error": self.aim.error}
        if self.rounds:
            found["lock_rounds"] = float(self.rounds)
        ratio = float(np.sqrt(np.mean([block.response_ratio**2 for block in blocks])))
        retrace = float(np.sqrt(np.mean([block.retrace_error**2 for block in blocks])))
        sample = blocks[0].sample(blocks[0].retrace_error)
        return Gradient(
            values=values,
            standard_error=errors,
            bias_bound=bias,
            loss=float(np.mean([block.batch.loss for block in blocks])),
            measured=found,
            rule=f"rhel/{plan.estimator}/conjugation/{'driven' if plan.driven else 'plain'}"
            f"{'/locked' if options.lock else ''}",
            eps=blocks[-1].eps,
            response_ratio=ratio,
            retrace_error=retrace,
            repeats=len(blocks),
            shots=self.shots,
            passes=self.passes,
            calibration=batch.calibration,
            corrections=self.learned,
            aim=self.aim.response if self.aim else None if self.asked.previous is None else self.asked.previous.aim,
            doubt=sample.doubt if np.isfinite(sample.doubt) else 0.0,
            pairs=self.pairs,
            warnings=(
                *doubts.of_aim(self.aim, self.search_shots),
                *doubts.of_growth(self.amplified, ratio),
                *self._words(ratio, retrace),
                *doubts.of_distortion(blocks),
                *doubts.of_bias(found),
                *of_clipping(batch.clipped, sum((Counter(block.clipped) for block in blocks), Counter())),
                *doubts.of_effort(options, None, blocks, {}),
            ),
        )

    def _words(self, ratio: float, retrace: float) -> Iterator[str]:
        plan, batch = self.plan, self.blocks[0].batch
        linear = plan.task.model.is_linear(plan.theta)
        lost = folds_lost(plan.task, self.asked.sequences, plan.theta)
        if not batch.has_error:
            yield "the error is zero everywhere, and so is this gradient"
        if not plan.driven and not linear and lost > PLAIN_BELOW:
            yield (
                f"plain echo on an array that loses {lost:.2g} e-folds of energy a pass: the gradient is biased; use "
                "echo: driven"
            )
        if retrace > max(doubts.LARGEST_MISS, 1.5 * self._floor(batch)) and plan.driven and batch.has_motion:
            yield (
                f"the echo misses the forward path by {retrace:.2g} of its size: what the model has for loss, detuning "
                "and input is not what this rig has, or gains and phases of its quadratures differ; lock: 6 learns the "
                "drive, and labrhel audit tells what is left"
            )
        if ratio > doubts.LARGEST_RESPONSE and not linear:
            remedy = "give response: 0.03, or shorten the pass" if self.options.is_automatic else "lower eps"
            yield f"response ratio {ratio:.2g} is large for a nonlinear rig: {remedy}"
        if batch.has_error and ratio < doubts.SMALLEST_RESPONSE:
            yield f"response ratio {ratio:.2g} is close to rounding: raise eps"


def _as_fields(learned: dict[str, Array]) -> dict[str, Array]:
    """Complex fields (n, steps) of what a record keeps as (Re, Im) one above the other (2 n, steps)."""
    return {name: pair[: len(pair) // 2] + 1j * pair[len(pair) // 2 :] for name, pair in learned.items()}
