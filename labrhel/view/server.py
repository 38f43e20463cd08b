"""The web server of the view: Bokeh's, behind the door.

Every request is judged before Bokeh sees it, files and WebSockets included, in one place; every answer says that
nothing may be loaded from elsewhere, framed, kept or referred to.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from bokeh.application import Application
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import OutputTransform, RequestHandler

from labrhel.errors import ConfigurationError
from labrhel.view.door import COOKIE, Asked, Door, Entered, Refused, Role

LOOPBACK = ("127.0.0.1", "::1", "localhost")

_HEADERS = {
    # Bokeh makes functions from text, and Panel loads its fonts from data: addresses; nothing comes from elsewhere.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_BEGIN = '<!doctype html><html lang="en"><title>labrhel</title><link rel="icon" href="data:,">'


class _Closed(OutputTransform):
    """Adds the headers to every answer."""

    def __init__(self, request: HTTPServerRequest) -> None:
        self._is_page = "/static/" not in request.path

    def transform_first_chunk(
        self,
        status_code: int,
        headers: HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: FBT001
    ) -> tuple[int, HTTPHeaders, bytes]:
        if "Server" in headers:
            del headers["Server"]
        for name, value in _HEADERS.items():
            headers[name] = value
        if self._is_page:
            headers["Cache-Control"] = "no-store"
        return status_code, headers, chunk


class _Answer(RequestHandler):
    """What is said to those who come in with a token, and to those who do not come in."""

    def initialize(self, verdict: Refused | Entered, place: str, secure: bool) -> None:  # noqa: FBT001
        self._verdict, self._place, self._secure = verdict, place, secure

    def prepare(self) -> None:
        if isinstance(self._verdict, Refused):
            self.set_status(self._verdict.status)
            self.finish(f"{_BEGIN}<p>{escape(self._verdict.words)}</p></html>\n")
            return
        secure = "; Secure" if self._secure else ""
        self.set_header(
            "Set-Cookie", f"{COOKIE}={self._verdict.cookie}; Path={self._place}; HttpOnly; SameSite=Strict{secure}"
        )
        # Not a redirect: the browser would take the page for one that another site led to, and keep the cookie back.
        page = escape(self._verdict.page, quote=True)
        self.finish(
            f'{_BEGIN}<meta http-equiv="refresh" content="0;url={page}"><p><a href="{page}">The view</a></p></html>\n'
        )


class _Guarded(BokehTornado):
    """Bokeh's application, which the door stands before."""

    def __init__(self, applications: Mapping[str, Application], door: Door, *, secure: bool, **more: Any) -> None:
        super().__init__(
            dict(applications),
            prefix=door.place,
            use_index=False,
            redirect_root=False,
            extra_websocket_origins=sorted({origin.partition("//")[2] for origin in door.origins}),
            exclude_cookies=[COOKIE],  # else it would stand in the page, where scripts can read it
            exclude_headers=["Cookie"],
            **more,
        )
        self._door, self._secure = door, secure
        self.transforms = [*self.transforms, _Closed]
        self.settings["log_function"] = lambda handler: None  # addresses are nobody's business

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        headers = {name.lower(): value for name, value in request.headers.get_all()}
        verdict = self._door.judge(Asked(request.method or "", request.uri or "", headers))
        if verdict is not None:
            about = {"verdict": verdict, "place": self._door.place, "secure": self._secure}
            return self.get_handler_delegate(request, _Answer, about)
        return super().find_handler(request, **kwargs)


class ViewServer(BaseServer):
    """Serves a page for each role at an address; `addresses` are what to print.

    Raises ConfigurationError for an address beyond this computer without a certificate, one that cannot be listened at,
    and a certificate that cannot be read.
    """

    def __init__(
        self,
        pages: Mapping[Role, Application],
        loop: IOLoop,
        *,
        listen: str = "127.0.0.1",
        port: int = 0,
        host: str = "",
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        context = _context(certificate, key)
        if context is None and listen not in LOOPBACK:
            raise ConfigurationError(
                f"{listen} can be reached from other computers, so the view needs --certificate FILE (and --key FILE); "
                "without one it listens at 127.0.0.1 alone"
            )
        if listen in ("", "0.0.0.0", "::") and not host:
            raise ConfigurationError(
                f"say with --host NAME by which name browsers reach it at {listen or 'all addresses'}"
            )
        try:
            sockets = bind_sockets(port, listen)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen at {listen}, port {port}: {error.strerror}; leave --port out for a free one"
            ) from None
        found: int = sockets[0].getsockname()[1]
        names = [host] if host else [listen, "localhost"] if listen in LOOPBACK else [listen]
        scheme = "http" if context is None else "https"
        origins = [f"{scheme}://{f'[{name}]' if ':' in name else name}:{found}" for name in names]
        self.door = Door(frozenset(origins))
        self.addresses: dict[Role, str] = {role: self.door.address(origins[0], role) for role in pages}
        application = _Guarded(
            {f"/{role}": page for role, page in pages.items()}, self.door, secure=context is not None
        )
        server = HTTPServer(application, ssl_options=context)
        server.add_sockets(sockets)
        super().__init__(loop, application, server)


def _context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        if key is not None:
            raise ConfigurationError("--key goes with --certificate FILE")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or getattr(error, "reason", "") or error
        raise ConfigurationError(
            f"the certificate {certificate}{f' with the key {key}' if key else ''} cannot be used: {reason}"
        ) from None
    return context
