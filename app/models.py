"""The nouns: frozen values that every room speaks of.

Names follow the Simple API (PEP 503, 691, 700) and the upload API. Times are
aware, UTC, with microseconds; digests are lower-case hexadecimal; sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property

from packaging.utils import NormalizedName

from app.names import canonical_version, version_key

UNKNOWN_SIZE = -1
UNKNOWN_TIME = datetime.fromtimestamp(0, UTC)
"""Of a file of another index, which does not say."""


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

    ``kind`` is user, token, publisher (trusted publishing), operator (the command line),
    system, or anonymous where everyone may upload.
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
    ``provenance_sha256`` is of the provenance, where there is one (PEP 740).
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
    provenance_sha256: str | None = None
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

    @property
    def restorable(self) -> tuple[File, ...]:
        """The deleted files whose bytes are kept, by name."""
        kept = (f for f in self.files if self._current(f) and f.state is FileState.DELETED)
        return () if self.deleted else tuple(sorted(kept, key=lambda f: f.filename))

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
class Scope:
    """What a token narrows its owner's rights to.

    ``projects`` holds normalised names and patterns with ``*``. The value of a name is the
    generation of the project that is meant, None where there was no such project yet: then
    the first to come is meant, once it is bound (access.base.Tokens.bind). The value of a
    pattern is None. ``creates``: may claim names that are free. ``sufficient``: the token is
    a right by itself, because nobody owns it (trusted publishing).
    """

    permissions: frozenset[Permission]
    projects: Mapping[str, str | None]
    creates: bool = False
    admin: bool = False
    sufficient: bool = False

    def covers(
        self, permission: Permission, project: NormalizedName, generation: str | None
    ) -> bool:
        """Whether the permission on this generation (None: a free name) is within the scope."""
        if permission not in self.permissions:
            return False
        if generation is None and permission is Permission.UPLOAD and not self.creates:
            return False
        if project in self.projects:
            meant = self.projects[project]
            return meant is None or meant == generation
        return any("*" in name and fnmatchcase(project, name) for name in self.projects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody who proved who they are; ``principals`` never includes ``everyone``'s implicit one.

    ``principals`` are ``user:NAME``, ``group:NAME`` and ``authenticated``. ``credential`` is
    the id (never the secret) of the token or session that proved it, None for a password;
    ``scope`` is what a token leaves of the rights. ``stamp`` tells a user from an earlier one
    of the same name, where the backend knows; it is no part of who they are. ``version`` changes
    with the password. ``anywhere`` is False where the proof holds only from some addresses.
    """

    actor: Actor
    principals: frozenset[str]
    admin: bool = False
    credential: str | None = None
    scope: Scope | None = None
    stamp: str = field(default="", compare=False, repr=False)
    version: str = field(default="", compare=False, repr=False)
    anywhere: bool = field(default=True, compare=False, repr=False)
