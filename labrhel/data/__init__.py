"""Inputs and targets as data: what a data set is, and the files that recordings and archives are read from.

Names are loaded when they are first used: a reader in a process apart starts with what it needs and no more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labrhel.data.dataset import Dataset, weighted_variance
    from labrhel.data.finding import search_path

__all__ = ["Dataset", "search_path", "weighted_variance"]

_HOMES = {"Dataset": "dataset", "weighted_variance": "dataset", "search_path": "finding"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'labrhel.data' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"labrhel.data.{_HOMES[name]}"), name)
    return found
