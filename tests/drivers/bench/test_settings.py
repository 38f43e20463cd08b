"""The settings of all instruments are in the record of a run: asked once, when it begins, and nothing is changed."""

from pathlib import Path

import labrhel
from drivers.bench.rig import BenchRig
from labrhel.store import RunReader
from simbackend.testing.benches import CONFIG, bench_and_station
from simbackend.virtual_bench import Bench


def states(bench: Bench) -> dict[str, dict]:
    return {name: dict(host.device.values) for name, host in bench.hosts.items()}


def test_a_run_records_what_its_instruments_were_set_to_when_it_began(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace("record: none", "record: none, eps: 0.1"), encoding="utf-8")
    with bench_and_station(tmp_path) as (bench, file):
        experiment = labrhel.load_experiment(tmp_path / "config.yaml", rig_url=f"bench:{file}")
        assert isinstance(experiment.rig, BenchRig)
        before = states(bench)
        found = experiment.rig.settings()
        assert states(bench) == before
        assert list(found) == ["awg1", "awg2", "awg3", "awg4", "scope1", "scope2", "bias"]
        assert found["awg1"]["ch1.load"] == 50.0 and found["awg1"]["ch2.output"] is False
        assert found["bias"]["ch24.voltage"] == 0.0 and found["scope2"]["ch4.scale"] == 1.0
        assert not [key for box in found.values() for key in box if "trace" in key]
        run = experiment.run(tmp_path / "runs")
    assert RunReader(run.folder).manifest["instruments"] == found
