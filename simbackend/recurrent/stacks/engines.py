"""The engines of `simbackend.recurrent.engines` by the names that configurations give them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from labrhel.errors import ConfigurationError
from labrhel.learning.estimator import Estimator
from labrhel.learning.units import Engine
from simbackend.recurrent.engines.adjoint import AdjointEngine
from simbackend.recurrent.engines.bptt import TapeEngine
from simbackend.recurrent.engines.difference import DifferenceEngine
from simbackend.recurrent.engines.echoes import EchoEngine
from simbackend.recurrent.engines.pumped import PumpedEngine
from simbackend.recurrent.models.damped import Damped
from simbackend.recurrent.models.linear_hru import LinearHRU
from simbackend.recurrent.models.nonlinear_hru import NonlinearHRU
from simbackend.recurrent.models.recurrent_unit import RecurrentUnit

UnitKind = Literal["linear", "complex", "nonlinear", "damped", "damped_nonlinear"]
EngineName = Literal["echoes", "difference", "adjoint", "bptt", "pumped", "spsa"]

_MODELS: Mapping[str, RecurrentUnit] = MappingProxyType(
    {
        "linear": LinearHRU(),
        "complex": LinearHRU(),
        "nonlinear": NonlinearHRU(),
        "damped": Damped(LinearHRU()),
        "damped_nonlinear": Damped(NonlinearHRU()),
    }
)


def make_engine(
    unit: UnitKind, name: EngineName, eps: float | None = None, estimator: Estimator = Estimator.SYMMETRIC
) -> Engine:
    """An engine for one kind of unit; `eps` None chooses the nudge from the response.

    `estimator` says which physical echoes are combined; the other engines have none.  `spsa` runs units forward only
    (`simbackend.recurrent.stacks.ways`).
    Raises ConfigurationError for an eps where nothing is nudged.
    """
    model = _MODELS[unit]
    if name in ("echoes", "pumped"):
        return (EchoEngine if name == "echoes" else PumpedEngine)(model, estimator=estimator, eps=eps)
    if name == "difference":
        return DifferenceEngine(model, eps=eps)
    if eps is not None:
        raise ConfigurationError(f"the engine {name} nudges nothing; leave out eps")
    return TapeEngine(model) if name == "bptt" else AdjointEngine(model)
