"""The view as a server: real requests and sockets of strangers, and a real browser at a run that goes on."""

from __future__ import annotations

import asyncio
import http.client
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

pytest.importorskip("bokeh", reason="the live view needs Bokeh: pip install 'labrhel[view]'")

from labrhel.cli.stopping import press
from labrhel.errors import ConfigurationError
from labrhel.safety.control import Control
from labrhel.safety.lifecycle import Event
from labrhel.safety.processes import listening
from labrhel.shots.operations import Checkpoint, Publish
from labrhel.store import Policy, create_run
from labrhel.testing.waiting import PATIENCE, wait_for
from labrhel.view.server import ViewServer
from labrhel.view.serving import served

if TYPE_CHECKING:
    from labrhel.testing.browser import Browser

SECRET = "a-name-that-nobody-else-may-read"


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewServer]:
    """A view of one run, served by a thread of this process."""
    root = tmp_path_factory.mktemp("runs")
    with create_run(root, SECRET, {"rig": "sim:"}, "a: 1\n", Policy.parse("none")) as writer:
        writer.published(Publish(0, {"loss": 1.0}))
    found: list[ViewServer] = []
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def run() -> None:
        with served(root, press=press) as server:
            found.append(server)
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    yield wait_for(lambda: found, "the view to be served")[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(PATIENCE)


def ask(view: ViewServer, target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of what is answered; Host is that of the view where none is given."""
    host = urlsplit(view.addresses["act"])
    connection = http.client.HTTPConnection("127.0.0.1", host.port or 0, timeout=PATIENCE)
    try:
        connection.putrequest(method, target, skip_host=True)
        for name, value in ({"Host": host.netloc} | headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        text = "" if answer.status == 101 else answer.read().decode()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text
    finally:
        connection.close()


def entered(view: ViewServer, role: str = "act") -> tuple[str, str]:
    """The cookie, and the page, that a token gives."""
    address = urlsplit(view.addresses[role])  # type: ignore[index]
    _, headers, text = ask(view, f"{address.path}?{address.query}")
    page = re.search(r"url=([^\"]+)", text)
    assert page is not None
    return headers["set-cookie"].partition(";")[0], page[1]


SOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_a_token_becomes_a_cookie_that_scripts_other_sites_and_other_paths_do_not_get(view: ViewServer) -> None:
    address = urlsplit(view.addresses["act"])
    status, headers, text = ask(view, f"{address.path}?{address.query}")
    cookie, page = entered(view)
    assert status == 200
    assert headers["set-cookie"].split("; ")[1:] == [f"Path={page.rpartition('/')[0]}", "HttpOnly", "SameSite=Strict"]
    status, headers, text = ask(view, page, Cookie=cookie)
    assert status == 200 and f"labrhel: {SECRET}" in text
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert cookie.partition("=")[2] not in text  # scripts read the page
    assert not re.search(r"(?:src|href)=.https?://", text)  # nothing comes from elsewhere


@pytest.mark.parametrize(
    ("headers", "method", "expected"),
    [
        ({"Cookie": ""}, "GET", 403),
        ({"Cookie": "labrhel=guessed"}, "GET", 403),
        ({"Host": "evil.example"}, "GET", 403),
        ({"Host": "evil.example:{port}"}, "GET", 403),
        ({"Origin": "http://evil.example"}, "GET", 403),
        ({"Origin": "null"}, "GET", 403),
        ({"Sec-Fetch-Site": "cross-site"}, "GET", 403),
        ({"Origin": "http://evil.example", "Content-Length": "0"}, "POST", 405),
        ({"Content-Length": "0"}, "POST", 405),
        ({}, "OPTIONS", 405),
    ],
)
def test_a_stranger_reads_nothing(view: ViewServer, headers: dict[str, str], method: str, expected: int) -> None:
    cookie, page = entered(view)
    port = urlsplit(view.addresses["act"]).port
    given = {"Cookie": cookie} | {name: value.format(port=port) for name, value in headers.items()}
    for target in (page, f"{page}/autoload.js?bokeh-autoload-element=1", f"{page}/metadata"):
        status, _, text = ask(view, target, method, **given)
        assert status == expected
        assert SECRET not in text


@pytest.mark.parametrize(
    ("headers", "role", "expected"),
    [
        ({"Origin": "{own}"}, "act", 101),
        ({"Origin": "http://evil.example"}, "act", 403),
        ({"Origin": "http://127.0.0.1:1"}, "act", 403),
        ({}, "act", 403),
        ({"Origin": "{own}", "Cookie": ""}, "act", 403),
        ({"Origin": "{own}", "Host": "evil.example:{port}"}, "act", 403),
        ({"Origin": "{own}"}, "look", 403),  # a guest at the socket of the page that acts
    ],
)
def test_a_socket_opens_for_its_own_page_alone(
    view: ViewServer, headers: dict[str, str], role: str, expected: int
) -> None:
    cookie, _ = entered(view, role)
    _, page = entered(view)
    about = urlsplit(view.addresses["act"])
    own = f"{about.scheme}://{about.netloc}"
    token = re.search(r'"token":"([^"]+)"', ask(view, page, Cookie=entered(view)[0])[2])
    assert token is not None
    given = {name: value.format(own=own, port=about.port) for name, value in headers.items()}
    socket = SOCKET | {"Sec-WebSocket-Protocol": f"bokeh, {token[1]}", "Cookie": cookie}
    assert ask(view, f"{page}/ws", **(socket | given))[0] == expected


def test_a_guest_has_no_button(view: ViewServer) -> None:
    cookie, page = entered(view, "look")
    status, _, text = ask(view, page, Cookie=cookie)
    assert status == 200 and page.endswith("/look")
    assert 'class="acts"' not in text
    cookie, page = entered(view)
    assert 'class="acts"' in ask(view, page, Cookie=cookie)[2]


def test_beyond_this_computer_it_is_served_with_a_certificate_alone(tmp_path: Path) -> None:
    async def begin(**where: object) -> None:
        with served(tmp_path, press=press, **where):  # type: ignore[arg-type]
            raise AssertionError("it was served")

    for where, words in (
        ({"listen": "0.0.0.0"}, "needs --certificate"),
        ({"certificate": tmp_path / "none.pem"}, "cannot be used: No such file"),
        ({"key": tmp_path / "none.pem"}, "--key goes with --certificate"),
        ({"listen": "192.0.2.1"}, "needs --certificate"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            asyncio.run(begin(**where))


class Training:
    """A run that takes ten steps a second in a thread, and can be asked and stopped as any; `safe` when its rig is."""

    def __init__(self, root: Path) -> None:
        self.control, self.safe = Control(), threading.Event()
        self.writer = create_run(root, "bench", {"steps": 1_000_000, "rig": "sim:"}, "a: 1\n", Policy.parse("none"))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._take)

    def __enter__(self) -> Training:
        self.control.life.on(Event.ARM)
        self.control.life.on(Event.START)
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._ended.set()
        self.control.ask("stop")
        self._thread.join(PATIENCE)

    def _take(self) -> None:
        with listening(
            "sim:", self.safe.set, run=self.writer.folder.name, answer=lambda asked: self.control.ask(asked)[1]
        ):
            for step in range(1_000_000):
                try:
                    self.control.hold(self.writer.held)
                except KeyboardInterrupt:
                    break
                self.writer.published(Publish(step, {"loss": 1.0 / (1 + step), "eps": 1e-4}))
                state = {"parameters": [0.1 * step, 1.0], "parameter_names": ["k[0]", "k[1]"]}
                self.writer.checkpoint(Checkpoint(step + 1, state))
                if self.safe.is_set() or self._ended.wait(0.1):
                    break
            self.writer.end("failed", "the emergency stop was pressed")


@pytest.mark.needs("chromium")
def test_in_a_browser_a_run_is_seen_paused_and_stopped_by_keys_without_a_complaint_at_both_widths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labrhel.testing.browser import browser

    monkeypatch.setenv("LABRHEL_STATE", str(tmp_path / "state"))
    runs = tmp_path / "runs"
    words = [sys.executable, "-m", "labrhel", "watch", str(runs)]
    with Training(runs) as training, browser() as page:
        watching = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            assert watching.stdout is not None
            address = watching.stdout.readline().split()[1]
            for width in (390, 1280):
                page.size(width)
                page.open(address)
                page.wait(f"{HEADING}.includes('running')")
                page.wait("document.documentElement.scrollWidth <= innerWidth")
            page.wait(f"{HEADING}.match(/gradient (\\d+)/)[1] > {page.run(f'{HEADING}.match(/gradient (.+?) /)[1]')}")
            page.wait("!Bokeh.documents[0].get_model_by_name('pause').disabled")
            reached: list[str] = []
            while "Pause" not in reached and len(reached) < 30:
                page.key("Tab")
                reached.append(page.run(FOCUSED))
            press_twice(page, "Sure? Pause")
            page.wait(f"{HEADING}.includes('paused')")
            for name in ("Resume", "Stop", "Emergency stop"):
                page.key("Tab")
                assert page.run(FOCUSED) == name
            press_twice(page, "Sure? STOP EVERY RIG")
            assert training.safe.wait(PATIENCE)
            page.wait(f"{SAID}.includes('latched in')")
            training.control.ask("resume")  # it finds that it is to end
            page.wait(f"{HEADING}.includes('failed')")
            assert page.complaints == []
            assert {urlsplit(asked).hostname for asked in page.asked if not asked.startswith("data:")} == {"127.0.0.1"}
            watching.send_signal(signal.SIGTERM)  # with a viewer there
            assert watching.wait(PATIENCE) == 130
        finally:
            watching.kill()
            watching.wait()


def press_twice(page: Browser, asked: str) -> None:
    """The first press asks whether it is meant."""
    page.key("Enter")
    page.wait(f"{SAID}.includes('{asked}')")
    page.key("Enter")


SAID = "Bokeh.documents[0].get_model_by_name('said').text"
HEADING = "(window.Bokeh && Bokeh.documents[0]?.get_model_by_name('heading')?.text || '')"

FOCUSED = """(() => {
    let found = document.activeElement
    while (found && found.shadowRoot && found.shadowRoot.activeElement) found = found.shadowRoot.activeElement
    return found ? found.textContent.trim() : ''
})()"""
