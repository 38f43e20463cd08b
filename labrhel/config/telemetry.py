"""The `telemetry` section: where a run is published over MQTT, and how much of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from labrhel.config.fields import Count, Name, NotNegative, Section

_LONGEST_PREFIX = 200  # characters; MQTT allows 65535 bytes, a person reads fewer


def _prefix(value: str) -> str:
    parts = value.split("/")
    if len(value) > _LONGEST_PREFIX or not all(parts) or any(sign in value for sign in "+#\0") or value[0] == "$":
        raise ValueError(f"a prefix is words with / between them, without + # or a $ in front, not {value!r}")
    return value


class TelemetrySection(Section):
    """Telemetry is on where this section stands; a password is never written here, only where it is found."""

    broker: Name = Field(description="Host name or address of the MQTT broker.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Port of the broker; left out: 1883, with TLS 8883."
    )
    tls: bool = Field(default=False, description="Whether the connection is encrypted and the broker's name checked.")
    ca: str | None = Field(
        default=None, description="PEM file of the authority that signed the broker's certificate; else the system's."
    )
    user: str | None = Field(default=None, description="User name at the broker.")
    password_file: str | None = Field(default=None, description="File whose first line is the password.")
    password_env: str | None = Field(default=None, description="Environment variable that holds the password.")
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

    @model_validator(mode="after")
    def _parts_belong_together(self) -> TelemetrySection:
        if self.ca is not None and not self.tls:
            raise ValueError("'ca' belongs to an encrypted connection; add tls: true")
        if self.password_file is not None and self.password_env is not None:
            raise ValueError("the password comes from a file or from a variable; give one of the two")
        if self.user is None and (self.password_file is not None or self.password_env is not None):
            raise ValueError("a password needs a user")
        return self
