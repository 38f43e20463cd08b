"""From the `telemetry` section, or a URL, and the user's own settings of the broker to what a connection needs."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import ValidationError

from labrhel.config import Document
from labrhel.config.problems import sentence
from labrhel.config.reader import Source
from labrhel.config.telemetry import PASSWORD_KEYS, TelemetrySection, where_passwords_are
from labrhel.errors import ConfigurationError
from labrhel.safety.plain_files import read_plain
from labrhel.telemetry.brokers import brokers_file, known_broker

_SCHEMES = {"mqtt": False, "mqtts": True}
_NUMBERS = {"points": int, "queue": int, "traces_per_second": float}
_IN_QUERY = ("ca", "version", *_NUMBERS)
_EXAMPLE = "mqtt://user@host:1883/prefix, or mqtts:// for TLS"


@dataclass(frozen=True, slots=True)
class Settings:
    """A section with nothing left open; `tls` is ready for use, and `password` is never shown."""

    host: str
    port: int
    prefix: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    points: int = 300
    traces_per_second: float = 2.0
    queue: int = 1000
    version: str = "5"

    def __str__(self) -> str:
        user = "" if self.user is None else f"{self.user}@"
        return f"mqtt{'' if self.tls is None else 's'}://{user}{self.host}:{self.port}/{self.prefix}"


def settings_of(
    document: Document, name: str, home: Path, url: str | None, environment: Mapping[str, str]
) -> Settings | None:
    """What the file of the run `name` says, or the `url` in its place; None where neither speaks of telemetry.

    Paths of the file start from `home`, those of the URL from the working folder.  Raises ConfigurationError.
    """
    if url is not None:
        return settings_of_url(url, name, environment)
    section = document.config.telemetry
    if section is None:
        return None
    with document.at("telemetry"):
        return _resolved(section, name, home, environment)


def settings_of_url(url: str, name: str, environment: Mapping[str, str]) -> Settings:
    """What a URL means for the run `name`; raises ConfigurationError."""
    return _resolved(_section_of(url), name, Path(), environment)


def _section_of(url: str) -> TelemetrySection:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"--telemetry {url}: {error}; expected {_EXAMPLE}") from None
    if parts.password is not None:
        raise ConfigurationError(
            "--telemetry: a password in a URL is seen by everyone on this machine and kept in the record; "
            f"name it once for the broker in {brokers_file()} (docs/telemetry.md)"
        )
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ConfigurationError(f"--telemetry {url}: expected {_EXAMPLE}")
    data: dict[str, object] = {"broker": parts.hostname, "port": port, "tls": _SCHEMES[parts.scheme]}
    data |= {"user": parts.username and unquote(parts.username), "prefix": unquote(parts.path[1:]) or None}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key in PASSWORD_KEYS:
            raise ConfigurationError(f"--telemetry: {key}: {where_passwords_are()}")
        if key not in _IN_QUERY:
            raise ConfigurationError(f"--telemetry {url}: unknown setting {key!r}; known are: {', '.join(_IN_QUERY)}")
        try:
            data[key] = _NUMBERS.get(key, str)(value)
        except ValueError:
            raise ConfigurationError(f"--telemetry {url}: {key} is a number, not {value!r}") from None
    try:
        return TelemetrySection.model_validate({key: value for key, value in data.items() if value is not None})
    except ValidationError as error:
        problem = sentence(Source(Path("--telemetry"), url, {}, {}), error)
        raise ConfigurationError(f"--telemetry {url}: {problem.problem}") from None


def _resolved(section: TelemetrySection, name: str, folder: Path, environment: Mapping[str, str]) -> Settings:
    usual = "".join("_" if sign in "+#/\0" else sign for sign in name)
    known = known_broker(section.broker, section.port, environment)
    if known is None:
        port, tls, user, password = section.port or (8883 if section.tls else 1883), section.tls, section.user, None
        ca = None if section.ca is None else folder / section.ca
    else:
        # Whoever wrote the section must not choose who vouches for a broker that gets the password.
        port, tls, ca, user, password = known.port, known.tls, known.ca, known.user, known.password
        if section.user not in (None, user):
            raise ConfigurationError(
                f"{brokers_file(environment)} knows {section.broker} by the user {user!r}, not {section.user!r}: "
                "leave out the user here, or change it there"
            )
        if section.tls and not tls:
            raise ConfigurationError(
                f"{brokers_file(environment)} says tls: false of {section.broker}; leave out tls here, or delete that"
            )
    return Settings(
        host=section.broker,
        port=port,
        prefix=section.prefix or f"labrhel/{usual}",
        user=user,
        password=password,
        tls=_context(ca) if tls else None,
        points=section.points,
        traces_per_second=section.traces_per_second,
        queue=section.queue,
        version=section.version,
    )


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=None if ca is None else read_plain(ca).decode("ascii", "replace"))
    except (OSError, ssl.SSLError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{ca} is no file of certificates: {words}") from None
