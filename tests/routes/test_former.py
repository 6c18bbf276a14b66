"""The URLs of PyPICloud 1, on the whole service."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.factories import make_sdist, make_wheel
from tests.routes.site import ADMIN, Site, site


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service where everyone may read what has no grants of its own."""
    folder = tmp_path_factory.mktemp("former")
    with site(folder, default_read=frozenset({"everyone"})) as running:
        running.publish("Demo.Alpha")
        running.publish("secret-pkg")
        running.user("bob")
        for who, rights in (("user:bob", ["read", "upload"]),):
            answer = running.ask(
                "PUT",
                f"/api/v1/projects/secret-pkg/grants/{who}",
                auth=ADMIN,
                json={"permissions": rights},
            )
            assert answer.status_code == 200, answer.text
        yield running


BOB = ("bob", "a fine long passphrase")
ALPHA = make_wheel("Demo.Alpha", "1.0")
SECRET = make_wheel("secret-pkg", "1.0")


def test_a_lock_file_finds_its_file(former: Site) -> None:
    """``/api/package/{project}/{filename}`` hands out the bytes, whatever the name's spelling."""
    for spelled in ("demo-alpha", "Demo.Alpha", "demo_alpha"):
        answer = former.ask(
            "GET", f"/api/package/{spelled}/{ALPHA.filename}", follow_redirects=True
        )
        assert (answer.status_code, answer.content) == (200, ALPHA.content), spelled
    head = former.ask("HEAD", f"/api/package/demo-alpha/{ALPHA.filename}")
    assert head.headers["content-length"] == str(len(ALPHA.content))
    part = former.ask(
        "GET", f"/api/package/demo-alpha/{ALPHA.filename}", headers={"Range": "bytes=0-9"}
    )
    assert (part.status_code, part.content) == (206, ALPHA.content[:10])


def test_no_file_comes_by_the_name_of_another_project(former: Site) -> None:
    """The project of the URL is that of the file, in any spelling: no other one's rights help."""
    for project in ("secret-pkg", "secret_pkg", "Secret.Pkg"):
        where = f"/api/package/{project}/{SECRET.filename}"
        assert former.ask("GET", where, follow_redirects=True).status_code == 401
        assert former.ask("GET", where, auth=BOB, follow_redirects=True).status_code == 200
        assert former.ask("GET", f"/api/package/{project}/").status_code == 401
    where = f"/api/package/demo-alpha/{SECRET.filename}"
    assert former.ask("GET", where, auth=BOB).status_code == 404
    assert former.ask("DELETE", where, auth=ADMIN).status_code == 404


def test_lists(former: Site) -> None:
    """``/api/package/`` lists what the caller may read, as it did; ``verbose=false`` is false."""
    assert former.ask("GET", "/api/package/").json() == {"packages": ["demo-alpha"]}
    both = former.ask("GET", "/api/package/", auth=BOB).json()
    assert both == {"packages": ["demo-alpha", "secret-pkg"]}
    for query in ("verbose=false", "verbose=0"):
        assert former.ask("GET", f"/api/package/?{query}").json() == {"packages": ["demo-alpha"]}
    (line,) = former.ask("GET", "/api/package/?verbose=true").json()["packages"]
    assert line.keys() == {"name", "summary", "last_modified"}
    assert former.ask("GET", "/api/package/?verbose=perhaps").status_code == 400


def test_the_files_of_a_project(former: Site) -> None:
    """The list of a project has each file's URL and hashes; ``write`` says who may."""
    shown = former.ask("GET", "/api/package/Demo_Alpha/").json()
    (file,) = shown["packages"]
    assert shown["write"] is False
    assert (file["name"], file["version"], file["filename"]) == (
        "demo-alpha",
        "1.0",
        ALPHA.filename,
    )
    assert file["metadata"]["hash_sha256"] == ALPHA.sha256
    assert file["metadata"]["hash_md5"] == hashlib.md5(ALPHA.content).hexdigest()
    assert file["metadata"]["uploader"] == "admin"
    assert httpx.get(file["url"], trust_env=False).content == ALPHA.content
    assert former.ask("GET", "/api/package/demo-alpha/", auth=ADMIN).json()["write"] is True
    assert former.ask("GET", "/api/package/nothing/").json() == {"packages": [], "write": False}


def test_upload_and_delete(former: Site) -> None:
    """The form has the file alone; other bytes are 409; the deleted file is gone for all."""
    for made in (make_wheel("fresh", "2.0"), make_sdist("fresh", "2.0")):
        where = f"/api/package/fresh/{made.filename}"
        content = {"content": (made.filename, made.content)}
        assert former.ask("POST", where, files=content).status_code == 401
        assert former.ask("POST", where, files=content, auth=BOB).status_code == 403
        answer = former.ask("POST", where, files=content, auth=ADMIN)
        assert (answer.status_code, answer.json()["version"]) == (200, "2.0"), answer.text
        other = {"content": (made.filename, make_wheel("fresh", "2.0", summary="x").content)}
        if made.filename.endswith(".whl"):
            assert former.ask("POST", where, files=other, auth=ADMIN).status_code == 409
        assert former.ask("GET", where, follow_redirects=True).content == made.content
        assert former.ask("DELETE", where).status_code == 401
        assert former.ask("DELETE", where, auth=BOB).status_code == 403
        assert former.ask("DELETE", where, auth=ADMIN).status_code == 200
        assert former.ask("GET", where).status_code == 404


def test_an_upload_is_of_the_project_in_its_url(former: Site) -> None:
    """No form publishes into another project, whatever it says; what cannot be a file is 400."""
    made = make_wheel("stolen", "1.0")
    content = {"content": (made.filename, made.content)}
    for fields in ({}, {"name": "stolen"}):
        answer = former.ask(
            "POST", f"/api/package/secret-pkg/{made.filename}", files=content, data=fields, auth=BOB
        )
        assert answer.status_code == 400, answer.text
    for filename in ("x.sh", "secret_pkg.whl", "../../up-1.0.tar.gz"):
        sent = {"content": (filename, b"x")}
        answer = former.ask("POST", "/api/package/secret-pkg/x", files=sent, auth=BOB)
        assert answer.status_code == 400, answer.text
    answer = former.ask("POST", "/api/package/secret-pkg/x", data={"a": "b"}, auth=BOB)
    assert answer.status_code == 400
    assert former.ask("GET", "/api/package/stolen/").json()["packages"] == []


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/pypi/", "/simple/"),
        ("/pypi", "/simple/"),
        ("/pypi/Demo.Alpha/", "/simple/demo-alpha/"),
        ("/pypi/demo-alpha", "/simple/demo-alpha/"),
        ("/demo-alpha/", "/simple/demo-alpha/"),
        ("/Demo_Alpha/", "/simple/demo-alpha/"),
        ("/simple/demo-alpha/json", "/pypi/demo-alpha/json"),
        ("/demo-alpha/json", "/pypi/demo-alpha/json"),
    ],
)
def test_what_changed_its_place(former: Site, path: str, place: str) -> None:
    """Pages and JSON are where clients of today look; the old URLs lead there."""
    answer = former.ask("GET", path)
    assert (answer.status_code, answer.headers["location"]) == (301, place)
    assert former.ask("GET", path, follow_redirects=True).status_code == 200


def test_what_is_not_there_stays_404(former: Site) -> None:
    """A path of one part is a project of ours, or 404; one that is hidden asks who one is."""
    for path in ("/nothing/", "/favicon.ico/", "/nothing", "/a/b/c/"):
        assert former.ask("GET", path).status_code == 404
    assert former.ask("GET", "/secret-pkg/").status_code == 401


def test_find_links(former: Site) -> None:
    """``/packages/`` links to every file that the caller may read, with its hash."""
    page = former.ask("GET", "/packages/").text
    assert f'href="/files/demo-alpha/{ALPHA.filename}#sha256={ALPHA.sha256}"' in page
    assert SECRET.filename not in page
    assert SECRET.filename in former.ask("GET", "/packages/", auth=BOB).text


def test_logging_in(former: Site) -> None:
    """The page where one logged in leads to the one where one does."""
    answer = former.ask("GET", "/acct/login")
    assert (answer.status_code, answer.headers["location"]) == (302, "/login")


@pytest.mark.parametrize("root", ["/pypi-root"])
def test_below_a_root_path(tmp_path: Path, root: str) -> None:
    """Redirects keep the root path."""
    with site(tmp_path, default_read=frozenset({"everyone"}), root_path=root) as running:
        running.publish("demo")
        answer = running.ask("GET", f"{root}/pypi/demo/")
        assert answer.headers["location"] == f"{root}/simple/demo/"
