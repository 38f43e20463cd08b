"""From the `model` section to the nominal model, its read-out, and the parameters that are trained.

Values are checked against the model's own table one by one, so that each mistake names its key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labrhel import plugins
from labrhel.arrays import Array
from labrhel.config import Document
from labrhel.config.fields import Quantity
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from labrhel.learning.parameters import Parameter, Transform
from labrhel.model.interface import Model, ParameterSpec
from labrhel.rig.capabilities import Capabilities, Kind

_READABLE = (Kind.POSITION, Kind.AMPLITUDE)  # a nudge is a force on what is read out
_ROUNDING = 1e-12  # relative; a semi-definite matrix may have eigenvalues this far below zero


def model_of(document: Document, changes: Mapping[str, Any] | None = None, *place: str) -> Model:
    """The nominal model of a configuration, with the parameters in `changes`, which stand at `place` in the file.

    Raises ConfigurationError for an unknown kind or parameter, a wrong shape, and values no rig can have.
    """
    section, units = document.config.model, document.config.model.units
    common = {
        "inputs": section.inputs,
        "coupling": section.coupling,
        "time_unit": units.seconds,
        "position_unit": units.position,
        "input_unit": units.input,
    }
    with document.at("model", "kind"):
        factory = plugins.model_factory(section.kind, document.code)
        _check_call(factory, common)

    def build(nominal: Mapping[str, Any]) -> Model:
        return factory(section.oscillators, nominal=nominal, **common)

    with document.at("model", "coupling"):
        known = build({}).parameters
    values = {name: quantity.value for name, quantity in section.parameters.items()}
    groups = ((values, ("model", "parameters")), (dict(changes or {}), place))
    for group, path in groups:
        for name, value in group.items():
            with document.at(*path, name):
                if name not in known:
                    raise ConfigurationError(f"the model has no such parameter; {nearest(name, known)}")
                _check_shape(known[name], value)
                _check_friction(build({name: value}))
    return build({**values, **dict(changes or {})})


def _check_call(factory: Callable[..., Model], common: Mapping[str, Any]) -> None:
    # Someone else's model: what is wrong with its signature is said in words, what is wrong inside it by a traceback.
    try:
        signature(factory).bind(1, nominal={}, **common)
    except TypeError as error:
        words = ", ".join(["size", *(f"{name}=" for name in (*common, "nominal"))])
        raise ConfigurationError(f"a model must be made by a call with ({words}): {error}") from None


def _check_shape(spec: ParameterSpec, value: Any) -> None:
    # The model would broadcast [0.1] over all oscillators; a list of the wrong length is a mistake, not a shorthand.
    allowed = [spec.shape, spec.shape[:1]] if spec.kind == "friction" else [spec.shape]
    if np.ndim(value) and np.shape(value) not in allowed:
        words = " or ".join(str(shape) for shape in allowed)
        raise ConfigurationError(f"the value has shape {np.shape(value)}; expected {words}, or a single number")


def _check_friction(model: Model) -> None:
    lowest, *_, highest = np.linalg.eigvalsh(_symmetric(model.friction({})))[[0, -1]]
    if lowest < -_ROUNDING * max(abs(highest), 1.0):
        raise ConfigurationError("friction must not be negative, in any mode: a passive rig does not gain energy")


def _symmetric(matrix: Array) -> Array:
    return (matrix + matrix.T) / 2  # what is antisymmetric does no work


def trained_model_parameters(document: Document, model: Model) -> list[Parameter]:
    """The parameters of the model marked `train`, with unit, bounds, transform and scale."""
    found = []
    for name, quantity in document.config.model.parameters.items():
        spec = model.parameters[name]
        with document.at("model", "parameters", name):
            mask = _mask(quantity, spec.shape, diagonal=spec.kind == "friction" and np.ndim(quantity.value) < 2)
            if mask.any():
                low, high = _bounds(name, quantity, spec, mask)
                found.append(
                    _parameter(name, quantity, spec.nominal, spec.unit, low, high, mask, spec.kind == "friction")
                )
    return found


def readout_of(document: Document) -> tuple[Array, Array, list[Parameter]]:
    """Gain (outputs, channels), offset (outputs,), and those of them that are trained."""
    section = document.config.model.readout
    if section is None:
        raise document.source.error("the key 'readout' is missing: it names the channels that are read out", "model")
    channels, found = len(section.channels), []
    with document.at("model", "readout", "gain"):
        gain, given = np.asarray(section.gain.value, float), np.ndim(section.gain.value)
        if given < 2:
            gain = np.diag(_filled(gain, (channels,), "the read-out gain"))
        if gain.shape[1] != channels:
            raise ConfigurationError(f"the gain has {gain.shape[1]} columns for {channels} channels; they must agree")
        mask = _mask(section.gain, gain.shape, diagonal=given < 2)
        if mask.any():
            found.append(_parameter("readout", section.gain, gain, "", *_given_bounds(section.gain), mask))
    with document.at("model", "readout", "offset"):
        offset = _filled(np.asarray(section.offset.value, float), (len(gain),), "the read-out offset")
        mask = _mask(section.offset, offset.shape)
        if mask.any():
            unit, bounds = document.config.model.units.position, _given_bounds(section.offset)
            found.append(_parameter("readout_offset", section.offset, offset, unit, *bounds, mask))
    return gain, offset, found


def readout_channels(document: Document, capabilities: Capabilities) -> tuple[str, ...]:
    """The channels that are read out; raises ConfigurationError for one that the rig does not have."""
    readout = document.config.model.readout
    assert readout is not None
    known = [channel.name for channel in capabilities.channels if channel.kind in _READABLE]
    for index, name in enumerate(readout.channels):
        with document.at("model", "readout", "channels", index):
            if name not in known:
                raise ConfigurationError(
                    f"rig {capabilities.rig} has no position channel {name!r}; {nearest(name, known)}"
                )
    return tuple(readout.channels)


def _filled(values: Array, shape: tuple[int, ...], what: str) -> Array:
    if values.ndim and values.shape != shape:
        raise ConfigurationError(f"{what} has shape {values.shape}; expected {shape}, or a single value")
    return np.array(np.broadcast_to(values, shape))


def _mask(quantity: Quantity, shape: tuple[int, ...], *, diagonal: bool = False) -> NDArray[np.bool_]:
    """Entries that are trained; of a value that was given as a diagonal, only the diagonal."""
    flags = np.asarray(quantity.train)
    if diagonal and flags.ndim < 2:
        return np.diag(_filled(flags, shape[:1], "train"))  # a matrix trains what is off the diagonal as well
    return _filled(flags, shape, "train")


def _given_bounds(quantity: Quantity) -> tuple[float, float]:
    low, high = quantity.bounds or (-np.inf, np.inf)
    return low, high


def _bounds(name: str, quantity: Quantity, spec: ParameterSpec, mask: NDArray[np.bool_]) -> tuple[float, float]:
    low, high = _given_bounds(quantity)
    if spec.kind == "friction":
        if not np.array_equal(mask, mask.T):
            raise ConfigurationError("friction is symmetric: train G_ij and G_ji both, or neither")
        if not mask[~np.eye(len(mask), dtype=bool)].any():
            if quantity.bounds is None:
                return 0.0, high
            if low < 0:
                raise ConfigurationError(f"a passive rig does not gain energy: the lowest friction is 0, not {low:g}")
    if spec.kind == "kinetic" and quantity.transform == "identity" and not low > 0:
        raise ConfigurationError(f"a trained {name} must stay positive: give a lower bound above 0, or transform: log")
    return low, high


def _parameter(
    name: str,
    quantity: Quantity,
    value: Array,
    unit: str,
    low: float,
    high: float,
    mask: NDArray[np.bool_],
    symmetric: bool = False,  # noqa: FBT001
) -> Parameter:
    transform = Transform(quantity.transform)
    return Parameter(name, value, unit, low, high, transform, quantity.scale, mask, symmetric)
