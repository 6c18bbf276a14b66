"""Turns: of several replicas that want the same of an upstream, one asks, and the others wait.

Whoever makes the key of a turn has it, and takes it away when what was asked for is kept. The
holder writes to it again and again meanwhile; of one that died, or says nothing for a while,
somebody takes over by making the key that is named after that holder: of several who try one
succeeds. No clock is compared with another's. Turns save questions; nothing that must be right
depends on them.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from ulid import ULID

from app import errors
from app.index import blobs
from app.index import holder as holders
from app.index.holder import Holder
from app.storage.base import Storage, read

ROOT = "upstream/turns/"
BEAT = 1.0
"""Seconds between two words of a holder."""
LIFE = 5.0
"""Seconds of silence after which a holder is taken for dead."""
PATIENCE = 10.0
"""Seconds that one waits for another's answer before asking too: less than installers wait."""
LOOKS = (0.02, 0.5)
"""Seconds between two looks at a turn: the first ones, and the last ones."""
LIMIT = 4096

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Word(msgspec.Struct, frozen=True):
    """What a holder writes; ``beat`` counts."""

    holder: Holder
    beat: int


class Turn:
    """Ours, until ``end``; one without keys is nobody's, and keeps nobody waiting."""

    def __init__(self, storage: Storage, keys: tuple[str, ...], holder: Holder) -> None:
        self._storage, self._keys, self._holder = storage, keys, holder
        self._over = asyncio.Event()
        self._beats = asyncio.create_task(self._beat()) if keys else None

    async def end(self) -> None:
        """What was asked for is kept, or will not be."""
        if self._beats is None:
            return
        self._over.set()
        await self._beats  # none may come after the key is gone
        try:
            await self._storage.delete_many(list(self._keys))
        except errors.StorageUnavailable as why:  # others will see that nobody writes to it
            logger.warning("a turn at an upstream stays: %s", why)

    async def _beat(self) -> None:
        beat = 0
        while True:
            try:
                async with asyncio.timeout(BEAT):
                    await self._over.wait()
                return
            except TimeoutError:
                beat += 1
            try:
                await blobs.put_small(self._storage, self._keys[-1], _word(self._holder, beat))
            except errors.StorageUnavailable as why:
                logger.warning("a turn at an upstream is renewed later: %s", why)


class Turns:
    """Those of this process among all that share a storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._process: Holder | None = None

    async def take(self, what: str, arrived: Callable[[], Awaitable[T | None]]) -> Turn | T:
        """The turn to ask for something; or what came of another's, as ``arrived`` finds it.

        Where the storage takes no turns, everybody has one.
        """
        first = f"{ROOT}{hashlib.sha256(what.encode()).hexdigest()}"
        me = await self._introduced()
        keys, ends = [first], time.monotonic() + PATIENCE
        try:
            while not await self._storage.create(keys[-1], _word(me, 0)):
                dead = await self._awaited(keys[-1], ends)
                if (found := await arrived()) is not None:
                    return found
                if time.monotonic() >= ends:
                    return Turn(self._storage, (), me)
                keys = [first] if dead is None else [*keys, f"{first}.{dead}"]
        except errors.StorageUnavailable as why:
            logger.warning("an upstream is asked out of turn: %s", why)
            return Turn(self._storage, (), me)
        turn = Turn(self._storage, tuple(keys), me)
        try:
            found = await arrived()  # it may have come just before
        except BaseException:
            await turn.end()
            raise
        if found is None:
            return turn
        await turn.end()
        return found

    async def _introduced(self) -> Holder:
        """This process, once more under another id."""
        if self._process is None:
            self._process = await asyncio.to_thread(holders.introduce)
        return msgspec.structs.replace(self._process, id=str(ULID()))

    async def _awaited(self, key: str, ends: float) -> str | None:
        """Wait for the end of another's turn, or of our patience.

        The id of a holder who will not end it; None else.
        """
        pause, longest = LOOKS
        last, since = b"", time.monotonic()
        while True:
            try:
                content = await read(self._storage, key, limit=LIMIT)
            except errors.KeyNotFound:
                return None
            holder = _holder(content)
            now = time.monotonic()
            if content != last:
                last, since = content, now
            if now - since >= LIFE or await asyncio.to_thread(holders.is_gone, holder):
                return holder.id
            if now >= ends:
                return None
            await asyncio.sleep(pause)
            pause = min(longest, pause * 1.5)


def _word(holder: Holder, beat: int) -> bytes:
    return msgspec.json.encode(Word(holder, beat))


def _holder(content: bytes) -> Holder:
    """Who wrote that; of what cannot be read, somebody who is told apart by it."""
    try:
        return msgspec.json.decode(content, type=Word).holder
    except msgspec.MsgspecError:
        return Holder(id=hashlib.sha256(content).hexdigest(), name="")
