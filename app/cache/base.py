"""The Cache protocol: what the index knows, ready to be asked, and what changed, in order.

A cache may forget; it must never invent. All it holds can be rebuilt from the storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, Protocol

from packaging.utils import NormalizedName

from app.models import Change, File, Project, ProjectSummary

NOTHING: AbstractSet[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to search for: case-insensitive substrings of normalised names and of summaries.

    ``operator`` joins the terms within ``names`` and within ``summaries``; between the
    two it is always "or". Without any term everything matches.
    """

    names: tuple[str, ...] = ()
    summaries: tuple[str, ...] = ()
    operator: Literal["and", "or"] = "or"


class Cache(Protocol):
    """What the index knows.

    Every change has a serial, a whole number that only grows, across restarts and
    ``clear`` too. It is given under the same lock or transaction that makes the change
    visible: a reader that has seen serial *n* has missed nothing below *n*. Methods raise
    errors.CacheUnavailable when the cache cannot be asked.

    ``indexed``: ``search`` is quick however many projects there are. Otherwise whoever has
    the list of projects at hand looks through it instead.
    """

    indexed: bool

    async def project(self, name: NormalizedName) -> Project | None:
        """The project with all its files (deleted ones too, in any order); one round trip.

        Deleted projects are returned as such; None means that the name is not known.
        """
        ...

    async def outline(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        """The project with this one file only, or with none; one round trip, however large."""
        ...

    async def certain(self, name: NormalizedName, filename: str | None = None) -> Project | None:
        """What ``outline`` answers, but what is missing in it is certainly not there.

        Raises errors.IndexNotReady where the project (or the file, if one is asked for) is not
        known, and the cache was not complete (``built``) at the moment of that answer.
        """
        ...

    async def file(self, name: NormalizedName, filename: str) -> File | None:
        """One file in whatever state, looked up through its project."""
        ...

    async def projects(
        self, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        """The projects that exist (models.Project.exists), by name, beginning after ``after``."""
        ...

    async def search(
        self, query: Query, *, after: str = "", limit: int | None = None
    ) -> Sequence[ProjectSummary]:
        """Those of ``projects`` that match; a project's summary is that of its newest release."""
        ...

    async def save(self, file: File, change: Change) -> int:
        """Record the file and the change at once; returns the change's serial.

        The newer event wins. Where the cache holds the same event of this file nothing
        changes and the project's present serial is returned; where it holds a later
        ``sequence`` nothing changes and 0 is returned. Another event (another ``head``) of
        the same ``sequence`` is of a storage that is no more: it gives way. Raises
        errors.ProjectNotFound where the project was not saved before.
        """
        ...

    async def save_project(self, project: Project, change: Change) -> int:
        """The same for the project's own facts; ``project.files`` is not looked at."""
        ...

    async def restore(
        self, projects: Sequence[Project], change: Change, *, untrue: AbstractSet[str] = NOTHING
    ) -> int:
        """Bulk repair: bring each project and each of its files up to the state given.

        Newer events win, one by one, as in ``save``; nothing is removed. What is held by an
        event whose ``head`` is among ``untrue`` gives way to an older one too: the storage
        does not hold that event. One Change (a copy of ``change``
        with the project's name) per project that differs, none for those that agree. A
        project that the cache did not know gets ``project.serial`` where that is not 0,
        else, like any that differs, the serial of its change. Returns how many differed.
        """
        ...

    async def forget(self, name: NormalizedName, filename: str | None, change: Change) -> int:
        """Drop a file (None: the whole project) that the storage does not hold."""
        ...

    async def record(self, change: Change) -> int:
        """Record a change that concerns no project, such as one of access."""
        ...

    async def serial(self) -> int:
        """The serial of the newest change; 0 where there never was one."""
        ...

    async def shown_serial(self) -> int:
        """The greatest serial of any project, deleted ones included; 0 without projects."""
        ...

    async def changes(self, after: int, limit: int = 1000) -> Sequence[Change]:
        """The changes with a serial above ``after``, ascending, the first ``limit`` of them."""
        ...

    async def prune(self, below: int, change: Change) -> None:
        """Drop the changes up to the serial ``below``, but for the very first.

        In the place of the last of them stands ``change``, with its serial, so that whoever
        asks for what is no longer there is told. Gives no serial; nothing else changes. What
        was written together with later changes may be kept.
        """
        ...

    async def clear(self, floor: int = 0) -> None:
        """Forget everything, and that it was built.

        Later serials exceed ``floor`` and every serial given before.
        """
        ...

    async def built(self) -> bool:
        """Whether the cache was completely built (since the last ``clear``)."""
        ...

    async def set_built(self) -> None:
        """Say that it is complete.

        Raises errors.CacheUnavailable where it was emptied since the same task asked for
        ``built``, or cleared it: what it brought until then is gone.
        """
        ...
