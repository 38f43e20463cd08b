"""`labrhel watch`: a server for the user and for guests, over one hub."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document
from tornado.ioloop import IOLoop

from labrhel.view.acting import Action, Press, act
from labrhel.view.door import Role
from labrhel.view.hub import Hub
from labrhel.view.page import Page
from labrhel.view.server import ViewServer

_ACTORS = 8  # that may be busy at once; nobody waits for a stop behind a pause


@contextmanager
def served(
    root: Path,
    only: Path | None = None,
    *,
    press: Press,
    listen: str = "127.0.0.1",
    port: int = 0,
    host: str = "",
    certificate: Path | None = None,
    key: Path | None = None,
) -> Iterator[ViewServer]:
    """A server of the runs below `root`, or of the run `only`, on the loop of this thread, which the caller runs.

    `press` is the emergency stop.
    """
    hub = Hub(root, only)
    with ThreadPoolExecutor(_ACTORS, "acting") as actors:

        def do(action: Action, run: str) -> Future[str]:
            return actors.submit(act, action, run, press)

        pages: dict[Role, Application] = {
            "act": Application(FunctionHandler(partial(_shown, hub, do))),
            "look": Application(FunctionHandler(partial(_shown, hub, None))),
        }
        server = ViewServer(
            pages, IOLoop.current(), listen=listen, port=port, host=host, certificate=certificate, key=key
        )
        hub.start()
        server.start()
        try:
            yield server
        finally:
            server.stop()
            hub.close()


def serve(root: Path, only: Path | None, ready: Callable[[ViewServer], None], **where: Any) -> None:
    """Serve until a signal ends it, with KeyboardInterrupt; `ready` is told when somebody may come."""
    logging.getLogger("bokeh").setLevel(logging.ERROR)  # viewers come and go
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, about: None)  # of viewers that are there when it ends

    async def run() -> None:
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows, where Ctrl-C comes as an exception
                loop.add_signal_handler(number, ended.set)
        with served(root, only, **where) as server:
            ready(server)
            await ended.wait()
        raise KeyboardInterrupt

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()  # without waiting for the tasks of viewers, who do not end by themselves


def _shown(hub: Hub, do: Callable[[Action, str], Future[str]] | None, document: Document) -> None:
    context: Any = document.session_context
    arguments: dict[str, list[bytes]] = context.request.arguments
    run = b"".join(arguments.get("run", [])).decode("utf-8", "replace")
    Page(hub, run, do).add_to(document)
