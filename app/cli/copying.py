"""Copying one storage into another: everything that lasts, verified, the journal last.

The journal is listed before anything else is, and written after all of it: at every moment the
target is a whole index, if an older one. What is there already is not copied again, so a copy
that was interrupted goes on, and one of a storage in use is brought up by another run.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import msgspec

from app import errors
from app.abreast import abreast
from app.downloads.kept import ROOT as DOWNLOADS
from app.index import lease, pending
from app.index.adopting_names import is_ours
from app.index.journal import ROOT as JOURNAL
from app.index.serials import NOTES
from app.models import Stored
from app.storage import probe
from app.storage.base import Storage, read

AT_ONCE = 16
"""Keys that are copied together."""
LARGE = 8 * 2**20
"""Bytes; what is longer goes by way of a file, once its hash is known."""
CHUNK = 2**20
RECORD = 4 * 2**20
"""Bytes that an event has at most."""
PASSING = (lease.ROOT, pending.ROOT, probe.ROOT)
"""What belongs to a process that runs, and is not copied."""
_DAMAGED = "its bytes are not those that the journal tells of"

State = Literal["copied", "there", "damaged", "differs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a key; ``reason`` where it is damaged, or differs from what is there."""

    key: str
    state: State
    size: int
    reason: str | None = None


@dataclass(slots=True)
class Copy:
    """One run. ``deep``: bytes that are there already are read and compared as well.

    ``prefix`` is what the keys begin with that this index did not write; others stay.
    """

    source: Storage
    target: Storage
    spool: Path
    deep: bool = False
    prefix: str = ""
    found: int = 0
    size: int = 0
    done: int = 0
    done_size: int = 0
    _hashes: dict[str, str] = field(default_factory=dict)

    async def run(self) -> AsyncGenerator[Outcome, None]:
        """What becomes of every key; whoever breaks it off must close it.

        Raises errors.Unavailable: to be run again.
        """
        events = [one async for one in self.source.scan(JOURNAL) if is_ours(one.key)]
        others = [one async for one in self.source.scan() if self._is_wanted(one.key)]
        self.found = len(events) + len(others)
        self.size = sum(stored.size for stored in others)
        for keys in (others, events):
            async with aclosing(abreast(map(self._one, keys), AT_ONCE)) as outcomes:
                async for outcome in outcomes:
                    self.done += 1
                    self.done_size += 0 if keys is events else outcome.size
                    yield outcome

    def _is_wanted(self, key: str) -> bool:
        return not _is_apart(key) and (key.startswith(self.prefix) or is_ours(key))

    async def _one(self, stored: Stored) -> Outcome:
        key = stored.key
        try:
            if key.startswith(JOURNAL) and is_ours(key):
                return await self._event(stored)
            return await self._bytes(stored)
        except errors.KeyNotFound:  # removed meanwhile
            return Outcome(key=key, state="there", size=0)
        except errors.Corrupt as damage:
            return Outcome(key=key, state="damaged", size=stored.size, reason=str(damage))

    async def _event(self, stored: Stored) -> Outcome:
        key = stored.key
        content = await read(self.source, key, limit=RECORD)
        blob, sha256 = _publication(content)
        if blob and self._hashes.get(blob, sha256) != sha256:
            return Outcome(key=key, state="damaged", size=len(content), reason=_DAMAGED)
        if await self.target.create(key, content):
            return Outcome(key=key, state="copied", size=len(content))
        if await read(self.target, key, limit=RECORD) == content:
            return Outcome(key=key, state="there", size=len(content))
        reason = "the target has another history of this file"
        return Outcome(key=key, state="differs", size=len(content), reason=reason)

    async def _bytes(self, listed: Stored) -> Outcome:
        key, there = listed.key, await self.target.head(listed.key)
        if there is not None and there.size == listed.size and not _is_rewritten(key):
            if not self.deep:
                return Outcome(key=key, state="there", size=listed.size)
            ours, theirs = await sha256_of(self.source, key), await sha256_of(self.target, key)
            self._hashes[key] = ours
            if ours == theirs:
                return Outcome(key=key, state="there", size=listed.size)
        stored = await self.source.head(key)
        if stored is None:
            raise errors.KeyNotFound(key)
        with tempfile.TemporaryFile(dir=self.spool) as kept:
            digest, size = await self._spooled(key, kept)
            self._hashes[key] = digest
            await self.target.put(
                key, _chunks(kept), size=size, sha256=digest, metadata=stored.metadata
            )
        after = await self.target.head(key)
        if after is None or after.size != size:
            raise errors.BlobDamaged(key)
        return Outcome(key=key, state="copied", size=size)

    async def _spooled(self, key: str, kept: IO[bytes]) -> tuple[str, int]:
        """The hash and the size of a key's bytes, which are in ``kept`` then."""
        digest, size = hashlib.sha256(), 0
        async for chunk in self.source.get(key):
            size += len(chunk)
            await asyncio.to_thread(_append, digest, kept, chunk)
        return digest.hexdigest(), size


async def sha256_of(storage: Storage, key: str) -> str:
    """The hash of the bytes of a key."""
    digest = hashlib.sha256()
    async for chunk in storage.get(key):
        digest.update(chunk)
    return digest.hexdigest()


def _append(digest: hashlib._Hash, kept: IO[bytes], chunk: bytes) -> None:
    digest.update(chunk)
    kept.write(chunk)


async def _chunks(kept: IO[bytes]) -> AsyncIterator[bytes]:
    await asyncio.to_thread(kept.seek, 0)
    while chunk := await asyncio.to_thread(kept.read, CHUNK):
        yield chunk


def _is_apart(key: str) -> bool:
    """Whether a key is of the journal, or not to be copied; projects may have such names too."""
    return key.endswith("/") or (key.startswith((JOURNAL, *PASSING)) and is_ours(key))


def _is_rewritten(key: str) -> bool:
    """Whether a key's bytes may change under it."""
    return key.startswith((NOTES, DOWNLOADS))


def _publication(content: bytes) -> tuple[str, str]:
    """The blob that an event publishes, and its hash; nothing for every other event."""
    try:
        publication = msgspec.json.decode(content).get("publication") or {}
        return str(publication["blob"]), str(publication["hashes"]["sha256"])
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError):
        return "", ""
