"""``jsonlines:PATH``: a cache in the memory of each process, kept in step by a file of JSON lines.

Every write is a line. Under the lock of the file a process first does what others wrote, then
its own: so all do the same in the same order, and give the same serials. What a write means,
MemoryCache knows. A start reads the file from its beginning.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec
from packaging.utils import NormalizedName

from app import errors
from app.cache.base import NOTHING, Query
from app.cache.memory import MemoryCache
from app.models import Change, File, Project, ProjectSummary
from pypicloud_onefile.lines import Lines

T = TypeVar("T")

TIMEOUT = 15.0
"""Seconds to wait for what other processes write, unless the URL says otherwise."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One write: which, and what it was given."""

    write: str
    change: Change | None = None
    file: File | None = None
    projects: tuple[Project, ...] = ()
    name: str | None = None
    filename: str | None = None
    floor: int = 0
    untrue: frozenset[str] = frozenset()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[JsonLinesCache]:
    """The cache in ``jsonlines:PATH?timeout=SECONDS``; there are no other options."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    try:
        timeout = float(query.pop("timeout", TIMEOUT))
    except ValueError:
        raise errors.Misconfigured("timeout: write it in seconds, such as 15") from None
    if not parts.path or parts.netloc or query or options:
        raise errors.Misconfigured("Write the cache as jsonlines:PATH or jsonlines:PATH?timeout=15")
    thread = ThreadPoolExecutor(1, thread_name_prefix="jsonlines")
    loop = asyncio.get_running_loop()
    try:
        try:
            lines = await loop.run_in_executor(thread, Lines, Path(parts.path), timeout)
        except OSError as why:
            raise errors.Misconfigured(f"{parts.path} cannot be used: {why.strerror}") from why
        cache = JsonLinesCache(lines, thread)
        try:
            await cache.serial()
            yield cache
        finally:
            await loop.run_in_executor(thread, lines.close)
    finally:
        thread.shutdown(wait=False)


class JsonLinesCache:
    """A Cache whose writes are lines. All work is done in one thread, a step after the other."""

    indexed = False

    def __init__(self, lines: Lines, thread: ThreadPoolExecutor) -> None:
        self._lines = lines
        self._thread = thread
        self._memory = MemoryCache()

    async def project(self, name: NormalizedName) -> Project | None:
        return await self._read(lambda memory: memory.project(name))

    async def outline(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        return await self._read(lambda memory: memory.outline(name, filename))

    async def certain(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        return await self._read(lambda memory: memory.certain(name, filename))

    async def file(self, name: NormalizedName, filename: str) -> File | None:
        return await self._read(lambda memory: memory.file(name, filename))

    async def projects(
        self, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        return await self._read(lambda memory: memory.projects(after=after, limit=limit))

    async def search(
        self, query: Query, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        return await self._read(lambda memory: memory.search(query, after=after, limit=limit))

    async def save(self, file: File, change: Change) -> int:
        return await self._write(Line("save", change, file=file))

    async def save_project(self, project: Project, change: Change) -> int:
        return await self._write(Line("save_project", change, projects=(project,)))

    async def restore(
        self, projects: Sequence[Project], change: Change, *, untrue: AbstractSet[str] = NOTHING
    ) -> int:
        those = frozenset(untrue)
        return await self._write(Line("restore", change, projects=tuple(projects), untrue=those))

    async def forget(self, name: NormalizedName, filename: str | None, change: Change) -> int:
        return await self._write(Line("forget", change, name=name, filename=filename))

    async def record(self, change: Change) -> int:
        return await self._write(Line("record", change))

    async def serial(self) -> int:
        return await self._read(lambda memory: memory.serial())

    async def shown_serial(self) -> int:
        return await self._read(lambda memory: memory.shown_serial())

    async def changes(self, after: int, limit: int = 1000) -> Sequence[Change]:
        return await self._read(lambda memory: memory.changes(after, limit))

    async def prune(self, below: int, change: Change) -> None:
        await self._write(Line("prune", change, floor=below))

    async def clear(self, floor: int = 0) -> None:
        await self._write(Line("clear", floor=floor))

    async def built(self) -> bool:
        return await self._read(lambda memory: memory.built())

    async def set_built(self) -> None:
        await self._write(Line("set_built"))

    async def _read(self, question: Callable[[MemoryCache], Awaitable[T]]) -> T:
        def work() -> T:
            with self._lines.locked(alone=False):
                self._follow()
            return _now(question(self._memory))

        return await self._done(work)

    async def _write(self, line: Line) -> int:
        def work() -> int:
            with self._lines.locked(alone=True):
                self._follow()
                return self._written(line)

        # What the thread has begun it finishes, whoever is cancelled that waits for it.
        return await self._done(work)

    async def _done(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OSError as why:
            raise errors.CacheUnavailable(f"The cache's file does not answer: {why}") from why

    def _follow(self) -> None:
        """Do what others wrote."""
        try:
            for line in self._lines.news():
                _do(self._memory, _decode(line))
        except (msgspec.MsgspecError, errors.PypicloudError) as why:
            self._begin_anew()
            raise errors.CacheUnavailable(
                "The cache's file holds something that cannot be read; "
                "stop, delete it and start: it is rebuilt."
            ) from why

    def _written(self, line: Line) -> int:
        """Do it here, and write it down for the others, unless it changes nothing."""
        before = _now(self._memory.serial())
        answer = _do(self._memory, line)
        if line.write in ("prune", "clear", "set_built") or _now(self._memory.serial()) > before:
            try:
                self._lines.append(_encode(line))
            except OSError:
                self._begin_anew()
                raise
        return answer

    def _begin_anew(self) -> None:
        """What is in memory is not what is in the file."""
        self._lines.rewind()
        self._memory = MemoryCache()


def _do(memory: MemoryCache, line: Line) -> int:
    """One write, in memory; what it answers, 0 for what answers nothing."""
    match line:
        case Line(write="save", file=File() as file, change=Change() as change):
            return _now(memory.save(file, change))
        case Line(write="save_project", projects=(project,), change=Change() as change):
            return _now(memory.save_project(project, change))
        case Line(write="restore", change=Change() as change):
            return _now(memory.restore(line.projects, change, untrue=line.untrue))
        case Line(write="forget", name=str() as name, change=Change() as change):
            return _now(memory.forget(NormalizedName(name), line.filename, change))
        case Line(write="record", change=Change() as change):
            return _now(memory.record(change))
        case Line(write="prune", change=Change() as change):
            _now(memory.prune(line.floor, change))
            return 0
        case Line(write="set_built"):
            _now(memory.set_built())
            return 0
        case Line(write="clear"):
            _now(memory.clear(line.floor))
            return 0
    raise msgspec.ValidationError(f"no write: {line.write}")


def _now(answer: Awaitable[T]) -> T:
    """The answer of a method of MemoryCache, none of which ever waits."""
    try:
        answer.__await__().__next__()
    except StopIteration as done:
        found: T = done.value
        return found
    raise RuntimeError("MemoryCache waits for something")
