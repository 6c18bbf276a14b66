"""The nouns: frozen values that every room speaks of.

Names follow the Simple API (PEP 503, 691, 700) and the upload API. Times are
aware, UTC, with microseconds; digests are lower-case hexadecimal; sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from packaging.utils import NormalizedName

from app.names import canonical_version, version_key


class Status(StrEnum):
    """Project status markers (PEP 792)."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    QUARANTINED = "quarantined"
    DEPRECATED = "deprecated"


class Kind(StrEnum):
    """The distribution kinds an index takes (PEP 527, PEP 715), as the upload API spells them."""

    WHEEL = "bdist_wheel"
    SDIST = "sdist"


class FileState(StrEnum):
    """What became of a file. A deleted one can be restored until its bytes are purged."""

    PUBLISHED = "published"
    QUARANTINED = "quarantined"
    DELETED = "deleted"
    PURGED = "purged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did something.

    ``kind`` is user, token, operator (the command line), system, or anonymous where everyone
    may upload.
    """

    kind: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashes:
    """The three digests that upload clients send and the JSON API shows."""

    sha256: str
    blake2b_256: str
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One wheel or sdist: the fold of its events in the journal.

    ``yanked`` is None for a file that is not yanked, else the reason, which may be
    empty (PEP 592). ``metadata_sha256`` is of the core metadata kept beside the
    bytes; it is offered to clients only where ``metadata_static`` (PEP 658, PEP 643).
    ``sequence``, ``head`` and ``changed`` are the number, the sha256 and the time of its
    newest event.
    ``generation`` is that of the project it was published into.
    """

    project: NormalizedName
    filename: str
    version: str
    kind: Kind
    python_version: str
    size: int
    hashes: Hashes
    blob: str
    upload_time: datetime
    changed: datetime
    uploader: Actor
    generation: str
    sequence: int
    head: str
    metadata_sha256: str | None = None
    metadata_static: bool = False
    requires_python: str | None = None
    summary: str = ""
    comment: str = ""
    yanked: str | None = None
    state: FileState = FileState.PUBLISHED
    source: str = "upload"

    @property
    def offers_metadata(self) -> bool:
        """Whether ``{filename}.metadata`` is served (PEP 658)."""
        return self.metadata_static and self.metadata_sha256 is not None


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project, with every file it ever had, deleted ones included.

    ``serial`` is that of its newest change. ``generation`` changes when a deleted
    name is taken again, so files and grants of the former one do not come back.
    """

    name: NormalizedName
    display_name: str
    generation: str
    sequence: int
    head: str
    status: Status = Status.ACTIVE
    status_reason: str | None = None
    deleted: bool = False
    serial: int = 0
    files: tuple[File, ...] = ()

    @cached_property
    def published(self) -> tuple[File, ...]:
        """The files to show, by version and filename (so that ETags are stable)."""
        if self.deleted:
            return ()
        shown = (f for f in self.files if self._current(f) and f.state is FileState.PUBLISHED)
        return tuple(sorted(shown, key=lambda f: (version_key(f.version), f.filename)))

    def find(self, filename: str) -> File | None:
        """The published file of this name."""
        return self._published_by_name.get(filename)

    @property
    def exists(self) -> bool:
        """False for a deleted project, and for a name claimed but never filled."""
        return not self.deleted and any(self._current(f) for f in self.files)

    def release(self, version: str) -> tuple[File, ...]:
        """The published files of one release; PEP 440 equality decides (``1.0`` is ``1.0.0``)."""
        wanted = canonical_version(version)
        return tuple(f for f in self.published if canonical_version(f.version) == wanted)

    @cached_property
    def _published_by_name(self) -> Mapping[str, File]:
        return {file.filename: file for file in self.published}

    def _current(self, file: File) -> bool:
        return file.generation == self.generation


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSummary:
    """One line of a list of projects. ``version`` is the newest (names.rank)."""

    name: NormalizedName
    display_name: str
    version: str
    summary: str
    updated: datetime
    serial: int
    generation: str
    status: Status = Status.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that became visible. ``serial`` is given by the cache that records it.

    ``action`` is the type of the event (publish, yank, delete, status, …) or, for a
    change of access, what was done (``user.disable``, …); then ``project`` is None and
    ``filename`` names whom it concerns.
    """

    action: str
    time: datetime
    actor: Actor
    project: NormalizedName | None = None
    filename: str | None = None
    version: str | None = None
    serial: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What a storage says of one key."""

    key: str
    size: int
    modified: datetime
    etag: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


class Permission(StrEnum):
    """What somebody may do with one project."""

    READ = "read"
    UPLOAD = "upload"
    MANAGE = "manage"
    FETCH = "fetch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody who proved who they are; ``principals`` never includes ``everyone``'s implicit one.

    ``principals`` are ``user:NAME``, ``group:NAME`` and ``authenticated``.
    """

    actor: Actor
    principals: frozenset[str]
    admin: bool = False
