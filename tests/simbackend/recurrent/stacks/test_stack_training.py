import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from labrhel.data.samples import Samples, Split, random_split  # noqa: E402
from simbackend.recurrent.stacks.hssm import HSSM, Block, Classify, Regress  # noqa: E402
from simbackend.recurrent.stacks.training import CLASSIFICATION, REGRESSION, Training, seeded  # noqa: E402
from simbackend.testing.torch_units import UNITS, TapeEngine  # noqa: E402


def tones(count: int = 40, *, regression: bool = False) -> Split:
    """Slow or fast tones of random phase: the class is the tone, or the target its frequency every 10 samples."""
    random = np.random.default_rng(0)
    inputs, targets = [], []
    for index in range(count):
        fast = index % 2
        wave = np.sin((0.3 + 0.6 * fast) * np.arange(30) + random.uniform(0, 6))
        inputs.append(wave[:, None].astype(np.float32))
        targets.append(np.full((3, 1), fast - 0.5, np.float32) if regression else np.array(fast))
    return random_split(Samples(tuple(inputs), tuple(targets)), seed=1)


def training(*, seed: int = 0, regression: bool = False, rate: float = 0.02) -> Training:
    head = (lambda: Regress(6, 1, 10)) if regression else (lambda: Classify(6, 2))
    with seeded(seed):
        blocks = [Block(6, 6, lambda size: UNITS["linear"](TapeEngine("linear"), size)) for _ in range(2)]
        model = HSSM(1, blocks, head())
    objective = REGRESSION if regression else CLASSIFICATION
    return Training(model, tones(regression=regression), objective, rate=rate, batch=7, seed=seed)


def test_a_stack_learns_to_tell_two_tones_apart() -> None:
    learner = training()
    before = learner.score(learner.split.test)
    losses = [learner.epoch().loss for _ in range(15)]
    assert losses[-1] < losses[0] / 3
    assert learner.test() == 1.0 > before


def test_a_stack_learns_by_regression_too() -> None:
    learner = training(regression=True)
    before = learner.score(learner.split.test)
    for _ in range(15):
        learner.epoch()
    assert learner.test() < before / 4


def test_the_seed_decides_everything_and_torch_s_own_stream_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    losses = [[learner.epoch().loss for _ in range(2)] for learner in (training(), training(), training(seed=1))]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    torch.testing.assert_close(torch.rand(3), expected)


def test_a_training_taken_up_again_goes_on_to_the_same_bits() -> None:
    whole, first, second = training(), training(), training()
    losses = [whole.epoch().loss for _ in range(4)]
    for _ in range(2):
        first.epoch()
    second.restore(first.state())
    assert [second.epoch().loss for _ in range(2)] == losses[2:]
    assert second.test() == whole.test()


def test_the_test_is_taken_with_the_parameters_of_the_best_validation_epoch() -> None:
    learner = training()
    scores = [learner.epoch().validation for _ in range(12)]
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter.zero_()
    learner.test()
    assert learner.score(learner.split.validation) == max(scores)


def test_scores_weight_a_short_last_batch_by_its_size() -> None:
    learner = training()
    together = Training(learner.model, learner.split, CLASSIFICATION, rate=0.02, batch=100, seed=0)
    assert learner.score(learner.split.train) == pytest.approx(together.score(learner.split.train))
