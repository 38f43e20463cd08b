"""A network that breaks between a run and a broker that goes on: the last will, and what waits for the run's return."""

import time
from collections.abc import Iterator

import pytest

from labrhel.shots.operations import Checkpoint, Publish
from labrhel.telemetry import Run, Settings, Telemetry
from labrhel.testing.brokers import Broker
from labrhel.testing.cable import Cable
from labrhel.testing.control import running
from labrhel.testing.subscriber import Subscriber
from labrhel.testing.waiting import wait_for

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
