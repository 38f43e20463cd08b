"""I/Q imperfections of a rig in the rotating frame, under the key `quadratures`.

A terminal of the phase axis c (1 in phase, i for a quadrature) that plays x drives with G c x, and one that reads shows
Re(conj(c) a / G), where

    G = (1 + gain z_1) exp(i (phase z_2 + lo_phase z_3 + lo_drift shot z_4))

z_1 and z_2 are drawn for every terminal (imbalance, and axes that are not at right angles), z_3 for every pair of
terminals (length of its cable), z_4 is one sign for the whole rig (drift of the local oscillator).  A conjugation ends
in exp(i conjugation) conj(a).  Carrier leakage is an offset of ports, and has its own setting, `port_offset`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labrhel.config.measures import Number, Share
from labrhel.errors import ConfigurationError
from labrhel.model.rotating import is_rotating
from simbackend.imperfections.imperfection import Acting, Imperfection, Place, Site, acting, setting


@dataclass(frozen=True, slots=True)
class QuadratureErrors(Imperfection):
    """Imbalance, skew and phases of I/Q terminals, and a conjugation with a phase."""

    gain: Share = setting("1", "I/Q imbalance: rms deviation of each terminal's gain, drawn for each")
    phase: Number = setting("rad", "Rms deviation of each terminal's axis, drawn for each: skew of I and Q")
    lo_phase: Number = setting("rad", "Rms phase of each port and channel against the local oscillator")
    lo_drift: Number = setting("rad", "Drift of the local oscillator against the rig, from shot to shot")
    conjugation: Number = setting("rad", "Phase that a conjugation adds")

    def acts(self) -> Acting:
        """The drift makes the rig another one with every shot."""
        return acting(
            ("gain", self.gain, Place.QUADRATURES),
            ("phase", self.phase, Place.QUADRATURES),
            ("lo_phase", self.lo_phase, Place.QUADRATURES),
            ("lo_drift", self.lo_drift, Place.QUADRATURES),
            ("lo_drift", self.lo_drift, Place.DRIFT),
            ("conjugation", self.conjugation, Place.REVERSAL),
        )

    def check(self, site: Site) -> None:
        """Raises ConfigurationError for a model that has no quadratures."""
        if self.acts() and not is_rotating(site.model):
            raise ConfigurationError("quadratures act on arrays in the rotating frame (kind: kerr_array)")

    def turning(self, terminal: str, site: Site, shot: int) -> complex:
        """G of a terminal in shot number `shot`."""
        drawn = site.stream("quadratures", terminal).standard_normal(2)
        pair = float(site.stream("quadratures", "lo", terminal.rpartition("_")[0]).standard_normal())
        drifts = self.lo_drift * shot * float(np.sign(site.stream("quadratures", "drift").standard_normal()))
        angle = self.phase * drawn[1] + self.lo_phase * pair + drifts
        return complex((1 + self.gain * drawn[0]) * np.exp(1j * angle))

    def conjugated(self, site: Site) -> complex:
        """What a conjugation multiplies with."""
        return complex(np.exp(1j * self.conjugation))
