"""A real browser without a window, driven over its own debugging port: what a page shows, says and lets keys do.

Needs chromium and `websockets` (of the extra `dev`).  Every method waits for the browser's answer.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labrhel.testing.waiting import PATIENCE, wait_for

_SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
    "--ignore-certificate-errors", "--hide-scrollbars",
)  # fmt: skip


class Browser:
    """One page; `complaints` are errors of its scripts, of its console and of what it could not load."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._last = socket, 0
        self.complaints: list[str] = []
        self.asked: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser, and hear what it says meanwhile."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            heard = json.loads(self._socket.recv(timeout=PATIENCE))
            if heard.get("id") == self._last:
                if "error" in heard:
                    raise RuntimeError(f"{method}: {heard['error']['message']}")
                return heard["result"]
            self._hear(heard)

    def _hear(self, heard: dict[str, Any]) -> None:
        about = heard.get("params", {})
        if heard["method"] == "Runtime.exceptionThrown":
            details = about["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif heard["method"] == "Runtime.consoleAPICalled" and about["type"] in ("error", "assert"):
            self.complaints.append(" ".join(str(item.get("value", item)) for item in about["args"]))
        elif heard["method"] == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.complaints.append(f"{about['entry']['text']} {about['entry'].get('url', '')}")
        elif heard["method"] == "Network.requestWillBeSent":
            self.asked.append(about["request"]["url"])

    def size(self, width: int, height: int = 900) -> None:
        """As wide as a desk's, or a telephone's, screen [pixels]."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, address: str) -> None:
        """Go to an address; it may not be there yet when this returns."""
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression when it is true at last."""
        found: list[Any] = []

        def looked() -> bool:
            try:
                found.append(self.run(script))
            except RuntimeError:  # between two pages
                return False
            return bool(found[-1])

        wait_for(looked, f"the page to make true: {script}")
        return found[-1]

    def key(self, name: str) -> None:
        """Press and release a key, such as Tab or Enter."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        about: dict[str, Any] = {"key": name, "code": name, "windowsVirtualKeyCode": codes[name]}
        more = {"text": "\r"} if name == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def picture(self, file: Path) -> None:
        """Write what is seen as a PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with an empty profile, which ends with the block."""
    from websockets.sync.client import connect

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise RuntimeError("chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *_SWITCHES, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            told = Path(profile) / "DevToolsActivePort"
            wait_for(lambda: told.is_file() and told.read_text().count("\n") >= 1, "chromium to start")
            port = told.read_text().split()[0]
            with connect(_page(port), max_size=None, open_timeout=PATIENCE) as socket:
                yield Browser(socket)
        finally:
            process.kill()
            process.wait()


def _page(port: str) -> str:
    """The address of the page that was opened first."""
    import urllib.request

    found: list[str] = []

    def looked() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as answer:
            pages = [item for item in json.load(answer) if item["type"] == "page"]
        found.extend(item["webSocketDebuggerUrl"] for item in pages)
        return bool(pages)

    wait_for(looked, "chromium's first page")
    assert urlsplit(found[0]).port == int(port)
    return found[0]
