"""Pages of projects that an upstream has."""

from __future__ import annotations

import gzip
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import ADMIN
from tests.factories import make_wheel
from tests.routes.site import Site
from tests.servers import upstream as upstreams
from tests.servers.upstream import Asked, Sent, Upstream, core_metadata
from tests.upstream.conftest import Start
from tests.upstream.sites import AGAIN, ask_alone, fetched, listed

HOSTILE: list[dict[str, Any]] = [
    {"url": "https://elsewhere.example/files/FILE"},
    {"url": "http://169.254.169.254/FILE"},
    {"url": "javascript:alert(1)"},
    {"filename": "other-2.0-py3-none-any.whl", "url": "/f/other-2.0-py3-none-any.whl"},
    {"filename": "../evil-2.0.tar.gz"},
    {"hashes": {"sha256": "zz"}},
    {"hashes": 5},
    {"size": -1},
    {"upload-time": "yesterday"},
    {"upload-time": "0001-01-01T00:00:00+14:00"},
]


@pytest.mark.parametrize("policy", ["redirect", "cache", "mirror"])
def test_a_project_of_an_upstream_is_listed_with_links_to_us(
    upstream: Upstream, start: Start, policy: str
) -> None:
    """Its hash stays, and its bytes come by our URL; whether its page is JSON or HTML."""
    site = start(policy)
    for name, html in (("demo", False), ("other", True)):
        upstream.html = html
        made = upstream.has(name)
        (file,) = listed(site, name).values()
        assert file["hashes"] == {"sha256": made.sha256}
        assert file["url"] == f"../../files/{name}/{made.filename}"
        answer = site.ask("GET", f"/files/{name}/{made.filename}")
        if policy == "redirect":
            assert answer.status_code == 302
            assert answer.headers["location"] == f"{upstream.url}/files/{name}/{made.filename}"
        else:
            assert (answer.status_code, answer.content) == (200, made.content)


def test_what_an_upstream_says_of_a_file_is_passed_on(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """Size, time, Python versions, yank with its reason, provenance, core metadata."""
    upstream.metadata = True
    said: dict[str, Any] = {
        "requires-python": ">=3.9",
        "yanked": "broken <b>",
        "provenance": "https://upstream.example/integrity/demo/provenance",
    }
    made = upstream.has(name, **said)
    (file,) = listed(standing, name).values()
    assert {key: file[key] for key in said} == said
    assert (file["size"], file["upload-time"]) == (
        len(made.content), "2024-01-01T00:00:00.000000Z",
    )  # fmt: skip
    assert set(file["core-metadata"]) == {"sha256"}


def test_a_wheel_without_core_metadata_is_offered_with_it(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """We can make it; its hash is not known before."""
    upstream.has(name)
    (file,) = listed(standing, name).values()
    assert file["core-metadata"] is True


def test_html_pages_of_upstream_projects_are_like_ours(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """A client that takes HTML gets anchors with hashes."""
    made = upstream.has(name)
    answer = standing.ask("GET", f"/simple/{name}/", headers={"Accept": "text/html"})
    assert f'href="../../files/{name}/{made.filename}#sha256={made.sha256}"' in answer.text
    assert answer.headers["content-type"].startswith("text/html")


def test_a_hostile_entry_is_left_out_and_the_rest_served(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """One bad line does not take a project away."""
    for number, entry in enumerate(HOSTILE):
        project = f"{name}-{number}"
        made = upstream.has(project)
        bad = make_wheel(project, "2.0")
        upstream.has(project, made=bad, **{k: _named(v, bad.filename) for k, v in entry.items()})
        assert set(listed(standing, project)) == {made.filename}, entry


def _named(value: Any, filename: str) -> Any:
    return value.replace("FILE", filename) if isinstance(value, str) else value


def test_links_are_read_against_base(upstream: Upstream, standing: Site, name: str) -> None:
    """``<base href>`` moves them, as for clients."""
    made = upstream.has(name)

    def moved(asked: Asked, sent: Sent) -> Sent:
        if "/simple/" in asked.path:
            sent.body = (
                f'<base href="/files/{name}/"><a href="{made.filename}#sha256={made.sha256}">x</a>'
            ).encode()
            sent.headers["Content-Type"] = "text/html"
        return sent

    upstream.fault = moved
    assert set(listed(standing, name)) == {made.filename}
    fetched(standing, name, made)


def test_a_project_that_no_upstream_has_is_not_found(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """404, and the upstream is not asked again at once."""
    for _ in range(3):
        assert standing.ask("GET", f"/simple/{name}/").status_code == 404
    assert upstream.paths() == [f"/simple/{name}/"]


def test_many_who_ask_at_once_for_a_cold_page_cost_one_question(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """32 readers, one request."""
    upstream.has(name)

    def slow(asked: Asked, sent: Sent) -> Sent:
        sent.after = 0.3
        return sent

    upstream.fault = slow

    def ask(_: int) -> int:
        return ask_alone(f"{standing.url}/simple/{name}/").status_code

    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(ask, range(32))) == {200}
    assert upstream.paths() == [f"/simple/{name}/"]


def test_a_page_is_revalidated_with_its_etag(upstream: Upstream, standing: Site, name: str) -> None:
    """``max-age`` is heeded, and 304 is enough."""
    upstream.has(name)
    upstream.headers = {"ETag": '"one"', "Cache-Control": "max-age=0"}

    def unchanged(asked: Asked, sent: Sent) -> Sent:
        return Sent(304) if asked.headers.get("if-none-match") == '"one"' else sent

    upstream.fault = unchanged
    for _ in range(3):
        assert len(listed(standing, name)) == 1
        time.sleep(AGAIN)
    assert len(upstream.asked) >= 2
    assert [one.headers.get("if-none-match") for one in upstream.asked[1:]] == [
        '"one"' for _ in upstream.asked[1:]
    ]


def test_a_packed_page_is_unpacked(upstream: Upstream, standing: Site, name: str) -> None:
    """Upstreams may send gzip."""
    upstream.packed = True
    upstream.has(name)
    assert len(listed(standing, name)) == 1


def test_a_page_that_unpacks_without_end_is_no_page(upstream: Upstream, start: Start) -> None:
    """Neither memory nor time is spent on it, and the known one is served on."""
    made = upstream.has("demo")
    one = {"name": "inner", "url": upstream.simple, "largest_page": "1 MiB"}
    site = start("none", upstream="", upstreams=(one,))
    upstream.headers = {"Cache-Control": "max-age=0"}
    assert set(listed(site, "demo")) == {made.filename}
    bombs = [gzip.compress(b" " * 64 * 2**20), b" " * 2 * 2**20, gzip.compress(b"{}")[:-6], b"\x1f"]
    for number, bomb in enumerate(bombs):
        packed = {} if bomb.isspace() else {"Content-Encoding": "gzip"}
        kind = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
        upstream.fault = lambda asked, sent, bomb=bomb, head=kind | packed: Sent(200, bomb, head)
        assert site.ask("GET", f"/simple/bomb{number}/").status_code == 503
        time.sleep(AGAIN)
        assert set(listed(site, "demo")) == {made.filename}


def test_a_wheel_whose_metadata_unpacks_without_end_has_none(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """503 for ``.metadata``; the wheel itself is handed out as it is."""
    bomb = b"Name: x\n" + b" " * 64 * 2**20
    made = upstream.has(name, made=make_wheel(name, "1.0", core=bomb))
    assert standing.ask("GET", f"/files/{name}/{made.filename}.metadata").status_code == 503
    fetched(standing, name, made)


def test_credentials_go_to_the_upstream_and_ours_do_not(upstream: Upstream, start: Start) -> None:
    """What clients send us stays here; the upstream gets its own."""
    upstream.credentials = "Bearer s3cret"
    made = upstream.has("demo")
    one = {"name": "inner", "url": upstream.simple, "token": "s3cret"}
    site = start("none", upstream="", upstreams=(one,))
    assert set(listed(site, "demo", ("admin", "correct horse battery"))) == {made.filename}
    fetched(site, "demo", made)
    assert {one.headers["authorization"] for one in upstream.asked} == {"Bearer s3cret"}


def test_the_first_upstream_that_has_a_project_answers_for_it(
    upstream: Upstream, start: Start
) -> None:
    """The next one is asked for what the first does not have, and for what it may not serve."""
    with upstreams.running() as second:
        first_demo = upstream.has("demo")
        second.has("demo", "9.0")
        other = second.has("other")
        hidden = second.has("hidden")
        upstream.has("hidden", "9.0")
        site = start(
            "none",
            upstream="",
            upstreams=(
                {"name": "first", "url": upstream.simple, "deny": ("hidden",)},
                {"name": "second", "url": second.simple},
            ),
        )
        assert set(listed(site, "demo")) == {first_demo.filename}
        assert set(listed(site, "other")) == {other.filename}
        assert set(listed(site, "hidden")) == {hidden.filename}
        assert upstream.paths("hidden") == []
        assert second.paths("demo") == []


def test_an_upstream_that_fails_is_not_passed_over(upstream: Upstream, start: Start) -> None:
    """Who could make the first one fail would choose whose files are installed."""
    with upstreams.running() as second:
        second.has("demo")
        upstream.fault = lambda asked, sent: Sent(503)
        ordered = (
            {"name": "first", "url": upstream.simple},
            {"name": "second", "url": second.simple},
        )
        site = start("none", upstream="", upstreams=ordered)
        assert site.ask("GET", "/simple/demo/").status_code == 503
        assert second.paths() == []


def test_files_of_all_upstreams_are_merged_where_that_is_asked_for_by_name(
    upstream: Upstream, start: Start
) -> None:
    """Of two files of one name the first upstream's; one that fails fails the page."""
    with upstreams.running() as second:
        mine = upstream.has("demo")
        second.has("demo", made=make_wheel("demo", "1.0", summary="another"))
        more = second.has("demo", "2.0")
        alone, _ = upstream.has("other"), second.has("other", "2.0")
        ordered = (
            {"name": "first", "url": upstream.simple},
            {"name": "second", "url": second.simple, "policy": "redirect"},
        )
        site = start("none", upstream="", upstreams=ordered, rules={"merged": "de*"})
        found = listed(site, "demo")
        assert {name: file["hashes"]["sha256"] for name, file in found.items()} == {
            mine.filename: mine.sha256,
            more.filename: more.sha256,
        }
        fetched(site, "demo", mine)
        there = site.ask("GET", f"/files/demo/{more.filename}")
        assert (there.status_code, there.headers["location"]) == (
            302, f"{second.url}/files/demo/{more.filename}",
        )  # fmt: skip
        assert set(listed(site, "other")) == {alone.filename}
        second.fault = lambda asked, sent: Sent(503)
        assert site.ask("GET", "/simple/demon/").status_code == 503


def test_urls_may_end_in_the_path_that_the_upstream_has(upstream: Upstream, start: Start) -> None:
    """By a setting, so that clients can map them back; bytes and core metadata come there too."""
    site = start(upstream_paths=True)
    made = upstream.has("demo")
    (file,) = listed(site, "demo").values()
    assert file["url"] == f"../../files/demo/at/upstream/files/demo/{made.filename}"
    path = file["url"].removeprefix("../..")
    assert site.ask("GET", path).content == made.content
    assert site.ask("GET", f"{path}.metadata").content == core_metadata(made)
    assert site.ask("GET", f"/files/demo/at/upstream/elsewhere/{made.filename}").is_success
    for wrong in ("/files/demo/at/upstream/", "/files/demo/at/upstream/files/demo/demo-3.0.tar.gz"):
        assert site.ask("GET", wrong).status_code == 404
    upstream.has("mine")
    site.publish("mine")
    assert site.ask("GET", "/files/mine/at/upstream/x/mine-9.0.tar.gz").status_code == 404


def test_paths_that_nobody_may_ask_us_for_are_not_written(upstream: Upstream, start: Start) -> None:
    """Whatever path a file has there, the URL on our page is good."""
    site = start(upstream_paths=True)
    held: dict[str, bytes] = {}
    upstream.fault = lambda asked, sent: Sent(body=held[asked.path]) if asked.path in held else sent
    folders = {
        "a/b.c_d~e/1.0+x": True, "a%20b/%7Ec": True, "a,b=c:d@e": True, "x/%2B%40%3Av": True,
        "a%2Fb": False, "a%5Cb": False, "a\\b": False, "a;b": False, "a%3Bb": False,
        "a//b": False, "%2Ea": False, "a%00b": False, "a%zz": False, "a%C3%A9": False,
        "a\"<b>": False, "x" * 5000: False,
    }  # fmt: skip
    for number, (folder, written) in enumerate(folders.items()):
        name = f"demo{number}"
        made = make_wheel(name, "1.0")
        held[f"/{folder}/{made.filename}"] = made.content
        upstream.has(name, made=made, url=f"/{folder}/{made.filename}")
        (file,) = listed(site, name).values()
        path = file["url"].removeprefix("../..")
        assert ("/at/" in path) is written, folder
        answer = site.ask("GET", path)
        assert (answer.status_code, answer.content) == (200, made.content), folder
        assert site.ask("GET", f"{path}.metadata").status_code == 200, folder


def test_the_json_api_describes_projects_of_upstreams(
    upstream: Upstream, standing: Site, name: str
) -> None:
    """With what its page and the core metadata say, and nulls for what nobody said."""
    unsaid: dict[str, Any] = {"upload-time": None, "size": None, "hashes": {}}
    upstream.has(name, "0.9", **unsaid)
    made = upstream.has(name, "1.0", yanked=False)
    page = standing.ask("GET", f"/pypi/{name}/json").json()
    assert (page["info"]["version"], page["info"]["summary"]) == ("1.0", "A project made for tests")
    assert list(page["releases"]) == ["0.9", "1.0"]
    (url,) = page["urls"]
    assert (url["digests"]["sha256"], url["digests"]["md5"]) == (made.sha256, None)
    assert (url["size"], url["core-metadata"]) == (len(made.content), True)
    assert standing.ask("GET", url["url"].removeprefix(standing.url)).content == made.content
    (old,) = standing.ask("GET", f"/pypi/{name}/0.9/json").json()["urls"]
    assert {old["size"], old["upload_time_iso_8601"], old["digests"]["sha256"]} == {None}
    assert standing.ask("GET", f"/pypi/{name}/7.0/json").status_code == 404
    assert standing.ask("GET", f"/pypi/{name}-none/json").status_code == 404


def test_the_api_says_where_a_file_comes_from(upstream: Upstream, start: Start) -> None:
    """Ours from here, an upstream's from there, also where both stand on one page."""
    upstream.has("demo", "9.0")
    site = start(rules={"shared": "demo"})
    site.publish("demo")
    detail = site.ask("GET", "/api/v1/projects/demo").json()
    assert {file["version"]: file["source"] for file in detail["files"]} == {
        "1.0": "upload",
        "9.0": "upstream:upstream",
    }


def test_upstreams_are_measured(upstream: Upstream, start: Start) -> None:
    """Requests, pages, bytes, the time until answers, and whether one is left alone."""
    site = start()

    def measured(name: str, **labels: str) -> float:
        """The number of a family, with these labels beside the upstream's name."""
        lines = site.ask("GET", "/metrics", auth=ADMIN).text.splitlines()
        more = "".join(f'{label}="{value}",' for label, value in labels.items())
        begin = f'pypicloud_upstream_{name}{{{more}upstream="upstream"}} '
        (line,) = (line for line in lines if line.startswith(begin))
        return float(line.rpartition(" ")[2])

    made = upstream.has("demo")
    for _ in range(2):
        fetched(site, "demo", made)
    assert measured("requests_total", outcome="asked") == 2
    assert measured("pages_total", outcome="miss") == 1
    assert measured("pages_total", outcome="hit") >= 1
    assert measured("files_total", outcome="fetched") == 1
    assert measured("bytes_total") > len(made.content)
    assert measured("seconds_count") == 2
    assert measured("left_alone") == 0
    upstream.fault = lambda asked, sent: Sent(500)
    for number in range(6):
        assert site.ask("GET", f"/simple/unknown{number}/").status_code == 503
    assert measured("requests_total", outcome="failed") == 5
    assert measured("left_alone") == 1


def test_the_api_says_how_upstreams_are_doing(upstream: Upstream, start: Start) -> None:
    """To admins; whole numbers that only grow, and the breaker, which opens and hides nothing."""
    site = start()
    made = upstream.has("demo")
    for _ in range(2):
        fetched(site, "demo", made)
    path = "/api/v1/upstreams"
    assert site.ask("GET", path).status_code == 401
    assert site.ask("GET", path, auth=site.user("somebody")).status_code == 403
    (told,) = site.ask("GET", path, auth=ADMIN).json()["upstreams"]
    counts = told["counts"]
    assert (told["name"], told["policy"], told["breaker"]) == ("upstream", "cache", "closed")
    assert (counts["asked"], counts["miss"], counts["fetched"]) == (2, 1, 1)
    assert counts["bytes"] > len(made.content)
    assert counts["microseconds"] > 0
    upstream.fault = lambda asked, sent: Sent(500)
    for number in range(6):
        assert site.ask("GET", f"/simple/unknown{number}/").status_code == 503
    asked = len(upstream.asked)
    (told,) = site.ask("GET", path, auth=ADMIN).json()["upstreams"]
    assert (told["breaker"], told["counts"]["failed"]) == ("open", 5)
    assert site.ask("GET", "/simple/unknown/").status_code == 503
    assert len(upstream.asked) == asked
    fetched(site, "demo", made)
