"""Training a stack: Adam, epoch by epoch, the parameters of the best validation epoch kept.

Everything random follows from one seed: initial values (`seeded`), and per epoch the order of the samples and the
dropout.  Each epoch draws anew from (seed, epoch), so a training that is taken up again from `state()` goes on to
the same bits.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, nll_loss

from labrhel.arrays import Array
from labrhel.data.samples import Samples, Split
from labrhel.errors import ConfigurationError, InterlockError
from simbackend.recurrent.stacks.layer import Unit
from simbackend.recurrent.stacks.ways import Way, backpropagated


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised, and the score that is reported: both from (prediction, target) of a batch.

    `name` is the score's in the record; `better` is +1 where a high score is good, -1 where a low one is.
    """

    name: str
    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], Tensor]
    better: int


def _accuracy(log_probability: Tensor, target: Tensor) -> Tensor:
    return (log_probability.argmax(dim=1) == target).double().mean()


CLASSIFICATION = Objective("accuracy", nll_loss, _accuracy, +1)
"""Cross entropy; the score is the accuracy."""

REGRESSION = Objective("mean_square_error", mse_loss, mse_loss, -1)
"""Mean square error, which is the score too."""


def _asked_for(prediction: Tensor, target: Tensor) -> Tensor:
    asked = target.isfinite()
    if not bool(asked.any()):
        raise ConfigurationError("a batch asks for nothing: its whole target is NaN; leave such sequences out")
    return mse_loss(prediction[asked], target[asked])


def _recalled(prediction: Tensor, target: Tensor) -> Tensor:
    asked = target.isfinite().all(dim=-1)
    return (prediction[asked].argmax(dim=-1) == target[asked].argmax(dim=-1)).double().mean()


DENSE = Objective("mean_square_error", _asked_for, _asked_for, -1)
"""Mean square error of sequences, over the entries of the target that are no NaN (`labrhel.data.tasks`)."""

RECALL = Objective("recall", _asked_for, _recalled, +1)
"""The same for one-hot sequences; the score is the share of the steps whose largest output is the one asked for."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """Mean training loss of an epoch, and the score on the validation set after it; epochs count from 1.

    `ruined`: share of its gradients of which nothing is left but rounding, or the path that was missed.
    """

    number: int
    loss: float
    validation: float
    ruined: float = 0.0


@contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Draw torch's random numbers from this seed inside the block, and leave the outside stream as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1))
        yield


def require_statistics(samples: Samples, batch: int) -> None:
    """Raise ConfigurationError where a batch may hold one sample in all, of which BatchNorm finds no variance."""
    last = len(samples) % batch or batch
    if min(last, batch, len(samples)) == 1 and min(map(len, samples.inputs)) == 1:
        raise ConfigurationError(
            f"{len(samples)} sequences of one step in batches of {batch}: one batch is a single sample, which has no "
            "variance to scale by; give longer sequences, or a batch that leaves more than one over"
        )


class Training:
    """A model, its data and its optimizer; `epoch()` goes on by one."""

    def __init__(
        self,
        model: nn.Module,
        split: Split,
        objective: Objective,
        *,
        rate: float,
        batch: int,
        seed: int,
        way: Way = backpropagated,
    ) -> None:
        self.model, self.split, self.objective, self._way = model, split, objective, way
        self.batch, self.seed = batch, seed
        self.done = 0
        self._optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        self._units = [module for module in model.modules() if isinstance(module, Unit)]
        self._type = next(model.parameters()).dtype
        self._statistics = [
            buffer for module in model.modules() if isinstance(module, nn.BatchNorm1d) for buffer in module.buffers()
        ]
        self._best_score = -float("inf")
        self._best = copy.deepcopy(model.state_dict())
        if self._statistics:
            require_statistics(split.train, batch)

    def epoch(self) -> Epoch:
        """Take one epoch of gradients.

        Raises InterlockError for one that is no number: what Adam makes of it stays in all steps after it.  What a unit
        refuses before the first step of all is the configuration's fault, and raises ConfigurationError.
        """
        number = self.done + 1
        generator = np.random.default_rng([self.seed, number])
        self.model.train()
        losses, ruined = [], []
        with seeded(self.seed, number):
            for x, y in self.split.train.batches(self.batch, generator):
                try:
                    loss = self.gradient(x, y)
                except ConfigurationError as error:
                    self._require_variances(len(losses) + 1)
                    if not (self.done or losses):
                        raise
                    raise self._interlock(len(losses) + 1, f"could not be taken: {error}; lower the rate") from None
                ruined.append(any(unit.health is not None and unit.health.is_ruined for unit in self._units))
                if not all(x.grad is None or bool(x.grad.isfinite().all()) for x in self.model.parameters()):
                    raise self._interlock(len(ruined), f"is no number: {self._doubt()}")
                self._require_variances(len(ruined))
                self._optimizer.step()
                losses.append(loss.item() * len(x))
        try:
            validation = self.score(self.split.validation)
        except ConfigurationError as error:
            raise InterlockError(f"interlock score: after epoch {number} no score can be had: {error}") from None
        self.done = number
        # Of equals the later: scores of small validation sets tie for many epochs while the loss still falls.
        if self.objective.better * validation >= self._best_score:
            self._best_score = self.objective.better * validation
            self._best = copy.deepcopy(self.model.state_dict())
        return Epoch(number, sum(losses) / len(self.split.train), validation, sum(ruined) / len(ruined))

    def gradient(self, x: Array, y: Array) -> Tensor:
        """The loss of a batch, whose gradient the model's parameters then have.

        Raises ConfigurationError for a loss that is no number, and what the units raise.
        """
        self._optimizer.zero_grad()
        inputs, target = self._tensor(x), self._target(y)

        def loss() -> Tensor:
            value = self.objective.loss(self.model(inputs), target)
            if not bool(value.isfinite()):
                raise ConfigurationError("the loss is no number: scale the data and the targets")
            return value

        return self._way(self.model, loss)

    def score(self, samples: Samples) -> float:
        """Score of the model as it is, without dropout and with the running statistics of BatchNorm."""
        self.model.eval()
        total = 0.0
        with torch.no_grad():
            for x, y in samples.batches(self.batch):
                total += float(self.objective.score(self.model(self._tensor(x)), self._target(y))) * len(x)
        return total / len(samples)

    def test(self) -> float:
        """Score on the test set with the parameters of the best validation epoch, which the model then holds."""
        self.model.load_state_dict(self._best)
        return self.score(self.split.test)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return copy.deepcopy(
            {
                "done": self.done,
                "model": self.model.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "best": self._best,
                "best_score": self._best_score,
            }
        )

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state()`."""
        state = copy.deepcopy(state)
        self.done, self._best, self._best_score = state["done"], state["best"], state["best_score"]
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])

    def _require_variances(self, gradient: int) -> None:
        """Raise InterlockError where BatchNorm has met a variance that is no number: it divides by it."""
        if not all(bool(buffer.isfinite().all()) for buffer in self._statistics):
            name = str(self._type).removeprefix("torch.")
            remedy = "scale the data, or lower the rate" + (", or take precision: float64" if name == "float32" else "")
            raise self._interlock(gradient, f"is of features whose variance is beyond {name}: {remedy}")

    def _interlock(self, gradient: int, words: str) -> InterlockError:
        """That a gradient of the epoch under way cannot be followed."""
        return InterlockError(
            f"interlock gradients: gradient {gradient} of epoch {self.done + 1} {words}; `labrhel resume` goes on from "
            "the epoch before"
        )

    def _doubt(self) -> str:
        """What a unit said against its last gradient, or what helps in general."""
        said = [words for unit in self._units if unit.health is not None for words in unit.health.warnings]
        return said[0] if said else "shorten the sequences, or lower the rate"

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(values).to(self._type)

    def _target(self, values: Array) -> Tensor:
        return torch.from_numpy(values) if values.dtype.kind in "iu" else self._tensor(values)
