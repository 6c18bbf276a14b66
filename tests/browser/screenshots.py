"""Pictures of the main pages, for ``docs/images/``: ``python -m tests.browser.screenshots``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.browser.chromium import launched, visiting
from tests.browser.demo import ADMIN, demo

IMAGES = Path(__file__).parents[2] / "docs" / "images"
Picture = tuple[str, str, str, str, dict[str, Any]]
PICTURES: tuple[Picture, ...] = (
    ("home", "/", "desktop", "light", {}),
    ("home-phone-dark", "/", "phone", "dark", {}),
    ("search", "/search?q=corp", "desktop", "light", {}),
    ("project", "/project/holygrail/", "desktop", "light", {}),
    ("project-dark", "/project/holygrail/", "desktop", "dark", {}),
    ("project-phone", "/project/holygrail/", "phone", "light", {}),
    ("project-japanese", "/project/kintai/", "desktop", "light", {"locale": "ja-JP"}),
    ("setup", "/setup", "desktop", "light", {}),
    ("compare", "/project/holygrail/compare?before=1.0.0&after=2.0.0", "desktop", "light", {}),
    ("manage", "/project/holygrail/manage", "desktop", "light", {"admin": True}),
    ("upload", "/upload", "phone", "light", {"admin": True}),
    ("admin", "/admin", "desktop", "dark", {"admin": True}),
    ("admin-rights", "/admin/rights", "desktop", "light", {"admin": True}),
    ("admin-disk", "/admin/disk", "desktop", "light", {"admin": True}),
    ("account", "/account", "desktop", "light", {"admin": True}),
)


def main() -> None:
    """Take them, or those that are named."""
    wanted = set(sys.argv[1:])
    IMAGES.mkdir(exist_ok=True)
    chosen = [one for one in PICTURES if not wanted or one[0] in wanted]
    with launched() as browser, tempfile.TemporaryDirectory() as folder:
        # People log in where the browser really is.
        with demo(Path(folder) / "public", public_url="https://packages.example") as served:
            _take(browser, served.url, [one for one in chosen if "admin" not in one[4]])
        with demo(Path(folder) / "plain") as served:
            _take(browser, served.url, [one for one in chosen if "admin" in one[4]])


def _take(browser: Browser, url: str, pictures: Sequence[Picture]) -> None:
    for name, path, size, theme, options in pictures:
        more = dict(options)
        admin = more.pop("admin", False)
        with visiting(browser, url, size=size, theme=theme, **more) as visitor:
            if admin:
                visitor.log_in(ADMIN)
            visitor.open(path)
            visitor.page.wait_for_load_state("networkidle")
            visitor.page.screenshot(path=IMAGES / f"{name}.png", full_page=size == "desktop")
            print(f"docs/images/{name}.png")


if __name__ == "__main__":
    main()
