"""When a run doubts its calibration, and what comes of it: over many steps, not the first alone."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labrhel.config.health import HealthSection
from labrhel.errors import InterlockError
from labrhel.learning.gradient import Gradient
from labrhel.rig.calibration import CalibratedValue, CalibrationSet
from labrhel.session import health as module
from labrhel.session.health import Health

OLD = CalibrationSet({"q1.gain": CalibratedValue(1.1, "1", 0.01, "by hand", node="paths")})
NEW = {"q1.gain": CalibratedValue(1.3, "1", 0.01, "measured", node="paths")}
X = np.array([1.0, 2.0])


def gradient(retrace: float | None) -> Gradient:
    return Gradient({}, 1.0, "rhel", 1, 1, retrace_error=retrace)


def section(**changes: Any) -> HealthSection:
    return HealthSection.model_validate({"retrace": 0.1, **changes})


def doubts(health: Health, *retraces: float | None) -> list[bool]:
    return [health.doubts(gradient(retrace)) for retrace in retraces]


def test_a_run_doubts_at_the_last_of_so_many_bad_steps_in_a_row() -> None:
    assert doubts(Health(section(steps=3)), 0.2, 0.2, 0.2) == [False, False, True]
    assert doubts(Health(section()), 0.2, 0.2, 0.2) == [False, False, True]
    assert doubts(Health(section(steps=1)), 0.05, 0.2) == [False, True]


def test_one_good_step_starts_the_count_anew() -> None:
    assert doubts(Health(section(steps=2)), 0.2, 0.1, 0.2, 0.2, 0.05, 0.2, 0.2) == [
        False, False, False, True, False, False, True,
    ]  # fmt: skip


def test_the_limit_itself_is_still_good() -> None:
    assert doubts(Health(section(steps=1)), 0.1, np.nextafter(0.1, 1)) == [False, True]


def test_a_rule_that_lets_nothing_retrace_gives_no_doubt_and_starts_the_count_anew() -> None:
    assert doubts(Health(section(steps=2)), None, 0.2, None, 0.2, 0.2) == [False, False, False, False, True]


def test_without_the_section_nothing_is_doubted() -> None:
    assert doubts(Health(None), 9.0, 9.0, 9.0, 9.0) == [False] * 4


@dataclass
class Campaign:
    """Says what it is told to, and remembers what it was asked."""

    good: bool = True
    failed: bool = False
    bad: bool = False
    held: dict[str, str] = field(default_factory=dict)
    planned: list[tuple[str, ...]] = field(default_factory=list)

    def check(self) -> tuple[float, bool]:
        return 0.25, self.good

    def plan_of(self, names: tuple[str, ...]) -> tuple[str, ...]:
        self.planned.append(names)
        return names

    def run(self, plan: tuple[str, ...]) -> list[Any]:
        done = []
        for name in plan:
            last = name == plan[-1]
            finding = SimpleNamespace(failed=self.failed and last, bad=self.bad and last)
            entry = self.record.propose("paths", NEW) if last else None
            done.append(SimpleNamespace(finding=finding, routine=SimpleNamespace(name=name), entry=entry))
        return done

    def accept(self, done: list[Any]) -> tuple[list[str], dict[str, str]]:
        entries = [item.entry for item in done if item.entry is not None and item.routine.name not in self.held]
        self.record.accept(entries)
        return [entry.node for entry in entries], self.held


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """The campaign that a run finds; the calibrated experiment is the bare one with what is in force."""
    made = Campaign()

    def make(bare: Any, record: Any, *, at: Any) -> Campaign:
        made.bare, made.record, made.at = bare, record, at
        made.before = record.current()
        return made

    monkeypatch.setattr(module.plugins, "make_campaign", make)
    monkeypatch.setattr(module, "calibrated", lambda bare, found: (bare, found))
    return made


def experiment(**changes: Any) -> Any:
    return SimpleNamespace(**{"bare": "bare", "rig_url": "sim:x", "calibration": OLD, **changes})


def attended(health: Health, **changes: Any) -> tuple[Any, str]:
    return health.attended(experiment(**changes), X)


def test_a_run_calibrates_again_at_the_point_where_it_is_and_goes_on_with_the_new_values(campaign: Campaign) -> None:
    health = Health(section(steps=1))
    (bare, found), words = attended(health)
    assert bare == campaign.bare == "bare" and campaign.at is X
    assert campaign.before == OLD
    assert found == CalibrationSet(NEW)
    assert campaign.planned == [("noise", "signs", "paths")]
    assert words == "the echo missed by more than 0.1 in 1 steps in a row: calibrated again"
    assert health.recalibrations == 1


def test_an_experiment_that_was_never_calibrated_is_its_own_bare_one(campaign: Campaign) -> None:
    lonely = experiment(bare=None)
    Health(section()).attended(lonely, X)
    assert campaign.bare is lonely


def test_after_it_was_attended_to_the_count_begins_anew(campaign: Campaign) -> None:
    health = Health(section(steps=2))
    assert doubts(health, 0.2, 0.2) == [False, True]
    attended(health)
    assert doubts(health, 0.2, 0.2) == [False, True]


def test_a_run_calibrates_so_many_times_and_then_stops(campaign: Campaign) -> None:
    health = Health(section(most=2))
    attended(health)
    attended(health)
    with pytest.raises(InterlockError, match="after 2 recalibrations: look at the rig"):
        attended(health)
    assert health.recalibrations == 2


def test_a_run_that_is_to_stop_stops_and_measures_nothing(campaign: Campaign) -> None:
    with pytest.raises(InterlockError, match="in 3 steps in a row: calibrate again, then `labrhel resume`"):
        attended(Health(section(then="stop")))
    assert not campaign.planned and not hasattr(campaign, "record")


def test_a_run_that_asks_first_goes_on_if_one_shot_fits_and_measures_nothing(campaign: Campaign) -> None:
    health, asked = Health(section(then="check")), experiment()
    same, words = health.attended(asked, X)
    assert same is asked
    assert words.endswith(r"but one shot fits the calibration (0.25); going on")
    assert health.recalibrations == 0 and not campaign.planned


def test_a_run_that_asks_first_stops_if_the_shot_misses(campaign: Campaign) -> None:
    campaign.good = False
    with pytest.raises(InterlockError, match="one shot misses the calibrated model: calibrate again"):
        attended(Health(section(then="check")))


@pytest.mark.parametrize("how", ["failed", "bad"])
def test_a_calibration_that_fails_is_not_taken_and_its_routine_is_named(campaign: Campaign, how: str) -> None:
    setattr(campaign, how, True)
    health = Health(section())
    with pytest.raises(InterlockError, match="and paths failed: look at the rig"):
        attended(health)
    assert health.recalibrations == 0
    assert campaign.record.current() == OLD


def test_a_calibration_in_doubt_is_not_taken_and_the_doubt_is_told(campaign: Campaign) -> None:
    campaign.held = {"paths": "the model leaves 3 times the noise unexplained"}
    health = Health(section())
    with pytest.raises(InterlockError, match="and paths is in doubt: the model leaves 3 times"):
        attended(health)
    assert health.recalibrations == 0
    assert campaign.record.current() == OLD
