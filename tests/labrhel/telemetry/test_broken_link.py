"""A network that breaks between a run and a broker that goes on: the last will, and what waits for the run's return."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from labrhel.shots.operations import Checkpoint, Publish
from labrhel.telemetry import Run, Settings, Telemetry
from labrhel.testing.brokers import Broker
from labrhel.testing.cable import Cable
from labrhel.testing.control import running
from labrhel.testing.subscriber import Subscriber
from labrhel.testing.waiting import PATIENCE, wait_for

RUN = Run("20260101T000000Z-x-abcdef", "x", 3, "V", "ms")


@pytest.fixture
def cable(broker: Broker) -> Iterator[Cable]:
    with Cable(broker.port) as cable:
        yield cable


@pytest.mark.needs("mosquitto")  # amqtt says of what has waited that it was retained, which a run refuses
def test_a_broken_link_is_told_by_the_will_and_a_command_waits_for_its_return(
    broker: Broker, cable: Cable, subscriber: Subscriber
) -> None:
    control, settings = running(), Settings("127.0.0.1", cable.port, "lab/rig", version=broker.version)
    with pytest.raises(KeyboardInterrupt), Telemetry(settings, RUN, control) as telemetry:
        telemetry.saw(Publish(0, {"loss": 1.0}), None)
        wait_for(lambda: subscriber.of("scalars"), "the first step")
        cable.whole = False
        wait_for(lambda: subscriber.state() == "lost", "the last will")
        telemetry.saw(Publish(1, {"loss": 0.5}), None)
        telemetry.saw(Checkpoint(2, {}), None)
        subscriber.send("stop")
        time.sleep(0.2)  # long enough for a stop that is on its way, which none may be
        control.hold()
        cable.whole = True
        wait_for(lambda: subscriber.state() == "running", "the return")
        wait_for(lambda: subscriber.of("reply"), "the reply")
        control.hold()
    wait_for(lambda: subscriber.state() == "stopped", "the last status")
    assert [item["step"] for item in subscriber.of("scalars")] == [0, 1]
    assert subscriber.of("status")[-1]["step"] == 2


class Hanging:
    """A server that takes connections, lets the first one wait until `cut`, closes each, and counts them."""

    def __init__(self) -> None:
        self.asked, self.cut, self.taken = threading.Event(), threading.Event(), 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed by the test
            while True:
                link, _ = self._server.accept()
                with link:
                    link.recv(1)
                    self.taken += 1
                    self.asked.set()
                    self.cut.wait()

    def close(self) -> None:
        self.cut.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    server = Hanging()
    yield server
    server.close()


def test_a_connection_that_ends_unanswered_is_given_up_at_once_and_not_after_the_patience(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("labrhel.telemetry.broker._PATIENCE", 10 * PATIENCE)
    with Telemetry(Settings("127.0.0.1", hanging.port, "lab"), RUN, running()):
        hanging.cut.set()
        wait_for(lambda: "it closed the connection without an answer" in caplog.text, "the warning")


def test_an_attempt_that_is_cut_while_a_run_ends_is_made_once_more(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labrhel.telemetry.publisher._BACK_OFF", (10 * PATIENCE, 10 * PATIENCE))
    with Telemetry(Settings("127.0.0.1", hanging.port, "lab"), RUN, running()):
        wait_for(hanging.asked.is_set, "the first attempt")
        threading.Timer(0.2, hanging.cut.set).start()  # while the run waits for its last messages
    wait_for(lambda: hanging.taken == 2, "the second attempt")
