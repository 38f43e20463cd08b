"""An experiment, assembled from a configuration file and checked before anything runs."""

from labrhel.experiment._calibrated import calibrated, calibration_in_force
from labrhel.experiment._experiment import Experiment
from labrhel.experiment._interlocks import InModelUnits
from labrhel.experiment._load import load_experiment, load_rigs, rigs_of
from labrhel.experiment._wiring import wiring_of
from labrhel.experiment.fleet import Fleet

__all__ = [
    "Experiment",
    "Fleet",
    "InModelUnits",
    "calibrated",
    "calibration_in_force",
    "load_experiment",
    "load_rigs",
    "rigs_of",
    "wiring_of",
]
