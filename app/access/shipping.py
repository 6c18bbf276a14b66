"""Sending the audit trail elsewhere as it is written: standard output, syslog, a webhook.

Each place has a bounded queue of its own, so that one that does not answer holds up nobody.
The ledger has every entry, also what a place missed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import logging
import os
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from typing import Protocol
from urllib.parse import urlsplit

from app.access import trail
from app.access.ledger import Entry
from app.access.options import AuditOptions

logger = logging.getLogger(__name__)

QUEUE = 5000
BATCH = 100
"""Entries that are sent at once, where a place takes several."""
TIMEOUT = 10.0
PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds between the attempts to send; the last holds from then on."""
LAST = 5.0
"""Seconds that the end of the service waits for what is not sent yet."""
_AUDIT, _NOTICE = 13, 5

Line = bytes


class Place(Protocol):
    """Where lines go. ``send`` blocks, and raises OSError where they did not arrive."""

    name: str

    def send(self, lines: Sequence[Line]) -> None: ...


class Stdout:
    """A line each, for whoever collects the output of containers."""

    name = "standard output"

    def send(self, lines: Sequence[Line]) -> None:
        for line in lines:
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


class Syslog:
    """RFC 5424, facility *log audit*: ``udp://``, ``tcp://`` (octet counting) or ``unix:``."""

    def __init__(self, address: str) -> None:
        self.name = f"syslog at {address}"
        parts = urlsplit(address)
        self._scheme, self._path = parts.scheme, parts.path
        port = parts.port or (514 if parts.scheme == "udp" else 601)
        self._server = (parts.hostname or "", port)
        self._host = socket.gethostname() or "-"

    def send(self, lines: Sequence[Line]) -> None:
        messages = [self._message(line) for line in lines]
        if self._scheme == "tcp":
            with socket.create_connection(self._server, timeout=TIMEOUT) as connected:
                connected.sendall(b"".join(b"%d %s" % (len(one), one) for one in messages))
            return
        with self._datagrams() as connected:
            for message in messages:
                connected.send(message)

    def _datagrams(self) -> socket.socket:
        if self._scheme == "unix":
            made, server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), self._path
            made.settimeout(TIMEOUT)
            made.connect(server)
            return made
        family, kind, protocol, _, where = socket.getaddrinfo(
            *self._server, type=socket.SOCK_DGRAM
        )[0]
        made = socket.socket(family, kind, protocol)
        made.settimeout(TIMEOUT)
        made.connect(where)
        return made

    def _message(self, line: Line) -> bytes:
        now = trail.unpacked(line).time.isoformat(timespec="microseconds")
        head = f"<{_AUDIT * 8 + _NOTICE}>1 {now} {self._host} pypicloud {os.getpid()} audit - "
        return head.encode() + line


class Webhook:
    """JSON lines by POST. With a secret each request is signed.

    ``X-PyPICloud-Signature`` is ``sha256=`` and the HMAC-SHA-256, hexadecimal, over
    ``X-PyPICloud-Timestamp``, a dot, and the body. Redirects are not followed.
    """

    def __init__(self, url: str, secret: str | None) -> None:
        parts = urlsplit(url)
        self.name = f"the webhook at {parts.hostname}"
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port
        self._path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        self._secret = secret

    def send(self, lines: Sequence[Line]) -> None:
        body = b"".join(line + b"\n" for line in lines)
        headers = {"Content-Type": "application/x-ndjson", "User-Agent": "pypicloud"}
        headers["X-PyPICloud-Timestamp"] = stamp = str(int(time.time()))
        if self._secret is not None:
            signed = hmac.digest(
                self._secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256
            ).hex()
            headers["X-PyPICloud-Signature"] = f"sha256={signed}"
        with closing(self._connection()) as connection:
            try:
                connection.request("POST", self._path, body, headers)
                status = connection.getresponse().status
            except http.client.HTTPException as error:
                raise OSError(type(error).__name__) from error
        if not 200 <= status < 300:
            raise OSError(f"it answered {status}")

    def _connection(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=context)


def places(options: AuditOptions) -> list[Place]:
    """The places that the settings name."""
    found: list[Place] = [Stdout()] if options.stdout else []
    if options.syslog:
        found.append(Syslog(options.syslog))
    if options.webhook:
        secret = options.webhook_secret
        found.append(Webhook(options.webhook, secret.get_secret_value() if secret else None))
    return found


@asynccontextmanager
async def shipping(
    to: Sequence[Place], *, pauses: Sequence[float] = PAUSES
) -> AsyncIterator[Callable[[Entry], None]]:
    """Yields what takes an entry and returns at once; sends while the block runs."""
    queues = [_Queue(place, pauses) for place in to]
    tasks = [asyncio.create_task(queue.run()) for queue in queues]

    def ship(entry: Entry) -> None:
        line = trail.packed(entry) if queues else b""
        for queue in queues:
            queue.put(line)

    try:
        yield ship
    finally:
        for queue in queues:
            queue.close()
        if tasks:
            await asyncio.wait(tasks, timeout=LAST)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Queue:
    """What waits for one place."""

    def __init__(self, place: Place, pauses: Sequence[float]) -> None:
        self._place, self._pauses = place, pauses
        self._waiting: deque[Line] = deque()
        self._come = asyncio.Event()
        self._closed = False
        self._dropped = 0

    def put(self, line: Line) -> None:
        if len(self._waiting) >= QUEUE:
            self._dropped += 1
            return
        self._waiting.append(line)
        self._come.set()

    def close(self) -> None:
        self._closed = True
        self._come.set()

    async def run(self) -> None:
        """Send, in order, until closed and empty; what fails is tried again."""
        failed = 0
        while self._waiting or not self._closed:
            if not self._closed:
                await self._come.wait()
            batch = [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))]
            if not batch:
                self._come.clear()
                continue
            try:
                await asyncio.to_thread(self._place.send, batch)
            except OSError as error:
                self._say(error, failed)
                await asyncio.sleep(self._pauses[min(failed, len(self._pauses) - 1)])
                failed += 1
                continue
            failed = 0
            for _ in batch:
                self._waiting.popleft()

    def _say(self, error: OSError, failed: int) -> None:
        if not failed or self._dropped:
            waiting, dropped = len(self._waiting), self._dropped
            logger.error(
                "%s does not take entries of the audit trail (%s); %d wait, %d were left out",
                *(self._place.name, error, waiting, dropped),
            )
            self._dropped = 0
