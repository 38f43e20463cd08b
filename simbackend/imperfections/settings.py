"""From the words of a configuration or URL, in SI, to the imperfections of one model, in its own units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labrhel import plugins
from labrhel.config.imperfections import ImperfectionsSection
from labrhel.config.measures import Measure
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from labrhel.frozen import FrozenArray
from labrhel.rig.capabilities import Capabilities
from simbackend.imperfections.converters import ConverterErrors
from simbackend.imperfections.device import Imperfections
from simbackend.imperfections.drift import Drift
from simbackend.imperfections.flip import FlipErrors
from simbackend.imperfections.friction import HiddenFriction
from simbackend.imperfections.knobs import KnobErrors
from simbackend.imperfections.mismatch import Mismatch, parts_of
from simbackend.imperfections.noise import ForceNoise
from simbackend.imperfections.paths import PathErrors
from simbackend.imperfections.reciprocity import NonReciprocity
from simbackend.imperfections.timing import ClockErrors, ReplayErrors
from simbackend.models.simulable import Simulable


def imperfections_of(section: ImperfectionsSection, model: Simulable, ideal: Capabilities) -> Imperfections:
    """All parts, with times in model time and readings in the model's unit of position.

    `ideal`: what the rig without them declares.  Raises ConfigurationError for a unit that is not the rig's, and for
    a port or channel that it does not have.
    """
    time, reading, played = model.time_unit, model.position_unit, model.input_unit

    def measured(name: str, base: str) -> float:
        return _in_unit(name, getattr(section, name), base)

    exact = _exact(section, ideal, time)
    return Imperfections(
        seed=section.seed,
        mismatch=Mismatch(
            section.mismatch, _parts("parts", section.parts, model), _parts("added", section.added, model)
        ),
        friction=HiddenFriction(
            section.friction * time,
            tuple(rate * time for rate in section.mode_friction),
            FrozenArray(np.array(section.friction_matrix)) if section.friction_matrix else None,
        ),
        reciprocity=NonReciprocity(section.nonreciprocity),
        drift=Drift(section.drift, section.walk, section.drift_bend),
        knobs=KnobErrors(section.hysteresis, section.settling),
        force=ForceNoise(section.force_noise, section.temperature),
        flip=FlipErrors(section.flip_error, section.flip_offset),
        replay=ReplayErrors(section.replay_gain, section.replay_delay / time),
        clock=ClockErrors(section.clock_skew, section.jitter / time, section.clock_apart),
        ports=PathErrors(
            section.port_gain,
            measured("port_offset", played),
            section.delay / time,
            section.port_skew / time,
            section.port_highpass * time,
            section.gain_jitter,
            exact,
        ),
        channels=PathErrors(
            section.channel_gain,
            measured("channel_offset", reading),
            section.channel_delay / time,
            section.channel_skew / time,
            section.channel_highpass * time,
            exact=exact,
        ),
        dac=ConverterErrors(section.dac_bits, measured("dac_range", played)),
        adc=ConverterErrors(section.adc_bits, measured("adc_range", reading)),
        noise=measured("noise", reading),
        others={name: plugins.imperfection(name).of(name, given) for name, given in section.others.items()},
    )


def _parts(key: str, given: Mapping[str, Any], model: Simulable) -> dict[str, FrozenArray]:
    known = parts_of(model)
    found = {}
    for name, value in given.items():
        if name not in known:
            raise ConfigurationError(f"{key}: the rig has no part {name!r}; {nearest(name, known)}")
        array, shape = np.asarray(value, float), model.parameters[name].shape
        if array.shape not in ((), shape) or (key == "parts" and (array <= 0).any()):
            words = "positive factors" if key == "parts" else "numbers"
            raise ConfigurationError(f"{key}: {name} takes {words}, one or {shape}")
        found[name] = FrozenArray(np.broadcast_to(array, shape))
    return found


def _exact(section: ImperfectionsSection, ideal: Capabilities, time: float) -> dict[str, float]:
    terminals = (*ideal.ports, *ideal.channels)
    units = {str(item.kind): item.unit for item in terminals} | {item.name: item.unit for item in terminals}
    values = {}
    for key, measure in section.exact.items():
        subject, _, quantity = key.partition(".")
        if subject not in units:
            raise ConfigurationError(f"the rig has no port or channel {subject!r}; {nearest(subject, units)}")
        base = {"gain": "1", "offset": units[subject], "delay": "s"}[quantity]
        value = _in_unit(key, measure, base)
        if quantity == "gain" and value == 0:
            raise ConfigurationError(f"{key} must not be 0: nothing would come through")
        values[key] = value / time if quantity == "delay" else value
    return values


def _in_unit(name: str, measure: Measure, base: str) -> float:
    try:
        return measure.of(base)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}: {error.problem}") from None
