"""Inputs and targets: from a recording, or from a teacher that makes them."""

from labrhel.data.dataset import Dataset, weighted_variance
from labrhel.data.recording import search_path
from labrhel.experiment.dataset import dataset_of

__all__ = ["Dataset", "dataset_of", "search_path", "weighted_variance"]
