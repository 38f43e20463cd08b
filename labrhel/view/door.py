"""Who may come in: a request is judged by where it was sent, where it comes from and what it carries, before all else.

The view shows a laboratory and can stop it, and a browser is a place where pages of strangers run, too.  So:

- whoever comes first brings a *token* that was printed once, and is given a cookie that scripts cannot read
  (`HttpOnly`) and that no other site can make the browser send (`SameSite=Strict`);
- a browser sends a cookie to every port of a computer, other users' programs included: so it is for a path (`place`)
  that nobody can guess;
- the `Host` must be one that the view was started for, else a stranger's name that was pointed at this computer (DNS
  rebinding) would be its own site; the `Origin`, where there is one, must be the view, and a WebSocket must have one;
- nothing but GET and HEAD is answered: no form of another site can ask for anything.

There are two tokens: with one the runs can be paused and stopped, with the other (for guests) they can be looked at.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Role = Literal["act", "look"]

ROLES: tuple[Role, ...] = ("act", "look")
"""`act`: the user who started the view; `look`: a guest."""

COOKIE = "labrhel"
ENTRANCE = "/enter"

_HINT = "open the address that `labrhel watch` printed"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `target` is its path with the query; `headers` by lower-case name."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to a request that is not let in."""

    status: int
    words: str


@dataclass(frozen=True, slots=True)
class Entered:
    """A token was right: the cookie to set, and the page to go to."""

    cookie: str
    page: str


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Door:
    """`origins` are those the view is reached by, such as http://127.0.0.1:5100."""

    origins: frozenset[str]
    tokens: Mapping[Role, str] = field(default_factory=lambda: {role: _secret() for role in ROLES})
    cookies: Mapping[Role, str] = field(default_factory=lambda: {role: _secret() for role in ROLES})
    place: str = field(default_factory=lambda: f"/{secrets.token_urlsafe(16)}")

    def page(self, role: Role) -> str:
        """Path of the page for a role."""
        return f"{self.place}/{role}"

    def address(self, origin: str, role: Role) -> str:
        """What is printed: the address with the token."""
        return f"{origin}{ENTRANCE}?token={self.tokens[role]}"

    def judge(self, asked: Asked) -> Refused | Entered | None:
        """None for a request that is let in."""
        headers, (_, _, path, query, _) = asked.headers, urlsplit(asked.target)
        if not any(_host_of(origin) == headers.get("host", "").lower() for origin in self.origins):
            return Refused(403, f"this is not the name of the view; {_HINT}")
        if asked.method not in ("GET", "HEAD"):
            return Refused(405, "the view is read, not written to")
        origin = headers.get("origin")
        is_socket = headers.get("upgrade", "").lower() == "websocket"
        if (origin is not None or is_socket) and origin not in self._of_host(headers["host"]):
            return Refused(403, "another site asked for it")
        if path == ENTRANCE:
            return self._entering(query)
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return Refused(403, "another site asked for it")
        role = self._role(headers.get("cookie", ""))
        if role is None:
            return Refused(403, _HINT)
        if not path.startswith(f"{self.place}/"):
            return Refused(404, f"there is nothing; {_HINT}")
        acting = self.page("act")
        if role != "act" and (path == acting or path.startswith(f"{acting}/")):
            return Refused(403, "guests look on")
        return None

    def _of_host(self, host: str) -> set[str]:
        return {origin for origin in self.origins if _host_of(origin) == host.lower()}

    def _entering(self, query: str) -> Refused | Entered:
        given = "".join(parse_qs(query).get("token", []))
        for role in ROLES:
            if _same(given, self.tokens[role]):
                return Entered(self.cookies[role], self.page(role))
        return Refused(403, f"the token is not the one of this view; {_HINT}")

    def _role(self, cookies: str) -> Role | None:
        try:
            found = SimpleCookie(cookies).get(COOKIE)
        except CookieError:
            return None
        given = "" if found is None else found.value
        return next((role for role in ROLES if _same(given, self.cookies[role])), None)


def _host_of(origin: str) -> str:
    return urlsplit(origin).netloc


def _same(given: str, right: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), right.encode())
