"""The `interlocks` section: what a run is stopped for."""

from __future__ import annotations

from pydantic import Field, model_validator

from labrhel.config.fields import Fraction, NotNegative, Positive, Section


class ResumeSection(Section):
    """When a run that a reading has stopped goes on by itself, having paused with its rig safe."""

    low: float | None = Field(default=None, description="Lowest value to go on at; left out: that of the reading.")
    high: float | None = Field(default=None, description="Highest value to go on at; left out: that of the reading.")
    stays: NotNegative = Field(default=10.0, description="Seconds that the reading must stay there.")
    within: Positive = Field(default=3600.0, description="Seconds of a pause at most; then the run ends as it would.")


class ReadingSection(Section):
    """The range that a slow reading must stay in."""

    low: float = Field(default=float("-inf"), description="Lowest value that is allowed.")
    high: float = Field(default=float("inf"), description="Highest value that is allowed.")
    every: NotNegative = Field(default=1.0, description="Seconds between two readings at least.")
    resume_when: ResumeSection | None = Field(
        default=None, description="Pause instead of ending, and go on when the reading is back; left out: end."
    )

    @model_validator(mode="after")
    def _is_a_range(self) -> ReadingSection:
        if not self.low < self.high:
            raise ValueError(f"a reading needs low < high, not [{self.low:g}, {self.high:g}]; give one or both")
        again = self.resume_when
        if again is not None:
            low, high = self.low if again.low is None else again.low, self.high if again.high is None else again.high
            if not self.low <= low < high <= self.high:
                inside = f"[{self.low:g}, {self.high:g}]"
                raise ValueError(f"resume_when needs low < high inside the range {inside}, not [{low:g}, {high:g}]")
        return self


class InterlocksSection(Section):
    """Conditions on which the rig is made safe and the run ends; what is left out is not watched.

    The emergency stop, a link that is lost, values beyond limits and gradients that are no numbers stop a run always.
    """

    over_range: Fraction | None = Field(
        default=None, description="Largest share of a channel's samples that may clip in a batch of shots."
    )
    retrace: Positive | None = Field(default=None, description="Largest retrace error of a step's echoes.")
    response: Positive | None = Field(default=None, description="Largest response ratio of a step's echoes.")
    divergence: Positive | None = Field(default=None, description="Largest loss, in multiples of the lowest so far.")
    readings: dict[str, ReadingSection] = Field(
        default={}, description="By name of a knob of the rig that reads back: the range it must stay in."
    )
    patience: Positive = Field(
        default=30.0, description="Seconds that an operation may take beyond its time on the rig before it is stuck."
    )
