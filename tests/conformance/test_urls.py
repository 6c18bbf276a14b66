"""URLs, names and redirects (standards: 2.1), and which version they speak (1.2)."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import pytest

from tests.conformance import markup
from tests.conformance.site import HTML, JSON, Site
from tests.factories import make_sdist, make_wheel

DOORS = ("/simple/", "/simple/url-6/", "/files/url-6/url_6-1.0-py3-none-any.whl",
         "/files/url-6/url_6-1.0-py3-none-any.whl.metadata",
         "/pypi/url-6/json", "/pypi/url-6/1.0/json")  # fmt: skip


def test_url_1_root_and_project_are_200(site: Site) -> None:
    """The root and the page of a project that exists answer 200."""
    site.release("url-1")
    assert site.get("/simple/").status == 200
    assert site.get("/simple/url-1/").status == 200


def test_url_2_without_slash_is_redirected(site: Site) -> None:
    """The forms without slash are never 200: they lead to the form with it."""
    site.release("url-2")
    for bare in ("/simple", "/simple/url-2"):
        answer = site.get(bare)
        assert answer.status in (301, 308)
        assert answer.header("location") == f"{bare}/"
        assert site.ask("HEAD", bare).status == answer.status


def test_url_3_other_spellings_lead_to_the_normalised_one(site: Site) -> None:
    """No spelling but the normalised one is ever 200; the others lead there in one step."""
    site.release("url-3.x")
    for spelling in ("URL-3-X", "url_3.x", "url--3-x", "Url.3_X", "url-3-%78_", "url%2D3%5Fx"):
        answer = site.get(f"/simple/{spelling}/")
        if spelling.endswith("_"):  # no name ends so
            assert answer.status == 404
        else:
            assert (answer.status, answer.header("location")) == (301, "/simple/url-3-x/")


def test_url_3_other_spellings_without_slash_need_one_step(site: Site) -> None:
    """Both repairs together are one redirect, not two."""
    site.release("url-3-y")
    assert site.get("/simple/URL_3.Y").header("location") == "/simple/url-3-y/"


def test_url_4_redirects_keep_the_query_and_name_no_host(site: Site) -> None:
    """A redirect has a path alone, whatever Host says, and the query as it was."""
    site.release("url-4")
    query = "format=application/vnd.pypi.simple.v1%2Bjson&x=%26"
    for target, wanted in (("/simple/URL.4/", "/simple/url-4/"), ("/simple", "/simple/")):
        for host in ("localhost", "evil.example", "evil.example:99"):
            headers = {"Host": host, "X-Forwarded-Host": "evil.example"}
            answer = site.get(f"{target}?{query}", headers)
            assert answer.status == 301
            assert answer.header("location") == f"{wanted}?{query}"


def test_url_4_redirects_cannot_be_split(site: Site) -> None:
    """A query cannot put a header, or a host, into a redirect."""
    for target in ("/simple/A.B/?%0d%0aX-Evil:%201", "/simple?//evil.example", "/simple?\\evil"):
        answer = site.get(target)
        location = answer.header("location")
        assert answer.header("x-evil") is None
        if answer.status == 301:
            assert location is not None
            assert location.startswith("/simple/")
            assert not urlsplit(location).netloc
            assert re.fullmatch(r"[!-~]+", location)


def test_url_5_unknown_projects_are_404(site: Site) -> None:
    """A project that is not there is 404, in JSON and in HTML, and no cache keeps that."""
    for accept in (JSON, HTML, "text/html", "*/*"):
        answer = site.page("url-5-nobody", accept)
        assert answer.status == 404
        assert answer.words("cache-control") == {"no-store"}
    assert site.get("/simple/url-5-nobody").status in (301, 404)


def test_url_6_head_is_get_without_body(site: Site) -> None:
    """HEAD has the status and the headers of GET, the length included, and no body."""
    site.release("url-6")
    for door in DOORS:
        got, head = site.get(door), site.ask("HEAD", door)
        assert (head.status, head.body) == (200, b""), door
        variable = {"date", "x-request-id"}
        expected = {(key, text) for key, text in got.headers if key.lower() not in variable}
        assert {(k, v) for k, v in head.headers if k.lower() not in variable} == expected, door
        assert head.header("content-length") == str(len(got.body)), door


def test_url_6_head_of_what_is_missing(site: Site) -> None:
    """HEAD of what is not there is 404 like GET."""
    for door in ("/simple/url-6-x/", "/files/url-6-x/a-1.0.tar.gz", "/pypi/url-6-x/json"):
        assert (site.ask("HEAD", door).status, site.ask("HEAD", door).body) == (404, b"")


@pytest.mark.parametrize(
    "name",
    [
        ".", "..", "...", "-", "_", "-a", "a-", "a.", "_a", "a%2Fb", "a%2fb", "a%5Cb", "%2e%2e",
        "..%2f..%2fetc%2fpasswd", "%2e%2e%2fetc", "a%00", "%00", "a%0a", "a%0d%0aX:%201", "a b",
        "a%20b", "%20a", "%E2%84%AAelvin", "%c3%a9", "%ff", "%C5%BF", "a;b", "a:b", "a@b", "a'b",
        "a%22b", "<a>", "%3Cscript%3E", "a%", "a%2", "a%zz", "a" * 201, "a" * 5000, "@project",
        "a%25b", "a%252fb", "a*", "~", "a+b", "a!b", "$a", "(a)", "a,b", "a=b",
    ],
)  # fmt: skip
def test_url_7_invalid_names_are_404_or_400(site: Site, name: str) -> None:
    """What cannot be a name is 404 or 400 at every door, in one of our own answers."""
    for door in ("/simple/{}/", "/simple/{}", "/files/{}/a-1.0.tar.gz", "/pypi/{}/json",
                 "/pypi/a/{}/json", "/files/a/{}", "/legacy/+simple/{}/"):  # fmt: skip
        answer = site.get(door.format(name))
        if door == "/simple/{}" and answer.status == 301:
            pytest.fail(f"{name}: {answer.header('location')}")
        assert answer.status in (400, 404, 414), (door, answer)
        assert b"passwd" not in answer.body


def test_url_8_the_bare_root_ends_in_json(site: Site) -> None:
    """bandersnatch asks ``/simple`` for JSON; after the redirect it gets it."""
    moved = site.get("/simple", {"Accept": JSON})
    location = moved.header("location")
    assert location is not None
    answer = site.get(moved.resolve(location), {"Accept": JSON})
    assert answer.status == 200
    assert answer.json()["meta"]["api-version"] == "1.4"


def test_url_9_links_resolve_against_the_page(site: Site) -> None:
    """Every link of the HTML and the JSON page leads to the bytes; there is no base element."""
    made = site.release("url-9")
    page = site.page("url-9", "text/html")
    tree = markup.read(page.body)
    assert "base" not in tree.tags
    links = [tree.anchors[0].href, site.file("url-9")["url"]]
    for link in links:
        assert site.get(page.resolve(link)).body == made.content
    root = site.get("/simple/", {"Accept": "text/html"})
    assert "base" not in markup.read(root.body).tags


def test_url_10_url_11_url_12_file_urls(site: Site) -> None:
    """File URLs have no query and no host of another, and stay what they are."""
    made = site.release("url-10")
    first = site.file("url-10")["url"]
    parts = urlsplit(first)
    assert (parts.query, parts.netloc, parts.scheme) == ("", "", "")
    site.release("url-10", "2.0")
    site.manage("PATCH", f"projects/url-10/files/{made.filename}", b'{"yanked": true}')
    assert site.file("url-10", made.filename)["url"] == first
    poisoned = site.page("url-10", **{"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert b"evil.example" not in poisoned.body


def test_url_13_epochs_and_local_versions_survive(site: Site) -> None:
    """The last segment of a URL, decoded, is the filename; ``!`` and ``+`` come through."""
    version = "1!2.0+ubuntu.1"
    for made in (make_wheel("url-13", version), make_sdist("url-13", version)):
        site.publish(made, "url-13", version)
        listed = site.file("url-13", made.filename)
        target = site.location("url-13", made.filename)
        assert unquote(target.rpartition("/")[2]) == made.filename
        assert site.get(target).body == made.content
        encoded = target.replace("!", "%21").replace("+", "%2B")
        decoded = unquote(target)
        for spelling in (encoded, decoded):
            assert site.get(spelling).body == made.content, spelling
            if listed.get("core-metadata"):
                assert site.get(f"{spelling}.metadata").status == 200
        assert made.filename in [anchor.text for anchor in site.html("url-13").anchors]


def test_files_of_another_spelling_lead_to_the_normalised_one(site: Site) -> None:
    """A file under another spelling of its project is a redirect, with ``.metadata`` too."""
    made = site.release("url-14.x")
    for end in ("", ".metadata"):
        answer = site.get(f"/files/URL_14.X/{made.filename}{end}?a=b")
        assert answer.status == 301
        assert answer.header("location") == f"/files/url-14-x/{made.filename}{end}?a=b"


def test_ver_1_ver_2_ver_4_ver_5_the_version(site: Site) -> None:
    """HTML and JSON say 1.4, the type names the major alone, and nothing of PEP 708 is there."""
    site.release("ver-1")
    for target in ("/simple/", "/simple/ver-1/"):
        page = site.get(target, {"Accept": "text/html"})
        assert markup.read(page.body).metas["pypi:repository-version"] == "1.4"
        answer = site.get(target, {"Accept": JSON})
        assert answer.header("content-type") == JSON
        document = answer.json()
        assert document["meta"]["api-version"] == "1.4"
        assert not {"tracks", "alternate-locations"} & {*document, *document["meta"]}
        assert not {"data-tracks", "pypi:tracks"} & set(markup.read(page.body).metas)


def test_ver_3_no_namespaces_at_1_4(site: Site) -> None:
    """At 1.4 there is no key ``namespaces`` and there are no endpoints for them."""
    site.release("ver-3")
    assert "namespaces" not in site.detail("ver-3")
    assert site.get("/simple/namespaces").status in (301, 404)
    assert site.get("/simple/namespaces/").status == 404
    assert site.get("/simple/namespace/ver-3").status == 404
