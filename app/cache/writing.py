"""One write: a transaction that holds the serial.

The row of the serial is locked first, so writes come one after the other, in every
database: what is read here stays true until the end, a row is inserted or updated as it
was found, and changes become visible in the order of their serials.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice

from packaging.utils import NormalizedName
from sqlalchemy import Executable, and_, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.cache import newest, rows
from app.cache.newest import Standing
from app.cache.rows import Held, Known
from app.cache.schema import changes, files, meta, projects
from app.models import Change, File, Project

_ROWS = 500
"""Rows in one statement: encoding more would keep the event loop waiting."""

_FACTS = select(projects.c.name, projects.c.serial, projects.c.facts, projects.c.standing)
_KNOWN = (
    _FACTS.add_columns(files.c.sequence, files.c.generation, files.c.candidate)
    .outerjoin(
        files,
        and_(files.c.project == projects.c.name, files.c.filename == bindparam("filename")),
    )
    .where(projects.c.name == bindparam("name"))
)
_ALL_KNOWN = _FACTS.where(projects.c.name.in_(bindparam("names", expanding=True)))
_SEQUENCES = select(files.c.project, files.c.filename, files.c.sequence).where(
    files.c.project.in_(bindparam("names", expanding=True))
)
_CANDIDATES = select(files.c.candidate).where(
    files.c.project == bindparam("name"), files.c.generation == bindparam("generation")
)
_THIS_FILE = and_(files.c.project == bindparam("of"), files.c.filename == bindparam("this"))
_UPDATE_FILE = update(files).where(_THIS_FILE)
_DROP_FILE = delete(files).where(_THIS_FILE)
_UPDATE_PROJECT = update(projects).where(projects.c.name == bindparam("this"))
_UPDATE_META = update(meta).where(meta.c.name == bindparam("this"))
_LOCK = select(meta.c.value).where(meta.c.name == "serial").with_for_update()


class Writing:
    """The transaction. The changes given a serial are written at its end."""

    def __init__(self, connection: AsyncConnection, serial: int) -> None:
        self.serial = serial
        self._connection = connection
        self._given: list[Change] = []

    def give(self, change: Change) -> int:
        """The change's serial."""
        self.serial += 1
        self._given.append(replace(change, serial=self.serial))
        return self.serial

    async def known(
        self, name: NormalizedName, filename: str = ""
    ) -> tuple[Known | None, Held | None]:
        """A project and one of its files."""
        found = await self._connection.execute(_KNOWN, {"name": name, "filename": filename})
        row = found.one_or_none()
        return (None, None) if row is None else (rows.known(row), rows.held(row))

    async def all_known(self, names: Sequence[NormalizedName]) -> dict[NormalizedName, Known]:
        """Those of these projects that there are."""
        found = await self._connection.execute(_ALL_KNOWN, {"names": names})
        return {row.name: rows.known(row) for row in found}

    async def sequences(
        self, names: Sequence[NormalizedName]
    ) -> dict[tuple[NormalizedName, str], int]:
        """The newest event of every file of these projects, by project and filename."""
        found = await self._connection.execute(_SEQUENCES, {"names": names})
        return {(project, filename): sequence for project, filename, sequence in found}

    async def refold(self, project: Project) -> Standing | None:
        """The project's standing, from all the files of its generation."""
        found = await self._connection.execute(
            _CANDIDATES, {"name": project.name, "generation": project.generation}
        )
        column = found.scalars().all()
        return await asyncio.to_thread(lambda: newest.fold(rows.candidates(column)))

    async def standing(self, known: Known, held: Held | None, file: File | None) -> Standing | None:
        """The project's standing with ``file`` (None: forgotten) in the place of ``held``.

        Reckoned from this file alone, unless what it replaces may have been the newest.
        """
        standing, generation = known.standing, known.facts.generation
        before = held.candidate if held is not None and held.generation == generation else None
        if before and not (standing and newest.outshone(standing, before)):
            return await self.refold(known.facts)
        if file is None or file.generation != generation:
            return standing
        return newest.joined(standing, newest.candidate(file))

    async def put_file(self, file: File, *, fresh: bool) -> None:
        """Write the file: a fresh one, or over its row."""
        row = rows.file_row(file)
        if fresh:
            await self._connection.execute(insert(files), row)
        else:
            row |= {"of": file.project, "this": file.filename}
            await self._connection.execute(_UPDATE_FILE, row)

    async def put_project(
        self, facts: Project, serial: int, standing: Standing | None, *, fresh: bool = False
    ) -> None:
        """Write the project: a fresh one, or over its row."""
        row = rows.project_row(facts, serial, standing)
        if fresh:
            await self._connection.execute(insert(projects), row)
        else:
            await self._connection.execute(_UPDATE_PROJECT, row | {"this": facts.name})

    async def add_projects(self, fresh: Iterable[tuple[Project, int, Standing | None]]) -> None:
        """Write many fresh projects: facts, serial, standing."""
        await self._many(insert(projects), (rows.project_row(*one) for one in fresh))

    async def add_files(self, fresh: Iterable[File]) -> None:
        """Write many fresh files."""
        await self._many(insert(files), map(rows.file_row, fresh))

    async def drop_files(self, keys: Iterable[tuple[NormalizedName, str]]) -> None:
        """Remove files, by project and filename."""
        await self._many(_DROP_FILE, ({"of": name, "this": filename} for name, filename in keys))

    async def drop_project(self, name: NormalizedName) -> None:
        """Remove the project and all its files."""
        await self._connection.execute(delete(files).where(files.c.project == name))
        await self._connection.execute(delete(projects).where(projects.c.name == name))

    async def drop_all(self) -> None:
        """Remove every project, file and change."""
        for table in (projects, files, changes):
            await self._connection.execute(delete(table))

    async def note(self, name: str, value: int) -> None:
        """Set one of the facts about the cache itself."""
        await self._connection.execute(_UPDATE_META, {"this": name, "value": value})

    async def finish(self) -> None:
        """Write the changes."""
        await self._many(insert(changes), map(rows.change_row, self._given))

    async def _many(self, statement: Executable, values: Iterable[dict[str, object]]) -> None:
        left = iter(values)
        while batch := list(islice(left, _ROWS)):
            await self._connection.execute(statement, batch)


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[Writing]:
    """Begin, and commit in the end: all of it or nothing."""
    async with engine.begin() as connection:
        before = (await connection.execute(_LOCK)).scalar_one()
        write = Writing(connection, before)
        yield write
        await write.finish()
        if write.serial != before:
            await write.note("serial", write.serial)
