"""Host-side read-out y = C x + y0 of the captured positions, and the loss on it.

With rho = dL/dy:   e = C^T rho (the error the echo is nudged with),   dL/dC = sum rho x^T,   dL/dy0 = sum rho.

The loss is the squared error, weighted and normalised so that L = 1 for a read-out that is always at the target's
mean:  L = sum_k w_k |y_k - t_k|^2 / (variance of the training targets * sum_k w_k).
"""

from __future__ import annotations

from dataclasses import dataclass

from labrhel.arrays import Array

READOUT = ("readout", "readout_offset")
"""Parameters of the host alone: C and y0, whose gradient needs no echo."""


@dataclass(frozen=True, slots=True)
class Readout:
    """y = gain @ x + offset; gain (outputs, channels), offset (outputs,)."""

    gain: Array
    offset: Array

    def outputs(self, x: Array) -> Array:
        """Read-out (outputs, samples) of captured positions (channels, samples)."""
        return self.gain @ x + self.offset[:, None]

    def error(self, rho: Array) -> Array:
        """Error e = C^T rho on the channels (channels, samples)."""
        return self.gain.T @ rho

    def gradients(self, x: Array, rho: Array) -> dict[str, Array]:
        """The direct terms dL/dC and dL/dy0 of the read-out."""
        return {"readout": rho @ x.T, "readout_offset": rho.sum(axis=1)}


@dataclass(frozen=True, slots=True)
class SquaredError:
    """L = sum_k w |y - t|^2 / scale, with one `scale` for all sequences of a batch."""

    scale: float

    def value(self, outputs: Array, target: Array, weight: Array) -> float:
        """Share of the loss of one sequence."""
        return float((weight * (outputs - target) ** 2).sum()) / self.scale

    def slope(self, outputs: Array, target: Array, weight: Array) -> Array:
        """The error signal rho = dL/dy (outputs, samples)."""
        return 2 * weight * (outputs - target) / self.scale
