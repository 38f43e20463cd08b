"""Inputs and targets as data: what a data set is, and the files that recordings and archives are read from."""

from labrhel.data.dataset import Dataset, weighted_variance
from labrhel.data.recording import search_path

__all__ = ["Dataset", "search_path", "weighted_variance"]
