"""One name for one resource, however the user writes its address."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pyvisa import rname

from labrhel.config.foreign_drivers import DRIVER
from labrhel.errors import ConfigurationError


def canonical_address(address: str) -> str:
    """The form of a VISA address or of a tcp: or serial: URL that two programs agree on.

    Host names become numbers where they can be resolved, device links the files they stand for; what only sets up the
    line (the baud rate) is left out.  What stands for a driver without an address stays as it is.  Raises
    ConfigurationError for what is no address.
    """
    if address.startswith(DRIVER):
        return address
    if "://" in address:
        scheme, host, port, path, _ = split_url(address)
        return f"tcp://{_host(host)}:{port}" if scheme == "tcp" else f"serial://{Path(path).resolve()}"
    parsed = parse_visa(address)
    if isinstance(parsed, (rname.TCPIPSocket, rname.TCPIPInstr)):
        parsed.host_address = _host(parsed.host_address)
    if isinstance(parsed, rname.ASRLInstr) and "/" in parsed.board:
        return f"serial://{Path(parsed.board).resolve()}"
    return str(parsed)


def parse_visa(address: str) -> rname.ResourceName:
    """The parts of a VISA address; raises ConfigurationError for what is none."""
    try:
        return rname.parse_resource_name(address)
    except rname.InvalidResourceName as error:
        raise ConfigurationError(
            f"{address!r} is no VISA address: write, for example, TCPIP::192.168.1.5::5025::SOCKET, "
            "TCPIP::192.168.1.5::hislip0::INSTR or ASRL/dev/ttyUSB0::INSTR"
        ) from error


def split_url(address: str) -> tuple[str, str, int, str, int]:
    """Scheme, host, port, path and baud rate of tcp://HOST:PORT or serial:///DEVICE?baud=RATE.

    Raises ConfigurationError for any other address.
    """
    url = urlsplit(address)
    try:
        port, extra = url.port, parse_qs(url.query, strict_parsing=True) if url.query else {}
        baud = int(extra.pop("baud", ["115200"])[0])
    except ValueError:
        port, extra, baud = None, {"?": []}, 0
    is_tcp = url.scheme == "tcp" and bool(url.hostname) and port is not None and not url.query
    is_serial = url.scheme == "serial" and not url.netloc and len(url.path) > 1 and not extra
    if not (is_tcp or is_serial):
        raise ConfigurationError(
            f"{address!r} is no address of a board: write tcp://HOST:PORT or serial:///dev/ttyUSB0?baud=921600"
        )
    return url.scheme, url.hostname or "", port or 0, url.path, baud


def _host(name: str) -> str:
    try:
        return socket.gethostbyname(name)
    except OSError:
        return name.lower()
