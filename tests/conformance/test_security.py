"""What the predecessor got wrong and the stack does by itself (security: 1, 2, 3)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.client import request
from tests.conformance.site import ADMIN, READER, ROOT, Site
from tests.factories import Made, make_wheel

ESCAPES = ("../../../escape", "/tmp/escape", "..", "1.0/../../escape", "..\\escape", "1.0\x00")


def _outside(site: Site, made: Made) -> list[Path]:
    """What an escape from the storage would have written."""
    packages = site.state / "packages"
    return [
        path
        for path in site.state.parent.rglob("*")
        if packages not in path.parents and path.name.startswith(("escape", made.filename))
    ]


def test_p1_no_reading_through_another_project(site: Site) -> None:
    """A file is there below its own project alone, by any spelling and any method."""
    site.release("p1-mine")
    made = site.release("p1-secret")
    for project in ("p1-mine", "P1.Mine", "p1-absent"):
        for end in ("", ".metadata"):
            for method in ("GET", "HEAD"):
                answer = site.ask(method, f"/files/{project}/{made.filename}{end}")
                assert answer.status in (301, 404)
                location = answer.header("location")
                assert location is None or site.get(location).status == 404


def test_p2_no_deleting_through_another_project(site: Site) -> None:
    """A file of one project cannot be deleted or yanked through another."""
    site.release("p2-mine")
    made = site.release("p2-secret")
    for method, body in (("DELETE", b""), ("PATCH", b'{"yanked": true}')):
        path = f"/api/v1/projects/p2-mine/files/{made.filename}"
        headers = {"Content-Type": "application/json"}
        assert site.ask(method, path, headers, body, auth=ADMIN).status == 404
    assert not site.file("p2-secret").get("yanked")


@pytest.mark.parametrize("value", ESCAPES)
@pytest.mark.parametrize("field", ["name", "version", "filename"])
def test_p3_no_writing_outside(site: Site, field: str, value: str) -> None:
    """No field of an upload leads out of the storage, or to a key that nobody meant."""
    made = make_wheel("p3")
    before = site.keys()
    if field == "filename":
        site.refuse(Made(f"{value}/{made.filename}", made.content), "p3")
    else:
        site.refuse(made, "p3", fields={field: value})
    assert site.keys() == before
    assert not _outside(site, made)
    assert not Path("/tmp/escape").exists()


def test_p4_no_publishing_of_another_projects_filename(site: Site) -> None:
    """A file is published under the project that it is named after."""
    site.release("p4-secret")
    made = make_wheel("p4-secret", "9.9")
    message = site.refuse(made, "p4-mine", "9.9")
    assert message == "Start filename for 'p4-mine' with 'p4_mine'."
    assert site.page("p4-mine").status == 404


def test_p5_t01_unknown_is_never_elsewhere(site: Site, closed: Site) -> None:
    """A name that is not here, or not for the caller, is never a redirect to elsewhere."""
    closed.release("p5")
    for name in ("p5", "p5-absent"):
        assert closed.get(f"/simple/{name}/").status == 401
    assert closed.get("/simple/p5-absent/", auth=READER).status == 404
    assert site.get("/simple/p5-absent/").status == 404


def test_p7_t11_no_link_from_the_host_header(site: Site) -> None:
    """Whatever Host and forwarded headers say, no page, redirect or document repeats it."""
    site.release("p7.x")
    headers = [
        ("Host", "evil.example"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "host=evil.example"),
        ("X-Forwarded-Prefix", "/evil.example"),
        ("X-Forwarded-For", "evil.example"),
    ]
    for target in (
        "/simple/",
        "/simple/p7-x/",
        "/simple/P7.x/",
        "/simple",
        "/pypi/p7-x/json",
        "/",
        "/docs",
        "/openapi.json",
        "/legacy/+simple/p7-x/",
        "/api/v1/projects/p7-x",
    ):
        answer = site.get(target, headers)
        assert answer.status < 400
        where = [text for name, text in answer.headers if "evil.example" in text]
        assert b"evil.example" not in answer.body, target
        assert not where, target
        assert answer.header("strict-transport-security") is None


def test_p7_forged_client_headers_change_nothing(site: Site) -> None:
    """Forwarded headers of somebody who is no proxy of ours are not believed."""
    site.release("p7-forged")
    forged = site.page(
        "p7-forged", **{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "x.example"}
    )
    assert forged.body == site.page("p7-forged").body


def test_p8_the_predecessors_get_doors_do_nothing(site: Site) -> None:
    """Nothing is rebuilt, deleted or logged out by GET."""
    for target in ("/admin/rebuild", "/acct/logout", "/package/x/y"):
        assert site.get(target, auth=ADMIN).status in (404, 405)
    page = site.get("/admin", auth=ADMIN)  # for a browser's session, not for credentials
    assert (page.status, page.header("location")) == (303, "/login?next=/admin")
    for method in ("GET", "HEAD"):
        answer = site.ask(method, "/api/v1/projects/p8/files/x-1.0.tar.gz/restore", auth=ADMIN)
        assert answer.status in (404, 405)


def test_422_never_echoes(site: Site) -> None:
    """What is wrong with a JSON body is said without what was in it."""
    site.release("echo")
    headers = {"Content-Type": "application/json"}
    for body in (b'{"yanked": {"password": "hunter2"}}', b'{"hunter2": 1}', b"hunter2", b"[]",
                 b'{"yanked": "hunter2\\u0000", "other": "hunter2"}', b"\xff", b"{" * 100_000,
                 b'{"yanked": 1e999}', b'{"yanked": ' + b"9" * 10_000 + b"}", b""):  # fmt: skip
        answer = site.ask("PATCH", "/api/v1/projects/echo/releases/1.0", headers, body, auth=ADMIN)
        assert answer.status in (400, 413, 415, 422), body[:40]
        shown = json.dumps(answer.json()["message"])
        assert "hunter2" not in shown or body == b'{"hunter2": 1}', shown
    assert not site.file("echo").get("yanked")


def test_422_types_of_bodies(site: Site) -> None:
    """A body of another type is no JSON; a large one is refused unread."""
    site.release("echo-type")
    path = "/api/v1/projects/echo-type/releases/1.0"
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"Content-Type": kind} if kind else {}
        answer = site.ask("PATCH", path, headers, b'{"yanked": true}', auth=ADMIN)
        assert answer.status in (200, 400, 415, 422)
    large = [("Content-Type", "application/json"), ("Content-Length", str(100 << 20))]
    with site.connect() as connection:
        connection.send(request("PATCH", path, large, b"{", auth=ADMIN))
        assert connection.answer().status == 413


def test_docs_load_nothing_from_elsewhere(site: Site) -> None:
    """The description's page has its scripts from here."""
    page = site.get("/docs")
    assert page.status == 200
    assert b"https://" not in page.body
    assert b"//cdn" not in page.body
    policy = page.header("content-security-policy") or ""
    assert "'unsafe-inline'" not in policy
    assert "script-src 'self'" in policy


@pytest.mark.parametrize("doubled", ["Host", "Authorization", "Content-Length", "Content-Type"])
def test_doubled_headers_are_refused(site: Site, doubled: str) -> None:
    """A header of which there is one comes once, even if both say the same."""
    value = {"Host": "localhost", "Authorization": "Basic eDp5", "Content-Length": "0",
             "Content-Type": "text/plain"}[doubled]  # fmt: skip
    pairs = [("Host", "localhost")] if doubled != "Host" else []
    with site.connect() as connection:
        connection.send(request("POST", "/legacy/", [*pairs, (doubled, value), (doubled, value)]))
        assert connection.answer().status == 400


SMUGGLED = b"GET /simple/smuggled/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLING = {
    "both lengths": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both, other order": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "list of lengths": b"Content-Length: 0, 5\r\n\r\n",
    "signed length": b"Content-Length: +0\r\n\r\n",
    "hexadecimal length": b"Content-Length: 0x0\r\n\r\n",
    "negative length": b"Content-Length: -1\r\n\r\n",
    "spaced name": b"Content-Length : 0\r\n\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "identity": b"Transfer-Encoding: identity\r\n\r\n",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two encodings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "folded": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "chunk with sign": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "huge chunk": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
    "bare line feeds": b"X-A: b\nContent-Length: 0\r\n\r\n",
    "nul": b"X-A: a\x00b\r\n\r\n",
    "no host": b"",
}


@pytest.mark.parametrize("case", SMUGGLING)
def test_t10_nothing_is_smuggled(site: Site, case: str) -> None:
    """What two readers could frame differently is refused and the connection ends with it."""
    head = b"POST /legacy/ HTTP/1.1\r\n" + (b"" if case == "no host" else b"Host: localhost\r\n")
    tail = SMUGGLING[case] or b"\r\n"
    with site.connect() as connection:
        connection.send(head + tail + SMUGGLED)
        answer = connection.answer()
        assert answer.status in (400, 401, 501), answer
        if case == "no host":
            return  # it is framed well, and the next request is a request
        if answer.status == 401:
            assert case in ("identity", "folded"), case
        assert connection.ended(), case


@pytest.mark.parametrize(
    "line",
    [b"GET /simple/", b"GET  /simple/ HTTP/1.1", b"GET /simple/ HTTP/9.9", b"get /simple/ HTTP/1.1",
     b"GET simple HTTP/1.1", b"GET http://evil.example/simple/ HTTP/1.1", b"GET * HTTP/1.1",
     b"CONNECT evil.example:443 HTTP/1.1", b"TRACE /simple/ HTTP/1.1", b"BREW /simple/ HTTP/1.1",
     b"PROPFIND / HTTP/1.1", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0", b"GET /%zz HTTP/1.1",
     b"GET /simple/\xff HTTP/1.1", b"GET /sim ple/ HTTP/1.1", b"OPTIONS * HTTP/1.1",
     b"GET //evil.example/ HTTP/1.1", b"GET /\\evil.example HTTP/1.1",
     b"GET /simple/?" + b"q" * 70_000 + b" HTTP/1.1"],
)  # fmt: skip
def test_t10_request_lines(site: Site, line: bytes) -> None:
    """An odd request line is refused or answered, quickly, and never repeated or 500."""
    with site.connect(timeout=25) as connection:
        connection.send(line + b"\r\nHost: localhost\r\n\r\n")
        answer = connection.answer()
        assert answer.status in (200, 301, 400, 404, 405, 414, 421, 431, 501, 505), answer
        assert answer.status != 301 or (answer.header("location") or "").startswith("/simple")
        assert b"evil.example" not in answer.body


@pytest.mark.parametrize(
    "path",
    ["/simple/..", "/simple/../simple/", "/simple//", "//simple/", "/simple/./a/", "/simple/a;b/",
     "/simple/%2e%2e/", "/files/a/..%2f..%2fetc%2fpasswd", "/files/a/%2e%2e%2fb", "/files/a%2fb/c",
     "/files/a/b%00", "/files/a/b%5cc", "/files/../files/a/b", "/%2F%2F..%2fetc/passwd",
     "/docs/../../etc/passwd", "/docs/%2e%2e/main.py", "/docs/..%2fmain.py", "/docs/docs.html",
     "/simple/a/;x=y", "/files/a/%252e%252e%252fpasswd", "/static/../x", "/docs/swagger"],
)  # fmt: skip
def test_t08_t09_paths(site: Site, path: str) -> None:
    """No path leads anywhere that its plain reading does not."""
    for method in ("GET", "HEAD", "POST", "DELETE"):
        answer = site.ask(method, path)
        assert answer.status in (400, 401, 404, 405), (method, path, answer.status)
        assert b"root:" not in answer.body


def test_headers_of_every_answer(site: Site) -> None:
    """Every answer has the headers that keep browsers from harm, an id, and no server's name."""
    for target in ("/", "/simple/", "/absent", "/simple/..", "/docs", "/api/v1/reindex"):
        answer = site.get(target)
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("content-security-policy")
        assert answer.header("referrer-policy")
        assert answer.header("x-request-id")
        assert answer.header("server") is None
        assert answer.header("set-cookie") is None


def test_t23_no_secret_in_the_log(site: Site) -> None:
    """Passwords and tokens are in no line of the log, whatever was done with them."""
    secret = "s3cret-canary-4711"
    for auth in (("admin", secret), (secret, "x"), ("__token__", f"pypi-{secret}")):
        site.get("/simple/", auth=auth)
        site.upload(make_wheel("t23"), "t23", auth=auth)
    site.get("/simple/", {"Authorization": f"Bearer {secret}"})
    site.get("/simple/", {"Cookie": f"a={secret}"})
    assert secret not in site.log
    assert ADMIN[1] not in site.log
    assert READER[1] not in site.log


def test_401_says_the_same_of_known_and_unknown_users(closed: Site) -> None:
    """Wrong password and unknown user read the same."""
    known = closed.get("/simple/", auth=("admin", "wrong password here"))
    unknown = closed.get("/simple/", auth=("nobody-at-all", "wrong password here"))
    assert (known.status, known.body, known.reason) == (401, unknown.body, unknown.reason)
    same = {name for name, _ in known.headers} == {name for name, _ in unknown.headers}
    assert same


def test_the_project_names_no_cdn() -> None:
    """What the docs page loads is in the tree."""
    static = ROOT / "app" / "static"
    assert b"https://" not in (static / "docs.html").read_bytes()
