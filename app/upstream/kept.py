"""Files of upstreams that are kept here: which bytes a filename stands for, once and for all."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from packaging.utils import NormalizedName
from ulid import ULID

from app import errors
from app.index import blobs
from app.models import Actor, File, Hashes
from app.storage.base import Storage, read
from app.upstream.entries import Entry

ROOT = "upstream/kept/"
FILES = "upstream/files/"
AT_HAND = 20_000
LIMIT = 64 * 1024


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The bytes that a filename stands for: where they lie, and whence they came."""

    v: int
    filename: str
    blob: str
    size: int
    sha256: str
    upstream: str
    time: datetime
    metadata_sha256: str | None = None

    @property
    def encoded(self) -> bytes:
        """As it is kept."""
        return msgspec.json.encode(self)


class Shelf:
    """What is kept of upstreams' files, in the storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._known: OrderedDict[tuple[NormalizedName, str], Kept] = OrderedDict()

    async def find(self, name: NormalizedName, filename: str) -> Kept | None:
        """The bytes of a filename; None where none are kept."""
        if (kept := self._known.get((name, filename))) is not None:
            return kept
        try:
            content = await read(self._storage, _key(name, filename), limit=LIMIT)
        except errors.KeyNotFound:
            return None
        kept = decoded(content)
        self._remember(name, kept)
        return kept

    async def filenames(self, name: NormalizedName) -> frozenset[str]:
        """The files of a project that are kept."""
        begin = f"{ROOT}{name}/"
        return frozenset([
            stored.key.removeprefix(begin).removesuffix(".json")
            async for stored in self._storage.scan(begin)
        ])  # fmt: skip

    async def keep(
        self,
        name: NormalizedName,
        filename: str,
        content: AsyncIterator[bytes],
        *,
        upstream: str,
        size: int,
        sha256: str,
    ) -> Kept:
        """Keep verified bytes; where others were first, theirs stay and are returned."""
        blob = f"{FILES}{name}/{ULID()}/{filename}"
        await self._storage.put(blob, content, size=size, sha256=sha256)
        made = Kept(
            v=1,
            filename=filename,
            blob=blob,
            size=size,
            sha256=sha256,
            upstream=upstream,
            time=datetime.now(UTC),
        )
        if await self._storage.create(_key(name, filename), made.encoded):
            self._remember(name, made)
            return made
        await blobs.remove_if_possible(self._storage, blob)
        found = await self.find(name, filename)
        if found is None:
            raise errors.StorageUnavailable(f"What is kept of {filename} cannot be read.")
        return found

    async def all(self) -> AsyncGenerator[tuple[NormalizedName, Kept]]:
        """Every file that is kept, by project."""
        async for stored in self._storage.scan(ROOT):
            name, _, rest = stored.key.removeprefix(ROOT).partition("/")
            kept = await self.find(NormalizedName(name), rest.removesuffix(".json"))
            if kept is not None:
                yield NormalizedName(name), kept

    async def remove(self, name: NormalizedName, kept: Kept) -> None:
        """Forget a file: what stands for it first, then its bytes."""
        self._known.pop((name, kept.filename), None)
        await self._storage.delete(_key(name, kept.filename))
        await self._storage.delete_many([kept.blob, _metadata_key(name, kept.filename)])

    # Core metadata

    async def metadata(self, name: NormalizedName, filename: str) -> bytes | None:
        """Kept core metadata; None where none is."""
        try:
            return await read(
                self._storage, _metadata_key(name, filename), limit=blobs.METADATA_LIMIT
            )
        except errors.KeyNotFound:
            return None

    async def keep_metadata(self, name: NormalizedName, filename: str, content: bytes) -> bytes:
        """Keep it; what was kept first stays and is returned."""
        if await self._storage.create(_metadata_key(name, filename), content):
            return content
        return await self.metadata(name, filename) or content

    def _remember(self, name: NormalizedName, kept: Kept) -> None:
        self._known[name, kept.filename] = kept
        while len(self._known) > AT_HAND:
            self._known.popitem(last=False)


def as_file(name: NormalizedName, entry: Entry, kept: Kept) -> File:
    """Kept bytes as the doors know files; digests that nobody asks for are empty."""
    return File(
        project=name,
        filename=entry.filename,
        version=entry.version,
        kind=entry.kind,
        python_version="",
        size=kept.size,
        hashes=Hashes(sha256=kept.sha256, blake2b_256="", md5=""),
        blob=kept.blob,
        upload_time=entry.upload_time or kept.time,
        changed=kept.time,
        uploader=Actor(kind="upstream", id=kept.upstream),
        generation="",
        sequence=1,
        head="",
        requires_python=entry.requires_python,
        yanked=entry.yanked,
        source=f"upstream:{kept.upstream}",
    )


class Digest(Protocol):
    """A hash that is being computed."""

    def update(self, chunk: bytes, /) -> None:
        """Add bytes."""
        ...

    def hexdigest(self) -> str:
        """What they come to."""
        ...


def digests(entry: Entry) -> Mapping[str, Digest]:
    """One for every digest that the page has, and for sha256."""
    made: dict[str, Digest] = {"sha256": hashlib.sha256()}
    for kind in entry.hashes:
        if kind == "blake2b":
            made[kind] = hashlib.blake2b()
        elif kind != "sha256":
            made[kind] = hashlib.new(kind, usedforsecurity=False)
    return made


def decoded(content: bytes) -> Kept:
    """What is kept of a file; raises errors.JournalBroken for what cannot be read."""
    try:
        return msgspec.json.decode(content, type=Kept)
    except msgspec.MsgspecError as wrong:
        raise errors.JournalBroken(f"what is kept of an upstream cannot be read: {wrong}") from None


def _key(name: NormalizedName, filename: str) -> str:
    return f"{ROOT}{name}/{filename}.json"


def _metadata_key(name: NormalizedName, filename: str) -> str:
    return f"upstream/metadata/{name}/{filename}.metadata"
