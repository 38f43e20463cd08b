"""The one composition module: outer packages and third parties, found through entry points.

Groups and what their entries are:
    labrhel.models           kind        factory(size, *, inputs, coupling, nominal, time_unit, position_unit,
                                         input_unit) -> Model
    labrhel.rigs             URL scheme  open(rest_of_url, model, folder) -> Rig; one that must know the step between
                                         kicks also takes step=, in model time
    labrhel.rules            name        dataclass that is a labrhel.learning.rules.Rule; its fields are the options
    labrhel.audits           `default`   dataclass that is a labrhel.learning.checking.Audit
    labrhel.campaigns        `default`   makes a calibration of a rig; `card`, `twin`: see calibration.card, .twin
    labrhel.exact_gradients  model kind  labrhel.learning.checking.ExactGradient; `default` serves all other kinds
    labrhel.devices          any         labrhel.rig.devices.Finder; all of them look
    labrhel.rescuers         `default`   makes a station safe that a program has left (labrhel.safety.ledger.Remembered)
    labrhel.benches          any         module with stations(), virtual_bench(), station_text() and rig_url();
                                         `virtual` also reads files, checks them: check_file(), and
                                         invents one for a configuration: invents(), next_commands()
    labrhel.runners          model kind  runner(file, *, home, steps, seed, changes): see labrhel.experiment.runners
    labrhel.tables           name        labrhel.learning.tables.TableMaker, of `labrhel paper NAME`
    labrhel.instruments      kind        driver, a drivers.instruments.linked.LinkedInstrument; `kind.virtual`: its
                                         counterpart, a VirtualInstrument of simbackend.virtual_bench.instruments
    labrhel.imperfections    name        simbackend.imperfections.Imperfection; its fields are settings of sim:

A model, a rule and a rig may also be named `my_file.py:Name`: code beside the configuration, under the rule of trust
(`labrhel.config.code`).
"""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

from labrhel.config import examples
from labrhel.config.code import CodeBeside, Reference
from labrhel.config.imperfections import ImperfectionsSection
from labrhel.config.problems import nearest
from labrhel.config.reader import read
from labrhel.config.stack import KIND, kind_of
from labrhel.errors import ConfigurationError
from labrhel.learning.checking import Audit, ExactGradient
from labrhel.learning.rules import Rule
from labrhel.learning.tables import Asked as TableRequest
from labrhel.learning.tables import PlannedTable, TableMaker
from labrhel.model.interface import Model
from labrhel.rig.devices import Asked, Device, Finder
from labrhel.safety.ledger import Remembered
from labrhel.shots.rig import Rig

_DEFAULT = "default"
_VIRTUAL = ".virtual"


def model_factory(kind: str, code: CodeBeside | None = None) -> Callable[..., Model]:
    """What makes a model of a registered kind, or of one in `code`; called as in the table above."""
    reference = Reference.of(kind)
    return _load("models", kind, "kind of model") if reference is None else _beside(code, reference)


def make_rule(name: str, options: Mapping[str, Any], code: CodeBeside | None = None) -> Rule:
    """A learning rule, registered or in `code`, with these options; words become members of the rule's enumerations.

    Raises ConfigurationError for an option the rule does not have, or a word it does not know.
    """
    reference = Reference.of(name)
    rule = _load("rules", name, "learning rule") if reference is None else _checked(_beside(code, reference), name)
    hints = get_type_hints(rule)
    known = [field.name for field in dataclasses.fields(rule)]
    ready = dict(options)
    for option, value in options.items():
        if option not in known:
            raise ConfigurationError(f"the rule {name} has no option {option!r}; {nearest(option, known)}")
        hint = hints[option]
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            words = [member.value for member in hint]
            if value not in words:
                raise ConfigurationError(f"the rule {name} knows no {option} {value!r}; {nearest(str(value), words)}")
            ready[option] = hint(value)
    return rule(**ready)


def rules_that_apply(applies: Callable[[Rule], bool]) -> list[str]:
    """Names of the registered rules, with their usual options, of which `applies` is true."""
    return [name for name, rule in usual_rules().items() if applies(rule)]


def usual_rules() -> dict[str, Rule]:
    """The registered rules with their usual options, by name; without those that cannot be imported."""
    found = {}
    for name in sorted(_points("rules")):
        try:
            found[name] = make_rule(name, {})
        except ConfigurationError:
            continue
    return found


def open_rig(url: str, model: Model, folder: Path, step: float | None = None, code: CodeBeside | None = None) -> Rig:
    """Open the rig that a URL names; resets nothing and changes no output.

    `sim:` is the model of the configuration, `sim:NAME` or `sim:FILE.yaml` that of another one; `my_rig.py:open_rig`
    is a function in `code`, called as those of the group, with what follows a second colon or a question mark.
    `folder` is where relative paths start, `step` what the shots will take between kicks [model time], where it is
    known.  Raises ConfigurationError for an unknown scheme, name or setting.
    """
    scheme, colon, rest = url.partition(":")
    reference = Reference.of(url)
    if reference is None and not colon:
        raise ConfigurationError(f"a rig is named by a URL such as sim: or sim:NAME, not {url!r}; {_listed('rigs')}")
    if reference is None:
        opener = _load("rigs", scheme, "kind of rig")
    else:
        opener, rest = _beside(code, reference), reference.rest
        _bind(opener, "a rig is opened by a call with (rest_of_url, model, folder)", (rest, model, folder))
    known = {"step": step} if "step" in signature(opener).parameters else {}
    return opener(rest, model, folder, **known)


def require_scheme(url: str) -> None:
    """Raise ConfigurationError for a URL of no known kind of rig; nothing is opened."""
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in _points("rigs"):
        raise ConfigurationError(f"a rig is named by a URL such as sim: or sim:NAME, not {url!r}; {_listed('rigs')}")


def exact_gradient(kind: str) -> ExactGradient:
    """What `labrhel check` compares a rule's gradient with, for a kind of model: its own, or the default."""
    known = _points("exact_gradients")
    name = kind if kind in known or _DEFAULT not in known else _DEFAULT
    return _load("exact_gradients", name, "exact gradient for the model")


def instrument_drivers() -> dict[str, Any]:
    """The drivers' classes by kind, without those that cannot be imported."""
    found = {}
    for kind, point in _kinds("").items():
        with suppress(ConfigurationError):
            found[kind] = _imported(point, "driver")
    return found


def instrument_kind(type_: str) -> str:
    """The kind of what a station file calls `type`: a kind, or module and class of its driver.

    Raises ConfigurationError for a driver that is not registered.
    """
    known = _kinds("")
    for kind, point in known.items():
        if type_ in (kind, point.value.replace(":", ".")):
            return kind
    usual = type_.split(".")[-2] if "." in type_ else type_
    raise ConfigurationError(
        f"there is no driver {type_!r}; {nearest(usual, known)}; give its kind, or module and class"
    )


def instrument_driver(type_: str) -> Any:
    """The driver's class, of a kind or of what a station file calls `type`; raises ConfigurationError."""
    return _imported(_kinds("")[instrument_kind(type_)], "driver")


def instrument_type(kind: str) -> str:
    """Module and class of the driver of a kind, as a station file writes it; "" for a kind without one."""
    point = _kinds("").get(kind)
    return "" if point is None else point.value.replace(":", ".")


def virtual_instruments() -> list[str]:
    """Kinds of instruments that can stand on a virtual bench."""
    return list(_kinds(_VIRTUAL))


def virtual_instrument(kind: str) -> Any:
    """The class that stands for an instrument on a virtual bench; raises ConfigurationError for a kind without one."""
    known = _kinds(_VIRTUAL)
    if kind not in known:
        raise ConfigurationError(f"there is no virtual instrument {kind!r}; {nearest(kind, known)}")
    return _imported(known[kind], "virtual instrument")


def _kinds(ending: str) -> dict[str, EntryPoint]:
    """Entries of the group `instruments` by kind: drivers (""), or their virtual counterparts (".virtual")."""
    named = {name.partition("."): point for name, point in sorted(_points("instruments").items())}
    return {kind: point for (kind, dot, rest), point in named.items() if dot + rest == ending}


def imperfections() -> list[str]:
    """Names of the registered imperfections of simulated rigs, beside those that every simulated rig has."""
    return sorted(_points("imperfections"))


def imperfection(name: str) -> Any:
    """The class of a registered imperfection; raises ConfigurationError for a name that is not registered."""
    return _load("imperfections", name, "imperfection")


def make_audit(**options: Any) -> Audit:
    """What `labrhel audit` asks a rig with."""
    return _load("audits", _DEFAULT, "audit")(**options)


def make_campaign(*asked: Any, **more: Any) -> Any:
    """A calibration of a rig: of an experiment, a record, and what is trusted."""
    return _load("campaigns", _DEFAULT, "calibration")(*asked, **more)


def make_card(*asked: Any) -> Any:
    """The card of a rig: of an experiment, and a record."""
    return _load("campaigns", "card", "card")(*asked)


def make_twin(*asked: Any) -> Any:
    """The twin of a rig: of an experiment, recorded shots, and the parameters they were taken at."""
    return _load("campaigns", "twin", "twin")(*asked)


def find_devices(asked: Sequence[Asked], timeout: float) -> Iterator[Device]:
    """What all installed finders find; what is asked comes first from each.  `timeout` [s] of each answer."""
    for name in _names("devices", "finder of devices"):
        finder: Finder = _load("devices", name, "finder of devices")
        yield from finder(asked, timeout)


def take_up(left: Remembered) -> None:
    """Make a station safe that a program has left; raises NotSafeError if that cannot be done now."""
    _load("rescuers", _DEFAULT, "rescuer of stations")(left)


def bench_makers() -> dict[str, Any]:
    """The modules that start virtual benches by name, the one that also reads files first."""
    names = _names("benches", "virtual bench")
    return {name: _load("benches", name, "virtual bench") for name in sorted(names, key=lambda name: name != "virtual")}


def runner(kind: str) -> Callable[..., Any] | None:
    """What runs a kind of model that has an engine of its own, such as a stack; None for models that run on rigs."""
    if kind not in _points("runners"):
        return None
    return _load("runners", kind, "runner of the model", "; pip install 'labrhel[torch]' brings what stacks need")


def paper_table(name: str, asked: TableRequest) -> PlannedTable:
    """The table of that name, its data and names looked up.  Raises ConfigurationError."""
    maker: TableMaker = _load("tables", name, "table", "; pip install 'labrhel[torch]' brings what tables need")
    return maker(asked)


def describe_rigs() -> list[str]:
    """One line per kind of rig URL, the imperfections of simulated ones, and the examples that `sim:NAME` may name."""
    lines = []
    for scheme, point in sorted(_points("rigs").items()):
        words = (point.load().__doc__ or "").strip().splitlines()
        lines.append(f"{scheme + ':':8}{words[0] if words else point.value}")
    lines.append("FILE.py:NAME  a function or class of your own, beside the configuration (docs/adding-a-rig.md)")
    lines += ["", "settings of sim:, as in sim:?seed=7&noise=1mV: name, default (0 or nothing is off), meaning [unit]"]
    lines += [f"  {line}" for line in ImperfectionsSection.table()]
    lines += [f"  {line}" for name in imperfections() for line in imperfection(name).table(name)] + [""]
    simulated = [name for name, file in examples().items() if kind_of(read(file)) != KIND]
    return [*lines, f"examples: {', '.join(simulated)}"]


def _beside(code: CodeBeside | None, reference: Reference) -> Any:
    if code is None:
        raise ConfigurationError(
            f"{reference.file}:{reference.name} is code, and only a configuration beside it can name it"
        )
    return code.named(reference)


def _checked(rule: Any, name: str) -> Any:
    """A rule of the user's own, as far as can be known before it is asked for a gradient."""
    gradient = getattr(rule, "gradient", None)
    if not (isinstance(rule, type) and dataclasses.is_dataclass(rule)):
        raise ConfigurationError(f"the rule {name} must be a dataclass, whose fields are its options")
    if gradient is None or not hasattr(rule, "needs"):
        raise ConfigurationError(f"the rule {name} must have `needs` and a method `gradient` (docs/adding-a-rule.md)")
    words = f"the rule {name} must take (self, asked), a labrhel.learning.rules.GradientRequest"
    _bind(gradient, words, (rule, rule))
    return rule


def _bind(function: Callable[..., Any], words: str, values: tuple[Any, ...]) -> None:
    try:
        signature(function).bind(*values)
    except TypeError as error:
        raise ConfigurationError(f"{words}: {error}") from None


def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in _registered(tuple(sys.path)).select(group=f"labrhel.{group}")}


@cache
def _registered(path: tuple[str, ...]) -> Any:  # EntryPoints; those of Python 3.11 have another name
    """Those of all packages on `path`: reading them takes 40 ms, and assembling an experiment asks a dozen times."""
    return entry_points()


def _names(group: str, what: str) -> list[str]:
    names = sorted(_points(group))
    if not names:
        raise ConfigurationError(
            f"no {what} is registered: labrhel is not installed here; run `pip install -e .` in its checkout"
        )
    return names


def _load(group: str, name: str, what: str, remedy: str = "") -> Any:
    if name not in _points(group):
        _registered.cache_clear()  # it may have been installed since
    if name not in _names(group, what):
        raise ConfigurationError(f"there is no {what} {name!r}; {_listed(group)}; {_where_else(group)}")
    return _imported(_points(group)[name], what, remedy)


def _imported(point: EntryPoint, what: str, remedy: str = "") -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        words = f"the {what} {point.name!r} ({point.value}) cannot be imported: {error}{remedy}"
        raise ConfigurationError(words) from error


def _where_else(group: str) -> str:
    """Where one of the user's own would have been looked for."""
    beside = "" if group not in ("models", "rules") else ", and one of a file beside the configuration is FILE.py:NAME"
    return f"one that a pyproject.toml names is found once its package is installed again (`pip install -e .`){beside}"


def _listed(group: str) -> str:
    return f"known are: {', '.join(sorted(_points(group)))}"
