"""The emergency stop by way of a Dask cluster: every computer with a worker is reached, or named."""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from labrhel.cli.everywhere import press_everywhere
from labrhel.safety import estop, processes
from labrhel.testing.waiting import PATIENCE

dask = pytest.importorskip("distributed", reason="needs the extra [cluster]: pip install 'labrhel[cluster]'")


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A scheduler and two workers with certificates of their own, in processes of their own."""
    security = dask.Security.temporary()
    with dask.LocalCluster(
        n_workers=2, threads_per_worker=1, security=security, dashboard_address=None, silence_logs=50
    ) as found:
        yield found


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    yield
    estop.reset()


def test_a_rig_on_the_computer_of_a_worker_is_made_safe_and_held_back(cluster: Any) -> None:
    calls: list[str] = []
    said: list[str] = []
    with processes.listening("bench:there.yaml", lambda: calls.append("safe")):
        assert press_everywhere(cluster.scheduler_address, said.append, cluster.security, patience=PATIENCE)
        assert estop.latched()
    assert calls and sum("bench:there.yaml" in line and "safe after" in line for line in said) == 2
    assert {line.partition(": ")[0] for line in said} == set(cluster.scheduler_info["workers"])


@pytest.mark.skipif(sys.platform == "win32", reason="no process can be halted there")
def test_a_worker_that_does_not_answer_is_named_and_the_stop_was_no_success(cluster: Any) -> None:
    hung = next(iter(cluster.workers.values()))
    os.kill(hung.pid, signal.SIGSTOP)
    said: list[str] = []
    try:
        assert not press_everywhere(cluster.scheduler_address, said.append, cluster.security, patience=3.0)
    finally:
        os.kill(hung.pid, signal.SIGCONT)
    assert any(line.startswith(f"{hung.worker_address}: NOT REACHED: it does not answer") for line in said)


def test_a_scheduler_that_is_open_or_not_there_is_not_reached() -> None:
    said: list[str] = []
    assert not press_everywhere("tcp://127.0.0.1:1", said.append)
    assert said[0].startswith("NOT REACHED: tcp://127.0.0.1:1: a scheduler without TLS")
