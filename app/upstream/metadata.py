"""Core metadata of upstreams' wheels (PEP 658): theirs, or made from a few kilobytes of a wheel.

The end of a wheel holds its directory, which says where METADATA lies; two or three ranges are
enough. An upstream that knows no ranges costs the whole wheel, which is then kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import NormalizedName

from app import errors, names
from app.models import Kind
from app.storage.base import Storage
from app.upstream.client import Client
from app.upstream.entries import Entry
from app.upstream.fetching import Fetches
from app.upstream.kept import Shelf
from app.upstream.wanted import Wanted

TAIL = 32 * 1024
"""Bytes that the first range asks for: nearly every directory, and what stands before it."""
RANGES = 6
LARGEST_RANGE = 16 * 2**20
LARGEST = 8 * 2**20
INFO = ".dist-info/METADATA"


_More = Callable[[int, int], Awaitable[bytes]]


class Missing(Exception):
    """Bytes of the file that are not here."""

    def __init__(self, start: int, end: int) -> None:
        super().__init__(start, end)
        self.start, self.end = start, end


class Parts(io.RawIOBase):
    """A file of which some parts are here; reading others raises Missing."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._parts: list[tuple[int, bytes]] = []
        self._at = 0

    def add(self, start: int, content: bytes) -> None:
        """Bytes that came."""
        self._parts.append((start, content))

    def seekable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._at = max(0, offset + {0: 0, 1: self._at, 2: self.size}[whence])
        return self._at

    def tell(self) -> int:
        """The place."""
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Bytes from there on."""
        end = self.size if size is None or size < 0 else min(self.size, self._at + size)
        if end <= self._at:
            return b""
        for start, content in self._parts:
            if start <= self._at and end <= start + len(content):
                found = content[self._at - start : end - start]
                self._at = end
                return found
        raise Missing(self._at, end)


class Metadata:
    """Core metadata by file, kept for ever once it is here."""

    def __init__(self, storage: Storage, shelf: Shelf, fetches: Fetches) -> None:
        self._storage, self._shelf, self._fetches = storage, shelf, fetches
        self._coming: dict[tuple[NormalizedName, str], asyncio.Task[bytes]] = {}

    async def of(self, client: Client, name: NormalizedName, entry: Entry) -> bytes:
        """The core metadata of a file.

        Raises errors.FileNotFound where there cannot be any, and errors.Unreachable.
        """
        kept = await self._shelf.metadata(name, entry.filename)
        if kept is not None:
            return kept
        key = (name, entry.filename)
        if (task := self._coming.get(key)) is None:
            task = self._coming[key] = asyncio.create_task(self._get(client, name, entry))
            task.add_done_callback(lambda done: self._arrived(key, done))
        return await asyncio.shield(task)

    def _arrived(self, key: tuple[NormalizedName, str], task: asyncio.Task[bytes]) -> None:
        del self._coming[key]
        if not task.cancelled():
            task.exception()  # raised to whoever waits

    async def _get(self, client: Client, name: NormalizedName, entry: Entry) -> bytes:
        content = None
        if entry.core_metadata is not None:
            content = await self._theirs(client, entry)
        if content is None:
            if entry.kind is not Kind.WHEEL:
                raise errors.FileNotFound(name, f"{entry.filename}.metadata")
            content = await self._made(client, name, entry)
        self._require(client, entry, content)
        return await self._shelf.keep_metadata(name, entry.filename, content)

    async def _theirs(self, client: Client, entry: Entry) -> bytes | None:
        """What the upstream has; None where it has none of a wheel after all, as some mirrors."""
        parts = urlsplit(entry.url)
        url = urlunsplit(parts._replace(path=f"{parts.path}.metadata"))
        async with client.get(url, accept="*/*") as reply:
            if reply.status in (404, 410) and entry.kind is Kind.WHEEL:
                return None
            if reply.status != 200:
                raise errors.Unreachable(f"it answers {reply.status} for core metadata")
            content = await reply.body(limit=LARGEST)
        client.counts["bytes"] += len(content)
        return content

    def _require(self, client: Client, entry: Entry, content: bytes) -> None:
        """That it is what the page says. Raises errors.Unreachable."""
        for kind, digest in (entry.core_metadata or {}).items():
            made = hashlib.new("blake2b512" if kind == "blake2b" else kind, content,
                               usedforsecurity=False)  # fmt: skip
            if made.hexdigest() != digest:
                client.counts["wrong"] += 1
                raise errors.Unreachable(
                    f"Upstream {client.name!r} sends other core metadata for "
                    f"{entry.filename!r} than its page says."
                )

    async def _made(self, client: Client, name: NormalizedName, entry: Entry) -> bytes:
        parts = None
        if await self._shelf.find(name, entry.filename) is None:
            parts = await self._tail(client, entry)
        if parts is None:
            kept = await self._fetches.whole(Wanted(client=client, name=name, entry=entry))
            parts = Parts(kept.size)
            # The wheel is here now: the same reading, from the storage.
            return await self._read(
                name, parts, lambda start, end: self._stored(kept.blob, start, end)
            )
        return await self._read(
            name, parts, lambda start, end: self._range(client, entry, start, end)
        )

    async def _read(self, name: NormalizedName, parts: Parts, more: _More) -> bytes:
        for _ in range(RANGES):
            try:
                return await asyncio.to_thread(extracted, parts, name)
            except Missing as missing:
                end = min(parts.size, max(missing.end, missing.start + TAIL))
                if end - missing.start > LARGEST_RANGE:
                    break
                parts.add(missing.start, await more(missing.start, end))
        raise errors.Unreachable("Its core metadata cannot be found in the wheel.")

    async def _stored(self, blob: str, start: int, end: int) -> bytes:
        return b"".join([chunk async for chunk in self._storage.get(blob, start=start, end=end)])

    async def _tail(self, client: Client, entry: Entry) -> Parts | None:
        """The end of a wheel; None where the upstream knows no ranges."""
        async with client.get(entry.url, accept="*/*", range=f"bytes=-{TAIL}") as reply:
            if reply.status != 206:
                return None
            size = _size(reply.headers.get("content-range", ""), entry)
            content = await reply.body(limit=TAIL)
        client.counts["bytes"] += len(content)
        parts = Parts(size)
        parts.add(size - len(content), content)
        return parts

    async def _range(self, client: Client, entry: Entry, start: int, end: int) -> bytes:
        async with client.get(entry.url, accept="*/*", range=f"bytes={start}-{end - 1}") as reply:
            said = reply.headers.get("content-range", "")
            if reply.status != 206 or not said.startswith(f"bytes {start}-"):
                raise errors.Unreachable("it sends another part than was asked for")
            content = await reply.body(limit=end - start)
        client.counts["bytes"] += len(content)
        return content


def extracted(parts: Parts, name: NormalizedName) -> bytes:
    """METADATA of a project's wheel. Raises Missing, and errors.Unreachable for what is none."""
    try:
        with zipfile.ZipFile(parts) as archive:
            found = [
                member
                for member in archive.infolist()
                if member.filename.count("/") == 1
                and member.filename.endswith(INFO)
                and _is_of(member.filename.removesuffix(INFO), name)
            ]
            if len(found) != 1 or found[0].file_size > LARGEST:
                raise errors.Unreachable("The wheel has not one METADATA.")
            with archive.open(found[0]) as member:
                return member.read(LARGEST)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError,
            ValueError, OSError) as wrong:  # fmt: skip
        raise errors.Unreachable(f"The wheel cannot be read: {wrong}") from None


def _is_of(folder: str, name: NormalizedName) -> bool:
    """Whether a wheel of the project has its description there; others may be in it too."""
    with suppress(errors.InvalidName):
        return names.normalize(folder.rpartition("-")[0]) == name
    return False


def _size(content_range: str, entry: Entry) -> int:
    said = content_range.rpartition("/")[2]
    size = int(said) if said.isascii() and said.isdecimal() else entry.size
    if size is None or (entry.size is not None and size != entry.size):
        raise errors.Unreachable(f"The size of {entry.filename!r} is not what its page says.")
    return size
