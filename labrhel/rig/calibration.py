"""An immutable set of calibrated values, and what an experiment reads from it.

A value is known with an uncertainty, by a method, until a time.  The set's digest is the calibration id that every
gradient and run carries.  An empty set is the ideal rig: no delay, unit gain, no offset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from labrhel.frozen import Digested, digest_of

IDEAL: Mapping[str, float] = MappingProxyType({"delay": 0.0, "gain": 1.0, "offset": 0.0, "rate": 0.0})


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedValue(Digested):
    """One measured number with unit, standard error, method, and the time [s since 1970] it is valid until.

    `node` is the routine that measured it, `reference` what it trusts.  `correlations` [1]: by name, with values of the
    same fit; each pair stands in one of the two, and what is not named is independent.
    """

    tag = "CalibratedValue"
    value: float
    unit: str
    uncertainty: float
    method: str
    run: str = ""
    valid_until: float | None = None
    node: str = ""
    reference: str = ""
    correlations: Mapping[str, float] = field(default_factory=dict, compare=False)

    def _compute_digest(self) -> str:
        """Values without correlations keep the digest that they had before there were any."""
        alone = Digested._compute_digest(self)
        return digest_of((alone, self.correlations)) if self.correlations else alone


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationSet(Digested):
    """Values by name, `subject.quantity`: `f1.delay` [s], `q4.gain`, `q4.offset` [unit], `friction` ...

    `clock.rate` [1]: by how much the clock of the readings is slow against that of the outputs.
    """

    tag = "CalibrationSet"
    values: Mapping[str, CalibratedValue] = field(default_factory=dict)

    def number(self, subject: str, quantity: str) -> float:
        """The value of `subject.quantity`, or that of the ideal rig."""
        known = self.values.get(f"{subject}.{quantity}") if self.values else None
        return IDEAL[quantity] if known is None else known.value

    def correlation(self, one: str, other: str) -> float:
        """Of the errors of two values [1]: those that were fitted together may share a part."""
        if one == other:
            return 1.0
        found = [self.values[a].correlations.get(b) for a, b in ((one, other), (other, one)) if a in self.values]
        return next((item for item in found if item is not None), 0.0)

    def parameters(self) -> frozenset[str]:
        """Names of the parameters that have a factor, or something added, in any entry."""
        subjects = [key.rpartition(".") for key in self.values]
        return frozenset(
            subject.partition("[")[0] for subject, _, what in subjects if "[" in subject and what in ("factor", "added")
        )

    def expired(self, now: float) -> list[str]:
        """Names of the values that were valid until before `now` [s since 1970]."""
        return [name for name, item in self.values.items() if item.valid_until is not None and item.valid_until < now]


def plain_of(calibration: CalibrationSet) -> dict[str, Any]:
    """Plain data, from which `set_of` makes the set again."""
    return {name: asdict(value) for name, value in calibration.values.items()}


def set_of(plain: Mapping[str, Mapping[str, Any]]) -> CalibrationSet:
    """The set from plain data, as a manifest of a run holds it."""
    return CalibrationSet({name: CalibratedValue(**value) for name, value in plain.items()})
