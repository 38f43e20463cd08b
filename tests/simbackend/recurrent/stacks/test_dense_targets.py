"""Sequences as targets: what is not asked for weighs nothing, and a task that tells units apart by it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from labrhel.data.samples import Split  # noqa: E402
from labrhel.data.tasks import decay  # noqa: E402
from simbackend.recurrent.stacks.training import DENSE, RECALL, Training, seeded  # noqa: E402
from simbackend.recurrent.stacks.units import Size  # noqa: E402
from simbackend.testing.torch_units import UNITS, engine  # noqa: E402


def test_entries_that_are_not_asked_for_have_no_weight_and_no_gradient() -> None:
    prediction = torch.tensor([[[1.0], [5.0], [2.0]]], requires_grad=True)
    loss = DENSE.loss(prediction, torch.tensor([[[3.0], [torch.nan], [2.0]]]))
    loss.backward()
    assert loss.item() == 2.0  # the mean of 4 and 0
    assert prediction.grad is not None
    assert prediction.grad.flatten().tolist() == [-2.0, 0.0, 0.0]


def test_recall_is_the_share_of_the_steps_asked_for_that_are_right() -> None:
    nan = [torch.nan, torch.nan]
    target = torch.tensor([[nan, [1.0, 0.0], [0.0, 1.0]], [nan, [0.0, 1.0], [0.0, 1.0]]])
    prediction = torch.tensor([[[9.0, 0.0], [0.6, 0.4], [0.6, 0.4]], [[0.0, 9.0], [0.1, 0.2], [0.3, 0.4]]])
    assert float(RECALL.score(prediction, target)) == 0.75
    assert RECALL.better == 1


def test_a_damped_unit_learns_by_echoes_to_forget_as_a_lossless_one_cannot() -> None:
    random = np.random.default_rng(0)
    split = Split(*(decay(count, 100, random) for count in (48, 16, 16)))
    variance, errors = float(np.var(split.test.stacked()[1])), {}
    for kind in ("linear", "damped"):
        with seeded(0):
            unit = UNITS[kind](engine(kind, "echoes"), Size(1, 16, 1)).double()
        training = Training(unit, split, DENSE, rate=0.05, batch=8, seed=0)
        for _ in range(20):
            training.epoch()
        errors[kind] = training.test() / variance
    assert errors["damped"] < 5e-3
    assert errors["linear"] > 0.3
