"""What admins do in a browser, on desktops and phones, with scripts and without."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import Visitor, visiting
from tests.browser.demo import ADMIN, MIKA, demo
from tests.serving import Served

pytestmark = pytest.mark.e2e
LOOKS = [("desktop", "light"), ("phone", "dark")]
NEW = ("newcomer", "another fine passphrase")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A demo that the tests of this module change."""
    with demo(tmp_path_factory.mktemp("admins")) as served:
        yield served


def admin(chromium: Browser, shop: Served, size: str, theme: str) -> Iterator[Visitor]:
    """The admin, logged in."""
    with visiting(chromium, shop.url, size=size, theme=theme) as visitor:
        visitor.log_in(ADMIN)
        yield visitor


def known(shop: Served, who: tuple[str, str]) -> int:
    """What the API says to somebody."""
    return httpx.get(f"{shop.url}/api/v1/account", auth=who, trust_env=False).status_code


def test_somebody_is_let_in_and_shut_out(chromium: Browser, shop: Served) -> None:
    """A user is made, put into a group, shut out and deleted, each by its button."""
    with visiting(chromium, shop.url) as visitor:
        visitor.log_in(ADMIN)
        page = visitor.open("/admin")
        page.locator("summary", has_text="Add a user").click()
        page.get_by_label("Name", exact=True).fill(NEW[0])
        page.get_by_label("Password", exact=True).fill(NEW[1])
        page.get_by_role("button", name="Add the user").click()
        page.wait_for_url("**/admin?done=add-user")
        assert known(shop, NEW) == 200
        page.get_by_label("New group").fill("makers")
        page.get_by_role("button", name="Add the group").click()
        page.wait_for_url("**/admin?done=add-group")
        page.locator("summary", has_text="makers").click()
        page.locator("details", has_text="makers").get_by_label("User").fill(NEW[0])
        page.get_by_role("button", name="Add to makers").click()
        page.wait_for_url("**/admin?done=add-member")
        page.locator("summary", has_text=NEW[0]).first.click()
        page.get_by_role("button", name="Shut out").click()
        page.wait_for_url("**/admin?done=disable")
        assert known(shop, NEW) == 401
        page.locator("summary", has_text=NEW[0]).first.click()
        page.get_by_label(f"Type {NEW[0]} to confirm").fill(NEW[0])
        page.get_by_role("button", name=f"Delete {NEW[0]}").click()
        page.wait_for_url("**/admin?done=delete-user")
        expect(page.get_by_text(NEW[0])).to_have_count(0)
        assert visitor.complaints == []


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_a_reindex_is_watched(chromium: Browser, shop: Served, size: str, theme: str) -> None:
    """The page tells how far it has come, and that it has ended, without being loaded anew."""
    for visitor in admin(chromium, shop, size, theme):
        page = visitor.open("/admin")
        page.get_by_role("button", name="Reindex").click()
        page.wait_for_url("**/admin?done=reindex")
        expect(page.locator("[data-reindex] [data-state]")).to_have_text("done")
        expect(page.locator("[data-reindex] [data-files]")).not_to_have_text("0")
        assert visitor.complaints == []


@pytest.mark.parametrize(("size", "theme"), LOOKS)
def test_a_check_tells_what_it_finds(
    chromium: Browser, shop: Served, size: str, theme: str
) -> None:
    """While it looks; here all agree, and no page is left for it."""
    for visitor in admin(chromium, shop, size, theme):
        page = visitor.open("/admin")
        page.get_by_label("read all bytes").check()
        page.get_by_role("button", name="Check").click()
        expect(page.locator("[data-checked] [data-state]")).to_have_text("all agree")
        expect(page.locator("[data-checked] [data-files]")).not_to_have_text("0")
        assert page.url.endswith("/admin")
        assert visitor.barriers() == []
        assert visitor.complaints == []


def test_a_check_needs_no_scripts(chromium: Browser, shop: Served) -> None:
    """A page of its own says how it ended."""
    with visiting(chromium, shop.url, java_script_enabled=False) as visitor:
        visitor.log_in(ADMIN)
        page = visitor.open("/admin")
        page.get_by_role("button", name="Check").click()
        expect(page.get_by_role("status")).to_contain_text("all agree")


def test_a_token_of_somebody_else_is_revoked(chromium: Browser, shop: Served) -> None:
    """It is refused from then on."""
    made = httpx.post(
        f"{shop.url}/api/v1/tokens",
        auth=MIKA,
        json={"name": "left in a log", "permissions": ["read"]},
        trust_env=False,
    ).json()
    token = ("__token__", made["token"])
    simple = f"{shop.url}/api/v1/tokens"
    assert httpx.get(simple, auth=token, trust_env=False).status_code == 200
    with visiting(chromium, shop.url) as visitor:
        visitor.log_in(ADMIN)
        page = visitor.open("/admin/tokens")
        page.get_by_role("button", name="Revoke left in a log").click()
        page.wait_for_url("**/admin/tokens?done=revoke-token")
        expect(page.get_by_text("left in a log")).to_have_count(0)
    assert httpx.get(simple, auth=token, trust_env=False).status_code in (401, 403)


def test_every_page_of_admins_is_reached_by_keyboard(chromium: Browser, shop: Served) -> None:
    """By the links between them, and each is marked as the one where one is."""
    with visiting(chromium, shop.url) as visitor:
        visitor.log_in(ADMIN)
        page = visitor.open("/admin")
        for name in ("Upstreams", "Rights", "Tokens", "Disk use", "Changes", "Audit trail"):
            places = page.get_by_role("navigation", name="Administration")
            places.get_by_role("link", name=name).focus()
            page.keyboard.press("Enter")
            here = page.get_by_role("navigation", name="Administration")
            expect(here.locator("[aria-current=page]")).to_have_text(name)
        assert visitor.complaints == []
