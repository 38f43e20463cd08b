"""Everything by which a bench differs from the ideal rig, each part off until it is switched on.

    rig = SimulatedRig(model, imperfections=Imperfections(seed=7, noise=1e-3, flip=FlipErrors(error=0.01)))

The parts are in model units; `sim:` URLs and the `imperfections:` section of a file are in SI (settings.py).
"""

from simbackend.imperfections.converters import ConverterErrors
from simbackend.imperfections.device import IDEAL, Device, Imperfections
from simbackend.imperfections.drift import Drift
from simbackend.imperfections.flip import FlipErrors
from simbackend.imperfections.friction import HiddenFriction
from simbackend.imperfections.imperfection import Imperfection, Moment, Place, Site, setting
from simbackend.imperfections.knobs import KnobErrors, Knobs
from simbackend.imperfections.life import Life, state_file
from simbackend.imperfections.mismatch import Mismatch
from simbackend.imperfections.noise import ForceNoise
from simbackend.imperfections.paths import PathErrors
from simbackend.imperfections.reciprocity import NonReciprocity
from simbackend.imperfections.timing import ClockErrors, ReplayErrors

__all__ = [
    "IDEAL",
    "ClockErrors",
    "ConverterErrors",
    "Device",
    "Drift",
    "FlipErrors",
    "ForceNoise",
    "HiddenFriction",
    "Imperfection",
    "Imperfections",
    "KnobErrors",
    "Knobs",
    "Life",
    "Mismatch",
    "Moment",
    "NonReciprocity",
    "PathErrors",
    "Place",
    "ReplayErrors",
    "Site",
    "setting",
    "state_file",
]
