"""`--json`: one JSON object on standard output and nothing else there; what a person reads goes to standard error.

Every object has `good`, which is what the exit status says, or `error`, the sentence of what ended the command.
Numbers have their unit in the key or beside them; what is no finite number is null.
"""

from __future__ import annotations

import enum
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, and on standard error what is printed without this.")
]

Answer = dict[str, Any]
"""What a command has found, by name; its values become JSON by `plain`."""


def answered(work: Callable[[Answer], bool | None], *, as_json: bool, otherwise: int = 1) -> None:
    """Run a command that fills an answer; exit status `otherwise` if it returns False."""
    with _told(as_json) as answer:
        answer["good"] = work(answer) is not False
    if not answer["good"]:
        raise typer.Exit(otherwise)


@contextmanager
def _told(as_json: bool) -> Iterator[Answer]:  # noqa: FBT001
    answer: Answer = {}
    if not as_json:
        yield answer
        return
    output = sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            yield answer
    except (Exception, KeyboardInterrupt) as error:
        answer["error"] = str(error) or type(error).__name__
        raise
    finally:
        print(json.dumps(plain(answer), indent=2, ensure_ascii=False), file=output)


def plain(value: Any) -> Any:
    """The same as JSON knows it: records as objects, arrays as lists, times by ISO 8601, nothing for no number."""
    if hasattr(value, "tolist"):
        value = value.tolist()  # arrays and numbers of numpy, which is not imported for this
    if value is None or (isinstance(value, (bool, int, str)) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"an answer holds no {type(value).__name__}")


def instant(seconds: float | None) -> datetime | None:
    """A time in seconds since 1970 as an answer tells it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
