"""Whether a record was made by this user on this computer: a seal that only they can put on it.

A run folder says which rig a resume will drive.  One that came from elsewhere must not move a bench because somebody
wanted to look at it.  So each record that is made here carries a seal,

    HMAC-SHA-256(key, name of the computer, digest of the record)

whose key lies in the user's configuration folder, is made when it is first needed, and never leaves it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from labrhel.safety.places import own_folder
from labrhel.safety.plain_files import read_plain

_BYTES = 32
_OTHERS = 0o077


def seal(digest: str) -> str:
    """The seal of a record with this digest; "" where the key can be neither read nor kept."""
    key = _key() or _new_key()
    return "" if key is None else _sealed(key, digest)


def is_ours(digest: str, found: object) -> bool:
    """Whether the seal `found` on a record with this digest was put there by this user on this computer."""
    key = _key()
    return key is not None and isinstance(found, str) and hmac.compare_digest(_sealed(key, digest), found)


def _sealed(key: bytes, digest: str) -> str:
    return hmac.new(key, f"{platform.node()}\n{digest}".encode(), hashlib.sha256).hexdigest()


def _file() -> Path:
    return own_folder() / "seal.key"


def _key() -> bytes | None:
    """None for a key that is not there, is damaged, or that somebody else can read: who can could seal anything."""
    try:
        about = _file().lstat()
        content = read_plain(_file(), _BYTES)
    except (OSError, RuntimeError):
        return None
    if os.name == "posix" and (about.st_uid != os.geteuid() or about.st_mode & _OTHERS):
        return None
    return content if stat.S_ISREG(about.st_mode) and len(content) == _BYTES else None


def _new_key() -> bytes | None:
    """Written aside and put in place by a link, so that two programs that begin together agree on one."""
    with suppress(OSError, RuntimeError):
        file = _file()
        aside = file.with_name(f".{os.getpid()}.{secrets.token_hex(4)}")
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(secrets.token_bytes(_BYTES))
            with suppress(FileExistsError):
                os.link(aside, file)
        finally:
            with suppress(OSError):
                aside.unlink()
    return _key()
