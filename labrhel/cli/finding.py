"""`labrhel devices`: what is reachable, and what it says it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from labrhel import plugins
from labrhel.cli.answers import Answer
from labrhel.cli.tables import print_table
from labrhel.config.station import StationDocument, load_station
from labrhel.errors import ConfigurationError
from labrhel.rig.devices import Asked, State


def show(station: str | None, ask: Sequence[str], timeout: float, answer: Answer) -> bool:
    """Print them; False if one that was asked does not answer, or is another than the station file says."""
    if not timeout > 0:
        raise ConfigurationError(f"the time-out must be positive, not {timeout:g}")
    document = None if station is None else load_station(Path(station.removeprefix("bench:").partition("?")[0]))
    named = [] if document is None else instruments_of(document)
    found = list(plugins.find_devices([*named, *map(Asked, ask)], timeout))
    answer["devices"] = found
    if not found:
        print("nothing is listed, and nothing was asked: name a station file, or --ask ADDRESS")
        return True
    table = Table("name", "address", "what it says", "driver")
    for device in found:
        said = "; ".join(part for part in (device.identity, device.note) if part)
        table.add_row(*map(escape, (device.name, device.address, said, device.driver)))
    print_table(table)
    return all(device.state is not State.FAULTY for device in found)


def instruments_of(document: StationDocument) -> list[Asked]:
    """What a station file asks to be there."""
    return [
        Asked(item.resource, name, item.type, partial(document.at, "instruments", name))
        for name, item in document.station.instruments.items()
    ]
