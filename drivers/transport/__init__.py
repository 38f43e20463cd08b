"""Transports: links to instruments and boards, which never take an old answer for a new one."""

from drivers.transport.address import canonical_address
from drivers.transport.commands import is_repeatable
from drivers.transport.framed import FramedLink
from drivers.transport.lease import Lease
from drivers.transport.link import Link
from drivers.transport.opening import open_framed_link, open_link
from drivers.transport.owner import LinkError
from drivers.transport.traffic import Direction, Traffic, TrafficLog, read_traffic

__all__ = [
    "Direction",
    "FramedLink",
    "Lease",
    "Link",
    "LinkError",
    "Traffic",
    "TrafficLog",
    "canonical_address",
    "is_repeatable",
    "open_framed_link",
    "open_link",
    "read_traffic",
]
