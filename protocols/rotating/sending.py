"""No echo at all, on linear arrays: send the error itself through the array, from rest and without input.

    f = -+ eps conj(e)/d in reverse order      =>      +-eps delta, the adjoint, if H = H^T or with the flux reversed

`protocols.adjoint_only` is the same on oscillators.  Source: the adjoint method by reciprocity; docs/rotating-frame.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.gradient import Gradient
from labrhel.learning.rules import GradientRequest
from labrhel.model.rotating import Amplitudes
from labrhel.rig.capabilities import Reversal
from labrhel.shots.capture import Capture
from labrhel.shots.operations import Configure, Protocol, RunShots
from labrhel.shots.program import Acquire, Pass, Rest, Role, ShotProgram
from protocols.echoes.options import Echo, EchoOptions
from protocols.forward.clipping import TOLERANCE, aimed, of_clipping, over_range
from protocols.forward.forward import ForwardPass, read_forward
from protocols.rotating.foretold import response_of
from protocols.rotating.plan import ConjugationPlan, reversing_flux


def sent_through(asked: GradientRequest, response: float) -> Protocol[Gradient]:
    """The gradient for the parameters named in `wanted`; `response`: rms of the answer over that of the motion."""
    task = asked.task
    asked = asked.at((yield Configure(task.rig_parameters(asked.theta))))
    plan = ConjugationPlan.of(EchoOptions(echo=Echo.PLAIN), task, asked.theta, asked.wanted, Reversal.CONJUGATION)
    programs = tuple(task.forward(item, asked.theta, plan.geometry.channels) for item in asked.sequences)
    captures: list[Capture] = yield RunShots(programs)
    batch = read_forward(task, plan.geometry, asked.sequences, captures, asked.theta)
    shots, passes = len(captures), sum(capture.passes_run for capture in captures)
    turned = reversing_flux(task, asked.theta)
    back = {name: -value for name, value in turned.items()}

    def fire(eps: float) -> Protocol[tuple[float, bool, list[Capture]]]:
        nonlocal shots, passes
        sent: list[Capture] = yield RunShots(tuple(
            _error_pass(plan, item, sign * eps) for item in batch.passes for sign in (1, -1)
        ))  # fmt: skip
        shots, passes = shots + len(sent), passes + sum(capture.passes_run for capture in sent)
        squares = sum(float(np.sum(np.abs(answer) ** 2)) for answer in _answers(plan, sent))
        return float(np.sqrt(squares / batch.size)), bool(over_range(sent)), sent

    if asked.previous is not None:
        first = asked.previous.eps
    else:
        foretold = response_of(plan, batch.passes) if batch.has_error and batch.has_motion else 0.0
        first = response * float(np.sqrt(batch.size)) / foretold if foretold > 0 else 1.0
    if turned:
        yield Configure(turned)
    try:
        eps, sent = yield from aimed(fire, first, response)
    except GeneratorExit:
        raise
    except BaseException:
        if turned:
            yield Configure(back)
        raise
    if turned:
        yield Configure(back)
    terms: dict[str, Array] = {}
    answered = 0.0
    for index, (item, answer) in enumerate(zip(batch.passes, _answers(plan, sent), strict=True)):
        scale = _scale(plan, item, sent[2 * index : 2 * index + 2])
        answered += float(np.sum(np.abs(answer) ** 2))
        delta = np.asarray(answer / scale, complex)
        for name, term in plan.terms(item, delta, _end(plan, item, delta)).items():
            terms[name] = terms[name] + term if name in terms else term
    ratio = float(np.sqrt(answered / batch.size))
    return Gradient(
        values=terms | {name: batch.direct[name] for name in asked.wanted if name in batch.direct},
        loss=batch.loss,
        rule="adjoint_only",
        eps=eps * response / ratio if ratio and ratio > response / TOLERANCE else eps,
        response_ratio=ratio,
        shots=shots,
        passes=passes,
        calibration=batch.calibration,
        warnings=tuple(of_clipping(batch.clipped, over_range(sent))),
    )


def _error_pass(plan: ConjugationPlan, item: ForwardPass, eps: float) -> ShotProgram:
    drives = plan.geometry.played(eps * plan.nudge(item), plan.task.step, Role.NUDGE)
    acquire = Acquire(plan.geometry.channels)
    return ShotProgram(plan.task.step, Rest(), (Pass(item.steps, drives, acquire),))


def _answers(plan: ConjugationPlan, sent: Sequence[Capture]) -> list[Amplitudes]:
    """Half the difference of each pair: what does not follow the sign of the error drops out."""
    states = [plan.geometry.state(capture.last, plan.task.step)[0] for capture in sent]
    return [np.asarray((one - other) / 2, complex) for one, other in zip(states[::2], states[1::2], strict=True)]


def _scale(plan: ConjugationPlan, item: ForwardPass, pair: Sequence[Capture]) -> float:
    """What the ports made of the error, over the error."""
    wanted = plan.nudge(item)
    plus, minus = (plan.geometry.fields(capture) for capture in pair)
    norm = float(np.sum(np.abs(wanted) ** 2))
    return float(np.sum((plus - minus) / 2 * np.conj(wanted)).real) / max(norm, 1e-300) or 1.0


def _end(plan: ConjugationPlan, item: ForwardPass, answer: Amplitudes) -> Amplitudes:
    """Where delta ends (n,), half a step after the last kick, by the model."""
    echoing = plan.model.matrix({**plan.theta, **plan.turned})
    return answer[:, -1] - 0.5j * plan.task.step * (echoing @ answer[:, -1] + plan.nudge(item)[:, -1])
