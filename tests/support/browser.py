"""A real browser for tests of pages: headless Chromium, told what to do through its own pipe, so that keys are keys.

`with browser() as tab:` starts one; without Chromium the test is skipped.
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39}
# Written down in the page as the focus moves: what has it, whether that is to be seen, and where it is.
RECORD_FOCUS = """
window.visited = [];
document.addEventListener("focusin", ({ target: node }) => {
  const style = getComputedStyle(node), box = node.getBoundingClientRect();
  visited.push({
    at: [...document.querySelectorAll("*")].indexOf(node), html: node.outerHTML.slice(0, 90),
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    shown: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  });
});
"""
# All that a pointer can use: controls, what opens, and what scrolls sideways.
USABLE = """[...document.querySelectorAll("a[href], button, input, select, summary, [tabindex], *")].filter((node) =>
  node.checkVisibility() && (node.matches("a[href], button, input, select, summary, [tabindex]")
    || (getComputedStyle(node).overflowX === "auto" && node.scrollWidth > node.clientWidth)))
  .map((node) => [...document.querySelectorAll("*")].indexOf(node))"""

WIDTH = """({
  overflow: document.documentElement.scrollWidth - innerWidth,
  wide: [...document.querySelectorAll("body *")].filter((n) => !n.closest(".scroll, svg, pre, details:not([open]) > :not(summary)")
    && n.getBoundingClientRect().right > innerWidth + 1).map((n) => n.outerHTML.slice(0, 80)),
})"""


class Tab:
    """One open page."""

    def __init__(self, to: int, back: int):
        """Take the pipe's ends: file descriptors to write to and to read from."""
        self._to, self._back, self._buffer, self._last, self._session = to, back, b"", 0, ""
        self.errors: list[str] = []  # of the page's scripts
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol and return its answer."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._wait(lambda found: found.get("id") == self._last)
        assert "error" not in answer, answer
        return answer["result"]

    def _wait(self, wanted) -> dict[str, Any]:
        while True:
            while b"\0" not in self._buffer:
                part = os.read(self._back, 1 << 20)
                assert part, "the browser ended"
                self._buffer += part
            text, _, self._buffer = self._buffer.partition(b"\0")
            found = json.loads(text)
            if found.get("method") == "Runtime.exceptionThrown":
                self.errors.append(found["params"]["exceptionDetails"]["exception"]["description"])
            if wanted(found):
                return found

    def open(self, path: Path, size: tuple[int, int] = (1400, 900), scheme: str = "light") -> None:
        """Load a page in a window of that size, light or dark."""
        self.errors.clear()
        width, height = size
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.send("Page.navigate", url=path.resolve().as_uri())
        self._wait(lambda found: found.get("method") == "Page.loadEventFired")

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page, waiting for it where it is a promise."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, times: int = 1, shift: bool = False) -> None:
        """Press a key, as a keyboard does."""
        one = {"key": key, "code": {" ": "Space"}.get(key, key), "windowsVirtualKeyCode": KEYS[key]}
        one |= {"modifiers": 8 if shift else 0}
        text = {"Enter": "\r", " ": " "}.get(key)
        for _ in range(times):
            self.send("Input.dispatchKeyEvent", type="keyDown", **one, **({"text": text} if text else {}))
            self.send("Input.dispatchKeyEvent", type="keyUp", **one)

    def picture(self) -> bytes:
        """Return what is to be seen in the window, as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot")["data"])

    def check_width(self) -> None:
        """Assert what no page may do, whatever its width: make the window scroll sideways."""
        assert self.run(WIDTH) == {"overflow": 0, "wide": []}

    def walk(self) -> None:
        """Press Tab from the first thing to the last, and assert what holds on every page.

        Whatever can be used is reached, each once, in the order of the page; it is in sight then and has a ring; Shift and
        Tab lead back.
        """
        usable = self.run(USABLE)
        self.run(RECORD_FOCUS)
        self.press("Tab", len(usable))
        visited = self.run("visited")
        assert [one["at"] for one in visited] == usable, [one["html"] for one in visited]
        assert not [one["html"] for one in visited if not (one["ring"] and one["shown"])]
        if len(usable) > 1:
            self.press("Tab", shift=True)
            assert self.run("visited.at(-1).at") == usable[-2]

    def walk_to(self, node: str) -> None:
        """Press Tab (with Shift where it lies behind) until what an expression names has the focus."""
        at = f"(node) => {USABLE}.indexOf([...document.querySelectorAll('*')].indexOf(node))"
        steps = self.run(f"[{node}, document.activeElement].map({at}).reduce((to, from) => to - from)")
        self.press("Tab", abs(steps), shift=steps < 0)
        assert self.run(f"document.activeElement === {node}"), self.run("document.activeElement.outerHTML.slice(0, 90)")


@contextlib.contextmanager
def browser() -> Iterator[Tab]:
    """Start a browser; it ends with the context."""
    if CHROMIUM is None:
        pytest.skip("chromium absent: install the Debian package chromium to test the page in a browser")
    down, up = os.pipe(), os.pipe()

    def numbered() -> None:
        """Give the browser the numbers that it looks for: it reads from 3 and writes to 4."""
        kept = os.dup(down[0]), os.dup(up[1])
        os.dup2(kept[0], 3)
        os.dup2(kept[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
        process = subprocess.Popen(
            [CHROMIUM, *options, f"--user-data-dir={profile}"],
            close_fds=False,
            preexec_fn=numbered,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(down[0])
        os.close(up[1])
        try:
            tab = Tab(down[1], up[0])
            yield tab
        finally:
            process.terminate()
            process.wait()
            os.close(down[1])
            os.close(up[0])
