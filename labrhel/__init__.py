"""labrhel: train physical oscillator rigs in place by Hamiltonian echoes.

    import labrhel

    with labrhel.load_experiment("coupled_oscillators") as experiment:
        print(experiment.gradient())                # a labrhel.Gradient
        for step in experiment: ...                 # or .step(), .run(), .execute(protocol)

    labrhel.open_run("runs/...").loss               # xarray objects
    labrhel.sweep("coupled_oscillators", {"protocol.eps": [1e-4, 1e-3]}).loss

This is the front door: what a user needs every day.  Names are loaded when they are first used, so that
`import labrhel` costs nothing; deeper modules are for contributors.
"""

from __future__ import annotations

TYPE_CHECKING = False  # that of `typing`, whose import takes longer than all the rest of this

if TYPE_CHECKING:
    from typing import Any

    from labrhel.errors import (
        ConfigurationError,
        DeadlineError,
        InstrumentError,
        InterlockError,
        LabrhelError,
        LimitError,
        ProgramError,
        RecordError,
        TrainingError,
        TransportError,
    )
    from labrhel.learning.gradient import Gradient
    from labrhel.session.hands_on import Experiment, Step, load_experiment
    from labrhel.shots.program import ShotProgram
    from labrhel.shots.waveform import Waveform
    from labrhel.store.opened import Run, open_run
    from labrhel.sweeps.hands_on import sweep

__version__ = "0.1.0"

__all__ = [
    "ConfigurationError",
    "DeadlineError",
    "Experiment",
    "Gradient",
    "InstrumentError",
    "InterlockError",
    "LabrhelError",
    "LimitError",
    "ProgramError",
    "RecordError",
    "Run",
    "ShotProgram",
    "Step",
    "TrainingError",
    "TransportError",
    "Waveform",
    "load_experiment",
    "open_run",
    "sweep",
]

_HOMES = {
    "Experiment": "labrhel.session.hands_on",
    "Gradient": "labrhel.learning.gradient",
    "Run": "labrhel.store.opened",
    "ShotProgram": "labrhel.shots.program",
    "Step": "labrhel.session.hands_on",
    "Waveform": "labrhel.shots.waveform",
    "load_experiment": "labrhel.session.hands_on",
    "open_run": "labrhel.store.opened",
    "sweep": "labrhel.sweeps.hands_on",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'labrhel' has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_HOMES.get(name, "labrhel.errors")), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
