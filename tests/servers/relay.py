"""One connection through the proxy: requests on, answers back, broken where the plan says so."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import suppress

from tests.servers import wire
from tests.servers.plans import Answer, Fault, Injected
from tests.servers.wire import Head, Piece

PATIENCE = 60.0
"""Seconds that a client may hold a connection on which nothing will ever come."""
_RESET = struct.pack("ii", 1, 0)


class Ended(Exception):
    """The connection was broken on purpose, or cannot go on."""


class Relay:
    """A client's connection, and the one to the store that serves it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        store: int,
        delay: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._store = store
        self._delay = delay
        self._up: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        """Both ends; what the store did not take yet, it never gets."""
        self._writer.close()
        if self._up is not None:
            self._up[1].transport.abort()

    async def exchange(self, head: Head, fault: Injected | None) -> None:
        """One request and its answer; raises what ends the connection."""
        match fault:
            case Fault.RESET:
                self._break()
            case Fault.SILENT:
                await self._wait()
            case Answer(done=False):
                await self._swallow(head)
                await self._say(fault.raw(head.first[0]))
            case _:
                await self._pass_on(head, fault)

    async def _pass_on(self, head: Head, fault: Injected | None) -> None:
        answers, store = await self._connected()
        sending = asyncio.create_task(self._send(head, store, fault))
        try:
            await self._receive(head.first[0], answers, fault)
            await asyncio.wait({sending}, timeout=1)
            if not sending.done():  # the store refused before all of it was sent
                raise Ended
        except (Ended, *wire.CLOSED):
            if fault is Fault.CUT:
                self._break()
            raise
        finally:
            sending.cancel()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._up is None or self._up[0].at_eof() or self._up[1].is_closing():
            if self._up is not None:
                self._up[1].close()
            self._up = await asyncio.open_connection("127.0.0.1", self._store, limit=wire.PIECE * 2)
        return self._up

    async def _send(self, head: Head, store: asyncio.StreamWriter, fault: Injected | None) -> None:
        try:
            if fault is Fault.CUT:
                await self._send_half(head, store)
                return
            store.write(head.raw)
            body = wire.read_body(self._reader, head)
            async for piece in _changed(body) if fault is Fault.SPOILED else body:
                store.write(piece.raw)
                await store.drain()
        except wire.CLOSED:  # the client is gone, or the store
            reset(store)

    async def _send_half(self, head: Head, store: asyncio.StreamWriter) -> None:
        left = (wire.length(head) or 0) // 2
        store.write(head.raw if left else head.raw[: len(head.raw) // 2])
        while left:
            raw = await self._reader.read(min(left, wire.PIECE))
            store.write(raw)
            await store.drain()
            left = left - len(raw) if raw else 0
        reset(store)

    async def _receive(
        self, method: str, answers: asyncio.StreamReader, fault: Injected | None
    ) -> None:
        while (head := await wire.read_head(answers)) is not None and head.status < 200:
            await self._say(head.raw)
        if head is None:
            raise Ended
        body = wire.read_body(answers, head, asked=method)
        if fault in (Fault.LOST, Fault.UNANSWERED) or isinstance(fault, Answer):
            async for _ in body:
                pass
            await self._instead(method, fault)
            return
        if fault is Fault.DELAYED:
            await asyncio.sleep(self._delay)
        if fault in (Fault.TRUNCATED, Fault.STALLED):
            await self._half(head, body, wire.length(head, asked=method))
            if fault is Fault.STALLED:
                await self._wait()
            raise Ended
        await self._say(head.raw)
        async for piece in _changed(body) if fault is Fault.FLIPPED else body:
            await self._say(piece.raw)
        if head.last and wire.length(head, asked=method) != 0:
            raise Ended

    async def _instead(self, method: str, fault: Injected | None) -> None:
        """What comes where the store's answer is kept back."""
        if isinstance(fault, Answer):
            await self._say(fault.raw(method))
        elif fault is Fault.LOST:
            self._break()
        else:
            await self._wait()

    async def _half(self, head: Head, body: AsyncGenerator[Piece, None], size: int | None) -> None:
        if size == 0:
            await self._say(head.raw[: len(head.raw) // 2])
            return
        await self._say(head.raw)
        left = size // 2 if size is not None else 1
        async for piece in body:
            await self._say(piece.raw[:left] if piece.payload else piece.raw)
            left -= len(piece.raw) if piece.payload else 0
            if left <= 0:
                return

    async def _swallow(self, head: Head) -> None:
        if head.headers.get("expect", "").lower() == "100-continue":
            await self._say(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for _ in wire.read_body(self._reader, head):
            pass

    async def _say(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def _wait(self) -> None:
        """Until the client has enough of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while await self._reader.read(wire.PIECE):
                    pass
        raise Ended

    def _break(self) -> None:
        reset(self._writer)
        raise Ended


async def _changed(pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    """The same with one bit of one byte turned."""
    whole = True
    async for piece in pieces:
        if whole and piece.payload:
            at = len(piece.raw) // 2
            turned = bytes([piece.raw[at] ^ 1])
            piece, whole = piece._replace(raw=piece.raw[:at] + turned + piece.raw[at + 1 :]), False
        yield piece


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side is told of a reset."""
    connected: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
