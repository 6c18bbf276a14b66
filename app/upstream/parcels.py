"""Kept files and pages in one tar archive, to be carried to where no upstream can be asked.

Every file has its description before it, so that it is checked while it is read. What is there
already stays.
"""

from __future__ import annotations

import asyncio
import io
import tarfile
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from packaging.utils import NormalizedName

from app import errors, names
from app.index import blobs
from app.storage.base import Storage
from app.upstream import entries
from app.upstream.kept import LIMIT, Kept, decoded
from app.upstream.listings import LARGEST
from app.upstream.options import matches
from app.upstream.upstreams import Upstreams

CHUNK = 1 << 20


@dataclass(slots=True)
class Carried:
    """What went out or came in; ``left`` says what did not, and why."""

    files: int = 0
    pages: int = 0
    here: int = 0
    bytes: int = 0
    left: list[str] = field(default_factory=list)


Heard = Callable[[Carried], None]


async def pack(
    upstreams: Upstreams,
    storage: Storage,
    path: Path,
    *,
    patterns: Sequence[str] = ("*",),
    since: datetime | None = None,
    told: Heard = lambda carried: None,
) -> Carried:
    """Write the archive; of what was kept ``since`` alone, where that is given.

    The file is there when it is whole. Raises errors.Invalid where it cannot be written.
    """
    carried = Carried()
    part = path.with_name(f"{path.name}.part")
    try:
        tar = await asyncio.to_thread(tarfile.open, part, "w", format=tarfile.PAX_FORMAT)
        try:
            async for name, kept in upstreams.shelf.all():
                if matches(name, patterns) and (since is None or kept.time >= since):
                    await _pack_file(upstreams, storage, tar, name, kept)
                    carried.files += 1
                    carried.bytes += kept.size
                    told(carried)
            async for record in upstreams.records():
                if matches(record.name, patterns) and not record.absent:
                    member = f"pages/{record.upstream}/{record.name}.json"
                    await asyncio.to_thread(_add, tar, member, entries.encode(record))
                    carried.pages += 1
        finally:
            await asyncio.to_thread(tar.close)
        await asyncio.to_thread(part.replace, path)
    except OSError as wrong:
        raise errors.Invalid(f"{path} cannot be written: {wrong.strerror}") from None
    finally:
        await asyncio.to_thread(part.unlink, missing_ok=True)
    return carried


async def _pack_file(
    upstreams: Upstreams, storage: Storage, tar: tarfile.TarFile, name: NormalizedName, kept: Kept
) -> None:
    await asyncio.to_thread(_add, tar, f"kept/{name}/{kept.filename}.json", kept.encoded)
    metadata = await upstreams.shelf.metadata(name, kept.filename)
    if metadata is not None:
        await asyncio.to_thread(_add, tar, f"metadata/{name}/{kept.filename}", metadata)
    file: IO[bytes] = await asyncio.to_thread(tempfile.TemporaryFile, dir=_folder(tar))
    with file:
        async for chunk in storage.get(kept.blob):
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.seek, 0)
        member = tarfile.TarInfo(f"files/{name}/{kept.filename}")
        member.size = kept.size
        await asyncio.to_thread(tar.addfile, member, file)


def _folder(tar: tarfile.TarFile) -> str:
    return str(Path(str(tar.name)).parent)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


class Unpacking:
    """One archive that is taken in."""

    def __init__(self, upstreams: Upstreams, *, told: Heard = lambda carried: None) -> None:
        self._upstreams, self._shelf, self._told = upstreams, upstreams.shelf, told
        self._known = frozenset(client.name for client in upstreams.clients)
        self._next: Kept | None = None
        self.carried = Carried()

    async def run(self, path: Path) -> Carried:
        """Take all of it; raises errors.Invalid where it is no such archive."""
        try:
            tar = await asyncio.to_thread(tarfile.open, path, "r:")
            try:
                while (member := await asyncio.to_thread(tar.next)) is not None:
                    await self._take(tar, member)
            finally:
                await asyncio.to_thread(tar.close)
        except (OSError, tarfile.TarError, EOFError) as wrong:
            raise errors.Invalid(f"{path} cannot be read: {wrong}") from None
        return self.carried

    async def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        kind, _, rest = member.name.partition("/")
        where, _, last = rest.partition("/")
        file = await asyncio.to_thread(tar.extractfile, member) if member.isreg() else None
        if file is None or not names.is_filename(last) or not names.is_filename(where):
            raise errors.Invalid(f"{member.name!r:.300} does not belong into such an archive.")
        with file:
            if kind == "pages":
                await self._page(await _whole(file, member, LARGEST), member.name)
            elif kind == "kept":
                self._next = decoded(await _whole(file, member, LIMIT))
            elif (kept := self._described(last)) is not None and kind in ("metadata", "files"):
                await self._belonging(kind, names.normalize(where), kept, file, member)
            else:
                raise errors.Invalid(f"{member.name!r:.300} stands where it cannot be.")
        self._told(self.carried)

    def _described(self, filename: str) -> Kept | None:
        kept = self._next
        return kept if kept is not None and kept.filename == filename else None

    async def _belonging(
        self,
        kind: str,
        name: NormalizedName,
        kept: Kept,
        file: IO[bytes],
        member: tarfile.TarInfo,
    ) -> None:
        """The core metadata or the bytes of the file that was described."""
        try:
            await self._upstreams.require_free(name)
            if kind == "metadata":
                content = await _whole(file, member, blobs.METADATA_LIMIT)
                await self._shelf.keep_metadata(name, kept.filename, content)
                return
            before = await self._shelf.find(name, kept.filename)
            if before is None:
                await self._shelf.keep(
                    name, kept.filename, _chunks(file), upstream=kept.upstream,
                    size=kept.size, sha256=kept.sha256,
                )  # fmt: skip
                self.carried.files += 1
                self.carried.bytes += kept.size
            elif before.sha256 == kept.sha256:
                self.carried.here += 1
            else:
                self.carried.left.append(f"{kept.filename}: other bytes of it are kept here")
        except errors.ProjectNotFound:
            if kind == "files":
                self.carried.left.append(f"{kept.filename}: {name} is ours")
        except errors.BlobDamaged as why:
            self.carried.left.append(f"{kept.filename}: {why}")

    async def _page(self, content: bytes, member: str) -> None:
        record = await asyncio.to_thread(entries.decode, content)
        if record is None or not entries.is_sound(record):
            raise errors.Invalid(f"{member!r:.300} is no page of an upstream.")
        if record.upstream not in self._known:
            self.carried.left.append(f"{record.name}: no upstream here is called {record.upstream}")
            return
        try:
            await self._upstreams.require_free(record.name)
        except errors.ProjectNotFound:
            self.carried.left.append(f"{record.name}: it is ours")
            return
        await self._upstreams.take(record)
        self.carried.pages += 1


async def _whole(file: IO[bytes], member: tarfile.TarInfo, limit: int) -> bytes:
    if member.size > limit:
        raise errors.Invalid(f"{member.name!r:.300} is too long.")
    return await asyncio.to_thread(file.read)


async def _chunks(file: IO[bytes]) -> AsyncGenerator[bytes]:
    while chunk := await asyncio.to_thread(file.read, CHUNK):
        yield chunk
