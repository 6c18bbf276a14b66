"""The guard, asked by raw sockets through a real server."""

from __future__ import annotations

import ipaddress
import json
import logging
import select
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app import answers
from app.guard import BodyLimits, Guard, Hosts, Proxies
from app.protocol import Protocol
from tests.serving import Answer, Served, read_answer, serving


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what the application sees; ``/deaf`` does so without reading the body."""
    if scope["type"] == "lifespan":
        return
    count = 0
    more = scope["path"] != "/deaf"
    while more:
        message = await receive()
        count += len(message.get("body", b""))
        more = message.get("more_body", False)
    seen = {
        "path": scope["path"],
        "root_path": scope["root_path"],
        "scheme": scope["scheme"],
        "client": scope["client"][0],
        "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
        "count": count,
    }
    body = json.dumps(seen).encode()
    status = 401 if scope["path"] == "/deaf" else 200
    headers = [(b"content-length", str(len(body)).encode())]
    if scope["path"] == "/framed":
        headers.append((b"Content-Security-Policy", b"default-src 'self'"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def guarded(
    *,
    hosts: Hosts | None = None,
    proxies: Proxies | None = None,
    limits: BodyLimits | None = None,
    root_path: str = "",
) -> Guard:
    """The guard around ``tell``."""
    return Guard(
        tell,
        hosts=hosts or Hosts(),
        proxies=proxies or Proxies(),
        limits=limits or BodyLimits(upload=100_000, form=1000, xml=500, other=2000),
        root_path=root_path,
    )


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """The guard with ordinary settings."""
    with serving(guarded(), lifespan="off") as running:
        yield running


def refused(answer: Answer, status: int) -> str:
    """Check the shape of a refusal; returns its message."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    shape = json.loads(answer.body)
    assert shape["code"] == f"{status} {shape['message']}"
    message: str = shape["message"]
    return message


@pytest.mark.parametrize("name", ["Host", "Authorization", "Content-Length", "Content-Type"])
def test_a_header_that_may_stand_once_is_refused_twice(served: Served, name: str) -> None:
    """Two Host, Authorization, Content-Length or Content-Type headers are 400."""
    value = {"Host": "localhost", "Content-Length": "0"}.get(name, "Basic YTpi")
    request = f"POST / HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\n"
    second = "" if name == "Host" else f"{name}: {value}\r\n"
    assert served.send(f"{request}{second}\r\n".encode()).status == 400


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: identity",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: \x0bchunked",),
        ("Content-Length: +4",),
        ("Content-Length: 4, 4",),
        ("Content-Length : 4",),
    ],
)
def test_framing_that_two_readers_might_understand_differently(
    served: Served, lines: tuple[str, ...]
) -> None:
    """Ambiguous lengths are refused, and what follows is not answered as a second request."""
    smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = "\r\n".join(["POST / HTTP/1.1", "Host: localhost", *lines, "", ""]).encode("latin-1")
    with served.connection() as connected:
        connected.sendall(head + smuggled)
        received = b""
        connected.settimeout(0.5)
        try:
            while chunk := connected.recv(65536):
                received += chunk
        except (TimeoutError, ConnectionResetError):
            pass
    assert received.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), received
    assert b"smuggled" not in received


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX\x00: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_a_malformed_request_is_400(served: Served, request_bytes: bytes) -> None:
    """Bare LF, folding, NUL, a missing Host and raw bytes are refused."""
    assert served.send(request_bytes).status == 400


def test_too_many_headers_are_431(served: Served) -> None:
    """A hundred header fields pass, one more does not."""
    fields = [f"X-{number}: a" for number in range(99)]
    assert served.ask("/", *fields).status == 200
    refused(served.ask("/", *fields, "X-99: a"), 431)


def test_too_large_headers_are_431(served: Served) -> None:
    """Header fields of more than 32 KiB are refused."""
    assert served.ask("/", f"X: {'a' * 30_000}").status == 200
    refused(served.ask("/", f"X: {'a' * 33_000}"), 431)


def test_a_long_url_is_414(served: Served) -> None:
    """Path and query of more than 8 KiB are refused."""
    refused(served.ask(f"/?q={'a' * 8200}"), 414)


@pytest.mark.parametrize(
    "target",
    [
        "//simple/",
        "/simple//x/",
        "/simple/../x/",
        "/simple/./x/",
        "/.git/config",
        "/simple/%2e%2e/x/",
        "/simple/.%2e/x/",
        "/simple/x%2f..%2fy/",
        "/simple/x%2Fy/",
        "/simple/x%5cy/",
        "/simple/x\\y/",
        "/simple/x%00/",
        "/simple/x%0d%0aSet-Cookie:%20a/",
        "/simple/x%7f/",
        "/simple/x;a=b/",
        "/simple/x%3ba/",
        "/simple/%zz/",
        "/simple/%",
        "/simple/%4",
        "/simple/%C3%A9/",
        "/simple/%ff/",
        "/simple/a|b/",
        "/simple/<script>/",
    ],
)
def test_a_strange_path_is_refused_and_not_echoed(served: Served, target: str) -> None:
    """What gate and router could read differently is 400, and the answer does not repeat it."""
    answer = served.ask(target)
    assert answer.status == 400
    assert b"script" not in answer.body
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/simple/zope.interface/", "/simple/zope.interface/"),
        ("/legacy/%2Bsimple/x/", "/legacy/+simple/x/"),
        ("/files/x/x-1.0+local-1!2~3_a.tar.gz", "/files/x/x-1.0+local-1!2~3_a.tar.gz"),
        ("/files/x/x-1.0%2Blocal.whl", "/files/x/x-1.0+local.whl"),
        ("/simple/%66lask/", "/simple/flask/"),
        ("/simple/a%20b/", "/simple/a b/"),
        ("/simple/x/?format=a//b/../%2f;c", "/simple/x/"),
    ],
)
def test_an_ordinary_path_passes(served: Served, target: str, path: str) -> None:
    """Names, versions and their encodings reach the application, decoded once."""
    answer = served.ask(target)
    assert answer.status == 200
    assert json.loads(answer.body)["path"] == path


@pytest.mark.parametrize(("method", "status"), [("TRACE", 405), ("PURGE", 501), ("PROPFIND", 501)])
def test_methods_that_nothing_here_has(served: Served, method: str, status: int) -> None:
    """TRACE is 405, what HTTP did not define for us is 501."""
    refused(served.ask("/", method=method), status)


def test_every_answer_carries_the_security_headers(served: Served) -> None:
    """Successes and refusals alike; an application's own policy stands."""
    for answer in (served.ask("/"), served.ask("//")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert len(answer.headers["x-request-id"]) == 16
        assert "strict-transport-security" not in answer.headers
    framed = served.ask("/framed")
    assert framed.headers["content-security-policy"] == "default-src 'self'"


class TestHosts:
    """Which Host headers are served."""

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:80", "any.example"])
    def test_any_well_formed_host_is_served_where_none_is_set(
        self, served: Served, host: str
    ) -> None:
        """Without settings no link is built from it, so any will do."""
        assert served.ask("/", f"Host: {host}").status == 200

    @pytest.mark.parametrize(
        "host", ["", "a b", "user@localhost", "a/b", "localhost:x", "[::1", "a,b", "é.example"]
    )
    def test_a_malformed_host_is_400(self, served: Served, host: str) -> None:
        """A Host that is no host and port is refused."""
        refused(served.ask("/", f"Host: {host}"), 400)

    def test_only_set_hosts_and_loopback_are_served(self) -> None:
        """Others are 421, but for probes; a star stands for what is below."""
        hosts = Hosts({"pypi.example", "*.inner.example"})
        with serving(guarded(hosts=hosts), lifespan="off") as running:
            for host in ("PYPI.example:443", "a.inner.example", "localhost:1", "127.0.0.1"):
                assert running.ask("/", f"Host: {host}").status == 200, host
            for host in ("evil.example", "inner.example", "pypi.example.evil.example"):
                assert "evil" not in refused(running.ask("/", f"Host: {host}"), 421)
            assert running.ask("/health/live", "Host: 10.1.2.3:8000").status == 200
            refused(running.ask("/healthy", "Host: 10.1.2.3:8000"), 421)


class TestProxies:
    """Whose forwarded headers are believed."""

    FORWARDED = (
        "X-Forwarded-For: 198.51.100.7, 10.9.9.9",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: pypi.example",
        "Forwarded: for=198.51.100.1",
    )

    def seen(self, proxies: Proxies, *headers: str) -> dict[str, object]:
        """What the application sees of a request with these headers."""
        with serving(guarded(proxies=proxies), lifespan="off") as running:
            answer = running.ask("/", *headers)
        assert answer.status == 200
        found: dict[str, object] = json.loads(answer.body)
        return found

    def test_nobody_is_believed_by_default(self) -> None:
        """The headers change nothing and are gone."""
        seen = self.seen(Proxies(), *self.FORWARDED)
        assert (seen["client"], seen["scheme"]) == ("127.0.0.1", "http")
        assert seen["headers"] == [["host", "localhost"]]

    def test_one_hop_is_believed(self) -> None:
        """The last address, the scheme and the host are those that the proxy reports."""
        seen = self.seen(Proxies([ipaddress.ip_network("127.0.0.0/8")]), *self.FORWARDED)
        assert (seen["client"], seen["scheme"]) == ("10.9.9.9", "https")
        assert seen["headers"] == [["host", "pypi.example"]]

    def test_a_second_hop_counts_only_behind_a_trusted_one(self) -> None:
        """With two hops, the address before is the client's if the nearer proxy is trusted."""
        near = [ipaddress.ip_network("127.0.0.0/8")]
        both = [*near, ipaddress.ip_network("10.0.0.0/8")]
        assert self.seen(Proxies(both, hops=2), *self.FORWARDED)["client"] == "198.51.100.7"
        assert self.seen(Proxies(near, hops=2), *self.FORWARDED)["client"] == "10.9.9.9"

    def test_a_client_cannot_put_addresses_before_ours(self) -> None:
        """What stands further left than the hops is the client's invention."""
        spoofed = "X-Forwarded-For: 127.0.0.1, 127.0.0.1, 203.0.113.9"
        proxies = Proxies([ipaddress.ip_network("127.0.0.0/8")], hops=3)
        assert self.seen(proxies, spoofed)["client"] == "203.0.113.9"

    @pytest.mark.parametrize(
        "header",
        [
            "X-Forwarded-For: unknown",
            "X-Forwarded-Proto: javascript",
            "X-Forwarded-Host: a/b@c",
        ],
    )
    def test_nonsense_of_a_trusted_proxy_changes_nothing(self, header: str) -> None:
        """What is no address, scheme or host is left out."""
        seen = self.seen(Proxies([ipaddress.ip_network("127.0.0.0/8")]), header)
        assert (seen["client"], seen["scheme"]) == ("127.0.0.1", "http")
        assert seen["headers"] == [["host", "localhost"]]

    def test_https_in_front_of_us_brings_hsts(self) -> None:
        """Strict-Transport-Security stands on answers to what came over TLS."""
        proxies = Proxies([ipaddress.ip_network("127.0.0.0/8")])
        with serving(guarded(proxies=proxies), lifespan="off") as running:
            answer = running.ask("/", "X-Forwarded-Proto: https")
        assert "max-age" in answer.headers["strict-transport-security"]


def test_the_root_path_may_be_stripped_or_not() -> None:
    """Below a root path the application sees the same, whatever the proxy does."""
    with serving(guarded(root_path="/pkg"), lifespan="off") as running:
        for target in ("/pkg/simple/", "/simple/"):
            seen = json.loads(running.ask(target).body)
            assert (seen["path"], seen["root_path"]) == ("/pkg/simple/", "/pkg")


FORM = "Content-Type: multipart/form-data; boundary=x"
CHUNKED = "Transfer-Encoding: chunked"


class TestBodies:
    """Limits by route and kind, time-outs, and how an unread body is left."""

    @pytest.mark.parametrize(
        ("target", "kind", "limit"),
        [
            ("/legacy/", FORM, 101_000),
            ("/", FORM, 101_000),
            ("/pypi", FORM, 101_000),
            ("/pypi", "Content-Type: text/xml", 500),
            ("/legacy/", "Content-Type: application/json", 2000),
            ("/api/v1/reindex", FORM, 2000),
        ],
    )
    def test_the_limit_is_that_of_the_route(
        self, served: Served, target: str, kind: str, limit: int
    ) -> None:
        """A body may be as long as the limit, by declaration and by count."""
        fits = served.ask(
            target, kind, f"Content-Length: {limit}", method="POST", body=b"a" * limit
        )
        assert json.loads(fits.body)["count"] == limit
        over = served.ask(target, kind, f"Content-Length: {limit + 1}", method="POST")
        refused(over, 413)

    def test_a_chunked_body_is_counted(self, reading: Served) -> None:
        """Without a declared length the limit holds all the same."""
        chunk = b"ffff\r\n" + b"a" * 0xFFFF + b"\r\n0\r\n\r\n"
        refused(reading.ask("/read", CHUNKED, method="POST", body=chunk), 413)
        chunk = b"5\r\nabcde\r\n0\r\n\r\n"
        assert reading.ask("/read", CHUNKED, method="POST", body=chunk).body == b"5"

    @pytest.mark.parametrize("target", ["/deaf", "/a//b"])
    def test_upl_17_a_client_that_sends_all_first_gets_the_refusal(self, target: str) -> None:
        """The answer comes at once; the body is read all the same, so nothing breaks the pipe."""
        length = 30 * 2**20
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        limits = BodyLimits(upload=1, other=length)
        with (
            serving(guarded(limits=limits), lifespan="off") as running,
            running.connection() as connected,
        ):
            connected.sendall(head.encode())
            for _ in range(30):
                connected.sendall(b"a" * 2**20)
            answer = read_answer(connected)
            assert connected.recv(1) == b""
        assert answer.status in (400, 401)
        assert answer.headers["connection"] == "close"

    def test_upl_17_a_client_that_looks_gets_the_refusal_at_once(self, served: Served) -> None:
        """The answer does not wait for the body."""
        with served.connection() as connected:
            connected.sendall(b"POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
            assert read_answer(connected).status == 401
            connected.sendall(b"a" * 100)
            assert connected.recv(1) == b""

    def test_upl_24_whoever_expects_100_gets_the_refusal_alone(self, served: Served) -> None:
        """Expect: 100-continue is not answered where the body is not wanted."""
        answer = served.ask("/deaf", "Expect: 100-continue", "Content-Length: 1000", method="POST")
        assert answer.status == 401

    def test_upl_24_whoever_expects_100_gets_it_where_the_body_is_read(
        self, served: Served
    ) -> None:
        """Expect: 100-continue is answered when the application reads."""
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        with served.connection() as connected:
            connected.sendall(head + b"Content-Length: 3\r\n\r\n")
            assert connected.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connected.sendall(b"abc")
            assert json.loads(read_answer(connected).body)["count"] == 3

    def test_a_body_that_stops_coming_is_408(self, reading: Served) -> None:
        """A client that is silent for too long is told so and cut off."""
        began = time.monotonic()
        answer = reading.ask("/read", "Content-Length: 10", method="POST", body=b"a")
        refused(answer, 408)
        assert answer.headers["connection"] == "close"
        assert time.monotonic() - began < 5

    def test_a_body_that_trickles_is_408(self, reading: Served) -> None:
        """A byte now and then does not keep a connection."""
        with reading.connection() as connected:
            connected.sendall(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n")
            for _ in range(100):
                connected.sendall(b"a")
                time.sleep(0.02)
                if select.select([connected], [], [], 0)[0]:
                    break
            refused(read_answer(connected), 408)

    def test_a_body_that_the_client_breaks_off_costs_nothing(self, reading: Served) -> None:
        """A client that goes away midway leaves a server that goes on."""
        with reading.connection() as connected:
            connected.sendall(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na")
        assert reading.ask("/read", "Content-Length: 1", method="POST", body=b"a").status == 200


class TestFailures:
    """What an application does not catch."""

    def test_an_unexpected_error_is_500_without_detail(
        self, reading: Served, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The answer names the request; the log has the traceback under that name, once."""
        answer = reading.ask("/fail")
        message = refused(answer, 500)
        assert answer.headers["x-request-id"] in message
        assert "secret" not in message
        deadline = time.monotonic() + 5
        logged: list[logging.LogRecord] = []
        while not logged and time.monotonic() < deadline:
            request_id = answer.headers["x-request-id"]
            logged = [entry for entry in caplog.records if request_id in entry.getMessage()]
        assert len(logged) == 1
        assert logged[0].exc_info is not None

    def test_an_error_midway_cuts_the_connection(self, reading: Served) -> None:
        """A part of an answer never looks whole."""
        with reading.connection() as connected:
            connected.sendall(b"GET /break HTTP/1.1\r\nHost: a\r\n\r\n")
            with pytest.raises(ConnectionError):
                read_answer(connected)


@pytest.fixture
def reading() -> Iterator[Served]:
    """FastAPI with our errors inside the guard, whose times are short."""
    application = FastAPI(exception_handlers=dict(answers.HANDLERS))

    @application.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    @application.get("/fail")
    async def fail() -> None:
        raise RuntimeError("a secret")

    @application.get("/break")
    async def midway() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"a" * 10
            raise OSError

        return StreamingResponse(parts(), headers={"Content-Length": "20"})

    limits = BodyLimits(upload=1, other=2000, idle=0.3, grace=0.2, rate=1000)
    guard = Guard(application, hosts=Hosts(), proxies=Proxies(), limits=limits)
    with serving(guard, lifespan="off") as running:
        yield running


def test_under_plain_uvicorn_the_guard_is_the_same() -> None:
    """Only the reason phrase is our protocol's."""
    ours = served_refusal(Protocol)
    plain = served_refusal(HttpToolsProtocol)
    assert (ours.status, ours.body) == (plain.status, plain.body)
    assert ours.reason.startswith("The path has")
    assert plain.reason == "Bad Request"


def served_refusal(protocol: type[HttpToolsProtocol]) -> Answer:
    """What a strange path gets under a protocol."""
    with serving(guarded(), protocol=protocol, lifespan="off") as running:
        return running.ask("/a//b")
