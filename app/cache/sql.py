"""The cache in a SQL database: SQLite, by way of SQLAlchemy.

Reads are one statement each, so each sees one moment; writes are ``writing``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import chain, islice
from typing import Any, Concatenate, ParamSpec, TypeVar

from packaging.utils import NormalizedName
from sqlalchemy import (
    ColumnElement,
    Executable,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    true,
)

from app.cache import rows, writes
from app.cache.base import Query
from app.cache.engines import answering, opened
from app.cache.match import matches
from app.cache.schema import changes, files, meta, projects
from app.cache.writing import Writing, writing
from app.models import Change, File, Project, ProjectSummary
from app.sqlite import Engines

P = ParamSpec("P")
T = TypeVar("T")

_ROWS = 1000
"""Rows decoded at once; in between the event loop has its turn."""
_TERMS = 100
_TERM_LENGTH = 1000
"""A search beyond these is not put to the database, whose limits differ."""

# A file's row has serial -1: one statement for all, without the facts in every row.
_PROJECT = (
    select(projects.c.serial, projects.c.facts.label("body"))
    .where(projects.c.name == bindparam("name"))
    .union_all(
        select(literal_column("-1"), files.c.body).where(files.c.project == bindparam("name"))
    )
)
_FILE = select(files.c.body).where(
    files.c.project == bindparam("name"), files.c.filename == bindparam("filename")
)
_OUTLINE = (
    select(projects.c.serial, projects.c.facts.label("body"))
    .where(projects.c.name == bindparam("name"))
    .union_all(
        select(literal_column("-1"), files.c.body).where(
            files.c.project == bindparam("name"), files.c.filename == bindparam("filename")
        )
    )
)
_LINES = (
    select(projects.c.line)
    .where(projects.c.line.is_not(None), projects.c.name > bindparam("after"))
    .order_by(projects.c.name)
)
_CHANGES = (
    select(changes.c.body)
    .where(changes.c.serial > bindparam("after"))
    .order_by(changes.c.serial)
    .limit(bindparam("limit"))
)
_META = select(meta.c.value).where(meta.c.name == bindparam("name"))
_SHOWN = select(func.coalesce(func.max(projects.c.serial), 0))


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[SqlCache]:
    """Open the database, making file, directory and tables where they are missing.

    ``options`` may hold ``timeout``: the seconds to wait for another process's write.
    Raises errors.Misconfigured where the database cannot be used, saying why and what to do.
    """
    async with opened(url, options) as engines:
        cache = SqlCache(engines)
        try:
            yield cache
        finally:
            await cache.settled()


class SqlCache:
    """A Cache whose every write is one transaction. What was begun is finished, whoever waits."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._running: set[asyncio.Task[Any]] = set()

    async def project(self, name: NormalizedName) -> Project | None:
        return await self._project(_PROJECT, name=name)

    async def outline(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        return await self._project(_OUTLINE, name=name, filename=filename or "")

    async def _project(self, statement: Executable, **values: str) -> Project | None:
        with answering():
            found = await self._read(statement, **values)
            facts = [(body, serial) for serial, body in found if serial >= 0]
            if not facts:
                return None
            bodies = [body for serial, body in found if serial < 0]
            parts = [rows.files(part) async for part in _in_turns(bodies)]
            return rows.project(*facts[0], files=tuple(chain.from_iterable(parts)))

    async def file(self, name: NormalizedName, filename: str) -> File | None:
        with answering():
            found = await self._read(_FILE, name=name, filename=filename)
            return rows.files(body for (body,) in found)[0] if found else None

    async def projects(
        self, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        return await self._listed(_LINES.limit(limit), after)

    async def search(
        self, query: Query, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        if _askable(query):
            return await self._listed(_LINES.where(_matching(query)).limit(limit), after)
        found = (line for line in await self.projects(after=after) if matches(query, line))
        return list(islice(found, limit))

    async def save(self, file: File, change: Change) -> int:
        return await self._write(writes.save, file, change)

    async def save_project(self, project: Project, change: Change) -> int:
        return await self._write(writes.save_project, project, change)

    async def restore(self, projects: Sequence[Project], change: Change) -> int:
        return await self._write(writes.restore, projects, change)

    async def forget(self, name: NormalizedName, filename: str | None, change: Change) -> int:
        return await self._write(writes.forget, name, filename, change)

    async def record(self, change: Change) -> int:
        return await self._write(writes.record, change)

    async def serial(self) -> int:
        return await self._number(_META, name="serial")

    async def shown_serial(self) -> int:
        return await self._number(_SHOWN)

    async def changes(self, after: int, limit: int = 1000) -> Sequence[Change]:
        with answering():
            found = await self._read(_CHANGES, after=after, limit=limit)
            parts = [rows.changes(part) async for part in _in_turns([body for (body,) in found])]
            return list(chain.from_iterable(parts))

    async def clear(self, floor: int = 0) -> None:
        await self._write(writes.clear, floor)

    async def built(self) -> bool:
        return await self._number(_META, name="built") == 1

    async def set_built(self) -> None:
        await self._write(writes.set_built)

    async def settled(self) -> None:
        """Wait for what goes on although nobody waits for it any more."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _write(
        self,
        work: Callable[Concatenate[Writing, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        async def transaction() -> T:
            async with writing(self._engines.write) as write:
                return await work(write, *args, **kwargs)

        with answering():
            return await self._finished(transaction())

    async def _read(self, statement: Executable, **values: object) -> Sequence[rows.AnyRow]:
        async def query() -> Sequence[rows.AnyRow]:
            async with self._engines.read.connect() as connection:
                return (await connection.execute(statement, values)).all()

        return await self._finished(query())

    async def _finished(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it to its end, even where the caller is cancelled.

        SQLite keeps a connection that is closed amid a statement, with its locks, until
        the last reference to the statement is gone, and a traceback may hold one.
        """
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _number(self, statement: Executable, **values: object) -> int:
        with answering():
            number: int = (await self._read(statement, **values))[0][0]
            return number

    async def _listed(self, statement: Executable, after: str) -> list[ProjectSummary]:
        with answering():
            found = await self._read(statement, after=after)
            parts = [rows.summaries(part) async for part in _in_turns([line for (line,) in found])]
            return list(chain.from_iterable(parts))


async def _in_turns(column: Sequence[bytes]) -> AsyncIterator[Sequence[bytes]]:
    """The column in parts; between them the event loop has its turn."""
    for start in range(0, len(column), _ROWS):
        if start:
            await asyncio.sleep(0)
        yield column[start : start + _ROWS]


def _askable(query: Query) -> bool:
    terms = query.names + query.summaries
    return len(terms) <= _TERMS and all(
        len(term) <= _TERM_LENGTH and "\0" not in term for term in terms
    )


def _matching(query: Query) -> ColumnElement[bool]:
    """What ``match.matches`` says, as a condition."""
    if not query.names and not query.summaries:
        return true()
    join = or_ if query.operator == "or" else and_
    sides = [
        join(*(column.contains(term.casefold(), autoescape=True) for term in terms))
        for column, terms in ((projects.c.name, query.names), (projects.c.folded, query.summaries))
        if terms
    ]
    return or_(*sides)
