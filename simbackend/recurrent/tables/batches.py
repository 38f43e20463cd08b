"""One gradient of a stack on one batch of its data, as a training would take it first."""
# pyright: reportMissingImports=false

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labrhel.arrays import Array
from simbackend.recurrent.stacks.layer import GradientWarning, Unit
from simbackend.recurrent.stacks.problem import Problem
from simbackend.recurrent.stacks.training import Training, seeded
from simbackend.recurrent.tables.sources import Source


@dataclass(frozen=True, slots=True)
class FirstBatch:
    """A set, the unit of its stack, and a seed, which decides the batch, the initial values and the dropout."""

    source: Source
    problem: Problem
    unit: str
    seed: int

    def training(self, engine: str, **protocol: Any) -> Training:
        """The training at its beginning; `protocol` holds eps or precision, where they are not the usual ones."""
        document = self.source.document(self.unit, engine, self.seed, 1, protocol)
        return self.source.experiment(document, self.problem).training(self.seed)

    def arrays(self, training: Training) -> tuple[Array, Array]:
        """Inputs and targets."""
        return next(training.split.train.batches(training.batch))

    def gradient(self, engine: str, **protocol: Any) -> tuple[Mapping[str, Array], float]:
        """By name of the parameter, float64, in order; and the worst response ratio of the units.

        What an engine doubts shows in the figures that these are compared by, so its warnings are not said.
        """
        training = self.training(engine, **protocol)
        training.model.train()
        with warnings.catch_warnings(), seeded(self.seed, 1):
            warnings.simplefilter("ignore", GradientWarning)
            training.gradient(*self.arrays(training))
        found = {
            name: np.asarray(parameter.grad.numpy(), float).ravel()
            for name, parameter in training.model.named_parameters()
            if parameter.grad is not None
        }
        health = [module.health for module in training.model.modules() if isinstance(module, Unit)]
        return found, max((item.response_ratio for item in health if item is not None), default=float("nan"))
