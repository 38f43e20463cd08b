"""The examples of long memories, shortened until they are learned in seconds."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from labrhel.config import examples  # noqa: E402
from simbackend.recurrent.stacks.experiment import load  # noqa: E402
from simbackend.recurrent.stacks.training import Training  # noqa: E402

torch.set_num_threads(1)


def training(example: str, *changes: str, engine: str = "echoes") -> Training:
    file = examples()[example]
    changes = (f"protocol.engine={engine}", "optimizer.batch=25", *changes)
    return load(file, home=file.parent, steps=None, seed=None, changes=changes).training(0)


def test_damped_integrators_learn_by_echoes_to_add_two_marked_numbers_of_fifty() -> None:
    learning = training(
        "adding", "data.task.steps=50", "data.task.sequences=1000", "model.step.initial=0.14", "optimizer.rate=0.005"
    )
    before = learning.score(learning.split.test)
    for _ in range(6):
        learning.epoch()
    assert before > 0.15  # the variance of the sum of two: 1/6
    assert learning.test() < 0.03


def test_a_lossless_stack_learns_by_echoes_to_say_again_what_it_heard_and_bptt_takes_the_same_steps() -> None:
    changes = ("data.task.steps=30", "data.task.sequences=600", "model.state=48")
    learning, other = training("copy_memory", *changes), training("copy_memory", *changes, engine="bptt")
    assert learning.epoch().loss == pytest.approx(other.epoch().loss, rel=1e-2)
    for _ in range(4):
        learning.epoch()
    assert learning.test() > 0.7  # one in eight by chance
