"""Limits belong to terminals: what may ever be on one is the intersection over everything that names it.

A port, a knob, the level that connects a switch and the level that makes safe may all name one terminal.  Each claims a
range that it stays within, or a level that it will set; a level outside the common range is refused when the claims are
read, and a value outside it before it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from labrhel.errors import ConfigurationError, LimitError
from labrhel.units import interval

Place = tuple[str | int, ...]
"""Keys from the top of the file that makes a claim."""
_UNIT = "V"


@dataclass(frozen=True, slots=True)
class Claim:
    """What `who` ("knob coupling") says of a terminal, at `place`: a range [V] to stay in, or a level [V] it sets."""

    terminal: str
    who: str
    place: Place
    limits: tuple[float, float] | None = None
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Terminals:
    """What may be on each terminal, (low, high) [V]; one that nobody limits is left to its instrument."""

    limits: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, claims: Iterable[Claim], error: Callable[..., ConfigurationError]) -> Terminals:
        """The intersection of all claims; `error(words, *place)` makes the error that names a place.

        Raises ConfigurationError for a range that is empty, or has no voltage in common with another one, and for a
        level outside the common range.
        """
        claims = list(claims)
        limits: dict[str, tuple[float, float]] = {}
        ranges: dict[str, list[Claim]] = {}
        for claim in claims:
            if claim.limits is None:
                continue
            low, high = claim.limits
            if not low < high:
                raise error(
                    f"the limits of {claim.who} must be in order, not {interval(low, high, _UNIT)}", *claim.place
                )
            before = limits.get(claim.terminal, claim.limits)
            common = max(low, before[0]), min(high, before[1])
            if not common[0] < common[1]:
                others = _spelled(ranges[claim.terminal])
                raise error(
                    f"no range of {claim.terminal} is allowed by all that name it: {claim.who} allows "
                    f"{interval(low, high, _UNIT)}, {others}; make them overlap",
                    *claim.place,
                )
            limits[claim.terminal] = common
            ranges.setdefault(claim.terminal, []).append(claim)
        for claim in claims:
            if claim.level is None or claim.terminal not in limits:
                continue
            low, high = limits[claim.terminal]
            if not low <= claim.level <= high:
                allowed = _spelled(ranges[claim.terminal])
                raise error(
                    f"{claim.who} puts {claim.level:g} V on {claim.terminal}, where {allowed}: "
                    "widen that, or choose another level",
                    *claim.place,
                )
        return cls(limits)

    def of_all(self, terminals: Iterable[str]) -> tuple[float, float]:
        """The range that all of these terminals allow [V]; empty ranges have low > high."""
        ends = [self.limits[terminal] for terminal in terminals if terminal in self.limits]
        return max((low for low, _ in ends), default=-float("inf")), min(
            (high for _, high in ends), default=float("inf")
        )

    def require(self, terminal: str, low: float, high: float, what: str) -> None:
        """Raise LimitError unless [low, high] is allowed on a terminal; what is not a number is refused, too."""
        allowed = self.limits.get(terminal, (-float("inf"), float("inf")))
        if not (allowed[0] <= low and high <= allowed[1]):
            would = f"{low:.4g} {_UNIT}" if low == high else interval(low, high, _UNIT)
            raise LimitError(
                f"{terminal} would get {would} for {what}; allowed is {interval(*allowed, _UNIT)}; nothing was sent"
            )


def _spelled(claims: Iterable[Claim]) -> str:
    return " and ".join(f"{claim.who} allows {interval(*claim.limits, _UNIT)}" for claim in claims if claim.limits)
