"""The web pages: what they show, to whom, and as what."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from app.routes import showing
from tests.factories import make_sdist, make_wheel
from tests.routes.site import ADMIN, Site, site

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Accept": "application/json"}
MARKDOWN = ("Description-Content-Type", "text/markdown")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service that everyone may read, with an open project and one for somebody alone."""
    folder = tmp_path_factory.mktemp("web")
    with site(folder, default_read=frozenset({"everyone"}), limits={"searches": 0}) as running:
        for version in ("1.0", "1.1rc1", "2.0"):
            made = make_wheel(
                "Open_Door",
                version,
                summary="Lets everybody in",
                headers=[MARKDOWN, ("Requires-Dist", "hinges>=1")],
                description=f"# Door {version}\n\n<script>alert(1)</script>",
            )
            running.upload(made, "Open_Door", auth=ADMIN, version=version).raise_for_status()
        running.upload(make_sdist("Open_Door", "2.0"), "Open_Door", auth=ADMIN, version="2.0")
        running.publish("secret-plan")
        running.user("friend")
        grant = {"permissions": ["read"]}
        path = "/api/v1/projects/secret-plan/grants/user:friend"
        running.ask("PUT", path, auth=ADMIN, json=grant).raise_for_status()
        yield running


def look(place: Site, path: str, auth: object = None, **headers: str) -> httpx.Response:
    """What a browser gets."""
    return place.ask("GET", path, auth=auth, headers={**BROWSER, **headers})


def seen(place: Site, path: str, auth: object = None) -> dict[str, object]:
    """The same page, as JSON."""
    answer = place.ask("GET", path, auth=auth, headers=JSON)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, object] = answer.json()
    return found


PAGES = (
    "/",
    "/setup",
    "/search",
    "/search?q=door",
    "/project/open-door/",
    "/project/open-door/1.0/",
    "/project/open-door/releases",
)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_also_json(place: Site, path: str) -> None:
    """By Accept; a client that takes anything gets HTML, and caches are told what decides."""
    assert seen(place, path)
    answer = place.ask("GET", path, headers={"Accept": "*/*"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    vary = {one.strip().lower() for one in answer.headers["vary"].split(",")}
    assert {"accept", "accept-language", "cookie", "authorization"} <= vary


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_an_entity_tag(place: Site, path: str) -> None:
    """Whoever has it already gets 304; HEAD is GET without a body."""
    first = look(place, path)
    again = look(place, path, **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = place.ask("HEAD", path, headers=BROWSER)
    assert (head.status_code, head.content) == (200, b"")
    assert first.headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize("path", [*PAGES, "/login", "/nowhere", "/project/nothing/"])
def test_every_page_is_strict(place: Site, path: str) -> None:
    """Nothing inline, nothing from elsewhere, no cookie, and little of it (T16, T22)."""
    answer = look(place, path)
    assert answer.headers["content-security-policy"] == showing.POLICY
    assert "'unsafe" not in showing.POLICY
    assert "set-cookie" not in answer.headers
    assert not re.search(
        r"\sstyle=|\son[a-z]+=|<style|<script(?! src=| type=\"module\" src=)", answer.text
    )
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*?(?:href|src)="([^"]+)"', answer.text)
    assert all(url.startswith("/") and not url.startswith("//") for url in loaded)
    weight = len(answer.content) + sum(
        len(place.ask("GET", url).content) for url in loaded if "/assets/" in url
    )
    assert weight < 60_000


def test_assets_are_kept_for_ever_at_their_version(place: Site) -> None:
    """At no version, or at another one, for minutes; packed for whoever takes that."""
    page = look(place, "/").text
    url = re.search(r'href="(/assets/pages\.css\?v=[0-9a-f]+)"', page)
    assert url is not None
    assert "immutable" in place.ask("GET", url[1]).headers["cache-control"]
    assert place.ask("GET", "/assets/pages.css").headers["cache-control"] == "max-age=300"
    plain = place.ask("GET", url[1], headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert place.ask("GET", url[1]).content == plain.content
    assert place.ask("GET", "/assets/base.html").status_code == 404


def test_a_project_says_what_it_is(place: Site) -> None:
    """Name, newest release, dependencies, files with hashes, history, and how to install it."""
    found = seen(place, "/project/open-door/")
    assert (found["display_name"], found["latest"]) == ("Open_Door", True)
    text = look(place, "/project/open-door/").text
    for part in ("Lets everybody in", "hinges&gt;=1", "Open_Door", "1.1rc1", ">1.0<", ">2.0<"):
        assert part in text
    files = found["files"]
    assert isinstance(files, list)
    assert [file["filename"] for file in files] == [
        "open_door-2.0-py3-none-any.whl",
        "open_door-2.0.tar.gz",
    ]
    for file in files:
        assert file["sha256"] in text
        assert place.ask("GET", file["url"]).status_code == 200
    for command in ("pip install --index-url", "uv add --index", "poetry add --source", "pdm add"):
        assert command in text


def test_a_release_has_a_page_of_its_own(place: Site) -> None:
    """In any spelling of its version; commands name it; one that is not there is 404."""
    assert "open-door==1.0" in look(place, "/project/open-door/1.0/").text
    assert seen(place, "/project/open-door/1.0.0/")["latest"] is False
    assert look(place, "/project/open-door/3.0/").status_code == 404
    assert look(place, "/project/open-door/%3Cscript%3E/").status_code == 404


def test_other_spellings_are_sent_on(place: Site) -> None:
    """To the normalised name, with its slash and without a host."""
    for path in ("/project/Open_Door/", "/project/open-door", "/project/OPEN.DOOR"):
        answer = look(place, path)
        assert (answer.status_code, answer.headers["location"]) == (301, "/project/open-door/")
    assert look(place, "/project/Open_Door/1.0").headers["location"] == "/project/open-door/1.0/"


def test_a_description_stands_by_itself(place: Site) -> None:
    """Under a policy without scripts, in a sandbox, for our own pages to frame (T16)."""
    answer = look(place, "/project/open-door/1.0/description")
    assert "Door 1.0" in answer.text
    assert "<script>" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy
    assert "img-src" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/project/secret-plan/",
        "/project/secret-plan/1.0/",
        "/project/secret-plan/releases",
        "/project/secret-plan/1.0/description",
        "/rss/project/secret-plan/releases.xml",
    ],
)
def test_no_page_of_a_hidden_project(place: Site, path: str) -> None:
    """Browsers go to log in, tools are asked who they are, others are told no; a friend sees it."""
    answer = look(place, path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=/")
    told = place.ask("GET", path, headers=JSON)
    assert told.status_code == 401
    assert told.headers["www-authenticate"].startswith("Basic ")
    place.user(f"stranger{abs(hash(path))}")
    who = (f"stranger{abs(hash(path))}", "a fine long passphrase")
    refused = look(place, path, auth=who)
    assert refused.status_code == 403
    assert "text/html" in refused.headers["content-type"]
    assert look(place, path, auth=("friend", "a fine long passphrase")).status_code == 200


def test_a_project_that_is_open_by_its_grant_has_its_page(tmp_path: Path) -> None:
    """Also where nothing else is open to the anonymous, who are not asked to log in for it."""
    with site(tmp_path) as place:
        place.publish("open-door")
        path, grant = "/api/v1/projects/open-door/grants/everyone", {"permissions": ["read"]}
        place.ask("PUT", path, auth=ADMIN, json=grant).raise_for_status()
        assert seen(place, "/project/open-door/")["needing"] == []
        assert look(place, "/project/open-door/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/search", "/search?q=secret", "/rss/updates.xml", "/rss/packages.xml"]
)
def test_no_list_names_a_hidden_project(place: Site, path: str) -> None:
    """Whoever may not read it does not learn that it is there."""
    for headers in (BROWSER, JSON):
        assert "secret-plan" not in place.ask("GET", path, headers=headers).text
    answer = look(place, path, auth=("friend", "a fine long passphrase"))
    assert "secret-plan" in answer.text


def test_search_answers_by_pages(place: Site) -> None:
    """Best first, with a status, shareable; nothing found is said, not an error."""
    found = seen(place, "/search?q=open+dor")
    projects = found["projects"]
    assert isinstance(projects, list)
    assert [one["name"] for one in projects] == ["open-door"]
    assert seen(place, "/search?q=open-door&status=archived")["total"] == 0
    assert seen(place, "/search?page=9999")["page"] == 1
    assert "Nothing found" in look(place, "/search?q=no-such-thing").text
    for wrong in ("page=0", "status=nonsense", f"q={'x' * 300}", "order=up"):
        assert look(place, f"/search?{wrong}").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "%22%20onfocus=alert(1)%20x=%22",
        "%00",
        "%ff",
        "{{7*7}}",
    ],
)
def test_a_query_is_shown_as_text(place: Site, query: str) -> None:
    """Whatever it holds."""
    text = look(place, f"/search?q={query}").text
    assert "<script>alert" not in text
    assert 'onfocus=alert(1) x="' not in text
    assert "49" not in re.sub(r"\d{3,}|v=[0-9a-f]+", "", text)


def test_feeds_tell_what_is_new(place: Site) -> None:
    """Releases, projects, and the releases of one project, newest first."""
    titles = {}
    for name in ("updates", "packages", "project/open-door/releases"):
        answer = place.ask("GET", f"/rss/{name}.xml")
        assert answer.headers["content-type"].startswith("application/rss+xml")
        again = place.ask(
            "GET", f"/rss/{name}.xml", headers={"If-None-Match": answer.headers["etag"]}
        )
        assert again.status_code == 304
        channel = ElementTree.fromstring(answer.text)
        titles[name] = [one.text for one in channel.iter("title")][1:]
    assert titles["packages"] == ["Open_Door"]
    assert titles["updates"] == ["Open_Door 2.0", "Open_Door 1.1rc1", "Open_Door 1.0"]
    assert titles["project/open-door/releases"] == titles["updates"]


def test_pages_are_in_the_readers_language(place: Site) -> None:
    """By Accept-Language, or by ``lang`` in the address; and say which."""
    assert '<html lang="en">' in look(place, "/").text
    japanese = look(place, "/", **{"Accept-Language": "ja-JP,ja;q=0.9"}).text
    assert '<html lang="ja">' in japanese
    assert "最近のリリース" in japanese
    assert '<html lang="ja">' in look(place, "/search?lang=ja&q=x").text


def test_errors_are_pages_for_browsers_alone(place: Site) -> None:
    """With the status that the API gives; tools get what they know."""
    for path in ("/nowhere", "/project/nothing/", "/project/-bad-/"):
        answer = look(place, path)
        assert answer.status_code == 404
        assert "text/html" in answer.headers["content-type"]
        assert answer.headers["cache-control"] == "no-store"
        told = place.ask("GET", path)
        assert told.status_code == 404
        assert told.json()["code"].startswith("404 ")
    assert look(place, "/simple/nothing/").json()["code"].startswith("404 ")


def test_an_empty_index_says_how_to_begin(tmp_path: Path) -> None:
    """With the commands for this very server."""
    with site(
        tmp_path, default_read=frozenset({"everyone"}), public_url="https://pkg.example/py"
    ) as running:
        text = running.ask("GET", "/", headers={**BROWSER, "Host": "pkg.example"}).text
    for line in (
        "python -m build",
        "twine upload --repository-url https://pkg.example/py/legacy/ dist/*",
        "pip install --index-url https://pkg.example/py/simple/ NAME",
    ):
        assert line in text


def test_a_login_leads_back_to_the_whole_page(place: Site) -> None:
    """With all of its query, and through the form; a way that is too long is not kept."""
    path = "/project/secret-plan/compare?before=1.0&after=2.0%2Bx"
    login = look(place, path).headers["location"]
    assert httpx.URL(login).params["next"] == path
    assert f'value="{html.escape(path)}"' in look(place, login).text
    long = look(place, f"/project/secret-plan/inside/x.whl?member={'x' * 600}")
    assert long.headers["location"] == "/login"


def test_an_index_for_the_known_says_nothing(tmp_path: Path) -> None:
    """Neither a name nor a number, to the anonymous."""
    with site(tmp_path, default_read=frozenset({"authenticated"})) as running:
        running.publish("hush-hush")
        home = look(running, "/")
        assert home.status_code == 200
        assert "hush-hush" not in home.text
        assert seen(running, "/")["projects"] == 0
        for path in ("/search", "/project/hush-hush/", "/project/no-such-thing/"):
            assert look(running, path).headers["location"].startswith("/login?next=")
            assert running.ask("GET", path).status_code == 401
