"""A file on its way from an upstream: read once, given to all who wait, kept when it is right.

It is fetched by a task of its own, into a spooled file that everybody reads at their own pace;
so whoever leaves, the first one too, takes nothing from the others. The end of the bytes is
held back until length and hashes are what the page said.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import IO

from packaging.utils import NormalizedName

from app import errors
from app.unbroken import Unbroken
from app.upstream.kept import Digest, Kept, Shelf, digests
from app.upstream.wanted import Wanted
from app.upstream.wire import Reply

HELD = 64 * 1024
"""Bytes at the end that leave when all was verified."""
CHUNK = 256 * 1024
ATTEMPTS = 2

logger = logging.getLogger(__name__)


class Fetch:
    """One file under way. ``size`` is that of the whole, None until it is known."""

    def __init__(self, wanted: Wanted, spool: Path, limit: int, unbroken: Unbroken) -> None:
        self.wanted = wanted
        self._unbroken = unbroken
        self.size = wanted.entry.size
        self._limit = limit
        self._spool = spool
        self._file: IO[bytes] | None = None
        self._written = 0
        self._readers = 0
        self._finished = False
        self._news = asyncio.Event()
        self._lock = asyncio.Lock()
        self.began = asyncio.Event()
        self.verified = False
        self.failure: errors.PypicloudError | None = None
        self.sha256 = ""

    async def run(self) -> None:
        """Fetch and verify; ``failure`` says what went wrong."""
        try:
            await self._unbroken(self._open())
            await self._attempts()
            self.verified = True
        except errors.PypicloudError as failed:
            self.failure = failed
        except asyncio.CancelledError:
            self.failure = errors.Unreachable("The index is being stopped.")
            raise
        finally:
            if not self.verified and self.failure is None:
                self.failure = errors.Unreachable("The file could not be fetched.")
            self._tell()

    async def read(self, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from start to before end, as they come."""
        self._readers += 1
        try:
            at = start
            while True:
                ready = self._written if self.verified else self._written - HELD
                stop = ready if end is None else min(ready, end)
                if at < stop:
                    chunk = await self._at(at, min(CHUNK, stop - at))
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

    async def finish(self) -> None:
        """Nobody comes any more; the spooled file goes with the last reader."""
        self._finished = True
        await self._close_if_done()

    async def _close_if_done(self) -> None:
        if self._finished and self._readers == 0 and self._file is not None:
            file, self._file = self._file, None
            await self._unbroken(asyncio.to_thread(file.close))

    async def _open(self) -> None:
        self._file = await asyncio.to_thread(tempfile.TemporaryFile, dir=self._spool)
        await self._close_if_done()  # it may have been cancelled meanwhile

    @property
    def _spooled(self) -> IO[bytes]:
        if self._file is None:
            raise errors.Unreachable("The file is no longer at hand; ask again.")
        return self._file

    async def _at(self, at: int, length: int) -> bytes:
        def read() -> bytes:
            file.seek(at)
            return file.read(length)

        file = self._spooled
        async with self._lock:
            return await asyncio.to_thread(read)

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
        if wrong or (self.wanted.entry.size not in (None, self._written)):
            client = self.wanted.client
            client.counts["wrong"] += 1
            raise errors.Unreachable(
                f"Upstream {client.name!r} sends other bytes for "
                f"{self.wanted.entry.filename!r} than its page says."
            )
        self.size = self._written
        self.sha256 = found["sha256"]

    async def _attempt(self, hashing: Mapping[str, Digest]) -> None:
        client, entry = self.wanted.client, self.wanted.entry
        headers = {"accept": "*/*"}
        if self._written:
            headers["range"] = f"bytes={self._written}-"
        async with client.get(entry.url, **headers) as reply:
            skip = self._checked(reply)
            async for chunk in reply.chunks(limit=self._limit):
                passed, skip = chunk[:skip], skip - min(skip, len(chunk))
                fresh = chunk[len(passed) :]
                if fresh:
                    await self._write(fresh, hashing)
                    client.counts["bytes"] += len(fresh)
        if self.size is not None and self._written != self.size:
            raise errors.Unreachable(f"Upstream {client.name!r} broke off {entry.filename!r}.")

    def _checked(self, reply: Reply) -> int:
        """How many bytes of the body are here already. Raises errors.Unreachable."""
        client, entry = self.wanted.client, self.wanted.entry
        if reply.status == 206 and self._written:
            said = reply.headers.get("content-range", "")
            if not said.startswith(f"bytes {self._written}-"):
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
        return self._written

    async def _write(self, chunk: bytes, hashing: Mapping[str, Digest]) -> None:
        def write() -> None:
            file.seek(self._written)
            file.write(chunk)
            file.flush()
            for one in hashing.values():
                one.update(chunk)

        file = self._spooled
        async with self._lock:
            try:
                await asyncio.to_thread(write)
            except OSError as full:
                reason = f"The spool takes no more: {full.strerror}"
                raise errors.StorageUnavailable(reason) from full
        self._written += len(chunk)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
        if self.failure is not None or self.verified:
            self.began.set()


class Fetches:
    """All that are under way, each once."""

    def __init__(self, shelf: Shelf, *, spool: Path, limit: int) -> None:
        self._shelf, self._spool, self._limit = shelf, spool, limit
        self._running: dict[tuple[NormalizedName, str], Fetch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unbroken = Unbroken()

    async def join(self, wanted: Wanted) -> Fetch:
        """The fetch of a file, begun if nobody has; its upstream has answered.

        Raises errors.Unreachable where it did not, or not with this file.
        """
        key = (wanted.name, wanted.entry.filename)
        if (fetch := self._running.get(key)) is None:
            fetch = self._running[key] = Fetch(wanted, self._spool, self._limit, self._unbroken)
            task = asyncio.create_task(self._run(key, fetch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await fetch.began.wait()
        if fetch.failure is not None:
            raise fetch.failure
        return fetch

    async def whole(self, wanted: Wanted) -> Kept:
        """The file once it is kept."""
        found = await self._shelf.find(wanted.name, wanted.entry.filename)
        while found is None:
            fetch = await self.join(wanted)
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
        wanted = fetch.wanted
        try:
            await fetch.run()
            if fetch.failure is not None:
                logger.warning("%s was not fetched: %s", wanted.entry.filename, fetch.failure)
                return
            wanted.client.counts["fetched"] += 1
            async with aclosing(fetch.read()) as chunks:
                await self._shelf.keep(
                    wanted.name,
                    wanted.entry.filename,
                    chunks,
                    upstream=wanted.client.name,
                    size=fetch.size or 0,
                    sha256=fetch.sha256,
                )
        except errors.PypicloudError as why:
            fetch.failure = why
            logger.warning("%s is not kept: %s", wanted.entry.filename, why)
        finally:
            del self._running[key]
            await fetch.finish()
