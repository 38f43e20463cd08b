"""Who is let in, by what a request says of itself."""

from collections.abc import Mapping

import pytest

from labrhel.view.door import COOKIE, ENTRANCE, Asked, Door, Entered, Refused, Role

HOST, ORIGIN = "127.0.0.1:5100", "http://127.0.0.1:5100"
DOOR = Door(frozenset({ORIGIN, "http://localhost:5100"}))


def asked(target: str, role: Role | None = "act", method: str = "GET", **more: str) -> Asked:
    headers: Mapping[str, str] = {"host": HOST} | ({"cookie": f"{COOKIE}={DOOR.cookies[role]}"} if role else {}) | more
    return Asked(method, target, headers)


def status(question: Asked) -> int:
    verdict = DOOR.judge(question)
    return verdict.status if isinstance(verdict, Refused) else 200


def test_a_token_opens_the_page_of_its_role_and_the_cookie_lets_in() -> None:
    for role, target in (("act", DOOR.page("act")), ("look", DOOR.page("look"))):
        verdict = DOOR.judge(asked(f"{ENTRANCE}?token={DOOR.tokens[role]}", role=None))
        assert verdict == Entered(DOOR.cookies[role], target)
        assert status(asked(target, role)) == 200
        socket = {"upgrade": "websocket", "origin": ORIGIN}
        assert status(asked(f"{target}/ws", role, **socket)) == 200
        assert status(asked(f"{DOOR.place}/static/js/bokeh.min.js", role)) == 200


@pytest.mark.parametrize(
    ("question", "expected"),
    {
        "no cookie": (asked(DOOR.page("act"), role=None), 403),
        "no cookie for a file": (asked(f"{DOOR.place}/static/js/bokeh.min.js", role=None), 403),
        "another cookie": (asked(DOOR.page("act"), role=None, cookie=f"{COOKIE}=x"), 403),
        "an empty cookie": (asked(DOOR.page("act"), role=None, cookie=f"{COOKIE}="), 403),
        "a cookie that is none": (asked(DOOR.page("act"), role=None, cookie='labrhel="\\999; é'), 403),
        "the token as a cookie": (asked(DOOR.page("act"), role=None, cookie=f"{COOKIE}={DOOR.tokens['act']}"), 403),
        "a wrong token": (asked(f"{ENTRANCE}?token=x", role=None), 403),
        "no token": (asked(ENTRANCE, role=None), 403),
        "a token twice": (asked(f"{ENTRANCE}?token={DOOR.tokens['act']}&token=x", role=None), 403),
        "the cookie as a token": (asked(f"{ENTRANCE}?token={DOOR.cookies['act']}", role=None), 403),
        "another place": (asked("/act"), 404),
        "a place that begins alike": (asked(f"{DOOR.place}x/act"), 404),
        "a guest at the page that acts": (asked(DOOR.page("act"), "look"), 403),
        "a guest at its socket": (
            asked(f"{DOOR.page('act')}/ws", "look", upgrade="websocket", origin=ORIGIN),
            403,
        ),
        "another name": (asked(DOOR.page("act"), host="evil.example:5100"), 403),
        "another port": (asked(DOOR.page("act"), host="127.0.0.1:5101"), 403),
        "no port": (asked(DOOR.page("act"), host="127.0.0.1"), 403),
        "another name with a token": (
            asked(f"{ENTRANCE}?token={DOOR.tokens['act']}", role=None, host="evil.example:5100"),
            403,
        ),
        "another origin": (asked(DOOR.page("act"), origin="http://evil.example"), 403),
        "no origin at all": (asked(DOOR.page("act"), origin="null"), 403),
        "the other name as origin": (asked(DOOR.page("act"), origin="http://localhost:5100"), 403),
        "another site's picture": (asked(DOOR.page("act"), **{"sec-fetch-site": "cross-site"}), 403),
        "another port's script": (asked(DOOR.page("act"), **{"sec-fetch-site": "same-site"}), 403),
        "a socket of another origin": (
            asked(f"{DOOR.page('act')}/ws", upgrade="websocket", origin="http://127.0.0.1:9999"),
            403,
        ),
        "a socket of no origin": (asked(f"{DOOR.page('act')}/ws", upgrade="WebSocket"), 403),
        "a form": (asked(DOOR.page("act"), method="POST", origin=ORIGIN), 405),
        "a form of another site": (asked(DOOR.page("act"), method="POST", origin="http://evil.example"), 405),
        "another method": (asked(DOOR.page("act"), method="DELETE"), 405),
    }.values(),
)  # fmt: skip
def test_everybody_else_stays_outside(question: Asked, expected: int) -> None:
    assert status(question) == expected


def test_two_doors_have_nothing_in_common() -> None:
    other = Door(DOOR.origins)
    secrets = [*DOOR.tokens.values(), *DOOR.cookies.values(), DOOR.place]
    others = [*other.tokens.values(), *other.cookies.values(), other.place]
    assert len({*secrets, *others}) == len(secrets) + len(others)
    assert min(map(len, secrets)) > 20


@pytest.mark.parametrize("name", ["localhost:5100", "LOCALHOST:5100"])
def test_the_other_name_of_this_computer_is_one_too(name: str) -> None:
    assert status(asked(DOOR.page("act"), host=name, origin="http://localhost:5100")) == 200
