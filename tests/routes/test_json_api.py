"""``/pypi/{project}/json`` over HTTP."""

from __future__ import annotations

import httpx
import pytest
from packaging.utils import NormalizedName

from app.models import Status
from tests.factories import make_sdist, make_wheel, metadata
from tests.routes.stage import ADA, Stage

DEMO = NormalizedName("demo")
METHODS = pytest.mark.parametrize("method", ["GET", "HEAD"])
PATHS = pytest.mark.parametrize("path", ["/pypi/demo/json", "/pypi/demo/1.0/json"])


@pytest.fixture
async def demo(stage: Stage) -> Stage:
    """The index with three releases of one project."""
    for version in ("1.0", "2.0", "3.0rc1"):
        described = metadata("demo", version, summary=f"Demo {version}", description="# Demo")
        await stage.publish(make_wheel("demo", version), metadata=described)
    return stage


async def get(stage: Stage, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """An anonymous answer."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with stage.client() as client:
        return await client.request(method, path, headers=sent)


@pytest.mark.parametrize("slash", ["", "/"])
async def test_ljs_1_project_and_release(demo: Stage, slash: str) -> None:
    """The newest final release, and any that is named; with and without a slash."""
    newest = (await get(demo, f"/pypi/demo/json{slash}")).json()
    assert newest["info"]["version"] == "2.0"
    assert newest["info"]["summary"] == "Demo 2.0"
    assert newest["info"]["description"] == "# Demo"
    assert list(newest["releases"]) == ["1.0", "2.0", "3.0rc1"]
    assert [entry["filename"] for entry in newest["urls"]] == ["demo-2.0-py3-none-any.whl"]
    old = (await get(demo, f"/pypi/demo/1.0/json{slash}")).json()
    assert old["info"]["summary"] == "Demo 1.0"
    assert "releases" not in old


@METHODS
@pytest.mark.parametrize(
    ("path", "location"),
    [("/pypi/Demo/json", "/pypi/demo/json"), ("/pypi/Demo/1.0/json/", "/pypi/demo/1.0/json")],
)
async def test_ljs_1_other_spellings_are_redirected(
    demo: Stage, method: str, path: str, location: str
) -> None:
    """Of a project's name, without a host in the location."""
    response = await get(demo, path, method)
    assert (response.status_code, response.headers["location"]) == (301, location)


@pytest.mark.parametrize("version", ["1", "1.0.0", "v1.0", "1.0.0.0"])
async def test_ljs_1_equal_versions_are_found(demo: Stage, version: str) -> None:
    """PEP 440 decides which release is meant."""
    assert (await get(demo, f"/pypi/demo/{version}/json")).json()["info"]["version"] == "1.0"


@pytest.mark.parametrize(
    "path",
    ["/pypi/unknown/json", "/pypi/demo/9.9/json", "/pypi/demo/nonsense/json", "/pypi/-/json",
     "/pypi/unknown/1.0/json", "/pypi/demo/" + "9" * 300 + "/json"],
)  # fmt: skip
async def test_ljs_1_unknown_is_404(demo: Stage, path: str) -> None:
    """No such project, no such release."""
    assert (await get(demo, path)).status_code == 404


async def test_ljs_2_urls_lead_to_the_files(demo: Stage) -> None:
    """The bytes behind a URL are those of the digests beside it."""
    (entry,) = (await get(demo, "/pypi/demo/json")).json()["urls"]
    assert (await get(demo, entry["url"])).headers["etag"] == f'"{entry["digests"]["sha256"]}"'


async def test_ljs_3_a_release_without_metadata(stage: Stage) -> None:
    """An sdist's own metadata describes it, also where it is not offered to installers."""
    described = metadata("demo", "1.0", summary="From the sdist")
    await stage.publish(make_sdist("demo", "1.0"), metadata=described, metadata_static=False)
    page = (await get(stage, "/pypi/demo/json")).json()
    assert page["info"]["summary"] == "From the sdist"
    assert page["urls"][0]["core-metadata"] is False


@PATHS
@METHODS
async def test_ljs_4_headers(demo: Stage, path: str, method: str) -> None:
    """Revalidated always, with a tag and a serial, for scripts of any origin."""
    response = await get(demo, path, method)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "max-age=0, must-revalidate"
    assert response.headers["access-control-allow-origin"] == "*"
    whole = (await get(demo, path)).json()
    assert response.headers["x-pypi-last-serial"] == str(whole["last_serial"])
    again = await get(demo, path, method, If_None_Match=response.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


async def test_ljs_4_what_needs_credentials_is_for_no_other_origin(private: Stage) -> None:
    """A private project's page is private."""
    await private.publish(make_wheel("demo", "1.0"))
    assert (await get(private, "/pypi/demo/json")).status_code == 401
    async with private.client(*await private.user("ada")) as client:
        response = await client.get("/pypi/demo/json")
    assert "access-control-allow-origin" not in response.headers
    assert response.headers["cache-control"] == "private, max-age=0, must-revalidate"
    assert response.headers["vary"] == "Authorization, Cookie"


async def test_a_change_shows_at_once(demo: Stage) -> None:
    """A yank moves the newest release, and changes the tag."""
    before = await get(demo, "/pypi/demo/json")
    project = await demo.index.project(DEMO)
    await demo.index.yank(project.release("2.0"), "broken", ADA)
    after = await get(demo, "/pypi/demo/json", If_None_Match=before.headers["etag"])
    assert after.json()["info"]["version"] == "1.0"
    yanked = (await get(demo, "/pypi/demo/2.0/json")).json()["info"]
    assert (yanked["yanked"], yanked["yanked_reason"]) == (True, "broken")


@PATHS
async def test_sta_2_quarantine_refuses(demo: Stage, path: str) -> None:
    """Nothing of a quarantined project is handed out, its description neither."""
    await demo.index.set_status(DEMO, Status.QUARANTINED, None, ADA)
    assert (await get(demo, path)).status_code == 403


async def test_a_project_without_files_is_404(stage: Stage) -> None:
    """There is no release to describe once every file is deleted."""
    await stage.index.delete(await stage.publish(make_wheel("demo", "1.0")), ADA)
    assert (await get(stage, "/pypi/demo/json")).status_code == 404
