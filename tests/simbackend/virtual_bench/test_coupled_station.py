"""The station of the six coupled oscillators: generators in step, couplings from a source, all positions at once."""

from pathlib import Path

import numpy as np
import pytest

from labrhel.config import find, load
from labrhel.experiment.model import model_of
from labrhel.model.leapfrog import leapfrog
from simbackend.testing.plain_client import clients, upload
from simbackend.virtual_bench import virtual_bench

RATE, COUNT = 5e3, 150  # a sample each 0.2 ms, as in examples/coupled_oscillators.yaml
FILES = Path("/proc/self/fd")
COUPLING = np.linspace(0.05, 0.33, 15)


def drives():
    random = np.random.default_rng(3)
    shapes = np.array([np.convolve(random.standard_normal(COUNT), np.hanning(9), "same") for _ in range(7)])
    shapes[:, -1] = shapes[:, 0] = 0.0
    return np.round(0.4 * shapes / np.abs(shapes).max(), 4)


def expected(volts, times):
    model = model_of(load(find("coupled_oscillators")))
    theta = {"coupling": COUPLING}
    step = 2e-6
    grid = step * (np.arange(round(0.032 / step)) + 0.5)
    index = np.floor(grid * RATE * (1 + 1e-12)).astype(int)
    force = np.where(index < COUNT, volts[:, np.clip(index, 0, COUNT - 1)], 0.0)
    force = np.vstack([force[0] + force[1], force[2:]])  # u1 enters at the first oscillator, as f1 does
    ran = leapfrog(
        lambda q: model.force(q, theta), model.mass({}), model.friction({}), force, step * 1e3, np.zeros(6), np.zeros(6)
    )
    return np.array([np.interp(times, grid, q) for q in ran.q])


def test_four_generators_play_in_step_and_two_oscilloscopes_see_all_six_positions():
    names = ("awg1", "awg2", "awg3", "awg4", "scope1", "scope2", "bias")
    with virtual_bench("coupled_oscillators_hislip") as bench, clients(bench, *names) as opened:
        *generators, first, second, bias = opened
        for channel, value in enumerate(COUPLING, start=1):
            bias.write(f"sour{channel}:volt {value / 0.2:.9g}")
        assert bias.ask("syst:err?") == '0, "No error"'
        volts = drives()
        for place, samples in enumerate(volts):
            upload(generators[place // 2], place % 2 + 1, samples, rate=RATE, amplitude=2.0)
        for awg in generators[1:]:
            awg.write("TRIG1:SOUR EXT;:TRIG2:SOUR EXT")
            assert awg.ask("SYST:ERR?") == '+0,"No error"'
        generators[0].write("OUTP:TRIG ON")
        for scope in (first, second):
            for channel in (1, 2, 3):
                scope.write(f":CHAN{channel}:RANG 4")
            scope.write(
                ":ACQ:TYPE HRES;:TIM:REF LEFT;RANG 0.03;POS 0.003;:TRIG:SOUR EXT;:WAV:FORM WORD;POIN 3000;:SING"
            )
            assert scope.ask(":SYST:ERR?;:OPER:COND?") == '+0,"No error";+8'
        assert generators[0].ask("*TRG;*OPC?") == "1"
        seen = []
        for scope in (first, second):
            for channel in (1, 2, 3):
                scope.write(f":WAV:SOUR CHAN{channel}")
                numbers = [float(word) for word in scope.ask(":WAV:PRE?").split(",")]
                codes = np.frombuffer(scope.block(":WAV:DATA?"), ">u2").astype(float)
                seen.append((codes - numbers[9]) * numbers[7] + numbers[8])
        times = numbers[5] + numbers[4] * np.arange(len(codes))
    assert times[0] == pytest.approx(0.0)
    truth = expected(volts, times)
    errors = np.array(seen) - truth
    lsb = 4 / 200 / 16
    assert np.abs(truth).max() > 0.5
    # 1 mV of noise and a twelfth of a step squared; the trigger's 5 ns and the 50 Ohm are below both.
    assert errors.std() == pytest.approx(np.hypot(1e-3, lsb / np.sqrt(12)), rel=0.05)
    assert np.abs(errors.mean(axis=1)).max() < 2e-4


@pytest.mark.skipif(not FILES.is_dir(), reason="this system does not list open files")
def test_a_closed_bench_leaves_no_file_open():
    with virtual_bench("coupled_oscillators"):
        pass
    before = len(list(FILES.iterdir()))
    for _ in range(3):
        with virtual_bench("coupled_oscillators") as bench, clients(bench, "awg1", "scope1") as (awg, scope):
            awg.ask("*IDN?")
            scope.ask("*IDN?")
    assert len(list(FILES.iterdir())) == before
