"""What is in a wheel or an sdist, for people to look at: listed by a process of its own."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import errors, unbroken
from app.models import File
from app.web.child import answered

LARGEST = 200 << 20
"""Bytes of a file that is opened here."""
DEADLINE = 30.0
WAITING = 32
"""Archives that are opened or wait for it; who asks for more is asked to come again."""
_MEMBER = 160
"""Bytes that a member takes beside its name."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """What an archive's process told; ``content`` is that of the member asked for, if any."""

    members: tuple[Member, ...]
    content: str | None


class Archives:
    """Opens archives, ``at_once`` together; they lie in ``spool`` as long as that takes.

    Of what is asked for by many at once one is opened; ``memory`` bytes of listings are kept.
    """

    def __init__(self, spool: Path, *, at_once: int = 2, memory: int = 32 << 20) -> None:
        self._spool = spool.absolute()
        self._turns = asyncio.Semaphore(at_once)
        self._memory = memory
        self._used = 0
        self._listed: OrderedDict[str, tuple[Member, ...]] = OrderedDict()
        self._coming: dict[tuple[str, str], asyncio.Task[_Opened]] = {}

    async def members(
        self, file: File, content: Callable[[], AsyncIterator[bytes]]
    ) -> tuple[Member, ...]:
        """What is in it, by name; kept by its hash.

        Raises errors.Invalid where it is too large, errors.Busy where too many wait already.
        """
        key = file.hashes.sha256
        if (found := self._listed.get(key)) is not None:
            self._listed.move_to_end(key)
            return found
        found = (await self._asked(file, content, "")).members
        if key not in self._listed:
            self._listed[key] = found
            self._used += _size(found)
        while self._used > self._memory:
            self._used -= _size(self._listed.popitem(last=False)[1])
        return found

    async def text(
        self, file: File, content: Callable[[], AsyncIterator[bytes]], member: str
    ) -> Text:
        """One member. Raises as ``members``, and errors.NotFound where none is called so."""
        listed = await self.members(file, content)
        size = next((one.size for one in listed if one.name == member), None)
        opened = None if size is None else await self._asked(file, content, member)
        if size is None or opened is None or opened.content is None:
            raise errors.NotFound("There is no such file in this archive.")
        raw = opened.content.encode("latin-1")
        text = raw.decode("utf-8", "ignore" if size > len(raw) else "replace")
        return Text(text=None if "\0" in text or "\ufffd" in text else text, cut=size > len(raw))

    async def _asked(
        self, file: File, content: Callable[[], AsyncIterator[bytes]], member: str
    ) -> _Opened:
        if file.size > LARGEST:
            raise errors.Invalid("This file is too large to be looked into here.")
        key = (file.hashes.sha256, member)
        if (task := self._coming.get(key)) is None:
            if len(self._coming) >= WAITING:
                raise errors.Busy("Too many archives are being looked into; try again.")
            task = self._coming[key] = unbroken.begun(self._opened(file, content, member))
            task.add_done_callback(lambda _: self._coming.pop(key, None))
        return await asyncio.shield(task)

    async def _opened(
        self, file: File, content: Callable[[], AsyncIterator[bytes]], member: str
    ) -> _Opened:
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


async def _told(path: Path, member: str) -> _Opened:
    out = await answered("app.web.opening_archives", str(path), member, deadline=DEADLINE)
    if out is None:
        raise errors.Invalid("This file takes too long to be looked into.")
    return await asyncio.to_thread(_read, out)


def _read(out: bytes) -> _Opened:
    """In a thread: there may be a hundred thousand members."""
    told: dict[str, Any] = json.loads(out)
    if "refused" in told:
        raise errors.Invalid(f"This file cannot be looked into: {told['refused']}.")
    members = sorted((Member(name=n, size=s) for n, s in told["members"]), key=lambda one: one.name)
    return _Opened(members=tuple(members), content=told["content"])


def _size(members: tuple[Member, ...]) -> int:
    return _MEMBER * (1 + len(members)) + sum(len(one.name) for one in members)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()
