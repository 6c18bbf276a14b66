"""Asking Redis: scripts, many commands at once, and what its silence means."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import (
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from app import errors
from app.turns import Turns

Word: TypeAlias = "str | bytes | int"
Client: TypeAlias = "Redis | RedisCluster"
_SCRIPTS = Path(__file__).parent / "scripts"
_COMMON = (_SCRIPTS / "common.lua").read_text()


@dataclass(frozen=True, slots=True)
class Script:
    """Lua that Redis runs without anything happening in between."""

    name: str
    source: str = field(repr=False)
    sha: str

    @classmethod
    def load(cls, name: str) -> Script:
        """The script of this name, behind what all have in common."""
        source = _COMMON + (_SCRIPTS / f"{name}.lua").read_text()
        return cls(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


@contextmanager
def answering() -> Iterator[None]:
    """Turns whatever the client raises into errors.CacheUnavailable."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
        reason = f"The cache does not answer ({kind(error)})."
        raise errors.CacheUnavailable(reason) from error
    except msgspec.MsgspecError as error:
        raise errors.CacheUnavailable(
            "The cache holds something that cannot be read; delete its keys, it is rebuilt."
        ) from error


def kind(error: BaseException) -> str:
    """What went wrong, without anything that the URL or a key may hold."""
    if type(error) is ResponseError and error.args:
        return str(error.args[0]).partition(" ")[0].strip("-:")[:40]
    return type(error).__name__


class Server:
    """One server or a cluster; so many questions at once, and none takes much longer than
    ``timeout`` seconds."""

    def __init__(self, client: Client, *, timeout: float, connections: int) -> None:
        self._client = client
        self._timeout = timeout
        self.turns = Turns(connections)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> list[Any]:
        """What a script returns. Raises errors.CacheUnavailable."""
        rest: list[Any] = [len(keys), *keys, *args]
        with answering():
            async with self._turn():
                try:
                    answer: list[Any] = await self._ask("EVALSHA", script.sha, *rest)
                except NoScriptError:
                    answer = await self._ask("EVAL", script.source, *rest)
        return answer

    async def batch(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """The answers to several commands, in one round trip. Raises errors.CacheUnavailable."""
        with answering():
            async with self._turn():
                pipeline = (
                    self._client.pipeline()
                    if isinstance(self._client, RedisCluster)
                    else self._client.pipeline(transaction=False)
                )
                for command in commands:
                    pipeline.execute_command(*command)
                return list(await pipeline.execute())

    async def _ask(self, *words: Word) -> Any:
        try:
            return await self._client.execute_command(*words)
        except ReadOnlyError:
            # A replica by now: the name may lead to its successor, a kept connection does not.
            if isinstance(self._client, Redis):
                await self._client.connection_pool.disconnect()
            raise

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A place among the questions under way, within the time that all of it may take."""
        async with asyncio.timeout(2 * self._timeout + 1), self.turns:
            yield
