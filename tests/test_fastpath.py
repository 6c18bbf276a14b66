"""One answer, whichever way it takes: our protocol, pure ASGI, or the doors themselves."""

from __future__ import annotations

import base64
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.config import Settings
from app.hot import Hot
from app.main import create_app
from app.protocol import Protocol
from tests.conformance.client import Client
from tests.conftest import ADMIN
from tests.factories import Made, make_wheel
from tests.serving import Served, serving_ready

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
BASIC = "Basic " + base64.b64encode(":".join(ADMIN).encode()).decode()
WRONG = "Basic " + base64.b64encode(b"admin:some other words").decode()
DEMO = make_wheel("demo", "1.0")
TOO_LATE = 30.0


class Ways:
    """The same index, served in three ways: by our protocol, by ASGI alone, by its doors."""

    def __init__(self, served: list[Served], hots: list[Hot]) -> None:
        self.served, self.hots = served, hots
        self.ours, self.asgi, self.doors = served

    @property
    def given(self) -> list[int]:
        """How many answers each gave without asking a door."""
        return [hot.given for hot in self.hots]

    def settle(self) -> None:
        """Wait until each has heard of what another one took, which is a matter of polls."""
        sent = _request("GET", "/simple/", f"Authorization: {BASIC}", f"Accept: {JSON}")
        ends = time.monotonic() + TOO_LATE
        while len({self.exchange(served, sent) for served in self.served}) > 1:
            assert time.monotonic() < ends
            time.sleep(0.02)

    def exchange(self, served: Served, sent: bytes, answers: int = 1) -> bytes:
        """All that comes back for these bytes, and nothing of what differs each time."""
        with served.connection(timeout=TOO_LATE) as connected:
            connected.sendall(sent)
            received = b""
            for _ in range(answers):
                received += _whole(connected, head=sent.startswith(b"HEAD"))
        received = re.sub(rb"(?m)^date: [^\r]+", b"date: now", received)
        return re.sub(rb"(?m)^x-request-id: [0-9a-f]{16}\r", b"x-request-id: id\r", received)


def _whole(connected: socket.socket, *, head: bool) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connected.recv(1)
    length = re.search(rb"(?mi)^content-length: (\d+)", received)
    missing = int(length[1]) if length and not head and b" 304 " not in received[:20] else 0
    while missing:
        chunk = connected.recv(missing)
        assert chunk, received
        received += chunk
        missing -= len(chunk)
    return received


@pytest.fixture(scope="module", params=["everyone", "authenticated"])
def ways(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ways]:
    """Three servers of one folder, which hold one project; two of them remember answers."""
    folder = tmp_path_factory.mktemp("ways")
    with ExitStack() as stack:
        served: list[Served] = []
        hots: list[Hot] = []
        for protocol, memory in ((Protocol, 2**28), (HttpToolsProtocol, 2**28), (Protocol, 1)):
            app = create_app(_settings(folder, request.param, memory))
            _tell_hot(app, hots)
            served.append(stack.enter_context(serving_ready(app, protocol=protocol)))
        _upload(served[0], DEMO, "demo", "1.0")
        ways = Ways(served, hots)
        ways.settle()
        yield ways


def _tell_hot(app: FastAPI, hots: list[Hot]) -> None:
    """Add what the application keeps hot to the list, once it has started."""
    opened = app.router.lifespan_context

    @asynccontextmanager
    async def telling(of: FastAPI) -> AsyncIterator[Any]:
        async with opened(of) as state:
            hots.append(cast(dict[str, Any], state)["hot"])
            yield state

    app.router.lifespan_context = telling


def _settings(folder: Path, read: str, memory: int) -> Settings:
    return Settings(
        storage=f"file:{folder}/packages",
        cache=f"sqlite+aiosqlite:///{folder}/cache.db",
        access=f"sqlite+aiosqlite:///{folder}/access.db",
        spool=folder / "spool",
        admin_password=SecretStr(ADMIN[1]),
        default_read=frozenset({read}),
        inspectors=1,
        page_memory=memory,
    )


def _upload(served: Served, made: Made, name: str, version: str) -> None:
    answer = Client(served.port).upload(made, name, version, auth=ADMIN)
    assert answer.status == 200, answer.body


def _request(method: str, target: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


FILE = f"/files/demo/{DEMO.filename}"
TARGETS = [
    "/simple/demo/",
    "/simple/",
    "/simple/unknown/",
    f"{FILE}.metadata",
    FILE,
    "/simple/demo/?format=" + JSON.replace("+", "%2B"),
]
FIELDS: list[tuple[str, ...]] = [
    (),
    (f"Accept: {JSON}",),
    (f"Accept: {HTML};q=0.5, text/html", "Accept-Encoding: gzip, deflate"),
    (f"Accept: {JSON}", "Accept-Encoding: gzip"),
    ("Accept: image/png",),
    ("If-None-Match: *", f"Accept: {JSON}"),
    ('If-None-Match: "something else"',),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("authorization", [None, BASIC], ids=["nobody", "admin"])
@pytest.mark.parametrize("fields", FIELDS, ids=lambda fields: " ".join(fields) or "plain")
@pytest.mark.parametrize("target", TARGETS)
def test_every_way_answers_alike(
    ways: Ways, target: str, fields: tuple[str, ...], authorization: str | None, method: str
) -> None:
    """Byte for byte, headers included, the first time and when it is at hand."""
    own = (f"Authorization: {authorization}",) if authorization else ()
    sent = _request(method, target, *own, *fields)
    _alike(ways, sent)


def test_a_wrong_password_is_one_every_time(ways: Ways) -> None:
    """Also where everyone may read what is at hand."""
    sent = _request("GET", "/simple/demo/", f"Authorization: {WRONG}")
    _alike(ways, sent)
    assert ways.exchange(ways.ours, sent).startswith(b"HTTP/1.1 401")


def _alike(ways: Ways, sent: bytes) -> None:
    expected = ways.exchange(ways.doors, sent)
    for _ in range(3):
        assert ways.exchange(ways.ours, sent) == expected
        # Only our protocol can write a reason phrase of its own.
        assert _unphrased(ways.exchange(ways.asgi, sent)) == _unphrased(expected)
    assert ways.given[2] == 0


def _unphrased(answer: bytes) -> bytes:
    return re.sub(rb"\AHTTP/1.1 (\d+) [^\r]*", rb"HTTP/1.1 \1", answer)


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("/simple/demo/", (f"Accept: {JSON}",)),
        ("/simple/", ("Accept-Encoding: gzip",)),
        ("/simple/unknown/", ()),
        (f"{FILE}.metadata", ()),
        ("/simple/demo/", ("If-None-Match: *",)),
    ],
)
def test_what_is_asked_again_is_at_hand(ways: Ways, target: str, fields: tuple[str, ...]) -> None:
    """Pages, the root, unknown names, metadata and 304 are given without asking a door."""
    sent = _request("GET", target, f"Authorization: {BASIC}", *fields)
    for place in (0, 1):
        # Identities are proved anew every few seconds, which may be just now.
        assert 3 in [_at_hand(ways, place, sent) for _ in range(3)]


def _at_hand(ways: Ways, place: int, sent: bytes) -> int:
    """How many of three answers were."""
    ways.exchange(ways.served[place], sent)
    before = ways.given[place]
    for _ in range(3):
        ways.exchange(ways.served[place], sent)
    return ways.given[place] - before


@pytest.mark.parametrize("way", [0, 1, 2], ids=["ours", "asgi", "doors"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_304_is_only_for_who_has_the_page(ways: Ways, way: int, method: str) -> None:
    """The first to ask has it and gets a 304; the next one has nothing, and gets the page."""
    served, project = ways.served[way], f"asked-first-{way}-{method.lower()}"
    _upload(served, make_wheel(project, "1.0"), project, "1.0")
    for target in (
        f"/simple/{project}/",
        "/simple/",
        f"/files/{project}/{_wheel(project)}.metadata",
    ):
        own = (f"Authorization: {BASIC}", f"Accept: {JSON}", f"X-Forwarded-Host: {project}")
        page = _request(method, target, *own)
        has = _request(method, target, *own, "If-None-Match: *")
        other = _request(method, target, *own, 'If-None-Match: "of another page"')
        for sent, status in ((has, 304), (page, 200), (other, 200), (has, 304), (page, 200)):
            assert ways.exchange(served, sent).startswith(b"HTTP/1.1 %d" % status), (target, sent)
    ways.settle()


def _wheel(project: str) -> str:
    return make_wheel(project, "1.0").filename


@pytest.mark.parametrize("way", [0, 1, 2], ids=["ours", "asgi", "doors"])
def test_pipelined_requests_are_answered_in_order(ways: Ways, way: int) -> None:
    """Answers at hand do not overtake one that a door has to give."""
    served = ways.served[way]
    slow = _request("GET", "/health/ready")
    page = _request("GET", "/simple/demo/", f"Authorization: {BASIC}", f"Accept: {JSON}")
    alone = [ways.exchange(served, sent) for sent in (page, slow, page)]
    for _ in range(3):
        assert ways.exchange(served, page + slow + page, answers=3) == b"".join(alone)


@pytest.mark.parametrize("way", [0, 1, 2], ids=["ours", "asgi", "doors"])
def test_a_request_in_pieces_is_one_request(ways: Ways, way: int) -> None:
    """Wherever it is cut; a piece that looks like a known request is none."""
    served = ways.served[way]
    sent = _request("GET", "/simple/demo/", f"Authorization: {BASIC}", f"Accept: {JSON}")
    expected = ways.exchange(served, sent)
    other = _request("GET", "/simple/unknown/", f"Authorization: {BASIC}")
    unknown = ways.exchange(served, other)
    with served.connection(timeout=TOO_LATE) as connected:
        for cut in (1, 10, len(sent) - 3, len(sent) - 1):
            connected.sendall(sent[:cut])
            # What is read of the first piece before the second one is sent is up to the
            # system; that nothing comes back meanwhile is not.
            connected.sendall(sent[cut:])
            assert len(_whole(connected, head=False)) > 0
        # A field that swallows what would be a whole request.
        connected.sendall(b"GET /simple/unknown/ HTTP/1.1\r\nX-Swallowed: ")
        connected.sendall(sent)
        answer = _whole(connected, head=False)
    assert answer.split(b" ")[1] == unknown.split(b" ")[1] == b"404"
    assert expected.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("way", [0, 1], ids=["ours", "asgi"])
def test_an_upload_is_seen_by_the_very_next_read(ways: Ways, way: int) -> None:
    """This process's own writes drop what was at hand at once."""
    served = ways.served[way]
    sent = _request("GET", "/simple/fresh/", f"Authorization: {BASIC}", f"Accept: {JSON}")
    for version in (f"{way}.1", f"{way}.2", f"{way}.3"):
        made = make_wheel("fresh", version)
        for _ in range(2):
            assert made.filename.encode() not in ways.exchange(served, sent)
        _upload(served, made, "fresh", version)
        assert made.filename.encode() in ways.exchange(served, sent)
    ways.settle()


@pytest.mark.parametrize("close", ["HTTP/1.0", "Connection: close"])
def test_who_wants_the_connection_closed_gets_it_closed(ways: Ways, close: str) -> None:
    """After the whole answer."""
    sent = _request("GET", "/simple/demo/", f"Authorization: {BASIC}")
    ways.exchange(ways.ours, sent)
    if close == "HTTP/1.0":
        sent = sent.replace(b"HTTP/1.1", b"HTTP/1.0")
    else:
        sent = sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with ways.ours.connection(timeout=TOO_LATE) as connected:
        connected.sendall(sent)
        answer = _whole(connected, head=False)
        assert connected.recv(1) == b""
    assert b"connection: close" in answer


@pytest.mark.parametrize("protocol", [Protocol, HttpToolsProtocol])
def test_what_a_stranger_forwards_is_answered_to_no_trusted_proxy(
    tmp_path: Path, protocol: type[HttpToolsProtocol]
) -> None:
    """The same bytes from both: the proxy's clients are told to stay on TLS all the same."""
    settings = Settings(
        storage="memory:",
        cache="memory:",
        access=f"sqlite+aiosqlite:///{tmp_path}/access.db",
        spool=tmp_path / "spool",
        default_read=frozenset({"everyone"}),
        trusted_proxies=(ip_network("127.0.0.2"),),
        inspectors=1,
    )
    request = b"GET /simple/none/ HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-Proto: https\r\n\r\n"
    with serving_ready(create_app(settings), protocol=protocol) as served:
        place = ("127.0.0.1", int(served.url.rpartition(":")[2]))
        for _ in range(3):
            for peer, told in (("127.0.0.1", False), ("127.0.0.2", True)):
                with socket.create_connection(place, TOO_LATE, (peer, 0)) as connected:
                    connected.sendall(request)
                    answer = _whole(connected, head=False)
                assert (b"strict-transport-security" in answer) is told, (peer, answer)
