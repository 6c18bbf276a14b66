"""One write: a transaction that holds the serial.

The row of the serial is locked first, so writes come one after the other, in every
database: what is read here stays true until the end, a row is inserted or updated as it
was found, and changes become visible in the order of their serials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby, islice
from typing import Any, Protocol, TypeVar

from packaging.utils import NormalizedName
from sqlalchemy import (
    BindParameter,
    Connection,
    Executable,
    and_,
    bindparam,
    case,
    delete,
    insert,
    select,
    update,
)

from app.cache import history, newest, rows
from app.cache.builds import emptied
from app.cache.newest import Standing
from app.cache.rows import Held, Known, Newest
from app.cache.schema import ERA, LAYOUT, begin_era, files, layouts, meta, projects
from app.models import Change, File, Project

T = TypeVar("T")

_ROWS = 500
"""Rows in one statement: encoding more would keep the event loop waiting."""

_FACTS = select(projects.c.name, projects.c.serial, projects.c.facts, projects.c.standing)
_KNOWN = (
    _FACTS.add_columns(files.c.sequence, files.c.head, files.c.generation, files.c.candidate)
    .outerjoin(
        files,
        and_(files.c.project == projects.c.name, files.c.filename == bindparam("filename")),
    )
    .where(projects.c.name == bindparam("name"))
)
_NAMES: BindParameter[Any] = bindparam("names", expanding=True)
_ALL_KNOWN = _FACTS.where(projects.c.name.in_(_NAMES))
_EVENTS = select(files.c.project, files.c.filename, files.c.sequence, files.c.head).where(
    files.c.project.in_(_NAMES)
)
_CANDIDATES = (
    select(files.c.project, files.c.generation, files.c.candidate)
    .where(files.c.project.in_(_NAMES))
    .order_by(files.c.project)
)
_THIS_FILE = and_(files.c.project == bindparam("of"), files.c.filename == bindparam("this"))
_UPDATE_FILE = update(files).where(_THIS_FILE)
_DROP_FILE = delete(files).where(_THIS_FILE)
_UPDATE_PROJECT = update(projects).where(projects.c.name == bindparam("this"))
_UPDATE_SERIAL = update(meta).where(meta.c.name == "serial")
_UPDATE_LAYOUT = update(layouts).where(layouts.c.layout == LAYOUT)
_LOCK = select(meta.c.value).where(meta.c.name == "serial").with_for_update()
_ERA = select(meta.c.value).where(meta.c.name == ERA)
_STRETCH = (
    select(projects.c.name)
    .where(projects.c.name > bindparam("after"))
    .order_by(projects.c.name)
    .offset(_ROWS)
    .limit(1)
)


class Aside(Protocol):
    """Computes without keeping the event loop waiting."""

    def __call__(self, computing: Callable[[], T], /) -> T: ...


class Writing:
    """The transaction. The changes given a serial are written at its end."""

    def __init__(self, connection: Connection, serial: int, aside: Aside) -> None:
        self.serial = serial
        self._connection = connection
        self._aside = aside
        self._given: list[Change] = []

    def give(self, change: Change) -> int:
        """The change's serial."""
        self.serial += 1
        self._given.append(replace(change, serial=self.serial))
        return self.serial

    def known(self, name: NormalizedName, filename: str = "") -> tuple[Known | None, Held | None]:
        """A project and one of its files."""
        found = self._connection.execute(_KNOWN, {"name": name, "filename": filename})
        row = found.one_or_none()
        return (None, None) if row is None else (rows.known(row), rows.held(row))

    def all_known(self, names: Sequence[NormalizedName]) -> dict[NormalizedName, Known]:
        """Those of these projects that there are."""
        found = self._connection.execute(_ALL_KNOWN, {"names": names})
        return {row.name: rows.known(row) for row in found}

    def events(self, names: Sequence[NormalizedName]) -> dict[tuple[NormalizedName, str], Newest]:
        """The newest event of every file of these projects, by project and filename."""
        found = self._connection.execute(_EVENTS, {"names": names})
        return {(row.project, row.filename): rows.newest_event(row) for row in found}

    def refold(self, every: Iterable[Project]) -> dict[NormalizedName, Standing | None]:
        """The standing of each project, from all the files of its generation."""
        generations = {project.name: project.generation for project in every}
        found = self._connection.execute(_CANDIDATES, {"names": list(generations)}).all()

        def fold() -> dict[NormalizedName, Standing | None]:
            standings: dict[NormalizedName, Standing | None] = dict.fromkeys(generations)
            for name, those in groupby(found, key=lambda row: row.project):
                column = [row.candidate for row in those if row.generation == generations[name]]
                standings[name] = newest.fold(rows.candidates(column))
            return standings

        return self._aside(fold)

    def standing(self, known: Known, held: Held | None, file: File | None) -> Standing | None:
        """The project's standing with ``file`` (None: forgotten) in the place of ``held``.

        Reckoned from this file alone, unless what it replaces may have been the newest.
        """
        standing, generation = known.standing, known.facts.generation
        before = held.candidate if held is not None and held.generation == generation else None
        if before and not (standing and newest.outshone(standing, before)):
            return self.refold([known.facts])[known.facts.name]
        if file is None or file.generation != generation:
            return standing
        return newest.joined(standing, newest.candidate(file))

    def put_file(self, file: File, *, fresh: bool) -> None:
        """Write the file: a fresh one, or over its row."""
        row = rows.file_row(file)
        if fresh:
            self._connection.execute(insert(files), row)
        else:
            row |= {"of": file.project, "this": file.filename}
            self._connection.execute(_UPDATE_FILE, row)

    def put_project(
        self, facts: Project, serial: int, standing: Standing | None, *, fresh: bool = False
    ) -> None:
        """Write the project: a fresh one, or over its row."""
        row = rows.project_row(facts, serial, standing)
        if fresh:
            self._connection.execute(insert(projects), row)
        else:
            self._connection.execute(_UPDATE_PROJECT, row | {"this": facts.name})

    def add_projects(self, fresh: Iterable[tuple[Project, int, Standing | None]]) -> None:
        """Write many fresh projects: facts, serial, standing."""
        self._many(insert(projects), (rows.project_row(*one) for one in fresh))

    def put_projects(self, those: Iterable[tuple[Project, int, Standing | None]]) -> None:
        """The same over the rows of projects that are known."""
        every = (rows.project_row(*one) | {"this": one[0].name} for one in those)
        self._many(_UPDATE_PROJECT, every)

    def add_files(self, fresh: Iterable[File]) -> None:
        """Write many fresh files."""
        self._many(insert(files), map(rows.file_row, fresh))

    def drop_files(self, keys: Iterable[tuple[NormalizedName, str]]) -> None:
        """Remove files, by project and filename."""
        self._many(_DROP_FILE, ({"of": name, "this": filename} for name, filename in keys))

    def drop_project(self, name: NormalizedName) -> None:
        """Remove the project and all its files."""
        self._connection.execute(delete(files).where(files.c.project == name))
        self._connection.execute(delete(projects).where(projects.c.name == name))

    def drop_all(self) -> None:
        """Remove every project and file, so many at once that no statement takes long."""
        after: str | None = ""
        while after is not None:
            after = self._connection.execute(_STRETCH, {"after": after}).scalar()
            for table, name in ((files, files.c.project), (projects, projects.c.name)):
                stretch = delete(table) if after is None else delete(table).where(name <= after)
                self._connection.execute(stretch)

    def begin_anew(self) -> int:
        """Show only later changes; it is not built. Changes that nobody shows any more go.

        Returns the era that begins.
        """
        row = {"built": 0, "since": self.serial, "caught": self.serial}
        self._connection.execute(_UPDATE_LAYOUT, row)
        history.drop_unshown(self._connection)
        return begin_era(self._connection)

    def prune(self, below: int, change: Change) -> bool:
        """See Cache.prune; True where there is more to do."""
        return history.prune(self._connection, below, change)

    def say_built(self, caught: int, era: int | None) -> None:
        """It is complete: nothing below the serial ``caught`` is missing.

        Raises errors.CacheUnavailable where that was begun in another era.
        """
        if era is not None and self._connection.execute(_ERA).scalar() != era:
            raise emptied()
        later = case((layouts.c.caught < caught, caught), else_=layouts.c.caught)
        self._connection.execute(_UPDATE_LAYOUT.values(built=1, caught=later))

    def finish(self) -> None:
        """Write the changes."""
        self._many(history.INSERT, (history.row(one) for one in self._given))

    def store_serial(self) -> None:
        """Write the serial that is the newest now."""
        self._connection.execute(_UPDATE_SERIAL, {"value": self.serial})

    def _many(self, statement: Executable, values: Iterable[dict[str, object]]) -> None:
        left = iter(values)
        while batch := list(islice(left, _ROWS)):
            self._connection.execute(statement, batch)


@contextmanager
def writing(connection: Connection, aside: Aside) -> Iterator[Writing]:
    """Lock; in the end write what the transaction that ``connection`` is in has given."""
    before = connection.execute(_LOCK).scalar_one()
    write = Writing(connection, before, aside)
    yield write
    write.finish()
    if write.serial != before:
        write.store_serial()
