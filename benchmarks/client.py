"""A client that costs little, so that what is measured is the server."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import quantiles
from typing import cast

import httptools

from benchmarks.server import PASSWORD

BOUNDARY = "4d0e3f6c0b5a4f0e9a7b"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``length`` counts the bytes of the body as they were sent."""

    status: int
    length: int
    body: bytes
    seconds: float


class Connection(asyncio.Protocol):
    """One connection that is kept, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed by the server"))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._answer is not None:
            self._answer.set_result(None)

    async def ask(self, request: bytes) -> Answer:
        """Send these bytes and wait for the whole answer."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._parser = httptools.HttpResponseParser(self)
        self._body = []
        self._answer = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self._transport.write(request)
        await self._answer
        seconds = time.perf_counter() - began
        body = b"".join(self._body)
        return Answer(self._parser.get_status_code(), len(body), body, seconds)

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    """A connection to a loopback port."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    try:
        yield connection
    finally:
        connection.close()


def get(port: int, path: str, *headers: str) -> bytes:
    """The bytes of a GET."""
    return "\r\n".join(
        [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]
    ).encode()


def post_head(
    port: int, length: int, *, path: str = "/legacy/", who: str = f"admin:{PASSWORD}"
) -> bytes:
    """The head of an upload by ``who``, whose form has ``length`` bytes."""
    credentials = base64.b64encode(who.encode()).decode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Authorization: Basic {credentials}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {length}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def form_head(fields: Mapping[str, str], filename: str) -> bytes:
    """The form up to the first byte of the file; ``FORM_TAIL`` follows the file."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
        f'name="content"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return "".join(parts).encode()


FORM_TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True, slots=True)
class Load:
    """What many connections got; times in seconds."""

    answers: int
    seconds: float
    median: float
    slowest_percent: float

    @property
    def rate(self) -> float:
        """Answers each second."""
        return self.answers / self.seconds


async def repeat(
    port: int, request: bytes, *, connections: int, seconds: float, status: int = 200
) -> Load:
    """Send one request over and over for some time, on each connection."""
    until = time.perf_counter() + seconds

    def requests() -> Iterator[bytes]:
        while time.perf_counter() < until:
            yield request

    return await send(port, requests(), connections=connections, status=status)


async def send(
    port: int, requests: Iterator[bytes], *, connections: int, status: int = 200
) -> Load:
    """Send each request once, on whichever connection is free. Another ``status`` ends it."""
    times: list[float] = []

    async def work(connection: Connection) -> None:
        for request in requests:
            answer = await connection.ask(request)
            if answer.status != status:
                raise SystemExit(f"The server answered {answer.status}: {answer.body[:500]!r}")
            times.append(answer.seconds)

    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(connections)
    ]
    began = time.perf_counter()
    await asyncio.gather(*map(work, made))
    took = time.perf_counter() - began
    for connection in made:
        connection.close()
    cuts = quantiles(times * 2, n=100)  # one answer is its own middle
    return Load(len(times), took, cuts[49], cuts[98])
