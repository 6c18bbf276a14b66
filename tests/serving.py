"""Real uvicorns in threads, and raw requests to them."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.protocol import Protocol
from tests.canary import Watched

START = 60.0
"""Seconds that a server may take to start."""
READY = 60.0
"""Seconds that its index may take to become complete."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Served:
    """A running server on loopback."""

    port: int
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def connection(self, timeout: float = 10.0) -> Iterator[socket.socket]:
        """A TCP connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connected:
            yield connected

    def send(self, request: bytes, timeout: float = 10.0) -> Answer:
        """Send these very bytes and read one answer."""
        with self.connection(timeout) as connected:
            connected.sendall(request)
            return read_answer(connected)

    def ask(self, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> Answer:
        """Send a request that is in order but for what the arguments say."""
        lines = [f"{method} {target} HTTP/1.1", *headers]
        if not any(header.lower().startswith("host:") for header in headers):
            lines.insert(1, "Host: localhost")
        return self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


def read_answer(connected: socket.socket) -> Answer:
    """Read one answer whose length is declared; fails where the connection ends before it."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connected, received)
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    match = re.fullmatch(r"HTTP/1\.1 (\d{3}) (.*)", status_line)
    assert match is not None, status_line
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        body += _more(connected, received)
    return Answer(int(match[1]), match[2], headers, body)


def _more(connected: socket.socket, received: bytes) -> bytes:
    chunk = connected.recv(65536)
    if not chunk:
        raise ConnectionError(f"closed after {received!r}")
    return chunk


@contextmanager
def serving(
    app: ASGIApp, *, protocol: type[HttpToolsProtocol] = Protocol, port: int = 0, **options: object
) -> Iterator[Served]:
    """Run an ASGI application as ``pypicloud serve`` does; ``options`` are uvicorn's."""
    config = uvicorn.Config(
        Watched(app),
        host="127.0.0.1",
        port=port,
        http=protocol,
        ws="none",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        **options,  # type: ignore[arg-type]  # uvicorn's many, each of its own type
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + START
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.005)
        yield Served(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=START)
    assert not thread.is_alive(), "the server did not stop"


@contextmanager
def serving_ready(app: ASGIApp, **options: Any) -> Iterator[Served]:
    """The same of the whole service, once its index is complete."""
    with serving(app, **options) as served:
        wait_until_ready(lambda: served.ask("/health/ready").status)
        yield served


def wait_until_ready(status: Callable[[], int]) -> None:
    """Ask for the status of ``/health/ready`` until the index is complete."""
    deadline, pause = time.monotonic() + READY, 0.01
    while status() != 200:
        assert time.monotonic() < deadline, "the index did not become ready"
        time.sleep(pause)
        pause = min(2 * pause, 0.1)  # asking holds it up
