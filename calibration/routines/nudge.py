"""How strongly to nudge: the balance of bias and noise, by `protocols.tuning`, in at most 20 shots."""

from __future__ import annotations

from calibration.finding import REFUSED, Finding, Measured
from calibration.subject import Bench
from labrhel.learning.estimator import Estimator
from labrhel.learning.rules import GradientRequest
from labrhel.shots.operations import Configure, Protocol
from protocols.rhel import RHEL
from protocols.tuning import MOST_SHOTS, tuned

STRONGEST = 0.1
"""Response ratio that an anharmonic rig is given at most: beyond it two nudges no longer tell the bias of the first."""


class Nudge:
    """The eps at which a gradient is best, the response it causes, and the error to be expected of one gradient."""

    name, title, needs, lifetime = "nudge", "strength of the nudge", ("retrace",), 24.0

    def shots(self, bench: Bench) -> int:
        """The largest number of shots that the routine fires."""
        return MOST_SHOTS

    def measure(self, bench: Bench) -> Protocol[Finding]:
        """Of the first sequence, for the parameters that are trained."""
        rule = bench.rule if isinstance(bench.rule, RHEL) else None
        if rule is None or rule.estimator is not Estimator.SYMMETRIC:
            return Finding(failed="the rule of the configuration does not nudge symmetrically")
        yield Configure(bench.task.rig_parameters(bench.theta))
        try:
            found = yield from tuned(rule, GradientRequest(bench.task, bench.sequences[:1], bench.theta, bench.wanted))
        except REFUSED as error:
            return Finding(failed=str(error))
        share = 1.0
        if not bench.task.model.is_linear(bench.theta) and found.response > STRONGEST:
            share = STRONGEST / found.response
        eps, response = share * found.eps, share * found.response
        values = {
            "nudge.eps": Measured(eps, 0.5 * eps),  # the error is flat there: half is as good
            "nudge.response": Measured(response, 0.5 * response),
            "nudge.error": Measured(found.error, found.error),
        }
        return Finding(values, words=(f"one gradient at that eps is good to {100 * found.error:.2g} %",))
