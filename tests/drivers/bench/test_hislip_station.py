"""A bench over HiSLIP: InfiniiVision oscilloscopes with external triggers, in place of a Rigol's."""

from pathlib import Path

import numpy as np
import pytest

from labrhel.experiment import load_experiment
from labrhel.learning.checking import compare
from simbackend.testing.benches import CONFIG, gradient
from simbackend.virtual_bench import station_text, virtual_bench


@pytest.mark.slow
def test_the_gradient_over_hislip_is_that_of_the_simulated_rig(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG, encoding="utf-8")
    with virtual_bench("coupled_oscillators_hislip") as bench:
        file = tmp_path / "station.yaml"
        file.write_text(station_text(bench), encoding="utf-8")
        assert "hislip0" in file.read_text() and "InfiniiVision" in file.read_text()
        experiment = load_experiment(tmp_path / "config.yaml", rig_url=f"bench:{file}")
        try:
            found = gradient(experiment)
        finally:
            experiment.rig.close()
    expected = gradient(load_experiment(tmp_path / "config.yaml"))
    cosine, _ = compare(found.values["coupling"], expected.values["coupling"])
    assert found.loss == pytest.approx(expected.loss, rel=0.02)
    assert cosine > 0.99
    assert np.linalg.norm(found.values["coupling"]) == pytest.approx(
        np.linalg.norm(expected.values["coupling"]), rel=0.05
    )
    assert found.retrace_error < 0.05  # 8 bits
