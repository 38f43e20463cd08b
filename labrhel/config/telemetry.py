"""The `telemetry` section: where a run is published over MQTT, and how much of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from labrhel.config.fields import Count, Name, NotNegative, Section
from labrhel.safety.places import own_folder

_LONGEST_PREFIX = 200  # characters; MQTT allows 65535 bytes, a person reads fewer


PASSWORD_KEYS = ("password", "password_file", "password_env")
"""What a configuration cannot say: it may come from anybody, and would choose what is sent to whom."""


def where_passwords_are() -> str:
    """What to do with a key that says where a password is."""
    return (
        f"a configuration or URL names no password: name it once for the broker in {own_folder()}/brokers.yaml, as "
        "in HOST: {user: NAME, password_file: FILE}, and delete this (docs/telemetry.md)"
    )


def _prefix(value: str) -> str:
    parts = value.split("/")
    if len(value) > _LONGEST_PREFIX or not all(parts) or any(sign in value for sign in "+#\0") or value[0] == "$":
        raise ValueError(f"a prefix is words with / between them, without + # or a $ in front, not {value!r}")
    return value


class TelemetrySection(Section):
    """Telemetry is on where this section stands; passwords of brokers stand in the user's own settings alone."""

    broker: Name = Field(description="Host name or address of the MQTT broker.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Port of the broker; left out: 1883, with TLS 8883."
    )
    tls: bool = Field(default=False, description="Whether the connection is encrypted and the broker's name checked.")
    ca: str | None = Field(
        default=None, description="PEM file of the authority that signed the broker's certificate; else the system's."
    )
    user: str | None = Field(default=None, description="User name at a broker that asks for no password.")
    prefix: Annotated[str, AfterValidator(_prefix), WithJsonSchema({"type": "string"})] | None = Field(
        default=None, description="What all topics begin with, one for each rig; left out: labrhel/NAME_OF_THIS_FILE."
    )
    points: Annotated[int, Field(ge=2, le=10_000)] = Field(
        default=300, description="Most points of a channel in a published trace."
    )
    traces_per_second: Annotated[NotNegative, Field(le=20)] = Field(
        default=2.0, description="How often traces are published at most; 0 for never."
    )
    queue: Count = Field(
        default=1000, description="Steps kept while the broker is away; beyond it the oldest are dropped and counted."
    )
    version: Annotated[Literal["5", "3.1.1"], BeforeValidator(str)] = Field(
        default="5", description="Version of MQTT that the broker speaks: 5 or 3.1.1."
    )

    @model_validator(mode="before")
    @classmethod
    def _says_nothing_of_passwords(cls, data: Any) -> Any:
        for key in PASSWORD_KEYS:
            if isinstance(data, dict) and key in data:
                raise PydanticCustomError("unknown_key", "{words}", {"key": key, "words": where_passwords_are()})
        return data

    @model_validator(mode="after")
    def _parts_belong_together(self) -> TelemetrySection:
        if self.ca is not None and not self.tls:
            raise ValueError("'ca' belongs to an encrypted connection; add tls: true")
        return self
