"""Experiment sequences as generators of operations: no hardware, no clock, no random numbers of their own."""

from labrhel.siblings import require_sibling

require_sibling(__name__, __file__)
