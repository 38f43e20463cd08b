"""Whose code may run: a file of Python beside a configuration, if the user has said so of exactly these bytes.

A file is read once.  What was read is digested, shown, looked up in the user's own list, and run; a file that changes
meanwhile changes nothing.  The list is a text file in the user's configuration folder, a line for each trusted file,

    SHA-256 of the content, two spaces, where it lay

which nobody else may read or write.  docs/decisions/0015-trusted-code.md says against whom this helps.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from labrhel.errors import ConfigurationError
from labrhel.safety.places import own_folder

LARGEST = 1_000_000
"""Bytes of a file of code; what is longer was not written to be read."""

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\.py")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class Code:
    """A file of Python as it was read, once: `content` is what is digested, shown and run."""

    file: Path
    content: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @classmethod
    def beside(cls, folder: Path, name: str) -> Code:
        """The file `name` in `folder` itself.

        Raises ConfigurationError for a path in place of a name, a link, and what is no file that can be read.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"code lies beside the configuration and is named by letters, digits, - and _ alone, such as "
                f"my_rule.py; {name!r} is not such a name"
            )
        if (folder / name).is_symlink():  # where the system has no O_NOFOLLOW
            raise ConfigurationError(f"{folder / name} is a link; put the file itself beside the configuration")
        return cls._read(folder / name, _FLAGS)

    @classmethod
    def named(cls, file: Path) -> Code:
        """The file that a user has named by hand, wherever it lies."""
        return cls._read(file, _FLAGS & ~getattr(os, "O_NOFOLLOW", 0))

    @classmethod
    def _read(cls, file: Path, flags: int) -> Code:
        try:
            with os.fdopen(os.open(file, flags), "rb") as opened:
                if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                    raise ConfigurationError(f"{file} is not a file of code")
                content = opened.read(LARGEST + 1)
        except OSError as error:
            raise ConfigurationError(f"the code {file} cannot be read: {error.strerror}") from None
        if len(content) > LARGEST:
            raise ConfigurationError(f"{file} is longer than {LARGEST} bytes: nobody can have read it")
        return cls(file, content)


@dataclass(frozen=True, slots=True)
class TrustList:
    """What the user has trusted so far, in `file`; a list that others can change is no list of the user's."""

    file: Path = field(default_factory=lambda: own_folder() / "trusted")

    def entries(self) -> dict[str, str]:
        """Where each file lay when it was trusted, by the digest of its content.

        Raises ConfigurationError for a list that is damaged, or that others may read or write.
        """
        try:
            with os.fdopen(os.open(self.file, _FLAGS), "rb") as opened:
                self._check_owner(os.fstat(opened.fileno()))
                lines = opened.read().decode("utf-8", "replace").split("\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigurationError(f"the list of trusted code {self.file} cannot be read: {error.strerror}") from None
        found = {}
        for number, line in enumerate(lines[:-1], 1):
            parts = _LINE.fullmatch(line)
            if parts is None:
                raise self._damaged(number)
            found[parts[1]] = parts[2]
        if lines[-1]:
            raise self._damaged(len(lines))  # the end of a line is missing
        return found

    def add(self, code: Code) -> None:
        """Trust these bytes from now on; raises ConfigurationError if the list cannot be written."""
        if code.digest in self.entries():
            return
        where = "".join(letter if letter.isprintable() else "?" for letter in str(code.file.absolute()))
        line = f"{code.digest}  {where}\n".encode("utf-8", "replace")
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(self.file, flags, 0o600), "ab", buffering=0) as opened:
                self._check_owner(os.fstat(opened.fileno()))
                opened.write(line)
                os.fsync(opened.fileno())
        except OSError as error:
            raise ConfigurationError(
                f"the list of trusted code {self.file} cannot be written: {error.strerror}"
            ) from None

    def _check_owner(self, about: os.stat_result) -> None:
        if not stat.S_ISREG(about.st_mode):
            raise ConfigurationError(f"the list of trusted code {self.file} is not a file; move it away")
        if os.name == "posix" and (about.st_uid != os.geteuid() or about.st_mode & _OTHERS):
            raise ConfigurationError(
                f"the list of trusted code {self.file} is not yours alone: look through it, then `chmod 600` it, or "
                "delete it"
            )

    def _damaged(self, number: int) -> ConfigurationError:
        return ConfigurationError(
            f"the list of trusted code {self.file} is damaged in line {number}: delete that line, or the file"
        )


@dataclass(frozen=True, slots=True)
class _Grant:
    digests: frozenset[str] = frozenset()
    ask: Callable[[Code], bool] | None = None
    forbidden: bool = False


_NOTHING = _Grant()
_GRANT: ContextVar[_Grant] = ContextVar("trusted code", default=_NOTHING)  # of a command or a call, as its user is


@contextmanager
def granting(files: Sequence[Path | str | Code] = (), ask: Callable[[Code], bool] | None = None) -> Iterator[None]:
    """Inside the block the present content of `files` is trusted, beside the list; `ask` is asked about other code.

    What it says yes to goes into the list.  Raises ConfigurationError for a file that cannot be read.
    """
    outer = _GRANT.get()
    read = [file if isinstance(file, Code) else Code.named(Path(file)) for file in files]
    digests = frozenset(code.digest for code in read)
    token = _GRANT.set(_Grant(outer.digests | digests, outer.ask if ask is None else ask))
    try:
        yield
    finally:
        _GRANT.reset(token)


@contextmanager
def forbidding() -> Iterator[None]:
    """Inside the block no code of a configuration runs, trusted or not: somebody only wants to look."""
    token = _GRANT.set(_Grant(forbidden=True))
    try:
        yield
    finally:
        _GRANT.reset(token)


def require(code: Code) -> None:
    """Return if these bytes are trusted, else raise a ConfigurationError that says what to do."""
    grant = _GRANT.get()
    if grant.forbidden:
        raise ConfigurationError(f"{code.file} is code, which is not run here")
    if code.digest in grant.digests:
        return
    known = TrustList().entries()
    if code.digest in known:
        return
    if grant.ask is not None and grant.ask(code):
        TrustList().add(code)
        return
    changed = str(code.file.absolute()) in known.values()
    since = "has changed since you trusted it" if changed else "is code that you have not trusted"
    raise ConfigurationError(f"{code.file} {since}: read it, then add `--trust {code.file}` (in Python: trust=[...])")
