"""The station file of a virtual bench: what a person would write who had wired a real one like it.

It holds addresses, nominal wiring and nominal noise; what the device's seed has drawn is not in it, and has to be
found by calibration as on any bench.
"""

from __future__ import annotations

import re
from collections import defaultdict
from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from simbackend.bench.bench import Bench
from simbackend.bench.spec import LeadSection
from simbackend.simulable import Simulable

_DRIVERS = {
    "keysight_33600": "drivers.instruments.keysight_33600.Keysight33600",
    "rigol_ds1000z": "drivers.instruments.rigol_ds1000z.RigolDS1000Z",
    "infiniivision": "drivers.instruments.infiniivision.InfiniiVision",
    "qdac2": "drivers.instruments.qdac2.QDac2",
    "e36300": "drivers.instruments.e36300.E36300",
    "red_pitaya": "drivers.instruments.red_pitaya.RedPitaya",
}
_SPAN = 5.0  # V: limits of outputs and levels, and what oscilloscopes must show is a part of it
_SHOWN = 2.0
_LEVEL = 1.0  # V: half of what a logic line rises to


def station_of(bench: Bench) -> dict[str, Any]:
    """The station as data, as `labrhel.config.station` reads it."""
    spec, model = bench.spec, bench.model
    ports: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    seen: dict[str, Any] = {}
    entries: defaultdict[str, dict[int, tuple[LeadSection, str]]] = defaultdict(dict)
    trigger = ""
    for lead in spec.leads:
        box, _, own = lead.to.partition(".")
        if lead.to in _ports(model):
            ports[lead.to] = _port(lead)
        elif re.fullmatch(r"q\d+", lead.wire):
            channels[lead.wire] = _channel(lead, spec.instruments[box].options().get("noise", 0.0))
        elif lead.wire.endswith(".sync"):
            seen[box] = {"terminal": own, "level": f"{_LEVEL} V", "delay": f"{lead.delay or 0.0} s"}
            trigger = lead.wire.partition(".")[0]
        elif lead.wire.endswith(".trigger_out"):
            trigger = trigger or lead.wire.partition(".")[0]
        elif "[" in lead.to:
            name, _, index = lead.to.rstrip("]").partition("[")
            entries[name][int(index)] = (lead, lead.wire)
    return {
        "instruments": {
            name: {"type": _DRIVERS[spec.instruments[name].kind], "address": next(iter(addresses.values()))}
            for name, addresses in bench.addresses.items()
        },
        "rig": {
            "trigger": {"fired_by": trigger, "seen_by": seen},
            "ring_down": f"{spec.ring_down} s",
            "settle": "0 s",
            "ports": ports,
            "channels": channels,
            "knobs": {name: _knob(leads) for name, leads in entries.items()},
        },
    }


def station_text(bench: Bench) -> str:
    """The station as YAML."""
    yaml, text = YAML(), StringIO()
    yaml.default_flow_style = None
    yaml.width = 120
    yaml.dump(station_of(bench), text)
    return text.getvalue()


def _ports(model: Simulable) -> tuple[str, ...]:
    return (*model.inputs, *(f"f{number}" for number in range(1, model.size + 1)))


def _port(lead: LeadSection) -> dict[str, Any]:
    load = lead.load or 1e6
    gain = (1.0 if lead.gain is None else lead.gain) * load / (load + 50.0)
    return {"terminal": lead.wire, "gain": gain, "limits": [f"{-_SPAN} V", f"{_SPAN} V"], "delay": _seconds(lead)}


def _channel(lead: LeadSection, noise: float) -> dict[str, Any]:
    shown = [f"{-_SHOWN} V", f"{_SHOWN} V"]
    gain = 1.0 if lead.gain is None else 1.0 / lead.gain
    found = {"terminal": lead.to, "gain": gain, "range": shown, "delay": _seconds(lead), "noise": f"{noise} V"}
    return found | ({} if lead.offset is None else {"offset": f"{lead.offset} V"})


def _knob(leads: dict[int, tuple[LeadSection, str]]) -> dict[str, Any]:
    first = leads[min(leads)][0]
    return {
        "terminals": [leads[index][1] for index in sorted(leads)],
        "per_volt": 1.0 if first.per_volt is None else first.per_volt,
        "at_zero": first.at_zero or 0.0,
        "limits": ["0.0 V", f"{_SPAN} V"],
    }


def _seconds(lead: LeadSection) -> str:
    return f"{lead.delay or 0.0} s"
