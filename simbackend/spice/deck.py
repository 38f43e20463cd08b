"""The cards of one simulation, and what is read off it: text and arithmetic, no process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from labrhel.arrays import Array

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(meg|mil|[tgkmunpfa])?[a-z]*")
_POWERS = {"t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "mil": 25.4e-6, "m": 1e-3, "u": 1e-6, "n": 1e-9,
           "p": 1e-12, "f": 1e-15, "a": 1e-18, None: 1.0}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A component whose value is written anew for each simulation; the real one is `off` times what it should be."""

    words: tuple[str, ...]
    off: float = 1.0

    def with_value(self, value: float) -> str:
        """Its card."""
        return " ".join((*self.words[:3], f"{value * self.off:.12g}", *self.words[4:]))

    @property
    def nominal(self) -> float:
        """The value in the netlist, with ngspice's suffixes; NaN for one that is no plain number."""
        found = _NUMBER.fullmatch(self.words[3].lower()) if len(self.words) > 3 else None
        return np.nan if found is None else float(found[1]) * _POWERS[found[2]]


def driven(card: str, wave: Array, kicks: Array, end: float) -> Iterator[str]:
    """Cards of a source that plays `wave` [V or A], straight between the `kicks` [s] and level before and after them.

    It is a function of time, which has no breakpoints: those of a PWL source cut the steps, and begin each anew with a
    step that loses energy.  A voltage source stays beside it, at 0, since its current may be read.
    """
    name, plus, minus = card.split()[:3]
    if name[0] in "vV":
        yield f"{name} {plus} labrhel_{name} dc 0"
        yield f"Blabrhel_{name} labrhel_{name} {minus} v = pwl(time,"
    else:
        yield f"Blabrhel_{name} {plus} {minus} i = pwl(time,"
    times, values = (0.0, *kicks, end), (wave[0], *wave, wave[-1])
    points = [f"{time:.12g}, {value:.12g}" for time, value in zip(times, values, strict=True)]
    for begin in range(0, len(points), 4):
        yield "+ " + ", ".join(points[begin : begin + 4]) + (")" if begin + 4 >= len(points) else ",")


def started(card: str, value: float) -> str:
    """The card of a capacitor or an inductor that begins with `value` [V or A]."""
    return re.sub(r"\s+ic\s*=\s*(\{[^}]*\}|\S+)", "", card, flags=re.IGNORECASE) + f" ic={value:.15g}"


def of_state(card: str) -> str:
    """What a capacitor or an inductor remembers: v(plus,minus) or i(name)."""
    name, plus, minus = card.lower().split()[:3]
    return f"i({name})" if name[0] == "l" else f"v({plus},{minus})"


def terms(words: str) -> Iterator[tuple[str, float]]:
    """A reading as what ngspice saves, with signs: v(a,b) is v(a) - v(b), and ground is in no list."""
    kind, _, inside = words.lower().replace(" ", "").rstrip(")").partition("(")
    for node, sign in zip(inside.split(","), (1.0, -1.0), strict=False):
        if node not in ("0", "gnd"):
            yield f"{kind}({node})", sign


def as_of(at: Array, time: Array, columns: Array) -> Array:
    """`columns` (m, points) at the times `at`, by the cubic through the four points up to there.

    The points after it would show what a port does before it does it.
    """
    nodes = np.clip(np.searchsorted(time, at, side="right"), 4, None)[:, None] + np.arange(-4, 0)
    known = time[nodes]
    apart = known[:, :, None] - known[:, None, :] + np.eye(4)
    ahead = np.where(np.eye(4, dtype=bool), 1.0, (at[:, None] - known)[:, None, :])
    return np.sum(columns[:, nodes] * np.prod(ahead / apart, axis=2), axis=2)
