"""The side channel of a bench: a TCP port of its own, over which faults are ordered and time is asked for.

One JSON object a line, one answer a line:

    {"instrument": "awg1", "fault": "late", "amount": 0.5, "after": 3}      -> {"ordered": "late"}
    {"instrument": "awg1", "clear": true}                                   -> {"cleared": "awg1"}
    {"instrument": "awg1", "happened": true}                                -> {"happened": ["late"]}
    {"volts": "awg1.ch1"}                                                   -> {"volts": 0.0}      now, without load
    {"now": true}                                                           -> {"now": 12.5}       seconds on the bench
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from typing import Any

from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from simbackend.virtual_bench.faults import Fault
from simbackend.virtual_bench.host import Host
from simbackend.virtual_bench.world.world import World


def serve_control(hosts: Mapping[str, Host], world: World) -> Callable[[socket.socket], None]:
    """What a connection to the control port is served: orders for the `hosts` that there are by then."""

    def serve(connection: socket.socket) -> None:
        with connection.makefile("rwb") as lines:
            for line in lines:
                lines.write(json.dumps(_answer(hosts, world, line)).encode() + b"\n")
                lines.flush()

    return serve


def _answer(hosts: Mapping[str, Host], world: World, line: bytes) -> dict[str, Any]:
    try:
        order = json.loads(line)
        if not isinstance(order, dict):
            raise ConfigurationError("an order is a JSON object")
        return _obey(hosts, world, order)
    except ConfigurationError as error:
        return {"error": str(error)}
    except (ValueError, TypeError) as error:
        return {"error": f"not understood: {error}"}


def _obey(hosts: Mapping[str, Host], world: World, order: Mapping[str, Any]) -> dict[str, Any]:
    if "now" in order:
        return {"now": world.clock.now()}
    if "volts" in order:
        with world.clock.lock:
            return {"volts": world.volts(str(order["volts"]))}
    name = str(order.get("instrument", ""))
    if name not in hosts:
        raise ConfigurationError(f"there is no instrument {name!r}; {nearest(name, hosts)}")
    host = hosts[name]
    if order.get("clear"):
        host.station.faults.clear()
        return {"cleared": name}
    if order.get("happened"):
        return {"happened": [fault.kind for fault in host.station.faults.happened]}
    fault = Fault.of(str(order.get("fault", "")), order.get("amount"))
    host.order(fault, int(order.get("after", 0)))
    return {"ordered": fault.kind}
