"""A network that breaks between a run and a broker that goes on: the last will, and what waits for the run's return."""

import selectors
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from labrhel.shots.operations import Checkpoint, Publish
from labrhel.telemetry import Run, Settings, Telemetry
from labrhel.testing.brokers import Broker, Subscriber
from labrhel.testing.control import running
from labrhel.testing.waiting import wait_for

RUN = Run("20260101T000000Z-x-abcdef", "x", 3, "V", "ms")


class Cable:
    """A port that leads to another one, until it is cut."""

    def __init__(self, port: int) -> None:
        self.whole, self._to = True, port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._open = True
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._server, selectors.EVENT_READ)
            ends: dict[socket.socket, socket.socket] = {}
            while self._open:
                for key, _ in ready.select(0.02):
                    if key.fileobj is self._server:
                        near, far = self._server.accept()[0], socket.create_connection(("127.0.0.1", self._to))
                        ends |= {near: far, far: near}
                        ready.register(near, selectors.EVENT_READ)
                        ready.register(far, selectors.EVENT_READ)
                    elif isinstance(key.fileobj, socket.socket) and self.whole:
                        try:
                            data = key.fileobj.recv(65536)
                            ends[key.fileobj].sendall(data)
                        except OSError:
                            data = b""
                        if not data:
                            ready.unregister(key.fileobj)
                if not self.whole:
                    for end in ends:
                        if end in ready.get_map():
                            ready.unregister(end)
                        end.close()
                    ends.clear()

    def close(self) -> None:
        self._open = False
        self._thread.join(5)
        self._server.close()


@pytest.fixture
def cable(broker: Broker) -> Iterator[Cable]:
    cable = Cable(broker.port)
    yield cable
    cable.close()


def test_a_broken_link_is_told_by_the_will_and_a_command_waits_for_its_return(
    cable: Cable, subscriber: Subscriber
) -> None:
    control, settings = running(), Settings("127.0.0.1", cable.port, "lab/rig")
    with pytest.raises(KeyboardInterrupt), Telemetry(settings, RUN, control) as telemetry:
        telemetry.saw(Publish(0, {"loss": 1.0}), None)
        wait_for(lambda: subscriber.of("scalars"), "the first step")
        cable.whole = False
        wait_for(lambda: subscriber.state() == "lost", "the last will")
        telemetry.saw(Publish(1, {"loss": 0.5}), None)
        telemetry.saw(Checkpoint(2, {}), None)
        subscriber.send("stop")
        time.sleep(0.2)
        control.hold()  # nobody has told the run yet
        cable.whole = True
        wait_for(lambda: subscriber.state() == "running", "the return")
        wait_for(lambda: subscriber.of("reply"), "the reply")
        control.hold()
    wait_for(lambda: subscriber.state() == "stopped", "the last status")
    assert [item["step"] for item in subscriber.of("scalars")] == [0, 1]
    assert subscriber.of("status")[-1]["step"] == 2
