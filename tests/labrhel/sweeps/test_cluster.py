"""Points on the workers of a Dask cluster, which is encrypted or refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labrhel.errors import ConfigurationError, TransportError
from labrhel.store import RunReader
from labrhel.sweeps.axes import axes_of
from labrhel.sweeps.carrying import carry_out
from labrhel.sweeps.cluster import crew_at, crew_of
from labrhel.sweeps.planning import planned
from labrhel.testing.configurations import small

dask = pytest.importorskip("distributed", reason="needs the extra [cluster]: pip install 'labrhel[cluster]'")


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A scheduler and two workers with certificates of their own, in processes of their own."""
    security = dask.Security.temporary()
    with dask.LocalCluster(
        n_workers=2, threads_per_worker=1, security=security, dashboard_address=None, silence_logs=50
    ) as found:
        yield found


def test_a_client_of_an_open_cluster_is_refused() -> None:
    with (
        dask.LocalCluster(n_workers=0, dashboard_address=None, silence_logs=50) as found,
        dask.Client(found) as client,
        pytest.raises(ConfigurationError, match="listens without TLS"),
    ):
        crew_of(client)


def test_a_scheduler_that_does_not_know_our_certificates_is_one_sentence(
    cluster: "dask.LocalCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labrhel.sweeps.cluster._PATIENCE", 2.0)
    with pytest.raises(TransportError, match="does not answer as a scheduler with your certificates"):
        crew_at(cluster.scheduler_address, dask.Security.temporary())


def test_points_run_on_the_workers_and_the_same_call_again_finds_them(
    cluster: "dask.LocalCluster", tmp_path: Path
) -> None:
    file, root = tmp_path / "small.yaml", tmp_path / "runs"
    file.write_text(small(**{"steps: 12": "steps: 2"}), encoding="utf-8")
    sweep = planned(file, axes_of(["optimizer.seed=0..1"], []))
    for _ in range(2):
        crew = crew_at(cluster.scheduler_address, cluster.security)
        try:
            states = carry_out(sweep, root, crew, None)
        finally:
            crew.close()
        assert [states[point.run].status for point in sweep.points] == ["done", "done"]
    for point in sweep.points:
        assert [kind for kind, _, _ in RunReader(root / point.run).events()] == ["created", "running", "done"]
