"""Recurrent Hamiltonian Echo Learning: the gradient from the difference of nudged echoes.

Forward pass F under the input; time-reverse the state; echo E with the input replayed backwards and the nudge
+eps*e_k added to the momentum at the kick that replays sample k (e_k = dL/dq_k).  With D[.] = (value on E(+eps) -
value on E(-eps))/(2 eps), on the half-step grid,

    dL/dtheta = -D[sum_k d dH/dtheta]                          potential, kinetic and input parameters
    dL/dG     = -d sum_k a_k v_k^T,      a = D[q]              friction, v the recorded velocity at the kick
    dL/dq(0)  = D[p] + G D[q],   dL/dp(0) = D[q] + (d^2/4) M^-1 G M^-1 D[p]        at the end of the echo
    dL/dm_i  gains  -(d^2/4) (p_i(0)/m_i^2) (G M^-1 D[p])_i                         if friction and p(0) are not zero

*Driven echo*: on a lossy rig the echo is given, open loop, f_comp = -2 G v(recorded), so that the un-nudged echo
retraces while a nudge still decays with the rig's own friction, which is the adjoint equation.

*Rotating frame*: amplitudes are conjugated where positions are flipped (`protocols.rotating`).

*Asymmetric echo*: where couplings are directed the nudge is eps (e + 2 d N a), found in a few pairs of echoes, and the
gradient is that of the corrected adjoint a, correlated with the record (`protocols.echoes.directed`).

Sources: Pourcel & Ernoult (2025), Eq. 6 with the force convention used there; the driven echo and the friction
terms are derived and tested in this project (docs/physics.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Arrays
from labrhel.learning.gradient import Gradient
from labrhel.learning.readout import READOUT
from labrhel.learning.rules import GradientRequest
from labrhel.model.rotating import is_rotating
from labrhel.shots.operations import Configure, Protocol
from protocols.echoes import doubts
from protocols.echoes.beliefs import Inherited
from protocols.echoes.bias import bound_of_bias
from protocols.echoes.blocks import combined, combined_in_squares
from protocols.echoes.inherited import inherited
from protocols.echoes.measurement import Measurement
from protocols.echoes.options import EchoOptions
from protocols.forward.clipping import of_clipping
from protocols.rotating.measurement import measured


@dataclass(frozen=True, slots=True)
class RHEL(EchoOptions):
    """The rule; its options are those of `protocols.echoes.options.EchoOptions`."""

    def gradient(self, asked: GradientRequest) -> Protocol[Gradient]:
        """The gradient that is asked for; the nudge of the step before gives the eps and the drive to start from.

        Raises ProgramError where the rig lacks what the rule needs (a port on the read-out, on a lossy oscillator, a
        reading of the end state).
        """
        if is_rotating(asked.task.model):
            return (yield from measured(self, asked))
        asked = asked.at((yield Configure(asked.task.rig_parameters(asked.theta))))
        run = Measurement(self, asked)
        yield from run.first_block()
        while not run.is_precise:
            yield from run.another_block()
        if self.bound and run.blocks[0].batch.has_error:
            yield from run.stronger_block()
        return _concluded(run, asked, self._inherited(run, asked))

    def _inherited(self, run: Measurement, asked: GradientRequest) -> Inherited:
        """What the calibration adds to an error bar; nothing where none is asked for, or there was no motion."""
        batch = run.blocks[0].batch
        if len(run.blocks) < 2 or not (batch.has_error and batch.has_motion):
            return Inherited({})
        return inherited(self, asked, run.blocks[0].eps)


def _concluded(run: Measurement, asked: GradientRequest, passed_on: Inherited) -> Gradient:
    """Average the blocks, and say in words which assumptions failed."""
    options, plan, blocks, locked = run.options, run.plan, run.blocks, run.locked
    values, errors = combined(blocks, plan.wanted.direct)
    floor = measured_floor = run.floor()
    if run.asymmetric is not None:
        floor = combined_in_squares([measured_floor, run.asymmetric.believed])
    jitter = _rms([block.jitter for block in blocks])
    ratio = _rms([block.response_ratio for block in blocks])
    retrace = _rms([block.retrace_error for block in blocks])
    bias, measured = None, {"port_jitter": jitter} if jitter else {}
    if locked is not None:
        measured["lock_rounds"] = float(len(locked.misses))
    if run.aim is not None:
        measured |= {"search_shots": float(run.search_shots), "expected_error": run.aim.error}
    if errors is not None:
        measured |= _parts_of_error(values, {"spread": errors, "floor": floor, "calibration": passed_on.errors})
    if run.stronger is not None or options.partial:
        bias = bound_of_bias(plan, blocks, run.stronger)
        if run.stronger is None:
            measured["predicted_bias"] = _norm(bias) / (_norm({name: values[name] for name in bias}) or 1.0)
        bias |= {name: np.zeros_like(values[name]) for name in plan.wanted.direct}
    driven = "driven" if plan.friction.any() else "plain"
    transposed = run.asymmetric
    if transposed is not None:
        measured |= {"directed_pairs": float(len(transposed.changes)), "remaining_error": transposed.remaining}
        if transposed.unmodelled is not None and transposed.unmodelled.told:
            measured["one_sided_error"] = transposed.unmodelled.error
    if run.unread is not None:
        measured |= _parts_of_error(values, {"unread": run.unread.error})
    if run.misfit:
        measured["unread_misfit"] = run.misfit
    for name, mask in run.unknown.items():  # not asked for
        values[name] = np.where(mask, 0.0, values[name])
    if run.flutter > 0:
        measured["flutter"] = run.flutter
    return Gradient(
        values=values,
        standard_error=errors,
        floor={name: term for name, term in floor.items() if name in values},
        calibration_error=passed_on.errors,
        bias_bound=bias,
        loss=float(np.mean([block.batch.loss for block in blocks])),
        measured=measured,
        rule=f"rhel/{options.estimator}/{driven}{'/locked' if options.lock else ''}"
        f"{'/directed' if transposed is not None else ''}",
        eps=blocks[-1].eps,
        response_ratio=ratio,
        retrace_error=retrace,
        repeats=len(blocks),
        shots=run.shots,
        passes=run.passes,
        calibration=blocks[0].batch.calibration,
        deviations=run.deviations,
        corrections=run.learned,
        aim=run.target,
        doubt=run.doubt,
        pairs=run.pairs,
        warnings=(
            *doubts.of_aim(run.aim, run.search_shots),
            *doubts.of_growth(run.amplified, ratio),
            *(doubts.of_record(run.record, options, told=run.told_one_sided) if run.begins else ()),
            *doubts.of_echoes(plan, options, blocks, ratio, retrace, jitter, missed=_missed_before(asked)),
            *of_clipping(blocks[0].batch.clipped, sum((Counter(block.clipped) for block in blocks), Counter())),
            *(doubts.of_distortion(blocks) if transposed is None else ()),
            *doubts.of_directed(transposed, run.flutter, run.uncorrected),
            *_of_one_sided(run, asked),
            *doubts.of_reciprocal(run.one_sided),
            *doubts.of_effort(options, locked, blocks, measured_floor),
            *doubts.of_bias(measured),
            *doubts.of_unread(measured),
            *doubts.of_calibration(passed_on, values),
        ),
    )


def _missed_before(asked: GradientRequest) -> bool:
    return asked.previous is not None and asked.previous.missed > doubts.LARGEST_MISS


def _of_one_sided(run: Measurement, asked: GradientRequest) -> Iterator[str]:
    found, batch = run.asymmetric, run.blocks[0].batch
    if found is not None and found.unmodelled is not None and batch.has_error and batch.has_motion:
        calibrated = any(name.startswith("directed[") for name in asked.task.calibration.values)
        yield from doubts.of_one_sided(found.unmodelled, begins=run.begins, calibrated=calibrated)


def _parts_of_error(values: Arrays, parts: Mapping[str, Arrays]) -> dict[str, float]:
    """By `NAME_error`, how large each part of the error bar is, relative to the gradient of the rig's parameters."""
    rig = [name for name in values if name not in READOUT]
    size = _norm({name: values[name] for name in rig}) or 1.0
    return {
        f"{what}_error": _norm({name: part[name] for name in rig if name in part}) / size
        for what, part in parts.items()
        if part
    }


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean([value**2 for value in values])))


def _norm(parts: Arrays) -> float:
    return float(np.sqrt(sum(np.sum(np.square(part)) for part in parts.values())))
