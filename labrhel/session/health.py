"""When a run doubts its calibration: the retrace error of its steps, and what is done when it stays too large.

An echo that no longer comes back says that the rig is not any more what it was when it was calibrated.  By the `health`
section of the configuration the run then measures the paths again and goes on, or asks first, or stops.
"""

from __future__ import annotations

from labrhel import plugins
from labrhel.arrays import Array
from labrhel.config.health import HealthSection
from labrhel.errors import InterlockError
from labrhel.experiment import Experiment, calibrated
from labrhel.learning.gradient import Gradient
from labrhel.store.calibrations import CalibrationRecord

_ROUTINES = ("noise", "signs", "paths")  # what is measured again


class Health:
    """Counts steps in a row whose echo misses by too much; `recalibrations` says how often it has helped."""

    def __init__(self, section: HealthSection | None) -> None:
        self._section = section
        self._row = 0
        self.recalibrations = 0

    def doubts(self, gradient: Gradient) -> bool:
        """Whether the calibration is to be attended to after this gradient."""
        section = self._section
        if section is None:
            return False
        missed = gradient.retrace_error
        self._row = self._row + 1 if missed is not None and missed > section.retrace else 0
        return self._row >= section.steps

    def attended(self, experiment: Experiment, x: Array) -> tuple[Experiment, str]:
        """The experiment on the rig as it is now, at the coordinates `x`, and what was done.

        Raises InterlockError where the section says stop, and where nothing helps.
        """
        section = self._section
        assert section is not None
        self._row = 0
        words = f"the echo missed by more than {section.retrace:g} in {section.steps} steps in a row"
        if section.then == "stop":
            raise InterlockError(f"health: {words}: calibrate again, then `labrhel resume`")
        if self.recalibrations == section.most:
            raise InterlockError(f"health: {words}, after {section.most} recalibrations: look at the rig")
        bare = experiment.bare or experiment
        # What a run measures for itself is in its checkpoints; it is not in force for others.
        record = CalibrationRecord.holding(experiment.rig_url, experiment.calibration)
        campaign = plugins.make_campaign(bare, record, at=x)
        if section.then == "check":
            misfit, good = campaign.check()
            if good:
                return experiment, f"{words}, but one shot fits the calibration ({misfit:.2g}); going on"
            raise InterlockError(f"health: {words}, and one shot misses the calibrated model: calibrate again")
        done = list(campaign.run(campaign.plan_of(_ROUTINES)))
        failed = [item for item in done if item.finding.failed or item.finding.bad]
        if failed:
            raise InterlockError(f"health: {words}, and {failed[0].routine.name} failed: look at the rig")
        _, held = campaign.accept(done)
        if held:
            name, why = next(iter(held.items()))
            raise InterlockError(f"health: {words}, and {name} is in doubt: {why}")
        self.recalibrations += 1
        return calibrated(bare, record.current()), f"{words}: calibrated again"
