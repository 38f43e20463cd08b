"""The `model` section: the Hamiltonian, its units, its parameters, and how it is read out."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from labrhel.config.fields import Name, Quantity, Section, Size
from labrhel.errors import ConfigurationError
from labrhel.units import COUNTED, factor, read_unit


def _pairs(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"layers"}:
            return {"layers": _widths(value["layers"])}
        unknown = [key for key in value if key not in ("springs", "directed", "gyroscopic")]
        if unknown:
            raise ValueError(f"couplings are springs, directed, gyroscopic; there is nothing called {unknown[0]!r}")
        return {key: _listed(part) for key, part in value.items()}
    return _listed(value)


def _widths(value: Any) -> list[int]:
    if not isinstance(value, list) or not value or not all(type(width) is int and width > 0 for width in value):
        raise ValueError("layers are numbers of oscillators from the bottom, such as [4, 3, 2]")
    return value


def _listed(value: Any) -> Any:
    whole = isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(index) is int for index in pair) for pair in value
    )
    if not isinstance(value, str) and not whole:
        raise ValueError("expected none, chain, ring, all, or a list of pairs such as [[0, 1], [1, 2]]")
    return value


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("the same name stands twice; names must differ")
    return names


def _time(value: str) -> str:
    try:
        factor(value, "s")
    except ConfigurationError as error:
        raise ValueError(error.problem) from None  # pydantic adds the place
    return value


_NO_DRIVE = ("length", "time", "frequency")


def _unit(value: str) -> str:
    """A unit, or a product of units and their powers; 1 for numbers without one."""
    for word in re.split(r"[\s/*·()]+", value):
        bare = re.sub(r"\^-?\d+$", "", word)
        if bare not in ("", "1") and bare not in COUNTED and read_unit(bare) is None:
            raise ValueError(
                f"{bare!r} is no unit that is known here; write V, mV, m, rad, N, counts ..., or 1 for none"
            )
    return value


def _drive(value: str) -> str:
    known = read_unit(_unit(value))
    if known is not None and known.quantity in _NO_DRIVE:
        raise ValueError(
            f"an input is a voltage, a force or a current, and no {known.quantity}: {value!r} cannot drive"
        )
    return value


_PAIRS_SCHEMA: list[dict[str, Any]] = [
    {"enum": ["none", "chain", "ring", "all"]},
    {"type": "array", "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}},
]
_BOTH_SCHEMA = {
    "type": "object",
    "properties": {name: {"anyOf": _PAIRS_SCHEMA} for name in ("springs", "directed", "gyroscopic")},
    "additionalProperties": False,
}
_LAYERS_SCHEMA = {
    "type": "object",
    "properties": {"layers": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1}},
    "required": ["layers"],
    "additionalProperties": False,
}
_COUPLING_SCHEMA: dict[str, Any] = {"anyOf": [*_PAIRS_SCHEMA, _BOTH_SCHEMA, _LAYERS_SCHEMA]}


class Units(Section):
    """The model's own units, chosen so that its numbers are of order one; ports and metrics use SI."""

    time: Annotated[str, AfterValidator(_time)] = Field(
        default="s", description="Unit of model time: s, ms, us, ns. Stiffness over mass is then in 1/time^2."
    )
    position: Annotated[str, AfterValidator(_unit)] = Field(
        default="1", description="Unit of positions, and of the read-out and its targets."
    )
    input: Annotated[str, AfterValidator(_drive)] = Field(default="1", description="Unit of the inputs.")

    @property
    def seconds(self) -> float:
        """Seconds per unit of model time."""
        return factor(self.time, "s")


class ReadoutSection(Section):
    """y = gain x + offset, computed on the host from the channels x; both may be trained."""

    channels: Annotated[list[str], Field(min_length=1), AfterValidator(_distinct)] = Field(
        description="Position channels that are read out, such as [q4]; numbered from 1."
    )
    gain: Quantity = Field(
        default=Quantity(value=1.0),
        description="A number, or a list with one per channel: an output per channel. A matrix mixes channels.",
    )
    offset: Quantity = Field(default=Quantity(value=0.0), description="Added to the outputs, in target units.")


class ModelSection(Section):
    """The nominal model of the rig: what echoes are compensated with, and what `sim:` simulates."""

    kind: str = Field(
        default="oscillator_network",
        description="A registered kind, or a class in a file beside this one: my_model.py:MyModel.",
    )
    oscillators: Size = Field(description="Number of oscillators.")
    inputs: Annotated[list[Name], Field(min_length=1), AfterValidator(_distinct)] = Field(
        default=["u1"], description="Names of the input ports."
    )
    coupling: Annotated[Any, AfterValidator(_pairs), WithJsonSchema(_COUPLING_SCHEMA)] = Field(
        default="none",
        description="Pairs joined by a spring: none, chain, ring, all, or a list of pairs numbered from 0. Others "
        "beside them: {springs: ..., directed: ..., gyroscopic: ...}; of directed ones [i, j] says that i feels j, a "
        "word stands for both ways. Of an analog_stack {layers: [4, 3, 2]}, from the bottom.",
    )
    units: Units = Field(default=Units(), description="Units of the model.")
    parameters: dict[str, Quantity] = Field(
        default={},
        description="Parameters of the model by name, in model units; those left out take the model's defaults.",
    )
    readout: ReadoutSection | None = Field(default=None, description="How the outputs are read from the channels.")
