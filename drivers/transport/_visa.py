"""Opening a VISA address: the fastest safe port for it, whatever the backend.

With pyvisa-py, sockets, HiSLIP and serial lines are read directly from what it has opened, by one deadline: its own
reading takes 4 kB at a time, waits a whole time-out for a closed connection, and may wait without end in a write.
Everything else (USB, GPIB, VXI-11, other backends) goes through VISA calls.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyvisa
import serial
from pyvisa.constants import StatusCode
from pyvisa.resources import MessageBasedResource, Resource
from pyvisa_py.protocols.hislip import Instrument

from drivers.transport._hislip import HislipPort
from drivers.transport._serial import SerialPort
from drivers.transport._socket import SocketPort, check_connection
from drivers.transport.deadline import Deadline
from drivers.transport.port import Port
from drivers.transport.traffic import TrafficLog


def open_visa(
    address: str, name: str, log: TrafficLog | None, seconds: float, backend: str, settings: dict[str, Any]
) -> Port:
    """Open a VISA address with a backend of pyvisa and resource attributes (`baud_rate` ...); raises OSError."""
    with _as_os_error():
        manager = pyvisa.ResourceManager(backend)
        resource = manager.open_resource(address, open_timeout=max(int(seconds * 1000), 1))
    try:
        with _as_os_error():
            for key, value in settings.items():
                setattr(resource, key, value)
            return _port(resource, name, log)
    except BaseException:
        with suppress(Exception):
            resource.close()
        raise


def _port(resource: Resource, name: str, log: TrafficLog | None) -> Port:
    session = getattr(resource.visalib, "sessions", {}).get(resource.session)
    wire = getattr(session, "interface", None)
    if isinstance(wire, socket.socket):
        check_connection(wire)
        return SocketPort(wire, name, log, resource.close)
    if isinstance(wire, Instrument):
        return HislipPort(wire, name, log, resource.close)
    if isinstance(wire, serial.Serial):
        return SerialPort(wire, name, log, resource.close)
    if isinstance(resource, MessageBasedResource):
        return VisaPort(resource, name, log)
    raise ConnectionError("this kind of resource takes no messages")


class VisaPort(Port):
    """Any message-based VISA resource, through VISA calls.  An interrupted exchange ends at its time-out."""

    forgets = False

    def __init__(self, resource: MessageBasedResource, name: str, log: TrafficLog | None) -> None:
        super().__init__(name, log)
        resource.read_termination = None
        resource.write_termination = ""
        self._resource = resource
        self._interrupted = False

    def clear(self, deadline: Deadline) -> None:
        with _as_os_error():
            self._resource.clear()
        self._held.clear()
        self.ended = False

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self) -> None:
        with _as_os_error():
            self._resource.close()

    def _write(self, data: bytes, deadline: Deadline) -> None:
        with _as_os_error():
            self._limit(deadline)
            self._resource.write_raw(data)

    def _read_into(self, view: memoryview, deadline: Deadline) -> int:
        with _as_os_error():
            self._limit(deadline)
            data, status = self._resource.visalib.read(self._resource.session, len(view))
        view[: len(data)] = data
        self.ended = status in (StatusCode.success, StatusCode.success_termination_character_read)
        return len(data)

    def _poll(self) -> bool:
        return False  # asking would mean to read

    def _limit(self, deadline: Deadline) -> None:
        if self._interrupted:
            raise ConnectionError("interrupted")
        self._resource.timeout = max(deadline.require() * 1000, 1)


@contextmanager
def _as_os_error() -> Iterator[None]:
    """VISA raises its own errors, pyvisa-py also plain exceptions of any kind."""
    try:
        yield
    except OSError:
        raise
    except pyvisa.errors.VisaIOError as error:
        if error.error_code == StatusCode.error_timeout:
            raise TimeoutError("VISA reports a time-out") from error
        raise ConnectionError(error.description) from error
    except Exception as error:
        raise ConnectionError(str(error) or type(error).__name__) from error


OpenPort = Callable[[float], Port]
"""Opens a port within some seconds; raises OSError."""
