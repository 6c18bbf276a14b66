"""One request of an upstream and its answer, streamed: bounded, and identity or gzip alone."""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import httptools

from app import errors
from app.outbound import Target, request
from app.upstream.connections import Connection, Connections

HEAD = 64 * 1024
"""Bytes of an answer's head."""
_CHUNK = 256 * 1024
LEAST = 1024
"""Bytes of a body that must come while its reader waits once, or its end."""
TURNS = 5
"""So many times what is waited for one piece may be spent on what is read in one."""
MEMBERS = 32
"""Of one gzip."""


class Reply:
    """An answer whose head is there; names of headers in lower case."""

    def __init__(self, reader: asyncio.StreamReader, host: str, idle: float) -> None:
        self._reader, self._host, self._idle = reader, host, idle
        self._parser = httptools.HttpResponseParser(self)
        self._ready: deque[bytes] = deque()
        self._begun = self._complete = self._interim = False
        self._messages = 0
        self._keeps = False
        self.broken = False
        """Whether the body was begun to be read, and did not end well."""
        self.headers: dict[str, str] = {}
        self.status = 0
        self.url = ""

    def on_message_begin(self) -> None:
        """For httptools."""
        self._messages += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        """For httptools; what comes behind the body is no part of the head."""
        if not self._begun:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """For httptools; what is said before the answer (1xx) is passed over."""
        self.status = self._parser.get_status_code()
        self._interim = self.status < 200
        self._begun = not self._interim
        if self._interim:
            self.headers.clear()

    def on_body(self, chunk: bytes) -> None:
        """For httptools."""
        self._ready.append(chunk)

    def on_message_complete(self) -> None:
        """For httptools, which knows only now."""
        if self._interim:
            self._messages -= 1
            return
        self._complete, self._keeps = True, self._parser.should_keep_alive()

    async def begin(self) -> None:
        """Read the head."""
        received = 0
        while not self._begun:
            chunk = await self._reader.read(_CHUNK)
            received += len(chunk)
            if not chunk or received > HEAD + _CHUNK:
                raise errors.Unreachable(f"{self._host} gives no answer")
            self._parser.feed_data(chunk)

    @property
    def heard(self) -> bool:
        """Whether anything of an answer came."""
        return self._messages > 0

    @property
    def over(self) -> bool:
        """Whether all of it came and nothing behind it, and its sender keeps the connection."""
        return self._complete and self._keeps and self._messages == 1

    @property
    def length(self) -> int | None:
        """The body's, where it is declared."""
        said = self.headers.get("content-length", "")
        return int(said) if said.isascii() and said.isdecimal() else None

    async def chunks(self, *, limit: int) -> AsyncGenerator[bytes]:
        """The body; errors.Unreachable where it is longer than ``limit``, breaks off or drips."""
        total, self.broken = 0, True
        since, around, left = LEAST, 0, self._idle
        with translated(self._host):
            while True:
                while self._ready:
                    chunk = self._ready.popleft()
                    total += len(chunk)
                    since, around = since + len(chunk), 0
                    if total > limit:
                        raise errors.Unreachable(f"{self._host} sends more than {limit} bytes")
                    yield chunk
                if self._complete:
                    self.broken = False
                    return
                if since >= LEAST:
                    since, left = 0, self._idle
                began = time.monotonic()
                async with asyncio.timeout(left):
                    received = await self._reader.read(_CHUNK)
                left -= time.monotonic() - began
                around += len(received)
                if around > HEAD + _CHUNK:
                    raise errors.Unreachable(f"{self._host} sends much, and nothing of a body")
                if not received:
                    if "content-length" in self.headers or "transfer-encoding" in self.headers:
                        raise errors.Unreachable(f"{self._host} broke off its answer")
                    self.broken = False
                    return
                self._parser.feed_data(received)

    async def body(self, *, limit: int) -> bytes:
        """All of it, unpacked; ``limit`` bounds what was sent and what comes of it."""
        coding = self.headers.get("content-encoding", "identity").strip().lower()
        with translated(self._host):
            async with asyncio.timeout(TURNS * self._idle):
                packed = b"".join([chunk async for chunk in self.chunks(limit=limit)])
        if coding in ("identity", ""):
            return packed
        if coding not in ("gzip", "x-gzip"):
            raise errors.Unreachable(f"{self._host} answers in a coding that was not asked for")
        return await asyncio.to_thread(self._unpacked, packed, limit)

    def _unpacked(self, packed: bytes, limit: int) -> bytes:
        plain, rest = bytearray(), packed
        for _ in range(MEMBERS):
            inflater = zlib.decompressobj(wbits=31)
            try:
                plain += inflater.decompress(rest, limit + 1 - len(plain))
            except zlib.error:
                raise errors.Unreachable(f"{self._host} sends what is no gzip") from None
            if len(plain) > limit:
                raise errors.Unreachable(f"{self._host} sends more than {limit} bytes")
            if not inflater.eof:
                raise errors.Unreachable(f"{self._host} broke off its answer")
            rest = inflater.unused_data.lstrip(b"\0")
            if not rest:
                return bytes(plain)
        raise errors.Unreachable(f"{self._host} sends a gzip in too many pieces")


@asynccontextmanager
async def asked(
    connections: Connections,
    to: Target,
    headers: Mapping[str, str],
    *,
    timeout: float,
    idle: float,
) -> AsyncIterator[Reply]:
    """Send a GET; the answer once its head is there, within ``timeout`` seconds.

    Between two pieces of the body ``idle`` seconds may pass. Raises errors.Unreachable.
    """
    sent = request("GET", to, b"", {"connection": "keep-alive", **headers})
    with translated(to.host):
        async with asyncio.timeout(timeout):
            connection, reply = await _answered(connections, to, sent, idle)
    try:
        yield reply
    finally:
        if reply.over:
            connections.give(to, connection)
        else:
            connection.close()


async def _answered(
    connections: Connections, to: Target, sent: bytes, idle: float
) -> tuple[Connection, Reply]:
    """An answer that has begun; asked for once more where a kept connection had ended meanwhile."""
    connection = await connections.take(to)
    reply = Reply(connection.reader, to.host, idle)
    try:
        await _begin(connection, reply, sent)
    except (errors.Unreachable, ConnectionError):
        if reply.heard or not connection.used:
            raise
    else:
        return connection, reply
    connection = await connections.take(to, fresh=True)
    reply = Reply(connection.reader, to.host, idle)
    await _begin(connection, reply, sent)
    return connection, reply


async def _begin(connection: Connection, reply: Reply, sent: bytes) -> None:
    try:
        connection.writer.write(sent)
        await connection.writer.drain()
        await reply.begin()
    except BaseException:
        connection.close()
        raise


@contextmanager
def translated(host: str) -> Iterator[None]:
    """What goes wrong on the wire is errors.Unreachable."""
    try:
        yield
    except (OSError, ssl.SSLError) as failed:
        raise errors.Unreachable(f"{host}: {type(failed).__name__}") from failed
    except httptools.HttpParserError as failed:
        raise errors.Unreachable(f"{host} does not speak HTTP") from failed
