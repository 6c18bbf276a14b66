"""A browser: Debian's Chromium, driven by Playwright, and axe to look for barriers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

SIZES = {"desktop": (1280, 900), "phone": (390, 844), "narrow": (320, 640)}
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT = 60_000
"""Milliseconds until whatever a test waits for must be there."""
SERIOUS = ("serious", "critical")


def executable() -> str:
    """Where Chromium is; fails where it is not."""
    found = shutil.which("chromium")
    assert found is not None, "Tests need Chromium (Debian: apt-get install chromium)."
    return found


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Somebody with a browser of their own; it counts what it asks of other hosts."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.strangers: list[str] = []
        self.complaints: list[str] = []
        context.set_default_timeout(TIMEOUT)
        context.on("request", self._note)
        context.on(
            "console",
            lambda said: self.complaints.append(said.text) if said.type == "error" else None,
        )
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "about:", "blob:")):
            self.strangers.append(request.url)

    def open(self, path: str) -> Page:
        """Go to a page of the service."""
        self.page.goto(self.url + path)
        return self.page

    def log_in(self, who: tuple[str, str]) -> None:
        """As people do it."""
        self.open("/login?next=/")
        self.page.get_by_label("User", exact=True).fill(who[0])
        self.page.get_by_label("Password", exact=True).fill(who[1])
        self.page.get_by_role("main").get_by_role("button", name="Log in").click()
        self.page.wait_for_url(self.url + "/")

    def barriers(self) -> list[str]:
        """What axe finds serious or critical on the page as it stands, frames included."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found
            if one["impact"] in SERIOUS
            for node in one["nodes"]
        ]

    @property
    def too_wide(self) -> bool:
        """Whether one would have to scroll sideways."""
        script = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(script))


@contextmanager
def visiting(
    browser: Browser, url: str, *, size: str = "desktop", theme: str = "light", **options: Any
) -> Iterator[Visitor]:
    """Somebody visits; ``theme`` is what their system says."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        locale=options.pop("locale", "en-GB"),
        **options,
    )
    try:
        yield Visitor(context, url)
    finally:
        context.close()
