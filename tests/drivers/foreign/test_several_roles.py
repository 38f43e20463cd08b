"""One driver in several roles: a generator whose second output holds a level."""

from pathlib import Path

import pytest

import labrhel
from drivers.bench.rig import BenchRig
from labrhel.config.station import station_from
from labrhel.errors import ConfigurationError
from simbackend.testing.stock_drivers import BENCH, CONFIG, INSTRUMENTS, RIG
from simbackend.virtual_bench import virtual_bench

LEVELS = """\
    levels:
      terminals: [ch2]
      limits: [-3 V, 5 V]
      prepare:
        - "{terminal}.output": "OFF"
        - write: "OUTP{number}:LOAD INF"
        - "{terminal}.burst_state": "OFF"
        - "{terminal}.function_type": DC
      level: "{terminal}.offset"
      output: "{terminal}.output"
      on: "ON"
      off: "OFF"
      errors: error
"""
TWO_ROLES = (
    (INSTRUMENTS.partition("  bias:")[0] + RIG)
    .replace("terminals: [ch1, ch2]", "terminals: [ch1]", 1)
    .replace("  scope:\n", f"{LEVELS}  scope:\n", 1)
    .replace("terminal: awg.ch2", "terminal: awg.ch1")
    .replace("bias.ch01", "awg.ch2")
)


def test_a_generator_whose_second_output_holds_a_parameter_trains_it(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    bench_text = BENCH.replace("  bias: {kind: qdac2}\n", "").replace("  - {wire: awg.ch2, to: f1}\n", "")
    (tmp_path / "bench.yaml").write_text(bench_text.replace("bias.ch1", "awg.ch2"))
    with virtual_bench(tmp_path / "bench.yaml") as bench:
        text = TWO_ROLES
        for name, place in (("awg", "192.168.1.11::5025"), ("scope", "192.168.1.12::5555")):
            text = text.replace(f"TCPIP::{place}::SOCKET", bench.addresses[name]["socket"])
        (tmp_path / "station.yaml").write_text(text)
        with labrhel.load_experiment(
            tmp_path / "config.yaml", rig_url=f"bench:{tmp_path / 'station.yaml'}"
        ) as experiment:
            losses = [step.loss for step in experiment]
            assert len(losses) == 4 and losses[-1] < 0.5 * losses[0]
            with bench.clock.lock:
                assert bench.world.volts("awg.ch2") > 1.05  # from 1 V, towards the teacher's 2 V
            rig = experiment.rig
            assert isinstance(rig, BenchRig)
            assert set(rig.settings()) == {"awg", "scope"}
        with bench.clock.lock:
            assert [bench.world.volts(f"awg.ch{number}") for number in (1, 2)] == [0.0, 0.0]


def test_names_of_terminals_are_told_apart_and_a_driver_has_one_role_at_least(tmp_path: Path) -> None:
    twice = TWO_ROLES.replace("terminals: [ch2]", "terminals: [ch1]")
    with pytest.raises(ConfigurationError, match="ch1 is listed under outputs and under levels: give each terminal a"):
        station_from(twice, tmp_path / "station.yaml")
    wrong = TWO_ROLES.replace("terminals: [awg.ch2]", "terminals: [awg.ch1]")
    with pytest.raises(
        ConfigurationError, match=r"there is no terminal awg.ch1: instruments.awg.levels.terminals lists"
    ):
        station_from(wrong, tmp_path / "station.yaml")
    wrong = TWO_ROLES.replace("seen_by: {scope: {terminal: ch4", "seen_by: {awg: {terminal: ch4")
    with pytest.raises(ConfigurationError, match="awg is a generator and a source of levels, not a digitizer"):
        station_from(wrong, tmp_path / "station.yaml")
