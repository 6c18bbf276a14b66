"""Upstreams that say what a test has them say, byte by byte, and whoever asks them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from app.outbound import Outbound
from app.upstream.client import Client
from app.upstream.options import UpstreamOptions

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


def client_of(url: str, **options: object) -> Client:
    """Whoever asks it."""
    return Client(
        UpstreamOptions.model_validate({"url": url, "plain": True, **options}), Outbound()
    )


async def body(client: Client, path: str) -> bytes:
    """What a question is answered with."""
    async with client.get(f"{client.base}{path}") as reply:
        return await reply.body(limit=1 << 20)


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[tuple[Client, list[int]]]:
    """An upstream at a socket; the number of each connection that came, and who asks it."""
    came: list[int] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(len(came) + 1)
        try:
            await serve(reader, writer, came[-1])
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # whoever asked has gone, or the test has ended
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = client_of(f"http://127.0.0.1:{port}/simple/", timeout="2 s", idle="2 s")
    try:
        yield client, came
    finally:
        client.close()
        server.close()


async def heads(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The requests of a connection, one after the other."""
    while True:
        yield await reader.readuntil(b"\r\n\r\n")
