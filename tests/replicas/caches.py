"""The shared caches as servers of a test's own, which are killed, emptied and brought back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import asyncpg
import httpx

from tests.servers import dynamodb, postgresql, redis
from tests.servers.running import Running, stop
from tests.servers.s3 import start_ministack

PREFIX = "pypicloud"
ATTEMPTS = 5


class SharedCache(Protocol):
    """A server that holds the cache of several replicas. ``forgets``: a kill empties it."""

    name: str
    forgets: bool
    settings: Mapping[str, str]

    def kill(self) -> None:
        """SIGKILL for every process of it."""
        ...

    def resume(self) -> None:
        """Start it again where it was, on what it kept; return when it answers."""
        ...

    def freeze(self) -> None:
        """SIGSTOP for every process of it: it takes what is sent, and says nothing."""
        ...

    def thaw(self) -> None:
        """Let it go on."""
        ...

    def empty(self) -> None:
        """Take away all it holds, while it runs, as somebody else would."""
        ...


class _Frozen:
    """What stops and goes on as its process does."""

    _running: Running

    def freeze(self) -> None:
        signal_all(self._running.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        signal_all(self._running.pid, signal.SIGCONT)


class PostgreSQL(_Frozen):
    """What it committed stands on the disk."""

    name = "postgresql"
    forgets = False

    def __init__(self, folder: Path) -> None:
        self._running = postgresql.start_postgresql(folder)
        self.kill()
        self.resume()
        self.settings: Mapping[str, str] = {
            "CACHE": postgresql.server_url(self._running),
            "SQL__TIMEOUT": "5s",
            "SQL__POOL_SIZE": "4",
        }

    def kill(self) -> None:
        stop_all(self._running.pid)

    def resume(self) -> None:
        folder, port = Path(self._running.folder), self._running.ports["sql"]
        postgresql.give(folder, "postgres")  # another run of pytest closes folders above
        self._running = postgresql.resume_postgresql(folder, port, durable=True)

    def empty(self) -> None:
        statement = (
            "DO $$ DECLARE one text; BEGIN FOR one IN SELECT tablename FROM pg_tables "
            "WHERE tablename LIKE 'pypicloud_cache_%' LOOP "
            "EXECUTE 'DROP TABLE ' || quote_ident(one); END LOOP; END $$"
        )
        for _ in range(ATTEMPTS):
            with suppress(asyncpg.DeadlockDetectedError):  # with somebody who reads these tables
                asyncio.run(postgresql.execute(self._running, statement))
                return
        raise AssertionError("the tables could not be dropped")


class Redis(_Frozen):
    """What it answered stands in its append-only file."""

    name = "redis"
    forgets = False
    options: tuple[str, ...] = ("--appendonly", "yes", "--appendfsync", "always")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = redis.start_redis(folder, *self.options)
        self._port = self._running.ports["redis"]
        self.settings: Mapping[str, str] = {
            "CACHE": f"redis://127.0.0.1:{self._port}/0?timeout=2&prefix={PREFIX}"
        }

    def kill(self) -> None:
        stop(self._running)

    def resume(self) -> None:
        self._running = redis.start_redis(self._folder, *self.options, port=self._port)

    def empty(self) -> None:
        redis.ask(self._port, "FLUSHALL")

    def forget(self) -> None:
        shutil.rmtree(self._folder / "appendonlydir")


class ForgetfulRedis(Redis):
    """It keeps nothing: whoever kills it has emptied it."""

    name = "redis without persistence"
    forgets = True
    options = ()


class DynamoDB(_Frozen):
    """As ministack has it: in memory only."""

    name = "dynamodb"
    forgets = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = start_ministack(folder)
        self._port = self._running.ports["gateway"]
        url = f"http://127.0.0.1:{self._port}"
        options = {k.upper(): str(v) for k, v in dynamodb.options_at(url).items()}
        self.settings: Mapping[str, str] = {
            "CACHE": f"dynamodb://{dynamodb.REGION}/{PREFIX}",
            "DYNAMODB__TIMEOUT": "5s",
            **{f"DYNAMODB__{name}": value for name, value in options.items()},
        }

    def kill(self) -> None:
        stop(self._running)

    def resume(self) -> None:
        self._running = start_ministack(self._folder, port=self._port)

    def empty(self) -> None:
        answer = httpx.post(
            f"http://127.0.0.1:{self._port}",
            headers={
                "X-Amz-Target": "DynamoDB_20120810.DeleteTable",
                "Content-Type": "application/x-amz-json-1.0",
            },
            json={"TableName": f"{PREFIX}-cache"},
            trust_env=False,
        )
        assert answer.is_success, answer.text


_KINDS: Mapping[str, Callable[[Path], SharedCache]] = {
    kind.name: kind for kind in (PostgreSQL, Redis, ForgetfulRedis, DynamoDB)
}


@contextmanager
def running_cache(name: str, folder: Path) -> Iterator[SharedCache]:
    """A server of this kind, gone in the end."""
    folder.mkdir()
    cache = _KINDS[name](folder)
    try:
        yield cache
    finally:
        cache.kill()


def stop_all(pid: int) -> None:
    """SIGKILL for a process and its children, which may have groups of their own."""
    signal_all(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def signal_all(pid: int, sent: signal.Signals) -> None:
    """A signal for the same."""
    for process in (pid, *children(pid)):
        with suppress(ProcessLookupError):
            os.kill(process, sent)


def children(pid: int) -> list[int]:
    """The processes whose parent it is."""
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
