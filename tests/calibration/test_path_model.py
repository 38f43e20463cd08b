"""What a rig with given errors would show."""

from dataclasses import replace

import numpy as np
import pytest

from calibration import path_model
from calibration.path_model import BenchModel, Record
from labrhel.model.motion import run
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rigs.simulated import SimulatedRig

STEP, STEPS, CHANNELS = 0.1, 80, ("q1", "q2")
MODEL = OscillatorNetwork(2, coupling="chain", nominal={"coupling": 0.3, "stiffness": [1.0, 1.4]})
WAVE = np.sin(0.7 * STEP * np.arange(STEPS))
SHOT, FLIPPED = Record({"f1": WAVE}, {"q1": WAVE}), Record({"f2": WAVE}, {"q1": WAVE}, flipped=True)
KNOWN = {"f1.gain": 1.02, "f2.gain": 0.97, "f1.offset": 0.01, "f2.delay": 0.02, "q1.gain": 1.1, "q2.offset": 0.03}
KNOWN |= {"q2.delay": 0.04, "flip.gain": 1.03, "flip[1].offset": 0.02, "coupling[0].factor": 0.9}


def bench() -> BenchModel:
    return BenchModel(MODEL, {}, SimulatedRig(MODEL).capabilities, STEP)


def test_what_was_remembered_is_what_another_model_of_the_rig_computes() -> None:
    remembering = bench()
    for name in ("", *KNOWN):
        values = KNOWN | ({name: KNOWN[name] + 0.01} if name else {})
        for shot in (SHOT, FLIPPED):
            for found, wanted in zip(
                remembering.shows(shot, values, CHANNELS, STEPS),
                bench().shows(shot, values, CHANNELS, STEPS),
                strict=True,
            ):
                assert (found is None) == (wanted is None)
                assert found is None or wanted is None or np.array_equal(found, wanted)


def test_a_motion_that_a_value_leaves_as_it_is_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    count = []
    monkeypatch.setattr(path_model, "run", lambda *asked: [count.append(1), run(*asked)][1])
    model, moving = bench(), []
    for name in ("", *KNOWN):
        before = len(count)
        model.shows(SHOT, KNOWN | ({name: KNOWN[name] + 0.01} if name else {}), CHANNELS, STEPS)
        moving += [name] * (len(count) > before)
    assert moving == ["", "f1.gain", "f1.offset", "coupling[0].factor"]


def late(outputs: float, readings: float, echo: float = 0.0) -> dict[str, float]:
    """Triggers of shot 0 [kicks]."""
    parts = {"outputs": outputs, "readings": readings, "echo": echo}
    return {f"shot[0].{name}.delay": STEP * value for name, value in parts.items()}


@pytest.mark.parametrize("flipped", [False, True])
def test_the_mean_of_shots_with_triggers_of_their_own_is_shown_as_such(*, flipped: bool) -> None:
    """It has no corners at the kicks, and is no shot at the mean of the triggers: that is off by hundredths."""
    jitter, step = 0.3, 4 * STEP
    model = BenchModel(MODEL, {}, SimulatedRig(MODEL).capabilities, step)
    shot = Record({"f1": np.sin(0.5 * np.arange(STEPS))}, {"q1": WAVE}, flipped=flipped)
    some = np.random.default_rng(0).normal(size=(60, 3))

    def shown(record: Record, values: dict[str, float]) -> list[np.ndarray]:
        parts = model.shows(record, values, CHANNELS, STEPS)
        return [part[:, 2:-2] for part in parts if part is not None]

    found = [shown(shot, late(*(4 * jitter * at))) for at in np.concatenate([some, -some])]
    smeared, still = shown(replace(shot, jitter=jitter), {}), shown(shot, {})
    assert len(still) == 1 + flipped
    for index, sharp in enumerate(still):
        mean = np.mean([parts[index] for parts in found], axis=0)
        assert np.std(smeared[index] - mean) < 0.01 * np.std(mean)
        assert np.std(sharp - mean) > 0.03 * np.std(mean)


def test_a_jitter_that_is_next_to_nothing_shows_what_none_does() -> None:
    for delay in (-1.3, 0.0, 0.4, 2.0):
        values = KNOWN | late(delay, delay)
        sharp, _ = bench().shows(SHOT, values, CHANNELS, STEPS)
        found, _ = bench().shows(replace(SHOT, jitter=1e-9), values, CHANNELS, STEPS)
        assert np.allclose(found, sharp, atol=1e-7)


def test_a_blur_is_second_differences_of_what_is_seen() -> None:
    plain, _ = bench().shows(SHOT, {}, CHANNELS, STEPS)
    found, _ = bench().shows(SHOT, {"shot[0].readings.blur": 0.1}, CHANNELS, STEPS)
    assert np.allclose(found[:, 1:-1] - plain[:, 1:-1], 0.1 * np.diff(plain, 2))
    assert np.array_equal(found[:, [0, -1]], plain[:, [0, -1]])


def test_a_blur_of_outputs_is_one_of_what_the_ports_play() -> None:
    blurred = WAVE.copy()
    blurred[1:-1] += 0.1 * np.diff(WAVE, 2)
    wanted, _ = bench().shows(replace(SHOT, played={"f1": blurred}), {}, CHANNELS, STEPS)
    found, _ = bench().shows(SHOT, {"shot[0].outputs.blur": 0.1}, CHANNELS, STEPS)
    assert np.allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("shot", [SHOT, FLIPPED])
def test_a_motion_that_is_late_between_ports_and_channels_is_hardly_seen(shot: Record) -> None:
    """If the push is over before the flip."""
    fading = np.clip(STEPS - 10 - np.arange(STEPS), 0, 20) / 20
    shot = replace(shot, played={port: fading * wave for port, wave in shot.played.items()})
    plain, motion, outputs = (
        bench().shows(shot, values, CHANNELS, STEPS)
        for values in ({}, {"shot[0].motion.delay": STEP}, {"shot[0].outputs.delay": STEP})
    )
    for before, between, after in zip(plain, motion, outputs, strict=True):
        if before is not None and between is not None and after is not None:
            seen, whole = (np.std((item - before)[:, 2:-2]) for item in (between, after))
            assert seen < 0.02 * whole
