"""What no stack can learn from, and what no number can hold: one sentence each, and no score without a word."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from labrhel.data import memory  # noqa: E402
from labrhel.errors import ConfigurationError, InterlockError  # noqa: E402
from labrhel.testing.command_line import Shell  # noqa: E402
from simbackend.recurrent.stacks.engines import make_engine  # noqa: E402
from simbackend.recurrent.stacks.experiment import load  # noqa: E402
from simbackend.recurrent.stacks.hssm import HSSM, Block, Classify  # noqa: E402
from simbackend.recurrent.stacks.layer import Unit  # noqa: E402
from simbackend.recurrent.stacks.training import DENSE, Training  # noqa: E402
from simbackend.recurrent.stacks.units import Beginning, DampedLinearUnit, Size  # noqa: E402

TASK = "task: {kind: classes, steps: 20, sequences: 24, channels: 1, classes: 2}"
CONFIG = f"""\
model: {{kind: hssm, unit: nonlinear, blocks: 1, hidden: 4, state: 4}}
protocol: {{engine: echoes, precision: float64}}
optimizer: {{rate: 0.02, epochs: 2, batch: 8, seeds: [0]}}
data: {{{TASK}}}
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def written(shell: Shell, *changes: tuple[str, str]) -> str:
    text = CONFIG
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    shell.write(text, "a.yaml")
    return "a.yaml"


def series(shell: Shell, scale: float = 1.0, labels: tuple[str, ...] = ("a", "b")) -> tuple[str, str]:
    """Two classes in a file, and the change of the configuration that names it."""
    random = np.random.default_rng(0)
    y = np.arange(24) % 2
    x = scale * (random.normal(size=(24, 1, 20)) + y[:, None, None])
    np.savez(shell.folder / "x.npz", X_train=x[:16], y_train=y[:16], X_test=x[16:], y_test=y[16:], labels=labels)
    return TASK, "file: x.npz"


NARROW, LINEAR = ("float64", "float32"), ("unit: nonlinear", "unit: linear")


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ([("echoes,", "echoes, eps: 1.0e+200,")], 3, "leave out eps, which is 1e+200, take"),
        ([("echoes,", "echoes, eps: 1.0e-200,")], 3, "left but rounding: leave out eps, which is 1e-200, take"),
        ([("echoes,", "echoes, eps: 1.0e-60,"), NARROW], 2, "a.yaml:2: protocol.eps: eps is 1e-60, and float32 holds"),
        ([("rate: 0.02", "rate: 1.0e+30")], 3, "interlock"),
        ([("steps: 20", "steps: 1"), ("kind: classes", "kind: decay"), (", channels: 1, classes: 2", ""),
          ("batch: 8", "batch: 1")], 2, "one batch is a single sample, which has no variance"),
        ([("steps: 20", "steps: 1000000000"), ("sequences: 24", "sequences: 1000000")], 2, "GB of memory or more, and"),
        ([("classes: 2}", "classes: 1}")], 2, "all sequences are of the class '0': there is nothing to tell"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_ends_in_one_sentence(
    shell: Shell, changes: list[tuple[str, str]], status: int, words: str
) -> None:
    ended, said, complaint = shell("run", written(shell, *changes))
    assert ended == status
    assert words in complaint
    assert complaint.startswith("error: ") and complaint.count("\n") == 1
    assert "test accuracy" not in said


def test_features_beyond_float32_stop_the_training_and_float64_holds_them(shell: Shell) -> None:
    ended, _, complaint = shell("run", written(shell, LINEAR, NARROW, series(shell, 1e37)))
    assert ended == 3
    assert "features whose variance is beyond float32: scale the data" in complaint
    assert shell("run", written(shell, series(shell, 1e37)))[0] == 0


def test_a_class_that_nothing_is_learned_of_is_said_before_and_after(shell: Shell) -> None:
    name = written(shell, series(shell, labels=("a", "b", "c")))
    words = "warning: no sequence that seed 0 learns from is of the class 'c'"
    assert words in shell("run", name, "--dry-run")[1]
    assert words in shell("run", name)[1]


def test_a_gradient_that_does_not_fit_is_refused_before_it_is_taken(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "most", lambda: 300_000_000)
    ended, _, complaint = shell("run", written(shell, ("steps: 20", "steps: 300000")))
    assert ended == 2
    assert (
        "a gradient of 8 sequences of 300000 steps takes 0.538 GB of memory or more, and 0.3 GB are left" in complaint
    )


def test_a_training_that_leaves_the_range_of_numbers_is_stopped_and_the_configuration_is_not_blamed(
    shell: Shell,
) -> None:
    file = shell.folder / written(shell)
    training: Training = load(file, home=file.parent, steps=None, seed=None).training(0)
    training.epoch()
    with torch.no_grad():
        next(module for module in training.model.modules() if isinstance(module, Unit)).coordinates["B"].fill_(
            torch.inf
        )
    with pytest.raises(InterlockError, match=r"gradient 1 of epoch 2 could not be taken: B of the .* lower the rate"):
        training.epoch()


def test_a_target_that_asks_for_nothing_and_a_series_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="a batch asks for nothing"):
        DENSE.loss(torch.ones(1, 2, 1), torch.full((1, 2, 1), torch.nan))
    stack = HSSM(
        1, [Block(2, 2, lambda size: DampedLinearUnit(make_engine("damped", "adjoint"), size))], Classify(2, 2)
    )
    with pytest.raises(ConfigurationError, match="a sequence has no sample"):
        stack(torch.tensor([[[0.0], [1.0]], [[torch.nan], [torch.nan]]]))


def test_oscillators_may_begin_with_any_friction_and_stiffness() -> None:
    beginning = Beginning(friction=200.0, stiffness=(0.01, 500.0))
    theta = DampedLinearUnit(make_engine("damped", "adjoint"), Size(1, 50, 1), beginning).theta()
    torch.testing.assert_close(theta["g"], torch.full((50,), 200.0))
    assert bool(((theta["A"] > 0.009) & (theta["A"] < 501)).all())
