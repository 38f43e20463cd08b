"""What all sections share: no unknown keys, numbers that are numbers, and values that may be trained."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from labrhel.config.problems import describe, nearest


class Section(BaseModel):
    """A mapping of known keys, strictly typed; an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    hint = nearest(str(key), cls.model_fields)
                    raise PydanticCustomError("unknown_key", "{words}", {"key": key, "words": f"unknown key; {hint}"})
        return data


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_numbers(value: Any) -> Any:
    if _number(value) or (isinstance(value, list) and value and all(_number(item) for item in value)):
        rows = value
    elif isinstance(value, list) and value and all(isinstance(row, list) and row for row in value):
        if any(not _number(item) for row in value for item in row):
            raise ValueError("expected numbers in every row of the matrix")
        if len({len(row) for row in value}) > 1:
            raise ValueError("the rows of the matrix differ in length")
        rows = value
    else:
        raise ValueError(f"expected a number, a list of numbers or a list of rows, not {describe(value)}")
    try:
        finite = np.isfinite(np.asarray(rows, float)).all()
    except OverflowError:  # a whole number beyond float64
        finite = False
    if not finite:
        raise ValueError("every value must be a finite number")
    return value


LARGEST_COUNT = 10**9
"""Samples, steps, oscillators: beyond it a number is a slip of the keyboard, and would only fill the memory."""

LARGEST_REPEATS = 10_000
"""How often the same is done: repeats, rounds, directions, tones."""

LARGEST_PAIRS = 12
"""Of echoes for directed couplings: what more of them would bring is noise, or rounding."""

LARGEST_SIZE = 4096
"""Rows of a matrix: oscillators, features.  A matrix of numbers is then 128 MiB."""

_ROWS = {"type": "array", "items": {"type": "number"}, "minItems": 1}
_NUMBERS = {"anyOf": [{"type": "number"}, _ROWS, {"type": "array", "items": _ROWS, "minItems": 1}]}
_FLAGS = {"type": "array", "items": {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "boolean"}}]}}

Numbers = Annotated[Any, AfterValidator(_as_numbers), WithJsonSchema(_NUMBERS)]
"""A number, a list of numbers, or a matrix as a list of rows; all finite."""

Name = Annotated[str, Field(pattern=r"^[^/\x00-\x1f]+$")]
"""A name that can stand in files: not empty, no slash, one line."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[Finite, Field(gt=0)]
NotNegative = Annotated[Finite, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
Repeats = Annotated[int, Field(ge=1, le=LARGEST_REPEATS)]
Size = Annotated[int, Field(ge=1, le=LARGEST_SIZE)]
Index = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Fraction = Annotated[Finite, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _auto(value: Any) -> Any:
    if value == "auto":
        return None
    if not _number(value):
        raise ValueError(f"expected auto or a positive number, not {describe(value)}")
    return value


AutoOrPositive = Annotated[
    Positive | None,
    BeforeValidator(_auto),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "number", "exclusiveMinimum": 0}], "default": "auto"}),
]
"""`auto` (None) or a positive number."""


def _auto_or_whole(value: Any) -> Any:
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_PAIRS:
        raise ValueError(f"expected auto or a whole number from 0 to {LARGEST_PAIRS}, not {describe(value)}")
    return value


AutoOrWhole = Annotated[
    int | None,
    BeforeValidator(_auto_or_whole),
    WithJsonSchema({
        "anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 0, "maximum": LARGEST_PAIRS}], "default": "auto",
    }),
]  # fmt: skip
"""`auto` (None) or a number of pairs of echoes."""


def _as_flags(value: Any) -> Any:
    flat = (
        [item for row in value for item in (row if isinstance(row, list) else [row])]
        if isinstance(value, list)
        else [value]
    )
    if not all(isinstance(item, bool) for item in flat):
        raise ValueError(f"expected true, false, or one of them per entry, not {describe(value)}")
    if isinstance(value, list) and len({len(row) if isinstance(row, list) else None for row in value}) > 1:
        raise ValueError("the rows of flags differ in length")
    return value


class Quantity(Section):
    """A number, list or matrix; or a mapping that also says how it is trained."""

    value: Numbers = Field(description="The value to start from, in model units.")
    train: Annotated[Any, AfterValidator(_as_flags), WithJsonSchema({"anyOf": [{"type": "boolean"}, _FLAGS]})] = Field(
        default=False, description="Whether it is trained: true, false, or one of them for each entry."
    )
    bounds: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="Lowest and highest value training may reach, in model units; .inf for none."
    )
    transform: Literal["identity", "log"] = Field(
        default="identity", description="log trains the logarithm: for positive values known only to a factor."
    )
    scale: Positive = Field(default=1.0, description="The change the optimizer counts as 1, in model units.")

    @model_validator(mode="before")
    @classmethod
    def _a_bare_value_is_not_trained(cls, data: Any) -> Any:
        return data if isinstance(data, dict | cls) else {"value": data}

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Quantity:
        if self.bounds is not None and not self.bounds[0] <= self.bounds[1]:
            raise ValueError(f"bounds are [lowest, highest], not {self.bounds}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
        schema = handler(core_schema)
        whole = handler.resolve_ref_schema(schema)
        mapping = dict(whole)
        whole.clear()
        whole.update({"description": mapping.pop("description", ""), "anyOf": [*_NUMBERS["anyOf"], mapping]})
        return schema
