"""A file on its way from an upstream: read once, given to all who wait, kept when it is right.

It is fetched by a task of its own, into a spool that everybody reads at their own pace; so
whoever leaves, the first one too, takes nothing from the others. The end of the bytes is held
back until length and hashes are what the page said. Of several replicas one fetches, and the
others wait a little for what it keeps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from packaging.utils import NormalizedName

from app import errors
from app.storage.whole import WholeFile
from app.unbroken import Unbroken
from app.upstream.kept import Digest, Kept, Shelf, digests
from app.upstream.spools import Spool, Writing
from app.upstream.turns import Turn, Turns
from app.upstream.wanted import Wanted
from app.upstream.wire import Reply

HELD = 64 * 1024
"""Bytes at the end that leave when all was verified."""
CHUNK = 256 * 1024
ATTEMPTS = 2

logger = logging.getLogger(__name__)


class Fetch:
    """One file under way. ``size`` is that of the whole, None until it is known; ``kept``: what
    another replica had fetched meanwhile."""

    def __init__(self, wanted: Wanted, spool: Spool, limit: int) -> None:
        self.wanted = wanted
        self.size = wanted.entry.size
        self._limit = limit
        self._spool = spool
        self._readers = 0
        self._finished = False
        self._news = asyncio.Event()
        self.began = asyncio.Event()
        self.verified = False
        self.kept: Kept | None = None
        self.failure: errors.PypicloudError | None = None
        self.sha256 = ""

    async def run(self) -> None:
        """Fetch and verify; ``failure`` says what went wrong."""
        try:
            await self._spool.open()
            await self._attempts()
            self.verified = True
        except errors.PypicloudError as failed:
            self.failure = failed
        finally:
            self.settle()

    def settle(self, kept: Kept | None = None) -> None:
        """Nothing more comes; tell all who wait."""
        self.kept = kept
        if kept is None and not self.verified and self.failure is None:
            self.failure = errors.Unreachable("The file could not be fetched; ask again.")
        self.began.set()
        self._tell()

    async def read(self, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from start to before end, as they come."""
        self._readers += 1
        try:
            at = start
            while True:
                written = self._spool.written
                ready = written if self.verified else written - HELD
                stop = ready if end is None else min(ready, end)
                if at < stop:
                    chunk = await self._spool.read(at, min(CHUNK, stop - at))
                    at += len(chunk)
                    yield chunk
                elif self.verified:
                    return
                elif self.failure is not None:
                    raise self.failure
                else:
                    await self._news.wait()
        finally:
            self._readers -= 1
            await self._close_if_done()

    @asynccontextmanager
    async def whole(self) -> AsyncGenerator[WholeFile]:
        """All of it once it was verified, while the block runs."""
        self._readers += 1
        try:
            async with aclosing(self._spool.whole()) as content:
                yield content
        finally:
            self._readers -= 1
            await self._close_if_done()

    async def finish(self) -> None:
        """Nobody comes any more; the spool goes with the last reader."""
        self._finished = True
        await self._close_if_done()

    async def _close_if_done(self) -> None:
        if self._finished and self._readers == 0:
            await self._spool.close()

    async def _attempts(self) -> None:
        hashing = digests(self.wanted.entry)
        for attempt in range(ATTEMPTS):
            try:
                await self._attempt(hashing)
                break
            except errors.Unreachable:
                if attempt == ATTEMPTS - 1 or not self.began.is_set():
                    raise
        found = {kind: one.hexdigest() for kind, one in hashing.items()}
        said = self.wanted.entry.hashes
        wrong = [kind for kind, digest in said.items() if found[kind] != digest]
        if wrong or (self.wanted.entry.size not in (None, self._spool.written)):
            client = self.wanted.client
            client.counts["wrong"] += 1
            raise errors.Unreachable(
                f"Upstream {client.name!r} sends other bytes for "
                f"{self.wanted.entry.filename!r} than its page says."
            )
        self.size = self._spool.written
        self.sha256 = found["sha256"]

    async def _attempt(self, hashing: Mapping[str, Digest]) -> None:
        client, entry = self.wanted.client, self.wanted.entry
        headers = {"accept": "*/*"}
        if self._spool.written:
            headers["range"] = f"bytes={self._spool.written}-"
        async with client.get(entry.url, **headers) as reply:
            writing = Writing(self._spool, hashing.values(), self._tell)
            body = _after(reply.chunks(limit=self._limit), self._checked(reply))
            try:
                async with aclosing(body):
                    async for fresh in body:
                        client.counts["bytes"] += len(fresh)
                        await writing.add(fresh)
            finally:
                await writing.settle()
        if self.size is not None and self._spool.written != self.size:
            raise errors.Unreachable(f"Upstream {client.name!r} broke off {entry.filename!r}.")

    def _checked(self, reply: Reply) -> int:
        """How many bytes of the body are here already. Raises errors.Unreachable."""
        client, entry = self.wanted.client, self.wanted.entry
        if reply.status == 206 and self._spool.written:
            said = reply.headers.get("content-range", "")
            if not said.startswith(f"bytes {self._spool.written}-"):
                raise errors.Unreachable(f"Upstream {client.name!r} sends another part.")
            return 0
        if reply.status != 200:
            raise errors.Unreachable(
                f"Upstream {client.name!r} answers {reply.status} for {entry.filename!r}."
            )
        # Some servers call a .tar.gz gzipped on the way; its hash says what is right.
        if reply.headers.get("content-encoding", "identity") != "identity" and not entry.hashes:
            raise errors.Unreachable(f"Upstream {client.name!r} sends a coding not asked for.")
        if self.size is None:
            self.size = reply.length
        elif reply.length not in (None, self.size):
            raise errors.Unreachable(
                f"Upstream {client.name!r} sends {reply.length} bytes of {entry.filename!r}, "
                f"which has {self.size}."
            )
        if self.size is not None and self.size > self._limit:
            raise errors.Unreachable(f"{entry.filename!r} is larger than this index takes.")
        self.began.set()
        self._tell()
        return self._spool.written

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


async def _after(chunks: AsyncGenerator[bytes], skip: int) -> AsyncGenerator[bytes]:
    """All but so many of the first bytes."""
    async with aclosing(chunks):
        async for chunk in chunks:
            fresh = chunk[skip:]
            skip = max(0, skip - len(chunk))
            if fresh:
                yield fresh


class Fetches:
    """All that are under way, each once."""

    def __init__(self, shelf: Shelf, turns: Turns, *, spool: Path, limit: int) -> None:
        self._shelf, self._turns, self._folder, self._limit = shelf, turns, spool, limit
        self._running: dict[tuple[NormalizedName, str], Fetch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unbroken = Unbroken()

    async def join(self, wanted: Wanted) -> Fetch | Kept:
        """The fetch of a file, begun if nobody has; its upstream has answered.

        What is kept, where another replica was about it and is done.
        Raises errors.Unreachable where it did not, or not with this file.
        """
        key = (wanted.name, wanted.entry.filename)
        if (fetch := self._running.get(key)) is None:
            spool = Spool(self._folder, self._unbroken)
            fetch = self._running[key] = Fetch(wanted, spool, self._limit)
            task = asyncio.create_task(self._run(key, fetch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await fetch.began.wait()
        if fetch.failure is not None:
            raise fetch.failure
        return fetch.kept or fetch

    async def whole(self, wanted: Wanted) -> Kept:
        """The file once it is kept."""
        found = await self._shelf.find(wanted.name, wanted.entry.filename)
        while found is None:
            fetch = await self.join(wanted)
            if isinstance(fetch, Kept):
                return fetch
            async for _ in fetch.read(start=self._limit):
                pass
            await self._settled(fetch)
            found = await self._shelf.find(wanted.name, wanted.entry.filename)
        return found

    async def stop(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._unbroken.settled()

    async def _settled(self, fetch: Fetch) -> None:
        key = (fetch.wanted.name, fetch.wanted.entry.filename)
        while self._running.get(key) is fetch:
            await asyncio.wait(set(self._tasks), return_when=asyncio.FIRST_COMPLETED)
        if fetch.failure is not None:
            raise fetch.failure

    async def _run(self, key: tuple[NormalizedName, str], fetch: Fetch) -> None:
        name, filename = key
        turn: Turn | Kept | None = None
        try:
            turn = await self._turns.take(
                f"file {name}/{filename}", lambda: self._shelf.find(name, filename)
            )
            if isinstance(turn, Kept):
                fetch.settle(turn)
            else:
                await fetch.run()
                await self._keep(fetch)
        except errors.PypicloudError as why:
            fetch.failure = why
            logger.warning("%s is not kept: %s", filename, why)
        finally:
            del self._running[key]
            if isinstance(turn, Turn):
                await turn.end()
            if not fetch.began.is_set():
                fetch.settle()
            await fetch.finish()

    async def _keep(self, fetch: Fetch) -> None:
        wanted = fetch.wanted
        if fetch.failure is not None:
            logger.warning("%s was not fetched: %s", wanted.entry.filename, fetch.failure)
            return
        wanted.client.counts["fetched"] += 1
        async with fetch.whole() as content:
            await self._shelf.keep(
                wanted.name,
                wanted.entry.filename,
                content,
                upstream=wanted.client.name,
                size=fetch.size or 0,
                sha256=fetch.sha256,
            )
