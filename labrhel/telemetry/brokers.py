"""The user's own settings of brokers, and the only place that a password comes from.

A configuration, and a run folder with one in it, may come from anybody.  If it could say which file or variable holds
the password, it could send any file or variable of the user to any broker.  So a password is named once for each
broker, in `brokers.yaml` in the user's configuration folder, which nobody else may read:

    lab-server:
      ca: /etc/labrhel/lab-ca.pem
      user: rig1
      password_file: /etc/labrhel/mqtt-password

It leaves only over TLS, with the authority that stands there, or to this computer itself.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, RootModel, ValidationError, model_validator

from labrhel.config.fields import Section
from labrhel.config.problems import sentence
from labrhel.config.reader import Source, read
from labrhel.errors import ConfigurationError
from labrhel.safety.places import own_folder
from labrhel.safety.plain_files import read_plain

_OTHERS = 0o077
_LONGEST = 10_000  # bytes of a file with a password


class BrokerSection(Section):
    """What the user says of one broker; encrypted, unless `tls: false` stands there."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    tls: bool = True
    ca: str | None = None
    user: str | None = None
    password: str | None = None
    password_file: str | None = None
    password_env: str | None = None

    @model_validator(mode="after")
    def _parts_belong_together(self) -> BrokerSection:
        given = [word for word in (self.password, self.password_file, self.password_env) if word is not None]
        if len(given) > 1:
            raise ValueError("give one of password, password_file and password_env")
        if given and self.user is None:
            raise ValueError("a password needs a user")
        if self.ca is not None and not self.tls:
            raise ValueError("'ca' belongs to an encrypted connection; leave out tls: false")
        return self


class _Brokers(RootModel[dict[str, BrokerSection]]):
    """The whole file, by host."""


@dataclass(frozen=True, slots=True)
class KnownBroker:
    """A broker as its user knows it; without a password where there is none."""

    port: int
    tls: bool
    ca: Path | None
    user: str | None
    password: str | None


def brokers_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the user's settings of brokers lie."""
    return own_folder(environment) / "brokers.yaml"


def known_broker(host: str, port: int | None, environment: Mapping[str, str]) -> KnownBroker | None:
    """What the user's settings say of the broker at this host, and port if it is given; None if they do not name it.

    Raises ConfigurationError for settings that are wrong, that others may read, or that would send a password in clear.
    """
    file = brokers_file(environment)
    try:
        about = file.stat()
    except OSError:
        return None
    source = read(file)
    try:
        sections = _Brokers.model_validate(source.data).root
    except ValidationError as error:
        raise sentence(source, error) from None
    section = sections.get(host)
    if section is None:
        return None
    usual = section.port or (8883 if section.tls else 1883)
    if port not in (None, usual):
        return None
    if os.name == "posix" and (about.st_uid != os.geteuid() or about.st_mode & _OTHERS):
        raise ConfigurationError(f"{file} is not yours alone: `chmod 600 {file}`, and change the passwords in it")
    password = _password(section, host, source, environment)
    if password is not None and not section.tls and not _is_loopback(host):
        words = f"the password for {host} would cross the network in clear: delete tls: false, and it goes encrypted"
        raise source.error(words, host, "tls")
    ca = None if section.ca is None else file.parent / section.ca
    return KnownBroker(usual, section.tls, ca, section.user, password)


def _password(section: BrokerSection, host: str, source: Source, environment: Mapping[str, str]) -> str | None:
    if section.password_env is not None:
        if section.password_env not in environment:
            words = f"the variable {section.password_env} is not set; it must hold the password"
            raise source.error(words, host, "password_env")
        return environment[section.password_env]
    if section.password_file is None:
        return section.password
    file = source.file.parent / section.password_file
    try:
        return read_plain(file, _LONGEST).decode("utf-8").partition("\n")[0].removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise source.error(f"the password cannot be read from {file}: {words}", host, "password_file") from None


def _is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this computer."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
