"""The configurations of the RHEL paper as data (`paper.toml`), and the sections of one training by them.

Source: Pourcel & Ernoult (2025), appendix: six sets of the UEA archive and PPG-DaLiA, linear and nonlinear units, all
trained with Adam, 5 seeds each, on the splits of `labrhel.data.samples` and `labrhel.data.ppg_dalia`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

_NONLINEAR_STEP = {"initial": 1e-4, "trained": False}
"""Of the paper's nonlinear units, which grow no adjoint from it; damped ones have no need of it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a data set: series, steps of each, channels, classes; of PPG-DaLiA subjects, readings, channels, 0."""

    series: int
    steps: int
    channels: int
    classes: int = 0


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
    shape: Shape
    time_channel: bool = False
    nonlinear_hidden: int | None = None
    output_step: int = 0
    in_paper: bool = True

    def sections(self, unit: str, engine: str, seed: int, epochs: int, data: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a configuration file for one training, with nothing left to the command line."""
        hidden = self.nonlinear_hidden if "nonlinear" in unit and self.nonlinear_hidden else self.hidden
        model = {"kind": "hssm", "unit": unit, "blocks": self.blocks, "hidden": hidden, "state": self.state}
        model["time_channel"] = self.time_channel
        if unit == "nonlinear" and self.in_paper:
            model["step"] = dict(_NONLINEAR_STEP)
        return {
            "model": model,
            "protocol": {"engine": engine},
            "optimizer": {"rate": self.rate, "batch": self.batch, "epochs": epochs, "seeds": [seed]},
            "data": dict(data),
        }


def _read() -> Mapping[str, Configuration]:
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    found = {name: Configuration(**{**row, "shape": Shape(**row["shape"])}) for name, row in rows.items()}
    return MappingProxyType(found)


PAPER: Mapping[str, Configuration] = _read()
"""By name of the data set (the archive's own)."""
