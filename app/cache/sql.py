"""The cache in a SQL database, by way of SQLAlchemy.

Reads are one statement each, so each sees one moment; writes are ``writing``'s.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Concatenate, ParamSpec, TypeVar

from packaging.utils import NormalizedName
from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from app import errors
from app.cache import certainty, rows, schema, writes
from app.cache.base import NOTHING, Query
from app.cache.builds import Builds
from app.cache.engines import answering, opened
from app.cache.match import matching
from app.cache.options import SqlOptions
from app.cache.schema import ERA, LAYOUT, files, history, layouts, meta, projects
from app.cache.writing import Writing, writing
from app.models import Change, File, Project, ProjectSummary
from app.sql.database import Database
from app.unbroken import Unbroken

P = ParamSpec("P")
T = TypeVar("T")

_TERMS = 100
_TERM_LENGTH = 1000
"""A search beyond these is not put to the database, whose limits differ."""
_UNTEXTUAL = re.compile(f"[\0\ud800-\udfff{rows.NUL}]")
"""Nor is one for these, which no database's text holds, or which stand for another."""
KEEP_EVERY = 3600
"""Seconds."""

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
_ONE = (
    select(projects.c.serial, projects.c.facts.label("body")).where(
        projects.c.name == bindparam("name")
    ),
    select(literal_column("-1"), files.c.body).where(
        files.c.project == bindparam("name"), files.c.filename == bindparam("filename")
    ),
)
_OUTLINE = union_all(*_ONE)
_WHOLE = -2
_COMPLETE: Any = select(literal_column(str(_WHOLE)), literal_column("NULL")).where(
    layouts.c.layout == LAYOUT,
    layouts.c.built == 1,
    select(meta.c.value).where(meta.c.name == ERA).exists(),
)
_CERTAIN: Executable = union_all(*_ONE, _COMPLETE)
_LINES = (
    select(projects.c.line)
    .where(projects.c.line.is_not(None), projects.c.name > bindparam("after"))
    .order_by(projects.c.name)
)
_MINE = layouts.c.layout == LAYOUT
_CHANGES = (
    select(history.c.body)
    .where(
        history.c.serial > bindparam("after"),
        history.c.serial > select(layouts.c.since).where(_MINE).scalar_subquery(),
    )
    .order_by(history.c.serial)
    .limit(bindparam("limit"))
)
_SERIAL = select(meta.c.value).where(meta.c.name == "serial")
_BUILT = select(
    layouts.c.built, select(meta.c.value).where(meta.c.name == ERA).scalar_subquery().label("era")
).where(_MINE)
_SHOWN = select(func.coalesce(func.max(projects.c.serial), 0))

logger = logging.getLogger(__name__)


@asynccontextmanager
async def connect(url: str, options: Mapping[str, Any]) -> AsyncIterator[SqlCache]:
    """Open the database, making what is missing: SQLite's file and directory, the tables.

    ``options`` are those of SqlOptions. Raises errors.Misconfigured where the database cannot
    be used, saying why and what to do, errors.CacheUnavailable where it does not answer.
    """
    async with opened(url, SqlOptions.of(options)) as database:
        cache = SqlCache(database)
        await cache.begin()
        keeping = asyncio.create_task(cache.keep())
        try:
            yield cache
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await cache.settled()


class SqlCache:
    """A Cache whose every write is one transaction. What was begun is finished, whoever waits."""

    indexed = True

    def __init__(self, database: Database) -> None:
        self._database = database
        self.pools = database.pools
        self._finished = Unbroken()
        self._caught = 0
        self._builds: Builds[int] = Builds()

    async def project(self, name: NormalizedName) -> Project | None:
        return await self._project(_PROJECT, name=name)

    async def outline(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        return await self._project(_OUTLINE, name=name, filename=filename or "")

    async def certain(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        with answering():
            found = await self._read(_CERTAIN, name=name, filename=filename or "")
            project = await rows.folded([row for row in found if row[0] != _WHOLE])
        complete = any(serial == _WHOLE for serial, _ in found)
        if not complete and not certainty.answers(project, filename):
            await self.built()  # says so where the tables are gone, and makes them anew
            raise errors.IndexNotReady
        return project

    async def _project(self, statement: Executable, **values: str) -> Project | None:
        with answering():
            return await rows.folded(await self._read(statement, **values))

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
        return list(islice(filter(matching(query), await self.projects(after=after)), limit))

    async def save(self, file: File, change: Change) -> int:
        return await self._write(writes.save, file, change)

    async def save_project(self, project: Project, change: Change) -> int:
        return await self._write(writes.save_project, project, change)

    async def restore(
        self, projects: Sequence[Project], change: Change, *, untrue: AbstractSet[str] = NOTHING
    ) -> int:
        return await self._write(writes.restore, projects, change, untrue)

    async def forget(self, name: NormalizedName, filename: str | None, change: Change) -> int:
        return await self._write(writes.forget, name, filename, change)

    async def record(self, change: Change) -> int:
        return await self._write(writes.record, change)

    async def serial(self) -> int:
        return await self._number(_SERIAL)

    async def shown_serial(self) -> int:
        return await self._number(_SHOWN)

    async def changes(self, after: int, limit: int = 1000) -> Sequence[Change]:
        with answering():
            found = await self._read(_CHANGES, after=after, limit=limit)
            return await rows.past([body for (body,) in found])

    async def prune(self, below: int, change: Change) -> None:
        while await self._write(writes.prune, below, change):
            pass

    async def clear(self, floor: int = 0) -> None:
        self._builds.begin(await self._write(writes.clear, floor))

    async def built(self) -> bool:
        built, era = await self._row(_BUILT)
        self._builds.begin(int(era))
        return int(built) == 1

    async def set_built(self) -> None:
        await self._write(writes.set_built, self._caught, self._builds.mark())

    async def begin(self) -> None:
        """Note what a build that begins from now on cannot have missed; and ``keep`` once."""
        self._caught = await self.serial()
        with answering():
            await self._finished(self._database.write(schema.keep))

    async def keep(self) -> None:
        """Until cancelled, see that this version's tables are kept, and long unused ones not."""
        while True:
            await asyncio.sleep(KEEP_EVERY)
            try:
                with answering():
                    await self._finished(self._database.write(schema.keep))
            except errors.CacheUnavailable as why:
                logger.warning("the cache will be kept later: %s", why)

    async def settled(self) -> None:
        """Wait for what goes on although nobody waits for it any more."""
        await self._finished.settled()

    async def _write(
        self, work: Callable[Concatenate[Writing, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        def transaction(connection: Connection) -> T:
            with writing(connection, self._database.aside) as write:
                return work(write, *args, **kwargs)

        with answering():
            return await self._finished(self._database.write(transaction))

    async def _read(self, statement: Executable, **values: object) -> Sequence[rows.AnyRow]:
        # To its end: SQLite keeps a connection that is closed amid a statement, with its locks,
        # until the last reference to the statement is gone, and a traceback may hold one.
        return await self._finished(self._database.read(statement, values))

    async def _number(self, statement: Executable) -> int:
        return int((await self._row(statement))[0])

    async def _row(self, statement: Executable) -> rows.AnyRow:
        """The one row that is always there, and in it nothing is missing."""
        with answering():
            found = await self._read(statement)
            if not found or None in found[0]:
                await self._finished(self._database.write(schema.lay_out))
                raise errors.CacheUnavailable("The cache was emptied; it is to be rebuilt.")
            return found[0]

    async def _listed(self, statement: Executable, after: str) -> list[ProjectSummary]:
        with answering():
            found = await self._read(statement, after=after)
            return await rows.listed([line for (line,) in found])


def _askable(query: Query) -> bool:
    terms = query.names + query.summaries
    return len(terms) <= _TERMS and all(
        len(term) <= _TERM_LENGTH and not _UNTEXTUAL.search(term) for term in terms
    )


def _matching(query: Query) -> ColumnElement[bool]:
    """What ``match.matches`` says, as a condition."""
    if not query.names and not query.summaries:
        return true()
    join = or_ if query.operator == "or" else and_
    sides = [
        join(*(column.contains(term.casefold(), autoescape=True) for term in terms))
        for column, terms in (
            (func.lower(projects.c.name), query.names),  # as PostgreSQL's index has it
            (projects.c.folded, query.summaries),
        )
        if terms
    ]
    return or_(*sides)
