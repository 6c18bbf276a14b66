"""uvicorn's httptools protocol, with what ASGI cannot see.

Answers that app.hot has at hand, before a scope, a task or a route exists; time-outs for slow
headers, idle connections and clients that stop reading; a bound on headers while they arrive;
the message of an error as its reason phrase, which is all that twine shows (UPL-15); a reset
where an answer breaks off. ``pypicloud serve`` uses it; under plain uvicorn the service works
the same, without these (and app.fastpath gives what is hot).

It relies on these inner parts of uvicorn 0.54, which tests/test_protocol.py holds fast:
``_start_asgi_task(cycle, app)``, ``cycle.transport``, ``cycle.response_started``,
``response_complete`` and ``disconnected``, one ``write`` for the status line and all headers,
``on_message_begin`` (makes ``url``, ``headers`` and ``scope``), ``on_headers_complete``,
``on_message_complete``, ``on_response_complete``, ``send_400_response(msg)``,
``timeout_keep_alive_task``, ``flow.write_paused``, ``server_state.default_headers`` (a new list
each second) and ``total_requests``, ``STATUS_LINE``.
"""

from __future__ import annotations

import asyncio
import json
import logging
from time import perf_counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app import answers
from app.hot import Hot
from app.hot.answer import Answer
from app.hot.question import Question, question
from app.metrics import Meters
from app.phrasing import phrasing

_END = b"\r\n\r\n"


class Protocol(HttpToolsProtocol):
    """One connection."""

    header_timeout = 20.0
    """Seconds from the first byte (or from connecting) to the end of the headers."""
    write_timeout = 120.0
    """Seconds that a client may leave all of what we send unread."""
    head_limit = 64 * 1024
    """Bytes of one request line and headers; the guard is stricter, but sees them later."""

    log_every = 100
    """Of answers that were at hand only each so-manieth is written to the access log; 0: none.

    At the log level of debugging every one is.
    """

    timed_every = 64
    """Of answers that were at hand each so-manieth is timed; a power of two.

    Where requests are traced, every one is.
    """

    _hot: Hot | None = None
    _peer = b""
    _meters: Meters | None = None
    _began = 0.0
    _given = False
    _gave = float("-inf")
    _open = False
    _chunk = b""
    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _in_head = False
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._hot = self.app_state.get("hot")
        self._meters = self.app_state.get("meters")
        self._peer = (self.client[0] if self.client else "").encode()
        if self._meters is not None:
            self._meters.watch("connections", lambda: len(self.connections))
        if self._hot is not None and self._hot.counting.spans is not None:
            self.timed_every = 1
        if self.logger.isEnabledFor(logging.DEBUG):
            self.log_every = 1
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        hot = self._hot
        if hot is not None and not hot.given & (self.timed_every - 1):
            self._began = perf_counter()
        if not self._open and self._repeats(data):
            return
        self._chunk = b"" if self._open else data
        super().data_received(data)
        self._chunk = b""
        if not self._in_head:
            self._head = 0
            return
        if self._timer is None and not self._answering:
            self._arm()
        self._head += len(data)
        if self._head > self.head_limit and not self.transport.is_closing():
            self._refuse(431, "The request's headers are too large.")

    def on_message_begin(self) -> None:
        self._in_head = self._open = True
        self._given = False
        # The rest of what uvicorn makes here is made only where a scope is needed.
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        hot = self._hot
        if hot is not None and (hand := self._at_hand(hot)) is not None:
            self._give(hot, *hand)
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._given:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._open = False
        if not self._given:
            super().on_message_complete()

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
        super()._start_asgi_task(cycle, phrasing(app, cycle))

    def _repeats(self, data: bytes) -> bool:
        """Answer a request of the very bytes of one that was answered from what is at hand."""
        hot = self._hot
        if hot is None or not self._may_give():
            return False
        if (seen := hot.find_seen(self._peer + data)) is None:
            return False
        if self._timer is not None:
            self._disarm()
        self._give(hot, *seen)
        return True

    def _at_hand(self, hot: Hot) -> tuple[Question, Answer] | None:
        """The answer, where it can be given here and now, in its turn and to the byte."""
        parser = self.parser
        if not self._may_give():
            return None
        if parser.get_http_version() != "1.1" or not parser.should_keep_alive():
            return None
        if parser.should_upgrade():
            return None
        method = parser.get_method()
        asked = question(method, self.url, self.headers, hot.unusual, peer=self._peer)
        found = None if asked is None else hot.find(asked)
        if asked is None or found is None:
            return None
        # Of one packet, and all of it: another one of the same bytes need not be parsed.
        chunk = self._chunk
        if chunk.startswith(method) and chunk.find(_END) == len(chunk) - len(_END):
            hot.see(self._peer + chunk, asked)
        return asked, found

    def _may_give(self) -> bool:
        """Whether an answer given now is in its turn, and uvicorn would give one."""
        cycle = self.cycle
        if (cycle is not None and not cycle.response_complete) or self.flow.write_paused:
            return False
        limit = self.limit_concurrency
        if limit is not None and (len(self.connections) >= limit or len(self.tasks) >= limit):
            return False
        return not self.transport.is_closing()

    def _give(self, hot: Hot, asked: Question, found: Answer) -> None:
        self._given = True
        if found.download is not None:
            hot.counting.downloaded(found.download, asked)
        line = STATUS_LINE[found.status]
        if found.reason is not None:
            line = b"HTTP/1.1 %d %s\r\n" % (found.status, found.reason)
        lines = hot.lines(self.server_state.default_headers)
        request_id = hot.request_id()
        self.transport.write(
            b"".join((line, lines, found.before, request_id, found.after, found.body))
        )
        self.server_state.total_requests += 1
        self._gave = self.loop.time()
        if self._began:
            hot.counting.timed(perf_counter() - self._began, asked, found, request_id)
            if self.timed_every > 1:  # else the next one of this packet is timed as well
                self._began = 0.0
        if self.timeout_keep_alive_task is None:
            self._keep_alive(self.timeout_keep_alive)
        if self.access_log and self.log_every and hot.given % self.log_every == 0:
            self._log(found.status, asked)

    def _keep_alive(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        """The timer is not set anew for what is given from here, so it may ring too early."""
        left = self._gave + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._keep_alive(left)
        else:
            super().timeout_keep_alive_handler()

    def _log(self, status: int, asked: Question) -> None:
        # In the parts that uvicorn's formatter expects.
        host, port = self.client or ("", 0)
        method, target = ((part or b"").decode("ascii") for part in asked.key[:2])
        client = f"{host}:{port}"
        self.access_logger.info('%s - "%s %s HTTP/%s" %d', client, method, target, "1.1", status)

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
        if self._meters is not None:
            self._meters.count("connections_refused", str(status)).value += 1
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
