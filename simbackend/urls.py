"""`sim:` URLs: which model, and how the simulated rig differs from an ideal one.

sim:                    the model of the configuration
sim:NAME                the model of an example
sim:PATH.yaml           the model of another file
sim:NAME?threads=2&reversal=momentum_flip
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

from labrhel.config import examples, load
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from labrhel.interfaces import Model
from labrhel.nominal import model_of
from labrhel.program import Reversal
from simbackend.models.oscillator_network import OscillatorNetwork
from simbackend.rig import SimulatedRig

SETTINGS = ("threads", "reversal")
"""threads: how many the kernels may use; reversal: the only one the rig offers."""

_REVERSALS = (Reversal.MOMENTUM_FLIP, Reversal.STATE_RESTORE)


def open_rig(url: str, model: Model, folder: Path) -> SimulatedRig:
    """Simulates the model of the configuration, of sim:NAME or sim:FILE.yaml; settings: ?threads=N&reversal=WORD.

    `url` is what follows `sim:`; `model` that of the configuration; relative paths start at `folder`.  Raises
    ConfigurationError for an unknown name or setting, and for a model that has other ports than the configuration's.
    """
    name, _, query = url.partition("?")
    settings = _settings(query)
    simulated = model if not name else _named(name, folder)
    if not isinstance(simulated, OscillatorNetwork):
        raise ConfigurationError(f"sim: simulates oscillator networks, not {type(simulated).__name__}")
    if (simulated.size, simulated.inputs) != (model.size, model.inputs):
        raise ConfigurationError(
            f"sim:{name} has {simulated.size} oscillators and inputs {', '.join(simulated.inputs)}; "
            f"the configuration's model has {model.size} and {', '.join(model.inputs)}; they must agree"
        )
    reversal = settings.get("reversal")
    return SimulatedRig(
        simulated,
        f"sim:{url}",
        threads=_threads(settings.get("threads")),
        offers=None if reversal is None else frozenset({_reversal(reversal)}),
    )


def _named(name: str, folder: Path) -> Model:
    known = examples()
    if name in known:
        return model_of(load(known[name]))
    path = folder / name
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return model_of(load(path))
    if path.suffix in (".yaml", ".yml"):
        raise ConfigurationError(f"the rig sim:{name} needs the file {path}, which does not exist")
    raise ConfigurationError(f"there is no rig sim:{name}; {nearest(name, known)} (or name a YAML file: sim:PATH.yaml)")


def _settings(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ConfigurationError(f"settings of a rig are written key=value&key=value, not {query!r}") from None
    settings = dict(pairs)
    for key, _ in pairs:
        if key not in SETTINGS:
            raise ConfigurationError(f"the rig sim: has no setting {key!r}; known are: {', '.join(SETTINGS)}")
    if len(settings) < len(pairs):
        raise ConfigurationError(f"a setting of the rig stands twice in {query!r}; keep one")
    return settings


def _threads(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isdecimal() or int(text) < 1:
        raise ConfigurationError(f"threads is a whole number from 1, not {text!r}")
    return int(text)


def _reversal(text: str) -> Reversal:
    for reversal in _REVERSALS:
        if text == reversal.value:
            return reversal
    raise ConfigurationError(f"a simulated rig reverses by {' or '.join(_REVERSALS)}, not {text!r}")
