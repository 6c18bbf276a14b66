"""Downloads (standards: 3, FIL rows)."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.conformance.site import ADMIN, READER, Site
from tests.factories import Made, make_sdist, make_wheel

CODINGS = ("gzip, deflate", "gzip, deflate, zstd, br", "zstd,gzip,deflate", "identity", "*")


class Target(NamedTuple):
    """A file that is published, and where."""

    made: Made
    url: str


@pytest.fixture(scope="module")
def target(site: Site) -> Target:
    """A wheel of some size that gzip could make smaller."""
    made = site.release("fil", files={"fil.py": b"# hello\n" * 9000})
    return Target(made, site.location("fil"))


@pytest.fixture(scope="module")
def sdist(site: Site) -> Target:
    """An sdist."""
    made = make_sdist("fil-sdist")
    site.publish(made, "fil-sdist")
    return Target(made, site.location("fil-sdist"))


def test_fil_1_bytes_and_length(site: Site, target: Target) -> None:
    """The bytes are those that the page promises; their length is declared."""
    answer = site.get(target.url)
    assert answer.body == target.made.content
    assert answer.header("content-length") == str(len(target.made.content))
    assert site.file("fil")["size"] == len(target.made.content)
    assert site.file("fil")["hashes"]["sha256"] == target.made.sha256


@pytest.mark.parametrize("accepted", CODINGS)
def test_fil_2_never_encoded(site: Site, target: Target, sdist: Target, accepted: str) -> None:
    """No content coding on files, nor on their metadata when identity is asked."""
    for one in (target, sdist):
        answer = site.get(one.url, {"Accept-Encoding": accepted})
        assert answer.header("content-encoding") is None
        assert answer.body == one.made.content
    answer = site.get(f"{target.url}.metadata", {"Accept-Encoding": "identity"})
    assert answer.header("content-encoding") is None


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1), ("bytes=0-9", 0, 10), ("bytes=10-", 10, None), ("bytes=-1", -1, None),
        ("bytes=-100", -100, None), ("bytes=5-99999999", 5, None), ("bytes=-99999999", 0, None),
        ("bytes=-10000", 0, None),
    ],
)  # fmt: skip
def test_fil_3_ranges(site: Site, target: Target, asked: str, start: int, end: int | None) -> None:
    """A part is 206, exactly what was asked for; HEAD of it is the whole."""
    content = target.made.content
    answer = site.get(target.url, {"Range": asked})
    assert answer.status == 206
    assert answer.body == content[start:end]
    first = start if start >= 0 else len(content) + start
    last = first + len(answer.body) - 1
    assert answer.header("content-range") == f"bytes {first}-{last}/{len(content)}"
    assert answer.header("content-length") == str(len(answer.body))
    assert answer.header("accept-ranges") == "bytes"


@pytest.mark.parametrize("asked", ["bytes=9999999-", "bytes=9999999-99999999", "bytes=-0"])
def test_fil_3_unsatisfiable(site: Site, target: Target, asked: str) -> None:
    """A part beyond the end is 416, with the size."""
    answer = site.get(target.url, {"Range": asked})
    assert answer.status == 416
    assert answer.header("content-range") == f"bytes */{len(target.made.content)}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=9-1", "bytes=", "bytes=-", "bytes=a-b", "lines=1-2", "bytes", "bytes=1-2-3",
     "bytes=" + ",".join(f"{n}-{n}" for n in range(1000)), "bytes=0-1,3-4", "bytes=" + "9" * 4000,
     "bytes=0-" + "9" * 4000, "bytes=+1-2", "bytes=0x1-2", "bytes= 1 - 2"],
)  # fmt: skip
def test_fil_3_odd_ranges(site: Site, target: Target, asked: str) -> None:
    """What is no range is ignored; several ranges may be answered whole. Never an error of ours."""
    answer = site.get(target.url, {"Range": asked})
    assert answer.status in (200, 206, 400, 416)
    if answer.status == 200:
        assert answer.body == target.made.content


def test_fil_3_if_range(site: Site, target: Target) -> None:
    """A part only of what the client has begun with; otherwise the whole."""
    tag = site.get(target.url).header("etag") or ""
    for given, status in ((tag, 206), ('"other"', 200), (f"W/{tag}", 200),
                          ("Tue, 24 Nov 2026 00:00:00 GMT", 200)):  # fmt: skip
        answer = site.get(target.url, {"Range": "bytes=3-5", "If-Range": given})
        assert answer.status == status, given


def test_fil_3_resumed_download(site: Site, target: Target) -> None:
    """A download cut in the middle and resumed is the file."""
    tag = site.get(target.url).header("etag") or ""
    middle = len(target.made.content) // 2
    head = site.get(target.url, {"Range": f"bytes=0-{middle - 1}"}).body
    tail = site.get(target.url, {"Range": f"bytes={middle}-", "If-Range": tag}).body
    assert head + tail == target.made.content


def test_fil_4_etag(site: Site, target: Target) -> None:
    """One strong ETag over HEAD, GET, 206 and 304."""
    tag = site.get(target.url).header("etag") or ""
    assert re.fullmatch('"[^"]+"', tag)
    assert site.ask("HEAD", target.url).header("etag") == tag
    assert site.get(target.url, {"Range": "bytes=0-1"}).header("etag") == tag
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        for method in ("GET", "HEAD"):
            answer = site.ask(method, target.url, {"If-None-Match": given, "Range": "bytes=0-1"})
            assert (answer.status, answer.header("etag"), answer.body) == (304, tag, b"")
    assert site.get(target.url, {"If-None-Match": '"other"'}).status == 200


def test_fil_5_kept_for_ever(site: Site, closed: Site, target: Target) -> None:
    """Files may be kept for ever: by everybody's caches, or where credentials count, one's own."""
    for suffix in ("", ".metadata"):
        words = site.get(target.url + suffix).words("cache-control")
        assert {"max-age=31536000", "immutable"} <= words
        assert "private" not in words
    closed.release("fil-5")
    url = f"/files/fil-5/{make_wheel('fil-5').filename}"
    for suffix in ("", ".metadata"):
        answer = closed.get(url + suffix, auth=READER)
        assert {"max-age=31536000", "immutable", "private"} <= answer.words("cache-control")
        assert "public" not in answer.words("cache-control")


def test_fil_6_deleted_names_stay_taken(site: Site) -> None:
    """After deletion the name takes no other bytes, and says so."""
    made = site.release("fil-6")
    site.manage("DELETE", f"projects/fil-6/files/{made.filename}")
    other = make_wheel("fil-6", files={"other.py": b"1"})
    assert site.refuse(other, "fil-6").startswith("This filename was previously used by a file")
    answer = site.upload(made, "fil-6", auth=ADMIN)
    assert answer.status in (200, 400)
    site.manage("POST", f"projects/fil-6/files/{made.filename}/restore")
    assert site.get(site.location("fil-6")).body == made.content


def test_fil_6_deleted_projects_keep_their_filenames(site: Site) -> None:
    """T27: whoever revives a deleted project cannot give its filenames other bytes."""
    made = site.release("fil-6-gone")
    site.manage("DELETE", "projects/fil-6-gone")
    assert site.page("fil-6-gone").status == 404
    assert site.get(f"/files/fil-6-gone/{made.filename}").status == 404
    other = make_wheel("fil-6-gone", files={"other.py": b"1"})
    assert site.refuse(other, "fil-6-gone").startswith("This filename was previously used")
    site.release("fil-6-gone", "2.0")
    assert site.detail("fil-6-gone")["versions"] == ["2.0"]


def test_fil_7_never_a_permanent_redirect(site: Site, target: Target) -> None:
    """A file's own URL is no 301 or 308."""
    assert site.get(target.url).status in (200, 302, 303, 307)


def test_fil_8_fil_9_types(site: Site, target: Target, sdist: Target) -> None:
    """Bytes are bytes: no type that a browser shows, no sniffing, no other name."""
    for one in (target, sdist):
        for suffix in ("", ".metadata"):
            for method in ("GET", "HEAD"):
                answer = site.ask(method, one.url + suffix, {"Accept": "text/html"})
                kind = (answer.header("content-type") or "").partition(";")[0]
                assert kind in ("application/octet-stream", "text/plain")
                assert answer.header("x-content-type-options") == "nosniff"
                disposition = answer.header("content-disposition")
                assert disposition is None or one.made.filename in disposition


def test_fil_10_missing(site: Site, target: Target) -> None:
    """Deleted and unknown files are 404, with their metadata; the page no longer has them."""
    made = site.release("fil-10")
    url = site.location("fil-10")
    assert site.get(url).status == 200
    site.manage("DELETE", f"projects/fil-10/files/{made.filename}")
    absent = f"/files/fil-absent/{made.filename}"
    for missing in (url, f"{url}.metadata", f"{target.url}.asc", absent, f"{absent}.metadata",
                    "/files/fil-10/other-1.0.tar.gz", "/files/fil-10/", "/files"):  # fmt: skip
        for method in ("GET", "HEAD"):
            answer = site.ask(method, missing, {"Range": "bytes=0-1"})
            assert answer.status == 404, missing
            assert answer.words("cache-control") == {"no-store"}
    page = site.page("fil-10")
    assert page.status == 404 or page.json()["files"] == []


def test_fil_10_without_rights(closed: Site) -> None:
    """Where reading needs a user, the anonymous get 401 at every door, whatever is there."""
    made = closed.release("fil-10")
    for project in ("fil-10", "fil-10-absent"):
        url = f"/files/{project}/{made.filename}"
        for door in (url, f"{url}.metadata", f"/simple/{project}/", f"/pypi/{project}/json",
                     f"/pypi/{project}/1.0/json", f"/legacy/+simple/{project}/"):  # fmt: skip
            for method in ("GET", "HEAD"):
                answer = closed.ask(method, door, {"If-None-Match": "*"})
                assert answer.status == 401, door
                assert (answer.header("www-authenticate") or "").startswith('Basic realm="')
                assert answer.words("cache-control") == {"no-store"}
    assert closed.get(f"/files/fil-10/{made.filename}", auth=READER).body == made.content


def test_files_are_found_through_their_project_alone(site: Site, target: Target) -> None:
    """P1: another project's file is not there below one's own."""
    site.release("fil-other")
    for suffix in ("", ".metadata"):
        assert site.get(f"/files/fil-other/{target.made.filename}{suffix}").status == 404
