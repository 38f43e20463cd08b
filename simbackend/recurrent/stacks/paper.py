"""The configurations of the RHEL paper, as one table.

Source: Pourcel & Ernoult (2025), appendix.  All were trained with Adam, 5 seeds each, on the splits of
`labrhel.data.samples` and `labrhel.data.ppg_dalia`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from labrhel.data.ppg_dalia import READING


@dataclass(frozen=True, slots=True)
class Configuration:
    """One stack: numbers of blocks, features and oscillators, learning rate, batch, and time as a channel or not.

    `nonlinear_hidden` is the number of features of the nonlinear stack where it differs; `output_step` is 0 for
    classification, and the distance of the readings in samples for regression.
    """

    blocks: int
    hidden: int
    state: int
    rate: float
    batch: int
    time_channel: bool
    nonlinear_hidden: int | None = None
    output_step: int = 0


PAPER: Mapping[str, Configuration] = MappingProxyType(
    {
        "EigenWorms": Configuration(2, 64, 16, 1e-4, 4, time_channel=False),
        "SelfRegulationSCP1": Configuration(6, 64, 256, 1e-4, 32, time_channel=True, nonlinear_hidden=128),
        "SelfRegulationSCP2": Configuration(6, 64, 256, 1e-5, 32, time_channel=True),
        "EthanolConcentration": Configuration(4, 16, 256, 1e-5, 32, time_channel=False),
        "Heartbeat": Configuration(2, 64, 16, 1e-5, 32, time_channel=True),
        "MotorImagery": Configuration(2, 128, 16, 1e-5, 32, time_channel=True),
        "PPG-DaLiA": Configuration(6, 64, 16, 1e-4, 4, time_channel=True, output_step=READING),
    }
)
"""By name of the data set (the archive's own)."""
