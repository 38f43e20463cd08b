"""Echoes of a damped unit under friction of the other sign: a wrong gradient, kept to be compared with.

An idea for rigs that lose energy: pump it back during the echo, which then retraces the path without a record.

    q_h = q + (d/2) p;   (1 - d g/2) p' = (1 + d g/2) p + d F(q_h, u);   q' = q_h + (d/2) p'

It is retraced, but what is nudged off it grows by exp(g t) where the adjoint decays, so the gradient is that of another
unit, and over many e-folds no number at all; of the friction it says nothing.  Source: review thread of
Pourcel & Ernoult (2025); PHYSICS section 4.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labrhel.arrays import Array
from labrhel.learning.units import BackwardRun, ForwardRun
from simbackend.recurrent.engines.echoes import EchoEngine


class PumpedEngine(EchoEngine):
    """Physical echoes with the friction turned round; of a lossless unit those of `EchoEngine`."""

    name = "pumped"

    def backward(self, run: ForwardRun, cotangent: Array) -> BackwardRun:
        """What pumped echoes take for the gradients, given dL/d(outputs) (batch, steps, d_out); 0 of the friction."""
        if run.record is None:
            return super().backward(run, cotangent)
        friction = np.asarray(run.theta["g"])
        # The kernel adds what friction takes along the record: without velocities it adds nothing.
        turned = replace(run, theta={**run.theta, "g": -friction}, record=np.zeros_like(run.record))
        found = super().backward(turned, cotangent)
        return replace(found, parameters={**found.parameters, "g": np.zeros_like(friction)})
