"""The recurrent units once more in PyTorch, as a user of PyTorch would write them: peers of `benchmarks.hru_speed`.

    eager       a loop in Python, differentiated by autograd; 500 steps, since it is a hundred times slower
    compiled    the same loop over chunks of 32 steps, each one graph of torch.compile; 1024 steps

torch.compile takes about a minute and a C++ compiler; where it fails or exceeds LIMIT, "compiled" is left out.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.rounds import Contender

CHUNK = 32
STEPS = {"eager": 500, "compiled": 1024}
LIMIT = 300  # seconds

Chunk = Callable[[dict[str, Tensor], Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def contenders(theta: Mapping[str, np.ndarray], inputs: np.ndarray, target: np.ndarray) -> dict[str, Contender]:
    """Loss gradients by name over the first STEPS steps; the model is nonlinear if there is an `alpha`."""
    parameters = {name: torch.tensor(value, requires_grad=True) for name, value in theta.items()}
    found = {}
    for name, chunk in (("eager", _chunk), ("compiled", torch.compile(_chunk, fullgraph=True))):
        steps = min(STEPS[name], inputs.shape[1] // CHUNK * CHUNK)
        # Time first, so that a step reads memory in one piece.
        u, t = (torch.tensor(values[:, :steps]).transpose(0, 1).contiguous() for values in (inputs, target))

        def run(chunk: Chunk = chunk, u: Tensor = u, t: Tensor = t) -> dict[str, np.ndarray]:
            gradients = torch.autograd.grad(_loss(chunk, parameters, u, t), list(parameters.values()))
            return {name: value.numpy() for name, value in zip(parameters, gradients, strict=True)}

        if name == "compiled":
            try:
                with _limited(LIMIT):
                    run()
            except Exception as error:  # whatever a tool chain may raise
                print(f"torch.compile left out: {str(error).splitlines()[0]}", file=sys.stderr)
                continue
        found[f"{name}, {steps} steps"] = Contender(run, steps)
    return found


def _chunk(x: dict[str, Tensor], q: Tensor, p: Tensor, u: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """End state and loss of a few steps."""
    d, half, loss = x["d"], x["d"] / 2, q.new_zeros(())
    for v, wanted in zip(u.unbind(0), t.unbind(0), strict=True):
        middle, drive = q + half * p, v @ x["B"].T
        if "alpha" in x:
            saturated = torch.tanh(x["A"] * middle + drive + x["b"])
            force = -x["alpha"] * middle - torch.sigmoid(x["c"]) * saturated
        else:
            force = drive - x["A"] * middle
        p = p + d * force
        q = middle + half * p
        loss = loss + ((q @ x["C"].T - wanted) ** 2).sum() / 2
    return q, p, loss


def _loss(chunk: Chunk, x: dict[str, Tensor], u: Tensor, t: Tensor) -> Tensor:
    q = p = u.new_zeros((u.shape[1], len(x["d"])))
    total = u.new_zeros(())
    for part, wanted in zip(u.split(CHUNK), t.split(CHUNK), strict=True):
        q, p, loss = chunk(x, q, p, part, wanted)
        total = total + loss
    return total


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after so many seconds, where the system has an alarm."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def ring(*_: Any) -> None:
        raise TimeoutError(f"no result after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
