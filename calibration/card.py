"""The card of a rig: what it is, what it is good for, and dominant error source, as one HTML page and as text.

It reads what is in force in the record, and the curves of the campaign that has just run, if one has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from calibration.finding import Curve
from labrhel import plugins
from labrhel.arrays import Arrays
from labrhel.errors import LabrhelError
from labrhel.experiment import Experiment, calibrated
from labrhel.learning.needs import folds_lost, objections
from labrhel.learning.rules import GradientRequest, Rule
from labrhel.model.motion import is_directed
from labrhel.records import style
from labrhel.records.page import heads, items, page, picture, row, table
from labrhel.rig.calibration import CalibratedValue
from labrhel.store.calibrations import CalibrationRecord
from labrhel.units import with_prefix
from protocols.echoes.beliefs import Inherited
from protocols.echoes.inherited import inherited
from protocols.echoes.options import EchoOptions
from protocols.rhel import RHEL

NOT_RECIPROCAL, RETRACES, DRIFTS = 0.03, 0.01, 1e-4
"""Beyond these a rule is called doubtful, a lock or an order of the nudges is recommended."""

_FIRST_NUDGE = 1e-3  # small, on paper, where there is no noise

_SENDS_ERROR_THROUGH = ("rhel", "heb", "recorded_correlation", "adjoint_only", "equilibrium", "echoes_and_twin", "twin")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One learning rule on this rig: whether it is valid, and why or why not."""

    rule: str
    valid: str
    why: str


@dataclass(frozen=True, slots=True)
class Card:
    """The card: `facts` and `advice` in words, `verdicts` by rule, `values` by name, `curves`."""

    url: str
    firmware: str
    facts: tuple[tuple[str, str], ...]
    verdicts: tuple[Verdict, ...]
    advice: tuple[str, ...]
    limits: str
    values: Mapping[str, CalibratedValue]
    curves: tuple[Curve, ...] = ()

    def text(self) -> str:
        """The card as text for a terminal."""
        lines = [self.url, *([self.firmware] if self.firmware else []), ""]
        width = max((len(name) for name, _ in self.facts), default=0)
        lines += [f"{name:{width}}  {words}" for name, words in self.facts]
        lines += ["", "learning rules"]
        longest = max((len(item.rule) for item in self.verdicts), default=0)
        lines += [f"  {item.rule:{longest}}  {item.valid:9}{item.why}" for item in self.verdicts]
        lines += ["", *self.advice, f"dominant error source: {self.limits}"]
        return "\n".join(lines)

    def html(self) -> str:
        """The card as one HTML page that loads nothing."""
        measured = [
            row(name, f"{item.value:.6g}", f"{item.uncertainty:.2g}", item.unit, item.node)
            for name, item in self.values.items()
        ]
        rules = (row(item.rule, item.valid, item.why, mark=item.valid) for item in self.verdicts)
        return page(
            self.url,
            f"<p>{escape(self.firmware)}</p><p>Dominant error source: <strong>{escape(self.limits)}</strong></p>"
            f"{items(self.advice)}"
            f"<h2>What it is</h2>{table(row(*fact) for fact in self.facts)}"
            f"<h2>Learning rules</h2>{table(rules)}"
            f'<h2>Measured</h2><div class="pictures">{"".join(map(_picture, self.curves))}</div>'
            f"{table([heads('value', 'is', 'standard error', 'unit', 'by'), *measured])}",
        )


def card(experiment: Experiment, record: CalibrationRecord, curves: Sequence[Curve] = ()) -> Card:
    """What is in force for the rig of an experiment, and what follows from it."""
    known = record.current()
    values = known.values
    rig = experiment.rig.capabilities
    ready = calibrated(experiment, known) if values and not experiment.calibration.values else experiment
    problem = ready.problem
    theta = problem.theta(problem.parameters.flat())
    facts = [(name, words) for name, words in _facts(values, folds_lost(problem.task, problem.train, theta)) if words]

    def against(rule: Rule) -> tuple[str, ...]:
        return objections(rule.needs, problem.task, problem.train, theta, problem.wanted, problem.trained)

    passed_on = _passed_on(ready, theta, _number(values, "nudge.eps"))
    if passed_on.worst:
        words = f"puts a gradient off by {100 * passed_on.relative:.2g} %, most of it through {passed_on.worst}"
        facts.append(("uncertainties", words))
    asymmetry = _number(values, "reciprocity.asymmetry")
    transposes = is_directed(problem.task.model, theta)
    verdicts = []
    for name, rule in plugins.usual_rules().items():
        found = against(rule)
        if found:
            verdicts.append(Verdict(name, "no", "; ".join(found)))
        elif asymmetry > NOT_RECIPROCAL and name in _SENDS_ERROR_THROUGH:
            verdicts.append(Verdict(name, "doubtful", f"couplings are not reciprocal by {100 * asymmetry:.0f} %"))
        elif transposes and isinstance(rule, EchoOptions):
            words = "couplings are directed: a few pairs of echoes run the transpose, as far as the couplings are known"
            verdicts.append(Verdict(name, "yes", words))
        else:
            verdicts.append(Verdict(name, "yes", ""))
    return Card(
        record.url, rig.firmware, tuple(facts), tuple(verdicts), tuple(_advice(values)),
        _limit(values, passed_on.relative), values,
        tuple(curves),
    )  # fmt: skip


def _passed_on(ready: Experiment, theta: Arrays, eps: float) -> Inherited:
    """What a gradient of the rule, or of echoes where it does not echo, inherits from the calibration; by the model."""
    problem = ready.problem
    rule = problem.rule if isinstance(problem.rule, EchoOptions) else RHEL()
    sequences = problem.train[:1]
    asked = GradientRequest(problem.task, sequences, theta, problem.wanted, trained=problem.trained)
    try:
        return inherited(rule, asked, eps or _FIRST_NUDGE)
    except LabrhelError:  # a rig that cannot echo, or a model without bounded motion, of which the rules say more
        return Inherited({})


def _facts(values: Mapping[str, CalibratedValue], folds: float) -> list[tuple[str, str]]:
    def of(quantity: str) -> list[CalibratedValue]:
        return [item for name, item in values.items() if name.endswith(f".{quantity}")]

    def span(quantity: str, unit: str, scale: float = 1.0) -> str:
        found = [scale * item.value for item in of(quantity)]
        if not found:
            return ""
        return f"{with_prefix(min(found), unit)} to {with_prefix(max(found), unit)}"

    gains = [item.value for name, item in values.items() if name.endswith(".gain") and not name.startswith("flip")]
    flip, retrace = values.get("flip.gain"), values.get("retrace.error")
    misfit, error = values.get("model.misfit"), values.get("gradient.error")
    drift = values.get("drift.per_shot")
    return [
        ("modes", span("frequency", "Hz")),
        ("energy lost", f"{folds:.2g} e-folds in a pass, {span('loss', '1/s')}" if of("loss") else ""),
        ("link", f"{with_prefix(values['link.latency'].value, 's')} beyond a shot" if "link.latency" in values else ""),
        ("noise", span("noise", next((item.unit for item in of("noise")), "1"))),
        ("delays", span("delay", "s")),
        ("gains", f"{min(gains):.4g} to {max(gains):.4g}" if gains else ""),
        ("flip", f"gain {flip.value:.4g} +- {flip.uncertainty:.1g}" if flip else ""),
        ("retrace", f"misses by {retrace.value:.2g} of the motion" if retrace else ""),
        ("drift", f"{drift.value:.2g} of the motion a shot" if drift else ""),
        ("model", f"leaves {misfit.value:.3g} times the noise unexplained" if misfit else ""),
        ("gradient", f"one is good to {100 * error.value:.2g} %, predicted" if error else ""),
    ]


def _advice(values: Mapping[str, CalibratedValue]) -> list[str]:
    words = []
    eps, error = _number(values, "nudge.eps"), _number(values, "gradient.error")
    if eps:
        response = _number(values, "nudge.response")
        words.append(f"eps {eps:.3g} (response ratio {response:.2g}); runs on this rig take it by themselves")
    if error > 0.1:
        words.append(f"repeats: {int(np.ceil((error / 0.1) ** 2))} for gradients good to 10 %, if it is noise")
    if _number(values, "retrace.error") > RETRACES:
        words.append("protocol: {lock: 6}: the echo does not come back well enough by itself")
    if _number(values, "drift.per_shot") > DRIFTS:
        words.append("protocol: {order: abba}: the rig drifts between the nudges")
    return words


def _limit(values: Mapping[str, CalibratedValue], passed_on: float) -> str:
    shares = {
        "what the calibration knows only to an uncertainty": passed_on,
        "couplings that are not reciprocal": _number(values, "reciprocity.asymmetry"),
        "an echo that does not retrace": _number(values, "retrace.error"),
        "drift between the nudges": 20 * _number(values, "drift.per_shot"),
        "noise and the strength of the nudge": _number(values, "nudge.error"),
    }
    if not any(shares.values()):
        return "not known: calibrate it"
    name = max(shares, key=lambda item: shares[item])
    return f"{name} (about {100 * shares[name]:.2g} % of a gradient)"


def _number(values: Mapping[str, CalibratedValue], name: str) -> float:
    """A value that is told from zero, else 0."""
    item = values.get(name)
    if item is None:
        return 0.0
    return item.value if item.value > 2 * item.uncertainty or name.startswith(("nudge", "gradient")) else 0.0


def _picture(curve: Curve) -> str:
    from matplotlib.figure import Figure

    with style.plain_text():
        figure = Figure(figsize=(6, 3), layout="constrained")
        axes = figure.subplots()
        for number, (label, line) in enumerate(curve.lines.items()):
            colour = style.NAMED[number % len(style.NAMED)]
            axes.plot(curve.x, line, label=label, linewidth=1.1, color=colour)
        axes.set(xlabel=style.printed(curve.x_label), ylabel=style.printed(curve.y_label))
        if curve.logarithmic:
            style.logarithmic(axes)
        style.above(axes)
        return picture(curve.title, figure)
