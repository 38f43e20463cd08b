"""A broker and a subscriber for each test; without mosquitto the tests skip."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrhel.testing.brokers import MOSQUITTO, Broker, Subscriber


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed; Debian and Ubuntu: apt-get install mosquitto")
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder)
    broker.start()
    yield broker
    broker.stop(signal.SIGKILL)


@pytest.fixture
def subscriber(broker: Broker) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.port)
    yield subscriber
    subscriber.close()
