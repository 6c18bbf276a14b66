"""What is held belongs to an era, which ends when the cache is cleared or its keys are lost.

The keys of an era have its name in them, so that nothing of the former one is ever seen again,
and what is left of it can be removed at leisure.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from app import errors
from app.cache.redis.records import LAYOUT, Keys
from app.cache.redis.server import Script, Server, Word

OPEN, LOOK, COMMIT, RECORD = map(Script.load, ("open", "look", "commit", "record"))
CHANGES, LIST, SHOWN, ABSENT = map(Script.load, ("changes", "list", "shown", "absent"))
BUILT, CLEAR, KEEP, SWEEP = map(Script.load, ("built", "clear", "keep", "sweep"))
PRUNE = Script.load("prune")

_TRIES = 5
_SWEPT = 500
ABANDONED = 7 * 86400
"""Seconds after which what another version holds, and no process used, is removed."""


class Emptied(errors.CacheUnavailable):
    """Redis holds nothing of this cache any more."""

    def __init__(self) -> None:
        super().__init__("The cache was emptied; it is to be rebuilt.")


class Era:
    """The present one. Whoever asks about a former one is told, and asks again."""

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self.pools = {"server": server.turns}
        self.keys = Keys(prefix=prefix, layout=LAYOUT, era="")

    async def open(self) -> None:
        """Begin the first era where there is none."""
        fresh = secrets.token_hex(6)
        words = (LAYOUT, fresh, int(time.time()))
        _, era, _ = await self._server.run(OPEN, self.keys.index, words)
        self._move(era)

    async def run(self, script: Script, *words: Word, keys: Sequence[str] = ()) -> list[Any]:
        """What the script returns, for this era; ``keys`` are those of projects, by name."""
        return await self._run(script, words, lambda now: map(now.project, keys))

    async def read(self, ask: Callable[[Keys], Sequence[Sequence[Word]]]) -> list[Any]:
        """The answers to commands, all about one era; one round trip."""
        for _ in range(_TRIES):
            keys = self.keys
            present, *answers = await self._server.batch(
                [("HGET", keys.root, keys.era_field), *ask(keys)]
            )
            if present == keys.era.encode():
                return answers
            self._move(present)
        raise _restless()

    async def require_absent(self, name: str) -> None:
        """Raises errors.CacheUnavailable where Redis knew this project, and lost it."""
        words = (name, secrets.token_hex(6))
        await self._run(ABSENT, words, lambda now: (now.project(name), now.dead))

    async def clear(self, floor: int) -> tuple[int, str, str]:
        """Begin another: the serial it begins above, the run of the server, its name."""
        fresh = secrets.token_hex(6)
        keys = (*self.keys.index, self.keys.dead)
        _, serial, run = await self._server.run(CLEAR, keys, (LAYOUT, fresh, floor))
        self._move(fresh.encode())
        return int(serial), run.decode(), fresh

    async def keep(self) -> None:
        """Say that this version is in use, and remove what nobody uses."""
        now = int(time.time())
        await self._run(KEEP, (now, now - ABANDONED), lambda now: (now.dead,))
        await self.sweep()

    async def sweep(self) -> None:
        """Remove what former eras left, so little at once that nobody waits for it."""
        (dead,) = await self._server.batch([("SMEMBERS", self.keys.dead)])
        for member in dead:
            layout, _, era = member.decode().partition(":")
            await self._sweep(Keys(prefix=self.keys.prefix, layout=layout, era=era))
            await self._server.batch([("SREM", self.keys.dead, member)])

    async def _sweep(self, old: Keys) -> None:
        _, shown, *rest = old.index
        while True:
            (names,) = await self._server.batch([("ZRANGE", shown, 0, _SWEPT - 1)])
            if not names:
                break
            projects = [old.project(name.decode()) for name in names]
            await self._server.run(SWEEP, (shown, *projects), names)
        await self._server.batch([("UNLINK", key) for key in rest])

    async def _run(
        self, script: Script, words: Sequence[Word], more: Callable[[Keys], Any]
    ) -> list[Any]:
        for _ in range(_TRIES):
            keys = self.keys
            status, *answer = await self._server.run(
                script, (*keys.index, *more(keys)), (LAYOUT, keys.era, *words)
            )
            if status == b"ok":
                return answer
            if status == b"lost":
                if script is not ABSENT:
                    await self.require_absent("")
                raise errors.CacheUnavailable(
                    "The cache has lost some of what it held; it is to be rebuilt."
                )
            self._move(answer[0] if status == b"moved" else None)
        raise _restless()

    def _move(self, era: bytes | None) -> None:
        if era is None:
            raise Emptied
        self.keys = Keys(prefix=self.keys.prefix, layout=LAYOUT, era=era.decode())


def _restless() -> errors.CacheUnavailable:
    return errors.CacheUnavailable("The cache is being cleared again and again.")
