"""What people do, from end to end, in a browser and with their tools."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import Visitor, visiting
from tests.browser.demo import ADMIN, MIKA, demo
from tests.factories import Made, make_sdist, make_wheel
from tests.serving import Served

pytestmark = pytest.mark.e2e
DROP = """([target, files]) => {
  const carried = new DataTransfer();
  for (const [name, content] of files) {
    const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
    carried.items.add(new File([bytes], name));
  }
  const event = { dataTransfer: carried, bubbles: true, cancelable: true };
  document.querySelector(target).dispatchEvent(new DragEvent("dragover", event));
  document.querySelector(target).dispatchEvent(new DragEvent("drop", event));
}"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A demo that the tests of this module change."""
    with demo(tmp_path_factory.mktemp("flows")) as served:
        yield served


@pytest.fixture
def mika(chromium: Browser, shop: Served) -> Iterator[Visitor]:
    """Mika, logged in."""
    with visiting(chromium, shop.url) as visitor:
        visitor.log_in(MIKA)
        yield visitor


def drop(page: Page, *made: Made) -> None:
    """Drag files into the page."""
    files = [[one.filename, base64.b64encode(one.content).decode()] for one in made]
    page.evaluate(DROP, [".drop", files])


def pip(shop: Served, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What pip does with this index."""
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--no-deps", "--quiet"]
    where = ["--target", str(folder), "--index-url", f"{shop.url}/simple/", "--no-cache-dir"]
    return subprocess.run([*command, *where, *words], capture_output=True, text=True, timeout=120)


def test_wheels_are_dropped_seen_and_installed(mika: Visitor, shop: Served, tmp_path: Path) -> None:
    """Each says its hash, or the server's own words; pip installs what went through."""
    wheel, sdist = make_wheel("dropped", "1.0"), make_sdist("dropped", "1.0")
    page = mika.open("/upload")
    drop(page, wheel, sdist, Made("dropped-2.0-py3-none-any.whl", b"not a wheel"))
    lines = page.locator("[data-uploads] li")
    expect(lines).to_have_count(3)
    expect(lines.nth(0)).to_contain_text(wheel.sha256)
    expect(lines.nth(1)).to_contain_text(sdist.sha256)
    expect(lines.nth(2)).to_contain_text("Invalid distribution file")
    assert mika.barriers() == []
    lines.nth(0).get_by_role("link").click()
    page.wait_for_url("**/project/dropped/1.0/")
    expect(page.get_by_role("link", name=wheel.filename)).to_be_visible()
    installed = pip(shop, tmp_path, "dropped")
    assert installed.returncode == 0, installed.stderr
    assert (tmp_path / "dropped.py").is_file()
    assert all("status of 400" in told for told in mika.complaints)


def test_a_file_dropped_beside_a_trusted_publisher_is_warned_of(
    mika: Visitor, shop: Served
) -> None:
    """In the line of the file, after its hash."""
    page = mika.open("/upload")
    lines = page.locator("[data-uploads] li")
    warning = "This project has a trusted publisher"
    drop(page, make_wheel("built", "1.0"))
    expect(lines.nth(0)).to_contain_text("sha256")
    expect(lines.nth(0)).not_to_contain_text(warning)
    publisher = {"provider": "github", "repository": "octo/built", "workflow": "release.yml"}
    where = f"{shop.url}/api/v1/projects/built/publishers"
    httpx.post(where, auth=ADMIN, json=publisher).raise_for_status()
    drop(page, make_wheel("built", "2.0"))
    expect(lines.nth(1)).to_contain_text(warning)


def test_a_token_of_the_page_uploads(mika: Visitor, shop: Served) -> None:
    """It is shown once, and is what twine would send."""
    page = mika.open("/account")
    fold = page.locator("details", has_text="Make a token")
    if fold.get_attribute("open") is None:
        fold.locator("summary").click()
    page.get_by_label("Name", exact=True).fill("laptop")
    page.get_by_label("upload", exact=True).check()
    page.get_by_label("begin new projects").check()
    page.get_by_role("button", name="Make a token").click()
    token = page.get_by_label("The token").input_value()
    assert mika.barriers() == []
    made = make_wheel("tokened", "1.0")
    answer = httpx.post(
        f"{shop.url}/legacy/",
        auth=("__token__", token),
        data={
            ":action": "file_upload",
            "name": "tokened",
            "version": "1.0",
            "filetype": "bdist_wheel",
            "pyversion": "py3",
            "sha256_digest": made.sha256,
        },
        files={"content": (made.filename, made.content)},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    mika.open("/account")
    assert token not in page.content()
    page.get_by_role("button", name="Revoke laptop").click()
    page.wait_for_url("**/account")
    gone = httpx.get(f"{shop.url}/simple/", auth=("__token__", token), timeout=60)
    assert gone.status_code == 401


def test_a_yank_reaches_pip(mika: Visitor, shop: Served, tmp_path: Path) -> None:
    """With the keyboard alone: yanked, refused by pip, taken back, installed."""
    page = mika.open("/project/holygrail/manage")
    fold = page.locator("summary", has_text="1.0.0").first
    fold.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("wrong grail")
    page.keyboard.press("Enter")
    page.wait_for_url("**/manage?done=yank")
    expect(page.get_by_role("status")).to_have_text("The release is yanked.")
    assert mika.barriers() == []
    refused = pip(shop, tmp_path, "holygrail<1.1", "--no-binary", "none")
    assert refused.returncode != 0 or "yanked" in refused.stderr
    page.locator("summary", has_text="1.0.0").first.click()
    expect(page.get_by_text("wrong grail")).to_be_visible()
    page.get_by_role("button", name="Take the yank of 1.0.0 back").click()
    page.wait_for_url("**/manage?done=unyank")


def test_deleting_asks_for_the_name(chromium: Browser, shop: Served) -> None:
    """Nothing happens before it is typed; afterwards the file can be restored."""
    with visiting(chromium, shop.url, size="phone", theme="dark") as admin:
        admin.log_in(ADMIN)
        page = admin.open("/project/data-pantry/manage")
        page.locator("summary", has_text="0.9.2").first.click()
        page.locator("summary", has_text="Delete data_pantry").click()
        page.get_by_label("Type data_pantry-0.9.2-py3-none-any.whl").fill("something else")
        page.get_by_role("button", name="Delete the file").click()
        expect(page.get_by_role("alert")).to_contain_text("nothing was done")
        assert admin.barriers() == []
        page.locator("summary", has_text="0.9.2").first.click()
        page.locator("summary", has_text="Delete data_pantry").click()
        page.get_by_label("Type data_pantry-0.9.2").fill("data_pantry-0.9.2-py3-none-any.whl")
        page.get_by_role("button", name="Delete the file").click()
        page.wait_for_url("**/manage?done=delete-file")
        page.get_by_role("button", name="Restore data_pantry-0.9.2-py3-none-any.whl").click()
        page.wait_for_url("**/manage?done=restore-file")
        assert not admin.too_wide


def test_acts_need_no_scripts(chromium: Browser, shop: Served, tmp_path: Path) -> None:
    """Logging in, uploading a file and yanking it, by forms alone."""
    made = make_wheel("plain-forms", "1.0")
    (tmp_path / made.filename).write_bytes(made.content)
    with visiting(chromium, shop.url, java_script_enabled=False) as visitor:
        visitor.log_in(ADMIN)
        page = visitor.open("/upload")
        page.get_by_label("Wheels and sdists").set_input_files(tmp_path / made.filename)
        page.get_by_role("main").get_by_role("button", name="Upload").click()
        expect(page.get_by_role("status")).to_contain_text(made.sha256)
        visitor.open("/project/plain-forms/manage")
        page.locator("summary", has_text="1.0").first.click()
        page.get_by_role("button", name="Yank 1.0").click()
        page.wait_for_url("**/manage?done=yank")


def test_a_hostile_project_does_nothing(chromium: Browser, shop: Served) -> None:
    """No script of its runs and no other host is asked, whatever its texts hold (T16)."""
    evil = (
        "<script>document.title='owned'</script><img src=https://evil.example/x onerror=alert(1)>"
    )
    made = make_wheel(
        "hostile",
        "1.0",
        summary=evil,
        headers=[
            ("Description-Content-Type", "text/markdown"),
            ("Author", evil),
            ("Keywords", evil),
            ("License", evil),
            ("Home-page", "javascript:alert(1)"),
        ],
        description=f"# {evil}\n\n![x](https://evil.example/pixel.png)\n\n{evil}\n\n"
        "<a href='javascript:alert(1)'>x</a><base href='https://evil.example/'>",
    )
    with visiting(chromium, shop.url) as visitor:
        visitor.page.on("dialog", lambda dialog: visitor.complaints.append(dialog.message))
        visitor.log_in(ADMIN)
        page = visitor.open("/upload")
        drop(page, made)
        expect(page.locator("[data-uploads] li")).to_contain_text(made.sha256)
        for path in (
            "/",
            "/search?q=hostile",
            "/project/hostile/",
            "/project/hostile/1.0/description",
        ):
            visitor.open(path)
            assert page.title() != "owned"
        assert visitor.strangers == []
        assert visitor.complaints == []
