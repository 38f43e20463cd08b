"""The `protocol` and `optimizer` sections: how a gradient is measured, and what is done with it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from labrhel.config.fields import (
    LARGEST_REPEATS,
    AutoOrPositive,
    AutoOrWhole,
    Fraction,
    Index,
    Positive,
    Repeats,
    Section,
    Seed,
)

_POLICY = "^(all|none|every [1-9][0-9]*)$"


def _policy(value: str) -> str:
    if not re.fullmatch(_POLICY, value):
        raise ValueError(f"expected all, every N (such as every 20) or none, not {value!r}")
    return value


_NOT_THE_RULES = {"rule", "own", "host_side", "record"}


class PeriodicSection(Section):
    """Gradients in the steady state of inputs that repeat."""

    period: Positive = Field(description="What the inputs repeat after, in model time: a whole number of samples.")
    discard: Index = Field(default=10, description="Periods that are let pass until the motion is steady.")
    periods: Repeats = Field(default=8, description="Periods that are read, and averaged.")


class ProtocolSection(Section):
    """The learning rule and its options; an option the rule does not have is an error."""

    rule: str = Field(
        default="rhel", description="A registered learning rule, or one in a file beside this one: my_rule.py:MyRule."
    )
    own: dict[str, Any] = Field(default={}, description="Options, by name, of a rule that is not labrhel's.")
    estimator: Literal["one_sided", "symmetric", "four_point"] = Field(
        default="symmetric", description="Which nudges are combined; bias of order eps, eps^2, eps^4."
    )
    echo: Literal["auto", "plain", "driven"] = Field(
        default="auto",
        description="driven compensates friction during the echo; auto does so on rigs that lose energy.",
    )
    eps: AutoOrPositive = Field(default=None, description="Strength of the nudge; auto aims at the response.")
    response: AutoOrPositive = Field(
        default=None,
        description="rms of the echo's answer to the nudge over rms of the state, which an automatic eps aims at.",
    )
    lock: Annotated[int, Field(ge=0, le=LARGEST_REPEATS)] = Field(
        default=0,
        description="Rounds of un-nudged echoes that may be spent, when needed, on learning the drive of the echo.",
    )
    repeats: Repeats = Field(
        default=1, description="How often the whole gradient is measured; 2 or more give a standard error."
    )
    precision: Positive | None = Field(
        default=None, description="Go on with repeats until the standard error is this share of the gradient."
    )
    most_repeats: Repeats = Field(default=64, description="Where a precision that is not reached ends.")
    order: Literal["ab", "abba", "abbabaab"] = Field(
        default="ab",
        description="Order of the nudges + and - in a repeat; abba cancels linear drift, abbabaab quadratic drift too.",
    )
    step: Positive = Field(
        default=0.01, description="finite_differences, spsa: how far parameters are moved, relative to their size."
    )
    directions: Repeats = Field(default=1, description="spsa: random directions in each gradient.")
    seed: Seed = Field(default=0, description="spsa, echoes_and_twin: seed of what is drawn.")
    rounds: Repeats = Field(default=3, description="agnostic: rounds of holding the parameters.")
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.25, description="echoes_and_twin: share of the sequences that are echoed."
    )
    partial: bool = Field(
        default=False, description="Drive the echo also where a lossy oscillator has no port; its bias is bounded."
    )
    directed: AutoOrWhole = Field(
        default=None,
        description="Pairs of echoes that make a rig with directed couplings run its transpose: auto takes as many as "
        "precision, or 0.1 %, needs; 0 leaves it out, and the gradient biased.",
    )
    unread: Literal["refused", "smoothed"] = Field(
        default="refused",
        description="Where no channel shows an oscillator: refuse what needs it, by name, or let the fitted model say "
        "it, with its error.",
    )
    periodic: PeriodicSection | None = Field(
        default=None,
        description="adjoint_only, recorded_correlation: in the steady state of inputs that repeat; linear rigs.",
    )
    refit: bool = Field(default=True, description="twin: fit the model to the forward pass first.")
    bound: bool = Field(default=False, description="Echo once more at twice the nudge, for a bound of the bias.")
    host_side: list[str] = Field(
        default=[],
        description="Trained parameters that the rig cannot set, and that are to change in the host's model alone.",
    )
    record: Annotated[str, AfterValidator(_policy), WithJsonSchema({"type": "string", "pattern": _POLICY})] = Field(
        default="all", description="Which steps keep their traces: all, every N, or none."
    )

    def options(self) -> dict[str, Any]:
        """The options of the rule that the file gives."""
        return {name: getattr(self, name) for name in self.model_fields_set - _NOT_THE_RULES} | self.own


_OPTIONS = {
    "adam": ("rate", "beta1", "beta2"),
    "momentum": ("rate", "momentum"),
    "lbfgs": ("memory", "tolerance", "first"),
}


class OptimizerSection(Section):
    """The optimizer, how many gradients it may take, and the seed of the order of the sequences."""

    kind: Literal["adam", "momentum", "lbfgs"] = Field(
        default="adam", description="lbfgs wants all sequences in each batch."
    )
    steps: Index = Field(default=100, description="Gradients to take.")
    seed: Seed = Field(default=0, description="Seed of the order of the training sequences.")
    rate: Positive = Field(
        default=0.01, description="adam, momentum: learning rate, in units of each parameter's scale."
    )
    momentum: Fraction = Field(default=0.9, description="momentum: share of the last step that is kept.")
    beta1: Fraction = Field(default=0.9, description="adam: memory of the gradient.")
    beta2: Fraction = Field(default=0.999, description="adam: memory of its square.")
    memory: Repeats = Field(default=20, description="lbfgs: how many past steps shape the next.")
    tolerance: Positive = Field(default=1e-12, description="lbfgs: relative fall of the loss below which it stops.")
    first: Positive = Field(
        default=0.25, description="lbfgs: length of its first step, in units of each parameter's scale."
    )

    @model_validator(mode="after")
    def _options_belong_to_the_kind(self) -> OptimizerSection:
        known = _OPTIONS[self.kind]
        for name in self.model_fields_set - {"kind", "steps", "seed"}:
            if name not in known:
                raise ValueError(f"{self.kind} has no option {name!r}; it has: {', '.join(known)}")
        return self

    def options(self) -> dict[str, Any]:
        """The options of the optimizer."""
        return {name: getattr(self, name) for name in _OPTIONS[self.kind]}
