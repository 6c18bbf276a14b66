"""``file:PATH``: a storage in a folder of this machine, or of a network mount with links.

``create`` and ``put`` return when bytes, names and new folders would survive a power cut.
User metadata is not kept: everything that counts is in the journal.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote

from app import errors
from app.models import Stored
from app.storage import keys, staged
from app.storage.checksum import Checksum
from app.storage.descriptor import Descriptor
from app.storage.folder import CHUNK, Folder, read
from app.storage.probe import is_for_reading
from app.storage.whole import WholeFile

BATCH = 1000
"""Keys that a scan fetches, and ``delete_many`` removes, at a time."""

WORTH_TAKING = 2**18
"""Bytes; a shorter file is copied: that costs less than names."""

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[FileStorage]:
    """Open the folder of ``file:PATH`` or ``file:///PATH``, made where it is missing.

    Options: ``threads`` (32) bounds what the disk is asked to do at a time, ``timeout``
    (60 seconds) how long one such thing may take. Raises errors.Misconfigured for a
    folder that cannot be used, or whose file system has no hard links.
    """
    path = folder_of(url)
    _, only_read = is_for_reading(options)
    opened = _open_there if only_read else _open
    threads = ThreadPoolExecutor(int(options.get("threads", 32)), thread_name_prefix="storage")
    try:
        folder = await asyncio.get_running_loop().run_in_executor(threads, opened, path)
        yield FileStorage(folder, threads, float(options.get("timeout", 60)))
    finally:
        await asyncio.to_thread(threads.shutdown)


class FileStorage:
    """Storage in a folder: a key is the path of a file below it."""

    def __init__(self, folder: Folder, threads: ThreadPoolExecutor, timeout: float) -> None:
        self._folder = folder
        self._threads = threads
        self._timeout = timeout

    async def create(self, key: str, content: bytes) -> bool:
        return await self._run(staged.create, self._folder, keys.check(key), bytes(content))

    async def put(
        self,
        key: str,
        content: AsyncIterator[bytes],
        *,
        size: int,
        sha256: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        checksum = Checksum(keys.check(key), size=size, sha256=sha256)
        put = staged.Staged(self._folder, key, checksum)
        try:
            taken = await self._taken(put, content, size)
            rest = [] if taken else await self._written(put, content)
            replaced = await self._run(put.publish, rest)
        except BaseException:
            await self._discard(put)
            raise
        if replaced:
            # Not waited for: a cancellation would come after the fact.
            self._threads.submit(put.settle)

    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        keys.check(key)
        keys.check_range(start, end)
        file, stop, chunk = await self._run(self._folder.open, key, start, end)
        while chunk:
            yield chunk
            start += len(chunk)
            chunk = await self._run(read, key, file, start, stop) if start < stop else b""

    async def head(self, key: str) -> Stored | None:
        return await self._run(self._folder.head, keys.check(key))

    async def url(self, key: str, *, filename: str, expires_in: timedelta) -> str | None:
        keys.check(key)
        return None

    async def delete(self, key: str) -> None:
        await self._run(self._folder.delete, keys.check(key))

    async def delete_many(self, many: Sequence[str]) -> None:
        checked = [keys.check(key) for key in many]
        for start in range(0, len(checked), BATCH):
            await self._run(self._folder.delete_many, checked[start : start + BATCH])

    async def scan(self, prefix: str = "") -> AsyncIterator[Stored]:
        found = self._folder.scan(keys.check_prefix(prefix))
        while batch := await self._run(lambda: list(islice(found, BATCH))):
            for stored in batch:
                yield stored
            if len(batch) < BATCH:
                return

    async def _taken(self, put: staged.Staged, content: AsyncIterator[bytes], size: int) -> bool:
        """Whether a whole file stands for its bytes now, by a name of its own."""
        if size < WORTH_TAKING or not isinstance(content, WholeFile):
            return False
        return await self._run(put.take, content.source)

    async def _written(self, put: staged.Staged, content: AsyncIterator[bytes]) -> list[bytes]:
        """All but the last chunks are written; those are left."""
        chunks: list[bytes] = []
        waiting = 0
        async for chunk in content:
            chunks.append(chunk)
            waiting += len(chunk)
            if waiting >= CHUNK:
                await self._run(put.write, chunks)
                chunks, waiting = [], 0
        return chunks

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``work`` returns, in a thread; its OSErrors and delays as StorageUnavailable."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))
        except TimeoutError:
            message = f"The storage folder did not answer within {self._timeout:g} seconds"
            raise errors.StorageUnavailable(message) from None
        except OSError as error:
            message = f"The storage folder cannot be used: {error.strerror}"
            raise errors.StorageUnavailable(message) from error

    async def _discard(self, put: staged.Staged) -> None:
        """Undo the put, even when nobody waits for it any more."""
        work = asyncio.wrap_future(self._threads.submit(_discard, put))
        await asyncio.wait({work}, timeout=self._timeout)


def _discard(put: staged.Staged) -> None:
    try:
        put.discard()
    except OSError as error:
        logger.warning("Half an upload stays in %s: %s", staged.TEMPORARY, error.strerror)


def folder_of(url: str) -> Path:
    """The path of ``file:relative``, ``file:/absolute`` or ``file:///percent%20encoded``.

    Raises errors.Misconfigured. A key is the path of a file below it.
    """
    path = url.removeprefix("file:")
    if path.startswith("//"):
        host, _, path = path.removeprefix("//").partition("/")
        if host not in ("", "localhost"):
            raise errors.Misconfigured(f"The storage {url!r} names a host; write file:PATH")
        path = f"/{unquote(path)}"
    if not path.strip("/") or "\0" in path:
        raise errors.Misconfigured(f"The storage {url!r} names no folder; write file:PATH")
    return Path(path)


def _open(path: Path) -> Folder:
    with _misconfigured(path):
        _make(path)
        root = Descriptor(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
        staged.sweep(root)
        staged.require_links(root)
    return Folder(root)


def _open_there(path: Path) -> Folder:
    """One that is there, and only read."""
    with _misconfigured(path):
        return Folder(Descriptor(os.open(path, os.O_RDONLY | os.O_DIRECTORY)))


@contextmanager
def _misconfigured(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"The storage folder {path} cannot be used: {error.strerror}"
        raise errors.Misconfigured(message) from error


def _make(path: Path) -> None:
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        Descriptor(os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)).sync()
