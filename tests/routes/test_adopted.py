"""What was adopted, through the doors: versions that PEP 440 does not know break no page."""

from __future__ import annotations

import xmlrpc.client
from typing import Any

import pytest

from app.names import normalize
from app.upload.inspection import inspectors
from tests.index.adopting import adopt, put
from tests.pypicloud import old_sdist, sdist, wheel
from tests.routes.stage import Stage

LEGACY = "1.0-dev-r123"
CALLS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("search", ({"name": "old"},)),
    ("list_packages_with_serial", ()),
    ("changelog_since_serial", (0,)),
)
JSON = "application/vnd.pypi.simple.v1+json"
OLDS = (
    old_sdist("Old.Thing", LEGACY),
    old_sdist("Old.Thing", "latest"),
    old_sdist("old-thing", "0.9"),
    wheel("old_thing", "1.0"),
    sdist("old_thing", "2.0rc1"),
)


@pytest.fixture
async def adopted(stage: Stage) -> Stage:
    """A project with versions old and new, all of them adopted."""
    for old in OLDS:
        await put(stage.storage, old.key(), old)
    only = old_sdist("only-old", "r7-beta")
    await put(stage.storage, only.key(), only)
    async with inspectors(count=1) as pool:
        outcomes = await adopt(stage.index, pool)
    assert {outcome.state for outcome in outcomes.values()} == {"adopted"}
    return stage


async def get(stage: Stage, path: str, accept: str = "*/*") -> Any:
    """An anonymous answer, which is a success."""
    async with stage.client() as client:
        response = await client.get(path, headers={"accept": accept}, follow_redirects=True)
    assert response.status_code == 200, (path, response.text)
    return response


async def test_pages(adopted: Stage) -> None:
    """HTML and JSON list every file; legacy versions come first, spelled as they were."""
    page = (await get(adopted, "/simple/old-thing/", JSON)).json()
    assert page["versions"] == [LEGACY, "latest", "0.9", "1.0", "2.0rc1"]
    assert [file["filename"] for file in page["files"]] == [old.made.filename for old in OLDS]
    assert all("upload-time" in file for file in page["files"])
    html = (await get(adopted, "/simple/old-thing/")).text
    assert all(f">{old.made.filename}</a>" in html for old in OLDS)
    root = (await get(adopted, "/simple/", JSON)).json()
    # As the file that was taken in first spells it, and they are taken in side by side.
    shown = {normalize(project["name"]) for project in root["projects"]}
    assert shown == {"old-thing", "only-old"}


async def test_the_json_api(adopted: Stage) -> None:
    """The newest release is a final one of PEP 440; a legacy one is found by its spelling."""
    page = (await get(adopted, "/pypi/old-thing/json")).json()
    assert page["info"]["version"] == "1.0"
    assert set(page["releases"]) == {LEGACY, "latest", "0.9", "1.0", "2.0rc1"}
    page = (await get(adopted, f"/pypi/old-thing/{LEGACY}/json")).json()
    assert (page["info"]["version"], page["info"]["summary"]) == (LEGACY, "Of old")
    assert [file["filename"] for file in page["urls"]] == [OLDS[0].made.filename]
    assert (await get(adopted, "/pypi/only-old/json")).json()["info"]["version"] == "r7-beta"


async def test_files_and_metadata(adopted: Stage) -> None:
    """The bytes come from the old keys, the core metadata from beside our own."""
    for old in OLDS:
        assert (await get(adopted, f"/files/old-thing/{old.made.filename}")).content == (
            old.made.content
        )
    core = await get(adopted, f"/files/old-thing/{OLDS[3].made.filename}.metadata")
    assert b"Name: old_thing" in core.content


async def test_xml_rpc(adopted: Stage) -> None:
    """Searches and changes name legacy versions too."""
    async with adopted.client() as client:
        for method, arguments in CALLS:
            body = xmlrpc.client.dumps(arguments, method)
            response = await client.post(
                "/pypi", content=body, headers={"content-type": "text/xml"}
            )
            assert response.status_code == 200
            found, _ = xmlrpc.client.loads(response.text)
            assert "only-old" in str(found)


async def test_yank_and_delete(adopted: Stage) -> None:
    """A legacy release is yanked and deleted like any other."""
    project = await adopted.index.project((await adopted.index.projects())[0].name)
    (file,) = project.release(LEGACY)
    (yanked,) = await adopted.index.yank([file], "too old", file.uploader)
    assert yanked.yanked == "too old"
    await adopted.index.delete(yanked, file.uploader)
    page = (await get(adopted, "/simple/old-thing/", JSON)).json()
    assert LEGACY not in page["versions"]
