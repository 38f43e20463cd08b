"""A gradient from two losses: right on average, and nothing else is touched."""

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is an extra: pip install 'labrhel[torch]'")

from torch import Tensor, nn  # noqa: E402

from simbackend.recurrent.stacks.training import seeded  # noqa: E402
from simbackend.recurrent.stacks.ways import backpropagated, spsa  # noqa: E402


def model_and_inputs() -> tuple[nn.Module, Tensor]:
    with seeded(0):
        model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5), nn.Linear(2, 1)).double()
        model[0].bias.requires_grad_(False)
        return model, torch.randn(5, 3, dtype=torch.float64)


def gradient(model: nn.Module) -> Tensor:
    return torch.cat([x.grad.ravel() for x in model.parameters() if x.grad is not None])


def test_the_mean_of_many_draws_is_the_gradient() -> None:
    model, x = model_and_inputs()
    model.eval()
    backpropagated(model, lambda: model(x).square().sum())
    exact = gradient(model).clone()
    draws = []
    with seeded(1):
        for _ in range(2000):
            spsa(model, lambda: model(x).square().sum())
            draws.append(gradient(model).clone())
    found = torch.stack(draws)
    error = found.std(dim=0) / len(draws) ** 0.5
    assert ((found.mean(dim=0) - exact).abs() < 4 * error + 1e-5).all()
    assert error.max() < exact.norm() / 10


def test_both_losses_have_the_same_dropout_and_the_parameters_stay_to_the_bit() -> None:
    model, x = model_and_inputs()
    before = [value.clone() for value in model.parameters()]
    masks: list[Tensor] = []
    model[1].register_forward_hook(lambda module, given, out: masks.append(out.detach() == 0))
    with seeded(2):
        loss = spsa(model, lambda: model(x).square().sum())
    assert len(masks) == 2 and bool((masks[0] == masks[1]).all()) and bool(masks[0].any())
    assert loss.item() > 0
    assert all(bool((a == b).all()) for a, b in zip(before, model.parameters(), strict=True))
    assert model[0].bias.grad is None
