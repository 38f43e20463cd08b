"""What a station file says of an instrument with somebody else's QCoDeS driver (`type: qcodes:MODULE.CLASS`).

A driver of our own knows how its instrument plays, records and holds.  Of any other the station file says it, in the
names of that driver: a *step* sets a parameter or calls a function, and a *question* is a step that has an answer.

    ch1.output                            the parameter's value, or the function called with nothing
    ch1.amplitude: "{amplitude}"          the parameter set; or the function called with this one argument
    write: [":SING"]                      the function called with these arguments, a mapping: by their names

`{terminal}` stands for a terminal in names and values, `{number}` for the number that it ends in; what else may stand
in braces depends on the key (`labrhel.config.templates`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from labrhel.config.fields import Count, Section
from labrhel.config.measures import Hertz, Seconds, Volts
from labrhel.config.problems import describe
from labrhel.config.templates import check_template, without_braces

OF_A_TERMINAL = "terminal", "number"
OF_A_BURST = *OF_A_TERMINAL, "volts", "samples", "codes", "points", "rate", "amplitude", "offset", "low", "high", "name"
OF_A_WINDOW = "start", "duration", "end", "middle", "rate", "trigger", "trigger_number", "level"
OF_A_RANGE = *OF_A_TERMINAL, "low", "high", "span", "middle"


def _as_name(value: str) -> str:
    """A path of names from the driver on, none of them hidden; what stands in braces is a part of a name."""
    if not all(part.isidentifier() and not part.startswith("_") for part in without_braces(value, "x").split(".")):
        raise ValueError(
            f"{value!r} is no name of a driver, such as ch1.output: names joined by points, none with an underscore "
            "first; what the instrument itself is told or asked is the argument of `write` or `ask`"
        )
    return value


def _as_step(value: Any) -> Any:
    if isinstance(value, str) and value:
        return _as_name(value)
    if isinstance(value, dict) and len(value) == 1 and all(isinstance(key, str) and key for key in value):
        _as_name(next(iter(value)))
        return value
    raise ValueError(f"expected a name of the driver, or one name with what it gets, not {describe(value)}")


def _as_different(value: list[str]) -> list[str]:
    for place, name in enumerate(value):
        if name in value[:place]:
            raise ValueError(f"{name} is named twice; keep one")
    return value


def _in_order(value: list[float]) -> list[float]:
    if not value[0] < value[1]:
        raise ValueError(f"the lower one comes first, and they differ: not [{value[0]:g}, {value[1]:g}]")
    return value


_STEP = WithJsonSchema({"title": "step"})
Step = Annotated[Any, AfterValidator(_as_step), _STEP]
Name = Annotated[str, AfterValidator(_as_name)]
Range = Annotated[list[Volts], Field(min_length=2, max_length=2), AfterValidator(_in_order)]
Rates = Annotated[list[Annotated[Hertz, Field(gt=0)]], Field(min_length=2, max_length=2), AfterValidator(_in_order)]
Own = Annotated[str, Field(pattern=r"^\w+$")]
Terminals = Annotated[list[Own], AfterValidator(_as_different)]


class ConditionSection(Section):
    """What is asked again and again until it has an answer."""

    value: Step = Field(description="A question.")
    until: str | float | bool | list[str | float] = Field(description="The answer that is waited for, or several.")


class _Templates(Section):
    """Templates are checked when the file is read, with no driver at hand: `known` says what may stand in each."""

    known: ClassVar[dict[str, Collection[str]]]

    @model_validator(mode="after")
    def _braces_are_known(self) -> _Templates:
        for key, names in self.known.items():
            value = getattr(self, key)
            for place, template in enumerate(value if isinstance(value, list) else [value]):
                try:
                    check_template(template.value if isinstance(template, ConditionSection) else template, names)
                except ValueError as error:
                    where = f"{key}[{place}]" if isinstance(value, list) else key
                    raise ValueError(f"{where}: {error}") from None
        return self


class _Switched(_Templates):
    known: ClassVar[dict[str, Collection[str]]] = {
        "prepare": OF_A_TERMINAL, "on": OF_A_TERMINAL, "off": OF_A_TERMINAL, "errors": (),
    }  # fmt: skip

    terminals: Annotated[Terminals, Field(min_length=1)] = Field(
        description="Its terminals, as `{terminal}` in the names below."
    )
    limits: Range = Field(description="Lowest and highest voltage that may ever be on any of them.")
    prepare: list[Step] = Field(
        default=[], description="Steps for each terminal before it is first used; an output is off then."
    )
    on: str | int | bool = Field(default=True, description="What switches `output` on.")
    off: str | int | bool = Field(default=False, description="What switches `output` off.")
    errors: Step | None = Field(
        default=None, description="Question for the error that the instrument keeps: 0 is none, as SCPI has it."
    )

    @model_validator(mode="after")
    def _off_is_not_on(self) -> _Switched:
        if self.on == self.off:
            raise ValueError(f"`on` and `off` are both {describe(self.on)}: say what switches the output off")
        return self


class OutputsSection(_Switched):
    """How it plays bursts: a generator."""

    known: ClassVar[dict[str, Collection[str]]] = {
        **_Switched.known, "play": OF_A_BURST, "output": OF_A_TERMINAL, "external": OF_A_TERMINAL,
        "software": OF_A_TERMINAL, "fire": (), "done": (),
    }  # fmt: skip

    bits: Annotated[int, Field(ge=1, le=31)] = Field(default=14, description="Of its converters.")
    memory: Count = Field(description="Most samples of a burst.")
    rates: Rates = Field(description="Lowest and highest sample rate.")
    shortest: Count = Field(default=1, description="Fewest samples that it takes; more are put behind, at rest.")
    smallest: Volts = Field(default=1e-3, description="Smallest amplitude, peak to peak.")
    latency: Seconds = Field(default=0.0, description="From the trigger to the first sample.")
    play: Annotated[list[Step], Field(min_length=1)] = Field(
        description="Steps that hand a burst over, for each output: `{volts}`, or `{samples}` from -1 to 1 or `{codes}`"
        " from -32767 to 32767 with `{amplitude}` (peak to peak) and `{offset}`; `{rate}`, `{points}`, `{low}`, "
        "`{high}`, `{name}`, a new one each time."
    )
    output: Name = Field(description="The parameter that switches an output.")
    external: list[Step] = Field(
        default=[], description="Steps for each output, so that a trigger from outside starts it."
    )
    software: list[Step] = Field(default=[], description="Steps for each output, so that `fire` starts it.")
    fire: list[Step] = Field(default=[], description="Steps that trigger it, where it is fired_by.")
    done: ConditionSection | None = Field(
        default=None, description="When a burst has ended; left out, after its length."
    )


class LevelsSection(_Switched):
    """How it holds voltages: a source of levels."""

    known: ClassVar[dict[str, Collection[str]]] = {
        **_Switched.known, "level": OF_A_TERMINAL, "read": OF_A_TERMINAL, "output": OF_A_TERMINAL,
    }  # fmt: skip

    level: Name = Field(description="The parameter that is set to the voltage.")
    read: Step | None = Field(default=None, description="Question for the voltage; left out, `level` is asked.")
    output: Name | None = Field(
        default=None, description="The parameter that switches a level; left out, it has none, and is off at 0 V."
    )
    safe: dict[Own, Volts] = Field(
        default={}, description="By terminal that stays on when it is made safe, its voltage; the others go off."
    )
    tolerance: Annotated[Volts, Field(gt=0)] = Field(default=1e-3, description="How near a voltage counts as reached.")
    patience: Seconds = Field(default=3.0, description="How long a voltage may take.")


class InputsSection(_Templates):
    """How it records: a digitizer."""

    known: ClassVar[dict[str, Collection[str]]] = {
        "prepare": OF_A_WINDOW, "range": OF_A_RANGE, "arm": (), "waiting": (), "ready": (), "stop": (), "rate": (),
        "interval": (), "start": (), "trace": OF_A_TERMINAL, "errors": (),
    }  # fmt: skip

    terminals: Annotated[Terminals, Field(min_length=1)] = Field(
        description="Its inputs, as `{terminal}` in the names below."
    )
    triggers: Terminals = Field(default=[], description="Where it can see the trigger; left out, at its inputs.")
    bits: Annotated[int, Field(ge=1, le=31)] = Field(default=8, description="Of its converters.")
    memory: Count = Field(description="Most samples of a record.")
    rates: Annotated[list[Annotated[Hertz, Field(gt=0)]], Field(min_length=1)] = Field(
        description="The sample rates it has."
    )
    pre_trigger: Count | None = Field(
        default=None, description="Most samples before the trigger; left out, all of them."
    )
    prepare: list[Step] = Field(
        default=[],
        description="Steps that set time base and trigger: `{start}`, `{end}`, `{middle}` and `{duration}` of the "
        "record [s after the trigger], `{rate}`, `{trigger}`, `{trigger_number}`, `{level}`.",
    )
    range: list[Step] = Field(
        default=[], description="Steps that let an input show `{low}` to `{high}`; `{span}`, `{middle}`."
    )
    arm: Annotated[list[Step], Field(min_length=1)] = Field(description="Steps that let it wait for one trigger.")
    waiting: ConditionSection | None = Field(
        default=None, description="When it waits for the trigger; left out, as soon as it is armed."
    )
    ready: ConditionSection = Field(description="When the record is complete.")
    stop: list[Step] = Field(default=[], description="Steps that end its waiting.")
    rate: Step | None = Field(default=None, description="Question for the sample rate of a record [Hz].")
    interval: Step | None = Field(default=None, description="In place of `rate`, for the time between samples [s].")
    start: Step = Field(description="Question for the time of the first sample [s after the trigger].")
    trace: Step = Field(description="Question for the readings of an input [V].")
    errors: Step | None = Field(
        default=None, description="Question for the error that the instrument keeps: 0 is none, as SCPI has it."
    )

    @model_validator(mode="after")
    def _one_time_axis(self) -> InputsSection:
        if (self.rate is None) == (self.interval is None):
            wrong = "neither is given" if self.rate is None else "not both"
            raise ValueError(
                f"give `rate` or `interval`, the question for the sample rate or the time between samples: {wrong}"
            )
        return self
