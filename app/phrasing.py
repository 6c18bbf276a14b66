"""Answers whose status line says why, and that are cut off where they break off (uvicorn)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app import answers


class _Phrased:
    """A transport for one write, whose status line gets another reason phrase."""

    def __init__(self, cycle: RequestResponseCycle, status: int, reason: bytes) -> None:
        self._cycle, self._transport = cycle, cycle.transport
        self._line = b"HTTP/1.1 %d %s" % (status, reason)

    def write(self, head: bytes) -> None:
        self._cycle.transport = self._transport
        self._transport.write(self._line + head[head.index(b"\r\n") :])

    def __getattr__(self, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self._transport, name)
        return found


def phrasing(app: ASGIApp, cycle: RequestResponseCycle) -> Any:
    """The application, for one request: reason phrases as it gives them, a reset where it fails."""

    async def phrased(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            reason = message.get(answers.REASON)
            if reason is not None:
                cycle.transport = _Phrased(cycle, message["status"], reason)  # type: ignore[assignment]  # it writes once
            await send(message)

        try:
            await app(scope, receive, sending)
        finally:
            if cycle.response_started and not (cycle.response_complete or cycle.disconnected):
                cycle.disconnected = True
                _reset(cycle.transport)

    return phrased


def _reset(transport: asyncio.Transport) -> None:
    """Cut the connection with RST: who reads until it ends (HTTP/1.0) sees that it did not."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
