"""A proxy that stands between the app and a store, and breaks what it is told to break.

It passes on every byte as it is, so that what the client signed is what the store verifies:
the client's endpoint is the proxy, and the store is told so by ``Host``. A plan chooses for
each request whether something goes wrong with it, and what.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

from tests.servers import wire
from tests.servers.plans import Injected, Plan, Request, nothing
from tests.servers.relay import Ended, Relay, reset
from tests.servers.running import free_ports

T = TypeVar("T")


class Seen(NamedTuple):
    """A request that came, and what befell it."""

    method: str
    target: str
    fault: Injected | None


class FaultProxy:
    """A proxy to ``port`` of loopback, in a thread of its own; use ``between``.

    ``plan`` may be set at any time. ``seen`` are all requests so far, ``busy`` how many were
    under way at once at the most.
    """

    def __init__(self, port: int) -> None:
        self.port = free_ports(1)[0]
        self.plan: Plan = nothing
        self.delay = 0.2
        self.seen: list[Seen] = []
        self.busy = 0
        self._store = port
        self._busy = 0
        self._serving: set[asyncio.Future[None]] = set()
        self._listener: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._listen())

    @property
    def url(self) -> str:
        """What to give as endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """While the block runs nobody listens, and what was connected is not any more."""
        self._run(self._deafen())
        try:
            yield
        finally:
            self._run(self._listen())

    def close(self) -> None:
        """End it."""
        self._run(self._deafen())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    # Not by asyncio's servers: they lose what they are about to accept when they are closed.

    async def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept, self._listener)

    async def _deafen(self) -> None:
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        await asyncio.sleep(0)  # a task that is cancelled before it begins closes nothing
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it may have gone away meanwhile
            connected, _ = listener.accept()
            serving = asyncio.ensure_future(self._serve(connected))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)

    async def _serve(self, connected: socket.socket) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=connected, limit=wire.PIECE * 2)
        except BaseException:
            connected.close()
            raise
        connection = Relay(reader, writer, self._store, self.delay)
        try:
            while head := await wire.read_head(reader):
                method, target, _ = head.first
                fault = self.plan(Request(len(self.seen), method, target))
                self.seen.append(Seen(method, target, fault))
                self._busy += 1
                self.busy = max(self.busy, self._busy)
                try:
                    await connection.exchange(head, fault)
                finally:
                    self._busy -= 1
        except asyncio.CancelledError:
            reset(writer)
        except (Ended, *wire.CLOSED):
            pass
        finally:
            connection.close()


@contextmanager
def between(port: int) -> Iterator[FaultProxy]:
    """A proxy before the store that listens on a port of loopback."""
    proxy = FaultProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
