"""Is a file right, as far as can be known with no instrument on and no code of its own run?

Configurations of rigs and of stacks, station files, and the files of virtual benches, told apart by their sections.  A
configuration whose rig is a station file that is there has that checked as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from labrhel import plugins
from labrhel.config import Document, find, load
from labrhel.config.code import Reference
from labrhel.config.problems import nearest
from labrhel.config.reader import read
from labrhel.config.stack import KIND, kind_of, load_stack
from labrhel.config.station import StationDocument, load_station
from labrhel.errors import ConfigurationError
from labrhel.experiment._parts import coordinates_of, rule_of
from labrhel.experiment.model import model_of, readout_channels
from labrhel.experiment.teacher import require_moderate_teaching
from labrhel.learning.optimizers import OPTIMIZERS
from labrhel.safety import trust

_SIMULATED = "sim"


def validated(name: str | Path) -> list[str]:
    """What kind of file it is, and what could not be looked at.  Raises ConfigurationError for the first mistake."""
    file = find(name)
    source = read(file)
    with trust.forbidding():
        if "instruments" in source.data and "rig" in source.data:
            _check_station(load_station(file))
            return ["station file"]
        if "instruments" in source.data:
            next(iter(plugins.bench_makers().values())).check_file(file)  # the one that reads files
            return ["virtual bench"]
        if kind_of(source) == KIND:
            load_stack(file)
            return ["configuration of a stack"]
        return ["configuration", *_checked(load(file))]


def _checked(document: Document) -> Iterator[str]:
    config = document.config
    data = config.data
    if data is not None and data.teacher is not None:
        require_moderate_teaching(document, data, data.teacher)
    rule = _code_of(document, config.protocol.rule, "protocol", "rule")
    if rule is None:
        rule_of(document)
    kind = _code_of(document, config.model.kind, "model", "kind")
    rigs = {url: _code_of(document, url, "rig") for url in config.rigs}
    for code in dict.fromkeys(filter(None, (kind, rule, *rigs.values()))):
        yield f"the code in {code} was not run, and so not checked"
    for url, code in rigs.items():
        if code is None:
            yield from _check_rig(document, url)
        if kind is None:
            _check_model(document, url if code is None and url.partition(":")[0] == _SIMULATED else "sim:")


def _code_of(document: Document, text: str, *place: str) -> str | None:
    """The file of code that the text names, which must be there; None if it names a registered one."""
    reference = Reference.of(text)
    if reference is None:
        return None
    with document.at(*place):
        return trust.Code.beside(document.code.folder, reference.file).file.name


def _check_rig(document: Document, url: str) -> Iterator[str]:
    scheme, _, rest = url.partition(":")
    with document.at("rig"):
        plugins.require_scheme(url)
    if scheme != "bench":
        return
    where = Path(rest.partition("?")[0])
    file = document.code.folder / where
    if not file.is_file():
        yield f"its station file {where} is not there, and so was not checked"
        return
    _check_station(load_station(file))


def _check_model(document: Document, url: str) -> None:
    """`url`: of the rig, or an ideal one in place of what hangs on wires: its channels have the same names."""
    model = model_of(document)
    parameters, _ = coordinates_of(document, model)
    section = document.config.optimizer
    with document.at("optimizer"):
        OPTIMIZERS[section.kind](parameters.flat(), parameters.bounds(), **section.options())
    with document.at("rig"):
        rig = plugins.open_rig(url, model, document.code.folder)
    try:
        if document.config.model.readout is not None:
            readout_channels(document, rig.capabilities)
    finally:
        rig.close()


def _check_station(document: StationDocument) -> None:
    """That what names an instrument names one of the file, and that there are drivers for all."""
    station = document.station
    for name, section in station.instruments.items():
        with document.at("instruments", name, "type"):
            if not section.is_foreign:  # whose driver is code, and is not imported to be looked at
                plugins.instrument_kind(section.type)
    for place, name in _named(document):
        if name not in station.instruments:
            with document.at(*place):
                raise ConfigurationError(f"there is no instrument {name!r}; {nearest(name, station.instruments)}")


def _named(document: StationDocument) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every instrument that the section `rig` names, and where."""
    rig = document.station.rig
    trigger = ("rig", "trigger")
    yield (*trigger, "fired_by"), rig.trigger.fired_by
    for key in ("seen_by", "re_arm", "arming_order"):
        for name in getattr(rig.trigger, key):
            yield (*trigger, key, name), name
    for group, names in enumerate(rig.safe_order):
        for name in names:
            yield ("rig", "safe_order", group), name
    for terminal in rig.ramps:
        yield ("rig", "ramps", terminal), _instrument(terminal)
    for name, port in rig.ports.items():
        yield ("rig", "ports", name, "terminal"), _instrument(port.terminal)
    for name, channel in rig.channels.items():
        yield ("rig", "channels", name, "terminal"), _instrument(channel.terminal)
        for terminal in channel.select:
            yield ("rig", "channels", name, "select", terminal), _instrument(terminal)
    for name, knob in rig.knobs.items():
        for index, terminal in enumerate(knob.terminals):
            yield ("rig", "knobs", name, "terminals", index), _instrument(terminal)


def _instrument(terminal: str) -> str:
    return terminal.partition(".")[0]
