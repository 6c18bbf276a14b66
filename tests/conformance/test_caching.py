"""What pages say to caches (standards: 3.1), and who may keep them."""

from __future__ import annotations

import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import pytest

from tests.conformance.site import ADMIN, HTML, JSON, READER, Site
from tests.factories import make_wheel

CREDENTIALS = {"authorization", "cookie"}


@pytest.fixture(scope="module")
def big(site: Site) -> str:
    """A project whose page is worth compressing."""
    for number in range(12):
        site.release("cch", f"1.{number}")
    return "/simple/cch/"


def test_cch_1_one_strong_tag_per_representation(site: Site, big: str) -> None:
    """Every type in every coding has a strong ETag of its own, the same each time."""
    tags = set()
    for accept in (JSON, HTML, "text/html"):
        for coding in ("identity", "gzip", "zstd"):
            headers = {"Accept": accept, "Accept-Encoding": coding}
            tag = site.get(big, headers).header("etag") or ""
            assert re.fullmatch(r'"[!#-~]+"', tag)
            assert site.get(big, headers).header("etag") == tag
            assert site.ask("HEAD", big, headers).header("etag") == tag
            tags.add(tag)
    assert len(tags) == 9


def test_cch_2_not_modified(site: Site, big: str) -> None:
    """Whoever has the page gets 304, with the headers of the 200 and no body."""
    for coding in ("identity", "gzip", "zstd"):
        headers = {"Accept": JSON, "Accept-Encoding": coding}
        whole = site.get(big, headers)
        tag = whole.header("etag") or ""
        for given in (tag, f"W/{tag}", f'"a", {tag}, "b"', f'"a",{tag}', "*"):
            for method in ("GET", "HEAD"):
                answer = site.ask(method, big, {**headers, "If-None-Match": given})
                assert (answer.status, answer.body) == (304, b""), given
                for name in ("etag", "cache-control", "vary"):
                    assert answer.header(name) == whole.header(name)
                assert answer.header("date")
        for given in ('"other"', tag.strip('"'), "", '"', "W/", f'"{tag}'):
            assert site.get(big, {**headers, "If-None-Match": given}).status == 200, given


def test_cch_2_the_tag_of_another_representation_is_another(site: Site, big: str) -> None:
    """The tag of the JSON page does not make the HTML page unmodified."""
    tag = site.get(big, {"Accept": JSON}).header("etag") or ""
    assert site.get(big, {"Accept": "text/html", "If-None-Match": tag}).status == 200
    packed = {"Accept": JSON, "Accept-Encoding": "gzip", "If-None-Match": tag}
    assert site.get(big, packed).status == 200


@pytest.mark.parametrize("target", ["/simple/", "/simple/cch/"])
def test_cch_3_cch_4_cch_6_freshness(site: Site, big: str, target: str) -> None:
    """A page is asked for anew each time; it has a date and needs no guess of its age."""
    for accept in (JSON, "text/html"):
        answer = site.get(target, {"Accept": accept})
        words = answer.words("cache-control")
        assert "no-cache" in words or {"max-age=0", "must-revalidate"} <= words
        assert not {word for word in words if re.fullmatch(r"max-age=[1-9]\d*", word)}
        assert not {"no-store", "immutable"} & words
        assert parsedate_to_datetime(answer.header("date") or "")
        assert answer.header("last-modified") is None


def test_cch_5_private(closed: Site) -> None:
    """What needed credentials is private and varies by them; refusals are not kept."""
    made = closed.release("cch-5")
    url = f"/files/cch-5/{made.filename}"
    for target in ("/simple/", "/simple/cch-5/", url, f"{url}.metadata", "/pypi/cch-5/json"):
        answer = closed.get(target, auth=READER)
        assert answer.status == 200
        assert "private" in answer.words("cache-control")
        assert "authorization" in answer.words("vary")
        for auth, status in ((None, 401), (("admin", "wrong"), 401), (("nobody", "x"), 401)):
            refused = closed.get(target, {"If-None-Match": answer.header("etag") or ""}, auth=auth)
            assert refused.status == status
            assert refused.words("cache-control") == {"no-store"}
            assert refused.header("etag") is None


def test_cch_5_wrong_credentials_never_read_as_nobody(site: Site, big: str) -> None:
    """Where everyone may read, wrong credentials are still wrong, or ignored alike everywhere."""
    found = {
        site.get(target, auth=("admin", "wrong password")).status
        for target in ("/simple/", big, "/pypi/cch/json")
    }
    assert found in ({200}, {401})


def test_cch_5_errors_are_not_kept(site: Site) -> None:
    """No cache may keep an error."""
    for method, target, headers in (
        ("GET", "/simple/cch-5-absent/", {}),
        ("GET", "/nowhere", {}),
        ("GET", "/simple/", {"Accept": "image/png"}),
        ("GET", "/files/a/b-1.0.tar.gz", {}),
        ("DELETE", "/simple/", {}),
        ("GET", "/api/v1/reindex", {}),
        ("GET", "/simple/..%2f", {}),
    ):
        answer = site.ask(method, target, headers)
        assert answer.status >= 400
        assert answer.words("cache-control") == {"no-store"}, target


def _yank(site: Site) -> None:
    site.manage("PATCH", "projects/cch-7/releases/1.0", b'{"yanked": "because"}')


def _unyank(site: Site) -> None:
    site.manage("PATCH", "projects/cch-7/releases/1.0", b'{"yanked": false}')


def _upload(site: Site) -> None:
    site.release("cch-7", "2.0")


def _delete(site: Site) -> None:
    site.manage("DELETE", "projects/cch-7/files/cch_7-2.0-py3-none-any.whl")


def _restore(site: Site) -> None:
    site.manage("POST", "projects/cch-7/files/cch_7-2.0-py3-none-any.whl/restore")


def _archive(site: Site) -> None:
    site.manage("PATCH", "projects/cch-7", b'{"status": "archived", "reason": "x"}')


def _reason(site: Site) -> None:
    site.manage("PATCH", "projects/cch-7", b'{"status": "archived", "reason": "y"}')


def _activate(site: Site) -> None:
    site.manage("PATCH", "projects/cch-7", b'{"status": "active"}')


def test_cch_7_every_change_is_seen_at_once(site: Site) -> None:
    """Each change of a project is on its pages at the next read; the serial only grows."""
    site.release("cch-7")
    changes: list[Callable[[Site], None]] = [
        _yank, _unyank, _upload, _delete, _restore, _archive, _reason, _activate,
    ]  # fmt: skip
    for change in changes:
        before = {accept: site.page("cch-7", accept) for accept in (JSON, HTML, "text/html")}
        change(site)
        for accept, page in before.items():
            headers = {"If-None-Match": page.header("etag") or ""}
            after = site.page("cch-7", accept, **headers)
            assert after.status == 200, change
            serials = [int(one.header("x-pypi-last-serial") or 0) for one in (page, after)]
            assert serials[0] < serials[1]


def test_cch_7_a_new_project_is_on_the_root_at_once(site: Site) -> None:
    """The root has a project as soon as its first upload was answered, and loses a deleted one."""
    before = site.get("/simple/", {"Accept": JSON})
    site.release("cch-7-new")
    headers = {"Accept": JSON, "If-None-Match": before.header("etag") or ""}
    after = site.get("/simple/", headers)
    assert after.status == 200
    assert "cch-7-new" in [project["name"] for project in after.json()["projects"]]
    site.manage("DELETE", "projects/cch-7-new")
    names = [one["name"] for one in site.get("/simple/", {"Accept": JSON}).json()["projects"]]
    assert "cch-7-new" not in names
    assert site.page("cch-7-new").status == 404


def test_a_failed_change_changes_nothing(site: Site) -> None:
    """A refused upload and the same upload again leave page, ETag and serial as they were."""
    made = site.release("cch-8")
    before = site.page("cch-8")
    site.refuse(make_wheel("cch-8", files={"x.py": b""}), "cch-8")
    site.publish(made, "cch-8")
    assert site.upload(made, "cch-8", auth=("admin", "wrong")).status == 401
    after = site.page("cch-8")
    assert (after.body, after.header("etag")) == (before.body, before.header("etag"))


def test_ser_1_serials(site: Site) -> None:
    """The root and each page say the serial, in the body and in the header alike."""
    made = site.release("ser-1")
    first = site.get("/simple/", {"Accept": JSON})
    serial = first.json()["meta"]["_last-serial"]
    assert type(serial) is int
    assert first.header("x-pypi-last-serial") == str(serial)
    (ours,) = [one for one in first.json()["projects"] if one["name"] == "ser-1"]
    page = site.page("ser-1")
    assert ours["_last-serial"] == int(page.header("x-pypi-last-serial") or 0)
    documents = (page.json(), page.json()["meta"])
    assert [one["_last-serial"] for one in documents if "_last-serial" in one] == [
        ours["_last-serial"]
    ]
    site.manage("PATCH", f"projects/ser-1/files/{made.filename}", b'{"yanked": true}')
    later = site.get("/simple/", {"Accept": JSON}).json()
    assert later["meta"]["_last-serial"] > serial
    assert site.upload(made, "ser-1", auth=ADMIN).status == 200
    again = site.get("/simple/", {"Accept": JSON}).json()
    assert again["meta"]["_last-serial"] == later["meta"]["_last-serial"]
