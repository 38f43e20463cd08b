"""Classes and functions that a configuration names as `my_file.py:Name`, from the file beside it.

The rule of trust (`labrhel.safety.trust`) decides whether the file may run.  The folder of a run, and what was unpacked
from an archive, is somebody's record: what lies in it never runs.  Its configuration gets the code from where it was
written, and only with the digest that the record names.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from labrhel.config.problems import nearest
from labrhel.errors import ConfigurationError
from labrhel.safety import trust

_NAMED = re.compile(r"(?P<file>[^:]*\.py):(?P<name>[^:?]*)(?P<rest>.*)", re.DOTALL)
_RUN = ("manifest.json", "config.yaml")  # what the folder of a run holds


@dataclass(frozen=True, slots=True)
class Reference:
    """`my_file.py:Name`, and what follows it: of a rig `my_rig.py:open_rig:rest` or `my_rig.py:open_rig?a=1`."""

    file: str
    name: str
    rest: str = ""

    @classmethod
    def of(cls, text: str) -> Reference | None:
        """None for a text that names no code, such as a registered name or another URL."""
        parts = _NAMED.fullmatch(text)
        return None if parts is None else cls(parts["file"], parts["name"], parts["rest"].removeprefix(":"))


@dataclass(frozen=True, slots=True)
class CodeBeside:
    """The code in `folder`, that of a configuration; `digests` of what was loaded, by file name.

    `recorded`: what the record of a run says the digests must be; None where there is no record.
    """

    folder: Path
    recorded: Mapping[str, str] | None = None
    digests: dict[str, str] = field(default_factory=dict)

    def named(self, reference: Reference) -> Any:
        """The class or function; raises ConfigurationError for what may not run, does not run, or is not there."""
        folder = self.folder.absolute()
        for place in (folder, *folder.parents):
            if all((place / name).is_file() for name in _RUN):
                raise ConfigurationError(f"{place} is the folder of a run, from which no code is taken")
        code = trust.Code.beside(self.folder, reference.file)
        self._compare_with_record(code, reference.file)
        trust.require(code)
        module = _module(code)
        found = getattr(module, reference.name, None)
        if not callable(found):
            own = [name for name, item in vars(module).items() if getattr(item, "__module__", "") == module.__name__]
            raise ConfigurationError(
                f"{code.file} has no class or function {reference.name!r}; {nearest(reference.name, own)}"
            )
        self.digests[reference.file] = code.digest
        return found

    def _compare_with_record(self, code: trust.Code, name: str) -> None:
        if self.recorded is None:
            return
        if name not in self.recorded:
            raise ConfigurationError(f"{code.file} is not of this run, whose record names no such code")
        if self.recorded[name] != code.digest:
            raise ConfigurationError(
                f"{code.file} is not what the run began with; restore it, or start a new run with it"
            )


def _module(code: trust.Code) -> ModuleType:
    """The bytes as a module, made once in a process: under a name that no import statement reaches by accident."""
    name = f"{code.file.stem}@{code.digest}"
    if name in sys.modules:
        return sys.modules[name]
    try:
        compiled = compile(code.content, str(code.file), "exec")
    except (SyntaxError, ValueError) as error:
        words, line = getattr(error, "msg", str(error)), getattr(error, "lineno", None)
        raise ConfigurationError(f"this is not valid Python: {words}", file=code.file, line=line) from None
    module = ModuleType(name)
    module.__file__ = str(code.file)
    sys.modules[name] = module  # dataclasses look the module up while it runs
    try:
        exec(compiled, module.__dict__)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception | SystemExit):
            raise
        said = str(error).partition("\n")[0]
        raise ConfigurationError(f"{code.file} cannot be run: {type(error).__name__}: {said}") from error
    return module
