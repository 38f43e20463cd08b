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
from typing import TYPE_CHECKING, Any

from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from simbackend.virtual_bench.faults import Fault

if TYPE_CHECKING:
    from simbackend.virtual_bench.bench import Bench


def serve_control(bench: Bench) -> Callable[[socket.socket], None]:
    """What a connection to the control port is served."""

    def serve(connection: socket.socket) -> None:
        with connection.makefile("rwb") as lines:
            for line in lines:
                lines.write(json.dumps(_answer(bench, line)).encode() + b"\n")
                lines.flush()

    return serve


def _answer(bench: Bench, line: bytes) -> dict[str, Any]:
    try:
        order = json.loads(line)
        if not isinstance(order, dict):
            raise ConfigurationError("an order is a JSON object")
        return _obey(bench, order)
    except ConfigurationError as error:
        return {"error": str(error)}
    except (ValueError, TypeError) as error:
        return {"error": f"not understood: {error}"}


def _obey(bench: Bench, order: Mapping[str, Any]) -> dict[str, Any]:
    if "now" in order:
        return {"now": bench.clock.now()}
    if "volts" in order:
        with bench.clock.lock:
            return {"volts": bench.world.volts(str(order["volts"]))}
    name = str(order.get("instrument", ""))
    if name not in bench.hosts:
        raise ConfigurationError(f"there is no instrument {name!r}; {nearest(name, bench.hosts)}")
    host = bench.hosts[name]
    if order.get("clear"):
        host.station.faults.clear()
        return {"cleared": name}
    if order.get("happened"):
        return {"happened": [fault.kind for fault in host.station.faults.happened]}
    fault = Fault.of(str(order.get("fault", "")), order.get("amount"))
    host.order(fault, int(order.get("after", 0)))
    return {"ordered": fault.kind}
