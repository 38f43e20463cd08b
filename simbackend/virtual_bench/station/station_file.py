"""The station file of a virtual bench, as `bench:FILE` reads it (labrhel.config.station): what its owner would write.

It holds what one knows of a bench: addresses, nominal gains and delays, ranges; never what a device's seed has drawn.
"""

from __future__ import annotations

import math
from collections import defaultdict
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labrhel import plugins
from simbackend.models.simulable import Simulable
from simbackend.virtual_bench.station.catalog import entry_of
from simbackend.virtual_bench.station.spec import BenchSpec
from simbackend.virtual_bench.station.wiring import Wiring
from simbackend.virtual_bench.world.leads import Drive, Line, Turn

if TYPE_CHECKING:
    from simbackend.virtual_bench.bench import Bench

_TRIGGER_LEVEL = 1.5  # V
_SPAN = 5.0  # V that outputs may reach, where they could reach more


def station_of(bench: Bench) -> dict[str, Any]:
    """The station as data.  Outputs are meant to be declared open: a load that is there counts in the gain.

    Waiting times are those of the host's clock: shorter at a higher speed of the bench, none at infinite speed.
    """
    spec, wiring = bench.spec, bench.wiring
    knobs = _knobs(spec, wiring, bench.model)
    return {
        "instruments": {
            name: {"type": _driver(spec.instruments[name].kind), "address": next(iter(reached.values()))}
            for name, reached in bench.addresses.items()
        },
        "rig": {
            "trigger": _trigger(spec, wiring),
            "ring_down": 0.0 if math.isinf(bench.speed) else spec.ring_down / bench.speed,
            "ports": _ports(spec, wiring, bench.model),
            "channels": _channels(spec),
            **({"knobs": knobs} if knobs else {}),
        },
    }


def station_text(bench: Bench) -> str:
    """The station as YAML."""
    from ruamel.yaml import YAML

    text, writer = StringIO(), YAML(typ="safe", pure=True)
    writer.default_flow_style, writer.width = None, 120
    writer.representer.sort_base_mapping_type_on_output = False
    writer.dump(station_of(bench), text)
    return f"# Written by labrhel bench up, for as long as that bench is up.\n{text.getvalue()}"


def rig_url(bench: Bench, station: Path) -> str:
    """The rig that the bench is, once its station file has been written."""
    return f"bench:{station}"


def _driver(kind: str) -> str:
    return plugins.instrument_type(kind) or kind


def _trigger(spec: BenchSpec, wiring: Wiring) -> dict[str, Any]:
    lines = [item.line for item in wiring.senses.values() if isinstance(item, Line)]
    lines += [line for line, _, _ in wiring.triggers]
    seen: dict[str, Any] = {}
    for terminal, item in wiring.senses.items():
        if isinstance(item, Line):
            box, _, own = terminal.partition(".")
            seen[box] = {"terminal": own, "level": _TRIGGER_LEVEL, "delay": item.delay}
            if spec.instruments[box].clock_error is not None:
                seen[box]["fiducial"] = True
    seeing = {terminal.partition(".")[0] for terminal in wiring.senses}
    for _, into, delay in wiring.triggers:
        box = into.partition(".")[0]
        if box in seeing or not entry_of(spec.instruments[box].kind).plays:
            seen[box] = {"terminal": "external", "level": _TRIGGER_LEVEL, "delay": delay}
    boxes = [line.partition(".")[0] for line in lines] or [item.terminal.partition(".")[0] for item in wiring.drives]
    for box in seeing - set(seen):
        if entry_of(spec.instruments[box].kind).plays:  # its own generators start it
            seen[box] = {"terminal": "generator", "level": _TRIGGER_LEVEL, "delay": 0.0}
    return {"fired_by": boxes[0] if boxes else "", "seen_by": seen}


def _ports(spec: BenchSpec, wiring: Wiring, model: Simulable) -> dict[str, Any]:
    """Ports with a lead; and inputs without one, which enter as a force where that has a lead."""
    ports = {item.port: _port(spec, wiring, item) for item in wiring.drives}
    weights = model.parameters["input"].nominal if "input" in model.parameters else np.zeros((model.size, 0))
    for name, column in zip(model.inputs, np.transpose(weights), strict=False):
        forces = [f"f{index + 1}" for index in np.flatnonzero(column)]
        if name not in ports and len(forces) == 1 and forces[0] in ports:
            force, weight = ports[forces[0]], float(column[int(forces[0][1:]) - 1])
            ports[name] = force | {"gain": force["gain"] / weight, "limits": list(force["limits"])}
    return ports


def _port(spec: BenchSpec, wiring: Wiring, item: Drive) -> dict[str, Any]:
    box = item.terminal.partition(".")[0]
    triggered = next((delay for _, into, delay in wiring.triggers if into.startswith(f"{box}.")), 0.0)
    reach = min(entry_of(spec.instruments[box].kind).reach, _SPAN)
    return {
        "terminal": item.terminal,
        "gain": item.factor,
        "offset": item.open_offset,
        **({"safe": item.open_offset} if item.offset else {}),  # the oscillators rest where nothing pushes them
        "limits": [-reach, reach],
        "delay": item.delay + triggered + (spec.instruments[box].latency or 0.0),
    }


def _channels(spec: BenchSpec) -> dict[str, Any]:
    channels = {}
    for lead in spec.leads:
        if lead.wire[:1] == "q" and lead.wire[1:].isdigit():
            gain, offset = 1.0 if lead.gain is None else lead.gain, lead.offset or 0.0
            noise = spec.instruments[lead.to.partition(".")[0]].options().get("noise", 0.0)
            channels[lead.wire] = {
                "terminal": lead.to,
                "gain": gain,
                "offset": offset,
                "range": [offset - lead.reach, offset + lead.reach],
                "delay": lead.delay or 0.0,
                "noise": noise,
                **({"select": lead.when} if lead.when else {}),
            }
    return channels


def _knobs(spec: BenchSpec, wiring: Wiring, model: Simulable) -> dict[str, Any]:
    """Parameters all of whose entries have a source, and the same scale."""
    by_name: defaultdict[str, list[Turn]] = defaultdict(list)
    for turn in wiring.turns:
        by_name[turn.parameter].append(turn)
    knobs = {}
    for name, turns in by_name.items():
        scales = {(turn.at_zero, turn.per_volt) for turn in turns}
        if len(turns) == int(np.prod(model.parameters[name].shape)) and len(scales) == 1:
            ordered = sorted(turns, key=lambda turn: turn.index)
            entry = entry_of(spec.instruments[ordered[0].terminal.partition(".")[0]].kind)
            at_zero, per_volt = scales.pop()
            knobs[name] = {
                "terminals": [turn.terminal for turn in ordered],
                "per_volt": per_volt,
                "at_zero": at_zero,
                "limits": list(entry.level_range),
            }
    return knobs
