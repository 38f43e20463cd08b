"""An experiment, assembled from a configuration file and checked before anything runs."""

from labrhel.experiment._load import Experiment, handler_for, load_experiment

__all__ = ["Experiment", "handler_for", "load_experiment"]
