"""What an imperfection is: a frozen dataclass of settings that says where it acts, and acts there.

    @dataclass(frozen=True, slots=True)
    class SoftPorts(Imperfection):
        level: Share = setting("1", "Where the amplifiers of the ports begin to saturate; 0: never")

        def reaching(self, values, port, site, moment):
            return self.level * np.tanh(values / self.level)

Where it acts follows from what it overrides, so nobody keeps a list beside the code; one whose settings act in
different places says so itself (`acts`).  The simulated device and the virtual bench derive from it what they may leave
out, what they have to do, and what they refuse.  docs/adding-an-imperfection.md adds one, in a file of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self, TypeVar, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError

from labrhel.arrays import Array, Arrays
from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from simbackend.imperfections.draws import stream
from simbackend.models.simulable import Simulable

T = TypeVar("T")


class Place(enum.Enum):
    """Where in a shot a setting acts; the value says it in words."""

    PARTS = "what the parts of the rig are, the same in every shot"
    DRIFT = "what the parts of the rig are, from shot to shot"
    KNOBS = "where a knob comes to rest"
    SETTLING = "where a knob is, from shot to shot"
    COUPLINGS = "forces between the oscillators"
    MOTION = "forces on the oscillators at the kicks"
    REVERSAL = "the momenta after a flip"
    ECHO = "the inputs, in the echo only"
    CLOCK = "how fast the clock of the host runs"
    TRIGGERS = "when a pass begins"
    PORTS = "gain, offset and delay of a port"
    PORT_COUPLING = "the AC coupling of a port"
    PORT_SIGNALS = "what reaches the rig from a port, in every pass anew"
    PORT_CONVERTERS = "the converter of a port"
    CHANNELS = "gain and offset of a channel"
    CHANNEL_DELAYS = "the delay of a channel"
    CHANNEL_COUPLING = "the AC coupling of a channel"
    CHANNEL_SIGNALS = "what arrives at a channel, in every pass anew"
    CHANNEL_CONVERTERS = "the converter of a channel"
    QUADRATURES = "gain and phase of the terminals of a rig in the rotating frame"


Acting = frozenset[tuple[str, Place]]
"""Settings that are on, by their key in a configuration, each with a place where it acts."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in the life of the device: shot number and pass, and the step [time] of its kicks."""

    shot: int
    pass_index: int
    step: float


class Site:
    """One device as its imperfections meet it: the model, and what the seed draws; times are those of the model."""

    def __init__(self, model: Simulable, seed: int) -> None:
        self.model, self.seed = model, seed
        self._known: dict[Hashable, Any] = {}

    def stream(self, *path: str | int) -> np.random.RandomState:
        """Random numbers of this device at `path`: the same path, the same numbers, whatever else is switched on."""
        return stream(self.seed, *path)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` makes, made once in the life of the device: what was drawn for it."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]


class Imperfection:
    """One way in which a rig is not ideal; all its settings have a default at which it is off.

    Override what it acts on.  Arrays that come in must not be written to.
    """

    __slots__ = ()

    def check(self, site: Site) -> None:
        """Raises ConfigurationError if it is on, and cannot act on the model."""

    def parameters(self, theta: Arrays, site: Site) -> Arrays:
        """Parameters of the model as they really are, the same in every shot, where the knobs say `theta`."""
        return theta

    def drifted(self, theta: Arrays, site: Site, shot: int) -> Arrays:
        """Parameters of the model as shot number `shot` of the device's life finds them."""
        return theta

    def forces(self, friction: Array, steps: int, site: Site, moment: Moment) -> Array:
        """Forces (n, steps) that it adds at the kicks of a pass of a rig with that friction matrix (n, n)."""
        return np.zeros((len(friction), steps))

    def flipped(self, momentum: Array, site: Site) -> Array:
        """Momenta (..., n) that a flip leaves, where an exact one would leave `momentum`."""
        return momentum

    def turning(self, terminal: str, site: Site, shot: int) -> complex:
        """Gain and phase of a terminal of a rig in the rotating frame (`simbackend.imperfections.quadratures`)."""
        return 1.0

    def conjugated(self, site: Site) -> complex:
        """What is left of a conjugation, where an exact one leaves conj(a): this times it."""
        return 1.0

    def reaching(self, values: Array, port: str, site: Site, moment: Moment) -> Array:
        """What reaches the rig at the kicks (steps,) from a port that plays, where `values` would have."""
        return values

    def arriving(self, values: Array, channel: str, site: Site, moment: Moment) -> Array:
        """What arrives at a channel's amplifier (samples,), where `values` would have."""
        return values

    def acts(self) -> Acting:
        """The settings that are on, and where: in every place that the class overrides, unless it says otherwise."""
        places = [place for hook, place in _HOOKS.items() if getattr(type(self), hook) is not _ORIGINAL[hook]]
        given = [item for item in fields(self) if _differs(getattr(self, item.name), item)]  # type: ignore[arg-type]
        return frozenset((item.name, place) for item in given for place in places)

    @classmethod
    def of(cls, name: str, settings: Mapping[str, Any]) -> Self:
        """With settings as a file or a URL writes them; raises ConfigurationError naming `name.setting`."""
        known = [item.name for item in fields(cls)]  # type: ignore[arg-type]
        hints, read = get_type_hints(cls, include_extras=True), {}
        for key, value in settings.items():
            if key not in known:
                raise ConfigurationError(f"{name}.{key}: unknown setting; {nearest(key, known)}")
            try:
                read[key] = TypeAdapter(hints[key]).validate_python(value)
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                words = first.get("ctx", {}).get("error", first["msg"])
                raise ConfigurationError(f"{name}.{key}: {words}") from None
        return cls(**read)

    @classmethod
    def table(cls, name: str) -> list[str]:
        """A line for each setting of the imperfection registered as `name`: key, default, meaning [unit]."""
        return [
            f"{f'{name}.{item.name}':17}{item.default:>4}  {item.metadata['meaning']} [{item.metadata['unit']}]"
            for item in fields(cls)  # type: ignore[arg-type]
        ]


_HOOKS = {
    "parameters": Place.PARTS,
    "drifted": Place.DRIFT,
    "forces": Place.MOTION,
    "flipped": Place.REVERSAL,
    "conjugated": Place.REVERSAL,
    "turning": Place.QUADRATURES,
    "reaching": Place.PORT_SIGNALS,
    "arriving": Place.CHANNEL_SIGNALS,
}
_ORIGINAL = {hook: getattr(Imperfection, hook) for hook in _HOOKS}


def setting(unit: str, meaning: str, default: Any = 0.0) -> Any:
    """A setting of an imperfection: its unit and its meaning, as `labrhel rigs` shows them; off at its default.

    The annotation of the field is one of labrhel.config.measures, which says how it is written: a share with %, a time
    with its unit [s].
    """
    return field(default=default, metadata={"unit": unit, "meaning": meaning})


def acting(*settings: tuple[str, object, Place]) -> Acting:
    """Of (key, value, place) those with a value that is not nothing."""
    return frozenset((key, place) for key, value, place in settings if value)


def _differs(value: Any, item: Field[Any]) -> bool:
    usual: Any = item.default
    return not np.array_equal(value, usual)
