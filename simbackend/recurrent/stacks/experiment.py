"""A stack, assembled from its configuration and checked before anything runs."""
# pyright: reportMissingImports=false

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from labrhel.config.stack import StackConfig, StackDocument, UnitFrictionSection, UnitName, load_stack
from labrhel.data import search_path
from labrhel.data.memory import require_room
from labrhel.data.samples import Samples
from labrhel.errors import ConfigurationError
from labrhel.learning.estimator import Estimator
from simbackend.recurrent.engines.checks import held_eps
from simbackend.recurrent.stacks.engines import make_engine
from simbackend.recurrent.stacks.hssm import HSSM, Block
from simbackend.recurrent.stacks.layer import Unit
from simbackend.recurrent.stacks.problem import Problem, problem_of
from simbackend.recurrent.stacks.training import Training, require_statistics, seeded
from simbackend.recurrent.stacks.units import UNITS, Beginning, Size
from simbackend.recurrent.stacks.ways import backpropagated, spsa

_KEPT = 7
"""Numbers that torch keeps of each feature of a block for the way back, at the least: what goes into BatchNorm, the
unit and GELU, what comes out of the unit, and into and out of the gate, which is twice as wide."""
_TYPES = {"float32": torch.float32, "float64": torch.float64}


def build_stack(config: StackConfig, problem: Problem) -> HSSM:
    """The stack of a configuration for its problem, with random initial values from torch's stream."""
    model, protocol = config.model, config.protocol
    friction = model.friction or UnitFrictionSection()
    beginning = Beginning(
        step=model.step.initial,
        friction=friction.initial,
        stiffness=model.stiffness.initial,
        trains_step=model.step.trained,
        trains_friction=friction.trained,
        trains_stiffness=model.stiffness.trained,
    )

    def make_unit(name: UnitName, size: Size) -> Unit:
        engine = make_engine(name, protocol.engine, protocol.eps, Estimator(protocol.estimator))
        return UNITS[name](engine, size, beginning)

    blocks = [Block(model.hidden, model.state, partial(make_unit, name), model.dropout) for name in model.units]
    stack = HSSM(problem.channels, blocks, problem.head(model.hidden), time_channel=model.time_channel)
    return stack.to(_TYPES[protocol.precision])


def require_room_for(config: StackConfig, train: Samples) -> None:
    """Raise ConfigurationError if what one gradient keeps cannot fit into the memory there is."""
    model, batch = config.model, min(config.optimizer.batch, len(train))
    steps = max(map(len, train.inputs))
    of_units = 2 if config.protocol.engine == "bptt" else 0
    numbers = sum(_KEPT * model.hidden + (of_units or name.startswith("damped")) * model.state for name in model.units)
    require_room(
        float(batch) * steps * numbers * _TYPES[config.protocol.precision].itemsize,
        f"a gradient of {batch} sequences of {steps} steps",
        "take a smaller batch, shorter sequences, fewer blocks or features",
    )


@dataclass(frozen=True, slots=True)
class StackExperiment:
    """A checked configuration with the problem it learns.

    `asked_steps` and `asked_seed` are what the command line gave instead of the file's epochs and seeds.
    """

    name: str
    home: Path
    document: StackDocument
    problem: Problem
    asked_steps: int | None
    asked_seed: int | None

    @property
    def config(self) -> StackConfig:
        """The configuration."""
        return self.document.config

    @property
    def epochs(self) -> int:
        """Number of epochs for each seed."""
        return self.config.optimizer.epochs if self.asked_steps is None else self.asked_steps

    @property
    def seeds(self) -> list[int]:
        """Seeds, trained one after the other."""
        return self.config.optimizer.seeds if self.asked_seed is None else [self.asked_seed]

    @property
    def steps(self) -> int:
        """Epochs of all seeds."""
        return len(self.seeds) * self.epochs

    def replacing(self, config: StackConfig) -> StackExperiment:
        """The same experiment with another configuration, such as another engine; the problem stays."""
        return replace(self, document=replace(self.document, config=config))

    def training(self, seed: int) -> Training:
        """A fresh training: split, initial values and all that is random by `seed`."""
        problem, optimizer = self.problem, self.config.optimizer
        with seeded(seed):
            model = build_stack(self.config, problem)
        split, objective = problem.split(seed), problem.objective
        way = spsa if self.config.protocol.engine == "spsa" else backpropagated
        return Training(model, split, objective, rate=optimizer.rate, batch=optimizer.batch, seed=seed, way=way)

    def doubts(self, seed: int) -> list[str]:
        """What a training by this seed cannot learn, in words."""
        unseen = self.problem.unseen(seed)
        which = f"class{'' if len(unseen) == 1 else 'es'} {', '.join(map(repr, unseen))}"
        return [f"no sequence that seed {seed} learns from is of the {which}"] if unseen else []

    def rehearse(self) -> list[str]:
        """Build a stack and say what a run would do."""
        training = self.training(self.seeds[0])
        count = sum(parameter.numel() for parameter in training.model.parameters())
        split = training.split
        return [
            *(f"warning: {words}" for seed in self.seeds for words in self.doubts(seed)),
            f"{self.name}: {len(split.train)} sequences to learn from, {len(split.validation)} to stop by, "
            f"{len(split.test)} to test on, {self.problem.targets}",
            f"{count} parameters, {self.epochs} epochs for each of {len(self.seeds)} seeds are planned",
        ]


def load(
    file: Path, *, home: Path, steps: int | None, seed: int | None, changes: Sequence[str] = ()
) -> StackExperiment:
    """The experiment of a file.  Raises ConfigurationError."""
    document = load_stack(file, changes)
    if steps is not None and steps < 1:
        raise ConfigurationError(f"steps are epochs for each seed, 1 or more, not {steps}")
    if seed is not None and seed < 0:
        raise ConfigurationError(f"seed must be 0 or more, not {seed}")
    problem = problem_of(document, search_path(home, os.environ))
    experiment = StackExperiment(file.stem, home, document, problem, steps, seed)
    with document.at("data"):
        for each in experiment.seeds:  # so that too little data is found now, and what has no room
            train = problem.split(each).train
            require_statistics(train, document.config.optimizer.batch)
            require_room_for(document.config, train)
    with document.at("protocol"):
        build_stack(document.config, problem)
    protocol = document.config.protocol
    if protocol.eps is not None:
        with document.at("protocol", "eps"):
            held_eps(protocol.eps, np.dtype(protocol.precision))
    return experiment
