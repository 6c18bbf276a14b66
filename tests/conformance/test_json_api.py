"""The JSON API, serials and XML-RPC (standards: section 6)."""

from __future__ import annotations

import hashlib
import xmlrpc.client
from datetime import datetime
from typing import Any

import pytest

from tests.conformance.site import ADMIN, READER, Site
from tests.factories import make_sdist, make_wheel

FILE = {"filename", "packagetype", "python_version", "digests", "md5_digest", "size", "upload_time",
        "upload_time_iso_8601", "url", "requires_python", "yanked", "yanked_reason",
        "core-metadata", "has_sig", "downloads", "comment_text"}  # fmt: skip
INFO = {"name", "version", "summary", "description", "description_content_type", "author",
        "author_email", "maintainer", "maintainer_email", "license", "license_expression",
        "license_files", "dynamic", "provides_extra", "requires_dist", "requires_python",
        "project_urls", "project_url", "package_url", "release_url", "home_page", "keywords",
        "classifiers", "platform", "yanked", "yanked_reason", "downloads"}  # fmt: skip


@pytest.fixture(scope="module")
def document(site: Site) -> Any:
    """A project with a prerelease, a yanked newest release, a wheel and an sdist."""
    headers = [("Requires-Dist", "requests>=2"), ("Provides-Extra", "socks"),
               ("Project-URL", "Homepage, https://www.example/"), ("License-Expression", "MIT"),
               ("Classifier", "Programming Language :: Python :: 3"), ("Keywords", "a,b"),
               ("Author", "Jos\u00e9")]  # fmt: skip
    made = make_wheel(
        "Ljs.All", "1.1", headers=headers, requires_python=">=3.8", description="Long"
    )
    site.publish(made, "Ljs.All", "1.1", fields={"comment": "said so"})
    site.publish(make_sdist("Ljs.All", "1.1"), "Ljs.All", "1.1")
    for version in ("1.0", "1.2", "2.0rc1"):
        site.release("Ljs.All", version)
    site.manage("PATCH", "projects/ljs-all/releases/1.2", b'{"yanked": "why \\u00e9"}')
    return site.get("/pypi/ljs-all/json").json()


def test_ljs_1_two_documents(site: Site, document: Any) -> None:
    """The project's document has all releases, a release's has its own files alone."""
    top = {"info", "urls", "last_serial", "vulnerabilities", "ownership"}
    assert top | {"releases"} <= set(document)
    assert set(document["releases"]) == {"1.0", "1.1", "1.2", "2.0rc1"}
    release = site.get("/pypi/ljs-all/1.0/json").json()
    assert top <= set(release)
    assert "releases" not in release
    assert release["info"]["version"] == "1.0"
    assert [file["filename"] for file in release["urls"]] == ["ljs_all-1.0-py3-none-any.whl"]


def test_ljs_1_spellings(site: Site, document: Any) -> None:
    """With a slash at the end too; other names are redirected, versions matched by meaning."""
    for target in ("/pypi/ljs-all/json/", "/pypi/ljs-all/1.0/json/", "/pypi/ljs-all/v1.0.0/json"):
        answer = site.get(target)
        assert answer.status == 200
        assert answer.header("content-type") == "application/json"
    for target in ("/pypi/Ljs.All/json", "/pypi/LJS_ALL/1.0/json"):
        answer = site.get(target)
        assert answer.status == 301
        assert site.get(answer.header("location") or "").status == 200
    for target in ("/pypi/ljs-absent/json", "/pypi/ljs-all/9.9/json", "/pypi/ljs-all/x/json"):
        answer = site.get(target)
        assert answer.status == 404
        assert answer.message


def test_ljs_2_files(site: Site, document: Any) -> None:
    """Every key of a file is there and true, the three digests too."""
    listed = [file for files in document["releases"].values() for file in files]
    assert len(listed) == 5
    for file in listed:
        assert set(file) >= FILE
        body = site.get(site.get("/pypi/ljs-all/json").resolve(file["url"])).body
        assert file["size"] == len(body)
        assert file["digests"] == {
            "md5": hashlib.md5(body).hexdigest(),
            "sha256": hashlib.sha256(body).hexdigest(),
            "blake2b_256": hashlib.blake2b(body, digest_size=32).hexdigest(),
        }
        assert file["md5_digest"] == file["digests"]["md5"]
        assert (file["has_sig"], file["downloads"]) == (False, -1)
        time = datetime.fromisoformat(file["upload_time_iso_8601"])
        assert time.utcoffset() is not None
        assert file["upload_time"] == time.strftime("%Y-%m-%dT%H:%M:%S")
    (yanked,) = document["releases"]["1.2"]
    assert (yanked["yanked"], yanked["yanked_reason"]) == (True, "why \u00e9")
    kinds = {file["packagetype"]: file["python_version"] for file in document["urls"]}
    assert kinds == {"bdist_wheel": "py3", "sdist": "source"}
    comments = {file["comment_text"] for file in document["urls"]}
    assert comments == {"said so", ""}


def test_ljs_3_info(document: Any) -> None:
    """The info is that of the newest release that is final and not yanked."""
    info = document["info"]
    assert set(info) >= INFO
    assert info["version"] == "1.1"
    assert info["name"] == "Ljs.All"
    assert info["requires_dist"] == ["requests>=2"]
    assert info["provides_extra"] == ["socks"]
    assert info["project_urls"]["Homepage"] == "https://www.example/"
    assert info["license_expression"] == "MIT"
    assert info["requires_python"] == ">=3.8"
    assert info["author"] == "Jos\u00e9"
    assert info["description"].strip() == "Long"
    assert (info["yanked"], info["yanked_reason"]) == (False, None)


def test_ljs_3_without_a_final_release(site: Site) -> None:
    """Only prereleases, only yanked ones: there is still a document."""
    site.release("ljs-3", "1.0a1")
    assert site.get("/pypi/ljs-3/json").json()["info"]["version"] == "1.0a1"
    site.manage("PATCH", "projects/ljs-3/releases/1.0a1", b'{"yanked": "x"}')
    info = site.get("/pypi/ljs-3/json").json()["info"]
    assert (info["version"], info["yanked"], info["yanked_reason"]) == ("1.0a1", True, "x")


def test_ljs_4_headers(site: Site, closed: Site, document: Any) -> None:
    """ETag, serial, and CORS only where everyone may read."""
    answer = site.get("/pypi/ljs-all/json", {"Origin": "https://badge.example"})
    assert answer.header("access-control-allow-origin") == "*"
    assert answer.header("x-pypi-last-serial") == str(document["last_serial"])
    tag = answer.header("etag") or ""
    assert tag.startswith('"')
    assert site.get("/pypi/ljs-all/json", {"If-None-Match": tag}).status == 304
    closed.release("ljs-4")
    private = closed.get("/pypi/ljs-4/json", {"Origin": "https://badge.example"}, auth=READER)
    assert private.status == 200
    assert private.header("access-control-allow-origin") is None


def test_ljs_links_name_no_untrusted_host(site: Site, document: Any) -> None:
    """P7: whatever Host says, no link leads there."""
    answer = site.get("/pypi/ljs-all/json", {"Host": "evil.example"})
    assert b"evil.example" not in answer.body


def _call(site: Site, method: str, *arguments: Any, target: str = "/pypi") -> Any:
    body = xmlrpc.client.dumps(arguments, method).encode()
    answer = site.ask("POST", target, {"Content-Type": "text/xml"}, body)
    assert answer.status == 200
    assert (answer.header("content-type") or "").startswith("text/xml")
    (found,), _ = xmlrpc.client.loads(answer.body.decode())
    return found


@pytest.mark.parametrize("target", ["/pypi", "/pypi/"])
def test_xml_1_search(site: Site, target: str) -> None:
    """pip search finds by name and by summary."""
    site.publish(make_wheel("xml-one", summary="Holy <grail> & co"), "xml-one")
    for criteria in (
        {"name": "xml-one"},
        {"summary": "grail"},
        {"name": ["ML-ON"], "summary": "x"},
    ):
        found = _call(site, "search", criteria, "or", target=target)
        assert {"name": "xml-one", "summary": "Holy <grail> & co", "version": "1.0"}.items() <= (
            next(one for one in found if one["name"] == "xml-one").items()
        )
    assert _call(site, "search", {"name": "xml-nowhere"}, "or") == []


def test_xml_1_serials(site: Site) -> None:
    """Mirrors get names with serials, and what changed since."""
    before = _call(site, "changelog_last_serial")
    site.release("xml-two")
    after = _call(site, "changelog_last_serial")
    assert after > before
    changes = _call(site, "changelog_since_serial", before)
    assert {change[0] for change in changes} == {"xml-two"}
    assert [change[4] for change in changes] == sorted(change[4] for change in changes)
    assert before < _call(site, "list_packages_with_serial")["xml-two"] <= after


BOMBS = {
    "entities": '<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<methodCall><methodName>&b;</methodName></methodCall>",
    "external": '<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<methodCall><methodName>&x;</methodName></methodCall>",
    "deep": "<methodCall><methodName>search</methodName><params><param>"
    + "<value><array><data>" * 800 + "</data></array></value>" * 800
    + "</param></params></methodCall>",
    "unclosed": "<methodCall><methodName>search",
    "no method": "<methodCall><params/></methodCall>",
    "empty": "",
    "other": "<html/>",
    "utf-16": '<?xml version="1.0" encoding="utf-16"?><methodCall/>',
    "nil": "<methodCall><methodName>search</methodName><params><param><value><nil/></value>"
    "</param></params></methodCall>",
    "number": "<methodCall><methodName>changelog_since_serial</methodName><params><param><value>"
    f"<int>{'9' * 9000}</int></value></param></params></methodCall>",
    "base64": "<methodCall><methodName>search</methodName><params><param><value><base64>!"
    "</base64></value></param></params></methodCall>",
    "unknown": "<methodCall><methodName>system.listMethods</methodName></methodCall>",
    "dunder": "<methodCall><methodName>__class__</methodName></methodCall>",
    "few arguments": "<methodCall><methodName>search</methodName><params/></methodCall>",
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_xml_1_bombs(site: Site, case: str) -> None:
    """Entities, bombs and nonsense are a Fault with status 200, and quick."""
    headers = {"Content-Type": "text/xml"}
    answer = site.ask("POST", "/pypi", headers, BOMBS[case].encode(), auth=ADMIN)
    assert answer.status == 200
    assert b"root:" not in answer.body
    with pytest.raises(xmlrpc.client.Fault):
        xmlrpc.client.loads(answer.body.decode())


def test_xml_1_too_long(site: Site) -> None:
    """A call of a megabyte is refused."""
    answer = site.ask("POST", "/pypi", {"Content-Type": "text/xml"}, b" " * (1 << 20))
    assert answer.status == 413


def test_xml_1_shows_the_readable_alone(closed: Site) -> None:
    """Where reading needs a user, the anonymous search nothing."""
    closed.release("xml-hidden")
    body = xmlrpc.client.dumps(({"name": "xml"}, "or"), "search").encode()
    answer = closed.ask("POST", "/pypi", {"Content-Type": "text/xml"}, body)
    assert b"xml-hidden" not in answer.body
    again = closed.ask("POST", "/pypi", {"Content-Type": "text/xml"}, body, auth=READER)
    assert b"xml-hidden" in again.body
