"""How kernels are compiled: cached on disk, without the GIL, and never out of date.

numba compiles a cached function again if its own file changes, not if a function that was inlined from another file
does: an edit of tanh would leave every kernel that uses it as it was.  Here the cache also looks at the sources of all
kernels.  numba also numbers the files of compiled code and writes the index before them: of two processes that
compile at once, one may load what the other, or an older source, left under that number.  Here files carry the digest
of the sources and a name of the process.  No fastmath: two runs on one machine give the same bits.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import stat
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core import types

from simbackend.kernels.once import one_at_a_time

_LOG = logging.getLogger(__name__)
_PROCESS = uuid.uuid4().hex[:12]


def sources_of_kernels(package: Path) -> str:
    """A digest of all a package's modules in folders `kernels`, or named so: each may be inlined in any other."""
    digest = hashlib.blake2b(digest_size=16)
    places = "kernels/*.py", "*/kernels/*.py", "*/kernel.py"
    for file in sorted(file for place in places for file in package.glob(place)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


_SOURCES = sources_of_kernels(Path(__file__).parents[1])


def compiled(function: Callable[..., Any]) -> Any:
    """The function compiled at its first call, one signature for each type of float."""
    dispatcher: Any = _whatever_the_constants(_jitted(function))
    _forgiving(getattr(dispatcher, "_cache", None))
    _once(dispatcher)
    index: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
    if hasattr(index, "_source_stamp"):
        index._source_stamp = (index._source_stamp, _SOURCES)
        index._data_name_pattern = index._data_name_pattern.replace(".{number", f".{_SOURCES[:12]}.{_PROCESS}.{{number")
    return dispatcher


def _whatever_the_constants(dispatcher: Any) -> Any:
    """One compilation for all calls from kernels: numba makes another for each constant that a call names, of any type.

    A backward pass held its sums three times so, for columns that begin at 0 and for those that do not.
    """
    template = dispatcher.get_call_template
    dispatcher.get_call_template = lambda args, kws: template(tuple(map(types.unliteral, args)), kws)
    return dispatcher


def _once(dispatcher: Any) -> None:
    """What another program is compiling is waited for, and loaded."""
    folder, compile_it = getattr(getattr(dispatcher, "_cache", None), "cache_path", None), dispatcher.compile
    if folder:

        def compile_once(signature: Any) -> Any:
            with one_at_a_time(folder, f"{dispatcher.py_func.__qualname__}{signature}"):
                return compile_it(signature)

        dispatcher.compile = compile_once


def _forgiving(cache: Any) -> None:
    """A cache that is damaged or on a full disk costs a compilation, and nothing else."""
    for name in ("load_overload", "save_overload"):
        method = getattr(cache, name, None)
        if method is not None:
            setattr(cache, name, functools.partial(_tried, method))


def _tried(method: Callable[..., Any], *asked: Any) -> Any:
    try:
        return method(*asked)
    except Exception as error:  # what is unpickled from damaged bytes raises nearly anything
        _LOG.debug("the cache of kernels cannot be used: %r", error)
        return None


def _jitted(function: Callable[..., Any]) -> Any:
    """With a cache, where there is a place for it: beside the sources, in the user's cache, or with temporary files."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    with suppress(RuntimeError):  # numba finds no folder that it may write
        return numba.njit(cache=True, **options)(function)
    with suppress(RuntimeError):
        settings: Any = vars(numba)["config"]  # numba types neither the module nor its attributes
        settings.CACHE_DIR = _place_for_now()
        return numba.njit(cache=bool(settings.CACHE_DIR), **options)(function)
    return numba.njit(**options)(function)


@functools.cache
def _place_for_now() -> str:
    """A folder of this user alone, since numba runs what it finds there; "" where none can be had.  Says so once."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    place = Path(tempfile.gettempdir()) / f"labrhel-kernels-{user}"
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        seen = place.lstat()
        own = stat.S_ISDIR(seen.st_mode) and seen.st_uid == user and not seen.st_mode & 0o077
        if own and os.access(place, os.W_OK):
            _LOG.warning("compiled kernels cannot be kept in %s; they are kept in %s for now", Path.home(), place)
            return str(place)
    except (OSError, RuntimeError):
        pass
    _LOG.warning("compiled kernels can be kept nowhere, so each program compiles them anew: set NUMBA_CACHE_DIR")
    return ""


def inlined(function: Callable[..., Any]) -> Any:
    """A piece of kernels, never called by itself."""
    return _whatever_the_constants(numba.njit(forceinline=True, error_model="numpy")(function))
