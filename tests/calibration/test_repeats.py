"""Equal shots that differ by more than noise are told, and the errors of what is fitted to them are those of shots."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm, t

from calibration.identify import Identified
from calibration.path_model import Record
from calibration.repeats import ENOUGH, MOST, Spread, averaged, spread_of
from calibration.testing import measured, opened
from calibration.unknowns import Unknown

ORDINARY = "seed=4&noise=2mV&port_gain=2%&channel_gain=2%&port_skew=4us&channel_skew=4us&friction=20/s"
NOISE = {"q1": 0.01, "q2": 0.02}
KINDS = ("f1", "f2", "f3")


def rounds_of(count: int, *, gain: float = 0.0, late: float = 0.0, shaken: float = 0.0) -> list[list[Record]]:
    """Rounds of shots (a port each) that show three tones, and jitter by so much."""
    random, time = np.random.default_rng(7), np.arange(200)
    found = []
    for _ in range(count):
        shots = []
        for number, port in enumerate(KINDS):
            g, tau = 1 + gain * random.normal(), late * random.normal()
            push = np.cumsum(random.normal(size=200)) * shaken
            shown = {
                name: g * np.sin((0.1 + 0.03 * number) * (time - tau) + place) + push + sigma * random.normal(size=200)
                for place, (name, sigma) in enumerate(NOISE.items())
            }
            shots.append(Record({port: np.ones(200)}, shown, over_range={"q1": 1, "q2": 0}))
        found.append(shots)
    return found


def test_the_mean_of_equal_shots_counts_them_and_what_they_clip() -> None:
    (first, other) = (shots[0] for shots in rounds_of(2))
    mean = averaged([first, other])
    assert mean.repeats == 2 and mean.over_range == {"q1": 2, "q2": 0} and mean.echo is None
    np.testing.assert_allclose(mean.shown["q2"], (first.shown["q2"] + other.shown["q2"]) / 2)
    flipped = [Record({}, {"q1": np.full(3, x)}, flipped=True, echo={"q1": np.full(3, 2 * x)}) for x in (1.0, 3.0)]
    echo = averaged(flipped).echo
    assert echo is not None and echo["q1"].tolist() == [4.0] * 3


def test_what_noise_explains_is_noise() -> None:
    found = spread_of(rounds_of(2), tuple(NOISE), NOISE)
    assert found.is_noise and found.gain == found.late == 0.0
    assert found.excess == pytest.approx(1.0, abs=0.1)


def test_gains_and_triggers_that_change_are_told_apart_with_their_size() -> None:
    gains = spread_of(rounds_of(6, gain=0.01), tuple(NOISE), NOISE)
    assert not gains.is_noise and gains.late == 0.0 and gains.gain == pytest.approx(0.01, rel=0.4)
    assert "gains change by" in gains.words(1.0) and "triggers" not in gains.words(1.0)
    late = spread_of(rounds_of(6, late=0.1), tuple(NOISE), NOISE)
    assert not late.is_noise and late.gain == 0.0 and late.late == pytest.approx(0.1, rel=0.4)
    assert "triggers by" in late.words(1e-3) and "gains" not in late.words(1e-3)


def test_corners_that_are_late_by_more_or_less_are_not_called_gains() -> None:
    """Read straight between samples, a motion that is late by tau is lower by |tau|/2 of its second differences."""
    random, time, quiet = np.random.default_rng(3), np.arange(400), dict.fromkeys(NOISE, 1e-4)

    def jittering(tau: float, gain: float) -> Record:
        waves = {name: np.sin(0.2 * time + place) for place, name in enumerate(NOISE)}
        shown = {name: gain * np.interp(time - tau, time, wave) for name, wave in waves.items()}
        shown = {name: wave + 1e-4 * random.normal(size=400) for name, wave in shown.items()}
        return Record({"f1": np.ones(400)}, shown, skip=3)

    for gain in (0.0, 0.02):
        rounds = [[jittering(0.1 * random.normal(), 1 + gain * random.normal())] for _ in range(6)]
        found = spread_of(rounds, tuple(NOISE), quiet)
        assert found.late == pytest.approx(0.1, rel=0.6)
        assert found.gain == (pytest.approx(gain, rel=0.6) if gain else 0.0)


def test_the_mean_of_shots_that_are_late_by_their_own_amounts_is_fitted_as_one() -> None:
    rounds = rounds_of(6, late=0.1)
    spread = spread_of(rounds, tuple(NOISE), NOISE)
    records = [averaged(equal, number, spread.late) for number, equal in enumerate(zip(*rounds, strict=True))]
    assert [record.number for record in records] == [0, 1, 2]
    assert records[0].jitter == pytest.approx(spread.late / np.sqrt(2))
    unknowns = {item.name: item for item in spread.unknowns(records, 0.2)}
    assert set(unknowns) == {
        f"shot[{number}].{what}"
        for number in range(3)
        for what in ("outputs.delay", "outputs.blur", "readings.delay", "readings.blur", "motion.delay")
    }
    # Where motions have corners, the mean of |tau|/2.
    assert unknowns["shot[1].readings.blur"].spread == pytest.approx(np.sqrt(0.5 / np.pi) * records[0].jitter)


def test_what_is_neither_is_told_by_its_size_over_that_of_noise() -> None:
    found = spread_of(rounds_of(4, shaken=0.02), tuple(NOISE), NOISE)
    assert not found.is_noise and found.excess > 2.0


def fitted(slopes: np.ndarray) -> Identified:
    """The fit of one number, of which a hundred was plausible, to blocks of these slopes."""
    error = 100 / np.sqrt(float(np.sum(slopes**2)) + 1)
    return Identified((Unknown("x", 0.0, 100.0),), np.zeros(1), np.full((1, 1), error**2), 1.0, (), slopes)


def test_an_error_is_that_of_whole_shots_widened_for_their_number() -> None:
    """The mean of five shots, each of which is off by an amount of its own: textbook, but for what is plausible."""
    off = np.array([3.0, -1.0, 2.0, -6.0, 2.0])
    deviations = (off[:, None] * np.ones((5, 40)),)
    found = Spread(3.0, 0.1, 0.0, is_noise=False, deviations=deviations).widened(fitted(np.full((40, 1), 1e3)))
    # Slopes are of the mean's residuals in units of its noise, which is smaller by the root of five.
    of_mean = 100 / 1e3 * np.std(off, ddof=1)
    assert found.errors[0] == pytest.approx(of_mean * t.ppf(0.975, 4) / norm.ppf(0.975), rel=1e-4)


def test_an_error_is_never_below_that_of_noise_and_stays_where_noise_explains_all() -> None:
    fit = fitted(np.full((40, 1), 1e3))
    still = (np.zeros((5, 40)),)
    assert Spread(1.0, 0.0, 0.0, is_noise=True, deviations=still).widened(fit) is fit
    quiet = Spread(1.0, 0.0, 0.0, is_noise=False, deviations=(1e-6 * np.random.default_rng(0).normal(size=(5, 40)),))
    assert quiet.widened(fit).errors[0] == pytest.approx(fit.errors[0], rel=1e-6)


def test_an_ordinary_rig_is_pushed_twice_and_a_jittering_one_until_its_spread_is_known(tmp_path: Path) -> None:
    _, plain = measured(opened(tmp_path, ORDINARY), "paths")
    assert plain["paths"].shots == ENOUGH * 6 and not plain["paths"].finding.words
    _, done = measured(opened(tmp_path, f"{ORDINARY}&gain_jitter=1%"), "paths")
    found = done["paths"].finding
    assert done["paths"].shots == MOST * 6
    assert any("gains change by" in words and "errors are those of 6" in words for words in found.words)
    assert found.values["gain.jitter"].value == pytest.approx(0.01, rel=0.5)
    assert found.values["f1.gain"].error > 3 * plain["paths"].finding.values["f1.gain"].error
