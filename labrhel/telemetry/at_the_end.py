"""A message when a run or a sweep has ended: a command, or MQTT, from the user's own settings alone.

A configuration or a run folder may come from anybody, and would choose what runs on this computer.  So it stands in
`settings.yaml` in the user's configuration folder, which nobody else may write:

    on_end:
      command: [notify-send, labrhel]            # the sentence is added as its last word
      mqtt: mqtts://lab-server/lab/rig1          # published as JSON under lab/rig1/ended
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator

from labrhel.config.fields import Section
from labrhel.config.problems import sentence
from labrhel.config.reader import read
from labrhel.errors import ConfigurationError, LabrhelError, NotSafeError
from labrhel.safety.places import own_folder
from labrhel.telemetry.payloads import Message
from labrhel.telemetry.settings import Settings, settings_of_url

SILENT = "LABRHEL_NO_MESSAGE"
"""An environment variable: set, nothing is sent.  The points of a sweep have it."""

PATIENCE = 10.0
"""Seconds for the command, and for the broker."""

_OTHERS = 0o022
_TOPIC = "ended"


class OnEndSection(Section):
    """What is done when a run or a sweep has ended."""

    command: Annotated[list[str], Field(min_length=1)] | None = None
    mqtt: str | None = None


class _Own(Section):
    """The whole file."""

    on_end: OnEndSection

    @model_validator(mode="after")
    def _says_something(self) -> _Own:
        if self.on_end.command is None and self.on_end.mqtt is None:
            raise ValueError("on_end needs a command or mqtt")
        return self


@dataclass(slots=True)
class End:
    """How it ended, which is filled in as it becomes known."""

    name: str
    status: str = "done"
    words: str = ""
    folder: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.name, self.status, self.words) if part)


@dataclass(frozen=True, slots=True)
class OnEnd:
    """The user's settings, checked."""

    command: tuple[str, ...] = ()
    broker: Settings | None = None

    def send(self, end: End) -> Iterator[str]:
        """Send it both ways; a sentence for each that failed."""
        if self.command:
            yield from _call(self.command, end)
        if self.broker is not None:
            try:
                with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                    runner.run(asyncio.wait_for(_publish(self.broker, end), PATIENCE))
            except (LabrhelError, TimeoutError) as error:
                yield f"no message to {self.broker}: {error or 'it does not answer'}"


def settings_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the user's own settings lie."""
    return own_folder(environment) / "settings.yaml"


def on_end(environment: Mapping[str, str] = os.environ) -> OnEnd | None:
    """What the user wants to hear at the end; None for nothing.

    Raises ConfigurationError for settings that are wrong, or that others may write.
    """
    file = settings_file(environment)
    if environment.get(SILENT):
        return None
    try:
        about = file.stat()
    except OSError:
        return None
    if os.name == "posix" and (about.st_uid != os.geteuid() or about.st_mode & _OTHERS):
        raise ConfigurationError(f"{file} can be written by others, who could run commands as you: `chmod 600 {file}`")
    source = read(file)
    try:
        section = _Own.model_validate(source.data).on_end
    except ValidationError as error:
        raise sentence(source, error) from None
    broker = None if section.mqtt is None else settings_of_url(section.mqtt, "runs", environment)
    return OnEnd(tuple(section.command or ()), broker)


@contextmanager
def telling(name: str) -> Iterator[End]:
    """Inside the block something runs that is called `name`; whatever ends it, its user is told."""
    wanted, end = on_end(), End(name)
    try:
        yield end
    except BaseException as error:
        is_interrupt = isinstance(error, KeyboardInterrupt)
        end.status = "unsafe" if isinstance(error, NotSafeError) else "interrupted" if is_interrupt else "failed"
        end.words = str(error) or type(error).__name__
        raise
    finally:
        for problem in () if wanted is None else wanted.send(end):
            print(f"note: {problem}", file=sys.stderr)  # it ends nothing


def _call(command: tuple[str, ...], end: End) -> Iterator[str]:
    told = {f"LABRHEL_{key.upper()}": str(value) for key, value in asdict(end).items()}
    try:
        done = subprocess.run(
            [*command, str(end)],
            env=os.environ | told,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            yield f"on_end: {command[0]} ended with status {done.returncode}"
    except (OSError, ValueError) as error:
        yield f"on_end: {command[0]} cannot be run: {getattr(error, 'strerror', None) or error}"
    except subprocess.TimeoutExpired:
        yield f"on_end: {command[0]} took longer than {PATIENCE:g} s, and was ended"


async def _publish(settings: Settings, end: End) -> None:
    from labrhel.telemetry.broker import connected

    message = Message(f"{settings.prefix}/{_TOPIC}", json.dumps(asdict(end), ensure_ascii=False).encode(), False)
    async with connected(settings, f"labrhel-{secrets.token_hex(6)}", fresh=True) as link:
        await link.publish(message)
