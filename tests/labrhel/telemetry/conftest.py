"""A broker and a subscriber for each test."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from labrhel.testing.brokers import Broker, a_broker
from labrhel.testing.subscriber import Subscriber


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = a_broker(folder)
    broker.start()
    yield broker
    broker.stop(signal.SIGKILL)


@pytest.fixture
def subscriber(broker: Broker) -> Iterator[Subscriber]:
    subscriber = Subscriber(broker.port)
    yield subscriber
    subscriber.close()
