"""The `imperfections` section: how a simulated rig differs from the ideal one.  Everything is off unless it is named.

The settings of a `sim:` URL are read by the same table, so a file and a URL say the same thing in the same words:
`noise: 1mV` there, `noise=1mV` here.  A bare number is in SI, or in the unit of the port or channel.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from labrhel.config.fields import Numbers, Section
from labrhel.config.measures import (
    Bits,
    Exact,
    Hertz,
    Matrix,
    Measure,
    Number,
    Range,
    Rate,
    Rates,
    Reading,
    Seconds,
    Seed,
    Share,
    SignedSeconds,
    SignedShare,
)  # fmt: skip
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError


def _off(unit: str, meaning: str, default: Any = 0.0) -> Any:
    return Field(default=default, description=f"{meaning} [{unit}]", json_schema_extra={"default": _plain(default)})


def _plain(default: Any) -> Any:
    return default.value if isinstance(default, Measure) else list(default) if isinstance(default, tuple) else default


class ImperfectionsSection(Section):
    """The device that `sim:THIS_FILE.yaml` simulates; the settings of a `sim:` URL have the same names.

    A further key is the name of a registered imperfection, and holds its settings: `soft_ports: {level: 2}`, or
    `soft_ports.level=2` in a URL.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra={"additionalProperties": {"type": "object"}})

    seed: Seed = Field(default=0, description="The device: draws everything below that is drawn; no training seed.")
    mismatch: Share = _off("1, %", "Relative rms deviation of masses, springs and friction from the knobs")
    friction: Rate = _off("/s", "Added uniform friction: the decay rate of every energy")
    mode_friction: Rates = _off("/s", "Added friction by mode, slowest mode first", ())
    friction_matrix: Matrix = _off("model units", "Added friction matrix, in files only", ())
    nonreciprocity: Share = _off("1, %", "rms difference, there and back, of the couplings, halved")
    drift: SignedShare = _off("1, %, ppm per shot", "Steady relative change of every part, up or down by the seed")
    drift_bend: SignedShare = _off(
        "1, %, ppm per shot squared", "Relative change of every part that grows with the shots"
    )
    walk: Share = _off("1, %, ppm per shot", "rms step of a random walk of every part")
    hysteresis: Share = _off("1, %", "Backlash of the knobs, relative to their nominal value")
    settling: Number = _off("shots", "Time constant of a knob that was turned")
    force_noise: Number = _off("model units", "Random force: rms momentum gathered in a unit of model time")
    temperature: Number = _off("model units", "kT of the random force that belongs to the friction")
    noise: Reading = _off("unit of the channel", "rms of every sample of a reading", Measure(0.0))
    flip_error: SignedShare = _off("1, %", "g - 1 of a flip that makes -g p of p")
    flip_offset: Number = _off("model units", "rms, over the oscillators, of what a flip adds to the momenta")
    replay_gain: SignedShare = _off("1, %", "Error of the gain of the inputs, in the echo only")
    replay_delay: SignedSeconds = _off("s", "Delay of the inputs, in the echo only")
    clock_skew: SignedShare = _off("1, %, ppm", "Rate error of the host's clock")
    clock_apart: SignedShare = _off("1, %, ppm", "How slow the clock of readings is against that of outputs")
    jitter: Seconds = _off("s", "rms of the triggers of ports and channels")
    dac_bits: Bits = Field(default=None, description="Bits of the ports' converters; left out: none [bits]")
    dac_range: Range = _off("unit of the port", "Largest value of a port with a converter", Measure(10.0))
    port_gain: Share = _off("1, %", "rms deviation of the ports' gains from 1")
    gain_jitter: Share = _off("1, %", "rms deviation of the ports' gains from shot to shot")
    port_offset: Reading = _off("unit of the port", "rms offset of the ports", Measure(0.0))
    delay: SignedSeconds = _off("s", "Delay of all ports")
    port_skew: Seconds = _off("s", "rms of the ports' delays against each other")
    port_highpass: Hertz = _off("Hz", "Corner of the ports' AC coupling")
    adc_bits: Bits = Field(default=None, description="Bits of the channels' converters; left out: none [bits]")
    adc_range: Range = _off("unit of the channel", "Largest reading of a channel with a converter", Measure(10.0))
    channel_gain: Share = _off("1, %", "rms deviation of the channels' gains from 1")
    channel_offset: Reading = _off("unit of the channel", "rms offset of the channels", Measure(0.0))
    channel_delay: SignedSeconds = _off("s", "Delay of all channels")
    channel_skew: Seconds = _off("s", "rms of the channels' delays against each other")
    channel_highpass: Hertz = _off("Hz", "Corner of the channels' AC coupling")
    parts: dict[str, Numbers] = Field(
        default={},
        description="In files only: by parameter, what its entries really are over what they are set to [1].",
    )
    added: dict[str, Numbers] = Field(
        default={}, description="In files only: by parameter, what is added to what it is set to [model units]."
    )
    exact: Exact = Field(
        default={},
        description=(
            "Gain [1], offset [unit] and delay [s] of single ports and channels, or of all inputs, forces, positions "
            "or velocities, in place of drawn ones: f1.delay: 2us. In a URL such a key stands as it is: f1.delay=2us."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, data: Any) -> Any:
        """As in every section, but that settings of registered imperfections, which are mappings, are kept."""
        if isinstance(data, dict):
            for key, value in data.items():
                if key not in cls.model_fields and not isinstance(value, dict):
                    hint = nearest(str(key), cls.model_fields)
                    raise PydanticCustomError("unknown_key", "{words}", {"key": key, "words": f"unknown key; {hint}"})
        return data

    @property
    def others(self) -> dict[str, dict[str, Any]]:
        """Settings of registered imperfections, as they were written, by name."""
        return dict(self.model_extra or {})

    @classmethod
    def of_settings(
        cls, settings: Mapping[str, str], base: ImperfectionsSection, registered: Collection[str] = ()
    ) -> ImperfectionsSection:
        """`base` with the settings of a URL in place of its own; raises ConfigurationError naming the setting.

        `registered`: names of imperfections whose settings are written as name.setting.
        """
        flat = {key: value for key, value in settings.items() if "." not in key}
        others: dict[str, dict[str, Any]] = {}
        dotted = {}
        for key, value in settings.items():
            name, dot, own = key.partition(".")
            if name in registered:
                others.setdefault(name, dict(base.others.get(name, {})))[own] = value
            elif dot:
                dotted[key] = value
        for key in flat:
            if key not in cls.units():
                raise ConfigurationError(f"unknown setting {key!r}; {nearest(key, cls.units())}")
        try:
            read = cls.model_validate(flat | others | ({"exact": dotted} if dotted else {}))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            words = str(first.get("ctx", {}).get("error", first["msg"]))
            raise ConfigurationError(f"the setting {first['loc'][0]}: {words}") from None
        given = {name: getattr(read, name) for name in read.model_fields_set}
        if dotted:
            given["exact"] = {**base.exact, **read.exact}
        return base.model_copy(update=given)

    @classmethod
    def units(cls) -> dict[str, str]:
        """Unit of each setting that a URL may have, as `labrhel rigs` shows it; "" for a number that has none."""
        return {
            name: "" if found is None else found[1]
            for name, field in cls.model_fields.items()
            if name not in ("exact", "friction_matrix", "parts", "added")
            for found in [re.search(r"\[(.*)\]$", field.description or "")]
        }

    @classmethod
    def table(cls) -> list[str]:
        """A line for each setting: name, default, meaning [unit]."""
        lines = []
        for name, field in cls.model_fields.items():
            default = _plain(field.default)
            shown = "" if default is None or default in ([], {}) else f"{default:g}"
            lines.append(f"{name:17}{shown:>4}  {field.description}")
        return lines
