"""Runs published by a real broker: what is seen, what may be asked, and that a broker that fails changes nothing."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labrhel import session
from labrhel.experiment import load_experiment
from labrhel.shots.operations import Publish
from labrhel.store import RunReader, list_runs
from labrhel.telemetry import Run, Settings, Telemetry
from labrhel.testing.brokers import Broker, python_broker
from labrhel.testing.cable import Cable
from labrhel.testing.configurations import SMALL, small
from labrhel.testing.control import running
from labrhel.testing.subscriber import Subscriber
from labrhel.testing.waiting import PATIENCE, wait_for

STEPS = 40
RUN = Run("20260101T000000Z-x-abcdef", "x", 3, "V", "ms")


def ignore(published: Publish) -> None:
    """Watch nothing."""


def slowly(published: Publish) -> None:
    """A rig that takes its time."""
    time.sleep(0.02)


def until(step: int, what: Callable[[], Any], words: str) -> Callable[[Publish], None]:
    """A rig that takes its time, and at this step as long as `what` needs."""

    def watch(published: Publish) -> None:
        slowly(published)
        if published.step == step:
            wait_for(what, words)

    return watch


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


class Background:
    """A run in a thread, whose end can be waited for."""

    def __init__(self, config: Path, root: Path, url: str, steps: int = 10_000) -> None:
        self.root, self.error = root, None
        self._experiment = load_experiment(config, steps=steps)
        self._thread = threading.Thread(target=self._run, args=(url,), daemon=True)
        self._thread.start()

    def _run(self, url: str) -> None:
        try:
            session.start(self._experiment, self.root, slowly, telemetry=url)
        except BaseException as error:
            self.error = error

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    @property
    def reader(self) -> RunReader:
        (reader,) = list_runs(self.root)
        return reader


def test_a_run_publishes_every_step_with_units_and_the_run_it_is_of(
    config: Path, tmp_path: Path, broker: Broker, subscriber: Subscriber
) -> None:
    done = session.start(load_experiment(config, steps=STEPS), tmp_path / "runs", ignore, telemetry=broker.url())
    wait_for(lambda: subscriber.state() == "done", "the last status")
    steps = [item for item in subscriber.of("scalars") if "loss" in item["scalars"]]
    assert [item["scalars"]["loss"] for item in steps] == done.losses.tolist()
    assert [item["step"] for item in steps] == list(range(STEPS))
    assert {item["run"] for item in steps} == {done.folder.name}
    assert (steps[0]["units"]["loss"], steps[0]["units"]["eps"]) == ("1", "V^2/ms")
    assert all(item["dropped"] == 0 for item in steps)
    last = subscriber.of("status")[-1]
    assert (last["name"], last["step"], last["steps"], last["dropped"]) == ("small", STEPS, STEPS, 0)
    assert last["metrics"]["test_test"] == {"value": done.metrics[0].after, "unit": "V"}
    assert last["metrics"]["loss"]["value"] == done.losses[-1]


def test_a_broker_that_speaks_nothing_later_than_3_1_1_gets_every_step_and_the_will(tmp_path: Path) -> None:
    broker = python_broker()
    broker.start()
    subscriber = Subscriber(broker.port)
    try:
        settings = Settings("127.0.0.1", broker.port, "lab/rig", version="3.1.1")
        with Cable(broker.port) as cable, Telemetry(replace(settings, port=cable.port), RUN, running()) as telemetry:
            telemetry.saw(Publish(0, {"loss": 1.0}), None)
            wait_for(lambda: subscriber.of("scalars"), "the first step")
            assert subscriber.command("pause")["ok"]
            cable.whole = False
            wait_for(lambda: subscriber.state() == "lost", "the last will")
    finally:
        subscriber.close()
        broker.stop()


def test_traces_are_thinned_and_few(config: Path, tmp_path: Path, broker: Broker, subscriber: Subscriber) -> None:
    url = broker.url(points=20, traces_per_second=5)
    begin = time.monotonic()
    session.start(load_experiment(config, steps=STEPS), tmp_path / "runs", slowly, telemetry=url)
    wait_for(lambda: subscriber.state() == "done", "the last status")
    traces = subscriber.of("traces")
    assert 1 <= len(traces) <= 1 + 5 * (time.monotonic() - begin)
    trace = traces[0]["channels"]["q2"]
    assert len(trace["values"]) == 20
    assert (trace["unit"], trace["dt"], traces[0]["time_unit"]) == ("V", pytest.approx(0.9), "ms")


def test_a_late_subscriber_sees_the_status_at_once(config: Path, tmp_path: Path, broker: Broker) -> None:
    session.start(load_experiment(config, steps=3), tmp_path / "runs", ignore, telemetry=broker.url())
    late = Subscriber(broker.port)
    wait_for(lambda: late.messages, "the retained status")
    ((topic, content, retained),) = late.messages
    assert (topic, content["state"], content["step"], retained) == ("status", "done", 3, True)
    late.close()


def test_a_run_is_paused_resumed_and_stopped_from_afar_and_goes_on_to_the_same_bits(
    config: Path, tmp_path: Path, broker: Broker, subscriber: Subscriber
) -> None:
    run = Background(config, tmp_path / "runs", broker.url())
    wait_for(lambda: subscriber.of("scalars"), "the first step")
    assert subscriber.command("resume") == {
        "run": run.reader.folder.name, "command": "resume", "ok": True, "words": "was not paused",
    }  # fmt: skip
    assert subscriber.command("pause")["ok"]
    wait_for(lambda: subscriber.state() == "paused", "the pause")
    taken = run.reader.last_checkpoint().step
    time.sleep(0.3)
    assert run.reader.last_checkpoint().step == taken
    assert run.reader.status == "paused"
    assert subscriber.command("pause")["words"] == "already paused"
    assert subscriber.command("resume")["words"] == "goes on"
    wait_for(lambda: subscriber.state() == "running" and subscriber.of("status")[-1]["step"] > taken, "more steps")
    assert "unknown command 'halt'; known are: pause, resume, stop" in subscriber.command("halt")["words"]
    assert "labrhel resume" in subscriber.command("stop")["words"]
    run.join()
    assert isinstance(run.error, KeyboardInterrupt)
    wait_for(lambda: subscriber.state() == "stopped", "the last status")
    assert run.reader.status == "interrupted"
    steps = run.reader.last_checkpoint().step
    assert len(run.reader.scalars()["loss"]) >= steps  # a stop loses no gradient that was taken
    resumed = session.resume(run.reader.folder, ignore, steps=steps + 3, telemetry=broker.url())
    whole = session.start(load_experiment(config, steps=steps + 3), tmp_path / "whole", ignore)
    np.testing.assert_array_equal(resumed.losses, whole.losses)
    wait_for(lambda: subscriber.state() == "done", "the last status")
    assert subscriber.of("status")[-1]["name"] == "small"


def test_a_run_that_is_paused_can_be_stopped(
    config: Path, tmp_path: Path, broker: Broker, subscriber: Subscriber
) -> None:
    run = Background(config, tmp_path / "runs", broker.url())
    wait_for(lambda: subscriber.of("scalars"), "the first step")
    subscriber.command("pause")
    wait_for(lambda: subscriber.state() == "paused", "the pause")
    subscriber.command("stop")
    run.join()
    wait_for(lambda: subscriber.state() == "stopped", "the last status")
    assert isinstance(run.error, KeyboardInterrupt)
    assert run.reader.status == "interrupted"


def test_a_stop_that_the_broker_retained_does_not_stop_the_next_run(
    config: Path, tmp_path: Path, broker: Broker, subscriber: Subscriber
) -> None:
    subscriber.send("stop", retain=True)
    watch = until(5, lambda: subscriber.of("reply"), "the reply")
    done = session.start(load_experiment(config, steps=STEPS), tmp_path / "runs", watch, telemetry=broker.url())
    assert len(done.losses) == STEPS
    assert "send it without retain" in subscriber.of("reply")[0]["words"]


def test_a_broker_that_stops_and_comes_back_changes_no_bit_of_the_run(
    config: Path, tmp_path: Path, broker: Broker, subscriber: Subscriber, caplog: pytest.LogCaptureFixture
) -> None:
    plain = session.start(load_experiment(config, steps=150), tmp_path / "plain", ignore)

    def interrupt(published: Publish) -> None:
        time.sleep(0.01)
        if "loss" in published.scalars and published.step == 30:
            wait_for(lambda: subscriber.of("scalars"), "the first step")
            broker.stop(signal.SIGKILL)
            cable.whole = False
        if "loss" in published.scalars and published.step == 90:
            heard = subscriber.subscriptions
            broker.start()
            wait_for(lambda: subscriber.subscriptions > heard, "the subscriber's return, before the run's")
            cable.whole = True

    with Cable(broker.port) as cable:
        url = broker.url(port=cable.port, queue=10)
        published = session.start(load_experiment(config, steps=150), tmp_path / "published", interrupt, telemetry=url)
    np.testing.assert_array_equal(published.losses, plain.losses)
    assert RunReader(published.folder).verify() == []
    wait_for(lambda: subscriber.state() == "done", "the last status")
    items = subscriber.of("scalars")
    steps = [item["step"] for item in items if "loss" in item["scalars"]]
    dropped = sum(item["dropped"] for item in items)
    assert steps[-1] == 149
    assert dropped >= 30
    assert subscriber.of("status")[-1]["dropped"] == dropped
    assert 152 <= len({str(item) for item in items}) + dropped <= 153  # a message sent twice is the same message
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert ["the run goes on" in words for words in warnings] == [True, False]
    assert warnings[1].endswith("is back")


def test_a_broker_that_is_not_there_costs_one_warning(
    config: Path, tmp_path: Path, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.stop()
    watch = until(5, lambda: caplog.records, "the warning")
    done = session.start(load_experiment(config, steps=STEPS), tmp_path / "runs", watch, telemetry=broker.url())
    assert len(done.losses) == STEPS
    assert len(caplog.records) == 1
    assert f"no connection to mqtt://127.0.0.1:{broker.port}/lab/rig" in caplog.records[0].getMessage()


def test_a_run_that_fails_says_why(config: Path, tmp_path: Path, broker: Broker, subscriber: Subscriber) -> None:
    experiment = load_experiment(config)

    def burn(published: Publish) -> None:
        if published.step == 3:
            raise ArithmeticError("the amplifier caught fire")

    with pytest.raises(ArithmeticError):
        session.start(experiment, tmp_path / "runs", burn, telemetry=broker.url())
    wait_for(lambda: subscriber.state() == "failed", "the last status")
    assert subscriber.of("status")[-1]["words"] == "ArithmeticError: the amplifier caught fire"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")
@pytest.mark.slow
def test_a_run_that_is_killed_leaves_its_last_will(tmp_path: Path, broker: Broker, subscriber: Subscriber) -> None:
    (tmp_path / "long.yaml").write_text(small(**{"steps: 12": "steps: 100000"}))
    command = [sys.executable, "-m", "labrhel", "run", "long.yaml", "--telemetry", broker.url()]
    child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    wait_for(lambda: subscriber.state() == "running" and subscriber.of("scalars"), "the run")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    wait_for(lambda: subscriber.state() == "lost", "the last will")
    (reader,) = list_runs(tmp_path / "runs")
    assert subscriber.of("status")[-1]["run"] == reader.folder.name


@pytest.mark.slow
def test_a_stop_from_afar_ends_the_command_like_ctrl_c(tmp_path: Path, broker: Broker, subscriber: Subscriber) -> None:
    section = f"telemetry: {{broker: 127.0.0.1, port: {broker.port}, prefix: lab/rig, version: {broker.version}}}\n"
    (tmp_path / "long.yaml").write_text(small(**{"steps: 12": "steps: 100000"}) + section)
    command = [sys.executable, "-m", "labrhel", "run", "long.yaml"]
    child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: subscriber.of("scalars"), "the run")
    subscriber.command("stop")
    _, said = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert "interrupted: outputs are safe" in said
    assert "Traceback" not in said
    assert subscriber.state() == "stopped"
