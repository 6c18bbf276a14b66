"""Which release of a project is its newest, and what a list of projects says of it. Pure.

The newest is the newest final release that is not yanked, else the newest pre-release that
is not yanked, else the newest yanked one. A release counts as yanked when all its files are.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from app import names
from app.models import File, FileState, Project, ProjectSummary
from app.names import VersionKey

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Rank = tuple[int, VersionKey, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """As much of a file as the choice needs; ``uploaded`` is in microseconds since 1970, UTC."""

    filename: str
    version: str
    summary: str
    yanked: bool
    published: bool
    uploaded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the files of a project's present generation come to.

    ``newest`` is None where none is published. ``updated`` is the newest upload time (as
    Candidate.uploaded) of the published files; where there are none, of all.
    """

    newest: Candidate | None
    updated: int


class Event(Protocol):
    """The newest event of a chain: its number and its sha256."""

    @property
    def sequence(self) -> int: ...

    @property
    def head(self) -> str: ...


def gives_way(held: Event, given: Event, untrue: AbstractSet[str] = frozenset()) -> bool:
    """Whether what is held is to be replaced by what is given; see Cache.save and restore."""
    if held.sequence == given.sequence:
        return held.head != given.head
    return held.sequence < given.sequence or held.head in untrue


def told(held: Event, given: Event, serial: int) -> int:
    """What a write is told that changed nothing, of a project with this serial."""
    return 0 if held.sequence > given.sequence else serial


def newest(files: Iterable[File]) -> File | None:
    """The file that speaks for the newest release of these: its version, its summary.

    Of several in that release it is the one uploaded last. None without files.
    """
    return max(files, key=lambda file: rank(candidate(file)), default=None)


def candidate(file: File) -> Candidate:
    """The file, cut down."""
    return Candidate(
        filename=file.filename,
        version=file.version,
        summary=file.summary,
        yanked=file.yanked is not None,
        published=file.state is FileState.PUBLISHED,
        uploaded=(file.upload_time - _EPOCH) // _MICROSECOND,
    )


def rank(candidate: Candidate) -> Rank:
    """Greatest for the file that speaks for the newest release; never the same for two."""
    release = names.rank(candidate.version, yanked=candidate.yanked)
    return *release, candidate.uploaded, candidate.filename


def fold(candidates: Iterable[Candidate]) -> Standing | None:
    """The standing of a project with these files; None without any."""
    every = tuple(candidates)
    if not every:
        return None
    published = tuple(one for one in every if one.published)
    return Standing(
        newest=max(published, key=rank, default=None),
        updated=max(one.uploaded for one in published or every),
    )


def joined(standing: Standing | None, candidate: Candidate) -> Standing:
    """The standing when one more file has come."""
    alone = Standing(newest=candidate if candidate.published else None, updated=candidate.uploaded)
    if standing is None:
        return alone
    if (standing.newest is None) != (alone.newest is None):
        return alone if standing.newest is None else standing
    speakers = [one for one in (standing.newest, alone.newest) if one is not None]
    return Standing(
        newest=max(speakers, key=rank, default=None),
        updated=max(standing.updated, candidate.uploaded),
    )


def outshone(standing: Standing, candidate: Candidate) -> bool:
    """Whether the standing would be the same without this file, one of those it came from."""
    if standing.newest is None:
        return False
    if not candidate.published:
        return True
    return candidate.filename != standing.newest.filename and candidate.uploaded < standing.updated


def summary(project: Project, standing: Standing | None, serial: int) -> ProjectSummary | None:
    """The project's line in a list; None where it does not exist (models.Project.exists)."""
    if project.deleted or standing is None:
        return None
    return ProjectSummary(
        name=project.name,
        display_name=project.display_name,
        version="" if standing.newest is None else standing.newest.version,
        summary="" if standing.newest is None else standing.newest.summary,
        updated=_EPOCH + standing.updated * _MICROSECOND,
        serial=serial,
        status=project.status,
        generation=project.generation,
    )
