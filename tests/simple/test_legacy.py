"""What the older JSON API says of a project."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.models import File, Hashes, Kind, Project
from app.simple import legacy
from tests.simple.pages import make_file, make_project

BASE = "https://index.example"
METADATA = """\
Metadata-Version: 2.4
Name: Holy.Grail
Version: 1.0
Summary: It's only a model
Keywords: quest,grail
Author: Ada Lövelace
Author-Email: ada@example.org
Maintainer: Bede
Maintainer-Email: bede@example.org
License-Expression: MIT
License-File: LICENSE
Classifier: Private :: Do Not Upload
Classifier: Topic :: Games/Entertainment
Requires-Python: >=3.8
Requires-Dist: spam>=1
Requires-Dist: eggs; extra == "breakfast"
Provides-Extra: breakfast
Project-URL: Home, https://grail.example/
Platform: any
Home-Page: https://grail.example/home
Download-URL: https://grail.example/download
Dynamic: Obsoletes-Dist
Description-Content-Type: text/markdown

# Holy
""".encode()


def described(project: Project, version: str, metadata: bytes = b"") -> dict[str, Any]:
    """The description of a release, with those of all others."""
    release = project.release(version)
    body = legacy.render(project, release, metadata, base=BASE, whole=True)
    page: dict[str, Any] = json.loads(body)
    return page


def wheel(version: str, **given: Any) -> File:
    """A wheel of that version."""
    return make_file(f"holy_grail-{version}-py3-none-any.whl", **given)


def test_ljs_1_the_parts() -> None:
    """A page has all the parts, a release's page all but the other releases."""
    project = make_project(wheel("1.0"), wheel("2.0"))
    page = described(project, "1.0")
    parts = {"info", "last_serial", "ownership", "releases", "urls", "vulnerabilities"}
    assert set(page) == parts
    assert page["last_serial"] == 42
    assert page["vulnerabilities"] == []
    assert list(page["releases"]) == ["1.0", "2.0"]
    assert [entry["filename"] for entry in page["urls"]] == [wheel("1.0").filename]
    alone = legacy.render(project, project.release("1.0"), b"", base=BASE, whole=False)
    assert set(json.loads(alone)) == parts - {"releases"}


def test_ljs_1_equal_versions_are_one_release() -> None:
    """Files of 1.0 and of 1.0.0 stand under one key."""
    page = described(make_project(wheel("1.0"), wheel("1.0.0")), "1")
    assert list(page["releases"]) == ["1.0"]
    assert len(page["urls"]) == len(page["releases"]["1.0"]) == 2


def test_ljs_2_a_file() -> None:
    """A file has every key that is known, and its URL begins with the public one."""
    file = make_file(
        "holy_grail-1!1.0+local-py3-none-any.whl",
        comment="fits",
        requires_python=">=3.8",
        hashes=Hashes(sha256="a" * 64, blake2b_256="b" * 64, md5="c" * 32),
    )
    (entry,) = described(make_project(file), file.version)["urls"]
    assert entry == {
        "comment_text": "fits",
        "core-metadata": {"sha256": "e5" * 32},
        "digests": {"blake2b_256": "b" * 64, "md5": "c" * 32, "sha256": "a" * 64},
        "downloads": -1,
        "filename": file.filename,
        "has_sig": False,
        "md5_digest": "c" * 32,
        "packagetype": "bdist_wheel",
        "python_version": "py3",
        "requires_python": ">=3.8",
        "size": 1337,
        "upload_time": "2026-11-22T12:00:00",
        "upload_time_iso_8601": "2026-11-22T12:00:00.000120Z",
        "url": f"{BASE}/files/holy-grail/holy_grail-1!1.0%2Blocal-py3-none-any.whl",
        "yanked": False,
        "yanked_reason": None,
    }


def test_ljs_2_a_yanked_sdist() -> None:
    """A yanked file says so; its reason, where there is one; and that it offers no metadata."""
    sdist = make_file("holy_grail-1.0.tar.gz", yanked="broken")
    (entry,) = described(make_project(sdist), "1.0")["urls"]
    assert (entry["yanked"], entry["yanked_reason"]) == (True, "broken")
    assert (entry["packagetype"], entry["python_version"]) == ("sdist", "source")
    assert entry["core-metadata"] is False


def test_ljs_3_info() -> None:
    """The release's own metadata is spelled out, under all the keys."""
    assert described(make_project(wheel("1.0")), "1.0", METADATA)["info"] == {
        "author": "Ada Lövelace",
        "author_email": "ada@example.org",
        "bugtrack_url": None,
        "classifiers": ["Private :: Do Not Upload", "Topic :: Games/Entertainment"],
        "description": "# Holy\n",
        "description_content_type": "text/markdown",
        "docs_url": None,
        "download_url": "https://grail.example/download",
        "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
        "dynamic": ["Obsoletes-Dist"],
        "home_page": "https://grail.example/home",
        "keywords": "quest,grail",
        "license": "",
        "license_expression": "MIT",
        "license_files": ["LICENSE"],
        "maintainer": "Bede",
        "maintainer_email": "bede@example.org",
        "name": "Holy.Grail",
        "package_url": f"{BASE}/project/holy-grail/",
        "platform": "any",
        "project_url": f"{BASE}/project/holy-grail/",
        "project_urls": {"Home": "https://grail.example/"},
        "provides_extra": ["breakfast"],
        "release_url": f"{BASE}/project/holy-grail/1.0/",
        "requires_dist": ["spam>=1", 'eggs; extra == "breakfast"'],
        "requires_python": ">=3.8",
        "summary": "It's only a model",
        "version": "1.0",
        "yanked": False,
        "yanked_reason": None,
    }


@pytest.mark.parametrize("metadata", [b"", b"\xff\xfe: \x00", b"nonsense", b"Name: x\nName: y\n"])
def test_ljs_3_metadata_that_cannot_be_read(metadata: bytes) -> None:
    """What the index knows by itself is said all the same."""
    file = wheel("1.0", summary="short", requires_python=">=3.9", yanked="")
    info = described(make_project(file), "1.0", metadata)["info"]
    assert (info["summary"], info["requires_python"]) == ("short", ">=3.9")
    assert (info["yanked"], info["yanked_reason"]) == (True, None)


@pytest.mark.parametrize(
    ("versions", "yanked", "newest"),
    [
        (["1.0", "1.10", "1.9"], [], "1.10"),
        (["1.0", "2.0rc1"], [], "1.0"),
        (["1.0", "2.0"], ["2.0"], "1.0"),
        (["1.0", "2.0rc1"], ["1.0"], "2.0rc1"),
        (["1.0", "2.0"], ["1.0", "2.0"], "2.0"),
        (["1.0a1", "1.0.dev1"], [], "1.0a1"),
        ([], [], None),
    ],
)
def test_ljs_3_the_newest_release(
    versions: list[str], yanked: list[str], newest: str | None
) -> None:
    """A final release that is not yanked comes before a pre-release, and that before yanked."""
    files = [wheel(version, yanked="" if version in yanked else None) for version in versions]
    assert legacy.newest(files) == newest


def test_ljs_3_a_release_is_yanked_when_all_its_files_are() -> None:
    """One file that is not yanked keeps its release."""
    sdist = make_file("holy_grail-2.0.tar.gz")
    assert legacy.newest([wheel("1.0"), wheel("2.0", yanked="bad"), sdist]) == "2.0"


def test_the_file_that_describes_a_release() -> None:
    """A wheel does, rather than an sdist; a file without metadata never."""
    sdist = make_file("holy_grail-1.0.tar.gz", metadata_sha256="e5" * 32)
    mute = make_file("holy_grail-1.0-cp314-none-any.whl", metadata_sha256=None)
    assert legacy.describing([sdist, mute, wheel("1.0")]) == wheel("1.0")
    assert legacy.describing([mute, sdist]) == sdist
    assert legacy.describing([mute]) is None
    assert sdist.kind is Kind.SDIST
