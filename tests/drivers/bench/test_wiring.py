"""From model units to what stands on the wire: gains that are not 1, offsets, a safe level of 1 V, limits of terminals.

One lead has a gain of -2 and an offset of 0.3 V, another a gain of 2; the wire is looked at on the side of the
oscillators, where no driver can say what it likes to hear.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from labrhel.errors import ConfigurationError, LimitError, ProgramError
from labrhel.experiment import Experiment, load_experiment
from labrhel.shots.compile import compile
from labrhel.shots.program import Acquire, Drive, Pass, Rest, Role, ShotProgram
from labrhel.shots.waveform import Waveform
from simbackend.testing.benches import shoot
from simbackend.virtual_bench import Bench, station_text, virtual_bench

CONFIG = """
model:
  oscillators: 2
  coupling: chain
  units: {time: ms, position: m, input: N}
  parameters:
    stiffness: [1.0, 1.3]
    coupling: {value: 0.15, train: true}
    input: [[1.0], [0.0]]
  readout: {channels: [q2]}
rig: "sim:"
protocol: {rule: rhel, record: none}
optimizer: {kind: adam, steps: 1}
data:
  teacher:
    parameters: {coupling: 0.25}
    input: {amplitude: 0.3, band: [0.08, 0.35], tones: 8, seed: 3}
    samples: 60
    spacing: 0.2
    sequences: 1
  substeps: 4
  skip: 10
"""
BENCH = """
model: config.yaml
ring_down: 60ms
instruments:
  awg1: {kind: keysight_33600}
  awg2: {kind: keysight_33600}
  scope: {kind: rigol_ds1000z, noise: 1mV}
  bias: {kind: qdac2}
leads:
  - {wire: awg1.ch1, to: u1, gain: 2}
  - {wire: awg1.ch2, to: f1, gain: -2, offset: 0.3 V}
  - {wire: awg2.ch1, to: f2, gain: 0.5, load: 50}
  - {wire: awg1.trigger_out, to: awg2.trigger_in, delay: 5ns}
  - {wire: awg1.sync, to: scope.ch4}
  - {wire: q1, to: scope.ch1, gain: -0.25, offset: 0.2 V, reach: 4}
  - {wire: q2, to: scope.ch2, gain: 0.5, reach: 4}
  - {wire: bias.ch1, to: "stiffness[0]", at_zero: 0.8, per_volt: 0.1}
  - {wire: bias.ch2, to: "stiffness[1]", at_zero: 0.8, per_volt: 0.1}
  - {wire: bias.ch3, to: "coupling[0]", at_zero: 0.4, per_volt: -0.05}
"""


@contextmanager
def opened(folder: Path, *changes: tuple[str, str], config: str = CONFIG) -> Iterator[tuple[Bench, Experiment]]:
    """The experiment on a bench of its own; `changes` of the station file's text."""
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    (folder / "bench.yaml").write_text(BENCH, encoding="utf-8")
    with virtual_bench(folder / "bench.yaml") as bench:
        text = station_text(bench)
        for old, new in changes:
            assert old in text, text
            text = text.replace(old, new)
        (folder / "station.yaml").write_text(text, encoding="utf-8")
        (folder / "config.yaml").write_text(config, encoding="utf-8")
        experiment = load_experiment(folder / "config.yaml", rig_url=f"bench:{folder / 'station.yaml'}")
        try:
            yield bench, experiment
        finally:
            experiment.rig.close()


def played(bench: Bench, terminal: str) -> np.ndarray:
    """All samples of the last burst of an output [V without load], idle samples included."""
    with bench.clock.lock:
        pieces = [piece for piece in bench.world.output(terminal)._pieces if len(piece.samples) > 1]
    return pieces[-1].samples


def shot(
    experiment: Experiment, steps: int = 120, channels: tuple[str, ...] = ("q1", "q2"), **ports: float
) -> ShotProgram:
    """Constant values at ports, after a first half at zero."""
    dt, shape = experiment.task.step, np.repeat([0.0, 1.0], steps // 2)
    roles = {"u1": Role.INPUT, "f1": Role.NUDGE, "f2": Role.NUDGE}
    drives = tuple(Drive(name, Waveform.of(size * shape, dt), roles[name]) for name, size in ports.items())
    return ShotProgram(dt, Rest(), (Pass(steps, drives, Acquire(channels)),))


def test_what_is_wanted_is_on_the_wire_to_a_code_and_achieved_says_what_arrives(tmp_path: Path) -> None:
    with opened(tmp_path) as (bench, experiment):
        program = shot(experiment, u1=0.3)  # 0.15 V at a gain of 2
        compiled = compile(program, experiment.rig.capabilities, experiment.wiring)
        experiment.rig.run([compiled])
        sent, lsb = played(bench, "awg1.ch1"), compiled.passes[0].played["u1"].lsb
        (lead,) = (item for item in bench.wiring.drives if item.port == "u1")
        arrived = lead.arriving(sent[1:-1])
    assert lsb is not None and lsb < 1e-3
    assert np.abs(sent[61:-1] - 0.15).max() <= lsb
    assert np.abs(sent[1:61]).max() <= lsb
    assert np.abs(arrived - compiled.achieved("u1")).max() <= 2 * lsb
    assert compiled.achieved("u1")[-1] == pytest.approx(0.3, abs=2 * lsb)


def test_gain_and_offset_of_a_force_are_undone_on_the_wire(tmp_path: Path) -> None:
    with opened(tmp_path) as (bench, experiment):
        shoot(experiment, shot(experiment, f1=0.4, f2=0.05))
        inverted, loaded = played(bench, "awg1.ch2"), played(bench, "awg2.ch1")
        leads = {item.port: item for item in bench.wiring.drives}
    assert np.abs(inverted[61:-1] - (0.4 / -2 + 0.3)).max() < 1e-3
    assert np.abs(leads["f1"].arriving(inverted[1:-1])[:60]).max() < 2e-3
    assert np.abs(loaded[61:-1] - 0.2).max() < 1e-3  # half of it at 50 ohm, times 0.5
    assert np.abs(leads["f2"].arriving(loaded[61:-1]) - 0.05).max() < 1e-3


def test_a_shot_begins_and_ends_at_the_safe_level_and_silence_is_where_the_model_has_zero(tmp_path: Path) -> None:
    change = ("      safe: 0.300015\n", "      safe: 1.0\n")
    with opened(tmp_path, change) as (bench, experiment):
        shoot(experiment, shot(experiment, channels=(), u1=0.3))
        silent = played(bench, "awg1.ch2")
        shoot(experiment, shot(experiment, channels=(), f1=-0.5))
        driven = played(bench, "awg1.ch2")
        with bench.clock.lock:
            assert bench.world.volts("awg1.ch2") == pytest.approx(1.0, abs=1e-3)
        assert experiment.rig.capabilities.port("f1").safe.value == 1.0
        assert experiment.task.capabilities.port("f1").safe.value == pytest.approx(-2 * (1.0 - 0.3), rel=1e-4)
    for samples in (silent, driven):
        assert samples[[0, -1]] == pytest.approx([1.0, 1.0], abs=1e-3)
    assert np.abs(silent[1:-1] - 0.3).max() < 1e-3
    assert np.abs(driven[61:-1] - 0.55).max() < 1e-3


def test_readings_are_volts_in_the_record_and_positions_in_the_model(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, experiment):
        program, rig, wiring = shot(experiment, 400, u1=0.3), experiment.rig, experiment.wiring
        rig.configure(wiring.to_knobs({"stiffness": np.array([1.0, 1.3]), "coupling": np.array([0.15])}))
        (raw,) = rig.run([compile(program, rig.capabilities, wiring)])
        found = shoot(experiment, program).last.traces
    expected = shoot(load_experiment(tmp_path / "config.yaml"), program).last.traces
    for name, gain, offset in (("q1", -0.25, 0.2), ("q2", 0.5, 0.0)):
        volts, position = raw.last.traces[name], found[name]
        assert (volts.unit, position.unit) == ("V", "m")
        assert np.abs(volts.values - (expected[name].values / gain + offset)).max() < 0.1
        assert np.abs(position.values - expected[name].values).max() < 0.1 * abs(gain)
        assert np.ptp(expected[name].values) > 0.05


def test_what_a_bench_declares_is_in_volts_and_the_rules_see_model_units(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, experiment):
        volts, model = experiment.rig.capabilities, experiment.task.capabilities
    assert {item.unit for item in (*volts.ports, *volts.channels, *volts.knobs)} == {"V"}
    assert (volts.port("f1").limits.low, volts.port("f1").limits.high) == (-5.0, 5.0)
    assert (model.port("f1").limits.low, model.port("f1").limits.high) == pytest.approx((-9.4, 10.6), rel=1e-4)
    assert model.channel("q1").noise == pytest.approx(0.25 * volts.channel("q1").noise)
    seen = model.channel("q1").converter
    assert seen is not None and (seen.low, seen.high) == pytest.approx((-1.0, 1.0))
    assert (model.port("u1").unit, model.channel("q1").unit) == ("N", "m")


def test_knobs_are_set_in_volts_and_read_back_as_parameters(tmp_path: Path) -> None:
    with opened(tmp_path) as (bench, experiment):
        stiffness, coupling = np.array([1.05, 1.3]), np.array([0.15])
        knobs = experiment.wiring.to_knobs({"stiffness": stiffness, "coupling": coupling})
        got = experiment.rig.configure(knobs)
        with bench.clock.lock:
            there = [bench.world.volts(f"bias.ch{number}") for number in (1, 2, 3)]
            real = bench.world._oscillators.parameters(bench.clock.now())
    assert there == pytest.approx([2.5, 5.0, 5.0], abs=1e-3)
    assert np.allclose(real["stiffness"], stiffness, atol=1e-3) and np.allclose(real["coupling"], coupling, atol=1e-3)
    assert got["stiffness"] == pytest.approx([2.5, 5.0], abs=1e-3)
    assert experiment.wiring.to_parameters(got)["coupling"] == pytest.approx(coupling, abs=1e-3)


def test_messages_name_terminal_and_volts(tmp_path: Path) -> None:
    with opened(tmp_path) as (_, experiment):
        words = r"port u1 \(awg1\.ch1\) needs \[0 V, 30 V\], its converter reaches \[-5 V, 5 V\]"
        with pytest.raises(ProgramError, match=words):
            shoot(experiment, shot(experiment, u1=60.0))
        with pytest.raises(LimitError, match=r"bias\.ch3 would get 11 V for coupling; allowed is \[-10 V, 10 V\]"):
            experiment.rig.configure({"coupling": np.array([11.0])})


@pytest.mark.parametrize(
    ("said", "key", "place"),
    [
        ("map: {ports: {u1: {terminal: awg1.ch1, gain: 2}}}", "map.ports.u1", r"station\.yaml:\d+: rig\.ports\.u1"),
        ("map: {ports: {q1: {terminal: scope.ch1}}}", "map.ports.q1", r"station\.yaml:\d+: rig\.channels\.q1"),
        ("map: {parameters: {coupling: {matrix: 1}}}", "map.parameters.coupling", r"station\.yaml:\d+: rig\.knobs\.c"),
    ],
)
def test_a_wire_that_is_said_twice_is_an_error_that_names_both_places(
    tmp_path: Path, said: str, key: str, place: str
) -> None:
    with (
        pytest.raises(ConfigurationError, match=f"said twice, here and at .*{place}") as caught,
        opened(tmp_path, config=f"{CONFIG}{said}\n"),
    ):
        pass
    assert caught.value.key == key and caught.value.line == len(CONFIG.splitlines()) + 1
    assert caught.value.file is not None and caught.value.file.name == "config.yaml"


@pytest.mark.parametrize(
    ("old", "new", "words", "key"),
    [
        (
            "limits: [-10.0, 10.0]",
            "limits: [0.5, 4.5]",
            r"the safe level of bias puts 0 V on bias\.ch1, where knob stiffness allows \[0\.5 V, 4\.5 V\]",
            "instruments.bias",
        ),
        (
            "[bias.ch1, bias.ch2]",
            "[bias.ch1, bias.ch1]",
            r"bias\.ch1 is named twice: each entry of stiffness",
            "rig.knobs.stiffness.terminals",
        ),
        (
            "      terminal: scope.ch2\n",
            "      terminal: scope.ch2\n      select: {bias.ch1: 11 V}\n",
            r"select of q2 puts 11 V on bias\.ch1, where knob stiffness allows",
            "rig.channels.q2.select.bias.ch1",
        ),
        (
            "      safe: 0.300015\n",
            "      safe: 6.0\n",
            r"the safe level of port f1 puts 6 V on awg1\.ch2, where port f1 allows \[-5 V, 5 V\]",
            "rig.ports.f1.safe",
        ),
    ],
)
def test_what_names_a_terminal_has_to_agree(tmp_path: Path, old: str, new: str, words: str, key: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught, opened(tmp_path, (old, new)):
        pass
    assert caught.value.key == key
    assert caught.value.file is not None and caught.value.file.name == "station.yaml"


def test_limits_of_an_instrument_are_limits_of_its_terminals_and_narrow_those_of_a_knob(tmp_path: Path) -> None:
    driver = "type: drivers.instruments.qdac2.QDac2,"
    with opened(tmp_path, (driver, f"{driver} init: {{limits: {{ch3: [-1.5, 4.5]}}}},")) as (_, experiment):
        limits = experiment.rig.capabilities.knob("coupling").limits
        assert (limits.low, limits.high) == (-1.5, 4.5)
        with pytest.raises(LimitError, match=r"bias\.ch3 would get -2 V for coupling; allowed is \[-1\.5 V, 4\.5 V\]"):
            experiment.rig.configure({"coupling": np.array([-2.0])})


def test_two_knobs_on_one_terminal_share_the_range_that_both_allow(tmp_path: Path) -> None:
    narrow = "terminals: [bias.ch2]\n      per_volt: -0.05\n      at_zero: 0.4\n      limits: [-0.5, 0.5]\n"
    wide = "terminals: [bias.ch3]\n      per_volt: -0.05\n      at_zero: 0.4\n      limits: [-10.0, 10.0]\n"
    with opened(tmp_path, (wide, narrow)) as (bench, experiment):
        limits = experiment.rig.capabilities.knob("stiffness").limits
        assert (limits.low, limits.high) == (-0.5, 0.5)
        with pytest.raises(LimitError, match=r"bias\.ch2 would get 6 V for stiffness; allowed is \[-0\.5 V, 0\.5 V\]"):
            experiment.rig.configure({"stiffness": np.array([0.2, 6.0])})
        with bench.clock.lock:
            assert bench.world.volts("bias.ch2") == 0.0
