"""Hamiltonians, integrators, models and simulated rigs: everything that runs without hardware."""

from labrhel.siblings import require_sibling

require_sibling(__name__, __file__)
