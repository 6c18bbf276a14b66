"""What is in a wheel or an sdist, for people to look at: listed by a process of its own."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app import errors
from app.models import File
from app.web.child import answered

LARGEST = 200 << 20
"""Bytes of a file that is opened here."""
DEADLINE = 30.0
KEPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in an archive; ``size`` is what it unpacks to."""

    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The beginning of a member; ``text`` is None where it is no text."""

    text: str | None
    cut: bool


class Archives:
    """Opens archives, ``at_once`` together; they lie in ``spool`` as long as that takes."""

    def __init__(self, spool: Path, *, at_once: int = 2) -> None:
        self._spool = spool.absolute()
        self._turns = asyncio.Semaphore(at_once)
        self._listed: OrderedDict[str, tuple[Member, ...]] = OrderedDict()

    async def members(
        self, file: File, content: Callable[[], AsyncIterator[bytes]]
    ) -> tuple[Member, ...]:
        """What is in it, by name; kept by its hash. Raises errors.Invalid where it is too large."""
        key = file.hashes.sha256
        if key not in self._listed:
            self._listed[key] = _members(await self._asked(file, content, ""))
            if len(self._listed) > KEPT:
                self._listed.popitem(last=False)
        return self._listed[key]

    async def text(
        self, file: File, content: Callable[[], AsyncIterator[bytes]], member: str
    ) -> Text:
        """One member. Raises errors.NotFound where there is none of this name."""
        told = await self._asked(file, content, member)
        found = told.get("content")
        if not isinstance(found, str):
            raise errors.NotFound("There is no such file in this archive.")
        size = next(one.size for one in _members(told) if one.name == member)
        raw = found.encode("latin-1")
        text = raw.decode("utf-8", "ignore" if size > len(raw) else "replace")
        return Text(text=None if "\0" in text or "\ufffd" in text else text, cut=size > len(raw))

    async def _asked(
        self, file: File, content: Callable[[], AsyncIterator[bytes]], member: str
    ) -> Mapping[str, object]:
        if file.size > LARGEST:
            raise errors.Invalid("This file is too large to be looked into here.")
        async with self._turns:
            folder = await asyncio.to_thread(tempfile.mkdtemp, dir=self._spool, prefix="upload-")
            path = Path(folder) / file.filename
            try:
                await _copied(content(), path)
                return await _told(path, member)
            finally:
                await asyncio.shield(asyncio.to_thread(_remove, path))


async def _copied(chunks: AsyncIterator[bytes], path: Path) -> None:
    target = await asyncio.to_thread(path.open, "wb")
    try:
        async for chunk in chunks:
            await asyncio.to_thread(target.write, chunk)
    finally:
        await asyncio.to_thread(target.close)


async def _told(path: Path, member: str) -> Mapping[str, object]:
    out = await answered("app.web.opening_archives", str(path), member, deadline=DEADLINE)
    if out is None:
        raise errors.Invalid("This file takes too long to be looked into.")
    told: dict[str, object] = json.loads(out)
    if "refused" in told:
        raise errors.Invalid(f"This file cannot be looked into: {told['refused']}.")
    return told


def _members(told: Mapping[str, object]) -> tuple[Member, ...]:
    listed = told["members"]
    pairs = listed if isinstance(listed, list) else []
    return tuple(sorted((Member(name=n, size=s) for n, s in pairs), key=lambda one: one.name))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()
