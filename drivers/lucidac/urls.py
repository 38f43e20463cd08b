"""`lucidac:` URLs: where the machine is, and its scales.

lucidac:tcp://HOST:PORT            the machine, or its emulator
...?position=2&velocity=20         full scale of positions and velocities [model units]; left out, the first is 1, the
                                   second what an integrator does by itself: position * T * 10000/s
...?bits=12                        of a coefficient; 0: any number, which the emulator takes
...?lanes=ideal                    are taken as they are set; left out, they are measured before they are used
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from drivers.lucidac.circuit import Circuit, Scales
from drivers.lucidac.machine import Machine
from drivers.lucidac.rig import LucidacRig
from labrhel.errors import ConfigurationError
from labrhel.model.interface import Model
from labrhel.rig.settings import settings_of


def _positive(text: str) -> float:
    if not 0 < (value := float(text)) < np.inf:
        raise ValueError
    return value


def _bits(text: str) -> int:
    if (value := int(text)) not in (0, *range(2, 49)):
        raise ValueError
    return value


def _lanes(text: str) -> bool:
    return {"measured": True, "ideal": False}[text]


_SETTINGS: dict[str, tuple[Callable[[str], Any], str]] = {
    "position": (_positive, "a positive number, the position of full scale in model units"),
    "velocity": (_positive, "a positive number, the velocity of full scale in model units"),
    "bits": (_bits, "the bits of a coefficient, 2 to 48, or 0 for any number"),
    "lanes": (_lanes, "measured, or ideal"),
}


def open_rig(url: str, model: Model, folder: Path) -> LucidacRig:
    """An analog computer: lucidac:tcp://HOST:PORT; settings: ?position=1&velocity=10&bits=12&lanes=measured.

    `url` is what follows `lucidac:`.  Opening asks the machine who it is, and nothing else.  Raises ConfigurationError
    for a setting that it does not know and a model that does not fit, LimitError for parameters that no coefficient
    can be, TransportError if nothing answers.
    """
    del folder
    where, _, query = url.partition("?")
    found: dict[str, Any] = {"position": 1.0, "velocity": None, "bits": 12, "lanes": True}
    for key, text in settings_of(query).items():
        if key not in _SETTINGS:
            raise ConfigurationError(f"the rig lucidac: has no setting {key!r}; known are: {', '.join(_SETTINGS)}")
        read, meaning = _SETTINGS[key]
        try:
            found[key] = read(text)
        except (ValueError, KeyError):
            raise ConfigurationError(f"{key} is {meaning}; not {text!r}") from None
    circuit = Circuit(model, Scales.of(found["position"], found["velocity"], model.time_unit))
    step = 2.0 ** (1 - found["bits"]) if found["bits"] else 0.0
    circuit.require_resolved({name: model.parameters[name].nominal for name in circuit.knobs}, step)
    machine = Machine(where)
    try:
        return LucidacRig(machine, circuit, f"lucidac:{where}", step, measures=found["lanes"])
    except BaseException:
        machine.close()
        raise
