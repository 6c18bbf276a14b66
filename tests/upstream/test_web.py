"""The web page of a project that upstreams have: what it shows, to whom, and what is held back."""

from __future__ import annotations

import html
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.upstream.options import UpstreamOptions
from tests.conftest import ADMIN
from tests.factories import make_sdist, make_wheel
from tests.routes.site import Site
from tests.servers.upstream import Asked, Sent, Upstream
from tests.upstream.conftest import Start
from tests.upstream.sites import fetched

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Accept": "application/json"}
EVIL = "<script>alert(1)</script>"
REQUIRES: dict[str, Any] = {"requires-python": ">=3.9"}
EVIL_REQUIRES: dict[str, Any] = {"requires-python": f">=3 {EVIL}", "core-metadata": True}


def look(site: Site, path: str, auth: Any = None, method: str = "GET") -> httpx.Response:
    """What a browser gets."""
    return site.ask(method, path, auth=auth, headers=BROWSER)


def seen(site: Site, path: str, auth: Any = None) -> dict[str, Any]:
    """The same page, as JSON."""
    answer = site.ask("GET", path, auth=auth, headers=JSON)
    assert answer.status_code == 200, (answer.status_code, answer.text)
    found: dict[str, Any] = answer.json()
    return found


def only(site: Site, path: str) -> dict[str, Any]:
    """The one file of a page."""
    (file,) = seen(site, path)["files"]
    assert isinstance(file, dict)
    return file


def shown(answer: httpx.Response) -> str:
    """The text of a page, without tags, in one line."""
    assert answer.status_code == 200, (answer.status_code, answer.text)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def in_page(title: str, answer: httpx.Response) -> None:
    """The files' names are there, and no link leads to them."""
    assert title in answer.text
    assert not re.search(rf'href="[^"]*{re.escape(title)}', answer.text)


def soon(**left: float) -> str:
    """The upload time of a file that is three days old so long from now."""
    time = datetime.now(UTC) - timedelta(days=3) + timedelta(**left)
    return time.isoformat().replace("+00:00", "Z")


def test_a_project_of_an_upstream_says_what_it_is(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """Where it is from, its releases, files with what their page says, and how to install it."""
    upstream.has(name, "1.0")
    upstream.has(name, "2.1rc1")
    attested = "https://upstream.example/provenance"
    made = upstream.has(name, "2.0", provenance=attested, **REQUIRES)
    upstream.has(name, made=make_sdist(name, "2.0"), yanked="it is broken")
    page = f"/project/{name}/"
    found = seen(standing, page)
    assert (found["display_name"], found["origin"], found["own"]) == (name, "upstream", None)
    assert (found["release"]["version"], found["latest"]) == ("2.0", True)
    assert [one["version"] for one in found["history"]] == ["2.1rc1", "2.0", "1.0"]
    wheel, sdist = found["files"]
    assert wheel["filename"] == made.filename
    assert wheel["sha256"] == made.sha256
    assert (wheel["size"], wheel["time"]) == (len(made.content), "2024-01-01T00:00:00Z")
    assert (wheel["requires_python"], wheel["provenance"]) == (">=3.9", attested)
    assert (wheel["python"], wheel["platform"], wheel["upstream"]) == ("py3", "any", "upstream")
    assert (wheel["held"], wheel["kept"], wheel["yanked"]) == (None, False, None)
    assert (sdist["kind"], sdist["yanked"], sdist["metadata"]) == ("sdist", "it is broken", None)
    assert {path for path in upstream.paths() if name in path} == {f"/simple/{name}/"}
    assert standing.ask("GET", wheel["url"]).content == made.content
    assert standing.ask("GET", wheel["metadata"]).text.startswith("Metadata-Version")
    answer = look(standing, page)
    text = shown(answer)
    for part in ("from upstream upstream", made.sha256, "it is broken", "Python >=3.9"):
        assert part in text
    assert "1 pre-release" in text
    assert f"/simple/ {name}" in text
    assert f'href="{attested}" rel="nofollow noopener noreferrer"' in answer.text
    assert "set-cookie" not in answer.headers
    assert len(answer.content) < 30_000


def test_a_file_that_was_fetched_is_kept_here(upstream: Upstream, standing: Site) -> None:
    """And the page says so, of that one alone."""
    made = upstream.has("demo-kept", "1.0")
    upstream.has("demo-kept", made=make_sdist("demo-kept", "1.0"))
    look(standing, "/project/demo-kept/")
    fetched(standing, "demo-kept", made)
    deadline = time.monotonic() + 30
    while not (kept := _kept(standing, "demo-kept")):
        assert time.monotonic() < deadline, "it is not kept"
        time.sleep(0.05)
    assert kept == [made.filename]
    assert shown(look(standing, "/project/demo-kept/")).count("kept here") == 1


def _kept(site: Site, name: str) -> list[str]:
    return [one["filename"] for one in seen(site, f"/project/{name}/")["files"] if one["kept"]]


def test_a_release_of_an_upstream_has_a_page_of_its_own(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """In any spelling of its version; names are sent on; HEAD is GET without a body; ETags hold."""
    upstream.has(name, "1.0")
    upstream.has(name, "2.0")
    found = seen(standing, f"/project/{name}/1.0.0/")
    assert (found["release"]["version"], found["latest"], found["latest_version"]) == (
        "1.0", False, "2.0",
    )  # fmt: skip
    assert f"{name}==1.0" in look(standing, f"/project/{name}/1.0/").text
    assert look(standing, f"/project/{name}/3.0/").status_code == 404
    for spelled in (name.upper(), f"{name}?page=1"):
        moved = look(standing, f"/project/{spelled}")
        assert moved.headers["location"].startswith(f"/project/{name}/")
    assert look(standing, f"/project/{name.upper()}/").status_code == 301
    for path in (f"/project/{name}/", f"/project/{name}/1.0/", f"/project/{name}/releases"):
        first = look(standing, path)
        again = standing.ask(
            "GET", path, headers={**BROWSER, "If-None-Match": first.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        head = look(standing, path, method="HEAD")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == first.headers["etag"]
        assert first.headers["cache-control"] == "private, no-cache"


def test_long_projects_of_upstreams_are_paged(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """A hundred files and twenty releases at a time, in few bytes; the rest is a click away."""
    for build in range(130):
        wheel = make_wheel(name, "9.0", tag=f"cp3{build}-none-any")
        upstream.has(name, "9.0", made=wheel)
    for version in range(400):
        upstream.has(name, f"1.{version}")
    found = seen(standing, f"/project/{name}/")
    assert (len(found["files"]), found["matching"], found["pages"]) == (100, 130, 2)
    assert len(seen(standing, f"/project/{name}/?page=2")["files"]) == 30
    assert len(seen(standing, f"/project/{name}/?python=cp37")["files"]) == 1
    assert (len(found["history"]), found["releases"]) == (20, 401)
    answer = look(standing, f"/project/{name}/")
    assert int(answer.headers["content-length"]) < 60_000
    assert f'href="/project/{name}/releases"' in answer.text
    rest = seen(standing, f"/project/{name}/releases?page=5")
    assert (len(rest["releases"]), rest["total"]) == (1, 401)
    assert ">1.0<" in look(standing, f"/project/{name}/releases?page=5").text


RULES = {
    "deny": ({"deny": ("demo",)}, "'demo' is denied"),
    "allow": ({"allow": ("other",)}, "it is not on the list of what is allowed"),
    "quarantine": ({"quarantine": ("demo>=1",)}, "'demo>=1' is in quarantine"),
    "only_attested": (
        {"only_attested": ("demo",)},
        "of 'demo' only attested files are handed out",
    ),
    "minimum_age": ({"minimum_age": "3 d"}, "its upstream does not say when it was uploaded"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_holds_all_back_is_named(upstream: Upstream, start: Start, rule: str) -> None:
    """With its reason, and who can lift it; no file is linked, and no command installs it."""
    rules, why = RULES[rule]
    made = upstream.has("demo", "1.0", **{"upload-time": None})
    site = start("cache", rules=rules)
    for path in ("/project/demo/", "/project/demo/1.0/"):
        found = seen(site, path)
        assert found["release"]["held"] == {"rule": rule, "why": why, "until": None}
        assert (found["release"]["withheld"], found["install"]) == (1, [])
        (file,) = found["files"]
        assert (file["url"], file["metadata"], file["held"]["rule"]) == (None, None, rule)
        answer = look(site, path)
        text = shown(answer)
        assert f"Held back by the rule {rule}: {why}" in text
        assert "No file of this release is handed out." in text
        assert "Whoever runs this index can lift a rule." in text
        assert "pip install" not in text
        in_page(made.filename, answer)
    assert site.ask("GET", f"/files/demo/{made.filename}").status_code == 403


def test_only_publishers_is_named(upstream: Upstream, start: Start) -> None:
    """A file that nobody is known to have published."""
    upstream.has("demo", "1.0")
    site = start("cache", rules={"only_publishers": ("demo = github:acme/demo",)})
    held = only(site, "/project/demo/")["held"]
    assert held["rule"] == "only_publishers"
    assert "github:acme/demo" in held["why"]


def test_a_cooldown_says_how_long_it_lasts(upstream: Upstream, start: Start) -> None:
    """As a time that a script can read, as text, and as what is left of it; the older is shown."""
    new = upstream.has("demo", "2.0", listed=soon(days=2, hours=2))
    old = upstream.has("demo", "1.0")
    site = start("cache", rules={"minimum_age": "3 d"})
    found = seen(site, "/project/demo/")
    assert (found["release"]["version"], found["latest"]) == ("1.0", True)
    until = found["history"][0]["held"]["until"]
    told = f"{datetime.fromisoformat(until):%Y-%m-%d %H:%M} UTC"
    assert timedelta(days=2) < datetime.fromisoformat(until) - datetime.now(UTC)
    answer = look(site, "/project/demo/")
    text = shown(answer)
    assert f"Held back by the rule minimum_age until {told} (in 2 days)" in text
    assert f'href="/files/demo/{old.filename}"' in answer.text
    alone = look(site, "/project/demo/2.0/")
    stamp = datetime.fromisoformat(until).isoformat()
    assert "newest that is handed out: 1.0" in shown(alone)
    assert f'<time datetime="{stamp}" title="{told}">{told}</time> (in 2 days)' in alone.text
    in_page(new.filename, alone)
    asked = site.ask("GET", "/project/demo/2.0/", headers={**BROWSER, "Accept-Language": "ja"})
    assert f"ルール minimum_age により保留中、期限: {told} (あと2日)" in shown(asked)


def test_a_file_that_is_held_back_stands_among_the_others(upstream: Upstream, start: Start) -> None:
    """It says why by itself, and the rest of the release can be had."""
    wheel = upstream.has("demo", "1.0")
    sdist = upstream.has("demo", made=make_sdist("demo", "1.0"))
    site = start("cache", rules={"only_wheels": ("demo",)})
    found = seen(site, "/project/demo/")
    assert (found["release"]["held"], found["release"]["withheld"]) == (None, 1)
    assert [one["held"] and one["held"]["rule"] for one in found["files"]] == [None, "only_wheels"]
    answer = look(site, "/project/demo/")
    text = shown(answer)
    assert "1 file of this release is not handed out." in text
    assert "Held back by the rule only_wheels:" in text
    assert f'href="/files/demo/{wheel.filename}"' in answer.text
    in_page(sdist.filename, answer)


def test_several_rules_that_hold_a_release_back_are_all_named(
    upstream: Upstream, start: Start
) -> None:
    """Each at its file, and the release says that nothing of it can be had."""
    upstream.has("demo", "1.0", listed=soon(days=1))
    upstream.has("demo", made=make_sdist("demo", "1.0"))
    site = start("cache", rules={"only_wheels": ("demo",), "minimum_age": "3 d"})
    found = seen(site, "/project/demo/")
    assert (found["release"]["held"], found["release"]["withheld"]) == (None, 2)
    text = shown(look(site, "/project/demo/"))
    assert "No file of this release is handed out." in text
    assert "Held back by the rule only_wheels:" in text
    assert "Held back by the rule minimum_age until" in text


@pytest.mark.parametrize("status", ["archived", "deprecated", "quarantined"])
def test_what_an_upstream_says_of_a_project_is_told(
    upstream: Upstream, standing: Site, name: str, status: str
) -> None:
    """With its reason; what it has in quarantine shows no file."""
    made = upstream.has(name, "1.0")
    upstream.fault = _saying(f'"project-status": {{"status": "{status}", "reason": "old"}}')
    found = seen(standing, f"/project/{name}/")
    assert (found["status"], found["status_reason"]) == (status, "old")
    answer = look(standing, f"/project/{name}/")
    told = {"archived": "archived", "deprecated": "deprecated", "quarantined": "in quarantine"}
    assert f"Upstream upstream says: This project is {told[status]}" in shown(answer)
    assert (made.filename in answer.text) == (status != "quarantined")


def _saying(more: str) -> Any:
    def fault(asked: Asked, sent: Sent) -> Sent:
        body = sent.body.replace(b'{"meta"', f'{{{more}, "meta"'.encode(), 1)
        return Sent(sent.status, body, dict(sent.headers))

    return fault


def test_files_of_several_upstreams_say_whose_they_are(upstream: Upstream, start: Start) -> None:
    """And the project names all of them."""
    upstream.has("demo", "1.0")
    both = tuple(UpstreamOptions(name=one, url=upstream.simple) for one in ("near", "far"))
    site = start("none", upstream="", upstreams=both, rules={"merged": ("demo",)})
    found = seen(site, "/project/demo/")
    assert (found["origin"], found["files"][0]["upstream"]) == ("near, far", "near")
    assert "from upstream near, far" in shown(look(site, "/project/demo/"))


def test_what_an_upstream_sends_is_text(upstream: Upstream, standing: Site, name: str) -> None:
    """Nothing of it becomes HTML, a script or a link to run, and none of it fills the page."""
    upstream.has(name, "1.0", yanked=EVIL * 1000, provenance="javascript:alert(1)", **EVIL_REQUIRES)
    upstream.fault = _saying(
        f'"project-status": {{"status": "archived", "reason": "{EVIL * 1000}"}}'
    )
    answer = look(standing, f"/project/{name}/")
    assert EVIL not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "javascript:" not in answer.text
    assert len(answer.content) < 30_000
    assert only(standing, f"/project/{name}/")["provenance"] is None
    for path in (f"/project/{EVIL}/", f"/project/{name}/{EVIL}/", f"/project/{name}/releases"):
        assert EVIL not in look(standing, path).text


def test_whoever_may_not_read_asks_nothing_of_an_upstream(upstream: Upstream, start: Start) -> None:
    """Browsers go to log in, tools get 401, others 403, as for names of ours and of nobody."""
    upstream.has("demo", "1.0")
    readers = frozenset({"user:reader"})
    site = start("cache", default_read=readers, default_fetch=readers)
    stranger, reader = site.user("stranger"), site.user("reader")
    for name in ("demo", "nobodys"):
        for end in ("", "1.0/", "releases", "?upstreams=true"):
            path = f"/project/{name}/{end}"
            sent = look(site, path)
            assert sent.status_code == 303
            assert sent.headers["location"].startswith("/login?next=/")
            assert site.ask("GET", path, headers=JSON).status_code == 401
            assert look(site, path, auth=stranger).status_code == 403
    assert upstream.paths() == []
    assert look(site, "/project/demo/", auth=reader).status_code == 200


def test_whoever_may_not_have_files_kept_sees_no_page(upstream: Upstream, start: Start) -> None:
    """As at ``/simple/``: the anonymous log in, others find nothing, and nobody is asked."""
    upstream.has("demo", "1.0")
    site = start("cache", default_fetch=frozenset())
    assert look(site, "/project/demo/").status_code == 303
    stranger = site.user("stranger")
    assert look(site, "/project/demo/", auth=stranger).status_code == 404
    assert site.ask("GET", "/simple/demo/", auth=stranger).status_code == 404
    assert upstream.paths() == []


def test_names_of_ours_are_not_asked_of_an_upstream(upstream: Upstream, start: Start) -> None:
    """Reserved ones, and uploaded ones, also when they are deleted; a page of ours says no word."""
    for name in ("acme-tool", "ours"):
        upstream.has(name, "9.0")
    site = start("cache", rules={"reserved": ("acme-*",)})
    site.publish("ours")
    ends = ("", "9.0/", "releases", "?upstreams=true", "9.0/?upstreams=true")
    for end in ends:
        assert look(site, f"/project/acme-tool/{end}", auth=ADMIN).status_code == 404
        answer = look(site, f"/project/ours/{end}")
        assert answer.status_code == (200 if end in ("", "releases") else 404)
        assert "ours-9.0" not in answer.text
    found = seen(site, "/project/ours/")
    assert (found["origin"], found["beside"]) == ("upload", None)
    assert site.ask("DELETE", "/api/v1/projects/ours", auth=ADMIN).status_code < 300
    for end in ends:
        assert look(site, f"/project/ours/{end}", auth=ADMIN).status_code == 404
    assert upstream.paths() == []


def test_a_shared_project_shows_both(upstream: Upstream, start: Start) -> None:
    """Ours at its page, which asks nobody and links to theirs; a file that ours shadows is none."""
    theirs = upstream.has("acme-tool", "9.0")
    upstream.has("acme-tool", "1.0", made=make_wheel("acme-tool", "1.0", summary="a stranger's"))
    site = start("cache", rules={"shared": ("acme-tool", "lonely")})
    site.publish("acme-tool")
    site.publish("lonely")
    found = seen(site, "/project/acme-tool/")
    beside = "/project/acme-tool/?upstreams=true"
    assert (found["origin"], found["latest_version"], found["beside"]) == ("upload", "1.0", beside)
    assert f'href="{beside}"' in look(site, "/project/acme-tool/").text
    assert upstream.paths() == []
    found = seen(site, beside)
    assert [one["filename"] for one in found["files"]] == [theirs.filename]
    assert (found["releases"], found["own"]) == (1, "/project/acme-tool/")
    assert found["release"]["url"] == "/project/acme-tool/9.0/?upstreams=true"
    assert 'href="/project/acme-tool/"' in look(site, beside).text
    assert seen(site, found["release"]["url"])["files"] == found["files"]
    assert seen(site, found["all_releases"])["total"] == 1
    assert site.ask("GET", found["files"][0]["url"]).content == theirs.content
    missing = look(site, "/project/lonely/?upstreams=true")
    assert (missing.status_code, "No files of upstreams" in missing.text) == (404, True)
    upstream.fault = lambda asked, sent: Sent(500)
    assert look(site, "/project/lonely/").status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_project_that_nobody_has_is_no_page(
    upstream: Upstream, standing: Site, method: str
) -> None:
    """404 as ever, for people and for tools."""
    for path in ("/project/nobodys/", "/project/nobodys/1.0/", "/project/nobodys/releases"):
        answer = look(standing, path, method=method)
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert standing.ask(method, path, headers=JSON).status_code == 404


def test_an_upstream_that_fails_is_told(upstream: Upstream, start: Start) -> None:
    """By a page of 503 with the reason: nobody knows whether there is such a project."""
    upstream.fault = lambda asked, sent: Sent(500)
    site = start("cache")
    answer = look(site, "/project/demo/")
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert "Upstream &#39;upstream&#39;" in answer.text
    assert site.ask("GET", "/project/demo/", headers=JSON).status_code == 503


def test_projects_here_that_need_it_are_named(upstream: Upstream, start: Start) -> None:
    """As far as the viewer may read them."""
    upstream.has("demo", "1.0")
    site = start("cache")
    made = make_wheel("needs-it", "1.0", headers=[("Requires-Dist", "demo>=1")])
    site.upload(made, "needs-it", auth=ADMIN).raise_for_status()
    while seen(site, "/search?origin=upload")["missing"]:
        time.sleep(0.05)
    assert seen(site, "/project/demo/")["needing"] == ["needs-it"]
    assert 'href="/project/needs-it/"' in look(site, "/project/demo/").text
