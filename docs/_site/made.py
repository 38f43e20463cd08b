"""What pages say of the code and would only get wrong by hand: commands, keys of files, learning rules.

A page says where, as a comment that a code host does not show, and the site puts it there:

    <!-- commands -->                    every command with its arguments and options, from typer
    <!-- all keys of MODULE.CLASS -->    a file's keys, section by section, from what checks the file
    <!-- rules -->                       the registered learning rules: what they need, and their options
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_args

from labrhel import plugins
from labrhel.cli.key_tables import keys
from labrhel.config.fields import Section

_MARK = re.compile(r"^<!-- (commands|rules|all keys of ([\w.]+)) -->$", re.MULTILINE)


def filled(text: str) -> str:
    """The text with everything in its place."""
    return _MARK.sub(lambda mark: "\n".join(_made(mark[1], mark[2])), text)


def with_reason(text: str) -> str:
    """A notebook that is not executed says so."""
    reason = "\n\n```{note}\nThis page was built without PyTorch, so its cells were not executed.\n```\n"
    return re.sub(r"^# .*$", lambda title: title[0] + reason, text, count=1, flags=re.MULTILINE)


def _made(mark: str, section: str | None) -> Iterator[str]:
    if section is not None:
        module, _, name = section.rpartition(".")
        yield from _keys(getattr(import_module(module), name), "")
    else:
        yield from {"commands": _commands, "rules": _rules}[mark]()


def _commands() -> Iterator[str]:
    """As `typer ... utils docs` prints them, without the list of all that begins it, and a level deeper."""
    import typer
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from labrhel.cli.root import app

    for part in ("app", "rig_commands", "recorded"):  # importing them adds the commands
        import_module(f"labrhel.cli.{part}")
    command = get_command(app)
    whole = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="labrhel"), name="labrhel")
    _, *parts = re.split(r"^## ", whole, flags=re.MULTILINE)
    for part in parts:
        yield "## " + part.replace("**Usage**:\n\n", "").replace("```console", "```text")


def _keys(section: type[Section], path: str) -> Iterator[str]:
    yield from ("", *keys(section), "")
    for key, field in section.model_fields.items():
        for inner in _sections_in(field.annotation):
            inside = f"{path}.{key}".lstrip(".")
            yield from ("", f"{'#' * min(4, 3 + inside.count('.'))} {inside}", "", _described(inner))
            yield from _keys(inner, inside)


def _sections_in(kind: Any) -> Iterator[type[Section]]:
    if isinstance(kind, type) and issubclass(kind, Section):
        yield kind
    for part in get_args(kind):
        yield from _sections_in(part)


def _described(section: type[Section]) -> str:
    return (section.__doc__ or "").partition("\n\n")[0]


def _rules() -> Iterator[str]:
    """By module, since rules of one module share their idea, equation and source: its words, then each rule's."""
    modules: dict[str, dict[str, Any]] = {}
    for name, rule in plugins.usual_rules().items():
        modules.setdefault(type(rule).__module__, {})[name] = rule
    for module, rules in modules.items():
        yield from ("", f"## {', '.join(rules)}", "", inspect.cleandoc(import_module(module).__doc__ or ""))
        for name, rule in rules.items():
            yield from ("", f"`rule: {name}`. " + " ".join((rule.__doc__ or "").removeprefix("The rule.").split()), "")
            wanted = [
                field.name.replace("_", " ")
                for field in dataclasses.fields(rule.needs)
                if getattr(rule.needs, field.name) and field.name != "rotates"
            ]
            options = [f"`{option.name}: {_value(getattr(rule, option.name))}`" for option in dataclasses.fields(rule)]
            yield from (
                f"- Needs: {', '.join(wanted) or 'nothing'}",
                *(["- Takes amplitudes in the rotating frame, too"] if rule.needs.rotates else []),
                f"- Options, as they are if left out: {', '.join(options) or 'none'}",
                *(["- Knows arrays in the rotating frame as well"] if rule.needs.rotates else []),
            )


def _value(value: Any) -> str:
    """As a file says it."""
    return str(value.value) if isinstance(value, enum.Enum) else json.dumps(value)
