"""Status markers and yanking (standards: 2.5)."""

from __future__ import annotations

import itertools

import pytest

from tests.conformance.site import ADMIN, Site
from tests.factories import make_wheel


def _set(site: Site, project: str, status: str) -> None:
    site.manage("PATCH", f"projects/{project}", b'{"status": "%s"}' % status.encode())


def test_sta_1_archived(site: Site) -> None:
    """An archived project takes no file, and serves those that it has."""
    made = site.release("sta-1")
    target = site.location("sta-1")
    _set(site, "sta-1", "archived")
    refused = site.upload(make_wheel("sta-1", "2.0"), "sta-1", "2.0", auth=ADMIN)
    assert refused.status == 403
    assert "archived" in refused.message
    assert [file["filename"] for file in site.detail("sta-1")["files"]] == [made.filename]
    assert site.get(target).body == made.content
    assert site.get(f"{target}.metadata").status == 200
    _set(site, "sta-1", "active")
    site.release("sta-1", "2.0")


def test_sta_2_quarantined(site: Site) -> None:
    """A quarantined project has an empty page, refuses uploads, and every way to its files."""
    made = site.release("sta-2")
    target = site.location("sta-2")
    _set(site, "sta-2", "quarantined")
    assert site.upload(make_wheel("sta-2", "2.0"), "sta-2", "2.0", auth=ADMIN).status == 403
    assert site.detail("sta-2")["files"] == []
    assert site.html("sta-2").anchors == []
    doors = (target, f"{target}.metadata", "/pypi/sta-2/json", "/pypi/sta-2/1.0/json",
             f"/files/STA.2/{made.filename}", f"/files/STA.2/{made.filename}.metadata")  # fmt: skip
    for door in doors:
        for method in ("GET", "HEAD"):
            for headers in ({}, {"Range": "bytes=0-9"}, {"If-None-Match": "*"},
                            {"If-None-Match": f'"{made.sha256}"'}):  # fmt: skip
                answer = site.ask(method, door, headers)
                assert answer.status in (403, 404), (door, answer.status)
                assert answer.words("cache-control") == {"no-store"}
    assert made.filename not in site.get("/legacy/+simple/sta-2/").body.decode()
    _set(site, "sta-2", "active")
    assert site.get(target).body == made.content


@pytest.mark.parametrize("status", ["deprecated", "active"])
def test_sta_3_open(site: Site, status: str) -> None:
    """Deprecated and active projects take files and offer them."""
    name = f"sta-3-{status}"
    site.release(name)
    _set(site, name, status)
    site.release(name, "2.0")
    assert len(site.detail(name)["files"]) == 2
    assert (
        site.get(site.location(name, f"{name.replace('-', '_')}-2.0-py3-none-any.whl")).status
        == 200
    )


def test_sta_4_unknown_statuses(site: Site) -> None:
    """No status but the four can be set."""
    site.release("sta-4")
    body = b'{"status": "frozen"}'
    headers = {"Content-Type": "application/json"}
    answer = site.ask("PATCH", "/api/v1/projects/sta-4", headers, body, auth=ADMIN)
    assert answer.status == 400
    assert "frozen" not in answer.message


def test_ynk_1_ynk_2_yank_and_back(site: Site) -> None:
    """A yanked file stays listed and downloadable; each turn changes the page's ETag."""
    made = site.release("ynk-1")
    target = site.location("ynk-1")
    tags = [site.page("ynk-1").header("etag")]
    for body, wanted in ((b"true", True), (b"false", False), (b'"why"', "why"), (b"false", False)):
        site.manage("PATCH", "projects/ynk-1/releases/1.0", b'{"yanked": %s}' % body)
        assert site.file("ynk-1").get("yanked", False) == wanted
        assert site.get(target).body == made.content
        tags.append(site.page("ynk-1").header("etag"))
    assert all(before != after for before, after in itertools.pairwise(tags))


def test_ynk_4_one_file_alone(site: Site) -> None:
    """One file of a release can be yanked without the other."""
    first, second = make_wheel("ynk-4"), make_wheel("ynk-4", tag="cp311-abi3-win_amd64")
    for made in (first, second):
        site.publish(made, "ynk-4")
    site.manage("PATCH", f"projects/ynk-4/files/{second.filename}", b'{"yanked": true}')
    assert not site.file("ynk-4", first.filename).get("yanked")
    assert site.file("ynk-4", second.filename)["yanked"] is True
