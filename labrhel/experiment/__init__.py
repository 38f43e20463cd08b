"""An experiment, assembled from a configuration file and checked before anything runs."""

from labrhel.experiment._calibrated import calibrated, calibration_in_force
from labrhel.experiment._experiment import Experiment
from labrhel.experiment._interlocks import InModelUnits
from labrhel.experiment._load import load_experiment
from labrhel.experiment._wiring import wiring_of

__all__ = [
    "Experiment",
    "InModelUnits",
    "calibrated",
    "calibration_in_force",
    "load_experiment",
    "wiring_of",
]
