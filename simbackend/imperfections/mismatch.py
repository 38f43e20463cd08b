"""Parameter mismatch: the parts of one rig are not the values that its knobs say.

    theta_real = theta_knob * exp(spread * z),      G_real = D G D,  D = diag(exp(spread * z / 2)),

z a standard normal number for each entry, drawn once from the seed of the device.  Masses and springs stay positive,
the friction matrix stays symmetric and passive, and what is zero stays zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from labrhel.arrays import Array, Arrays
from labrhel.frozen import FrozenArray
from simbackend.imperfections.draws import stream
from simbackend.imperfections.imperfection import Acting, Imperfection, Place, Site, acting
from simbackend.models.simulable import Simulable


@dataclass(frozen=True, slots=True)
class Mismatch(Imperfection):
    """`spread`: relative rms deviation of every part and of the friction [1]; 0: off.

    `exact`: by part, real value over knob value, in place of what is drawn; `added` to it [model units].
    """

    spread: float = 0.0
    exact: Mapping[str, FrozenArray] = field(default_factory=dict)
    added: Mapping[str, FrozenArray] = field(default_factory=dict)

    def acts(self) -> Acting:
        return acting(
            ("mismatch", self.spread, Place.PARTS),
            ("parts", self.exact, Place.PARTS),
            ("added", self.added, Place.PARTS),
        )

    def parameters(self, theta: Arrays, site: Site) -> Arrays:
        """Every part times its factor, then what is added."""
        if self.spread or self.exact:
            theta = scaled(site.model, theta, site.once(type(self), lambda: self.factors(site.model, site.seed)))
        return {**theta, **{name: theta[name] + more.values for name, more in self.added.items()}}

    def factors(self, model: Simulable, seed: int) -> dict[str, Array]:
        """Real value over knob value, by parameter; for the friction the diagonal of D (n,)."""
        drawn = {
            name: np.exp(self.spread * stream(seed, "mismatch", name).standard_normal(model.parameters[name].shape))
            for name in parts_of(model)
        }
        drawn |= {name: factors.values for name, factors in self.exact.items()}
        rubs = self.spread / 2 * stream(seed, "mismatch", "friction").standard_normal(model.size)
        drawn[friction_of(model)] = np.exp(rubs)
        return drawn


def scaled(model: Simulable, theta: Arrays, factors: Arrays) -> dict[str, Array]:
    """`theta` times the factors."""
    changed = dict(theta)
    for name, factor in factors.items():
        value = theta[name]
        rubs = name == friction_of(model)
        changed[name] = factor[:, None] * value * factor if rubs else value * factor
    return changed


def friction_of(model: Simulable) -> str:
    """The parameter that is the friction matrix: `friction` of oscillators, `loss` of modes."""
    return next(name for name, spec in model.parameters.items() if spec.kind == "friction")


def parts_of(model: Simulable) -> tuple[str, ...]:
    """Parameters that are parts of the rig: masses and those of V; the input map and its offset belong to the ports."""
    return tuple(name for name, spec in model.parameters.items() if spec.kind in ("kinetic", "potential", "directed"))
