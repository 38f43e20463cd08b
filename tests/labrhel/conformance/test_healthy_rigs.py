"""Every kind of rig here passes every check that applies to it.  A new kind of rig is one line."""

from collections.abc import Callable

import numpy as np
import pytest

from labrhel.conformance import CHECKS, Outcome, Subject, judge, subject_of, summary
from labrhel.conformance.bounds import TOLERANCE
from labrhel.rig.capabilities import Reversal
from labrhel.wire.fixed_point import Format
from simbackend.fixed_point import FixedPointRig
from simbackend.rigs.reference import lossy_rig
from simbackend.rigs.simulated import ModelRig, SimulatedRig
from simbackend.testing.seeded_drivers import MODEL, STEP, Driver, subject

LOSSY = lossy_rig(np.random.default_rng(2)).model
BY_DRIVE = frozenset({Reversal.BY_DRIVE})


def sim(settings: str) -> Callable[[], Subject]:
    return lambda: subject_of(f"sim:coupled_oscillators{settings}")


def board(word: int, tolerance: float = TOLERANCE) -> Callable[[], Subject]:
    formats = Format(word, word - 4), Format(32, 30)
    return lambda: Subject(lambda: FixedPointRig(MODEL, STEP, *formats), MODEL, STEP, tolerance=tolerance)


RIGS: dict[str, Callable[[], Subject]] = {
    "ideal": sim(""),
    "noise and bits": sim("?seed=7&noise=2mV&adc_bits=12&adc_range=4&dac_bits=14"),
    "jitter, and delays of a fraction of a sample": sim("?seed=3&noise=1mV&jitter=2us&delay=4us&channel_delay=3us"),
    "a range that a pulse fills": sim("?adc_bits=10&adc_range=1"),
    "no reversal but by drive": sim("?reversal=by_drive&noise=1mV"),
    "momentum flip only": sim("?reversal=momentum_flip"),
    "the circuit of the Silverbox": lambda: subject_of("sim:silverbox?noise=1mV"),
    "friction": lambda: Subject(lambda: SimulatedRig(LOSSY), LOSSY, 0.1),
    "friction, by drive": lambda: Subject(lambda: SimulatedRig(LOSSY, offers=BY_DRIVE), LOSSY, 0.1),
    "the readable leapfrog": lambda: Subject(lambda: ModelRig(LOSSY), LOSSY, 0.1),
    "16-bit words": board(16, tolerance=0.05),  # their rounding adds up to some percent of a weak motion
    "24-bit words": board(24),
    "a driver with limits and a firmware id": lambda: subject(Driver),
}


@pytest.mark.parametrize("name", RIGS)
def test_a_healthy_rig_passes(name: str) -> None:
    with RIGS[name]() as opened:
        results = list(judge(opened))
    print(f"{name}: {summary(results)}")
    assert [str(item) for item in results if item.outcome is Outcome.FAILED] == []
    assert sum(item.outcome is Outcome.PASSED for item in results) >= 80


def test_there_are_sixty_checks_and_more_each_with_a_sentence_of_its_own() -> None:
    assert len(CHECKS) >= 60
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.find.__doc__ for check in CHECKS)


@pytest.mark.parametrize("seed", range(3))
def test_noise_as_declared_raises_no_alarm(seed: int) -> None:
    with subject_of(f"sim:coupled_oscillators?seed={seed}&noise=5mV&adc_bits=12") as opened:
        assert [str(item) for item in judge(opened) if item.outcome is Outcome.FAILED] == []
