"""What people do at the web pages: manage a project, upload a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.factories import Made, make_sdist, make_wheel
from tests.routes.site import ADMIN, PASSWORD, Site, site

HTML = {"Accept": "text/html"}


class Browser:
    """A browser with a session."""

    def __init__(self, client: httpx.Client, who: tuple[str, str]) -> None:
        self.client = client
        self.own = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        login = {"username": who[0], "password": who[1]}
        assert client.post("/login", data=login, headers=self.own).status_code == 303
        match = re.search(r'name="csrf" value="([^"]+)"', client.get("/account").text)
        assert match is not None
        self.csrf = match[1]

    def get(self, path: str) -> httpx.Response:
        """Look at a page."""
        return self.client.get(path, headers=HTML)

    def act(self, project: str, act: str, **fields: object) -> httpx.Response:
        """Send a form of a project's page."""
        sent = {"csrf": self.csrf, "act": act, **fields}
        path = f"/project/{project}/manage"
        return self.client.post(path, data=sent, headers={**self.own, **HTML})

    def upload(self, made: Made, *, csrf: str | None = None, **headers: str) -> httpx.Response:
        """Send a file by the form."""
        return self.client.post(
            "/upload",
            data={"csrf": self.csrf if csrf is None else csrf},
            files={"content": (made.filename, made.content)},
            headers={**self.own, **HTML, **headers},
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service where whoever is known may read, and nobody else uploads by default."""
    folder = tmp_path_factory.mktemp("acts")
    with site(folder, limits={"logins": 0, "all_logins": 0}) as running:
        running.user("keeper")
        running.user("reader")
        yield running


@contextmanager
def browsing(place: Site, who: tuple[str, str] = ADMIN) -> Iterator[Browser]:
    """Somebody logged in."""
    with httpx.Client(base_url=place.url, timeout=60) as client:
        yield Browser(client, who)


@pytest.fixture
def browser(place: Site) -> Iterator[Browser]:
    """The admin's."""
    with browsing(place) as found:
        yield found


def published(place: Site, name: str) -> Made:
    """A project that the keeper manages."""
    made = place.publish(name)
    grant = {"permissions": ["read", "upload", "manage"]}
    path = f"/api/v1/projects/{name}/grants/user:keeper"
    place.ask("PUT", path, auth=ADMIN, json=grant).raise_for_status()
    return made


def files(place: Site, name: str) -> list[dict[str, object]]:
    """What installers are shown."""
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    found: list[dict[str, object]] = place.ask(
        "GET", f"/simple/{name}/", auth=ADMIN, headers=accept
    ).json()["files"]
    return found


def test_a_release_is_yanked_and_taken_back(place: Site, browser: Browser) -> None:
    """What it does is said first; the reason reaches installers and the page; it is recorded."""
    published(place, "yankee")
    page = browser.get("/project/yankee/manage").text
    assert "Yanking hides a release" in page
    answer = browser.act("yankee", "yank", version="1.0", reason="<b>broken</b>")
    assert answer.headers["location"] == "/project/yankee/manage?done=yank"
    assert files(place, "yankee")[0]["yanked"] == "<b>broken</b>"
    assert "&lt;b&gt;broken&lt;/b&gt;" in browser.get("/project/yankee/").text
    assert "The release is yanked." in browser.get("/project/yankee/manage?done=yank").text
    browser.act("yankee", "unyank", version="1.0")
    assert "yanked" not in files(place, "yankee")[0]
    entries = place.trail(target="release:yankee/1.0")
    assert [(one.action, one.actor.id if one.actor else "") for one in entries] == [
        ("file.yank", "admin"),
        ("file.unyank", "admin"),
    ]


def test_a_file_is_deleted_by_typing_its_name(place: Site, browser: Browser) -> None:
    """Anything else does nothing; a deleted one can be restored."""
    made = published(place, "delta")
    for typed in ("", "delta", made.filename.upper()):
        answer = browser.act("delta", "delete-file", filename=made.filename, confirm=typed)
        assert answer.status_code == 400
        assert "nothing was done" in answer.text
    assert len(files(place, "delta")) == 1
    browser.act("delta", "delete-file", filename=made.filename, confirm=made.filename)
    assert files(place, "delta") == []
    assert f"Restore {made.filename}" in browser.get("/project/delta/manage").text
    browser.act("delta", "restore-file", filename=made.filename)
    assert len(files(place, "delta")) == 1


def test_a_status_is_set(place: Site, browser: Browser) -> None:
    """With its reason, as a banner of the page; there is no other status."""
    published(place, "stately")
    browser.act("stately", "status", status="archived", reason="moved on")
    page = browser.get("/project/stately/").text
    assert "This project is archived" in page
    assert "moved on" in page
    assert browser.act("stately", "status", status="lost").status_code == 400
    browser.act("stately", "status", status="quarantined", reason="")
    quarantined = browser.get("/project/stately/")
    assert quarantined.status_code == 200
    assert "Files in quarantine are not shown." in quarantined.text
    assert "1.0" in browser.get("/project/stately/manage").text


def test_a_project_is_deleted_by_typing_its_name(place: Site, browser: Browser) -> None:
    """Then one is at the start page."""
    published(place, "goner")
    assert browser.act("goner", "delete-project", confirm="gone").status_code == 400
    answer = browser.act("goner", "delete-project", confirm="goner")
    assert answer.headers["location"] == "/"
    assert browser.get("/project/goner/").status_code == 404


def test_rights_are_granted_and_taken_away(place: Site, browser: Browser) -> None:
    """To principals that there are; the page lists them."""
    published(place, "granted")
    rights = ["read", "upload"]
    browser.act("granted", "grant", principal="user:reader", permission=rights)
    path = "/api/v1/projects/granted/grants/user:reader"
    assert place.ask("GET", path, auth=ADMIN).json()["permissions"] == rights
    assert "user:reader" in browser.get("/project/granted/manage").text
    browser.act("granted", "grant", principal="user:reader")
    assert place.ask("GET", path, auth=ADMIN).json()["permissions"] == []
    for wrong in ("nonsense", "user:nobody-such", ""):
        assert (
            browser.act("granted", "grant", principal=wrong, permission="read").status_code == 400
        )
    answer = browser.act("granted", "grant", principal="user:reader", permission="rule")
    assert answer.status_code == 400


def test_only_managers_manage(place: Site) -> None:
    """The keeper may; a reader sees no link and is refused; without a session one logs in."""
    published(place, "kept")
    place.ask(
        "PUT",
        "/api/v1/projects/kept/grants/user:reader",
        auth=ADMIN,
        json={"permissions": ["read"]},
    ).raise_for_status()
    with browsing(place, ("keeper", PASSWORD)) as keeper:
        assert "/project/kept/manage" in keeper.get("/project/kept/").text
        assert keeper.act("kept", "yank", version="1.0").status_code == 303
    with browsing(place, ("reader", PASSWORD)) as reader:
        assert "/project/kept/manage" not in reader.get("/project/kept/").text
        assert reader.get("/project/kept/manage").status_code == 403
        assert reader.act("kept", "unyank", version="1.0").status_code == 403
    with httpx.Client(base_url=place.url) as nobody:
        answer = nobody.get("/project/kept/manage", headers=HTML)
        assert answer.headers["location"] == "/login?next=/project/kept/manage"
    assert "yanked" in files(place, "kept")[0]


def test_forms_of_others_do_nothing(place: Site, browser: Browser) -> None:
    """From another site, without the session's token, of another act (T22)."""
    published(place, "safe")
    path = "/project/safe/manage"
    sent = {"csrf": browser.csrf, "act": "delete-project", "confirm": "safe"}
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser.client.post(path, data=sent, headers=headers).status_code == 403
    own = browser.own
    assert browser.client.post(path, data={**sent, "csrf": "x"}, headers=own).status_code == 403
    assert browser.client.post(path, data={**sent, "act": "burn"}, headers=own).status_code == 400
    assert len(files(place, "safe")) == 1


@pytest.mark.parametrize("make", [make_wheel, make_sdist])
def test_a_file_is_uploaded_by_a_form(place: Site, browser: Browser, make: object) -> None:
    """It is published as twine would, says its hash, and the same bytes again are no error."""
    name = f"dropped-{getattr(make, '__name__', '').replace('_', '-')}"
    made = make(name, "1.0")  # type: ignore[operator]
    page = browser.upload(made)
    assert page.status_code == 200, page.text
    assert made.sha256 in page.text
    told = browser.upload(made, Accept="application/json").json()
    assert (told["new"], told["sha256"]) == (False, made.sha256)
    assert [file["filename"] for file in files(place, name)] == [made.filename]
    (entry,) = place.trail(action="file.publish", target=f"file:{name}/{made.filename}")
    assert entry.actor is not None
    assert entry.actor.id == "admin"


def test_t19_a_form_passes_over_a_trusted_publisher(place: Site, browser: Browser) -> None:
    """Whoever sends a file beside it is warned, on the page and in what the script reads."""
    place.publish("built")
    publisher = {"provider": "github", "repository": "octo/built", "workflow": "release.yml"}
    path = "/api/v1/projects/built/publishers"
    place.ask("POST", path, auth=ADMIN, json=publisher).raise_for_status()
    warning = "This project has a trusted publisher, and this file did not come by it."
    assert f"<br>{warning}</p>" in browser.upload(make_wheel("built", "2.0")).text
    made = make_wheel("built", "3.0")
    assert browser.upload(made, Accept="application/json").json()["passed_over"] is True
    again = browser.upload(made)
    assert f"<br>{warning}</p>" not in again.text
    told = browser.upload(make_wheel("by-hand"), Accept="application/json").json()
    assert (told["new"], told["passed_over"]) == (True, False)


def test_the_servers_own_words_say_what_is_wrong(place: Site, browser: Browser) -> None:
    """For browsers as a page, for the script as JSON."""
    broken = Made("broken-1.0-py3-none-any.whl", b"no wheel")
    answer = browser.upload(broken, Accept="application/json")
    assert answer.status_code == 400
    assert "Invalid distribution file" in answer.json()["message"]
    assert "Invalid distribution file" in browser.upload(broken).text
    for filename in ("notes.txt", "x.whl", "-1.0.tar.gz", "x-.tar.gz", "a-b-c-d-e-f-g.whl"):
        assert browser.upload(Made(filename, b"x")).status_code == 400


def test_uploads_are_for_whoever_may(place: Site, browser: Browser, tmp_path: Path) -> None:
    """And only by our own form, with the session's token (T22)."""
    made = make_wheel("forbidden-fruit", "1.0")
    with browsing(place, ("reader", PASSWORD)) as reader:
        assert reader.upload(made).status_code == 403
    assert browser.upload(made, csrf="wrong").status_code == 403
    assert browser.upload(made, Origin="https://evil.example").status_code == 403
    with httpx.Client(base_url=place.url) as nobody:
        assert nobody.post("/upload", files={"content": ("x", b"x")}).status_code == 303
    assert place.ask("GET", "/simple/forbidden-fruit/", auth=ADMIN).status_code == 404
