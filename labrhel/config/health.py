"""The `health` section: when a run doubts its calibration, and what it does then."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from labrhel.config.fields import Count, Positive, Section


class HealthSection(Section):
    """Watches the retrace error of the steps; without this section nothing is watched."""

    retrace: Positive = Field(description="Retrace error of a step beyond which the calibration is doubted.")
    steps: Count = Field(default=3, description="So many steps in a row must be beyond it.")
    then: Literal["recalibrate", "check", "stop"] = Field(
        default="recalibrate",
        description="recalibrate measures the paths again and goes on; check asks first, and stops if it must.",
    )
    most: Count = Field(default=20, description="Recalibrations in a run at most; then it stops.")
