"""Our protocol below ASGI: time-outs, header bounds and reason phrases, on real connections."""

from __future__ import annotations

import base64
import inspect
import threading
import time
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http import httptools_impl

from app import answers
from app.protocol import Protocol
from tests.conftest import ADMIN
from tests.serving import Served, read_answer, serving

FLOODED = threading.Event()
"""Set when the flood that is to tell was taken, or nobody is there any more to take it."""


class Hasty(Protocol):
    """The protocol with time-outs that a test can wait for."""

    header_timeout = 0.4
    write_timeout = 0.4


async def respond(scope: Scope, receive: Receive, send: Send) -> None:
    """``/error/TEXT`` answers with an error, ``/flood`` with more than anybody buffers."""
    if scope["path"] == "/flood":
        headers = [(b"content-length", b"1000000000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": bytes(10**6), "more_body": True})
        await send({"type": "http.response.body"})
        if scope["query_string"]:  # not that of another test, which may still be under way
            FLOODED.set()
        return
    await Request(scope, receive).body()
    message = scope["path"].removeprefix("/error/") or "fine"
    await answers.ErrorResponse(400, message)(scope, receive, send)


@pytest.fixture(scope="module")
def hasty() -> Iterator[Served]:
    """A server without patience."""
    with serving(respond, protocol=Hasty, lifespan="off", timeout_keep_alive=1) as running:
        yield running


REQUEST = b"GET /error/x HTTP/1.1\r\nHost: localhost\r\n"


def test_uvicorn_has_the_inner_parts_that_we_rely_on() -> None:
    """When this fails, uvicorn changed: read app/protocol.py against it anew."""
    theirs = httptools_impl.HttpToolsProtocol
    start = inspect.signature(theirs._start_asgi_task)
    assert list(start.parameters) == ["self", "cycle", "app"]
    assert "await app(  # type: ignore[func-returns-value]\n" in inspect.getsource(
        httptools_impl.RequestResponseCycle.run_asgi
    )
    sending = inspect.getsource(httptools_impl.RequestResponseCycle.send)
    assert "content = [STATUS_LINE[status_code]]" in sending
    assert 'self.transport.write(b"".join(content))' in sending
    assert "self._start_asgi_task(self.cycle, app)" in inspect.getsource(theirs.on_headers_complete)
    begin = inspect.getsource(theirs.on_message_begin)
    for line in ('self.url = b""', "self.headers = []", '"headers": self.headers'):
        assert line in begin
    assert "self.timeout_keep_alive_task.cancel()" in inspect.getsource(
        theirs._unset_keepalive_if_required
    )
    for name in ("on_message_begin", "send_400_response", "pause_writing", "resume_writing"):
        assert callable(getattr(theirs, name))


def test_upl_15_the_reason_phrase_carries_the_message(hasty: Served) -> None:
    """twine prints only the status line, so that is where the message stands too."""
    answer = hasty.send(b"GET /error/File%20already%20exists HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, answer.reason) == (400, "File already exists")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("caf%C3%A9", "caf?"),
        ("a%0D%0ASet-Cookie:%20b=c", "a??Set-Cookie: b=c"),
        ("a%00b%7F", "a?b?"),
        ("x" * 300, "x" * 200),
    ],
)
def test_upl_15_a_reason_phrase_is_one_line_of_printable_ascii(
    hasty: Served, sent: str, reason: str
) -> None:
    """Nothing in a message can end the status line or begin a header."""
    answer = hasty.send(f"GET /error/{sent} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert answer.reason == reason
    assert "set-cookie" not in answer.headers


def test_a_connection_serves_one_request_after_another(hasty: Served) -> None:
    """Timers of one request do not end the next."""
    with hasty.connection() as connected:
        for pause in (0.0, 0.3, 0.3, 0.3):
            time.sleep(pause)
            connected.sendall(REQUEST + b"\r\n")
            assert read_answer(connected).reason == "x"


def test_pipelined_requests_are_answered_in_order(hasty: Served) -> None:
    """Two requests in one packet get two answers."""
    with hasty.connection() as connected:
        connected.sendall((REQUEST + b"\r\n") * 2)
        received = b""
        while received.count(b'"message":"x"') < 2:
            received += connected.recv(65536)
    assert received.count(b"HTTP/1.1 400 x\r\n") == 2


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"\r\n\r\n"])
def test_a_connection_without_a_request_is_closed(hasty: Served, sent: bytes) -> None:
    """Who connects and says nothing is cut off."""
    with hasty.connection(timeout=5) as connected:
        connected.sendall(sent)
        assert connected.recv(100) == b""


def test_headers_that_stop_coming_are_408(hasty: Served) -> None:
    """Slow headers end, however many bytes trickle in."""
    with hasty.connection(timeout=5) as connected:
        connected.sendall(REQUEST)
        for _ in range(3):
            time.sleep(0.1)
            connected.sendall(b"X: y\r\n")
        answer = read_answer(connected)
        assert answer.status == 408
        assert connected.recv(1) == b""


def test_headers_that_stop_coming_on_a_used_connection_are_408(hasty: Served) -> None:
    """The second request of a connection has no more time than the first."""
    with hasty.connection(timeout=5) as connected:
        connected.sendall(REQUEST + b"\r\n")
        read_answer(connected)
        connected.sendall(b"GET /")
        assert read_answer(connected).status == 408


@pytest.mark.parametrize("sent", [b"X: " + b"a" * 200_000, b"X: a\r\n" * 40_000])
def test_headers_without_end_are_431(hasty: Served, sent: bytes) -> None:
    """What is kept of headers that are still coming is bounded."""
    with hasty.connection(timeout=5) as connected:
        connected.sendall(REQUEST)
        connected.sendall(sent)
        assert read_answer(connected).status == 431


def test_garbage_is_400_in_the_shape_of_errors(hasty: Served) -> None:
    """What is not HTTP gets one answer and no more."""
    with hasty.connection() as connected:
        connected.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01")
        answer = read_answer(connected)
        assert answer.headers["content-type"] == "application/json"
        assert answer.status == 400
        assert connected.recv(1) == b""


def test_garbage_behind_a_request_never_lands_in_its_answer(hasty: Served) -> None:
    """An answer under way is not mixed with one to garbage."""
    with hasty.connection() as connected:
        connected.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        head = connected.recv(1000)
        assert head.startswith(b"HTTP/1.1 200")
        connected.sendall(b"garbage\r\n\r\n")
        received = b""
        try:
            while chunk := connected.recv(1 << 20):
                received = chunk
                assert b"HTTP/1.1" not in chunk
        except ConnectionResetError:
            pass
        assert received.strip(b"\0") == b""


def test_a_client_that_stops_reading_is_cut_off(hasty: Served) -> None:
    """Nobody holds an answer for ever by not taking it."""
    FLOODED.clear()
    with hasty.connection(timeout=5) as connected:
        connected.sendall(b"GET /flood?tell HTTP/1.1\r\nHost: a\r\n\r\n")
        assert FLOODED.wait(timeout=30)
        received = 0
        try:
            while chunk := connected.recv(1 << 20):
                received += len(chunk)
        except ConnectionResetError:
            pass
    assert received < 10**9


def test_head_has_no_body_when_its_answer_is_given_again(service: Served) -> None:
    """What follows on the connection would begin with it."""
    request = b"HEAD /simple/none/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %s\r\n\r\n"
    head = request % base64.b64encode(":".join(ADMIN).encode())
    with service.connection() as connected:
        for _ in range(4):
            connected.sendall(head)
            received = b""
            while b"\r\n\r\n" not in received:
                received += connected.recv(65536)
            assert received.startswith(b"HTTP/1.1 404")
            assert received.endswith(b"\r\n\r\n")
