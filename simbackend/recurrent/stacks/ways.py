"""How a training finds the gradient of a batch: through the units' engines, or by losses alone.

    backpropagated    torch differentiates what lies between the units, and each unit's engine answers for itself
    spsa              all parameters theta are moved together, each by a random sign: two losses, whatever their number

SPSA is what is left where nothing can run backwards, and so what echoes are measured by.  With signs s and a move c,

    dL/dtheta_i  ~  s_i (L(theta + c s) - L(theta - c s)) / (2 c)

Right on average, but each draw also holds the derivatives by all other parameters, of random sign: the cosine with the
gradient is about 1/sqrt(number of parameters).  Source: Spall (1992).
"""
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Way = Callable[[nn.Module, Callable[[], Tensor]], Tensor]
"""(model, its loss) -> the loss; the parameters then have their gradients."""

MOVE = 1e-3
"""c of `spsa`: errors of order c^2, and far above the rounding of a loss in float64."""


def backpropagated(model: nn.Module, loss: Callable[[], Tensor]) -> Tensor:
    """The gradient by the units' engines."""
    value = loss()
    value.backward()
    return value


@torch.no_grad()
def spsa(model: nn.Module, loss: Callable[[], Tensor]) -> Tensor:
    """An estimate from two losses, of which the mean is returned; what is random in the model is the same in both."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    values = [parameter.clone() for parameter in trained]
    signs = [torch.randint(0, 2, value.shape).to(value.dtype) * 2 - 1 for value in values]
    random = torch.get_rng_state()
    losses = []
    for side in (MOVE, -MOVE):
        for parameter, value, sign in zip(trained, values, signs, strict=True):
            parameter.copy_(value + side * sign)
        torch.set_rng_state(random)
        losses.append(loss())
    slope = (losses[0] - losses[1]) / (2 * MOVE)
    for parameter, value, sign in zip(trained, values, signs, strict=True):
        parameter.copy_(value)
        parameter.grad = slope * sign
    return (losses[0] + losses[1]) / 2
