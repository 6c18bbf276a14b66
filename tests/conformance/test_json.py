"""Index pages in JSON (standards: 2.4)."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import urldefrag

import pytest

from tests.conformance.site import JSON, Site
from tests.factories import make_sdist, make_wheel

TOP = {"meta", "name", "files", "versions", "project-status", "_last-serial"}
FILE = {"filename", "url", "hashes", "requires-python", "core-metadata", "gpg-sig", "yanked",
        "size", "upload-time", "provenance"}  # fmt: skip
NEVER_NULL = ("size", "upload-time", "yanked", "hashes", "filename", "url")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z\Z")


@pytest.fixture(scope="module")
def detail(site: Site) -> Any:
    """A project with releases, an sdist, a yank with and without reason."""
    for version in ("1.0", "1.10", "1.2", "1.2.post1", "2.0rc1", "1.0.0.dev1"):
        site.release("Jsn_All", version, requires_python=">=3.8,!=3.9.1,<4")
    site.publish(make_sdist("Jsn_All", "1.0"), "Jsn_All", "1.0")
    site.publish(make_sdist("Jsn_All", "1.2", core=b"Metadata-Version: 2.1\nName: jsn-all\n"
                            b"Version: 1.2\n"), "Jsn_All", "1.2")  # fmt: skip
    site.manage("PATCH", "projects/jsn-all/releases/1.10", b'{"yanked": true}')
    site.manage("PATCH", "projects/jsn-all/releases/1.2.post1", b'{"yanked": ""}')
    site.manage("PATCH", "projects/jsn-all/releases/2.0rc1", '{"yanked": "caf\u00e9"}'.encode())
    return site.detail("jsn-all")


def test_jsn_1_keys(site: Site, detail: Any) -> None:
    """Objects on top, and no keys but those of the standard and some with an underscore."""
    root = site.get("/simple/", {"Accept": JSON}).json()
    assert not {key for key in root if not key.startswith("_")} - {"meta", "projects"}
    for place, known in ((detail, TOP), *((file, FILE) for file in detail["files"])):
        assert not {key for key in place if not key.startswith("_")} - known
    for meta in (root["meta"], detail["meta"]):
        assert not {key for key in meta if not key.startswith("_")} - {"api-version"}


def test_jsn_2_root(site: Site, detail: Any) -> None:
    """The root has meta and projects, each with a name; no project twice."""
    root = site.get("/simple/", {"Accept": JSON}).json()
    names = [project["name"] for project in root["projects"]]
    normal = [re.sub(r"[-_.]+", "-", name).lower() for name in names]
    assert "jsn-all" in normal
    assert len(set(normal)) == len(names)
    assert normal == sorted(normal)


def test_jsn_3_detail(detail: Any) -> None:
    """The detail has all that is mandatory; the name is normalised."""
    assert {"meta", "name", "files", "versions"} <= set(detail)
    assert detail["name"] == "jsn-all"


def test_jsn_4_jsn_6_files(detail: Any) -> None:
    """Each file has what it must, and no null where uv rejects one."""
    for file in detail["files"]:
        assert {"filename", "url", "hashes", "size", "upload-time"} <= set(file)
        assert all(file[key] is not None for key in NEVER_NULL if key in file)
        assert type(file["size"]) is int
        assert file["size"] > 0


def test_jsn_5_hashes(detail: Any) -> None:
    """sha256 alone, in lower case, under a name that hashlib knows."""
    for file in detail["files"]:
        assert set(file["hashes"]) == {"sha256"}
        assert re.fullmatch("[0-9a-f]{64}", file["hashes"]["sha256"])
        for algorithm in {*file["hashes"], *(file.get("core-metadata") or {})}:
            assert algorithm in hashlib.algorithms_guaranteed


def test_jsn_7_upload_time(detail: Any) -> None:
    """Every file has an upload time in UTC with Z."""
    assert all(TIME.match(file["upload-time"]) for file in detail["files"])


def test_jsn_8_yanked(detail: Any) -> None:
    """True without a reason, the reason with one, never an empty string."""
    yanks = {file["filename"].split("-")[1]: file.get("yanked") for file in detail["files"]}
    assert yanks["1.10"] is True
    assert yanks["1.2.post1"] is True
    assert yanks["2.0rc1"] == "caf\u00e9"
    assert yanks["1.0.0.dev1"] in (None, False)


def test_jsn_9_versions(detail: Any) -> None:
    """Unique, normalised, and every file's version is among them."""
    assert len(set(detail["versions"])) == len(detail["versions"])
    assert set(detail["versions"]) == {"1.0", "1.10", "1.2", "1.2.post1", "2.0rc1", "1.0.0.dev1"}


def test_jsn_10_metadata_key(site: Site, detail: Any) -> None:
    """``core-metadata`` alone; absent or false where there is none."""
    offered = {file["filename"]: file.get("core-metadata", False) for file in detail["files"]}
    assert offered["jsn_all-1.2.tar.gz"] is False
    assert set(offered["jsn_all-1.0.tar.gz"]) == {"sha256"}
    body = site.page("jsn-all").body
    assert b"dist-info-metadata" not in body


def test_jsn_11_no_provenance(detail: Any) -> None:
    """No provenance where there is none to show."""
    assert all(file.get("provenance") is None for file in detail["files"])


def test_jsn_12_status(site: Site, detail: Any) -> None:
    """The status is one of four, an object on top, with its reason if there is one."""
    assert detail.get("project-status", {"status": "active"}) == {"status": "active"}
    site.release("jsn-12")
    for status in ("archived", "deprecated", "quarantined", "active"):
        body = f'{{"status": "{status}", "reason": "why \u00e9"}}'.encode()
        site.manage("PATCH", "projects/jsn-12", body)
        found = site.detail("jsn-12").get("project-status", {"status": "active"})
        assert found["status"] == status
        assert found.get("reason", "why \u00e9") == "why \u00e9"
        assert set(found) <= {"status", "reason"}


def test_jsn_13_html_lists_the_same(site: Site, detail: Any) -> None:
    """HTML and JSON say the same of the same files, in the same order."""
    anchors = site.html("jsn-all").anchors
    assert len(anchors) == len(detail["files"])
    for anchor, file in zip(anchors, detail["files"], strict=True):
        url, fragment = urldefrag(anchor.href)
        said = anchor.attributes
        assert (anchor.text, url) == (file["filename"], file["url"])
        assert fragment == f"sha256={file['hashes']['sha256']}"
        assert said.get("data-requires-python") == file.get("requires-python")
        core = file.get("core-metadata")
        assert said.get("data-core-metadata") == (f"sha256={core['sha256']}" if core else None)
        yanked = file.get("yanked", False)
        assert ("data-yanked" in said) == bool(yanked)
        assert said.get("data-yanked") in (None, "" if yanked is True else yanked)


def test_jsn_14_order(site: Site, detail: Any) -> None:
    """Files are sorted by version as PEP 440 has it, then by name, whatever came first."""
    names = [file["filename"].split("-")[1].removesuffix(".tar.gz") for file in detail["files"]]
    assert names == ["1.0.0.dev1", "1.0", "1.0", "1.2", "1.2", "1.2.post1", "1.10", "2.0rc1"]
    assert site.page("jsn-all").body == site.page("jsn-all").body


def test_requires_python_is_not_escaped_in_json(detail: Any) -> None:
    """JSON has the specifier as it is."""
    wheels = [file for file in detail["files"] if file["filename"].endswith(".whl")]
    assert {file["requires-python"] for file in wheels} == {">=3.8,!=3.9.1,<4"}


def test_nam_10_one_release_under_two_spellings(site: Site) -> None:
    """``1.0`` and ``1.0.0`` are one release: yanking it by either yanks both files."""
    for version in ("1.0", "1.0.0"):
        made = make_wheel("nam-10", version)
        site.publish(made, "nam-10", version)
    for asked in ("1", "v1.0.0.0"):
        site.manage("PATCH", f"projects/nam-10/releases/{asked}", b'{"yanked": true}')
        assert [file["yanked"] for file in site.detail("nam-10")["files"]] == [True, True]
        site.manage("PATCH", f"projects/nam-10/releases/{asked}", b'{"yanked": false}')
        assert not [file for file in site.detail("nam-10")["files"] if file.get("yanked")]
