"""Clients that break off, lie about lengths, dawdle, pipeline and flood."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.conformance.client import MULTIPART, claim, multipart, request
from tests.conformance.site import ADMIN, JSON, Site
from tests.factories import Made, make_wheel

TARGETS = ("/", "/simple/", "/simple/odd/", "/simple/odd", "/legacy/", "/pypi", "/pypi/odd/json",
           "/files/odd/odd-1.0-py3-none-any.whl", "/files/odd/odd-1.0-py3-none-any.whl.metadata",
           "/docs", "/openapi.json", "/health/live", "/health/ready", "/api/v1/projects",
           "/api/v1/reindex", "/api/v1/changes", "/absent", "/favicon.ico", "/robots.txt",
           "/.well-known/x", "/_/oidc/audience", "/metrics")  # fmt: skip
METHODS = ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "POST")
ENDED = (http.client.HTTPException, ConnectionError)


@pytest.fixture(scope="module", autouse=True)
def _project(site: Site) -> None:
    site.release("odd")


@pytest.fixture(autouse=True)
def _still_there(site: Site) -> Iterator[None]:
    """Whatever a test did, the next client is served and nothing is left in the spool."""
    yield
    assert site.page("odd").status == 200
    deadline = time.monotonic() + 10
    while list((site.state / "spool").iterdir()):
        assert time.monotonic() < deadline, list((site.state / "spool").iterdir())
        time.sleep(0.02)


def _upload(name: str, size: int = 0) -> tuple[Made, bytes]:
    made = make_wheel(name, files={"x.bin": bytes(range(256)) * (size // 256)}, compression=0)
    return made, multipart(claim(made, name, "1.0").items(), made)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("reset", [False, True])
def test_upl_11_body_cut_in_the_middle(site: Site, part: float, reset: bool) -> None:
    """A client that goes away leaves nothing, and may come again."""
    name = f"odd-cut-{int(part * 100)}-{reset}".lower()
    made, body = _upload(name, 300_000)
    before = site.keys()
    length = [*MULTIPART.items(), ("Content-Length", str(len(body)))]
    connection = site.connect()
    connection.send(request("POST", "/legacy/", length, auth=ADMIN) + body[: int(len(body) * part)])
    if reset:
        linger = b"\x01\0\0\0\0\0\0\0"
        connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()
    time.sleep(0.05)
    assert site.page(name).status == 404
    assert site.keys() == before
    site.publish(made, name)


def test_upl_11_half_closed_before_the_end(site: Site) -> None:
    """A client that stops sending and goes on reading gets a refusal, or the end."""
    _, body = _upload("odd-half")
    length = [*MULTIPART.items(), ("Content-Length", str(len(body)))]
    with site.connect() as connection:
        connection.send(request("POST", "/legacy/", length, auth=ADMIN) + body[:-20])
        connection.finish()
        with suppress(*ENDED):
            assert connection.answer().status == 400
    assert site.page("odd-half").status == 404


def test_content_length_too_short(site: Site) -> None:
    """A form cut by its own Content-Length is refused; what follows is no second upload."""
    _, body = _upload("odd-short")
    short = [*MULTIPART.items(), ("Content-Length", str(len(body) - 30))]
    with site.connect() as connection:
        connection.send(request("POST", "/legacy/", short, auth=ADMIN) + body)
        assert connection.answer().status == 400
        with suppress(*ENDED):
            assert connection.answer().status == 400
        assert connection.ended()
    assert site.page("odd-short").status == 404


@pytest.mark.parametrize(
    "chunks", [b"5\r\nabc", b"zz\r\n", b"3\r\nabcdef\r\n0\r\n\r\n", b"0\r\nX: y\r\n", b"\r\n\r\n"]
)
def test_upl_24_broken_chunks(site: Site, chunks: bytes) -> None:
    """A chunked body that is not well formed is 400 or the end of the connection."""
    chunked = [*MULTIPART.items(), ("Transfer-Encoding", "chunked")]
    with site.connect() as connection:
        connection.send(request("POST", "/legacy/", chunked, auth=ADMIN) + chunks)
        connection.finish()
        with suppress(*ENDED):
            assert connection.answer().status == 400


def test_upl_24_trickling_chunks(site: Site) -> None:
    """A body that comes a byte at a time is a body."""
    made, body = _upload("odd-trickle")
    chunked = [*MULTIPART.items(), ("Transfer-Encoding", "chunked")]
    with site.connect() as connection:
        connection.send(request("POST", "/legacy/", chunked, auth=ADMIN))
        for at in range(200):
            connection.send(b"1\r\n%s\r\n" % body[at : at + 1])
        rest = body[200:]
        connection.send(b"%x;extension=x\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(rest), rest))
        assert connection.answer().status == 200
    assert site.file("odd-trickle")["hashes"]["sha256"] == made.sha256


def test_expect_something_else(site: Site) -> None:
    """An expectation that nobody knows is ignored, or 417."""
    _, body = _upload("odd-expect")
    odd = [*MULTIPART.items(), ("Expect", "200-ok")]
    assert site.ask("POST", "/legacy/", odd, body, auth=ADMIN).status in (200, 417)


def test_expect_and_sent_at_once(site: Site) -> None:
    """A client that expects 100 and does not wait for it is served all the same."""
    _, body = _upload("odd-eager", 100_000)
    eager = [*MULTIPART.items(), ("Expect", "100-continue")]
    with site.connect() as connection:
        connection.send(request("POST", "/legacy/", eager, body, auth=ADMIN))
        assert connection.answer().status == 200


def test_slow_body_of_a_refused_upload(site: Site) -> None:
    """The refusal of an upload comes while its body is still on its way."""
    length = [*MULTIPART.items(), ("Content-Length", "5000000")]
    with site.connect(timeout=5) as connection:
        connection.send(request("POST", "/legacy/", length, b"x" * 1000))
        answer = connection.answer()
        assert answer.status == 401
        assert (answer.header("connection") or "").lower() == "close"


def test_slow_body_is_waited_for(site: Site) -> None:
    """A body that comes in pieces with pauses is taken."""
    _, body = _upload("odd-slow")
    length = [*MULTIPART.items(), ("Content-Length", str(len(body)))]
    with site.connect() as connection:
        connection.send(request("POST", "/legacy/", length, auth=ADMIN))
        for at in range(0, len(body), len(body) // 5 + 1):
            connection.send(body[at : at + len(body) // 5 + 1])
            time.sleep(0.1)
        assert connection.answer().status == 200


def test_two_uploads_on_one_connection(site: Site) -> None:
    """Pipelined uploads are answered in order, and the connection stays usable."""
    first, second = _upload("odd-pipe-1"), _upload("odd-pipe-2", 200_000)
    sent = [request("POST", "/legacy/", MULTIPART, body, auth=ADMIN) for _, body in (first, second)]
    wrong = request("POST", "/legacy/", MULTIPART, first[1])
    with site.connect() as connection:
        connection.send(sent[0] + sent[1] + request("GET", "/simple/odd-pipe-2/"))
        assert [connection.answer().status for _ in range(3)] == [200, 200, 200]
        connection.send(sent[0])
        assert connection.answer().status == 200
        connection.send(wrong + request("GET", "/health/live"))
        assert connection.answer().status == 401
        with suppress(*ENDED):
            assert connection.answer().status == 200
    assert site.file("odd-pipe-1")["hashes"]["sha256"] == first[0].sha256
    assert site.file("odd-pipe-2")["hashes"]["sha256"] == second[0].sha256


def test_a_refusal_read_whole_keeps_the_connection(site: Site) -> None:
    """After a small refused upload the same connection serves the next, or says that it closes."""
    _, body = _upload("odd-again")
    with site.connect() as connection:
        connection.send(request("POST", "/legacy/", MULTIPART, body[:-5] + b"\r\n", auth=ADMIN))
        refused = connection.answer()
        assert refused.status == 400
        if (refused.header("connection") or "").lower() == "close":
            assert connection.ended()
            return
        connection.send(request("POST", "/legacy/", MULTIPART, body, auth=ADMIN))
        assert connection.answer().status == 200


def test_pipelined_reads(site: Site) -> None:
    """A hundred requests sent at once are answered in their order."""
    with site.connect() as connection:
        connection.send(
            b"".join(request("GET", f"/simple/{name}/") for name in ("odd", "odd-absent") * 50)
        )
        assert [connection.answer().status for _ in range(100)] == [200, 404] * 50


def test_head_on_a_lasting_connection(site: Site) -> None:
    """After a HEAD, and after a 304, the next answer begins where it should."""
    target = site.location("odd")
    tag = site.get(target).header("etag") or ""
    with site.connect() as connection:
        for method, headers, status in (("HEAD", {}, 200), ("GET", {"If-None-Match": tag}, 304),
                                        ("HEAD", {"Range": "bytes=0-1"}, 200), ("GET", {}, 200),
                                        ("GET", {"Range": "bytes=0-1"}, 206)):  # fmt: skip
            connection.send(request(method, target, headers))
            assert connection.answer(target, method).status == status


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", TARGETS)
def test_methods_at_odd_places(site: Site, method: str, target: str) -> None:
    """Any method anywhere is an answer below 500 (501 for none at all), for anybody."""
    for body in (None, b"", b"x=y", b"{}"):
        for auth in (None, ADMIN):
            answer = site.ask(method, target, body=body, auth=auth)
            assert answer.status < 500, (method, target, answer)
            if answer.status == 405:
                assert answer.header("allow"), (method, target)
                assert answer.header("content-type") == "application/json"
    assert site.page("odd").status == 200


def test_get_with_a_body(site: Site) -> None:
    """A body where none belongs does not disturb the next request."""
    with site.connect() as connection:
        for _ in range(3):
            connection.send(request("GET", "/simple/odd/", {"Accept": JSON}, b"x" * 5000))
            answer = connection.answer()
            assert answer.status == 200
            assert answer.json()["name"] == "odd"
            if (answer.header("connection") or "").lower() == "close":
                break


@pytest.mark.parametrize("length", [1_000, 7_000, 9_000, 60_000, 200_000])
def test_very_long_queries(site: Site, length: int) -> None:
    """A long query is ignored, a longer one refused as too long."""
    with site.connect() as connection:
        connection.send(request("GET", f"/simple/odd/?{'q' * length}"))
        try:
            status = connection.answer().status
        except ConnectionError:
            assert length > 60_000
            return
    assert status == (200 if length < 8_000 else status)
    assert status in (200, 400, 414, 431)


@pytest.mark.parametrize(
    "headers",
    [[(f"X-{n}", "y") for n in range(90)], [(f"X-{n}", "y") for n in range(101)],
     [(f"X-{n}", "y") for n in range(9000)], [("X", "y" * 30_000)], [("X", "y" * 40_000)],
     [("X", "y" * 3_000_000)], [("Cookie", "a=b; " * 5000)], [("Accept", "a/b," * 6000)],
     [("If-None-Match", '"a",' * 6000)], [("Accept-Encoding", "gzip," * 5000)],
     [("Range", "bytes=" + "0-1," * 6000)], [("Authorization", "Basic " + "A" * 30_000)],
     [("Accept", "*/*;q=" + "0" * 20_000)], [("Accept", "text/html" + ";a=b" * 6000)]],
    ids=lambda headers: f"{len(headers)}-{headers[0][0]}-{len(headers[0][1])}",
)  # fmt: skip
def test_header_floods(site: Site, headers: list[tuple[str, str]]) -> None:
    """Many and long headers are served or refused, quickly."""
    began = time.monotonic()
    for target in ("/simple/odd/", "/files/odd/odd-1.0-py3-none-any.whl"):
        with site.connect() as connection:
            try:
                connection.send(request("GET", target, headers))
                answer = connection.answer()
                assert answer.status in (200, 206, 400, 401, 406, 416, 431)
            except (ConnectionError, http.client.BadStatusLine):
                assert len(headers[0][1]) + len(headers) > 8_000
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("name", "value"),
    [("Accept", "\u00e9/\u00e9"), ("Accept", "\x7f"), ("If-None-Match", "\u00ff"),
     ("Range", "\u00e9"), ("Host", "a b"), ("Host", ""),
     ("Host", "localhost:99999999"), ("Host", "[::1"),
     ("Host", "local_host"), ("Host", "a@b"), ("Host", "localhost/x"), ("Host", "\u00e9.example"),
     ("Content-Type", "\u00e9"), ("Transfer-Encoding", "\u00e9"),
     ("Cookie", "\u00e9=\u00e9"), ("X-\u00e9", "x"), ("X Y", "z"), ("", "x"),
     ("Upgrade", "websocket"), ("Upgrade", "h2c"), ("Connection", "upgrade"), ("Connection", ""),
     ("Content-Encoding", "gzip"), ("TE", "trailers"), ("Max-Forwards", "0")],
)  # fmt: skip
def test_odd_headers(site: Site, name: str, value: str) -> None:
    """Headers that make no sense are read over or refused, never an error of ours."""
    for target in ("/simple/odd/", "/files/odd/odd-1.0-py3-none-any.whl", "/pypi/odd/json"):
        with site.connect() as connection:
            connection.send(request("GET", target, [(name, value)]))
            assert connection.answer().status in (200, 400, 401, 406, 417, 421, 501)


def test_websockets_are_no_business_of_ours(site: Site) -> None:
    """An upgrade to WebSocket is answered as the request that it is, or refused."""
    upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
               ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]  # fmt: skip
    assert site.get("/simple/odd/", upgrade).status in (200, 400, 403, 426)


def test_http_1_0(site: Site) -> None:
    """HTTP/1.0 without Host is served, and the connection ends."""
    with site.connect() as connection:
        connection.send(b"GET /simple/odd/ HTTP/1.0\r\n\r\n")
        answer = connection.answer()
        assert answer.status == 200
        assert connection.ended()


@pytest.mark.slow
def test_slow_clients_are_let_go(site: Site) -> None:
    """Headers and bodies that stop coming are 408, or the end, in less than a minute."""
    length = [*MULTIPART.items(), ("Content-Length", "100000")]
    with (
        site.connect(timeout=60) as silent,
        site.connect(timeout=60) as head,
        site.connect(timeout=60) as body,
    ):
        head.send(b"GET /simple/ HTTP/1.1\r\nHost: local")
        body.send(request("POST", "/legacy/", length, auth=ADMIN) + b"-" * 100)
        assert silent.ended()
        assert head.answer().status == 408
        assert head.ended()
        assert body.answer().status == 408
        assert body.ended()


def test_connections_that_say_nothing(site: Site) -> None:
    """Many open connections that say nothing keep nobody from reading."""
    idle = [site.connect() for _ in range(100)]
    try:
        for connection in idle[:50]:
            connection.send(b"GET /simple/ HTT")
        for _ in range(20):
            assert site.page("odd").status == 200
        site.release("odd-crowded")
    finally:
        for connection in idle:
            connection.close()
    site.manage("DELETE", "projects/odd-crowded")


def test_reader_that_goes_away(site: Site) -> None:
    """A client that leaves in the middle of a large download disturbs nobody."""
    made, _ = _upload("odd-large", 8 << 20)
    site.publish(made, "odd-large")
    target = site.location("odd-large")
    for _ in range(5):
        connection = site.connect()
        connection.send(request("GET", target))
        assert connection.line().startswith("HTTP/1.1 200")
        connection.close()
    assert site.get(target).body == made.content
