"""Pages, ours and others', read back into values."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models import Project, Status
from app.simple import parse, render
from app.simple.negotiate import Format
from tests.simple.pages import NASTY, make_file, make_project, make_summary

URL = "https://upstream.example/simple/holy-grail/"
FILE = "https://upstream.example/files/holy-grail"
FORMATS = pytest.mark.parametrize("format", list(Format))


def read(project: Project, format: Format) -> parse.Listing:
    """The project's page, rendered and read back."""
    return parse.project(render.project(project, format), format, url=URL)


def page(*files: dict[str, Any], **top: Any) -> bytes:
    """A JSON page as somebody else might send it."""
    meta = {"meta": {"api-version": "1.0"}, "name": "holy-grail", "files": list(files)}
    return json.dumps(meta | top).encode()


def entry(**given: Any) -> dict[str, Any]:
    """A file of such a page."""
    name = "holy_grail-1.0.tar.gz"
    return {"filename": name, "url": f"/f/{name}", "hashes": {}} | given


@FORMATS
def test_what_is_rendered_is_read_back(format: Format) -> None:
    """Every fact of a page survives the round trip."""
    files = (
        make_file(requires_python=">=3.8,<4", yanked=NASTY),
        make_file("holy_grail-1!2.0+local-py3-none-any.whl", yanked=""),
        make_file("holy_grail-3.0.tar.gz"),
    )
    project = make_project(*files, status=Status.ARCHIVED, status_reason=NASTY)
    listing = read(project, format)
    assert (listing.name, listing.status, listing.status_reason) == (
        "holy-grail", Status.ARCHIVED, NASTY,
    )  # fmt: skip
    for link, file in zip(listing.links, project.published, strict=True):
        assert link.filename == file.filename
        assert link.url.startswith(FILE)
        assert link.hashes == {"sha256": file.hashes.sha256}
        assert link.requires_python == file.requires_python
        offered = {"sha256": file.metadata_sha256} if file.offers_metadata else None
        assert link.core_metadata == offered
        assert (link.size, link.upload_time) == (file.size, file.upload_time)
        assert link.yanked == file.yanked
    if format is Format.JSON:
        assert listing.versions == ("1.0", "3.0", "1!2.0+local")
        assert listing.serial == 42


@FORMATS
def test_the_root_is_read_back(format: Format) -> None:
    """Names come back as they are spelled."""
    summaries = [make_summary("Holy.Grail"), make_summary("spam")]
    body = render.root(summaries, format, serial=9)
    assert parse.root(body, format) == ("Holy.Grail", "spam")


def test_the_oldest_json_is_understood() -> None:
    """A page of API 1.0 without any optional key, and with keys that nobody knows, is fine."""
    (link,) = parse.project(page(entry(mystery=[1]), more={}), Format.JSON, url=URL).links
    assert link == parse.Link(
        filename="holy_grail-1.0.tar.gz",
        url="https://upstream.example/f/holy_grail-1.0.tar.gz",
        hashes={},
    )


def test_nulls_and_falsehoods_mean_absent() -> None:
    """What others say for "no" is understood."""
    said = entry(**{
        "requires-python": None, "core-metadata": False, "yanked": "", "size": None,
        "upload-time": None, "provenance": None, "hashes": {"blake2b_256": "zz"},
    })  # fmt: skip
    for no in ("", None, False):
        said["yanked"] = no
        (link,) = parse.project(page(said), Format.JSON, url=URL).links
        assert (link.requires_python, link.core_metadata, link.yanked, link.size) == (None,) * 4
    assert link.hashes == {}


def test_metadata_without_hashes_is_offered() -> None:
    """``true`` says that there is metadata, in both forms."""
    (link,) = parse.project(page(entry(**{"core-metadata": True})), Format.JSON, url=URL).links
    assert link.core_metadata == {}
    html = b'<a href="/f/x-1.0.tar.gz" data-dist-info-metadata="true">x-1.0.tar.gz</a>'
    (link,) = parse.project(html, Format.TEXT, url=URL).links
    assert link.core_metadata == {}


def test_old_html_is_understood() -> None:
    """Absolute links, odd fragments and attributes without a value are fine."""
    html = (
        b"<html><body><A HREF='https://files.example/f/x-1.0.tar.gz#egg=x' data-yanked>x</A>"
        b'<a name="top">no link</a><a href="x-2.0.tar.gz#md5=' + b"ab" * 16 + b'">x</a>'
    )
    first, second = parse.project(html, Format.TEXT, url=URL).links
    assert (first.url, first.yanked, first.hashes) == (
        "https://files.example/f/x-1.0.tar.gz", "", {},
    )  # fmt: skip
    assert (second.url, second.hashes) == (f"{URL}x-2.0.tar.gz", {"md5": "ab" * 16})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"meta":{"api-version":"1.0"}}',
        b"\xff",
        page(entry(filename="other-1.0.tar.gz")),
        page(entry(filename="../x", url="/f/..%2Fx")),
        page(entry(url="file:///etc/holy_grail-1.0.tar.gz")),
        page(entry(hashes={"sha256": "short"})),
        page(entry(hashes={"sha256": "g" * 64})),
        page(entry(size=-1)),
        page(entry(size="1")),
        page(entry(size=2**60)),
        page(entry(size=10**30)),
        page(versions=[1]),
        page(versions={}),
        page(meta={"api-version": "1.0", "_last-serial": "9"}),
        page(**{"project-status": 5}),
        page(**{"project-status": {"status": None}}),
        page(entry(hashes=None)),
        page(entry(**{"upload-time": "2026-01-01T00:00:00"})),
        page(entry(**{"upload-time": "yesterday"})),
        page(meta={"api-version": "2.0"}),
        page(meta={"api-version": "one"}),
        page(**{"project-status": {"status": "unheard-of"}}),
        b"[" * 100_000,
    ],
)
def test_json_that_cannot_be_believed(body: bytes) -> None:
    """Such a page is refused whole."""
    with pytest.raises(ValueError, match=r"."):
        parse.project(body, Format.JSON, url=URL)


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b'<meta name="pypi:repository-version" content="2.0">',
        b'<meta name="pypi:project-status" content="unheard-of">',
        b'<a href="javascript:alert(1)">x-1.0.tar.gz</a>',
        b'<a href="x-1.0.tar.gz" data-size="many">x-1.0.tar.gz</a>',
        b'<a href="x-1.0.tar.gz" data-size="9999999999999999999999">x-1.0.tar.gz</a>',
        b'<a href="x-1.0.tar.gz" data-size="' + b"9" * 5000 + b'">x-1.0.tar.gz</a>',
        b'<a href="x-1.0.tar.gz" data-upload-time="2026-01-01T00:00:00">x-1.0.tar.gz</a>',
        b'<a href="x-1.0.tar.gz#sha256=short">x-1.0.tar.gz</a>',
    ],
)
def test_html_that_cannot_be_believed(body: bytes) -> None:
    """Such a page is refused whole."""
    with pytest.raises(ValueError, match=r"."):
        parse.project(body, Format.TEXT, url=URL)


@pytest.mark.parametrize("said", ["", "javascript:alert(1)", "/here", "https://x.example/\r\n<b>"])
def test_provenance_that_is_nowhere_is_none(said: str) -> None:
    """It is a whole URL, in both forms."""
    (link,) = parse.project(page(entry(provenance=said)), Format.JSON, url=URL).links
    assert link.provenance is None
    body = f'<a href="x-1.0.tar.gz" data-provenance="{said}">x-1.0.tar.gz</a>'.encode()
    (link,) = parse.project(body, Format.HTML, url=URL).links
    assert link.provenance is None


@pytest.mark.parametrize(
    ("odd", "status"),
    [
        ({"versions": None}, "active"),
        ({"versions": [1, 2]}, "active"),
        ({"meta": {"api-version": "1.99", "_last-serial": "9"}}, "active"),
        ({"meta": {"api-version": "1.0", "_last-serial": 10**40}}, "active"),
        ({"project-status": None}, "active"),
        ({"project-status": 5}, "active"),
        ({"project-status": {"status": "unheard-of", "reason": "x"}}, "active"),
        ({"project-status": {"status": "quarantined", "reason": "x"}}, "quarantined"),
        ({"project-status": "quarantined"}, "quarantined"),
    ],
)
def test_what_stands_beside_the_files_takes_none_away(odd: dict[str, Any], status: str) -> None:
    """Whoever is tolerant reads on where that cannot be understood."""
    listing, dropped = parse.tolerant(page(entry(), **odd), Format.JSON, url=URL)
    assert (len(listing.links), dropped, listing.status) == (1, 0, status)


@pytest.mark.parametrize(
    ("begin", "part", "end", "format"),
    [
        (page()[:-2], b"{},", b"{}]}", Format.JSON),
        (page()[:-2], b"[],", b"{}]}", Format.JSON),
        (page()[:-2], b"1,", b"{}]}", Format.JSON),
        (b"", b"<a href=x>", b"", Format.TEXT),
        (b"", b"<a ", b">", Format.TEXT),
    ],
)
def test_a_page_of_millions_is_none(begin: bytes, part: bytes, end: bytes, format: Format) -> None:
    """It is refused before it is read: that would take minutes."""
    body = begin + part * (2**26 // len(part)) + end
    began = time.process_time()
    with pytest.raises(ValueError, match="more than"):
        parse.tolerant(body, format, url=URL)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("format", [Format.JSON, Format.HTML])
def test_a_page_of_many_files_is_one(format: Format) -> None:
    """As many as the largest projects have, with all that is said of them."""
    name, digest = "holy_grail-1.0-py3-none-any.whl", {"sha256": "a" * 64}
    said = entry(filename=name, url=f"/f/{name}", hashes=digest, yanked="a, b, c", size=1,
                 **{"core-metadata": digest, "requires-python": ">=3.9,<4,!=3.10"})  # fmt: skip
    line = f'<a href="/f/{name}#sha256={"a" * 64}" data-yanked="">{name}</a><br>\n'.encode()
    body = page(*[said] * 20_000) if format is Format.JSON else line * 20_000
    listing, dropped = parse.tolerant(body, format, url=URL)
    assert (len(listing.links), dropped) == (20_000, 0)


def test_times_are_brought_to_utc() -> None:
    """A zone other than UTC is understood."""
    said = entry(**{"upload-time": "2026-01-01T01:00:00+01:00"})
    (link,) = parse.project(page(said), Format.JSON, url=URL).links
    assert link.upload_time == datetime(2026, 1, 1, tzinfo=UTC)


@given(st.one_of(st.binary(), st.text().map(str.encode)), st.sampled_from(list(Format)))
def test_no_body_does_more_than_be_refused(body: bytes, format: Format) -> None:
    """Whatever comes, it is read or it raises ValueError."""
    try:
        parse.project(body, format, url=URL)
    except ValueError:
        return
