"""``/simple/`` over HTTP: URLs, negotiation, caching, rights."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.utils import NormalizedName

from app.models import Permission, Status
from tests.factories import make_sdist, make_wheel
from tests.routes.stage import ADA, PASSWORD, Stage, opened

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
TEXT = "text/html; charset=utf-8"
DEMO = NormalizedName("demo")
METHODS = pytest.mark.parametrize("method", ["GET", "HEAD"])


async def get(stage: Stage, path: str, accept: str | None = JSON, **headers: str) -> httpx.Response:
    """An anonymous answer."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if accept is not None:
        sent["Accept"] = accept
    async with stage.client() as client:
        return await client.get(path, headers=sent)


@pytest.fixture
async def demo(stage: Stage) -> Stage:
    """The index with two releases of one project."""
    await stage.publish(make_wheel("demo", "1.0"))
    await stage.publish(make_wheel("demo", "1.1"))
    return stage


class TestUrls:
    """Names, slashes, redirects."""

    @METHODS
    @pytest.mark.parametrize("path", ["/simple/", "/simple/demo/"])
    async def test_url_1_what_exists_is_200(self, demo: Stage, method: str, path: str) -> None:
        """Root and project answer."""
        async with demo.client() as client:
            assert (await client.request(method, path)).status_code == 200

    @METHODS
    @pytest.mark.parametrize(
        ("path", "location"),
        [
            ("/simple/demo", "/simple/demo/"),
            ("/simple", "/simple/"),
            ("/simple/De.mo", "/simple/de-mo/"),
        ],
    )
    async def test_url_2_the_slash_is_added(
        self, demo: Stage, method: str, path: str, location: str
    ) -> None:
        """Without its slash, a page is redirected, never answered."""
        async with demo.client() as client:
            response = await client.request(method, path)
        assert (response.status_code, response.headers["location"]) == (301, location)

    @pytest.mark.parametrize("spelling", ["Demo", "DEMO"])
    async def test_url_3_other_spellings_are_redirected(self, demo: Stage, spelling: str) -> None:
        """There is no second copy of a page."""
        response = await get(demo, f"/simple/{spelling}/")
        assert (response.status_code, response.headers["location"]) == (301, "/simple/demo/")

    async def test_url_4_redirects_keep_the_query_and_name_no_host(self, demo: Stage) -> None:
        """The location is a path, whatever Host says."""
        response = await get(
            demo,
            "/simple/Demo?format=application/vnd.pypi.simple.v1%2Bjson&x=ü",
            Host="evil.example",
        )
        assert response.headers["location"] == (
            "/simple/demo/?format=application/vnd.pypi.simple.v1%2Bjson&x=%C3%BC"
        )

    @pytest.fixture(params=["root_path", "public_url"])
    async def below(self, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
        """An index below ``/packages``, by either setting."""
        values = {"root_path": "/packages", "public_url": "https://index.example/packages"}
        settings: dict[str, Any] = {request.param: values[request.param]}
        async with opened(tmp_path, "everyone", **settings) as stage:
            yield stage

    async def test_url_4_redirects_stay_below_the_root_path(self, below: Stage) -> None:
        """An index below a path redirects below it."""
        response = await get(below, "/simple/Demo")
        assert response.headers["location"] == "/packages/simple/demo/"

    async def test_url_5_an_unknown_project_is_404(self, demo: Stage) -> None:
        """It is not there, and that is not to be kept in a cache."""
        response = await get(demo, "/simple/unknown/")
        assert response.status_code == 404
        assert response.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize("path", ["/simple/", "/simple/demo/", "/legacy/+simple/demo/"])
    @pytest.mark.parametrize("coding", ["identity", "gzip"])
    async def test_url_6_head_is_get_without_body(
        self, demo: Stage, path: str, coding: str
    ) -> None:
        """Every header is the same, the length included."""
        headers = {"Accept-Encoding": coding}
        async with demo.client() as client:
            whole = await client.get(path, headers=headers)
            head = await client.head(path, headers=headers)
        assert head.status_code == 200
        assert head.content == b""
        assert dict(head.headers) == dict(whole.headers)
        assert "content-length" in head.headers

    @pytest.mark.parametrize(
        "name",
        ["-demo", "demo-", "de%20mo", "d%C3%A9mo", "..", "%2e%2e", "a%00b", "a%2Fb", "x" * 201,
         "de%0Amo", "%E2%84%AAelvin", "a;b", "%FF"],
    )  # fmt: skip
    async def test_url_7_names_that_are_none(self, demo: Stage, name: str) -> None:
        """They are 404 with and without the slash, never a redirect or an error of ours."""
        for path in (f"/simple/{name}/", f"/simple/{name}"):
            assert (await get(demo, path)).status_code in (400, 404) or name in ("..", "%2e%2e")

    async def test_url_8_the_root_without_slash_ends_in_json(self, demo: Stage) -> None:
        """After the redirect a mirror has the root it asked for."""
        async with demo.client(follow_redirects=True) as client:
            response = await client.get("/simple", headers={"Accept": JSON})
        assert response.headers["content-type"] == JSON
        assert [entry["name"] for entry in response.json()["projects"]] == ["demo"]

    async def test_url_9_to_13_links_lead_to_the_files(self, stage: Stage) -> None:
        """A link, resolved against the page, is the file; epoch and local version survive."""
        made = make_wheel("demo", "1!1.0+local.1")
        await stage.publish(made)
        page = await get(stage, "/simple/demo/")
        url = httpx.URL(str(page.url)).join(page.json()["files"][0]["url"])
        assert url.host == page.url.host
        async with stage.client() as client:
            assert (await client.get(url)).content == made.content


class TestNegotiation:
    """Which form a page comes in."""

    @pytest.mark.parametrize(
        ("accept", "expected"),
        [
            (None, TEXT),
            ("*/*", TEXT),
            (JSON, JSON),
            (HTML, HTML),
            ("text/html", TEXT),
            ("application/vnd.pypi.simple.latest+json", JSON),
            ("application/vnd.pypi.simple.latest+html", HTML),
            (f"{JSON}, */*;q=0.1", JSON),
        ],
    )
    @pytest.mark.parametrize("path", ["/simple/", "/simple/demo/"])
    async def test_neg_1_to_6_the_type_is_the_one_asked_for(
        self, demo: Stage, path: str, accept: str | None, expected: str
    ) -> None:
        """The type of the answer is one of the three, spelled exactly."""
        response = await get(demo, path, accept)
        assert response.status_code == 200
        assert response.headers["content-type"] == expected
        if expected == JSON:
            assert response.json()["meta"]["api-version"] == "1.4"
        else:
            assert response.content.startswith(b"<!DOCTYPE html>")

    async def test_neg_1_several_headers_are_one_list(self, demo: Stage) -> None:
        """Accept may be sent in parts."""
        async with demo.client() as client:
            response = await client.get(
                "/simple/demo/", headers=[("Accept", "text/html;q=0.1"), ("Accept", JSON)]
            )
        assert response.headers["content-type"] == JSON

    @pytest.mark.parametrize(
        "accept", ["application/json", "application/vnd.pypi.simple.v2+json", "image/png"]
    )
    @pytest.mark.parametrize("path", ["/simple/", "/simple/demo/"])
    async def test_neg_7_nothing_acceptable_is_406(
        self, demo: Stage, path: str, accept: str
    ) -> None:
        """The answer says what there is."""
        response = await get(demo, path, accept)
        assert response.status_code == 406
        assert JSON in response.json()["message"]
        assert "Accept" in response.headers["vary"]
        assert response.headers["cache-control"] == "no-store"

    @pytest.mark.parametrize(
        ("query", "status", "expected"),
        [
            (JSON, 200, JSON),
            (JSON.replace("+", "%2B"), 200, JSON),
            ("text/html", 200, TEXT),
            ("application/json", 406, "application/json"),
        ],
    )
    async def test_neg_8_format_beats_accept(
        self, demo: Stage, query: str, status: int, expected: str
    ) -> None:
        """The query decides, the plus escaped or not."""
        response = await get(demo, f"/simple/demo/?format={query}", HTML)
        assert (response.status_code, response.headers["content-type"]) == (status, expected)

    async def test_neg_9_vary(self, demo: Stage) -> None:
        """200 and 304 both say what they depend on; never on everything."""
        first = await get(demo, "/simple/demo/")
        again = await get(demo, "/simple/demo/", If_None_Match=first.headers["etag"])
        assert again.status_code == 304
        assert first.headers["vary"] == again.headers["vary"] == "Accept, Accept-Encoding"

    async def test_neg_10_pages_are_packed(self, demo: Stage) -> None:
        """gzip for whoever takes it; the bytes within are the plain ones."""
        plain = await get(demo, "/simple/demo/")
        headers = {"Accept": JSON, "Accept-Encoding": "gzip"}
        async with (
            demo.client() as client,
            client.stream("GET", "/simple/demo/", headers=headers) as response,
        ):
            raw = b"".join([chunk async for chunk in response.aiter_raw()])
        assert response.headers["content-encoding"] == "gzip"
        assert gzip.decompress(raw) == plain.content
        assert "content-encoding" not in plain.headers


class TestCaching:
    """Entity tags and freshness."""

    async def test_cch_1_a_tag_for_each_representation(self, demo: Stage) -> None:
        """Forms and codings have different, strong tags."""
        tags = [
            (await get(demo, "/simple/demo/", accept, Accept_Encoding=coding)).headers["etag"]
            for accept in (JSON, HTML, "text/html")
            for coding in ("identity", "gzip")
        ]
        assert len(set(tags)) == len(tags)
        assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)

    @METHODS
    @pytest.mark.parametrize("path", ["/simple/", "/simple/demo/"])
    @pytest.mark.parametrize("given", ["{}", "W/{}", '"other", {}', '"a,b",W/{} ', "*"])
    async def test_cch_2_304(self, demo: Stage, method: str, path: str, given: str) -> None:
        """Whoever has the page gets 304 with the same tag, freshness and Vary, and no body."""
        first = await get(demo, path)
        headers = {"Accept": JSON, "If-None-Match": given.format(first.headers["etag"])}
        async with demo.client() as client:
            again = await client.request(method, path, headers=headers)
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control", "vary", "x-pypi-last-serial"):
            assert again.headers[name] == first.headers[name]

    async def test_cch_2_another_tag_is_200(self, demo: Stage) -> None:
        """The tag of another representation is no match."""
        html = await get(demo, "/simple/demo/", HTML)
        json = await get(demo, "/simple/demo/", JSON, If_None_Match=html.headers["etag"])
        assert json.status_code == 200

    async def test_cch_3_a_release_is_seen_at_once(self, demo: Stage) -> None:
        """Pages are stored, and always revalidated."""
        response = await get(demo, "/simple/demo/")
        assert response.headers["cache-control"] == "max-age=0, must-revalidate"
        await demo.publish(make_wheel("demo", "2.0"))
        again = await get(demo, "/simple/demo/", If_None_Match=response.headers["etag"])
        assert "2.0" in again.json()["versions"]

    async def test_cch_5_what_needs_credentials_is_private(self, private: Stage) -> None:
        """Such pages are for their reader's cache alone; refusals are for none."""
        await private.publish(make_wheel("demo", "1.0"))
        async with private.client(*await private.user("ada")) as client:
            for path in ("/simple/", "/simple/demo/"):
                response = await client.get(path)
                assert response.headers["cache-control"] == "private, max-age=0, must-revalidate"
                assert "Authorization" in response.headers["vary"]
        assert (await get(private, "/simple/demo/")).headers["cache-control"] == "no-store"

    async def test_cch_5_an_open_project_is_the_same_for_all(self, demo: Stage) -> None:
        """Whoever sends credentials for an open project gets what everyone gets."""
        async with demo.client(*await demo.user("ada")) as client:
            known = await client.get("/simple/demo/", headers={"Accept": JSON})
        nobody = await get(demo, "/simple/demo/")
        assert dict(known.headers) == dict(nobody.headers)

    async def test_cch_6_no_last_modified(self, demo: Stage) -> None:
        """Nothing invites a client to guess how long a page is fresh."""
        assert "last-modified" not in (await get(demo, "/simple/demo/")).headers

    async def test_cch_7_every_change_changes_the_tag(self, demo: Stage) -> None:
        """Upload, yank, its end, status and delete all do."""
        tags = [(await get(demo, "/simple/demo/")).headers["etag"]]

        async def changed() -> None:
            tags.append((await get(demo, "/simple/demo/")).headers["etag"])

        file = await demo.publish(make_sdist("demo", "3.0"))
        await changed()
        (file,) = await demo.index.yank([file], "broken", ADA)
        await changed()
        (file,) = await demo.index.unyank([file], ADA)
        await changed()
        await demo.index.set_status(DEMO, Status.ARCHIVED, "moved", ADA)
        await changed()
        await demo.index.delete(file, ADA)
        await changed()
        assert len(set(tags)) == len(tags)

    async def test_ynk_2_a_yank_shows_at_once(self, demo: Stage) -> None:
        """Yanked, not yanked, yanked again: each next read says so."""
        file = await demo.publish(make_sdist("demo", "3.0"))
        for reason, shown in (("bad", "bad"), (None, None), ("", True)):
            if reason is None:
                (file,) = await demo.index.unyank([file], ADA)
            else:
                (file,) = await demo.index.yank([file], reason, ADA)
            page = (await get(demo, "/simple/demo/")).json()
            assert page["files"][-1].get("yanked") == shown

    async def test_ser_1_serials(self, demo: Stage) -> None:
        """Root and project carry their serial in the page and beside it; it grows."""
        before = await get(demo, "/simple/demo/")
        await demo.publish(make_wheel("other", "1.0"))
        root, other = await get(demo, "/simple/"), await get(demo, "/simple/other/")
        serials = {e["name"]: e["_last-serial"] for e in root.json()["projects"]}
        for response, name in ((before, "demo"), (other, "other")):
            assert response.headers["x-pypi-last-serial"] == str(serials[name])
            assert response.json()["meta"]["_last-serial"] == serials[name]
        assert serials["other"] > serials["demo"]
        assert root.headers["x-pypi-last-serial"] == str(root.json()["meta"]["_last-serial"])
        assert root.json()["meta"]["_last-serial"] >= serials["other"]


class TestStatuses:
    """Status markers over HTTP."""

    async def test_sta_2_quarantine_is_an_empty_page(self, demo: Stage) -> None:
        """The page is there, and lists nothing."""
        await demo.index.set_status(DEMO, Status.QUARANTINED, "malware", ADA)
        response = await get(demo, "/simple/demo/")
        assert response.status_code == 200
        assert response.json()["files"] == []
        assert response.json()["project-status"] == {"status": "quarantined", "reason": "malware"}

    async def test_sta_1_an_archived_project_lists_its_files(self, demo: Stage) -> None:
        """Everything can still be installed."""
        await demo.index.set_status(DEMO, Status.ARCHIVED, None, ADA)
        assert len((await get(demo, "/simple/demo/")).json()["files"]) == 2


class TestRights:
    """Who sees what."""

    async def test_aut_3_anonymous_is_asked_for_credentials(self, private: Stage) -> None:
        """401 with a challenge, for what is there and for what is not."""
        await private.publish(make_wheel("demo", "1.0"))
        for path in ("/simple/", "/simple/demo/", "/simple/unknown/"):
            response = await get(private, path)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Basic ")

    async def test_aut_4_a_known_user_without_right_is_403(self, stage: Stage) -> None:
        """Not 404: a client would go on to the next index."""
        await stage.publish(make_wheel("demo", "1.0"))
        await stage.user("ada")
        await stage.grant("demo", "user:ada", Permission.READ)
        async with stage.client(*await stage.user("bob")) as client:
            assert (await client.get("/simple/demo/")).status_code == 403
            assert (await client.get("/simple/unknown/")).status_code == 404
        async with stage.client("ada", PASSWORD) as client:
            assert (await client.get("/simple/demo/")).status_code == 200
        assert (await get(stage, "/simple/demo/")).status_code == 401

    async def test_aut_5_a_wrong_password_is_401(self, demo: Stage) -> None:
        """Even where everyone may read: whoever sends credentials wants to be known."""
        await demo.user("ada")
        async with demo.client("ada", "wrong") as client:
            assert (await client.get("/simple/demo/")).status_code == 401

    async def test_aut_6_the_root_lists_what_the_caller_may_read(self, stage: Stage) -> None:
        """Each sees their own list, and no cache may mix them up."""
        for name in ("open", "hers", "his"):
            await stage.publish(make_wheel(name, "1.0"))
        ada, bob = await stage.user("ada"), await stage.user("bob")
        admin = await stage.user("root", admin=True)
        await stage.grant("hers", "user:ada", Permission.READ)
        await stage.grant("his", "user:bob", Permission.READ)
        seen = {}
        for login in ((), ada, bob, admin):
            async with stage.client(*login) as client:
                response = await client.get("/simple/", headers={"Accept": JSON})
            assert response.headers["cache-control"].startswith("private")
            assert "Authorization" in response.headers["vary"]
            seen[login[:1]] = [project["name"] for project in response.json()["projects"]]
        assert seen == {
            (): ["open"],
            ("ada",): ["hers", "open"],
            ("bob",): ["his", "open"],
            ("root",): ["hers", "his", "open"],
        }

    async def test_aut_6_anonymous_sees_what_was_opened_to_everyone(self, private: Stage) -> None:
        """One open project in a private index is listed without credentials, and public."""
        await private.publish(make_wheel("open", "1.0"))
        await private.publish(make_wheel("closed", "1.0"))
        await private.grant("open", "everyone", Permission.READ)
        root = await get(private, "/simple/")
        assert [project["name"] for project in root.json()["projects"]] == ["open"]
        page = await get(private, "/simple/open/")
        assert "private" not in page.headers["cache-control"]

    async def test_grants_of_a_former_project_are_not_those_of_its_name(
        self, private: Stage
    ) -> None:
        """A name that was deleted and taken again is listed by the defaults."""
        await private.publish(make_wheel("demo", "1.0"))
        await private.user("ada")
        await private.grant("demo", "user:ada", Permission.READ)
        await private.index.delete_project(DEMO, ADA)
        await private.publish(make_wheel("demo", "2.0"))
        async with private.client(*await private.user("bob")) as client:
            root = await client.get("/simple/", headers={"Accept": JSON})
            assert [project["name"] for project in root.json()["projects"]] == ["demo"]
            assert (await client.get("/simple/demo/")).status_code == 200

    async def test_a_deleted_project_is_404(self, demo: Stage) -> None:
        """It is neither listed nor answered."""
        await demo.index.delete_project(DEMO, ADA)
        assert (await get(demo, "/simple/demo/")).status_code == 404
        assert (await get(demo, "/simple/")).json()["projects"] == []

    async def test_an_index_that_was_never_built_is_503(self, demo: Stage) -> None:
        """Absence proves nothing then, so nothing is denied."""
        await demo.cache.clear()
        for path in ("/simple/", "/simple/demo/"):
            response = await get(demo, path)
            assert response.status_code == 503
            assert response.headers["retry-after"].isdecimal()


class TestHatch:
    """The page below the upload URL."""

    async def test_upl_21_the_page_is_there(self, demo: Stage) -> None:
        """hatch finds the names of the files as anchors; the links lead to the files."""
        response = await get(demo, "/legacy/%2Bsimple/demo/", None)
        assert response.headers["content-type"] == TEXT
        assert ">demo-1.0-py3-none-any.whl</a>" in response.text
        assert 'href="../../../files/demo/demo-1.0-py3-none-any.whl#' in response.text

    async def test_upl_21_unknown_is_404(self, demo: Stage) -> None:
        """Then hatch uploads everything."""
        assert (await get(demo, "/legacy/%2Bsimple/unknown/")).status_code == 404

    async def test_upl_21_spellings(self, demo: Stage) -> None:
        """The slash and the normalised name are redirected to."""
        for path in ("/legacy/+simple/demo", "/legacy/%2Bsimple/Demo/"):
            response = await get(demo, path)
            assert response.status_code == 301
            assert response.headers["location"] == "/legacy/+simple/demo/"

    async def test_upl_21_needs_the_right_to_read(self, private: Stage) -> None:
        """It is no way around the rights."""
        await private.publish(make_wheel("demo", "1.0"))
        assert (await get(private, "/legacy/%2Bsimple/demo/")).status_code == 401
