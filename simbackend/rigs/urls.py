"""`sim:` URLs: which model, and how the simulated rig differs from an ideal one.

sim:                    the model of the configuration
sim:NAME                the model of an example
sim:PATH.yaml           the model of another file, with the imperfections that it lists
sim:NAME?seed=7&adc_bits=12&noise=1mV&f1.delay=2us      imperfections, by the names of labrhel.config.imperfections
sim:NAME?threads=2&reversal=momentum_flip
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import parse_qsl

from labrhel import plugins
from labrhel.config import Document, examples, load
from labrhel.config.imperfections import ImperfectionsSection
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from labrhel.experiment.model import model_of
from labrhel.model.interface import Model
from labrhel.model.rotating import is_rotating
from labrhel.rig.capabilities import Reversal
from simbackend.dynamics.compiled import runs_compiled
from simbackend.imperfections import Life, state_file
from simbackend.imperfections.settings import imperfections_of
from simbackend.models.simulable import Simulable
from simbackend.rigs.simulated import SimulatedRig, capabilities_of

SETTINGS = ("threads", "reversal")
"""threads: how many the compiled kernels may use; reversal: the only one the rig offers."""

_FLIPS = (Reversal.MOMENTUM_FLIP, Reversal.STATE_RESTORE, Reversal.BY_DRIVE)
_CONJUGATES = (Reversal.CONJUGATION, Reversal.STATE_RESTORE, Reversal.BY_DRIVE)


def open_rig(url: str, model: Model, folder: Path, environment: Mapping[str, str] = os.environ) -> SimulatedRig:
    """Simulates the model of the configuration, of sim:NAME or sim:FILE.yaml; settings: ?seed=7&adc_bits=12&noise=1mV.

    `url` is what follows `sim:`; `model` that of the configuration; relative paths start at `folder`.  A rig that
    drifts remembers how many shots it has fired, in a small file for each seed (`imperfections.state_file`, which
    reads `environment`).  Raises ConfigurationError for an unknown name or setting, for one that cannot act on the
    model, and for a model that has other ports or parameters than the configuration's.
    """
    name, _, query = url.partition("?")
    settings = _settings(query)
    document = _named(name, folder) if name else None
    simulated = model if document is None else model_of(document)
    if not isinstance(simulated, Simulable):
        raise ConfigurationError(
            f"sim: simulates separable Hamiltonians and arrays, not {type(simulated).__name__}: make the model a "
            "simbackend.models.separable_model.SeparableModel (docs/adding-a-model.md), or give it a rig of its own"
        )
    if (simulated.size, simulated.inputs) != (model.size, model.inputs):
        raise ConfigurationError(
            f"sim:{name} has {simulated.size} oscillators and inputs {', '.join(simulated.inputs)}; "
            f"the configuration's model has {model.size} and {', '.join(model.inputs)}; they must agree"
        )
    if set(simulated.parameters) != set(model.parameters):
        alone = ", ".join(sorted({*simulated.parameters} ^ {*model.parameters}))
        raise ConfigurationError(
            f"sim:{name} simulates another model than the configuration's ({type(simulated).__name__} and "
            f"{type(model).__name__}): only one of them has {alone}; model.kind and coupling must agree"
        )
    own = {key: settings.pop(key, None) for key in SETTINGS}
    written = ImperfectionsSection() if document is None else document.config.imperfections
    section = ImperfectionsSection.of_settings(settings, written, plugins.imperfections())
    errors = imperfections_of(section, simulated, capabilities_of(simulated, "sim"))
    offers = own["reversal"]
    return SimulatedRig(
        simulated,
        f"sim:{url}",
        threads=_threads(own["threads"], simulated),
        offers=None if offers is None else frozenset({_reversal(offers, simulated)}),
        imperfections=errors,
        life=Life(state_file(section.seed, environment) if errors.drifts else None),
    )


def _named(name: str, folder: Path) -> Document:
    known = examples()
    if name in known:
        return load(known[name])
    path = folder / name
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return load(path)
    if path.suffix in (".yaml", ".yml"):
        raise ConfigurationError(f"the rig sim:{name} needs the file {path}, which does not exist")
    raise ConfigurationError(f"there is no rig sim:{name}; {nearest(name, known)} (or name a YAML file: sim:PATH.yaml)")


def _settings(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ConfigurationError(f"settings of a rig are written key=value&key=value, not {query!r}") from None
    settings = dict(pairs)
    units = {"threads": "", "reversal": ""} | ImperfectionsSection.units()
    for key in settings:
        if key not in units and "." not in key:
            near = get_close_matches(key, units, n=1)
            listed = ", ".join(f"{name} [{unit}]" if unit else name for name, unit in units.items())
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {listed}, and such as f1.delay [s]"
            raise ConfigurationError(f"the rig sim: has no setting {key!r}; {hint}")
    if len(settings) < len(pairs):
        raise ConfigurationError(f"a setting of the rig stands twice in {query!r}; keep one")
    return settings


def _threads(text: str | None, model: Simulable) -> int:
    if text is None:
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise ConfigurationError(f"threads is a whole number from 1, not {text!r}")
    if int(text) > 1 and not runs_compiled(model):
        raise ConfigurationError(
            f"threads={text}: only the compiled kernels of oscillator networks run on several threads, and "
            f"{type(model).__name__} has none; leave it out"
        )
    return int(text)


def _reversal(text: str, model: Simulable) -> Reversal:
    known = _CONJUGATES if is_rotating(model) else _FLIPS
    for reversal in known:
        if text == reversal.value:
            return reversal
    raise ConfigurationError(f"a simulated rig of this model reverses by {', '.join(known)}, not {text!r}")
