"""uvicorn's httptools protocol, with what ASGI cannot see.

Time-outs for slow headers, idle connections and clients that stop reading; a bound on headers
while they arrive; the message of an error as its reason phrase, which is all that twine shows
(UPL-15); a reset where an answer breaks off. ``pypicloud serve`` uses it; under plain uvicorn
the service works the same, without these.

It relies on these inner parts of uvicorn 0.54, which tests/test_protocol.py holds fast:
``_start_asgi_task(cycle, app)``, ``cycle.transport``, ``cycle.response_started``,
``response_complete`` and ``disconnected``, one ``write`` for the status line and all headers,
``on_headers_complete``, ``on_response_complete``, ``send_400_response(msg)``.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app import answers


class Protocol(HttpToolsProtocol):
    """One connection."""

    header_timeout = 20.0
    """Seconds from the first byte (or from connecting) to the end of the headers."""
    write_timeout = 120.0
    """Seconds that a client may leave all of what we send unread."""
    head_limit = 64 * 1024
    """Bytes of one request line and headers; the guard is stricter, but sees them later."""

    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _in_head = False
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._timer is None and not self._answering:
            self._arm()
        super().data_received(data)
        if not self._in_head:
            self._head = 0
            return
        self._head += len(data)
        if self._head > self.head_limit and not self.transport.is_closing():
            self._refuse(431, "The request's headers are too large.")

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        super()._start_asgi_task(cycle, _phrasing(app, cycle))

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _arm(self) -> None:
        self._disarm()
        self._timer = self.loop.call_later(self.header_timeout, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._answering:
            self._arm()
        elif self._in_head:
            self._refuse(408, "The request's headers stopped coming.")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        if self._answering:
            if self.pipeline or self.cycle.response_started:
                self.transport.close()  # what we say would land in the middle of an answer
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps({"code": f"{status} {message}", "message": message}).encode()
        lines = [
            b"HTTP/1.1 %d %s" % (status, answers.reason(message)),
            *(name + b": " + value for name, value in self.server_state.default_headers),
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            b"cache-control: no-store",
            b"connection: close",
        ]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()


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


def _phrasing(app: ASGIApp, cycle: RequestResponseCycle) -> Any:
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
