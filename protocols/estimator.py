"""How echoes nudged at several strengths are combined into a derivative: see `labrhel.estimator`."""

from labrhel.estimator import Estimator

__all__ = ["Estimator"]
