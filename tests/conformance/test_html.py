"""Index pages in HTML (standards: 2.3)."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag

import pytest

from tests.conformance import markup
from tests.conformance.site import HTML, Site
from tests.factories import Made, make_sdist, make_wheel

HOSTILE = "\"><script>alert(1)</script>&amp;'--></a><!--"
VOID = {"meta", "br", "link", "hr", "img", "input", "base"}


class Balanced(HTMLParser):
    """Fails where tags are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Goes in."""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Comes out."""
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def made(site: Site) -> tuple[Made, Made]:
    """A wheel and an sdist of one project."""
    wheel = make_wheel("Htm.All", "1.0", requires_python=">=3.8,<4,!=3.9.1")
    sdist = make_sdist("Htm.All", "1.0")
    for one in (wheel, sdist):
        site.publish(one, "Htm.All", "1.0")
    return wheel, sdist


@pytest.mark.parametrize("accept", ["text/html", HTML])
def test_htm_1_pages_are_html5(site: Site, made: tuple[Made, Made], accept: str) -> None:
    """Pages begin with the document type, and every tag is closed."""
    for target in ("/simple/", "/simple/htm-all/"):
        body = site.get(target, {"Accept": accept}).body
        assert body.startswith(b"<!DOCTYPE html>")
        assert markup.read(body).doctype.lower() == "doctype html"
        balanced = Balanced()
        balanced.feed(body.decode())
        assert not balanced.open


def test_htm_2_the_root_links_to_projects(site: Site, made: tuple[Made, Made]) -> None:
    """One anchor a project, relative and normalised; each leads to a page."""
    page = site.get("/simple/", {"Accept": "text/html"})
    anchors = markup.read(page.body).anchors
    (ours,) = [anchor for anchor in anchors if anchor.href == "htm-all/"]
    assert ours.text.lower().replace(".", "-") == "htm-all"
    assert len({anchor.href for anchor in anchors}) == len(anchors)
    assert site.get(page.resolve(ours.href)).status == 200


def test_htm_3_htm_4_one_anchor_per_file(site: Site, made: tuple[Made, Made]) -> None:
    """Text is the filename is the last segment; the fragment is the sha256 of the bytes."""
    anchors = site.html("htm-all").anchors
    assert sorted(anchor.text for anchor in anchors) == sorted(one.filename for one in made)
    for anchor in anchors:
        url, fragment = urldefrag(anchor.href)
        assert unquote(url.rpartition("/")[2]) == anchor.text
        body = site.get(site.page("htm-all").resolve(url)).body
        assert fragment == f"sha256={hashlib.sha256(body).hexdigest()}"


def test_htm_5_requires_python(site: Site, made: tuple[Made, Made]) -> None:
    """The specifier is escaped, and absent where the metadata has none."""
    body = site.page("htm-all", "text/html").body.decode()
    assert 'data-requires-python="&gt;=3.8,&lt;4,!=3.9.1"' in body
    by_name = {anchor.text: anchor.attributes for anchor in site.html("htm-all").anchors}
    assert by_name[made[0].filename]["data-requires-python"] == ">=3.8,<4,!=3.9.1"
    assert "data-requires-python" not in by_name[made[1].filename]


def test_htm_6_yanked(site: Site) -> None:
    """Only yanked files say so; the reason may be empty and may be hostile."""
    for version in ("1.0", "2.0", "3.0"):
        site.release("htm-6", version)
    site.manage("PATCH", "projects/htm-6/releases/1.0", b'{"yanked": true}')
    reason = HOSTILE.replace('"', '\\"').encode()
    site.manage("PATCH", "projects/htm-6/releases/2.0", b'{"yanked": "%s"}' % reason)
    tree = site.html("htm-6")
    found = {a.text: a.attributes.get("data-yanked", "absent") for a in tree.anchors}
    assert list(found.values()) == ["", HOSTILE, "absent"]
    assert "script" not in tree.tags


def test_htm_7_core_metadata(site: Site, made: tuple[Made, Made]) -> None:
    """Both attributes say the hash of the metadata, or both are absent; none says false."""
    bare = make_sdist("htm-7", "1.0", headers=[("Dynamic", "Summary")], summary=None)
    site.publish(bare, "htm-7")
    page = site.page("htm-all")
    for anchor in site.html("htm-all").anchors:
        target = page.resolve(urldefrag(anchor.href)[0])
        digest = hashlib.sha256(site.get(f"{target}.metadata").body).hexdigest()
        assert anchor.attributes["data-core-metadata"] == f"sha256={digest}"
        dist_info = anchor.attributes.get("data-dist-info-metadata", f"sha256={digest}")
        assert dist_info == f"sha256={digest}"
    (without,) = site.html("htm-7").anchors
    assert not {"data-core-metadata", "data-dist-info-metadata"} & set(without.attributes)


def test_htm_8_htm_9_no_signatures_no_provenance(site: Site, made: tuple[Made, Made]) -> None:
    """What is not kept is not said to be there."""
    for anchor in site.html("htm-all").anchors:
        assert anchor.attributes.get("data-gpg-sig") in (None, "false")
        assert "data-provenance" not in anchor.attributes
        target = site.page("htm-all").resolve(urldefrag(anchor.href)[0])
        assert site.get(f"{target}.asc").status == 404


def test_htm_10_project_status(site: Site) -> None:
    """The status and its reason stand in the head, unless the project is active."""
    site.release("htm-10")
    assert not {"pypi:project-status", "pypi:project-status-reason"} & set(
        site.html("htm-10").metas
    )
    reason = HOSTILE.replace('"', '\\"').encode()
    site.manage("PATCH", "projects/htm-10", b'{"status": "archived", "reason": "%s"}' % reason)
    tree = site.html("htm-10")
    assert tree.metas["pypi:project-status"] == "archived"
    assert tree.metas["pypi:project-status-reason"] == HOSTILE
    assert {"pypi:project-status", "pypi:project-status-reason"} <= tree.head_metas
    assert "script" not in tree.tags
    site.manage("PATCH", "projects/htm-10", b'{"status": "deprecated"}')
    assert "pypi:project-status-reason" not in site.html("htm-10").metas


def test_htm_11_size_and_upload_time_agree(site: Site, made: tuple[Made, Made]) -> None:
    """Where HTML says size and upload time, it says what JSON says."""
    listed = {file["filename"]: file for file in site.detail("htm-all")["files"]}
    for anchor in site.html("htm-all").anchors:
        file = listed[anchor.text]
        assert anchor.attributes.get("data-size") in (None, str(file["size"]))
        assert anchor.attributes.get("data-upload-time") in (None, file["upload-time"])


def test_htm_12_nothing_stored_runs(site: Site, made: tuple[Made, Made]) -> None:
    """Pages have no scripts of anyone's and a policy that lets none run; those for people, ours."""
    for target in ("/simple/", "/simple/htm-all/", "/", "/simple/htm-12-absent/"):
        answer = site.get(target, {"Accept": "text/html"})
        policy = answer.header("content-security-policy") or ""
        assert "default-src 'none'" in policy
        assert answer.header("x-content-type-options") == "nosniff"
        if target == "/":
            assert re.findall("script-src ([^;]*);", policy) == ["'self'"]
            scripts = re.findall(rb"<script[^>]*>[^<]*", answer.body)
            assert scripts
            assert all(re.fullmatch(rb'<script [^>]*src="/assets/[^"]*"[^>]*>', x) for x in scripts)
        else:
            assert "script-src" not in policy
            assert b"<script" not in answer.body
