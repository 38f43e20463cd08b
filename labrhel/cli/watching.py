"""`labrhel watch`: the live view of runs in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labrhel.cli.stopping import press
from labrhel.errors import ConfigurationError
from labrhel.store import find_run
from labrhel.store.manifest import FILE as MANIFEST

if TYPE_CHECKING:
    from labrhel.view.server import ViewServer


def watch(what: str, root: Path, listen: str, port: int, host: str, certificate: Path | None, key: Path | None) -> None:
    """Serve a run, or all of a folder, until this is interrupted."""
    try:
        from labrhel.view.serving import serve
    except ImportError as error:
        raise ConfigurationError(
            f"the live view needs a package that is not installed ({error.name}): pip install 'labrhel[view]'"
        ) from None
    root, only = chosen(what, root)
    serve(root, only, _ready, press=press, listen=listen, port=port, host=host, certificate=certificate, key=key)


def chosen(what: str, root: Path) -> tuple[Path, Path | None]:
    """The folder of runs, and the only run that is shown; `what` is a run, a folder of runs, or "" for `root`.

    Raises ConfigurationError for what is neither.
    """
    if not what or (Path(what).is_dir() and not (Path(what) / MANIFEST).is_file()):
        folder = Path(what) if what else root
        if not folder.is_dir():
            raise ConfigurationError(f"there is no folder {folder}; name one that holds runs, or begin a run")
        return folder, None
    run = find_run(what, root)
    return run.parent, run


def _ready(server: ViewServer) -> None:
    print(f"yours       {server.addresses['act']}", flush=True)
    print(f"for guests  {server.addresses['look']}   (they look on, and can stop nothing)", flush=True)
    print("each lets in who has it, so keep yours to yourself; Ctrl-C ends the view, not the runs", flush=True)
