"""Pages, read by parsers that are not ours."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from app.models import File, FileState, Project, Status
from app.simple import render
from app.simple.negotiate import Format
from tests.simple.pages import NASTY, Html, make_file, make_project, make_summary

PAGE = "https://index.example/packages/simple/holy-grail/"
FILES = [
    make_file(requires_python=">=3.8,<4,!=3.9.1"),
    make_file("holy_grail-1.1-py3-none-any.whl", yanked="Had a vulnerability"),
    make_file("holy_grail-1.2-py3-none-any.whl", yanked=""),
    make_file("holy_grail-1.2.tar.gz"),
    make_file("holy_grail-1!2.0+local.1-py3-none-any.whl"),
]


def as_json(project: Project) -> dict[str, Any]:
    """The JSON page."""
    page: dict[str, Any] = json.loads(render.project(project, Format.JSON))
    return page


def as_html(project: Project) -> Html:
    """The HTML page."""
    return Html(render.project(project, Format.HTML))


@pytest.fixture
def page() -> dict[str, Any]:
    """The JSON page of a project with files of every kind."""
    return as_json(make_project(*FILES))


@pytest.fixture
def html() -> Html:
    """The HTML page of the same project."""
    return as_html(make_project(*FILES))


class TestVersions:
    """Which version of the API a page names."""

    def test_ver_1_html_says_1_4(self, html: Html) -> None:
        """Both HTML pages carry the frozen version."""
        assert html.metas()["pypi:repository-version"] == "1.4"
        root = Html(render.root([], Format.TEXT, serial=0))
        assert root.metas()["pypi:repository-version"] == "1.4"

    def test_ver_2_json_says_1_4(self, page: dict[str, Any]) -> None:
        """Both JSON pages carry it as a string."""
        root = json.loads(render.root([], Format.JSON, serial=0))
        assert page["meta"]["api-version"] == root["meta"]["api-version"] == "1.4"

    def test_ver_3_no_namespaces_with_1_4(self, page: dict[str, Any]) -> None:
        """The key of 1.5 is absent."""
        assert "namespaces" not in page

    def test_ver_5_nothing_of_the_rejected_pep(self, page: dict[str, Any]) -> None:
        """Neither tracks nor alternate locations are there."""
        assert not {"tracks", "alternate-locations"} & {*page, *page["meta"]}


class TestHtml:
    """The HTML form."""

    def test_htm_1_html5(self) -> None:
        """The page begins with the declaration of HTML5."""
        for body in (
            render.project(make_project(*FILES), Format.TEXT),
            render.root([], Format.TEXT, serial=1),
        ):
            assert body.startswith(b"<!DOCTYPE html>\n")

    def test_htm_2_root(self) -> None:
        """One anchor for each project: its name, and the relative way to its page."""
        summaries = [make_summary("Holy.Grail"), make_summary("spam")]
        anchors = Html(render.root(summaries, Format.HTML, serial=7)).anchors()
        assert [(a.attributes["href"], a.text) for a in anchors] == [
            ("holy-grail/", "Holy.Grail"),
            ("spam/", "spam"),
        ]

    def test_htm_3_one_anchor_for_each_file(self, html: Html) -> None:
        """The text is the filename, which is also the last segment of the URL."""
        names = [anchor.text for anchor in html.anchors()]
        assert sorted(names) == sorted(file.filename for file in FILES)
        for anchor in html.anchors():
            path = urlsplit(anchor.attributes["href"] or "").path
            assert unquote(path.rpartition("/")[2]) == anchor.text

    def test_htm_4_one_hash(self, html: Html) -> None:
        """Every URL ends in its sha256 and nothing else."""
        for anchor in html.anchors():
            assert re.search(r"[^#]#sha256=[0-9a-f]{64}\Z", anchor.attributes["href"] or "")

    def test_htm_5_requires_python_is_escaped(self) -> None:
        """The specifier survives, escaped; where there is none there is no attribute."""
        body = render.project(make_project(*FILES), Format.HTML)
        assert b'data-requires-python="&gt;=3.8,&lt;4,!=3.9.1"' in body
        with_it = [a for a in Html(body).anchors() if "data-requires-python" in a.attributes]
        assert [a.attributes["data-requires-python"] for a in with_it] == [">=3.8,<4,!=3.9.1"]

    def test_htm_6_yanked(self, html: Html) -> None:
        """Only yanked files say so, with their reason, which may be empty."""
        yanked = {
            a.text: a.attributes["data-yanked"]
            for a in html.anchors()
            if "data-yanked" in a.attributes
        }
        assert yanked == {FILES[1].filename: "Had a vulnerability", FILES[2].filename: ""}

    def test_htm_7_core_metadata(self) -> None:
        """Both attributes, equal, where the metadata is offered; else neither."""
        offered = make_file()
        unknown = make_file("holy_grail-2.0-py3-none-any.whl", metadata_sha256=None)
        changing = make_file("holy_grail-3.0.tar.gz", metadata_sha256="e5" * 32)
        anchors = as_html(make_project(offered, unknown, changing)).anchors()
        found = [
            (a.attributes.get("data-core-metadata"), a.attributes.get("data-dist-info-metadata"))
            for a in anchors
        ]
        assert found == [("sha256=" + "e5" * 32,) * 2, (None, None), (None, None)]

    def test_htm_8_no_signatures(self, html: Html) -> None:
        """No file claims or denies a signature."""
        assert not any("data-gpg-sig" in anchor.attributes for anchor in html.anchors())

    def test_htm_9_no_provenance_is_claimed(self, html: Html) -> None:
        """No file claims a provenance that nobody verified."""
        assert not any("data-provenance" in anchor.attributes for anchor in html.anchors())

    def test_htm_10_project_status(self, html: Html) -> None:
        """A status other than active is a meta, and so is its reason."""
        assert "pypi:project-status" not in html.metas()
        metas = as_html(make_project(status=Status.ARCHIVED, status_reason=NASTY)).metas()
        assert metas["pypi:project-status"] == "archived"
        assert metas["pypi:project-status-reason"] == NASTY
        assert (
            "pypi:project-status-reason"
            not in as_html(make_project(status=Status.ARCHIVED)).metas()
        )

    def test_htm_11_size_and_time(self, html: Html) -> None:
        """Size and upload time are there for the clients that read them."""
        attributes = html.anchors()[0].attributes
        assert attributes["data-size"] == "1337"
        assert attributes["data-upload-time"] == "2026-11-22T12:00:00.000120Z"

    def test_htm_12_nothing_stored_is_markup(self) -> None:
        """What people wrote comes back as they wrote it, and is never an element."""
        file = make_file(yanked=NASTY + "\x00\x1b", requires_python=NASTY)
        page = as_html(make_project(file, status=Status.DEPRECATED, status_reason=NASTY))
        assert {element.tag for element in page.elements} <= {
            "html", "head", "meta", "title", "body", "h1", "a", "br",
        }  # fmt: skip
        attributes = page.anchors()[0].attributes
        assert attributes["data-yanked"] == attributes["data-requires-python"] == NASTY
        root = Html(render.root([make_summary("x", display_name=NASTY)], Format.HTML, serial=0))
        assert root.anchors()[0].text == NASTY


class TestJson:
    """The JSON form."""

    def test_jsn_1_extra_keys_begin_with_an_underscore(self, page: dict[str, Any]) -> None:
        """The top level is an object with the keys of the PEPs."""
        known = {"meta", "name", "project-status", "versions", "files"}
        assert {key for key in page if not key.startswith("_")} == known
        assert set(page["meta"]) == {"api-version", "_last-serial"}

    def test_jsn_2_root(self) -> None:
        """The root lists names."""
        summaries = [make_summary("Holy.Grail", 3), make_summary("spam", 4)]
        root = json.loads(render.root(summaries, Format.JSON, serial=7))
        assert root["projects"] == [
            {"name": "Holy.Grail", "_last-serial": 3},
            {"name": "spam", "_last-serial": 4},
        ]

    def test_ser_1_serials(self, page: dict[str, Any]) -> None:
        """Pages carry the serial of their newest change."""
        root = json.loads(render.root([], Format.JSON, serial=7))
        assert root["meta"]["_last-serial"] == 7
        assert page["meta"]["_last-serial"] == 42

    def test_jsn_3_name_is_normalised(self, page: dict[str, Any]) -> None:
        """A page has its project's normalised name."""
        assert page["name"] == "holy-grail"

    def test_jsn_4_what_every_file_has(self, page: dict[str, Any]) -> None:
        """Every file has a name, a URL, hashes and a size."""
        for file in page["files"]:
            assert {"filename", "url", "hashes", "size"} <= set(file)
            assert file["size"] == 1337

    def test_jsn_5_one_hash(self, page: dict[str, Any]) -> None:
        """sha256 alone: pip stops at names that hashlib does not know."""
        assert all(file["hashes"] == {"sha256": "a1" * 32} for file in page["files"])

    def test_jsn_6_never_null(self) -> None:
        """No value anywhere in a page is null."""
        assert b"null" not in render.project(make_project(*FILES), Format.JSON)

    def test_jsn_7_upload_time(self) -> None:
        """Times are in UTC with a Z and six digits, whatever zone they came in."""
        kathmandu = timezone(timedelta(hours=5, minutes=45))
        file = make_file(upload_time=datetime(2026, 1, 1, 0, 0, tzinfo=kathmandu))
        times = [f["upload-time"] for f in as_json(make_project(file))["files"]]
        assert times == ["2025-12-31T18:15:00.000000Z"]
        assert datetime.fromisoformat(times[0]) == file.upload_time.astimezone(UTC)

    def test_jsn_8_yanked_without_a_reason_is_true(self, page: dict[str, Any]) -> None:
        """A reason is a non-empty string, no reason is true, not yanked is absent."""
        yanked = {file["filename"]: file.get("yanked") for file in page["files"]}
        assert yanked[FILES[0].filename] is None
        assert yanked[FILES[1].filename] == "Had a vulnerability"
        assert yanked[FILES[2].filename] is True

    def test_jsn_9_versions(self) -> None:
        """Each release once, as PEP 440 writes it, those equal under it together."""
        names = ["2.0rc1", "1.0", "1.0.0", "1.0.post1", "2!0.1"]
        files = [make_file(f"holy_grail-{name}-py3-none-any.whl") for name in names]
        odd = make_file("holy_grail-old.tar.gz", version="old-style")
        page = as_json(make_project(*files, odd))
        assert page["versions"] == ["old-style", "1.0", "1.0.post1", "2.0rc1", "2!0.1"]
        spelled = make_file("holy_grail-1.0.0-py3-none-any.whl", version="V1.0-RC.1")
        assert as_json(make_project(spelled))["versions"] == ["1.0rc1"]

    def test_jsn_10_core_metadata(self, page: dict[str, Any]) -> None:
        """The key is core-metadata, and neither of the old ones."""
        assert page["files"][0]["core-metadata"] == {"sha256": "e5" * 32}
        for file in page["files"]:
            assert not {"dist-info-metadata", "data-dist-info-metadata"} & set(file)
            assert ("core-metadata" in file) == file["filename"].endswith(".whl")

    def test_jsn_11_no_provenance_is_claimed(self, page: dict[str, Any]) -> None:
        """No file claims a provenance that nobody verified."""
        assert not any("provenance" in file for file in page["files"])

    @pytest.mark.parametrize("status", list(Status))
    def test_jsn_12_project_status(self, status: Status) -> None:
        """The status stands at the top level, its reason beside it."""
        page = as_json(make_project(status=status))
        assert page["project-status"] == {"status": status.value}
        page = as_json(make_project(status=status, status_reason="moved"))
        assert page["project-status"] == {"status": status.value, "reason": "moved"}

    def test_jsn_13_both_forms_agree(self, page: dict[str, Any], html: Html) -> None:
        """HTML and JSON list the same files and say the same of them."""
        from_html = [
            (
                anchor.text,
                anchor.attributes["href"],
                anchor.attributes.get("data-requires-python"),
                anchor.attributes.get("data-yanked"),
                anchor.attributes.get("data-core-metadata"),
            )
            for anchor in html.anchors()
        ]
        from_json = [
            (
                file["filename"],
                f"{file['url']}#sha256={file['hashes']['sha256']}",
                file.get("requires-python"),
                "" if file.get("yanked") is True else file.get("yanked"),
                f"sha256={file['core-metadata']['sha256']}" if "core-metadata" in file else None,
            )
            for file in page["files"]
        ]
        assert from_html == from_json

    @pytest.mark.parametrize("format", list(Format))
    def test_jsn_14_order_is_stable(self, format: Format) -> None:
        """Equal projects have equal pages, in whatever order their files are known."""
        forwards = render.project(make_project(*FILES), format)
        assert render.project(make_project(*reversed(FILES)), format) == forwards

    def test_jsn_14_by_version_then_filename(self, page: dict[str, Any]) -> None:
        """Files are sorted by version, then by filename."""
        order = [FILES[0], FILES[1], FILES[2], FILES[3], FILES[4]]
        assert [file["filename"] for file in page["files"]] == [file.filename for file in order]


def urls(project: Project) -> list[str]:
    """The URLs of a project's files as a client resolves them."""
    return [urljoin(PAGE, file["url"]) for file in as_json(project)["files"]]


def test_url_9_links_resolve_against_the_page() -> None:
    """Relative links lead to the files wherever the index is mounted; no base is given."""
    assert urls(make_project(FILES[0])) == [
        f"https://index.example/packages/files/holy-grail/{FILES[0].filename}"
    ]
    assert b"<base" not in render.project(make_project(*FILES), Format.TEXT)


def test_url_10_no_query() -> None:
    """File URLs have no query: ``.metadata`` is appended to them."""
    assert not any(urlsplit(url).query for url in urls(make_project(*FILES)))


def test_url_13_the_last_segment_is_the_filename() -> None:
    """Epochs and local versions survive; the ``+`` is escaped, which some servers misread."""
    file = make_file("holy_grail-1!2.0+local.1-py3-none-any.whl")
    (url,) = urls(make_project(file))
    assert unquote(url.rpartition("/")[2]) == file.filename
    assert "+" not in url


def test_sta_2_quarantine_lists_nothing() -> None:
    """A quarantined project has a page, without files or versions."""
    project = make_project(*FILES, status=Status.QUARANTINED, status_reason="malware")
    page = as_json(project)
    assert (page["files"], page["versions"]) == ([], [])
    assert as_html(project).anchors() == []


@pytest.mark.parametrize("status", [Status.ARCHIVED, Status.DEPRECATED])
def test_sta_1_and_3_other_statuses_list_everything(status: Status) -> None:
    """Archived and deprecated projects keep their files."""
    assert len(as_json(make_project(*FILES, status=status))["files"]) == len(FILES)


@pytest.mark.parametrize("state", [FileState.DELETED, FileState.QUARANTINED, FileState.PURGED])
def test_only_published_files_are_listed(state: FileState) -> None:
    """A file in any other state is not there."""
    gone: File = make_file("holy_grail-9.0-py3-none-any.whl", state=state)
    page = as_json(make_project(*FILES, gone))
    assert gone.filename not in {file["filename"] for file in page["files"]}
    assert "9.0" not in page["versions"]


def test_ynk_1_yanked_files_stay_listed(page: dict[str, Any]) -> None:
    """A yanked release is still among files and versions."""
    assert FILES[1].filename in {file["filename"] for file in page["files"]}
    assert "1.1" in page["versions"]
