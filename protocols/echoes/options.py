"""The options of rules that echo: how the echoes are built, how strongly they are nudged, how often they are fired."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labrhel.arrays import Arrays
from labrhel.errors import ConfigurationError
from labrhel.learning.estimator import Estimator, Order
from labrhel.learning.needs import Needs, unreached_channels
from labrhel.learning.task import Task
from labrhel.rig.capabilities import Capabilities, Reversal
from labrhel.shots.compile import reversal_of
from protocols.echoes.plan import LARGEST_NUDGE, SMALLEST_NUDGE, EchoPlan, Wanted, representable
from protocols.forward.geometry import partly_seen

NOISELESS_RESPONSE, LINEAR_RESPONSE, NONLINEAR_RESPONSE = 1e-5, 0.3, 0.05
"""Response ratios aimed at: without noise (float64), and on noisy rigs, where a linear one bears a large nudge."""

MOST_PAIRS = 12
"""Pairs of echoes for directed couplings: what `auto` ends with, and the most that may be asked for."""


class Unread(enum.StrEnum):
    """What becomes of oscillators that no channel shows: asked for only where they are not needed, or by the model."""

    REFUSED = "refused"
    SMOOTHED = "smoothed"


class Echo(enum.StrEnum):
    """Whether the echo is compensated for friction; `auto` drives it on rigs that lose energy."""

    AUTO = "auto"
    PLAIN = "plain"
    DRIVEN = "driven"


@dataclass(frozen=True, slots=True)
class EchoOptions:
    """`eps` fixes the nudge; None chooses it so that the response ratio is `response`.

    `response` None takes 1e-5 on channels without noise and 0.05 (0.3 on linear rigs) on noisy ones.  `lock`: rounds of
    un-nudged echoes that may be spent on locking the echo (`protocols.echoes.lock`); 0 trusts the nominal model.
    `repeats` measures the whole gradient so often, forward passes included, and reports the standard error; with
    `precision` it goes on, up to `most_repeats`, until the standard error is that share of the gradient.  `order` is
    that of the nudges within a repeat.  `bound` echoes once more at twice the nudge, for a bound of the bias.
    `partial` lets lossy oscillators be that no port reaches: the echo then misses the forward path, and what that does
    to the gradient is predicted by a twin (`protocols.echoes.bias`) and reported as the bias bound.
    `directed`: pairs of echoes that make a rig with directed couplings run its transpose
    (`protocols.echoes.directed`); None takes as many as a remaining error of 1e-3, or `precision`, needs; 0 leaves the
    gradient biased.
    `unread`: of a rig that does not show all positions, whether entries that act where none is read, and compensation
    of friction there, are refused by name, or said by the model with their error (`protocols.echoes.unread`).
    """

    estimator: Estimator = Estimator.SYMMETRIC
    echo: Echo = Echo.AUTO
    eps: float | None = None
    response: float | None = None
    lock: int = 0
    repeats: int = 1
    precision: float | None = None
    most_repeats: int = 64
    order: Order = Order.AB
    bound: bool = False
    partial: bool = False
    directed: int | None = None
    unread: Unread = Unread.REFUSED

    by_state: ClassVar[bool] = False
    """Whether an echo may begin in a state that is prepared, where a rig has no reversal, or no port to nudge."""

    def __post_init__(self) -> None:
        for name, kind in (("estimator", Estimator), ("echo", Echo), ("order", Order), ("unread", Unread)):
            value = getattr(self, name)
            if value not in list(kind):
                raise ConfigurationError(f"{name} is one of {', '.join(kind)}, not {value!r}")
            object.__setattr__(self, name, kind(value))  # a word from Python is what a word from YAML is
        for name, value in (("eps", self.eps), ("response", self.response)):
            if value is not None and representable(value) != value:
                raise ConfigurationError(
                    f"{name} must be a positive number from {SMALLEST_NUDGE:g} to {LARGEST_NUDGE:g}, not {value}"
                )
        if self.eps is not None and self.response is not None:
            raise ConfigurationError("response sets an automatic eps; give eps or response, not both")
        if self.precision is not None and not self.precision > 0:
            raise ConfigurationError(f"precision must be positive, not {self.precision}")
        if self.repeats < 1:
            raise ConfigurationError(f"repeats must be 1 or more, not {self.repeats}")
        if self.directed is not None and not 0 <= self.directed <= MOST_PAIRS:
            most = f"{MOST_PAIRS} at most" if self.directed > 0 else "0 or more"
            raise ConfigurationError(f"directed is a number of pairs of echoes, {most}, or auto, not {self.directed}")
        if self.lock < 0:
            raise ConfigurationError(f"lock is a number of rounds, 0 or more, not {self.lock}")

    @property
    def needs(self) -> Needs:
        """Reversal, and drive ports where the echo is driven."""
        plain = self.echo is Echo.PLAIN
        refused = self.unread is Unread.REFUSED
        return Needs(
            reversal=True,
            positions=refused,
            local=refused and self.lock == 0,  # a lock learns from the miss of all of them
            drive=True,
            lossy_drive=not (plain or self.partial),
            ends=True,
            rotates=True,
        )

    def plan(self, task: Task, theta: Arrays, wanted: Sequence[str]) -> EchoPlan:
        """How echoes are built and read at `theta`."""
        friction, rig = task.model.friction(theta), task.capabilities
        lacks = not rig.reversals or bool(unreached_channels(task))
        starts = self.by_state and "state" in rig.prepares and lacks
        driven = self.echo is Echo.DRIVEN or (self.echo is Echo.AUTO and (self.lock > 0 or bool(friction.any())))
        return EchoPlan(
            task=task,
            geometry=partly_seen(task.capabilities),
            estimator=self.estimator,
            wanted=Wanted.of(task, wanted, theta, driven=driven),
            theta=theta,
            friction=friction if driven else np.zeros_like(friction),
            reversal=Reversal.STATE_RESTORE if starts else reversal_of(rig),
            order=self.order,
            partial=self.partial,
            reads_preparation=self.lock > 0,
            transposes=self.directed != 0,
            starts=starts,
        )

    @property
    def is_automatic(self) -> bool:
        """Whether the nudge is the rule's own affair."""
        return self.eps is None and self.response is None

    def target_response(self, task: Task, theta: Arrays, wanted: Sequence[str] = ()) -> float:
        """The response ratio that an automatic eps aims at, before anything came back."""
        if self.response is not None:
            return self.response
        if is_exact(task.capabilities):
            return NOISELESS_RESPONSE
        return LINEAR_RESPONSE if task.model.is_linear(theta) else NONLINEAR_RESPONSE


def is_exact(rig: Capabilities) -> bool:
    """True of a rig that declares neither noise nor converters on its channels."""
    return all(channel.noise == 0 and channel.converter is None for channel in rig.channels)
