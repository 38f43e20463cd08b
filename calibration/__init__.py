"""Routines that measure a rig and propose calibrated values."""

from labrhel.siblings import require_sibling

require_sibling(__name__, __file__)
