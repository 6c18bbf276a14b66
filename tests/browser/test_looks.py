"""Every page, on every size and in both colours: no barrier, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from playwright.sync_api import Browser, Route

from tests.browser.chromium import Visitor, visiting
from tests.browser.demo import ADMIN
from tests.serving import Served

pytestmark = pytest.mark.e2e
PAGES = (
    "/",
    "/search?q=grail",
    "/search?q=nothing-like-this",
    "/search?keyword=grail&classifier=Intended+Audience+%3A%3A+Developers",
    "/setup",
    "/login",
    "/project/holygrail/",
    "/project/holygrail/1.1.0/",
    "/project/holygrail/releases",
    "/project/invoice-kit/",
    "/project/none-of-this/",
    "/project/holygrail/inside/holygrail-1.0.0-py3-none-any.whl",
    "/project/holygrail/compare?before=1.0.0&after=2.0.0",
    "/nowhere",
)
OWN = (
    "/",
    "/account",
    "/upload",
    "/admin",
    "/admin/audit",
    "/admin/upstreams",
    "/admin/rights",
    "/admin/tokens",
    "/admin/disk",
    "/admin/changes",
    "/project/holygrail/",
    "/project/holygrail/manage",
)
"""What the admin sees."""


LOOKS = [("desktop", "light"), ("phone", "dark")]


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_no_page_has_a_barrier(chromium: Browser, shop: Served, size: str, theme: str) -> None:
    """axe finds nothing serious or critical, whatever is unfolded; no other host is asked."""
    with visiting(chromium, shop.url, size=size, theme=theme) as visitor:
        assert barriers(visitor, PAGES) == {}
        assert visitor.strangers == []


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_no_page_of_ones_own_has_a_barrier(
    chromium: Browser, shop: Served, size: str, theme: str
) -> None:
    """The same of what one sees who is logged in."""
    with visiting(chromium, shop.url, size=size, theme=theme) as visitor:
        visitor.log_in(ADMIN)
        assert barriers(visitor, OWN) == {}
        assert visitor.strangers == []


def barriers(visitor: Visitor, paths: Sequence[str]) -> dict[str, list[str]]:
    """What axe finds on pages, by their paths."""
    found = {}
    for path in paths:
        visitor.open(path)
        visitor.page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
        if told := visitor.barriers():
            found[path] = told
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_description_has_a_barrier(chromium: Browser, shop: Served, theme: str) -> None:
    """Nor do they have one by themselves; for axe to run there, their policy is taken off."""

    def loosened(route: Route) -> None:
        answer = route.fetch()
        kept = {k: v for k, v in answer.headers.items() if k != "content-security-policy"}
        route.fulfill(response=answer, headers=kept)

    with visiting(chromium, shop.url, theme=theme) as visitor:
        visitor.page.route("**/description", loosened)
        visitor.open("/project/holygrail/2.0.0/description")
        assert visitor.barriers() == []


def test_nothing_is_too_wide_for_a_small_phone(chromium: Browser, shop: Served) -> None:
    """At 320 pixels nobody has to scroll sideways."""
    with visiting(chromium, shop.url, size="narrow") as visitor:
        wide = [path for path in PAGES if visitor.open(path) and visitor.too_wide]
        visitor.log_in(ADMIN)
        wide += [path for path in OWN if visitor.open(path) and visitor.too_wide]
        assert wide == []


def test_a_description_is_as_tall_as_what_is_in_it(visitor: Visitor) -> None:
    """It is shown whole, its scripts do not run, and what is wrong with it asks no other host."""
    visitor.open("/project/holygrail/")
    frame = visitor.page.frame_locator("iframe.description")
    assert frame.get_by_role("heading", name="Quick start").is_visible()
    script = "document.querySelector('iframe.description').contentDocument.documentElement"
    visitor.page.wait_for_function(
        f"document.querySelector('iframe.description').clientHeight >= {script}.scrollHeight - 4"
    )
    assert visitor.strangers == []
    assert visitor.complaints == []


def test_the_colours_can_be_turned(visitor: Visitor) -> None:
    """The toggle turns the page and its frames, and the next page remembers; no cookie does."""
    visitor.open("/project/holygrail/")
    before = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    visitor.page.get_by_role("button", name="Light or dark").click()
    assert visitor.page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    visitor.open("/search")
    assert visitor.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert visitor.context.cookies() == []


def test_the_search_is_for_the_keyboard(visitor: Visitor) -> None:
    """A slash goes to it, Enter searches, and a slip of the finger finds what was meant."""
    visitor.open("/")
    visitor.page.keyboard.press("/")
    visitor.page.keyboard.type("holygrial")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/search?q=holygrial")
    visitor.page.get_by_role("link", name="holygrail").focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/project/holygrail/")


def test_everything_is_there_without_scripts(chromium: Browser, shop: Served) -> None:
    """Searching, reading and installing need none."""
    with visiting(chromium, shop.url, java_script_enabled=False) as visitor:
        page = visitor.open("/")
        page.get_by_role("searchbox").fill("grail")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("link", name="holygrail").click()
        assert page.get_by_role("heading", level=1).inner_text().startswith("holygrail")
        inside = page.frame_locator("iframe.description")
        assert inside.get_by_role("heading", name="Quick start").is_visible()
        assert page.get_by_role("button", name="Copy").count() == 0
        assert page.get_by_role("button", name="Light or dark").count() == 0
