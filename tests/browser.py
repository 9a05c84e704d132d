"""A real Chromium without a window, driven over a pipe by its DevTools protocol: no package is needed for that."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 90  # seconds after which what a test waits for counts as missing
OPTIONS = (
    "--headless=new --no-sandbox --disable-dev-shm-usage --disable-gpu --no-first-run --remote-debugging-pipe "
    "--disable-background-networking --disable-component-update --disable-sync --disable-default-apps "
    "--autoplay-policy=no-user-gesture-required --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
)

# Chromium reads from 3 and writes to 4. A program does this: `preexec_fn` would fork a process that has JAX's threads.
HAND_ON = """
import os, sys
os.dup2(int(sys.argv[1]), 200), os.dup2(int(sys.argv[2]), 201)
os.dup2(200, 3), os.dup2(201, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """Chromium with any number of tabs; a context manager."""

    def __init__(self, profile: Path):
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()
        command = [CHROMIUM, *OPTIONS.split(), f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", HAND_ON, str(theirs_in), str(theirs_out), *command],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in), os.close(theirs_out)
        self._numbers, self._rest, self._tabs = itertools.count(1), b"", {}

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._in), os.close(self._out)

    def tab(self, url: str, width: int = 1280, height: int = 900) -> "Tab":
        """Opens an address in a new tab, as wide as told."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._tabs[session] = tab = Tab(self, session, target)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        tab.resize(width, height)
        tab.call("Page.navigate", url=url)
        return tab

    def call(self, method: str, session: str | None = None, **params: Any) -> dict:
        """Calls a method of the protocol and gives its result; what tabs say meanwhile goes to them."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            answer = self._next(deadline)
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
        raise TimeoutError(method)

    def _next(self, deadline: float) -> dict:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                return {}
            self._rest += os.read(self._in, 1 << 20)
        message, _, self._rest = self._rest.partition(b"\0")
        said = json.loads(message)
        if said.get("sessionId") in self._tabs:
            self._tabs[said["sessionId"]].hear(said)
        return said


class Tab:
    """A tab; `requests` are the addresses that it has asked for, `errors` what its console has said."""

    def __init__(self, browser: Browser, session: str, target: str):
        self._browser, self._session, self._target = browser, session, target
        self.requests: list[str] = []
        self.errors: list[str] = []

    def call(self, method: str, **params: Any) -> dict:
        return self._browser.call(method, self._session, **params)

    def hear(self, said: dict) -> None:
        params = said.get("params", {})
        if said.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif said.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif said.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])

    def outside(self) -> list[str]:
        """The requests that left this computer."""
        parts = map(urlsplit, self.requests)
        return [part.geturl() for part in parts if part.scheme not in ("data", "blob") and part.hostname != "127.0.0.1"]

    def resize(self, width: int, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def run(self, script: str) -> Any:
        """The value of an expression in JavaScript; promises are awaited."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str, accept: Callable[[Any], bool] = bool) -> Any:
        """The value of an expression as soon as it is accepted."""
        deadline, value = time.monotonic() + PATIENCE, None
        while time.monotonic() < deadline:
            value = self.run(script)
            if accept(value):
                return value
            time.sleep(0.05)
        raise TimeoutError(f"{script} is {value!r}; the page says {self.run('document.body.innerText')!r}")

    def text(self, selector: str) -> str:
        return self.run(f"document.querySelector({selector!r})?.innerText ?? ''")

    def says(self, selector: str, text: str) -> str:
        """Waits until an element says that."""
        return self.wait(f"document.querySelector({selector!r})?.innerText ?? ''", lambda found: text in found)

    def click(self, selector: str) -> None:
        """Waits until it can be clicked, and clicks it."""
        self.wait(f"!!document.querySelector({selector!r}) && !document.querySelector({selector!r}).disabled")
        self.run(f"document.querySelector({selector!r}).click()")

    def upload(self, selector: str, *files: Path) -> None:
        """Gives files to the file field in an element."""
        field = f"{selector} input[type=file]"
        self.wait(f"!!document.querySelector({field!r})")
        found = self.call("Runtime.evaluate", expression=f"document.querySelector({field!r})")["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[str(file) for file in files], objectId=found)

    def picture(self, path: Path, whole: bool = True) -> None:
        """Writes a screenshot of the page."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        self._browser.call("Target.closeTarget", targetId=self._target)
