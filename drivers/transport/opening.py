"""Links by address: who leases, opens, and names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drivers.transport._serial import SerialPort, open_serial
from drivers.transport._socket import SocketPort, connect
from drivers.transport._visa import open_visa
from drivers.transport.address import parse_visa, split_url
from drivers.transport.framed import FramedLink
from drivers.transport.lease import Lease
from drivers.transport.link import Link
from drivers.transport.port import Port
from drivers.transport.replayed import ReplayedTraffic
from drivers.transport.traffic import TrafficLog
from labrhel.errors import ConfigurationError

_TERMINATORS = "\n", "\r\n", "\r"


def open_link(
    address: str,
    *,
    timeout: float = 2.0,
    terminator: str = "\n",
    marker: str | None = "*IDN?",
    retries: int = 2,
    patience: float = 5.0,
    wait: float = 0.0,
    dying: int | None = None,
    backend: str = "@py",
    settings: dict[str, Any] | None = None,
    log: TrafficLog | None = None,
    lease_folder: Path | None = None,
) -> Link:
    """Open the instrument at a VISA address, lease it for this process, and ask what it is; nothing in it changes.

    `wait` [s]: how long another owner may take to give it back; from the process `dying` it is then taken.  `settings`:
    resource attributes of pyvisa such as `baud_rate`, applied at every opening.  The rest is explained at `Link`.
    Raises ConfigurationError for what is no address, TransportError if it is taken or does not answer.
    """
    parse_visa(address)
    if terminator not in _TERMINATORS:
        raise ConfigurationError(
            f'a terminator is "\\n", "\\r\\n" or "\\r", in double quotes in a station file, not {terminator!r}'
        )
    replayed = log if isinstance(log, ReplayedTraffic) else None
    lease = None if replayed else Lease(address, folder=lease_folder, wait=wait, dying=dying)

    def open_port(seconds: float) -> Port:
        if replayed:
            return replayed.port(address)
        return open_visa(address, address, log, seconds, backend, settings or {})

    return Link(
        open_port,
        address,
        timeout=timeout,
        terminator=terminator,
        marker=marker,
        retries=retries,
        patience=patience,
        log=log,
        lease=lease,
    )


def open_framed_link(
    address: str,
    *,
    timeout: float = 1.0,
    retries: int = 2,
    patience: float = 5.0,
    wait: float = 0.0,
    log: TrafficLog | None = None,
    lease_folder: Path | None = None,
) -> FramedLink:
    """Open the board at tcp://HOST:PORT or serial:///DEVICE?baud=RATE and lease it for this process.

    `wait` [s]: how long another owner may take to give it back.  The rest is explained at `FramedLink`.
    Raises ConfigurationError for what is no address, TransportError if it is taken or cannot be reached.
    """
    scheme, host, port, path, baud = split_url(address)

    def open_port(seconds: float) -> Port:
        if scheme == "tcp":
            wire = connect(host, port, seconds)
            return SocketPort(wire, address, log, wire.close)
        line = open_serial(path, baud)
        return SerialPort(line, address, log, line.close)

    lease = Lease(address, folder=lease_folder, wait=wait)
    return FramedLink(open_port, address, timeout=timeout, retries=retries, patience=patience, log=log, lease=lease)
