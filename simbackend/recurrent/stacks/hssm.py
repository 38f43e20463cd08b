"""The Hamiltonian state-space model of the RHEL paper: recurrent units with feed-forward maps between them.

    x = encode u                                              linear, d_in -> hidden
    x = x + dropout(GLU(dropout(GELU(C q + D z))))            per block, with z = BatchNorm(x) driving the unit
    classification: log softmax(linear(mean of x over time))
    regression:     tanh(linear(x)) at every `output_step`-th sample
    made tasks:     linear(x) at every sample
    one number:     linear(mean of x over time)

Series of different lengths share a batch with NaN behind the shorter ones.  There the units run on without a drive, and
what they do is left out: of the statistics of BatchNorm, of the mean over time, and so of the gradient.

Source: Pourcel & Ernoult (2025), section 4 and appendix, after LinOSS (Rusch & Rus 2024): D is diagonal, BatchNorm
has no scale and offset of its own and takes its statistics over batch and time, GLU(x) = W1 x * sigmoid(W2 x).
Gradients: `simbackend.recurrent.stacks.layer`.
"""
# pyright: reportMissingImports=false

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, glu

from labrhel.errors import ConfigurationError
from simbackend.recurrent.stacks.units import Size, UnitFactory

DROPOUT = 0.05


class Block(nn.Module):
    """One recurrent unit between two feed-forward maps, with a skip; (batch, steps, hidden) in and out."""

    def __init__(self, hidden: int, state: int, make_unit: UnitFactory, dropout: float = DROPOUT) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(hidden, affine=False)
        self.unit = make_unit(Size(hidden, state, hidden))
        self.direct = nn.Parameter(torch.randn(hidden))
        self.dropout = nn.Dropout(dropout)
        self.gate = nn.Linear(hidden, 2 * hidden)

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """Apply one block; `there` (batch, steps) says which samples a series has, None: all."""
        if there is None:
            z = self.norm(x.reshape(-1, x.shape[-1])).view(x.shape)
        else:
            z = torch.zeros_like(x).masked_scatter(there[..., None], self.norm(x[there]))
        y = self.dropout(gelu(self.unit(z) + self.direct * z))
        return x + self.dropout(glu(self.gate(y), dim=-1))


class Classify(nn.Module):
    """Log-probabilities (batch, classes) from the mean over the time that a series has."""

    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, classes)

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """From (batch, steps, hidden)."""
        return self.linear(_mean(x, there)).log_softmax(dim=-1)


class Estimate(nn.Module):
    """Numbers of any size (batch, outputs) from the mean over the time that a series has."""

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """From (batch, steps, hidden)."""
        return self.linear(_mean(x, there))


def _mean(x: Tensor, there: Tensor | None) -> Tensor:
    if there is None:
        return x.mean(dim=1)
    return (x * there[..., None]).sum(dim=1) / there.sum(dim=1, keepdim=True)


class Regress(nn.Module):
    """Outputs in (-1, 1), (batch, steps // output_step, outputs), at the last sample of every `output_step`."""

    def __init__(self, hidden: int, outputs: int, output_step: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, outputs)
        self.output_step = output_step

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """From (batch, steps, hidden); whoever sets the targets says where a series has ended."""
        return self.linear(x[:, self.output_step - 1 :: self.output_step]).tanh()


class EveryStep(nn.Module):
    """Outputs (batch, steps, outputs) of any size, at every sample."""

    def __init__(self, hidden: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """From (batch, steps, hidden); whoever sets the targets says where a series has ended."""
        return self.linear(x)


class HSSM(nn.Module):
    """Encoder, blocks, and a head (`Classify`, `Estimate`, `Regress` or `EveryStep`); inputs (batch, steps, d_in).

    Where all inputs of a sample are NaN a series has ended.  With `time_channel` the encoder also reads time, 0 to 1
    over the sequence, as a first channel.
    """

    def __init__(self, d_in: int, blocks: list[Block], head: nn.Module, *, time_channel: bool = False) -> None:
        super().__init__()
        self.time_channel = time_channel
        self.encoder = nn.Linear(d_in + time_channel, blocks[0].direct.numel())
        self.blocks = nn.ModuleList(blocks)
        self.head = head

    def forward(self, u: Tensor) -> Tensor:
        """What the head makes of the last block."""
        there = ~u.isnan().all(dim=-1)
        if not bool(there.any(dim=1).all()):
            raise ConfigurationError("a sequence has no sample: all of it is NaN; leave it out")
        time = torch.linspace(0, 1, u.shape[1], dtype=u.dtype).expand(len(u), -1)
        if bool(there.all()):
            there = None
        else:
            time = (time * (u.shape[1] - 1) / (there.sum(dim=1, keepdim=True) - 1).clamp_min(1)).clamp_max(1)
            u = u.masked_fill(~there[..., None], 0)
        if self.time_channel:
            u = torch.cat([time[..., None], u], dim=-1)
        x = self.encoder(u)
        for block in self.blocks:
            x = block(x, there)
        return self.head(x, there)
