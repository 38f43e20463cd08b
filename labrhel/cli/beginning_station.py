"""`labrhel init ADDRESS...`: a station file for instruments that say what they are, with the wires still to be said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from labrhel import plugins
from labrhel.errors import ConfigurationError
from labrhel.rig.devices import Asked, Device, State

_TIMEOUT = 2.0  # s
_ROLES = {"board": "board", "generator": "awg", "oscilloscope": "scope", "source": "bias"}


def station(addresses: Sequence[str], oscillators: int | None) -> str:
    """Ask each of the addresses what it is (*IDN?, nothing else), and wire outputs and inputs in their order.

    Raises ConfigurationError for one that does not answer, or that no driver fits.
    """
    found = list(plugins.find_devices([Asked(address) for address in addresses], _TIMEOUT))[: len(addresses)]
    for device in found:
        if device.state is not State.ANSWERS:
            raise ConfigurationError(f"{device.address}: {device.note or 'does not answer'}")
        if device.driver not in plugins.virtual_instruments():
            known = ", ".join(plugins.virtual_instruments())
            raise ConfigurationError(
                f"{device.address} says {device.identity!r}, and no driver fits it; there are drivers for {known} "
                "(docs/adding-an-instrument.md)"
            )
    names = _named(found)
    return _text(names, oscillators)


def _named(found: Sequence[Device]) -> dict[str, Device]:
    counts: dict[str, int] = defaultdict(int)
    names = {}
    for device in found:
        role = _ROLES[_role(device.driver)]
        counts[role] += 1
        names[f"{role}{counts[role]}"] = device
    return names


def _role(kind: str) -> str:
    entry = plugins.virtual_instrument(kind)
    if entry.plays:
        return "board" if _inputs(kind) else "generator"
    return "oscilloscope" if _inputs(kind) else "source"


def _inputs(kind: str) -> list[str]:
    return [name for name in plugins.virtual_instrument(kind).inputs if name != "trigger_in"]


def _text(names: dict[str, Device], oscillators: int | None) -> str:
    playing = [name for name, item in names.items() if plugins.virtual_instrument(item.driver).plays]
    seeing = [name for name, item in names.items() if _inputs(item.driver)]
    if not playing or not seeing:
        lacks = "generator that plays waveforms" if not playing else "oscilloscope"
        raise ConfigurationError(f"a rig needs a {lacks}, and none of these is one: name its address, too")
    outputs = [f"{name}.{own}" for name in playing for own in ("ch1", "ch2")]
    inputs, seen = [], []
    for name in seeing:
        own = _inputs(names[name].driver)
        if name in playing:  # its own generators start it
            seen.append(f"      {name}: {{terminal: generator}}")
        else:
            own, last = own[:-1], own[-1]
            seen.append(f"      {name}: {{terminal: {last}, level: 1.5 V}}   # sees the sync output of {playing[0]}")
        inputs += [f"{name}.{terminal}" for terminal in own]
    possible = min(len(inputs), len(outputs))
    count = possible if oscillators is None else oscillators
    if not 1 <= count <= possible:
        raise ConfigurationError(
            f"these instruments have {len(outputs)} outputs and {len(inputs)} inputs beside the trigger, so 1 to "
            f"{possible} oscillators; not {count}"
        )
    return "\n".join([
        "# A station, begun by labrhel init.  What hangs where is a guess: put right every line that ends in `check`,",
        "# above all limits, before anything is driven (docs/your-rig.md).",
        "",
        "instruments:",
        *(
            f'  {name}: {{type: {plugins.instrument_type(item.driver)}, address: "{item.address}"}}   # {item.identity}'
            for name, item in names.items()
        ),
        "",
        "rig:",
        "  trigger:",
        f"    fired_by: {playing[0]}       # by software; its trigger output starts the other generators",
        "    seen_by:",
        *seen,
        "  ring_down: 100 ms       # after which the oscillators are at rest: check",
        "  ports:                  # model value = gain * (volts - offset); limits are never exceeded",
        *(
            f"    f{number + 1}: {{terminal: {outputs[number]}, gain: 1.0, limits: [-1 V, 1 V]}}   # check"
            for number in range(count)
        ),
        f"    u1: {{terminal: {outputs[0]}, gain: 1.0, limits: [-1 V, 1 V]}}   # shared: both are added",
        "  channels:",
        *(
            f"    q{number + 1}: {{terminal: {inputs[number]}, gain: 1.0, range: [-1 V, 1 V]}}   # check"
            for number in range(count)
        ),
        *_knobs(names),
        "",
    ])  # fmt: skip


def _knobs(names: dict[str, Device]) -> list[str]:
    source = next((name for name, item in names.items() if _role(item.driver) == "source"), None)
    if source is None:
        return []
    return [
        "  # What is trained hangs on levels, one for each entry: parameter = at_zero + per_volt * volts.",
        "  # knobs:",
        f"  #   stiffness: {{terminals: [{source}.ch1], per_volt: 0.2, at_zero: 1.0, limits: [0 V, 1 V]}}",
    ]
