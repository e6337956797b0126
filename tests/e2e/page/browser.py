"""The browser: headless Chromium, visitors in it, and the tabs that they look at."""

import asyncio
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    WebError,
    expect,
)

from tests.e2e.page import transcript
from tests.e2e.page.transcript import JsonObject
from tests.eventually import until

WAIT_MS = 40_000
"""Milliseconds after which a wait for the page has failed."""

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # One process less for each visitor, and two less in all: 7 % less CPU time.
    "--disable-features=SpareRendererForSitePerProcess,site-per-process",
    "--renderer-process-limit=1",
    "--in-process-gpu",
    "--enable-features=NetworkServiceInProcess2",
)

_NAMES = (
    "chromium-headless-shell",  # the same browser without windows: a third of the CPU time
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)

expect.set_options(timeout=WAIT_MS)


def chromium(own: str) -> str:
    """Return the path of a browser: on PATH, else playwright's `own` if it was installed.

    Skips the test where there is none.
    """
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None and not Path(own).exists():
        pytest.skip(
            "THE CHAT PAGE IS NOT TESTED: there is no browser. Install one with "
            "`apt-get install chromium`, or `.venv/bin/playwright install chromium`."
        )
    return found or own


async def seat(browser: Browser, **options: Any) -> BrowserContext:
    """Return a new context, with an empty page that keeps its process when all tabs are closed."""
    # A spinner that turns costs a tenth of a processor in each tab that shows it.
    usual = {"color_scheme": "light", "reduced_motion": "reduce"}
    options = {"viewport": {"width": 1200, "height": 800}, **usual, **options}
    context = await browser.new_context(**options)
    await context.new_page()
    return context


class Visitor:
    """A browser context: its cookies make it a user of its own.

    Whatever the browser complains about is a fault: a console error or warning, an uncaught
    exception, a report of the Content-Security-Policy, a dialog that a script opened. `tolerate`
    names what a test brings about on purpose.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.token: str | None = None
        self._complaints: list[str] = []
        self._tolerated: list[str] = []
        context.set_default_timeout(WAIT_MS)
        self._hears = {"console": self._said, "weberror": self._failed, "dialog": self._asked}
        for event, hear in self._hears.items():
            context.on(event, hear)

    async def tab(self, address: str = "", *, url: str | None = None) -> "Tab":
        """Open the chat page in a new tab; `address` is what stands after the host."""
        tab = Tab(self, await self.context.new_page())
        await tab.page.goto(f"{url or self.url}/{address}")
        return tab

    async def leave(self) -> None:
        """Close all tabs, and leave of this visitor nothing in the context for the next one."""
        empty, *tabs = self.context.pages
        for tab in tabs:
            await tab.close()
        for event, hear in self._hears.items():
            self.context.remove_listener(event, hear)
        await self.context.set_offline(False)
        await self.context.clear_cookies()
        devtools = await self.context.new_cdp_session(empty)
        all_of_it = {"origin": self.url, "storageTypes": "all"}
        await devtools.send("Storage.clearDataForOrigin", all_of_it)
        await devtools.detach()

    def tolerate(self, pattern: str) -> None:
        """Take no offence at complaints that match `pattern`."""
        self._tolerated.append(pattern)

    async def complains(self, pattern: str) -> None:
        """Return when the browser has complained about this."""
        await until(lambda: any(re.search(pattern, one) for one in self._complaints))

    def check(self) -> None:
        """Fail if the browser complained about anything that was not brought about on purpose."""
        faults = [
            complaint
            for complaint in self._complaints
            if not any(re.search(pattern, complaint) for pattern in self._tolerated)
        ]
        assert not faults, "\n".join(faults)

    async def get(self, path: str) -> JsonObject | None:
        """Return what the HTTP API answers to this visitor, None for 404."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = await self.context.request.get(f"{self.url}{path}", headers=headers)
        if answer.status == 404:
            return None
        assert answer.ok, await answer.text()
        found: JsonObject = await answer.json()
        return found

    async def log(self, thread: str) -> list[JsonObject]:
        """Return every entry of the thread: ``{id, run, at, chunk}``."""
        entries: list[JsonObject] = []
        following = ""
        while True:
            page = await self.get(f"/threads/{thread}/events?limit=1000{following}")
            assert page is not None, "the thread is gone"
            entries += page["events"]
            if page["next"] is None:
                return entries
            following = f"&after={page['next']}"

    async def send(self, method: str, path: str, body: JsonObject | None = None) -> None:
        """Send a request of this visitor past the page."""
        answer = await self.context.request.fetch(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        assert answer.ok, await answer.text()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            where = message.location.get("url", "")
            self._complaints.append(f"console {message.type}: {message.text} ({where})")

    def _failed(self, error: WebError) -> None:
        self._complaints.append(f"uncaught: {error.error}")

    def _asked(self, dialog: Dialog) -> None:
        self._complaints.append(f"{dialog.type} dialog: {dialog.message}")
        self._dismissing = asyncio.ensure_future(dialog.dismiss())


class Tab:
    """A tab that shows the chat page.

    `resumes` are the server's answers so far to the page's wish to follow a thread.
    """

    def __init__(self, visitor: Visitor, page: Page) -> None:
        self.visitor = visitor
        self.page = page
        self.resumes: list[str] = []
        page.on("websocket", lambda socket: socket.on("framereceived", self._received))
        self.body = page.locator("body")
        self.log = page.locator("#log")
        self.field = page.locator("#question")
        self.ending = self.of("ending").last

    def of(self, kind: str, text: str | None = None) -> Locator:
        """Return the items of a kind: said, answer, thinking, toolcall, question, ending."""
        return self.page.locator(f"#items > .{kind}", has_text=text)

    async def ask(self, text: str) -> None:
        """Type a question and send it."""
        await self.field.fill(text)
        await self.field.press("Enter")

    async def connection(self, state: str) -> None:
        """Wait until the page says that its connection is in this state."""
        await expect(self.body).to_have_attribute("data-connection", state)

    async def try_now(self) -> None:
        """Press the button that reconnects, unless the page was faster; the field has the focus."""
        await self.page.evaluate(
            """() => {
              const button = document.querySelector("#reconnect:not([hidden])");
              button?.focus();
              button?.click();
            }"""
        )
        await expect(self.field).to_be_focused()

    async def run(self, status: str) -> None:
        """Wait until the page shows this status of the newest run."""
        await expect(self.body).to_have_attribute("data-run-status", status)

    async def thread(self) -> str:
        """Return the id of the thread that is open."""
        return await self.log.get_attribute("data-thread") or ""

    async def pieces(self) -> list[transcript.Piece]:
        """Return what the tab shows."""
        return transcript.shown(await self.page.evaluate(transcript.READ_PAGE))

    async def shows_the_log(self) -> list[JsonObject]:
        """Fail unless the tab shows exactly what the log has, to its last event; return it."""
        thread = await self.thread()
        entries = await self.visitor.log(thread)
        await expect(self.log).to_have_attribute("data-position", entries[-1]["id"])
        must = transcript.expected(entry["chunk"] for entry in entries)
        seen = await self.pieces()
        assert seen == must, transcript.difference(seen, must)
        answer = await self.visitor.get(f"/threads/{thread}/messages?limit=1000")
        assert answer is not None
        told = {m["id"]: transcript.text_of(m) for m in answer["messages"]}
        texts = transcript.messages_of(must)
        assert {id: text for id, text in told.items() if id in texts} == texts
        return [entry["chunk"] for entry in entries]

    def _received(self, frame: str | bytes) -> None:
        told = json.loads(frame)
        if told.get("type") == "followed":
            self.resumes.append(told["resume"])

    async def picture(self, name: str) -> None:
        """Save a screenshot as `name`.png where NETRA_SCREENSHOTS says, if it says so."""
        folder = os.environ.get("NETRA_SCREENSHOTS")
        if folder:
            await self.page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")
